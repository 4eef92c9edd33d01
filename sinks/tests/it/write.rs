//! `sql-upsert`, `sql-delete` and `sql-sync` against a real MariaDB.

use std::sync::Arc;

use serde_json::json;
use thalweg_formulas::{Duration, Timestamp, Value};
use thalweg_graph::ports::{Attempt, Firing, PendingDelivery, Sink};
use thalweg_sinks::{Secret, SinkContext};
use thalweg_testkit::{MariaDb, Proxy};

use crate::{HOSTILE, context, delivery, id, shown};

fn at(server: &MariaDb) -> SinkContext {
    let mut context = context();
    context.database_url = Some(Secret::new(server.url_of("copy")));
    context
}

fn sink(context: &SinkContext, settings: serde_json::Value) -> Arc<dyn Sink> {
    crate::sink(settings, context)
}

fn row(columns: &[(&str, Value)]) -> Value {
    Value::record(columns.iter().map(|(name, value)| (*name, value.clone())))
}

/// `{id, name}`.
fn person(id: i64, name: &str) -> Value {
    row(&[("id", Value::Int(id)), ("name", Value::text(name))])
}

/// One change of `shop.people`, the `n`-th transaction.
struct Step<'a> {
    n: u64,
    old: Value,
    new: Value,
    origin: &'a str,
}

fn insert(n: u64, new: Value) -> Step<'static> {
    Step { n, old: Value::Null, new, origin: "0-1-42" }
}

fn update(n: u64, old: Value, new: Value) -> Step<'static> {
    Step { n, old, new, origin: "0-1-42" }
}

fn delete(n: u64, old: Value) -> Step<'static> {
    Step { n, old, new: Value::Null, origin: "0-1-42" }
}

/// The delivery that a reaction on this change makes.
fn fired(sink: &dyn Sink, step: &Step<'_>) -> PendingDelivery {
    let of = |row: &Value, name: &str| match row {
        Value::Map(row) => row.get(&Value::text(name)).cloned(),
        _ => None,
    };
    let op = match (&step.old, &step.new) {
        (Value::Null, _) => "insert",
        (_, Value::Null) => "delete",
        _ => "update",
    };
    let key = [(Arc::from("id"), of(&step.new, "id").or(of(&step.old, "id")).unwrap_or(Value::Null))];
    let payload = Value::record([
        ("event", Value::from("person.changed")),
        ("table", Value::from("shop.people")),
        ("op", Value::from(op)),
        ("key", Value::record(key.iter().cloned())),
        ("old", step.old.clone()),
        ("new", step.new.clone()),
    ]);
    let (id, at) = (id(step.n as u32), Timestamp(1_709_251_199_250_000));
    let firing = Firing {
        id: &id,
        node: "people",
        event: "person.changed",
        table: "shop.people",
        key: &key,
        version: 1,
        at,
        origin: step.origin,
        payload: &payload,
        ack_token: None,
    };
    delivery(sink, &firing, step.n)
}

async fn apply(sink: &dyn Sink, step: Step<'_>) -> String {
    shown(&sink.deliver(&fired(sink, &step)).await)
}

async fn done(sink: &dyn Sink, step: Step<'_>) {
    assert_eq!(apply(sink, step).await, "done");
}

fn people(server: &MariaDb) -> Vec<Vec<String>> {
    server.query("SELECT id, name FROM copy.people ORDER BY id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_mirrored_exactly_once_and_never_by_an_older_write() {
    if !thalweg_testkit::require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE copy; CREATE TABLE copy.people (id INT PRIMARY KEY, name VARCHAR(40))");
    a_table_is_mirrored(&server).await;
    an_older_write_changes_nothing(&server).await;
    two_rules_may_write_the_columns_of_one_row(&server).await;
    columns_may_have_other_names(&server).await;
    what_does_not_fit_is_told(&server).await;
    snk_11_a_row_that_is_locked_is_waited_for(&server).await;
    every_kind_of_value_arrives(&server).await;
    hostile_names_and_texts_stay_names_and_texts(&server).await;
    own_writes_are_recognised(&server).await;
    a_row_that_was_changed_here_can_be_kept(&server).await;
    many_at_once_end_where_the_newest_says(&server).await;
    a_cut_at_any_byte_neither_loses_nor_doubles(&server).await;
}

async fn a_table_is_mirrored(server: &MariaDb) {
    let sync = sink(&at(server), json!({"type": "sql-sync"}));
    done(&*sync, insert(1, person(1, "ada"))).await;
    done(&*sync, insert(2, person(2, "bob"))).await;
    done(&*sync, update(3, person(1, "ada"), person(1, "Ada"))).await;
    done(&*sync, update(4, person(3, "eve"), person(3, "Eve"))).await; // It was there before anybody looked.
    done(&*sync, delete(5, person(2, "bob"))).await;
    done(&*sync, delete(6, person(9, "nobody"))).await;
    assert_eq!(people(server), [["1", "Ada"], ["3", "Eve"]]);
    // A row that is there already, by whatever hand, is made so.
    server.exec("INSERT INTO copy.people VALUES (4, 'stray')");
    done(&*sync, insert(7, person(4, "dan"))).await;
    assert_eq!(people(server), [["1", "Ada"], ["3", "Eve"], ["4", "dan"]]);
    server.exec("DELETE FROM copy.people");
}

async fn an_older_write_changes_nothing(server: &MariaDb) {
    let context = at(server);
    let sync = sink(&context, json!({"type": "sql-sync", "table": "people"}));
    let upsert = sink(&context, json!({"type": "sql-upsert", "table": "people"}));
    let remove = sink(&context, json!({"type": "sql-delete", "table": "people"}));
    // The delivery of 10 waits for its next try while those after it arrive; the rules are different ones.
    done(&*remove, delete(11, person(10, "old"))).await;
    done(&*upsert, insert(10, person(10, "old"))).await;
    assert_eq!(people(server).len(), 0, "a row that is gone stays gone");
    done(&*sync, insert(13, person(10, "new"))).await;
    done(&*upsert, update(12, person(10, "a"), person(10, "b"))).await;
    done(&*remove, delete(12, person(10, "b"))).await;
    done(&*remove, delete(11, person(10, "old"))).await;
    assert_eq!(people(server), [["10", "new"]]);
    server.exec("CREATE TABLE copy.People LIKE copy.people");
    let upper = sink(&context, json!({"type": "sql-sync", "table": "People"}));
    done(&*upper, insert(9, person(10, "other table"))).await;
    assert_eq!(server.query("SELECT name FROM copy.People"), [["other table"]], "names that differ in case are two tables here");
    // A repeat of the newest is none.
    server.exec("UPDATE copy.people SET name = 'by hand'");
    done(&*sync, insert(13, person(10, "new"))).await;
    assert_eq!(people(server), [["10", "by hand"]]);
    // Epochs of another instance say nothing about ours.
    let mut other = at(server);
    other.secret = Secret::new("another instance");
    done(&*sink(&other, json!({"type": "sql-sync"})), update(3, person(10, "a"), person(10, "other"))).await;
    assert_eq!(people(server), [["10", "other"]]);
    let refused = apply(&*upsert, delete(20, person(10, "x"))).await;
    assert_eq!(refused, "permanent: E0525: there is no row to write: the event is a delete; use sql-sync, or name `columns`");
    server.exec("DELETE FROM copy.people");
}

async fn two_rules_may_write_the_columns_of_one_row(server: &MariaDb) {
    server.exec("CREATE TABLE copy.profile (id INT PRIMARY KEY, a TEXT, b TEXT, gone_at DATETIME(3))");
    let context = at(server);
    let one = |column: &str| {
        let columns = json!({"id": "{key.id}", column: "{new.name}"});
        sink(&context, json!({"type": "sql-upsert", "table": "profile", "key": "id", "columns": columns}))
    };
    let (a, b) = (one("a"), one("b"));
    done(&*b, insert(32, person(1, "b32"))).await;
    done(&*a, insert(31, person(1, "a31"))).await; // Older, and of another column.
    done(&*b, insert(31, person(1, "b31"))).await;
    assert_eq!(server.query("SELECT * FROM copy.profile"), [["1", "a31", "b32", "NULL"]]);
    // A delete at the source need not be one here.
    let columns = json!({"id": "{key.id}", "gone_at": "{timestamp}"});
    let mark = sink(&context, json!({"type": "sql-upsert", "table": "profile", "key": ["id"], "columns": columns}));
    done(&*mark, delete(33, person(1, "x"))).await;
    assert_eq!(server.query("SELECT * FROM copy.profile"), [["1", "a31", "b32", "2024-02-29 23:59:59.250"]]);
}

async fn columns_may_have_other_names(server: &MariaDb) {
    server.exec(
        "CREATE TABLE copy.renamed (who INT UNIQUE KEY, called TEXT, twice TEXT AS (CONCAT(called, called)), via VARCHAR(20))",
    );
    let context = at(server);
    let columns = json!({"who": "{row.id}", "called": "Mx {new.name}", "via": "{op}/{old.name}"});
    let sync = sink(&context, json!({"type": "sql-sync", "table": "renamed", "key": "who", "columns": columns}));
    done(&*sync, insert(40, person(1, "ada"))).await;
    done(&*sync, update(41, person(1, "ada"), person(1, "bob"))).await;
    let rows = server.query("SELECT * FROM copy.renamed");
    assert_eq!(rows, [["1", "Mx bob", "Mx bobMx bob", "update/ada"]]);
    done(&*sync, delete(42, person(1, "bob"))).await;
    assert!(server.query("SELECT * FROM copy.renamed").is_empty());

    server.exec("CREATE TABLE copy.part (id INT PRIMARY KEY, NAME TEXT)");
    let part = sink(&context, json!({"type": "sql-sync", "table": "part", "except": ["Password"]}));
    let secretive = row(&[("id", Value::Int(1)), ("name", Value::text("ada")), ("password", Value::text("x"))]);
    done(&*part, insert(43, secretive.clone())).await;
    assert_eq!(server.query("SELECT * FROM copy.part"), [["1", "ada"]]);
    let by_column = sink(&context, json!({"type": "sql-delete", "table": "part", "columns": {"id": "{old.id}"}}));
    done(&*by_column, delete(44, secretive)).await;
    assert!(server.query("SELECT * FROM copy.part").is_empty());
}

async fn what_does_not_fit_is_told(server: &MariaDb) {
    server.exec(
        "CREATE TABLE copy.loose (id INT, name TEXT, KEY (id)); CREATE TABLE copy.prefix (id INT, name VARCHAR(40), UNIQUE KEY (name(3)));
         CREATE TABLE copy.narrow (id INT PRIMARY KEY, name VARCHAR(2)); CREATE TABLE copy.only (id INT PRIMARY KEY);
         CREATE TABLE copy.uniq (id INT PRIMARY KEY, name VARCHAR(40) UNIQUE);
         CREATE TABLE copy.child (id INT PRIMARY KEY, name VARCHAR(40), FOREIGN KEY (id) REFERENCES copy.only (id))",
    );
    let context = at(server);
    let on = |table: &str| sink(&context, json!({"type": "sql-sync", "table": table}));
    let said = |table: &'static str| {
        let sync = on(table);
        async move { apply(&*sync, insert(50, person(1, "ada"))).await }
    };
    for (table, text) in [
        ("nowhere", "transient: E0520: there is no table `copy`.`nowhere`; make it, with a primary key"),
        (
            "loose",
            "transient: E0527: `copy`.`loose` may hold several rows with the same `id`; run: ALTER TABLE `copy`.`loose` ADD UNIQUE KEY (`id`)",
        ),
        ("narrow", "transient: E0522: column `name` takes 2 characters, this value has 3"),
        ("only", "transient: E0521: `copy`.`only` has no column `name`; its columns: id"),
    ] {
        assert_eq!(said(table).await, text);
    }
    let by_name = sink(&context, json!({"type": "sql-sync", "table": "prefix", "key": ["name"]}));
    let refused = apply(&*by_name, insert(50, person(1, "ada"))).await;
    assert!(refused.starts_with("transient: E0527"), "{refused}");
    let by_mail = sink(&context, json!({"type": "sql-sync", "table": "uniq", "key": ["mail"]}));
    let keyless = apply(&*by_mail, insert(50, person(1, "a"))).await;
    assert_eq!(keyless, "permanent: E0525: the change names no row: it has no value for the key column `mail`");

    // What may pass by itself is waited for: the row that this one refers to.
    let waiting = said("child").await;
    assert!(waiting.starts_with("transient: E0524: the database refused: Cannot add or update a child row"), "{waiting}");
    server.exec("INSERT INTO copy.only VALUES (1)");
    assert_eq!(said("child").await, "done");

    // Another unique key: only a row with the same key is ours to change, and the other one may be about to give the value up.
    let uniq = on("uniq");
    done(&*uniq, insert(51, person(1, "ada"))).await;
    let refused = apply(&*uniq, insert(52, person(2, "ada"))).await;
    assert!(refused.starts_with("transient: E0523: the database refused: Duplicate entry 'ada'"), "{refused}");
    server.exec("UPDATE copy.uniq SET name = 'free'");
    done(&*uniq, insert(52, person(2, "ada"))).await;
    assert_eq!(server.query("SELECT * FROM copy.uniq ORDER BY id"), [["1", "free"], ["2", "ada"]]);

    // A table that has changed is looked at again.
    server.exec("ALTER TABLE copy.only ADD COLUMN name TEXT");
    assert_eq!(said("only").await, "done");
}

async fn snk_11_a_row_that_is_locked_is_waited_for(server: &MariaDb) {
    server.exec("SET GLOBAL innodb_lock_wait_timeout = 1; CREATE TABLE copy.held (id INT PRIMARY KEY, name TEXT); INSERT INTO copy.held VALUES (1, 'x')");
    let client = server.client();
    let holder =
        std::thread::spawn(move || client.try_query("BEGIN; UPDATE copy.held SET name = 'held'; SELECT SLEEP(2.5); COMMIT"));
    let sleeps = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'";
    while server.query(sleeps) == [["0"]] {
        assert!(!holder.is_finished(), "the row is held for seconds");
    }
    let sync = sink(&at(server), json!({"type": "sql-sync", "table": "held"}));
    let waiting = apply(&*sync, update(55, person(1, "x"), person(1, "new"))).await;
    assert_eq!(waiting, "transient: E0524: the database refused: Lock wait timeout exceeded; try restarting transaction (1205)");
    holder.join().unwrap().unwrap();
    done(&*sync, update(55, person(1, "x"), person(1, "new"))).await;
    assert_eq!(server.query("SELECT name FROM copy.held"), [["new"]]);
    assert_eq!(
        server.query("SELECT writes FROM copy.thalweg_rows WHERE table_name = 'held'"),
        [["1"]],
        "the first try left nothing"
    );
}

async fn every_kind_of_value_arrives(server: &MariaDb) {
    server.exec(
        "CREATE TABLE copy.kinds (id DECIMAL(40,3) PRIMARY KEY, u BIGINT UNSIGNED, x DOUBLE, t TEXT, b BLOB, v VARBINARY(4), d DATE, dt DATETIME(6),
           ts TIMESTAMP(3) NULL, ti TIME(3), bi BIT(8), e ENUM('a','b'), s SET('a','b'), j JSON, n TEXT, y YEAR, flag BOOL)",
    );
    let day = Timestamp(1_709_164_800_000_000);
    let now = Timestamp(1_709_251_199_250_000);
    let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
    let kinds = row(&[
        ("id", decimal("1234567890123456789012345678901234567.125")),
        ("u", Value::Uint(u64::MAX)),
        ("x", Value::double(0.1 + 0.2)),
        ("t", Value::text("ünï'\"\\\0")),
        ("b", Value::Bytes([0, 159, 146, 150].into())),
        ("v", Value::Bytes([255, 0].into())),
        ("d", Value::Timestamp(day)),
        ("dt", Value::Timestamp(now)),
        ("ts", Value::Timestamp(now)),
        ("ti", Value::Duration(Duration(-97_200_500_000))),
        ("bi", Value::Uint(0b1010)),
        ("e", Value::text("b")),
        ("s", Value::text("a,b")),
        ("j", Value::list([Value::Int(1), Value::record([("k", Value::Null)])])),
        ("n", Value::Null),
        ("y", Value::Int(2024)),
        ("flag", Value::Int(1)),
    ]);
    let sync = sink(&at(server), json!({"type": "sql-sync", "table": "kinds"}));
    done(&*sync, insert(60, kinds.clone())).await;
    let read = "SELECT id, u, x = 0.30000000000000004e0, HEX(t), HEX(b), HEX(v), d, dt, UNIX_TIMESTAMP(ts), ti, bi + 0, e, s, j, n, y, flag FROM copy.kinds";
    let expected = [
        "1234567890123456789012345678901234567.125",
        "18446744073709551615",
        "1",
        "C3BC6EC3AF27225C00",
        "009F9296",
        "FF00",
        "2024-02-29",
        "2024-02-29 23:59:59.250000",
        "1709251199.250",
        "-27:00:00.500",
        "10",
        "b",
        "a,b",
        r#"[1,{"k":null}]"#,
        "NULL",
        "2024",
        "1",
    ];
    assert_eq!(server.query(read), [expected]);
    // A long decimal is found again by its key.
    done(&*sync, delete(61, kinds)).await;
    assert!(server.query(read).is_empty());
}

async fn hostile_names_and_texts_stay_names_and_texts(server: &MariaDb) {
    server.exec(
        "CREATE TABLE copy.`p``; DROP TABLE people; --` (`i``d?` VARCHAR(60) COLLATE utf8mb4_bin PRIMARY KEY, `x\"'` LONGTEXT)",
    );
    let columns = json!({"i`d?": "{row.name}", "x\"'": "{row.name}"});
    let settings = json!({"type": "sql-sync", "table": "p`; DROP TABLE people; --", "key": ["i`d?"], "columns": columns});
    let sync = sink(&at(server), settings);
    for (n, text) in (100..).zip(HOSTILE) {
        done(&*sync, insert(n, person(1, text))).await;
    }
    let count = "SELECT COUNT(*), SUM(`i``d?` = `x\"'`) FROM copy.`p``; DROP TABLE people; --`";
    assert_eq!(server.query(count), [[HOSTILE.len().to_string(), HOSTILE.len().to_string()]]);
    for (n, text) in (200..).zip(HOSTILE) {
        done(&*sync, delete(n, person(1, text))).await;
    }
    assert_eq!(server.query(count), [["0", "NULL"]]);
    assert!(people(server).is_empty(), "the table is there");
}

async fn own_writes_are_recognised(server: &MariaDb) {
    server.exec("CREATE TABLE copy.tagged (id INT PRIMARY KEY, name TEXT, thalweg_origin VARCHAR(64))");
    let context = at(server);
    let sync = sink(&context, json!({"type": "sql-sync", "table": "tagged"}));
    let follow = sink(&context, json!({"type": "sql-sync", "table": "tagged", "echo": "follow"}));
    let tagged =
        |name: &str, tag: &str| row(&[("id", Value::Int(1)), ("name", Value::text(name)), ("thalweg_origin", Value::text(tag))]);
    let stands = || server.query("SELECT name, thalweg_origin FROM copy.tagged").concat();
    let (here, there) = (format!("{}:1", id(900)), format!("{}:3", id(901)));
    done(&*sync, insert(70, person(1, "ada"))).await;
    assert_eq!(stands(), ["ada", &format!("{}:1", id(70))]);
    // The tag is new, so a sink wrote this: it ends here, unless it is asked for.
    done(&*sync, update(71, tagged("ada", &here), tagged("bob", &there))).await;
    assert_eq!(stands(), ["ada", &format!("{}:1", id(70))]);
    done(&*follow, update(72, tagged("ada", &here), tagged("bob", &there))).await;
    assert_eq!(stands(), ["bob", &format!("{}:4", id(72))]);
    // The tag is the old one, so somebody else changed the row.
    done(&*sync, update(73, tagged("bob", &there), tagged("eve", &there))).await;
    assert_eq!(stands(), ["eve", &format!("{}:1", id(73))]);
    // The transaction may say it as well, also of a delete.
    let via = format!("0-1-42 via {there}");
    done(&*sync, Step { n: 74, old: person(1, "eve"), new: Value::Null, origin: &via }).await;
    assert_eq!(stands(), ["eve", &format!("{}:1", id(73))]);
    let deep = format!("0-1-42 via {}:16", id(902));
    let ended = apply(&*follow, Step { n: 75, old: Value::Null, new: person(1, "x"), origin: &deep }).await;
    assert_eq!(ended, "permanent: E0526: 17 effects follow from each other, so this is a loop and ends here; at most 16 may");
    let marks = server.query("SELECT origin, writes FROM copy.thalweg_rows WHERE table_name = 'tagged'");
    assert_eq!(marks, [[format!("{}:1", id(73)), "3".to_owned()]]);
}

async fn a_row_that_was_changed_here_can_be_kept(server: &MariaDb) {
    server.exec("CREATE TABLE copy.shared (id INT PRIMARY KEY, name VARCHAR(20), f FLOAT, j JSON, thalweg_origin VARCHAR(64))");
    let keep = sink(&at(server), json!({"type": "sql-sync", "table": "shared", "conflict": "keep", "except": ["private"]}));
    let with = |name: Option<&str>| {
        let document = Value::record([("a", Value::Int(1))]);
        let name = name.map_or(Value::Null, Value::text);
        row(&[("id", Value::Int(1)), ("name", name), ("f", Value::double(0.1)), ("j", document), ("private", Value::Int(1))])
    };
    let name = || server.query("SELECT name FROM copy.shared").concat();
    done(&*keep, insert(80, with(Some("a")))).await;
    done(&*keep, update(81, with(Some("a")), with(None))).await;
    assert_eq!(name(), ["NULL"]);
    done(&*keep, update(82, with(None), with(Some("b")))).await;
    assert_eq!(name(), ["b"], "NULL is a value to compare with");
    server.exec("UPDATE copy.shared SET name = 'by hand'");
    done(&*keep, update(83, with(Some("b")), with(Some("c")))).await;
    done(&*keep, delete(84, with(Some("c")))).await;
    done(&*keep, insert(85, with(Some("d")))).await;
    assert_eq!(name(), ["by hand"]);
    done(&*keep, delete(86, with(Some("by hand")))).await;
    assert!(name().is_empty());
    done(&*keep, update(87, with(Some("x")), with(Some("y")))).await;
    assert!(name().is_empty(), "a row that was deleted here is not made again by a change there");
}

async fn many_at_once_end_where_the_newest_says(server: &MariaDb) {
    server.exec("DELETE FROM copy.people; DELETE FROM copy.thalweg_rows");
    let context = at(server);
    let upsert = sink(&context, json!({"type": "sql-upsert", "table": "people"}));
    let remove = sink(&context, json!({"type": "sql-delete", "table": "people"}));
    let mut under_way = tokio::task::JoinSet::new();
    // Ten rows, thirty changes of each by two rules, all at once: the last of rows 1 to 5 is an upsert, of the others a delete.
    for n in (1000..1300u64).rev() {
        let (key, round) = (n % 10 + 1, (n - 1000) / 10);
        let is_delete = (round % 3 == 1 && round < 29) || (round == 29 && key > 5);
        let person = person(key as i64, &n.to_string());
        let (sink, step) = if is_delete { (remove.clone(), delete(n, person)) } else { (upsert.clone(), insert(n, person)) };
        let delivery = fired(&*sink, &step);
        under_way.spawn(async move { while sink.deliver(&delivery).await != Attempt::Done {} });
    }
    while under_way.join_next().await.transpose().unwrap().is_some() {}
    let expected: Vec<Vec<String>> = (1..=5).map(|key| vec![key.to_string(), (1290 + key - 1).to_string()]).collect();
    assert_eq!(people(server), expected);
}

async fn a_cut_at_any_byte_neither_loses_nor_doubles(server: &MariaDb) {
    server.exec("CREATE TABLE copy.counted (id INT PRIMARY KEY, name VARCHAR(40));
        CREATE TABLE copy.writes (n INT PRIMARY KEY AUTO_INCREMENT, what TEXT);
        CREATE TRIGGER copy.i AFTER INSERT ON copy.counted FOR EACH ROW INSERT INTO copy.writes (what) VALUES (CONCAT('+', NEW.name));
        CREATE TRIGGER copy.u AFTER UPDATE ON copy.counted FOR EACH ROW INSERT INTO copy.writes (what) VALUES (CONCAT('=', NEW.name));
        CREATE TRIGGER copy.d AFTER DELETE ON copy.counted FOR EACH ROW INSERT INTO copy.writes (what) VALUES ('-')");
    let (mut n, mut transient, mut expected) = (5000, 0, Vec::new());
    // A warm connection answers the four or six statements of a write in a few hundred bytes; a cold one greets, sets up and prepares.
    for cut in (0..260).step_by(5).chain((260..7000).step_by(331)) {
        let proxy = Proxy::to(server.port());
        let mut context = context();
        context.database_url = Some(Secret::new(format!("mysql://root@127.0.0.1:{}/copy", proxy.port())));
        let sync = sink(&context, json!({"type": "sql-sync", "table": "counted", "timeout": "5s"}));
        if cut < 260 {
            // The statements of an insert, an update and a delete are prepared.
            for step in
                [insert(n, person(0, "warm")), update(n + 1, person(0, "warm"), person(0, "x")), delete(n + 2, person(0, "x"))]
            {
                done(&*sync, step).await;
            }
            expected.extend(["+warm", "=x", "-"].map(str::to_owned));
        }
        n += 10;
        proxy.cut_after(cut);
        let name = n.to_string();
        // A row that was never written: its first mark goes another way than the next ones.
        let row = |name: &str| person(n as i64, name);
        let steps = [insert(n, row(&name)), update(n + 1, row(&name), row("y")), delete(n + 2, row("y"))];
        for (i, step) in steps.into_iter().enumerate() {
            let delivery = fired(&*sync, &step);
            let mut attempts = 0;
            while sync.deliver(&delivery).await != Attempt::Done {
                proxy.cut_after(u64::MAX);
                (transient, attempts) = (transient + 1, attempts + 1);
                assert!(attempts < 5, "cut after {cut}");
            }
            expected.push([format!("+{name}"), "=y".to_owned(), "-".to_owned()][i].clone());
        }
    }
    assert_eq!(server.query("SELECT what FROM copy.writes ORDER BY n").concat(), expected);
    assert!(transient > 40, "the cuts did cut: {transient}");
}
