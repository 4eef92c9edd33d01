//! What a firing looks like outside: a CloudEvents 1.0 envelope in structured JSON, rendered once and sent with the same bytes every time.

use thalweg_formulas::{Value, json};
use thalweg_graph::ports::Firing;

use crate::body::Body;
use crate::known::known;
use crate::settings::Reader;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The envelope with the payload in it.
    CloudEvents,
    /// The payload.
    Raw,
    /// What the receiver wants to have.
    Own(Body),
}

impl Format {
    /// Reads `format` and `body`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Body::read(reader).map_or_else(|| Self::choice(reader), Self::Own)
    }

    /// Reads the same, `preset` and `text`.
    pub(crate) fn read_known(reader: &mut Reader<'_>) -> Self {
        Body::read_known(reader).map_or_else(|| Self::choice(reader), Self::Own)
    }

    fn choice(reader: &mut Reader<'_>) -> Self {
        if reader.choice("format", &["cloudevents", "raw"]) == "raw" { Self::Raw } else { Self::CloudEvents }
    }

    /// The bytes to send.
    pub(crate) fn render(&self, firing: &Firing<'_>, source_prefix: &str) -> Vec<u8> {
        match self {
            Self::CloudEvents => cloud_event(firing, source_prefix),
            Self::Raw => data(firing.payload),
            Self::Own(body) => body.render(&known(firing)),
        }
        .into_bytes()
    }
}

/// The structured-mode envelope. `txid` and `version` are extension attributes: the transaction's origin, and the place of this
/// firing in its key's order (2k−1); `acktoken` is another, where an acknowledgement is awaited.
pub(crate) fn cloud_event(firing: &Firing<'_>, source_prefix: &str) -> String {
    let mut event = String::from("{\"specversion\":\"1.0\"");
    let mut put = |name: &str, text: &str| {
        event.push_str(&format!(",\"{name}\":"));
        json::write_text(text, &mut event);
    };
    put("id", firing.id);
    put("source", &source(firing.table, source_prefix));
    put("type", firing.event);
    put("subject", &key_text(firing));
    put("time", &plain_text(&Value::Timestamp(firing.at)));
    put("datacontenttype", "application/json");
    put("txid", firing.origin);
    if let Some(token) = firing.ack_token {
        put("acktoken", token);
    }
    event.push_str(&format!(",\"version\":{},\"data\":", firing.version));
    event.push_str(&data(firing.payload));
    event.push('}');
    event
}

/// The payload: each of its fields in its own plain form. The rows of a reaction (`key`, `old`, `new`) are records too: each column plain.
pub(crate) fn data(payload: &Value) -> String {
    let mut out = String::new();
    let row = |name: &str| matches!(name, "key" | "old" | "new");
    let of_reaction = matches!(payload, Value::Map(fields) if fields.contains_key(&Value::text("op")));
    record(payload, &mut out, |name, value, out| {
        if of_reaction && row(name) {
            record(value, out, |_, value, out| json::write(value, out))
        } else {
            json::write(value, out)
        }
    });
    out
}

/// A map whose keys are names, each value as `each` writes it; another value plain.
fn record(value: &Value, out: &mut String, each: impl Fn(&str, &Value, &mut String)) {
    let Value::Map(fields) = value else { return json::write(value, out) };
    if !fields.keys().all(|name| matches!(name, Value::Text(_))) {
        return json::write(value, out);
    }
    out.push('{');
    for (i, (name, value)) in fields.iter().enumerate() {
        let name = plain_text(name);
        if i > 0 {
            out.push(',');
        }
        json::write_text(&name, out);
        out.push(':');
        each(&name, value, out);
    }
    out.push('}');
}

/// A value as text: a text as it is, another scalar as JSON writes it but without quotation marks, the rest as JSON.
pub(crate) fn plain_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => json::display(other).trim_matches('"').to_owned(),
    }
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
    if let [(_, only)] = firing.key {
        return plain_text(only);
    }
    let mut out = String::from("[");
    for (i, (_, value)) in firing.key.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        json::write(value, &mut out);
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_path_whatever_the_names_hold() {
        assert_eq!(source("shop.orders", ""), "/shop/orders");
        assert_eq!(source("Order", "urn:x/"), "urn:x/Order");
        assert_eq!(source("my db.a/b?ü", ""), "/my%20db/a%2Fb%3F%C3%BC");
    }

    #[test]
    fn an_empty_payload_is_an_empty_object() {
        assert_eq!(data(&Value::record::<&str>([])), "{}");
        assert_eq!(data(&Value::record([("b", Value::Int(1)), ("a\"", Value::Null)])), r#"{"a\"":null,"b":1}"#);
    }
}
