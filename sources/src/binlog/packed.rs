//! What is compressed in a log: single events (MariaDB) and whole transactions (MySQL).
//!
//! Invariant: what comes out is bounded, whatever the bytes claim, and memory grows only with what has really come out.

use std::borrow::Cow;
use std::io::Read;

use super::DecodeError;
use super::bytes::Reader;
use super::frame::{Frame, Header};

/// The most that a compressed event may unpack to: the protocol's largest packet.
const EVENT_MAX: u64 = 1 << 30;

/// The most that a compressed transaction may unpack to, all its events together: more is nonsense. Only one of them is in memory.
const TRANSACTION_MAX: u64 = 1 << 40;

/// Unpacks MariaDB's compressed events: a byte with the algorithm and the width of the length, the length, then zlib.
///
/// # Errors
/// Another algorithm, damaged data, or more than the length says.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut r = Reader::new(packed, "a compressed event");
    let head = r.u8()?;
    if head & 0x70 != 0 {
        return Err(DecodeError::unsupported(
            format!("compression {}", (head & 0x70) >> 4),
            "set log_bin_compress=OFF on the server",
        ));
    }
    let len = r.uint_be(usize::from(head & 0x07))?;
    if len > EVENT_MAX {
        return Err(DecodeError::malformed(format!("a compressed event of {len} bytes")));
    }
    let mut out = Vec::new();
    let mut unzip = flate2::read::ZlibDecoder::new(r.take_rest()).take(len + 1);
    unzip.read_to_end(&mut out).map_err(|e| DecodeError::malformed(format!("a compressed event: {e}")))?;
    if out.len() as u64 != len {
        return Err(DecodeError::malformed(format!("a compressed event of {} bytes that says {len}", out.len())));
    }
    Ok(out)
}

/// Unpacks a value of a COMPRESSED column of MariaDB: a byte that says how, the length, then deflate with or without the frame of zlib.
///
/// # Errors
/// Another method, damaged data, or more than the length says.
pub(crate) fn unpack_column(packed: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let Some((head, rest)) = packed.split_first() else { return Ok(Cow::Borrowed(packed)) };
    if *head == 0 {
        return Ok(Cow::Borrowed(rest));
    }
    if head & 0xf0 != 0x80 {
        return Err(DecodeError::malformed(format!("method {head:#x} of a compressed value")));
    }
    let mut r = Reader::new(rest, "a compressed value");
    let len = r.uint_be(usize::from(head & 0x07))?;
    if len > EVENT_MAX {
        return Err(DecodeError::malformed(format!("a compressed value of {len} bytes")));
    }
    let mut out = Vec::new();
    let packed = r.take_rest();
    let unpacked = match head & 0x08 {
        0 => flate2::read::ZlibDecoder::new(packed).take(len + 1).read_to_end(&mut out),
        _ => flate2::read::DeflateDecoder::new(packed).take(len + 1).read_to_end(&mut out),
    };
    match unpacked {
        Ok(_) if out.len() as u64 == len => Ok(Cow::Owned(out)),
        Ok(_) => Err(DecodeError::malformed(format!("a compressed value of {} bytes that says {len}", out.len()))),
        Err(e) => Err(DecodeError::malformed(format!("a compressed value: {e}"))),
    }
}

/// The events inside MySQL's TRANSACTION_PAYLOAD, one after another, so that only one is in memory at a time.
pub(crate) struct Payload<'a> {
    unpacked: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    rest: u64,
}

impl<'a> Payload<'a> {
    /// Reads the head of a payload: numbered fields, then the compressed events.
    ///
    /// # Errors
    /// Another algorithm than zstd or none, a damaged head, or more than may come out.
    pub(crate) fn new(body: &'a [u8]) -> Result<Payload<'a>, DecodeError> {
        let mut r = Reader::new(body, "a compressed transaction");
        let (mut algorithm, mut len) = (None, None);
        loop {
            let field = r.lenenc()?;
            if field == 0 {
                break;
            }
            let mut value = Reader::new(r.lenenc_bytes()?, "the head of a compressed transaction");
            match field {
                2 => algorithm = Some(value.lenenc()?),
                3 => len = Some(value.lenenc()?),
                _ => {} // The size of what follows, which the event's own size tells.
            }
        }
        let packed = r.take_rest();
        let rest = len.unwrap_or(TRANSACTION_MAX);
        if rest > TRANSACTION_MAX {
            return Err(DecodeError::malformed(format!("a compressed transaction of {rest} bytes")));
        }
        let unpacked: Box<dyn Read + 'a> = match algorithm {
            Some(0) => Box::new(zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| damaged(&e))?),
            Some(255) => Box::new(packed),
            Some(other) => {
                let cure = "set binlog_transaction_compression=OFF on the server";
                return Err(DecodeError::unsupported(format!("compression {other}"), cure));
            }
            None => return Err(DecodeError::malformed("a compressed transaction that does not say how")),
        };
        Ok(Payload { unpacked, buffer: Vec::new(), rest })
    }

    /// The next event; they have no checksums of their own.
    ///
    /// # Errors
    /// Damaged data, a size that does not fit, or more than was announced.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, DecodeError> {
        if !self.read(Header::LEN as u64)? {
            return Ok(None);
        }
        let header = Header::parse(&self.buffer)?;
        let len = u64::from(header.size).checked_sub(Header::LEN as u64).filter(|len| *len <= EVENT_MAX);
        let len = len.ok_or_else(|| DecodeError::malformed(format!("an event of {} bytes", header.size)))?;
        if !self.read(len)? && len > 0 {
            return Err(DecodeError::Truncated { what: "a compressed transaction" });
        }
        Ok(Some(Frame { header, body: &self.buffer }))
    }

    /// Fills the buffer with exactly so many bytes; `false` if there are none left.
    fn read(&mut self, len: u64) -> Result<bool, DecodeError> {
        self.buffer.clear();
        let read = self.unpacked.by_ref().take(len).read_to_end(&mut self.buffer).map_err(|e| damaged(&e))? as u64;
        if read < len && read > 0 {
            return Err(DecodeError::Truncated { what: "a compressed transaction" });
        }
        self.rest =
            self.rest.checked_sub(read).ok_or_else(|| DecodeError::malformed("more than a compressed transaction says"))?;
        Ok(read > 0)
    }
}

fn damaged(error: &std::io::Error) -> DecodeError {
    DecodeError::malformed(format!("a compressed transaction: {error}"))
}
