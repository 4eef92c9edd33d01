//! Fields that the clock publishes, told in whole, and what they cost. The random definitions have them too.

use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_graph::spec::{FieldSpec, GraphSpec, PolicySpec};

use crate::stories::{check, planned, shop, transaction};

fn timed(name: &str, formula: &str, policy: PolicySpec) -> FieldSpec {
    FieldSpec { name: name.into(), formula: formula.into(), timing: Some(policy.into()), ..FieldSpec::default() }
}

fn every(span: &str) -> PolicySpec {
    PolicySpec { every: Some(span.into()), ..PolicySpec::default() }
}

fn cron(pattern: &str) -> PolicySpec {
    PolicySpec { cron: Some(pattern.into()), ..PolicySpec::default() }
}

fn at(time: &str) -> PolicySpec {
    PolicySpec { at: Some(time.into()), ..PolicySpec::default() }
}

fn batch_or_after(batch: u64, span: &str) -> PolicySpec {
    PolicySpec { batch: Some(batch), or_after: Some(span.into()), ..PolicySpec::default() }
}

#[test]
fn fields_of_one_schedule_move_together_and_not_in_between() {
    let mut spec = shop(&[("Order.twice", "total * 2"), ("Order.inverse", "1 / total")], &[("big", "Order", "total > 10")]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", every("5m")));
    // Of another document, and of what the same moment publishes.
    spec.fields.push(timed("Item.share", "price * 100 / of.total", every("5m")));
    spec.fields.push(timed("sum", "sum(Order[*].total)", every("5m")));
    spec.fields.push(timed("Order.nightly", "total", cron("0 3 * * *")));
    spec.fields.push(timed("Order.failing", "10 / qty", every("5m")));
    let lookup = thalweg_graph::spec::RelationSpec::Lookup {
        to: "Order".into(),
        key: thalweg_graph::spec::OneOrMany::One("order".into()),
    };
    spec.tables[1].relations.insert("of".into(), lookup);
    check(
        &spec,
        &[
            "+Order 1 1 1; +Item 1 1 5",
            "+Item 2 1 15",
            "moment every 5m",
            "+Item 3 1 60",
            "-Item 3 1 60",
            "+Item 4 1 20; ~Order 1 : _ _ 0",
            "moment every 1h",
            "moment every 5m",
            "moment every 5m, 0 3 * * * UTC",
            "~Order 1 : _ _ 2",
            "moment every 5m",
            "-Order 1 1 2",
            "moment every 5m",
        ],
        expect![[r#"
            3 Item.share[1]: null -> 25.000000
            3 Item.share[2]: null -> 75.000000
            3 Order.failing[1]: null -> 10
            3 Order.inverse[1]: null -> 0.050000
            3 Order.total[1]: null -> 20.00
            3 Order.twice[1]: null -> 40.00
            3 sum[]: null -> 20.00
            3 big[1] fires v1 {"id":1,"total":{"$decimal":"20.00"}}
            8 Item.share[1]: 25.000000 -> 12.500000
            8 Item.share[2]: 75.000000 -> 37.500000
            8 Item.share[4]: null -> 50.000000
            8 Order.inverse[1]: 0.050000 -> 0.025000
            8 Order.total[1]: 20.00 -> 40.00
            8 Order.twice[1]: 40.00 -> 80.00
            8 sum[]: 20.00 -> 40.00
            8 Order.failing[1] E0302: division by zero
            9 Order.nightly[1]: null -> 40.00
            10 Order.failing[1] E0302: division by zero cleared
            11 Order.failing[1]: 10 -> 5
            12 Order.failing[1]: 5 -> null gone
            12 Order.inverse[1]: 0.025000 -> null gone
            12 Order.nightly[1]: 40.00 -> null gone
            12 Order.total[1]: 40.00 -> null gone
            12 Order.twice[1]: 80.00 -> null gone
            13 Item.share[1]: 12.500000 -> null
            13 Item.share[2]: 37.500000 -> null
            13 Item.share[4]: 50.000000 -> null
            13 sum[]: 40.00 -> 0.00
        "#]],
    );
}

#[test]
fn a_batch_is_published_after_a_time_in_any_case() {
    let mut spec = shop(&[], &[]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", batch_or_after(3, "5s")));
    check(
        &spec,
        &[
            // The first value is published with its document.
            "+Order 1 1 0; +Item 1 1 1; +Order 2 1 0; +Order 3 1 0",
            "+Item 2 1 1; +Item 3 2 1",
            "+Item 4 1 1",
            // The third change of order 1.
            "+Item 5 1 1",
            "+Item 6 1 1; +Item 7 3 9",
            "-Order 3 1 0",
            "moment until 7",
            "moment until 9",
            "moment until 10",
            "moment until 99",
            "+Item 8 2 1",
        ],
        expect![[r#"
            1 Order.total[1]: null -> 1.00
            1 Order.total[2]: null -> 0.00
            1 Order.total[3]: null -> 0.00
            2 waits until 7s
            4 Order.total[1]: 1.00 -> 4.00
            5 waits until 10s
            6 Order.total[3]: 0.00 -> null gone
            7 Order.total[2]: 0.00 -> 1.00
            9 Order.total[1]: 4.00 -> 5.00
            11 waits until 16s
        "#]],
    );
}

#[test]
fn a_document_is_published_when_its_time_comes() {
    let mut spec = shop(&[("Order.at", "qty < 0 ? null : timestamp(qty)")], &[]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", at("at")));
    check(
        &spec,
        &[
            "+Order 1 1 50; +Item 1 1 1; +Order 2 1 -1; +Item 2 2 1; +Order 3 1 0; +Item 3 3 7",
            "moment until 2",
            "+Item 4 1 1",
            // Put off, and then brought forward.
            "~Order 1 : _ _ 60",
            "moment until 50",
            "~Order 1 : _ _ 20; ~Order 2 : _ _ 20",
            "moment until 20",
            "+Item 5 1 1; +Item 6 2 1",
            "moment until 60",
            "~Order 1 : _ _ 70",
            "moment until 70",
            // Times that are over hold nothing back, and are not put off by more of them.
            "+Item 7 3 1",
            "~Order 3 : _ _ 1",
            "+Item 8 3 1",
            "moment until 13",
        ],
        expect![[r#"
            1 Order.at[1]: null -> 1970-01-01T00:00:50Z
            1 Order.at[3]: null -> 1970-01-01T00:00:00Z
            1 waits until 1.1s
            1 waits until 50s
            2 Order.total[3]: null -> 7.00
            4 Order.at[1]: 1970-01-01T00:00:50Z -> 1970-01-01T00:01:00Z
            4 waits until 60s
            6 Order.at[1]: 1970-01-01T00:01:00Z -> 1970-01-01T00:00:20Z
            6 Order.at[2]: null -> 1970-01-01T00:00:20Z
            6 waits until 20s
            7 Order.total[1]: null -> 2.00
            7 Order.total[2]: null -> 1.00
            8 waits until 20s
            9 Order.total[1]: 2.00 -> 3.00
            9 Order.total[2]: 1.00 -> 2.00
            10 Order.at[1]: 1970-01-01T00:00:20Z -> 1970-01-01T00:01:10Z
            10 waits until 70s
            12 waits until 12.1s
            13 Order.at[3]: 1970-01-01T00:00:00Z -> 1970-01-01T00:00:01Z
            15 Order.total[3]: 7.00 -> 9.00
        "#]],
    );
}

#[test]
fn a_moment_costs_what_waits() {
    let mut spec = shop(&[], &[]);
    spec.fields.push(timed("Order.total", "sum(items[*].price)", every("5m")));
    let mut engine = Engine::new(planned(&spec), Options::default());
    let cells = |engine: &mut Engine, spec: &GraphSpec, text: &str| {
        engine.push(transaction(spec, 1, text));
        engine.step().counts.cells
    };
    let orders: Vec<String> = (0..1000).map(|id| format!("+Order {id} 1 1")).collect();
    cells(&mut engine, &spec, &orders.join(";"));
    assert_eq!(cells(&mut engine, &spec, "moment every 5m"), 2 * 1000, "who waits and what is published");
    assert_eq!(cells(&mut engine, &spec, "moment every 5m"), 0, "nothing waits");
    assert_eq!(cells(&mut engine, &spec, "+Item 1 7 1"), 2, "who waits, and what is published, which stays");
    assert_eq!(cells(&mut engine, &spec, "moment every 5m"), 2, "one waits");
}
