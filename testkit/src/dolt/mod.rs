//! A stand-in for Dolt at the level of the wire: what its binlog primary sends, and the few statements that a reader needs.
//!
//! Faithful where it matters to a reader: version 8.0.33 in the greeting and 5.6.33 in the log, GTIDs only, one transaction as the folded
//! difference of two table states in key order, table numbers from 3 in every transaction, no signs and no keys in the metadata, virtual
//! columns missing in rows, one timestamp for all events, rotations swallowed, locks that lock nothing. What it cannot stand in for is
//! Dolt's own storage and SQL: tables are changed by calls, and only the statements of this project's reader are understood.

mod log;
mod packets;
mod session;
mod table;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use log::{Log, Tables};
use table::Table;
pub use table::{Cell, Column, Kind};

/// A change of a row, by table `db.name`.
#[derive(Clone, Debug)]
pub enum Edit<'a> {
    /// The row is there afterwards.
    Put(&'a str, Vec<Cell>),
    /// The row with this key is not.
    Remove(&'a str, Vec<Cell>),
}

/// The stand-in, on its own loopback port. Its threads end with it.
#[derive(Debug)]
pub struct DoltStandIn {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct State {
    log: Log,
    /// The working set.
    tables: Tables,
    /// Commits by hash, oldest first.
    commits: Vec<(String, Tables)>,
    variables: Vec<(&'static str, String)>,
    /// Whether statements may change tables.
    writable: bool,
    /// How often the working set has changed.
    version: u64,
    heartbeat: Duration,
    open: Vec<TcpStream>,
}

impl DoltStandIn {
    /// Starts with no tables; heartbeats come every 100 ms instead of every 30 s.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub fn start() -> DoltStandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let on = |name| (name, "ON".to_string());
        let state = State {
            log: Log::new(1_700_000_000),
            tables: Tables::new(),
            commits: Vec::new(),
            variables: vec![
                on("log_bin"),
                on("gtid_mode"),
                on("enforce_gtid_consistency"),
                ("binlog_row_metadata", "FULL".into()),
                ("binlog_format", "ROW".into()),
                ("binlog_row_image", "FULL".into()),
            ],
            writable: true,
            version: 0,
            heartbeat: Duration::from_millis(100),
            open: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), ended: AtomicBool::new(false) });
        let own = shared.clone();
        std::thread::spawn(move || accept(&listener, &own));
        DoltStandIn { port, shared }
    }

    /// `mysql://root@127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// `CREATE TABLE`; the first `key` columns are its primary key.
    pub fn create(&self, table: &str, columns: &[(&str, Kind)], key: usize) {
        let columns = columns.iter().map(|(name, kind)| Column { name: name.to_string(), kind: kind.clone() }).collect();
        self.state().create(table, Table { columns, key, rows: Default::default() });
    }

    /// `DROP TABLE`: in the log only the statement.
    pub fn drop_table(&self, table: &str) {
        let mut state = self.state();
        let (database, name) = split(table);
        state.tables.remove(&(database.clone(), name.clone()));
        state.version += 1;
        state.log.statement(&database, &format!("DROP TABLE `{name}`;"));
    }

    /// One SQL transaction.
    ///
    /// # Panics
    /// On an unknown table.
    pub fn write(&self, edits: &[Edit<'_>]) {
        self.state().write(edits);
    }

    /// `CALL dolt_commit('-Am', …)`: nothing of it is logged. The commit's hash.
    pub fn commit(&self) -> String {
        self.state().commit()
    }

    /// All that was logged: `uuid:1-7`.
    pub fn gtid(&self) -> String {
        let state = self.state();
        state.log.set(1, state.log.executed)
    }

    /// The id of the `number`-th transaction.
    pub fn gtid_of(&self, number: u64) -> String {
        format!("{}:{number}", self.state().log.uuid_text())
    }

    /// Sets a global variable.
    pub fn set(&self, name: &'static str, value: &str) {
        let mut state = self.state();
        state.variables.retain(|(known, _)| *known != name);
        state.variables.push((name, value.to_string()));
    }

    /// Whether statements of clients may change tables.
    pub fn set_writable(&self, writable: bool) {
        self.state().writable = writable;
    }

    /// As a restart: all connections end, and the log begins a new file.
    pub fn restart(&self) {
        let mut state = self.state();
        state.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        state.log.begin_file();
    }

    /// Deletes all files of the log but the last.
    pub fn purge(&self) {
        self.state().log.purge();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no thread of the stand-in panics")
    }
}

impl Drop for DoltStandIn {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok(); // Wakes the accepting thread, which then sees the end.
        if let Ok(mut state) = self.shared.state.lock() {
            state.open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        client.set_nodelay(true).ok();
        let Ok(stream) = client.try_clone() else { continue };
        shared.state.lock().expect("no thread of the stand-in panics").open.push(stream);
        let shared = shared.clone();
        std::thread::spawn(move || session::serve(client, &shared));
    }
}

fn split(table: &str) -> (String, String) {
    let (database, name) = table.split_once('.').expect("tables are named db.table");
    (database.to_string(), name.to_string())
}

impl State {
    fn full_metadata(&self) -> bool {
        self.variables.iter().any(|(name, value)| *name == "binlog_row_metadata" && value == "FULL")
    }

    fn create(&mut self, table: &str, layout: Table) {
        let (database, name) = split(table);
        let columns: Vec<String> = layout.columns.iter().map(|c| format!("`{}` {}", c.name, c.kind.sql().1)).collect();
        self.log.statement(&database, &format!("CREATE TABLE `{name}` ({});", columns.join(", ")));
        self.tables.insert((database, name), layout);
        self.version += 1;
    }

    fn write(&mut self, edits: &[Edit<'_>]) {
        let before = self.tables.clone();
        for edit in edits {
            let (Edit::Put(name, _) | Edit::Remove(name, _)) = edit;
            let table = self.tables.get_mut(&split(name)).expect("the table was created");
            match edit {
                Edit::Put(_, row) => drop(table.rows.insert(row[..table.key].to_vec(), row.clone())),
                Edit::Remove(_, key) => drop(table.rows.remove(key)),
            }
        }
        let full = self.full_metadata();
        self.log.difference(&before, &self.tables, full);
        self.version += 1;
    }

    fn commit(&mut self) -> String {
        let hash = format!("{:0>32}", format!("c{}", self.commits.len() + 1));
        self.commits.push((hash.clone(), self.tables.clone()));
        hash
    }
}
