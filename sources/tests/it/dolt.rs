//! The source against the stand-in for Dolt: what is faithful there is said in the test kit.

use thalweg_testkit::{Cell, DoltStandIn, Edit, Kind, RealDolt, require_dolt};

use crate::harness::{Running, config, findings, line, start};

/// A server with one table of every kind of column.
fn shop() -> DoltStandIn {
    let server = DoltStandIn::start();
    let members = vec!["new".to_string(), "paid".to_string()];
    let columns = [
        ("id", Kind::Int),
        ("n", Kind::IntUnsigned),
        ("note", Kind::Varchar(20)),
        ("state", Kind::Enum(members)),
        ("twice", Kind::Virtual),
        ("took", Kind::Time),
        ("doc", Kind::Json),
        ("long", Kind::Varchar(200)),
    ];
    server.create("shop.orders", &columns, 1);
    server.create("shop.other", &[("id", Kind::Int)], 1);
    server
}

fn order(id: i64, note: &str, state: &str) -> Vec<Cell> {
    let doc = Cell::Json(vec![("a".into(), 1), ("b".into(), -2)]);
    vec![id.into(), 4_294_967_295.into(), note.into(), state.into(), (2 * id).into(), Cell::Time(-1_500_000), doc, "long".into()]
}

fn put(id: i64, note: &str, state: &str) -> Edit<'static> {
    Edit::Put("shop.orders", order(id, note, state))
}

/// The next transaction; the server's id as `U`.
fn next(server: &DoltStandIn, source: &mut Running) -> String {
    let uuid = server.gtid_of(1);
    line(&source.transaction()).replace(uuid.strip_suffix(":1").unwrap(), "U")
}

fn shown(id: i64, note: &str, state: &str) -> String {
    format!("{id}, 4294967295u, \"{note}\", \"{state}\", absent, -1500000us, {{\"a\":1,\"b\":-2}}, \"long\"")
}

#[test]
fn a_marker_commit_joins_the_snapshot_to_the_log() {
    let server = shop();
    server.write(&[put(1, "grün", "new"), put(2, "two", "paid")]);
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    let snapshot = next(&server, &mut source);
    assert_eq!(
        snapshot,
        format!("snapshot:U:1-5: fill +orders({}) +orders({})", shown(1, "grün", "new"), shown(2, "two", "paid"))
    );
    source.until_live();
    let layout = source.schemas.clone();
    // One transaction: what it did to each row, whatever the statements were, inserts before deletes before updates.
    server.write(&[
        put(2, "zwei", "paid"),
        put(3, "three", "new"),
        Edit::Remove("shop.orders", vec![1.into()]),
        Edit::Put("shop.other", vec![9.into()]),
    ]);
    assert_eq!(
        next(&server, &mut source),
        format!(
            "U:6: +orders({}) -orders({}) ~orders({} -> {})",
            shown(3, "three", "new"),
            shown(1, "grün", "new"),
            shown(2, "two", "paid"),
            shown(2, "zwei", "paid")
        )
    );
    assert_eq!(source.schemas, layout, "the log and information_schema give the same layout");
    assert_eq!(source.stand(), server.gtid());
}

#[test]
fn without_the_right_to_write_a_snapshot_waits_for_a_quiet_moment() {
    let server = shop();
    server.set_writable(false);
    server.write(&[put(1, "one", "new")]);
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    assert_eq!(next(&server, &mut source), format!("snapshot:U:1-3: fill +orders({})", shown(1, "one", "new")));
    source.until_live();
    server.write(&[put(2, "two", "new")]);
    assert_eq!(next(&server, &mut source), format!("U:4: +orders({})", shown(2, "two", "new")));
}

#[test]
fn a_position_resumes_behind_its_transaction_over_restarts_and_new_files() {
    let server = shop();
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    source.transaction();
    source.until_live();
    server.write(&[put(1, "one", "new")]);
    assert_eq!(next(&server, &mut source), format!("U:5: +orders({})", shown(1, "one", "new")));
    server.restart();
    server.write(&[put(2, "two", "new")]);
    assert_eq!(next(&server, &mut source), format!("U:6: +orders({})", shown(2, "two", "new")));
    let position = source.position.clone();
    drop(source);
    server.write(&[Edit::Put("shop.other", vec![1.into()])]);
    server.restart();
    server.write(&[put(3, "three", "new")]);
    let mut source = start(config(&server.url(), &["shop.orders"]), position.as_deref());
    assert_eq!(next(&server, &mut source), format!("U:8: +orders({})", shown(3, "three", "new")));
    source.until_live();
}

#[test]
fn src_27_a_purged_log_names_what_is_missing() {
    let server = shop();
    server.write(&[put(1, "one", "new")]);
    server.restart();
    server.purge();
    server.write(&[put(2, "two", "new")]);
    let uuid = server.gtid_of(1).replace(":1", "");
    let text = start(config(&server.url(), &["shop.orders"]), Some(&format!("{uuid}:1-2"))).stopped();
    assert_eq!(
        text.replace(&uuid, "U"),
        "E0410: this source stands at U:1-2, and the server no longer has U:3 in its log; start with a new data directory to read the \
         tables anew; a larger binlog_expire_logs_seconds keeps the log longer"
    );
    let mut source = start(config(&server.url(), &["shop.orders"]), Some(&format!("{uuid}:1-3")));
    assert_eq!(next(&server, &mut source), format!("U:4: +orders({})", shown(2, "two", "new")));
}

/// Begins at a commit, and goes away when its position says so.
fn left_at_a_commit(server: &DoltStandIn) -> String {
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    source.transaction();
    source.until_live();
    server.write(&[put(1, "one", "new")]);
    source.transaction();
    let wanted = format!("{};commit={}", server.gtid(), server.commit());
    source.until_position(&wanted);
    wanted
}

#[test]
fn src_27_behind_a_purged_log_the_difference_to_the_last_commit_is_one_transaction() {
    let server = shop();
    let position = left_at_a_commit(&server);
    let commit = position.rsplit_once('=').unwrap().1.to_string();
    let purge = |edits: &[Edit<'_>]| {
        server.write(edits);
        server.commit();
        server.restart();
        server.purge();
    };
    purge(&[put(2, "two", "new"), put(1, "uno", "paid")]);
    let mut source = start(config(&server.url(), &["shop.orders"]), Some(&position));
    let told = next(&server, &mut source);
    let marker = server.head("main");
    assert_eq!(
        told,
        format!(
            "{commit}..{marker}: +orders({}) ~orders({} -> {})",
            shown(2, "two", "new"),
            shown(1, "one", "new"),
            shown(1, "uno", "paid")
        )
    );
    let position = source.position.clone().unwrap();
    assert_eq!(position, format!("{};commit={marker}", server.gtid()));
    source.until_live();
    server.write(&[put(3, "three", "new")]);
    assert_eq!(next(&server, &mut source), format!("U:8: +orders({})", shown(3, "three", "new")));
    drop(source);
    // The marker's own position is a commit's too; a log that begins anew is made good the same way.
    purge(&[Edit::Remove("shop.orders", vec![3.into()]), put(4, "four", "new")]);
    let mut source = start(config(&server.url(), &["shop.orders"]), Some(&position));
    let told = next(&server, &mut source);
    assert_eq!(told.split_once(": ").unwrap().1, format!("+orders({})", shown(4, "four", "new")));
    drop(source);
    // Where nothing can be written, or the commit is gone, it is as without a commit.
    server.set_writable(false);
    purge(&[put(5, "five", "new")]);
    let text = start(config(&server.url(), &["shop.orders"]), Some(&position)).stopped();
    assert!(text.starts_with("E0410: this source stands at "), "{text}");
}

#[test]
fn src_27_no_commit_stands_beside_a_position_that_is_none() {
    let server = shop();
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    source.transaction();
    source.until_live();
    server.write(&[put(1, "one", "new")]);
    source.transaction();
    // What is written and not committed is in no commit, however quiet it is.
    source.nothing_for(std::time::Duration::from_millis(1500));
    assert_eq!(source.stand(), server.gtid());
}

#[test]
fn a_server_that_writes_no_log_is_told_how() {
    let server = shop();
    server.set("log_bin", "OFF");
    let text = start(config(&server.url(), &["shop.orders"]), None).stopped();
    assert_eq!(
        text,
        "E0403: the server writes no binary log; run on the server: SET PERSIST log_bin = 1; SET PERSIST gtid_mode = ON; SET PERSIST \
         enforce_gtid_consistency = ON; SET PERSIST binlog_row_metadata = 'FULL'; and restart it"
    );
    server.set("log_bin", "1");
    server.set("binlog_row_metadata", "MINIMAL");
    let text = start(config(&server.url(), &["shop.orders"]), None).stopped();
    assert_eq!(
        text,
        "E0406: binlog_row_metadata is MINIMAL, not FULL; run on the server: SET PERSIST binlog_row_metadata = 'FULL'; and let its clients \
         reconnect"
    );
    server.set("binlog_row_metadata", "FULL");
    server.create("stock.items", &[("id", Kind::Int)], 1);
    let text = start(config(&server.url(), &["shop.orders", "stock.items"]), None).stopped();
    assert_eq!(
        text,
        "E0418: tables of shop and of stock are watched, and Dolt's databases have no common history; configure one source for each database"
    );
}

/// The same story on a real Dolt, where there is one.
#[test]
fn real_dolt_is_followed_from_a_marker_commit() {
    if !require_dolt() {
        return;
    }
    let mut server = RealDolt::start();
    server.exec(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY, n INT UNSIGNED, note VARCHAR(20), state ENUM('new','paid'), \
         price DECIMAL(10,2), took TIME(6), at DATETIME(6), doc JSON); \
         INSERT INTO orders VALUES (1, 4294967295, 'grün', 'new', 1.10, '-00:00:01.5', '2024-02-29 12:34:56.789', '{\"a\": 1}')",
    );
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    let row = |id: i64| format!("{id}, 4294967295u, \"grün\", \"new\", 1.10d, -1500000us, @1709210096789000, {{\"a\":1}}");
    let behind = |line: String| line.split_once(": ").map(|(_, changes)| changes.to_string()).unwrap();
    assert_eq!(behind(line(&source.transaction())), format!("fill +orders({})", row(1)));
    source.until_live();
    server.exec("USE shop; INSERT INTO orders SELECT 2, n, note, state, price, took, at, doc FROM orders; DELETE FROM orders WHERE id = 1");
    assert_eq!(behind(line(&source.transaction())), format!("+orders({})", row(2)));
    assert_eq!(behind(line(&source.transaction())), format!("-orders({})", row(1)));
    server.restart();
    server.exec("USE shop; UPDATE orders SET state = 'paid'");
    assert_eq!(behind(line(&source.transaction())), format!("~orders({} -> {})", row(2), row(2).replace("new", "paid")));
}

#[test]
fn what_is_found_on_a_dolt_server() {
    let server = shop();
    server.write(&[put(1, "one", "new")]);
    let found = findings(&config(&server.url(), &["shop.orders"]));
    let want = [
        "ok tls none, and none needed on this machine",
        "warn version Dolt 1.59.1, which no test runs against",
        "ok log_bin ON",
        "ok gtid_mode ON",
        "ok binlog_row_metadata FULL",
        "ok clock that of this machine, within 2 seconds",
        "ok table shop.orders 8 columns, key id",
    ];
    assert_eq!(found[1..], want);
}
