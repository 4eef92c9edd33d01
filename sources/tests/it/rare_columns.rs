//! Columns that few tables have, as a real MariaDB logs them: compressed ones, and dates and times in the format of before 10.1.

use thalweg_graph::transaction::Body;
use thalweg_sources::binlog::frame::FileEvents;
use thalweg_sources::binlog::plan::{Hint, Hints};
use thalweg_sources::binlog::{Assembler, LogError, Spooling, Step, Watch};
use thalweg_testkit::{MariaDb, require};

use crate::harness::show;

/// The rows that the newest whole log file inserts, a line each.
fn inserted(server: &MariaDb, hints: &Hints) -> Result<Vec<String>, LogError> {
    server.exec("FLUSH BINARY LOGS");
    let files = server.query("SHOW BINARY LOGS");
    let file = std::fs::read(server.data().join(&files[files.len() - 2][0])).unwrap();
    let mut assembler = Assembler::anywhere(Watch::new(&["d.*".into()], None).unwrap(), hints.clone(), &[])
        .with_spooling(Spooling { above: usize::MAX, ..Spooling::default() });
    let (mut steps, mut rows) = (Vec::new(), Vec::new());
    for frame in FileEvents::new(&file) {
        let frame = frame.unwrap();
        assembler.event(frame.header, frame.body, &mut steps)?;
        for step in steps.drain(..) {
            let Step::Transaction { body: Body::Changes(changes), .. } = step else { continue };
            for row in changes.iter().filter_map(|change| change.after.as_ref()) {
                rows.push(row.iter().map(|cell| show(cell.as_ref().unwrap())).collect::<Vec<_>>().join(" "));
            }
        }
    }
    Ok(rows)
}

#[test]
fn src_14_compressed_columns_are_unpacked() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    let values = "REPEAT('grün ', 100), REPEAT('abc', 1000), REPEAT(x'00', 300), REPEAT('é', 120)";
    server.exec(&format!(
        "CREATE DATABASE d; USE d; CREATE TABLE z (id INT PRIMARY KEY, a VARCHAR(1000) COMPRESSED, b TEXT COMPRESSED, c LONGBLOB COMPRESSED, \
         d VARCHAR(120) CHARACTER SET latin1 COMPRESSED); FLUSH BINARY LOGS; \
         INSERT INTO z VALUES (1, {values}), (2, '', 'short', '', NULL); SET column_compression_zlib_wrap = 1; INSERT INTO z VALUES (3, {values})"
    ));
    let long = format!("\"{}\" \"{}\" x{} \"{}\"", "grün ".repeat(100), "abc".repeat(1000), "00".repeat(300), "é".repeat(120));
    assert_eq!(
        inserted(&server, &Hints::default()).unwrap(),
        [format!("1 {long}"), "2 \"\" \"short\" x NULL".to_string(), format!("3 {long}")]
    );
}

#[test]
fn src_16_a_change_of_more_than_one_packet_is_read() {
    if !require() {
        return;
    }
    let server = MariaDb::start_with(&["--max-allowed-packet=64M", "--innodb-log-file-size=64M"]);
    let bytes = 17 << 20; // A packet of the protocol holds 16 MiB, the event has the row before and the one after.
    server.exec(&format!(
        "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, a LONGTEXT CHARACTER SET ascii, b LONGBLOB); FLUSH BINARY LOGS; \
         INSERT INTO d.t VALUES (1, REPEAT('x', {bytes}), REPEAT(x'00', 10)); UPDATE d.t SET b = REPEAT(x'ff', {bytes}), id = 2"
    ));
    let rows = inserted(&server, &Hints::default()).unwrap();
    let lengths: Vec<Vec<usize>> = rows.iter().map(|row| row.split(' ').map(str::len).collect()).collect();
    assert_eq!(lengths, [[1, bytes + 2, 21], [1, bytes + 2, 2 * bytes + 1]]);
}

#[test]
fn src_19_times_of_before_10_1_are_read_where_it_is_known_that_they_have_no_fraction() {
    if !require() {
        return;
    }
    let server = MariaDb::start_with(&["--mysql56-temporal-format=OFF"]);
    server.exec(
        "CREATE DATABASE d; USE d; SET time_zone = '+00:00'; CREATE TABLE o (id INT PRIMARY KEY, a TIME, b DATETIME, c TIMESTAMP NULL); \
         FLUSH BINARY LOGS; INSERT INTO o VALUES (1, '-01:02:03', '2024-02-29 12:34:56', '2024-02-29 12:34:56'), (2, '838:59:59', 0, 0)",
    );
    let refused = inserted(&server, &Hints::default()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "column `a` of d.o (a date or time in the format of before MariaDB 10.1) cannot be read; \
         set mysql56_temporal_format=ON on the server and run ALTER TABLE … FORCE on the table"
    );
    server.exec("INSERT INTO d.o SELECT id + 2, a, b, c FROM d.o");
    let mut hints = Hints::default();
    ["a", "b", "c"].iter().for_each(|column| hints.add("d.o", column, Hint::WholeSeconds));
    assert_eq!(
        inserted(&server, &hints).unwrap(),
        [
            "3 -3723000000us @1709210096000000 @1709210096000000",
            "4 3020399000000us \"0000-00-00 00:00:00\" \"0000-00-00 00:00:00\""
        ]
    );
}
