//! One definition, and random histories for it: inserts, updates, deletes, changes of key, upserts, fills; NULLs, absent cells, values
//! of another type, columns in another order; rows that are there already or are not.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{FieldSpec, GraphSpec};
use thalweg_graph::transaction::{Body, Change, Op, Row, Schema, SchemaColumn};
use thalweg_graph::{Plan, Transaction};
use thalweg_store::StoreConfig;

/// `T` has a declared key of two columns, `U` the key of its first schema, `Bag` none.
fn spec() -> GraphSpec {
    let tables = json!({ "tables": [
        { "name": "T", "key": ["a", "b"], "columns": { "a": "int", "b": "text", "x": "int", "y": "double", "z": "decimal(8,2)" },
          "relations": { "us": { "table": "U", "key": ["ta", "tb"] } } },
        { "name": "U", "columns": { "v": "int" }, "relations": { "t": { "to": "T", "key": ["ta", "tb"] }, "last": { "to": "T", "by": "tb == b", "asof": "v", "on": "x" } } },
        { "name": "Bag", "key": [], "columns": { "n": "int", "s": "text" } },
        { "name": "V", "group": { "of": "U", "by": "v", "rows": "us" } },
        { "name": "Reach", "group": { "of": "U", "by": { "from": "id", "to": "v" }, "closure": true } },
        { "name": "Pair", "join": { "left": "T", "right": "V", "on": "x == v", "where": "t.y != 2" } },
        { "name": "Each", "group": { "of": "T", "by": { "k": "marks[*]" }, "where": "y != 2", "rows": "ts" } },
        { "name": "Run", "group": { "of": "T", "by": "b", "window": { "on": "timestamp(x)", "gap": "1s" }, "rows": "ts" } },
        { "name": "Early", "group": { "of": "T", "by": "b",
          "window": { "on": "timestamp(x)", "size": "2s", "lateness": "1s", "emit": "early+final" }, "rows": "ts" } },
        { "name": "Span", "group": { "of": "T",
          "window": { "on": "timestamp(x)", "size": "2s", "slide": "1s", "emit": "final", "late": "LateT" }, "rows": "ts" } }],
      "effects": [
        { "name": "many", "on": "T", "when": "sum > 1", "payload": ["a", "b", "sum", "note", "letter", "torn"] },
        { "name": "once", "on": "U", "when": "t.x > 1", "rearm": "once" },
        { "name": "crowd", "on": "Early", "when": "n > 1" },
        { "name": "met", "on": "Pair", "when": "n > 0" },
        { "name": "led", "on": "Reach", "when": "from != to && far > 0" },
        { "name": "missed", "on": "LateT", "when": "true" },
        { "name": "told", "on": "T", "when": "shown > 1" }],
      "classify": [{ "table": "T", "insert": "t.new", "update": "t.changed", "delete": "t.gone" }, { "table": "Bag", "insert": "bag.in" }],
      "reactions": [
        { "event": "t.changed", "condition": "old.x != new.x", "timer": { "delay": "2s", "event": "t.later" } },
        { "event": "t.later", "condition": "x > 0" }, { "event": "t.gone" }, { "event": "t.new" },
        { "event": "bag.in", "condition": "n > 0" }] });
    let fields = [
        ("T.sum", "sum(us[*].v)"),
        ("T.lowest", "min(us[*].v)"),
        ("T.share", "10 / x"),
        ("T.latest", "last(us[*].v, 2)"),
        ("T.recent", "window_sum(us[*].v, 2, us[*].v * -1)"),
        ("T.spread", "var(us[*].v)"),
        ("T.kinds", "count_distinct(us[*].v)"),
        ("bag", "collect(Bag[*].n)"),
        ("T.worth", "y + z"),
        ("T.running", "self + x"),
        ("T.said", "note"),
        ("U.of", "t.sum * 2"),
        ("all", "sum(Bag[*].n)"),
        ("rows", "count(T[*])"),
        ("T.marks", "[x, 1]"),
        ("V.n", "count(us[*])"),
        ("U.seen", "last.x + last.running"),
        ("Reach.way", "from * 10 + to"),
        ("Pair.n", "v.n + t.z"),
        ("Each.sum", "sum(ts[*].x)"),
        ("Run.n", "count(ts[*])"),
        ("Early.n", "count(ts[*])"),
        ("Span.worth", "sum(ts[*].y) + rows"),
        ("Span.steps", "self + sum(ts[*].x)"),
        ("LateT.x", "max(ts[*].x)"),
    ];
    let mut spec: GraphSpec = serde_json::from_value(tables).unwrap();
    let field = |(name, formula): (&str, &str)| FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() };
    spec.fields = fields.map(field).into();
    spec.fields.extend(clocked());
    // Two that wait to be asked, one of them mostly in error, one over both, and one that an effect's condition keeps.
    let lazies = [
        ("T.letter", "string(sum) + said"),
        ("T.torn", "share + running"),
        ("T.both", "letter + string(torn)"),
        ("Reach.far", "way * 2"),
    ];
    spec.fields.extend(lazies.map(field).map(|field| FieldSpec { timing: Some("lazy".into()), ..field }));
    spec
}

/// Fields that the clock publishes in each way, also one of another.
fn clocked() -> impl Iterator<Item = FieldSpec> {
    let fields = json!([
        { "name": "T.shown", "formula": "sum + x", "timing": { "every": "3s" } },
        { "name": "shown", "formula": "sum(T[*].shown)", "timing": { "every": "3s" } },
        { "name": "T.rare", "formula": "10 / x", "timing": { "cron": "*/5 * * * * *" } },
        { "name": "U.some", "formula": "v", "timing": { "batch": 3, "or_after": "2s" } },
        { "name": "T.due", "formula": "count(us[*].some)", "timing": { "at": "timestamp(x * 4)" } },
        { "name": "V.due", "formula": "n", "timing": { "at": "timestamp(v * 4)" } }]);
    let fields: Vec<FieldSpec> = serde_json::from_value(fields).expect("they are fields");
    fields.into_iter()
}

/// The plan, and the store's share of the definition.
pub fn definition() -> (Arc<Plan>, StoreConfig) {
    let spec = spec();
    let mut config = StoreConfig::default();
    for table in spec.tables.iter().filter(|table| table.group.is_none() && table.join.is_none()) {
        let types = table.columns.iter().map(|(name, ty)| (name.clone(), Type::parse(ty).unwrap()));
        config.types.insert(table.name.clone(), types.collect());
        config.keys.extend(table.key.clone().map(|key| (table.name.clone(), key)));
    }
    (Arc::new(plan(&spec, &[]).expect("the definition is right").0), config)
}

/// The layouts in which a table's rows come, and their key.
///
/// All layouts of a table have the same columns. A restart from a snapshot brings every row with all columns that its table ever had, so
/// a row from before a column came shows it as NULL in the payload of a reaction only after the restart. And a table without rows is in
/// no snapshot, so the columns of `Bag`, by which its rows are told apart, stand in one order only.
const LAYOUTS: [(&str, &[&str], &str); 3] = [
    ("T", &["a b x y z note", "note b a z x y", "b y a x z note"], "a b"),
    ("U", &["id v ta tb", "tb v ta id"], "id"),
    ("Bag", &["n s"], ""),
];

fn schema(table: &str, columns: &str, key: &str) -> Arc<Schema> {
    let columns: Vec<&str> = columns.split(' ').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap() as u32;
    let key = key.split(' ').filter(|name| !name.is_empty()).map(at).collect();
    let columns = columns.iter().map(|name| SchemaColumn::new((*name).into(), Type::Dyn)).collect();
    Arc::new(Schema { table: table.into(), columns, key })
}

/// Numbers to choose by; 0 when they have run out.
struct Choices<'a> {
    numbers: std::slice::Iter<'a, u8>,
    schemas: &'a [Vec<Arc<Schema>>],
}

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.numbers.next().map_or(0, |number| usize::from(*number) % n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn change(&mut self, ops: &[Op]) -> Change {
        let table = self.pick(&[0, 0, 0, 0, 1, 1, 1, 2]);
        let layouts = &self.schemas[table];
        let schema = if self.below(4) == 3 { self.pick(layouts) } else { layouts[0].clone() };
        let op = self.pick(ops);
        let apart = table < 2 && self.below(6) == 5;
        let key = apart.then(|| schema.key.iter().map(|at| self.value(&schema.columns[*at as usize].name)).collect());
        // A delete that names no row clears the table; that one is told row by row before it comes here.
        let imaged = op == Op::Delete && !apart || op == Op::Update && (table == 2 || self.below(3) > 0);
        let before = imaged.then(|| self.row(&schema, 0));
        let after = (op != Op::Delete).then(|| self.row(&schema, if op == Op::Insert { 16 } else { 4 }));
        Change { schema, op, key, before, after }
    }

    /// A row; about one cell in `absent` is left out, none if that is 0.
    fn row(&mut self, schema: &Schema, absent: usize) -> Row {
        let cell = |column: &SchemaColumn| (absent == 0 || self.below(absent) != absent - 1).then(|| self.value(&column.name));
        schema.columns.iter().map(cell).collect()
    }

    fn value(&mut self, column: &str) -> Value {
        let int = Value::Int;
        let text = |s: &str| Value::text(s);
        let decimal = |s: &str| Value::Decimal(s.parse::<Decimal>().unwrap());
        match column {
            "a" | "ta" => self.pick(&[int(0), int(1), int(0), int(1), Value::Uint(1), text("1"), Value::Null, text("no")]),
            "b" | "tb" => self.pick(&[text("p"), text("q"), text("p"), text("q"), text("p"), Value::Null]),
            "x" | "v" => self.pick(&[int(0), int(1), int(2), int(3), Value::double(2.0), Value::Null, text("no"), text("3")]),
            "y" => self.pick(&[Value::double(0.5), int(1), Value::double(-0.0), Value::Null]),
            "z" => self.pick(&[decimal("1.5"), decimal("1.50"), int(2), Value::Null, text("0.25"), decimal("1234567.891")]),
            "id" => self.pick(&[int(0), int(1), int(2), int(0), int(1), Value::Null]),
            "n" => self.pick(&[int(0), int(1), Value::Uint(1), text("no")]),
            "s" => self.pick(&[Value::Null, text("p")]),
            _ => self.pick(&[Value::Null, text("note"), int(7), Value::list([int(1)])]),
        }
    }
}

/// What happens to a row, the likely first.
const OPS: [Op; 8] = [Op::Insert, Op::Insert, Op::Update, Op::Update, Op::Upsert, Op::Upsert, Op::Delete, Op::Insert];

/// A history, a transaction a second; now and then one is a fill, or spilled.
pub fn arb_history() -> impl Strategy<Value = Vec<Transaction>> {
    let change = prop::collection::vec(any::<u8>(), 40);
    let transaction = (prop::collection::vec(change, 1..5), 0u8..8);
    prop::collection::vec(transaction, 1..24).prop_map(|transactions| {
        let schemas = LAYOUTS.map(|(table, layouts, key)| layouts.iter().map(|columns| schema(table, columns, key)).collect());
        let numbered = transactions.iter().enumerate();
        numbered.map(|(at, (changes, kind))| transaction_of(at as i64 + 1, changes, *kind, &schemas)).collect()
    })
}

fn transaction_of(at: i64, changes: &[Vec<u8>], kind: u8, schemas: &[Vec<Arc<Schema>>]) -> Transaction {
    let ops: &[Op] = if kind == 0 { &[Op::Insert, Op::Upsert] } else { &OPS };
    let change = |numbers: &Vec<u8>| Choices { numbers: numbers.iter(), schemas }.change(ops);
    let changes: Vec<Change> = changes.iter().map(change).collect();
    Transaction {
        source: "shop".into(),
        origin: format!("0-1-{at}").into(),
        at: Timestamp(at * 1_000_000),
        body: match kind {
            0 => Body::Fill(changes),
            1 | 2 => Body::Spilled(Arc::new(changes)),
            _ => Body::Changes(changes),
        },
    }
}
