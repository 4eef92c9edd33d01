//! A fill tells what ordinary transactions with the same rows tell, but fires nothing: dense keys, sparse ones, negative and huge ones, NULLs,
//! texts, errors, rows that are there twice or do not fit, parents before and after their children, deletes and rows that come again.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::spec::{EffectSpec, FieldSpec, GraphSpec, OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Outcome, Plan, Schema, Transaction, planning};

use crate::random::Rng;

const ORDER: [(&str, &str); 3] = [("id", "int"), ("rate", "decimal(6,2)"), ("tag", "text")];
const ITEM: [(&str, &str); 6] =
    [("id", "int"), ("of", "int"), ("price", "decimal(8,2)"), ("n", "int"), ("w", "double"), ("at", "timestamp")];
const NODE: [(&str, &str); 3] = [("id", "uint"), ("up", "uint"), ("x", "int")];

fn table(name: &str, columns: &[(&str, &str)], relations: [(&str, RelationSpec); 1]) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(vec!["id".into()]),
        columns: columns.iter().map(|(name, ty)| ((*name).into(), (*ty).into())).collect(),
        relations: relations.map(|(name, relation)| (name.into(), relation)).into(),
        ..TableSpec::default()
    }
}

fn plan() -> Arc<Plan> {
    let children = |table: &str, key: &str| RelationSpec::Children { table: table.into(), key: OneOrMany::One(key.into()) };
    let order = RelationSpec::Lookup { to: "Order".into(), key: OneOrMany::One("of".into()) };
    let tables = vec![
        table("Order", &ORDER, [("items", children("Item", "of"))]),
        table("Item", &ITEM, [("order", order)]),
        table("Node", &NODE, [("kids", children("Node", "up"))]),
    ];
    let fields = [
        ("Order.sum", "sum(items[*].price * items[*].n)"),
        ("Order.lines", "count(items[*])"),
        ("Order.known", "count(items[*].n)"),
        ("Order.most", "max(items[*].price)"),
        ("Order.least", "min(items[*].n)"),
        ("Order.mean", "avg(items[*].price)"),
        ("Order.last", "max(items[*].at)"),
        ("Order.weight", "sum(items[*].w)"),
        ("Order.shares", "sum(items[*].share)"),
        ("Order.twice", "sum * 2"),
        ("Order.named", "tag == null ? 0 : size(tag)"),
        ("Item.cost", "n * order.rate"),
        ("Item.share", "100 / (n - 3)"),
        ("Item.steps", "self + n"),
        ("Node.below", "sum(kids[*].x) + x"),
        ("all", "sum(Order[*].sum)"),
        ("rows", "count(Item[*])"),
    ];
    let fields = fields.map(|(name, formula)| FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() });
    let much = EffectSpec { name: "much".into(), on: Some("Order".into()), when: "sum > 100".into(), ..EffectSpec::default() };
    let spec = GraphSpec { tables, fields: fields.into(), effects: vec![much], ..GraphSpec::default() };
    Arc::new(planning::plan(&spec, &[]).unwrap_or_else(|findings| panic!("{findings:?}")).0)
}

fn schema(table: &str, columns: &[(&str, &str)]) -> Arc<Schema> {
    let columns = columns.iter().map(|(name, _)| SchemaColumn::new((*name).into(), Type::Dyn));
    Arc::new(Schema { table: table.into(), columns: columns.collect(), key: vec![0] })
}

/// How the keys of a case lie.
#[derive(Clone, Copy, Debug)]
enum Keys {
    Dense,
    AroundZero,
    Sparse,
    Mixed,
}

impl Keys {
    /// One of some hundred keys, the next one most of the time.
    fn pick(self, rng: &mut Rng, next: &mut i64, among: i64) -> i64 {
        *next = if rng.chance(80) { (*next + 1) % among } else { rng.below(among as usize) as i64 };
        let sparse = next.wrapping_mul(0x5851_f42d_4c95_7f2d);
        match self {
            Keys::Dense => 1_000_000 + *next,
            Keys::AroundZero => *next - among / 2,
            Keys::Sparse => sparse,
            Keys::Mixed if *next % 3 == 0 => sparse,
            Keys::Mixed if *next % 50 == 0 => [i64::MAX, i64::MIN, -1, 0][*next as usize / 50 % 4],
            Keys::Mixed => *next,
        }
    }
}

/// Rows of the three tables.
struct Rows {
    rng: Rng,
    keys: Keys,
    schemas: [Arc<Schema>; 3],
    next: [i64; 3],
}

impl Rows {
    fn key(&mut self, table: usize) -> i64 {
        self.keys.pick(&mut self.rng, &mut self.next[table], [120, 900, 300][table])
    }

    /// A value, or NULL, or one of another type.
    fn odd(&mut self, value: Value) -> Option<Value> {
        match self.rng.below(60) {
            0 => Some(Value::Null),
            1 => Some(Value::from("x")),
            2 => None,
            _ => Some(value),
        }
    }

    fn price(&mut self) -> Value {
        let mantissa = self.rng.below(2_000) as i64 - 300;
        match self.rng.below(40) {
            0 => Value::Decimal(Decimal::Small { mantissa: 10_i64.pow(9), scale: 2 }),
            1 => Value::Decimal(Decimal::Small { mantissa, scale: 1 }),
            2 => Value::Int(mantissa),
            _ => Value::Decimal(Decimal::Small { mantissa, scale: 2 }),
        }
    }

    fn row(&mut self, table: usize, key: i64) -> Vec<Option<Value>> {
        let small = Value::Int(self.rng.below(9) as i64);
        match table {
            0 => {
                let tag = Value::from(["", "short", "a text that is too long to stand in a value"][self.rng.below(3)]);
                vec![Some(Value::Int(key)), self.price().into(), self.odd(tag)]
            }
            1 => {
                let of = Value::Int(Keys::pick(self.keys, &mut self.rng, &mut (key.rem_euclid(120)), 120));
                let (w, at) = (Value::double(self.rng.below(100) as f64 / 8.0), Value::Timestamp(Timestamp(key % 77)));
                let price = self.price();
                vec![Some(Value::Int(key)), self.odd(of), self.odd(price), self.odd(small), self.odd(w), self.odd(at)]
            }
            _ => {
                let up = self.key(2);
                vec![Some(Value::Uint(key as u64)), self.odd(Value::Uint(up as u64)), self.odd(small)]
            }
        }
    }

    fn insert(&mut self, table: usize) -> Change {
        let key = self.key(table);
        let mut row = self.row(table, key);
        if self.rng.chance(1) {
            row[0] = [None, Some(Value::Null), Some(Value::from("7"))][self.rng.below(3)].clone();
        }
        Change { schema: self.schemas[table].clone(), op: Op::Insert, key: None, before: None, after: Some(row.into()) }
    }

    fn fill(&mut self) -> Vec<Change> {
        let (table, rows) = (self.rng.below(3), self.rng.below(700));
        (0..rows).map(|_| self.insert(table)).collect()
    }

    fn change(&mut self) -> Change {
        let table = self.rng.below(3);
        let change = self.insert(table);
        let op = [Op::Insert, Op::Upsert, Op::Delete][self.rng.below(3)];
        let (before, after) = if op == Op::Delete { (change.after, None) } else { (None, change.after) };
        Change { op, before, after, ..change }
    }
}

/// Fills, and in between ordinary transactions; which of them are fills.
fn history(seed: u64, keys: Keys) -> Vec<(bool, Vec<Change>)> {
    let schemas = [schema("Order", &ORDER), schema("Item", &ITEM), schema("Node", &NODE)];
    let mut rows = Rows { rng: Rng(seed), keys, schemas, next: [0; 3] };
    let transactions = (0..14).map(|at| {
        let is_fill = at < 6 || at % 2 == 0;
        let changes = if is_fill { rows.fill() } else { (0..60).map(|_| rows.change()).collect() };
        (is_fill, changes)
    });
    transactions.collect()
}

fn run(plan: &Arc<Plan>, history: &[(bool, Vec<Change>)], workers: usize, as_fills: bool, batch: usize) -> (Outcome, String) {
    let mut engine = Engine::new(plan.clone(), Options { workers, inline_max: crate::INLINE, ..Options::default() });
    let mut all = Outcome::default();
    for some in history.chunks(batch) {
        for (is_fill, changes) in some {
            let body = if *is_fill && as_fills { Body::Fill(changes.clone()) } else { Body::Changes(changes.clone()) };
            engine.push(Transaction { source: "".into(), origin: "".into(), at: Timestamp(0), body });
        }
        let part = engine.step();
        all.deltas.append(part.deltas);
        all.errors.extend(part.errors);
        all.counts.changes += part.counts.changes;
        all.counts.redundant += part.counts.redundant;
        all.counts.cells += part.counts.cells;
    }
    let documents: Vec<String> = engine.documents().iter().map(|document| format!("{document:?}")).collect();
    (all, documents.join("\n"))
}

#[test]
fn a_fill_tells_what_ordinary_transactions_tell() {
    let plan = plan();
    for (seed, keys) in (0..).zip([Keys::Dense, Keys::AroundZero, Keys::Sparse, Keys::Mixed, Keys::Mixed]) {
        let history = history(seed, keys);
        let (plain, documents) = run(&plan, &history, 1, false, 1);
        assert!(plain.deltas.len() > 2_000 && plain.errors.len() > 50, "{keys:?}: too few to mean anything");
        for (workers, batch) in [(1, 1), (1, 5), (2, 3), (4, 1)] {
            let case = format!("{keys:?}, {workers} workers, {batch} a step");
            let (filled, finally) = run(&plan, &history, workers, true, batch);
            assert_eq!(filled.errors, plain.errors, "{case}");
            assert_eq!(filled.counts, plain.counts, "{case}");
            assert!(filled.deltas.sorted() == plain.deltas.sorted(), "{case}: other deltas");
            assert!(finally == documents, "{case}: other documents");
        }
    }
}
