//! Own writes that come back: how they are recognised, and where a chain of them ends.
//!
//! Every write of a sink carries its effect id and the depth of the chain, `ID:DEPTH`: in a column `thalweg_origin` where the table has one, and
//! in the row of `thalweg_rows` or `thalweg_applied` that its transaction writes. What a rule reacts to is an own write if its transaction's
//! origin says so (see [`Cause`]), or if the column does: a write of ours always changes the column, so a row that somebody else has
//! changed since is not taken for ours. A row that was deleted has no column to say so; its transaction must.

use thalweg_formulas::Value;
use thalweg_graph::cause::{Cause, DEPTH_MAX};
use thalweg_graph::ports::Firing;

use super::fault::Fault;
use crate::known::Images;

/// A column that tells who wrote a row last, where a table has it.
pub(super) const ORIGIN: &str = "thalweg_origin";
/// The effect that wrote what this firing is about, if one did.
pub(super) fn cause(firing: &Firing<'_>, images: &Images) -> Option<Cause> {
    let origin = |image: &Value| match image {
        Value::Map(row) => row.get(&Value::from(ORIGIN)).cloned(),
        _ => None,
    };
    Cause::of(firing.origin).or_else(|| match (origin(&images.new), origin(&images.old)) {
        (new, old) if new == old => None,
        (Some(Value::Text(new)), _) => Cause::parse(&new),
        _ => None,
    })
}

/// What a write because of `cause` leaves with its row.
pub(super) fn origin(id: &str, cause: Option<&Cause>) -> Cause {
    Cause { id: id.to_owned(), depth: cause.map_or(0, |cause| cause.depth).saturating_add(1) }
}

/// Refuses a write that is too deep in a chain.
///
/// # Errors
/// E0526: it is.
pub(super) fn check_depth(depth: u32) -> Result<(), Fault> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    let chain = format!("{depth} effects follow from each other");
    Err(Fault::permanent(format!("E0526: {chain}, so this is a loop and ends here; at most {DEPTH_MAX} may")))
}
