//! Types as text: `decimal(10,2)`, `list(int)`, and the names that SQL gives them.

use std::sync::Arc;

use super::{Dtype, TensorType, Type};
use crate::problem::{Problem, did_you_mean};

/// Every name that stands for a type, for "did you mean".
const NAMES: [&str; 57] = [
    "dyn",
    "json",
    "null",
    "bool",
    "boolean",
    "int",
    "integer",
    "tinyint",
    "smallint",
    "mediumint",
    "bigint",
    "year",
    "uint",
    "bit",
    "serial",
    "double",
    "float",
    "real",
    "decimal",
    "numeric",
    "dec",
    "fixed",
    "text",
    "string",
    "char",
    "varchar",
    "nchar",
    "nvarchar",
    "tinytext",
    "mediumtext",
    "longtext",
    "enum",
    "set",
    "uuid",
    "inet4",
    "inet6",
    "bytes",
    "binary",
    "varbinary",
    "blob",
    "tinyblob",
    "mediumblob",
    "longblob",
    "timestamp",
    "datetime",
    "date",
    "duration",
    "time",
    "list",
    "map",
    "tensor",
    "long",
    "int64",
    "uint64",
    "float64",
    "any",
    "interval",
];

impl Type {
    /// Reads a type: the names that types print as, and SQL's.
    ///
    /// `decimal` alone is SQL's `decimal(10,0)`. `unsigned` behind an integer makes it a uint. Lengths (`varchar(20)`) are read and
    /// mean nothing. SQL's `date` is a timestamp at midnight UTC, `time` a duration, `bit` a uint, `json` dynamic, `tinyint(1)` an int.
    ///
    /// # Errors
    /// E0229 for what is not a type, with the nearest name.
    pub fn parse(text: &str) -> Result<Type, Problem> {
        parse(text).map_err(|reason| {
            let problem = Problem::new(229, reason);
            let word: String = text.trim().chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            match did_you_mean(&word, NAMES).first() {
                Some(near) if !NAMES.contains(&&*word.to_ascii_lowercase()) => problem.help(format!("did you mean `{near}`?")),
                _ => problem.help("types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn"),
            }
        })
    }
}

fn parse(text: &str) -> Result<Type, String> {
    let lower = text.trim().to_ascii_lowercase();
    let unknown = || format!("unknown type `{}`", text.trim());
    if let Some(integer) = lower.strip_suffix(" unsigned zerofill").or_else(|| lower.strip_suffix(" unsigned")) {
        return match parse(integer)? {
            Type::Int => Ok(Type::Uint),
            other @ (Type::Double | Type::Decimal { .. } | Type::Uint) => Ok(other),
            other => Err(format!("{other} cannot be unsigned")),
        };
    }
    let (name, arguments) = match lower.split_once('(') {
        None => (&*lower, None),
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
    };
    let ty = match (name, arguments) {
        ("list", Some(item)) => return Ok(Type::List(Arc::new(parse(item)?))),
        ("list", None) => return Ok(Type::List(Arc::new(Type::Dyn))),
        ("map", Some(parts)) => {
            let [key, value] = split(parts)[..] else {
                return Err("map takes the types of key and value: map(text, int)".into());
            };
            return Ok(Type::Map(Arc::new(parse(key)?), Arc::new(parse(value)?)));
        }
        ("map", None) => return Ok(Type::Map(Arc::new(Type::Dyn), Arc::new(Type::Dyn))),
        ("tensor", Some(parts)) => return tensor(parts),
        ("decimal" | "numeric" | "dec" | "fixed", digits) => return decimal(digits),
        ("dyn" | "json" | "any", _) => Type::Dyn,
        ("null", None) => Type::Null,
        ("bool" | "boolean", _) => Type::Bool,
        ("int" | "integer" | "tinyint" | "smallint" | "mediumint" | "bigint" | "year" | "long" | "int64", _) => Type::Int,
        ("uint" | "bit" | "serial" | "uint64", _) => Type::Uint,
        ("double" | "float" | "real" | "double precision" | "float64", _) => Type::Double,
        ("text" | "string" | "char" | "varchar" | "nchar" | "nvarchar" | "tinytext" | "mediumtext" | "longtext", _) => Type::Text,
        ("enum" | "set" | "uuid" | "inet4" | "inet6", _) => Type::Text,
        ("bytes" | "binary" | "varbinary" | "blob" | "tinyblob" | "mediumblob" | "longblob", _) => Type::Bytes,
        ("timestamp" | "datetime" | "date", _) => Type::Timestamp,
        ("duration" | "time" | "interval", _) => Type::Duration,
        _ => return Err(unknown()),
    };
    match arguments {
        // A length, a display width or the members of an enum.
        Some(inner) if inner.is_empty() || (!matches!(name, "enum" | "set") && inner.parse::<u32>().is_err()) => Err(unknown()),
        _ => Ok(ty),
    }
}

/// The parts between commas that stand in no bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn decimal(digits: Option<&str>) -> Result<Type, String> {
    let Some(digits) = digits else { return Ok(Type::Decimal { precision: 10, scale: 0 }) };
    let refuse = || format!("decimal({digits}) must be decimal(digits, digits behind the point) with at most 76 of each");
    let numbers: Vec<u8> = split(digits).iter().map(|n| n.trim().parse()).collect::<Result<_, _>>().map_err(|_| refuse())?;
    let (precision, scale) = match numbers[..] {
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => return Err(refuse()),
    };
    if precision == 0 || precision > 76 || scale > precision { Err(refuse()) } else { Ok(Type::Decimal { precision, scale }) }
}

/// `tensor(f64, [2, 3])`
fn tensor(parts: &str) -> Result<Type, String> {
    let refuse = || format!("tensor({parts}) must be tensor(f64, [2, 3])");
    let (dtype, shape) = parts.split_once(',').ok_or_else(refuse)?;
    let dtype = match dtype.trim() {
        "f64" => Dtype::F64,
        "f32" => Dtype::F32,
        "i64" => Dtype::I64,
        _ => return Err(refuse()),
    };
    let lengths = shape.trim().strip_prefix('[').and_then(|s| s.strip_suffix(']')).ok_or_else(refuse)?;
    let lengths = lengths.split(',').map(str::trim).filter(|n| !n.is_empty());
    let shape = lengths.map(|n| n.parse().map_err(|_| refuse())).collect::<Result<_, _>>()?;
    Ok(Type::Tensor(TensorType { dtype, shape }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_by_the_names_they_print_and_by_sql_names() {
        for (text, printed) in [
            ("int", "int"),
            ("BIGINT(20) UNSIGNED", "uint"),
            ("decimal(10,2)", "decimal(10,2)"),
            ("numeric( 65 , 30 )", "decimal(65,30)"),
            ("decimal", "decimal(10,0)"),
            ("varchar(255)", "text"),
            ("enum('a','b')", "text"),
            ("datetime(6)", "timestamp"),
            ("time", "duration"),
            ("json", "dyn"),
            ("double precision", "double"),
            ("list(list(decimal(4,1)))", "list(list(decimal(4,1)))"),
            ("map(text, list(map(int, bool)))", "map(text, list(map(int, bool)))"),
            ("tensor(f64, [2, 3])", "tensor(f64, [2, 3])"),
            ("tensor(f32, [])", "tensor(f32, [])"),
            (" timestamp ", "timestamp"),
        ] {
            let ty = Type::parse(text).unwrap();
            assert_eq!(ty.to_string(), printed, "{text}");
            assert_eq!(Type::parse(&ty.to_string()).unwrap(), ty, "{text} printed and read again");
        }
    }

    #[test]
    fn what_is_not_a_type_is_refused_with_the_cure() {
        let told: Vec<String> =
            ["intt", "decimal(80,2)", "decimal(4,5)", "list(nope)", "int(x)", "text unsigned", "map(int)", ""]
                .iter()
                .map(|text| {
                    let problem = Type::parse(text).unwrap_err();
                    format!("{problem} | {}", problem.help.clone().unwrap_or_default())
                })
                .collect();
        let general =
            "types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn";
        assert_eq!(
            told,
            [
                "E0229: unknown type `intt` | did you mean `int`?".to_owned(),
                format!(
                    "E0229: decimal(80,2) must be decimal(digits, digits behind the point) with at most 76 of each | {general}"
                ),
                format!(
                    "E0229: decimal(4,5) must be decimal(digits, digits behind the point) with at most 76 of each | {general}"
                ),
                format!("E0229: unknown type `nope` | {general}"),
                format!("E0229: unknown type `int(x)` | {general}"),
                format!("E0229: text cannot be unsigned | {general}"),
                format!("E0229: map takes the types of key and value: map(text, int) | {general}"),
                format!("E0229: unknown type `` | {general}"),
            ]
        );
    }
}
