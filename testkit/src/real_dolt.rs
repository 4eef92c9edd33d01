//! A private Dolt server, where a `dolt` is installed. Its settings are kept below a home of its own.

use std::ops::{Deref, DerefMut};

use crate::programs::{Programs, dolt};
use crate::server::{Manner, Recipe, Server};

/// What turns the log on; it is read at the next start.
const SETTINGS: &str = "SET PERSIST log_bin = 1; SET PERSIST gtid_mode = ON; SET PERSIST enforce_gtid_consistency = ON; \
    SET PERSIST server_id = 1; SET PERSIST binlog_row_metadata = 'FULL'";

/// A private Dolt server that writes its log, killed and removed on drop. What can be done with it stands at [`Server`].
#[derive(Debug)]
pub struct RealDolt(Server);

impl RealDolt {
    /// A fresh server.
    ///
    /// # Panics
    /// If no `dolt` is installed or it does not come up; call [`crate::require_dolt`] first.
    pub fn start() -> RealDolt {
        let programs = Programs::find().unwrap_or_else(|name| panic!("`{name}` is not installed"));
        let recipe = Recipe {
            program: dolt().expect("a `dolt` on the PATH or in THALWEG_DOLT"),
            client: programs.client,
            options: ["sql-server", "--host", "127.0.0.1"].map(String::from).into(),
            template: Default::default(),
            gtid: "SELECT @@global.gtid_executed",
            manner: Manner::Dolt,
        };
        let mut server = Server::start(recipe, &[]);
        server.exec(SETTINGS);
        server.restart();
        RealDolt(server)
    }
}

impl Deref for RealDolt {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for RealDolt {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
