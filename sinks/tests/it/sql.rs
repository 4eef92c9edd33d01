//! The SQL action against a real MariaDB.

use serde_json::json;
use thalweg_formulas::Value;
use thalweg_graph::ports::{Attempt, Sink};
use thalweg_sinks::{Secret, SinkContext};
use thalweg_testkit::{MariaDb, Proxy};

use crate::{HOSTILE, context, fired, id, payload, shown, with};

fn at(server: &MariaDb) -> SinkContext {
    let mut context = context();
    context.database_url = Some(Secret::new(server.url()));
    context
}

fn event_log(context: &SinkContext, more: serde_json::Value) -> std::sync::Arc<dyn Sink> {
    crate::sink(with(json!({"type": "dolt-insert", "database": "my_app", "table": "event_log"}), more), context)
}

async fn try_one(sink: &dyn Sink, n: u32, payload: &Value) -> String {
    shown(&sink.deliver(&fired(sink, &id(n), payload)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snk_11_rows_arrive_whole_and_once() {
    if !thalweg_testkit::require() {
        return;
    }
    let mut server = MariaDb::start();
    server.exec("CREATE DATABASE my_app");
    the_table_of_the_seed(&server).await;
    a_table_with_some_of_the_columns(&server).await;
    columns_of_ones_own(&server).await;
    what_does_not_fit(&server).await;
    hostile_texts_are_stored_as_they_are(&server).await;
    the_catalogue_is_asked_again_when_it_was_wrong(&server).await;
    a_cut_at_any_byte_neither_loses_nor_doubles(&server).await;
    a_server_that_is_down_is_waited_for(&mut server).await;
}

async fn the_table_of_the_seed(server: &MariaDb) {
    let context = at(server);
    let missing = try_one(&*event_log(&context, json!({})), 1, &payload()).await;
    let expected = "permanent: E0520: there is no table `my_app`.`event_log`; add create = true to the action, or run: CREATE TABLE IF NOT EXISTS `my_app`.`event_log` (id VARCHAR(26) PRIMARY KEY, ";
    assert!(missing.starts_with(expected), "{missing}");

    let sink = event_log(&context, json!({"create": true, "actor": "{payload.title}"}));
    for _ in 0..3 {
        assert_eq!(try_one(&*sink, 1, &payload()).await, "done");
    }
    let rows = server.query("SELECT * FROM my_app.event_log");
    let expected = [
        "01HQT500000000000000000001",
        "2024-02-29 23:59:59.250",
        "order.big",
        "shop",
        "orders",
        "7",
        "naïve \"x\"",
        "order.big orders 7",
        r#"{"id":7,"title":"naïve \\"x\\"","total":12.5}"#,
    ];
    assert_eq!(rows, [expected]);
    let marks = "SELECT id, depth FROM my_app.thalweg_applied";
    assert_eq!(server.query(marks), [["01HQT500000000000000000001", "1"]], "whoever follows the table knows who wrote the row");
    // A row that is gone is inserted by a repeat, whatever marks stand.
    server.exec("DELETE FROM my_app.event_log");
    assert_eq!(try_one(&*sink, 1, &payload()).await, "done");
    assert_eq!(server.query("SELECT COUNT(*) FROM my_app.event_log"), [["1"]]);
    assert_eq!(server.query(marks).len(), 1);
}

async fn a_table_with_some_of_the_columns(server: &MariaDb) {
    server.exec("CREATE TABLE my_app.some (n INT PRIMARY KEY AUTO_INCREMENT, Event_Type TEXT, subject_id VARCHAR(50), timestamp DATETIME)");
    let sink = event_log(&at(server), json!({"table": "some"}));
    for n in [3, 4, 3, 4, 5] {
        assert_eq!(try_one(&*sink, n, &payload()).await, "done");
    }
    assert_eq!(
        server.query("SELECT * FROM my_app.some ORDER BY n"),
        [
            ["1", "order.big", "7", "2024-02-29 23:59:59"],
            ["2", "order.big", "7", "2024-02-29 23:59:59"],
            ["3", "order.big", "7", "2024-02-29 23:59:59"]
        ]
    );
    assert_eq!(server.query("SELECT COUNT(*) FROM my_app.thalweg_applied"), [["4"]]);
}

async fn columns_of_ones_own(server: &MariaDb) {
    server.exec("CREATE TABLE my_app.own (who VARCHAR(20), n BIGINT UNSIGNED, x DOUBLE, d DECIMAL(30,3), b BOOL, j JSON, at TIMESTAMP(6) NULL, z TEXT)");
    let columns = json!({
        "who": "{event_type}/{key.id}", "n": "{payload.n}", "x": "{payload.x}", "d": "{payload.d}", "b": "{payload.b}", "j": "{payload.j}",
        "at": "{timestamp}", "z": "{payload.none}",
    });
    let sink = crate::sink(
        json!({"type": "sql-insert", "url": server.url_of("my_app"), "table": "own", "columns": columns}),
        &context(),
    );
    let payload = Value::record([
        ("n", Value::Uint(u64::MAX)),
        ("x", Value::double(0.1 + 0.2)),
        ("d", Value::text("123456789012345678901234567.125")),
        ("b", Value::Bool(true)),
        ("j", Value::list([Value::Int(1), Value::text("a")])),
    ]);
    assert_eq!(try_one(&*sink, 10, &payload).await, "done");
    assert_eq!(try_one(&*sink, 10, &payload).await, "done");
    let row = "SELECT who, n, x = 0.30000000000000004e0, d, b, j, UNIX_TIMESTAMP(at), z FROM my_app.own";
    let expected = [
        "order.big/7",
        "18446744073709551615",
        "1",
        "123456789012345678901234567.125",
        "1",
        r#"[1,"a"]"#,
        "1709251199.250000",
        "NULL",
    ];
    assert_eq!(server.query(row), [expected]);
}

async fn what_does_not_fit(server: &MariaDb) {
    server.exec("CREATE TABLE my_app.narrow (id VARCHAR(26) PRIMARY KEY, event_type VARCHAR(8), summary TINYTEXT)");
    server.exec("CREATE TABLE my_app.other (a INT)");
    server.exec("CREATE TABLE my_app.uniq (id VARCHAR(26) PRIMARY KEY, event_type VARCHAR(50) UNIQUE)");
    let context = at(server);
    let on = |table: &str, more| event_log(&context, with(json!({"table": table}), more));
    let narrow = on("narrow", json!({}));
    assert_eq!(
        try_one(&*narrow, 20, &payload()).await,
        "permanent: E0522: column `event_type` takes 8 characters, this value has 9"
    );
    assert_eq!(server.query("SELECT COUNT(*) FROM my_app.narrow"), [["0"]]);
    let none = "permanent: E0521: `my_app`.`other` has none of the columns id, timestamp, event_type, source_db, source_table, subject_id, actor, summary, payload; its columns: a";
    assert_eq!(try_one(&*on("other", json!({})), 21, &payload()).await, none);
    let wrong = on("other", json!({"columns": {"a": "{payload.id}", "b": "x"}}));
    assert_eq!(try_one(&*wrong, 22, &payload()).await, "permanent: E0521: `my_app`.`other` has no column `b`; its columns: a");
    let text = on("other", json!({"columns": {"a": "not a number"}}));
    let refused = try_one(&*text, 23, &payload()).await;
    assert!(refused.starts_with("permanent: E0523: the database refused: Incorrect integer value: 'not a number'"), "{refused}");
    let unique = on("uniq", json!({}));
    assert_eq!(try_one(&*unique, 24, &payload()).await, "done");
    assert_eq!(try_one(&*unique, 24, &payload()).await, "done");
    let other = try_one(&*unique, 25, &payload()).await;
    assert!(other.starts_with("permanent: E0523: the database refused: Duplicate entry 'order.big'"), "{other}");
    assert_eq!(server.query("SELECT COUNT(*) FROM my_app.other"), [["0"]]);
}

async fn hostile_texts_are_stored_as_they_are(server: &MariaDb) {
    let table = "x`; DROP TABLE event_log; -- ";
    server.exec("CREATE TABLE my_app.`x``; DROP TABLE event_log; --` (`a``b?` LONGTEXT)");
    let sink = event_log(&at(server), json!({"table": table.trim_end(), "columns": {"a`b?": "{payload.t}"}}));
    for (n, text) in (30..).zip(HOSTILE) {
        assert_eq!(try_one(&*sink, n, &Value::record([("t", Value::text(text))])).await, "done", "{text}");
    }
    let mut stored = server.query("SELECT HEX(`a``b?`) FROM my_app.`x``; DROP TABLE event_log; --`").concat();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    let mut sent: Vec<String> = HOSTILE.iter().map(|text| hex(text)).collect();
    stored.sort();
    sent.sort();
    assert_eq!(stored, sent);
    assert_eq!(server.query("SELECT COUNT(*) FROM my_app.event_log"), [["1"]]);
}

async fn the_catalogue_is_asked_again_when_it_was_wrong(server: &MariaDb) {
    server.exec("CREATE TABLE my_app.moving (id VARCHAR(26) PRIMARY KEY, summary TEXT, event_type VARCHAR(4))");
    let sink = event_log(&at(server), json!({"table": "moving"}));
    let refused = try_one(&*sink, 50, &payload()).await;
    assert_eq!(refused, "permanent: E0522: column `event_type` takes 4 characters, this value has 9");
    server.exec("ALTER TABLE my_app.moving DROP COLUMN event_type");
    let refused = try_one(&*sink, 50, &payload()).await;
    assert_eq!(refused, "done", "a value that does not fit makes it look again");
    server.exec("ALTER TABLE my_app.moving DROP COLUMN summary");
    assert!(try_one(&*sink, 51, &payload()).await.starts_with("permanent: E0523"));
    assert_eq!(try_one(&*sink, 51, &payload()).await, "done");
}

async fn a_cut_at_any_byte_neither_loses_nor_doubles(server: &MariaDb) {
    server.exec("CREATE TABLE my_app.keyed (id VARCHAR(26) PRIMARY KEY, event_type TEXT)");
    server.exec("CREATE TABLE my_app.loose (event_type TEXT, payload JSON)");
    for (table, first) in [("keyed", 1000), ("loose", 2000)] {
        let mut transient = 0;
        let mut n = first;
        // A warm connection answers a statement in a few dozen bytes; a cold one greets, sets up and prepares in a few thousand.
        for cut in (0..140).chain((140..4000).step_by(101)) {
            let proxy = Proxy::to(server.port());
            let mut context = context();
            context.database_url = Some(Secret::new(format!("mysql://root@127.0.0.1:{}", proxy.port())));
            let sink = event_log(&context, json!({"table": table, "timeout": "5s"}));
            if cut < 140 {
                n += 1;
                assert_eq!(try_one(&*sink, n, &payload()).await, "done", "warm up");
            }
            n += 1;
            proxy.cut_after(cut);
            let mut attempts = 0;
            loop {
                match try_one(&*sink, n, &payload()).await.as_str() {
                    "done" => break,
                    failed => assert!(failed.starts_with("transient"), "{failed}"),
                }
                transient += 1;
                attempts += 1;
                proxy.cut_after(u64::MAX);
                assert!(attempts < 5, "cut after {cut}");
            }
        }
        let count = server.query(&format!("SELECT COUNT(*) FROM my_app.{table}"));
        assert_eq!(count, [[(n - first).to_string()]], "{table}");
        assert!(transient > 50, "the cuts did cut: {transient}");
    }
}

async fn a_server_that_is_down_is_waited_for(server: &mut MariaDb) {
    let sink = event_log(&at(server), json!({"table": "keyed"}));
    server.kill9();
    let down = sink.deliver(&fired(&*sink, &id(60), &payload())).await;
    assert!(matches!(down, Attempt::Transient { .. }), "{down:?}");
    server.restart();
    assert_eq!(try_one(&*sink, 60, &payload()).await, "done");
    assert_eq!(try_one(&*sink, 60, &payload()).await, "done");
    assert_eq!(server.query(&format!("SELECT COUNT(*) FROM my_app.keyed WHERE id = '{}'", id(60))), [["1"]]);
}
