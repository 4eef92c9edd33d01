//! Tables that come to a source which has run before, and tables that leave it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Row, Transaction};
use thalweg_sources::mysql::{MysqlConfig, SnapshotEffects};
use thalweg_testkit::{MariaDb, MySql, Proxy, Server, require, require_mysql};

use crate::harness::{Running, changes, config, line, show, start};

/// A receiver that can take rows back.
fn settings(server: &Server, tables: &[&str]) -> MysqlConfig {
    MysqlConfig { clears: true, ..config(&server.url(), tables) }
}

/// What a receiver has: it takes what fills tell, and is strict about what the log tells.
#[derive(Default)]
struct Mirror {
    tables: BTreeMap<String, BTreeMap<String, Vec<Row>>>,
    /// Fills that were read, and not told by the log.
    chunks: usize,
    fired: Vec<String>,
}

impl Mirror {
    fn take(&mut self, transaction: &Transaction) {
        let is_fill = matches!(transaction.body, Body::Fill(_));
        self.chunks += usize::from(is_fill && transaction.origin.contains('@'));
        for change in changes(transaction) {
            if !is_fill {
                self.fired.push(format!("{} {:?}", change.schema.table, change.op));
            }
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change) {
        if change.is_clear() {
            self.tables.remove(&*change.schema.table);
            return;
        }
        let rows = self.tables.entry(change.schema.table.to_string()).or_default();
        let is_multiset = change.schema.key.is_empty();
        let key = |row: &Row| match is_multiset {
            true => text(row),
            false => change.schema.key.iter().map(|at| show(row[*at as usize].as_ref().unwrap()) + "|").collect(),
        };
        if let Some(before) = &change.before {
            let there = rows.get_mut(&key(before)).filter(|rows| !rows.is_empty());
            there.unwrap_or_else(|| panic!("not there: {change:?}")).pop();
        }
        if let Some(after) = &change.after {
            let there = rows.entry(key(after)).or_default();
            match change.op {
                Op::Upsert => there.clear(),
                _ => assert!(is_multiset || there.is_empty(), "there already: {change:?}"),
            }
            there.push(after.clone());
        }
    }

    /// The rows of a table, each as text, sorted.
    fn rows(&self, table: &str) -> Vec<String> {
        let mut rows: Vec<String> =
            self.tables.get(table).into_iter().flat_map(|rows| rows.values().flatten()).map(text).collect();
        rows.sort();
        rows
    }

    /// Takes what comes until the source is live and all tables are whole.
    fn until_live(&mut self, source: &mut Running) {
        let seen = source.statuses.len();
        while source.statuses[seen..].last() != Some(&SourceStatus::Live(true)) {
            if let Some(transaction) = source.any("live") {
                self.take(&transaction);
            }
        }
    }
}

fn text(row: &Row) -> String {
    row.iter().map(|cell| show(cell.as_ref().unwrap())).collect::<Vec<_>>().join(" ")
}

/// The rows that a server has, as a new snapshot gives them.
fn truth(server: &Server, table: &str) -> Vec<String> {
    let mut mirror = Mirror::default();
    mirror.until_live(&mut start(settings(server, &[table]), None));
    mirror.rows(table)
}

/// A source of `shop.a` alone that was live once; where it stands.
fn stood(server: &Server) -> Option<String> {
    let mut source = start(settings(server, &["shop.a"]), None);
    source.transaction();
    source.until_live();
    assert!(source.position.as_ref().unwrap().ends_with(";tables=shop.a"), "{:?}", source.position);
    source.position.clone()
}

/// A number table of up to 2^18 rows that both kinds of servers can make.
const NUMBERS: &str =
    "CREATE TABLE shop.numbers (n INT PRIMARY KEY AUTO_INCREMENT); INSERT INTO shop.numbers VALUES (), (), (), ()";

fn numbers(server: &Server, doublings: u32) {
    server.exec(NUMBERS);
    for _ in 0..doublings {
        server.exec("INSERT INTO shop.numbers SELECT NULL FROM shop.numbers");
    }
}

/// A big table comes while writers change it, and the source is cut off and started again all the time.
pub fn under_writers(server: &Server) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    numbers(server, 12);
    server.exec("CREATE TABLE shop.b (id INT PRIMARY KEY, n INT NOT NULL, note VARCHAR(99)); INSERT INTO shop.b SELECT n * 3, 0, REPEAT('x', 99) FROM shop.numbers");
    let mut position = stood(server);
    server.exec("INSERT INTO shop.a VALUES (2); UPDATE shop.b SET n = 1 WHERE id % 7 = 0; DELETE FROM shop.b WHERE id % 11 = 0");
    let mut mirror = Mirror::default();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let ended = &ended;
            scope.spawn(move || {
                let client = server.client();
                for round in 0u64.. {
                    let (id, other) = (round * 7919 % 60_000, round * 104_729 % 60_000);
                    let sql = format!(
                        "USE shop; INSERT INTO b VALUES ({id}, {round}, '{writer}') ON DUPLICATE KEY UPDATE n = n + 1; DELETE FROM b WHERE id = {other};
                         BEGIN; UPDATE IGNORE b SET id = id + 1 WHERE id BETWEEN {other} AND {other} + 9; INSERT IGNORE INTO a VALUES ({id}); COMMIT"
                    );
                    // Two writers meet now and then; whoever gives way has written nothing.
                    client.try_query(&sql).ok();
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let mut cuts = 0;
        loop {
            let mut source = start(settings(server, &["shop.a", "shop.b"]), position.as_deref());
            let chunks = mirror.chunks;
            let is_live = loop {
                if let Some(transaction) = source.any("rows") {
                    mirror.take(&transaction);
                }
                position = source.position.clone();
                let is_live = source.statuses.last() == Some(&SourceStatus::Live(true));
                // Not by what the log tells: writers may be faster than whoever begins anew all the time.
                if is_live || mirror.chunks > chunks + 2 {
                    break is_live;
                }
            };
            if is_live {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 0, "it was read in at once");
        ended.store(true, Ordering::Relaxed);
    });
    assert!(position.as_deref().unwrap().ends_with(";tables=shop.a,shop.b"), "{position:?}");
    let mut source = start(settings(server, &["shop.a", "shop.b"]), position.as_deref());
    mirror.until_live(&mut source);
    assert_eq!(mirror.rows("shop.b"), truth(server, "shop.b"));
    // From here on it is a table as any other.
    server.exec("INSERT INTO shop.b VALUES (-1, 0, 'new'); DELETE FROM shop.b WHERE id = -1");
    let position = source.position.clone().unwrap();
    let (first, second) = (line(&source.transaction()), line(&source.transaction()));
    assert!(first.ends_with(": +b(-1, 0, \"new\")") && second.ends_with(": -b(-1, 0, \"new\")"), "{first} {second} {position}");
}

#[test]
fn src_26_a_table_is_read_in_under_writers_and_restarts_on_mariadb() {
    if require() {
        under_writers(&MariaDb::start());
    }
}

#[test]
fn mysql9_src_26_a_table_is_read_in_under_writers_and_restarts() {
    if require_mysql() {
        under_writers(&MySql::start());
    }
}

/// Keys of every kind that can be written into a query, and tables that are read as a whole.
fn keys(server: &Server, more: &[&str]) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    numbers(server, 7);
    let mut tables = vec![
        "id BIGINT UNSIGNED PRIMARY KEY | n + 18446744073709550000",
        "a VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, b DATETIME(3), PRIMARY KEY (b, a) | \
         CONCAT(CHAR(97 + n % 26), ' é\\'', n), '2024-02-29 12:00:00' + INTERVAL n % 9 SECOND",
        "a VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY | CONCAT(IF(n % 2, 'Ä', 'z'), n)",
        "a BINARY(4) PRIMARY KEY | UNHEX(LPAD(HEX(n * 7919), 8, '0'))",
        "a DECIMAL(20,4) PRIMARY KEY | (n - 200) / 7",
        "a DATE, b TIME, c SMALLINT, PRIMARY KEY (c, a, b) | '2020-01-01' + INTERVAL n DAY, SEC_TO_TIME((n - 300) * 1000), n % 5 - 2",
        "a TEXT, n INT, PRIMARY KEY (a(30)) | CONCAT(n % 13, '-', n), n",
        "a INT, n INT | n % 5, n",
        "a ENUM('z','y','x'), n INT, PRIMARY KEY (a, n) | 1 + n % 3, n",
        "a DOUBLE PRIMARY KEY | n / 7",
        "a TIMESTAMP(6) NOT NULL DEFAULT '2024-01-01', b BIT(9), PRIMARY KEY (b, a) | '2024-02-29 12:00:00.000001' + INTERVAL n SECOND, n % 300",
    ];
    tables.extend(more);
    let mut watched = vec!["shop.a".to_string()];
    for (i, table) in tables.iter().enumerate() {
        let (columns, values) = table.split_once(" | ").unwrap();
        server.exec(&format!("USE shop; SET sql_mode = 'NO_UNSIGNED_SUBTRACTION'; CREATE TABLE t{i} ({columns}); INSERT INTO t{i} SELECT {values} FROM numbers"));
        watched.push(format!("shop.t{i}"));
    }
    let position = stood(server);
    let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
    let mut mirror = Mirror::default();
    let mut source = start(settings(server, &watched), position.as_deref());
    mirror.until_live(&mut source);
    for (i, table) in tables.iter().enumerate() {
        let name = format!("shop.t{i}");
        assert_eq!(mirror.rows(&name).len(), 512, "{table}");
        assert_eq!(mirror.rows(&name), truth(server, &name), "{table}");
    }
    assert_eq!(mirror.fired, [""; 0]);
    // Rows that come later are the log's, whatever was how read in.
    server.exec("INSERT INTO shop.t7 VALUES (77, 77); DELETE FROM shop.t7 WHERE a = 3");
    mirror.take(&source.transaction());
    mirror.take(&source.transaction());
    assert_eq!(mirror.rows("shop.t7"), truth(server, "shop.t7"));
}

#[test]
fn src_26_tables_of_every_kind_of_key_are_read_in_on_mariadb() {
    if require() {
        let uuid = "a UUID PRIMARY KEY | UUID()";
        keys(&MariaDb::start(), &[uuid, "a INET6 PRIMARY KEY | INET6_NTOA(UNHEX(LPAD(HEX(n * 7919), 32, '0')))"]);
    }
}

#[test]
fn mysql9_src_26_tables_of_every_kind_of_key_are_read_in() {
    if require_mysql() {
        keys(&MySql::start(), &["a VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY | CONCAT(CHAR(65 + n % 26), n)"]);
    }
}

/// What is not watched any more goes, and comes back when it is watched again.
#[test]
fn src_26_a_table_that_is_left_out_goes_and_comes_again() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id INT PRIMARY KEY); INSERT INTO b VALUES (5), (6); CREATE TABLE c (id INT)");
    let mut mirror = Mirror::default();
    let mut position = None;
    for (tables, in_b) in [
        (&["shop.*"][..], 2),
        (&["shop.a"], 0),
        (&["shop.a"], 0),
        (&["shop.b", "shop.a"], 4),
        (&["shop.?"], 5),
        (&["shop.c", "shop.b"], 6),
    ] {
        let mut source = start(settings(&server, tables), position.as_deref());
        mirror.until_live(&mut source);
        assert_eq!(mirror.rows("shop.b").len(), in_b, "{tables:?}");
        assert_eq!(mirror.rows("shop.a").len(), usize::from(tables != ["shop.c", "shop.b"]), "{tables:?}");
        position = source.position.clone();
        let suffix = format!(";tables={}", tables.join(","));
        assert!(position.as_ref().unwrap().ends_with(&suffix), "{position:?}");
        drop(source);
        server.exec("INSERT INTO shop.b SELECT MAX(id) + 1 FROM shop.b WHERE (SELECT COUNT(*) FROM shop.b) < 9");
        if in_b == 0 {
            server.exec("DELETE FROM shop.b WHERE id = 5");
        }
    }
    // Only what the log told of tables that were there fired.
    assert_eq!(mirror.fired, ["shop.b Insert", "shop.b Insert"]);
}

/// DDL on the table in the middle of it.
#[test]
fn src_26_a_table_that_is_altered_or_dropped_while_it_is_read_in() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    let all = ["shop.a", "shop.b"];
    let position = stood(&server);
    let half_way = |position: &Option<String>| {
        server.exec("USE shop; DROP TABLE IF EXISTS b; CREATE TABLE b (id INT PRIMARY KEY, x INT); INSERT INTO b SELECT seq, seq FROM seq_1_to_3000");
        let mut mirror = Mirror::default();
        let mut source = start(settings(&server, &all), position.as_deref());
        while mirror.rows("shop.b").len() < 100 {
            if let Some(transaction) = source.any("rows") {
                mirror.take(&transaction);
            }
        }
        (mirror, source.position.clone())
    };
    for ddl in [
        "ALTER TABLE b ADD COLUMN y INT NOT NULL DEFAULT 7; UPDATE b SET y = 8 WHERE id % 2 = 0",
        "ALTER TABLE b DROP PRIMARY KEY, ADD COLUMN k INT AUTO_INCREMENT PRIMARY KEY FIRST; DELETE FROM b WHERE x % 3 = 0",
        "ALTER TABLE b MODIFY id VARCHAR(20) NOT NULL; INSERT INTO b VALUES ('x', 1)",
        "ALTER TABLE b DROP PRIMARY KEY; INSERT INTO b VALUES (1, 1), (1, 1)",
        "TRUNCATE b; INSERT INTO b VALUES (5, 5), (2000, 1)",
        "DROP TABLE b",
        "DROP TABLE b; CREATE TABLE b (z VARCHAR(9) PRIMARY KEY); INSERT INTO b VALUES ('one')",
    ] {
        let (mut mirror, position) = half_way(&position);
        server.exec(&format!("USE shop; {ddl}; INSERT INTO a SELECT MAX(id) + 1 FROM a"));
        let mut source = start(settings(&server, &all), position.as_deref());
        mirror.until_live(&mut source);
        let wanted = if ddl == "DROP TABLE b" { Vec::new() } else { truth(&server, "shop.b") };
        let found: Vec<String> = mirror.rows("shop.b");
        assert_eq!(found, wanted, "{ddl}");
    }
}

/// What decides on the whole is one transaction, and one that fires if so asked.
#[test]
fn src_26_an_added_table_comes_in_one_where_that_is_asked_for() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1); CREATE TABLE shop.b (id INT PRIMARY KEY); USE shop; INSERT INTO b SELECT seq FROM seq_1_to_12000");
    let position = stood(&server);
    let plain = settings(&server, &["shop.a", "shop.b"]);
    let in_one = MysqlConfig { in_one: true, ..plain.clone() };
    let fire = MysqlConfig { snapshot_effects: SnapshotEffects::Fire, ..plain.clone() };
    let keyless = MysqlConfig { keyless: vec!["shop.b".into()], ..plain };
    for (config, is_fill, sizes) in [(in_one, true, &[12_000][..]), (fire, false, &[12_000]), (keyless, true, &[10_000, 2_000])] {
        let mut source = start(config, position.as_deref());
        for size in sizes {
            let transaction = loop {
                if let Some(transaction) = source.any("the table") {
                    break transaction;
                }
            };
            assert_eq!(changes(&transaction).len(), *size);
            assert_eq!(matches!(transaction.body, Body::Fill(_)), is_fill);
        }
        assert!(source.position.as_ref().unwrap().ends_with(";tables=shop.a,shop.b"), "{:?}", source.position);
    }
}

/// After the snapshot no row is asked for: whoever may read the log follows on.
pub fn without_select(server: &Server, privileges: &str) {
    server.exec(&format!(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT); INSERT INTO shop.a VALUES (1, 'x');
         CREATE USER reader@'%' IDENTIFIED BY ''; GRANT {privileges} ON *.* TO reader@'%'; GRANT SELECT, LOCK TABLES ON shop.* TO reader@'%'"
    ));
    let url = format!("mysql://reader@127.0.0.1:{}", server.port());
    let config = MysqlConfig { clears: true, ..config(&url, &["shop.a"]) };
    let mut source = start(config.clone(), None);
    source.transaction();
    source.until_live();
    server.exec("REVOKE SELECT, LOCK TABLES ON shop.* FROM reader@'%'; INSERT INTO shop.a VALUES (2, 'y')");
    assert_eq!(show_row(&source.transaction()), "2 \"y\"");
    // After a restart too: the log tells the layout.
    let position = source.position.clone();
    drop(source);
    server.exec("UPDATE shop.a SET note = 'z' WHERE id = 2");
    let mut source = start(config, position.as_deref());
    assert_eq!(show_row(&source.transaction()), "2 \"z\"");
    source.nothing_for(Duration::from_millis(50));
}

fn show_row(transaction: &Transaction) -> String {
    text(changes(transaction)[0].after.as_ref().unwrap())
}

#[test]
fn src_18_after_the_snapshot_no_select_is_needed_on_mariadb() {
    if require() {
        without_select(&MariaDb::start(), "REPLICATION SLAVE, BINLOG MONITOR");
    }
}

#[test]
fn mysql9_src_18_after_the_snapshot_no_select_is_needed() {
    if require_mysql() {
        without_select(&MySql::start(), "REPLICATION SLAVE, REPLICATION CLIENT");
    }
}

/// All connections are up and nothing comes over them, amid the rows of an added table: chunks, or a view where the table has no key.
fn silent_amid(server: &Server, table: &str) {
    let position = stood(server);
    let proxy = Proxy::to(server.port());
    proxy.delay(Duration::from_millis(2));
    let url = format!("mysql://root@127.0.0.1:{}", proxy.port());
    let heartbeat = Duration::from_millis(100);
    let settings = MysqlConfig { clears: true, heartbeat, ..config(&url, &["shop.a", table]) };
    let mut source = start(settings, position.as_deref());
    let mut mirror = Mirror::default();
    while mirror.chunks == 0 {
        source.any("a first piece").iter().for_each(|transaction| mirror.take(transaction));
    }
    proxy.stall(true);
    let given_up = |source: &Running| {
        source.statuses.iter().any(|s| matches!(s, SourceStatus::Connecting { error: Some(e) } if e.contains("no sign of life")))
    };
    while !given_up(&source) {
        source.any("a silent server").iter().for_each(|transaction| mirror.take(transaction));
    }
    proxy.cut();
    proxy.delay(Duration::ZERO);
    proxy.stall(false);
    mirror.until_live(&mut source);
    assert_eq!(mirror.rows(table), truth(server, table));
}

#[test]
fn src_5_a_server_that_falls_silent_while_a_table_is_read_in_is_given_up() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY, note TEXT)",
    );
    server.exec("USE shop; INSERT INTO b SELECT seq, REPEAT('n', 100) FROM seq_1_to_60000; CREATE TABLE c AS SELECT * FROM b");
    silent_amid(&server, "shop.b");
    silent_amid(&server, "shop.c");
}
