//! Digests: the triggers of one action that fire within a while, delivered as one.
//!
//! The body is the JSON list of the bodies that they would have had alone, in the order in which they fired; of CloudEvents that is the
//! batch of CloudEvents 1.0 ("JSON Event Format", section 4).

use serde_json::Value;
use thalweg_graph::ports::Digest;

use crate::settings::{Reader, parse_duration, wrong};

/// Triggers in a digest, unless the settings say otherwise.
const MAX: u64 = 100;
/// A firing looks at so many rows of the store at most.
const MAX_MAX: u64 = 1_000;
/// As `max_body`, unless the settings say otherwise.
const BYTES: usize = 1 << 20;

/// Reads `digest = { every = "1h", max = 100 }`.
pub(crate) fn read(kind: &str, reader: &mut Reader<'_>) -> Option<Digest> {
    let written = reader.raw("digest")?;
    let refused = if kind != "webhook" {
        Some("only an action of type `webhook` sends several triggers as one")
    } else if reader.has("after") {
        Some("this does not go with `after`: a digest waits for no other action of its triggers")
    } else if reader.has("preset") {
        Some("this does not go with `preset`, whose receivers take one message at a time; leave `preset` out")
    } else {
        None
    };
    if let Some(why) = refused {
        reader.refuse("digest", wrong("digest", why));
        return None;
    }
    let Value::Object(table) = written else {
        reader.refuse("digest", wrong("digest", "expected a table like { every = \"1h\", max = 100 }"));
        return None;
    };
    for key in table.keys().filter(|key| !["every", "max"].contains(&key.as_str())) {
        reader.refuse("digest", wrong("digest", &format!("it has `every` and `max`, and no `{key}`")));
    }
    let every = table.get("every").and_then(Value::as_str).and_then(parse_duration).filter(|every| !every.is_zero());
    let every_us = every.and_then(|every| i64::try_from(every.as_micros()).ok());
    if every_us.is_none() {
        reader.refuse("digest", wrong("digest", "`every` is how long its first trigger waits: every = \"1h\""));
    }
    let max = table.get("max").map_or(Some(MAX), Value::as_u64).filter(|max| (1..=MAX_MAX).contains(max));
    if max.is_none() {
        reader.refuse("digest", wrong("digest", &format!("`max` is a whole number from 1 to {MAX_MAX}")));
    }
    // Two brackets, and a comma for each but one.
    let max = max? as u32;
    let bytes = reader.size("max_body").unwrap_or(BYTES) as u64;
    Some(Digest { every_us: every_us?, max, bytes: bytes.saturating_sub(u64::from(max) + 1) })
}

/// One body of several.
pub fn together<'a>(bodies: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut all = vec![b'['];
    for (at, body) in bodies.into_iter().enumerate() {
        if at > 0 {
            all.push(b',');
        }
        all.extend(body);
    }
    all.push(b']');
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(kind: &str, settings: Value) -> Result<Option<Digest>, String> {
        let settings = settings.as_object().unwrap().clone();
        let mut reader = Reader::new(kind, &settings);
        let digest = read(kind, &mut reader);
        let told = |problems: Vec<crate::settings::SettingProblem>| {
            problems.iter().map(|p| format!("{}: {}", p.key, p.problem)).collect::<Vec<_>>().join("\n")
        };
        reader.problems().map(|()| digest).map_err(told)
    }

    #[test]
    fn settings_are_read_or_refused() {
        assert_eq!(digest("log", json!({})), Ok(None));
        let hourly = Digest { every_us: 3_600_000_000, max: 100, bytes: (1 << 20) - 101 };
        assert_eq!(digest("webhook", json!({"digest": {"every": "1h"}})), Ok(Some(hourly)));
        let small = Digest { every_us: 1_500_000, max: 7, bytes: 992 };
        assert_eq!(digest("webhook", json!({"digest": {"every": "1.5s", "max": 7}, "max_body": 1000})), Ok(Some(small)));
        for (kind, settings, why) in [
            ("log", json!({"digest": {"every": "1h"}}), "only an action of type `webhook` sends several triggers as one"),
            (
                "webhook",
                json!({"digest": {"every": "1h"}, "after": "previous"}),
                "this does not go with `after`: a digest waits for no other action of its triggers",
            ),
            (
                "webhook",
                json!({"digest": {"every": "1h"}, "preset": "slack"}),
                "this does not go with `preset`, whose receivers take one message at a time; leave `preset` out",
            ),
            ("webhook", json!({"digest": "1h"}), "expected a table like { every = \"1h\", max = 100 }"),
            ("webhook", json!({"digest": {"max": 3}}), "`every` is how long its first trigger waits: every = \"1h\""),
            ("webhook", json!({"digest": {"every": "1h", "max": 0}}), "`max` is a whole number from 1 to 1000"),
            ("webhook", json!({"digest": {"every": "1h", "by": "region"}}), "it has `every` and `max`, and no `by`"),
        ] {
            assert_eq!(digest(kind, settings), Err(format!("digest: E0504: setting `digest`: {why}")));
        }
    }

    #[test]
    fn bodies_are_a_list() {
        assert_eq!(together([&b"{}"[..], b"1"]), b"[{},1]");
        assert_eq!(together([]), b"[]");
    }
}
