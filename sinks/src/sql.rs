//! SQL actions: `sql-insert` (also called `dolt-insert`), `sql-upsert`, `sql-delete` and `sql-sync`, exactly once.
//!
//! - INV-SQL-ONCE: a firing's row is inserted by a transaction that also writes the effect id under a primary key: the row's own, where the
//!   target's primary key is `id`, else one in `thalweg_applied` in the target's database. A repeat, also after a commit whose answer was lost,
//!   finds the id and counts as delivered.
//! - INV-SQL-ORDER: a row that is upserted or deleted ends as the newest write says, see [`order`].
//! - INV-SQL-WHOLE: nothing is cut: the session is strict, and a text is measured against its column before it is sent.
//!
//! Values are always bound; names come from the settings or the server's own catalogue and are quoted. The egress guard does not cover
//! database URLs.
//!
//! Bounds: 8 connections an action, 15 s an attempt (`timeout`). Cost: an insert takes one round trip where the row carries the id, else
//! four; an upsert or delete takes four where the row was never written before, else six.

mod change;
mod column;
mod fault;
mod insert;
mod order;
mod own;
mod row;
mod table;
mod target;
mod write;

pub(crate) use insert::SqlInsert;
pub(crate) use write::SqlWrite;
