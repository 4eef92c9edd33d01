//! Goals: what they mean in tables, fields and relations, before anything is planned, and their gradients afterwards.
//!
//! A goal needs nothing of its own in the plan: its objective is a global field, a field that it moves is a derived field that looks up a
//! row, and the gradient is derived fields again. So a definition with goals becomes one without, and the rest of planning knows them not.
//!
//! | written | becomes |
//! |---|---|
//! | variable `Product.price` | table `@Product.price` with the key of `Product`, `value` and `state`; relation `` Product.`@price` ``; field ``Product.price = coalesce(`@price`.value, init)`` |
//! | variable `price` | table `@price` of one row; field ``price = coalesce(max(`@price`[*].value), init)`` |
//! | `maximize = "…"` of goal `profit` | field `goal profit` with that formula |
//! | the gradient | field `Product.price gradient`: the slope of the loss, kept like any other |
//! | how goals stand | table `@goals` |
//!
//! A step is a transaction that writes rows of these tables.

mod gradient;
mod read;

pub(super) use gradient::differentiate;
pub(super) use read::expand;

use std::collections::BTreeMap;

use thalweg_training::{Bounds, Optimizer};

use crate::plan::Direction;
use crate::spec::{GraphSpec, Place};

/// A definition in which goals have become tables and fields.
pub(super) struct Expanded {
    pub(super) spec: GraphSpec,
    leads: Vec<Lead>,
    /// Where tables and fields come from that were not written.
    tables: BTreeMap<usize, Place>,
    fields: BTreeMap<usize, Place>,
    /// What is written at a place in these fields.
    formulas: BTreeMap<usize, Place>,
}

/// A goal with the goals that share its fields.
struct Lead {
    /// Its place in the definition.
    spec: usize,
    name: String,
    objectives: Vec<Part>,
    variables: Vec<Moved>,
    optimizer: Optimizer,
    online: Option<u64>,
    tolerance: f64,
}

/// An objective.
struct Part {
    name: String,
    /// Its field's place in the expanded definition.
    field: usize,
    direction: Direction,
    weight: f64,
}

/// A field that is moved.
struct Moved {
    name: String,
    /// Its field's place in the expanded definition.
    field: usize,
    /// The document type and the key columns of the table of values.
    table: String,
    key: Vec<String>,
    bounds: Bounds,
    init: f64,
    frozen: bool,
}

impl Moved {
    fn values(&self) -> String {
        format!("@{}", self.name)
    }
}

impl Expanded {
    /// Where a place of the expanded definition was written.
    pub(super) fn place(&self, place: Place) -> Place {
        let written = match &place {
            Place::Table(ix, key) => {
                let own = key.strip_prefix("relations.").and_then(|name| self.relation(*ix, name));
                own.or_else(|| self.tables.get(ix).cloned())
            }
            Place::Field(ix, "formula") => self.formulas.get(ix).or_else(|| self.fields.get(ix)).cloned(),
            Place::Field(ix, _) => self.fields.get(ix).cloned(),
            _ => None,
        };
        written.unwrap_or(place)
    }

    /// The goal that a relation was made for.
    fn relation(&self, table: usize, relation: &str) -> Option<Place> {
        let short = relation.split('.').next().and_then(|name| name.strip_prefix('@'))?;
        let name = format!("{}.{short}", self.spec.tables[table].name);
        let moves = |lead: &&Lead| lead.variables.iter().any(|moved| moved.name == name);
        self.leads.iter().find(moves).map(|lead| Place::Goal(lead.spec, format!("variables.{name}")))
    }
}

/// Whether a table is one that goals have made.
pub(super) fn is_own(table: &str) -> bool {
    table.starts_with('@')
}
