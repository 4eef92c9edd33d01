//! `sql-insert`, also called `dolt-insert`: a row per firing, exactly once (INV-SQL-ONCE).
//!
//! Row and mark are one transaction. Where the effect id is the row's primary key, the key refuses the repeat; elsewhere the mark does. Either
//! way the mark stands in the log beside the row, so that whoever follows the table knows who wrote it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Transaction, TxOpts};
use serde_json::{Map, Value as Json};
use thalweg_graph::cause::{APPLIED, Cause};
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;

use super::fault::Fault;
use super::own::{self, ORIGIN};
use super::row::RowShape;
use super::table::{self, Table};
use super::target::{Database, Target};
use crate::settings::{Reader, SettingProblem, wrong};
use crate::{SinkContext, retry};

/// The action, set up. Connects at its first delivery.
pub(crate) struct SqlInsert {
    database: Database,
    table: String,
    create: bool,
    shape: RowShape,
}

impl SqlInsert {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let database = Database::read(&mut reader, context);
        let table = reader.required("table", "\"event_log\"").map(str::to_owned);
        let create = reader.flag("create");
        let shape = RowShape::read(&mut reader);
        if create && shape.is_custom() {
            let why = "the table of `create` has its own columns; make the table yourself where `columns` names others";
            reader.refuse("create", wrong("create", why));
        }
        database.check(&mut reader, table.as_deref());
        reader.finish()?;
        let table = table.expect("invariant: a table that could not be read is a problem, and finish() refused");
        Ok(Self { database, table, create, shape })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Result<(), Fault> {
        let row: Map<String, Json> = serde_json::from_slice(&delivery.row.body)
            .map_err(|why| Fault::permanent(format!("E0523: the stored row cannot be read: {why}")))?;
        let origin = row.get(ORIGIN).and_then(Json::as_str).and_then(Cause::parse);
        let depth = origin.map_or(1, |origin| origin.depth);
        own::check_depth(depth)?;
        let target = self.database.target().await?;
        let mut conn = target.connect().await?;
        let table = target.table(&self.table, self.load(&target, &mut conn)).await?;
        let done = self.insert(&mut conn, &table, (&delivery.row.id, depth), &row).await;
        if done.as_ref().is_err_and(Fault::contradicts_catalogue) {
            target.forget(&self.table).await;
        }
        done
    }

    /// The row and its id, in one transaction.
    async fn insert(&self, conn: &mut Conn, table: &Table, mark: (&str, u32), row: &Map<String, Json>) -> Result<(), Fault> {
        let (columns, values) = table.assign(row, self.shape.is_custom())?;
        let insert = table.insert_statement(&columns);
        let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(|why| Fault::of(&why))?;
        let done = match table.is_keyed_by_id(self.shape.writes_own_id()) {
            true => row_then_mark(&mut transaction, table, mark, &insert, values).await,
            false => mark_then_row(&mut transaction, table, mark, &insert, values).await,
        };
        match done {
            Ok(Done::Now) => transaction.commit().await.map_err(|why| Fault::of(&why)),
            Ok(Done::Before) => transaction.rollback().await.map_err(|why| Fault::of(&why)),
            Err(fault) => {
                // If this fails too, the connection is gone, and the transaction with it.
                let _ = transaction.rollback().await;
                Err(fault)
            }
        }
    }

    /// What the catalogue says of the table; makes it first if it should.
    async fn load(&self, target: &Target, conn: &mut Conn) -> Result<Table, Fault> {
        if self.create {
            let create = table::create_statement(&target.database, &self.table);
            conn.query_drop(create).await.map_err(|why| Fault::of(&why))?;
        }
        let Some(table) = Table::find(conn, &target.database, &self.table).await? else {
            let (database, name) = (&target.database, &self.table);
            let (shown, create) = (table::qualified(database, name), table::create_statement(database, name));
            let cure = format!("add create = true to the action, or run: {create}");
            return Err(Fault::permanent(format!("E0520: there is no table {shown}; {cure}")));
        };
        if Table::find(conn, &target.database, APPLIED).await?.is_none() {
            conn.query_drop(table.ledger_statement()).await.map_err(|why| Fault::of(&why))?;
        }
        Ok(table)
    }
}

impl Sink for SqlInsert {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        Json::Object(self.shape.row(firing)).to_string().into_bytes()
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(self.database.attempt(self.attempt(delivery)))
    }
}

/// When a row was inserted.
enum Done {
    /// Within this transaction.
    Now,
    /// By an earlier attempt, whose answer was lost.
    Before,
}

/// The row's own primary key refuses the repeat. A mark without its row is of a row that somebody has deleted since: it may stay.
async fn row_then_mark(
    transaction: &mut Transaction<'_>,
    table: &Table,
    mark: (&str, u32),
    insert: &str,
    values: Params,
) -> Result<Done, Fault> {
    if let Err(why) = transaction.exec_drop(insert, values).await {
        let fault = Fault::of(&why);
        if fault.is_duplicate() {
            // Some other unique key may have refused it: only our id is our own row.
            let find = transaction.exec_first(table.find_statement(), (mark.0,)).await;
            let found: Option<u8> = find.map_err(|why| Fault::of(&why))?;
            if found.is_some() {
                return Ok(Done::Before);
            }
        }
        return Err(fault);
    }
    match transaction.exec_drop(table.ledger_insert_statement(), mark).await.map_err(|why| Fault::of(&why)) {
        Err(fault) if !fault.is_duplicate() => Err(fault),
        _ => Ok(Done::Now),
    }
}

/// The mark goes first: a repeat touches nothing.
async fn mark_then_row(
    transaction: &mut Transaction<'_>,
    table: &Table,
    mark: (&str, u32),
    insert: &str,
    values: Params,
) -> Result<Done, Fault> {
    if let Err(why) = transaction.exec_drop(table.ledger_insert_statement(), mark).await {
        let fault = Fault::of(&why);
        return if fault.is_duplicate() { Ok(Done::Before) } else { Err(fault) };
    }
    transaction.exec_drop(insert, values).await.map_err(|why| Fault::of(&why))?;
    Ok(Done::Now)
}
