//! The edges against differential dataflow, which computes the same by other means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use differential_dataflow::input::InputSession;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Type, Value};
use thalweg_graph::outcome::Delta;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{BySpec, FieldSpec, GraphSpec, GroupSpec, OneOrMany, RelationSpec, TableSpec, WindowSpec};
use thalweg_graph::{Op, Plan, Schema, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::random::Rng;

pub type Updates<D> = Vec<(D, u64, isize)>;

/// (order, (item, x)).
pub type Item = (i64, (i64, i64));

pub fn planned(tables: Vec<TableSpec>, fields: &[(&str, &str)]) -> Arc<Plan> {
    let fields = fields.iter().map(|(name, formula)| FieldSpec {
        name: (*name).into(),
        formula: (*formula).into(),
        ..FieldSpec::default()
    });
    let spec = GraphSpec { tables, fields: fields.collect(), ..GraphSpec::default() };
    Arc::new(plan(&spec, &[]).unwrap_or_else(|findings| panic!("{findings:#?}")).0)
}

pub fn table(name: &str, columns: &[&str], relation: Option<(&str, RelationSpec)>) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(vec!["id".into()]),
        columns: columns.iter().map(|column| ((*column).into(), Type::Int.to_string())).collect(),
        relations: relation.into_iter().map(|(name, relation)| (name.into(), relation)).collect(),
        ..TableSpec::default()
    }
}

/// Runs the engine in steps of `step` epochs; the deltas by epoch.
pub fn deltas(plan: &Arc<Plan>, workers: usize, step: usize, history: &[Transaction]) -> BTreeMap<u64, Vec<Delta>> {
    let mut engine = Engine::new(plan.clone(), Options { workers, inline_max: crate::INLINE, ..Options::default() });
    let mut by_epoch: BTreeMap<u64, Vec<Delta>> = BTreeMap::new();
    for batch in history.chunks(step) {
        for transaction in batch {
            engine.push(transaction.clone());
        }
        engine.step().deltas.sorted().into_iter().for_each(|delta| by_epoch.entry(delta.epoch).or_default().push(delta));
    }
    by_epoch
}

/// What a differential collection holds after each epoch.
pub fn states<D: Ord + Clone>(mut updates: Updates<D>, epochs: u64) -> Vec<BTreeSet<D>> {
    updates.sort_by_key(|(_, epoch, _)| *epoch);
    let mut held: BTreeMap<D, isize> = BTreeMap::new();
    let mut updates = updates.into_iter().peekable();
    (0..=epochs)
        .map(|epoch| {
            while let Some((data, _, diff)) = updates.next_if(|(_, at, _)| *at <= epoch) {
                *held.entry(data).or_insert(0) += diff;
            }
            held.retain(|_, count| *count != 0);
            held.keys().cloned().collect()
        })
        .collect()
}

const PARENTS: i64 = 8;

/// Workers, and epochs in a step.
pub const STEPS: [(usize, usize); 5] = [(1, 1), (1, 7), (1, 250), (2, 7), (4, 100)];

/// What a twin has run; it is printed at the end.
pub struct Cases {
    operator: &'static str,
    ran: BTreeMap<(usize, usize), usize>,
}

impl Cases {
    pub fn new(operator: &'static str) -> Cases {
        Cases { operator, ran: BTreeMap::new() }
    }

    pub fn ran(&mut self, step: usize, workers: usize) {
        *self.ran.entry((step, workers)).or_insert(0) += 1;
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        for ((step, workers), cases) in &self.ran {
            println!("{}: {step} epochs per step, {workers} workers, {cases} cases", self.operator);
        }
    }
}

fn small(rng: &mut Rng, _: u64) -> i64 {
    rng.below(20) as i64 - 9
}

/// Items that come, change, move to another order and go; every order exists.
fn item_history(
    rng: &mut Rng,
    orders: &Arc<Schema>,
    items: &Arc<Schema>,
    x: fn(&mut Rng, u64) -> i64,
) -> (Vec<Transaction>, Updates<Item>) {
    let int = Value::Int;
    let mut all = vec![tx((0..PARENTS).map(|id| change(orders, Op::Insert, None, Some(row([int(id)])))).collect())];
    let mut held: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut updates = Vec::new();
    for epoch in 2..=250 {
        let ids: BTreeSet<i64> = (0..rng.below(4) + 1).map(|_| rng.below(40) as i64).collect();
        let changes = ids.into_iter().map(|id| {
            let image = |(order, x): (i64, i64)| Some(row([int(id), int(order), int(x)]));
            let old = held.get(&id).copied();
            let new =
                if old.is_some() && rng.chance(30) { None } else { Some((rng.below(PARENTS as usize) as i64, x(rng, epoch))) };
            updates.extend(old.map(|(order, x)| ((order, (id, x)), epoch, -1)));
            updates.extend(new.map(|(order, x)| ((order, (id, x)), epoch, 1)));
            match new {
                Some(new) => {
                    held.insert(id, new);
                    change(items, Op::Upsert, None, image(new))
                }
                None => {
                    held.remove(&id);
                    change(items, Op::Delete, old.and_then(image), None)
                }
            }
        });
        all.push(tx(changes.collect()));
    }
    (all, updates)
}

#[test]
fn the_group_edge_is_a_differential_reduce() {
    let children = RelationSpec::Children { table: "Item".into(), key: OneOrMany::One("order".into()) };
    let fields = [
        ("Order.sum", "sum(items[*].x)"),
        ("Order.count", "count(items[*].x)"),
        ("Order.min", "min(items[*].x)"),
        ("Order.max", "max(items[*].x)"),
    ];
    let plan =
        planned(vec![table("Order", &["id"], Some(("items", children))), table("Item", &["id", "order", "x"], None)], &fields);
    let (orders, items) = (schema("Order", &["id"], &[0]), schema("Item", &["id", "order", "x"], &[0]));
    for seed in 0..4 {
        let (history, updates) = item_history(&mut Rng(seed), &orders, &items, small);
        let reduced = states(reduce(updates), history.len() as u64);
        for (workers, step) in STEPS {
            let by_epoch = deltas(&plan, workers, step, &history);
            let mut shown: BTreeMap<(Arc<str>, i64), Value> = BTreeMap::new();
            for epoch in 1..=history.len() as u64 {
                for delta in by_epoch.get(&epoch).into_iter().flatten() {
                    let Value::Int(order) = delta.key[0] else { panic!("an order has an int key") };
                    shown.insert((delta.node.clone(), order), delta.new.clone());
                }
                for order in 0..PARENTS {
                    let group = reduced[epoch as usize].iter().find(|(of, _)| *of == order).map(|(_, group)| *group);
                    let (sum, count, min, max) = group.unwrap_or((0, 0, 0, 0));
                    let extreme = |x| if count == 0 { Value::Null } else { Value::Int(x) };
                    for (name, value) in
                        [("sum", Value::Int(sum)), ("count", Value::Int(count)), ("min", extreme(min)), ("max", extreme(max))]
                    {
                        let field: Arc<str> = format!("Order.{name}").into();
                        let here = shown.get(&(field, order)).cloned().unwrap_or(Value::Null);
                        assert_eq!(
                            here, value,
                            "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}, {name} of {order}"
                        );
                    }
                }
            }
        }
    }
}

/// What a group of items comes to: sum, count, least, greatest.
pub type Figures = (i64, i64, i64, i64);

/// Groups by key.
type Groups = BTreeSet<(Vec<i64>, Figures)>;

/// Items at the second that `x` says, grouped as `Group`.
pub fn grouped(group: GroupSpec) -> Arc<Plan> {
    let group = GroupSpec { of: "Item".into(), rows: Some("items".into()), ..group };
    let derived = TableSpec { name: "Group".into(), group: Some(group), ..TableSpec::default() };
    let fields = [
        ("Item.at", "timestamp(x)"),
        ("Item.marks", "x < 0 ? [] : [x % 3, order % 3, 1]"),
        ("Group.sum", "sum(items[*].x)"),
        ("Group.count", "count(items[*].x)"),
        ("Group.min", "min(items[*].x)"),
        ("Group.max", "max(items[*].x)"),
    ];
    planned(vec![table("Item", &["id", "order", "x"], None), derived], &fields)
}

/// The documents of the derived table are the groups of the dataflow at every epoch, no more and no less.
fn assert_groups(operator: &'static str, plan: &Arc<Plan>, twin: impl Fn(Updates<Item>) -> Updates<(Vec<i64>, Figures)>) {
    assert_groups_over(operator, plan, small, twin);
}

/// The same over items whose `x` is drawn so.
pub fn assert_groups_over(
    operator: &'static str,
    plan: &Arc<Plan>,
    x: fn(&mut Rng, u64) -> i64,
    twin: impl Fn(Updates<Item>) -> Updates<(Vec<i64>, Figures)>,
) {
    let (orders, items) = (schema("Order", &["id"], &[0]), schema("Item", &["id", "order", "x"], &[0]));
    let mut cases = Cases::new(operator);
    let number = |value: &Value| match value {
        Value::Int(number) => *number,
        Value::Timestamp(at) => at.0 / 1_000_000,
        other => panic!("{other:?} is in no key here"),
    };
    for seed in 100..104 {
        let (history, updates) = item_history(&mut Rng(seed), &orders, &items, x);
        let expected = states(twin(updates), history.len() as u64);
        assert!(expected.iter().map(BTreeSet::len).sum::<usize>() > 500, "the history has too few groups to mean anything");
        for (workers, step) in STEPS {
            let by_epoch = deltas(plan, workers, step, &history);
            let mut shown: BTreeMap<Vec<i64>, BTreeMap<Arc<str>, i64>> = BTreeMap::new();
            for epoch in 1..=history.len() as u64 {
                for delta in by_epoch.get(&epoch).into_iter().flatten().filter(|delta| delta.node.starts_with("Group.")) {
                    let key: Vec<i64> = delta.key.iter().map(number).collect();
                    match delta.new {
                        Value::Int(new) => drop(shown.entry(key).or_default().insert(delta.node.clone(), new)),
                        _ => drop(shown.remove(&key)),
                    }
                }
                let here: Groups = shown
                    .iter()
                    .map(|(key, group)| {
                        let of = |name: &str| group[&*format!("Group.{name}")];
                        (key.clone(), (of("sum"), of("count"), of("min"), of("max")))
                    })
                    .collect();
                assert_eq!(here, expected[epoch as usize], "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}");
            }
            cases.ran(step, workers);
        }
    }
}

#[test]
fn the_derived_table_is_a_differential_reduce() {
    let plan = grouped(GroupSpec { by: BySpec::One("order".into()), ..GroupSpec::default() });
    assert_groups("group-by", &plan, |updates| reduce_by(updates, |order, _| vec![vec![order]]));
}

#[test]
fn a_row_in_several_documents_is_a_differential_flat_map() {
    let by = BySpec::Named([("mark".into(), "marks[*]".into()), ("order".into(), "order".into())].into());
    assert_groups("group-by elements", &grouped(GroupSpec { by, ..GroupSpec::default() }), |updates| {
        reduce_by(updates, |order, x| {
            let marks = if x < 0 { BTreeSet::new() } else { BTreeSet::from([x % 3, order % 3, 1]) };
            marks.into_iter().map(|mark| vec![mark, order]).collect()
        })
    });
}

#[test]
fn the_time_windows_are_a_differential_flat_map() {
    let window = |slide: Option<&str>| {
        let (size, slide) = (Some("6s".into()), slide.map(Into::into));
        let window = WindowSpec { on: "at".into(), size, slide, ..WindowSpec::default() };
        grouped(GroupSpec { by: BySpec::One("order".into()), window: Some(window), ..GroupSpec::default() })
    };
    assert_groups("tumbling windows", &window(None), |updates| {
        reduce_by(updates, |order, x| {
            let start = x.div_euclid(6) * 6;
            vec![vec![order, start, start + 6]]
        })
    });
    assert_groups("hopping windows", &window(Some("4s")), |updates| {
        reduce_by(updates, |order, x| {
            let starts = (-20..20).map(|step| step * 4).filter(|start| *start <= x && x < start + 6);
            starts.map(|start| vec![order, start, start + 6]).collect()
        })
    });
}

/// Times that go on with the epochs, some of them far behind.
pub fn later_and_later(rng: &mut Rng, epoch: u64) -> i64 {
    epoch as i64 / 2 + rng.below(16) as i64
}

#[test]
fn the_final_windows_are_a_differential_reduce_of_what_was_there_when_they_closed() {
    let (size, emit, lateness) = (Some("6s".into()), Some("final".into()), Some("4s".into()));
    let window = WindowSpec { on: "at".into(), size, emit, lateness, ..WindowSpec::default() };
    let plan = grouped(GroupSpec { by: BySpec::One("order".into()), window: Some(window), ..GroupSpec::default() });
    assert_groups_over("final windows", &plan, later_and_later, |updates| {
        reduce_by(when_closed(updates), |order, x| {
            let start = x.div_euclid(6) * 6;
            vec![vec![order, start, start + 6]]
        })
    });
}

/// The items of each window as they were at the end of the epoch in which the watermark reached the window's end, at that epoch and for good.
fn when_closed(mut updates: Updates<Item>) -> Updates<Item> {
    updates.sort_by_key(|(_, epoch, _)| *epoch);
    let (mut held, mut closed): (BTreeMap<Item, isize>, Updates<Item>) = Default::default();
    let mut over = i64::MIN;
    for epoch in updates.chunk_by(|a, b| a.1 == b.1) {
        epoch.iter().for_each(|(item, _, diff)| *held.entry(*item).or_insert(0) += diff);
        held.retain(|_, count| *count != 0);
        let now = held.keys().map(|(_, (_, x))| x - 4).max().unwrap_or(over).max(over);
        let closes = |x: i64| (over + 1..=now).contains(&(x.div_euclid(6) * 6 + 6));
        closed.extend(held.keys().filter(|(_, (_, x))| closes(*x)).map(|item| (*item, epoch[0].1, 1)));
        over = now;
    }
    closed
}

#[test]
fn the_sessions_are_a_differential_reduce_by_key() {
    let window = WindowSpec { on: "at".into(), gap: Some("2s".into()), ..WindowSpec::default() };
    let plan = grouped(GroupSpec { by: BySpec::One("order".into()), window: Some(window), ..GroupSpec::default() });
    assert_groups("sessions", &plan, sessions);
}

/// The figures of the sessions of each order: runs of items without a pause of more than two seconds.
pub fn sessions(updates: Updates<Item>) -> Updates<(Vec<i64>, Figures)> {
    timely::execute_directly(move |worker| {
        let mut input = InputSession::new();
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let runs = input.to_collection(scope).reduce(|_, items: &[(&(i64, i64), isize)], out| {
                let mut xs: Vec<i64> = items.iter().map(|((_, x), _)| *x).collect();
                xs.sort_unstable();
                out.extend(xs.chunk_by(|a, b| b - a <= 2).map(|run| ((run[0], figures(run)), 1)));
            });
            let groups = runs.map(|(order, (start, figures))| (vec![order, start], figures));
            groups.inspect(move |update| send.send(update.clone()).expect("the test listens"));
        });
        for (data, epoch, diff) in updates {
            input.update_at(data, epoch, diff);
        }
        drop(input);
        while worker.step() {}
        receive.try_iter().collect()
    })
}

/// The groups that an item is in, by its order and `x`.
type Keys = fn(i64, i64) -> Vec<Vec<i64>>;

/// The figures of the groups that items are in.
fn reduce_by(updates: Updates<Item>, keys: Keys) -> Updates<(Vec<i64>, Figures)> {
    timely::execute_directly(move |worker| {
        let mut input = InputSession::new();
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let items = input.to_collection(scope);
            let keyed = items.flat_map(move |(order, (id, x))| keys(order, x).into_iter().map(move |key| (key, (id, x))));
            let groups = keyed.reduce(|_, items: &[(&(i64, i64), isize)], out| {
                let xs: Vec<i64> = items.iter().map(|((_, x), _)| *x).collect();
                out.push((figures(&xs), 1));
            });
            groups.inspect(move |update| send.send(update.clone()).expect("the test listens"));
        });
        for (data, epoch, diff) in updates {
            input.update_at(data, epoch, diff);
        }
        drop(input);
        while worker.step() {}
        receive.try_iter().collect()
    })
}

fn figures(xs: &[i64]) -> Figures {
    let (least, greatest) = (xs.iter().min().copied().unwrap_or(0), xs.iter().max().copied().unwrap_or(0));
    (xs.iter().sum(), xs.len() as i64, least, greatest)
}

fn reduce(updates: Updates<Item>) -> Updates<(i64, (i64, i64, i64, i64))> {
    timely::execute_directly(move |worker| {
        let mut input = InputSession::new();
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let groups = input.to_collection(scope).reduce(|_, items: &[(&(i64, i64), isize)], out| {
                let values = || items.iter().map(|((_, x), _)| *x);
                let (min, max) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
                out.push(((values().sum::<i64>(), items.len() as i64, min, max), 1));
            });
            groups.inspect(move |update| send.send(*update).expect("the test listens"));
        });
        for (data, epoch, diff) in updates {
            input.update_at(data, epoch, diff);
        }
        drop(input);
        while worker.step() {}
        receive.try_iter().collect()
    })
}

#[test]
fn the_lookup_edge_is_a_differential_join() {
    let lookup = RelationSpec::Lookup { to: "Customer".into(), key: OneOrMany::One("customer".into()) };
    let tables = vec![table("Order", &["id", "customer"], Some(("buyer", lookup))), table("Customer", &["id", "region"], None)];
    let plan = planned(tables, &[("Order.region", "buyer.region")]);
    let (orders, customers) = (schema("Order", &["id", "customer"], &[0]), schema("Customer", &["id", "region"], &[0]));
    for seed in 0..4 {
        let mut rng = Rng(seed + 50);
        let mut history = Vec::new();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut held: [BTreeMap<i64, i64>; 2] = Default::default();
        for epoch in 1..=250_u64 {
            let touched: BTreeSet<(usize, i64)> = (0..rng.below(3) + 1)
                .map(|_| if rng.chance(60) { (0, rng.below(30) as i64) } else { (1, rng.below(6) as i64) })
                .collect();
            let changes = touched.into_iter().map(|(side, id)| {
                let (schema, updates) = if side == 0 { (&orders, &mut left) } else { (&customers, &mut right) };
                let image = |value: i64| Some(row([Value::Int(id), Value::Int(value)]));
                let old = held[side].get(&id).copied();
                let new =
                    if old.is_some() && rng.chance(25) { None } else { Some(rng.below(if side == 0 { 6 } else { 100 }) as i64) };
                // Orders by customer, customers by their own id.
                let keyed = |value: i64| if side == 0 { (value, id) } else { (id, value) };
                updates.extend(old.map(|value| (keyed(value), epoch, -1)));
                updates.extend(new.map(|value| (keyed(value), epoch, 1)));
                match new {
                    Some(value) => drop(held[side].insert(id, value)),
                    None => drop(held[side].remove(&id)),
                }
                match new {
                    Some(value) => change(schema, Op::Upsert, None, image(value)),
                    None => change(schema, Op::Delete, old.and_then(image), None),
                }
            });
            history.push(tx(changes.collect()));
        }
        let joined = states(join(left, right), 250);
        for (workers, step) in STEPS {
            let by_epoch = deltas(&plan, workers, step, &history);
            let mut shown: BTreeSet<(i64, i64)> = BTreeSet::new();
            for epoch in 1..=250_u64 {
                for delta in by_epoch.get(&epoch).into_iter().flatten() {
                    let Value::Int(order) = delta.key[0] else { panic!("an order has an int key") };
                    shown.retain(|(of, _)| *of != order);
                    if let Value::Int(region) = delta.new {
                        shown.insert((order, region));
                    }
                }
                assert_eq!(shown, joined[epoch as usize], "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}");
            }
        }
    }
}

fn join(left: Updates<(i64, i64)>, right: Updates<(i64, i64)>) -> Updates<(i64, i64)> {
    timely::execute_directly(move |worker| {
        let (mut orders, mut customers) = (InputSession::new(), InputSession::new());
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let pairs =
                orders.to_collection(scope).join_map(customers.to_collection(scope), |_, order, region| (*order, *region));
            pairs.inspect(move |update| send.send(*update).expect("the test listens"));
        });
        for (data, epoch, diff) in left {
            orders.update_at(data, epoch, diff);
        }
        for (data, epoch, diff) in right {
            customers.update_at(data, epoch, diff);
        }
        drop((orders, customers));
        while worker.step() {}
        receive.try_iter().collect()
    })
}
