//! The daemon over a Dolt server, or rather over its stand-in.

use thalweg_testkit::{DoltStandIn, Edit, Kind};

use super::harness::{Home, receiver, shop, until, webhook};

const COLUMNS: [(&str, Kind); 2] = [("id", Kind::Int), ("amount", Kind::IntUnsigned)];

fn put(id: i64, amount: i64) -> Edit<'static> {
    Edit::Put("shop.orders", vec![id.into(), amount.into()])
}

#[test]
fn a_dolt_server_is_followed_over_kills_restarts_and_a_purge() {
    let server = DoltStandIn::start();
    server.create("shop.orders", &COLUMNS, 1);
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

#[test]
fn src_27_a_branch_is_followed_by_its_commits_over_kills_and_a_rewritten_history() {
    let server = DoltStandIn::start();
    server.set("log_bin", "OFF");
    server.create("shop.orders", &COLUMNS, 1);
    server.write(&[put(7, 700)]);
    let first = server.commit();
    server.branch("dev", "main");
    let receiver = receiver();
    let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
    let on_dev = |edits: &[Edit<'_>]| {
        server.write_on("dev", edits);
        server.commit_on("dev")
    };
    let keys = "kind = \"mysql\"\nbranch = \"dev\"\npoll = \"20ms\"\nafter_purge = \"snapshot\"";
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)).replace("kind = \"mysql\"", keys));
    let daemon = home.start_live();
    on_dev(&[put(1, 150), put(2, 50)]);
    fired(1);
    daemon.kill9();
    // Each commit is a transaction of its own, however late it is looked at: the row rises twice.
    on_dev(&[put(2, 200)]);
    on_dev(&[put(2, 60)]);
    on_dev(&[put(2, 300)]);
    let daemon = home.start_live();
    fired(3);
    // The branch goes back, which is a change like any other, and from there another way.
    server.reset("dev", &first);
    on_dev(&[put(3, 1000)]);
    fired(4);
    on_dev(&[put(1, 151), put(7, 701)]);
    fired(5);
    // A column more, which gives no row another value, and a merge.
    server.write(&[put(9, 900)]);
    server.commit();
    server.merge("dev", "main");
    fired(6);
    daemon.stop().well();
    assert_eq!((receiver.totals().contradictions, receiver.totals().unverified), (0, 0));
}

#[test]
fn tail_prints_the_commits_of_a_branch_from_the_first_or_behind_any() {
    let server = DoltStandIn::start();
    server.create("shop.orders", &COLUMNS, 1);
    server.commit();
    server.branch("dev", "main");
    server.write_on("dev", &[put(1, 150)]);
    let second = server.commit_on("dev");
    server.write_on("dev", &[put(1, 151), put(2, 20)]);
    let third = server.commit_on("dev");
    let home = Home::new("");
    let url = format!("{}/shop/dev", server.url());
    let tail = |from: &str| {
        let output = home.command(&["tail", &url, "--from", from, "--until-idle", "0.2"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let text = [String::from_utf8(output.stdout).unwrap(), said].concat();
        text.replace(&second, "B").replace(&third, "C")
    };
    let schema = r#"{"schema":{"table":"shop.orders","key":["id"],"columns":{"id":"int","amount":"uint"}}}"#;
    let last = r#"{"tx":"C","at":"2023-11-14T22:13:23.003Z","changes":[{"table":"shop.orders","op":"insert","after":{"id":2,"amount":20}},{"table":"shop.orders","op":"update","before":{"id":1,"amount":150},"after":{"id":1,"amount":151}}]}"#;
    let first = r#"{"tx":"B","at":"2023-11-14T22:13:22.002Z","changes":[{"table":"shop.orders","op":"insert","after":{"id":1,"amount":150}}]}"#;
    assert_eq!(tail("start"), format!("{schema}\n{first}\n{last}\n"));
    assert_eq!(tail(&second), format!("{schema}\n{last}\n"));
}
