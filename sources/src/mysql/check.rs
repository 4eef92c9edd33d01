//! What a server must have before its log can be followed, each with the SQL that gives it.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::connect::{Flavour, ask, ask_first};
use super::failure::{Failure, code};
use super::finding::Finding;
use super::grants::{Grants, account, monitor};
use crate::binlog::{GtidState, Watch};

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

/// A position as a server prints it.
pub(crate) fn own_position(text: &str) -> Result<GtidState, Failure> {
    text.parse().map_err(|e| Failure::stop(code::SERVER, format!("the server's own position: {e}"), "report this"))
}

/// All that a server with GTIDs of MySQL's kind has committed.
pub(crate) async fn executed(conn: &mut Conn) -> Result<GtidState, Failure> {
    let set: Option<String> = ask_first(conn, "SELECT @@global.gtid_executed").await?;
    own_position(&set.unwrap_or_default())
}

/// The server's settings that matter.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) flavour: Flavour,
    /// All that its log has had.
    pub(crate) executed: GtidState,
    /// What its log no longer has; only MySQL and Dolt say.
    pub(crate) purged: GtidState,
    pub(crate) user: String,
    variables: HashMap<String, String>,
    /// Databases that alone are logged; none: all are.
    logged: Vec<String>,
    /// Databases that are not logged.
    ignored: Vec<String>,
}

impl Facts {
    pub(crate) async fn read(conn: &mut Conn, flavour: Flavour) -> Result<Facts, Failure> {
        let names = "'log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'gtid_mode'";
        let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})");
        let variables: Vec<(String, String)> = ask(conn, sql).await?;
        let user: Option<String> = ask_first(conn, "SELECT CURRENT_USER()").await?;
        let sql = match flavour {
            Flavour::MariaDb => "SELECT @@global.gtid_binlog_pos, ''",
            Flavour::MySql | Flavour::Dolt => "SELECT @@global.gtid_executed, @@global.gtid_purged",
        };
        let (executed, purged) = ask_first::<(String, String)>(conn, sql).await?.unwrap_or_default();
        let (logged, ignored) = filters(conn, flavour).await?;
        Ok(Facts {
            logged,
            ignored,
            flavour,
            executed: own_position(&executed)?,
            purged: own_position(&purged)?,
            user: user.unwrap_or_default(),
            variables: variables.into_iter().collect(),
        })
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// Every setting, in the order in which they matter.
    pub(crate) fn settings(&self) -> Vec<Finding> {
        let wanted = |name, value, code| self.wanted(name, value, code);
        let metadata = wanted("binlog_row_metadata", "FULL", code::ROW_METADATA);
        match self.flavour {
            Flavour::MariaDb => vec![
                self.log(),
                wanted("binlog_format", "ROW", code::LOG_FORMAT),
                wanted("binlog_row_image", "FULL", code::ROW_IMAGE),
                metadata,
            ],
            Flavour::MySql => vec![
                self.log(),
                self.gtids(),
                wanted("binlog_format", "ROW", code::LOG_FORMAT),
                wanted("binlog_row_image", "FULL", code::ROW_IMAGE),
                metadata,
            ],
            // Its log has rows and full images, whatever these variables say.
            Flavour::Dolt => vec![self.log(), self.gtids(), metadata],
        }
    }

    fn log(&self) -> Finding {
        if matches!(self.variable("log_bin"), "ON" | "1") {
            return Finding::ok("log_bin", "ON");
        }
        let (cure, sql) = match self.flavour {
            Flavour::MariaDb | Flavour::MySql => {
                ("start it with --log-bin (`log_bin` in its configuration)".to_string(), Vec::new())
            }
            Flavour::Dolt => {
                let settings = [
                    ("log_bin", "1"),
                    ("gtid_mode", "ON"),
                    ("enforce_gtid_consistency", "ON"),
                    ("binlog_row_metadata", "'FULL'"),
                ];
                run(&settings.map(|(name, value)| set(Flavour::Dolt, name, value)), "; and restart it")
            }
        };
        Finding::bad("log_bin", "the server writes no binary log", cure).code(code::LOG_OFF).sql(sql)
    }

    /// Without GTIDs there is no position that survives a failover.
    fn gtids(&self) -> Finding {
        let mode = self.variable("gtid_mode");
        if mode.eq_ignore_ascii_case("ON") {
            return Finding::ok("gtid_mode", "ON");
        }
        let consistency = set(self.flavour, "enforce_gtid_consistency", "ON");
        let (cure, sql) = match self.flavour {
            Flavour::Dolt => run(&[set(self.flavour, "gtid_mode", "ON"), consistency], "; and restart it"),
            Flavour::MariaDb | Flavour::MySql => {
                let path = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];
                let at = path.iter().position(|step| step.eq_ignore_ascii_case(mode)).unwrap_or(0);
                let steps = path[at + 1..].iter().map(|step| set(self.flavour, "gtid_mode", step));
                run(&std::iter::once(consistency).chain(steps).collect::<Vec<_>>(), "")
            }
        };
        Finding::bad("gtid_mode", format!("gtid_mode is {mode}, not ON"), cure).code(code::GTID_MODE).sql(sql)
    }

    fn wanted(&self, name: &str, wanted: &str, code: u16) -> Finding {
        // A server that no longer has the variable has no other format.
        let value = match (self.variable(name), name) {
            ("", "binlog_format") => "ROW",
            (value, _) => value,
        };
        if value.eq_ignore_ascii_case(wanted) {
            return Finding::ok(name, value);
        }
        let then = match self.flavour {
            Flavour::MariaDb => "; write it into its configuration too, and let its clients reconnect",
            Flavour::MySql | Flavour::Dolt => "; and let its clients reconnect",
        };
        let quoted = format!("'{wanted}'");
        let (cure, _) = run(&[set(self.flavour, name, &quoted)], then);
        Finding::bad(name, format!("{name} is {value}, not {wanted}"), cure).code(code).sql(kept(self.flavour, name, &quoted))
    }

    /// The first setting that is wrong, as a reason to stop.
    pub(crate) fn require(&self, watch: &Watch) -> Result<(), Failure> {
        let settings = self.settings().into_iter().chain(self.unlogged(watch));
        settings.into_iter().find_map(|finding| finding.failure()).map_or(Ok(()), Err)
    }

    /// A watched database that the server leaves out of its log.
    pub(crate) fn unlogged(&self, watch: &Watch) -> Option<Finding> {
        let is_left_out = |d: &str| {
            let has = |list: &[String]| list.iter().any(|known| known == d);
            has(&self.ignored) || !self.logged.is_empty() && !has(&self.logged)
        };
        let (database, _) = watch.patterns().find(|(d, _)| !Watch::is_wild(d) && is_left_out(d))?;
        let cure = "take it out of `binlog_ignore_db`, or into `binlog_do_db`, in the server's configuration, and restart it";
        let found = format!("the server leaves the database {database} out of its log");
        Some(Finding::bad("log_filter", found, cure).code(code::LOG_FILTER))
    }

    /// Requires the privilege to read the log. Dolt asks nobody for one.
    pub(crate) async fn require_privilege(&self, conn: &mut Conn) -> Result<(), Failure> {
        let (flavour, user) = (self.flavour, &self.user);
        if flavour == Flavour::Dolt || Grants::ask(conn, flavour).await?.everywhere("REPLICATION SLAVE") {
            return Ok(());
        }
        let reason = format!("{user} lacks the privilege REPLICATION SLAVE");
        let privileges = format!("REPLICATION SLAVE, {}", monitor(flavour));
        let cure = format!("run on the server: GRANT {privileges} ON *.* TO {}", account(user));
        Err(Failure::stop(code::PRIVILEGE, reason, cure))
    }
}

/// Which databases the server logs and which not, where this user may ask and the server filters at all.
async fn filters(conn: &mut Conn, flavour: Flavour) -> Result<(Vec<String>, Vec<String>), Failure> {
    let questions: &[&str] = match flavour {
        Flavour::MariaDb => &["SHOW MASTER STATUS"],
        Flavour::MySql => &["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"], // The second up to 8.1.
        Flavour::Dolt => &[],
    };
    for question in questions {
        let row: Option<Row> = match conn.query_first(*question).await {
            Err(mysql_async::Error::Server(_)) => continue,
            answer => answer?,
        };
        let Some(row) = row else { break };
        let list = |name: &str| {
            let text: Option<String> = row.get_opt(name).and_then(Result::ok);
            text.unwrap_or_default().split(',').filter(|d| !d.is_empty()).map(String::from).collect()
        };
        return Ok((list("Binlog_Do_DB"), list("Binlog_Ignore_DB")));
    }
    Ok((Vec::new(), Vec::new()))
}

/// The statement that sets a variable for good, where the server has such a one.
fn set(flavour: Flavour, name: &str, value: &str) -> String {
    match flavour {
        Flavour::MariaDb => format!("SET GLOBAL {name} = {value}"),
        Flavour::MySql | Flavour::Dolt => format!("SET PERSIST {name} = {value}"),
    }
}

/// The same as lines for a client. MariaDB forgets at a restart what it was told by SQL.
pub(crate) fn kept(flavour: Flavour, name: &str, value: &str) -> Vec<String> {
    let set = format!("{};", set(flavour, name, value));
    let value = value.trim_matches('\'');
    let configured =
        || format!("-- and so that a restart keeps it, below [mariadbd] in the server's configuration: {name} = {value}");
    std::iter::once(set).chain((flavour == Flavour::MariaDb).then(configured)).collect()
}

/// Statements as a cure in words, with what is to be done then, and as lines for a client.
fn run(statements: &[String], then: &str) -> (String, Vec<String>) {
    let lines = statements.iter().map(|statement| format!("{statement};")).collect();
    (format!("run on the server: {}{then}", statements.join("; ")), lines)
}
