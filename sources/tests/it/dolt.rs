//! The source against the stand-in for Dolt: what is faithful there is said in the test kit.

use thalweg_testkit::{Cell, DoltStandIn, Edit, Kind};

use crate::harness::{Running, config, line, start};

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
    format!("{id}, 4294967295u, \"{note}\", \"{state}\", {}, -1500000us, {{\"a\":1,\"b\":-2}}, \"long\"", 2 * id)
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
}
