//! The source against a real MySQL 9. Every name here contains `mysql9`, by which `./test` leaves these out where no server can be had.

mod accidents;
mod live;
mod marks;
mod refusals;
mod share;
mod snapshot;
mod tls;

use thalweg_testkit::MySql;

use crate::harness::{Running, line};

/// A server with a database `shop`.
fn shop(sql: &str) -> MySql {
    let server = MySql::start();
    server.exec(&format!("CREATE DATABASE shop; USE shop; {sql}"));
    server
}

/// `text` with the server's id as `U`.
fn short(server: &MySql, text: &str) -> String {
    text.replace(&server.query("SELECT @@server_uuid")[0][0], "U")
}

/// The next transaction on a line.
fn next(server: &MySql, source: &mut Running) -> String {
    short(server, &line(&source.transaction()))
}
