//! Goals under `kill -9`: what is left to do is done, and ends with the same bits as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use thalweg::runtime::recover::recover;
use thalweg_engine::Engine;
use thalweg_graph::planning;
use thalweg_graph::ports::Store;

use super::harness::{Home, until};

const SHOP: &str = r#"
[[source]]
name = "shop"
kind = "jsonl"
path = "changes.jsonl"

[[table]]
name = "Product"
key = ["id"]
columns = { id = "int", cost = "double", a = "double" }

[fields]
"Product.profit" = "1000.0 * exp(-a * price) * (price - cost)"

[[goal]]
name = "profit"
maximize = "sum(Product[*].profit)"
variables = { "Product.price" = { min = 5.0, max = 100.0 } }
optimizer = { kind = "adam", lr = 0.01 }
online = true
steps = 120
tolerance = 0.0
"#;

fn changes() -> String {
    let change = |n: i32| {
        let (id, cost) = (n % 7, 5.0 + f64::from(n) * 1.25);
        format!(
            "{{\"changes\":[{{\"table\":\"Product\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"cost\":{cost:?},\"a\":0.05}}}}]}}\n"
        )
    };
    (0..12).map(change).collect()
}

/// Every bit of what the goal owns, as the store would bring it back; and the epoch.
fn standing(home: &Home) -> (u64, Vec<String>) {
    let mut store = home.store();
    let spec = thalweg::config::Config::load(&home.path("thalweg.toml"), &thalweg::config::Environment::process()).unwrap().spec;
    let (plan, _) = planning::plan(&spec, &[]).unwrap();
    let mut sequencer = recover(Arc::new(plan), 1, &mut store).unwrap();
    let engine: &mut Engine = sequencer.engine();
    let values = engine.rows("@Product.price", &["@Product.price.value", "@Product.price.state"]);
    let goals = engine.rows("@goals", &["@goals.steps", "@goals.epoch", "@goals.left", "@goals.loss"]);
    let rows = values.iter().chain(&goals).map(|row| format!("{:?} {:?}", row.key, row.cells)).collect();
    (store.recovered().epoch, rows)
}

#[test]
fn training_goes_on_after_kill_9_bit_for_bit() {
    let (whole, broken) = (Home::new(SHOP), Home::new(SHOP));
    for home in [&whole, &broken] {
        std::fs::write(home.path("changes.jsonl"), changes()).unwrap();
    }
    whole.run_until_idle("0.5").well();
    for wait in [60, 90, 130] {
        let daemon = broken.start();
        std::thread::sleep(Duration::from_millis(wait));
        daemon.kill9();
    }
    broken.run_until_idle("0.5").well();
    let expected = standing(&whole);
    assert_eq!(expected.0, 12 + 12 * 120);
    assert_eq!(standing(&broken), expected);
}

/// The lines of JSON that a verb prints.
fn told(home: &Home, args: &[&str]) -> Vec<serde_json::Value> {
    let out = home.command(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn goals_are_trained_held_and_taken_back_with_a_process_and_without() {
    let home = Home::new(&SHOP.replace("online = true\nsteps = 120\n", ""));
    std::fs::write(home.path("changes.jsonl"), changes()).unwrap();
    let daemon = home.start();
    daemon.until_said("catching up");
    until("the rows to be there", || told(&home, &["goal", "ls", "thalweg.toml", "--json"])[0]["state"] == "due");
    let trained = told(&home, &["goal", "train", "thalweg.toml", "profit", "--steps", "7", "--json"]);
    let last = trained.last().unwrap();
    assert_eq!((&last["goal"], &last["steps"]), (&"profit".into(), &7.into()), "{last}");
    assert!(["loss", "metric", "steps_per_s", "seconds"].iter().all(|field| last[field].is_f64()), "{last}");
    let runs = told(&home, &["goal", "runs", "thalweg.toml", "profit", "--json"]);
    assert_eq!(runs.iter().map(|run| run["step"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let losses: Vec<f64> = runs.iter().map(|run| run["loss"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted_by(|a, b| a > b), "each step is better: {losses:?}");
    // Back to step 3: the loss is that which step 4 began with.
    let back = told(&home, &["goal", "rollback", "thalweg.toml", "profit", "--to", "3", "--json"]);
    assert_eq!((back[0]["loss"].as_f64(), back[0]["steps"].as_u64()), (Some(losses[3]), Some(7)), "{back:?}");
    told(&home, &["goal", "pause", "thalweg.toml", "profit", "--json"]);
    daemon.stop().well();

    // Without a process; what was held is held.
    let still = told(&home, &["goal", "train", "thalweg.toml", "profit", "--json"]);
    assert_eq!(still.last().unwrap()["steps"], 0, "{still:?}");
    told(&home, &["goal", "pause", "thalweg.toml", "profit", "--off", "--json"]);
    let trained = told(&home, &["goal", "train", "thalweg.toml", "profit", "--steps", "2", "--json"]);
    assert_eq!(trained.last().unwrap()["steps"], 2);
    assert_eq!(told(&home, &["goal", "ls", "thalweg.toml", "--json"])[0]["steps"], 9);
    let wrong = home.command(&["goal", "train", "thalweg.toml", "proft"]).output().unwrap();
    let said =
        "error: E0623: there is no goal `proft` with fields of its own: profit\n  = help: thalweg goal ls shows the goals\n";
    assert_eq!((wrong.status.code(), &*String::from_utf8_lossy(&wrong.stderr)), (Some(1), said));
}
