//! The small events: everything but table maps and rows.

use std::borrow::Cow;
use std::io::Read;

use super::DecodeError;
use super::bytes::Reader;
use super::gtid::Gtid;

/// The most that a compressed event may unpack to: the protocol's largest packet.
const UNPACKED_MAX: u64 = 1 << 30;

/// Whether events carry a CRC32, by the algorithm byte of a FORMAT_DESCRIPTION.
pub(crate) fn checksums(algorithm: u8) -> Result<bool, DecodeError> {
    match algorithm {
        0 => Ok(false),
        1 => Ok(true),
        255 => Ok(false), // A server too old to know checksums.
        other => Err(DecodeError::unsupported(
            format!("checksum algorithm {other}"),
            "set binlog_checksum to CRC32 or NONE on the server",
        )),
    }
}

/// The file that the following events come from.
///
/// # Errors
/// Too short.
pub fn rotate(body: &[u8]) -> Result<String, DecodeError> {
    let mut r = Reader::new(body, "a rotate event");
    r.u64()?;
    Ok(String::from_utf8_lossy(r.take_rest()).into_owned())
}

/// The version text of the server that wrote the log, from a FORMAT_DESCRIPTION.
///
/// # Errors
/// Too short, or a log format other than 4 with 19-byte headers.
pub fn format_description(body: &[u8]) -> Result<String, DecodeError> {
    let mut r = Reader::new(body, "a format description");
    let version = r.u16()?;
    let text = r.take(50)?;
    r.u32()?;
    let header_len = r.u8()?;
    if version != 4 || header_len != 19 {
        return Err(DecodeError::unsupported(format!("log format {version}"), "only format 4 (any server since 2005) is known"));
    }
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// The begin of a transaction in MariaDB's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GtidEvent {
    /// The transaction's id.
    pub gtid: Gtid,
    /// Exactly one statement follows, with no end marker.
    pub standalone: bool,
    /// What it has to do with XA.
    pub xa: Xa,
}

/// The XA side of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xa {
    /// An ordinary transaction.
    None,
    /// Prepared here: its changes count when it is completed.
    Prepared(Xid),
    /// Commit or rollback of what was prepared before.
    Completed(Xid),
}

/// A distributed transaction's own name: format, then both parts of the id with the first one's length before them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xid(Box<[u8]>);

const FLAG_STANDALONE: u8 = 0x01;
const FLAG_GROUP_COMMIT_ID: u8 = 0x02;
const FLAG_PREPARED_XA: u8 = 0x40;
const FLAG_COMPLETED_XA: u8 = 0x80;

/// Reads a MariaDB GTID event; `server_id` is the header's.
///
/// # Errors
/// Too short.
pub fn gtid(server_id: u32, body: &[u8]) -> Result<GtidEvent, DecodeError> {
    let mut r = Reader::new(body, "a GTID event");
    let sequence = r.u64()?;
    let domain = r.u32()?;
    let flags = r.u8()?;
    let xa = if flags & (FLAG_PREPARED_XA | FLAG_COMPLETED_XA) == 0 {
        Xa::None
    } else {
        r.take(if flags & FLAG_GROUP_COMMIT_ID != 0 { 8 } else { 0 })?;
        let xid = xid(&mut r)?;
        if flags & FLAG_PREPARED_XA != 0 { Xa::Prepared(xid) } else { Xa::Completed(xid) }
    };
    Ok(GtidEvent { gtid: Gtid { domain, server: server_id, sequence }, standalone: flags & FLAG_STANDALONE != 0, xa })
}

fn xid(r: &mut Reader<'_>) -> Result<Xid, DecodeError> {
    let format = r.array::<4>()?;
    let [global, branch] = r.array::<2>()?;
    let name = r.take(usize::from(global) + usize::from(branch))?;
    Ok(Xid([&format[..], &[global], name].concat().into()))
}

/// The state of every domain at the place of a GTID list.
///
/// # Errors
/// Too short.
pub fn gtid_list(body: &[u8]) -> Result<Vec<Gtid>, DecodeError> {
    let mut r = Reader::new(body, "a GTID list");
    let count = r.u32()? & 0x0fff_ffff;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(Gtid { domain: r.u32()?, server: r.u32()?, sequence: r.u64()? });
    }
    Ok(list)
}

/// A statement in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The default database; empty if none.
    pub database: Cow<'a, str>,
    /// The statement.
    pub sql: Cow<'a, str>,
}

/// Reads a QUERY event, packed or not.
///
/// # Errors
/// Too short, or not what the compressor makes.
pub fn query(body: &[u8], packed: bool) -> Result<Query<'_>, DecodeError> {
    let mut r = Reader::new(body, "a query event");
    r.take(8)?;
    let database_len = r.u8()?;
    r.u16()?;
    let variables = r.u16()?;
    r.take(usize::from(variables))?;
    let database = String::from_utf8_lossy(r.take(usize::from(database_len))?);
    r.u8()?;
    let sql = match packed {
        false => String::from_utf8_lossy(r.take_rest()),
        true => Cow::Owned(String::from_utf8_lossy(&unpack(r.take_rest())?).into_owned()),
    };
    Ok(Query { database, sql })
}

/// Whether an XA_PREPARE event in fact commits (`XA COMMIT … ONE PHASE`).
///
/// # Errors
/// Too short.
pub fn xa_prepare_is_one_phase(body: &[u8]) -> Result<bool, DecodeError> {
    Ok(Reader::new(body, "an XA prepare event").u8()? != 0)
}

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
    if len > UNPACKED_MAX {
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
