//! A cursor over bytes that cannot run past their end.

use super::DecodeError;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// What is being read, for the error.
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Reader { rest: bytes, what }
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(self.too_short()),
        }
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(self.too_short()),
        }
    }

    /// That there are too few bytes.
    pub(crate) fn too_short(&self) -> DecodeError {
        DecodeError::Truncated { what: self.what }
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(crate) fn u24(&mut self) -> Result<u32, DecodeError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Three bytes, most significant first.
    #[inline(always)]
    pub(crate) fn u24_be(&mut self) -> Result<u32, DecodeError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// Five bytes, most significant first.
    #[inline(always)]
    pub(crate) fn u40_be(&mut self) -> Result<u64, DecodeError> {
        let [a, b, c, d, e] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    pub(crate) fn u48(&mut self) -> Result<u64, DecodeError> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `n ≤ 8` bytes, least significant first.
    #[inline(always)]
    pub(crate) fn uint_le(&mut self, n: usize) -> Result<u64, DecodeError> {
        if n == 1 {
            return Ok(u64::from(self.u8()?));
        }
        Ok(self.take(n)?.iter().rev().fold(0, |x, b| x << 8 | u64::from(*b)))
    }

    /// `1 ≤ n ≤ 8` bytes, most significant first.
    #[inline(always)]
    pub(crate) fn uint_be(&mut self, n: usize) -> Result<u64, DecodeError> {
        // Eight bytes at once where there are so many, as there nearly always are.
        if let Some(eight) = self.rest.first_chunk::<8>().filter(|_| (1..=8).contains(&n)) {
            self.rest = &self.rest[n..];
            return Ok(u64::from_be_bytes(*eight) >> (64 - 8 * n));
        }
        Ok(self.take(n)?.iter().fold(0, |x, b| x << 8 | u64::from(*b)))
    }

    /// A length-encoded integer of the protocol.
    pub(crate) fn lenenc(&mut self) -> Result<u64, DecodeError> {
        match self.u8()? {
            x @ 0..=250 => Ok(u64::from(x)),
            0xfc => Ok(u64::from(self.u16()?)),
            0xfd => Ok(u64::from(self.u24()?)),
            0xfe => self.u64(),
            _ => Err(DecodeError::malformed(format!("a length in {}", self.what))),
        }
    }

    /// An integer of MySQL's serialization library: as many more bytes follow the first as that has ones at its low end.
    pub(crate) fn varying(&mut self) -> Result<u64, DecodeError> {
        let more = self.rest.first().map_or(0, |b| b.trailing_ones() as usize);
        if more == 8 {
            self.u8()?;
            return self.u64();
        }
        Ok(self.uint_le(more + 1)? >> (more + 1))
    }

    /// A length-encoded integer that counts or measures what follows, so it cannot exceed what is left.
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        let n = self.lenenc()?;
        usize::try_from(n).ok().filter(|n| *n <= self.rest.len()).ok_or(DecodeError::Truncated { what: self.what })
    }

    /// Bytes with their length before them.
    pub(crate) fn lenenc_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let n = self.length()?;
        self.take(n)
    }
}

/// The eight bytes that `rest` begins with, as one number, most significant first; `None` if there are fewer.
#[inline(always)]
pub(crate) fn eight(rest: &[u8]) -> Option<u64> {
    rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
