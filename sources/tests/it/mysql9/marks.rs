//! Own writes that come back.

use thalweg_testkit::require_mysql;

use super::shop;
use crate::marks::{HISTORY, TABLES, WANT, own_writes};

#[test]
fn src_25_a_transaction_that_a_sink_wrote_says_which_effect_it_was() {
    if !require_mysql() {
        return;
    }
    let server = shop(TABLES);
    assert_eq!(own_writes(&server, HISTORY), WANT);
}
