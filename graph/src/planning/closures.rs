//! Closures: derived tables whose documents are the pairs between which a path of links leads.
//!
//! A closure is a group by `from` and `to` of which the edge keeps more than the rows say: what a row names is a link, and the documents are
//! found from all links together. So columns, conditions, order and levels are those of groups; here is what is said of closures only.

use thalweg_formulas::{Expr, Problem};

use super::catalogue::TableDef;
use super::derived::{column_type, group_place};
use super::findings::Findings;
use super::joins::equal_type;
use super::world::World;
use crate::spec::GroupSpec;

/// The key columns of a closure, in their order.
const ENDS: [&str; 2] = ["from", "to"];

/// Refuses what a closure cannot have.
pub(super) fn refuse(ix: usize, name: &str, group: &GroupSpec, findings: &mut Findings) {
    let ends: Vec<&str> = group.by.columns().into_iter().map(|(column, _)| column).collect();
    if ends != ENDS {
        let problem = Problem::new(256, format!("the key of the closure `{name}` is not `from` and `to`"));
        findings.error(group_place(ix, "by"), problem.help("write closure = { of = \"Edge\", from = \"a\", to = \"b\" }"));
    }
    for (key, _) in [("window", group.window.is_some()), ("rows", group.rows.is_some())].iter().filter(|(_, given)| *given) {
        let problem = Problem::new(256, format!("the closure `{name}` has no `{key}`: a path has no rows of its own"));
        findings.error(group_place(ix, key), problem.help("leave it out, or make a group of the closure"));
    }
}

/// Whether both ends of a link can be one place.
pub(super) fn fits(world: &World, group: usize, ends: &[Expr], findings: &mut Findings) -> bool {
    if ends.len() != ENDS.len() {
        return false;
    }
    let def = &world.groups[group];
    let end = |at: usize| column_type(def.parts.get(at), ends[at].ty());
    if equal_type(&end(0), &end(1)).is_some() {
        return true;
    }
    let name = &world.catalogue.tables[def.table].name;
    let message = format!("in the closure `{name}` no link follows another: `from` is {}, and `to` is {}", end(0), end(1));
    findings.error(group_place(def.spec, "by.to"), Problem::new(256, message).help("convert one of them"));
    false
}

/// Both ends are compared as one type.
pub(super) fn type_ends(table: &mut TableDef) {
    if let Some(ty) = equal_type(&table.columns[0].ty, &table.columns[1].ty) {
        table.columns.iter_mut().for_each(|column| column.ty = ty.clone());
    }
}
