//! Own writes that come back: the marks of SQL sinks, read beside the rows that they are about.

use thalweg_graph::cause::Cause;
use thalweg_graph::ports::SourceMessage;
use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};
use thalweg_testkit::{MariaDb, Server, require};

use crate::harness::{config, follow, line, outlet, runtime, start};

/// What a sink finds and makes in the target's database.
pub const TABLES: &str = "CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(20));
    CREATE TABLE thalweg_rows (table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, row_key VARBINARY(32) NOT NULL, instance VARCHAR(16) NOT NULL, \
        marks TEXT NOT NULL, origin VARCHAR(40) NOT NULL, writes BIGINT UNSIGNED NOT NULL, written_at DATETIME(3) NOT NULL, PRIMARY KEY (table_name, row_key));
    CREATE TABLE thalweg_applied (id VARCHAR(26) PRIMARY KEY, depth INT NOT NULL, applied_at DATETIME(3) NOT NULL);
    CREATE DATABASE other; CREATE TABLE other.thalweg_rows (id INT PRIMARY KEY, origin VARCHAR(40));";

/// Transactions with the marks of sinks, without, and with what merely looks like them.
pub const HISTORY: &[&str] = &[
    "INSERT INTO items VALUES (1, 'by hand')",
    "INSERT INTO thalweg_rows VALUES ('items', 'k1', 'me', '{}', 'AAAAAAAAAAAAAAAAAAAAAAAAAA:1', 1, NOW(3)); INSERT INTO items VALUES (2, 'new')",
    "{lock}; UPDATE thalweg_rows SET origin = 'BBBBBBBBBBBBBBBBBBBBBBBBBB:2', marks = '{1}'; DELETE FROM items WHERE id = 2",
    // The same effect once more, by an instance that knows nothing of the first, with images that hold only what has changed.
    "SET SESSION binlog_row_image = 'MINIMAL'; {lock}; UPDATE thalweg_rows SET origin = 'BBBBBBBBBBBBBBBBBBBBBBBBBB:2', instance = 'you'; \
     INSERT INTO items (id, name) VALUES (2, 'again'); SET SESSION binlog_row_image = 'FULL'",
    "SET SESSION binlog_row_image = 'NOBLOB'; {lock}; UPDATE thalweg_rows SET origin = 'CCCCCCCCCCCCCCCCCCCCCCCCCC:3'; \
     INSERT INTO items (id, name) VALUES (3, 'short'); SET SESSION binlog_row_image = 'FULL'",
    "INSERT INTO thalweg_applied VALUES ('DDDDDDDDDDDDDDDDDDDDDDDDDD', 15, NOW(3)); INSERT INTO items VALUES (4, 'inserted')",
    // Of two the longer chain counts, whatever comes last.
    "INSERT INTO thalweg_applied VALUES ('EEEEEEEEEEEEEEEEEEEEEEEEEE', 5, NOW(3)); INSERT INTO items VALUES (5, 'two'); \
     INSERT INTO thalweg_applied VALUES ('FFFFFFFFFFFFFFFFFFFFFFFFFF', 4, NOW(3))",
    // A lock alone, marks that are purged, and a mark that was there before tell nothing.
    "{lock}; INSERT INTO items VALUES (6, 'locked')",
    "DELETE FROM thalweg_applied; DELETE FROM thalweg_rows; UPDATE items SET name = 'purged' WHERE id = 6",
    "INSERT INTO other.thalweg_rows VALUES (1, 'GGGGGGGGGGGGGGGGGGGGGGGGGG:1'); INSERT INTO items VALUES (7, 'elsewhere')",
    "INSERT INTO thalweg_applied VALUES ('not an id of ours', 1, NOW(3)); INSERT INTO items VALUES (8, 'no id')",
    "INSERT INTO thalweg_applied VALUES ('HHHHHHHHHHHHHHHHHHHHHHHHHH', 1, NOW(3))",
    "INSERT INTO items VALUES (9, 'last')",
];

pub const WANT: &str = "\
no one: +items(1, \"by hand\")
AAAAAAAAAAAAAAAAAAAAAAAAAA:1: +items(2, \"new\")
BBBBBBBBBBBBBBBBBBBBBBBBBB:2: -items(2, \"new\")
BBBBBBBBBBBBBBBBBBBBBBBBBB:2: +items(2, \"again\")
CCCCCCCCCCCCCCCCCCCCCCCCCC:3: +items(3, \"short\")
DDDDDDDDDDDDDDDDDDDDDDDDDD:15: +items(4, \"inserted\")
EEEEEEEEEEEEEEEEEEEEEEEEEE:5: +items(5, \"two\")
no one: +items(6, \"locked\")
no one: ~items(6, \"locked\" -> 6, \"purged\")
no one: +items(7, \"elsewhere\")
no one: +items(8, \"no id\")
no one: +items(9, \"last\")
";

/// Who wrote the transactions of a history in `shop`, and what they hold, a line each: as it comes over a connection to everything in
/// that database, and, the same, from the files of the log.
pub fn own_writes(server: &Server, history: &[&str]) -> String {
    let mut source = follow(&server.url(), &["shop.*"]);
    assert!(source.schemas.iter().all(|schema| !schema.table.contains("thalweg")), "{:?}", source.schemas);
    let lock = "UPDATE thalweg_rows SET writes = writes + 1, origin = ''";
    for transaction in history {
        // Settings of a session cannot change within a transaction.
        let (before, transaction) = transaction
            .split_once("; {lock}")
            .map_or(("", (*transaction).to_owned()), |(before, rest)| (before, format!("{lock}{rest}")));
        let transaction = transaction.replace("{lock}", lock);
        server.exec(&format!("USE shop; {before}; BEGIN; {transaction}; COMMIT").replace("; ; ", "; "));
    }
    let count = WANT.lines().count();
    let seen: Vec<_> = (0..count).map(|_| source.transaction()).collect();
    let (outlet, messages) = outlet();
    let mut files = BinlogFileConfig::new("files", server.data().join("binlog.index"));
    files.tables = vec!["shop.*".into()];
    runtime().spawn(BinlogFileSource::new(files).run(None, outlet));
    let in_files: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SourceMessage::Transaction(transaction, _) => Some(transaction),
            SourceMessage::Schemas(schemas) => {
                assert!(schemas.iter().all(|schema| !schema.table.contains("thalweg")), "{schemas:?}");
                None
            }
            _ => None,
        })
        .collect();
    let lines = |transactions: &[thalweg_graph::Transaction]| transactions.iter().map(line).collect::<Vec<_>>();
    assert_eq!(lines(&in_files), lines(&seen));
    let shown = |transaction: &thalweg_graph::Transaction| {
        let (_, cause) = Cause::split(&transaction.origin);
        let cause = cause.map_or("no one".to_owned(), |cause| cause.to_string());
        format!("{cause}{}\n", &line(transaction)[transaction.origin.len()..])
    };
    seen.iter().map(shown).collect()
}

#[test]
fn src_25_a_transaction_that_a_sink_wrote_says_which_effect_it_was() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(&format!("CREATE DATABASE shop; USE shop; {TABLES}"));
    assert_eq!(own_writes(&server, HISTORY), WANT);
}

#[test]
fn a_table_of_marks_cannot_be_a_source() {
    if !require() {
        return;
    }
    let server = crate::harness::shared();
    let text = start(config(&server.url(), &["shop.thalweg_rows"]), None).stopped();
    let want = "E0418: `shop.thalweg_rows` holds the marks of SQL actions, and is never a source; leave it out of `tables`";
    assert_eq!(text, want);
}
