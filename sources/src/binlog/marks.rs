//! The tables in which SQL sinks note what they write: who wrote a transaction is read from its rows of them.
//!
//! A sink writes its mark in the transaction of its row, so that the log tells of every own write, of a deleted row too. Only what a mark
//! becomes counts: an origin that a row event merely repeats was emptied first, and marks that somebody purges tell nothing.

use thalweg_formulas::Value;
use thalweg_graph::cause::{APPLIED, Cause, ROWS};
use thalweg_graph::{Row, Schema};

use super::DecodeError;
use super::control::Flavour;
use super::plan::{Hints, Plan};
use super::rows::{self, RowsKind};
use super::table_map::TableMap;

/// How the rows of one table of marks are read.
#[derive(Debug)]
pub(super) struct Marks {
    plan: Plan,
    says: Says,
}

/// Which columns tell the cause.
#[derive(Debug)]
enum Says {
    /// One that holds `ID:DEPTH`.
    Origin(usize),
    /// The effect's id and the depth of its chain.
    Apart { id: usize, depth: usize },
}

impl Marks {
    /// From a table map; `None`: its columns are not those of a table of marks, or have no names.
    pub(super) fn of(body: &[u8], flavour: Flavour) -> Option<Marks> {
        let map = TableMap::parse(body, flavour).ok()?;
        let mut plan = Plan::new(&map, &Hints::default(), flavour).ok()?;
        plan.may_leave_out = true; // Only the mark is needed, so images may be as short as the server likes.
        let says = match map.table.as_str() {
            ROWS => Says::Origin(column(&plan.schema, "origin")?),
            APPLIED => Says::Apart { id: column(&plan.schema, "id")?, depth: column(&plan.schema, "depth")? },
            _ => return None,
        };
        Some(Marks { plan, says })
    }

    /// The cause that a row event tells; of several the one at the end of the longest chain.
    ///
    /// # Errors
    /// Bytes that do not fit the table map.
    pub(super) fn cause(&self, kind: RowsKind, body: &[u8]) -> Result<Option<Cause>, DecodeError> {
        let mut changes = Vec::new();
        rows::decode(kind, body, &self.plan, &mut changes)?;
        let causes = changes.iter().filter_map(|change| self.of_row(change.after.as_ref()?));
        Ok(causes.max_by_key(|cause| cause.depth))
    }

    fn of_row(&self, row: &Row) -> Option<Cause> {
        match self.says {
            Says::Origin(origin) => Cause::parse(text(row, origin)?),
            Says::Apart { id, depth } => {
                let depth = match row.get(depth)?.as_ref()? {
                    Value::Int(depth) => u32::try_from(*depth).ok()?,
                    Value::Uint(depth) => u32::try_from(*depth).ok()?,
                    _ => return None,
                };
                Cause::parse(&format!("{}:{depth}", text(row, id)?))
            }
        }
    }
}

fn column(schema: &Schema, name: &str) -> Option<usize> {
    schema.columns.iter().position(|column| &*column.name == name)
}

/// A column's text, whether or not the log tells its character set.
fn text(row: &Row, column: usize) -> Option<&str> {
    match row.get(column)?.as_ref()? {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}
