//! Binlog files: what a fresh server writes for some statements.

use thalweg_testkit::MariaDb;

/// The file that a private MariaDB writes for these statements in the database `bench`, after those of `create`.
///
/// # Panics
/// If there is no server, or a statement fails.
pub fn record(create: &str, statements: &[String]) -> Vec<u8> {
    let server = MariaDb::start_with(&["--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=0"]);
    let set = "SET time_zone = '+00:00'";
    server.exec(&format!("CREATE DATABASE bench; USE bench; {create}; FLUSH BINARY LOGS"));
    server.exec(&format!("{set}; USE bench; {}; FLUSH BINARY LOGS", statements.join(";")));
    let newest = server.query("SHOW BINARY LOGS");
    let file = &newest[newest.len() - 2][0];
    std::fs::read(server.data().join(file)).expect("the server's log can be read")
}
