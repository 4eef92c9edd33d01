//! What a firing looks like outside: a CloudEvents 1.0 envelope in structured JSON, rendered once and sent with the same bytes every time.

use serde_json::{Map, Value as Json};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::Firing;

use crate::json;

/// The structured-mode envelope. `txid` and `version` are extension attributes: the transaction's origin, and the place of this
/// firing in its key's order (2k−1).
pub(crate) fn cloud_event(firing: &Firing<'_>, source_prefix: &str) -> Json {
    let mut event = Map::new();
    let mut put = |name: &str, value: Json| event.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    put("id", firing.id.into());
    put("source", source(firing.table, source_prefix).into());
    put("type", firing.event.into());
    put("subject", key_text(firing).into());
    put("time", time(firing.at).into());
    put("datacontenttype", "application/json".into());
    put("txid", firing.origin.into());
    put("version", firing.version.into());
    put("data", json::to_json(firing.payload));
    Json::Object(event)
}

/// `shop.orders` behind the prefix as a path: `/shop/orders`. Bytes that a path segment may not hold are percent-encoded.
pub(crate) fn source(table: &str, prefix: &str) -> String {
    let mut out = prefix.trim_end_matches('/').to_owned();
    let (database, table) = split_table(table);
    for segment in database.into_iter().chain([table]) {
        out.push('/');
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => out.push(char::from(byte)),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
    }
    out
}

/// `db.table` in two; a document type has no database.
pub(crate) fn split_table(table: &str) -> (Option<&str>, &str) {
    match table.split_once('.') {
        Some((database, table)) => (Some(database), table),
        None => (None, table),
    }
}

/// The key as text: one column as itself, several as a JSON array in key order.
pub(crate) fn key_text(firing: &Firing<'_>) -> String {
    let texts = |value: &Value| match json::to_json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    };
    match firing.key {
        [(_, only)] => texts(only),
        several => Json::Array(several.iter().map(|(_, value)| json::to_json(value)).collect()).to_string(),
    }
}

/// RFC 3339 in UTC, with as many decimals as it needs.
pub(crate) fn time(at: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(at) => at.to_string(),
        Err(_) => json::to_json(&Value::Timestamp(at)).to_string(),
    }
}
