//! Typed documents.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_formulas::decimal::Decimal;

use super::*;
use crate::embed::{document_of, value_of};

fn check<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>, expect: &Expect) {
    expect.assert_eq(&match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    });
}

#[derive(Serialize)]
struct Item {
    id: u64,
    order_id: u32,
    price: Decimal,
}

fn live() -> LiveGraph {
    let mut live = orders().start().unwrap();
    live.apply(order(1));
    live.insert("Item", &Item { id: 1, order_id: 1, price: Decimal::new(1250, 2).unwrap() }).unwrap();
    live
}

#[test]
fn a_struct_is_read_by_its_fields() {
    #[derive(Deserialize, Debug)]
    struct View {
        #[serde(rename = "id")]
        _id: u8,
        #[serde(rename = "total")]
        _total: Decimal,
        #[serde(rename = "share")]
        _share: Option<i64>,
    }
    let mut live = live();
    check(
        live.read::<View>("Order", [1]),
        &expect!["Some(View { _id: 1, _total: Small { mantissa: 1250, scale: 2 }, _share: Some(100) })"],
    );
    check(live.read::<View>("Order", [2]), &expect!["None"]);
    check(live.read::<BTreeMap<String, Option<String>>>("", [0; 0]), &expect![[r#"Some({"Turnover": Some("12.50")})"#]]);
}

#[test]
fn what_does_not_fit_says_where_why_and_what_to_do() {
    #[derive(Deserialize, Debug)]
    struct Typo {
        #[serde(rename = "totl")]
        _totl: String,
    }
    #[derive(Deserialize, Debug)]
    struct Rounded {
        #[serde(rename = "total")]
        _total: f64,
    }
    #[derive(Deserialize, Debug)]
    struct Unread {
        #[serde(rename = "note")]
        _note: String,
    }
    #[derive(Deserialize, Debug)]
    struct Strict {
        #[serde(rename = "share")]
        _share: i64,
    }
    #[derive(Deserialize, Debug)]
    struct Lenient {
        #[serde(rename = "share")]
        _share: Result<i64, String>,
    }
    let mut live = live();
    live.apply(order(2));
    check(
        live.read::<Typo>("Order", [1]),
        &expect!["E0290: Order: there is no column or field `Order.totl` (did you mean `total`?)"],
    );
    check(live.read::<Typo>("Ordre", [1]), &expect!["E0290: Ordre: there is no document type `Ordre` (did you mean `Order`?)"]);
    check(
        live.read::<Rounded>("Order", [1]),
        &expect![
            "E0341: Order.total: 12.50 is a decimal, which this number type may not hold exactly (read it as `String` or `Decimal`, or convert it in the formula: `double(…)`, `int(…)`)"
        ],
    );
    check(
        live.read::<Unread>("Order", [1]),
        &expect![
            "E0292: Order: column `Order.note` is not kept, since nothing reads it (start the graph with `Options { keep_columns: true, .. }`, which keeps every column)"
        ],
    );
    check(
        live.read::<Strict>("Order", [2]),
        &expect![
            "E0342: Order.share: is in error: E0302: division by zero (correct the row, or read the field as `Result<T, String>`)"
        ],
    );
    check(live.read::<Lenient>("Order", [2]), &expect![[r#"Some(Lenient { _share: Err("E0302: division by zero") })"#]]);
    check(live.read::<Lenient>("Order", [1]), &expect!["Some(Lenient { _share: Ok(100) })"]);
}

#[test]
fn a_row_that_is_refused_is_an_error() {
    #[derive(Serialize)]
    struct Wrong {
        id: &'static str,
        price: &'static str,
    }
    let mut live = live();
    check(
        live.insert("Item", &5),
        &expect!["E0340: Item: a document is a struct or a map (give a type whose fields are the columns)"],
    );
    check(
        live.upsert("Item", &Wrong { id: "2", price: "dear" }),
        &expect![[r#"E0332: Item: column `price`: "dear" is not decimal(10,2)"#]],
    );
    check(live.delete("Item", &BTreeMap::from([("id", 9)])), &expect!["E0331: Item: delete of a row that does not exist"]);
    let outcome = live.delete("Item", &BTreeMap::from([("id", 1)])).unwrap();
    assert_eq!(outcome.errors.len(), 1, "the share of no item: {:?}", outcome.errors);
    assert_eq!(live.get("Turnover", [0; 0]), Some(Ok(Value::Decimal(Decimal::zero(2)))));
}

#[test]
fn every_shape_of_data_has_a_value() {
    #[derive(Serialize)]
    enum Kind {
        Plain,
        Of(i32),
        Both(i32, bool),
        Named { a: f32 },
    }
    #[derive(Serialize)]
    struct All {
        whole: (i8, u64, u64, i128),
        text: (char, &'static str),
        none: Option<bool>,
        some: Option<bool>,
        kinds: Vec<Kind>,
        unit: (),
        map: BTreeMap<u8, [u8; 2]>,
        decimals: (Decimal, Decimal),
    }
    let big = "123456789012345678901234567890.5".parse().unwrap();
    let all = All {
        whole: (-1, 7, u64::MAX, i128::MAX),
        text: ('x', "y"),
        none: None,
        some: Some(true),
        kinds: vec![Kind::Plain, Kind::Of(1), Kind::Both(2, false), Kind::Named { a: 0.5 }],
        unit: (),
        map: BTreeMap::from([(1, [2, 3])]),
        decimals: (Decimal::new(15, 1).unwrap(), big),
    };
    let shown = document_of("T", &all).unwrap().into_iter().map(|(name, value)| {
        let mut text = String::new();
        thalweg_formulas::json::write_dynamic(&value, &mut text);
        format!("{name} = {text}\n")
    });
    expect![[r#"
        whole = [-1,7,{"$uint":"18446744073709551615"},{"$decimal":"170141183460469231731687303715884105727"}]
        text = ["x","y"]
        none = null
        some = true
        kinds = ["Plain",{"Of":1},{"Both":[2,false]},{"Named":{"a":0.5}}]
        unit = null
        map = {"$map":[[1,[2,3]]]}
        decimals = [{"$decimal":"1.5"},{"$decimal":"123456789012345678901234567890.5"}]
    "#]]
    .assert_eq(&shown.collect::<String>());
    check(
        value_of(&u128::MAX),
        &expect!["E0340: value: 340282366920938463463374607431768211455 is too large (write it as text into a decimal column)"],
    );
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Choice {
    Nothing,
    One(i64),
    Pair(bool, String),
    Record { x: f64, y: Option<u8> },
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Record {
    id: i64,
    bits: u64,
    text: String,
    maybe: Option<i32>,
    list: Vec<Option<String>>,
    choice: Choice,
    map: BTreeMap<String, f64>,
    amount: Decimal,
}

fn arb_choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<i64>().prop_map(Choice::One),
        (any::<bool>(), ".{0,5}").prop_map(|(a, b)| Choice::Pair(a, b)),
        (-1e9..1e9, any::<Option<u8>>()).prop_map(|(x, y)| Choice::Record { x, y }),
    ]
}

prop_compose! {
    fn arb_record()(
        (id, bits, text, maybe) in (any::<i64>(), any::<u64>(), ".{0,8}", any::<Option<i32>>()),
        list in prop::collection::vec(prop::option::of(".{0,4}"), 0..4),
        choice in arb_choice(),
        map in prop::collection::btree_map(".{0,3}", -1e300..1e300, 0..3),
        (mantissa, scale) in (any::<i128>(), 0u8..20),
    ) -> Record {
        Record { id, bits, text, maybe, list, choice, map, amount: Decimal::new(mantissa, scale).unwrap() }
    }
}

proptest! {
    #[test]
    fn a_document_comes_back_the_same(record in arb_record()) {
        let mut graph = Graph::new();
        graph.state(State::document("T").key("id"));
        graph.derived("Count", Derived::count(Pattern::new("T[*].id")));
        let mut live = graph.start_with(Options { state_deltas: true, ..Options::default() }).unwrap();
        live.insert("T", &record).unwrap();
        prop_assert_eq!(live.read::<Record>("T", [record.id]).unwrap(), Some(record));
    }
}
