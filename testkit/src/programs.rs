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
    if !require() {
        return false;
    }
    if mysqld().is_none() {
        let folder = mysql_folder().display().to_string();
        panic!(
            "no MySQL server in {folder}; run\n  testkit/get-mysql.sh {folder}\nor ./test, which does that, or leaves these tests out"
        );
    }
    true
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

/// Where `get-mysql.sh` puts the server: `$THALWEG_MYSQL`, else in the user's cache.
fn mysql_folder() -> PathBuf {
    let own = std::env::var_os("THALWEG_MYSQL").map(PathBuf::from);
    let cache = || std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    own.unwrap_or_else(|| cache().unwrap_or_else(home).join("thalweg/mysql"))
}

/// MySQL's server, if it is there.
pub(crate) fn mysqld() -> Option<PathBuf> {
    Some(mysql_folder().join("mysqld")).filter(|p| p.is_file())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/libexec"].map(PathBuf::from);
    std::env::split_paths(&path).chain(fixed).map(|dir| dir.join(name)).find(|p| Path::is_file(p))
}
