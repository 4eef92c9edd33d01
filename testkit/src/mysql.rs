//! A private Oracle MySQL server, from the folder that `get-server.sh` fills.

use std::ops::{Deref, DerefMut};

use crate::programs::{Private, Programs};
use crate::server::{Manner, Recipe, Server};
use crate::template;

/// As for MariaDB; and what keeps a server small and its start short.
const OPTIONS: [&str; 15] = [
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-row-metadata=FULL",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--sync-binlog=0",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-redo-log-capacity=8388608",
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=OFF",
    "--performance-schema=OFF",
    "--mysqlx=OFF",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
];

/// A private MySQL server, killed and removed on drop. What can be done with it stands at [`Server`].
#[derive(Debug)]
pub struct MySql(Server);

impl MySql {
    /// A fresh server with the project's usual options; about two seconds.
    ///
    /// # Panics
    /// If no server is there or it does not come up; call [`crate::require_mysql`] first.
    pub fn start() -> MySql {
        MySql::start_with(&[])
    }

    /// The same, with further options, which win over the usual ones: `&["--gtid-mode=OFF"]`.
    ///
    /// # Panics
    /// As [`MySql::start`].
    pub fn start_with(options: &[&str]) -> MySql {
        let program = Private::MySql.program().unwrap_or_else(|| panic!("no MySQL server is there; run ./test once"));
        let programs = Programs::find().unwrap_or_else(|name| panic!("`{name}` is not installed"));
        let recipe = Recipe {
            template: template::mysql(&program),
            program,
            client: programs.client,
            options: OPTIONS.map(String::from).into(),
            manner: Manner::Mysqld,
            gtid: "SELECT @@global.gtid_executed",
        };
        MySql(Server::start(recipe, options))
    }
}

impl Deref for MySql {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for MySql {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}

impl AsMut<Server> for MySql {
    fn as_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
