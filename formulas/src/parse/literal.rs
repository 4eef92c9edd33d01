//! Numbers, texts and bytes, as CEL writes them.

use super::lexer::is_name_part;
use super::token::TokenKind;
use crate::problem::{Problem, Span};

/// How many bytes from the start of `text` are one number. What runs on into letters is taken along, so that the message can
/// show it.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = digits(0);
    if bytes.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(at + 1 + sign).map_or(0, |_| digits(at + 1 + sign));
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    at + text[at..].find(|c| !is_name_part(c)).unwrap_or(text.len() - at)
}

/// The number that `text` writes.
///
/// # Errors
/// A problem without a place: not a number, or one that does not fit.
pub(super) fn number(text: &str) -> Result<TokenKind, Problem> {
    let unsigned = text.strip_suffix(['u', 'U']);
    let whole = unsigned.unwrap_or(text);
    let hex = whole.strip_prefix("0x").or_else(|| whole.strip_prefix("0X"));
    let parsed = match hex {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        None if whole.bytes().all(|b| b.is_ascii_digit()) => whole.parse().ok(),
        None if unsigned.is_none() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) => {
            return double(text);
        }
        Some(_) | None => {
            return Err(Problem::new(105, format!("`{text}` is not a number"))
                .help("numbers are written 1, 1u, 0xff, 1.5 or 1e6; a name does not begin with a digit"));
        }
    };
    let Some(magnitude) = parsed else {
        return Err(Problem::new(105, format!("`{text}` does not fit into 64 bits")).help("write it as decimal('…')"));
    };
    Ok(if unsigned.is_some() { TokenKind::Uint(magnitude) } else { TokenKind::Int(magnitude) })
}

fn double(text: &str) -> Result<TokenKind, Problem> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(TokenKind::Double(x)),
        Ok(_) => Err(Problem::new(105, format!("`{text}` does not fit into a double")).help("write it as decimal('…')")),
        Err(_) => Err(Problem::new(105, format!("`{text}` is not a number")).help("an exponent has digits: 1e6")),
    }
}

/// A text or bytes literal as far as it could be read.
pub(super) struct Scanned {
    pub kind: TokenKind,
    pub length: usize,
    pub problems: Vec<Problem>,
}

/// The prefix letters of a literal that opens here, and its quote.
fn opening(text: &str) -> Option<(&str, &str)> {
    let letters = text.bytes().take(3).position(|b| matches!(b, b'\'' | b'"'))?;
    let (prefix, rest) = text.split_at(letters);
    if !matches!(prefix, "" | "r" | "R" | "b" | "B" | "br" | "bR" | "Br" | "BR") {
        return None;
    }
    let width = if rest.starts_with("'''") || rest.starts_with("\"\"\"") { 3 } else { 1 };
    Some((prefix, &rest[..width]))
}

/// Whether a text or bytes literal begins here.
pub(super) fn opens_text(text: &str) -> bool {
    opening(text).is_some()
}

/// Reads the literal that begins at `text`, `offset` bytes into the formula.
pub(super) fn text(text: &str, offset: usize) -> Scanned {
    let (prefix, quote) = opening(text).expect("invariant: called only where `opens_text` holds");
    let raw = prefix.contains(['r', 'R']);
    let start = prefix.len() + quote.len();
    let (end, length, mut problems) = match body_end(&text[start..], quote, raw) {
        Ok(end) => (start + end, start + end + quote.len(), vec![]),
        Err(end) => (start + end, start + end, vec![unclosed(quote, Span::new(offset, offset + start))]),
    };
    let mut reader = Reader { body: &text[start..end], offset: offset + start, at: 0 };
    let unit = if prefix.contains(['b', 'B']) { Unit::Byte } else { Unit::Char };
    let bytes = reader.unescape(raw, unit, &mut problems);
    let kind = match unit {
        Unit::Byte => TokenKind::Bytes(bytes),
        Unit::Char => TokenKind::Text(String::from_utf8_lossy(&bytes).into_owned()),
    };
    Scanned { kind, length, problems }
}

fn unclosed(quote: &str, open: Span) -> Problem {
    Problem::new(101, "unclosed text")
        .at(open, "this quote is never closed")
        .help(format!("close the text with {quote}; only a text in three quotes goes on over the end of its line"))
}

/// Where the body ends: `Ok` at its closing quote, `Err` where it breaks off.
fn body_end(body: &str, quote: &str, raw: bool) -> Result<usize, usize> {
    let mut chars = body.char_indices();
    while let Some((i, c)) = chars.next() {
        if body[i..].starts_with(quote) {
            return Ok(i);
        }
        if quote.len() == 1 && matches!(c, '\n' | '\r') {
            return Err(i);
        }
        if c == '\\' && !raw && !body[i + 1..].starts_with(['\n', '\r']) {
            chars.next();
        }
    }
    Err(body.len())
}

/// What `\x` and octal escapes count.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Byte,
    Char,
}

struct Reader<'t> {
    body: &'t str,
    offset: usize,
    at: usize,
}

impl Reader<'_> {
    /// The bytes that the body stands for.
    fn unescape(&mut self, raw: bool, unit: Unit, problems: &mut Vec<Problem>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len());
        while let Some(c) = self.body[self.at..].chars().next() {
            let start = self.at;
            self.at += c.len_utf8();
            if c != '\\' || raw {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            match self.escape(unit) {
                Some(Escaped::Byte(b)) => out.push(b),
                Some(Escaped::Char(c)) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {
                    let span = Span::new(self.offset + start, self.offset + self.at);
                    let written = &self.body[start..self.at];
                    problems.push(bad_escape(written, unit).at(span, "not an escape"));
                }
            }
        }
        out
    }

    /// What stands behind the backslash; `None` if it is no escape.
    fn escape(&mut self, unit: Unit) -> Option<Escaped> {
        let c = self.body[self.at..].chars().next()?;
        self.at += c.len_utf8();
        let number = match c {
            'x' | 'X' => self.digits(2, 16)?,
            'u' if unit == Unit::Char => self.digits(4, 16)?,
            'U' if unit == Unit::Char => self.digits(8, 16)?,
            '0'..='3' => {
                self.at -= 1;
                self.digits(3, 8)?
            }
            _ => return simple_escape(c).map(Escaped::Char),
        };
        match unit {
            Unit::Byte => u8::try_from(number).ok().map(Escaped::Byte),
            Unit::Char => char::from_u32(number).map(Escaped::Char),
        }
    }

    /// Exactly `count` digits.
    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.body.get(self.at..self.at + count)?;
        let number = digits.chars().try_fold(0u32, |n, c| Some(n.checked_mul(radix)? + c.to_digit(radix)?))?;
        self.at += count;
        Some(number)
    }
}

enum Escaped {
    Byte(u8),
    Char(char),
}

fn simple_escape(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{07}',
        'b' => '\u{08}',
        'f' => '\u{0c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{0b}',
        '\\' | '?' | '"' | '\'' | '`' => c,
        _ => return None,
    })
}

fn bad_escape(written: &str, unit: Unit) -> Problem {
    let numbered = match unit {
        Unit::Byte => r"\x41 \101",
        Unit::Char => r"\x41 \101 \u0041 \U00000041",
    };
    Problem::new(105, format!("unknown escape `{written}`"))
        .help(r"write `\\` for a backslash, or put `r` before the quote to take the text as it stands")
        .note(format!(r#"escapes: \n \t \r \a \b \f \v \\ \' \" \` \? {numbered}"#))
}
