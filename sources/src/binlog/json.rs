//! JSON columns: their text as a dynamic value, without loss.
//!
//! A number without `.` or `e` is an int, a uint above the largest int, and above that a decimal; any other is a double. Objects are maps
//! (of a repeated name the last counts). No object means anything special, other than in the tagged form of the program's own JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::Value;

/// How deep arrays and objects may nest; MariaDB itself allows 32.
const DEPTH_MAX: usize = 200;

/// The value that `text` says; `None` if it is no JSON.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn sign(&mut self, sign: u8) -> bool {
        self.skip_space();
        let is = self.peek() == Some(sign);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek()? {
            _ if depth > DEPTH_MAX => None,
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => self.string().map(Value::text),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.sign(b']') {
            return Some(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.sign(b']') {
                return Some(Value::list(items));
            }
            self.sign(b',').then_some(())?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut map = BTreeMap::new();
        if self.sign(b'}') {
            return Some(Value::Map(Arc::new(map)));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.sign(b':').then_some(())?;
            map.insert(Value::text(name), self.value(depth + 1)?);
            if self.sign(b'}') {
                return Some(Value::Map(Arc::new(map)));
            }
            self.sign(b',').then_some(())?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let begin = self.at;
        self.at = begin + string_end(self.text.get(begin..)?)?;
        serde_json::from_str(&self.text[begin..self.at]).ok()
    }

    fn number(&mut self) -> Option<Value> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = &self.text[begin..self.at];
        if text.contains(['.', 'e', 'E']) {
            return serde_json::from_str::<f64>(text).ok().map(Value::double);
        }
        let int = || text.parse().ok().map(Value::Int);
        let uint = || text.parse().ok().map(Value::Uint);
        let decimal = || text.parse().ok().map(Value::Decimal);
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
        is_number.then(|| int().or_else(uint).or_else(decimal))?
    }
}

/// The bytes of the string that `text` begins with, quotes included. Its escapes are left to serde_json: only the end is sought here.
pub(crate) fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (*bytes.first()? == b'"').then_some(())?;
    let mut end = 1;
    while *bytes.get(end)? != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_every_digit() {
        for (text, expected) in [
            ("1", Some(Value::Int(1))),
            (" -0 ", Some(Value::Int(0))),
            ("18446744073709551615", Some(Value::Uint(u64::MAX))),
            ("18446744073709551616", Some(Value::Decimal("18446744073709551616".parse().unwrap()))),
            ("1.10", Some(Value::Double(1.1))),
            ("1e3", Some(Value::Double(1000.0))),
            ("\"a\\u00e9\\\"\"", Some(Value::text("aé\""))),
            ("{\"$uint\": [null, true]}", Some(Value::record([("$uint", Value::list([Value::Null, Value::Bool(true)]))]))),
            ("01", None),
            ("[1,]", None),
            ("{\"a\" 1}", None),
            ("", None),
            ("\"\\", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn what_serde_accepts_is_accepted_and_nothing_else(text in "([\\[\\]{},:\" ]|null|true|1|-2.5|1e|\\\\|é){0,12}") {
            prop_assert_eq!(parse(&text).is_some(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
