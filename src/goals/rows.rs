//! The rows of goals: read from the engine, and as changes of the tables that goals own.

use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::{Cell, Type, Value};
use thalweg_graph::plan::{GOAL_COLUMNS, GOALS, Goal, Plan, Variable};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{Change, Epoch, Op, Row, Schema};

/// How a goal stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Steps that it has taken.
    pub steps: u64,
    /// The epoch of the last of them; 0: none.
    pub epoch: Epoch,
    /// How many may still follow without new data.
    pub left: u64,
    /// It takes none until it is told to go on.
    pub paused: bool,
    /// The loss before the last step.
    pub loss: Option<f64>,
    /// What the optimiser keeps of all fields together.
    pub state: Vec<f64>,
}

/// How a goal stands; a new one where it has never stepped.
pub(super) fn standing(engine: &mut Engine, goal: &Goal) -> Standing {
    let key = [Value::text(goal.name.clone())];
    let [steps, epoch, left, paused, loss, state] =
        GOAL_COLUMNS.map(|(column, _)| engine.read(&format!("{GOALS}.{column}"), &key));
    Standing {
        steps: whole(steps),
        epoch: whole(epoch),
        left: whole(left),
        paused: matches!(paused, Some(Ok(Value::Bool(true)))),
        loss: loss.and_then(|loss| double(&loss)),
        state: state.map(|state| doubles(&state)).unwrap_or_default(),
    }
}

fn whole(cell: Option<Cell>) -> u64 {
    match cell {
        Some(Ok(Value::Int(n))) => u64::try_from(n).unwrap_or(0),
        _ => 0,
    }
}

/// A cell that is a number.
pub(super) fn double(cell: &Cell) -> Option<f64> {
    match cell {
        Ok(Value::Double(x)) => Some(*x),
        Ok(Value::Int(x)) => Some(*x as f64),
        Ok(Value::Uint(x)) => Some(*x as f64),
        Ok(Value::Decimal(x)) => Some(x.to_f64()),
        _ => None,
    }
}

/// A cell that is a list of doubles.
pub(super) fn doubles(cell: &Cell) -> Vec<f64> {
    match cell {
        Ok(Value::List(items)) => items.iter().filter_map(|item| double(&Ok(item.clone()))).collect(),
        _ => Vec::new(),
    }
}

/// The row of a goal.
pub(super) fn goal_row(name: &Arc<str>, standing: &Standing) -> Change {
    let columns =
        GOAL_COLUMNS.map(|(name, ty)| column(name, Type::parse(ty).expect("invariant: the columns of goals have types")));
    let schema =
        Schema { table: GOALS.into(), columns: [vec![column("name", Type::Text)], columns.into()].concat(), key: vec![0] };
    let row = [
        Value::text(name.clone()),
        Value::Int(standing.steps as i64),
        Value::Int(standing.epoch as i64),
        Value::Int(standing.left as i64),
        Value::Bool(standing.paused),
        standing.loss.map_or(Value::Null, Value::double),
        list(&standing.state),
    ];
    upsert(&Arc::new(schema), row.into())
}

/// The loss that a change of the goals' table writes for this goal.
pub(super) fn loss_of(change: &Change, goal: &str) -> Option<f64> {
    let row = change.after.as_ref()?;
    let is_of = row.first() == Some(&Some(Value::text(goal)));
    let at = 1 + GOAL_COLUMNS.iter().position(|(name, _)| *name == "loss")?;
    is_of.then(|| double(&Ok(row.get(at)?.clone()?))).flatten()
}

/// The layout of a variable's table of values, with the types that the plan knows.
pub(super) fn values_schema(plan: &Plan, variable: &Variable) -> Arc<Schema> {
    let (_, table) = plan.table(&variable.values).expect("invariant: the plan has the tables of its goals");
    let columns: Vec<SchemaColumn> =
        table.columns.iter().map(|column| SchemaColumn::new(column.name.clone(), column.ty.clone())).collect();
    let key = (0..variable.key.len() as u32).collect();
    Arc::new(Schema { table: variable.values.clone(), columns, key })
}

/// A value of a variable.
pub(super) fn value_row(schema: &Arc<Schema>, key: &[Value], value: f64, state: &[f64]) -> Change {
    upsert(schema, key.iter().cloned().chain([Value::double(value), list(state)]).collect())
}

/// The value of a document that is gone goes.
pub(super) fn gone_row(schema: &Arc<Schema>, key: &[Value]) -> Change {
    Change { schema: schema.clone(), op: Op::Delete, key: Some(key.into()), before: None, after: None }
}

fn upsert(schema: &Arc<Schema>, row: Vec<Value>) -> Change {
    let after: Row = row.into_iter().map(Some).collect();
    Change { schema: schema.clone(), op: Op::Upsert, key: None, before: None, after: Some(after) }
}

fn column(name: &str, ty: Type) -> SchemaColumn {
    SchemaColumn::new(name.into(), ty)
}

fn list(items: &[f64]) -> Value {
    Value::list(items.iter().map(|x| Value::double(*x)))
}
