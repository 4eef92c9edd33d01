//! Who may ask: everybody on loopback, elsewhere who has the token.

use std::fmt;
use std::net::SocketAddr;

/// A bearer token. Prints as `••••`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes the token; an empty one is none.
    pub fn new(token: impl Into<String>) -> Option<Self> {
        let token = token.into();
        if token.is_empty() { None } else { Some(Self(token)) }
    }

    /// Whether `offered` is the token. The time depends on the length of what is offered only.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differs = offered.iter().enumerate().fold(own.len() ^ offered.len(), |differs, (i, byte)| {
            // `%` keeps the index inside; the lengths' difference is in `differs` already.
            differs | usize::from(byte ^ own[i % own.len()])
        });
        std::hint::black_box(differs) == 0
    }

    /// Whether the value of an `Authorization` header carries it.
    pub(crate) fn authorizes(&self, header: Option<&[u8]>) -> bool {
        let Some((scheme, offered)) = header.and_then(|value| value.split_at_checked(7)) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && self.matches(offered.trim_ascii())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(••••)")
    }
}

/// A listening address that needs a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines, and [http] has no token; set token = \"${{THALWEG_TOKEN}}\" or listen on 127.0.0.1"
)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
}

/// Whether it is safe to listen on `address`.
///
/// # Errors
/// The address is not loopback and there is no token.
pub fn check_listen(address: SocketAddr, token: Option<&Token>) -> Result<(), ListenError> {
    if address.ip().to_canonical().is_loopback() || token.is_some() { Ok(()) } else { Err(ListenError { address }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_without_a_token() {
        let token = Token::new("t");
        for (address, open) in [
            ("127.0.0.1:7777", true),
            ("127.8.8.8:7777", true),
            ("[::1]:7777", true),
            ("[::ffff:127.0.0.1]:7777", true),
            ("0.0.0.0:7777", false),
            ("[::]:7777", false),
            ("192.168.1.5:7777", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(check_listen(address, None).is_ok(), open, "{address}");
            assert!(check_listen(address, token.as_ref()).is_ok());
        }
        assert_eq!(
            check_listen("0.0.0.0:7777".parse().unwrap(), None).unwrap_err().to_string(),
            "0.0.0.0:7777 can be reached from other machines, and [http] has no token; set token = \"${THALWEG_TOKEN}\" or listen on 127.0.0.1"
        );
    }

    #[test]
    fn a_token_matches_whole_or_not_at_all() {
        let token = Token::new("s3cret").unwrap();
        for (header, right) in [
            ("Bearer s3cret", true),
            ("bearer s3cret ", true),
            ("Bearer s3cre", false),
            ("Bearer s3crets3cret", false),
            ("Bearer s3cret2", false),
            ("Bearer ", false),
            ("Basic s3cret", false),
            ("s3cret", false),
            ("", false),
        ] {
            assert_eq!(token.authorizes(Some(header.as_bytes())), right, "{header}");
        }
        assert!(!token.authorizes(None));
        assert_eq!(format!("{token:?}"), "Token(••••)");
        assert!(Token::new("").is_none());
    }
}
