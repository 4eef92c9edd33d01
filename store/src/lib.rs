//! The durable commit: log, positions, outbox, timers, snapshots.
//!
//! [`SqliteStore`] keeps everything that a batch of transactions brings in one SQLite transaction, with one sync: the input log, source
//! positions, schemas, deliveries to make, timers. Nothing leaves the process before `commit` has returned; what is lost before is read
//! again from its source, what is there after is there for good.
//!
//! ```
//! use thalweg_graph::ports::{CommitBatch, Store};
//! use thalweg_graph::transaction::{Body, Transaction};
//! use thalweg_store::{SqliteStore, StoreConfig};
//!
//! let dir = tempfile::tempdir()?;
//! let mut store = SqliteStore::open(dir.path(), StoreConfig::default())?;
//! let transaction = Transaction { source: "shop".into(), origin: "0-1-7".into(), at: Default::default(), body: Body::Changes(vec![]) };
//! let positions = vec![("shop".into(), "0-1-7".to_string())];
//! store.commit(&CommitBatch { first: 1, transactions: vec![transaction], positions, ..CommitBatch::default() })?;
//! drop(store); // Or the process is killed.
//!
//! let store = SqliteStore::open(dir.path(), StoreConfig::default())?;
//! assert_eq!(store.recovered().epoch, 1);
//! assert_eq!(store.recovered().positions, [("shop".into(), "0-1-7".to_string())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it refuses to do: to go on after a failed sync, to skip over damage, to create anything over what is there, to write twice what
//! has the same id.
//!
//! Next to read: [`SqliteStore`], [`StoreConfig`].

mod beside;
mod codec;
mod config;
mod dir;
mod error;
pub mod fold;
mod memory;
mod schemas;
mod snapshot;
mod sqlite;
mod verify;

#[cfg(test)]
mod test_data;

pub use beside::OutboxReader;
pub use config::{LogRetention, StoreConfig};
pub use memory::MemoryStore;
pub use sqlite::SqliteStore;
pub use verify::Verified;
