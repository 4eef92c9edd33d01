//! The events that begin a transaction, and those that say what came before a file: GTID events of MariaDB and of MySQL.

use super::DecodeError;
use super::bytes::Reader;
use super::gtid::Gtid;
use super::gtid_set::{GtidSet, MysqlGtid, NUMBER_MAX, Tag, Uuid};
use super::position::TransactionId;

/// The begin of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GtidEvent {
    /// The transaction's id; `None` in a log without GTIDs, where its place is its id.
    pub id: Option<TransactionId>,
    /// Where it ends.
    pub bounds: Bounds,
    /// What it has to do with XA, as far as this event tells.
    pub xa: Xa,
}

/// What ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Exactly one statement follows, with no end marker.
    OneStatement,
    /// XID, XA PREPARE, `COMMIT` or `ROLLBACK`.
    Marked,
    /// MySQL: marked if its first statement is `BEGIN` or `XA START`, else just that one statement.
    ByFirstStatement,
}

/// The XA side of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xa {
    /// An ordinary transaction, or one of MySQL, whose own statements and events name it.
    None,
    /// Prepared here: its changes count when it is completed.
    Prepared(Xid),
    /// Commit or rollback of what was prepared before.
    Completed(Xid),
}

/// A distributed transaction's own name: format, then both parts of the id with the first one's length before them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xid(Box<[u8]>);

impl Xid {
    /// From its parts; `None` if one is longer than the 64 bytes that it may have.
    pub fn new(format: i32, global: &[u8], branch: &[u8]) -> Option<Xid> {
        const PART_MAX: usize = 64;
        let fits = global.len() <= PART_MAX && branch.len() <= PART_MAX;
        fits.then(|| Xid([&format.to_le_bytes()[..], &[global.len() as u8], global, branch].concat().into()))
    }
}

const FLAG_STANDALONE: u8 = 0x01;
const FLAG_GROUP_COMMIT_ID: u8 = 0x02;
const FLAG_PREPARED_XA: u8 = 0x40;
const FLAG_COMPLETED_XA: u8 = 0x80;

/// Reads a MariaDB GTID event; `server_id` is the header's.
///
/// # Errors
/// Too short.
pub fn mariadb(server_id: u32, body: &[u8]) -> Result<GtidEvent, DecodeError> {
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
    let bounds = if flags & FLAG_STANDALONE != 0 { Bounds::OneStatement } else { Bounds::Marked };
    Ok(GtidEvent { id: Some(TransactionId::Mariadb(Gtid { domain, server: server_id, sequence })), bounds, xa })
}

fn xid(r: &mut Reader<'_>) -> Result<Xid, DecodeError> {
    let format = r.u32()? as i32;
    let [global, branch] = r.array::<2>()?;
    let (global, branch) = (r.take(usize::from(global))?, r.take(usize::from(branch))?);
    Xid::new(format, global, branch).ok_or_else(|| DecodeError::malformed("the name of an XA transaction"))
}

/// The state of every domain at the place of a MariaDB GTID list.
///
/// # Errors
/// Too short.
pub fn mariadb_list(body: &[u8]) -> Result<Vec<Gtid>, DecodeError> {
    let mut r = Reader::new(body, "a GTID list");
    let count = r.u32()? & 0x0fff_ffff;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(Gtid { domain: r.u32()?, server: r.u32()?, sequence: r.u64()? });
    }
    Ok(list)
}

fn of_mysql(id: Option<MysqlGtid>) -> GtidEvent {
    GtidEvent { id: id.map(TransactionId::Mysql), bounds: Bounds::ByFirstStatement, xa: Xa::None }
}

fn number(number: u64) -> Result<u64, DecodeError> {
    match number {
        1..=NUMBER_MAX => Ok(number),
        _ => Err(DecodeError::malformed(format!("transaction number {number}"))),
    }
}

/// Reads MySQL's GTID event (33). What follows the number (commit times, lengths, versions) differs by version and is not needed; Dolt
/// has none of it.
///
/// # Errors
/// Too short, or a number that no transaction has.
pub fn mysql(body: &[u8]) -> Result<GtidEvent, DecodeError> {
    let mut r = Reader::new(body, "a GTID event");
    r.u8()?;
    let uuid = Uuid(r.array()?);
    Ok(of_mysql(Some(MysqlGtid { uuid, tag: Tag::none(), number: number(r.u64()?)? })))
}

/// MySQL's event before a transaction without GTID (34).
pub fn mysql_anonymous() -> GtidEvent {
    of_mysql(None)
}

/// Reads MySQL's tagged GTID event (42): numbered fields of varying length, of which the first four matter.
///
/// # Errors
/// Too short, a layout that is not known, or no id in it.
pub fn mysql_tagged(body: &[u8]) -> Result<GtidEvent, DecodeError> {
    let mut r = Reader::new(body, "a tagged GTID event");
    let layout = r.u8()?;
    if layout != 2 {
        return Err(DecodeError::unsupported(
            format!("layout {layout} of a tagged GTID event"),
            "this server is newer than what is known here",
        ));
    }
    if r.varying()? > body.len() as u64 {
        return Err(DecodeError::Truncated { what: "a tagged GTID event" });
    }
    r.varying()?; // The last field that must be understood: they are all older than tags.
    let mut uuid = None;
    let mut tag = Tag::none();
    while !r.is_empty() {
        match r.varying()? {
            0 => drop(r.varying()?),
            1 => {
                let mut bytes = [0u8; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(r.varying()?).map_err(|_| DecodeError::malformed("a server's id"))?;
                }
                uuid = Some(Uuid(bytes));
            }
            2 => {
                // Signed, the sign in the lowest bit. The tag follows.
                let (number, uuid) = (number(r.varying()? >> 1)?, uuid.ok_or_else(no_id)?);
                if !r.is_empty() && r.clone().varying()? == 3 {
                    r.varying()?;
                    tag = tag_of(&mut r)?;
                }
                return Ok(of_mysql(Some(MysqlGtid { uuid, tag, number })));
            }
            _ => return Err(no_id()),
        }
    }
    Err(no_id())
}

fn no_id() -> DecodeError {
    DecodeError::malformed("a tagged GTID event without an id")
}

fn tag_of(r: &mut Reader<'_>) -> Result<Tag, DecodeError> {
    let len = usize::try_from(r.varying()?).unwrap_or(usize::MAX);
    let tag = std::str::from_utf8(r.take(len)?).ok().and_then(|text| Tag::new(text).ok());
    tag.ok_or_else(|| DecodeError::malformed("the tag of a GTID"))
}

/// The set of all transactions before a file, from MySQL's PREVIOUS_GTIDS.
///
/// # Errors
/// Too short, or ranges that no server writes.
pub fn mysql_previous(body: &[u8]) -> Result<GtidSet, DecodeError> {
    let mut r = Reader::new(body, "the GTIDs before a file");
    let head = r.u64()?;
    let is_tagged = head >> 56 != 0;
    let count = if is_tagged { head >> 8 & 0xffff_ffff_ffff } else { head };
    let mut set = GtidSet::default();
    for _ in 0..count {
        let uuid = Uuid(r.array()?);
        let tag = if is_tagged { tag_of(&mut r)? } else { Tag::none() };
        for _ in 0..r.u64()? {
            let (first, end) = (number(r.u64()?)?, r.u64()?);
            if end <= first {
                return Err(DecodeError::malformed(format!("transactions {first} to before {end}")));
            }
            set.add_range(uuid, &tag, first, end - 1);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number in MySQL's varying form; only the widths that the tests need.
    fn varying(n: u64) -> Vec<u8> {
        match n {
            0..0x80 => vec![(n << 1) as u8],
            0x80..0x4000 => ((n << 2 | 1) as u16).to_le_bytes().to_vec(),
            _ => [&[0xff][..], &n.to_le_bytes()].concat(),
        }
    }

    #[test]
    fn src_10_mysql_names_its_transactions() {
        let uuid = [0x3e; 16];
        let id = |text: &str| format!("3e3e3e3e-3e3e-3e3e-3e3e-3e3e3e3e3e3e:{text}");
        let plain = [&[1][..], &uuid, &7u64.to_le_bytes(), &[2, 9, 9]].concat();
        assert_eq!(mysql(&plain).unwrap().id.unwrap().to_string(), id("7"));
        assert_eq!(mysql(&plain[..25]).unwrap().id.unwrap().to_string(), id("7"), "Dolt ends here");
        assert!(mysql(&plain[..24]).is_err());

        for number in [7, 300, NUMBER_MAX] {
            let mut fields = [varying(0), varying(1), varying(1)].concat();
            fields.extend(uuid.iter().flat_map(|b| varying(u64::from(*b))));
            fields.extend([varying(2), varying(number << 1), varying(3), varying(5), b"mytag".to_vec(), varying(4)].concat());
            let body = [vec![2], varying(3 + fields.len() as u64), varying(0), fields].concat();
            assert_eq!(mysql_tagged(&body).unwrap().id.unwrap().to_string(), id(&format!("mytag:{number}")));
            for cut in 0..body.len() {
                assert!(mysql_tagged(&body[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn src_10_the_set_before_a_file_is_read_with_tags_and_without() {
        let words = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let plain = [words(&[1]), vec![0x3e; 16], words(&[2, 1, 6, 8, 9])].concat();
        assert_eq!(mysql_previous(&plain).unwrap().to_string(), "3e3e3e3e-3e3e-3e3e-3e3e-3e3e3e3e3e3e:1-5:8");
        let head = 1 << 56 | 2 << 8 | 1;
        let untagged = [vec![0x3e; 16], varying(0), words(&[1, 1, 24])].concat();
        let tagged = [vec![0x3e; 16], varying(1), b"t".to_vec(), words(&[1, 1, 5])].concat();
        let both = [words(&[head]), untagged, tagged].concat();
        assert_eq!(mysql_previous(&both).unwrap().to_string(), "3e3e3e3e-3e3e-3e3e-3e3e-3e3e3e3e3e3e:1-23:t:1-4");
        assert!(mysql_previous(&words(&[u64::MAX >> 9])).is_err());
    }
}
