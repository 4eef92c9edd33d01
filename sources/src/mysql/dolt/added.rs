//! Tables that come to a polled branch which has run before, and those that leave it.
//!
//! The source stands at a commit, and every table can be read as of it. So what has come is read in before the next commit, exactly as of that
//! place and as one fill: it fires nothing. Until its last row is handed over, the position says that these tables are not wholly read;
//! a start from there takes back what came of them and reads them again.

use mysql_async::Conn;
use thalweg_graph::Schema;
use thalweg_graph::ports::SourceMessage;
use thalweg_graph::transaction::Change;

use super::ancestry;
use super::difference::State;
use super::place::CommitPlace;
use crate::mysql::added::{cleared, extended};
use crate::mysql::catalog::Table;
use crate::mysql::extent::{Extent, Partial, Read};
use crate::mysql::failure::Failure;
use crate::mysql::follow::Port;
use crate::mysql::{MysqlConfig, Snapshot, snapshot};

/// Where the source stands.
pub(crate) struct Coming<'a> {
    pub(crate) place: &'a CommitPlace,
    /// The watched tables as of it.
    pub(crate) state: &'a State,
    /// The tables that the receiver has; `None`: from a time before account was kept, and what is watched now counts as read.
    pub(crate) extent: &'a mut Option<Extent>,
}

/// Whether a position says which tables are in it: only where a snapshot has read them, and they can be taken back.
pub(crate) fn keeps_account(config: &MysqlConfig) -> bool {
    config.clears && config.snapshot == Snapshot::Initial
}

/// Reads in what has come and clears what has gone; `extent` is always what the receiver has.
pub(crate) async fn bring_in(conn: &mut Conn, coming: Coming<'_>, job: snapshot::Job<'_>, port: &Port) -> Result<(), Failure> {
    let Coming { place, state, extent } = coming;
    let next = extended(extent.as_ref(), job.watch, &state.catalog)?;
    if extent.as_ref() == Some(&next) && next.filling().is_empty() {
        return Ok(());
    }
    let mut clears = cleared(conn, extent.as_ref(), job.watch).await?;
    let begun = next.filling().iter().filter(|partial| partial.read != Read::Nothing);
    clears.extend(begun.map(|partial| clear(&partial.table)));
    let comes = |table: &&Table| next.filling().iter().any(|partial| *partial.table == *table.schema.table);
    let tables: Vec<&Table> = state.catalog.tables.iter().filter(comes).collect();
    let stale = next.filling().iter().map(|partial| Partial { table: partial.table.clone(), read: Read::Stale, is_whole: false });
    let stale = next.with(stale.collect());
    let whole = next.with(Vec::new());
    let (position, incomplete) = (format!("{place}{whole}"), format!("{place}{stale}"));
    if tables.is_empty() && clears.is_empty() {
        *extent = Some(whole);
        return port.message(SourceMessage::Position(position.into())).await;
    }
    // Whatever breaks from here on, some of the rows may have come.
    *extent = Some(stale);
    let (origin, at) = (format!("tables:{}", place.commit), ancestry::entry(conn, &place.commit).await?.at);
    let moment = snapshot::Moment { tables, clears, as_of: Some(place.commit.as_str()), origin, at, position, incomplete };
    snapshot::read(conn, job, moment, port).await?;
    *extent = Some(whole);
    Ok(())
}

fn clear(table: &str) -> Change {
    Change::clear(Schema { table: table.into(), columns: Vec::new(), key: Vec::new() }.into())
}
