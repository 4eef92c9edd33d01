//! Slips in open tables: a mistyped name is a new, dynamic column there, so it is warned of where a declared name is one letter away.

use thalweg_formulas::Problem;
use thalweg_formulas::ast::Ast;

use super::findings::{Findings, one_of};
use super::places::located;
use super::world::World;
use crate::spec::Place;

/// Warns of the undeclared columns among `read` (table and column) that look like slips.
pub(super) fn warn(
    world: &World,
    read: impl IntoIterator<Item = (usize, usize)>,
    ast: &Ast,
    place: &Place,
    findings: &mut Findings,
) {
    for (table, column) in read {
        let def = &world.catalogue.tables[table];
        if column < def.declared {
            continue;
        }
        let name = &*def.columns[column].name;
        let columns = def.columns[..def.declared].iter().map(|column| &*column.name);
        let declared = columns.chain(world.field_names(table)).chain(def.relations.keys().map(String::as_str));
        let near: Vec<&str> = declared.filter(|other| one_slip_apart(name, other)).collect();
        if !near.is_empty() {
            let message = format!("`{name}` is read as an undeclared column of `{}`", def.name);
            let problem = Problem::new(253, message).help(format!("did you mean {}?", one_of(&near)));
            findings.warn(place.clone(), located(problem, ast, name, "not declared"));
        }
    }
}

/// Whether two names of at least four letters differ by one slip, which is not a digit.
pub(super) fn one_slip_apart(a: &str, b: &str) -> bool {
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
        ] {
            assert_eq!(one_slip_apart(a, b), expected, "{a} {b}");
        }
    }
}
