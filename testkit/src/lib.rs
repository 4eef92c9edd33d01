//! For tests only: private MariaDB and MySQL servers on free ports, a TCP proxy between a client and its server, and a watched daemon.
//!
//! A server is a copy of a template data directory that is made once per build folder, so that a fresh one starts in about half a
//! second (MySQL: two). It ends with its [`Server`], also when the test process is killed: a watchdog waits on a pipe that the process
//! holds.
//!
//! ```no_run
//! let server = thalweg_testkit::MariaDb::start();
//! server.exec("CREATE DATABASE shop");
//! println!("{}", server.url_of("shop")); // mysql://root@127.0.0.1:41873/shop
//! ```

mod daemon;
mod disk;
mod dolt;
mod mariadb;
mod mysql;
mod programs;
mod proxy;
mod real_dolt;
mod replay;
mod server;
mod template;

pub use daemon::{Daemon, Ended, until};
pub use disk::SmallDisk;
pub use dolt::{Cell, DoltStandIn, Edit, Kind};
pub use mariadb::MariaDb;
pub use mysql::MySql;
pub use programs::{require, require_dolt, require_mariadb11, require_mysql};
pub use proxy::Proxy;
pub use real_dolt::RealDolt;
pub use replay::{Recorder, Replay, Tape};
pub use server::{Client, Server};
