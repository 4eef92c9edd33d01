//! Encrypted connections, with the certificates that the server makes for itself.

use std::path::PathBuf;

use thalweg_sources::mysql::{MysqlConfig, Tls};
use thalweg_testkit::{MySql, require_mysql};

use super::{next, shop};
use crate::harness::{config, findings, start};

#[test]
fn src_23_tls_is_verified_as_configured() {
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE a (id INT PRIMARY KEY); CREATE USER reader@'%' IDENTIFIED BY 'sesame' REQUIRE SSL; GRANT SELECT, RELOAD, REPLICATION \
         SLAVE, REPLICATION CLIENT ON *.* TO reader@'%'",
    );
    let config = config(&format!("mysql://reader:sesame@127.0.0.1:{}", server.port()), &["shop.a"]);
    let with = |tls| MysqlConfig { tls, ..config.clone() };
    let stop = |tls| start(with(tls), None).stopped();
    // Login over TLS, the stream over TLS; and the full exchange of caching_sha2_password inside it.
    let mut source = start(with(Tls::Unverified), None);
    source.transaction();
    source.until_live();
    server.exec("INSERT INTO shop.a VALUES (1)");
    assert!(next(&server, &mut source).ends_with(": +a(1)"));

    let verified = |ca: Option<PathBuf>, name: Option<&str>| Tls::Verified { ca, server_name: name.map(String::from) };
    let cure = "check the server's certificate, the name in it, and the authority that is trusted here";
    let unknown = stop(verified(None, None));
    assert_eq!(unknown, format!("E0421: TLS with the server failed: invalid peer certificate: unknownissuer; {cure}"));
    let other_name = stop(verified(Some(server.data().join("ca.pem")), None));
    assert!(other_name.starts_with("E0421: TLS with the server failed: invalid peer certificate: "), "{other_name}");
    let missing = stop(verified(Some("/nowhere/ca.pem".into()), None));
    assert_eq!(missing, "E0421: the certificates in /nowhere/ca.pem cannot be read: no such file or directory; name a PEM file");
    let plain = stop(Tls::AsUrl);
    assert!(plain.starts_with("E0401: access denied for user 'reader'@"), "{plain}");
    server.exec("SET GLOBAL require_secure_transport = ON");
    let plain = MysqlConfig { url: server.url(), ..with(Tls::AsUrl) };
    let refused = start(plain.clone(), None).stopped();
    assert_eq!(refused, "E0421: the server takes no connection without TLS; switch TLS on for this source");
    assert_eq!(findings(&plain), ["bad connection the server takes no connection without TLS"]);
}

#[test]
fn src_23_a_server_without_tls_is_not_talked_to_in_clear() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&["--tls-version="]);
    let config = MysqlConfig { tls: Tls::Unverified, ..config(&server.url(), &["shop.a"]) };
    let text = start(config, None).stopped();
    let cure = "give it a certificate (`ssl_cert` and `ssl_key` in its configuration), or connect without";
    assert_eq!(text, format!("E0421: the server offers no TLS; {cure}"));
}
