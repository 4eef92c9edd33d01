//! Following the commits of a Dolt branch, against the stand-in; the same against a real one, where there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use thalweg_formulas::Value;
use thalweg_graph::{Op, Transaction};
use thalweg_sources::mysql::{AfterPurge, MysqlConfig, Polling, Snapshot, Stands, examine};
use thalweg_testkit::{Cell, DoltStandIn, Edit, Kind, MariaDb, RealDolt, require, require_dolt};

use crate::harness::{ANEW, Running, changes, config, findings, line, runtime, start, stop};

const COLUMNS: [(&str, Kind); 3] = [("id", Kind::Int), ("n", Kind::IntUnsigned), ("note", Kind::Varchar(20))];

/// A server with a table on `main` and a branch `dev` that begins there.
fn shop() -> DoltStandIn {
    let server = DoltStandIn::start();
    server.create("shop.orders", &COLUMNS, 1);
    server.write(&[put("shop.orders", 1, 10, "one")]);
    server.commit();
    server.branch("dev", "main");
    server
}

fn put<'a>(table: &'a str, id: i64, n: i64, note: &str) -> Edit<'a> {
    Edit::Put(table, vec![id.into(), n.into(), note.into()])
}

fn remove(table: &str, id: i64) -> Edit<'_> {
    Edit::Remove(table, vec![id.into()])
}

/// The settings of a source that looks at a branch every 10 ms.
fn polling(url: &str, tables: &[&str], branch: Option<&str>) -> MysqlConfig {
    let mut config = config(url, tables);
    config.polling = Some(Polling { branch: branch.map(String::from), every: Duration::from_millis(10) });
    config
}

fn dev(server: &DoltStandIn) -> MysqlConfig {
    polling(&server.url(), &["shop.*"], Some("dev"))
}

/// The next transaction, the hashes of commits as their names.
fn next(source: &mut Running, names: &[(&str, &str)]) -> String {
    named(line(&source.transaction()), names)
}

fn named(text: String, names: &[(&str, &str)]) -> String {
    names.iter().fold(text, |text, (hash, name)| text.replace(hash, name))
}

#[test]
fn each_commit_of_a_branch_is_one_transaction_and_the_rest_is_not_seen() {
    let server = shop();
    let first = server.head("dev");
    let mut source = start(dev(&server), None);
    assert_eq!(next(&mut source, &[(&first, "A")]), "snapshot:A: fill +orders(1, 10u, \"one\")");
    assert_eq!(source.position.as_deref(), Some(&*format!("commit:{first}@dev")));
    source.until_live();
    // What is not committed, and what happens on other branches, is nothing.
    server.write(&[put("shop.orders", 9, 9, "main")]);
    server.commit();
    server.write_on("dev", &[put("shop.orders", 2, 20, "two"), put("shop.orders", 3, 30, "three")]);
    source.nothing_for(Duration::from_millis(60));
    let second = server.commit_on("dev");
    let transaction = source.transaction();
    assert_eq!(named(line(&transaction), &[(&second, "B")]), "B: +orders(2, 20u, \"two\") +orders(3, 30u, \"three\")");
    // The commit's own time.
    assert_eq!(transaction.at.0, 1_700_000_000_000_000 + 3 * 1_001_000);
    // Inserts, deletes, updates, each in key order, as in the log; a commit of tables that nobody watches moves the position only.
    let edits = [
        remove("shop.orders", 1),
        put("shop.orders", 3, 31, "drei"),
        put("shop.orders", 0, 0, "zero"),
        put("shop.orders", 2, 4_294_967_295, "two"),
    ];
    server.write_on("dev", &edits);
    let third = server.commit_on("dev");
    assert_eq!(
        next(&mut source, &[(&third, "C")]),
        "C: +orders(0, 0u, \"zero\") -orders(1, 10u, \"one\") ~orders(2, 20u, \"two\" -> 2, 4294967295u, \"two\") \
         ~orders(3, 30u, \"three\" -> 3, 31u, \"drei\")"
    );
    server.create_on("dev", "stock.items", &[("id", Kind::Int)], 1);
    let fourth = server.commit_on("dev");
    source.until_position(&format!("commit:{fourth}@dev"));
}

#[test]
fn a_restart_goes_on_behind_its_commit_and_a_start_may_begin_with_the_first() {
    let server = shop();
    let mut source = start(dev(&server), None);
    source.transaction();
    source.until_live();
    let position = source.position.clone();
    drop(source);
    let (mut hashes, names) = (Vec::new(), ["B", "C", "D"]);
    for id in 2..5 {
        server.write_on("dev", &[put("shop.orders", id, id, "x")]);
        hashes.push(server.commit_on("dev"));
    }
    let names: Vec<(&str, &str)> = hashes.iter().map(String::as_str).zip(names).collect();
    let mut source = start(dev(&server), position.as_deref());
    for wanted in ["B: +orders(2, 2u, \"x\")", "C: +orders(3, 3u, \"x\")", "D: +orders(4, 4u, \"x\")"] {
        assert_eq!(next(&mut source, &names), wanted);
    }
    source.until_live();
    // Killed behind any commit, it goes on with the next one.
    let mut source = start(dev(&server), Some(&format!("commit:{}@dev", hashes[0])));
    assert_eq!(next(&mut source, &names), "C: +orders(3, 3u, \"x\")");
    // From the very first commit on, or from now on.
    let mut never = dev(&server);
    never.snapshot = Snapshot::Never;
    let mut source = start(never.clone(), Some(""));
    assert!(next(&mut source, &names).ends_with(": +orders(1, 10u, \"one\")"));
    assert_eq!(next(&mut source, &names), "B: +orders(2, 2u, \"x\")");
    let mut source = start(never, None);
    source.until_live();
    assert_eq!(source.position, Some(format!("commit:{}@dev", hashes[2])));
    // The server's own branch, where none is named; and a branch in the url.
    let mut source = start(polling(&server.url(), &["shop.*"], None), None);
    source.transaction();
    assert_eq!(source.position, Some(format!("commit:{}@main", server.head("main"))));
    let url = format!("{}/shop/dev", server.url());
    let mut source = start(MysqlConfig::new("test", url), None);
    source.transaction();
    assert_eq!(source.position, Some(format!("commit:{}@dev", hashes[2])));
}

#[test]
fn src_26_a_table_that_comes_to_a_polled_branch_is_read_as_of_where_the_source_stands() {
    let server = shop();
    server.create_on("dev", "shop.items", &COLUMNS, 1);
    server.write_on("dev", &[put("shop.items", 7, 70, "seven")]);
    let first = server.commit_on("dev");
    let watching = |tables: &[&str]| MysqlConfig { clears: true, ..polling(&server.url(), tables, Some("dev")) };
    let mut source = start(watching(&["shop.orders"]), None);
    assert_eq!(next(&mut source, &[(&first, "A")]), "snapshot:A: fill +orders(1, 10u, \"one\")");
    let position = source.position.clone().unwrap();
    assert_eq!(position, format!("commit:{first}@dev;tables=shop.orders"));
    drop(source);
    server.write_on("dev", &[put("shop.items", 8, 80, "eight"), put("shop.orders", 2, 20, "two")]);
    let second = server.commit_on("dev");
    let names = [(&*first, "A"), (&*second, "B")];
    let both = ["shop.orders", "shop.items"];
    // It comes as of the last commit that was handed over, and the next one tells of it too.
    let mut source = start(watching(&both), Some(&position));
    assert_eq!(next(&mut source, &names), "tables:A: fill +items(7, 70u, \"seven\")");
    assert_eq!(source.position, Some(format!("commit:{first}@dev;tables=shop.orders,shop.items")));
    assert_eq!(next(&mut source, &names), "B: +items(8, 80u, \"eight\") +orders(2, 20u, \"two\")");
    source.until_live();
    let position = source.position.clone().unwrap();
    assert_eq!(position, format!("commit:{second}@dev;tables=shop.orders,shop.items"));
    // Broken off in its middle, what came is taken back.
    let broken = format!("commit:{first}@dev;tables=shop.orders,shop.items;fill=shop.items:!");
    let mut source = start(watching(&both), Some(&broken));
    assert_eq!(next(&mut source, &names), "tables:A: fill -items() +items(7, 70u, \"seven\")");
    assert_eq!(next(&mut source, &names), "B: +items(8, 80u, \"eight\") +orders(2, 20u, \"two\")");
    // One that is watched no more goes.
    let mut source = start(watching(&["shop.items"]), Some(&position));
    assert_eq!(next(&mut source, &names), "tables:B: fill -orders()");
    source.until_live();
    assert_eq!(source.position, Some(format!("commit:{second}@dev;tables=shop.items")));
    // Behind a position without account, what is watched counts as read.
    let mut source = start(watching(&both), Some(&format!("commit:{second}@dev")));
    source.until_live();
    assert_eq!(source.position, Some(position));
}

#[test]
fn a_change_of_layout_tells_every_row_that_it_changed() {
    let server = shop();
    server.create_on("dev", "shop.notes", &[("text", Kind::Varchar(20))], 0);
    server.write_on("dev", &[Edit::Put("shop.notes", vec!["a".into()]), Edit::Put("shop.notes", vec!["a".into()])]);
    server.write_on("dev", &[put("shop.orders", 2, 20, "two"), put("shop.orders", 3, 30, "three")]);
    server.commit_on("dev");
    let mut source = start(dev(&server), None);
    assert_eq!(
        next(&mut source, &[(&server.head("dev"), "A")]),
        "snapshot:A: fill +notes(\"a\") +notes(\"a\") +orders(1, 10u, \"one\") +orders(2, 20u, \"two\") +orders(3, 30u, \"three\")"
    );
    source.until_live();
    let then = |source: &mut Running| {
        let hash = server.commit_on("dev");
        next(source, &[(&hash, "X")])
    };
    // A column with a default that only some rows have, in one commit with changes of rows.
    let wider = [COLUMNS[0].clone(), COLUMNS[1].clone(), COLUMNS[2].clone(), ("extra", Kind::Int)];
    server.alter_on("dev", "shop.orders", &wider, 1, |row| {
        [row, &[if row[0] == Cell::Int(1) { Cell::Null } else { Cell::Int(7) }]].concat()
    });
    server.write_on(
        "dev",
        &[Edit::Put("shop.orders", vec![4.into(), 40.into(), "four".into(), 8.into()]), remove("shop.orders", 3)],
    );
    assert_eq!(
        then(&mut source),
        "X: +orders(4, 40u, \"four\", 8) -orders(3, 30u, \"three\") ~orders(2, 20u, \"two\", absent -> 2, 20u, \"two\", 7)"
    );
    assert_eq!(source.schemas.iter().find(|s| &*s.table == "shop.orders").unwrap().columns.len(), 4);
    // A row of a table without a key comes and goes one by one.
    server.write_on("dev", &[Edit::Remove("shop.notes", vec!["a".into()]), Edit::Put("shop.notes", vec!["b".into()])]);
    assert_eq!(then(&mut source), "X: +notes(\"b\") -notes(\"a\")");
    // Another key: no row is the one that it was. Dolt's list of what differs leaves such a table out.
    let swapped = [COLUMNS[1].clone(), COLUMNS[0].clone()];
    server.alter_on("dev", "shop.orders", &swapped, 1, |row| vec![row[1].clone(), row[0].clone()]);
    assert_eq!(
        then(&mut source),
        "X: -orders(1, 10u, \"one\", NULL) -orders(2, 20u, \"two\", 7) -orders(4, 40u, \"four\", 8) +orders(10u, 1) +orders(20u, 2) \
         +orders(40u, 4)"
    );
    // A table under another name, which Dolt compares with itself.
    server.rename_on("dev", "shop.orders", "shop.bought");
    assert_eq!(
        then(&mut source),
        "X: +bought(10u, 1) +bought(20u, 2) +bought(40u, 4) -orders(10u, 1) -orders(20u, 2) -orders(40u, 4)"
    );
    server.drop_on("dev", "shop.notes");
    assert_eq!(then(&mut source), "X: -notes(\"a\") -notes(\"b\")");
    server.create_on("dev", "shop.notes", &[("id", Kind::Int)], 1);
    server.write_on("dev", &[Edit::Put("shop.notes", vec![5.into()])]);
    assert_eq!(then(&mut source), "X: +notes(5)");
}

#[test]
fn src_27_a_merge_is_one_transaction_and_so_is_a_branch_moved_forward() {
    let server = shop();
    let mut source = start(dev(&server), None);
    source.transaction();
    source.until_live();
    server.write(&[put("shop.orders", 5, 50, "main")]);
    server.commit();
    server.write(&[put("shop.orders", 6, 60, "main")]);
    server.commit();
    server.write_on("dev", &[put("shop.orders", 1, 11, "dev")]);
    let own = server.commit_on("dev");
    assert_eq!(next(&mut source, &[(&own, "B")]), "B: ~orders(1, 10u, \"one\" -> 1, 11u, \"dev\")");
    let merged = server.merge("dev", "main");
    assert_eq!(next(&mut source, &[(&merged, "M")]), "M: +orders(5, 50u, \"main\") +orders(6, 60u, \"main\")");
    // `main` takes the merge and goes on; `dev` follows it. The last commit of each is an ancestor of what comes.
    let at_main = server.head("main");
    let mut other = start(polling(&server.url(), &["shop.*"], Some("main")), Some(&format!("commit:{at_main}@main")));
    other.until_live();
    assert_eq!(server.merge("main", "dev"), merged);
    let names = [(&*merged, "M"), (&*at_main, "A")];
    // It came to `main` by the merge's second parent, so its change is another one than the merge's own, and has another id.
    assert_eq!(next(&mut other, &names), "A..M: ~orders(1, 10u, \"one\" -> 1, 11u, \"dev\")");
}

#[test]
fn src_27_a_rewritten_branch_stops_the_source_or_is_told_as_one_difference() {
    let server = shop();
    let first = server.head("dev");
    let mut source = start(dev(&server), None);
    source.transaction();
    source.until_live();
    server.write_on("dev", &[put("shop.orders", 2, 20, "two")]);
    let second = server.commit_on("dev");
    source.transaction();
    server.reset("dev", &first);
    server.write_on("dev", &[put("shop.orders", 3, 30, "three")]);
    let third = server.commit_on("dev");
    let names = [(&*second, "B"), (&*third, "C"), (&*first, "A")];
    assert_eq!(
        named(source.stopped(), &names),
        format!(
            "E0411: commit B, the last that this source handed over, is not in the history of branch `dev`, whose head is C: the branch was \
             reset or pushed over; set `after_purge = \"snapshot\"` in the source's section to take what differs between the two as one \
             transaction, or {ANEW}"
        )
    );
    let position = format!("commit:{second}@dev");
    let mut follows = dev(&server);
    follows.after_purge = AfterPurge::Snapshot;
    let mut source = start(follows.clone(), Some(&position));
    assert_eq!(next(&mut source, &names), "B..C: +orders(3, 30u, \"three\") -orders(2, 20u, \"two\")");
    source.until_live();
    // Back to an ancestor is another history too.
    server.reset("dev", &first);
    assert_eq!(next(&mut source, &names), "C..A: -orders(3, 30u, \"three\")");
    // Once the old commits are collected there is nothing to compare with.
    server.collect_garbage();
    let gone = format!("E0411: commit B, the last that this source handed over, is not in the database any more; {ANEW}");
    assert_eq!(named(stop(dev(&server), Some(&position)), &names), gone);
    follows.clears = true;
    let mut source = start(follows, Some(&position));
    let anew = source.transaction();
    assert!(changes(&anew)[0].is_clear() && changes(&anew).len() == 3, "{anew:?}");
    source.until_live();
}

#[test]
fn src_27_another_branch_is_another_history_unless_the_difference_is_wanted() {
    let server = shop();
    server.write_on("dev", &[put("shop.orders", 2, 20, "two")]);
    let (main, second) = (server.head("main"), server.commit_on("dev"));
    let names = [(&*main, "A"), (&*second, "B")];
    let position = format!("commit:{main}@main");
    assert_eq!(
        named(stop(dev(&server), Some(&position)), &names),
        format!(
            "E0411: this source stands at commit A of branch `main`, and follows `dev`, whose head is B; set `after_purge = \"snapshot\"` in \
             the source's section to take what differs between the two as one transaction, or {ANEW}"
        )
    );
    let mut follows = dev(&server);
    follows.after_purge = AfterPurge::Snapshot;
    assert_eq!(next(&mut start(follows, Some(&position)), &names), "B: +orders(2, 20u, \"two\")");
    server.delete_branch("dev");
    let text = stop(dev(&server), Some(&format!("commit:{second}@dev")));
    assert_eq!(text, "E0408: unknown branch `dev` of shop; its branches are main");
}

#[test]
fn positions_of_the_log_and_of_commits_are_not_mixed_up() {
    let server = shop();
    let log = server.gtid();
    assert_eq!(
        stop(dev(&server), Some(&log)),
        format!(
            "E0418: the position {log} is a place of a binary log, and this source follows commits; take `branch` and `poll` out of the \
             source's section to follow the log, or {ANEW}"
        )
    );
    let place = format!("commit:{}@dev", server.head("dev"));
    assert_eq!(
        stop(config(&server.url(), &["shop.*"]), Some(&place)),
        format!(
            "E0418: the position {place} is a commit, and this source follows the binary log; name its `branch` again in the source's \
             section, or {ANEW}"
        )
    );
    let damaged = stop(dev(&server), Some("commit:abc@dev"));
    assert_eq!(
        damaged,
        format!(
            "E0418: the position \"commit:abc@dev\" is not a commit such as commit:qi331vjgoavqpi5am334cji1gmhlkdv5@main; {ANEW}"
        )
    );
}

#[test]
fn what_cannot_be_polled_is_told() {
    let server = shop();
    for (tables, text) in [
        (
            &["shop.orders", "stock.items"][..],
            "E0418: commits are of one database, and tables of shop and of stock are watched; configure one source for each database",
        ),
        (
            &["sh*.orders"],
            "E0418: commits are of one database, and `sh*` may be several; name the database in the url or in `tables`",
        ),
        (&["shop.order"], "E0408: unknown table `shop.order`; did you mean `orders`?"),
        (&["shep.orders"], "E0408: unknown database 'shep'; check the database in the url"),
    ] {
        assert_eq!(stop(polling(&server.url(), tables, Some("dev")), None), text);
    }
    let mut rarely = dev(&server);
    rarely.polling = Some(Polling { branch: None, every: Duration::from_secs(86_400) });
    assert_eq!(stop(rarely, None), "E0418: a branch looked at every 86400s; set `poll` from 10ms to 1h");
    if !require() {
        return;
    }
    let other = MariaDb::start();
    let text = stop(polling(&other.url(), &["shop.orders"], Some("dev")), None);
    let (before, after) = text.split_once("this is ").unwrap();
    assert_eq!(before, "E0418: `branch` and `poll` follow the commits of a Dolt server, and ");
    assert!(
        after.ends_with("; take them out of the source's section, and /branch out of the url, to follow the binary log"),
        "{text}"
    );
}

#[test]
fn the_log_and_the_commits_tell_the_same_changes_where_each_transaction_is_a_commit() {
    let server = shop();
    let mut logged = start(config(&server.url(), &["shop.orders"]), None);
    let mut polled = start(polling(&server.url(), &["shop.orders"], None), None);
    assert_eq!(changes(&logged.transaction()), changes(&polled.transaction()));
    logged.until_live();
    polled.until_live();
    for edits in [
        vec![put("shop.orders", 2, 20, "zwölf"), put("shop.orders", 3, 30, "three")],
        vec![remove("shop.orders", 1), put("shop.orders", 3, 31, "drei"), put("shop.orders", 0, 4_294_967_295, "zero")],
        vec![put("shop.orders", 2, 0, ""), remove("shop.orders", 0)],
    ] {
        server.write(&edits);
        let hash = server.commit();
        let (log, commit) = (logged.transaction(), polled.transaction());
        // Tables, kinds, order, images and layouts are the same, so a change has the same row ordinal; the id of the transaction is not.
        assert_eq!(changes(&log), changes(&commit));
        let last = server.gtid().replace(":1-", ":");
        assert_eq!((&*log.origin, &*commit.origin), (&*last, &*hash));
    }
}

#[test]
fn doctor_looks_at_the_branch_and_needs_no_log() {
    let server = shop();
    server.set("log_bin", "OFF");
    let head = server.head("dev");
    let of = |config: &MysqlConfig| {
        findings(config).into_iter().filter(|line| !line.contains("connection") && !line.contains("version")).collect::<Vec<_>>()
    };
    assert_eq!(
        of(&dev(&server)),
        [
            "ok tls none, and none needed on this machine".to_string(),
            "ok clock that of this machine, within 2 seconds".into(),
            "ok privilege SELECT on shop.* 'root'@'%'".into(),
            format!("ok branch dev of shop, at {head}"),
            "ok table shop.orders 3 columns, key id".into()
        ]
    );
    let unknown = of(&polling(&server.url(), &["shop.*"], Some("dove")));
    assert_eq!(unknown.last().unwrap(), "bad tables unknown branch `dove` of shop");
    let at = |text: &str| {
        let examined = runtime().block_on(examine(&dev(&server), Stands::At(text)));
        let finding = examined.findings.last().unwrap().clone();
        named(format!("{:?} {}", finding.grade, finding.found), &[(&head, "A")])
    };
    assert_eq!(at(&format!("commit:{head}@dev")), "Ok commit:A@dev, the head");
    assert_eq!(
        at(&format!("commit:{head}@main")),
        "Bad this source stands at commit A of branch `main`, and follows `dev`, whose head is A"
    );
    server.write_on("dev", &[remove("shop.orders", 1)]);
    server.commit_on("dev");
    assert_eq!(at(&format!("commit:{head}@dev;tables=shop.orders")), "Ok commit:A@dev, 1 commit behind the head");
    // Dolt shows commits only to whoever may read all of the database.
    server.set_grants(&["GRANT USAGE ON *.* TO `root`@`%`", "GRANT SELECT ON `shop`.`orders` TO `root`@`%`"]);
    let examined = runtime().block_on(examine(&dev(&server), Stands::Unknown));
    let lacking = examined.findings.iter().find(|finding| finding.name.starts_with("privilege")).unwrap();
    assert_eq!(
        (&*lacking.name, &*lacking.found, &*lacking.sql.join(" ")),
        (
            "privilege SELECT on shop.*",
            "'root'@'%' lacks it: Dolt shows commits to whoever may read every table",
            "GRANT SELECT ON `shop`.* TO 'root'@'%';"
        )
    );
}

#[test]
fn doctor_tells_which_branch_is_logged_and_which_cannot_be() {
    let server = shop();
    let told = |branch: &str| {
        server.set("log_bin_branch", branch);
        let lines = findings(&config(&server.url(), &["shop.*"]));
        lines.into_iter().find(|line| line.contains("log_bin_branch")).unwrap()
    };
    assert_eq!(told("main"), "ok log_bin_branch main: what happens on others is not in the log");
    assert_eq!(told("team/dev"), "bad log_bin_branch team/dev has a slash in its name, so Dolt logs nothing");
}

/// One table's rows by key, as a reader of the transactions has them.
type Replica = BTreeMap<String, BTreeMap<i64, String>>;

fn shown(cells: &[Option<Value>]) -> (i64, String) {
    let cell = |cell: &Option<Value>| match cell {
        Some(Value::Int(x)) => x.to_string(),
        Some(Value::Uint(x)) => x.to_string(),
        Some(Value::Text(text)) => text.to_string(),
        Some(Value::Null) => "NULL".into(),
        other => panic!("{other:?}"),
    };
    let id = cell(&cells[0]).parse().unwrap();
    (id, joined(cells.iter().map(cell).collect()))
}

/// A row's values. A column that came later is NULL in rows of which nobody has told anything since.
fn joined(values: Vec<String>) -> String {
    values.join("|").trim_end_matches("|NULL").to_string()
}

/// Applies a transaction, strictly: what is inserted was not there, and what goes was there as it is said.
fn apply(replica: &mut Replica, transaction: &Transaction) {
    for change in changes(transaction) {
        let rows = replica.entry(change.schema.table.to_string()).or_default();
        if let (Op::Update | Op::Delete, Some(before)) = (change.op, &change.before)
            && before.iter().all(Option::is_some)
        {
            let (id, row) = shown(before);
            assert_eq!(rows.remove(&id), Some(row), "{change:?}");
        } else if let (Op::Update, Some(after)) = (change.op, &change.after) {
            rows.remove(&shown(after).0).expect("an updated row was there");
        }
        if let Some(after) = &change.after {
            let (id, row) = shown(after);
            assert_eq!(rows.insert(id, row), None, "{change:?}");
        }
    }
    replica.retain(|_, rows| !rows.is_empty());
}

/// The tables as of a commit.
fn tables_at(server: &DoltStandIn, commit: &str) -> Replica {
    let cell = |cell: &Cell| match cell {
        Cell::Int(x) => x.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Null => "NULL".into(),
        other => panic!("{other:?}"),
    };
    let mut all = Replica::new();
    for table in ["shop.orders", "shop.items"] {
        for row in server.rows_at(commit, table) {
            let Cell::Int(id) = row[0] else { panic!("{row:?}") };
            all.entry(table.into()).or_default().insert(id, joined(row.iter().map(cell).collect()));
        }
    }
    all
}

/// What may happen to a repository between two looks.
#[derive(Clone, Debug)]
enum Event {
    /// Rows of a table of a branch, then a commit.
    Write { on_dev: bool, items: bool, rows: Vec<(i64, Option<u8>)> },
    /// `main` into `dev`, or the other way.
    Merge { into_dev: bool },
    /// A column more for a table of `dev`, or a column less.
    Widen { default: Option<u8> },
    /// The table of items goes or comes.
    Toggle,
    /// `dev` goes back some commits, and the reader is to follow it.
    Reset { back: usize },
    /// The reader catches up.
    Look,
    /// The reader is killed and begins again where it stood.
    Restart,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let rows = prop::collection::vec((0..6i64, prop::option::of(0..4u8)), 1..5);
    let write = (any::<bool>(), any::<bool>(), rows).prop_map(|(on_dev, items, rows)| Event::Write { on_dev, items, rows });
    let event = prop_oneof![
        6 => write,
        1 => any::<bool>().prop_map(|into_dev| Event::Merge { into_dev }),
        1 => prop::option::of(0..3u8).prop_map(|default| Event::Widen { default }),
        1 => Just(Event::Toggle),
        1 => (1..3usize).prop_map(|back| Event::Reset { back }),
        3 => Just(Event::Look),
        2 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..20)
}

/// The story of one repository and its reader.
struct Story {
    server: DoltStandIn,
    source: Running,
    replica: Replica,
    /// Heads that `dev` had.
    heads: Vec<String>,
    width: usize,
    has_items: bool,
}

impl Story {
    fn config(server: &DoltStandIn) -> MysqlConfig {
        let mut config = dev(server);
        config.after_purge = AfterPurge::Snapshot;
        config
    }

    fn begin() -> Story {
        let server = shop();
        let mut source = start(Story::config(&server), None);
        let mut replica = Replica::new();
        apply(&mut replica, &source.transaction());
        let heads = vec![server.head("dev")];
        Story { server, source, replica, heads, width: 3, has_items: false }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Write { on_dev, items, rows } => self.write(*on_dev, *items && self.has_items && *on_dev, rows),
            // Layouts of the two branches differ once one was widened, and a merge of layouts is Dolt's own affair.
            Event::Merge { into_dev } if self.width == 3 => {
                let (into, from) = if *into_dev { ("dev", "main") } else { ("main", "dev") };
                self.server.merge(into, from);
            }
            Event::Merge { .. } => {}
            Event::Widen { default } => {
                self.width += 1;
                let columns = self.columns();
                let columns: Vec<(&str, Kind)> = columns.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
                let added = default.map_or(Cell::Null, |n| Cell::Int(n.into()));
                self.server.alter_on("dev", "shop.orders", &columns, 1, |row| [row, std::slice::from_ref(&added)].concat());
                self.server.commit_on("dev");
            }
            Event::Toggle => {
                match self.has_items {
                    true => self.server.drop_on("dev", "shop.items"),
                    false => self.server.create_on("dev", "shop.items", &COLUMNS, 1),
                }
                self.has_items = !self.has_items;
                self.server.commit_on("dev");
            }
            Event::Reset { back } if self.width == 3 && !self.has_items && self.heads.len() > *back => {
                let to = self.heads[self.heads.len() - 1 - back].clone();
                self.server.reset("dev", &to);
            }
            Event::Reset { .. } => {}
            Event::Look => self.look(),
            Event::Restart => {
                let position = self.source.position.clone();
                self.source = start(Story::config(&self.server), position.as_deref());
            }
        }
        let head = self.server.head("dev");
        if self.heads.last() != Some(&head) {
            self.heads.push(head);
        }
    }

    /// The columns of the table of orders on `dev`.
    fn columns(&self) -> Vec<(String, Kind)> {
        let first = COLUMNS.into_iter().map(|(name, kind)| (name.to_string(), kind));
        first.chain((3..self.width).map(|n| (format!("c{n}"), Kind::Int))).collect()
    }

    fn write(&self, on_dev: bool, items: bool, rows: &[(i64, Option<u8>)]) {
        let (branch, table) = (if on_dev { "dev" } else { "main" }, if items { "shop.items" } else { "shop.orders" });
        let width = if on_dev && !items { self.width } else { 3 };
        let edit = |(id, n): &(i64, Option<u8>)| match n {
            None => remove(table, *id),
            Some(n) => {
                let more = (3..width).map(|i| Cell::Int(i as i64 + i64::from(*n)));
                Edit::Put(table, [vec![(*id).into(), i64::from(*n).into(), "x".into()], more.collect()].concat())
            }
        };
        self.server.write_on(branch, &rows.iter().map(edit).collect::<Vec<_>>());
        self.server.commit_on(branch);
    }

    /// Lets the reader come to the head: it has the tables exactly as of it.
    fn look(&mut self) {
        let head = self.server.head("dev");
        for transaction in self.source.all_until_position(&format!("commit:{head}@dev")) {
            apply(&mut self.replica, &transaction);
        }
        assert_eq!(self.replica, tables_at(&self.server, &head));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn src_27_whatever_becomes_of_a_branch_the_reader_has_it_as_of_its_head(events in events()) {
        let mut story = Story::begin();
        events.iter().for_each(|event| story.happen(event));
        story.look();
    }
}

/// The same on a real Dolt, where there is one.
#[test]
fn src_27_real_dolt_is_followed_by_its_commits() {
    if !require_dolt() {
        return;
    }
    let server = RealDolt::start();
    server.exec(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY, n INT UNSIGNED, note VARCHAR(20), state ENUM('new','paid'), \
         price DECIMAL(10,2), took TIME(6), at DATETIME(6), doc JSON); INSERT INTO orders VALUES (1, 4294967295, 'grün', 'new', 1.10, \
         '-00:00:01.5', '2024-02-29 12:34:56.789', '{\"a\": 1}'); CALL dolt_commit('-Am', 'first'); CALL dolt_branch('dev')",
    );
    let mut source = start(polling(&server.url(), &["shop.*"], Some("dev")), None);
    let row = |id: i64| format!("{id}, 4294967295u, \"grün\", \"new\", 1.10d, -1500000us, @1709210096789000, {{\"a\":1}}");
    let behind = |line: String| line.split_once(": ").map(|(_, changes)| changes.to_string()).unwrap();
    assert_eq!(behind(line(&source.transaction())), format!("fill +orders({})", row(1)));
    source.until_live();
    let mut on_dev = |sql: &str| {
        server.exec(&format!("USE `shop/dev`; {sql}; CALL dolt_commit('-Am', 'next')"));
        behind(line(&source.transaction()))
    };
    let copied = "INSERT INTO orders SELECT 2, n, note, state, price, took, at, doc FROM orders; DELETE FROM orders WHERE id = 1";
    assert_eq!(on_dev(copied), format!("+orders({}) -orders({})", row(2), row(1)));
    let paid = row(2).replace("new", "paid");
    assert_eq!(on_dev("UPDATE orders SET state = 'paid'"), format!("~orders({} -> {paid})", row(2)));
    let widened = "ALTER TABLE orders ADD COLUMN extra INT DEFAULT 7";
    assert_eq!(on_dev(widened), format!("~orders({paid}, absent -> {paid}, 7)"));
    let rekeyed = "ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (extra)";
    assert_eq!(on_dev(rekeyed), format!("-orders({paid}, 7) +orders({paid}, 7)"));
    assert_eq!(on_dev("ALTER TABLE orders RENAME TO bought"), format!("+bought({paid}, 7) -orders({paid}, 7)"));
    assert_eq!(on_dev("DROP TABLE bought"), format!("-bought({paid}, 7)"));
}
