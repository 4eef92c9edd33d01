//! Events in a row of bytes: the header, the body, and the checksum between them and the next.

use super::bytes::Reader;
use super::{DecodeError, control};

/// Event types by number.
pub mod kind {
    #![allow(missing_docs)]
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const MYSQL_GTID: u8 = 33;
    pub const MYSQL_ANONYMOUS_GTID: u8 = 34;
    pub const MYSQL_PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const MYSQL_TAGGED_GTID: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
    pub const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub const DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub const WRITE_ROWS_COMPRESSED: u8 = 169;
    pub const UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub const DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// The event was made up by the server for this connection and stands in no file.
pub const FLAG_ARTIFICIAL: u16 = 0x20;
/// A reader that does not know the event's type may skip it.
pub const FLAG_IGNORABLE: u16 = 0x80;
/// Set in a file that is being written; not covered by the checksum.
const FLAG_IN_USE: u16 = 0x01;

/// The first four bytes of a binlog file.
pub const FILE_MAGIC: [u8; 4] = [0xfe, b'b', b'i', b'n'];

/// The first four bytes of a file that MySQL has encrypted.
pub const ENCRYPTED_MAGIC: [u8; 4] = [0xfd, b'b', b'i', b'n'];

const CRC_LEN: usize = 4;

/// The header that every event begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970-01-01 UTC on the server's clock.
    pub timestamp: u32,
    /// The event's type, see [`kind`].
    pub kind: u8,
    /// The server where the change was made.
    pub server_id: u32,
    /// Header, body and checksum in bytes.
    pub size: u32,
    /// Where the event ends in its file; 0 where that is not known.
    pub end: u32,
    /// [`FLAG_ARTIFICIAL`] and others.
    pub flags: u16,
}

impl Header {
    /// Bytes of a header.
    pub const LEN: usize = 19;

    /// Reads the header at the beginning of `bytes`.
    ///
    /// # Errors
    /// Fewer than [`Header::LEN`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut r = Reader::new(bytes, "an event header");
        Ok(Header { timestamp: r.u32()?, kind: r.u8()?, server_id: r.u32()?, size: r.u32()?, end: r.u32()?, flags: r.u16()? })
    }

    /// The bytes that [`Header::parse`] reads.
    pub fn to_bytes(self) -> [u8; Header::LEN] {
        let mut out = [0; Header::LEN];
        out[0..4].copy_from_slice(&self.timestamp.to_le_bytes());
        out[4] = self.kind;
        out[5..9].copy_from_slice(&self.server_id.to_le_bytes());
        out[9..13].copy_from_slice(&self.size.to_le_bytes());
        out[13..17].copy_from_slice(&self.end.to_le_bytes());
        out[17..19].copy_from_slice(&self.flags.to_le_bytes());
        out
    }

    /// Whether the server made the event up for this connection.
    pub fn is_artificial(self) -> bool {
        self.flags & FLAG_ARTIFICIAL != 0
    }
}

/// One event: its header and its body without the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// The body; of a FORMAT_DESCRIPTION without the checksum algorithm at its end.
    pub body: &'a [u8],
}

/// Splits events and verifies their checksums as the latest FORMAT_DESCRIPTION says.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    checksums: bool,
}

impl Framer {
    /// Takes one event apart; `bytes` is the whole event.
    ///
    /// # Errors
    /// A size that does not fit, or a checksum that does not match.
    pub fn split<'a>(&mut self, bytes: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
        let header = Header::parse(bytes)?;
        if header.size as usize != bytes.len() {
            return Err(DecodeError::malformed(format!("{} bytes where the header says {}", bytes.len(), header.size)));
        }
        let body = &bytes[Header::LEN..];
        if header.kind == kind::FORMAT_DESCRIPTION {
            return self.split_description(header, body);
        }
        match body.split_last_chunk::<CRC_LEN>() {
            Some((body, crc)) if self.checksums => {
                verify(header, body, None, *crc)?;
                Ok(Frame { header, body })
            }
            // The first rotate of a connection comes before the description that would say whether it has a checksum: it tells itself.
            Some((cut, crc)) if header.kind == kind::ROTATE && verify(header, cut, None, *crc).is_ok() => {
                Ok(Frame { header, body: cut })
            }
            None if self.checksums => Err(DecodeError::Truncated { what: "a checksum" }),
            _ => Ok(Frame { header, body }),
        }
    }

    /// A format description ends with the checksum algorithm and, whatever that is, a checksum.
    fn split_description<'a>(&mut self, header: Header, body: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
        let (rest, crc) = body.split_last_chunk::<CRC_LEN>().ok_or(DecodeError::Truncated { what: "a checksum" })?;
        let (algorithm, rest) = rest.split_last().ok_or(DecodeError::Truncated { what: "the checksum algorithm" })?;
        self.checksums = control::checksums(*algorithm)?;
        if self.checksums {
            verify(header, rest, Some(*algorithm), *crc)?;
        }
        Ok(Frame { header, body: rest })
    }
}

/// The events of a binlog file in memory, from its first byte. Ends after the first error.
#[derive(Clone, Debug)]
pub struct FileEvents<'a> {
    rest: &'a [u8],
    framer: Framer,
    begun: bool,
    ended: bool,
}

impl<'a> FileEvents<'a> {
    /// The events of `file`.
    pub fn new(file: &'a [u8]) -> Self {
        FileEvents { rest: file, framer: Framer::default(), begun: false, ended: false }
    }

    fn read(&mut self) -> Result<Option<Frame<'a>>, DecodeError> {
        if !self.begun {
            self.rest = self.rest.strip_prefix(&FILE_MAGIC).ok_or_else(|| DecodeError::malformed("this is no binlog file"))?;
            self.begun = true;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let size = Header::parse(self.rest)?.size as usize;
        let (event, rest) = self.rest.split_at_checked(size).ok_or(DecodeError::Truncated { what: "a binlog file" })?;
        if size < Header::LEN {
            return Err(DecodeError::malformed(format!("an event of {size} bytes")));
        }
        self.rest = rest;
        self.framer.split(event).map(Some)
    }
}

impl<'a> Iterator for FileEvents<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Checks the CRC32 of an event that comes in pieces: header, body, and for a FORMAT_DESCRIPTION the algorithm.
///
/// # Errors
/// [`DecodeError::Checksum`] if it differs.
pub fn verify(header: Header, body: &[u8], algorithm: Option<u8>, crc: [u8; 4]) -> Result<(), DecodeError> {
    let mut hasher = crc32fast::Hasher::new();
    let covered = if header.kind == kind::FORMAT_DESCRIPTION { header.flags & !FLAG_IN_USE } else { header.flags };
    hasher.update(&Header { flags: covered, ..header }.to_bytes());
    hasher.update(body);
    hasher.update(algorithm.as_slice());
    if hasher.finalize() == u32::from_le_bytes(crc) {
        return Ok(());
    }
    Err(DecodeError::Checksum { kind: header.kind, end: header.end })
}
