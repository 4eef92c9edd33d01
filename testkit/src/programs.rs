//! Finding the installed server programs, and what to say when there are none.

use std::path::{Path, PathBuf};

/// The command that installs what is missing.
const INSTALL: &str = "apt-get install -y --no-install-recommends mariadb-server-core mariadb-client-core";

/// The programs that a private server needs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) install_db: PathBuf,
}

impl Programs {
    /// All of them, or the first that is missing.
    pub(crate) fn find() -> Result<Programs, String> {
        let find = |name: &str| find_program(name).ok_or_else(|| name.to_string());
        Ok(Programs { server: find("mariadbd")?, client: find("mariadb")?, install_db: find("mariadb-install-db")? })
    }
}

/// Whether tests against a real MariaDB can run here; call it first and return when it is `false`.
///
/// # Panics
/// If no server is installed, with the command that installs one, unless `THALWEG_NO_SERVERS=1` says that this is wanted: then it
/// prints `skipped: …` and returns `false`.
pub fn require() -> bool {
    let refused = std::env::var_os("THALWEG_NO_SERVERS").is_some_and(|v| v == "1");
    match Programs::find() {
        _ if refused => {
            eprintln!("skipped: THALWEG_NO_SERVERS=1, so no MariaDB server is started");
            false
        }
        Ok(_) => true,
        Err(missing) => panic!(
            "`{missing}` is not installed; install MariaDB with\n  {INSTALL}\nor set THALWEG_NO_SERVERS=1 to skip the tests that need it"
        ),
    }
}

/// Whether tests against a real MySQL can run here; call it first and return when it is `false`. The names of such tests contain
/// `mysql9`: where no server can be had, `./test` leaves them out by that name and says how many they are.
///
/// # Panics
/// If no server is there, with how to get one, unless `THALWEG_NO_SERVERS=1` says that this is wanted.
pub fn require_mysql() -> bool {
    require() && Private::MySql.require()
}

/// As [`require_mysql`] for MariaDB 11.8; the names of such tests contain `mariadb11`.
///
/// # Panics
/// As [`require_mysql`].
pub fn require_mariadb11() -> bool {
    require() && Private::MariaDb11.require()
}

/// Whether tests against a real Dolt can run here. Their names contain `real_dolt`: `./test` leaves them out and counts them where there is
/// none. A plain run says that it skips them.
pub fn require_dolt() -> bool {
    let is_there = dolt().is_some() && Programs::find().is_ok();
    if !is_there {
        eprintln!("skipped: no `dolt` on the PATH or in THALWEG_DOLT");
    }
    is_there
}

/// Dolt's program: `$THALWEG_DOLT`, else on the PATH.
pub(crate) fn dolt() -> Option<PathBuf> {
    let own = std::env::var_os("THALWEG_DOLT").map(PathBuf::from).filter(|p| p.is_file());
    own.or_else(|| find_program("dolt"))
}

/// A server that `get-server.sh` fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Private {
    MySql,
    MariaDb11,
}

impl Private {
    /// Its name for the script and in the user's cache, the variable that names another folder, and its program.
    fn names(self) -> [&'static str; 3] {
        match self {
            Private::MySql => ["mysql", "THALWEG_MYSQL", "mysqld"],
            Private::MariaDb11 => ["mariadb11", "THALWEG_MARIADB11", "mariadbd"],
        }
    }

    fn folder(self) -> PathBuf {
        let [name, variable, _] = self.names();
        let own = std::env::var_os(variable).map(PathBuf::from);
        let cache = || std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        own.unwrap_or_else(|| cache().unwrap_or_else(home).join("thalweg").join(name))
    }

    /// Its program, if it is there.
    pub(crate) fn program(self) -> Option<PathBuf> {
        Some(self.folder().join(self.names()[2])).filter(|p| p.is_file())
    }

    fn require(self) -> bool {
        if self.program().is_none() {
            let (name, folder) = (self.names()[0], self.folder().display().to_string());
            panic!(
                "no {name} server in {folder}; run\n  testkit/get-server.sh {name} {folder}\nor ./test, which does that, or leaves these tests out"
            );
        }
        true
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/libexec"].map(PathBuf::from);
    std::env::split_paths(&path).chain(fixed).map(|dir| dir.join(name)).find(|p| Path::is_file(p))
}
