//! When fields are published: told in whole, and against a model over twins that are published at once.

use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Cell, Value};
use thalweg_graph::spec::{FieldSpec, GraphSpec, PolicySpec};

use crate::properties::seeds;
use crate::random::Rng;
use crate::stories::{check, planned, shop, transaction};

/// A field with a timing.
fn timed(name: &str, formula: &str, policy: PolicySpec) -> FieldSpec {
    FieldSpec { name: name.into(), formula: formula.into(), timing: Some(policy.into()), ..FieldSpec::default() }
}

fn when(open: &str) -> PolicySpec {
    PolicySpec { when: Some(open.into()), ..PolicySpec::default() }
}

fn once(complete: &str) -> PolicySpec {
    PolicySpec { on_completion: Some(complete.into()), ..PolicySpec::default() }
}

fn batch(size: u64) -> PolicySpec {
    PolicySpec { batch: Some(size), ..PolicySpec::default() }
}

#[test]
fn a_closed_gate_keeps_what_was_published_and_tells_one_delta_when_it_opens() {
    let mut spec = shop(&[("Order.twice", "total * 2")], &[("big", "Order", "total > 10")]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", when("qty > 0")));
    check(
        &spec,
        &[
            "+Order 1 1 0; +Item 1 1 5",
            "~Order 1 : _ _ 1",
            "+Item 2 1 2",
            "~Order 1 : _ _ 0",
            "+Item 3 1 10",
            "+Item 4 1 10",
            "~Order 1 : _ _ 2; -Item 4 1 10",
            "-Order 1 1 2",
        ],
        expect![[r#"
            2 Order.total[1]: null -> 5.00
            2 Order.twice[1]: null -> 10.00
            3 Order.total[1]: 5.00 -> 7.00
            3 Order.twice[1]: 10.00 -> 14.00
            7 Order.total[1]: 7.00 -> 17.00
            7 Order.twice[1]: 14.00 -> 34.00
            7 big[1] fires v1 {"id":1,"total":{"$decimal":"17.00"}}
            8 Order.total[1]: 17.00 -> null gone
            8 Order.twice[1]: 34.00 -> null gone
        "#]],
    );
}

#[test]
fn a_completed_value_stands() {
    let mut spec = shop(&[], &[]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", once("qty > 0")));
    check(
        &spec,
        &[
            "+Order 1 1 0; +Item 1 1 5",
            "+Item 2 1 2",
            "~Order 1 : _ _ 1; +Item 3 1 1",
            "+Item 4 1 10",
            "~Order 1 : _ _ 0",
            "~Order 1 : _ _ 2",
            "-Order 1 1 2; +Order 1 1 0",
            "-Order 1 1 0",
            "+Order 1 1 3",
        ],
        expect![[r#"
            3 Order.total[1]: null -> 8.00
            8 Order.total[1]: 8.00 -> null gone
            9 Order.total[1]: null -> 18.00
        "#]],
    );
}

#[test]
fn changes_are_published_in_batches_of_each_document() {
    let mut spec = shop(&[], &[]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", batch(3)));
    check(
        &spec,
        &[
            "+Order 1 1 0; +Item 1 1 5; +Order 2 1 0",
            "+Item 2 1 1",
            "+Item 3 1 1; +Item 4 2 7",
            "~Order 1 : _ _ 4",
            "+Item 5 1 1",
            "+Item 6 1 1",
            "=Item 5 1 oops",
            "=Item 5 1 1",
            "+Item 7 1 1",
        ],
        expect![[r#"
            1 Order.total[1]: null -> 5.00
            1 Order.total[2]: null -> 0.00
            5 Order.total[1]: 5.00 -> 8.00
            7 Item[5] E0332: column `price`: "oops" is not decimal(8,2)
            redundant 2, contradicted 0
        "#]],
    );
}

#[test]
fn small_changes_add_up() {
    let mut spec = shop(&[], &[]);
    let field = |name: &str, formula: &str| FieldSpec {
        name: name.into(),
        formula: formula.into(),
        epsilon: Some(0.1),
        ..FieldSpec::default()
    };
    spec.fields =
        vec![field("Order.total", "sum(items[*].price)"), field("Order.far", "qty"), field("Order.mean", "qty / 1000.0")];
    check(
        &spec,
        &[
            "+Order 1 1 0; +Item 1 1 5",
            "=Item 1 1 5.05",
            "=Item 1 1 5.09",
            "=Item 1 1 5.1",
            "=Item 1 1 5.01",
            "=Item 1 1 5.00",
            "~Order 1 : _ _ -9223372036854775807",
            "~Order 1 : _ _ 9223372036854775807",
        ],
        expect![[r#"
            1 Order.far[1]: null -> 0
            1 Order.mean[1]: null -> 0.0
            1 Order.total[1]: null -> 5.00
            4 Order.total[1]: 5.00 -> 5.10
            6 Order.total[1]: 5.10 -> 5.00
            7 Order.far[1]: 0 -> -9223372036854775807
            7 Order.mean[1]: 0.0 -> -9223372036854776.0
            8 Order.far[1]: -9223372036854775807 -> 9223372036854775807
            8 Order.mean[1]: -9223372036854776.0 -> 9223372036854776.0
        "#]],
    );
}

/// What a published field must hold, by the rules of its policy.
struct Model {
    cell: Cell,
    last: Value,
    /// What was seen of the twin and of the condition before.
    seen: Option<(Cell, bool)>,
    waiting: u64,
    done: bool,
}

impl Model {
    fn new() -> Model {
        Model { cell: Ok(Value::Null), last: Value::Null, seen: None, waiting: 0, done: false }
    }

    fn publish(&mut self, cell: Cell) {
        if let Ok(value) = &cell {
            self.last = value.clone();
        }
        self.cell = cell;
    }

    fn keep(&mut self) {
        self.cell = Ok(self.last.clone());
    }

    fn step(&mut self, field: &str, now: Cell, open: bool) {
        let before = self.seen.replace((now.clone(), open));
        let moved = before.as_ref().is_none_or(|(cell, _)| *cell != now);
        let moves = moved || before.as_ref().is_none_or(|(_, was)| *was != open);
        match field {
            "Order.gated" if moves => {
                if open {
                    self.publish(now)
                } else {
                    self.keep()
                }
            }
            "Order.done" if moves => match (self.done, open) {
                (false, true) => {
                    self.done = true;
                    self.publish(now);
                }
                _ => self.keep(),
            },
            "Order.third" if moved => {
                self.waiting = if before.is_none() { 3 } else { self.waiting + 1 };
                if self.waiting >= 3 {
                    self.waiting = 0;
                    self.publish(now);
                } else {
                    self.keep();
                }
            }
            _ => {}
        }
    }
}

const FIELDS: [&str; 3] = ["Order.gated", "Order.done", "Order.third"];

fn with_twins() -> GraphSpec {
    let formula = "sum(items[*].price) + 10 / qty";
    let mut spec = shop(&[("Order.now", formula), ("Order.open", "qty % 2 == 0")], &[]);
    let policies = [when("open"), once("open"), batch(3)];
    spec.fields.extend(FIELDS.iter().zip(policies).map(|(name, policy)| timed(name, formula, policy)));
    spec
}

fn random_history(rng: &mut Rng) -> Vec<String> {
    let changes = |rng: &mut Rng| {
        let changes = (0..rng.below(3) + 1).map(|_| match rng.below(6) {
            0 => format!("-Order {} 0 0", rng.below(3)),
            1 | 2 => format!("^Order {} 1 {}", rng.below(3), rng.below(6)),
            3 => format!("-Item {} 0 0", rng.below(5)),
            _ => format!("^Item {} {} {}", rng.below(5), rng.below(3), rng.below(4)),
        });
        changes.collect::<Vec<_>>().join(";")
    };
    (0..60).map(|_| if rng.chance(10) { format!("fill {}", changes(rng)) } else { changes(rng) }).collect()
}

#[test]
fn what_is_published_is_what_was_computed_when_its_policy_opened() {
    let mut published = 0;
    for seed in seeds(60) {
        let mut rng = Rng(seed + 41_000);
        let spec = with_twins();
        let history = random_history(&mut rng);
        let mut engine = Engine::new(planned(&spec), Options::default());
        let mut models: std::collections::BTreeMap<(&str, i64), Model> = Default::default();
        for (at, text) in history.iter().enumerate() {
            engine.push(transaction(&spec, at + 1, text));
            engine.step();
            for order in 0..3 {
                let key = [Value::Int(order)];
                for field in FIELDS {
                    let Some(now) = engine.read("Order.now", &key) else {
                        models.remove(&(field, order));
                        continue;
                    };
                    let open = engine.read("Order.open", &key) == Some(Ok(Value::Bool(true)));
                    let model = models.entry((field, order)).or_insert_with(Model::new);
                    model.step(field, now, open);
                    assert_eq!(
                        engine.read(field, &key).as_ref(),
                        Some(&model.cell),
                        "seed {seed}, {field}[{order}] at {at}: {history:#?}"
                    );
                    published += usize::from(model.cell.is_ok());
                }
            }
        }
    }
    assert!(published > 1_000, "{published} values are too few to mean anything");
}
