//! Tables of the stand-in: typed cells, and how each type looks in the log and in a result.

use std::collections::BTreeMap;

use super::packets::{counted, lenenc};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// NULL.
    Null,
    /// A number.
    Int(i64),
    /// Text; of an ENUM, the member; of a DECIMAL and a DOUBLE, how SQL prints it.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A JSON object of numbers: the log makes doubles of them, SQL prints them as they are.
    Json(Vec<(String, i64)>),
    /// A TIME in microseconds.
    Time(i64),
    /// A DATETIME, or the midnight of a DATE, in microseconds since 1970.
    Datetime(i64),
}

impl From<i64> for Cell {
    fn from(x: i64) -> Cell {
        Cell::Int(x)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_string())
    }
}

/// A column's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// INT.
    Int,
    /// INT UNSIGNED, whose sign the log does not tell.
    IntUnsigned,
    /// SMALLINT.
    Smallint,
    /// BIGINT.
    Bigint,
    /// DOUBLE.
    Double,
    /// DECIMAL of so many digits, so many of them behind the point.
    Decimal(u8, u8),
    /// VARBINARY of up to so many bytes.
    Varbinary(u16),
    /// DATE.
    Date,
    /// VARCHAR in utf8mb4 of up to so many characters.
    Varchar(u16),
    /// ENUM in utf8mb4.
    Enum(Vec<String>),
    /// TIME, in the log always with six digits.
    Time,
    /// DATETIME(6).
    Datetime,
    /// JSON.
    Json,
    /// INT GENERATED ALWAYS … VIRTUAL: in the table map, and not in the rows.
    Virtual,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

/// A table as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// How many of the first columns are the primary key.
    pub(super) key: usize,
    pub(super) rows: BTreeMap<Vec<Cell>, Vec<Cell>>,
}

/// utf8mb4_0900_bin, the default there.
const COLLATION: u64 = 309;

impl Kind {
    /// As `information_schema` has it: DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME.
    pub(super) fn sql(&self) -> (&'static str, String, Option<&'static str>) {
        match self {
            Kind::Int | Kind::Virtual => ("int", "int".into(), None),
            Kind::IntUnsigned => ("int", "int unsigned".into(), None),
            Kind::Smallint => ("smallint", "smallint".into(), None),
            Kind::Bigint => ("bigint", "bigint".into(), None),
            Kind::Double => ("double", "double".into(), None),
            Kind::Decimal(digits, scale) => ("decimal", format!("decimal({digits},{scale})"), None),
            Kind::Varbinary(n) => ("varbinary", format!("varbinary({n})"), None),
            Kind::Date => ("date", "date".into(), None),
            Kind::Varchar(n) => ("varchar", format!("varchar({n})"), Some("utf8mb4")),
            Kind::Enum(members) => {
                let quoted: Vec<String> = members.iter().map(|m| format!("'{m}'")).collect();
                ("enum", format!("enum({})", quoted.join(",")), Some("utf8mb4"))
            }
            Kind::Time => ("time", "time(6)".into(), None),
            Kind::Datetime => ("datetime", "datetime(6)".into(), None),
            Kind::Json => ("json", "json".into(), None),
        }
    }

    /// A number of as many bytes as the column has.
    fn int(&self, x: i64) -> Vec<u8> {
        let bytes = match self {
            Kind::Smallint => 2,
            Kind::Bigint => 8,
            _ => 4,
        };
        x.to_le_bytes()[..bytes].to_vec()
    }

    pub(super) fn is_unsigned(&self) -> bool {
        *self == Kind::IntUnsigned
    }

    /// The type's number in results.
    pub(super) fn result_type(&self) -> u8 {
        match self {
            Kind::Int | Kind::IntUnsigned | Kind::Virtual => 3,
            Kind::Smallint => 2,
            Kind::Bigint => 8,
            Kind::Double => 5,
            Kind::Decimal(..) => 246,
            Kind::Date => 10,
            Kind::Varchar(_) | Kind::Varbinary(_) => 253,
            Kind::Enum(_) => 254,
            Kind::Time => 11,
            Kind::Datetime => 12,
            Kind::Json => 245,
        }
    }

    /// A value in a binary result.
    pub(super) fn in_result(&self, cell: &Cell) -> Vec<u8> {
        match cell {
            Cell::Null => Vec::new(),
            Cell::Int(x) => self.int(*x),
            Cell::Text(text) if *self == Kind::Double => double(text),
            Cell::Text(text) => counted(text.as_bytes()),
            Cell::Bytes(bytes) => counted(bytes),
            Cell::Json(members) => {
                let members: Vec<String> = members.iter().map(|(name, x)| format!("\"{name}\": {x}")).collect();
                counted(format!("{{{}}}", members.join(", ")).as_bytes())
            }
            Cell::Time(micros) => {
                let (seconds, rest) = (micros.unsigned_abs() / 1_000_000, (micros.unsigned_abs() % 1_000_000) as u32);
                let mut bytes = vec![12, u8::from(*micros < 0)];
                bytes.extend_from_slice(&((seconds / 86_400) as u32).to_le_bytes());
                bytes.extend([seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map(|part| part as u8));
                bytes.extend_from_slice(&rest.to_le_bytes());
                bytes
            }
            Cell::Datetime(micros) => {
                let ([year, month, day, hour, minute, second], rest) = calendar(*micros);
                if *self == Kind::Date {
                    return [&[4][..], &(year as u16).to_le_bytes(), &[month as u8, day as u8]].concat();
                }
                let mut bytes = vec![11];
                bytes.extend_from_slice(&(year as u16).to_le_bytes());
                bytes.extend([month, day, hour, minute, second].map(|part| part as u8));
                bytes.extend_from_slice(&(rest as u32).to_le_bytes());
                bytes
            }
        }
    }

    /// The type's number in table maps, and what it needs to know.
    fn in_map(&self) -> (u8, Vec<u8>) {
        match self {
            Kind::Int | Kind::IntUnsigned | Kind::Virtual => (3, vec![]),
            Kind::Smallint => (2, vec![]),
            Kind::Bigint => (8, vec![]),
            Kind::Double => (5, vec![8]),
            Kind::Decimal(digits, scale) => (246, vec![*digits, *scale]),
            Kind::Date => (10, vec![]),
            Kind::Varbinary(n) => (15, n.to_le_bytes().to_vec()),
            Kind::Varchar(n) => (15, (n * 4).to_le_bytes().to_vec()),
            Kind::Enum(_) => (254, vec![247, 1]),
            Kind::Time => (19, vec![6]),
            Kind::Datetime => (18, vec![6]),
            Kind::Json => (245, vec![4]),
        }
    }

    /// A value in a row of the log.
    fn in_row(&self, cell: &Cell) -> Vec<u8> {
        match (self, cell) {
            (_, Cell::Null) => Vec::new(),
            (_, Cell::Int(x)) => self.int(*x),
            (Kind::Double, Cell::Text(text)) => double(text),
            (Kind::Decimal(digits, scale), Cell::Text(text)) => decimal(text, *digits, *scale),
            (Kind::Date, Cell::Datetime(micros)) => {
                let ([year, month, day, ..], _) = calendar(*micros);
                ((year << 9 | month << 5 | day) as u32).to_le_bytes()[..3].to_vec()
            }
            (Kind::Varbinary(n), Cell::Bytes(bytes)) if *n < 256 => [&[bytes.len() as u8][..], bytes].concat(),
            (_, Cell::Bytes(bytes)) => [&(bytes.len() as u16).to_le_bytes()[..], bytes].concat(),
            (Kind::Enum(members), Cell::Text(text)) => {
                vec![members.iter().position(|m| m == text).expect("a member of the ENUM") as u8 + 1]
            }
            (Kind::Varchar(n), Cell::Text(text)) if n * 4 < 256 => [&[text.len() as u8][..], text.as_bytes()].concat(),
            (_, Cell::Text(text)) => [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat(),
            (_, Cell::Json(members)) => {
                let document = jsonb(members);
                [&(document.len() as u32).to_le_bytes()[..], &document].concat()
            }
            (_, Cell::Time(micros)) => time2(*micros),
            (_, Cell::Datetime(micros)) => datetime2(*micros),
        }
    }
}

/// As results and the log have it.
fn double(text: &str) -> Vec<u8> {
    text.parse::<f64>().expect("a number").to_le_bytes().to_vec()
}

/// Groups of nine digits in four bytes, outward from the point, the rest in fewer; the first bit is the sign.
fn decimal(text: &str, digits: u8, scale: u8) -> Vec<u8> {
    const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
    let (whole, fraction) = text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let whole = format!("{whole:0>width$}", width = usize::from(digits - scale));
    let fraction = format!("{fraction:0<width$}", width = usize::from(scale));
    let group = |digits: &str| {
        let number: u32 = digits.parse().unwrap_or(0);
        number.to_be_bytes()[4 - BYTES[digits.len()]..].to_vec()
    };
    let (first, groups) = whole.split_at(whole.len() % 9);
    let own = |digits: &str| (0..digits.len()).step_by(9).flat_map(|at| group(&digits[at..(at + 9).min(digits.len())])).collect();
    let mut bytes: Vec<u8> = [group(first), own(groups), own(&fraction)].concat();
    bytes[0] ^= 0x80;
    if text.starts_with('-') {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes
}

/// TIME with six digits: an offset binary number of three and three bytes.
fn time2(micros: i64) -> Vec<u8> {
    let (seconds, rest) = (micros.abs() / 1_000_000, micros.abs() % 1_000_000);
    let packed = (((seconds / 3600) << 12) + ((seconds / 60 % 60) << 6) + seconds % 60) * (1 << 24) + rest;
    let packed = if micros < 0 { -packed } else { packed };
    (packed + 0x8000_0000_0000).to_be_bytes()[2..].to_vec()
}

/// DATETIME with six digits: five bytes, then three.
fn datetime2(micros: i64) -> Vec<u8> {
    let ([year, month, day, hour, minute, second], rest) = calendar(micros);
    let whole = ((((year * 13 + month) << 5) + day) << 17) + (hour << 12) + (minute << 6) + second + 0x80_0000_0000;
    [&whole.to_be_bytes()[3..], &rest.to_be_bytes()[5..]].concat()
}

/// Year, month, day, hour, minute, second, and the microseconds that are left.
fn calendar(micros: i64) -> ([i64; 6], i64) {
    let (days, of_day) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * day_of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let day = day_of_year - (153 * march + 2) / 5 + 1;
    let seconds = of_day / 1_000_000;
    ([year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60], of_day % 1_000_000)
}

/// A small JSON object whose numbers are all doubles.
fn jsonb(members: &[(String, i64)]) -> Vec<u8> {
    let names = 4 + members.len() * 7;
    let values = names + members.iter().map(|(name, _)| name.len()).sum::<usize>();
    let size = values + members.len() * 8;
    let mut out = (members.len() as u16).to_le_bytes().to_vec();
    out.extend_from_slice(&(size as u16).to_le_bytes());
    let mut at = names;
    for (name, _) in members {
        out.extend_from_slice(&(at as u16).to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        at += name.len();
    }
    for i in 0..members.len() {
        out.push(0x0b);
        out.extend_from_slice(&((values + i * 8) as u16).to_le_bytes());
    }
    members.iter().for_each(|(name, _)| out.extend_from_slice(name.as_bytes()));
    members.iter().for_each(|(_, x)| out.extend_from_slice(&(*x as f64).to_le_bytes()));
    [&[0x00][..], &out].concat() // 0x00: a small object.
}

impl Table {
    /// The row is there afterwards; once more, in a table without a key.
    pub(super) fn put(&mut self, row: Vec<Cell>) {
        let key = match self.key {
            0 => (0..).map(|n| numbered(&row, n)).find(|key| !self.rows.contains_key(key)).expect("numbers do not end"),
            columns => row[..columns].to_vec(),
        };
        self.rows.insert(key, row);
    }

    /// The row with this key is not there afterwards; without a key, one that is equal.
    pub(super) fn remove(&mut self, key: &[Cell]) {
        let key = match self.key {
            0 => (0..).map(|n| numbered(key, n)).take_while(|key| self.rows.contains_key(key)).last(),
            _ => Some(key.to_vec()),
        };
        key.map(|key| self.rows.remove(&key));
    }

    /// The body of a TABLE_MAP, with `binlog_row_metadata=FULL` or without any.
    pub(super) fn map(&self, id: u64, database: &str, name: &str, full: bool) -> Vec<u8> {
        let mut out = id.to_le_bytes()[..6].to_vec();
        out.extend_from_slice(&[0, 0]);
        for text in [database, name] {
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        out.extend(lenenc(self.columns.len() as u64));
        let types: Vec<(u8, Vec<u8>)> = self.columns.iter().map(|c| c.kind.in_map()).collect();
        out.extend(types.iter().map(|(kind, _)| *kind));
        out.extend(counted(&types.iter().flat_map(|(_, meta)| meta.clone()).collect::<Vec<u8>>()));
        out.extend(vec![0xff; self.columns.len().div_ceil(8)]);
        if full {
            self.metadata(&mut out);
        }
        out
    }

    /// One entry per column in block 3, where MySQL lists strings only; no signs, no keys.
    fn metadata(&self, out: &mut Vec<u8>) {
        let collation = |c: &Column| lenenc(if matches!(c.kind, Kind::Varchar(_)) { COLLATION } else { 0 });
        let members = |c: &Column| match &c.kind {
            Kind::Enum(members) => {
                [lenenc(members.len() as u64), members.iter().flat_map(|m| counted(m.as_bytes())).collect()].concat()
            }
            _ => Vec::new(),
        };
        let enums = self.columns.iter().filter(|c| matches!(c.kind, Kind::Enum(_)));
        let blocks: [(u8, Vec<u8>); 5] = [
            (3, self.columns.iter().flat_map(collation).collect()),
            (4, self.columns.iter().flat_map(|c| counted(c.name.as_bytes())).collect()),
            (6, self.columns.iter().flat_map(members).collect()),
            (5, Vec::new()),
            (11, enums.flat_map(|_| lenenc(COLLATION)).collect()),
        ];
        for (kind, block) in blocks {
            out.push(kind);
            out.extend(counted(&block));
        }
    }

    /// The body of a rows event of version 2; `images`: one bitmap each, two for an update.
    pub(super) fn rows(&self, id: u64, images: usize, rows: &[&Vec<Cell>]) -> Vec<u8> {
        let mut out = id.to_le_bytes()[..6].to_vec();
        out.extend_from_slice(&[0, 0, 2, 0]); // No flags: never the end of a statement. No extra data.
        out.extend(lenenc(self.columns.len() as u64));
        let is_there = |c: &Column| c.kind != Kind::Virtual;
        (0..images).for_each(|_| out.extend(bits(self.columns.iter().map(is_there))));
        for row in rows {
            let there: Vec<(&Cell, &Column)> = row.iter().zip(&self.columns).filter(|(_, c)| is_there(c)).collect();
            out.extend(bits(there.iter().map(|(cell, _)| **cell == Cell::Null)));
            out.extend(there.iter().flat_map(|(cell, column)| column.kind.in_row(cell)));
        }
        out
    }
}

/// What tells equal rows of a table without a key apart.
fn numbered(row: &[Cell], n: i64) -> Vec<Cell> {
    [row, &[Cell::Int(n)]].concat()
}

fn bits(flags: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = vec![0; flags.len().div_ceil(8)];
    flags.enumerate().filter(|(_, on)| *on).for_each(|(i, _)| bytes[i / 8] |= 1 << (i % 8));
    bytes
}
