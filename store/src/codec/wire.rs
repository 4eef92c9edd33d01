//! Bytes, varints and length-prefixed pieces.
//!
//! Reading never panics, and allocates at most a small multiple of the input, whatever the bytes are.

/// The bytes are not what this version writes: what was being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub &'static str);

/// Seven bits a byte, lowest first; the high bit says that more follow.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// A signed number as a varint: small magnitudes are short.
#[inline]
pub(crate) fn put_zigzag(out: &mut Vec<u8>, x: i64) {
    put_varint(out, ((x << 1) ^ (x >> 63)) as u64);
}

/// A length and the bytes.
#[inline]
pub(crate) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (&first, rest) = self.rest.split_first().ok_or(Damaged("a byte"))?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Damaged> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Damaged("a run of bytes"))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Damaged("a fixed run of bytes"))?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut x = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            x |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(x);
            }
        }
        Err(Damaged("a varint"))
    }

    #[inline]
    pub(crate) fn zigzag(&mut self) -> Result<i64, Damaged> {
        let x = self.varint()?;
        Ok((x >> 1) as i64 ^ -((x & 1) as i64))
    }

    /// A count of things that take at least one byte each, so that a damaged count cannot make the reader allocate much.
    #[inline]
    pub(crate) fn count(&mut self) -> Result<usize, Damaged> {
        let n = self.varint()?;
        if n > self.rest.len() as u64 { Err(Damaged("a count")) } else { Ok(n as usize) }
    }

    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], Damaged> {
        let n = self.count()?;
        self.take(n)
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.sized()?).map_err(|_| Damaged("text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_edges_come_back() {
        for x in [0, 1, -1, 63, -64, 64, 127, 128, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_zigzag(&mut out, x);
            put_varint(&mut out, x as u64);
            let mut reader = Reader::new(&out);
            assert_eq!((reader.zigzag(), reader.varint()), (Ok(x), Ok(x as u64)));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_damaged_length_is_an_error_and_not_an_allocation() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0x7f]).sized(), Err(Damaged("a count")));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(Damaged("a varint")));
        assert_eq!(Reader::new(&[5, b'a']).text(), Err(Damaged("a count")));
    }
}
