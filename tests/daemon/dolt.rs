//! The daemon over a Dolt server, or rather over its stand-in.

use thalweg_testkit::{DoltStandIn, Edit, Kind};

use super::harness::{Home, receiver, shop, until, webhook};

fn put(id: i64, amount: i64) -> Edit<'static> {
    Edit::Put("shop.orders", vec![id.into(), amount.into()])
}

#[test]
fn a_dolt_server_is_followed_over_kills_restarts_and_a_purge() {
    let server = DoltStandIn::start();
    server.create("shop.orders", &[("id", Kind::Int), ("amount", Kind::IntUnsigned)], 1);
    server.write(&[put(7, 700)]);
    let receiver = receiver();
    let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
    let home = Home::new(
        &shop(&server.url(), &webhook(&receiver)).replace("kind = \"mysql\"", "kind = \"mysql\"\nafter_purge = \"snapshot\""),
    );
    let daemon = home.start_live();
    server.write(&[put(1, 150), put(2, 50)]);
    fired(1);
    server.restart();
    // Folded as Dolt does: the row goes through 200 and ends at 60, which is all that is logged.
    server.write(&[put(2, 200), put(2, 60)]);
    server.write(&[put(2, 4_294_967_295)]);
    fired(2);
    daemon.kill9();
    server.write(&[put(3, 300), Edit::Remove("shop.orders", vec![1.into()])]);
    let daemon = home.start_live();
    fired(3);
    daemon.kill9();
    // What happened in between is in no log any more: the tables are read anew, which fires nothing.
    server.write(&[put(4, 400)]);
    server.restart();
    server.purge();
    let daemon = home.start_live();
    server.write(&[put(4, 1)]);
    server.write(&[put(4, 500), put(1, 150)]);
    fired(5);
    daemon.stop().well();
    assert_eq!((receiver.totals().contradictions, receiver.totals().unverified), (0, 0));
}
