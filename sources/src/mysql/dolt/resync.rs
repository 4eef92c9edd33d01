//! Going on by commits where the log is gone: what differs between the last known commit and a new one is one ordinary transaction.
//!
//! The log tells no commits, so a commit belongs to a position only where the tables were exactly as of it: behind a snapshot's marker,
//! and when a quiet moment finds the branch without uncommitted changes at this reader's place. The position then says so,
//! `…:1-7;commit=qi331vjgoavqpi5am334cji1gmhlkdv5`; the next transaction ends it. Where none is known, nothing is made up.
//!
//! Invariant DOLT-RESYNC: a commit stands beside a position only if its watched tables are those of the position.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

use super::ancestry::{self, Step};
use super::difference::{self, Scope, State};
use super::place::Commit;
use super::poll::require_commit;
use crate::binlog::{GtidState, Position, Watch};
use crate::mysql::catalog::{Catalog, Missing};
use crate::mysql::check::own_position;
use crate::mysql::connect::{Flavour, ask_first, connect, quoted};
use crate::mysql::failure::{Failure, code};
use crate::mysql::view::{self, View};

/// What stands between a position and its commit.
const MARK: &str = ";commit=";

/// How long nothing must have come before it is asked whether a commit belongs to the position: much longer than Dolt takes between
/// writing its log and showing the rows. Asked again after twice the time, up to [`QUIET_MAX`].
pub(crate) const QUIET: Duration = Duration::from_secs(1);
pub(crate) const QUIET_MAX: Duration = Duration::from_secs(60);

/// A position's text without its commit, and the commit.
pub(crate) fn split(text: &str) -> (&str, Option<Commit>) {
    match text.split_once(MARK) {
        Some((position, commit)) => (position, commit.parse().ok()),
        None => (text, None),
    }
}

/// The text of a position with its commit.
pub(crate) fn joined(position: &Position, commit: Option<&Commit>) -> String {
    commit.map_or_else(|| position.to_string(), |commit| format!("{position}{MARK}{commit}"))
}

/// The commit that the logged branch stands at, if nothing is uncommitted there and its log ends at `position`. `None` also where the
/// server does not tell.
pub(crate) async fn commit_at(opts: &Opts, database: &str, position: &GtidState) -> Option<Commit> {
    match ask(opts, database).await {
        Ok((executed, working, committed, head)) => {
            let is_here = own_position(&executed).ok()? == *position && working == committed;
            head.parse().ok().filter(|_| is_here)
        }
        Err(why) => {
            tracing::debug!("no commit is known for the position: {}", why.text().unwrap_or_default());
            None
        }
    }
}

/// The end of the log, then the logged branch's tables as they are and as they were committed, and the commit.
async fn ask(opts: &Opts, database: &str) -> Result<(String, String, String, String), Failure> {
    let mut conn = connect(opts).await?;
    let branch = logged_branch(&mut conn).await?;
    conn.query_drop(format!("USE {}", quoted(&format!("{database}/{branch}")))).await?;
    let sql = format!("SELECT @@global.gtid_executed, dolt_hashof_db(), dolt_hashof_db('{branch}'), dolt_hashof('{branch}')");
    let answer = ask_first(&mut conn, sql).await?;
    conn.disconnect().await?;
    answer.ok_or_else(|| Failure::Retry("the server answers with no row".into()))
}

/// The branch whose changes are logged; its name has no slash.
pub(crate) async fn logged_branch(conn: &mut Conn) -> Result<String, Failure> {
    let branch = match conn.query_first::<Option<String>, _>("SELECT @@global.log_bin_branch").await {
        Err(mysql_async::Error::Server(_)) => None,
        answer => answer?.flatten(),
    };
    Ok(branch.filter(|name| !name.is_empty() && !name.contains('\'')).unwrap_or_else(|| "main".to_string()))
}

/// What brings a receiver from its last commit to where the log goes on.
#[derive(Debug)]
pub(crate) struct Resynced {
    pub(crate) step: Step,
    pub(crate) difference: difference::Difference,
    /// Where the log goes on, and its tables.
    pub(crate) position: GtidState,
    pub(crate) catalog: Catalog,
}

/// Makes a new marker commit and compares with it.
///
/// # Errors
/// The last commit is gone, or this user may not write the marker that finds the place of a commit in the log.
pub(crate) async fn resync(conn: &mut Conn, opts: &Opts, watch: &Watch, last: Commit) -> Result<Resynced, Failure> {
    let View { position, catalog, as_of } = view::open(conn, opts, Flavour::Dolt, watch, Missing::Dropped).await?;
    let no_marker = || Failure::stop(code::PRIVILEGE, "this user may not write a marker", "grant it, or read the tables anew");
    let (Some(database), Some(head)) = (super::only_database(&catalog)?, as_of) else { return Err(no_marker()) };
    let head: Commit = head.parse().map_err(|_| no_marker())?;
    conn.query_drop(format!("USE {}", quoted(&database))).await?;
    require_commit(conn, &last).await?;
    let scope = Scope { database: &database, watch };
    let state = State::read(conn, scope, &last, Missing::Dropped).await?;
    let difference = difference::since(conn, scope, &state, &head).await?;
    let to = ancestry::entry(conn, &head).await?;
    // The log and the commit have the same tables now.
    Ok(Resynced { step: Step { from: Some(last), to }, difference, position, catalog })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_stands_behind_its_position() {
        let text = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5;commit=qi331vjgoavqpi5am334cji1gmhlkdv5";
        let (position, commit) = split(text);
        assert_eq!(joined(&position.parse().unwrap(), commit.as_ref()), text);
        assert_eq!(split("0-1-42"), ("0-1-42", None));
        assert_eq!(split("0-1-42;commit=x"), ("0-1-42", None));
    }
}
