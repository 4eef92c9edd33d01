//! A private MariaDB server.

use std::ops::{Deref, DerefMut};

use crate::programs::Programs;
use crate::server::{Manner, Recipe, Server};
use crate::template;

/// What every server gets: a full row binlog, small buffers, no waiting for the disk. The log is handed to the operating system at
/// each commit, so that a killed server (not a killed machine) loses nothing.
const OPTIONS: [&str; 13] = [
    "--no-defaults",
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--gtid-strict-mode=ON",
    "--sync-binlog=0",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=16M",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
];

/// A private MariaDB server, killed and removed on drop. What can be done with it stands at [`Server`].
#[derive(Debug)]
pub struct MariaDb(Server);

impl MariaDb {
    /// A fresh server with the project's usual options; about half a second.
    ///
    /// # Panics
    /// If no server is installed or it does not come up; call [`crate::require`] first.
    pub fn start() -> MariaDb {
        MariaDb::start_with(&[])
    }

    /// The same, with further options, which win over the usual ones: `&["--binlog-format=STATEMENT"]`.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    pub fn start_with(options: &[&str]) -> MariaDb {
        let programs = Programs::find().unwrap_or_else(|name| panic!("`{name}` is not installed"));
        let recipe = Recipe {
            template: template::mariadb(&programs),
            program: programs.server,
            client: programs.client,
            options: OPTIONS.map(String::from).into(),
            manner: Manner::Mysqld,
            gtid: "SELECT @@global.gtid_binlog_pos",
        };
        MariaDb(Server::start(recipe, options))
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for MariaDb {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl AsMut<Server> for MariaDb {
    fn as_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
