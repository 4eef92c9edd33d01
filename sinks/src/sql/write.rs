//! `sql-upsert`, `sql-delete` and `sql-sync`: one row is made so, or goes, exactly once and never by an older write after a newer
//! one (INV-SQL-ORDER, see [`super::order`]).
//!
//! A write is one transaction over the row of the target and its row in `thalweg_rows`, which is locked first, so that two rules that
//! write one row take turns. A repeat finds its own mark and counts as delivered, also after a commit whose answer was lost. A row
//! that is gone already is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Transaction, TxOpts, Value as Sql};
use sha2::{Digest, Sha256};
use thalweg_formulas::Value;
use thalweg_graph::cause::{Cause, ROWS};
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;

use super::change::{Change, Expected, Op, Shape, Verb};
use super::column::{Column, Kind};
use super::fault::Fault;
use super::order::{Marks, Order, Scope, Verdict};
use super::own::{self, ORIGIN};
use super::table::{self, Statement, Table};
use super::target::{Database, Target};
use crate::settings::{Reader, SettingProblem};
use crate::{SinkContext, envelope, retry};

/// The action, set up. Connects at its first delivery.
pub(crate) struct SqlWrite {
    database: Database,
    shape: Shape,
    /// Whether what a sink has written is written on.
    follows_own: bool,
    /// Which instance writes: epochs of two instances have no order.
    instance: String,
}

/// A write with its values bound.
struct Prepared<'a> {
    table: &'a Table,
    op: Op,
    key: Vec<(&'a Column, Sql)>,
    set: Vec<(&'a Column, Sql)>,
    /// What else must be so for the row to be changed or deleted.
    only_if: Vec<(&'a Column, Sql)>,
    /// It is made only if it is not there.
    only_new: bool,
    scope: Scope,
    order: Order,
    row_key: Vec<u8>,
    origin: String,
}

impl SqlWrite {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let database = Database::read(&mut reader, context);
        let (verb, echo) = match action.kind.as_str() {
            "sql-upsert" => (Verb::Upsert, ["follow", "skip"]),
            "sql-delete" => (Verb::Delete, ["follow", "skip"]),
            _ => (Verb::Sync, ["skip", "follow"]),
        };
        let shape = Shape::read(verb, &mut reader);
        let follows_own = reader.choice("echo", &echo) == "follow";
        database.check(&mut reader, shape.table());
        reader.finish()?;
        Ok(Self { database, shape, follows_own, instance: instance(context) })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Result<(), Fault> {
        let change = Change::read(&delivery.row.body)?;
        if change.own && !self.follows_own {
            return Ok(());
        }
        own::check_depth(change.depth)?;
        let target = self.database.target().await?;
        let mut conn = target.connect().await?;
        let table = target.table(&change.table, load(&target, &mut conn, &change.table)).await?;
        let done = match prepare(&table, &change, delivery) {
            Ok(prepared) => self.write(&mut conn, &prepared).await,
            Err(fault) => Err(fault),
        };
        if done.as_ref().is_err_and(Fault::contradicts_catalogue) {
            target.forget(&change.table).await;
        }
        done.map_err(Fault::waiting_for_the_target)
    }

    async fn write(&self, conn: &mut Conn, write: &Prepared<'_>) -> Result<(), Fault> {
        let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(|why| Fault::of(&why))?;
        match self.write_within(&mut transaction, write).await {
            Ok(true) => transaction.commit().await.map_err(|why| Fault::of(&why)),
            Ok(false) => transaction.rollback().await.map_err(|why| Fault::of(&why)),
            Err(fault) => {
                // If this fails too, the connection is gone, and the transaction with it.
                let _ = transaction.rollback().await;
                Err(fault)
            }
        }
    }

    /// Marks and row. `false`: there is nothing to do.
    async fn write_within(&self, transaction: &mut Transaction<'_>, write: &Prepared<'_>) -> Result<bool, Fault> {
        match self.marked(transaction, write).await? {
            Verdict::Stale => {
                tracing::debug!(target: "thalweg::effect", id = %write.order.2, "a newer write stands, nothing is to be done");
                return Ok(false);
            }
            Verdict::Note(_) => {}
            Verdict::Write(..) if write.op == Op::Delete && write.only_new => {}
            Verdict::Write(..) if write.op == Op::Delete => {
                run(transaction, write.table.delete(&write.condition())).await?;
            }
            Verdict::Write(_, kept) => upsert(transaction, write, &kept).await?,
        }
        Ok(true)
    }

    /// Locks the row's marks, judges the write by them and leaves the new ones, all at once where the row was never written. Those of
    /// another instance tell nothing. The origin is emptied first, so that the new one stands in the log however short its row images are.
    async fn marked(&self, transaction: &mut Transaction<'_>, write: &Prepared<'_>) -> Result<Verdict, Fault> {
        let rows = table::qualified(&write.table.database, ROWS);
        let row = (write.table.name.as_str(), write.row_key.as_slice());
        let fault = |why| Fault::of(&why);
        let first = Marks::default().judge(&write.order, &write.scope);
        let lock = format!(
            "INSERT INTO {rows} (table_name, row_key, instance, marks, origin, writes, written_at) \
             VALUES (?, ?, ?, ?, ?, 1, UTC_TIMESTAMP(3)) ON DUPLICATE KEY UPDATE writes = writes + 1, origin = ''"
        );
        transaction.exec_drop(lock, (row.0, row.1, &self.instance, text(&first), &write.origin)).await.map_err(fault)?;
        if transaction.affected_rows() == 1 {
            return Ok(first);
        }
        let read = format!("SELECT instance, marks FROM {rows} WHERE table_name = ? AND row_key = ? FOR UPDATE");
        let found: Option<(String, String)> = transaction.exec_first(read, row).await.map_err(fault)?;
        let verdict = match found.filter(|(instance, _)| *instance == self.instance) {
            None => first,
            Some((_, marks)) => serde_json::from_str::<Marks>(&marks)
                .map_err(|why| Fault::permanent(format!("E0523: the marks in {rows} cannot be read: {why}")))?
                .judge(&write.order, &write.scope),
        };
        if verdict != Verdict::Stale {
            let mark = format!(
                "UPDATE {rows} SET instance = ?, marks = ?, origin = ?, written_at = UTC_TIMESTAMP(3) WHERE table_name = ? AND row_key = ?"
            );
            let values = (&self.instance, text(&verdict), &write.origin, row.0, row.1);
            transaction.exec_drop(mark, values).await.map_err(fault)?;
        }
        Ok(verdict)
    }
}

/// The marks that stand after a verdict, as they are stored.
fn text(verdict: &Verdict) -> String {
    let marks = match verdict {
        Verdict::Stale => &Marks::default(),
        Verdict::Note(marks) | Verdict::Write(marks, _) => marks,
    };
    serde_json::to_string(marks).expect("invariant: marks are JSON")
}

impl Sink for SqlWrite {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        self.shape.render(firing)
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(self.database.attempt(self.attempt(delivery)))
    }
}

impl<'a> Prepared<'a> {
    /// What finds the row, if it may be touched.
    fn condition(&self) -> Vec<(&'a Column, Sql)> {
        self.key.iter().chain(&self.only_if).cloned().collect()
    }
}

/// The row is made so: by the more likely of update and insert first. One that is not as it is expected to be stays as it is.
async fn upsert(transaction: &mut Transaction<'_>, write: &Prepared<'_>, kept: &BTreeSet<String>) -> Result<(), Fault> {
    let is_key = |column: &Column| write.key.iter().any(|(key, _)| key.name == column.name);
    let stands = |column: &Column| kept.contains(&column.name.to_ascii_lowercase());
    let set: Vec<_> = write.set.iter().filter(|(column, _)| !stands(column)).cloned().collect();
    if set.is_empty() {
        return Ok(());
    }
    let new: Vec<_> = write.set.iter().filter(|(column, _)| is_key(column) || !stands(column)).cloned().collect();
    let (names, values): (Vec<&str>, Vec<Sql>) = new.into_iter().map(|(column, value)| (column.name.as_str(), value)).unzip();
    let insert = (write.table.insert_statement(&names), values);
    let update = write.table.update(&set, &write.condition());
    if write.only_new {
        return match run(transaction, insert).await {
            Err(fault) if !fault.is_duplicate() => Err(fault),
            _ => Ok(()),
        };
    }
    if !write.only_if.is_empty() {
        return run(transaction, update).await.map(|_| ());
    }
    if write.op == Op::Update {
        if run(transaction, update).await? == 0 {
            run(transaction, insert).await?;
        }
        return Ok(());
    }
    let refused = match run(transaction, insert).await {
        Err(fault) if fault.is_duplicate() => fault,
        done => return done.map(|_| ()),
    };
    // Some other unique key may have refused it: only a row with our key is ours to change.
    match run(transaction, update).await? {
        0 => Err(refused),
        _ => Ok(()),
    }
}

/// Runs a statement; rows found.
async fn run(transaction: &mut Transaction<'_>, (statement, values): Statement) -> Result<u64, Fault> {
    transaction.exec_drop(statement, Params::Positional(values)).await.map_err(|why| Fault::of(&why))?;
    Ok(transaction.affected_rows())
}

/// What the catalogue says of the table; makes the table of marks if it is not there.
async fn load(target: &Target, conn: &mut Conn, name: &str) -> Result<Table, Fault> {
    let Some(table) = Table::find(conn, &target.database, name).await? else {
        let shown = table::qualified(&target.database, name);
        return Err(Fault::transient(format!("E0520: there is no table {shown}; make it, with a primary key")));
    };
    if Table::find(conn, &target.database, ROWS).await?.is_none() {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL, row_key VARBINARY(32) NOT NULL, \
             instance VARCHAR(16) NOT NULL, marks TEXT NOT NULL, origin VARCHAR(40) NOT NULL, writes BIGINT UNSIGNED NOT NULL, written_at DATETIME(3) NOT NULL, \
             PRIMARY KEY (table_name, row_key))",
            table::qualified(&target.database, ROWS)
        );
        conn.query_drop(create).await.map_err(|why| Fault::of(&why))?;
    }
    Ok(table)
}

fn prepare<'a>(table: &'a Table, change: &Change, delivery: &PendingDelivery) -> Result<Prepared<'a>, Fault> {
    let (id, epoch) = (delivery.row.id.to_string(), delivery.row.epoch);
    let mut key = Vec::new();
    for name in &change.key {
        let value = change.value(name).expect("invariant: a change has a value for each column of its key");
        key.push(table::bound(table.column(name).ok_or_else(|| table.no_column(name))?, value)?);
    }
    let names: Vec<&str> = key.iter().map(|(column, _)| column.name.as_str()).collect();
    if !table.is_unique(&names) {
        return Err(no_unique_key(table, &names));
    }
    let origin = Cause { id: id.clone(), depth: change.depth }.to_string();
    let set = if change.op == Op::Delete { Vec::new() } else { columns(table, change, &origin)? };
    let scope = match change.op {
        Op::Delete => Scope::Delete,
        Op::Insert | Op::Update if change.whole => Scope::Whole,
        Op::Insert | Op::Update => Scope::Columns(change.row.keys().map(|name| name.to_ascii_lowercase()).collect()),
    };
    let order = Order(delivery.fired_at.0, epoch, id);
    let (only_if, only_new) = match &change.expected {
        Expected::Anything => (Vec::new(), false),
        Expected::Nothing => (Vec::new(), true),
        Expected::Row(old) => (comparable(table, old)?, false),
    };
    Ok(Prepared { table, op: change.op, key, set, only_if, only_new, scope, order, row_key: row_key(change), origin })
}

/// What of an old image can be told by comparing: neither a number that is not kept exactly nor a document, which has many spellings.
fn comparable<'a>(table: &'a Table, old: &BTreeMap<String, Value>) -> Result<Vec<(&'a Column, Sql)>, Fault> {
    let known = old.iter().filter_map(|(name, value)| Some((table.column(name)?, value)));
    known
        .filter(|(column, _)| !matches!(column.kind, Kind::Float | Kind::Json))
        .map(|(c, value)| table::bound(c, value))
        .collect()
}

/// The columns to set. What the target computes itself is left to it.
fn columns<'a>(table: &'a Table, change: &Change, origin: &str) -> Result<Vec<(&'a Column, Sql)>, Fault> {
    let mut set = Vec::new();
    for (name, value) in &change.row {
        match table.column(name) {
            Some(column) if column.is_generated => {}
            Some(column) => set.push(table::bound(column, value)?),
            None => return Err(table.no_column(name)),
        }
    }
    if let Some(column) = table.column(ORIGIN) {
        set.push(table::bound(column, &Value::text(origin))?);
    }
    Ok(set)
}

fn no_unique_key(table: &Table, names: &[&str]) -> Fault {
    let (shown, list) = (table.shown(), names.join("`, `"));
    let cure = format!("run: ALTER TABLE {shown} ADD UNIQUE KEY (`{list}`)");
    Fault::catalogue(format!("E0527: {shown} may hold several rows with the same `{list}`; {cure}"))
}

/// The same for the same row, whichever rule names it and however its values are typed.
fn row_key(change: &Change) -> Vec<u8> {
    let mut names: Vec<String> = change.key.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let mut hash = Sha256::new();
    for name in names {
        let (kind, text) = match change.value(&name) {
            None | Some(Value::Null) => ("null", String::new()),
            Some(Value::Bytes(bytes)) => ("bytes", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            Some(Value::Bool(flag)) => ("value", i64::from(*flag).to_string()),
            Some(value) => ("value", envelope::plain_text(value)),
        };
        for part in [name.as_str(), kind, &text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().to_vec()
}

/// Names this instance by what only it has; tells nothing of the secret.
fn instance(context: &SinkContext) -> String {
    let digest = Sha256::new().chain_update("thalweg instance ").chain_update(context.secret.reveal()).finalize();
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
