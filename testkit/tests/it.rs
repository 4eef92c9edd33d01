//! The kit itself: a server starts, keeps its data over a crash, and ends; what `./test` does where a server cannot be had.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use thalweg_testkit::{MariaDb, Proxy, require};

#[test]
fn a_server_keeps_what_was_committed_over_a_crash() {
    if !require() {
        return;
    }
    let mut server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (7)");
    server.kill9();
    assert!(server.try_query("SELECT 1").is_err());
    server.restart();
    assert_eq!(server.query("SELECT id FROM shop.orders"), [["7"]]);
    assert_eq!(server.gtid(), "0-1-3");
}

#[test]
fn a_proxy_cuts_at_the_byte() {
    use std::io::{Read, Write};
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(upstream.local_addr().unwrap().port());
    proxy.cut_after(5);
    let mut client = std::net::TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server.write_all(b"hello, world").unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).ok();
    assert_eq!(got, b"hello");
}

/// A folder of programs that stand in for the real ones, each a shell script.
fn programs(folder: &Path, scripts: &[(&str, &str)]) -> String {
    for (name, script) in scripts {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:/usr/bin:/bin", folder.display())
}

/// Runs a script of the project with these programs before all others; its exit code and both outputs.
fn script(path: &str, args: &[&Path], programs: &str, env: &[(&str, &Path)]) -> (i32, String, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let mut command = Command::new(script);
    command.args(args).env_clear().env("PATH", programs).envs(env.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("bash runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

const NO_NETWORK: &str = r#"case "$*" in
  indextargets*) echo http://mirror.test/debian/ ;;
  *update*) echo "E: Failed to fetch http://mirror.test/debian/dists/sid: could not resolve mirror.test" >&2; exit 100 ;;
esac"#;

#[test]
fn a_server_that_cannot_be_fetched_is_said_and_leaves_nothing_half() {
    for kind in ["mysql", "mariadb11"] {
        cannot_be_fetched(kind);
    }
}

fn cannot_be_fetched(kind: &str) {
    let (bin, prefix) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = programs(bin.path(), &[("apt-get", NO_NETWORK)]);
    let (code, _, said) = script("testkit/get-server.sh", &[Path::new(kind), prefix.path()], &path, &[]);
    assert_eq!(
        (code, said.trim()),
        (100, "E: Failed to fetch http://mirror.test/debian/dists/sid: could not resolve mirror.test")
    );
    let path = programs(bin.path(), &[("apt-get", "true")]);
    let (code, _, said) = script("testkit/get-server.sh", &[Path::new(kind), prefix.path()], &path, &[]);
    assert_eq!((code, said.trim()), (1, "no Debian mirror is configured"));
    assert_eq!(fs::read_dir(prefix.path()).unwrap().count(), 0, "nothing is left");
}

/// `./test` on a machine without a network, with these folders for the servers and this program to mount: its last command, and what it says.
fn test_with(mysql: &Path, mariadb11: &Path, mount: &str) -> (String, String) {
    let bin = tempfile::tempdir().unwrap();
    // Three tests have the name of a MySQL, four that of a MariaDB 11, two that of a Dolt, one that of a small disk.
    let cargo = r#"case "$*" in
      "nextest list"*mysql9*) printf 'a\nb\nc\n' ;;
      "nextest list"*mariadb11*) printf 'a\nb\nc\nd\n' ;;
      "nextest list"*real_dolt*) printf 'd\ne\n' ;;
      "nextest list"*disk_is_full*) printf 'f\n' ;;
      *) echo "cargo $*" ;;
    esac"#;
    let path = programs(
        bin.path(),
        &[("apt-get", NO_NETWORK), ("mariadbd", "true"), ("cargo", cargo), ("mount", mount), ("umount", "true")],
    );
    let (code, ran, said) =
        script("test", &[], &path, &[("THALWEG_MYSQL", mysql), ("THALWEG_MARIADB11", mariadb11), ("HOME", bin.path())]);
    assert_eq!(code, 0, "{said}");
    let said = said.replace(&mysql.display().to_string(), "MYSQL").replace(&mariadb11.display().to_string(), "MARIADB11");
    (ran.lines().last().unwrap().into(), said)
}

const DOLT: &str = "test: skipped: 2 tests that need a Dolt server (its stand-in is tested)\n";

#[test]
fn without_private_servers_the_other_tests_run_and_those_left_out_are_counted() {
    let [none, also_none, here] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (ran, said) = test_with(none.path(), also_none.path(), "exit 32");
    let reason = "E: Failed to fetch http://mirror.test/debian/dists/sid: could not resolve mirror.test";
    let want = format!(
        "test: fetching a private MySQL server into MYSQL (50 MB, once)\n\
         test: no MySQL server could be had: {reason}\n\
         test: fetching a private MariaDB 11.8 server into MARIADB11 (20 MB, once)\n\
         test: no MariaDB 11.8 server could be had: {reason}\n\
         test: skipped: 3 tests that need a server of mysql9\n\
         test: skipped: 4 tests that need a server of mariadb11\n\
         test: skipped: 1 tests that need the right to mount a small file system\n{DOLT}"
    );
    assert_eq!(said, want);
    assert_eq!(ran, "cargo nextest run --workspace --no-fail-fast --profile without-mysql9-mariadb11");

    programs(here.path(), &[("mysqld", "true"), ("mariadbd", "true")]);
    for (mysql, mariadb11, profile) in
        [(&here, &none, "without-mariadb11"), (&none, &here, "without-mysql9"), (&here, &here, "default")]
    {
        let (ran, said) = test_with(mysql.path(), mariadb11.path(), "true");
        assert_eq!(ran, format!("cargo nextest run --workspace --no-fail-fast --profile {profile}"), "{said}");
    }
}
