//! The stand-in's binary log: files of events, as Dolt writes them.

use std::collections::BTreeMap;

use super::table::{Cell, Table};

/// A database's tables by (database, table).
pub(super) type Tables = BTreeMap<(String, String), Table>;

const QUERY: u8 = 2;
const ROTATE: u8 = 4;
const FORMAT_DESCRIPTION: u8 = 15;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const HEARTBEAT: u8 = 27;
const WRITE_ROWS: u8 = 30;
const UPDATE_ROWS: u8 = 31;
const DELETE_ROWS: u8 = 32;
const GTID: u8 = 33;
const PREVIOUS_GTIDS: u8 = 35;

/// What every FORMAT_DESCRIPTION says, whoever wrote it.
const VERSION: &[u8] = b"5.6.33-0ubuntu0.14.04.1-log";
const POST_HEADERS: [u8; 35] =
    [56, 13, 0, 8, 0, 18, 0, 4, 4, 4, 4, 18, 0, 0, 92, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 25, 25, 0];

/// One event, whole.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) bytes: Vec<u8>,
    /// The number of the transaction that begins here.
    pub(super) begins: Option<u64>,
}

/// All files of one server, one after another.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) uuid: [u8; 16],
    /// The same for every event of a run: Dolt's events do not know their time.
    timestamp: u32,
    /// Transactions that were logged.
    pub(super) executed: u64,
    /// Transactions whose files are gone.
    pub(super) purged: u64,
    file: u32,
    position: u32,
    pub(super) events: Vec<Logged>,
    /// Events of purged files: the index of the first that is left.
    pub(super) dropped: usize,
}

impl Log {
    pub(super) fn new(timestamp: u32) -> Log {
        let uuid = *b"\x3e\x11\xfa\x47\x71\xca\x11\xe1\x9e\x33\xc8\x0a\xa9\x42\x95\x62";
        let mut log = Log { uuid, timestamp, executed: 0, purged: 0, file: 0, position: 0, events: Vec::new(), dropped: 0 };
        log.begin_file();
        log
    }

    pub(super) fn uuid_text(&self) -> String {
        let hex: Vec<String> = self.uuid.iter().map(|b| format!("{b:02x}")).collect();
        [&hex[..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..]].map(|part| part.concat()).join("-")
    }

    /// `uuid:1-7`, or nothing.
    pub(super) fn set(&self, from: u64, to: u64) -> String {
        match to.checked_sub(from) {
            None => String::new(),
            Some(0) => format!("{}:{from}", self.uuid_text()),
            Some(_) => format!("{}:{from}-{to}", self.uuid_text()),
        }
    }

    pub(super) fn file_name(&self) -> String {
        format!("binlog-main.{:06}", self.file)
    }

    /// As every start of the server does.
    pub(super) fn begin_file(&mut self) {
        self.file += 1;
        self.position = 4;
        let mut body = 4u16.to_le_bytes().to_vec();
        body.extend_from_slice(VERSION);
        body.resize(52, 0);
        body.extend_from_slice(&self.timestamp.to_le_bytes());
        body.push(19);
        body.extend_from_slice(&POST_HEADERS);
        body.push(1);
        self.add(FORMAT_DESCRIPTION, &body, None);
        let mut body = u64::from(self.executed > 0).to_le_bytes().to_vec();
        if self.executed > 0 {
            body.extend_from_slice(&self.uuid);
            for number in [1, 1, self.executed + 1] {
                body.extend_from_slice(&number.to_le_bytes());
            }
        }
        self.add(PREVIOUS_GTIDS, &body, None);
    }

    /// Forgets all files but the last.
    pub(super) fn purge(&mut self) {
        let last = self.events.iter().rposition(|e| e.bytes[4] == FORMAT_DESCRIPTION).expect("a log has a file");
        let first_kept = self.events[last..].iter().find_map(|e| e.begins);
        self.purged = first_kept.map_or(self.executed, |n| n - 1);
        self.events.drain(..last);
        self.dropped += last;
    }

    /// A statement as a transaction of its own.
    pub(super) fn statement(&mut self, database: &str, sql: &str) {
        self.gtid();
        self.query(database, sql);
    }

    /// The difference of two states of the tables, as one transaction; nothing if there is none.
    pub(super) fn difference(&mut self, before: &Tables, after: &Tables, full_metadata: bool) {
        let empty = Table::default();
        let changed: Vec<_> = after
            .iter()
            .map(|(name, table)| (name, before.get(name).unwrap_or(&empty), table))
            .filter(|(_, old, new)| old.rows != new.rows)
            .collect();
        if changed.is_empty() {
            return;
        }
        self.gtid();
        self.query("", "BEGIN");
        for (i, ((database, name), _, table)) in changed.iter().enumerate() {
            self.add(TABLE_MAP, &table.map(3 + i as u64, database, name, full_metadata), None);
        }
        for (i, (_, old, new)) in changed.iter().enumerate() {
            self.rows(3 + i as u64, old, new);
        }
        self.add(XID, &[0; 8], None);
    }

    /// Inserts, deletes, updates, each kind as one event.
    fn rows(&mut self, id: u64, old: &Table, new: &Table) {
        let inserted: Vec<&Vec<Cell>> =
            new.rows.iter().filter(|(key, _)| !old.rows.contains_key(*key)).map(|(_, row)| row).collect();
        let deleted: Vec<&Vec<Cell>> =
            old.rows.iter().filter(|(key, _)| !new.rows.contains_key(*key)).map(|(_, row)| row).collect();
        let pairs = old.rows.iter().filter_map(|(key, row)| new.rows.get(key).filter(|now| *now != row).map(|now| [row, now]));
        let updated: Vec<&Vec<Cell>> = pairs.flatten().collect();
        for (kind, images, rows) in [(WRITE_ROWS, 1, inserted), (DELETE_ROWS, 1, deleted), (UPDATE_ROWS, 2, updated)] {
            if !rows.is_empty() {
                self.add(kind, &new.rows(id, images, &rows), None);
            }
        }
    }

    /// 25 bytes: no logical clock, no commit time, no length.
    fn gtid(&mut self) {
        self.executed += 1;
        let body = [&[1][..], &self.uuid, &self.executed.to_le_bytes()].concat();
        self.add(GTID, &body, Some(self.executed));
    }

    fn query(&mut self, database: &str, sql: &str) {
        let mut body = vec![0; 8];
        body.push(database.len() as u8);
        body.extend_from_slice(&[0; 4]); // No error, no status variables.
        body.extend_from_slice(database.as_bytes());
        body.push(0);
        body.extend_from_slice(sql.as_bytes());
        self.add(QUERY, &body, None);
    }

    fn add(&mut self, kind: u8, body: &[u8], begins: Option<u64>) {
        self.position += 19 + body.len() as u32 + 4;
        let bytes = self.event(kind, body, self.timestamp, self.position, 0);
        self.events.push(Logged { bytes, begins });
    }

    fn event(&self, kind: u8, body: &[u8], timestamp: u32, end: u32, flags: u16) -> Vec<u8> {
        let mut out = timestamp.to_le_bytes().to_vec();
        out.push(kind);
        for number in [1, 19 + body.len() as u32 + 4, end] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(body);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The made-up event that every stream begins with.
    pub(super) fn rotate(&self) -> Vec<u8> {
        let body = [&4u64.to_le_bytes()[..], self.file_name().as_bytes()].concat();
        self.event(ROTATE, &body, 0, 4, 0x20)
    }

    pub(super) fn heartbeat(&self) -> Vec<u8> {
        self.event(HEARTBEAT, self.file_name().as_bytes(), 0, self.position, 0)
    }
}
