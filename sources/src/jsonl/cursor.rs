//! JSON read straight into values: one pass, exact numbers, and the byte where something is wrong.
//!
//! A number without `.` or `e` is an int (a uint from 2^63 on, a decimal beyond 64 bits), else a double, or a decimal where the column is
//! declared as one: its digits never pass through a float. An object with a single member that begins with `$` is a tagged value. For a
//! column that is declared as bytes a string is base64.
//!
//! Bound: nesting up to [`DEPTH_MAX`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Type, Value, json};

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 128;

/// What is wrong, and at which byte of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u16,
    pub(super) message: String,
    pub(super) at: usize,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(code: u16, at: usize, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), at, help: None }
    }
}

type Read<T> = Result<T, Fault>;

/// A place in one line of JSON.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0, depth: 0 }
    }

    /// The same line, at byte `at`.
    pub(super) fn moved(&self, at: usize) -> Cursor<'a> {
        Cursor { text: self.text, at, depth: self.depth }
    }

    /// The byte it stands at, white space skipped.
    pub(super) fn place(&mut self) -> usize {
        self.space();
        self.at
    }

    fn space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.as_bytes().get(self.at).copied()
    }

    fn bad<T>(&mut self, expected: &str) -> Read<T> {
        let found = match self.peek() {
            Some(_) => format!("`{}`", self.text[self.at..].chars().next().unwrap_or(' ').escape_debug()),
            None => "the end of the line".to_owned(),
        };
        Err(Fault::new(461, self.at, format!("bad JSON: expected {expected}, found {found}")))
    }

    fn eat(&mut self, byte: u8, expected: &str) -> Read<()> {
        if self.peek() != Some(byte) {
            return self.bad(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Read<()> {
        if self.peek().is_some() { self.bad("the end of the line") } else { Ok(()) }
    }

    /// Calls `each` for every member of an object, with the member's name and the place of the name; it must read the value.
    pub(super) fn object(&mut self, what: &str, mut each: impl FnMut(&mut Self, Cow<'a, str>, usize) -> Read<()>) -> Read<()> {
        self.eat(b'{', what)?;
        self.deeper()?;
        if self.peek() != Some(b'}') {
            loop {
                let at = self.place();
                if self.peek() != Some(b'"') {
                    return self.bad("a member's name in quotes");
                }
                let name = self.string()?;
                self.eat(b':', "`:`")?;
                each(self, name, at)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return self.bad("`,` or `}`"),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Calls `each` for every element of an array; it must read the element.
    pub(super) fn array(&mut self, what: &str, mut each: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.eat(b'[', what)?;
        self.deeper()?;
        if self.peek() != Some(b']') {
            loop {
                each(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return self.bad("`,` or `]`"),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth <= DEPTH_MAX {
            return Ok(());
        }
        Err(Fault::new(461, self.at - 1, format!("bad JSON: nested deeper than {DEPTH_MAX}")))
    }

    /// A string.
    pub(super) fn string(&mut self) -> Read<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return self.bad("a string");
        }
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => return self.escaped(start, end),
                Some(0..0x20) => return Err(Fault::new(461, end, "bad JSON: a control character in a string must be escaped")),
                Some(_) => end += 1,
                None => return Err(Fault::new(461, start - 1, "bad JSON: the string is not closed")),
            }
        }
        self.at = end + 1;
        Ok(Cow::Borrowed(&self.text[start..end]))
    }

    /// A string from `start` with an escape at `at`.
    fn escaped(&mut self, start: usize, mut at: usize) -> Read<Cow<'a, str>> {
        let bytes = self.text.as_bytes();
        let mut out = String::from(&self.text[start..at]);
        loop {
            let run = at;
            while !matches!(bytes.get(at), Some(b'"' | b'\\' | 0..0x20) | None) {
                at += 1;
            }
            out.push_str(&self.text[run..at]);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at = self.escape(at, &mut out)?,
                Some(_) => return Err(Fault::new(461, at, "bad JSON: a control character in a string must be escaped")),
                None => return Err(Fault::new(461, start - 1, "bad JSON: the string is not closed")),
            }
        }
        self.at = at + 1;
        Ok(Cow::Owned(out))
    }

    /// One escape at `at`; gives the byte behind it.
    fn escape(&self, at: usize, out: &mut String) -> Read<usize> {
        let simple = match self.text.as_bytes().get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(at, out),
            _ => return Err(Fault::new(461, at, "bad JSON: unknown escape in a string")),
        };
        out.push(simple);
        Ok(at + 2)
    }

    /// `\uXXXX`, or two of them for a character beyond 16 bits.
    fn unicode(&self, at: usize, out: &mut String) -> Read<usize> {
        let bad = || Fault::new(461, at, "bad JSON: `\\u` needs four hexadecimal digits of a character");
        let unit = |at: usize| {
            let digits = self.text.get(at + 2..at + 6).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u16::from_str_radix(digits, 16).ok()
        };
        let first = unit(at).ok_or_else(bad)?;
        let second = self.text[at + 6..].starts_with("\\u").then(|| unit(at + 6)).flatten();
        let pair: Vec<u16> = [first].into_iter().chain(second.filter(|_| (0xd800..0xdc00).contains(&first))).collect();
        let decoded = char::decode_utf16(pair.iter().copied()).next().and_then(Result::ok).ok_or_else(bad)?;
        out.push(decoded);
        Ok(at + 6 * pair.len())
    }

    /// Any value; `hint` is the declared type of its column.
    pub(super) fn value(&mut self, hint: &Type) -> Read<Value> {
        match self.peek() {
            Some(b'"') if *hint == Type::Bytes => self.base64(),
            Some(b'"') => Ok(Value::text(self.string()?)),
            Some(b'{') => self.map(),
            Some(b'[') => {
                let mut items = Vec::new();
                self.array("an array", |c| {
                    items.push(c.value(&Type::Dyn)?);
                    Ok(())
                })?;
                Ok(Value::List(items.into()))
            }
            Some(b'-' | b'0'..=b'9') => self.number(hint),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.bad("a value"),
        }
    }

    /// The bytes that a string says, for a column of bytes.
    fn base64(&mut self) -> Read<Value> {
        let start = self.at;
        self.string()?;
        // The grammar of tags is that of `eval`.
        json::parse(&format!("{{\"$bytes\":{}}}", &self.text[start..self.at])).map_err(|error| Fault::new(464, start, error))
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        if !self.text[self.at..].starts_with(word) {
            return self.bad("a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn map(&mut self) -> Read<Value> {
        let start = self.at;
        let (mut entries, mut tagged) = (BTreeMap::new(), false);
        self.object("an object", |c, name, _| {
            tagged |= name.starts_with('$');
            entries.insert(Value::text(name), c.value(&Type::Dyn)?);
            Ok(())
        })?;
        if !tagged || entries.len() != 1 {
            return Ok(Value::Map(Arc::new(entries)));
        }
        // The grammar of tags is that of `eval`.
        json::parse(&self.text[start..self.at]).map_err(|error| Fault::new(464, start, error))
    }

    fn number(&mut self, hint: &Type) -> Read<Value> {
        let start = self.at;
        let (text, whole) = self.number_text()?;
        let exact = |text: &str| text.parse::<Decimal>().ok().map(Value::Decimal);
        let value = match (whole, hint) {
            (_, Type::Decimal { .. }) => exact(text),
            (true, _) => {
                (text.parse().map(Value::Int).ok()).or_else(|| text.parse().map(Value::Uint).ok()).or_else(|| exact(text))
            }
            (false, _) => text.parse().ok().filter(|x: &f64| x.is_finite()).map(Value::double),
        };
        value.ok_or_else(|| Fault::new(464, start, format!("the number {text} is too large")))
    }

    /// The text of a number by JSON's grammar, and whether it is whole.
    fn number_text(&mut self) -> Read<(&'a str, bool)> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let first = start + usize::from(bytes[start] == b'-');
        let mut at = digits(first);
        let mut right = at > first && (bytes[first] != b'0' || at == first + 1);
        let mut whole = true;
        if right && bytes.get(at) == Some(&b'.') {
            let from = at + 1;
            at = digits(from);
            right = at > from;
            whole = false;
        }
        if right && matches!(bytes.get(at), Some(b'e' | b'E')) {
            let from = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            at = digits(from);
            right = at > from;
            whole = false;
        }
        if !right {
            return Err(Fault::new(461, start, "bad JSON: not a number"));
        }
        self.at = at;
        Ok((&self.text[start..at], whole))
    }

    /// Reads over a value, checking its form.
    pub(super) fn skip(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.object("an object", |c, _, _| c.skip()),
            Some(b'[') => self.array("an array", Self::skip),
            Some(b'-' | b'0'..=b'9') => self.number_text().map(|_| ()),
            _ => self.value(&Type::Dyn).map(|_| ()),
        }
    }
}
