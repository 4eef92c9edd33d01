//! Secrets by reference: `${NAME}` is an environment variable, `${file:PATH}` the content of a file; `$${` writes a plain `${`.
//!
//! A [`Secret`] keeps the text as written. It shows the references and hides everything else, so it can be logged.

use std::collections::BTreeMap;
use std::fmt;

use super::diag::MASK;

/// Environment variables, as data: tests bring their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process; those that are not UTF-8 are left out.
    pub fn process() -> Environment {
        Environment(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    /// The given variables only.
    pub fn of<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
        Environment(vars.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variables whose names start with `prefix`, sorted.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A text with references to secrets, unresolved. `Debug` and `Display` never show a literal secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A part of a text with references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Variable(&'a str),
    File(&'a str),
}

/// Why a reference has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// `${NAME}` is not set.
    #[error("environment variable `{0}` is not set")]
    Variable(String),
    /// `${file:PATH}` cannot be read.
    #[error("secret file `{0}` cannot be read: {1}")]
    File(String, String),
}

impl Secret {
    /// A text as written.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text as written, references unresolved. It may hold a literal secret: not for showing.
    pub fn template(&self) -> &str {
        &self.0
    }

    /// Whether nothing in it is a reference.
    pub fn is_literal(&self) -> bool {
        parts(&self.0).iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The text with every reference replaced.
    ///
    /// # Errors
    /// The first reference that has no value.
    pub fn reveal(&self, env: &Environment) -> Result<String, Unresolved> {
        parts(&self.0).into_iter().map(|part| value(part, env)).collect()
    }

    /// As [`Secret::reveal`], for a URL: a value that is put *into* a URL is percent-encoded, so that a password may hold `@` and `/`;
    /// a text that is one reference is taken as it comes.
    ///
    /// # Errors
    /// The first reference that has no value.
    pub fn reveal_url(&self, env: &Environment) -> Result<String, Unresolved> {
        let parts = parts(&self.0);
        if parts.len() == 1 {
            return value(parts[0], env);
        }
        let encode = |part| match part {
            Part::Literal(text) => Ok(text.to_owned()),
            reference => value(reference, env).map(|text| percent_encode(&text)),
        };
        parts.into_iter().map(encode).collect()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_literal() { f.write_str(MASK) } else { f.write_str(&hide_url_password(&self.0)) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

/// Where a literal password stands in a URL: `mysql://user:HERE@host`. References are not literal.
pub fn url_password(url: &str) -> Option<std::ops::Range<usize>> {
    let authority = url.find("://")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |i| authority + i);
    let at = authority + url[authority..end].rfind('@')?;
    let colon = authority + url[authority..at].find(':')?;
    let password = colon + 1..at;
    (!password.is_empty() && !url[password.clone()].contains("${")).then_some(password)
}

fn hide_url_password(url: &str) -> String {
    match url_password(url) {
        Some(range) => format!("{}{MASK}{}", &url[..range.start], &url[range.end..]),
        None => url.to_owned(),
    }
}

/// Percent-encodes everything but unreserved characters.
pub fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn value(part: Part<'_>, env: &Environment) -> Result<String, Unresolved> {
    match part {
        Part::Literal(text) => Ok(text.to_owned()),
        Part::Variable(name) => env.get(name).map(str::to_owned).ok_or_else(|| Unresolved::Variable(name.to_owned())),
        Part::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => Err(Unresolved::File(path.to_owned(), error.to_string())),
        },
    }
}

/// Cuts a text at its references. An unclosed `${` is literal.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let close = rest[at..].find('}').map(|i| at + i);
        let Some(close) = close.filter(|_| !escaped) else {
            // `$${` is a plain `${`: keep one dollar, go on behind the brace.
            let keep = if escaped { at - 1 } else { at };
            out.extend([Part::Literal(&rest[..keep]), Part::Literal(&rest[at..at + 2])]);
            rest = &rest[at + 2..];
            continue;
        };
        out.push(Part::Literal(&rest[..at]));
        let inner = &rest[at + 2..close];
        out.push(inner.strip_prefix("file:").map_or(Part::Variable(inner), Part::File));
        rest = &rest[close + 1..];
    }
    out.push(Part::Literal(rest));
    out.retain(|part| *part != Part::Literal(""));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_values_inside_a_url_are_encoded() {
        let env = Environment::of([("PW", "p@ss/w"), ("URL", "mysql://a:b@c")]);
        let reveal = |text: &str| Secret::new(text).reveal_url(&env);
        assert_eq!(reveal("mysql://root:${PW}@db").unwrap(), "mysql://root:p%40ss%2Fw@db");
        assert_eq!(reveal("${URL}").unwrap(), "mysql://a:b@c");
        assert_eq!(Secret::new("a$${PW}b${PW}").reveal(&env).unwrap(), "a${PW}bp@ss/w");
        assert_eq!(reveal("${NONE}").unwrap_err().to_string(), "environment variable `NONE` is not set");
        assert_eq!(Secret::new("${open").reveal(&env).unwrap(), "${open");
    }

    #[test]
    fn a_literal_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(••••)");
        assert_eq!(Secret::new("mysql://u:hunter2@${HOST}").to_string(), "mysql://u:••••@${HOST}");
        assert_eq!(Secret::new("mysql://u:${PW}@h").to_string(), "mysql://u:${PW}@h");
        assert_eq!(url_password("mysql://u@h:3306/a@b:c"), None);
    }
}
