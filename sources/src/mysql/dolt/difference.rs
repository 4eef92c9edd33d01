//! What one commit changed in the watched tables: whole rows before and after.
//!
//! `dolt_diff` tells it exactly where the layout of a table is the same on both sides. Where it is not, `dolt_diff` compares stored bytes,
//! and leaves out rows that a new default has changed; where the primary key is another one it compares nothing; and a table that was
//! renamed is compared with what it was called before. In all these cases the rows of both sides are read as of their commits, and
//! compared here.
//!
//! Changes come in the order of Dolt's own log: by table, and in each inserts, deletes, updates, in key order. So row ordinals are those of
//! the log as well.
//!
//! Cost: memory for the changes; where a layout changed, for the old rows of that table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as SqlRow, Value as Sql};
use thalweg_formulas::Value;
use thalweg_graph::ids::canonical_key;
use thalweg_graph::transaction::{Change, Op};
use thalweg_graph::{Row, Schema};

use super::place::Commit;
use crate::binlog::Watch;
use crate::mysql::catalog::{Catalog, Missing, Table, literal};
use crate::mysql::connect::{ask, quoted};
use crate::mysql::failure::{Failure, code};
use crate::mysql::snapshot;

/// The watched tables as of a commit.
#[derive(Debug)]
pub(crate) struct State {
    /// `None`: before the first commit, when there was no table.
    pub(crate) commit: Option<Commit>,
    pub(crate) catalog: Catalog,
}

impl State {
    /// Reads the layout of the watched tables as of a commit.
    pub(crate) async fn read(conn: &mut Conn, scope: Scope<'_>, commit: &Commit, missing: Missing) -> Result<State, Failure> {
        let catalog = Catalog::as_of(conn, scope.watch, scope.database, commit.as_str(), missing).await?;
        Ok(State { commit: Some(commit.clone()), catalog })
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.catalog.tables.iter().find(|table| *table.schema.table == *name)
    }
}

/// What is watched.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) database: &'a str,
    pub(crate) watch: &'a Watch,
}

/// What became of the watched tables.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) changes: Vec<Change>,
    /// The layouts afterwards, where any may be another one.
    pub(crate) catalog: Option<Catalog>,
}

/// What differs between a state and a commit. `conn` stands in the database.
pub(crate) async fn since(conn: &mut Conn, scope: Scope<'_>, old: &State, to: &Commit) -> Result<Difference, Failure> {
    let touched = match &old.commit {
        Some(from) => touched(conn, scope, from, to).await?,
        None => Touched { tables: BTreeMap::new(), is_short: true },
    };
    let layouts = touched.is_short || touched.tables.values().any(|layout| *layout);
    if touched.tables.is_empty() && !layouts {
        return Ok(Difference { changes: Vec::new(), catalog: None });
    }
    let new = match layouts {
        true => Some(State::read(conn, scope, to, Missing::Dropped).await?),
        false => None,
    };
    let mut names: BTreeSet<&str> = old.catalog.tables.iter().map(|table| &*table.schema.table).collect();
    names.extend(new.iter().flat_map(|new| &new.catalog.tables).map(|table| &*table.schema.table));
    let mut changes = Vec::new();
    for name in names {
        let before = old.table(name);
        let after = new.as_ref().map_or(before, |new| new.table(name));
        let has_no_key = |table: Option<&Table>| table.is_some_and(|table| table.schema.key.is_empty());
        let layout = match touched.tables.get(name) {
            Some(layout) => *layout,
            // A primary key that changed is what the list is short of, so without one on either side nothing has changed.
            None if touched.is_short && !(has_no_key(before) && has_no_key(after)) => true,
            None => continue,
        };
        let sides = Sides { scope, from: old.commit.as_ref(), to, is_one_layout: !layout };
        sides.table(conn, before, after, &mut changes).await?;
    }
    Ok(Difference { changes, catalog: new.map(|new| new.catalog) })
}

/// What a first look says of two commits.
struct Touched {
    /// Watched tables that differ, `db.table`, and whether their layout may.
    tables: BTreeMap<String, bool>,
    /// Tables whose primary key changed are missing.
    is_short: bool,
}

/// Which tables differ. A table whose primary key changed is only warned of.
async fn touched(conn: &mut Conn, scope: Scope<'_>, from: &Commit, to: &Commit) -> Result<Touched, Failure> {
    let sql = format!("SELECT from_table_name, to_table_name, schema_change FROM dolt_diff_summary('{from}', '{to}')");
    let rows: Vec<(String, String, bool)> = ask(conn, sql).await?;
    let warnings: Vec<SqlRow> = conn.query("SHOW WARNINGS").await?;
    let mut touched = Touched { tables: BTreeMap::new(), is_short: !warnings.is_empty() };
    for (from, to, layout) in rows {
        // A table that was renamed is two: one that went, and one that came.
        for name in [&from, &to].into_iter().filter(|name| scope.watch.matches(scope.database, name)) {
            *touched.tables.entry(format!("{}.{name}", scope.database)).or_default() |= layout || from != to;
        }
    }
    Ok(touched)
}

/// Two commits of one database.
#[derive(Clone, Copy)]
struct Sides<'a> {
    scope: Scope<'a>,
    from: Option<&'a Commit>,
    to: &'a Commit,
    /// The table's layout is the same on both, whatever it is made of.
    is_one_layout: bool,
}

impl Sides<'_> {
    /// The changes of one table.
    async fn table(
        self,
        conn: &mut Conn,
        before: Option<&Table>,
        after: Option<&Table>,
        out: &mut Vec<Change>,
    ) -> Result<(), Failure> {
        match (before, self.from, after) {
            (Some(table), Some(_), Some(_)) if self.is_one_layout && has_plain_names(table) => self.told(conn, table, out).await,
            (Some(old), Some(from), Some(new)) => {
                let rows = rows_at(conn, old, from).await?;
                let now = rows_at(conn, new, self.to).await?;
                match has_same_key(old, new) {
                    true => compared(old, rows, new, now, out),
                    // Under another key, or under none, no row is the same row as before.
                    false => {
                        out.extend(rows.into_iter().map(|row| delete(&old.schema, row)));
                        out.extend(now.into_iter().map(|row| insert(&new.schema, row)));
                    }
                }
                Ok(())
            }
            (Some(old), Some(from), None) => {
                out.extend(rows_at(conn, old, from).await?.into_iter().map(|row| delete(&old.schema, row)));
                Ok(())
            }
            (_, _, Some(new)) => {
                out.extend(rows_at(conn, new, self.to).await?.into_iter().map(|row| insert(&new.schema, row)));
                Ok(())
            }
            (_, _, None) => Ok(()),
        }
    }

    /// As `dolt_diff` tells it, for a table of one layout.
    async fn told(self, conn: &mut Conn, table: &Table, out: &mut Vec<Change>) -> Result<(), Failure> {
        let from = self.from.expect("invariant: there was a table, so there was a commit");
        let schema = &table.schema;
        let side = |side: &str| named(table).map(|name| quoted(&format!("{side}_{name}"))).collect::<Vec<_>>();
        let columns = [vec!["diff_type".to_string()], side("to"), side("from")].concat().join(",");
        let name = literal(schema.table.strip_prefix(self.scope.database).unwrap_or_default().trim_start_matches('.'));
        let sql = format!("SELECT {columns} FROM dolt_diff('{from}', '{}', {name})", self.to);
        let (mut inserts, mut deletes, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        let mut result = conn.exec_iter(sql, ()).await?;
        while let Some(row) = result.next().await? {
            let mut cells = row.unwrap().into_iter();
            let kind = cells.next();
            let half = cells.len() / 2;
            let to: Vec<Sql> = cells.by_ref().take(half).collect();
            match kind {
                Some(Sql::Bytes(kind)) if kind == b"added" => inserts.push(insert(schema, read(table, to)?)),
                Some(Sql::Bytes(kind)) if kind == b"removed" => deletes.push(delete(schema, read(table, cells)?)),
                Some(Sql::Bytes(kind)) if kind == b"modified" => {
                    let change = insert(schema, read(table, to)?);
                    updates.push(Change { op: Op::Update, before: Some(read(table, cells)?), ..change });
                }
                _ => return Err(Failure::stop(code::SERVER, "dolt_diff gives a diff_type that is not known", "report this")),
            }
        }
        result.drop_result().await?;
        [inserts, deletes, updates].into_iter().for_each(|changes| out.extend(changes));
        Ok(())
    }
}

/// A column of such a name would be one of `dolt_diff`'s own.
fn has_plain_names(table: &Table) -> bool {
    let own = ["commit", "commit_date"];
    !named(table).any(|name| own.iter().any(|own| name.eq_ignore_ascii_case(own)))
}

/// The columns of which there are values.
fn named(table: &Table) -> impl Iterator<Item = &str> {
    table.schema.columns.iter().zip(&table.readings).filter(|(_, reading)| reading.is_some()).map(|(column, _)| &*column.name)
}

fn key_of(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.key.iter().map(|i| &*schema.columns[*i as usize].name)
}

fn has_same_key(old: &Table, new: &Table) -> bool {
    !old.schema.key.is_empty() && key_of(&old.schema).eq(key_of(&new.schema))
}

fn read(table: &Table, cells: impl IntoIterator<Item = Sql>) -> Result<Row, Failure> {
    snapshot::row(&table.schema, &table.readings, cells.into_iter())
}

fn insert(schema: &Arc<Schema>, row: Row) -> Change {
    Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row) }
}

fn delete(schema: &Arc<Schema>, row: Row) -> Change {
    Change { schema: schema.clone(), op: Op::Delete, key: None, before: Some(row), after: None }
}

/// The rows of a table as of a commit.
async fn rows_at(conn: &mut Conn, table: &Table, commit: &Commit) -> Result<Vec<Row>, Failure> {
    let columns: Vec<String> = named(table).map(quoted).collect();
    let sql = format!("SELECT {} FROM {} AS OF '{commit}'", columns.join(","), table.sql);
    let mut rows = Vec::new();
    let mut result = conn.exec_iter(sql, ()).await?;
    while let Some(row) = result.next().await? {
        rows.push(read(table, row.unwrap())?);
    }
    result.drop_result().await?;
    Ok(rows)
}

/// The changes between the rows of two layouts with the same key, column by column by name; what a column that is new had before is absent.
fn compared(old: &Table, before: Vec<Row>, new: &Table, after: Vec<Row>, out: &mut Vec<Change>) {
    let place = |name: &str| old.schema.columns.iter().position(|column| *column.name == *name);
    let places: Vec<Option<usize>> = new.schema.columns.iter().map(|column| place(&column.name)).collect();
    let mut known: BTreeMap<Vec<u8>, (usize, Row)> = BTreeMap::new();
    for (at, row) in before.into_iter().enumerate() {
        known.insert(key_bytes(&old.schema, &row), (at, row));
    }
    let mut updates = Vec::new();
    for row in after {
        match known.remove(&key_bytes(&new.schema, &row)) {
            None => out.push(insert(&new.schema, row)),
            Some((_, was)) => {
                let was: Vec<Option<Value>> = places.iter().map(|place| place.and_then(|at| was[at].clone())).collect();
                let is_same = was
                    .iter()
                    .zip(&row)
                    .all(|(was, is)| was.as_ref().unwrap_or(&Value::Null) == is.as_ref().unwrap_or(&Value::Null));
                if !is_same {
                    updates.push(Change { op: Op::Update, before: Some(was.into()), ..insert(&new.schema, row) });
                }
            }
        }
    }
    let mut gone: Vec<(usize, Row)> = known.into_values().collect();
    gone.sort_by_key(|(at, _)| *at);
    out.extend(gone.into_iter().map(|(_, row)| delete(&old.schema, row)));
    out.extend(updates);
}

fn key_bytes(schema: &Schema, row: &Row) -> Vec<u8> {
    let parts: Vec<Value> = schema.key.iter().map(|i| row[*i as usize].clone().unwrap_or(Value::Null)).collect();
    canonical_key(&parts)
}
