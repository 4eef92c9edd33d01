//! What happens, told in whole: small definitions, histories in one line a transaction, every line that comes out.
//!
//! A transaction is changes joined by `;`: `+T v …` insert, `=T v …` update with a whole row, `T v … => v …` update with both rows,
//! `~T k : v …` update of the row with key k (`_` = unchanged), `^T v …` upsert, `-T v …` delete. A leading `fill` makes it a fill.
//! `moment S, until 9` is a moment of schedule S and of documents that are due by second 9.

use std::sync::Arc;

use expect_test::{Expect, expect};
use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Value, json};
use thalweg_graph::plan::PUBLISH;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{
    ClassifySpec, EffectSpec, FieldSpec, GraphSpec, OneOrMany, ReactionSpec, RelationSpec, TableSpec, TimerSpec,
};
use thalweg_graph::transaction::{Body, SchemaColumn, TimerFired};
use thalweg_graph::{Change, Op, Outcome, Plan, Row, Schema, Transaction};

pub fn table(name: &str, columns: &[(&str, &str)], key: &[&str], relations: &[(&str, RelationSpec)]) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(key.iter().map(|key| (*key).into()).collect()),
        columns: columns.iter().map(|(name, ty)| ((*name).into(), (*ty).into())).collect(),
        column_order: columns.iter().map(|(name, _)| (*name).into()).collect(),
        relations: relations.iter().map(|(name, relation)| ((*name).into(), relation.clone())).collect(),
        ..TableSpec::default()
    }
}

/// Orders with items and a buyer; a list of notes without a key.
pub fn shop(fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let one = |name: &str| OneOrMany::One(name.into());
    let items = RelationSpec::Children { table: "Item".into(), key: one("order") };
    let buyer = RelationSpec::Lookup { to: "Customer".into(), key: one("customer") };
    GraphSpec {
        tables: vec![
            table("Order", &[("id", "int"), ("customer", "int"), ("qty", "int")], &["id"], &[("items", items), ("buyer", buyer)]),
            table("Item", &[("id", "int"), ("order", "int"), ("price", "decimal(8,2)")], &["id"], &[]),
            table("Customer", &[("id", "int"), ("region", "text")], &["id"], &[]),
            table("Note", &[("order", "int"), ("text", "text")], &[], &[]),
        ],
        fields: fields.iter().map(|(name, formula)| field(name, formula)).collect(),
        effects: effects.iter().map(|(name, on, when)| effect(name, on, when)).collect(),
        ..GraphSpec::default()
    }
}

pub fn field(name: &str, formula: &str) -> FieldSpec {
    FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() }
}

pub fn effect(name: &str, on: &str, when: &str) -> EffectSpec {
    EffectSpec { name: name.into(), on: Some(on.into()), when: when.into(), ..EffectSpec::default() }
}

pub fn planned(spec: &GraphSpec) -> Arc<Plan> {
    Arc::new(plan(spec, &[]).unwrap_or_else(|findings| panic!("{findings:#?}")).0)
}

// ---- histories -------------------------------------------------------------------------------------------------

fn schema(spec: &GraphSpec, name: &str) -> Arc<Schema> {
    let table = spec.tables.iter().find(|table| table.name == name).expect("a table of the definition");
    let column = |name: &String| SchemaColumn::new(name.as_str().into(), thalweg_formulas::Type::Dyn);
    let at = |key: &String| table.column_order.iter().position(|column| column == key).expect("a column") as u32;
    Arc::new(Schema {
        table: name.into(),
        columns: table.column_order.iter().map(column).collect(),
        key: table.key.iter().flatten().map(at).collect(),
    })
}

fn value(word: &str) -> Option<Value> {
    match word {
        "_" => None,
        "null" => Some(Value::Null),
        word => Some(match (word.parse::<i64>(), word.parse::<thalweg_formulas::decimal::Decimal>()) {
            (Ok(int), _) => Value::Int(int),
            (_, Ok(decimal)) => Value::Decimal(decimal),
            _ => Value::from(word),
        }),
    }
}

fn change(spec: &GraphSpec, text: &str) -> Change {
    let text = text.trim();
    let (sign, rest) = match text.chars().next() {
        Some(sign @ ('+' | '=' | '~' | '^' | '-')) => (sign, &text[1..]),
        _ => ('>', text),
    };
    let (name, rest) = rest.split_once(' ').expect("a table and values");
    let schema = schema(spec, name);
    let row = |words: &str| -> Row { words.split_whitespace().map(value).collect() };
    let (op, key, before, after) = match sign {
        '+' => (Op::Insert, None, None, Some(row(rest))),
        '^' => (Op::Upsert, None, None, Some(row(rest))),
        '=' => (Op::Update, None, None, Some(row(rest))),
        '-' => (Op::Delete, None, Some(row(rest)), None),
        '~' => {
            let (key, after) = rest.split_once(" : ").expect("a key and a row");
            (Op::Update, Some(key.split_whitespace().filter_map(value).collect()), None, Some(row(after)))
        }
        _ => {
            let (before, after) = rest.split_once(" => ").expect("two rows");
            (Op::Update, None, Some(row(before)), Some(row(after)))
        }
    };
    Change { schema, op, key, before, after }
}

fn moment(text: &str) -> Body {
    let part = |part: &str| match part.strip_prefix("until ") {
        Some(second) => Value::Timestamp(Timestamp(second.parse::<i64>().expect("a second") * 1_000_000)),
        None => Value::from(part),
    };
    let key = text.split(", ").map(part).collect();
    Body::Timer(TimerFired { id: "moment".into(), event: PUBLISH.into(), table: "".into(), key, due: Timestamp(0) })
}

pub fn transaction(spec: &GraphSpec, at: usize, text: &str) -> Transaction {
    let (fill, text) = text.strip_prefix("fill ").map_or((false, text), |rest| (true, rest));
    let body = match text.strip_prefix("timer ") {
        None if text.starts_with("moment ") => moment(&text["moment ".len()..]),
        Some(timer) => {
            let [key, table, event] = timer.rsplitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("event, table, key") };
            let key = value(key).into_iter().collect();
            Body::Timer(TimerFired { id: "timer".into(), event: event.into(), table: table.into(), key, due: Timestamp(0) })
        }
        None => {
            let changes = text.split(';').map(|text| change(spec, text)).collect();
            if fill { Body::Fill(changes) } else { Body::Changes(changes) }
        }
    };
    Transaction { source: "".into(), origin: format!("tx{at}").into(), at: Timestamp(at as i64 * 1_000_000), body }
}

// ---- lines -----------------------------------------------------------------------------------------------------

fn lines(outcome: &Outcome) -> String {
    let key = |key: &[Value]| key.iter().map(json::display).collect::<Vec<_>>().join(",");
    let deltas = outcome.deltas.sorted().into_iter().map(|d| {
        let gone = if d.gone { " gone" } else { "" };
        (
            d.epoch,
            0,
            format!("{} {}[{}]: {} -> {}{gone}\n", d.epoch, d.node, key(&d.key), json::display(&d.old), json::display(&d.new)),
        )
    });
    let fired = outcome.fired.iter().map(|f| {
        (f.epoch, 1, format!("{} {}[{}] fires v{} {}\n", f.epoch, f.node, key(&f.key), f.version, json::display(&f.payload)))
    });
    let errors = outcome.errors.iter().map(|e| {
        let cleared = if e.cleared { " cleared" } else { "" };
        (e.epoch, 2, format!("{} {}[{}] {}{cleared}\n", e.epoch, e.node, key(&e.key), e.error))
    });
    let timers = outcome.timers.iter().map(|t| {
        (t.epoch, 3, format!("{} arms {} for {}[{}] due {}s\n", t.epoch, t.event, t.table, key(&t.key), t.due.0 / 1_000_000))
    });
    let waits = outcome.appointments.iter();
    let waits = waits.map(|a| (a.epoch, 4, format!("{} waits until {}s\n", a.epoch, a.due.0 as f64 / 1e6)));
    let mut all: Vec<_> = deltas.chain(fired).chain(errors).chain(timers).chain(waits).collect();
    all.sort_by_key(|(epoch, kind, _)| (*epoch, *kind));
    let counts = match outcome.counts {
        c if c.redundant + c.contradicted > 0 => format!("redundant {}, contradicted {}\n", c.redundant, c.contradicted),
        _ => String::new(),
    };
    all.into_iter().map(|(.., line)| line).collect::<String>() + &counts
}

fn run(spec: &GraphSpec, options: Options, batch: usize, history: &[&str]) -> String {
    let mut engine = Engine::new(planned(spec), options);
    let mut all = Outcome::default();
    for (at, text) in history.iter().enumerate() {
        engine.push(transaction(spec, at + 1, text));
        if (at + 1) % batch == 0 || at + 1 == history.len() {
            let part = engine.step();
            all.deltas.append(part.deltas);
            all.fired.extend(part.fired);
            all.errors.extend(part.errors);
            all.timers.extend(part.timers);
            all.appointments.extend(part.appointments);
            all.counts.redundant += part.counts.redundant;
            all.counts.contradicted += part.counts.contradicted;
        }
    }
    lines(&all)
}

/// The same lines for any batching and any number of workers.
pub fn check_with(spec: &GraphSpec, state_deltas: bool, history: &[&str], expected: Expect) {
    let first = run(spec, Options { state_deltas, ..Options::default() }, 1, history);
    expected.assert_eq(&first);
    for (workers, batch) in [(1, 100), (2, 1), (2, 3), (4, 100)] {
        let other = run(spec, Options { workers, state_deltas, inline_max: crate::INLINE, ..Options::default() }, batch, history);
        assert_eq!(other, first, "{workers} workers, steps of {batch}");
    }
}

pub fn check(spec: &GraphSpec, history: &[&str], expected: Expect) {
    check_with(spec, false, history, expected);
}

// ---- stories ---------------------------------------------------------------------------------------------------

#[test]
fn rows_keep_their_places_as_they_come_change_move_and_go() {
    let fields = [
        ("Order.last", "last(items[*].price)"),
        ("Order.window", "window_sum(items[*].price, 2)"),
        ("Order.dear", "top(items[*].id, 2, items[*].price)"),
        ("notes", "collect(Note[*].text)"),
        ("Order.all_priced", "all(items[*].price > 0)"),
        ("Order.spread", "stddev_pop(10 / items[*].price)"),
    ];
    check(
        &shop(&fields, &[]),
        &[
            "+Order 7 null 1; +Item 1 7 1.50; +Item 2 7 2.00; +Item 3 7 9.00",
            // In the window, and not.
            "~Item 2 : _ _ 3.00",
            "~Item 1 : _ _ 9.00",
            // A change of key, a row that goes, one that moves, one without a value.
            "Item 1 7 9.00 => 4 7 9.00",
            "-Item 3 7 9.00",
            "~Item 4 : _ 8 _",
            "~Item 2 : _ _ null; +Item 5 7 0.00",
            "+Item 6 7 2.50",
            "~Item 5 : _ _ 5.00",
            "+Note 7 b; +Note 7 a; +Note 7 null; +Note 7 b",
            "-Note 7 b",
            "-Order 7 null 1",
            "+Order 7 null 1",
        ],
        expect![[r#"
            1 Order.all_priced[7]: null -> true
            1 Order.dear[7]: null -> [3,2]
            1 Order.last[7]: null -> 9.00
            1 Order.spread[7]: null -> 2.3277418483334635
            1 Order.window[7]: null -> 11.00
            1 notes[]: null -> []
            2 Order.spread[7]: 2.3277418483334635 -> 2.2831165016747517
            2 Order.window[7]: 11.00 -> 12.00
            3 Order.dear[7]: [3,2] -> [1,3]
            3 Order.spread[7]: 2.2831165016747517 -> 1.047565497001288
            4 Order.dear[7]: [1,3] -> [3,4]
            4 Order.window[7]: 12.00 -> 18.00
            5 Order.dear[7]: [3,4] -> [4,2]
            5 Order.spread[7]: 1.047565497001288 -> 1.111111
            5 Order.window[7]: 18.00 -> 12.00
            6 Order.dear[7]: [4,2] -> [2]
            6 Order.last[7]: 9.00 -> 3.00
            6 Order.spread[7]: 1.111111 -> 0.0
            6 Order.window[7]: 12.00 -> 3.00
            7 Order.all_priced[7]: true -> false
            7 Order.dear[7]: [2] -> [5]
            7 Order.last[7]: 3.00 -> 0.00
            7 Order.window[7]: 3.00 -> 0.00
            7 Order.spread[7] E0310: a child is in error
            8 Order.dear[7]: [5] -> [6,5]
            8 Order.last[7]: 0.00 -> 2.50
            8 Order.window[7]: 0.00 -> 2.50
            9 Order.all_priced[7]: false -> null
            9 Order.dear[7]: [6,5] -> [5,6]
            9 Order.spread[7]: 0.0 -> 1.0
            9 Order.window[7]: 2.50 -> 7.50
            9 Order.spread[7] E0310: a child is in error cleared
            10 notes[]: [] -> ["a","b","b"]
            11 notes[]: ["a","b","b"] -> ["a","b"]
            12 Order.dear[7]: [5,6] -> null gone
            12 Order.last[7]: 2.50 -> null gone
            12 Order.spread[7]: 1.0 -> null gone
            12 Order.window[7]: 7.50 -> null gone
            13 Order.dear[7]: null -> [5,6]
            13 Order.last[7]: null -> 2.50
            13 Order.spread[7]: null -> 1.0
            13 Order.window[7]: null -> 7.50
        "#]],
    );
}

#[test]
fn orphans_wait_for_their_parent_and_children_move() {
    check(
        &shop(&[("Order.total", "sum(items[*].price)")], &[]),
        &[
            "+Item 1 7 1.50; +Item 2 7 2.00",
            "+Order 7 null 1",
            "~Item 2 : _ 8 _",
            "+Order 8 null 1",
            "-Order 7 null 1",
            "~Item 1 : _ _ 9.00",
            "+Order 7 null 1",
            "~Item 1 : _ null _",
        ],
        expect![[r#"
            2 Order.total[7]: null -> 3.50
            3 Order.total[7]: 3.50 -> 1.50
            4 Order.total[8]: null -> 2.00
            5 Order.total[7]: 1.50 -> null gone
            7 Order.total[7]: null -> 9.00
            8 Order.total[7]: 9.00 -> 0.00
        "#]],
    );
}

#[test]
fn eng_12_a_change_of_key_is_a_delete_and_an_insert_with_the_stored_columns() {
    check(
        &shop(&[("Order.double", "qty * 2"), ("Order.where", "buyer.region")], &[]),
        &[
            "+Customer 1 north; +Order 1 1 5; +Order 2 1 6",
            "~Order 1 : 3 _ _",
            "~Order 2 : 3 _ _",
            "~Order 9 : 4 _ _",
            "~Order 3 : _ _ 8; ~Order 3 : 5 _ _; ~Order 5 : 6 1 _",
            "Order 2 1 6 => 1 null 7",
        ],
        expect![[r#"
            1 Order.double[1]: null -> 10
            1 Order.double[2]: null -> 12
            1 Order.where[1]: null -> "north"
            1 Order.where[2]: null -> "north"
            2 Order.double[1]: 10 -> null gone
            2 Order.double[3]: null -> 10
            2 Order.where[1]: "north" -> null gone
            2 Order.where[3]: null -> "north"
            3 Order[2] E0335: change of key onto a row that exists
            4 Order[9] E0331: update of a row that does not exist
            5 Order.double[3]: 10 -> null gone
            5 Order.double[6]: null -> 16
            5 Order.where[3]: "north" -> null gone
            5 Order.where[6]: null -> "north"
            6 Order.double[1]: null -> 14
            6 Order.double[2]: 12 -> null gone
            6 Order.where[2]: "north" -> null gone
        "#]],
    );
}

#[test]
fn an_epoch_is_one_net_change() {
    check(
        &shop(&[("Order.double", "qty * 2"), ("Order.run", "self + qty")], &[("some", "Order", "qty > 3")]),
        &[
            "+Order 1 null 1; =Order 1 null 5",
            "=Order 1 null 9; =Order 1 null 5",
            "-Order 1 null 5; +Order 1 null 6",
            "+Order 2 null 7; -Order 2 null 7",
            "=Order 1 null 1",
            "=Order 1 null 7; -Order 1 null 7",
            "+Order 1 null 4",
        ],
        expect![[r#"
            1 Order.double[1]: null -> 10
            1 Order.run[1]: null -> 5
            1 some[1] fires v1 {"id":1,"qty":5}
            3 Order.double[1]: 10 -> 12
            3 Order.run[1]: 5 -> 11
            5 Order.double[1]: 12 -> 2
            5 Order.run[1]: 11 -> 12
            6 Order.double[1]: 2 -> null gone
            6 Order.run[1]: 12 -> null gone
            7 Order.double[1]: null -> 8
            7 Order.run[1]: null -> 4
            7 some[1] fires v3 {"id":1,"qty":4}
        "#]],
    );
}

#[test]
fn errors_stand_in_the_field_and_are_withdrawn() {
    check(
        &shop(
            &[("Order.per", "12 / qty"), ("Order.more", "per + 1"), ("All", "sum(Order[*].per)")],
            &[("high", "Order", "per > 3")],
        ),
        &[
            "+Order 1 null 2",
            "=Order 1 null 0",
            "=Order 1 null 3",
            "+Order 2 null 0",
            "-Order 2 null 0",
            "=Order 1 null 0",
            "-Order 1 null 0",
            "+Order 1 null null",
            "-Order 1 null null",
        ],
        expect![[r#"
            1 All[]: null -> 6
            1 Order.more[1]: null -> 7
            1 Order.per[1]: null -> 6
            1 high[1] fires v1 {"id":1,"per":6}
            2 All[] E0310: a child is in error
            2 Order.more[1] E0302: division by zero
            2 Order.per[1] E0302: division by zero
            2 high[1] E0302: division by zero
            3 All[]: 6 -> 4
            3 Order.more[1]: 7 -> 5
            3 Order.per[1]: 6 -> 4
            3 All[] E0310: a child is in error cleared
            3 Order.more[1] E0302: division by zero cleared
            3 Order.per[1] E0302: division by zero cleared
            3 high[1] E0302: division by zero cleared
            4 All[] E0310: a child is in error
            4 Order.more[2] E0302: division by zero
            4 Order.per[2] E0302: division by zero
            4 high[2] E0302: division by zero
            5 All[] E0310: a child is in error cleared
            5 Order.more[2] E0302: division by zero cleared
            5 Order.per[2] E0302: division by zero cleared
            5 high[2] E0302: division by zero cleared
            6 All[] E0310: a child is in error
            6 Order.more[1] E0302: division by zero
            6 Order.per[1] E0302: division by zero
            6 high[1] E0302: division by zero
            7 All[]: 4 -> 0
            7 Order.more[1]: 5 -> null gone
            7 Order.per[1]: 4 -> null gone
            7 All[] E0310: a child is in error cleared
            7 Order.more[1] E0302: division by zero cleared
            7 Order.per[1] E0302: division by zero cleared
            7 high[1] E0302: division by zero cleared
        "#]],
    );
}

#[test]
fn eng_09_a_bad_row_is_refused_and_the_rest_goes_on() {
    check(
        &shop(&[("Order.double", "qty * 2")], &[]),
        &[
            "+Order 1 null 1; +Order 1 null 2; +Order 2 null 3",
            "=Order 9 null 1; -Order 9 null 1; =Order 2 null many; =Order 2 null 4",
            "+Order null null 1; ^Order x null 1; ~Order 1 2 : _ _ 5",
            "+Note 1 a; Note 1 b => 1 c; -Note 1 _; -Note 1 a; -Note 1 a",
        ],
        expect![[r#"
            1 Order.double[1]: null -> 2
            1 Order.double[2]: null -> 6
            1 Order[1] E0330: insert of a row that exists
            2 Order.double[2]: 6 -> 8
            2 Order[2] E0332: column `qty`: "many" is not int
            2 Order[9] E0331: delete of a row that does not exist
            2 Order[9] E0331: update of a row that does not exist
            3 Order[null] E0333: the change gives no value for key column `id`
            3 Order[1,2] E0333: the key has 2 values, the table's key has 1 columns
            3 Order["x"] E0332: column `id`: "x" is not int
            4 Note[] E0334: delete without a full `before` row
            4 Note[1,"a"] E0331: delete of a row that does not exist
            4 Note[1,"b"] E0331: update of a row that does not exist
        "#]],
    );
}

#[test]
fn equal_rows_of_a_table_without_a_key_are_numbered() {
    let mut spec = shop(&[("Order.said", "max(notes[*].text)"), ("Order.notes_n", "count(notes[*].text)")], &[]);
    let notes = RelationSpec::Children { table: "Note".into(), key: OneOrMany::One("order".into()) };
    spec.tables[0].relations.insert("notes".into(), notes);
    check_with(
        &spec,
        true,
        &["+Order 1 null 1; +Note 1 a; +Note 1 a", "-Note 1 a", "Note 1 a => 1 abc", "+Note 1 abc", "-Note 1 abc; -Note 1 abc"],
        expect![[r#"
            1 Note.order[1,"a",1]: null -> 1
            1 Note.order[1,"a",2]: null -> 1
            1 Note.text[1,"a",1]: null -> "a"
            1 Note.text[1,"a",2]: null -> "a"
            1 Order.id[1]: null -> 1
            1 Order.notes_n[1]: null -> 2
            1 Order.qty[1]: null -> 1
            1 Order.said[1]: null -> "a"
            2 Note.order[1,"a",2]: 1 -> null gone
            2 Note.text[1,"a",2]: "a" -> null gone
            2 Order.notes_n[1]: 2 -> 1
            3 Note.order[1,"a",1]: 1 -> null gone
            3 Note.order[1,"abc",1]: null -> 1
            3 Note.text[1,"a",1]: "a" -> null gone
            3 Note.text[1,"abc",1]: null -> "abc"
            3 Order.said[1]: "a" -> "abc"
            4 Note.order[1,"abc",2]: null -> 1
            4 Note.text[1,"abc",2]: null -> "abc"
            4 Order.notes_n[1]: 1 -> 2
            5 Note.order[1,"abc",1]: 1 -> null gone
            5 Note.order[1,"abc",2]: 1 -> null gone
            5 Note.text[1,"abc",1]: "abc" -> null gone
            5 Note.text[1,"abc",2]: "abc" -> null gone
            5 Order.notes_n[1]: 2 -> 0
            5 Order.said[1]: "abc" -> null
        "#]],
    );
}

#[test]
fn a_fill_sets_latches_and_does_not_fire() {
    check(
        &shop(&[], &[("some", "Order", "qty > 3")]),
        &["fill +Order 1 null 5; +Order 2 null 1", "=Order 1 null 6", "=Order 2 null 6", "=Order 1 null 1", "=Order 1 null 9"],
        expect![[r#"
            3 some[2] fires v1 {"id":2,"qty":6}
            5 some[1] fires v1 {"id":1,"qty":9}
        "#]],
    );
}

#[test]
fn fills_can_be_told_to_report_no_deltas() {
    let spec = shop(&[("Order.double", "qty * 2"), ("Order.per", "12 / qty")], &[]);
    let mut engine = Engine::new(planned(&spec), Options::default());
    engine.report_fills(false);
    engine.push(transaction(&spec, 1, "fill +Order 1 null 0; +Order 2 null 3"));
    engine.push(transaction(&spec, 2, "=Order 1 null 4"));
    expect![[r#"
        1 Order.per[1] E0302: division by zero
        2 Order.double[1]: 0 -> 8
        2 Order.per[1]: null -> 3
        2 Order.per[1] E0302: division by zero cleared
    "#]]
    .assert_eq(&lines(&engine.step()));
}

#[test]
fn once_is_once_for_a_document_even_after_it_is_gone() {
    let mut spec = shop(&[], &[("some", "Order", "qty > 3")]);
    spec.effects[0].rearm = Some("once".into());
    check(
        &spec,
        &["+Order 1 null 5", "=Order 1 null 1", "=Order 1 null 9", "-Order 1 null 9", "+Order 1 null 9"],
        expect![[r#"
        1 some[1] fires v1 {"id":1,"qty":5}
    "#]],
    );
}

#[test]
fn level_fires_again_while_the_condition_holds_and_errors_put_it_off() {
    let mut spec = shop(&[], &[("some", "Order", "12 / qty > 3")]);
    spec.effects[0].rearm = Some("level".into());
    spec.effects[0].every = Some("10s".into());
    check(
        &spec,
        &[
            "+Order 1 null 2",
            "timer effect some Order 1",
            "=Order 1 null 0",
            "timer effect some Order 1",
            "=Order 1 null 1",
            "=Order 1 null 9",
            "timer effect some Order 1",
            "=Order 1 null 1",
            "-Order 1 null 1",
            "timer effect some Order 1",
        ],
        expect![[r#"
            1 some[1] fires v1 {"id":1,"qty":2}
            1 arms effect some for Order[1] due 11s
            2 some[1] fires v3 {"id":1,"qty":2}
            2 arms effect some for Order[1] due 12s
            3 some[1] E0302: division by zero
            4 arms effect some for Order[1] due 14s
            5 some[1] E0302: division by zero cleared
            8 some[1] fires v5 {"id":1,"qty":1}
            8 arms effect some for Order[1] due 18s
        "#]],
    );
}

#[test]
fn reactions_see_stored_rows_and_arm_timers() {
    let event = |name: &str| Some(name.to_owned());
    let mut spec = shop(&[], &[]);
    spec.classify.push(ClassifySpec {
        table: "Order".into(),
        insert: event("order.came"),
        update: event("order.changed"),
        delete: event("order.went"),
        ..ClassifySpec::default()
    });
    let reaction = |event: &str, condition: &str| ReactionSpec {
        event: event.into(),
        condition: (!condition.is_empty()).then(|| condition.into()),
        ..ReactionSpec::default()
    };
    spec.reactions = vec![
        ReactionSpec {
            timer: Some(TimerSpec { delay: Some("10s".into()), event: "order.late".into(), ..TimerSpec::default() }),
            ..reaction("order.came", "")
        },
        reaction("order.changed", "old.qty < new.qty"),
        reaction("order.went", "qty > 1"),
        reaction("order.late", "qty > 4"),
    ];
    check(
        &spec,
        &[
            "+Order 1 null 3",
            "=Order 1 null 3",
            "Order 1 null 99 => 1 null 5",
            "=Order 1 null 2; =Order 1 null 7",
            "timer order.late Order 1",
            "=Order 1 null 1; -Order 1 null 1",
            "timer order.late Order 1",
            "+Order 1 null 1",
        ],
        expect![[r#"
            1 order.came[1] fires v1 {"event":"order.came","key":{"id":1},"new":{"customer":null,"id":1,"qty":3},"old":null,"op":"insert","table":"Order"}
            1 arms order.late for Order[1] due 11s
            3 order.changed[1] fires v1 {"event":"order.changed","key":{"id":1},"new":{"customer":null,"id":1,"qty":5},"old":{"customer":null,"id":1,"qty":3},"op":"update","table":"Order"}
            4 order.changed[1] fires v3 {"event":"order.changed","key":{"id":1},"new":{"customer":null,"id":1,"qty":7},"old":{"customer":null,"id":1,"qty":5},"op":"update","table":"Order"}
            5 order.late[1] fires v1 {"event":"order.late","key":{"id":1},"new":{"customer":null,"id":1,"qty":7},"old":null,"op":"timer","table":"Order"}
            6 order.went[1] fires v1 {"event":"order.went","key":{"id":1},"new":null,"old":{"customer":null,"id":1,"qty":7},"op":"delete","table":"Order"}
            8 order.came[1] fires v3 {"event":"order.came","key":{"id":1},"new":{"customer":null,"id":1,"qty":1},"old":null,"op":"insert","table":"Order"}
            8 arms order.late for Order[1] due 18s
            redundant 1, contradicted 1
        "#]],
    );
}

#[test]
fn an_update_counts_alike_alone_and_among_others() {
    check(
        &shop(&[("Order.double", "qty * 2")], &[]),
        &[
            "+Order 1 null 3; +Order 2 null 3",
            "Order 1 null 3 => 1 null 3",
            "Order 1 null 99 => 1 null 5",
            "Order 1 null 5 => 1 null null",
            "Order 1 null null => 1 null 6; Order 2 null 99 => 2 null 6; Order 2 null 6 => 2 null 6",
        ],
        expect![[r#"
            1 Order.double[1]: null -> 6
            1 Order.double[2]: null -> 6
            3 Order.double[1]: 6 -> 10
            4 Order.double[1]: 10 -> null
            5 Order.double[1]: null -> 12
            5 Order.double[2]: 6 -> 12
            redundant 2, contradicted 2
        "#]],
    );
}

#[test]
fn columns_are_told_where_they_are_asked_for() {
    check_with(
        &shop(&[("Order.double", "qty * 2")], &[]),
        true,
        &["+Order 1 null 3", "~Order 1 : _ 7 _", "+Note 1 a", "-Order 1 7 3"],
        expect![[r#"
            1 Order.double[1]: null -> 6
            1 Order.id[1]: null -> 1
            1 Order.qty[1]: null -> 3
            2 Order.customer[1]: null -> 7
            3 Note.order[1,"a",1]: null -> 1
            3 Note.text[1,"a",1]: null -> "a"
            4 Order.customer[1]: 7 -> null gone
            4 Order.double[1]: 6 -> null gone
            4 Order.id[1]: 1 -> null gone
            4 Order.qty[1]: 3 -> null gone
        "#]],
    );
}

#[test]
fn a_global_field_is_there_from_the_first_epoch_on() {
    check(
        &shop(&[("Count", "count(Order[*].id)"), ("Run", "self + Count")], &[]),
        &["+Customer 1 north", "+Order 1 null 3", "+Order 2 null 3; -Order 1 null 3"],
        expect![[r#"
            1 Count[]: null -> 0
            1 Run[]: null -> 0
            2 Count[]: 0 -> 1
            2 Run[]: 0 -> 1
        "#]],
    );
}

#[test]
fn the_global_document_can_be_seen_before_anything_has_happened() {
    let spec = shop(&[("Count", "count(Order[*].id)"), ("Twice", "Count * 2 + 1"), ("Order.double", "qty * 2")], &[]);
    let mut engine = Engine::new(planned(&spec), Options { workers: 2, ..Options::default() });
    let seen: Vec<String> = engine.documents().iter().map(|d| format!("{} {}", d.node, json::display(&d.value))).collect();
    assert_eq!(seen, ["Count 0", "Twice 1"]);
    engine.push(transaction(&spec, 1, "+Order 1 null 3"));
    assert_eq!(engine.step().deltas.len(), 3, "and is still born in the first epoch");
}

#[test]
fn documents_columns_and_keys_can_be_read() {
    let spec = shop(&[("Order.double", "qty * 2"), ("Order.where", "buyer.region")], &[]);
    for workers in [1, 3] {
        let mut engine = Engine::new(planned(&spec), Options { workers, ..Options::default() });
        engine.push(transaction(&spec, 1, "+Order 1 5 4; +Customer 5 south; +Note 1 a"));
        assert_eq!(engine.read("Order.double", &[Value::Int(1)]), None, "what is pushed is not yet seen");
        engine.step();
        assert_eq!(engine.read("Order.double", &[Value::Int(1)]), Some(Ok(Value::Int(8))));
        assert_eq!(engine.read("Order.qty", &[Value::Int(1)]), Some(Ok(Value::Int(4))));
        assert_eq!(engine.read("Order.where", &[Value::Int(1)]), Some(Ok(Value::from("south"))));
        assert_eq!(engine.read("Order.double", &[Value::Int(2)]), None);
        assert_eq!(engine.read("Order.nothing", &[Value::Int(1)]), None);
        assert_eq!(engine.key_names("Order").iter().map(|name| &**name).collect::<Vec<_>>(), ["id"]);
        assert_eq!(engine.key_names("Note").iter().map(|name| &**name).collect::<Vec<_>>(), ["order", "text", "#"]);
        assert_eq!(engine.epoch(), 1);
    }
}
