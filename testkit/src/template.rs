//! The template data directory: made once per build folder, copied for every server.
//!
//! Two test processes that come at the same time take turns by a file lock; a half-made template never gets its final name.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::Programs;

/// MariaDB's template, made if it is not there yet (about 4 s).
pub(crate) fn mariadb(programs: &Programs) -> PathBuf {
    made(&format!("mariadb-{}", version(&programs.server)), |half| install_mariadb(programs, half))
}

/// MySQL's template, made if it is not there yet (5 to 10 s).
pub(crate) fn mysql(server: &Path) -> PathBuf {
    made(&format!("mysql-{}", version(server)), |half| install_mysql(server, half))
}

/// The template of a MariaDB that has no script to make one, only the SQL that such a script runs (about 4 s).
pub(crate) fn mariadb11(server: &Path) -> PathBuf {
    made(&format!("mariadb-{}", version(server)), |half| bootstrap(server, half))
}

fn made(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let home = build_folder();
    fs::create_dir_all(&home).expect("the build folder can be written");
    let lock = File::create(home.join(format!("{name}.lock"))).expect("the lock file can be made");
    lock.lock().expect("the lock can be taken");
    let done = home.join(name);
    if !done.exists() {
        let half = home.join(format!("{name}.half-made"));
        fs::remove_dir_all(&half).ok();
        install(&half);
        fs::rename(&half, &done).expect("the template can be renamed");
    }
    done
}

/// Copies the template to `datadir`, which must not exist.
pub(crate) fn copy(template: &Path, datadir: &Path) {
    let status = Command::new("cp").arg("-a").arg(template).arg(datadir).status().expect("`cp` runs");
    assert!(status.success(), "the template could not be copied to {}", datadir.display());
}

fn install_mariadb(programs: &Programs, datadir: &Path) {
    let output = Command::new(&programs.install_db)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", datadir.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M"])
        .args(run_as_root())
        .stdin(Stdio::null())
        .output()
        .expect("`mariadb-install-db` runs");
    assert!(output.status.success(), "mariadb-install-db failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What makes a data directory, in this order.
const TABLES: [&str; 6] = [
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "fill_help_tables.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mariadb_sys_schema.sql",
];

fn bootstrap(server: &Path, datadir: &Path) {
    let share = server.parent().expect("a program lies in a folder").join("share");
    let mut sql = String::from("create database mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n");
    for file in TABLES {
        sql += &fs::read_to_string(share.join(file)).expect("the server's SQL files lie beside it");
    }
    fs::create_dir_all(datadir).expect("the build folder can be written");
    let mut child = Command::new(server)
        .args(["--bootstrap", "--innodb-log-file-size=8M", "--log-warnings=0"])
        .arg(format!("--datadir={}", datadir.display()))
        .args(run_as_root())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`mariadbd` runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let writer = std::thread::spawn(move || stdin.write_all(sql.as_bytes()));
    let output = child.wait_with_output().expect("`mariadbd` ends");
    writer.join().expect("the writer does not panic").ok();
    assert!(output.status.success(), "mariadbd --bootstrap failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

fn install_mysql(server: &Path, datadir: &Path) {
    let output = Command::new(server)
        .args(["--initialize-insecure", "--innodb-redo-log-capacity=8388608"])
        .arg(format!("--datadir={}", datadir.display()))
        .args(run_as_root())
        .stdin(Stdio::null())
        .output()
        .expect("`mysqld` runs");
    assert!(output.status.success(), "mysqld --initialize-insecure failed:\n{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(datadir.join("auto.cnf")).ok(); // Every copy makes up a uuid of its own.
}

/// `--user=root` where the tests run as root: the server refuses to start without it, and as anybody else it must not be given.
pub(crate) fn run_as_root() -> Option<&'static str> {
    let uid = Command::new("id").arg("-u").output().expect("`id` runs").stdout;
    (uid.trim_ascii() == b"0").then_some("--user=root")
}

fn version(server: &Path) -> String {
    let text = Command::new(server).arg("--version").output().expect("the server tells its version").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let word = text.split_whitespace().skip_while(|w| *w != "Ver").nth(1).unwrap_or("unknown");
    word.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

fn build_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("testkit")
}
