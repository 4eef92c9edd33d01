//! Binlog files as a source: recorded files, whole, cut, in chains, followed while they grow.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use thalweg_graph::ports::{SourceMessage, SourceStatus};
use thalweg_sources::binlog::frame::{FILE_MAGIC, FileEvents, Header, kind};
use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};

use crate::decoder::{COMPRESSED, MYSQL, MYSQL_COMPRESSED, RECORDED, TRANSACTIONS};
use crate::harness::{line, outlet, runtime};

fn start(config: BinlogFileConfig, position: Option<&str>) -> Receiver<SourceMessage> {
    let (outlet, messages) = outlet();
    runtime().spawn(BinlogFileSource::new(config).run(position.map(String::from), outlet));
    messages
}

/// What came until the source ended, on a line each: transactions with the position behind them, positions, the end.
fn all(messages: Receiver<SourceMessage>) -> Vec<String> {
    messages.iter().filter_map(|message| shown(&message)).collect()
}

fn shown(message: &SourceMessage) -> Option<String> {
    match message {
        SourceMessage::Transaction(transaction, position) => Some(format!("{} @ {position}", line(transaction))),
        SourceMessage::Position(position) => Some(format!("position {position}")),
        SourceMessage::Status(SourceStatus::Stopped(text)) => Some(text.clone()),
        SourceMessage::End => Some("end".to_string()),
        SourceMessage::Schemas(_) | SourceMessage::Status(_) => None,
    }
}

fn config(path: impl Into<PathBuf>) -> BinlogFileConfig {
    BinlogFileConfig { poll: Duration::from_millis(5), tables: vec!["shop.*".into()], ..BinlogFileConfig::new("files", path) }
}

/// Only what a transaction holds, without the position.
fn content(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| line.rsplit_once(" @ ")).map(|(content, _)| content.to_string()).collect()
}

/// Where the events of a file begin, and their types.
fn events(file: &[u8]) -> Vec<(usize, u8)> {
    let mut at = FILE_MAGIC.len();
    let mut found = Vec::new();
    while at < file.len() {
        let header = Header::parse(&file[at..]).unwrap();
        found.push((at, header.kind));
        at += header.size as usize;
    }
    found
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_gives_its_transactions_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "log.000001", RECORDED);
    let lines = all(start(config(&path), None));
    assert_eq!(content(&lines).join("\n") + "\n", TRANSACTIONS);
    assert_eq!(lines.last().unwrap(), "end");
}

#[test]
fn src_02_a_file_cut_anywhere_gives_whole_transactions_and_each_restart_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let whole: Vec<String> = TRANSACTIONS.lines().map(String::from).collect();
    for cut in (0..RECORDED.len()).step_by(37) {
        let path = write(folder.path(), "log.000001", &RECORDED[..cut]);
        let first = all(start(config(&path), None));
        assert_eq!(first.last().unwrap(), "end", "cut at {cut}");
        let delivered = content(&first);
        assert_eq!(delivered, whole[..delivered.len()], "cut at {cut}");
        let position = first
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("position ").or_else(|| line.rsplit_once(" @ ").map(|(_, position)| position)));
        write(folder.path(), "log.000001", RECORDED);
        let rest = content(&all(start(config(&path), position)));
        assert_eq!([delivered, rest].concat(), whole, "cut at {cut}, on from {position:?}");
    }
}

/// A file of MySQL as one without GTIDs: anonymous events in their place, or none at all, as before 5.7.
fn without_gtids(file: &[u8], anonymous: bool) -> Vec<u8> {
    let mut out = FILE_MAGIC.to_vec();
    for (at, kind) in events(file) {
        let header = Header::parse(&file[at..]).unwrap();
        let whole = &file[at..at + header.size as usize];
        let body = &whole[Header::LEN..whole.len() - 4];
        let (kind, body) = match kind {
            kind::MYSQL_GTID | kind::MYSQL_TAGGED_GTID if anonymous => (kind::MYSQL_ANONYMOUS_GTID, &[0; 25][..]),
            kind::MYSQL_GTID | kind::MYSQL_TAGGED_GTID => continue,
            kind::MYSQL_PREVIOUS_GTIDS => (kind, &[0; 8][..]),
            kind => (kind, body),
        };
        if kind == kind::FORMAT_DESCRIPTION {
            out.extend(whole);
            continue;
        }
        let size = Header::LEN + body.len() + 4;
        let header = Header { kind, size: size as u32, end: (out.len() + size) as u32, ..header };
        let event = [&header.to_bytes()[..], body].concat();
        out.extend(&event);
        out.extend(crc32fast::hash(&event).to_le_bytes());
    }
    out
}

#[test]
fn src_04_every_kind_of_log_goes_on_from_every_position() {
    let plain = content_of("mysql", MYSQL);
    for (name, file, expected) in [
        ("mariadb compressed", COMPRESSED.to_vec(), Some(TRANSACTIONS.lines().map(without_id).collect())),
        ("mysql", MYSQL.to_vec(), None),
        ("mysql compressed", MYSQL_COMPRESSED.to_vec(), None),
        ("anonymous", without_gtids(MYSQL, true), Some(plain.clone())),
        ("before GTIDs", without_gtids(MYSQL, false), Some(plain)),
        (
            "compressed and anonymous",
            without_gtids(MYSQL_COMPRESSED, true),
            Some(content_of("mysql compressed", MYSQL_COMPRESSED)),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "log.000001", &file);
        let lines = all(start(config(&path), None));
        assert_eq!(lines.last().unwrap(), "end", "{name}");
        if let Some(expected) = expected {
            assert_eq!(content(&lines).iter().map(|line| without_id(line)).collect::<Vec<_>>(), expected, "{name}");
        }
        for (i, line) in lines.iter().enumerate() {
            let Some((_, position)) = line.rsplit_once(" @ ") else { continue };
            let rest = all(start(config(&path), Some(position)));
            assert_eq!(content(&rest), content(&lines[i + 1..]), "{name}: on from {position}");
        }
        // What lies before the position is not announced again: the tables may look otherwise now.
        let last = lines.iter().rev().find_map(|line| line.rsplit_once(" @ ")).unwrap().1;
        let announced = start(config(&path), Some(last)).into_iter().filter_map(|message| match message {
            SourceMessage::Schemas(schemas) => Some(schemas.len()),
            _ => None,
        });
        assert_eq!(announced.collect::<Vec<_>>(), [0], "{name}: on from {last}");
    }
}

fn without_id(line: &str) -> String {
    line.split_once(": ").unwrap().1.to_string()
}

fn content_of(name: &str, file: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let lines = all(start(config(write(folder.path(), "log.000001", file)), None));
    assert_eq!(lines.last().unwrap(), "end", "{name}");
    content(&lines).iter().map(|line| without_id(line)).collect()
}

/// The recorded file as two: the second begins at a transaction, with a GTID list that says what came before.
fn halves() -> (Vec<u8>, Vec<u8>, usize) {
    let file = RECORDED;
    let head = events(file).into_iter().find(|(_, kind)| *kind == kind::MARIADB_GTID_LIST).unwrap().0;
    let gtids: Vec<usize> = events(file).into_iter().filter(|(_, kind)| *kind == kind::MARIADB_GTID).map(|(at, _)| at).collect();
    let middle = gtids[gtids.len() / 2];
    let mut latest = std::collections::BTreeMap::new();
    let mut at = 4;
    for frame in FileEvents::new(&file[..middle]) {
        let frame = frame.unwrap();
        if frame.header.kind == kind::MARIADB_GTID {
            let sequence = &frame.body[..8];
            let domain = u32::from_le_bytes(frame.body[8..12].try_into().unwrap());
            latest.insert(domain, [&domain.to_le_bytes()[..], &frame.header.server_id.to_le_bytes(), sequence].concat());
        }
        at += frame.header.size as usize;
    }
    assert_eq!(at, middle);
    let list = [&(latest.len() as u32).to_le_bytes()[..], &latest.into_values().collect::<Vec<_>>().concat()].concat();
    let second = [&file[..head], &event(kind::MARIADB_GTID_LIST, &list), &file[middle..]].concat();
    (file[..middle].to_vec(), second, middle)
}

/// An event with its checksum.
pub fn event(kind: u8, body: &[u8]) -> Vec<u8> {
    let header = Header { timestamp: 1, kind, server_id: 1, size: (Header::LEN + body.len() + 4) as u32, end: 4, flags: 0 };
    let mut bytes = [&header.to_bytes()[..], body].concat();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn rotate(to: &str) -> Vec<u8> {
    event(kind::ROTATE, &[&4u64.to_le_bytes()[..], to.as_bytes()].concat())
}

#[test]
fn src_06_a_chain_of_files_reads_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, _) = halves();
    write(folder.path(), "log.000001", &[first, rotate("log.000002")].concat());
    write(folder.path(), "log.000002", &second);
    let lines = all(start(config(folder.path()), None));
    assert_eq!(content(&lines).join("\n") + "\n", TRANSACTIONS);
    // From any of its positions the right file is found.
    for (i, line) in lines.iter().enumerate() {
        let Some((_, position)) = line.rsplit_once(" @ ") else { continue };
        let rest = all(start(config(folder.path()), Some(position)));
        assert_eq!(content(&rest), content(&lines[i + 1..]), "on from {position}");
    }
}

/// The same events without checksums.
fn without_checksums(file: &[u8]) -> Vec<u8> {
    let mut out = FILE_MAGIC.to_vec();
    for (at, kind) in events(file) {
        let header = Header::parse(&file[at..]).unwrap();
        let body = &file[at + Header::LEN..at + header.size as usize - 4];
        // The description says whether there are any, and has one itself in either case.
        let (body, tail) = match kind {
            kind::FORMAT_DESCRIPTION => (&body[..body.len() - 1], &[0, 1, 2, 3, 4][..]),
            _ => (body, &[][..]),
        };
        let header = Header { size: (Header::LEN + body.len() + tail.len()) as u32, ..header };
        out.extend([&header.to_bytes()[..], body, tail].concat());
    }
    out
}

#[test]
fn src_06_checksums_come_and_go_from_file_to_file() {
    let (first, second, _) = halves();
    for (first, second) in [
        (first.clone(), without_checksums(&second)),
        (without_checksums(&first), second.clone()),
        (without_checksums(&first), without_checksums(&second)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "log.000001", &first);
        write(folder.path(), "log.000002", &second);
        let lines = all(start(config(folder.path()), None));
        assert_eq!(content(&lines).join("\n") + "\n", TRANSACTIONS);
    }
}

#[test]
fn src_07_a_missing_file_stops_the_source_before_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, _) = halves();
    write(folder.path(), "log.000003", &second);
    let cure = "add the files that are missing";
    let behind = "log.000003 begins behind transactions that no file has";
    let lines = all(start(config(folder.path()), Some("0-1-3")));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("E0431: {behind}: 0-1-4 … 0-1-")) && lines[0].ends_with(cure), "{}", lines[0]);

    write(folder.path(), "log.000001", &[first.clone(), rotate("log.000002")].concat());
    let lines = all(start(config(folder.path()), None));
    assert_eq!(lines.last().unwrap(), &format!("E0431: log.000002 should follow, and the next file is log.000003; {cure}"));
    assert!(lines.len() > 1);

    // A server that was killed promises nothing; the list at the beginning tells.
    let short = events(&first).into_iter().rev().find(|(_, kind)| *kind == kind::MARIADB_GTID).unwrap().0;
    write(folder.path(), "log.000001", &first[..short]);
    let lines = all(start(config(folder.path()), None));
    assert!(lines.last().unwrap().starts_with(&format!("E0431: {behind}: ")), "{lines:?}");
}

#[test]
fn src_01_a_log_is_followed_while_it_grows_and_into_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second, _) = halves();
    let first = [first, rotate("log.000002")].concat();
    let path = write(folder.path(), "log.000001", &first[..2]);
    let messages = start(BinlogFileConfig { follow: true, ..config(folder.path().join("log.*")) }, None);
    // A file of two bytes is no log yet, so nothing is there at all.
    assert!(all(messages)[0].starts_with("E0430: no binlog file at "));

    fs::write(&path, &first[..300]).unwrap(); // Half an event.
    let messages = start(BinlogFileConfig { follow: true, ..config(folder.path().join("log.*")) }, None);
    let mut lines = Vec::new();
    let mut until = |wanted: usize| {
        while content(&lines).len() < wanted {
            let message = messages.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(!matches!(message, SourceMessage::End | SourceMessage::Status(SourceStatus::Stopped(_))), "{message:?}");
            lines.extend(shown(&message));
        }
        content(&lines)
    };
    let append = |path: &Path, bytes: &[u8]| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
    };
    append(&path, &first[300..first.len() - 40]);
    let of_first = content(&all(start(config(&path), None))).len();
    assert_eq!(until(of_first).len(), of_first);
    append(&path, &first[first.len() - 40..]);
    // Half a transaction, then the rest of it.
    let next = folder.path().join("log.000002");
    append(&next, &second[..second.len() - 500]);
    append(&next, &second[second.len() - 500..]);
    assert_eq!(until(TRANSACTIONS.lines().count()).join("\n") + "\n", TRANSACTIONS);
}

#[test]
fn src_22_what_is_no_readable_log_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().display().to_string();
    let (table_map, _) = events(RECORDED).into_iter().find(|(_, kind)| *kind == kind::TABLE_MAP).unwrap();
    let mut damaged = RECORDED.to_vec();
    damaged[table_map + 30] ^= 1;
    let gtid = events(RECORDED)[..].iter().rev().find(|(at, kind)| *kind == kind::MARIADB_GTID && *at < table_map).unwrap().0;
    for (name, bytes, expected) in [
        ("text", b"hello world".to_vec(), format!("E0430: {shown}/text is no binlog file; name files that a server wrote")),
        (
            "encrypted",
            b"\xfdbin and more".to_vec(),
            format!(
                "E0430: {shown}/encrypted is encrypted; decrypt it with mysqlbinlog --read-from-remote-server --raw, or set binlog_encryption=OFF on the server"
            ),
        ),
        (
            "START_ENCRYPTION",
            [&RECORDED[..gtid], &event(kind::START_ENCRYPTION, &[1; 17])].concat(),
            format!(
                "E0416: {shown}/START_ENCRYPTION at {gtid}: an encrypted log cannot be read; set encrypt_binlog=OFF on the server"
            ),
        ),
        (
            "INCIDENT",
            [&RECORDED[..gtid], &event(kind::INCIDENT, &[1, 0, 0])].concat(),
            format!(
                "E0417: {shown}/INCIDENT at {gtid}: the server reports an incident after : events are missing in its log; begin with a later file"
            ),
        ),
    ] {
        let path = write(folder.path(), name, &bytes);
        let lines = all(start(config(path), None));
        let position = expected.find(" after ").map_or(0, |at| at + 7);
        let same = lines.last().unwrap().starts_with(&expected[..position.max(expected.len() * usize::from(position == 0))]);
        assert!(same, "{lines:?}\n{expected}");
    }
    let lines = all(start(config(write(folder.path(), "damaged", &damaged)), None));
    assert!(
        lines.last().unwrap().starts_with(&format!("E0415: {shown}/damaged: checksum mismatch in an event of type 19")),
        "{lines:?}"
    );
}

#[test]
fn src_13_rows_without_column_names_are_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    // The table map's own part only, as with binlog_row_metadata = NO_LOG.
    let (at, _) = events(RECORDED).into_iter().find(|(_, kind)| *kind == kind::TABLE_MAP).unwrap();
    let body = &RECORDED[at + Header::LEN..at + Header::parse(&RECORDED[at..]).unwrap().size as usize - 4];
    let names = 8 + 1 + usize::from(body[8]) + 1;
    let table_end = names + 1 + usize::from(body[names]) + 1;
    let columns = usize::from(body[table_end]);
    let metas = table_end + 1 + columns;
    let end = metas + 1 + usize::from(body[metas]) + columns.div_ceil(8);
    let bare = [&RECORDED[..at], &event(kind::TABLE_MAP, &body[..end])].concat();
    let lines = all(start(config(write(folder.path(), "log.000001", &bare)), None));
    let table = std::str::from_utf8(&body[9..9 + usize::from(body[8])]).unwrap();
    let table = format!("{table}.{}", std::str::from_utf8(&body[names + 1..table_end - 1]).unwrap());
    assert_eq!(
        lines.last().unwrap(),
        &format!(
            "E0416: {}/log.000001 at {at}: a row of {table} without column names cannot be read; run on the server: SET GLOBAL binlog_row_metadata = 'FULL'",
            folder.path().display()
        )
    );
}
