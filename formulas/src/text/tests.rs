use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;

use super::*;
use crate::Value;

/// The text in each way of making one: from a string, from an `Arc` and as a part of a buffer with other bytes around it.
fn forms(text: &str) -> [Text; 4] {
    let around = [b"\xff\x80".as_slice(), text.as_bytes(), b"\xbf"].concat();
    let part = TextBuffer::new(around).text(2..2 + text.len()).unwrap();
    [Text::from(text), Text::from(Arc::<str>::from(text)), Text::from(text.to_string()), part]
}

fn hash(value: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

#[test]
fn a_value_is_24_bytes_and_so_is_one_that_may_be_absent() {
    assert_eq!([size_of::<Text>(), size_of::<Value>(), size_of::<Option<Value>>()], [24; 3]);
}

#[test]
fn what_is_short_needs_no_heap_and_what_is_a_part_holds_its_buffer_until_it_is_owned() {
    for len in [0, 1, Text::SHORT_MAX, Text::SHORT_MAX + 1, 500] {
        let buffer = TextBuffer::new("x".repeat(len).into_bytes());
        let part = buffer.text(0..len).unwrap();
        let is_short = len <= Text::SHORT_MAX;
        assert_eq!((part.heap_bytes() == 0, buffer.holders() == 1), (is_short, is_short), "{len} bytes");
        let owned = part.owned();
        assert_eq!((buffer.holders(), owned.len()), (1, len));
    }
}

#[test]
fn a_part_that_is_no_text_is_refused() {
    let buffer = TextBuffer::new("aé\u{1f30a}".as_bytes());
    assert_eq!(buffer.text(0..3).as_deref(), Some("aé"));
    for part in [0..2, 2..3, 4..7, 3..8, 8..9, 9..9] {
        assert_eq!(buffer.text(part.clone()), None, "{part:?}");
    }
}

proptest! {
    #[test]
    fn a_text_is_what_its_string_is_in_every_form(a in "\\PC{0,40}|[a-z]{0,60}|.{20,24}", b in "\\PC{0,40}|[a-z]{0,60}") {
        for x in forms(&a) {
            prop_assert_eq!(Some(x.as_str()), unchecked::checked(&x));
            prop_assert_eq!((x.as_str(), x.to_string(), format!("{x:?}")), (a.as_str(), a.clone(), format!("{a:?}")));
            prop_assert_eq!(hash(&x), hash(&a));
            prop_assert_eq!(x.clone().owned(), x.clone());
            prop_assert_eq!(Arc::<str>::from(x.clone()), Arc::<str>::from(a.as_str()));
            prop_assert_eq!(serde_json::to_string(&x).unwrap(), serde_json::to_string(&a).unwrap());
            prop_assert_eq!(serde_json::from_str::<Text>(&serde_json::to_string(&a).unwrap()).unwrap(), x.clone());
            for y in forms(&b) {
                prop_assert_eq!((x == y, x.cmp(&y)), (a == b, a.cmp(&b)));
            }
            for same in forms(&a) {
                prop_assert_eq!((&x, hash(&Value::Text(x.clone()))), (&same, hash(&Value::Text(same.clone()))));
            }
        }
    }

    #[test]
    fn a_window_is_the_text_of_its_first_bytes_where_they_are_ascii(bytes in any::<[u8; 22]>(), high in any::<bool>(), len in 0..24usize) {
        let bytes = if high { bytes } else { bytes.map(|byte| byte & 0x7f) };
        let expected = bytes.get(..len).filter(|bytes| bytes.is_ascii()).and_then(Text::from_utf8);
        prop_assert_eq!(Text::of_window(&bytes, len).map(|t| (t.len(), t.is_short(), t)), expected.map(|t| (len, true, t)));
    }

    #[test]
    fn a_part_is_a_text_exactly_where_its_bytes_are_utf8(bytes in proptest::collection::vec(any::<u8>(), 0..60), ends in any::<[u8; 2]>()) {
        let part = usize::from(ends[0] % 61)..usize::from(ends[1] % 61);
        let said = bytes.get(part.clone()).and_then(|part| std::str::from_utf8(part).ok());
        let text = TextBuffer::new(bytes.clone()).text(part);
        prop_assert_eq!(text.as_deref(), said);
    }
}
