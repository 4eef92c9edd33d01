//! TABLE_MAP: how the rows that follow lie, with the names, signs, character sets, members and key that `binlog_row_metadata=FULL` adds.

use super::DecodeError;
use super::bytes::Reader;
use super::charset::Charset;
use super::control::Flavour;

/// Column types by number, as the log has them.
pub mod wire {
    #![allow(missing_docs)]
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const OLD_TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const OLD_TIME: u8 = 11;
    pub const OLD_DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP: u8 = 17;
    pub const DATETIME: u8 = 18;
    pub const TIME: u8 = 19;
    pub const BLOB_COMPRESSED: u8 = 140;
    pub const VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const DECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// The most columns that a table may have; servers allow 4,096 and fewer.
const COLUMNS_MAX: usize = 4096;

/// The description of a table that row events refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMap {
    /// The number that row events use.
    pub id: u64,
    /// The table's database.
    pub database: String,
    /// The table's name.
    pub table: String,
    /// The columns, in row order.
    pub columns: Vec<Column>,
    /// Positions of the primary key's columns, in key order; empty if there is none or the server does not tell.
    pub key: Vec<u32>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its type, see [`wire`]; ENUM and SET are told apart from STRING.
    pub kind: u8,
    /// What the type needs to know: a length, digits, packing; as the log has it. Of a GEOMETRY the second byte is its kind, where the log
    /// tells it: 1 is POINT.
    pub meta: [u8; 2],
    /// Its name; `None` without full metadata.
    pub name: Option<String>,
    /// Whether it is a number without sign.
    pub unsigned: bool,
    /// The character set of text, ENUM and SET columns.
    pub charset: Charset,
    /// The members of an ENUM or SET, in order.
    pub members: Vec<Vec<u8>>,
}

impl Column {
    /// The byte length of a CHAR or BINARY: its high bits hide in the type.
    pub fn string_len(&self) -> usize {
        let high = usize::from(self.meta[0] & 0x30) ^ 0x30;
        usize::from(self.meta[1]) | high << 4
    }

    fn is_number(&self) -> bool {
        use wire::*;
        matches!(self.kind, TINY | SHORT | INT24 | LONG | LONGLONG | DECIMAL | FLOAT | DOUBLE | YEAR)
    }

    fn is_string(&self) -> bool {
        use wire::*;
        matches!(self.kind, STRING | VAR_STRING | VARCHAR | BLOB | VARCHAR_COMPRESSED | BLOB_COMPRESSED)
    }

    fn is_string_or_geometry(&self) -> bool {
        self.is_string() || self.kind == wire::GEOMETRY
    }

    fn is_string_or_vector(&self) -> bool {
        self.is_string() || self.kind == wire::VECTOR
    }

    fn is_member(&self) -> bool {
        matches!(self.kind, wire::ENUM | wire::SET)
    }
}

/// The number, database and table of a table map, without the rest: enough to see whether the table is wanted.
///
/// # Errors
/// Too short.
pub fn name(body: &[u8]) -> Result<(u64, &str, &str), DecodeError> {
    let mut r = Reader::new(body, "a table map");
    read_name(&mut r)
}

fn read_name<'a>(r: &mut Reader<'a>) -> Result<(u64, &'a str, &'a str), DecodeError> {
    let id = r.u48()?;
    r.u16()?;
    let mut text = || {
        let len = r.u8()?;
        let bytes = r.take(usize::from(len))?;
        r.u8()?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::malformed("a table's name is not UTF-8"))
    };
    Ok((id, text()?, text()?))
}

impl TableMap {
    /// Reads a whole table map.
    ///
    /// # Errors
    /// Bytes that no server writes.
    pub fn parse(body: &[u8], flavour: Flavour) -> Result<TableMap, DecodeError> {
        let mut r = Reader::new(body, "a table map");
        let (id, database, table) = read_name(&mut r)?;
        let (database, table) = (database.to_string(), table.to_string());
        let count = r.length()?;
        if !(1..=COLUMNS_MAX).contains(&count) {
            return Err(DecodeError::malformed(format!("a table of {count} columns")));
        }
        let kinds = r.take(count)?;
        let mut metas = Reader::new(r.lenenc_bytes()?, "the column types of a table map");
        let mut columns = kinds.iter().map(|kind| column(*kind, &mut metas)).collect::<Result<Vec<_>, _>>()?;
        r.take(count.div_ceil(8))?;
        let mut key = Vec::new();
        while !r.is_empty() {
            let field = r.u8()?;
            let value = Reader::new(r.lenenc_bytes()?, "the metadata of a table map");
            apply_metadata(field, value, &mut columns, &mut key, flavour)?;
        }
        Ok(TableMap { id, database, table, columns, key })
    }
}

fn column(kind: u8, metas: &mut Reader<'_>) -> Result<Column, DecodeError> {
    use wire::*;
    let meta = match kind {
        FLOAT | DOUBLE | BLOB | GEOMETRY | JSON | VECTOR | TIMESTAMP | DATETIME | TIME | BLOB_COMPRESSED => [metas.u8()?, 0],
        VARCHAR | VAR_STRING | VARCHAR_COMPRESSED | BIT | DECIMAL | STRING | ENUM | SET => metas.array()?,
        _ => [0, 0],
    };
    // The real type of a string column stands in the first byte, where long CHARs have cleared two bits for their length.
    let kind = match kind {
        STRING if meta[0] & 0x30 == 0x30 && matches!(meta[0], ENUM | SET) => meta[0],
        other => other,
    };
    Ok(Column { kind, meta, name: None, unsigned: false, charset: Charset::Binary, members: Vec::new() })
}

fn apply_metadata(
    field: u8,
    mut r: Reader<'_>,
    columns: &mut [Column],
    key: &mut Vec<u32>,
    flavour: Flavour,
) -> Result<(), DecodeError> {
    match field {
        // Dolt lists every column, with 0 for what has no character set; ENUM and SET alone, as others do.
        3 if flavour == Flavour::Dolt => {
            for column in columns.iter_mut() {
                let collation = if r.is_empty() { 0 } else { r.lenenc()? };
                if column.is_string() && collation != 0 {
                    column.charset = Charset::of_collation(collation);
                }
            }
        }
        1 => signs(r.take_rest(), columns),
        // MariaDB counts geometries among the columns with a character set, MySQL vectors.
        2 if flavour == Flavour::Mariadb => default_charsets(&mut r, columns, Column::is_string_or_geometry)?,
        3 if flavour == Flavour::Mariadb => charsets(&mut r, columns, Column::is_string_or_geometry)?,
        2 => default_charsets(&mut r, columns, Column::is_string_or_vector)?,
        3 => charsets(&mut r, columns, Column::is_string_or_vector)?,
        4 => {
            for column in columns {
                let name =
                    std::str::from_utf8(r.lenenc_bytes()?).map_err(|_| DecodeError::malformed("a column's name is not UTF-8"))?;
                column.name = Some(name.to_string());
            }
        }
        5 => members(&mut r, columns, wire::SET)?,
        6 => members(&mut r, columns, wire::ENUM)?,
        7 => {
            for column in columns.iter_mut().filter(|c| c.kind == wire::GEOMETRY) {
                column.meta[1] = u8::try_from(r.lenenc()?).unwrap_or(0);
            }
        }
        8 | 9 => {
            while !r.is_empty() {
                let column = r.lenenc()?;
                if column >= columns.len() as u64 {
                    return Err(DecodeError::malformed(format!("key column {column} of {}", columns.len())));
                }
                key.push(column as u32);
                if field == 9 {
                    r.lenenc()?; // The length of a prefix: a key by a prefix is a key by the whole value too.
                }
            }
        }
        10 => default_charsets(&mut r, columns, Column::is_member)?,
        11 => charsets(&mut r, columns, Column::is_member)?,
        _ => {} // Visibility, and what later servers add: nothing that a value depends on.
    }
    Ok(())
}

/// One bit for each column of a number, most significant first.
fn signs(bits: &[u8], columns: &mut [Column]) {
    for (i, column) in columns.iter_mut().filter(|c| c.is_number()).enumerate() {
        column.unsigned = bits.get(i / 8).is_some_and(|byte| byte & (0x80 >> (i % 8)) != 0);
    }
}

/// One collation for all, then pairs of position (among such columns) and collation for the exceptions.
fn default_charsets(r: &mut Reader<'_>, columns: &mut [Column], among: fn(&Column) -> bool) -> Result<(), DecodeError> {
    let default = Charset::of_collation(r.lenenc()?);
    let mut own: Vec<&mut Column> = columns.iter_mut().filter(|c| among(c)).collect();
    own.iter_mut().for_each(|c| c.charset = default);
    while !r.is_empty() {
        let at = r.lenenc()?;
        let charset = Charset::of_collation(r.lenenc()?);
        let column = usize::try_from(at).ok().and_then(|at| own.get_mut(at));
        column.ok_or_else(|| DecodeError::malformed("a character set for no column"))?.charset = charset;
    }
    Ok(())
}

/// One collation for each such column.
fn charsets(r: &mut Reader<'_>, columns: &mut [Column], among: fn(&Column) -> bool) -> Result<(), DecodeError> {
    for column in columns.iter_mut().filter(|c| among(c)) {
        column.charset = Charset::of_collation(r.lenenc()?);
    }
    Ok(())
}

fn members(r: &mut Reader<'_>, columns: &mut [Column], kind: u8) -> Result<(), DecodeError> {
    for column in columns.iter_mut().filter(|c| c.kind == kind) {
        let count = r.length()?;
        column.members = (0..count).map(|_| r.lenenc_bytes().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
    }
    Ok(())
}
