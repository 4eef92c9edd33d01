//! Reading the rows of a table behind a key, and what the server had committed before and after: a chunk, see [`super::fill`].
//!
//! The place before must be one that the query sees all of, and the place after one that has all that it saw: else a change would be told
//! as read before the log tells it. MySQL's `gtid_executed` is the first: a transaction enters it once it can be seen. A moment before, it
//! can be seen already and its id is still owned by a session, so the place after waits for what is owned. MariaDB's `gtid_binlog_pos` runs ahead, so there the rows are read from a view that is known to lie behind the end of the log as it was
//! when the place was asked for; such a view needs no lock.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row as SqlRow, Value as Sql};

use super::catalog::{KeyColumn, Reading, Table};
use super::check::{executed, own_position};
use super::connect::{Flavour, ask_first, connect, quoted};
use super::extent::{Bound, Cell, hex};
use super::failure::Failure;
use super::fill::Chunk;
use super::snapshot::{PIECE_BYTES, PIECE_ROWS, Rows, insert, size, unknown_form};
use super::view;
use crate::binlog::gtid_set::GtidSet;
use crate::binlog::{GtidState, Place};

/// How often it is looked whether ids that were owned when a chunk had been read still are, and the pause between.
const OWNED_TRIES: usize = 20;
const OWNED_PAUSE: Duration = Duration::from_millis(2);

/// Rows of the first chunk: how large they are is not known then.
const ROWS_FIRST: usize = 100;

/// A connection that reads chunks.
#[derive(Debug)]
pub(crate) struct Reader {
    opts: Opts,
    flavour: Flavour,
    conn: Option<Conn>,
    /// Rows to ask for.
    rows: usize,
}

impl Reader {
    pub(crate) fn new(opts: Opts, flavour: Flavour) -> Reader {
        Reader { opts, flavour, conn: None, rows: ROWS_FIRST }
    }

    /// The rows behind `after`, or the first. `None`: not now, since the server has not yet made visible what it has logged up to
    /// `passed`, or somebody holds the table.
    ///
    /// # Errors
    /// What will not pass by itself within this connection to the log.
    pub(crate) async fn read(
        &mut self,
        table: &Table,
        after: Option<&Bound>,
        passed: &GtidState,
    ) -> Result<Option<Chunk>, Failure> {
        let mut conn = self.connection().await?;
        let chunk = match self.flavour {
            Flavour::MariaDb => self.of_view(&mut conn, table, after, passed).await,
            Flavour::MySql | Flavour::Dolt => self.of_moment(&mut conn, table, after, passed).await,
        };
        match chunk {
            Ok(chunk) => {
                self.conn = Some(conn);
                Ok(chunk)
            }
            Err(failure) if passes(&failure) => {
                tracing::info!("{} cannot be read now: {}", table.schema.table, failure.text().unwrap_or_default());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// All that the server has committed, and perhaps not shown.
    pub(crate) async fn committed(&mut self) -> Result<GtidState, Failure> {
        let mut conn = self.connection().await?;
        let committed = committed(&mut conn, self.flavour).await?;
        self.conn = Some(conn);
        Ok(committed)
    }

    async fn connection(&mut self) -> Result<Conn, Failure> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let mut conn = connect(&self.opts).await?;
        view::for_reading(&mut conn).await?;
        conn.query_drop("SET SESSION lock_wait_timeout = 5").await?;
        Ok(conn)
    }

    async fn of_moment(
        &mut self,
        conn: &mut Conn,
        table: &Table,
        after: Option<&Bound>,
        passed: &GtidState,
    ) -> Result<Option<Chunk>, Failure> {
        let low = executed(conn).await?;
        if !low.covers(passed) {
            return Ok(None);
        }
        let chunk = self.rows(conn, table, after).await?;
        Ok(seen(conn).await?.map(|high| Chunk { low, high, ..chunk }))
    }

    async fn of_view(
        &mut self,
        conn: &mut Conn,
        table: &Table,
        after: Option<&Bound>,
        passed: &GtidState,
    ) -> Result<Option<Chunk>, Failure> {
        let low = committed(conn, Flavour::MariaDb).await?;
        // This waits for whoever writes the log, so all of `low` stands before that end.
        let end: Option<SqlRow> = conn.query_first("SHOW MASTER STATUS").await?;
        let end = end.and_then(|row| Some(Place { file: row.get("File")?, offset: row.get("Position")? }));
        let seen = view::begin_placed(conn).await?;
        let chunk = match low.covers(passed) && end.is_some_and(|end| seen >= end) {
            true => {
                let high = committed(conn, Flavour::MariaDb).await?;
                let chunk = self.rows(conn, table, after).await?;
                Some(Chunk { low, high, ..chunk })
            }
            false => None,
        };
        conn.query_drop("COMMIT").await?;
        Ok(chunk)
    }

    /// As many rows as a piece may have. How many that are shows with the first; from then on no more are asked for.
    async fn rows(&mut self, conn: &mut Conn, table: &Table, after: Option<&Bound>) -> Result<Chunk, Failure> {
        let asked = self.rows;
        let which = which(&table.order, after, asked);
        let mut chunk =
            Chunk { low: GtidState::default(), high: GtidState::default(), rows: Vec::new(), bound: None, is_last: false };
        let (mut bytes, mut count, mut last) = (0, 0, None);
        let mut rows = Rows::of(conn, table, None, &which).await?;
        while let Some(cells) = rows.next().await? {
            count += 1;
            if bytes < PIECE_BYTES {
                bytes += size(&cells);
                last = Some(key_cells(table, &cells)?);
                chunk.rows.push(insert(&table.schema, &table.readings, cells)?);
            }
        }
        rows.end().await?;
        chunk.bound = last.map(|cells| Bound { labels: labels(&table.order), cells });
        chunk.is_last = count < asked && chunk.rows.len() == count;
        self.rows = match bytes {
            bytes if bytes >= PIECE_BYTES => chunk.rows.len(),
            bytes if bytes < PIECE_BYTES / 8 => (asked * 4).min(PIECE_ROWS),
            _ => asked,
        };
        Ok(chunk)
    }
}

async fn committed(conn: &mut Conn, flavour: Flavour) -> Result<GtidState, Failure> {
    match flavour {
        Flavour::MariaDb => {
            let state: Option<String> = ask_first(conn, "SELECT @@global.gtid_binlog_pos").await?;
            own_position(&state.unwrap_or_default())
        }
        Flavour::MySql | Flavour::Dolt => executed(conn).await,
    }
}

/// All that anybody can see by now. `None`: sessions hold ids of transactions that may be seen already, for longer than commits take.
async fn seen(conn: &mut Conn) -> Result<Option<GtidState>, Failure> {
    let mut open: Option<GtidSet> = None;
    for _ in 0..OWNED_TRIES {
        // From left to right: what is no longer owned by then has been executed, or never will be.
        let asked: Option<(String, String)> = ask_first(conn, "SELECT @@global.gtid_owned, @@global.gtid_executed").await?;
        let (owned, executed) = asked.unwrap_or_default();
        let owned = own_position(&without_sessions(&owned))?.executed().clone();
        let still = match &open {
            None => owned,
            Some(open) => open.minus(&open.minus(&owned)),
        };
        if still.is_empty() {
            return own_position(&executed).map(Some);
        }
        open = Some(still);
        tokio::time::sleep(OWNED_PAUSE).await;
    }
    Ok(None)
}

/// `uuid:7#31:8#32`, as the server lists ids with the sessions that own them, without these.
fn without_sessions(owned: &str) -> String {
    let mut parts = owned.split('#');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// A lock, or a layout that the log has yet to tell of: no such table, no such column, a definition that has changed.
fn passes(failure: &Failure) -> bool {
    let Failure::Retry(text) = failure else { return false };
    [1205, 1213, 1146, 1054, 1412].iter().any(|number| text.contains(&format!("the server says {number}:")))
}

/// The end of the query: rows behind a key in the key's order. Written out column by column, since only so an index is used.
fn which(order: &[KeyColumn], after: Option<&Bound>, rows: usize) -> String {
    let columns: Vec<String> = order.iter().map(|column| quoted(&column.name)).collect();
    let behind = after.and_then(|bound| {
        let literals = order.iter().zip(&bound.cells).map(|(column, cell)| literal(column.reading, cell));
        let literals: Vec<String> = literals.collect::<Option<_>>()?;
        let mut pairs = columns.iter().zip(&literals).rev();
        let (column, value) = pairs.next()?;
        let last = format!("{column} > {value}");
        let behind =
            pairs.fold(last, |inner, (column, value)| format!("({column} > {value} OR ({column} = {value} AND {inner}))"));
        let bounded = (columns.len() > 1).then(|| format!("{} >= {} AND ", columns[0], literals[0]));
        Some(format!(" WHERE {}{behind}", bounded.unwrap_or_default()))
    });
    format!(" FORCE INDEX (PRIMARY){} ORDER BY {} LIMIT {rows}", behind.unwrap_or_default(), columns.join(","))
}

/// A value as it is written into a query; `None`: the column does not have such values.
fn literal(reading: Reading, cell: &Cell) -> Option<String> {
    Some(match (reading, cell) {
        (Reading::Int | Reading::Uint | Reading::Decimal | Reading::Bit, Cell::Number(number)) => number.clone(),
        (Reading::Date | Reading::Datetime { .. } | Reading::Time, Cell::Time(time)) => format!("'{time}'"),
        (Reading::String(charset), Cell::Bytes(bytes)) => {
            let mut text = format!("_{} X'", charset.name()?);
            hex(&mut text, bytes);
            text + "'"
        }
        _ => return None,
    })
}

/// The key of a row.
fn key_cells(table: &Table, cells: &[Sql]) -> Result<Vec<Cell>, Failure> {
    let key = table.schema.key.iter().zip(&table.order).map(|(at, column)| {
        let at = *at as usize;
        let unread = table.readings[..at].iter().filter(|reading| reading.is_none()).count();
        let cell = cells.get(at - unread).and_then(|sql| cell(column.reading, sql));
        cell.ok_or_else(|| unknown_form(&table.schema, at))
    });
    key.collect()
}

/// What a bound by these columns is called.
pub(crate) fn labels(order: &[KeyColumn]) -> Vec<String> {
    order.iter().map(|column| column.label.clone()).collect()
}

/// Whether a bound divides the rows of a table in this order.
pub(crate) fn fits(bound: &Bound, order: &[KeyColumn]) -> bool {
    let literals = || order.iter().zip(&bound.cells).all(|(column, cell)| literal(column.reading, cell).is_some());
    bound.labels == labels(order) && literals()
}

fn cell(reading: Reading, sql: &Sql) -> Option<Cell> {
    Some(match (reading, sql) {
        (_, Sql::Int(x)) => Cell::Number(x.to_string()),
        (_, Sql::UInt(x)) => Cell::Number(x.to_string()),
        (Reading::Decimal, Sql::Bytes(text)) => Cell::Number(std::str::from_utf8(text).ok()?.to_string()),
        (Reading::Bit, Sql::Bytes(bytes)) => Cell::Number(bytes.iter().fold(0u64, |x, b| x << 8 | u64::from(*b)).to_string()),
        (Reading::Date, Sql::Date(year, month, day, ..)) => Cell::Time(format!("{year:04}-{month:02}-{day:02}")),
        (_, Sql::Date(year, month, day, hour, minute, second, micros)) => {
            Cell::Time(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"))
        }
        (_, Sql::Time(negative, days, hours, minutes, seconds, micros)) => {
            let (sign, hours) = (if *negative { "-" } else { "" }, days * 24 + u32::from(*hours));
            Cell::Time(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}"))
        }
        (Reading::String(_), Sql::Bytes(bytes)) => Cell::Bytes(bytes.clone()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::charset::Charset;

    fn column(name: &str, reading: Reading) -> KeyColumn {
        KeyColumn { name: name.into(), label: format!("{name}.x"), reading }
    }

    #[test]
    fn src_26_a_chunk_begins_behind_the_key_of_the_one_before() {
        let number = |n: &str| Cell::Number(n.into());
        let bound = |cells: &[Cell]| Bound { labels: Vec::new(), cells: cells.to_vec() };
        let id = [column("id", Reading::Int)];
        let three = [
            column("a`b", Reading::Uint),
            column("t", Reading::Datetime { digits: 0 }),
            column("n", Reading::String(Charset::Latin1)),
        ];
        let values = [number("7"), Cell::Time("2024-02-29 12:00:00".into()), Cell::Bytes(b"\xe4'".to_vec())];
        let cases = [
            (which(&id, None, 100), " FORCE INDEX (PRIMARY) ORDER BY `id` LIMIT 100"),
            (which(&id, Some(&bound(&[number("-5")])), 9), " FORCE INDEX (PRIMARY) WHERE `id` > -5 ORDER BY `id` LIMIT 9"),
            (
                which(&three, Some(&bound(&values)), 9),
                " FORCE INDEX (PRIMARY) WHERE `a``b` >= 7 AND (`a``b` > 7 OR (`a``b` = 7 AND (`t` > '2024-02-29 12:00:00' OR \
                 (`t` = '2024-02-29 12:00:00' AND `n` > _latin1 X'e427')))) ORDER BY `a``b`,`t`,`n` LIMIT 9",
            ),
        ];
        for (sql, wanted) in cases {
            assert_eq!(sql, wanted);
        }
    }
}
