//! What a server must have before its log can be followed, each with the SQL that gives it.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use thalweg_formulas::Code;

use super::catalog::Catalog;
use super::connect::{connect, flavour, options, version};
use super::failure::{Failure, code};
use crate::binlog::{GtidState, Watch};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `binlog_format`.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found: `ROW`, or why it is wrong.
    pub found: String,
    /// If it is wrong: the code and what to do, as SQL where that is possible.
    pub cure: Option<(Code, String)>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, ok: true, found: found.into(), cure: None }
    }

    fn bad(name: &'static str, found: impl Into<String>, code: u16, cure: impl Into<String>) -> Check {
        Check { name, ok: false, found: found.into(), cure: Some((Code(code), cure.into())) }
    }

    /// The check as a reason to stop, if it failed.
    fn failure(&self) -> Option<Failure> {
        let (code, cure) = self.cure.as_ref()?;
        Some(Failure::stop(code.0, &self.found, cure))
    }
}

/// Looks at a server as a start would, without following it: connection, version, log settings, privileges, tables. Stops at what makes
/// the rest pointless. Needs a tokio runtime.
pub async fn check_server(url: &str, tables: &[String]) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(failure) = look(url, tables, &mut checks).await {
        checks.extend(failure.text().map(from_text));
    }
    checks
}

async fn look(url: &str, tables: &[String], checks: &mut Vec<Check>) -> Result<(), Failure> {
    let opts = options(url)?;
    let watch = watch(tables, opts.db_name())?;
    let mut conn = connect(&opts).await?;
    checks.push(Check::good("connection", format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())));
    let version = version(&mut conn).await?;
    flavour(&version)?;
    checks.push(Check::good("version", version));
    let facts = Facts::read(&mut conn).await?;
    checks.extend(facts.checks());
    checks.push(replication_privilege(&mut conn, &facts.user).await?);
    let catalog = Catalog::read(&mut conn, &watch).await?;
    let names: Vec<&str> = catalog.tables.iter().map(|t| &*t.schema.table).collect();
    checks.push(Check::good("tables", names.join(", ")));
    Ok(())
}

/// A failure's text, `E0408: reason; cure`, as a check.
fn from_text(text: &str) -> Check {
    let (number, rest) = text.split_once(": ").unwrap_or(("", text));
    let (reason, cure) = rest.split_once("; ").unwrap_or((rest, ""));
    let number: u16 = number.trim_start_matches('E').parse().unwrap_or(code::CONNECTION);
    let name = match number {
        code::CONNECTION | code::ACCESS_DENIED => "connection",
        code::SERVER => "version",
        code::PRIVILEGE => "privileges",
        code::UNKNOWN_TABLE | code::TABLE => "tables",
        _ => "settings",
    };
    Check::bad(name, reason, number, cure)
}

/// The watched tables, or why the list is wrong.
pub(crate) fn watch(tables: &[String], database: Option<&str>) -> Result<Watch, Failure> {
    if tables.is_empty() && database.is_none() {
        return Err(Failure::stop(
            code::SETTING,
            "no tables are named",
            "list them in `tables`, or end the url with /database for all of it",
        ));
    }
    Watch::new(tables, database).map_err(|text| {
        let (reason, cure) = text.split_once("; ").unwrap_or((&text, "write `database.table`"));
        Failure::stop(code::SETTING, reason, cure)
    })
}

/// The server's settings that matter.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The latest transaction of every domain in its log.
    pub(crate) position: GtidState,
    user: String,
    log: bool,
    format: String,
    image: String,
    metadata: String,
}

impl Facts {
    pub(crate) async fn read(conn: &mut Conn) -> Result<Facts, Failure> {
        let sql = "SELECT CURRENT_USER(), @@global.log_bin, @@global.binlog_format, @@global.binlog_row_image, \
                   @@global.binlog_row_metadata, @@global.gtid_binlog_pos";
        let row: Option<(String, bool, String, String, String, String)> = conn.query_first(sql).await?;
        let (user, log, format, image, metadata, position) = row.unwrap_or_default();
        let position = position
            .parse()
            .map_err(|e| Failure::stop(code::SERVER, format!("the server's own position: {e}"), "report this"))?;
        Ok(Facts { position, user, log, format, image, metadata })
    }

    /// Every setting, in the order in which they matter.
    fn checks(&self) -> Vec<Check> {
        let log = match self.log {
            true => Check::good("log_bin", "ON"),
            false => Check::bad(
                "log_bin",
                "the server writes no binary log",
                code::LOG_OFF,
                "start it with --log-bin (`log_bin` in its configuration)",
            ),
        };
        let variable = |name: &'static str, value: &str, wanted: &str, code: u16| match value.eq_ignore_ascii_case(wanted) {
            true => Check::good(name, value),
            false => Check::bad(
                name,
                format!("{name} is {value}, not {wanted}"),
                code,
                format!(
                    "run on the server: SET GLOBAL {name} = '{wanted}'; write it into its configuration too, and let its clients reconnect"
                ),
            ),
        };
        vec![
            log,
            variable("binlog_format", &self.format, "ROW", code::LOG_FORMAT),
            variable("binlog_row_image", &self.image, "FULL", code::ROW_IMAGE),
            variable("binlog_row_metadata", &self.metadata, "FULL", code::ROW_METADATA),
        ]
    }

    /// The first setting that is wrong, as a reason to stop.
    pub(crate) fn require(&self) -> Result<(), Failure> {
        self.checks().iter().find_map(Check::failure).map_or(Ok(()), Err)
    }
}

/// Whether this user may read the log.
async fn replication_privilege(conn: &mut Conn, user: &str) -> Result<Check, Failure> {
    let grants: Vec<String> = conn.query("SHOW GRANTS").await?;
    let granted =
        grants.iter().any(|g| g.contains(" ON *.* ") && (g.contains("REPLICATION SLAVE") || g.contains("ALL PRIVILEGES")));
    Ok(match granted {
        true => Check::good("privileges", "REPLICATION SLAVE"),
        false => Check::bad("privileges", format!("{user} lacks the privilege REPLICATION SLAVE"), code::PRIVILEGE, grant(user)),
    })
}

/// Requires the privilege to read the log.
pub(crate) async fn require_privilege(conn: &mut Conn, facts: &Facts) -> Result<(), Failure> {
    replication_privilege(conn, &facts.user).await?.failure().map_or(Ok(()), Err)
}

/// `GRANT … TO 'reader'@'%'`.
fn grant(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("run on the server: GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '{name}'@'{host}'")
}
