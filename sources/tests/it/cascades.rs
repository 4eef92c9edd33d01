//! What foreign keys do to rows: told by the log, or found by `doctor` with the statements that make the log tell it.

use std::collections::BTreeSet;

use thalweg_sources::mysql::{Finding, MysqlConfig, Stands, examine};
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mariadb11, require_mysql};

use crate::harness::{config, line, runtime, start};

const TABLES: &str = "CREATE DATABASE shop; USE shop; CREATE TABLE orders (a INT, b INT, PRIMARY KEY (a, b));
    CREATE TABLE items (id INT PRIMARY KEY, a INT, b INT, CONSTRAINT of_order FOREIGN KEY (a, b) REFERENCES orders (a, b) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE notes (id INT PRIMARY KEY, item INT, CONSTRAINT `of item` FOREIGN KEY (item) REFERENCES items (id) ON DELETE SET NULL);
    CREATE TABLE trees (id INT PRIMARY KEY, up INT, CONSTRAINT tree FOREIGN KEY (up) REFERENCES trees (id) ON DELETE CASCADE);
    CREATE TABLE parts (id INT PRIMARY KEY, item INT, CONSTRAINT part FOREIGN KEY (item) REFERENCES items (id) ON UPDATE CASCADE);
    CREATE TABLE calm (id INT PRIMARY KEY, item INT, CONSTRAINT calm FOREIGN KEY (item) REFERENCES items (id));
    INSERT INTO orders VALUES (1, 1), (2, 2); INSERT INTO items VALUES (10, 1, 1), (20, 2, 2); INSERT INTO notes VALUES (7, 10), (8, 20)";

const WATCHED: [&str; 1] = ["shop.*"];

fn settings(server: &Server) -> MysqlConfig {
    MysqlConfig { clears: true, ..config(&server.url(), &WATCHED) }
}

/// What is said about foreign keys.
fn found(server: &Server) -> Vec<Finding> {
    let all = runtime().block_on(examine(&settings(server), Stands::Unknown)).findings;
    all.into_iter().filter(|finding| finding.name.starts_with("foreign key")).collect()
}

/// What the log tells when an order is deleted with all that belongs to it.
fn deleted(server: &Server) -> BTreeSet<String> {
    let mut source = start(settings(server), None);
    source.transaction();
    source.until_live();
    server.exec("DELETE FROM shop.orders WHERE a = 1");
    let told = line(&source.transaction());
    told.split_once(": ").unwrap().1.split(' ').map(str::to_string).collect()
}

fn all() -> BTreeSet<String> {
    ["~notes(7,", "10", "->", "7,", "NULL)", "-items(10,", "1,", "1)", "-orders(1,"].map(str::to_string).into()
}

fn is_told_once_mended(server: &Server) {
    server.exec(TABLES);
    let findings = found(server);
    let said: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}: {}; {}", finding.name, finding.found, finding.cure.as_deref().unwrap_or_default()))
        .collect();
    let unseen = |what: &str, table: &str| format!("{what}: what this does to rows of shop.{table} stands in no log");
    assert_eq!(
        said,
        [
            format!(
                "foreign key shop.items.of_order: {}; let a trigger do it",
                unseen("ON DELETE CASCADE, ON UPDATE CASCADE", "items")
            ),
            format!("foreign key shop.notes.of item: {}; let a trigger do it", unseen("ON DELETE SET NULL", "notes")),
            format!(
                "foreign key shop.parts.part: {}; do not change the key of a row of shop.items that others refer to",
                unseen("ON UPDATE CASCADE", "parts")
            ),
            format!(
                "foreign key shop.trees.tree: {}; delete the rows of shop.trees that refer to a row before the row itself",
                unseen("ON DELETE CASCADE", "trees")
            ),
        ]
    );
    for statement in findings.iter().flat_map(|finding| &finding.sql) {
        server.exec(statement);
    }
    let left: Vec<String> = found(server).into_iter().map(|finding| finding.name).collect();
    assert_eq!(left, ["foreign key shop.parts.part", "foreign key shop.trees.tree"]);
    assert_eq!(deleted(server), all());
}

#[test]
fn what_a_foreign_key_does_unseen_is_found_and_told_once_mended_on_mariadb() {
    if require() {
        is_told_once_mended(&MariaDb::start());
    }
}

#[test]
fn what_a_foreign_key_does_unseen_is_found_and_told_once_mended_on_mariadb11() {
    if require_mariadb11() {
        is_told_once_mended(&MariaDb::start_11(&[]));
    }
}

#[test]
fn mysql9_what_a_foreign_key_does_is_told() {
    if require_mysql() {
        let server = MySql::start();
        server.exec(TABLES);
        assert_eq!(found(&server), []);
        assert_eq!(deleted(&server), all());
        drop(server);
        is_told_once_mended(&MySql::start_with(&["--innodb-native-foreign-keys=ON"]));
    }
}
