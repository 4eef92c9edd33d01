//! Standard Webhooks 1.0.0 signatures, `v1`: HMAC-SHA256 over `id.timestamp.body`, in base 64.
//!
//! Source: the Standard Webhooks specification 1.0.0, "Signature scheme"; the test holds its published vector.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A signing key: the bytes of a secret.
///
/// `whsec_` and base 64 gives the bytes that the base 64 says; any other text gives its own bytes.
pub struct Key(Vec<u8>);

impl Key {
    /// Reads a secret. Text after `whsec_` that is not base 64 is refused: receivers would read another key.
    ///
    /// # Errors
    /// What is wrong with it, without the secret.
    pub fn parse(secret: &str) -> Result<Key, String> {
        let bytes = match secret.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| "the text after `whsec_` is not base 64".to_owned())?,
            None => secret.as_bytes().to_vec(),
        };
        if bytes.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(Key(bytes)) }
    }

    /// The value of `webhook-signature`; `timestamp` is in unix seconds, of this attempt.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp, body).finalize().into_bytes()))
    }

    /// Whether one of the space-separated signatures in `header` is ours. Constant time for each.
    pub fn verify(&self, id: &str, timestamp: i64, body: &[u8], header: &str) -> bool {
        header
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .any(|encoded| STANDARD.decode(encoded).is_ok_and(|tag| self.mac(id, timestamp, body).verify_slice(&tag).is_ok()))
    }

    /// Never that of a signature: those have a body behind two full stops.
    fn ack_mac(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("invariant: HMAC takes a key of any length");
        mac.update(b"acknowledge ");
        mac.update(id.as_bytes());
        mac
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("invariant: HMAC takes a key of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

/// What an acknowledgement of delivery `id` over HTTP must carry: an HMAC of the id under the instance's secret, so that whoever was told of
/// it, and nobody else, can acknowledge it.
///
/// # Errors
/// The secret is none.
pub fn ack_token(secret: &str, id: &str) -> Result<String, String> {
    Ok(URL_SAFE_NO_PAD.encode(Key::parse(secret)?.ack_mac(id).finalize().into_bytes()))
}

/// Whether `token` is the one of delivery `id`. In constant time.
pub fn verify_ack_token(secret: &str, id: &str, token: &str) -> bool {
    let (key, tag) = (Key::parse(secret), URL_SAFE_NO_PAD.decode(token));
    key.is_ok_and(|key| tag.is_ok_and(|tag| key.ack_mac(id).verify_slice(&tag).is_ok()))
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(••••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_vector_is_met() {
        let key = Key::parse(SECRET).unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// RFC 2104 from its definition: H(K ⊕ opad, H(K ⊕ ipad, text)).
    fn hmac_by_hand(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut block = [0u8; 64];
        if key.len() > 64 {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
        Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
    }

    proptest::proptest! {
        #[test]
        fn sec_10_an_independent_implementation_agrees(secret in ".{1,100}", id in "[0-9A-Z]{26}", timestamp: i64, body: Vec<u8>) {
            proptest::prop_assume!(!secret.starts_with("whsec_"));
            let signed = [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", &body].concat();
            let expected = format!("v1,{}", STANDARD.encode(hmac_by_hand(secret.as_bytes(), &signed)));
            let key = Key::parse(&secret).unwrap();
            proptest::prop_assert_eq!(&key.sign(&id, timestamp, &body), &expected);
            proptest::prop_assert!(key.verify(&id, timestamp, &body, &expected));
            proptest::prop_assert!(!key.verify(&id, timestamp.wrapping_add(1), &body, &expected));
        }
    }

    #[test]
    fn a_signature_is_found_among_several_and_a_foreign_one_is_not() {
        let (key, other) = (Key::parse(SECRET).unwrap(), Key::parse("another").unwrap());
        let both = format!("{} {}", other.sign("i", 1, b"x"), key.sign("i", 1, b"x"));
        assert!(key.verify("i", 1, b"x", &both) && other.verify("i", 1, b"x", &both));
        for bad in ["", "v1,", "v1,AAAA", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", &other.sign("i", 1, b"x")] {
            assert!(!key.verify("i", 1, b"x", bad), "{bad}");
        }
    }

    #[test]
    fn a_secret_that_receivers_would_read_otherwise_is_refused() {
        assert_eq!(Key::parse("whsec_not base64!").unwrap_err(), "the text after `whsec_` is not base 64");
        assert_eq!(Key::parse("").unwrap_err(), "the secret is empty");
        assert_eq!(Key::parse("whsec_").unwrap_err(), "the secret is empty");
        assert_eq!(format!("{:?}", Key::parse("canary").unwrap()), "Key(••••)");
    }
}
