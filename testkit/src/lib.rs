//! For tests only: private MariaDB servers on free ports, and a TCP proxy between a client and its server.
//!
//! A server is a copy of a template data directory that is made once per build folder, so that a fresh one starts in about half a
//! second. It ends with its [`MariaDb`], also when the test process is killed: a watchdog waits on a pipe that the process holds.
//!
//! ```no_run
//! let server = thalweg_testkit::MariaDb::start();
//! server.exec("CREATE DATABASE shop");
//! println!("{}", server.url_of("shop")); // mysql://root@127.0.0.1:41873/shop
//! ```

mod mariadb;
mod programs;
mod proxy;
mod template;

pub use mariadb::{Client, MariaDb};
pub use programs::require;
pub use proxy::Proxy;
