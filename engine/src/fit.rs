//! State of one definition given to another: what the other has no place for is left out.
//!
//! A name is all that state knows of where it belongs. So what is kept is what has the same name and a value that the new definition's type
//! holds as it is; a derived table whose key is another one begins without windows that were final.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::coerce::coerce;
use thalweg_formulas::{Type, Value};
use thalweg_graph::Plan;
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::ClosingKind;
use thalweg_graph::state::EngineState;

use crate::edges::endings;
use crate::memory::condition_name;
use crate::region::closing::{frozen_name, kept_name};

/// Leaves out of `state` what `plan` cannot take.
pub fn fit(plan: &Plan, state: &mut EngineState) {
    let values = values(plan);
    let keys = keys(plan);
    state.selves.retain(|(name, key, value)| {
        keys.get(name).is_none_or(|types| holds_key(types, key)) && values.get(name).is_none_or(|ty| holds(ty, value))
    });
    state.held.retain(|(name, _, value)| values.get(name).is_none_or(|ty| holds(ty, value)));
}

/// The types of what is remembered by document.
fn values(plan: &Plan) -> HashMap<Arc<str>, Type> {
    let fields = plan.fields.iter().map(|field| (field.name.clone(), field.ty.clone()));
    let conditions = plan.effects.iter().map(|effect| (condition_name(&effect.name), Type::Bool));
    let frozen = plan.regions.iter().flat_map(|region| {
        let table = &plan.tables[region.table.0 as usize].name;
        region.slots.iter().map(move |slot| (frozen_name(table, &slot.name).into(), slot.ty.clone()))
    });
    fields.chain(conditions).chain(frozen).collect()
}

/// The types of the keys of windows that are final, and of rows that were late.
fn keys(plan: &Plan) -> HashMap<Arc<str>, Vec<Type>> {
    let kinds = [ClosingKind::Final, ClosingKind::Late];
    let of = |table: &thalweg_graph::plan::Table| {
        let key = table.key.iter().flatten().map(|column| table.columns[column.0 as usize].ty.clone()).collect::<Vec<_>>();
        kinds.map(|kind| (kept_name(kind, &table.name), key.clone()))
    };
    plan.tables.iter().filter(|table| table.is_derived()).flat_map(of).chain(endings::exported(plan)).collect()
}

fn holds_key(types: &[Type], key: &Key) -> bool {
    types.len() == key.len() && types.iter().zip(key.iter()).all(|(ty, value)| holds(ty, value))
}

fn holds(ty: &Type, value: &Value) -> bool {
    coerce(value.clone(), ty).is_ok_and(|coerced| coerced == *value)
}
