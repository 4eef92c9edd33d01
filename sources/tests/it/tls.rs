//! A certificate of an own authority, verified by name or address.

use std::path::Path;
use std::process::Command;

use thalweg_sources::mysql::{MysqlConfig, Tls};
use thalweg_testkit::{MariaDb, require};

use crate::harness::{config, findings, line, start};

/// An authority and a certificate for 127.0.0.1 and db.test, by the openssl command; `false` where there is none.
fn certificates(folder: &Path) -> bool {
    let script = r#"set -e; cd "$0"
        key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        openssl req -x509 $key -keyout ca-key.pem -out ca.pem -days 2 -subj "/CN=tests"
        openssl req $key -keyout key.pem -out request.pem -subj "/CN=server"
        printf "subjectAltName=IP:127.0.0.1,DNS:db.test\nbasicConstraints=CA:FALSE\n" > extensions
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile extensions -out cert.pem"#;
    let output = Command::new("bash").args(["-c", script]).arg(folder).output().expect("`bash` runs");
    output.status.success()
}

#[test]
fn src_23_a_certificate_of_an_own_authority_is_verified() {
    if require() {
        verified(MariaDb::start_with);
    }
}

/// A server that is started with these options shows a certificate, which is taken or not as the settings say.
pub fn verified(start_with: impl Fn(&[&str]) -> MariaDb) {
    let folder = tempfile::tempdir().unwrap();
    if !certificates(folder.path()) {
        eprintln!("skipped: no openssl to make certificates with");
        return;
    }
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (format!("--ssl-cert={}", at("cert.pem")), format!("--ssl-key={}", at("key.pem")));
    let server = start_with(&[&cert, &key]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    for (name, ca, works) in [
        (None, "ca.pem", true),
        (Some("db.test"), "ca.pem", true),
        (Some("other.test"), "ca.pem", false),
        (None, "cert.pem", false),
    ] {
        let tls = Tls::Verified { ca: Some(folder.path().join(ca)), server_name: name.map(String::from) };
        let mut source = start(MysqlConfig { tls, ..config(&server.url(), &["shop.a"]) }, None);
        if works {
            assert!(line(&source.transaction()).ends_with(": fill"), "{name:?}");
            source.until_live();
            let tls = Tls::Verified { ca: Some(folder.path().join(ca)), server_name: name.map(String::from) };
            assert_eq!(of_tls(&MysqlConfig { tls, ..config(&server.url(), &["shop.a"]) }), ["ok tls TLSv1.3"]);
        } else {
            let text = source.stopped();
            assert!(text.starts_with("E0421: TLS with the server failed: invalid peer certificate: "), "{name:?}: {text}");
        }
    }
    let found = |tls| of_tls(&MysqlConfig { tls, ..config(&server.url(), &["shop.a"]) });
    let whoever = "warn tls TLSv1.3, whoever answers: safe from eavesdroppers, not from impostors";
    assert_eq!(
        (found(Tls::Unverified), found(Tls::AsUrl)),
        (vec![whoever.into()], vec!["ok tls none, and none needed on this machine".into()])
    );
}

/// What is found about TLS.
fn of_tls(config: &MysqlConfig) -> Vec<String> {
    findings(config).into_iter().filter(|line| line.split(' ').nth(1) == Some("tls")).collect()
}
