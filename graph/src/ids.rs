//! Ids that are derived, never random: the same on every replay, for any batching and any number of workers.
//!
//! An effect id is a hash of (origin, effect name, action index, canonical key) in ULID form: 48 bits of commit time in
//! milliseconds, then 80 bits of SHA-256, in Crockford's base 32. Neither version, epoch, instance nor worker goes in.

use sha2::{Digest, Sha256};
use thalweg_formulas::{Timestamp, Value};

/// The canonical bytes of a key: each value typed and self-delimiting, so int 1, uint 1 and "1" differ and no two keys share bytes.
pub fn canonical_key(key: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() * 9);
    key.iter().for_each(|value| canonical_value(value, &mut out));
    out
}

fn canonical_value(value: &Value, out: &mut Vec<u8>) {
    let sized = |out: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend(bytes);
    };
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(x) => out.extend([b'b', u8::from(*x)]),
        Value::Int(x) => {
            out.push(b'i');
            out.extend(x.to_be_bytes());
        }
        Value::Uint(x) => {
            out.push(b'u');
            out.extend(x.to_be_bytes());
        }
        Value::Double(x) => {
            out.push(b'd');
            out.extend(x.to_bits().to_be_bytes());
        }
        Value::Decimal(x) => sized(out, b'c', x.to_string().as_bytes()),
        Value::Text(x) => sized(out, b't', x.as_bytes()),
        Value::Bytes(x) => sized(out, b'y', x),
        Value::Timestamp(x) => {
            out.push(b's');
            out.extend(x.0.to_be_bytes());
        }
        Value::Duration(x) => {
            out.push(b'r');
            out.extend(x.0.to_be_bytes());
        }
        Value::List(items) => {
            out.push(b'l');
            out.extend((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| canonical_value(item, out));
        }
        Value::Map(entries) => {
            out.push(b'm');
            out.extend((entries.len() as u64).to_be_bytes());
            for (k, v) in entries.iter() {
                canonical_value(k, out);
                canonical_value(v, out);
            }
        }
        Value::Tensor(t) => {
            out.push(b'x');
            out.extend((t.array().ndim() as u64).to_be_bytes());
            t.array().shape().iter().for_each(|n| out.extend((*n as u64).to_be_bytes()));
            t.array().iter().for_each(|x| out.extend(x.to_bits().to_be_bytes()));
        }
    }
}

/// The id of one action of one firing.
pub fn effect_id(origin: &str, node: &str, action: u32, key: &[Value], at: Timestamp) -> String {
    ulid_form(at, &[b"effect", origin.as_bytes(), node.as_bytes(), &action.to_be_bytes(), &canonical_key(key)])
}

/// The id of a timer that a reaction armed: the origin of the effects that it causes.
pub fn timer_id(origin: &str, node: &str, key: &[Value], due: Timestamp) -> String {
    ulid_form(due, &[b"timer", origin.as_bytes(), node.as_bytes(), &canonical_key(key)])
}

/// The id of the digest that begins with the delivery `first`, which fired at `at`.
pub fn digest_id(first: &str, at: Timestamp) -> String {
    ulid_form(at, &[b"digest", first.as_bytes()])
}

/// 48 bits of milliseconds (clamped to what fits) and the first 80 bits of the hash of the length-prefixed parts.
fn ulid_form(at: Timestamp, parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let ms = at.0.div_euclid(1000).clamp(0, (1 << 48) - 1) as u128;
    let tail = digest[..10].iter().fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
    ulid::Ulid(ms << 80 | tail).to_string()
}
