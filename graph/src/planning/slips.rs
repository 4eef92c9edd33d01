//! Slips in open tables: a mistyped name is a new, dynamic column there, so it is warned of where a declared name is one letter away.

use std::rc::Rc;

use thalweg_formulas::Problem;
use thalweg_formulas::ast::Ast;

use super::catalogue::TableDef;
use super::findings::{Findings, one_of};
use super::places::located;
use super::world::World;
use crate::spec::Place;

/// Warns of the undeclared columns among `read` (table and column) that look like slips, where they stand in a formula.
pub(super) fn warn(
    world: &World,
    read: impl IntoIterator<Item = (usize, usize)>,
    ast: &Ast,
    place: &Place,
    findings: &mut Findings,
) {
    for (name, problem) in slips(world, read) {
        findings.warn(place.clone(), located(problem, ast, name, "not declared"));
    }
}

/// The same for a place that is the name as a whole.
pub(super) fn warn_of_name(
    world: &World,
    read: impl IntoIterator<Item = (usize, usize)>,
    place: &Place,
    findings: &mut Findings,
) {
    slips(world, read).for_each(|(_, problem)| findings.warn(place.clone(), problem));
}

/// Warns of `name`, by which a key or a relation is about to make a column of `table`, where it looks like a slip for a
/// column that is declared.
pub(super) fn warn_of_new(table: &TableDef, name: &str, place: &Place, findings: &mut Findings) {
    let near: Vec<&str> = table.column_names().take(table.declared).filter(|other| one_slip_apart(name, other)).collect();
    if !table.closed && table.column(name).is_none() && !near.is_empty() {
        findings.warn(place.clone(), slip(name, table, &near));
    }
}

fn slip(name: &str, table: &TableDef, near: &[&str]) -> Problem {
    let message = format!("`{name}` is read as an undeclared column of `{}`", table.name);
    Problem::new(253, message).help(format!("did you mean {}?", one_of(near)))
}

/// The undeclared columns that look like slips, with what is to be said of each.
fn slips(world: &World, read: impl IntoIterator<Item = (usize, usize)>) -> impl Iterator<Item = (&str, Problem)> {
    read.into_iter().filter_map(|(table, column)| {
        let def = &world.catalogue.tables[table];
        if column < def.declared {
            return None;
        }
        let name = &*def.columns[column].name;
        let near = near(world, table, name);
        let near: Vec<&str> = near.iter().map(String::as_str).collect();
        (!near.is_empty()).then(|| (name, slip(name, def, &near)))
    })
}

/// The declared names of `table` that an undeclared one is near to. They are looked for once, however many formulas read the column.
fn near(world: &World, table: usize, name: &str) -> Rc<[String]> {
    let key = (table, name.to_owned());
    if let Some(known) = world.near.borrow().get(&key) {
        return known.clone();
    }
    let def = &world.catalogue.tables[table];
    let columns = def.columns[..def.declared].iter().map(|column| &*column.name);
    let declared = columns.chain(world.field_names(table)).chain(def.relations.keys().map(String::as_str));
    let near: Rc<[String]> = declared.filter(|other| one_slip_apart(name, other)).map(str::to_owned).collect();
    world.near.borrow_mut().insert(key, near.clone());
    near
}

/// Whether two names of at least four letters differ by one slip, which is not a digit, or two names by case only.
pub(super) fn one_slip_apart(a: &str, b: &str) -> bool {
    if a != b && a.to_lowercase() == b.to_lowercase() {
        return true;
    }
    let letters = |s: &str| s.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    a.chars().count().min(b.chars().count()) >= 4 && letters(a) != letters(b) && strsim::damerau_levenshtein(a, b) == 1
}

#[cfg(test)]
mod tests {
    use super::one_slip_apart;

    #[test]
    fn one_letter_is_a_slip_and_one_digit_is_not() {
        for (a, b, expected) in [
            ("amuont", "amount", true),
            ("totl", "total", true),
            ("total", "total", false),
            ("line1", "line2", false),
            ("qty", "qt", false),
            ("price", "prices", true),
            ("status", "state", false),
            ("ID", "id", true),
            ("customerid", "customerId", true),
            ("id", "id", false),
        ] {
            assert_eq!(one_slip_apart(a, b), expected, "{a} {b}");
        }
    }
}
