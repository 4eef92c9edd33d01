//! The pure decoder over recorded files, whole and damaged.

use proptest::prelude::*;
use thalweg_graph::transaction::{Body, Transaction};
use thalweg_sources::binlog::frame::{FileEvents, Framer, Header};
use thalweg_sources::binlog::plan::Hints;
use thalweg_sources::binlog::{Assembler, LogError, Position, Step, Watch};

use crate::harness::line;

/// MariaDB 10.11: inserts, updates and deletes of many types, a table by table DDL, XA, two domains.
pub const RECORDED: &[u8] = include_bytes!("../fixtures/mariadb-10.11.binlog");
/// Its transactions of `shop`, a line each.
pub const TRANSACTIONS: &str = include_str!("../fixtures/mariadb-10.11.txt");
/// The same server with `log_bin_compress`.
pub const COMPRESSED: &[u8] = include_bytes!("../fixtures/mariadb-10.11-compressed.binlog");

/// MySQL 9.7: all types, a savepoint, XA, a tagged GTID, documents and their partial updates.
pub const MYSQL: &[u8] = include_bytes!("../fixtures/mysql-9.binlog");
/// The same with `binlog_transaction_compression`, and then documents in the large form.
pub const MYSQL_COMPRESSED: &[u8] = include_bytes!("../fixtures/mysql-9-compressed.binlog");

fn assembler() -> Assembler {
    let watch = Watch::new(&["shop.*".into()], None).unwrap();
    Assembler::new(watch, Hints::default(), Position::default(), &[])
}

/// Every transaction of a file on a line, and what ended the reading.
fn read(file: &[u8]) -> (Vec<String>, Option<LogError>) {
    read_with(&mut assembler(), file)
}

fn read_with(assembler: &mut Assembler, file: &[u8]) -> (Vec<String>, Option<LogError>) {
    let (mut steps, mut lines) = (Vec::new(), Vec::new());
    for frame in FileEvents::new(file) {
        let result = frame.map_err(LogError::from).and_then(|f| assembler.event(f.header, f.body, &mut steps));
        for step in steps.drain(..) {
            if let Step::Transaction { id, changes, .. } = step {
                let body = Body::Changes(changes);
                lines.push(line(&Transaction { source: "".into(), origin: id.to_string().into(), at: Default::default(), body }));
            }
        }
        if let Err(error) = result {
            return (lines, Some(error));
        }
    }
    (lines, None)
}

#[test]
fn a_recorded_file_reads_as_it_was_written() {
    let (lines, error) = read(RECORDED);
    assert_eq!(error, None);
    expect_test::expect_file!["../fixtures/mariadb-10.11.txt"].assert_eq(&(lines.join("\n") + "\n"));
    assert_eq!(read(COMPRESSED), (lines, None));
}

/// The transactions of a file of MySQL, with its server's id as `U`.
fn read_mysql(file: &[u8]) -> Vec<String> {
    let mut assembler = Assembler::anywhere(Watch::new(&["shop.*".into()], None).unwrap(), Hints::default(), &[]);
    let (lines, error) = read_with(&mut assembler, file);
    assert_eq!(error, None);
    let server = lines[0].split(':').next().unwrap().to_string();
    lines.into_iter().map(|line| line.replace(&server, "U")).collect()
}

#[test]
fn src_14_21_a_recorded_file_of_mysql_reads_as_it_was_written() {
    let lines = read_mysql(MYSQL);
    expect_test::expect_file!["../fixtures/mysql-9.txt"].assert_eq(&(lines.join("\n") + "\n"));
    let mut compressed = read_mysql(MYSQL_COMPRESSED);
    let large = compressed.split_off(lines.len());
    assert_eq!(compressed, lines);
    let list = format!("[\"{}\",70000,\"{}\"]", "y".repeat(200), "z".repeat(20_000));
    let before = format!("3, {list}, {{\"long\":\"{}\",\"m\":70000,\"n\":-5}}", "é".repeat(40_000));
    let after = format!("3, {list}, {{\"long\":\"short\",\"m\":70000,\"n\":-5}}");
    let content: Vec<&str> = large.iter().filter_map(|line| line.split_once(": ")).map(|(_, content)| content).collect();
    assert_eq!(content, [format!("+documents({before})"), format!("~documents({before} -> {after})")]);
}

#[test]
fn src_22_a_changed_byte_is_found_by_the_checksum() {
    for at in (4..RECORDED.len()).step_by(7) {
        let mut file = RECORDED.to_vec();
        file[at] ^= 0x10;
        let (_, error) = read(&file);
        assert!(error.is_some(), "byte {at} was changed and nothing was said");
    }
    let (_, error) = read(&RECORDED[..RECORDED.len() - 5]);
    assert_eq!(error.unwrap().to_string(), "the event ends in the middle of an event header");
}

/// Events without checksums, so that damage reaches the decoder.
fn bare_events() -> Vec<(Header, Vec<u8>)> {
    FileEvents::new(RECORDED).map(|f| f.unwrap()).map(|f| (f.header, f.body.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn src_22_damaged_events_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut events = bare_events();
        for (event, at, byte) in damage {
            let body = &mut event.get_mut(&mut events).1;
            if !body.is_empty() {
                *at.get_mut(body) = byte;
            }
        }
        let shortened = cut.index(events.len());
        let half = events[shortened].1.len() / 2;
        if byte_is_even(&events[shortened].1) {
            events[shortened].1.truncate(half);
        }
        let mut assembler = assembler();
        let mut steps = Vec::new();
        for (header, body) in events {
            assembler.event(header, &body, &mut steps).ok();
        }
    }

    #[test]
    fn src_22_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in prop::sample::select(vec![2u8, 4, 15, 16, 19, 23, 24, 25, 26, 27, 30, 31, 32, 38, 162, 163, 165, 166, 169])) {
        Framer::default().split(&bytes).ok();
        FileEvents::new(&bytes).count();
        let mut assembler = assembler();
        let mut steps = Vec::new();
        // A transaction and a table map, so that rows have something to be rows of.
        for (header, body) in bare_events().into_iter().take(12) {
            assembler.event(header, &body, &mut steps).ok();
        }
        let header = Header { timestamp: 0, kind, server_id: 1, size: 0, end: 0, flags: 0 };
        assembler.event(header, &bytes, &mut steps).ok();
    }
}

fn byte_is_even(body: &[u8]) -> bool {
    body.last().is_some_and(|b| b % 2 == 0)
}
