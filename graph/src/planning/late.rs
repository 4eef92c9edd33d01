//! Rows that came too late: a derived table beside one of windows that end, with a document for each row and window that it came too late for.
//!
//! Its key is the window's, and then the row's own. So it is kept by a membership edge of its own, over the same nodes.

use thalweg_formulas::{Problem, Type};

use super::catalogue::{Catalogue, Relation, TableDef};
use super::derived::{GroupDef, group_place};
use super::findings::Findings;
use super::world::Shared;
use crate::plan::Part;
use crate::spec::GroupSpec;

impl Catalogue {
    /// The derived table of rows that are too late for the windows of `windows`, the group at `at`, if the definition names one.
    pub(super) fn declare_late(
        &mut self,
        at: usize,
        windows: &GroupDef,
        group: &GroupSpec,
        findings: &mut Findings,
    ) -> Option<GroupDef> {
        let name = group.window.as_ref()?.late.as_deref()?;
        windows.ending?;
        let place = group_place(windows.spec, "window.late");
        let of = self.tables[windows.of].name.clone();
        if name.is_empty() || self.tables.iter().any(|table| *table.name == *name) {
            let problem = Problem::new(233, format!("table `{name}` is declared already, so late rows cannot go there"));
            findings.error(place, problem.help("give them a table of their own: it needs no [[table]]"));
            return None;
        }
        let Some(own) = self.tables[windows.of].key.clone().filter(|key| !key.is_empty()) else {
            let problem = Problem::new(256, format!("late rows need a key, and that of `{of}` is not known here"));
            findings.error(place, problem.help(format!("declare it: key = [\"id\"] in [[table]] \"{of}\"")));
            return None;
        };
        let mut table = TableDef::new(name, name);
        let windows_of =
            |catalogue: &Catalogue| catalogue.tables[windows.table].column_names().map(str::to_owned).collect::<Vec<_>>();
        for column in windows_of(self) {
            table.add_column(column.as_str().into(), Type::Dyn);
        }
        for column in own {
            let column = self.tables[windows.of].columns[column].name.clone();
            if table.column(&column).is_some() {
                let problem = Problem::new(233, format!("column `{column}` would stand twice in the key of `{name}`"));
                findings.error(place, problem.help("give the column of the windows another name: by = { name = \"formula\" }"));
                return None;
            }
            table.add_column(column, Type::Dyn);
        }
        table.key = Some((0..table.columns.len()).collect());
        table.closed = true;
        table.derived = true;
        if let Some(rows) = &group.rows {
            table.relations.insert(rows.clone(), Relation::Members { table: windows.of });
        }
        let table = self.add(table);
        Some(GroupDef::late(windows, at, table))
    }
}

/// The key of late rows, whose windows have been checked; `false` if the group is another one.
pub(super) fn check(world: &Shared, group: usize) -> bool {
    let mut world = world.borrow_mut();
    let Some(windows) = world.groups[group].late_for else { return false };
    let (table, of) = (world.groups[group].table, world.groups[group].of);
    let Some(mut key) = world.groups[windows].key.clone() else { return true };
    // Of a session the row names the one that it missed.
    key.last_mut().into_iter().zip(world.groups[windows].missed).for_each(|(start, missed)| *start = missed);
    let own = world.catalogue.tables[of].key.clone().unwrap_or_default();
    key.extend(own.iter().map(|column| world.column_node(of, *column)).collect::<Vec<_>>());
    let mut parts = world.groups[windows].parts.clone();
    if !parts.is_empty() {
        parts.resize(key.len(), Part::One);
    }
    let of_windows = &world.catalogue.tables[world.groups[windows].table].columns;
    let own_types = own.iter().map(|column| &world.catalogue.tables[of].columns[*column]);
    let types: Vec<Type> = of_windows.iter().chain(own_types).map(|column| column.ty.clone()).collect();
    for (column, ty) in world.catalogue.tables[table].columns.iter_mut().zip(types) {
        column.ty = ty;
    }
    let watched = world.groups[windows].watched;
    let columns = key.len();
    let def = &mut world.groups[group];
    (def.key, def.parts, def.watched) = (Some(key), parts, watched);
    for column in 0..columns {
        world.column_node(table, column);
    }
    true
}
