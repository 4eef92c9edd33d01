//! Random definitions and histories, the same for the same seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::plan::PUBLISH;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{
    BySpec, ClassifySpec, EffectSpec, FieldSpec, GraphSpec, GroupSpec, JoinSpec, LAZY, OneOrMany, PolicySpec, ReactionSpec,
    RelationSpec, ScheduleSpec, TableSpec, TimerSpec, TimingSpec, WindowSpec,
};
use thalweg_graph::transaction::{Body, SchemaColumn, TimerFired};
use thalweg_graph::{Change, Op, Plan, Row, Schema, Transaction};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A name, columns with their types, the key.
type TableText = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Customers have orders and a chief, orders have items and notes; nodes are a tree; notes have no key.
const TABLES: [TableText; 5] = [
    ("Customer", &[("id", "int"), ("credit", "decimal(10,2)"), ("vip", "bool"), ("boss", "int")], &["id"]),
    (
        "Order",
        &[("id", "int"), ("customer", "int"), ("qty", "int"), ("w", "double"), ("tag", "text"), ("marks", "list(int)")],
        &["id"],
    ),
    (
        "Item",
        &[("order", "int"), ("line", "int"), ("price", "decimal(8,2)"), ("n", "int"), ("loose", "dyn"), ("at", "timestamp")],
        &["order", "line"],
    ),
    ("Node", &[("id", "int"), ("up", "int"), ("x", "int")], &["id"]),
    ("Note", &[("order", "int"), ("y", "int")], &[]),
];

const RELATIONS: [(&str, &str, &str, &str, bool); 9] = [
    ("Customer", "orders", "Order", "customer", true),
    ("Customer", "chief", "Customer", "boss", false),
    ("Order", "items", "Item", "order", true),
    ("Order", "notes", "Note", "order", true),
    ("Order", "buyer", "Customer", "customer", false),
    ("Item", "parent", "Order", "order", false),
    ("Node", "kids", "Node", "up", true),
    ("Node", "above", "Node", "up", false),
    ("Note", "of", "Order", "order", false),
];

/// A relation by time: of a table, its name, to which, what is equal, this row's time and the other's.
type AsOfText = (&'static str, &'static str, &'static str, Option<&'static str>, &'static str, &'static str);

/// Relations by time.
pub const AS_OF: [AsOfText; 4] = [
    ("Order", "near", "Node", None, "qty", "x"),
    ("Item", "prior", "Item", Some("order"), "n", "line"),
    ("Customer", "lately", "Order", Some("id == customer"), "boss", "qty"),
    ("Node", "past", "Order", Some("up == customer"), "x", "qty"),
];

/// What formulas can name: columns and fields by table, relations with `true` for children.
#[derive(Default)]
pub struct Shape {
    columns: BTreeMap<&'static str, Vec<String>>,
    fields: BTreeMap<&'static str, Vec<String>>,
    relations: Vec<(&'static str, &'static str, &'static str, bool)>,
    /// Derived tables.
    groups: Vec<&'static str>,
    /// The key columns of tables that have a key.
    keys: BTreeMap<&'static str, Vec<String>>,
}

impl Shape {
    fn new() -> Shape {
        let names = |columns: &[(&str, &str)]| {
            columns.iter().filter(|column| !column.1.starts_with("list")).map(|(name, _)| (*name).to_owned()).collect()
        };
        let columns = TABLES.iter().map(|(name, columns, _)| (*name, names(columns)));
        let relations = RELATIONS.iter().map(|(of, name, to, _, children)| (*of, *name, *to, *children));
        let keyed = TABLES.iter().filter(|(_, _, key)| !key.is_empty());
        let keys = keyed.map(|(name, _, key)| (*name, key.iter().map(|key| (*key).to_owned()).collect()));
        let relations = relations.chain(AS_OF.iter().map(|(of, name, to, ..)| (*of, *name, *to, false)));
        Shape { columns: columns.collect(), relations: relations.collect(), keys: keys.collect(), ..Shape::default() }
    }

    fn tables(&self) -> Vec<&'static str> {
        self.columns.keys().copied().collect()
    }

    fn relations(&self, table: &str, children: bool) -> Vec<(&'static str, &'static str)> {
        let found = self.relations.iter().filter(|relation| relation.0 == table && relation.3 == children);
        found.map(|(_, name, other, _)| (*name, *other)).collect()
    }
}

/// Derived tables, the relation to their rows, and the one back.
pub const GROUPS: [(&str, &str, &str); 3] = [("Ga", "of_a", "in_a"), ("Gb", "of_b", "in_b"), ("Gc", "of_c", "in_c")];

/// Derived tables of pairs, what their rows are called, and the relations back.
pub const JOINS: [(&str, [&str; 2], [&str; 2]); 2] =
    [("Ja", ["one", "other"], ["ja_one", "ja_other"]), ("Jb", ["left", "right"], ["jb_left", "jb_right"])];

/// A derived table of paths.
pub const CLOSURE: &str = "Rc";

/// Derived tables, and those of rows that came too late for them.
pub const LATE: [(&str, &str); 3] = [("Ga", "La"), ("Gb", "Lb"), ("Gc", "Lc")];

/// A random definition that is accepted, planned.
pub fn random_plan(rng: &mut Rng) -> (GraphSpec, Arc<Plan>) {
    let mut spec = GraphSpec { tables: TABLES.iter().map(table_spec).collect(), ..GraphSpec::default() };
    let mut shape = Shape::new();
    random_fields(rng, &mut spec, &mut shape, 7);
    let closure = rng.below(5);
    if closure == 0 {
        random_closure(rng, &mut spec, &mut shape);
    }
    for group in GROUPS.iter().take(rng.below(4)) {
        random_group(rng, &mut spec, &mut shape, *group);
    }
    if closure == 1 {
        random_closure(rng, &mut spec, &mut shape);
    }
    random_fields(rng, &mut spec, &mut shape, 3);
    for join in JOINS.iter().take(rng.below(4).saturating_sub(1)) {
        random_join(rng, &mut spec, &mut shape, *join);
    }
    random_fields(rng, &mut spec, &mut shape, 5);
    for number in 0..rng.below(6) {
        let table = *rng.pick(&shape.tables());
        let (rearm, every) = match rng.below(100) {
            0..25 => (Some("once".to_owned()), None),
            25..45 => (Some("level".to_owned()), Some("1s".to_owned())),
            _ => (None, None),
        };
        let (name, on, when) = (format!("e{number}"), Some(table.to_owned()), bool_text(rng, table, &shape));
        spec.effects.push(EffectSpec { name, on, when, rearm, every, ..EffectSpec::default() });
        if plan(&spec, &[]).is_err() {
            spec.effects.pop();
        }
    }
    if rng.chance(50) {
        let table = *rng.pick(&["Order", "Node", "Note"]);
        let column = match table {
            "Order" => "qty",
            "Node" => "x",
            _ => "y",
        };
        let event = |op: &str| Some(format!("{table}.{op}"));
        let (insert, update, delete) = (event("came"), event("changed"), event("went"));
        spec.classify.push(ClassifySpec { database: None, table: table.to_owned(), insert, update, delete });
        for op in ["came", "changed", "went"] {
            let condition = match (rng.below(4), op) {
                (0, _) => None,
                // An error where it is 0.
                (3, _) => Some(format!("10 / {column} > 2")),
                (1, "changed") => Some(format!("old.{column} != new.{column}")),
                _ => Some(format!("{column} > 2")),
            };
            let timer = rng.chance(50).then(|| timer(rng, table, column, "10s"));
            spec.reactions.push(ReactionSpec { event: format!("{table}.{op}"), condition, timer, ..ReactionSpec::default() });
        }
        if spec.reactions.iter().any(|reaction| reaction.timer.is_some()) {
            let condition = rng.chance(70).then(|| format!("10 / {column} > 1"));
            let timer = rng.chance(30).then(|| timer(rng, table, column, "1m"));
            spec.reactions.push(ReactionSpec { event: format!("{table}.late"), condition, timer, ..ReactionSpec::default() });
        }
    }
    if rng.chance(40) {
        let on = rng.chance(60).then(|| "Order".to_owned());
        let (cron, condition) = ("@hourly".to_owned(), on.as_ref().map(|_| "10 / qty > 1".to_owned()));
        let name = if on.is_some() { "hourly" } else { "nightly" }.to_owned();
        spec.schedules.push(ScheduleSpec { name, cron, event: "tick".into(), on, ..ScheduleSpec::default() });
        spec.reactions.push(ReactionSpec { event: "tick".into(), condition, ..ReactionSpec::default() });
    }
    let planned = plan(&spec, &[]).unwrap_or_else(|findings| panic!("refused: {findings:#?}")).0;
    (spec, Arc::new(planned))
}

/// A timer that comes after a delay or at a time of its row, that may be put off and cancelled.
fn timer(rng: &mut Rng, table: &str, column: &str, delay: &str) -> TimerSpec {
    // An error where the column is 0.
    let at = rng.chance(40).then(|| format!("10 / {column} > 1 ? now + duration('9s') : null"));
    let events = [format!("{table}.went"), format!("{table}.late"), "tick".into()];
    TimerSpec {
        delay: at.is_none().then(|| delay.to_owned()),
        at,
        event: format!("{table}.late"),
        reset: rng.chance(30),
        cancel_on: if rng.chance(30) { vec![rng.pick(&events).clone()] } else { vec![] },
        cancel_when: rng.chance(30).then(|| format!("10 / {column} > 3")),
    }
}

/// Fields of any table, as many as are accepted.
fn random_fields(rng: &mut Rng, spec: &mut GraphSpec, shape: &mut Shape, most: usize) {
    for _ in 0..rng.below(most) + 1 {
        let mut tables = shape.tables();
        tables.extend(["Order", "Item", "", shape.groups.last().copied().unwrap_or("Node")]);
        let table = *rng.pick(&tables);
        let short = format!("f{}", spec.fields.len());
        let name = if table.is_empty() { short.clone() } else { format!("{table}.{short}") };
        for _ in 0..8 {
            let mut formula = number_text(rng, table, shape, 3);
            let many = rng.chance(20);
            if many {
                formula = many_text(rng, table, shape);
            } else if rng.chance(15) && !table.is_empty() {
                formula = format!("self {} {formula}", rng.pick(&["+", "*", "-"]));
            } else if rng.chance(20) {
                formula = bool_text(rng, table, shape);
            }
            let (timing, epsilon) = timing(rng, table, shape);
            spec.fields.push(FieldSpec { name: name.clone(), formula, timing, epsilon, ..FieldSpec::default() });
            if plan(spec, &[]).is_ok() {
                if !many {
                    shape.fields.entry(table).or_default().push(short);
                }
                break;
            }
            spec.fields.pop();
        }
    }
}

/// Mostly none; else any that may be refused for the field.
fn timing(rng: &mut Rng, table: &str, shape: &Shape) -> (Option<TimingSpec>, Option<f64>) {
    let policy = match rng.below(20) {
        0 => PolicySpec { when: Some(bool_text(rng, table, shape)), ..PolicySpec::default() },
        1 => PolicySpec { on_completion: Some(bool_text(rng, table, shape)), ..PolicySpec::default() },
        2 => PolicySpec { batch: Some(rng.below(4) as u64 + 1), ..PolicySpec::default() },
        3 => clocked(rng, table, shape),
        4 | 5 => return (Some(LAZY.into()), None),
        _ => return (None, rng.chance(5).then_some(2.5)),
    };
    (Some(policy.into()), rng.chance(20).then_some(1.5))
}

/// By the clock, in any way; mostly by one schedule, so that several fields move together.
fn clocked(rng: &mut Rng, table: &str, shape: &Shape) -> PolicySpec {
    match rng.below(6) {
        0 => PolicySpec { cron: Some("@hourly".into()), ..PolicySpec::default() },
        1 => {
            let time = if table == "Item" { "at" } else { "timestamp(0)" };
            let at = format!("{} ? {time} : null", bool_text(rng, table, shape));
            PolicySpec { at: Some(at), ..PolicySpec::default() }
        }
        2 | 3 => {
            let or_after = Some(rng.pick(&["6us", "15us"]).to_string());
            PolicySpec { batch: Some(rng.below(4) as u64 + 2), or_after, ..PolicySpec::default() }
        }
        _ => PolicySpec { every: Some("1m".into()), ..PolicySpec::default() },
    }
}

/// A derived table, by one or two columns, fields or formulas of another table, which may be derived itself. Where the key is a column, rows
/// refer back to their group.
fn random_group(
    rng: &mut Rng,
    spec: &mut GraphSpec,
    shape: &mut Shape,
    (name, rows, back): (&'static str, &'static str, &'static str),
) {
    for _ in 0..8 {
        let in_windows = rng.chance(65);
        let of = if in_windows { "Item" } else { *rng.pick(&shape.tables()) };
        let column = rng.pick(&shape.columns[of]).clone();
        let mut window = None;
        let by = match if in_windows { 6 } else { rng.below(7) } {
            4 if of == "Order" => BySpec::Named([("k".to_owned(), "marks[*]".to_owned())].into()),
            5 if of == "Order" => {
                BySpec::Named([("k".to_owned(), "marks[*]".to_owned()), ("l".to_owned(), name_of(rng, of, shape))].into())
            }
            4..7 if of == "Item" => {
                let slide = rng.chance(60).then(|| rng.pick(&["100us", "150us", "400us"]).to_string());
                let offset = rng.chance(40).then(|| "30us".to_owned());
                window = Some(match rng.chance(35) {
                    true => {
                        let gap = Some(rng.pick(&["20us", "60us", "150us"]).to_string());
                        ending(rng, WindowSpec { on: "at".into(), gap, ..WindowSpec::default() }, name)
                    }
                    false => {
                        let size = Some(rng.pick(&["300us", "120us"]).to_string());
                        ending(rng, WindowSpec { on: "at".into(), size, slide, offset, ..WindowSpec::default() }, name)
                    }
                });
                if rng.chance(50) { BySpec::Many(Vec::new()) } else { BySpec::One("order".into()) }
            }
            0 | 1 => BySpec::One(column.clone()),
            2 => BySpec::Named([("k".to_owned(), number_text(rng, of, shape, 1))].into()),
            _ => {
                let two = [("k".to_owned(), number_text(rng, of, shape, 1)), ("l".to_owned(), name_of(rng, of, shape))];
                BySpec::Named(two.into())
            }
        };
        let refers = window.is_none() && matches!(by, BySpec::One(_)) && rng.chance(60);
        let filter = rng.chance(if in_windows { 20 } else { 40 }).then(|| bool_text(rng, of, shape));
        let columns: Vec<String> = by.columns().iter().map(|(name, _)| (*name).to_owned()).collect();
        let columns = if columns.is_empty() { vec!["window_start".to_owned()] } else { columns };
        let group = GroupSpec { of: of.to_owned(), by, filter, window, rows: Some(rows.to_owned()), closure: false };
        spec.tables.push(TableSpec { name: name.to_owned(), group: Some(group), ..TableSpec::default() });
        // Late rows have a table of their own without a word of it.
        let at = spec.tables.iter().position(|table| table.name == of).filter(|_| refers);
        if let Some(at) = at {
            let lookup = RelationSpec::Lookup { to: name.to_owned(), key: OneOrMany::One(column) };
            spec.tables[at].relations.insert(back.to_owned(), lookup);
        }
        if plan(spec, &[]).is_ok() {
            shape.relations.push((name, rows, of, true));
            shape.relations.extend(at.map(|_| (of, back, name, false)));
            shape.keys.insert(name, columns.clone());
            shape.columns.insert(name, columns);
            shape.groups.push(name);
            count_rows(spec, name, rows);
            relate_by_time(rng, spec, shape, name);
            let group = spec.tables.last().and_then(|table| table.group.as_ref());
            if group.and_then(|group| group.window.as_ref()?.late.as_ref()).is_some() {
                let late = LATE.iter().find(|(windows, _)| *windows == name).expect("every group may have late rows").1;
                count_rows(spec, late, rows);
                shape.columns.insert(late, vec!["line".to_owned()]);
                shape.relations.push((late, rows, of, true));
            }
            return;
        }
        spec.tables.pop();
        at.and_then(|at| spec.tables[at].relations.remove(back));
    }
}

/// A table of pairs of rows of two tables, which may be derived themselves, or of one; rows may refer to the pairs that they are in.
fn random_join(
    rng: &mut Rng,
    spec: &mut GraphSpec,
    shape: &mut Shape,
    (name, sides, back): (&'static str, [&'static str; 2], [&'static str; 2]),
) {
    for _ in 0..12 {
        let keyed: Vec<&'static str> = shape.keys.keys().copied().collect();
        let of = [*rng.pick(&keyed), *rng.pick(&keyed)];
        let on = match rng.below(6) {
            0 => vec![rng.pick(&shape.columns[of[0]]).clone()],
            // Whole numbers, which are often equal.
            1 | 5 => vec![format!("{} == {}", rng.pick(&shape.columns[of[0]]), rng.pick(&shape.keys[of[1]]))],
            2 => vec![format!("{} == {}", name_of(rng, of[0], shape), number_text(rng, of[1], shape, 1))],
            3 => vec![
                format!("{} == {}", rng.pick(&shape.columns[of[0]]), rng.pick(&shape.columns[of[1]])),
                format!("{} == {}", name_of(rng, of[0], shape), name_of(rng, of[1], shape)),
            ],
            _ => vec![format!("{} == {}", name_of(rng, of[0], shape), name_of(rng, of[1], shape))],
        };
        let keys: Vec<Vec<String>> =
            (0..2).map(|side| shape.keys[of[side]].iter().map(|column| format!("{}_{column}", sides[side])).collect()).collect();
        let before = shape.relations.len();
        shape.relations.extend((0..2).map(|side| (name, sides[side], of[side], false)));
        shape.columns.insert(name, keys.concat());
        let filter = rng.chance(60).then(|| bool_text(rng, name, shape));
        let filter =
            filter.map(|filter| if rng.chance(30) { format!("({filter}) && {}", bool_text(rng, name, shape)) } else { filter });
        let join = JoinSpec {
            left: of[0].to_owned(),
            right: of[1].to_owned(),
            on: OneOrMany::Many(on),
            filter,
            names: Some(sides.map(str::to_owned).to_vec()),
        };
        spec.tables.push(TableSpec { name: name.to_owned(), join: Some(join), ..TableSpec::default() });
        let at = |of: &str| spec.tables.iter().position(|table| table.name == of).expect("a table");
        let places = of.map(at);
        for side in (0..2).filter(|_| rng.chance(70)) {
            let key = OneOrMany::Many(keys[side].clone());
            let children = RelationSpec::Children { table: name.to_owned(), key };
            spec.tables[places[side]].relations.insert(back[side].to_owned(), children);
            shape.relations.push((of[side], back[side], name, true));
        }
        if plan(spec, &[]).is_ok() {
            shape.keys.insert(name, keys.concat());
            shape.groups.push(name);
            let field =
                FieldSpec { name: format!("{name}.own"), formula: number_text(rng, name, shape, 2), ..FieldSpec::default() };
            spec.fields.push(field);
            if plan(spec, &[]).is_err() {
                spec.fields.pop();
            }
            return;
        }
        spec.tables.pop();
        shape.relations.truncate(before);
        shape.columns.remove(name);
        places.iter().zip(back).for_each(|(at, back)| drop(spec.tables[*at].relations.remove(back)));
    }
}

/// A table of paths over the rows of a table, which may be derived itself; nodes know their paths, and paths their end.
fn random_closure(rng: &mut Rng, spec: &mut GraphSpec, shape: &mut Shape) {
    const LINKS: [(&str, &str, &str); 7] = [
        ("Node", "id", "up"),
        ("Node", "up", "x"),
        ("Order", "id", "marks[*]"),
        ("Order", "customer", "qty"),
        ("Item", "order", "line"),
        ("Item", "line", "n"),
        ("Customer", "id", "boss"),
    ];
    for _ in 0..8 {
        let (of, from, to) = *rng.pick(&LINKS);
        let (mut of, mut from, mut to) = (of, from.to_owned(), to.to_owned());
        if rng.chance(30) {
            of = *rng.pick(&shape.tables());
            (from, to) = (rng.pick(&shape.columns[of]).clone(), name_of(rng, of, shape));
        }
        let filter = rng.chance(40).then(|| bool_text(rng, of, shape));
        let by = BySpec::Named([("from".to_owned(), from), ("to".to_owned(), to)].into());
        let group = GroupSpec { of: of.to_owned(), by, filter, closure: true, ..GroupSpec::default() };
        let end = RelationSpec::Lookup { to: "Node".to_owned(), key: OneOrMany::One("to".to_owned()) };
        let relations = [("end".to_owned(), end)].into();
        spec.tables.push(TableSpec { name: CLOSURE.to_owned(), group: Some(group), relations, ..TableSpec::default() });
        let at = spec.tables.iter().position(|table| table.name == "Node").expect("a table");
        let children = RelationSpec::Children { table: CLOSURE.to_owned(), key: OneOrMany::One("from".to_owned()) };
        spec.tables[at].relations.insert("paths".to_owned(), children);
        if plan(spec, &[]).is_ok() {
            for formula in ["from", "to"] {
                let name = format!("{CLOSURE}.at_{formula}");
                spec.fields.push(FieldSpec { name, formula: formula.to_owned(), ..FieldSpec::default() });
            }
            let ends: Vec<String> = ["from", "to"].map(str::to_owned).to_vec();
            shape.keys.insert(CLOSURE, ends.clone());
            shape.columns.insert(CLOSURE, ends);
            shape.groups.push(CLOSURE);
            shape.relations.extend([("Node", "paths", CLOSURE, true), (CLOSURE, "end", "Node", false)]);
            return;
        }
        spec.tables.pop();
        spec.tables[at].relations.remove("paths");
    }
}

/// Relations by time of a derived table's documents, and to them.
fn relate_by_time(rng: &mut Rng, spec: &mut GraphSpec, shape: &mut Shape, name: &'static str) {
    let key = shape.keys[name][0].clone();
    for (from, relation, to, asof, on) in
        [(name, "lately", "Order", key.clone(), "qty".to_owned()), ("Customer", "found", name, "boss".to_owned(), key)]
    {
        if rng.chance(30) && !shape.relations.iter().any(|known| (known.0, known.1) == (from, relation)) {
            let asof = RelationSpec::AsOf { to: to.to_owned(), asof, on: Some(on), by: OneOrMany::default() };
            let at = spec.tables.iter().position(|table| table.name == from).expect("a table");
            spec.tables[at].relations.insert(relation.to_owned(), asof);
            if plan(spec, &[]).is_ok() {
                shape.relations.push((from, relation, to, false));
            } else {
                spec.tables[at].relations.remove(relation);
            }
        }
    }
}

/// How many rows a document is kept from: so each that comes or goes is seen.
fn count_rows(spec: &mut GraphSpec, table: &str, rows: &str) {
    let (name, formula) = (format!("{table}.rows"), format!("count({rows}[*])"));
    spec.fields.push(FieldSpec { name, formula, ..FieldSpec::default() });
}

/// The same windows, which perhaps end for good.
fn ending(rng: &mut Rng, window: WindowSpec, name: &str) -> WindowSpec {
    let emit = *rng.pick(&[None, Some("final"), Some("final"), Some("early+final")]);
    let lateness = if emit.is_some() { *rng.pick(&[None, Some("40us"), Some("200us")]) } else { None };
    let late = emit.and_then(|_| LATE.iter().find(|(of, _)| *of == name)).filter(|_| rng.chance(85));
    let late = late.map(|(_, late)| (*late).to_owned());
    WindowSpec { emit: emit.map(Into::into), lateness: lateness.map(Into::into), late, ..window }
}

fn table_spec((name, columns, key): &TableText) -> TableSpec {
    let relations = RELATIONS.iter().filter(|relation| relation.0 == *name).map(|(_, relation, other, key, children)| {
        let key = OneOrMany::One((*key).to_owned());
        let to = match children {
            true => RelationSpec::Children { table: (*other).to_owned(), key },
            false => RelationSpec::Lookup { to: (*other).to_owned(), key },
        };
        ((*relation).to_owned(), to)
    });
    let by_time = AS_OF.iter().filter(|relation| relation.0 == *name).map(|(_, relation, to, by, asof, on)| {
        let by = by.map_or_else(OneOrMany::default, |by| OneOrMany::One(by.to_owned()));
        let asof = RelationSpec::AsOf { to: (*to).to_owned(), asof: (*asof).to_owned(), on: Some((*on).to_owned()), by };
        ((*relation).to_owned(), asof)
    });
    TableSpec {
        name: (*name).to_owned(),
        key: Some(key.iter().map(|key| (*key).to_owned()).collect()),
        columns: columns.iter().map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned())).collect(),
        relations: relations.chain(by_time).collect(),
        closed: true,
        ..TableSpec::default()
    }
}

/// A name that a formula of `table` may read, perhaps through relations.
fn name_of(rng: &mut Rng, table: &str, shape: &Shape) -> String {
    let lookups = shape.relations(table, false);
    if !lookups.is_empty() && rng.chance(20) {
        let (relation, other) = *rng.pick(&lookups);
        return format!("{relation}.{}", name_of(rng, other, shape));
    }
    let derived = shape.fields.get(table).map_or(&[][..], |fields| fields);
    if !derived.is_empty() && rng.chance(45) {
        return rng.pick(derived).clone();
    }
    match shape.columns.get(table) {
        Some(columns) => rng.pick(columns).clone(),
        None => "1".to_owned(),
    }
}

/// How a random aggregate is called: `v` is the value of each row, `w` a second one.
const ONE_VALUE: [&str; 28] = [
    "sum(v)",
    "count(v)",
    "min(v)",
    "max(v)",
    "avg(v)",
    "sum(v)",
    "count_distinct(v)",
    "var(v)",
    "var_pop(v)",
    "stddev(v)",
    "stddev_pop(v)",
    "corr(v, w)",
    "covar(v, w)",
    "covar_pop(v, w)",
    "median(v)",
    "quantile(v, 0.3)",
    "first(v)",
    "last(v)",
    "first(v, w)",
    "last(v, w)",
    "window_avg(v, 2)",
    "window_sum(v, 2, w)",
    "window_min(v, 2, w)",
    "window_max(v, 3)",
    "window_count(v, 2)",
    "window_sum(v, 3)",
    "window_avg(v, 3, w)",
    "sum(v)",
];

/// Those that give lists and texts.
const MANY_VALUES: [&str; 11] = [
    "collect(v)",
    "collect(v, w)",
    "first(v, 2)",
    "last(v, 2)",
    "first(v, 3, w)",
    "last(v, 3, w)",
    "top(v, 2, w)",
    "bottom(v, 2, w)",
    "top(v, 1, w)",
    "string_agg(v, '; ')",
    "string_agg(v, ',', w)",
];

fn aggregate(rng: &mut Rng, table: &str, shape: &Shape, depth: usize) -> String {
    let call = *rng.pick(&ONE_VALUE);
    aggregate_by(rng, call, table, shape, depth)
}

/// A list or text out of many rows.
fn many_text(rng: &mut Rng, table: &str, shape: &Shape) -> String {
    let call = *rng.pick(&MANY_VALUES);
    aggregate_by(rng, call, table, shape, 1)
}

fn aggregate_by(rng: &mut Rng, call: &str, table: &str, shape: &Shape, depth: usize) -> String {
    let (agg, rest) = call.split_once("(v").expect("a call");
    let with = |rng: &mut Rng, one: String, other: &dyn Fn(&mut Rng) -> String| {
        let rest = if rest.contains('w') { rest.replace('w', &other(rng)) } else { rest.to_owned() };
        format!("{agg}({one}{rest}")
    };
    let children = shape.relations(table, true);
    let (path, child) = match children.is_empty() || rng.chance(15) {
        true => {
            let child = *rng.pick(&shape.tables());
            (child, child)
        }
        false => *rng.pick(&children),
    };
    let mut grandchildren = shape.relations(child, true);
    grandchildren.retain(|_| child != table);
    if !grandchildren.is_empty() && rng.chance(25) {
        let (deeper, grandchild) = *rng.pick(&grandchildren);
        let one = format!("{path}[*].{deeper}[*].{}", name_of(rng, grandchild, shape));
        return with(rng, one, &|rng| format!("{path}[*].{deeper}[*].{}", name_of(rng, grandchild, shape)));
    }
    let mut one = format!("{path}[*].{}", name_of(rng, child, shape));
    let other = |rng: &mut Rng| format!("{path}[*].{}", name_of(rng, child, shape));
    if depth > 1 && rng.chance(40) {
        one = format!("{one} {} {}", rng.pick(&["*", "+", "-"]), other(rng));
    } else if rng.chance(10) {
        // What is read of the parent, the child looks up.
        one = format!("{one} + {}", name_of(rng, table, shape));
    }
    with(rng, one, &other)
}

fn number_text(rng: &mut Rng, table: &str, shape: &Shape, depth: usize) -> String {
    match rng.below(if depth == 0 { 3 } else { 9 }) {
        0 => rng.pick(&["0", "1", "2", "7", "1.5", "-3", "decimal('0.25')"]).to_string(),
        1 | 2 => name_of(rng, table, shape),
        3 | 4 => aggregate(rng, table, shape, depth),
        5 => format!(
            "({} ? {} : {})",
            bool_text(rng, table, shape),
            number_text(rng, table, shape, depth - 1),
            number_text(rng, table, shape, depth - 1)
        ),
        6 => format!("coalesce({}, 0)", number_text(rng, table, shape, depth - 1)),
        _ => {
            let op = *rng.pick(&["+", "-", "*", "/", "%", "+"]);
            format!("({} {op} {})", number_text(rng, table, shape, depth - 1), number_text(rng, table, shape, depth - 1))
        }
    }
}

fn bool_text(rng: &mut Rng, table: &str, shape: &Shape) -> String {
    let one = |rng: &mut Rng| {
        let op = *rng.pick(&["<", ">", "==", "!=", "<=", ">="]);
        format!("{} {op} {}", number_text(rng, table, shape, 1), number_text(rng, table, shape, 1))
    };
    match rng.below(6) {
        0 if rng.chance(50) => {
            let call = *rng.pick(&["any(v > 0)", "all(v != 1)", "any(v == 2)", "all(v < 3)"]);
            aggregate_by(rng, call, table, shape, 1)
        }
        0 => format!("({}) && ({})", one(rng), one(rng)),
        1 => format!("({}) || ({})", one(rng), one(rng)),
        2 => format!("!({})", one(rng)),
        _ => one(rng),
    }
}

/// Makes transactions for the tables above and remembers which rows there are, about.
pub struct History {
    pub schemas: Vec<Arc<Schema>>,
    /// By table: images of rows that are there.
    rows: Vec<Vec<Vec<Value>>>,
    at: i64,
}

impl History {
    pub fn new() -> History {
        let schemas = TABLES.iter().map(|(name, columns, key)| {
            let typed = columns.iter().map(|(name, _)| SchemaColumn::new((*name).into(), Type::Dyn));
            let key = key.iter().map(|key| columns.iter().position(|(name, _)| name == key).expect("a column") as u32);
            Arc::new(Schema { table: (*name).into(), columns: typed.collect(), key: key.collect() })
        });
        History { schemas: schemas.collect(), rows: vec![Vec::new(); TABLES.len()], at: 0 }
    }

    /// The next transaction.
    pub fn transaction(&mut self, rng: &mut Rng) -> Transaction {
        self.at += rng.below(5) as i64;
        if rng.chance(10) {
            return self.timer(rng);
        }
        if rng.chance(12) {
            return self.moment(rng);
        }
        let changes: Vec<Change> = (0..rng.below(4) + usize::from(rng.chance(80))).map(|_| self.change(rng)).collect();
        let body = match rng.below(100) {
            0..4 => Body::Fill(changes),
            4..14 => Body::Spilled(Arc::new(changes)),
            _ => Body::Changes(changes),
        };
        let origin = format!("t{}", rng.below(1000)).into();
        Transaction { source: "".into(), origin, at: Timestamp(self.at), body }
    }

    /// A timer that came due, for a row that may be gone, perhaps of an event that nobody has armed.
    fn timer(&self, rng: &mut Rng) -> Transaction {
        let table = *rng.pick(&["Order", "Node"]);
        let (event, key) = (format!("{table}.late").into(), [Value::Int(rng.below(6) as i64)].into());
        let (table, event, key): (&str, Arc<str>, Box<[Value]>) = match rng.below(7) {
            0..3 => {
                let table = *rng.pick(&["Order", "Node", "Customer", ""]);
                let key: Box<[Value]> = if table.is_empty() { [].into() } else { key };
                (table, format!("effect e{}", rng.below(6)).into(), key)
            }
            3 => ("Order", "tick".into(), [].into()),
            4 => ("nightly", "tick".into(), [].into()),
            _ => (table, event, key),
        };
        let (id, due): (Arc<str>, _) = (format!("timer{}", rng.below(1000)).into(), Timestamp(self.at));
        let body = Body::Timer(TimerFired { id: id.clone(), event, table: table.into(), key, due });
        Transaction { source: "".into(), origin: id, at: due, body }
    }

    /// A moment that publishes fields: of one schedule or both, of documents whose time has come, or of both kinds.
    fn moment(&self, rng: &mut Rng) -> Transaction {
        let mut key: Vec<Value> = Vec::new();
        if rng.chance(60) {
            key.push(Value::from("every 1m"));
        }
        if rng.chance(20) {
            key.push(Value::from("@hourly UTC"));
        }
        if key.is_empty() || rng.chance(40) {
            // Times in the past come a tenth of a second later.
            let later = if rng.chance(40) { 100_000 } else { 0 };
            key.push(Value::Timestamp(Timestamp(self.at + later + rng.below(9) as i64 - 4)));
        }
        let (id, due): (Arc<str>, _) = (format!("timer{}", rng.below(1000)).into(), Timestamp(self.at));
        let body = Body::Timer(TimerFired { id: id.clone(), event: PUBLISH.into(), table: "".into(), key: key.into(), due });
        Transaction { source: "".into(), origin: id, at: due, body }
    }

    fn change(&mut self, rng: &mut Rng) -> Change {
        let table = rng.below(TABLES.len());
        let schema = self.schemas[table].clone();
        let known = self.rows[table].len();
        let full = |row: &[Value]| -> Row { row.iter().cloned().map(Some).collect() };
        let make = |op, key, before, after| Change { schema: schema.clone(), op, key, before, after };
        if known == 0 || rng.chance(35) {
            let row = random_row(rng, table, self.at);
            self.rows[table].push(row.clone());
            let op = if rng.chance(25) { Op::Upsert } else { Op::Insert };
            return make(op, None, None, Some(full(&row)));
        }
        let at = rng.below(known);
        let old = self.rows[table][at].clone();
        if rng.chance(25) {
            self.rows[table].swap_remove(at);
            return make(Op::Delete, None, Some(full(&old)), None);
        }
        let fresh = random_row(rng, table, self.at);
        let mut new = old.clone();
        let changes_key = rng.chance(12);
        let keys: Vec<usize> = schema.key.iter().map(|key| *key as usize).collect();
        for column in 0..new.len() {
            if rng.chance(40) && (changes_key || !keys.contains(&column)) {
                new[column] = fresh[column].clone();
            }
        }
        self.rows[table][at] = new.clone();
        if !keys.is_empty() && rng.chance(3) {
            // An upsert that takes a document that may not be there to another key.
            let key: Box<[Value]> = keys.iter().map(|_| Value::Int(rng.below(9) as i64)).collect();
            return make(Op::Upsert, Some(key), None, Some(full(&new)));
        }
        let op = if rng.chance(20) { Op::Upsert } else { Op::Update };
        if !keys.is_empty() && rng.chance(30) {
            // A partial image, with the key apart.
            let key: Box<[Value]> = keys.iter().map(|key| old[*key].clone()).collect();
            let after = (0..new.len()).map(|at| (new[at] != old[at] || rng.chance(20)).then(|| new[at].clone()));
            return make(op, Some(key), None, Some(after.collect()));
        }
        make(op, None, Some(full(&old)), Some(full(&new)))
    }
}

fn random_row(rng: &mut Rng, table: usize, now: i64) -> Vec<Value> {
    TABLES[table].1.iter().map(|(name, ty)| random_value(rng, name, ty, now)).collect()
}

fn random_value(rng: &mut Rng, name: &str, ty: &str, now: i64) -> Value {
    let reference = matches!(name, "id" | "order" | "customer" | "up" | "boss" | "line");
    if rng.chance(if reference { 2 } else { 8 }) {
        return Value::Null;
    }
    if rng.chance(2) {
        return Value::from("not a number");
    }
    match ty {
        "int" if reference => Value::Int(rng.below(6) as i64),
        "int" => match rng.below(30) {
            0 => Value::Int(i64::MAX),
            1 => Value::Int(i64::MIN),
            _ => Value::Int(rng.below(9) as i64 - 3),
        },
        "decimal(10,2)" | "decimal(8,2)" => match rng.below(12) {
            0 => Value::Int(rng.below(5) as i64),
            _ => Value::Decimal(Decimal::Small { mantissa: rng.below(999) as i64 - 300, scale: 2 }),
        },
        "bool" => Value::Bool(rng.chance(50)),
        "double" => Value::double(*rng.pick(&[
            0.0,
            -0.0,
            1.0,
            0.1,
            -2.5,
            1e300,
            -1e300,
            1e-300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            3.0,
        ])),
        "timestamp" => Value::Timestamp(Timestamp(8 * now + rng.below(400) as i64)),
        "list(int)" => Value::list((0..rng.below(4)).map(|_| match rng.below(8) {
            0 => Value::Null,
            n => Value::Int(n as i64 % 4),
        })),
        "text" => Value::from(*rng.pick(&["a", "b", "urgent"])),
        _ => rng
            .pick(&[Value::Int(1), Value::Int(5), Value::from("x"), Value::double(0.5), Value::Bool(true), Value::Uint(3)])
            .clone(),
    }
}
