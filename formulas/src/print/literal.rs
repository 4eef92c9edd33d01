//! Constants as text.

use std::fmt::{self, Display, Formatter, Write};

use super::separated;
use crate::time;
use crate::value::Value;

/// A constant as the shortest expression that gives it.
pub(super) struct Literal<'a>(pub &'a Value);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(x) => write!(f, "{x}"),
            Value::Int(x) => write!(f, "{x}"),
            Value::Uint(x) => write!(f, "{x}u"),
            Value::Double(x) => double(f, *x),
            Value::Decimal(x) => write!(f, "decimal('{x}')"),
            Value::Text(x) => text(f, x),
            Value::Bytes(x) => bytes(f, x),
            Value::Timestamp(x) => write!(f, "timestamp('{}')", time::format_timestamp(*x)),
            Value::Duration(x) => write!(f, "duration('{}')", time::format_duration(*x)),
            Value::List(items) => {
                f.write_char('[')?;
                separated(f, items, |f, item| write!(f, "{}", Literal(item)))?;
                f.write_char(']')
            }
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().collect();
                f.write_char('{')?;
                separated(f, &entries, |f, (k, v)| write!(f, "{}: {}", Literal(k), Literal(v)))?;
                f.write_char('}')
            }
            Value::Tensor(x) => write!(f, "tensor({})", x.array()),
        }
    }
}

/// `{:?}` of a double is its shortest round trip, always with `.` or `e`.
fn double(f: &mut Formatter<'_>, x: f64) -> fmt::Result {
    if x.is_nan() {
        f.write_str("double('NaN')")
    } else if x.is_infinite() {
        write!(f, "double('{}Infinity')", if x < 0.0 { "-" } else { "" })
    } else {
        write!(f, "{x:?}")
    }
}

fn text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\'' => f.write_str("\\'"),
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c)),
            c => f.write_char(c),
        }?;
    }
    f.write_char('\'')
}

fn bytes(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("b'")?;
    for b in bytes {
        match b {
            b'\'' | b'\\' => write!(f, "\\{}", char::from(*b)),
            b' '..=b'~' => f.write_char(char::from(*b)),
            b => write!(f, "\\x{b:02x}"),
        }?;
    }
    f.write_char('\'')
}
