//! A storm of changes of layout between changes of rows, with restarts of the reader anywhere: what it holds is what SQL says.
//!
//! `THALWEG_STORMS=300 cargo nextest run -p thalweg-sources -E 'test(storm)'` for many rounds; `THALWEG_SEED=7` for one that failed.

use std::collections::BTreeMap;

use thalweg_formulas::Value;
use thalweg_graph::ports::SourceStatus;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Schema, Transaction};
use thalweg_sources::mysql::MysqlConfig;
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mariadb11, require_mysql};

use crate::harness::{Running, changes, config, show, start};

/// What is done in a round, and how often the reader ends and begins anew.
const STEPS: usize = 40;

/// Kinds of columns, each with what it may become without a change of its values, and a value as SQL.
const KINDS: &[(&str, &[usize], &str)] = &[
    ("SMALLINT", &[1, 2], "{n}"),
    ("INT", &[2], "{n} * 1000"),
    ("BIGINT", &[], "-{n} * 100000000000"),
    ("VARCHAR(20) CHARACTER SET latin1", &[4, 5], "CONCAT('é', {n})"),
    ("VARCHAR(40) CHARACTER SET utf8mb4", &[5], "CONCAT('ü', {n})"),
    ("TEXT CHARACTER SET utf8mb4", &[], "REPEAT('ß', {n})"),
    ("CHAR(20) CHARACTER SET ucs2", &[4, 5], "CONCAT('ä', {n})"),
    ("DECIMAL(8,2)", &[8], "{n} / 4"),
    ("DECIMAL(20,2)", &[], "-{n} / 2"),
    ("ENUM('x','y','é')", &[10], "1 + {n} % 3"),
    ("ENUM('x','y','é','ö')", &[], "1 + {n} % 4"),
    ("VARBINARY(20)", &[], "UNHEX(HEX({n}))"),
    ("DATETIME(3)", &[], "'2024-02-29 01:02:03.004' + INTERVAL {n} HOUR"),
    ("DOUBLE", &[], "{n} / 7"),
    ("INT UNSIGNED", &[], "4294967295 - {n}"),
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// The tables as the storm made them: the columns behind the key, with their kinds.
struct Storm<'a> {
    server: &'a Server,
    random: Random,
    tables: BTreeMap<&'static str, Vec<(String, usize)>>,
    /// Names for columns that were never there.
    named: usize,
    told: Vec<String>,
}

impl Storm<'_> {
    fn exec(&mut self, sql: &str) {
        self.told.push(sql.to_owned());
        self.server.exec(&format!("USE storm; SET sql_mode = 'NO_ENGINE_SUBSTITUTION'; {sql}"));
    }

    /// Whether the server has done it.
    fn tries(&mut self, sql: &str) -> bool {
        let mode = "USE storm; SET sql_mode = 'NO_ENGINE_SUBSTITUTION'";
        let done = self.server.client().try_query(&format!("{mode}; {sql}")).is_ok();
        self.told.extend(done.then(|| sql.to_owned()));
        done
    }

    fn table(&mut self) -> &'static str {
        let at = self.random.below(self.tables.len());
        self.tables.keys().nth(at).unwrap()
    }

    /// Some column of a table with its kind, if there is one.
    fn column(&mut self, table: &str) -> Option<(usize, String, usize)> {
        let at = self.random.below(self.tables[table].len().max(1));
        let (name, kind) = self.tables[table].get(at)?.clone();
        Some((at, name, kind))
    }

    fn value(&mut self, kind: usize) -> String {
        match self.random.below(8) {
            0 => "NULL".into(),
            _ => format!("({})", KINDS[kind].2.replace("{n}", &self.random.below(30).to_string())),
        }
    }

    /// One or more rows change.
    fn rows(&mut self) {
        let table = self.table();
        let some = self.random.below(4);
        match (self.random.below(6), self.column(table)) {
            (0, _) => self.exec(&format!("DELETE FROM {table} WHERE id % 4 = {some}")),
            (1, _) => self.exec(&format!("UPDATE IGNORE {table} SET id = id + 1000 WHERE id % 4 = {some} AND id < 5000")),
            (2 | 3, Some((_, name, kind))) => {
                let value = self.value(kind);
                self.exec(&format!("UPDATE {table} SET {name} = {value} WHERE id % 4 = {some}"));
            }
            _ => self.insert(table),
        }
    }

    fn insert(&mut self, table: &str) {
        let columns = self.tables[table].clone();
        let names: String = columns.iter().map(|(name, _)| format!(", {name}")).collect();
        let rows: Vec<String> = (0..3)
            .map(|_| {
                let values: String = columns.iter().map(|(_, kind)| format!(", {}", self.value(*kind))).collect();
                format!("({}{values})", self.random.below(1000))
            })
            .collect();
        self.exec(&format!("INSERT IGNORE INTO {table} (id{names}) VALUES {}", rows.join(", ")));
    }

    fn place(&mut self, table: &str) -> String {
        match (self.random.below(3), self.column(table)) {
            (0, Some((_, name, _))) => format!(" AFTER {name}"),
            (1, _) => " FIRST".into(),
            _ => String::new(),
        }
    }

    fn fresh(&mut self) -> String {
        self.named += 1;
        format!("c{}", self.named)
    }

    /// A layout changes, if the server is willing.
    fn layout(&mut self) {
        let (table, kind) = (self.table(), self.random.below(KINDS.len()));
        let (place, fresh) = (self.place(table), self.fresh());
        match (self.random.below(14), self.column(table)) {
            (0 | 1, _) => {
                let hidden = ["", " INVISIBLE"][self.random.below(2)];
                self.exec(&format!("ALTER TABLE {table} ADD COLUMN {fresh} {}{hidden}{place}", KINDS[kind].0));
                self.tables.get_mut(table).unwrap().push((fresh, kind));
            }
            (2, Some((at, name, _))) => {
                self.exec(&format!("ALTER TABLE {table} DROP COLUMN {name}"));
                self.tables.get_mut(table).unwrap().remove(at);
            }
            (3, Some((at, name, _))) => {
                self.exec(&format!("ALTER TABLE {table} RENAME COLUMN {name} TO {fresh}"));
                self.tables.get_mut(table).unwrap()[at].0 = fresh;
            }
            (4, Some((_, name, kind))) if !place.contains(&name) => {
                self.exec(&format!("ALTER TABLE {table} MODIFY {name} {}{place}", KINDS[kind].0));
            }
            (5 | 6, Some((at, name, kind))) if !KINDS[kind].1.is_empty() => {
                let wider = KINDS[kind].1[self.random.below(KINDS[kind].1.len())];
                self.exec(&format!("ALTER TABLE {table} MODIFY {name} {}", KINDS[wider].0));
                self.tables.get_mut(table).unwrap()[at].1 = wider;
            }
            (7, _) => {
                let kept = ["VIRTUAL", "STORED"][self.random.below(2)];
                self.exec(&format!("ALTER TABLE {table} ADD COLUMN g_{fresh} INT AS (id * 2) {kept}{place}"));
            }
            // What follows gives rows that are there other values, without row events.
            (8 | 9, _) => {
                let value = self.value(kind);
                let default = [format!("DEFAULT {value}"), "NOT NULL".into(), "AS (id * 3)".into()][self.random.below(3)].clone();
                if self.tries(&format!("ALTER TABLE {table} ADD COLUMN {fresh} {} {default}{place}", KINDS[kind].0))
                    && !default.starts_with("AS")
                {
                    self.tables.get_mut(table).unwrap().push((fresh, kind));
                }
            }
            (10, Some((at, name, _))) => {
                let one = self.random.below(2) == 0;
                let between = if one { ",".into() } else { format!("; ALTER TABLE {table}") };
                self.exec(&format!("ALTER TABLE {table} DROP COLUMN {name}{between} ADD COLUMN {name} {}", KINDS[kind].0));
                self.tables.get_mut(table).unwrap()[at].1 = kind;
            }
            (11 | 12, Some((at, name, _))) => {
                let null = ["NULL", "NOT NULL"][self.random.below(2)];
                if self.tries(&format!("ALTER TABLE {table} MODIFY {name} {} {null}", KINDS[kind].0)) {
                    self.tables.get_mut(table).unwrap()[at].1 = kind;
                }
            }
            _ => self.exec(&format!("ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4, COMMENT '{fresh}'")),
        }
    }

    /// Rows come and go without row events.
    fn replace(&mut self) {
        let table = self.table();
        match self.random.below(6) {
            0 => self.exec(&format!("TRUNCATE TABLE {table}")),
            1 => {
                self.exec(&format!("DROP TABLE {table}; CREATE TABLE {table} (name VARCHAR(9), id INT PRIMARY KEY)"));
                self.tables.insert(table, Vec::new());
            }
            2 => {
                // Those that are computed cannot be given.
                let names: String = self.tables["a"].iter().map(|(name, _)| format!(", {name}")).collect();
                let copied = format!(
                    "CREATE TABLE copy LIKE a; INSERT INTO copy (id{names}) SELECT id{names} FROM a; INSERT IGNORE INTO copy (id) VALUES (9001)"
                );
                self.exec(&format!("{copied}; RENAME TABLE a TO gone, copy TO a; DROP TABLE gone"));
            }
            3 => {
                self.exec("RENAME TABLE a TO aside; RENAME TABLE b TO a; RENAME TABLE aside TO b");
                let (a, b) = (self.tables.remove("a").unwrap(), self.tables.remove("b").unwrap());
                self.tables.extend([("a", b), ("b", a)]);
            }
            4 => self.exec("RENAME TABLE a TO away.a; INSERT IGNORE INTO b (id) VALUES (9002); RENAME TABLE away.a TO a"),
            _ => self.exec("INSERT IGNORE INTO away.flat VALUES (1, 1), (2, 2); ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE away.flat; INSERT IGNORE INTO parts VALUES (3, 3), (200, 7)"),
        }
    }
}

/// A reader that ends before its time leaves what was done.
impl Drop for Storm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.told.join(";\n"));
        }
    }
}

type Cells = BTreeMap<String, String>;

/// What the reader holds: cells by the names of their columns. A cell is not there where the column is younger than what was last told of its
/// row: then it is NULL.
#[derive(Default)]
struct Held {
    tables: BTreeMap<String, BTreeMap<String, Cells>>,
    /// Rows are read again whose values are not told by the log.
    is_stale: bool,
    read_again: usize,
}

impl Held {
    fn take(&mut self, source: &Running, transaction: &Transaction) {
        self.is_stale = reads_again(source);
        self.read_again += usize::from(&*transaction.origin != "snapshot" && matches!(transaction.body, Body::Fill(_)));
        changes(transaction).iter().for_each(|change| self.change(change));
    }

    fn change(&mut self, change: &Change) {
        let table = change.schema.table.to_string();
        if change.is_clear() {
            self.tables.remove(&table);
            return;
        }
        let rows = self.tables.entry(table).or_default();
        let cells = |row: &thalweg_graph::Row| cells(&change.schema, row);
        if let Some(before) = &change.before {
            let (key, before) = cells(before);
            let held = rows.remove(&key).unwrap_or_else(|| panic!("not there: {change:?}"));
            let differs = before.iter().find(|(name, value)| held.get(*name).is_some_and(|held| held != *value));
            assert!(self.is_stale || differs.is_none(), "{differs:?}, held: {held:?}");
        }
        if let Some(after) = &change.after {
            let (key, after) = cells(after);
            let was = rows.insert(key, after);
            assert!(was.is_none() || change.op == Op::Upsert, "there already: {change:?}");
        }
    }
}

/// A row's key and its cells.
fn cells(schema: &Schema, row: &thalweg_graph::Row) -> (String, Cells) {
    let cells: Cells =
        schema.columns.iter().zip(row).map(|(column, cell)| (column.name.to_string(), show(cell.as_ref().unwrap()))).collect();
    (cells["id"].clone(), cells)
}

fn settings(server: &Server) -> MysqlConfig {
    MysqlConfig { clears: true, ..config(&server.url(), &["storm.*"]) }
}

/// Reads on until the server's position.
fn catch_up(server: &Server, source: &mut Running, held: &mut Held) {
    let wanted = server.gtid();
    while reads_again(source) || source.position.as_deref().is_none_or(|at| at.split(';').next() != Some(&wanted)) {
        if let Some(transaction) = source.any("the position") {
            held.take(source, &transaction);
        }
    }
}

/// Whether there are rows that are not yet up to date.
fn reads_again(source: &Running) -> bool {
    source.position.as_ref().is_some_and(|position| position.contains(";fill="))
}

/// Some of what comes, and the reader ends there.
fn some(source: &mut Running, held: &mut Held, count: usize) {
    for _ in 0..count {
        if source.statuses.last() == Some(&SourceStatus::Live(true)) {
            break;
        }
        if let Some(transaction) = source.any("anything") {
            held.take(source, &transaction);
        }
    }
}

fn round(server: &Server, seed: u64) -> Result<(), String> {
    server.exec("DROP DATABASE IF EXISTS storm; DROP DATABASE IF EXISTS away; CREATE DATABASE storm; CREATE DATABASE away; USE storm;
        CREATE TABLE a (id INT PRIMARY KEY, c0 INT); CREATE TABLE b (c0 VARCHAR(20) CHARACTER SET latin1, id INT PRIMARY KEY); INSERT INTO a VALUES (1, 1);
        CREATE TABLE parts (id INT PRIMARY KEY, n INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN MAXVALUE);
        CREATE TABLE away.flat (id INT PRIMARY KEY, n INT)");
    let tables = BTreeMap::from([("a", vec![("c0".to_string(), 1)]), ("b", vec![("c0".to_string(), 3)])]);
    let mut storm =
        Storm { server, random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), tables, named: 0, told: Vec::new() };
    let mut held = Held::default();
    let mut source = start(settings(server), None);
    catch_up(server, &mut source, &mut held);
    for _ in 0..STEPS {
        match storm.random.below(16) {
            0 => storm.replace(),
            1..5 => storm.layout(),
            5 | 6 => {
                some(&mut source, &mut held, 3);
                let position = source.position.clone();
                drop(source);
                source = start(settings(server), position.as_deref());
            }
            7 => catch_up(server, &mut source, &mut held),
            _ => storm.rows(),
        }
    }
    // Behind everything a row of each table, so that nothing is as it was before.
    storm.exec("INSERT IGNORE INTO a (id) VALUES (9998); INSERT IGNORE INTO b (id) VALUES (9998); INSERT IGNORE INTO parts (id) VALUES (9998)");
    catch_up(server, &mut source, &mut held);
    let mut anew = Held::default();
    catch_up(server, &mut start(settings(server), None), &mut anew);
    println!("seed {seed}: {} transactions of rows that were read again", held.read_again);
    same(&held, &anew).map_err(|why| format!("seed {seed}: {why}\n{}", storm.told.join(";\n")))
}

/// What is held is what is read anew: the same rows, cell by cell.
fn same(held: &Held, anew: &Held) -> Result<(), String> {
    for (table, rows) in &anew.tables {
        let held = held.tables.get(table).ok_or_else(|| format!("{table} is not held"))?;
        if !held.keys().eq(rows.keys()) {
            return Err(format!("{table}: {:?} and not {:?}", held.keys(), rows.keys()));
        }
        for (key, cells) in rows {
            let null = show(&Value::Null);
            let held = |name: &String| held[key].get(name).unwrap_or(&null);
            if let Some((name, cell)) = cells.iter().find(|(name, cell)| held(name) != *cell) {
                return Err(format!("{table}.{name} of {key}: {} and not {cell}", held(name)));
            }
        }
    }
    Ok(())
}

fn rounds(server: &Server, suite: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match (number("THALWEG_SEED"), number("THALWEG_STORMS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 1..count.unwrap_or(suite) + 1,
    };
    for seed in seeds.clone() {
        if let Err(text) = round(server, seed) {
            panic!("{text}");
        }
    }
    println!("{} storms", seeds.count());
}

#[test]
fn src_12_a_storm_of_layouts_on_mariadb() {
    if require() {
        rounds(&MariaDb::start(), 4);
    }
}

#[test]
fn mariadb11_src_12_a_storm_of_layouts() {
    if require_mariadb11() {
        rounds(&MariaDb::start_11(&[]), 2);
    }
}

#[test]
fn mysql9_src_12_a_storm_of_layouts() {
    if require_mysql() {
        rounds(&MySql::start(), 3);
    }
}
