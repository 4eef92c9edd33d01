//! Opening a connection, and what kind of server it is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts};

use super::Tls;
use super::failure::{Failure, code, of_tls};

/// The protocol's largest packet: a row event may be larger than any statement.
pub(crate) const PACKET_MAX: usize = 1 << 30;
/// How long a connection is quiet before the other end's system is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long connecting may take, with login.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The settings of connections, with what this source needs.
pub(crate) fn options(url: &str, tls: &Tls) -> Result<Opts, Failure> {
    let opts = Opts::from_url(url).map_err(|e| Failure::from(mysql_async::Error::Url(e)))?;
    let keepalive = opts.tcp_keepalive().unwrap_or(KEEPALIVE);
    let builder = OptsBuilder::from_opts(opts).tcp_keepalive(Some(keepalive));
    let builder = builder.max_allowed_packet(Some(PACKET_MAX)).prefer_socket(false).stmt_cache_size(0);
    let ssl = SslOpts::default();
    let builder = match tls {
        Tls::AsUrl => builder,
        Tls::Unverified => builder.ssl_opts(ssl.with_danger_accept_invalid_certs(true)),
        Tls::Verified { ca, server_name } => {
            let ssl = match ca {
                // Whoever names an authority trusts that one only.
                Some(ca) => ssl.with_root_certs(vec![readable(ca)?.into()]).with_disable_built_in_roots(true),
                None => ssl,
            };
            builder.ssl_opts(ssl.with_danger_tls_hostname_override(server_name.clone()))
        }
    };
    Ok(builder.into())
}

/// The file, if it can be read.
fn readable(file: &Path) -> Result<PathBuf, Failure> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(file.to_path_buf()),
        Err(why) => {
            let reason = format!("the certificates in {} cannot be read: {}", file.display(), plain(&why));
            Err(Failure::stop(code::TLS, reason, "name a PEM file"))
        }
    }
}

/// A new connection.
pub(crate) async fn connect(opts: &Opts) -> Result<Conn, Failure> {
    within(opts, Conn::new(opts.clone())).await
}

/// What connecting gives, or why it failed or took too long.
pub(crate) async fn within<T>(
    opts: &Opts,
    connecting: impl Future<Output = Result<T, mysql_async::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(CONNECT_MAX, connecting).await {
        Ok(Ok(connected)) => Ok(connected),
        // What TLS finds wrong comes as data that are not valid.
        Ok(Err(mysql_async::Error::Io(mysql_async::IoError::Io(why)))) if why.kind() == ErrorKind::InvalidData => {
            Err(of_tls(plain(&why)))
        }
        Ok(Err(mysql_async::Error::Io(mysql_async::IoError::Io(why)))) => Err(Failure::Retry(format!(
            "E0400: cannot connect to {}:{}: {}; is the server running, and does it listen there?",
            opts.ip_or_hostname(),
            opts.tcp_port(),
            plain(&why)
        ))),
        Ok(Err(why)) => Err(why.into()),
        Err(_) => Err(Failure::Retry(format!(
            "E0400: {}:{} does not answer within {} seconds",
            opts.ip_or_hostname(),
            opts.tcp_port(),
            CONNECT_MAX.as_secs()
        ))),
    }
}

/// "connection refused", without the number that the system gives it.
fn plain(why: &std::io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// What kind of server it is; each kind has its own GTIDs, snapshot and way to start a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// MariaDB from 10.5 on, which has full row metadata.
    MariaDb,
    /// Oracle MySQL from 8.0 on, for the same reason, and what descends from it.
    MySql,
    /// Dolt, which speaks MySQL's protocol and writes its log.
    Dolt,
}

/// A server: its kind and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) flavour: Flavour,
    /// `10.11.19-MariaDB-log`, `9.7.4`, `Dolt 1.59.1`.
    pub(crate) version: String,
}

impl Server {
    /// Asks the server what it is.
    ///
    /// # Errors
    /// One that is not known.
    pub(crate) async fn ask(conn: &mut Conn) -> Result<Server, Failure> {
        let version: String = ask_first(conn, "SELECT VERSION()").await?.unwrap_or_default();
        let dolt = match version.contains("MariaDB") {
            true => None,
            false => dolt_version(conn).await?,
        };
        Server::from_texts(&version, dolt.as_deref())
    }

    /// From `VERSION()` and, if the server has that function, `dolt_version()`.
    fn from_texts(version: &str, dolt: Option<&str>) -> Result<Server, Failure> {
        if let Some(dolt) = dolt {
            return Ok(Server { flavour: Flavour::Dolt, version: format!("Dolt {dolt}") });
        }
        let is_mariadb = version.to_ascii_lowercase().contains("mariadb");
        let number: Vec<u32> = version.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
        let flavour = match number[..] {
            [major, minor] if is_mariadb && (major, minor) >= (10, 5) => Flavour::MariaDb,
            [major, _] if !is_mariadb && major >= 8 => Flavour::MySql,
            _ => {
                return Err(Failure::stop(
                    code::SERVER,
                    format!("the server is version {version}"),
                    "this source reads MariaDB 10.5, MySQL 8.0 or later, and Dolt",
                ));
            }
        };
        Ok(Server { flavour, version: version.to_string() })
    }
}

/// Dolt's version; `None` where the function is not known, which is everywhere else.
async fn dolt_version(conn: &mut Conn) -> Result<Option<String>, Failure> {
    match conn.query_first("SELECT dolt_version()").await {
        Ok(version) => Ok(version),
        Err(mysql_async::Error::Server(_)) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// The rows of a query. The protocol library's own conversion panics where a server answers otherwise than expected; this one refuses.
pub(crate) async fn ask<T: FromRow>(conn: &mut Conn, sql: impl AsRef<str> + Send) -> Result<Vec<T>, Failure> {
    let rows: Vec<Row> = conn.query(sql.as_ref()).await?;
    rows.into_iter().map(|row| converted(row, sql.as_ref())).collect()
}

/// The first row of a query, if there is one.
pub(crate) async fn ask_first<T: FromRow>(conn: &mut Conn, sql: impl AsRef<str> + Send) -> Result<Option<T>, Failure> {
    let row: Option<Row> = conn.query_first(sql.as_ref()).await?;
    row.map(|row| converted(row, sql.as_ref())).transpose()
}

fn converted<T: FromRow>(row: Row, sql: &str) -> Result<T, Failure> {
    let begin: String = sql.chars().take(60).collect();
    let refused = |_| Failure::stop(code::SERVER, format!("the server answers in an unknown form: {begin}…"), "report this");
    mysql_async::from_row_opt(row).map_err(refused)
}

/// A name in SQL: `` `or``der` ``.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_version() {
        for (version, dolt, flavour) in [
            ("10.11.19-MariaDB-log", None, Flavour::MariaDb),
            ("11.8.6-MariaDB-ubu", None, Flavour::MariaDb),
            ("8.0.33", None, Flavour::MySql),
            ("9.7.4-2", None, Flavour::MySql),
            ("8.0.33", Some("1.59.1"), Flavour::Dolt),
        ] {
            assert_eq!(Server::from_texts(version, dolt).unwrap().flavour, flavour, "{version}");
        }
        for version in ["5.7.44-log", "10.4.1-MariaDB", "what"] {
            let Err(Failure::Stop(text)) = Server::from_texts(version, None) else { panic!("{version}") };
            let cure = "this source reads MariaDB 10.5, MySQL 8.0 or later, and Dolt";
            assert_eq!(text, format!("E0402: the server is version {version}; {cure}"));
        }
    }
}
