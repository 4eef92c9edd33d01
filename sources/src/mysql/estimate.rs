//! About how many rows there are to read, as the server guesses: a figure for eyes, by which nothing is decided.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::catalog::{Table, literal};
use super::connect::Flavour;

/// The rows of these tables; `None` where the server has no idea: it does not answer, knows one of them not at all, or takes all for empty.
///
/// Dolt is not asked, since it counts its rows for an answer.
pub(crate) async fn rows(conn: &mut Conn, flavour: Flavour, tables: &[&Table]) -> Option<u64> {
    let mut databases: Vec<&str> = tables.iter().filter_map(|table| table.schema.table.split_once('.')).map(|(d, _)| d).collect();
    databases.dedup();
    if flavour == Flavour::Dolt || databases.is_empty() {
        return None;
    }
    if flavour == Flavour::MySql {
        // It answers from what it noted a day ago at worst.
        conn.query_drop("SET SESSION information_schema_stats_expiry = 0").await.ok()?;
    }
    let list: Vec<String> = databases.into_iter().map(literal).collect();
    let sql = "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), CAST(TABLE_ROWS AS UNSIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN";
    let known: Vec<Row> = conn.query(format!("{sql} ({})", list.join(","))).await.ok()?;
    let known = known.into_iter().map(mysql_async::from_row_opt::<(String, Option<u64>)>).collect::<Result<Vec<_>, _>>().ok()?;
    let of = |table: &&Table| known.iter().find(|(name, _)| **name == *table.schema.table)?.1;
    let sum = tables.iter().map(of).sum::<Option<u64>>();
    sum.filter(|rows| *rows > 0)
}
