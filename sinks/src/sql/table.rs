//! The target table as the server's catalogue describes it, and the statements that are made from it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};
use serde_json::{Map, Value as Json};

use super::fault::Fault;
use super::row::EVENT_COLUMNS;

const LEDGER: &str = "thalweg_applied";

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    database: String,
    name: String,
    columns: Vec<Column>,
}

/// A column.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    is_primary: bool,
    is_generated: bool,
}

/// What matters of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text of at most so many characters.
    Characters(u64),
    /// Text or bytes of at most so many bytes.
    Bytes(u64),
    /// A date, with or without time, with so many decimals of a second; `None`: a date only.
    Moment(Option<u32>),
    /// Anything else: the server judges.
    Other,
}

impl Table {
    /// Asks the catalogue.
    pub(super) async fn load(conn: &mut Conn, database: &str, name: &str) -> Result<Self, Fault> {
        type Described = (String, String, Option<u64>, Option<u32>, String, String);
        let described: Vec<Described> = conn
            .exec(
                "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION, COLUMN_KEY, EXTRA \
                 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
                (database, name),
            )
            .await
            .map_err(|why| Fault::of(&why))?;
        if described.is_empty() {
            let create = create_statement(database, name);
            return Err(Fault::permanent(format!(
                "E0520: there is no table {}; add create = true to the action, or run: {create}",
                qualified(database, name)
            )));
        }
        let columns = described.into_iter().map(|(name, kind, length, decimals, key, extra)| Column {
            name,
            kind: kind_of(&kind.to_ascii_lowercase(), length, decimals),
            is_primary: key == "PRI",
            is_generated: extra.to_ascii_uppercase().contains("GENERATED"),
        });
        Ok(Self { database: database.to_owned(), name: name.to_owned(), columns: columns.collect() })
    }

    /// Whether the table's primary key is `id` and the row carries the effect id there.
    pub(super) fn is_keyed_by_id(&self, row_has_id: bool) -> bool {
        let mut primary = self.columns.iter().filter(|column| column.is_primary);
        let only = (primary.next(), primary.next());
        row_has_id && matches!(only, (Some(column), None) if column.name.eq_ignore_ascii_case("id"))
    }

    /// The columns to write, and their values. Of the usual row those that the table has; of a custom row (`whole`) all.
    pub(super) fn assign(&self, row: &Map<String, Json>, whole: bool) -> Result<(Vec<&str>, Params), Fault> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, value) in row {
            let found = self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name) && !column.is_generated);
            match found {
                Some(column) => {
                    names.push(column.name.as_str());
                    values.push(column.convert(value)?);
                }
                None if whole => {
                    return Err(Fault::catalogue(format!("E0521: {} has no column `{name}`; {}", self.shown(), self.list())));
                }
                None => {}
            }
        }
        if names.is_empty() {
            let usual = EVENT_COLUMNS.join(", ");
            return Err(Fault::catalogue(format!("E0521: {} has none of the columns {usual}; {}", self.shown(), self.list())));
        }
        Ok((names, Params::Positional(values)))
    }

    /// The insert of these columns.
    pub(super) fn insert_statement(&self, columns: &[&str]) -> String {
        let names: Vec<String> = columns.iter().map(|name| quote(name)).collect();
        let marks = vec!["?"; columns.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks})", self.shown(), names.join(", "))
    }

    /// Asks whether the row with an id is there.
    pub(super) fn find_statement(&self) -> String {
        format!("SELECT 1 FROM {} WHERE `id` = ?", self.shown())
    }

    /// Makes the ledger of effect ids.
    pub(super) fn ledger_statement(&self) -> String {
        let ledger = qualified(&self.database, LEDGER);
        format!("CREATE TABLE IF NOT EXISTS {ledger} (id VARCHAR(26) PRIMARY KEY, applied_at DATETIME(3) NOT NULL)")
    }

    /// Notes an effect id.
    pub(super) fn ledger_insert_statement(&self) -> String {
        format!("INSERT INTO {} (id, applied_at) VALUES (?, UTC_TIMESTAMP(3))", qualified(&self.database, LEDGER))
    }

    fn shown(&self) -> String {
        qualified(&self.database, &self.name)
    }

    fn list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        format!("its columns: {}", names.join(", "))
    }
}

impl Column {
    /// The value as the column takes it, measured before it is sent.
    fn convert(&self, value: &Json) -> Result<Value, Fault> {
        let text = match value {
            Json::Null => return Ok(Value::NULL),
            Json::Bool(flag) => return Ok(Value::Int(i64::from(*flag))),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) if self.kind == Kind::Other => return Ok(Value::Int(int)),
                (None, Some(uint)) if self.kind == Kind::Other => return Ok(Value::UInt(uint)),
                _ => number.to_string(),
            },
            Json::String(text) => match self.kind {
                Kind::Moment(decimals) => moment(text, decimals).unwrap_or_else(|| text.clone()),
                _ => text.clone(),
            },
            Json::Array(_) | Json::Object(_) => value.to_string(),
        };
        let (length, max, unit) = match self.kind {
            Kind::Characters(max) => (text.chars().count() as u64, max, "characters"),
            Kind::Bytes(max) => (text.len() as u64, max, "bytes"),
            Kind::Moment(_) | Kind::Other => return Ok(Value::Bytes(text.into_bytes())),
        };
        if length > max {
            return Err(Fault::catalogue(format!("E0522: column `{}` takes {max} {unit}, this value has {length}", self.name)));
        }
        Ok(Value::Bytes(text.into_bytes()))
    }
}

fn kind_of(data_type: &str, length: Option<u64>, decimals: Option<u32>) -> Kind {
    match (data_type, length) {
        ("char" | "varchar", Some(max)) => Kind::Characters(max),
        ("date", _) => Kind::Moment(None),
        ("datetime" | "timestamp", _) => Kind::Moment(Some(decimals.unwrap_or(0))),
        ("enum" | "set", _) | (_, None) => Kind::Other,
        (_, Some(max)) => Kind::Bytes(max),
    }
}

/// An RFC 3339 instant as SQL writes it, in UTC, cut to the column's decimals (servers differ: some cut, some round).
fn moment(text: &str, decimals: Option<u32>) -> Option<String> {
    let at: jiff::Timestamp = text.parse().ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let Some(decimals) = decimals else { return Some(at.date().to_string()) };
    let whole = format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second());
    match decimals.min(6) {
        0 => Some(whole),
        n => Some(format!("{whole}.{}", &format!("{:09}", at.subsec_nanosecond())[..n as usize])),
    }
}

/// Seed R's event table under a name of one's own.
pub(super) fn create_statement(database: &str, name: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (id VARCHAR(26) PRIMARY KEY, timestamp DATETIME(3) NOT NULL, event_type VARCHAR(50) NOT NULL, \
         source_db VARCHAR(50), source_table VARCHAR(50), subject_id VARCHAR(50), actor VARCHAR(100), summary TEXT, payload JSON, \
         INDEX idx_timestamp (timestamp), INDEX idx_event_type (event_type))",
        qualified(database, name)
    )
}

/// Whether a name can be one of a table or database.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && !name.contains('\0') && !name.ends_with(' ')
}

fn qualified(database: &str, name: &str) -> String {
    format!("{}.{}", quote(database), quote(name))
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind) -> Column {
        Column { name: "c".to_owned(), kind, is_primary: false, is_generated: false }
    }

    #[test]
    fn values_are_measured_in_the_columns_own_unit() {
        let fault = |kind, text: &str| column(kind).convert(&Json::from(text)).err().map(|fault| fault.into_error());
        assert_eq!(fault(Kind::Characters(3), "äöü"), None);
        assert_eq!(fault(Kind::Characters(3), "äöüß").unwrap(), "E0522: column `c` takes 3 characters, this value has 4");
        assert_eq!(fault(Kind::Bytes(5), "äöü").unwrap(), "E0522: column `c` takes 5 bytes, this value has 6");
        assert_eq!(fault(Kind::Other, "anything"), None);
    }

    #[test]
    fn instants_are_cut_to_what_the_column_keeps() {
        for (text, decimals, expected) in [
            ("2024-02-29T23:59:59.9999Z", Some(3), "2024-02-29 23:59:59.999"),
            ("2024-02-29T23:59:59.9999Z", Some(0), "2024-02-29 23:59:59"),
            ("2024-02-29T23:59:59Z", Some(6), "2024-02-29 23:59:59.000000"),
            ("2024-03-01T00:30:00+01:00", None, "2024-02-29"),
        ] {
            assert_eq!(moment(text, decimals).unwrap(), expected);
        }
        assert_eq!(moment("yesterday", Some(0)), None);
    }

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        let table = Table { database: "a`b".to_owned(), name: "x; DROP TABLE y".to_owned(), columns: Vec::new() };
        assert_eq!(table.insert_statement(&["c`", "d"]), "INSERT INTO `a``b`.`x; DROP TABLE y` (`c```, `d`) VALUES (?, ?)");
    }
}
