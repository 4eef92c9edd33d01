//! Several sources of one server.

use thalweg_testkit::{MySql, require_mysql};

use crate::share::one_connection;

#[test]
fn sources_of_one_server_hold_one_connection_through_lag_and_crash() {
    if require_mysql() {
        one_connection(MySql::start());
    }
}
