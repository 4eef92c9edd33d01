//! The small events: everything but table maps, rows and GTIDs.

use std::borrow::Cow;

use super::DecodeError;
use super::bytes::Reader;
use super::frame::{Header, verify};
use super::gtid_event::Xid;
use super::packed::unpack;

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

/// The file that the following events come from. The first rotate of a connection to MariaDB or Dolt may come with its checksum still
/// behind the name, since nothing has told yet that there are any: then `header` covers it and it matches.
///
/// # Errors
/// Too short.
pub fn rotate(header: Header, body: &[u8]) -> Result<String, DecodeError> {
    let mut r = Reader::new(body, "a rotate event");
    r.u64()?;
    let name = r.take_rest();
    let whole = header.size as usize == Header::LEN + body.len();
    let cut = body.split_last_chunk().filter(|(cut, crc)| whole && verify(header, cut, None, **crc).is_ok());
    let name = if cut.is_some() { &name[..name.len().saturating_sub(4)] } else { name };
    Ok(String::from_utf8_lossy(name).into_owned())
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

/// Which family of servers wrote a log: they differ in what they leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB.
    #[default]
    Mariadb,
    /// MySQL.
    Mysql,
    /// Dolt: no signs and no keys in table maps, a character set for every column, all numbers in JSON are doubles.
    Dolt,
}

impl Flavour {
    /// By the version text of a FORMAT_DESCRIPTION. Dolt always gives the one that its library was made with.
    pub fn of_version(version: &str) -> Flavour {
        match version {
            "5.6.33-0ubuntu0.14.04.1-log" => Flavour::Dolt,
            _ if version.contains("MariaDB") => Flavour::Mariadb,
            _ => Flavour::Mysql,
        }
    }
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

/// An XA_PREPARE event: whether it in fact commits (`XA COMMIT … ONE PHASE`), and the transaction's name.
///
/// # Errors
/// Too short, or a name longer than it may be.
pub fn xa_prepare(body: &[u8]) -> Result<(bool, Xid), DecodeError> {
    let mut r = Reader::new(body, "an XA prepare event");
    let one_phase = r.u8()? != 0;
    let (format, global, branch) = (r.u32()? as i32, r.u32()? as usize, r.u32()? as usize);
    let (global, branch) = (r.take(global)?, r.take(branch)?);
    let xid = Xid::new(format, global, branch).ok_or_else(|| DecodeError::malformed("the name of an XA transaction"))?;
    Ok((one_phase, xid))
}
