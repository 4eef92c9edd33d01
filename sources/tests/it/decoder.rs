//! The pure decoder over recorded files, whole and damaged.

use proptest::prelude::*;
use thalweg_graph::Transaction;
use thalweg_sources::binlog::control;
use thalweg_sources::binlog::frame::{FileEvents, Frame, Framer, Header};
use thalweg_sources::binlog::plan::{Hint, Hints};
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

pub fn read_with(assembler: &mut Assembler, file: &[u8]) -> (Vec<String>, Option<LogError>) {
    let (mut steps, mut lines) = (Vec::new(), Vec::new());
    for frame in FileEvents::new(file) {
        let result = frame.map_err(LogError::from).and_then(|f| assembler.event(f.header, f.body, &mut steps));
        for step in steps.drain(..) {
            if let Step::Transaction { id, body, .. } = step {
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

/// Reads events; after each the position is where it was, unless a transaction was handed out or passed by.
fn lines_of(assembler: &mut Assembler, events: &[Frame<'_>]) -> Vec<String> {
    let (mut steps, mut lines) = (Vec::new(), Vec::new());
    for event in events {
        let before = assembler.position().done.clone();
        let was_fresh = assembler.is_fresh();
        assembler.event(event.header, event.body, &mut steps).unwrap();
        let is_end = steps.iter().any(|step| matches!(step, Step::Transaction { .. } | Step::Passed));
        assert!(is_end || was_fresh || assembler.position().done == before, "moved amid a transaction, at {:?}", event.header);
        for step in steps.drain(..) {
            if let Step::Transaction { id, body, .. } = step {
                lines.push(line(&Transaction { source: "".into(), origin: id.to_string().into(), at: Default::default(), body }));
            }
        }
    }
    lines
}

/// The process ends after any event; all that is left of it is its position, as text.
#[test]
fn src_3_4_a_reader_that_ends_after_any_event_is_succeeded_exactly() {
    let watch = || Watch::new(&["shop.*".into()], None).unwrap();
    for file in [RECORDED, COMPRESSED, MYSQL, MYSQL_COMPRESSED] {
        let events: Vec<Frame<'_>> = FileEvents::new(file).map(Result::unwrap).collect();
        let all = lines_of(&mut Assembler::anywhere(watch(), Hints::default(), &[]), &events);
        assert!(all.len() > 5 && events.len() > 3 * all.len());
        for end in 0..=events.len() {
            let mut first = Assembler::anywhere(watch(), Hints::default(), &[]);
            let mut lines = lines_of(&mut first, &events[..end]);
            let mut second = match first.is_fresh() {
                true => Assembler::anywhere(watch(), Hints::default(), &[]),
                false => {
                    let position = first.position().to_string().parse().unwrap();
                    Assembler::new(watch(), Hints::default(), position, &[]).from_earlier()
                }
            };
            lines.extend(lines_of(&mut second, &events));
            assert_eq!(lines, all, "after event {end}");
        }
    }
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

/// A log as Dolt writes it: an old server's description, GTIDs of 25 bytes, table numbers that begin anew in each transaction, rows that end no
/// statement, table maps that tell neither signs nor keys, and name a character set for every column.
fn dolt_log() -> Vec<(u8, Vec<u8>)> {
    let description =
        [&4u16.to_le_bytes()[..], &padded(b"5.6.33-0ubuntu0.14.04.1-log", 50), &[0, 0, 0, 0, 19], &[8; 35]].concat();
    let gtid = |n: u64| [&[1][..], &[0x3e; 16], &n.to_le_bytes()].concat();
    let query = |sql: &str| [&[0; 8][..], &[4, 0, 0, 0, 0], b"shop\0", sql.as_bytes()].concat();
    let map = |table: &str, kinds: &[u8], metas: &[u8], charsets: &[u8], names: &[&str]| {
        let names: Vec<u8> = names.iter().flat_map(|n| [&[n.len() as u8][..], n.as_bytes()].concat()).collect();
        let head = [&[3, 0, 0, 0, 0, 0, 0, 0, 4][..], b"shop\0", &[table.len() as u8], table.as_bytes(), &[0, kinds.len() as u8]]
            .concat();
        let blocks = [&[3, charsets.len() as u8][..], charsets, &[4, names.len() as u8], &names, &[6, 0, 5, 0, 11, 0]].concat();
        [&head[..], kinds, &[metas.len() as u8], metas, &[0], &blocks].concat()
    };
    // A document [1.0, 1.5], whose numbers are doubles.
    let document = [&[2, 2, 0, 26, 0, 11, 10, 0, 11, 18, 0][..], &1f64.to_le_bytes(), &1.5f64.to_le_bytes()].concat();
    let insert = |row: &[u8], columns: u8| [&[3, 0, 0, 0, 0, 0, 0, 0, 2, 0, columns, 0xff, 0][..], row].concat();
    let first =
        [&u32::MAX.to_le_bytes()[..], &[5, 0], "grün".as_bytes(), &(document.len() as u32).to_le_bytes(), &document].concat();
    vec![
        (15, description),
        (35, vec![0; 8]),
        (33, gtid(1)),
        (2, query("create table `orders` (`id` int unsigned primary key)")),
        (33, gtid(2)),
        (2, query("BEGIN")),
        (19, map("orders", &[3, 15, 245], &[0, 8, 4], &[0, 0xfc, 0xff, 0, 0], &["id", "name", "js"])),
        (30, insert(&first, 3)),
        (16, vec![0; 8]),
        (33, gtid(3)),
        (2, query("BEGIN")),
        (19, map("other", &[3], &[], &[0], &["n"])),
        (30, insert(&7u32.to_le_bytes(), 1)),
        (16, vec![0; 8]),
    ]
}

fn padded(bytes: &[u8], len: usize) -> Vec<u8> {
    bytes.iter().copied().chain(std::iter::repeat(0)).take(len).collect()
}

#[test]
fn src_27_a_log_of_dolt_is_read_with_what_information_schema_adds() {
    let mut hints = Hints::default();
    hints.add("shop.orders", "id", Hint::Unsigned);
    hints.add_key("shop.orders", ["id".to_string()]);
    let watch = Watch::new(&["shop.*".into()], None).unwrap();
    let mut assembler = Assembler::new(watch, hints, Position::default(), &[]);
    let (mut steps, mut lines) = (Vec::new(), Vec::new());
    for (kind, body) in dolt_log() {
        assembler.event(Header { timestamp: 9, kind, server_id: 1, size: 0, end: 0, flags: 0 }, &body, &mut steps).unwrap();
    }
    for step in steps {
        lines.push(match step {
            Step::Schema(schema) => format!("{} key {:?}", schema.table, schema.key),
            Step::Transaction { id, body, .. } => {
                line(&Transaction { source: "".into(), origin: id.to_string().into(), at: Default::default(), body })
            }
            other => format!("{other:?}"),
        });
    }
    let uuid = "3e3e3e3e-3e3e-3e3e-3e3e-3e3e3e3e3e3e";
    let expected = [
        "Altered { rewritten: [] }",
        "Passed",
        "shop.orders key [0]",
        "U:2: +orders(4294967295u, \"grün\", [1,1.5])",
        "shop.other key []",
        "U:3: +other(7)",
    ];
    assert_eq!(lines, expected.map(|line| line.replace('U', uuid)));
    assert_eq!(assembler.position().to_string(), format!("{uuid}:1-3"));
}

#[test]
fn src_06_a_rotate_names_its_file_with_a_checksum_behind_it_or_without() {
    let name = [&4u64.to_le_bytes()[..], b"binlog.000007"].concat();
    let whole = crate::binlog_file::event(4, &name);
    let header = Header::parse(&whole).unwrap();
    // As MariaDB and Dolt begin a connection: nothing has told that there are checksums.
    assert_eq!(control::rotate(header, &whole[Header::LEN..]).unwrap(), "binlog.000007");
    assert_eq!(control::rotate(header, &name).unwrap(), "binlog.000007");
    let bare = Header { size: header.size - 4, ..header };
    assert_eq!(control::rotate(bare, &name).unwrap(), "binlog.000007");
    assert_eq!(Framer::default().split(&whole).unwrap().body, name);
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
