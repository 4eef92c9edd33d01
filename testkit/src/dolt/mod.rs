//! A stand-in for Dolt at the level of the wire: what its binlog primary sends, and the few statements that a reader needs.
//!
//! Faithful where it matters to a reader: version 8.0.33 in the greeting and 5.6.33 in the log, GTIDs only, one transaction as the folded
//! difference of two table states in key order, table numbers from 3 in every transaction, no signs and no keys in the metadata, virtual
//! columns missing in rows, one timestamp for all events, rotations swallowed, locks that lock nothing; commits with parents, of which one
//! branch is logged, and what tells of them (`queries`). What it cannot stand in for is Dolt's own storage and SQL: tables are changed by
//! calls, and only the statements of this project's reader are understood.

mod history;
mod log;
mod packets;
mod queries;
mod session;
mod table;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use history::{Branch, History};
use log::Log;
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
    history: History,
    variables: Vec<(&'static str, String)>,
    /// Whether statements may change tables.
    writable: bool,
    /// What SHOW GRANTS tells.
    grants: Vec<String>,
    heartbeat: Duration,
    /// What SHOW WARNINGS tells.
    warnings: Vec<String>,
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
            history: History::new(),
            variables: vec![
                on("log_bin"),
                on("gtid_mode"),
                on("enforce_gtid_consistency"),
                ("binlog_row_metadata", "FULL".into()),
                ("binlog_format", "ROW".into()),
                ("binlog_row_image", "FULL".into()),
            ],
            writable: true,
            grants: vec!["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION".into()],
            heartbeat: Duration::from_millis(100),
            warnings: Vec::new(),
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

    /// `CREATE TABLE`; the first `key` columns are its primary key. With `key` 0 it has none, and rows may be equal.
    pub fn create(&self, table: &str, columns: &[(&str, Kind)], key: usize) {
        self.create_on(MAIN, table, columns, key);
    }

    /// The same on a branch.
    pub fn create_on(&self, branch: &str, table: &str, columns: &[(&str, Kind)], key: usize) {
        let columns = columns.iter().map(|(name, kind)| Column { name: name.to_string(), kind: kind.clone() }).collect();
        self.state().create(branch, table, Table { columns, key, rows: Default::default() });
    }

    /// `DROP TABLE`: in the log only the statement.
    pub fn drop_table(&self, table: &str) {
        self.drop_on(MAIN, table);
    }

    /// The same on a branch.
    pub fn drop_on(&self, branch: &str, table: &str) {
        let mut state = self.state();
        let (database, name) = split(table);
        state.history.working(branch).remove(&(database.clone(), name.clone()));
        state.statement(branch, &database, &format!("DROP TABLE `{name}`;"));
    }

    /// `ALTER TABLE` on a branch: other columns and another key; each row becomes what `change` makes of it. The log has the statement.
    ///
    /// # Panics
    /// On an unknown table.
    pub fn alter_on(
        &self,
        branch: &str,
        table: &str,
        columns: &[(&str, Kind)],
        key: usize,
        change: impl Fn(&[Cell]) -> Vec<Cell>,
    ) {
        let mut state = self.state();
        let (database, name) = split(table);
        let old = state.history.working(branch).remove(&(database.clone(), name.clone())).expect("the table was created");
        let columns = columns.iter().map(|(name, kind)| Column { name: name.to_string(), kind: kind.clone() }).collect();
        let mut new = Table { columns, key, rows: Default::default() };
        old.rows.values().for_each(|row| new.put(change(row)));
        state.history.working(branch).insert((database.clone(), name.clone()), new);
        state.statement(branch, &database, &format!("ALTER TABLE `{name}` …;"));
    }

    /// `RENAME TABLE` on a branch.
    ///
    /// # Panics
    /// On an unknown table.
    pub fn rename_on(&self, branch: &str, from: &str, to: &str) {
        let mut state = self.state();
        let moved = state.history.working(branch).remove(&split(from)).expect("the table was created");
        let (database, name) = split(to);
        state.history.working(branch).insert((database.clone(), name.clone()), moved);
        state.statement(branch, &database, &format!("RENAME TABLE {from} TO `{name}`;"));
    }

    /// One SQL transaction.
    ///
    /// # Panics
    /// On an unknown table.
    pub fn write(&self, edits: &[Edit<'_>]) {
        self.write_on(MAIN, edits);
    }

    /// The same on a branch.
    ///
    /// # Panics
    /// On an unknown table or branch.
    pub fn write_on(&self, branch: &str, edits: &[Edit<'_>]) {
        self.state().write(branch, edits);
    }

    /// `CALL dolt_commit('-Am', …)`: nothing of it is logged. The commit's hash.
    pub fn commit(&self) -> String {
        self.commit_on(MAIN)
    }

    /// The same on a branch.
    ///
    /// # Panics
    /// On an unknown branch.
    pub fn commit_on(&self, branch: &str) -> String {
        self.state().history.commit(branch)
    }

    /// `CALL dolt_branch(name, from)`: it begins at the last commit of `from`.
    ///
    /// # Panics
    /// On an unknown branch.
    pub fn branch(&self, name: &str, from: &str) {
        let mut state = self.state();
        let commit = state.history.resolve(from).expect("the branch was made").clone();
        state.history.branches.insert(name.into(), Branch { head: commit.hash, working: commit.tables });
    }

    /// `CALL dolt_branch('-D', name)`.
    pub fn delete_branch(&self, name: &str) {
        self.state().history.branches.remove(name);
    }

    /// `CALL dolt_merge(from)` on `into`: what `from` changed wins. The head's hash afterwards.
    ///
    /// # Panics
    /// On an unknown branch.
    pub fn merge(&self, into: &str, from: &str) -> String {
        self.state().logged(into, |history| history.merge(into, from))
    }

    /// `CALL dolt_reset('--hard', commit)` on a branch: one ordinary transaction in the log.
    ///
    /// # Panics
    /// On an unknown branch or commit.
    pub fn reset(&self, branch: &str, commit: &str) {
        self.state().logged(branch, |history| history.reset(branch, commit));
    }

    /// `CALL dolt_gc()`: commits that no branch reaches are gone.
    pub fn collect_garbage(&self) {
        self.state().history.collect_garbage();
    }

    /// The hash of a branch's last commit.
    ///
    /// # Panics
    /// On an unknown branch.
    pub fn head(&self, branch: &str) -> String {
        self.state().history.branch(branch).head.clone()
    }

    /// The rows of a table as of a commit, in key order; none if it is not there.
    ///
    /// # Panics
    /// On an unknown commit.
    pub fn rows_at(&self, commit: &str, table: &str) -> Vec<Vec<Cell>> {
        let state = self.state();
        let tables = &state.history.resolve(commit).expect("a commit").tables;
        tables.get(&split(table)).map(|table| table.rows.values().cloned().collect()).unwrap_or_default()
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

    /// What SHOW GRANTS tells from now on; nothing else asks for privileges.
    pub fn set_grants(&self, grants: &[&str]) {
        self.state().grants = grants.iter().map(ToString::to_string).collect();
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

/// The branch that is logged, and that sessions begin on.
const MAIN: &str = "main";

fn split(table: &str) -> (String, String) {
    let (database, name) = table.split_once('.').expect("tables are named db.table");
    (database.to_string(), name.to_string())
}

impl State {
    fn full_metadata(&self) -> bool {
        self.variables.iter().any(|(name, value)| *name == "binlog_row_metadata" && value == "FULL")
    }

    fn create(&mut self, branch: &str, table: &str, layout: Table) {
        let (database, name) = split(table);
        let columns: Vec<String> = layout.columns.iter().map(|c| format!("`{}` {}", c.name, c.kind.sql().1)).collect();
        self.history.working(branch).insert((database.clone(), name.clone()), layout);
        self.statement(branch, &database, &format!("CREATE TABLE `{name}` ({});", columns.join(", ")));
    }

    /// A statement in the log, if the branch is logged.
    fn statement(&mut self, branch: &str, database: &str, sql: &str) {
        if branch == MAIN {
            self.log.statement(database, sql);
        }
    }

    fn write(&mut self, branch: &str, edits: &[Edit<'_>]) {
        self.logged(branch, |history| {
            for edit in edits {
                let (Edit::Put(name, _) | Edit::Remove(name, _)) = edit;
                let table = history.working(branch).get_mut(&split(name)).expect("the table was created");
                match edit {
                    Edit::Put(_, row) => table.put(row.clone()),
                    Edit::Remove(_, key) => table.remove(key),
                }
            }
        });
    }

    /// Changes a branch; what becomes of the rows of the logged one is one transaction.
    fn logged<T>(&mut self, branch: &str, change: impl FnOnce(&mut History) -> T) -> T {
        let before = self.history.branch(branch).working.clone();
        let result = change(&mut self.history);
        let full = self.full_metadata();
        if branch == MAIN {
            self.log.difference(&before, &self.history.branch(MAIN).working, full);
        }
        result
    }
}
