//! One step: read where the goal stands, move its fields, write that as a transaction.
//!
//! The slopes of all moved rows are one gradient, in the order of variables and keys: it is clipped as one. A row whose slope is NULL is left as it
//! is, its optimiser's state too. Bounds are kept by projection after the step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::plan::{Goal, Plan, Variable};
use thalweg_graph::transaction::{Body, STEP};
use thalweg_graph::{Change, Transaction};

use super::rows::{self, Standing};

/// Why a goal takes no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is paused.
    Paused,
    /// No part of the gradient that can be followed is above its tolerance.
    Still,
    /// Every objective has the value that it is to have.
    Reached,
    /// An objective or a slope is no finite number.
    NoNumber,
    /// The step would lead to what is no finite number: it is not taken, and the values before it stay.
    Diverged,
    /// There is no row to move.
    Nothing,
}

impl Stop {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Stop::Paused => "paused",
            Stop::Still => "still",
            Stop::Reached => "reached",
            Stop::NoNumber => "no number",
            Stop::Diverged => "diverged",
            Stop::Nothing => "no rows",
        }
    }
}

/// A row that can be moved.
struct Moved {
    variable: usize,
    key: Arc<[Value]>,
    value: f64,
    slope: f64,
    state: Vec<f64>,
}

/// The next step of goal number `goal`; `lefts` tells of every goal how many steps may still follow after it.
pub(super) fn step(
    plan: &Plan,
    engine: &mut Engine,
    goal: usize,
    lefts: &[(usize, u64)],
    at: Timestamp,
) -> Result<Transaction, Stop> {
    let wanted = &plan.goals[goal];
    let mut standing = rows::standing(engine, wanted);
    if standing.paused {
        return Err(Stop::Paused);
    }
    let loss = loss(engine, wanted)?;
    let mut changes = Vec::new();
    let mut moved = read(plan, engine, wanted, &mut changes)?;
    if moved.is_empty() {
        return Err(Stop::Nothing);
    }
    let stuck = |row: &Moved| wanted.variables[row.variable].bounds.inward(row.value, row.slope).abs() <= wanted.tolerance;
    if moved.iter().all(stuck) {
        return Err(Stop::Still);
    }
    standing.steps += 1;
    move_all(wanted, &mut standing, &mut moved);
    let states = moved.iter().flat_map(|row| &row.state).chain(&standing.state);
    if !moved.iter().map(|row| &row.value).chain(states).all(|x| x.is_finite()) {
        return Err(Stop::Diverged);
    }
    let schemas: Vec<_> = wanted.variables.iter().map(|variable| rows::values_schema(plan, variable)).collect();
    changes.extend(moved.iter().map(|row| rows::value_row(&schemas[row.variable], &row.key, row.value, &row.state)));
    standing.loss = Some(loss);
    standing.epoch = engine.epoch() + 1;
    let origin = format!("goal {} {}", wanted.name, standing.steps).into();
    for (of, left) in lefts {
        let other = &plan.goals[*of];
        let stands = if *of == goal { standing.clone() } else { rows::standing(engine, other) };
        let told = Standing { left: *left, ..stands };
        if *of == goal || other.online.is_some() {
            changes.push(rows::goal_row(&other.name, &told));
        }
    }
    Ok(Transaction { source: STEP.into(), origin, at, body: Body::Changes(changes) })
}

/// The loss where the goal stands.
fn loss(engine: &mut Engine, goal: &Goal) -> Result<f64, Stop> {
    let mut sum = 0.0;
    let mut reached = true;
    for objective in &goal.objectives {
        let value = engine.read(&objective.field, &[]).and_then(|cell| rows::double(&cell)).ok_or(Stop::NoNumber)?;
        sum += objective.loss(value);
        reached &= objective.is_reached(value);
    }
    match sum.is_finite() {
        true if reached => Err(Stop::Reached),
        true => Ok(sum),
        false => Err(Stop::NoNumber),
    }
}

/// The rows that can be moved, by variable and key; what is kept of rows that are gone goes with `changes`.
fn read(plan: &Plan, engine: &mut Engine, goal: &Goal, changes: &mut Vec<Change>) -> Result<Vec<Moved>, Stop> {
    let mut moved = Vec::new();
    for (number, variable) in goal.variables.iter().enumerate() {
        let Some(gradient) = &variable.gradient else { continue };
        let mut states = states(engine, variable);
        let mut live = BTreeSet::new();
        for row in engine.rows(&variable.table, &[&variable.field, gradient]) {
            let key: Arc<[Value]> = if variable.table.is_empty() {
                [Value::text(variable.field.clone())].into()
            } else {
                row.key.iter().cloned().collect()
            };
            live.insert(key.clone());
            let [Some(value), Some(slope)] = &row.cells[..] else { continue };
            if matches!(slope, Ok(Value::Null)) {
                continue;
            }
            let value = rows::double(value).ok_or(Stop::NoNumber)?;
            let slope = rows::double(slope).filter(|slope| slope.is_finite()).ok_or(Stop::NoNumber)?;
            let state = states.remove(&key).unwrap_or_default();
            moved.push(Moved { variable: number, key, value, slope, state });
        }
        let schema = rows::values_schema(plan, variable);
        changes.extend(states.keys().filter(|key| !live.contains(*key)).map(|key| rows::gone_row(&schema, key)));
    }
    Ok(moved)
}

/// What the optimiser keeps of each row.
fn states(engine: &mut Engine, variable: &Variable) -> BTreeMap<Arc<[Value]>, Vec<f64>> {
    let rows = engine.rows(&variable.values, &[&format!("{}.state", variable.values)]);
    let state = |cells: &[Option<thalweg_formulas::Cell>]| cells[0].as_ref().map(rows::doubles).unwrap_or_default();
    rows.into_iter().map(|row| (row.key.iter().cloned().collect(), state(&row.cells))).collect()
}

/// Moves the rows of a goal by one step.
fn move_all(goal: &Goal, standing: &mut Standing, moved: &mut [Moved]) {
    let optimizer = &goal.optimizer;
    let rate = optimizer.schedule.rate(optimizer.rate, standing.steps);
    let mut gradient: Vec<f64> = moved.iter().map(|row| row.slope).collect();
    if let Some(clip) = optimizer.clip {
        clip.apply(&mut gradient);
    }
    if optimizer.rule.is_elementwise() {
        for (row, slope) in moved.iter_mut().zip(&gradient) {
            optimizer.rule.step(rate, std::slice::from_mut(&mut row.value), &[*slope], &mut row.state);
        }
    } else {
        let mut values: Vec<f64> = moved.iter().map(|row| row.value).collect();
        optimizer.rule.step(rate, &mut values, &gradient, &mut standing.state);
        moved.iter_mut().zip(values).for_each(|(row, value)| row.value = value);
    }
    for row in moved {
        row.value = goal.variables[row.variable].bounds.nearest(row.value);
    }
}
