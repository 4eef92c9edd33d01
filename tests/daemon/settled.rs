//! What becomes of deliveries is data: a dead letter fires, an answer is a value, and neither is lost or told twice.

use std::process::Output;

use serde_json::{Value as Json, json};
use thalweg_sinks::receiver::{Behaviour, Receiver};

use super::harness::{Home, SECRET, receiver, until};
use super::reload::reloaded;

const FOLLOWED: &str = "
[[source]]
name = \"outcomes\"
kind = \"deliveries\"

[[table]]
name = \"Delivery\"
from = \"thalweg.deliveries\"
";

/// Two orders, of which one is big, and what is done about it.
fn home(rules: &str) -> Home {
    let home = Home::new(&config(rules));
    let order = |id: u32, amount: u32| {
        let change = json!({"table": "Order", "op": "upsert", "key": {"id": id}, "after": {"amount": amount}});
        format!("{}\n", json!({"tx": id.to_string(), "at": "2026-01-01T00:00:00Z", "changes": [change]}))
    };
    std::fs::write(home.path("orders.jsonl"), order(1, 500) + &order(2, 5)).expect("the folder can be written");
    home
}

fn config(rules: &str) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "jsonl"
path = "orders.jsonl"

[[table]]
name = "Order"
key = ["id"]
columns = {{ id = "int", amount = "int" }}
{rules}
"#
    )
}

fn hook(receiver: &Receiver) -> String {
    format!("{{ type = \"webhook\", url = \"{}\", secret = \"{SECRET}\", backoff = \"10ms..20ms\" }}", receiver.url())
}

/// What a file of events holds, in its order: the data of each.
fn logged(home: &Home, name: &str) -> Vec<Json> {
    let text = std::fs::read_to_string(home.path(name)).unwrap_or_default();
    let data = |line: &str| serde_json::from_str::<Json>(line).expect("a line is an event")["data"].clone();
    text.lines().map(data).collect()
}

fn effects(home: &Home, args: &[&str]) -> String {
    let Output { stdout, stderr, .. } = home.command(&[&["effects"], args].concat()).output().expect("the binary runs");
    String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
}

/// The id of the only delivery of a rule.
fn id_of(home: &Home, rule: &str) -> String {
    let lines = effects(home, &["ls", "--effect", rule, "--json"]);
    let [line] = lines.lines().collect::<Vec<_>>()[..] else { panic!("not one delivery of {rule}: {lines}") };
    serde_json::from_str::<Json>(line).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_dead_letter_is_an_event_and_so_is_its_replay() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(422));
    let rules = format!(
        r#"{FOLLOWED}
[[effect]]
name = "big"
on = "Order"
when = "amount > 100"
actions = [{}]

[[classify]]
table = "thalweg.deliveries"
insert = "delivery.settled"
update = "delivery.settled"

[[reactions]]
event = "delivery.settled"
condition = "rule == 'big'"
actions = [{{ type = "log", path = "settled.jsonl" }}]
"#,
        hook(&receiver)
    );
    let home = home(&rules);
    let daemon = home.start();
    until("a dead letter's event", || logged(&home, "settled.jsonl").len() == 1);
    let dead = &logged(&home, "settled.jsonl")[0]["new"];
    let told = |row: &Json| ["rule", "action", "key", "subject", "state", "result", "error"].map(|name| row[name].clone());
    let error = "E0510: the receiver answered 422 Unprocessable Entity";
    assert_eq!(told(dead), [json!("big"), json!(0), json!("[1]"), json!(1), json!("dead"), Json::Null, json!(error)]);
    let id = id_of(&home, "big");
    assert_eq!((&dead["id"], &dead["fired_at"]), (&json!(id), &json!("2026-01-01T00:00:00Z")));

    receiver.behave(Behaviour::Accept);
    effects(&home, &["retry", &id]);
    until("the events of its replay", || logged(&home, "settled.jsonl").len() == 3);
    daemon.stop().well();
    let states: Vec<Json> = logged(&home, "settled.jsonl").iter().map(|event| event["new"]["state"].clone()).collect();
    assert_eq!(states, ["dead", "pending", "acked"]);
    // Nothing of it is told again, nor is what was told of the telling.
    home.run_until_idle("0.3").well();
    assert_eq!(logged(&home, "settled.jsonl").len(), 3);
}

/// The answer is given while no daemon runs, and the daemon that takes it up is killed again and again.
#[test]
fn an_answer_is_a_value_that_formulas_read() {
    let rules = format!(
        r#"
[table.relations]
answers = {{ table = "Delivery", key = "subject" }}
{FOLLOWED}
[fields]
"Order.approved" = "any(answers[*].rule == 'ask' && answers[*].result == 'approve')"

[[effect]]
name = "ask"
on = "Order"
when = "amount > 100"
mode = "ack"
actions = [{{ type = "log", path = "asked.jsonl" }}]

[[effect]]
name = "ship"
on = "Order"
when = "approved"
payload = ["id"]
actions = [{{ type = "log", path = "shipped.jsonl" }}]
"#
    );
    let home = home(&rules);
    home.run_until_idle("0.3").well();
    assert_eq!((logged(&home, "asked.jsonl").len(), logged(&home, "shipped.jsonl").len()), (1, 0));
    effects(&home, &["ack", &id_of(&home, "ask"), "--result", "approve"]);
    for after_ms in [20, 60, 120] {
        let daemon = home.start();
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        daemon.kill9();
    }
    home.run_until_idle("0.3").well();
    let shipped = logged(&home, "shipped.jsonl");
    assert!(!shipped.is_empty() && shipped.iter().all(|order| *order == json!({"id": 1})), "{shipped:?}");
    id_of(&home, "ship");
    // A second answer changes nothing.
    effects(&home, &["ack", &id_of(&home, "ask"), "--result", "reject"]);
    home.run_until_idle("0.3").well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.pending), (2, 2, 0), "{counts:?}");
}

#[test]
fn the_example_of_an_approval_does_what_its_page_says() {
    let home = Home::new(include_str!("../../examples/approval/thalweg.toml"));
    std::fs::write(home.path("orders.jsonl"), include_str!("../../examples/approval/orders.jsonl"))
        .expect("the folder can be written");
    home.run_until_idle("0.3").well();
    let orders = |name: &str| logged(&home, name).iter().map(|order| order["id"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!((orders("shipped.jsonl"), orders("desk.jsonl").len()), (vec![1], 2));
    for (key, answer) in [("[2]", "approve"), ("[3]", "reject")] {
        let line = effects(&home, &["ls", "--effect", "approve", "--key", key, "--json"]);
        let id = serde_json::from_str::<Json>(&line).unwrap()["id"].as_str().unwrap().to_owned();
        effects(&home, &["ack", &id, "--result", answer]);
    }
    home.run_until_idle("0.3").well();
    assert_eq!((orders("shipped.jsonl"), orders("refused.jsonl")), (vec![1, 2], vec![3]));
    assert!(!home.path("escalated.jsonl").exists());
}

#[test]
fn a_question_that_nobody_answers_escalates() {
    let rules = format!(
        r#"{FOLLOWED}
[[effect]]
name = "ask"
on = "Order"
when = "amount > 100"
mode = "ack"
ack = {{ timeout = "50ms", retries = 1 }}
actions = [{{ type = "log", path = "asked.jsonl" }}]

[[effect]]
name = "unanswered"
on = "Delivery"
when = "rule == 'ask' && state == 'dead'"
payload = ["subject"]
actions = [{{ type = "log", path = "escalated.jsonl" }}]
"#
    );
    let home = home(&rules);
    let daemon = home.start();
    until("the escalation", || !logged(&home, "escalated.jsonl").is_empty());
    daemon.stop().well();
    assert_eq!(logged(&home, "asked.jsonl").len(), 2);
    assert_eq!(logged(&home, "escalated.jsonl"), [json!({"subject": 1})]);
}

/// Each delivery that goes through is told by another one.
#[test]
fn a_loop_of_deliveries_ends() {
    let rules = format!(
        r#"{FOLLOWED}
[[effect]]
name = "big"
on = "Order"
when = "amount > 100"
actions = [{{ type = "log", path = "big.jsonl" }}]

[[effect]]
name = "echo"
on = "Delivery"
when = "state == 'acked'"
payload = ["rule"]
actions = [{{ type = "log", path = "echo.jsonl" }}]
"#
    );
    let home = home(&rules);
    let ended = home.run_until_idle("1");
    ended.well();
    let echoes = logged(&home, "echo.jsonl");
    assert_eq!(echoes.len(), 16, "{echoes:?}");
    assert_eq!((&echoes[0], &echoes[15]), (&json!({"rule": "big"}), &json!({"rule": "echo"})));
    let warned = "E0526: 17 effects follow from each other, so this is a loop: what became of delivery ";
    assert_eq!(ended.said.matches(warned).count(), 1, "{}", ended.said);
}

#[test]
fn what_became_before_somebody_follows_is_not_told() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(422));
    let big = |name: &str| {
        let hook = hook(&receiver);
        format!("\n[[effect]]\nname = \"{name}\"\non = \"Order\"\nwhen = \"amount > 100\"\nactions = [{hook}]\n")
    };
    let lost = "
[[effect]]
name = \"lost\"
on = \"Delivery\"
when = \"state == 'dead'\"
payload = [\"rule\"]
actions = [{ type = \"log\", path = \"lost.jsonl\" }]
";
    let home = home(&big("big"));
    let daemon = home.start();
    // Three attempts each time.
    let died = |times: usize| {
        let shown = effects(&home, &["ls", "--effect", "big", "--json"]);
        shown.contains("\"dead\"")
            && effects(&home, &["show", &id_of(&home, "big"), "--json"]).matches("\"failed\"").count() == 3 * times
    };
    until("a dead letter", || home.path(".thalweg/thalweg.db").exists() && died(1));
    home.configure(&config(&format!("{}{FOLLOWED}{lost}", big("big"))));
    assert_eq!(reloaded(&home), ["+ table Delivery", "+ effect lost"]);
    effects(&home, &["retry", &id_of(&home, "big")]);
    until("the next one", || !logged(&home, "lost.jsonl").is_empty());
    // What follows no more is not noted either.
    home.configure(&config(&big("big")));
    assert_eq!(reloaded(&home), ["- table Delivery", "- effect lost"]);
    effects(&home, &["retry", &id_of(&home, "big")]);
    until("a third dead letter", || died(3));
    daemon.stop().well();
    // By another name it begins anew, with what happens then.
    home.configure(&config(&format!("{}{}{lost}", big("big"), FOLLOWED.replace("outcomes", "others"))));
    home.run_until_idle("0.3").well();
    assert_eq!(logged(&home, "lost.jsonl"), [json!({"rule": "big"})]);
    effects(&home, &["retry", &id_of(&home, "big")]);
    home.run_until_idle("0.3").well();
    assert_eq!(logged(&home, "lost.jsonl").len(), 2);
}
