//! What a server must have before its log can be followed, each with the SQL that gives it.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use thalweg_formulas::Code;

use super::MysqlConfig;
use super::catalog::{Catalog, Missing};
use super::connect::{Flavour, Server, ask, ask_first, connect, options};
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
pub async fn check(config: &MysqlConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Err(failure) = look(config, &mut checks).await {
        checks.extend(failure.text().map(from_text));
    }
    checks
}

/// The same with the settings that are usual.
pub async fn check_server(url: &str, tables: &[String]) -> Vec<Check> {
    check(&MysqlConfig { tables: tables.to_vec(), ..MysqlConfig::new("", url) }).await
}

async fn look(config: &MysqlConfig, checks: &mut Vec<Check>) -> Result<(), Failure> {
    let opts = options(&config.url, &config.tls)?;
    let watch = watch(&config.tables, opts.db_name())?;
    let mut conn = connect(&opts).await?;
    checks.push(Check::good("connection", format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())));
    let server = Server::ask(&mut conn).await?;
    checks.push(Check::good("version", server.version));
    let facts = Facts::read(&mut conn, server.flavour).await?;
    checks.extend(facts.checks());
    checks.extend(facts.unlogged(&watch));
    checks.extend(facts.privilege(&mut conn).await?);
    let catalog = Catalog::read(&mut conn, server.flavour, &watch, Missing::Refused).await?;
    let names: Vec<&str> = catalog.tables.iter().map(|t| &*t.schema.table).collect();
    checks.push(Check::good("tables", names.join(", ")));
    Ok(())
}

/// A failure's text, `E0408: reason; cure`, as a check.
pub(crate) fn from_text(text: &str) -> Check {
    let (number, rest) = text.split_once(": ").unwrap_or(("", text));
    let (reason, cure) = rest.split_once("; ").unwrap_or((rest, ""));
    let number: u16 = number.trim_start_matches('E').parse().unwrap_or(code::CONNECTION);
    let name = match number {
        code::CONNECTION | code::ACCESS_DENIED | code::TLS => "connection",
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

/// A position as a server prints it.
pub(crate) fn own_position(text: &str) -> Result<GtidState, Failure> {
    text.parse().map_err(|e| Failure::stop(code::SERVER, format!("the server's own position: {e}"), "report this"))
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
    pub(crate) fn checks(&self) -> Vec<Check> {
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

    fn log(&self) -> Check {
        if matches!(self.variable("log_bin"), "ON" | "1") {
            return Check::good("log_bin", "ON");
        }
        let cure = match self.flavour {
            Flavour::MariaDb | Flavour::MySql => "start it with --log-bin (`log_bin` in its configuration)",
            Flavour::Dolt => {
                "run on the server: SET PERSIST log_bin = 1; SET PERSIST gtid_mode = ON; SET PERSIST enforce_gtid_consistency = ON; SET \
                 PERSIST binlog_row_metadata = 'FULL'; and restart it"
            }
        };
        Check::bad("log_bin", "the server writes no binary log", code::LOG_OFF, cure)
    }

    /// Without GTIDs there is no position that survives a failover.
    fn gtids(&self) -> Check {
        let mode = self.variable("gtid_mode");
        if mode.eq_ignore_ascii_case("ON") {
            return Check::good("gtid_mode", "ON");
        }
        let cure = match self.flavour {
            Flavour::Dolt => {
                "run on the server: SET PERSIST gtid_mode = ON; SET PERSIST enforce_gtid_consistency = ON; and restart it"
                    .to_string()
            }
            Flavour::MariaDb | Flavour::MySql => {
                let path = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];
                let at = path.iter().position(|step| step.eq_ignore_ascii_case(mode)).unwrap_or(0);
                let steps: String = path[at + 1..].iter().map(|step| format!("; SET PERSIST gtid_mode = {step}")).collect();
                format!("run on the server: SET PERSIST enforce_gtid_consistency = ON{steps}")
            }
        };
        Check::bad("gtid_mode", format!("gtid_mode is {mode}, not ON"), code::GTID_MODE, cure)
    }

    fn wanted(&self, name: &'static str, wanted: &str, code: u16) -> Check {
        // A server that no longer has the variable has no other format.
        let value = match (self.variable(name), name) {
            ("", "binlog_format") => "ROW",
            (value, _) => value,
        };
        if value.eq_ignore_ascii_case(wanted) {
            return Check::good(name, value);
        }
        let cure = match self.flavour {
            Flavour::MariaDb => format!(
                "run on the server: SET GLOBAL {name} = '{wanted}'; write it into its configuration too, and let its clients reconnect"
            ),
            Flavour::MySql | Flavour::Dolt => {
                format!("run on the server: SET PERSIST {name} = '{wanted}'; and let its clients reconnect")
            }
        };
        Check::bad(name, format!("{name} is {value}, not {wanted}"), code, cure)
    }

    /// The first setting that is wrong, as a reason to stop.
    pub(crate) fn require(&self, watch: &Watch) -> Result<(), Failure> {
        let checks = self.checks().into_iter().chain(self.unlogged(watch));
        checks.into_iter().find_map(|check| check.failure()).map_or(Ok(()), Err)
    }

    /// A watched database that the server leaves out of its log.
    pub(crate) fn unlogged(&self, watch: &Watch) -> Option<Check> {
        let is_left_out = |d: &str| {
            let has = |list: &[String]| list.iter().any(|known| known == d);
            has(&self.ignored) || !self.logged.is_empty() && !has(&self.logged)
        };
        let (database, _) = watch.patterns().find(|(d, _)| !Watch::is_wild(d) && is_left_out(d))?;
        let cure = "take it out of `binlog_ignore_db`, or into `binlog_do_db`, in the server's configuration, and restart it";
        Some(Check::bad(
            "log_filter",
            format!("the server leaves the database {database} out of its log"),
            code::LOG_FILTER,
            cure,
        ))
    }

    /// Whether this user may read the log. Dolt asks nobody for a privilege.
    async fn privilege(&self, conn: &mut Conn) -> Result<Option<Check>, Failure> {
        if self.flavour == Flavour::Dolt {
            return Ok(None);
        }
        let grants = grants(conn, self.flavour).await?;
        let granted =
            grants.iter().any(|g| g.contains(" ON *.* ") && (g.contains("REPLICATION SLAVE") || g.contains("ALL PRIVILEGES")));
        Ok(Some(match granted {
            true => Check::good("privileges", "REPLICATION SLAVE"),
            false => {
                let user = &self.user;
                let found = format!("{user} lacks the privilege REPLICATION SLAVE");
                Check::bad("privileges", found, code::PRIVILEGE, grant(self.flavour, user))
            }
        }))
    }

    /// Requires the privilege to read the log.
    pub(crate) async fn require_privilege(&self, conn: &mut Conn) -> Result<(), Failure> {
        self.privilege(conn).await?.and_then(|check| check.failure()).map_or(Ok(()), Err)
    }
}

/// What this user may do, by itself and by its roles; MariaDB shows both at once.
pub(crate) async fn grants(conn: &mut Conn, flavour: Flavour) -> Result<Vec<String>, Failure> {
    let own: Vec<String> = ask(conn, "SHOW GRANTS").await?;
    if flavour == Flavour::MariaDb {
        return Ok(own);
    }
    let roles: String = ask_first(conn, "SELECT CURRENT_ROLE()").await?.unwrap_or_default();
    if roles.is_empty() || roles == "NONE" {
        return Ok(own);
    }
    ask(conn, format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}")).await
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

/// `GRANT … TO 'reader'@'%'`.
fn grant(flavour: Flavour, user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    let monitor = if flavour == Flavour::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    format!("run on the server: GRANT REPLICATION SLAVE, {monitor} ON *.* TO '{name}'@'{host}'")
}
