//! The obvious evaluator: all rows in maps, everything computed again from all rows at every epoch, by a walk over the plan's
//! expressions. It shares nothing with the engine but the meaning of single operators and functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::coerce::coerce;
use thalweg_formulas::eval::Fuel;
use thalweg_formulas::functions::{self, Nulls};
use thalweg_formulas::ops::{self, Logic};
use thalweg_formulas::{Cell, Error, Expr, ExprKind, InputId, Timestamp, Type, Value};
use thalweg_graph::outcome::{Delta, Document, ErrorChange, Fired, RuleId, TimerArmed, TimerCancelled, TimerOf};
use thalweg_graph::plan::*;
use thalweg_graph::transaction::{Body, TimerFired};
use thalweg_graph::{Change, Epoch, Op, Outcome, Plan, Row, Transaction};

use crate::groups::{Given, aggregate};

mod changes;
mod clocks;
mod edges;
mod reactions;
mod sessions;

use edges::*;

type Key = Vec<Value>;
type Whole = BTreeMap<Value, Value>;

/// What the engine must agree with.
pub struct Oracle {
    plan: Arc<Plan>,
    epoch: Epoch,
    /// By table: rows by key, columns by name.
    pub tables: Vec<BTreeMap<Key, Whole>>,
    /// The names of each table's key columns, as far as they are known.
    keys: Vec<Vec<Arc<str>>>,
    /// By region: every slot of every living document, as of the last epoch.
    cells: Vec<BTreeMap<Key, Vec<Cell>>>,
    /// The last good value of each slot.
    shown: BTreeMap<(usize, Key, u32), Value>,
    triggers: BTreeMap<(Arc<str>, Key), u64>,
    pub out: Outcome,
    /// The last epoch that was no fill.
    last_live: Epoch,
    /// By watermark: the greatest times, and since when.
    greatest: Vec<Vec<(Epoch, i64)>>,
    /// By table: windows that are over, and since when.
    closed: Vec<BTreeMap<Key, Epoch>>,
    /// By session edge.
    ended: Vec<sessions::Ended>,
    /// By table of late rows: the keys that rows have, late or not.
    keyed: Vec<BTreeSet<Key>>,
    /// By field that the clock publishes: documents with a time of their own.
    appointments: BTreeMap<(usize, Key), i64>,
    /// The schedules whose moment the epoch is, and the documents whose time has come: by field that the clock publishes.
    opened: BTreeSet<u32>,
    due: BTreeSet<(usize, Key)>,
}

/// Walks an expression.
pub fn evaluate(expr: &Expr, input: &dyn Fn(InputId) -> Cell) -> Cell {
    match expr.kind() {
        ExprKind::Const(value) => Ok(value.clone()),
        ExprKind::Input(id) => input(*id),
        ExprKind::Unary(op, a) => ops::unary(*op, &evaluate(a, input)?),
        ExprKind::Binary(BinaryOp::And, a, b) => ops::logic(Logic::And, evaluate(a, input), evaluate(b, input)),
        ExprKind::Binary(BinaryOp::Or, a, b) => ops::logic(Logic::Or, evaluate(a, input), evaluate(b, input)),
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (evaluate(a, input)?, evaluate(b, input)?);
            ops::binary(*op, &a, &b)
        }
        ExprKind::If(condition, yes, no) => match ops::truth(&evaluate(condition, input)?)? {
            Some(true) => evaluate(yes, input),
            _ => evaluate(no, input),
        },
        ExprKind::List(items) => Ok(Value::list(items.iter().map(|item| evaluate(item, input)).collect::<Result<Vec<_>, _>>()?)),
        ExprKind::Index(a, b) => ops::index(&evaluate(a, input)?, &evaluate(b, input)?),
        ExprKind::Call(id, args) => {
            let function = functions::get(*id);
            if matches!(function.name, "coalesce" | "if_null") {
                for arg in args {
                    let value = evaluate(arg, input)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                return Ok(Value::Null);
            }
            let args = args.iter().map(|arg| evaluate(arg, input)).collect::<Result<Vec<_>, _>>()?;
            if function.nulls == Nulls::Propagate && args.iter().any(Value::is_null) {
                return Ok(Value::Null);
            }
            (function.call)(&args, &mut Fuel::default())
        }
        other => panic!("the random formulas do not contain {other:?}"),
    }
}

impl Oracle {
    pub fn new(plan: Arc<Plan>) -> Oracle {
        Oracle {
            epoch: 0,
            tables: vec![BTreeMap::new(); plan.tables.len()],
            keys: plan.tables.iter().map(declared).collect(),
            cells: vec![BTreeMap::new(); plan.regions.len()],
            shown: BTreeMap::new(),
            triggers: BTreeMap::new(),
            out: Outcome::default(),
            last_live: 0,
            greatest: vec![vec![(0, i64::MIN)]; plan.watermarks.len()],
            closed: vec![BTreeMap::new(); plan.tables.len()],
            ended: vec![sessions::Ended::default(); plan.sessions.len()],
            keyed: vec![BTreeSet::new(); plan.tables.len()],
            appointments: BTreeMap::new(),
            opened: BTreeSet::new(),
            due: BTreeSet::new(),
            plan,
        }
    }

    /// One transaction, as the next epoch.
    pub fn step(&mut self, tx: &Transaction) {
        self.epoch += 1;
        let before = self.tables.clone();
        let fill = matches!(tx.body, Body::Fill(_));
        if !fill {
            self.last_live = self.epoch;
        }
        let take = &mut |part: &[Change]| {
            part.iter().for_each(|change| self.apply(change));
            true
        };
        tx.parts(take).expect("changes that are held can be read");
        self.open_moment(tx);
        let cells = self.compute(&before);
        self.move_watermarks(&cells);
        self.make_appointments(&cells, tx.at);
        self.report(&before, &cells, fill, tx.at);
        self.react(&before, tx, fill);
        self.cells = cells;
        if let Body::Timer(timer) = &tx.body {
            self.remind(timer, tx.at);
        }
        self.out.through = self.epoch;
    }

    // ---- rows --------------------------------------------------------------------------------------------------

    fn documents(&self, table: usize) -> Vec<Key> {
        if self.plan.tables[table].name.is_empty() { vec![vec![]] } else { self.tables[table].keys().cloned().collect() }
    }

    fn compute(&mut self, before: &[BTreeMap<Key, Whole>]) -> Vec<BTreeMap<Key, Vec<Cell>>> {
        let plan = self.plan.clone();
        let mut all: Vec<BTreeMap<Key, Vec<Cell>>> = vec![BTreeMap::new(); plan.regions.len()];
        for (at, region) in plan.regions.iter().enumerate() {
            let table = region.table.0 as usize;
            if plan.tables[table].home == Some(RegionId(at as u32)) {
                self.keep_derived(table, &all);
            }
            let aggregates: BTreeMap<u32, BTreeMap<Key, Vec<Given>>> = plan
                .groups
                .iter()
                .enumerate()
                .filter(|(_, group)| group.to.0 as usize == at)
                .map(|(id, group)| (id as u32, self.grouped(group, &all)))
                .collect();
            let edges = plan.sessions.iter().enumerate().filter(|(_, session)| session.into.0 as usize == at);
            let sessions: BTreeMap<u32, BTreeMap<Key, sessions::Starts>> =
                edges.map(|(id, _)| (id as u32, self.sessions(id, &all))).collect();
            for key in self.documents(table) {
                if self.closed[table].get(&key).is_some_and(|since| self.counts(*since)) {
                    let frozen = self.cells[at][&key].clone();
                    all[at].insert(key, frozen);
                    continue;
                }
                let mut slots: Vec<Cell> = Vec::new();
                for slot in &region.slots {
                    slots.push(match &slot.source {
                        SlotSource::Column(column) => {
                            let name = Value::text(plan.tables[table].columns[column.0 as usize].name.clone());
                            Ok(self.tables[table][&key].get(&name).cloned().unwrap_or(Value::Null))
                        }
                        SlotSource::Carried(from, slot) => all[from.0 as usize][&key][slot.0 as usize].clone(),
                        SlotSource::Aggregate(group) => {
                            let given = aggregates[&group.0].get(&key).map_or(&[][..], |given| given);
                            aggregate(&plan.groups[group.0 as usize], &self.types(group.0), given)
                        }
                        SlotSource::Session(session) => {
                            let edge = &plan.sessions[session.0 as usize];
                            let which = usize::from(edge.slot.0 as usize != slots.len());
                            let start = sessions[&session.0].get(&key).and_then(|starts| starts[which]);
                            Ok(start.map_or(Value::Null, |start| Value::Timestamp(Timestamp(start))))
                        }
                        SlotSource::Nearest(edge, position) => {
                            let edge = &plan.nearest[edge.0 as usize];
                            let at = edge.slots[*position as usize].0 as usize;
                            let found = newest(edge, &all[edge.from.0 as usize][&key], &all[edge.of.0 as usize]);
                            Ok(found.map_or(Value::Null, |found| found[at].clone()))
                        }
                        SlotSource::Looked(lookup, position) => {
                            let lookup = &plan.lookups[lookup.0 as usize];
                            let row = &all[lookup.from.0 as usize][&key];
                            let other = other_key(row, &lookup.via, &lookup.key_types);
                            let other = other.and_then(|other| all[lookup.to.0 as usize].get(&other));
                            other.map_or(Ok(Value::Null), |other| other[lookup.values[*position as usize].0 as usize].clone())
                        }
                        SlotSource::Cell(_) => Ok(Value::Null),
                    });
                }
                let lived = if plan.tables[table].name.is_empty() { self.epoch > 1 } else { before[table].contains_key(&key) };
                for cell in &region.cells {
                    let value = self.cell(at, cell, &key, &slots, lived);
                    slots[cell.slot.0 as usize] = value;
                }
                all[at].insert(key, slots);
            }
        }
        all
    }

    /// The documents of a derived table: the keys of all rows of another.
    fn keep_derived(&mut self, table: usize, all: &[BTreeMap<Key, Vec<Cell>>]) {
        let keys: BTreeSet<Key> = match (self.plan.tables[table].kept_by, self.plan.tables[table].paired_by) {
            (Some(id), _) => {
                let edge = &self.plan.memberships[id.0 as usize];
                let rows = all[edge.from.0 as usize].values();
                let keys = rows.flat_map(|row| other_keys(row, &edge.key, &edge.key_types, &edge.parts)).collect();
                match edge.closing {
                    Some(closing) if closing.end.is_none() => self.sessions_in_time(table, id, keys),
                    Some(closing) => self.in_time(table, closing, keys, all),
                    None if edge.closure.is_some() => closed(keys),
                    None => keys,
                }
            }
            (None, Some(join)) => pairs(&self.plan.joins[join.0 as usize], all),
            (None, None) => return,
        };
        let names: Vec<Value> = self.keys[table].iter().cloned().map(Value::text).collect();
        self.tables[table] = keys.into_iter().map(|key| (key.clone(), names.iter().cloned().zip(key).collect())).collect();
    }

    /// Whether what an epoch has closed or seen counts by now: a load is over once an epoch is no fill.
    fn counts(&self, since: Epoch) -> bool {
        since < self.epoch && self.last_live >= since
    }

    /// Of the keys that rows have: those of windows that are there, or of rows that are late.
    fn in_time(
        &mut self,
        table: usize,
        closing: Closing,
        keys: BTreeSet<Key>,
        all: &[BTreeMap<Key, Vec<Cell>>],
    ) -> BTreeSet<Key> {
        let (in_force, now) = (self.in_force(closing.watermark), self.watermark(closing.watermark, all));
        let place = closing.end.expect("sessions are judged by themselves") as usize;
        let end = |key: &Key| match key[place] {
            Value::Timestamp(end) => end.0,
            _ => panic!("a window ends at a time"),
        };
        if closing.kind == ClosingKind::Late {
            let known = std::mem::replace(&mut self.keyed[table], keys.clone());
            let is_late = |key: &Key| match known.contains(key) {
                true => self.tables[table].contains_key(key),
                false => end(key) <= in_force,
            };
            return keys.into_iter().filter(is_late).collect();
        }
        let frozen: BTreeMap<Key, Epoch> = self.closed[table]
            .iter()
            .filter(|(_, since)| self.counts(**since))
            .map(|(key, since)| (key.clone(), *since))
            .collect();
        let mut there: BTreeSet<Key> = frozen.keys().cloned().collect();
        let mut closed = frozen;
        for key in keys {
            if there.contains(&key) || end(&key) <= in_force {
                continue;
            }
            if end(&key) <= now {
                closed.insert(key.clone(), self.epoch);
                there.insert(key);
            } else if closing.kind == ClosingKind::EarlyAndFinal {
                there.insert(key);
            }
        }
        self.closed[table] = closed;
        there
    }

    /// The watermark by which the epoch is judged.
    fn in_force(&self, watermark: u32) -> i64 {
        let seen = self.greatest[watermark as usize].iter();
        let in_force = seen.filter(|(since, _)| *since == 0 || self.counts(*since)).map(|(_, at)| *at).max();
        in_force.expect("there is a first").saturating_sub(self.plan.watermarks[watermark as usize].lateness)
    }

    /// The watermark as the epoch leaves it.
    fn watermark(&self, watermark: u32, all: &[BTreeMap<Key, Vec<Cell>>]) -> i64 {
        let (seen, watermark) = (&self.greatest[watermark as usize], &self.plan.watermarks[watermark as usize]);
        greatest(watermark, all).max(seen.last().expect("there is a first").1).saturating_sub(watermark.lateness)
    }

    fn move_watermarks(&mut self, cells: &[BTreeMap<Key, Vec<Cell>>]) {
        for (at, watermark) in self.plan.watermarks.iter().enumerate() {
            let now = greatest(watermark, cells);
            if now > self.greatest[at].last().expect("there is a first").1 {
                self.greatest[at].push((self.epoch, now));
            }
        }
    }

    /// The types of what the rows give: the value's, and that of the second value.
    fn types(&self, group: u32) -> Vec<Type> {
        let group = &self.plan.groups[group as usize];
        let slots = &self.plan.regions[group.from.0 as usize].slots;
        std::iter::once(&group.contribution).chain(&group.second).map(|slot| slots[slot.0 as usize].ty.clone()).collect()
    }

    fn grouped(&self, group: &Group, all: &[BTreeMap<Key, Vec<Cell>>]) -> BTreeMap<Key, Vec<Given>> {
        let table = &self.plan.tables[self.plan.regions[group.from.0 as usize].table.0 as usize];
        let mut groups: BTreeMap<Key, Vec<Given>> = BTreeMap::new();
        for (key, row) in &all[group.from.0 as usize] {
            for parent in other_keys(row, &group.parent_key, &group.key_types, &group.parts) {
                let value = row[group.contribution.0 as usize].clone();
                let second = group.second.map(|second| row[second.0 as usize].clone());
                let key = if table.key.as_ref().is_some_and(Vec::is_empty) { Key::new() } else { key.clone() };
                groups.entry(parent).or_default().push(Given { value, second, key });
            }
        }
        groups
    }

    fn cell(&self, region: usize, cell: &thalweg_graph::plan::Cell, key: &Key, slots: &[Cell], lived: bool) -> Cell {
        let own = cell.slot.0;
        let last = self.shown.get(&(region, key.clone(), own)).cloned();
        match &cell.kind {
            CellKind::Formula => evaluate(&cell.expr, &|id| slots[id.0 as usize].clone()),
            CellKind::SelfReference { init } => {
                if self.is_opened(region, key, own) {
                    let me = Value::Int(OPENED);
                    return evaluate(&cell.expr, &|id| if id.0 == own { Ok(me.clone()) } else { slots[id.0 as usize].clone() });
                }
                let previous = if lived { self.cells[region].get(key) } else { None };
                let inputs: Vec<InputId> = cell.expr.inputs().into_iter().filter(|id| id.0 != own).collect();
                if let Some(previous) = previous
                    && inputs.iter().all(|id| previous[id.0 as usize] == slots[id.0 as usize])
                {
                    return previous[own as usize].clone();
                }
                let me = if previous.is_some() { last.unwrap_or(Value::Null) } else { init.clone() };
                evaluate(&cell.expr, &|id| if id.0 == own { Ok(me.clone()) } else { slots[id.0 as usize].clone() })
            }
        }
    }

    // ---- lines -------------------------------------------------------------------------------------------------

    fn report(&mut self, before: &[BTreeMap<Key, Whole>], cells: &[BTreeMap<Key, Vec<Cell>>], fill: bool, now: Timestamp) {
        let plan = self.plan.clone();
        for (at, region) in plan.regions.iter().enumerate() {
            let table = region.table.0 as usize;
            let global = plan.tables[table].name.is_empty();
            let old_keys: BTreeSet<Key> = self.cells[at].keys().cloned().collect();
            let all_keys: BTreeSet<Key> = old_keys.iter().chain(cells[at].keys()).cloned().collect();
            for key in all_keys {
                let lived = if global { self.epoch > 1 } else { before[table].contains_key(&key) };
                let lives = cells[at].contains_key(&key);
                for cell in &region.cells {
                    let slot = cell.slot.0;
                    let old = if lived { self.cells[at].get(&key).map(|slots| slots[slot as usize].clone()) } else { None };
                    let new = cells[at].get(&key).map(|slots| slots[slot as usize].clone());
                    let place = (at, key.clone(), slot);
                    let old_shown = if lived { self.shown.get(&place).cloned().unwrap_or(Value::Null) } else { Value::Null };
                    let new_shown = match &new {
                        Some(Ok(value)) => value.clone(),
                        // A self-reference that fails at once still has its first value behind it.
                        // What is computed when somebody asks has no history.
                        Some(Err(_)) if cell.waits => Value::Null,
                        Some(Err(_)) => match &cell.kind {
                            CellKind::SelfReference { init } if !lived => init.clone(),
                            _ => old_shown.clone(),
                        },
                        None => Value::Null,
                    };
                    if let Some(field) = cell.field.filter(|_| !cell.waits) {
                        self.field_lines(
                            &plan.fields[field.0 as usize].name,
                            &key,
                            (old.clone(), new.clone()),
                            (old_shown.clone(), new_shown.clone()),
                        );
                    }
                    for (id, effect) in plan.effects.iter().enumerate() {
                        if (effect.region.0 as usize, effect.when.0) == (at, slot) {
                            self.error_lines(&effect.name, &key, &old, &new);
                            let rises = !old_shown.is_true() && matches!(&new, Some(Ok(value)) if value.is_true());
                            if rises && !fill {
                                self.fire(id, effect, &key, &cells[at][&key], now);
                            }
                            if old_shown.is_true() && !new_shown.is_true() && effect.reminder().is_some() {
                                let (table, key) = (plan.tables[table].name.clone(), key.as_slice().into());
                                let (epoch, rule) = (self.epoch, TimerOf::Effect(id as u32));
                                self.out.cancelled.push(TimerCancelled { epoch, rule, table, key });
                            }
                        }
                    }
                    if lives && !cell.waits {
                        self.shown.insert(place, new_shown)
                    } else {
                        self.shown.remove(&place)
                    };
                }
            }
        }
    }

    fn error_lines(&mut self, node: &Arc<str>, key: &Key, old: &Option<Cell>, new: &Option<Cell>) {
        if old == new {
            return;
        }
        for (cell, cleared) in [(old, true), (new, false)] {
            if let Some(Err(error)) = cell {
                let (epoch, key) = (self.epoch, key.as_slice().into());
                self.out.errors.push(ErrorChange { epoch, node: node.clone(), key, error: error.clone(), cleared });
            }
        }
    }

    fn field_lines(&mut self, node: &Arc<str>, key: &Key, (old, new): (Option<Cell>, Option<Cell>), (was, is): (Value, Value)) {
        self.error_lines(node, key, &old, &new);
        if was != is {
            let (epoch, key, gone) = (self.epoch, key.as_slice().into(), new.is_none());
            self.out.deltas.push(Delta { epoch, node: node.clone(), key, old: was, new: is, gone });
        }
    }

    /// The fields of every living document, sorted.
    pub fn final_documents(&self) -> Vec<Document> {
        let mut documents = Vec::new();
        for field in &self.plan.fields {
            let region = field.region.0 as usize;
            for (key, slots) in &self.cells[region] {
                let waits = field.lazy == Some(Laziness::Waits);
                let kept = self.shown.get(&(region, key.clone(), field.slot.0)).cloned();
                let asked = slots[field.slot.0 as usize].clone().ok().filter(|_| waits);
                let value = asked.or(kept).unwrap_or(Value::Null);
                let error = slots[field.slot.0 as usize].clone().err();
                documents.push(Document { node: field.name.clone(), key: key.as_slice().into(), value, error });
            }
        }
        documents.sort_by(|a, b| a.node.cmp(&b.node).then_with(|| a.key.cmp(&b.key)));
        documents
    }

    /// The lines in the order in which the engine gives them.
    pub fn sorted(mut self) -> Outcome {
        self.out.fired.sort_by(|a, b| (a.epoch, &a.node, &a.key, a.version).cmp(&(b.epoch, &b.node, &b.key, b.version)));
        let place = |e: &ErrorChange| (e.epoch, e.node.clone(), e.key.clone(), !e.cleared, e.error.clone());
        self.out.errors.sort_by_key(place);
        self.out.timers.sort_by(|a, b| (a.epoch, a.rule, &a.key, a.due).cmp(&(b.epoch, b.rule, &b.key, b.due)));
        let place = |c: &TimerCancelled| (c.epoch, c.rule, c.table.clone(), c.key.clone());
        self.out.cancelled.sort_by_key(place);
        self.out
    }
}
