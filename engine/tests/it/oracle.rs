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
    /// By table of late rows: the keys that rows have, late or not.
    keyed: Vec<BTreeSet<Key>>,
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
            keyed: vec![BTreeSet::new(); plan.tables.len()],
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
        let cells = self.compute(&before);
        self.move_watermarks(&cells);
        self.report(&before, &cells, fill, tx.at);
        self.react(&before, tx, fill);
        self.cells = cells;
        if let Body::Timer(timer) = &tx.body {
            self.remind(timer, tx.at);
        }
        self.out.through = self.epoch;
    }

    // ---- rows --------------------------------------------------------------------------------------------------

    fn apply(&mut self, change: &Change) {
        for table in 0..self.plan.tables.len() {
            let is_read = !self.plan.tables[table].is_derived() && !self.plan.tables[table].name.is_empty();
            if is_read && self.plan.tables[table].from == change.schema.table {
                let (mut names, multiset) = self.key_names(table, change);
                names.extend(multiset.then(|| Arc::from("#")));
                self.keys[table] = names;
                let mut rows = self.tables[table].clone();
                match self.applied(table, &mut rows, change) {
                    Ok(()) => self.tables[table] = rows,
                    Err((key, error)) => {
                        let node = self.plan.tables[table].name.clone();
                        self.out.errors.push(ErrorChange { epoch: self.epoch, node, key: key.into(), error, cleared: false });
                    }
                }
            }
        }
    }

    fn column_type(&self, table: usize, name: &Arc<str>) -> Type {
        self.plan.tables[table].columns.iter().find(|column| column.name == *name).map_or(Type::Dyn, |column| column.ty.clone())
    }

    /// The given columns of an image, of their types.
    fn typed(&self, table: usize, change: &Change, image: &[Option<Value>]) -> Result<Whole, Error> {
        let mut typed = Whole::new();
        for (column, value) in change.schema.columns.iter().zip(image) {
            if let Some(value) = value {
                let value = coerce(value.clone(), &self.column_type(table, &column.name))
                    .map_err(|why| Error::new(332, format!("column `{}`: {why}", column.name)))?;
                typed.insert(Value::text(column.name.clone()), value);
            }
        }
        Ok(typed)
    }

    fn key_names(&self, table: usize, change: &Change) -> (Vec<Arc<str>>, bool) {
        match &self.plan.tables[table].key {
            Some(key) if !key.is_empty() => {
                (key.iter().map(|at| self.plan.tables[table].columns[at.0 as usize].name.clone()).collect(), false)
            }
            Some(_) => (change.schema.columns.iter().map(|column| column.name.clone()).collect(), true),
            None if change.schema.key.is_empty() => (change.schema.columns.iter().map(|c| c.name.clone()).collect(), true),
            None => (change.schema.key.iter().map(|at| change.schema.columns[*at as usize].name.clone()).collect(), false),
        }
    }

    fn applied(&self, table: usize, rows: &mut BTreeMap<Key, Whole>, change: &Change) -> Result<(), (Key, Error)> {
        let (names, multiset) = self.key_names(table, change);
        if multiset {
            return self.applied_to_values(table, rows, change, &names);
        }
        let raw = |image: &Option<Row>, name: &Arc<str>| {
            let at = change.schema.columns.iter().position(|column| column.name == *name)?;
            image.as_ref()?.get(at)?.clone()
        };
        let typed_key = |values: Vec<Option<Value>>| -> Result<Key, (Key, Error)> {
            let mut key = Key::new();
            let mut wrong = None;
            for (name, value) in names.iter().zip(values) {
                let value = value.unwrap_or(Value::Null);
                let (value, error) = match coerce(value.clone(), &self.column_type(table, name)) {
                    Ok(Value::Null) => {
                        (Value::Null, Some(Error::new(333, format!("the change gives no value for key column `{name}`"))))
                    }
                    Ok(value) => (value, None),
                    Err(why) => (value, Some(Error::new(332, format!("column `{name}`: {why}")))),
                };
                key.push(value);
                wrong = wrong.or(error);
            }
            wrong.map_or(Ok(key.clone()), |error| Err((key, error)))
        };
        let from = |image| names.iter().map(|name| raw(image, name)).collect::<Vec<_>>();
        let whole_key = |image: &&Option<Row>| names.iter().all(|name| raw(image, name).is_some());
        let order = match change.op {
            Op::Insert | Op::Upsert => [&change.after, &change.before],
            Op::Update | Op::Delete => [&change.before, &change.after],
        };
        let key = match &change.key {
            Some(key) => typed_key(key.iter().cloned().map(Some).collect())?,
            None => {
                let image = order.iter().find(|image| whole_key(image)).or_else(|| order.iter().find(|image| image.is_some()));
                typed_key(image.map_or(vec![None; names.len()], |image| from(image)))?
            }
        };
        let mut to = key.clone();
        if matches!(change.op, Op::Update | Op::Upsert) && change.after.is_some() {
            to = typed_key(names.iter().zip(&key).map(|(name, old)| raw(&change.after, name).or(Some(old.clone()))).collect())?;
        }
        let fail = |code: u16, text: &str| Err((key.clone(), Error::new(code, text)));
        let after = |rows: &BTreeMap<Key, Whole>, verb: &str| -> Result<Whole, (Key, Error)> {
            let _ = rows;
            let image = change
                .after
                .as_ref()
                .ok_or_else(|| (key.clone(), Error::new(334, format!("{verb} without a full `after` row"))))?;
            self.typed(table, change, image).map_err(|error| (key.clone(), error))
        };
        let put = |rows: &mut BTreeMap<Key, Whole>, key: &Key, base: Whole, given: Whole| {
            let mut row: Whole = change.schema.columns.iter().map(|c| (Value::text(c.name.clone()), Value::Null)).collect();
            row.extend(base);
            row.extend(given);
            row.extend(names.iter().map(|name| Value::text(name.clone())).zip(key.iter().cloned()));
            rows.insert(key.clone(), row);
        };
        match (change.op, rows.get(&key).cloned()) {
            (Op::Delete, Some(_)) => drop(rows.remove(&key)),
            (Op::Insert, Some(_)) => return fail(330, "insert of a row that exists"),
            (Op::Insert, None) => {
                let given = after(rows, "insert")?;
                put(rows, &key, Whole::new(), given);
            }
            (Op::Update, None) => return fail(331, "update of a row that does not exist"),
            (Op::Delete, None) => return fail(331, "delete of a row that does not exist"),
            (Op::Upsert, None) => {
                // It is about the key that it gives.
                let given = after(rows, "upsert").map_err(|(_, error)| (to.clone(), error))?;
                let base = rows.get(&to).cloned().unwrap_or_default();
                put(rows, &to, base, given);
            }
            (Op::Update | Op::Upsert, Some(_)) if to != key && rows.contains_key(&to) => {
                return fail(335, "change of key onto a row that exists");
            }
            (Op::Update | Op::Upsert, Some(row)) => {
                let given = after(rows, if change.op == Op::Update { "update" } else { "upsert" })?;
                rows.remove(&key);
                put(rows, &to, row, given);
            }
        }
        Ok(())
    }

    fn applied_to_values(
        &self,
        table: usize,
        rows: &mut BTreeMap<Key, Whole>,
        change: &Change,
        names: &[Arc<str>],
    ) -> Result<(), (Key, Error)> {
        let verb = format!("{:?}", change.op).to_lowercase();
        let lacks = |which: &str| (Key::new(), Error::new(334, format!("{verb} without a full `{which}` row")));
        let values = |row: &Whole| -> Key {
            names.iter().map(|name| row.get(&Value::text(name.clone())).cloned().unwrap_or(Value::Null)).collect()
        };
        let typed = |image: &Row| self.typed(table, change, image).map_err(|error| (Key::new(), error));
        let count = |rows: &BTreeMap<Key, Whole>, values: &Key| {
            rows.keys().filter(|key| key[..key.len() - 1] == values[..]).count() as i64
        };
        let add = |rows: &mut BTreeMap<Key, Whole>, given: Whole| {
            let mut key = values(&given);
            let occurrence = count(rows, &key) + 1;
            let row = names.iter().map(|name| Value::text(name.clone())).zip(key.iter().cloned()).collect();
            key.push(Value::Int(occurrence));
            rows.insert(key, row);
        };
        let take = |rows: &mut BTreeMap<Key, Whole>, given: &Whole| {
            let mut key = values(given);
            let occurrence = count(rows, &key);
            if occurrence == 0 {
                return Err((key, Error::new(331, format!("{verb} of a row that does not exist"))));
            }
            key.push(Value::Int(occurrence));
            rows.remove(&key);
            Ok(())
        };
        let full = |image: &&Row| image.iter().all(Option::is_some);
        match change.op {
            Op::Insert | Op::Upsert => add(rows, typed(change.after.as_ref().ok_or_else(|| lacks("after"))?)?),
            Op::Delete => take(rows, &typed(change.before.as_ref().filter(full).ok_or_else(|| lacks("before"))?)?)?,
            Op::Update => {
                let before = typed(change.before.as_ref().filter(full).ok_or_else(|| lacks("before"))?)?;
                let mut after = before.clone();
                after.extend(typed(change.after.as_ref().ok_or_else(|| lacks("after"))?)?);
                take(rows, &before)?;
                add(rows, after);
            }
        }
        Ok(())
    }

    // ---- cells -------------------------------------------------------------------------------------------------

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
            let sessions: BTreeMap<u32, BTreeMap<Key, Value>> = (0..)
                .zip(&plan.sessions)
                .filter(|(_, session)| session.into.0 as usize == at)
                .map(|(id, session)| (id, in_sessions(session, &all[session.from.0 as usize])))
                .collect();
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
                        SlotSource::Session(session) => sessions[&session.0].get(&key).cloned().map_or(Ok(Value::Null), Ok),
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
            (Some(edge), _) => {
                let edge = &self.plan.memberships[edge.0 as usize];
                let rows = all[edge.from.0 as usize].values();
                let keys = rows.flat_map(|row| other_keys(row, &edge.key, &edge.key_types, &edge.parts)).collect();
                match edge.closing {
                    Some(closing) => self.in_time(table, closing, keys, all),
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
        let watermark = self.plan.watermarks[closing.watermark as usize].clone();
        let seen = &self.greatest[closing.watermark as usize];
        let in_force = seen.iter().filter(|(since, _)| *since == 0 || self.counts(*since)).map(|(_, at)| *at).max();
        let in_force = in_force.expect("there is a first").saturating_sub(watermark.lateness);
        let now = greatest(&watermark, all).max(seen.last().expect("there is a first").1).saturating_sub(watermark.lateness);
        let end = |key: &Key| match key[closing.end as usize] {
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
                        Some(Err(_)) => match &cell.kind {
                            CellKind::SelfReference { init } if !lived => init.clone(),
                            _ => old_shown.clone(),
                        },
                        None => Value::Null,
                    };
                    if let Some(field) = cell.field {
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
                    if lives {
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

    /// The payload shows last good values; those of slots that are not cells are never in error here for long, so they are
    /// taken from the cells computed so far.
    fn fire(&mut self, id: usize, effect: &Effect, key: &Key, slots: &[Cell], now: Timestamp) {
        let count = self.triggers.entry((effect.name.clone(), key.clone())).or_insert(0);
        if effect.rearm == Rearm::Once && *count > 0 {
            return;
        }
        *count += 1;
        let version = 2 * *count - 1;
        let payload = effect.payload.iter().map(|(name, slot)| {
            let shown = self.shown.get(&(effect.region.0 as usize, key.clone(), slot.0)).cloned();
            (name.clone(), slots[slot.0 as usize].clone().unwrap_or_else(|_| shown.unwrap_or(Value::Null)))
        });
        let payload = Value::record(payload.collect::<Vec<_>>());
        let (epoch, rule) = (self.epoch, RuleId::Effect(id as u32));
        self.out.fired.push(Fired { epoch, node: effect.name.clone(), rule, key: key.as_slice().into(), version, payload });
        self.arm_reminder(id, effect, key, now);
    }

    fn arm_reminder(&mut self, id: usize, effect: &Effect, key: &Key, now: Timestamp) {
        let (Rearm::Level(every), Some(event)) = (effect.rearm, effect.reminder()) else { return };
        let (table, key) = (self.plan.tables[effect.table.0 as usize].name.clone(), key.as_slice().into());
        let (epoch, rule, due) = (self.epoch, RuleId::Effect(id as u32), Timestamp(now.0 + every));
        self.out.timers.push(TimerArmed { epoch, rule, event, table, key, due });
    }

    /// An effect that the timer brings up again fires if its condition holds; an error puts it off.
    fn remind(&mut self, timer: &TimerFired, now: Timestamp) {
        let plan = self.plan.clone();
        for (id, effect) in plan.effects.iter().enumerate() {
            let key = timer.key.to_vec();
            let region = effect.region.0 as usize;
            let Some(slots) = self.cells[region].get(&key).cloned().filter(|_| effect.reminder().as_ref() == Some(&timer.event))
            else {
                continue;
            };
            match &slots[effect.when.0 as usize] {
                Ok(value) if value.is_true() => self.fire(id, effect, &key, &slots, now),
                Err(_) if self.shown.get(&(region, key.clone(), effect.when.0)).is_some_and(Value::is_true) => {
                    self.arm_reminder(id, effect, &key, now);
                }
                _ => {}
            }
        }
    }

    fn react(&mut self, before: &[BTreeMap<Key, Whole>], tx: &Transaction, fill: bool) {
        if let Body::Timer(timer) = &tx.body {
            return self.react_to_timer(timer, tx);
        }
        let plan = self.plan.clone();
        for cancel in &plan.cancels {
            let table = cancel.table.0 as usize;
            let keys: BTreeSet<Key> = before[table].keys().chain(self.tables[table].keys()).cloned().collect();
            for key in keys {
                let (old, new) = (before[table].get(&key).cloned(), self.tables[table].get(&key).cloned());
                if old != new && cancel.event.is_none() && trigger_of(&old, &new).0 == cancel.trigger {
                    self.cancel(cancel, &key, &old, &new, tx);
                }
            }
        }
        if fill {
            return;
        }
        for (id, reaction) in plan.reactions.iter().enumerate() {
            let table = reaction.table.0 as usize;
            let keys: BTreeSet<Key> = before[table].keys().chain(self.tables[table].keys()).cloned().collect();
            for key in keys {
                let (old, new) = (before[table].get(&key).cloned(), self.tables[table].get(&key).cloned());
                let (trigger, op) = trigger_of(&old, &new);
                if old != new && trigger == reaction.trigger {
                    self.judge(id, reaction, &key, (op, &old, &new), tx);
                }
            }
        }
    }

    /// A timer's event is judged on the row as it stands.
    fn react_to_timer(&mut self, timer: &TimerFired, tx: &Transaction) {
        let plan = self.plan.clone();
        let Some(table) = plan.tables.iter().position(|table| table.name == timer.table) else { return };
        let each_row = plan.schedules.iter().any(|schedule| schedule.each_row && schedule.table.0 as usize == table);
        let keys: Vec<Key> = if timer.key.is_empty() && each_row {
            self.tables[table].keys().cloned().collect()
        } else {
            vec![timer.key.to_vec()]
        };
        for key in keys {
            let row = self.tables[table].get(&key).cloned();
            for cancel in &plan.cancels {
                if cancel.table.0 as usize == table
                    && cancel.trigger == Trigger::Timer
                    && cancel.event.as_ref() == Some(&timer.event)
                {
                    self.cancel(cancel, &key, &None, &row, tx);
                }
            }
            for (id, reaction) in plan.reactions.iter().enumerate() {
                let heard = reaction.trigger == Trigger::Timer && reaction.event == timer.event;
                if heard && reaction.table.0 as usize == table {
                    self.judge(id, reaction, &key, ("timer", &None, &row), tx);
                }
            }
        }
    }

    fn cancel(&mut self, cancel: &Cancel, key: &Key, old: &Option<Whole>, new: &Option<Whole>, tx: &Transaction) {
        let (epoch, key): (_, Arc<[Value]>) = (self.epoch, key.as_slice().into());
        let event = cancel.event.clone().unwrap_or_default();
        match self.over_change((cancel.table, &cancel.inputs, &event), cancel.condition.as_ref(), (old, new), tx) {
            Ok(value) if value.is_true() => {
                let table = self.plan.tables[cancel.table.0 as usize].name.clone();
                self.out.cancelled.push(TimerCancelled { epoch, rule: TimerOf::Rule(cancel.rule), table, key });
            }
            Ok(_) => {}
            Err(error) => {
                self.out.errors.push(ErrorChange { epoch, node: cancel.name.clone(), key, error, cleared: false });
            }
        }
    }

    fn judge(&mut self, id: usize, reaction: &Reaction, key: &Key, (op, old, new): Pulse<'_>, tx: &Transaction) {
        let epoch = self.epoch;
        let reads = (reaction.table, &reaction.inputs[..], &reaction.event);
        match self.over_change(reads, reaction.condition.as_ref(), (old, new), tx) {
            Ok(value) if value.is_true() => {}
            Ok(_) => return,
            Err(error) => {
                let (node, key) = (reaction.name.clone(), key.as_slice().into());
                return self.out.errors.push(ErrorChange { epoch, node, key, error, cleared: false });
            }
        }
        let count = self.triggers.entry((reaction.name.clone(), key.clone())).or_insert(0);
        *count += 1;
        let version = 2 * *count - 1;
        let table = &self.plan.tables[reaction.table.0 as usize];
        let map = |row: &Option<Whole>| row.clone().map_or(Value::Null, |row| Value::Map(Arc::new(row)));
        let names = self.keys[reaction.table.0 as usize].iter().cloned();
        let payload = Value::record([
            ("event", Value::text(reaction.event.clone())),
            ("table", Value::text(table.from.clone())),
            ("op", Value::from(op)),
            ("key", Value::record(names.zip(key.iter().cloned()))),
            ("old", map(old)),
            ("new", map(new)),
        ]);
        let (node, key, rule) = (reaction.name.clone(), key.as_slice().into(), RuleId::Reaction(id as u32));
        self.out.fired.push(Fired { epoch, node, rule, key, version, payload });
        let Some(timer) = &reaction.timer else { return };
        let (table, key) = (table.name.clone(), self.out.fired.last().expect("just pushed").key.clone());
        let due = match &timer.due {
            Due::After(delay) => Ok(Value::Timestamp(Timestamp(tx.at.0 + delay))),
            Due::At { expr, .. } => self.over_change(reads, Some(expr), (old, new), tx),
        };
        match due {
            Ok(Value::Timestamp(due)) => {
                let due = if let Due::At { .. } = timer.due { due.max(Timestamp(tx.at.0 + 100_000)) } else { due };
                self.out.timers.push(TimerArmed {
                    epoch,
                    rule: RuleId::Reaction(id as u32),
                    event: timer.event.clone(),
                    table,
                    key,
                    due,
                });
            }
            Ok(Value::Null) => {}
            Ok(other) => panic!("the generator's times are timestamps: {other:?}"),
            Err(error) => {
                self.out.errors.push(ErrorChange { epoch, node: reaction.name.clone(), key, error, cleared: false });
            }
        }
    }

    /// What a formula gives over a change; nothing is true.
    fn over_change(
        &self,
        (table, inputs, event): (TableId, &[ReactionInput], &Arc<str>),
        formula: Option<&Expr>,
        (old, new): (&Option<Whole>, &Option<Whole>),
        tx: &Transaction,
    ) -> Cell {
        let table = &self.plan.tables[table.0 as usize];
        let bare = new.clone().or(old.clone());
        let column = |row: &Option<Whole>, at: &ColumnId| {
            let name = Value::text(table.columns[at.0 as usize].name.clone());
            row.as_ref().and_then(|row| row.get(&name)).cloned().unwrap_or(Value::Null)
        };
        let map = |row: &Option<Whole>| row.clone().map_or(Value::Null, |row| Value::Map(Arc::new(row)));
        let input = |id: InputId| {
            Ok(match &inputs[id.0 as usize] {
                ReactionInput::Old(at) => column(old, at),
                ReactionInput::New(at) => column(new, at),
                ReactionInput::Bare(at) => column(&bare, at),
                ReactionInput::OldRow => map(old),
                ReactionInput::NewRow => map(new),
                ReactionInput::BareRow => map(&bare),
                ReactionInput::EventName => Value::text(event.clone()),
                ReactionInput::TxOrigin => Value::text(tx.origin.clone()),
                ReactionInput::Now => Value::Timestamp(tx.at),
            })
        };
        formula.map_or(Ok(Value::Bool(true)), |formula| evaluate(formula, &input))
    }

    /// The fields of every living document, sorted.
    pub fn final_documents(&self) -> Vec<Document> {
        let mut documents = Vec::new();
        for field in &self.plan.fields {
            let region = field.region.0 as usize;
            for (key, slots) in &self.cells[region] {
                let value = self.shown.get(&(region, key.clone(), field.slot.0)).cloned().unwrap_or(Value::Null);
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

/// What happened to a row.
fn trigger_of(old: &Option<Whole>, new: &Option<Whole>) -> (Trigger, &'static str) {
    match (old, new) {
        (None, Some(_)) => (Trigger::Insert, "insert"),
        (Some(_), None) => (Trigger::Delete, "delete"),
        _ => (Trigger::Update, "update"),
    }
}

/// The names of a declared key.
fn declared(table: &Table) -> Vec<Arc<str>> {
    table.key.iter().flatten().map(|at| table.columns[at.0 as usize].name.clone()).collect()
}

/// What happened to a row, and the row before and after.
type Pulse<'a> = (&'static str, &'a Option<Whole>, &'a Option<Whole>);

/// The key in some slots of a row, where it is one.
fn other_key(row: &[Cell], slots: &[SlotId], types: &[Type]) -> Option<Key> {
    let values = slots.iter().zip(types).map(|(slot, ty)| coerce(row[slot.0 as usize].clone().ok()?, ty).ok());
    let key: Key = values.collect::<Option<_>>()?;
    (!key.iter().any(Value::is_null)).then_some(key)
}

/// The greatest time that rows have.
fn greatest(watermark: &Watermark, cells: &[BTreeMap<Key, Vec<Cell>>]) -> i64 {
    let times = cells[watermark.from.0 as usize].values().filter_map(|row| match &row[watermark.on.0 as usize] {
        Ok(Value::Timestamp(at)) => Some(at.0),
        _ => None,
    });
    times.max().unwrap_or(i64::MIN)
}

/// When the session of each row starts.
fn in_sessions(session: &Session, rows: &BTreeMap<Key, Vec<Cell>>) -> BTreeMap<Key, Value> {
    let mut by_key: BTreeMap<Key, Vec<(i64, Key)>> = BTreeMap::new();
    for (key, row) in rows {
        if let (Some(of), Ok(Value::Timestamp(at))) =
            (other_key(row, &session.key, &session.key_types), &row[session.on.0 as usize])
        {
            by_key.entry(of).or_default().push((at.0, key.clone()));
        }
    }
    let mut starts = BTreeMap::new();
    for mut rows in by_key.into_values() {
        rows.sort();
        let (mut start, mut last) = (rows[0].0, rows[0].0);
        for (at, key) in rows {
            start = if at - last > session.gap { at } else { start };
            last = at;
            starts.insert(key, Value::Timestamp(Timestamp(start)));
        }
    }
    starts
}

/// The keys in some slots of a row, where it may be in several documents.
fn other_keys(row: &[Cell], slots: &[SlotId], types: &[Type], parts: &[Part]) -> BTreeSet<Key> {
    if parts.is_empty() {
        return other_key(row, slots, types).into_iter().collect();
    }
    let mut keys = BTreeSet::from([Key::new()]);
    for ((slot, ty), part) in slots.iter().zip(types).zip(parts) {
        let here = &row[slot.0 as usize];
        let values = |key: &Key| match (part, here) {
            (_, Err(_)) => Vec::new(),
            (Part::One, Ok(value)) => vec![value.clone()],
            (Part::Each, Ok(Value::List(items))) => items.to_vec(),
            (Part::Each, Ok(_)) => Vec::new(),
            (Part::Later(by), Ok(_)) => match key.last() {
                Some(Value::Timestamp(start)) => vec![Value::Timestamp(Timestamp(start.0 + by))],
                _ => Vec::new(),
            },
        };
        let mut longer = BTreeSet::new();
        for key in &keys {
            let typed = values(key).into_iter().filter_map(|value| coerce(value, ty).ok()).filter(|value| !value.is_null());
            longer.extend(typed.map(|value| key.iter().cloned().chain([value]).collect::<Key>()));
        }
        keys = longer;
    }
    keys
}

/// Every row of one side with every row of the other, where all is equal and the condition true.
fn pairs(join: &Join, all: &[BTreeMap<Key, Vec<Cell>>]) -> BTreeSet<Key> {
    let [left, right] = &join.sides;
    let mut pairs = BTreeSet::new();
    for (one, a) in &all[left.from.0 as usize] {
        for (other, b) in &all[right.from.0 as usize] {
            let on = other_key(a, &left.on, &join.on_types);
            let meets = on.is_some() && on == other_key(b, &right.on, &join.on_types);
            let shown: Vec<Cell> = left.given.iter().map(|slot| a[slot.0 as usize].clone()).collect();
            let shown: Vec<Cell> = shown.into_iter().chain(right.given.iter().map(|slot| b[slot.0 as usize].clone())).collect();
            let holds =
                |condition: &Expr| evaluate(condition, &|id| shown[id.0 as usize].clone()).is_ok_and(|value| value.is_true());
            if meets && join.condition.as_ref().is_none_or(holds) {
                pairs.insert([one.as_slice(), other].concat());
            }
        }
    }
    pairs
}
