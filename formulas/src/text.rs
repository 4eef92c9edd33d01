//! Text: an immutable string of 24 bytes that is cheap to make, to copy and to drop.
//!
//! - Up to [`Text::SHORT_MAX`] bytes lie in the text itself: no heap.
//! - Longer ones own their bytes and share them among their clones;
//! - or are a part of a [`TextBuffer`] that many texts share: those of one event of a log, which come and go together.
//!
//! Which of the three a text is cannot be seen in what it says: equality, order and hash are those of `str`.
//!
//! A part keeps its whole buffer in memory. So what is kept for long is kept as [`Text::owned`]: state, keys, accumulators.
//!
//! Invariants:
//! - TEXT-1: the bytes of a text are UTF-8. They were checked when it was made, and nothing changes them.
//! - TEXT-2: up to [`Text::SHORT_MAX`] bytes are always in the text itself, more never are.

mod unchecked;

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// An immutable string. See the module for its forms; a clone never allocates.
#[derive(Clone)]
pub struct Text(Form);

#[derive(Clone)]
enum Form {
    Short { len: u8, bytes: [u8; Text::SHORT_MAX] },
    Own(Arc<str>),
    Part(Part),
}

#[derive(Clone)]
struct Part {
    buffer: TextBuffer,
    start: u32,
    len: u32,
}

/// Bytes of which texts are parts. They need not all be text.
#[derive(Clone, Debug)]
pub struct TextBuffer(Arc<Box<[u8]>>);

impl Text {
    /// Bytes that need no heap.
    pub const SHORT_MAX: usize = 22;

    /// The string.
    #[inline]
    pub fn as_str(&self) -> &str {
        unchecked::as_str(self)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { len, bytes } => &bytes[..usize::from(*len)],
            Form::Own(text) => text.as_bytes(),
            Form::Part(Part { buffer, start, len }) => &buffer.0[*start as usize..][..*len as usize],
        }
    }

    /// The same text with bytes of its own, to be kept for long. O(1) unless it is a part of a buffer; then its bytes are copied.
    #[inline]
    pub fn owned(self) -> Text {
        match self.0 {
            Form::Part(_) => Text(Form::Own(self.as_str().into())),
            _ => self,
        }
    }

    /// Bytes on the heap that are its own, those it shares with its clones included; of a buffer only its part.
    pub fn heap_bytes(&self) -> u64 {
        const COUNTERS: u64 = 16;
        match &self.0 {
            Form::Short { .. } => 0,
            Form::Own(text) => COUNTERS + text.len() as u64,
            Form::Part(part) => u64::from(part.len),
        }
    }

    /// These bytes as text; `None` if they are no UTF-8.
    #[inline]
    pub fn from_utf8(bytes: &[u8]) -> Option<Text> {
        if !is_ascii(bytes) {
            std::str::from_utf8(bytes).ok()?;
        }
        Text::short(bytes).map(Text).or_else(|| std::str::from_utf8(bytes).ok().map(Text::from))
    }

    /// The first `len` bytes of `window` as text; `None` if they are not all ASCII, or more than there are. It costs the same for any
    /// length: a copy whose length is known only when it runs takes longer than all of this.
    #[inline(always)]
    pub fn of_window(window: &[u8; Text::SHORT_MAX], len: usize) -> Option<Text> {
        let head = window.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        let tail = window.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) >> 16;
        let (head, tail) = match len {
            0..16 => (head & !(u128::MAX << (8 * len)), 0),
            16..=Text::SHORT_MAX => (head, tail & !(u64::MAX << (8 * (len - 16)))),
            _ => return None,
        };
        let any = head as u64 | (head >> 64) as u64 | tail;
        if any & HIGH != 0 {
            return None;
        }
        let mut bytes = [0; Text::SHORT_MAX];
        bytes[..16].copy_from_slice(&head.to_le_bytes());
        bytes[16..].copy_from_slice(&tail.to_le_bytes()[..6]);
        Some(Text(Form::Short { len: len as u8, bytes }))
    }

    /// Whether it has no bytes on the heap, so that there is nothing to give back.
    #[inline]
    pub fn is_short(&self) -> bool {
        matches!(self.0, Form::Short { .. })
    }

    /// `None`: it is too long to be short.
    #[inline]
    fn short(text: &[u8]) -> Option<Form> {
        let mut bytes = [0; Text::SHORT_MAX];
        let len = text.len();
        match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            // The two ends are copied in one piece each, which a length that is known only now is not.
            (Some(first), Some(last)) if len <= 16 => {
                bytes[..8].copy_from_slice(first);
                bytes[len - 8..len].copy_from_slice(last);
            }
            _ => bytes.get_mut(..len)?.copy_from_slice(text),
        }
        Some(Form::Short { len: len as u8, bytes })
    }
}

impl TextBuffer {
    /// Bytes to be shared. They live until the last text that is a part of them is dropped.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> TextBuffer {
        TextBuffer(Arc::new(bytes.into()))
    }

    /// All of them.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A part as text. `None` if it is no UTF-8, or beyond the end. Allocates nothing, unless the part begins behind 4 GiB.
    #[inline]
    pub fn text(&self, part: Range<usize>) -> Option<Text> {
        let bytes = self.0.get(part.clone())?;
        match (u32::try_from(part.start), u32::try_from(bytes.len())) {
            (Ok(start), Ok(len)) if bytes.len() > Text::SHORT_MAX => {
                if !is_ascii(bytes) {
                    std::str::from_utf8(bytes).ok()?;
                }
                Some(Text(Form::Part(Part { buffer: self.clone(), start, len })))
            }
            _ => Text::from_utf8(bytes),
        }
    }

    /// How many hold the bytes: texts and clones of this buffer, this one included.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// The bits that no byte of ASCII has.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// As the method of slices, which is slow where it is compiled for any processor.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let any = bytes.as_chunks::<16>().0.iter().fold(u128::from_ne_bytes(*last), |any, some| any | u128::from_ne_bytes(*some));
        return any & (u128::from(HIGH) << 64 | u128::from(HIGH)) == 0;
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH == 0,
        _ => bytes.iter().fold(0, |any, byte| any | byte) < 0x80,
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Text) -> bool {
        let (a, b) = (self.as_bytes(), other.as_bytes());
        std::ptr::eq(a, b) || a == b
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Text {
        Text(Text::short(text.as_bytes()).unwrap_or_else(|| Form::Own(text.into())))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(Text::short(text.as_bytes()).unwrap_or_else(|| Form::Own(text.into())))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Text {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Text {
        Text(Text::short(text.as_bytes()).unwrap_or(Form::Own(text)))
    }
}

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Text {
        Text(Text::short(text.as_bytes()).unwrap_or_else(|| Form::Own(text.clone())))
    }
}

impl From<Text> for Arc<str> {
    fn from(text: Text) -> Arc<str> {
        match text.0 {
            Form::Own(text) => text,
            _ => text.as_str().into(),
        }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_string(AnyText)
    }
}

struct AnyText;

impl Visitor<'_> for AnyText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests;
