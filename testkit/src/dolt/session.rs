//! One client of the stand-in: commands in, answers out; a dump becomes an endless stream.

use std::io;
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::history::root_of;
use super::log::Tables;
use super::packets::Wire;
use super::table::{Cell, Column, Kind, Table};
use super::{Edit, MAIN, Shared, State, queries, split};

/// How long the stream waits at the end of the log before it looks again; Dolt itself takes 250 ms.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a statement gives.
pub(super) enum Answer {
    Done,
    Rows(Vec<String>, Vec<Vec<Option<String>>>),
    Error(u16, &'static str, String),
}

/// A session: its connection, and what it has prepared and not committed.
struct Session<'a> {
    wire: Wire,
    shared: &'a Shared,
    database: String,
    prepared: Option<(Vec<Column>, Vec<Vec<Cell>>)>,
    /// The transaction's view, once it has one.
    view: Option<Tables>,
    /// Changes that wait for the commit.
    edits: Vec<(String, Vec<Cell>)>,
}

pub(super) fn serve(stream: TcpStream, shared: &Shared) {
    let wire = Wire::new(stream);
    let mut session = Session { wire, shared, database: String::new(), prepared: None, view: None, edits: Vec::new() };
    session.run().ok(); // The client has gone away.
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.wire.greet("8.0.33")?;
        loop {
            let command = self.wire.command()?;
            let text = || String::from_utf8_lossy(&command[1..]).into_owned();
            match command[0] {
                0x01 => return Ok(()),
                0x02 => {
                    self.database = text();
                    self.wire.ok()?;
                }
                0x03 => match self.statement(&text()) {
                    Answer::Done => self.wire.ok()?,
                    Answer::Rows(names, rows) => self.wire.rows(&names, &rows)?,
                    Answer::Error(code, state, message) => self.wire.error(code, state, &message)?,
                },
                0x0e | 0x15 => self.wire.ok()?,
                0x12 => self.wire.error(1047, "08S01", "command handling not implemented yet: 18")?,
                0x16 => self.prepare(&text())?,
                0x17 => {
                    let (columns, rows) = self.prepared.clone().unwrap_or_default();
                    self.wire.binary_rows(&columns, &rows)?;
                }
                0x19 => {} // Close of a prepared statement: no answer.
                0x1e => return self.dump(&command[1..]),
                other => self.wire.error(1047, "08S01", &format!("command handling not implemented yet: {other}"))?,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no thread of the stand-in panics")
    }

    /// A query whose values come in binary.
    fn prepare(&mut self, sql: &str) -> io::Result<()> {
        let found = queries::select(&self.state(), &self.database, self.view.as_ref(), sql);
        match found {
            Ok(result) => {
                let columns = result.0.clone();
                self.prepared = Some(result);
                self.wire.prepared(1, &columns)
            }
            Err(message) => self.wire.error(1105, "HY000", &message),
        }
    }

    fn statement(&mut self, sql: &str) -> Answer {
        let sql = sql.trim().trim_end_matches(';');
        let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "SELECT" if sql.contains("information_schema.") => self.information(sql),
            "SELECT" => {
                let found = queries::text(&mut self.state(), &self.database, sql);
                found.unwrap_or_else(|| self.expressions(&sql[6..]))
            }
            "SHOW" => self.show(sql),
            "CREATE" => self.create_marker(sql),
            "REPLACE" => self.replace(sql),
            "CALL" => self.commit_all(),
            "START" => {
                let view = self.state().history.branch(MAIN).working.clone();
                self.view = Some(view);
                Answer::Done
            }
            "COMMIT" | "ROLLBACK" => {
                self.view = None;
                self.edits.clear();
                Answer::Done
            }
            "USE" => self.enter(sql[3..].trim().replace('`', "")),
            // FLUSH and LOCK say that they did it, and do nothing.
            "SET" | "FLUSH" | "LOCK" | "UNLOCK" => Answer::Done,
            _ => Answer::Error(1105, "HY000", format!("the stand-in does not know {sql}")),
        }
    }

    /// `USE db`, `USE db/revision`.
    fn enter(&mut self, name: String) -> Answer {
        let (database, revision) = queries::revision_of(&name);
        let state = self.state();
        let is_there = revision.is_none_or(|spec| state.history.resolve(spec).is_some());
        let is_there = is_there && state.databases().contains(database);
        drop(state);
        if !is_there {
            return Answer::Error(1049, "42000", format!("Unknown database '{name}'"));
        }
        self.database = name;
        Answer::Done
    }

    /// `SELECT @@variable, function(), …`
    fn expressions(&self, list: &str) -> Answer {
        if list.trim().starts_with("TIMESTAMPDIFF(MICROSECOND, '1970-01-01") {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
            return Answer::Rows(vec!["c0".into()], vec![vec![Some(now.to_string())]]);
        }
        let state = self.state();
        let mut row = Vec::new();
        for expression in list.split(',') {
            let name = expression.trim().trim_start_matches("@@").trim_start_matches("global.").to_ascii_lowercase();
            if let Some(hash) = queries::hash_of(&state, &name) {
                match hash {
                    Ok(hash) => row.push(Some(hash)),
                    Err(message) => return Answer::Error(1105, "HY000", message),
                }
                continue;
            }
            row.push(Some(match name.as_str() {
                "version()" => "8.0.33".to_string(),
                "dolt_version()" => "1.59.1".to_string(),
                "current_user()" => "root@%".to_string(),
                "unix_timestamp(now(6))" => "1700000000.000000".to_string(),
                "dolt_hashof_db()" => root_of(&state.history.branch(MAIN).working),
                "active_branch()" => queries::branch_of(&self.database).to_string(),
                "gtid_executed" => state.log.set(1, state.log.executed),
                "gtid_purged" => state.log.set(1, state.log.purged),
                "max_allowed_packet" => "1073741824".to_string(),
                "wait_timeout" => "28800".to_string(),
                _ => match state.variables.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => value.clone(),
                    None => return Answer::Error(1193, "HY000", format!("Unknown system variable '{name}'")),
                },
            }));
        }
        Answer::Rows((0..row.len()).map(|i| format!("c{i}")).collect(), vec![row])
    }

    fn show(&self, sql: &str) -> Answer {
        let state = self.state();
        let (names, rows): (&[&str], Vec<Vec<String>>) = match sql.split_whitespace().nth(1).unwrap_or_default() {
            "DATABASES" => {
                let revision = queries::revision_of(&self.database).1.map(|_| self.database.clone());
                (&["Database"], state.databases().into_iter().chain(revision).map(|name| vec![name]).collect())
            }
            "SESSION" => (&["Variable_name", "Value"], Vec::new()),
            "WARNINGS" => {
                let warning = |text: &String| vec!["Warning".to_string(), "1105".to_string(), text.clone()];
                (&["Level", "Code", "Message"], state.warnings.iter().map(warning).collect())
            }
            "GRANTS" => (&["Grants"], state.grants.iter().map(|grant| vec![grant.clone()]).collect()),
            "GLOBAL" => (
                &["Variable_name", "Value"],
                state.variables.iter().map(|(name, value)| vec![name.to_string(), value.clone()]).collect(),
            ),
            _ => return Answer::Error(1105, "HY000", format!("the stand-in does not know {sql}")),
        };
        let some = |row: Vec<String>| row.into_iter().map(Some).collect();
        Answer::Rows(names.iter().map(ToString::to_string).collect(), rows.into_iter().map(some).collect())
    }

    /// The three questions that a reader asks of the layout; the columns in the order in which it asks.
    fn information(&self, sql: &str) -> Answer {
        let state = self.state();
        let mut rows = Vec::new();
        for ((database, name), table) in &state.history.branch(MAIN).working {
            information(sql, database, name, table, &mut rows);
        }
        // Databases of a revision are there for whoever is in one.
        if let (_, Some(spec)) = queries::revision_of(&self.database)
            && let Some(commit) = state.history.resolve(spec)
        {
            for ((database, name), table) in &commit.tables {
                information(sql, &format!("{database}/{spec}"), name, table, &mut rows);
            }
        }
        let width = rows.first().map_or(1, Vec::len);
        Answer::Rows((0..width).map(|i| format!("c{i}")).collect(), rows)
    }

    fn read_only(&self) -> Option<Answer> {
        let refused = || Answer::Error(1142, "42000", "command denied to user 'reader'@'%'".into());
        (!self.state().writable).then(refused)
    }

    /// `CREATE TABLE IF NOT EXISTS db.name (id INT PRIMARY KEY, marker VARCHAR(36))`
    fn create_marker(&mut self, sql: &str) -> Answer {
        if let Some(refused) = self.read_only() {
            return refused;
        }
        let name = sql.split_whitespace().nth(5).unwrap_or_default().replace('`', "");
        let mut state = self.state();
        if !state.history.branch(MAIN).working.contains_key(&split(&name)) {
            let column = |name: &str, kind| Column { name: name.into(), kind };
            let columns = vec![column("id", Kind::Int), column("marker", Kind::Varchar(36))];
            state.create(MAIN, &name, Table { columns, key: 1, rows: Default::default() });
        }
        Answer::Done
    }

    /// `REPLACE INTO db.name VALUES (1, 'text')`
    fn replace(&mut self, sql: &str) -> Answer {
        if let Some(refused) = self.read_only() {
            return refused;
        }
        let name = sql.split_whitespace().nth(2).unwrap_or_default().replace('`', "");
        let text = sql.split('\'').nth(1).unwrap_or_default();
        self.edits.push((name, vec![Cell::Int(1), Cell::Text(text.to_string())]));
        Answer::Done
    }

    /// `CALL dolt_commit(…)`: commits the transaction too.
    fn commit_all(&mut self) -> Answer {
        if let Some(refused) = self.read_only() {
            return refused;
        }
        let edits = std::mem::take(&mut self.edits);
        self.view = None;
        let mut state = self.state();
        for (table, row) in edits {
            state.write(MAIN, &[Edit::Put(&table, row)]);
        }
        let hash = state.history.commit(MAIN);
        Answer::Rows(vec!["hash".into()], vec![vec![Some(hash)]])
    }

    /// COM_BINLOG_DUMP_GTID: flags, server id, file name, position, then the set.
    fn dump(&mut self, body: &[u8]) -> io::Result<()> {
        let number = |at: usize, len: usize| body[at..at + len].iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let flags = number(0, 2);
        let name_len = number(6, 4) as usize;
        let at = 10 + name_len + 8;
        let set = if flags & 0x04 != 0 { executed(&body[at + 4..], &self.state().log.uuid) } else { Vec::new() };
        if flags & 0x01 != 0 {
            return Ok(()); // Non-blocking: the connection ends without a word.
        }
        if let Some((code, message)) = self.refusal(&set) {
            return self.wire.error(code, "HY000", &message);
        }
        self.stream(&set)
    }

    /// Why a dump cannot begin.
    fn refusal(&self, set: &[(u64, u64)]) -> Option<(u16, String)> {
        let state = self.state();
        let is_on = |name| state.variables.iter().any(|(known, value)| *known == name && (value == "ON" || value == "1"));
        if !is_on("log_bin") {
            return Some((
                1236,
                "no binlog currently being recorded; make sure the server is started with @@log_bin enabled".into(),
            ));
        }
        if !is_on("gtid_mode") {
            return Some((1236, "@@gtid_mode must be enabled for binlog replication".into()));
        }
        let missing = (1..=state.log.purged).find(|n| !contains(set, *n))?;
        let sent: Vec<String> = set.iter().map(|(first, end)| state.log.set(*first, end - 1)).collect();
        Some((
            1236,
            format!(
                "Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere, or \
                 provision a new replica from backup. Consider increasing the source's binary log expiration period. The GTID set sent by \
                 the replica is '{}', and the missing transactions are '{}'.",
                sent.join(","),
                state.log.set(missing, state.log.purged)
            ),
        ))
    }

    /// Sends what is not in `set`, then what comes. Up to the next GTID everything of a transaction that is in it is left out.
    fn stream(&mut self, set: &[(u64, u64)]) -> io::Result<()> {
        let rotate = self.state().log.rotate();
        self.send(&rotate)?;
        let (mut at, mut skipping, mut quiet) = (0, false, Instant::now());
        while !self.shared.ended.load(Ordering::SeqCst) {
            let (events, heartbeat) = {
                let state = self.state();
                at = at.max(state.log.dropped);
                let events = state.log.events[at - state.log.dropped..].to_vec();
                (events, (quiet.elapsed() >= state.heartbeat).then(|| state.log.heartbeat()))
            };
            at += events.len();
            for event in &events {
                if let Some(number) = event.begins {
                    skipping = contains(set, number);
                }
                if !skipping {
                    self.send(&event.bytes)?;
                    quiet = Instant::now();
                }
            }
            match heartbeat {
                Some(heartbeat) if events.is_empty() => {
                    self.send(&heartbeat)?;
                    quiet = Instant::now();
                }
                _ => std::thread::sleep(LOOK_AGAIN),
            }
        }
        Ok(())
    }

    fn send(&mut self, event: &[u8]) -> io::Result<()> {
        self.wire.write(&[&[0][..], event].concat())
    }
}

/// What the reader has of this server: first numbers and those behind the last.
fn executed(set: &[u8], uuid: &[u8; 16]) -> Vec<(u64, u64)> {
    let number = |at: usize| u64::from_le_bytes(set[at..at + 8].try_into().expect("eight bytes"));
    let mut at = 8;
    for _ in 0..number(0) {
        let count = number(at + 16) as usize;
        let runs = (0..count).map(|i| (number(at + 24 + i * 16), number(at + 32 + i * 16)));
        if &set[at..at + 16] == uuid {
            return runs.collect();
        }
        at += 24 + count * 16;
    }
    Vec::new()
}

fn contains(set: &[(u64, u64)], number: u64) -> bool {
    set.iter().any(|(first, end)| (*first..*end).contains(&number))
}

/// What one of the three questions is answered of a table, where it asks for its database.
fn information(sql: &str, database: &str, name: &str, table: &Table, rows: &mut Vec<Vec<Option<String>>>) {
    if !sql.contains(&format!("'{database}'")) {
        return;
    }
    let of_table = || vec![Some(database.to_string()), Some(name.to_string())];
    if sql.contains("information_schema.TABLES") {
        rows.push([of_table(), vec![Some("BASE TABLE".into()), Some("InnoDB".into())]].concat());
    } else if sql.contains("information_schema.STATISTICS") {
        rows.extend(table.columns[..table.key].iter().map(|c| [of_table(), vec![Some(c.name.clone())]].concat()));
    } else {
        rows.extend(table.columns.iter().map(|c| [of_table(), column(c)].concat()));
    }
}

/// Name, DATA_TYPE, COLUMN_TYPE, character set, collation, precision, scale, digits, whether JSON, whether virtual.
fn column(column: &Column) -> Vec<Option<String>> {
    let (data_type, column_type, charset) = column.kind.sql();
    let digits = matches!(column.kind, Kind::Time | Kind::Datetime).then(|| "6".to_string());
    let is_json = i32::from(column.kind == Kind::Json).to_string();
    let number = match column.kind {
        Kind::Decimal(precision, scale) => [Some(precision.to_string()), Some(scale.to_string())],
        _ => [None, None],
    };
    vec![
        Some(column.name.clone()),
        Some(data_type.to_string()),
        Some(column_type),
        charset.map(String::from),
        charset.map(|charset| format!("{charset}_0900_bin")),
        number[0].clone(),
        number[1].clone(),
        digits,
        Some(is_json),
        Some(i32::from(column.kind == Kind::Virtual).to_string()),
    ]
}
