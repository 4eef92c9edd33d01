//! Queries of commits and of tables as of them, as this project's reader words them.
//!
//! Where Dolt tells too little, so does this: a table whose primary key changed is left out of `dolt_diff_summary` with a warning, one that
//! was renamed is a difference to the table of the other name, and over a change of layout `dolt_diff` leaves out rows (here: it refuses).

use std::collections::BTreeSet;

use super::history::{Commit, root_of};
use super::log::Tables;
use super::session::Answer;
use super::table::{Cell, Column, Kind, Table};
use super::{MAIN, State, split};

/// What a query gives in binary: columns and rows.
type Result<T> = std::result::Result<T, String>;
type Found = (Vec<Column>, Vec<Vec<Cell>>);

/// A database's name and the revision behind its slash.
pub(super) fn revision_of(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(database, revision)| (database, Some(revision)))
}

/// The branch of a session in a database of this name.
pub(super) fn branch_of(database: &str) -> &str {
    revision_of(database).1.unwrap_or(MAIN)
}

impl State {
    /// The names of all databases.
    pub(super) fn databases(&self) -> BTreeSet<String> {
        self.history.branches.values().flat_map(|branch| branch.working.keys().map(|(database, _)| database.clone())).collect()
    }

    fn commit_of(&self, spec: &str) -> Result<&Commit> {
        self.history.resolve(spec).ok_or_else(|| format!("branch not found: {spec}"))
    }
}

/// `dolt_hashof('branch')`, `dolt_hashof_db('branch')`.
pub(super) fn hash_of(state: &State, expression: &str) -> Option<Result<String>> {
    let (function, arguments) = call(expression)?;
    let commit = state.commit_of(arguments.first()?);
    match function {
        "dolt_hashof" => Some(commit.map(|commit| commit.hash.clone())),
        "dolt_hashof_db" => Some(commit.map(|commit| root_of(&commit.tables))),
        _ => None,
    }
}

/// Queries whose values come as text; `None`: it is none of them.
pub(super) fn text(state: &mut State, database: &str, sql: &str) -> Option<Answer> {
    let (_, from) = sql.split_once(" FROM ")?;
    if from.trim() == "dolt_branches" {
        let names = state.history.branches.keys().map(|name| vec![Some(name.clone())]).collect();
        return Some(Answer::Rows(vec!["name".into()], names));
    }
    let (function, arguments) = call(from)?;
    let [from, to] = &arguments[..] else { return None };
    if function != "dolt_diff_summary" {
        return None;
    }
    match summary(state, revision_of(database).0, from, to) {
        Ok((rows, warnings)) => {
            state.warnings = warnings;
            let names = ["from_table_name", "to_table_name", "schema_change"].map(String::from).into();
            Some(Answer::Rows(names, rows))
        }
        Err(message) => Some(Answer::Error(1105, "HY000", message)),
    }
}

type TextRows = Vec<Vec<Option<String>>>;

/// Which tables differ between two commits, and what is warned of.
fn summary(state: &State, database: &str, from: &str, to: &str) -> Result<(TextRows, Vec<String>)> {
    let (old, new) = (&state.commit_of(from)?.tables, &state.commit_of(to)?.tables);
    let names: BTreeSet<&(String, String)> = old.keys().chain(new.keys()).filter(|(d, _)| d == database).collect();
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    let mut row = |from: &str, to: &str, schema: bool| {
        rows.push(vec![Some(from.to_string()), Some(to.to_string()), Some(i32::from(schema).to_string())]);
    };
    for name in &names {
        match (old.get(*name), new.get(*name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) if a.columns[..a.key] != b.columns[..b.key] => {
                warnings.push(format!("cannot render full diff between commits {from} and {to} due to primary key set change"));
            }
            (Some(a), Some(b)) => row(&name.1, &name.1, a.columns != b.columns),
            (Some(a), None) => {
                let renamed = names.iter().find(|other| !old.contains_key(**other) && new[**other].columns == a.columns);
                row(&name.1, renamed.map_or("", |(_, name)| name), true);
            }
            (None, Some(b)) => {
                let is_renamed = names.iter().any(|other| !new.contains_key(*other) && old[*other].columns == b.columns);
                if !is_renamed {
                    row("", &name.1, true);
                }
            }
            (None, None) => {}
        }
    }
    Ok((rows, warnings))
}

/// Queries whose values come in binary: rows of a table, of the log, of a difference.
pub(super) fn select(state: &State, database: &str, view: Option<&Tables>, sql: &str) -> Result<Found> {
    let not_known = || format!("the stand-in does not know {sql}");
    let (wanted, from) = sql.strip_prefix("SELECT ").and_then(|s| s.split_once(" FROM ")).ok_or_else(not_known)?;
    let (columns, rows) = match call(from) {
        Some(("dolt_log", arguments)) => log(state, &arguments).ok_or_else(not_known)?,
        Some(("dolt_diff", arguments)) => difference(state, revision_of(database).0, &arguments)?,
        _ => table(state, view, from)?,
    };
    let wanted = wanted.split(',').map(|c| columns.iter().position(|k| k.name == c.trim().trim_matches('`')));
    let wanted: Vec<usize> = wanted.collect::<Option<_>>().ok_or_else(not_known)?;
    let rows = rows.iter().map(|row| wanted.iter().map(|i| row[*i].clone()).collect()).collect();
    Ok((wanted.iter().map(|i| columns[*i].clone()).collect(), rows))
}

/// `db.table [AS OF 'commit']`
fn table(state: &State, view: Option<&Tables>, from: &str) -> Result<Found> {
    let (name, commit) = from.split_once(" AS OF ").map_or((from, None), |(n, c)| (n, Some(c.trim_matches('\''))));
    let tables = match (commit, view) {
        (Some(spec), _) => &state.commit_of(spec)?.tables,
        (None, Some(view)) => view,
        (None, None) => &state.history.branch(MAIN).working,
    };
    let table = tables.get(&split(&name.replace('`', ""))).ok_or_else(|| format!("table not found: {name}"))?;
    Ok((table.columns.clone(), table.rows.values().cloned().collect()))
}

/// `dolt_log('head'[, '--not', 'last'], '--parents')`
fn log(state: &State, arguments: &[String]) -> Option<Found> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (head, not) = match arguments[..] {
        [head, "--parents"] => (head, None),
        [head, "--not", last, "--parents"] => (head, Some(state.history.resolve(last)?.hash.as_str())),
        _ => return None,
    };
    let head = &state.history.resolve(head)?.hash;
    let column = |name: &str, kind| Column { name: name.into(), kind };
    let columns =
        vec![column("commit_hash", Kind::Varchar(32)), column("parents", Kind::Varchar(255)), column("date", Kind::Datetime)];
    let row = |commit: &Commit| {
        vec![Cell::Text(commit.hash.clone()), Cell::Text(commit.parents.join(", ")), Cell::Datetime(commit.date)]
    };
    Some((columns, state.history.log(head, not).into_iter().map(row).collect()))
}

/// `dolt_diff('from', 'to', 'table')`
fn difference(state: &State, database: &str, arguments: &[String]) -> Result<Found> {
    let [from, to, table] = arguments else { return Err("dolt_diff takes three arguments here".into()) };
    let name = (database.to_string(), table.clone());
    let find = |spec: &str| Ok::<_, String>(state.commit_of(spec)?.tables.get(&name));
    let (Some(old), Some(new)) = (find(from)?, find(to)?) else { return Err(format!("table not found: {table}")) };
    if old.columns != new.columns || old.key != new.key {
        return Err("the stand-in gives no difference over a change of layout".into());
    }
    let named = |side: &str| {
        let own = new.columns.iter().map(move |c| Column { name: format!("{side}_{}", c.name), kind: c.kind.clone() });
        own.chain([Column { name: format!("{side}_commit"), kind: Kind::Varchar(32) }]).collect::<Vec<_>>()
    };
    let kind = Column { name: "diff_type".into(), kind: Kind::Varchar(8) };
    let columns = [named("to"), named("from"), vec![kind]].concat();
    Ok((columns, rows_of(old, new, from, to)))
}

/// The rows of a difference, in key order.
fn rows_of(old: &Table, new: &Table, from: &str, to: &str) -> Vec<Vec<Cell>> {
    let keys: BTreeSet<&Vec<Cell>> = old.rows.keys().chain(new.rows.keys()).collect();
    let side = |row: Option<&Vec<Cell>>, commit: &str| {
        let cells = row.cloned().unwrap_or_else(|| vec![Cell::Null; new.columns.len()]);
        [cells, vec![commit.into()]].concat()
    };
    let row = |key: &&Vec<Cell>| {
        let (before, after) = (old.rows.get(*key), new.rows.get(*key));
        let kind = match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(a), Some(b)) if a == b => return None,
            _ => "modified",
        };
        Some([side(after, to), side(before, from), vec![kind.into()]].concat())
    };
    keys.iter().filter_map(row).collect()
}

/// `name('a', 'b')` as its name and its arguments.
fn call(text: &str) -> Option<(&str, Vec<String>)> {
    let (name, rest) = text.trim().split_once('(')?;
    let inside = rest.trim_end().strip_suffix(')')?.trim();
    let plain = |argument: &str| Some(argument.trim().strip_prefix('\'')?.strip_suffix('\'')?.to_string());
    Some((name, inside.split(',').map(plain).collect::<Option<_>>()?))
}
