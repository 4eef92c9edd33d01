//! A private MariaDB server: the one that is installed, or 11.8 from the folder that `get-server.sh` fills.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use crate::disk::SmallDisk;
use crate::programs::{Private, Programs};
use crate::server::{Manner, Recipe, Server};
use crate::template;

/// What every server gets: a full row binlog, small buffers, no waiting for the disk. The log is handed to the operating system at
/// each commit, so that a killed server (not a killed machine) loses nothing.
const OPTIONS: [&str; 12] = [
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
        MariaDb::start_in(&std::env::temp_dir(), options)
    }

    /// The same with all that it writes on a disk of its own, of 64 MiB at least.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    pub fn start_on(disk: &SmallDisk, options: &[&str]) -> MariaDb {
        MariaDb::start_in(disk.path(), options)
    }

    fn start_in(home: &Path, options: &[&str]) -> MariaDb {
        let programs = installed();
        let recipe = MariaDb::recipe(&programs, template::mariadb(&programs), programs.server.clone(), &["--no-defaults"]);
        MariaDb(Server::start_in(home, recipe, options))
    }

    /// A fresh server of MariaDB 11.8, with further options; about half a second.
    ///
    /// # Panics
    /// If no server is there or it does not come up; call [`crate::require_mariadb11`] first.
    pub fn start_11(options: &[&str]) -> MariaDb {
        let program = Private::MariaDb11.program().unwrap_or_else(|| panic!("no MariaDB 11.8 is there; run ./test once"));
        MariaDb(Server::start(MariaDb::recipe(&installed(), template::mariadb11(&program), program, &[]), options))
    }

    /// Stops this server and starts 11.8 on its data, as an upgrade in place does.
    ///
    /// # Panics
    /// As [`MariaDb::start_11`].
    pub fn upgrade_to_11(&mut self) {
        let program = Private::MariaDb11.program().unwrap_or_else(|| panic!("no MariaDB 11.8 is there; run ./test once"));
        self.0.become_another(program, "--no-defaults"); // It says so itself.
    }

    /// `first` comes before every other option.
    fn recipe(programs: &Programs, template: PathBuf, program: PathBuf, first: &[&str]) -> Recipe {
        Recipe {
            template,
            program,
            client: programs.client.clone(),
            options: first.iter().chain(&OPTIONS).map(ToString::to_string).collect(),
            manner: Manner::Mysqld,
            gtid: "SELECT @@global.gtid_binlog_pos",
        }
    }
}

fn installed() -> Programs {
    Programs::find().unwrap_or_else(|name| panic!("`{name}` is not installed"))
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
