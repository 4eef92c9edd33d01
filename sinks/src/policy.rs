//! How an action is delivered, beside when it is tried again: its order, how often at most, how fast, and whether somebody must acknowledge it.
//!
//! These settings belong to every type of action; the runtime keeps to them.

use serde_json::{Map, Value};
use thalweg_formulas::Problem;

use crate::digest::{self, DigestPolicy};
use crate::settings::{Reader, SettingProblem, wrong};

/// What an action's settings say about its delivery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryPolicy {
    /// It waits until the action before it, of the same trigger, is over.
    pub after_previous: bool,
    /// One attempt, and none where it is not known whether one was made.
    pub at_most_once: bool,
    /// Attempts a second at most, to one endpoint.
    pub rate: Option<f64>,
    /// It is over only when it is acknowledged.
    pub ack: Option<AckPolicy>,
    /// Its triggers go out several at a time.
    pub digest: Option<DigestPolicy>,
    /// What its circuit breaker and its rate are for: scheme, host and port of the URL, where there is one; a reference stands for itself.
    pub endpoint: Option<String>,
}

/// How long an acknowledgement is waited for. Stored with each delivery, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckPolicy {
    /// How long after a delivery; `None`: for ever.
    pub timeout_us: Option<i64>,
    /// How often it is delivered again before it is a dead letter.
    pub retries: u32,
}

impl AckPolicy {
    /// As it stands in stored settings under `ack`.
    pub fn to_json(self) -> Value {
        serde_json::json!({ "timeout_us": self.timeout_us, "retries": self.retries })
    }

    fn of_json(value: &Value) -> Option<AckPolicy> {
        let retries = u32::try_from(value.get("retries")?.as_u64()?).ok()?;
        Some(AckPolicy { timeout_us: value.get("timeout_us")?.as_i64(), retries })
    }
}

impl DeliveryPolicy {
    /// Reads `after`, `delivery`, `rate`, `digest` and, of stored settings, `ack`; other keys are not looked at.
    ///
    /// # Errors
    /// A value that does not serve, with its key.
    pub fn from_settings(kind: &str, settings: &Map<String, Value>) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(kind, settings);
        let after_previous = settings.contains_key("after") && reader.choice("after", &["previous"]) == "previous";
        let at_most_once = reader.choice("delivery", &["at-least-once", "at-most-once"]) == "at-most-once";
        let rate = reader.text("rate").map(str::to_owned).and_then(|text| {
            let rate = parse_rate(&text);
            if rate.is_none() {
                reader.refuse("rate", wrong("rate", &format!("`{text}` is not a rate like \"100/s\" or \"30/m\"")));
            }
            rate
        });
        let ack = settings.get("ack").map(|value| {
            AckPolicy::of_json(value).ok_or_else(|| {
                let problem = Problem::new(504, "setting `ack`: it belongs to the effect, not to an action");
                problem.help("write ack = { timeout = \"30s\" } beside mode = \"ack\" in [[effect]]")
            })
        });
        let ack = match ack {
            Some(Err(problem)) => {
                reader.refuse("ack", problem);
                None
            }
            Some(Ok(ack)) => Some(ack),
            None => None,
        };
        let endpoint = endpoint(kind, settings);
        let digest = digest::read(kind, &mut reader);
        reader.problems().map(|()| Self { after_previous, at_most_once, rate, ack, digest, endpoint })
    }
}

/// Attempts a second, from `"100/s"`, `"30/m"` or `"5/h"`.
fn parse_rate(text: &str) -> Option<f64> {
    let (count, unit) = text.split_once('/')?;
    let count: u32 = count.trim().parse().ok()?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    (count > 0).then(|| f64::from(count) / seconds)
}

/// Only what is reached over the network has one.
fn endpoint(kind: &str, settings: &Map<String, Value>) -> Option<String> {
    let url = settings.get("url")?.as_str()?;
    match reqwest::Url::parse(url) {
        // What stands before the host may be a password.
        Ok(parsed) => {
            let host = parsed.host_str()?;
            let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
            Some(format!("{}://{host}{port}", parsed.scheme()))
        }
        // A reference: the text names it as well, and shows nothing.
        Err(_) => Some(format!("{kind} {url}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(settings: Value) -> Result<DeliveryPolicy, String> {
        let read = DeliveryPolicy::from_settings("webhook", settings.as_object().unwrap());
        read.map_err(|problems| problems.iter().map(|p| format!("{}: {}", p.key, p.problem)).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn settings_are_read_or_refused_by_key() {
        assert_eq!(policy(serde_json::json!({"method": "PUT"})).unwrap(), DeliveryPolicy::default());
        let all = policy(serde_json::json!({
            "url": "https://u:p@h.example:8443/secret", "after": "previous", "delivery": "at-most-once", "rate": "30/m",
            "ack": {"timeout_us": 5, "retries": 2}
        }));
        let all = all.unwrap();
        assert_eq!((all.after_previous, all.at_most_once, all.rate), (true, true, Some(0.5)));
        assert_eq!(all.ack, Some(AckPolicy { timeout_us: Some(5), retries: 2 }));
        assert_eq!(all.endpoint.as_deref(), Some("https://h.example:8443"));
        let stored = AckPolicy { timeout_us: None, retries: 0 };
        assert_eq!(AckPolicy::of_json(&stored.to_json()), Some(stored));
        for (settings, text) in [
            (serde_json::json!({"after": "next"}), "after: E0504: setting `after`: expected one of previous, found `next`"),
            (
                serde_json::json!({"delivery": "exactly-once"}),
                "delivery: E0504: setting `delivery`: expected one of at-least-once, at-most-once, found `exactly-once`",
            ),
            (serde_json::json!({"rate": "0/s"}), "rate: E0504: setting `rate`: `0/s` is not a rate like \"100/s\" or \"30/m\""),
            (serde_json::json!({"ack": true}), "ack: E0504: setting `ack`: it belongs to the effect, not to an action"),
        ] {
            assert_eq!(policy(settings).unwrap_err(), text);
        }
    }
}
