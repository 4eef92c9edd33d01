//! Goals under `kill -9`: what is left to do is done, and ends with the same bits as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use thalweg::runtime::recover::recover;
use thalweg_engine::Engine;
use thalweg_graph::planning;
use thalweg_graph::ports::Store;

use super::harness::Home;

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
