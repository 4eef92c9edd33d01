//! The seed configuration, unchanged but for addresses.

use serde_json::{Value as Json, json};
use thalweg::config::{Config, Environment};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::Store;
use thalweg_graph::{ids, planning};
use thalweg_sinks::receiver::Receiver;
use thalweg_testkit::{MariaDb, require};

use super::harness::{Home, receiver_at, until};

const CONFIG: &str = include_str!("../../examples/issue-tracker/thalweg.toml");
const SETUP: &str = include_str!("../../examples/issue-tracker/setup.sql");

/// The header that must be there, and the body.
fn last(receiver: &Receiver) -> (String, Json) {
    let (head, body) = receiver.last();
    (head, serde_json::from_slice(&body).expect("a body is JSON"))
}

#[test]
fn the_seed_configuration_fires_signed_webhooks_and_fills_the_event_table() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(SETUP);
    let home = Home::new("");
    // No secret is configured, so the instance's own signs; who wants to verify reads it from the store.
    let secret = home.store().instance_secret().to_owned();
    let [urgent, status, decision] = [(); 3].map(|()| receiver_at("127.0.0.1:0", &secret));
    let config = CONFIG
        .replace("\"localhost\"", "\"127.0.0.1\"")
        .replace("3306", &server.port().to_string())
        .replace("https://hooks.example.com/urgent", &urgent.url())
        .replace("https://hooks.example.com/status-change", &status.url())
        .replace("https://hooks.example.com/decision-needed", &decision.url());
    home.configure(&format!("{config}\n[egress]\nallow = [\"127.0.0.0/8\"]\n"));
    let daemon = home.start_live();

    // The GTID of the statement's own session: the sink's inserts into the same server have their own.
    let commit = |sql: &str| server.query(&format!("{sql}; SELECT @@last_gtid")).concat().concat();
    let gtid = commit("INSERT INTO my_app.issues (title, priority) VALUES ('the pump leaks', 1)");
    server.exec("INSERT INTO my_app.issues (title, priority) VALUES ('paint it', 3)");
    let closed = commit("UPDATE my_app.issues SET status = 'closed' WHERE id = 1");
    server.exec("UPDATE my_app.issues SET title = 'paint it blue' WHERE id = 2");
    let asked = commit("INSERT INTO my_app.issues (title, type, priority) VALUES ('which pump?', 'decision', 2)");
    for receiver in [&urgent, &status, &decision] {
        until("one webhook of each kind", || receiver.totals().accepted >= 1);
    }
    until("the event row", || !server.query("SELECT id FROM my_app.event_log").is_empty());
    daemon.stop().well();

    for receiver in [&urgent, &status, &decision] {
        let totals = receiver.totals();
        assert_eq!((totals.requests, totals.accepted_distinct, totals.unverified), (1, 1, 0), "{totals:?}");
    }
    let (head, body) = last(&urgent);
    let shown = |name: &str| body["data"]["new"][name].clone();
    assert!(head.contains(&format!("webhook-id: {}", body["id"].as_str().unwrap())), "{head}");
    assert_eq!(
        json!([body["specversion"], body["type"], body["source"], body["subject"], body["txid"], body["data"]["old"]]),
        json!(["1.0", "issue.created", "/my_app/issues", "1", gtid, null]),
        "{body}"
    );
    assert_eq!(json!([shown("title"), shown("priority"), shown("status")]), json!(["the pump leaks", 1, "open"]), "{body}");

    let (_, changed) = last(&status);
    let data = &changed["data"];
    assert_eq!(
        json!([changed["type"], changed["subject"], changed["txid"], data["old"]["status"], data["new"]["status"]]),
        json!(["issue.updated", "1", closed, "open", "closed"]),
        "{changed}"
    );
    let (_, needed) = last(&decision);
    assert_eq!(
        json!([needed["type"], needed["subject"], needed["txid"], needed["data"]["new"]["type"]]),
        json!(["issue.created", "3", asked, "decision"]),
        "{needed}"
    );

    let rows = server.query("SELECT id, event_type, source_db, source_table, subject_id FROM my_app.event_log");
    assert_eq!(rows, [[event_row_id(&home, &gtid, &body).as_str(), "issue.created", "my_app", "issues", "1"]]);

    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked), (4, 4), "{counts:?}");
    let timers = home.store().timers().expect("timers can be read");
    let day_later = time_of(&needed).0 + 24 * 3600 * 1_000_000;
    let armed: Vec<_> = timers.iter().map(|t| (&*t.event, t.due.0)).collect();
    assert_eq!(armed, [("decision.expired", day_later)]);
}

fn time_of(body: &Json) -> Timestamp {
    let time: jiff::Timestamp = body["time"].as_str().unwrap().parse().expect("time is RFC 3339");
    Timestamp(time.as_microsecond())
}

/// The id of the second action of the reaction whose first action sent `body`, derived as anyone may derive it.
fn event_row_id(home: &Home, origin: &str, body: &Json) -> String {
    let config = Config::load(&home.path("thalweg.toml"), &Environment::default()).expect("the configuration is right");
    let (plan, _) = planning::plan(&config.spec, &[]).expect("the definition is right");
    let key = [Value::text("my_app.issues"), Value::Uint(1)];
    let id = |action| ids::effect_id(origin, &plan.reactions[0].name, action, &key, time_of(body));
    assert_eq!(body["id"], id(0));
    id(1)
}
