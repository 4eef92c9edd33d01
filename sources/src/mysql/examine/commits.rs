//! What a source that polls commits may stumble over: the kind of server, privileges, the branch, the tables as of its head, the last
//! commit.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::super::catalog::{Catalog, Missing};
use super::super::connect::{Server, quoted};
use super::super::dolt::place::{Commit, CommitPlace};
use super::super::dolt::{ancestry, poll};
use super::super::extent::place;
use super::super::failure::Failure;
use super::super::finding::{Finding, Grade};
use super::super::{AfterPurge, MysqlConfig, Polling, snapshot};
use super::{Examined, Stands};
use crate::binlog::Watch;

/// Looks at the server's commits as the source would. It needs no setting and no privilege but to read the database: all of its tables,
/// since Dolt shows its history to nobody else.
pub(super) async fn look(
    conn: &mut Conn,
    (config, polling): (&MysqlConfig, &Polling),
    server: &Server,
    watch: Option<&Watch>,
    stands: Stands<'_>,
    out: &mut Examined,
) -> Result<(), Failure> {
    poll::require_dolt(server)?;
    out.findings.push(super::settings::clock(conn).await?);
    let Some(watch) = watch else { return Ok(()) };
    let database = poll::only_database(watch)?;
    out.findings.push(super::privileges::history(conn, &database).await?);
    conn.query_drop(format!("USE {}", quoted(&database))).await?;
    let branch = poll::branch(conn, &database, polling.branch.as_deref()).await?;
    let head = poll::head(conn, &database, &branch).await?;
    out.findings.push(Finding::ok("branch", format!("{branch} of {database}, at {head}")));
    match Catalog::as_of(conn, watch, &database, head.as_str(), Missing::Refused).await {
        Ok(catalog) => super::listed(&catalog, config, server.flavour, out),
        Err(failure) => out.findings.extend(Finding::about("tables", &failure)),
    }
    out.findings.extend(position(conn, config, stands, &branch, &head).await);
    Ok(())
}

/// Whether the last commit leads to the head.
async fn position(conn: &mut Conn, config: &MysqlConfig, stands: Stands<'_>, branch: &str, head: &Commit) -> Option<Finding> {
    let text = match stands {
        Stands::Unknown => return None,
        Stands::Nowhere => return Some(Finding::ok("position", "none yet: the first run begins")),
        Stands::At(text) if place(text) == snapshot::INCOMPLETE => {
            return Some(Finding::ok("position", "in the middle of a snapshot, which the next run begins anew"));
        }
        Stands::At(text) => place(text),
    };
    let judged = async {
        let place = poll::parsed(text)?;
        poll::require_commit(conn, &place.commit).await?;
        let is_here = place.branch.as_deref().is_none_or(|of| of == branch);
        let way = if is_here { ancestry::steps(conn, head, Some(&place.commit)).await? } else { None };
        let there = CommitPlace { commit: head.clone(), branch: Some(branch.to_string()) };
        way.map(|way| way.len()).ok_or_else(|| poll::diverged(&place, &there))
    };
    match judged.await {
        Ok(0) => Some(Finding::ok("position", format!("{text}, the head"))),
        Ok(1) => Some(Finding::ok("position", format!("{text}, 1 commit behind the head"))),
        Ok(count) => Some(Finding::ok("position", format!("{text}, {count} commits behind the head"))),
        Err(failure) if config.after_purge == AfterPurge::Snapshot && failure.text().is_some_and(|t| t.starts_with("E0411")) => {
            let cure = "the next run takes what differs, as `after_purge` says".to_owned();
            Some(Finding { grade: Grade::Warn, cure: Some(cure), ..Finding::about("position", &failure)? })
        }
        Err(failure) => Finding::about("position", &failure),
    }
}
