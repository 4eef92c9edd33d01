//! Who does what is asked of a data directory: the process that has the store, by its control socket, or, where none runs, this one, by
//! opening the store. So there is one writer at any time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg::runtime::clock::{Clock, SystemClock};
use thalweg::runtime::control::socket_of;
use thalweg_graph::ports::{Act, Acted, Store, StoreError};
use thalweg_store::{SqliteStore, StoreConfig};

use super::{Exit, Failure};

/// How long the process that has the store may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who acts.
pub(super) enum Hand {
    /// The process that has the store, behind this socket.
    Process(PathBuf),
    /// This one.
    Store(Box<SqliteStore>),
}

impl Hand {
    pub(super) fn open(data: &Path) -> Result<Hand, Failure> {
        let socket = socket_of(data).map_err(|error| missing(data, &error.to_string()))?;
        if UnixStream::connect(&socket).is_ok() {
            return Ok(Hand::Process(socket));
        }
        // Opening would make a new store where there is none.
        if !data.join("thalweg.db").exists() {
            let cure = "name the directory that `thalweg run` uses with --data";
            return Err(Failure::Said(Exit::Missing, format!("error: E0604: there is no store in {}; {cure}", data.display())));
        }
        SqliteStore::open(data, StoreConfig::default()).map(|store| Hand::Store(Box::new(store))).map_err(unreadable)
    }

    pub(super) fn act(&mut self, act: &Act) -> Result<Acted, Failure> {
        match self {
            Hand::Store(store) => store.act(act, SystemClock.now()).map_err(failed),
            Hand::Process(socket) => ask(socket, act),
        }
    }
}

/// There is no such directory.
pub(super) fn missing(data: &Path, error: &str) -> Failure {
    Failure::Said(Exit::Missing, format!("error: E0604: there is no store in {}: {error}", data.display()))
}

/// The store is not there, or cannot be read.
pub(super) fn unreadable(error: StoreError) -> Failure {
    Failure::Said(Exit::Missing, format!("error: {error}"))
}

/// The store did not do it.
pub(super) fn failed(error: StoreError) -> Failure {
    Failure::Said(Exit::Failed, format!("error: {error}"))
}

/// One question to the process that has the store.
pub(super) fn ask<A: DeserializeOwned>(socket: &Path, question: &impl Serialize) -> Result<A, Failure> {
    answer_of(socket, question).map_err(|why| Failure::Said(Exit::Failed, format!("error: {why}")))
}

/// The same, with what went wrong as it was said.
pub(super) fn answer_of<A: DeserializeOwned>(socket: &Path, question: &impl Serialize) -> Result<A, String> {
    let lost = |error: std::io::Error| format!("E0613: the process that has the store did not answer: {error}");
    let mut stream = UnixStream::connect(socket).map_err(lost)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    let mut line = serde_json::to_string(question).expect("a question is JSON");
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(lost)?;
    serde_json::from_str(&answer).map_err(|_| {
        let said = serde_json::from_str::<serde_json::Value>(&answer).ok();
        let error = said.as_ref().and_then(|said| said["error"].as_str());
        error.map_or_else(|| "E0613: the process that has the store ended before it answered".to_owned(), str::to_owned)
    })
}
