//! Opening a connection, and what kind of server it is.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::failure::{Failure, code};

/// The protocol's largest packet: a row event may be larger than any statement.
const PACKET_MAX: usize = 1 << 30;
/// How long connecting may take, with login.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Settings from a URL, with what this source needs.
pub(crate) fn options(url: &str) -> Result<Opts, Failure> {
    let opts = Opts::from_url(url).map_err(|e| Failure::from(mysql_async::Error::Url(e)))?;
    let builder = OptsBuilder::from_opts(opts).max_allowed_packet(Some(PACKET_MAX)).prefer_socket(false).stmt_cache_size(0);
    Ok(builder.into())
}

/// A new connection.
pub(crate) async fn connect(opts: &Opts) -> Result<Conn, Failure> {
    match tokio::time::timeout(CONNECT_MAX, Conn::new(opts.clone())).await {
        Ok(Ok(connected)) => Ok(connected),
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
}

/// The flavour of a server by its version text.
///
/// # Errors
/// A server that is not known.
pub(crate) fn flavour(version: &str) -> Result<Flavour, Failure> {
    let lower = version.to_ascii_lowercase();
    let number: Vec<u32> = lower.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
    match number[..] {
        [major, minor] if lower.contains("mariadb") && (major, minor) >= (10, 5) => Ok(Flavour::MariaDb),
        _ => Err(Failure::stop(
            code::SERVER,
            format!("the server is version {version}"),
            "this source reads MariaDB 10.5 or later",
        )),
    }
}

/// The server's version text.
pub(crate) async fn version(conn: &mut Conn) -> Result<String, Failure> {
    Ok(conn.query_first::<String, _>("SELECT VERSION()").await?.unwrap_or_default())
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
        assert_eq!(flavour("10.11.19-MariaDB-log").unwrap(), Flavour::MariaDb);
        assert_eq!(flavour("11.8.6-MariaDB-ubu").unwrap(), Flavour::MariaDb);
        for version in ["9.7.4", "10.4.1-MariaDB", "8.0.33"] {
            let Err(Failure::Stop(text)) = flavour(version) else { panic!("{version}") };
            assert_eq!(text, format!("E0402: the server is version {version}; this source reads MariaDB 10.5 or later"));
        }
    }
}
