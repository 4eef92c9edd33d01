//! Digests: the triggers of one action that fire within a while, delivered as one.
//!
//! The body is the JSON list of the bodies that they would have had alone, in the order in which they fired; of CloudEvents that is the
//! batch of CloudEvents 1.0 ("JSON Event Format", section 4).

use serde_json::{Map, Value};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::Digest;
use thalweg_graph::schedule::{Cron, Times};

use crate::settings::{Reader, parse_duration, wrong};

/// Triggers in a digest, unless the settings say otherwise.
const MAX: u64 = 100;
/// A firing looks at so many rows of the store at most.
const MAX_MAX: u64 = 1_000;
/// As `max_body`, unless the settings say otherwise.
const BYTES: usize = 1 << 20;

/// Actions whose receivers can take a list.
const KINDS: [&str; 3] = ["webhook", "shell", "handler"];

/// Whether an action of this kind can have a digest.
pub(crate) fn has(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// How the triggers of an action are gathered.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestPolicy {
    /// How many go together, and how long the first waits where no calendar says it.
    pub digest: Digest,
    /// The times at which they go.
    pub calendar: Option<Times>,
}

impl DigestPolicy {
    /// The digest of a trigger that fired at `fired_at`, whose window begins at `begins`: that is the same, unless its source tells no time.
    pub fn of(&self, fired_at: Timestamp, begins: Timestamp) -> Digest {
        let until = match &self.calendar {
            Some(times) => times.next_after(begins).map_or(begins.0, |at| at.0),
            None => begins.0.saturating_add(self.digest.every_us),
        };
        Digest { every_us: until.saturating_sub(fired_at.0), ..self.digest }
    }
}

/// Reads `digest = { every = "1h", max = 100 }`, or with `cron` and `zone` in place of `every`, and `by = "key"`.
pub(crate) fn read(kind: &str, reader: &mut Reader<'_>) -> Option<DigestPolicy> {
    let written = reader.raw("digest")?;
    let refused = if !has(kind) {
        Some("only actions of type `webhook`, `shell` and `handler` take several triggers as one")
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
    for key in table.keys().filter(|key| !["every", "cron", "zone", "by", "max"].contains(&key.as_str())) {
        reader
            .refuse("digest", wrong("digest", &format!("it has `every`, or `cron` and `zone`, `by` and `max`, and no `{key}`")));
    }
    let when = when(table).map_err(|why| reader.refuse("digest", wrong("digest", &why))).ok();
    let by_key = table.contains_key("by");
    if table.get("by").is_some_and(|by| by.as_str() != Some("key")) {
        reader.refuse("digest", wrong("digest", "`by` can be \"key\": one for each document; without it one is for all"));
    }
    let max = table.get("max").map_or(Some(MAX), Value::as_u64).filter(|max| (1..=MAX_MAX).contains(max));
    if max.is_none() {
        reader.refuse("digest", wrong("digest", &format!("`max` is a whole number from 1 to {MAX_MAX}")));
    }
    // Two brackets, and a comma for each but one.
    let max = max? as u32;
    let bytes = reader.size("max_body").unwrap_or(BYTES) as u64;
    let (every_us, calendar) = when?;
    let bytes = bytes.saturating_sub(u64::from(max) + 1);
    Some(DigestPolicy { digest: Digest { every_us, max, bytes, by_key }, calendar })
}

/// How long the first trigger waits, or the calendar by which they go.
fn when(table: &Map<String, Value>) -> Result<(i64, Option<Times>), String> {
    let text = |key: &str| table.get(key).map(|value| value.as_str().unwrap_or_default());
    match (text("every"), text("cron")) {
        (Some(every), None) if !table.contains_key("zone") => {
            let every = parse_duration(every).filter(|every| !every.is_zero());
            let every_us = every.and_then(|every| i64::try_from(every.as_micros()).ok());
            every_us.map(|every_us| (every_us, None)).ok_or_else(|| WHEN.to_owned())
        }
        (None, Some(pattern)) => {
            let zone = text("zone").unwrap_or("UTC");
            let cron = Cron::parse(pattern, zone).map_err(|why| format!("`{pattern}` in `{zone}`: {why}"))?;
            Ok((0, Some(Times::Cron(Box::new(cron)))))
        }
        _ => Err(WHEN.to_owned()),
    }
}

const WHEN: &str = "`every` is how long its first trigger waits, every = \"1h\", or `cron` says when it goes, cron = \"0 9 * * MON-FRI\" with a `zone`";

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

    fn digest(kind: &str, settings: Value) -> Result<Option<DigestPolicy>, String> {
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
        let of = |digest| Ok(Some(DigestPolicy { digest, calendar: None }));
        let hourly = Digest { every_us: 3_600_000_000, max: 100, bytes: (1 << 20) - 101, by_key: false };
        assert_eq!(digest("webhook", json!({"digest": {"every": "1h"}})), of(hourly));
        let small = Digest { every_us: 1_500_000, max: 7, bytes: 992, by_key: true };
        let settings = json!({"digest": {"every": "1.5s", "max": 7, "by": "key"}, "max_body": 1000});
        assert_eq!(digest("shell", settings), of(small));
        for (kind, settings, why) in [
            (
                "log",
                json!({"digest": {"every": "1h"}}),
                "only actions of type `webhook`, `shell` and `handler` take several triggers as one",
            ),
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
            ("webhook", json!({"digest": {"max": 3}}), WHEN),
            ("webhook", json!({"digest": {"every": "1h", "cron": "0 9 * * *"}}), WHEN),
            ("webhook", json!({"digest": {"every": "1h", "zone": "Europe/Berlin"}}), WHEN),
            ("webhook", json!({"digest": {"every": "soon"}}), WHEN),
            (
                "webhook",
                json!({"digest": {"cron": "0 9 * * *", "zone": "Mars"}}),
                "`0 9 * * *` in `Mars`: no time zone is called `Mars`",
            ),
            ("handler", json!({"digest": {"cron": "0 0 30 2 *"}}), "`0 0 30 2 *` in `UTC`: no time ever matches it"),
            ("webhook", json!({"digest": {"every": "1h", "max": 0}}), "`max` is a whole number from 1 to 1000"),
            (
                "webhook",
                json!({"digest": {"every": "1h", "by": "region"}}),
                "`by` can be \"key\": one for each document; without it one is for all",
            ),
            (
                "webhook",
                json!({"digest": {"every": "1h", "size": 3}}),
                "it has `every`, or `cron` and `zone`, `by` and `max`, and no `size`",
            ),
        ] {
            assert_eq!(digest(kind, settings), Err(format!("digest: E0504: setting `digest`: {why}")));
        }
    }

    #[test]
    fn bodies_are_a_list() {
        assert_eq!(together([&b"{}"[..], b"1"]), b"[{},1]");
        assert_eq!(together([]), b"[]");
    }

    #[test]
    fn a_window_ends_after_a_while_or_by_the_calendar() {
        let at = |text: &str| Timestamp(jiff_us(text));
        let policy = |settings| digest("webhook", settings).unwrap().unwrap();
        let end = |policy: &DigestPolicy, fired, begins| Timestamp(at(fired).0 + policy.of(at(fired), at(begins)).every_us);
        let hourly = policy(json!({"digest": {"every": "1h"}}));
        assert_eq!(end(&hourly, "2026-03-27T07:30:00Z", "2026-03-27T07:30:00Z"), at("2026-03-27T08:30:00Z"));
        assert_eq!(end(&hourly, "1970-01-01T00:00:00Z", "2026-03-27T07:30:00Z"), at("2026-03-27T08:30:00Z"));
        // Friday, after nine in Berlin: Monday, when clocks there are an hour further.
        let mornings = policy(json!({"digest": {"cron": "0 9 * * MON-FRI", "zone": "Europe/Berlin"}}));
        assert_eq!(end(&mornings, "2026-03-27T07:30:00Z", "2026-03-27T07:30:00Z"), at("2026-03-27T08:00:00Z"));
        assert_eq!(end(&mornings, "2026-03-27T08:30:00Z", "2026-03-27T08:30:00Z"), at("2026-03-30T07:00:00Z"));
    }

    fn jiff_us(text: &str) -> i64 {
        let Ok(at) = thalweg_formulas::time::parse_timestamp(text) else { panic!("{text}") };
        at.0
    }
}
