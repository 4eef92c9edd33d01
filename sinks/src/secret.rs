//! Secrets: read late, never shown.
//!
//! A setting may hold references, `${NAME}` (environment) or `${file:/path}`. What is stored (in the outbox, beside a
//! delivery) keeps the reference; an attempt resolves it, so a rotated secret is used by the next attempt.
//!
//! - INV-SECRET: what a reference resolved to is in no `Debug`, no `Display`, no error text and no log line: it lives in [`Secret`],
//!   and every text from outside passes `redact` before it becomes an error.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// A text that prints as `••••`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself; do not print it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this text, in a time that tells nothing about where they differ.
    pub fn matches(&self, offered: &str) -> bool {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        let (a, b) = (digest(&self.0), digest(offered));
        a.iter().zip(b.iter()).fold(0u8, |differs, (x, y)| differs | (x ^ y)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••")
    }
}

/// Resolves what stands between `${` and `}`: `NAME` or `file:/path`. An error says what is missing, never what was read.
pub type Resolver = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The resolver of the daemon: environment variables and files (whose last line end is dropped).
///
/// # Errors
/// The variable is not set, or the file cannot be read.
pub fn environment_and_files(reference: &str) -> Result<String, String> {
    match reference.strip_prefix("file:") {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|why| format!("file `{path}` cannot be read: {why}"))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
        }
        None => std::env::var(reference).map_err(|_| format!("environment variable `{reference}` is not set")),
    }
}

/// A piece of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As written.
    Text(&'a str),
    /// What stands between `${` and `}`.
    Reference(&'a str),
}

/// Cuts a setting at its references; `$${` is a plain `${`.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            pieces.extend([Piece::Text(&rest[..start]), Piece::Text("{")]);
            rest = &rest[start + 2..];
            continue;
        }
        let end = rest[start..].find('}').ok_or_else(|| "a reference `${` is not closed by `}`".to_owned())? + start;
        let reference = &rest[start + 2..end];
        let well_formed = match reference.strip_prefix("file:") {
            Some(path) => !path.is_empty(),
            None => is_variable(reference),
        };
        if !well_formed {
            return Err("a reference is written ${NAME} or ${file:/path}".to_owned());
        }
        pieces.extend([Piece::Text(&rest[..start]), Piece::Reference(reference)]);
        rest = &rest[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// Whether a setting holds a reference.
pub(crate) fn has_reference(text: &str) -> bool {
    parse(text).is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Reference(_))))
}

/// A setting with its references resolved, and each resolved part by itself, for `redact`.
pub(crate) fn resolve(text: &str, resolver: &Resolver) -> Result<(Secret, Vec<Secret>), String> {
    let mut whole = String::with_capacity(text.len());
    let mut parts = Vec::new();
    for piece in parse(text)? {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Reference(reference) => {
                let part = resolver(reference)?;
                whole.push_str(&part);
                parts.push(Secret::new(part));
            }
        }
    }
    Ok((Secret::new(whole), parts))
}

/// A database URL with its references resolved. What is put *into* the URL is percent-encoded, so that a password may hold `@` and `/`; a
/// text that is one reference is taken as it comes.
pub(crate) fn resolve_url(text: &str, resolver: &Resolver) -> Result<Secret, String> {
    let pieces = parse(text)?;
    let is_whole = pieces.len() == 1;
    let mut whole = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Reference(reference) if is_whole => whole.push_str(&resolver(reference)?),
            Piece::Reference(reference) => {
                for byte in resolver(reference)?.bytes() {
                    match byte {
                        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => whole.push(char::from(byte)),
                        other => whole.push_str(&format!("%{other:02X}")),
                    }
                }
            }
        }
    }
    Ok(Secret::new(whole))
}

/// `text` with every secret in it replaced, control characters made visible, and cut to 300 characters: fit for an error.
pub(crate) fn redact(text: &str, secrets: &[Secret]) -> String {
    let out = hide(text, secrets);
    let mut shown: String = out.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if out.chars().nth(300).is_some() {
        shown.push('…');
    }
    shown
}

/// `text` with every secret in it replaced.
pub(crate) fn hide(text: &str, secrets: &[Secret]) -> String {
    // The longest first: one may begin like another.
    let mut secrets: Vec<&str> = secrets.iter().map(Secret::reveal).filter(|secret| !secret.is_empty()).collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "••••"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Resolver {
        Arc::new(|name: &str| match name {
            "A" => Ok("canary-a".to_owned()),
            "P" => Ok("p@/".to_owned()),
            "file:/s" => Ok("canary-s".to_owned()),
            other => Err(format!("`{other}` is not set")),
        })
    }

    #[test]
    fn references_are_found_and_bad_ones_refused() {
        use Piece::{Reference, Text};
        assert_eq!(parse("a${B}c").unwrap(), [Text("a"), Reference("B"), Text("c")]);
        assert_eq!(parse("${file:/x y}").unwrap(), [Reference("file:/x y")]);
        assert_eq!(parse("plain $ {x}").unwrap(), [Text("plain $ {x}")]);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("a$${B}").unwrap(), [Text("a$"), Text("{"), Text("B}")]);
        for bad in ["${", "${}", "${1A}", "${a-b}", "${file:}", "${A}${"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_resolved_secret_prints_as_dots_everywhere() {
        let (whole, parts) = resolve("Bearer ${A}.${file:/s}", &resolver()).unwrap();
        assert_eq!(whole.reveal(), "Bearer canary-a.canary-s");
        assert_eq!(format!("{whole} {whole:?} {parts:?}"), "•••• •••• [••••, ••••]");
        assert_eq!(redact("bad key canary-a\u{1b}[2J", &parts), "bad key •••• [2J");
        assert_eq!(resolve("${B}", &resolver()).unwrap_err(), "`B` is not set");
        let url = |text| resolve_url(text, &resolver()).unwrap();
        assert_eq!(url("mysql://u:${P}@h/${A}").reveal(), "mysql://u:p%40%2F@h/canary-a");
        assert_eq!(url("${P}").reveal(), "p@/");
        assert_eq!(redact(&"x".repeat(400), &[]).chars().count(), 301);
    }

    #[test]
    fn tokens_are_compared_whole() {
        let token = Secret::new("s3cret");
        assert!(token.matches("s3cret"));
        for other in ["", "s3cre", "s3cret ", "S3CRET"] {
            assert!(!token.matches(other), "{other}");
        }
    }
}
