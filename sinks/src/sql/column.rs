//! A column of the target, and how a value goes into it: measured before it is sent, never cut.

use mysql_async::Value as Sql;
use serde_json::Value as Json;
use thalweg_formulas::{Duration, Value};

use super::fault::Fault;
use crate::envelope;

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_primary: bool,
    pub(super) is_generated: bool,
}

/// What matters of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text of at most so many characters.
    Characters(u64),
    /// Text or bytes of at most so many bytes.
    Bytes(u64),
    /// A date, with or without time, with so many decimals of a second; `None`: a date only.
    Moment(Option<u32>),
    /// A time of day, or a span of time.
    Time,
    /// A JSON document.
    Json,
    /// A decimal number of so many digits, so many of them behind the point.
    Decimal(u64, u64),
    /// A number of 24 bits, which equals no text that says it.
    Float,
    /// Anything else: the server judges.
    Other,
}

impl Kind {
    /// From the catalogue's `DATA_TYPE`, `CHARACTER_MAXIMUM_LENGTH`, `DATETIME_PRECISION`, and `NUMERIC_PRECISION` with `NUMERIC_SCALE`.
    pub(super) fn of(data_type: &str, length: Option<u64>, decimals: Option<u32>, digits: (Option<u64>, Option<u64>)) -> Self {
        match (data_type, length) {
            ("char" | "varchar", Some(max)) => Self::Characters(max),
            ("date", _) => Self::Moment(None),
            ("datetime" | "timestamp", _) => Self::Moment(Some(decimals.unwrap_or(0))),
            ("time", _) => Self::Time,
            ("json", _) => Self::Json,
            ("float", _) => Self::Float,
            ("decimal" | "numeric", _) => Self::Decimal(digits.0.unwrap_or(65), digits.1.unwrap_or(0)),
            ("enum" | "set", _) | (_, None) => Self::Other,
            (_, Some(max)) => Self::Bytes(max),
        }
    }

    fn takes_numbers(self) -> bool {
        matches!(self, Self::Other | Self::Float | Self::Decimal(..))
    }
}

impl Column {
    /// What a cell of a stored row binds to: NULL, booleans and integers as they are, everything else is text.
    pub(super) fn convert(&self, cell: &Json) -> Result<Sql, Fault> {
        self.bind(&match cell {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Value::Int(int),
                (None, Some(uint)) => Value::Uint(uint),
                (None, None) => Value::text(number.to_string()),
            },
            Json::String(text) => Value::text(text.as_str()),
            Json::Array(_) | Json::Object(_) => Value::text(cell.to_string()),
        })
    }

    /// What a value binds to.
    ///
    /// # Errors
    /// It is longer than the column.
    pub(super) fn bind(&self, value: &Value) -> Result<Sql, Fault> {
        let bytes = match value {
            Value::Null => return Ok(Sql::NULL),
            Value::Bool(flag) => return Ok(Sql::Int(i64::from(*flag))),
            Value::Int(int) if self.kind.takes_numbers() => return Ok(Sql::Int(*int)),
            Value::Uint(uint) if self.kind.takes_numbers() => return Ok(Sql::UInt(*uint)),
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Text(text) => self.text(text).into_bytes(),
            Value::Duration(span) if self.kind == Kind::Time => clock(*span).into_bytes(),
            Value::Map(_) => envelope::data(value).into_bytes(),
            other => self.text(&envelope::plain_text(other)).into_bytes(),
        };
        self.measure(&bytes)?;
        Ok(Sql::Bytes(bytes))
    }

    /// The text as the column's type writes it.
    fn text(&self, text: &str) -> String {
        match self.kind {
            Kind::Moment(decimals) => moment(text, decimals).unwrap_or_else(|| text.to_owned()),
            // A source may give a JSON document as text, or the text that a document is.
            Kind::Json if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() => Json::from(text).to_string(),
            _ => text.to_owned(),
        }
    }

    fn measure(&self, bytes: &[u8]) -> Result<(), Fault> {
        let (length, max, unit) = match self.kind {
            Kind::Characters(max) => (String::from_utf8_lossy(bytes).chars().count() as u64, max, "characters"),
            Kind::Bytes(max) => (bytes.len() as u64, max, "bytes"),
            Kind::Moment(_) | Kind::Time | Kind::Json | Kind::Float | Kind::Decimal(..) | Kind::Other => return Ok(()),
        };
        if length > max {
            return Err(Fault::catalogue(format!("E0522: column `{}` takes {max} {unit}, this value has {length}", self.name)));
        }
        Ok(())
    }
}

/// An RFC 3339 instant as SQL writes it, in UTC, cut to the column's decimals (servers differ: some cut, some round).
fn moment(text: &str, decimals: Option<u32>) -> Option<String> {
    // An instant of the last day of 9999 is no `jiff::Timestamp`.
    let at: jiff::civil::DateTime = match text.strip_suffix('Z') {
        Some(text) => text.parse().ok()?,
        None => text.parse::<jiff::Timestamp>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime(),
    };
    let Some(decimals) = decimals else { return Some(at.date().to_string()) };
    let whole = format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second());
    match decimals.min(6) {
        0 => Some(whole),
        n => Some(format!("{whole}.{}", &format!("{:09}", at.subsec_nanosecond())[..n as usize])),
    }
}

/// A span of time as SQL writes it: `-27:00:00.500000`.
fn clock(span: Duration) -> String {
    let (sign, micros) = (if span.0 < 0 { "-" } else { "" }, span.0.unsigned_abs());
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    format!("{sign}{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
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
    fn a_value_is_bound_as_its_column_takes_it() {
        let text = |text: &str| Sql::Bytes(text.as_bytes().to_vec());
        let span = |micros| Value::Duration(Duration(micros));
        for (kind, value, expected) in [
            (Kind::Other, Value::Uint(u64::MAX), Sql::UInt(u64::MAX)),
            (Kind::Characters(9), Value::Int(-7), text("-7")),
            (Kind::Decimal(9, 2), Value::Int(-7), Sql::Int(-7)),
            (Kind::Other, Value::double(0.1 + 0.2), text("0.30000000000000004")),
            (Kind::Bytes(9), Value::Bytes([0, 255].into()), Sql::Bytes(vec![0, 255])),
            (Kind::Time, span(-97_200_500_000), text("-27:00:00.500000")),
            (Kind::Time, span(0), text("00:00:00.000000")),
            (Kind::Characters(9), span(1_500_000), text("1.5s")),
            (Kind::Json, Value::text(r#"{"a": 1}"#), text(r#"{"a": 1}"#)),
            (Kind::Json, Value::text("plain"), text("\"plain\"")),
            (Kind::Json, Value::record([("a", Value::Int(1))]), text(r#"{"a":1}"#)),
            (Kind::Json, Value::list([Value::Int(1)]), text("[1]")),
        ] {
            assert_eq!(column(kind).bind(&value).unwrap(), expected, "{kind:?} {value:?}");
        }
    }

    #[test]
    fn instants_are_cut_to_what_the_column_keeps() {
        for (text, decimals, expected) in [
            ("2024-02-29T23:59:59.9999Z", Some(3), "2024-02-29 23:59:59.999"),
            ("2024-02-29T23:59:59.9999Z", Some(0), "2024-02-29 23:59:59"),
            ("2024-02-29T23:59:59Z", Some(6), "2024-02-29 23:59:59.000000"),
            ("2024-03-01T00:30:00+01:00", None, "2024-02-29"),
            ("9999-12-31T23:59:59.999999Z", Some(6), "9999-12-31 23:59:59.999999"),
            ("0000-01-01T00:00:00Z", None, "0000-01-01"),
        ] {
            assert_eq!(moment(text, decimals).unwrap(), expected);
        }
        assert_eq!(moment("yesterday", Some(0)), None);
    }
}
