//! An action's settings, read strictly: every key is taken by name, what is left over is unknown and refused with near misses.
//!
//! Nothing stops at the first finding: a reader collects them all, each with the key at which it stands.

use std::time::Duration;

use serde_json::{Map, Value};
use thalweg_formulas::Problem;
use thalweg_formulas::problem::did_you_mean;

use crate::secret;

/// A problem with one setting of an action; `key` is the setting's name (`headers.X-Team`), or `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// Where: the setting's key.
    pub key: String,
    /// What.
    pub problem: Problem,
}

/// Takes settings out of a table one by one.
pub(crate) struct Reader<'a> {
    kind: &'a str,
    settings: &'a Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<SettingProblem>,
}

impl<'a> Reader<'a> {
    /// A reader of the settings of an action of type `kind`.
    pub(crate) fn new(kind: &'a str, settings: &'a Map<String, Value>) -> Self {
        Self { kind, settings, known: Vec::new(), problems: Vec::new() }
    }

    /// Notes a problem at `key`.
    pub(crate) fn refuse(&mut self, key: impl Into<String>, problem: Problem) {
        self.problems.push(SettingProblem { key: key.into(), problem });
    }

    /// Notes that `key` is known, and gives its raw value.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.settings.get(key)
    }

    /// Whether `key` was written; it need not be known.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// A text; `None` if it is not there (or not a text, which is noted). Its references must be well formed.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        match self.raw(key)? {
            Value::String(text) => match secret::parse(text) {
                Ok(_) => Some(text),
                Err(why) => {
                    self.refuse(key, wrong(key, &why));
                    None
                }
            },
            other => {
                self.refuse(key, wrong(key, &format!("expected a text, found {}", kind_of(other))));
                None
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, key: &'static str, example: &str) -> Option<&'a str> {
        if self.required_key(key, example) { self.text(key) } else { None }
    }

    /// Whether a setting that must be there is.
    pub(crate) fn required_key(&mut self, key: &'static str, example: &str) -> bool {
        self.known.push(key);
        if self.settings.contains_key(key) {
            return true;
        }
        let problem = Problem::new(503, format!("an action of type `{}` needs the setting `{key}`", self.kind))
            .help(format!("write {key} = {example}"));
        self.refuse(key, problem);
        false
    }

    /// A whole number from 1 to `max`.
    pub(crate) fn positive(&mut self, key: &'static str, max: u64) -> Option<u64> {
        let value = self.raw(key)?;
        let count = value.as_u64().filter(|n| (1..=max).contains(n));
        if count.is_none() {
            self.refuse(key, wrong(key, &format!("expected a whole number from 1 to {max}, found {value}")));
        }
        count
    }

    /// One of a few words, compared without case; the first is the default.
    pub(crate) fn choice(&mut self, key: &'static str, words: &[&'static str]) -> &'static str {
        let Some(text) = self.text(key) else { return words[0] };
        if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            return word;
        }
        let problem = wrong(key, &format!("expected one of {}, found `{text}`", words.join(", ")));
        let near = did_you_mean(text, words.iter().copied());
        self.refuse(key, with_near(problem, &near));
        words[0]
    }

    /// `true` or `false`; missing is `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> bool {
        match self.raw(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.refuse(key, wrong(key, &format!("expected true or false, found {}", kind_of(other))));
                false
            }
        }
    }

    /// A whole number of at most `max`.
    pub(crate) fn count(&mut self, key: &'static str, max: u64) -> Option<u64> {
        let value = self.raw(key)?;
        let count = value.as_u64().filter(|n| *n <= max);
        if count.is_none() {
            self.refuse(key, wrong(key, &format!("expected a whole number from 0 to {max}, found {value}")));
        }
        count
    }

    /// A positive span of time, `"15s"`, of at most `max`.
    pub(crate) fn duration(&mut self, key: &'static str, max: Duration) -> Option<Duration> {
        let text = self.text(key)?;
        match parse_duration(text) {
            Some(span) if !span.is_zero() && span <= max => Some(span),
            Some(_) => {
                self.refuse(key, wrong(key, &format!("`{text}` is not between 1ms and {max:?}")));
                None
            }
            None => {
                self.refuse(key, wrong(key, &format!("`{text}` is not a span of time like \"15s\", \"10m\" or \"72h\"")));
                None
            }
        }
    }

    /// A number of bytes: `"1MiB"` or a whole number.
    pub(crate) fn size(&mut self, key: &'static str) -> Option<usize> {
        let value = self.raw(key)?;
        let size = match value {
            Value::Number(n) => n.as_u64().and_then(|n| usize::try_from(n).ok()),
            Value::String(text) => parse_size(text),
            _ => None,
        };
        if size.is_none() {
            self.refuse(key, wrong(key, &format!("{value} is not a size like \"256KiB\", \"1MiB\" or 1048576")));
        }
        size
    }

    /// A table of texts, in the order written; empty if missing.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<(&'a str, &'a str)> {
        let table = match self.raw(key) {
            None => return Vec::new(),
            Some(Value::Object(table)) => table,
            Some(other) => {
                self.refuse(key, wrong(key, &format!("expected a table, found {}", kind_of(other))));
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        for (name, value) in table {
            let key = format!("{key}.{name}");
            match value.as_str().map(|text| (text, secret::parse(text))) {
                Some((text, Ok(_))) => out.push((name.as_str(), text)),
                Some((_, Err(why))) => self.refuse(key.as_str(), wrong(&key, &why)),
                None => self.refuse(key.as_str(), wrong(&key, &format!("expected a text, found {}", kind_of(value)))),
            }
        }
        out
    }

    /// A list of texts, or one text; `None` if it is not there (or something else, which is noted).
    pub(crate) fn list(&mut self, key: &'static str) -> Option<Vec<&'a str>> {
        let items = match self.raw(key)? {
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            Value::String(text) => Some(vec![text.as_str()]),
            _ => None,
        };
        let bad = |items: &Vec<&str>| items.iter().find_map(|text| secret::parse(text).err());
        let why = match &items {
            None => Some("expected a list of texts".to_owned()),
            Some(items) => bad(items),
        };
        if let Some(why) = why {
            self.refuse(key, wrong(key, &why));
            return None;
        }
        items
    }

    /// Notes that these keys are read by somebody else.
    pub(crate) fn leave(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// The findings so far; unknown keys are somebody else's business.
    pub(crate) fn problems(self) -> Result<(), Vec<SettingProblem>> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }

    /// The findings so far and one for every key that nobody took.
    pub(crate) fn finish(mut self) -> Result<(), Vec<SettingProblem>> {
        for key in self.settings.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let mut known = self.known.clone();
            known.sort_unstable();
            known.dedup();
            // Nobody writes `ack`: it is the effect's, and stands in stored settings. `digest` is of some kinds only.
            known.retain(|name| *name != "ack" && (*name != "digest" || crate::digest::has(self.kind)));
            let problem = Problem::new(502, format!("unknown setting `{key}` of an action of type `{}`", self.kind))
                .note(format!("settings: {}", known.join(", ")));
            let mut near = did_you_mean(key, known.iter().copied());
            // Short names with two letters exchanged, `ulr`, are nobody's near miss by the general measure.
            near.extend(known.iter().filter(|name| letters(name) == letters(key)));
            self.problems.push(SettingProblem { key: key.clone(), problem: with_near(problem, &near) });
        }
        self.problems()
    }
}

/// E0504: a setting that is there, with a value that does not serve.
pub(crate) fn wrong(key: &str, why: &str) -> Problem {
    Problem::new(504, format!("setting `{key}`: {why}"))
}

/// The problem with "did you mean" for the nearest of `near`, if there is one.
pub(crate) fn with_near(problem: Problem, near: &[&str]) -> Problem {
    match near.first() {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem,
    }
}

/// `"15s"`, `"1d 2h"`, `"PT90M"`; a day is 24 hours.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let span = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(span).ok()
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.to_lowercase().chars().collect();
    letters.sort_unstable();
    letters
}

fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn human_units_are_read_and_nonsense_is_not() {
        let seconds = |text| parse_duration(text).map(|d| d.as_secs_f64());
        assert_eq!(seconds("15s"), Some(15.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("72h"), Some(259_200.0));
        assert_eq!(seconds("1d 2h"), Some(93_600.0));
        assert_eq!(seconds("PT90M"), Some(5_400.0));
        for bad in ["", "15", "s", "-3s", "1 fortnight", "1mo"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        let sizes = [
            ("1MiB", Some(1 << 20)),
            ("256 KiB", Some(256 << 10)),
            ("5kB", Some(5_000)),
            ("7", Some(7)),
            ("1TB", None),
            ("x", None),
        ];
        for (text, size) in sizes {
            assert_eq!(parse_size(text), size, "{text}");
        }
        assert_eq!(parse_size("99999999999999999999MiB"), None);
    }
}
