//! Opening: the file is checked before SQLite touches it, and what it holds before anybody may use it.
//!
//! Nothing is created over what is there. A new database appears under its name only when it is complete: it is made beside it, synced,
//! and renamed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::TryRngCore;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use thalweg_graph::ports::StoreError;

use super::crc::RowCrc;
use super::migrate;
use super::state::State;
use crate::dir::{Dir, sync_dir};
use crate::error::{IO, MISSING, NEWER, NOT_A_STORE, damaged, fatal, from_io, from_sqlite};

/// "THLW": how `file` and SQLite know a store.
const APPLICATION_ID: i32 = 0x5448_4c57;
/// Raised when an older version could no longer read what is written.
const FORMAT: i64 = 3;
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// Who this store is.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    /// 32 hex digits, made when the store was.
    pub instance: String,
    /// `whsec_…`: signs webhooks for which no secret is configured.
    pub secret: String,
}

/// Opens the database in `dir`, or makes it where nothing was.
pub(super) fn open(dir: &Dir, max_bytes: Option<u64>) -> Result<(Connection, Meta, State), StoreError> {
    let path = dir.database();
    match fs::metadata(&path) {
        Ok(_) => check_header(&path)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            refuse_to_replace(dir)?;
            create(dir)?;
        }
        Err(e) => return Err(from_io("open", &path, &e)),
    }
    let failed = |e: rusqlite::Error| from_sqlite("open", &path, &e);
    let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    configure(&conn, max_bytes).map_err(failed)?;
    let (format, meta) = read_meta(&conn, &path)?;
    if format < FORMAT {
        let (schema, bring): (_, fn(&Connection, &Path, &Meta) -> _) = match format {
            1 => (migrate::SCHEMA_1, migrate::from_1),
            _ => (migrate::SCHEMA_2, migrate::from_2),
        };
        check_schema(&conn, &path, schema)?;
        bring(&conn, &path, &meta)?;
        tracing::info!("{} was brought from format {format} to format {FORMAT}", path.display());
    }
    check_schema(&conn, &path, SCHEMA)?;
    let state = read_state(&conn, &path)?;
    check_witness(dir, &state)?;
    Ok((conn, meta, state))
}

/// The row that says where the last commit stands.
pub(crate) fn read_state(conn: &Connection, path: &Path) -> Result<State, StoreError> {
    let state = State::read(conn).map_err(|e| from_sqlite("open", path, &e))?;
    state.ok_or_else(|| damaged(path, "the row that says where the last commit stands"))
}

/// Whose store it is, if it is of this very format.
pub(crate) fn read_current(conn: &Connection, path: &Path) -> Result<Meta, StoreError> {
    let (format, meta) = read_meta(conn, path)?;
    if format < FORMAT {
        let cure = "start `thalweg run` on it once, which brings it up to date";
        return Err(fatal(NEWER, format!("{} has the older format {format}; {cure}", path.display())));
    }
    check_schema(conn, path, SCHEMA)?;
    Ok(meta)
}

/// Looks at the first 100 bytes: SQLite would take an empty file for a new database, and a foreign one for its own.
pub(crate) fn check_header(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut header));
    read.map_err(|e| from_io("read", path, &e))?;
    let refuse = |what: &str| {
        Err(fatal(
            NOT_A_STORE,
            format!("{} {what}; restore a backup of the directory, or give the store another directory", path.display()),
        ))
    };
    if header.is_empty() {
        return refuse("is empty");
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return refuse("is not a database");
    }
    let id = i32::from_be_bytes(header[68..72].try_into().expect("four bytes are four bytes"));
    if id != APPLICATION_ID {
        return refuse("is a database of another program");
    }
    Ok(())
}

/// A directory in which only the database is missing is one that has lost it.
fn refuse_to_replace(dir: &Dir) -> Result<(), StoreError> {
    let snapshots = fs::read_dir(dir.snapshots()).is_ok_and(|mut entries| entries.next().is_some());
    let beside = if snapshots {
        "snapshots"
    } else if dir.path().join("thalweg.db-wal").exists() {
        "a write-ahead log"
    } else if dir.witness() > 0 {
        "the record of earlier commits in lock"
    } else {
        return Ok(());
    };
    Err(fatal(
        MISSING,
        format!(
            "{} is missing beside {beside}; restore it from a backup, or give the store another directory",
            dir.database().display()
        ),
    ))
}

/// Makes a new, empty store: first complete and synced under another name, then renamed.
fn create(dir: &Dir) -> Result<(), StoreError> {
    let new = dir.path().join("thalweg.db.new");
    for leftover in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(dir.path().join(format!("thalweg.db.new{leftover}"))); // Usually there is none.
    }
    fill_new(&new).map_err(|e| from_sqlite("create", &new, &e))?;
    check_turned(&new)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(|e| from_io("sync", &new, &e))?;
    fs::rename(&new, dir.database()).map_err(|e| from_io("rename", &new, &e))?;
    sync_dir(dir.path())
}

fn fill_new(path: &Path) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
    let meta = Meta { instance: hex(&random::<16>()), secret: format!("whsec_{}", STANDARD.encode(random::<32>())) };
    put_meta(&conn, &meta)?;
    State::new().insert(&conn)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.close().map_err(|(_, e)| e)
}

/// The file itself says that it has a write-ahead log (bytes 18 and 19 are 2, by SQLite's file format): SQLite answers `wal` before it commits
/// the change, and whether that failed nobody is told.
fn check_turned(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    File::open(path).and_then(|file| file.take(20).read_to_end(&mut header)).map_err(|e| from_io("read", path, &e))?;
    if header.get(18..20) == Some(&[2, 2]) {
        return Ok(());
    }
    let cure = "free some space on its disk, or put the directory on a local one";
    Err(fatal(IO, format!("cannot create {}: it got no write-ahead log; {cure}", path.display())))
}

/// Writes whose store it is, of this format.
pub(super) fn put_meta(conn: &Connection, meta: &Meta) -> rusqlite::Result<()> {
    let values = params![FORMAT, meta.instance, meta.secret, meta_crc(FORMAT, meta)];
    conn.execute("INSERT INTO meta VALUES(0, ?1, ?2, ?3, ?4)", values).map(|_| ())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn meta_crc(format: i64, meta: &Meta) -> i64 {
    RowCrc::new().int(format).text(&meta.instance).text(&meta.secret).done()
}

/// The settings that the proof of durability rests on.
fn configure(conn: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    conn.busy_timeout(std::time::Duration::from_millis(500))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A plan never depends on a bound value; without this, SQLite plans a cached statement anew each time that one is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(64);
    for (name, value) in
        [("synchronous", 2), ("foreign_keys", 1), ("cell_size_check", 1), ("temp_store", 2), ("cache_size", -16_384)]
    {
        conn.pragma_update(None, name, value)?;
    }
    // These two answer with a row.
    conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    if let Some(max) = max_bytes {
        let page: u64 = conn.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))? as u64;
        conn.query_row(&format!("PRAGMA max_page_count = {}", (max / page).max(1)), [], |_| Ok(()))?;
    }
    Ok(())
}

fn read_meta(conn: &Connection, path: &Path) -> Result<(i64, Meta), StoreError> {
    let row = conn.query_row("SELECT format, instance, secret, crc FROM meta", [], |row| {
        Ok((row.get::<_, i64>(0)?, Meta { instance: row.get(1)?, secret: row.get(2)? }, row.get::<_, i64>(3)?))
    });
    let (format, meta, crc) = match row {
        Ok(found) => found,
        Err(e) if e.sqlite_error().is_some_and(|f| f.code != rusqlite::ErrorCode::Unknown) => {
            return Err(from_sqlite("open", path, &e));
        }
        Err(_) => return Err(damaged(path, "the row that says whose store it is")),
    };
    if format > FORMAT {
        return Err(fatal(
            NEWER,
            format!(
                "{} has format {format}, and this version reads up to {FORMAT}; use the version that wrote it, or a newer one",
                path.display()
            ),
        ));
    }
    if format < 1 || crc != meta_crc(format, &meta) {
        return Err(damaged(path, "the row that says whose store it is"));
    }
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|e| from_sqlite("open", path, &e))?;
    if mode != "wal" {
        let message = format!(
            "{} cannot use a write-ahead log (its journal mode is {mode}); put the directory on a local disk",
            path.display()
        );
        return Err(fatal(IO, message));
    }
    Ok((format, meta))
}

/// Tables and indexes must be word for word those of their format: a damaged index condition would hide rows.
fn check_schema(conn: &Connection, path: &Path, expected: &str) -> Result<(), StoreError> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let found =
        conn.prepare(sql).and_then(|mut q| q.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>());
    let mut found = found.map_err(|e| from_sqlite("open", path, &e))?;
    let mut expected: Vec<&str> = expected.lines().map(|line| line.trim_end_matches(';')).collect();
    // A store that was brought to this format has them in another order.
    found.sort_unstable();
    expected.sort_unstable();
    if found == expected { Ok(()) } else { Err(damaged(path, "its table definitions")) }
}

fn check_witness(dir: &Dir, state: &State) -> Result<(), StoreError> {
    if state.commits >= dir.witness() {
        return Ok(());
    }
    Err(fatal(
        MISSING,
        format!(
            "{} has lost commits (it knows of {}, and {} were made): its write-ahead log thalweg.db-wal is missing or damaged; \
             restore that file, or delete {} to go on from the older state",
            dir.database().display(),
            state.commits,
            dir.witness(),
            dir.path().join("lock").display()
        ),
    ))
}
