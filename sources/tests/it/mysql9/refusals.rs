//! What cannot be followed exactly stops the source with one text: code, reason, cure. The cure is run, and then it works.

use thalweg_testkit::{MySql, require_mysql};

use super::{next, shop, short};
use crate::harness::{ANEW, config, findings, follow, line, start, stop};

/// What stands behind `run on the server: `.
fn cure(text: &str) -> &str {
    let sql = text.split_once("run on the server: ").unwrap().1;
    sql.split_once("; and let its clients reconnect").map_or(sql, |(sql, _)| sql)
}

#[test]
fn wrong_settings_are_refused_with_the_sql_that_mends_them() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&[
        "--gtid-mode=OFF",
        "--enforce-gtid-consistency=OFF",
        "--binlog-row-metadata=MINIMAL",
        "--binlog-row-image=MINIMAL",
        "--binlog-format=STATEMENT",
    ]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let config = config(&server.url(), &["shop.a"]);
    for expected in [
        "E0420: gtid_mode is OFF, not ON; run on the server: SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE; \
         SET PERSIST gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON",
        "E0404: binlog_format is STATEMENT, not ROW; run on the server: SET PERSIST binlog_format = 'ROW'; and let its clients reconnect",
        "E0405: binlog_row_image is MINIMAL, not FULL; run on the server: SET PERSIST binlog_row_image = 'FULL'; and let its clients reconnect",
        "E0406: binlog_row_metadata is MINIMAL, not FULL; run on the server: SET PERSIST binlog_row_metadata = 'FULL'; and let its clients \
         reconnect",
    ] {
        assert_eq!(stop(config.clone(), None), expected);
        server.exec(cure(expected));
    }
    follow(&server.url(), &["shop.a"]);
    let root = "'root'@'localhost'";
    assert_eq!(
        findings(&config)[3..],
        [
            "ok log_bin ON".to_string(),
            "ok gtid_mode ON".into(),
            "ok binlog_format ROW".into(),
            "ok binlog_row_image FULL".into(),
            "ok binlog_row_metadata FULL".into(),
            "ok log kept 30 days".into(),
            "ok server_id 1; this reader's is random at each run".into(),
            "ok clock that of this machine, within 2 seconds".into(),
            format!("ok privilege REPLICATION SLAVE {root}"),
            format!("ok privilege REPLICATION CLIENT {root}"),
            format!("ok privilege SELECT on shop.a {root}"),
            "ok table shop.a 1 columns, key id".into(),
        ]
    );
}

#[test]
fn src_23_a_user_is_told_what_is_missing_until_nothing_is() {
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE USER reader@'%' IDENTIFIED BY 'sesame'; GRANT INSERT ON shop.* TO reader@'%'",
    );
    let url = |password: &str| format!("mysql://reader:{password}@127.0.0.1:{}", server.port());
    let denied = stop(config(&url("mellon"), &["shop.a"]), None);
    assert_eq!(
        denied,
        "E0401: access denied for user 'reader'@'localhost' (using password: YES); check user and password in the url, and that the user \
         may connect from here"
    );
    // caching_sha2_password without TLS: first by the server's public key, then from its cache.
    let good = config(&url("sesame"), &["shop.a"]);
    let missing = stop(good.clone(), None);
    assert_eq!(
        missing,
        "E0407: reader@% lacks the privilege REPLICATION SLAVE; run on the server: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO \
         'reader'@'%'"
    );
    server.exec(cure(&missing));
    assert_eq!(
        stop(good.clone(), None),
        "E0407: access denied for user 'reader'@'%' to database 'shop', and nothing may be locked for the moment in which a snapshot \
         begins; run on the server: GRANT SELECT, LOCK TABLES ON the watched databases, or RELOAD ON *.*, TO this user"
    );
    server.exec("GRANT LOCK TABLES, SELECT ON shop.* TO reader@'%'");
    let mut source = start(good.clone(), None);
    assert_eq!(next(&server, &mut source), "snapshot:U:1-7: fill +a(1)");
    source.until_live();
    // By a role it is as good.
    server.exec("CREATE ROLE follower; GRANT REPLICATION SLAVE ON *.* TO follower; GRANT follower TO reader@'%'; SET DEFAULT ROLE follower TO reader@'%'; REVOKE REPLICATION SLAVE ON *.* FROM reader@'%'");
    let mut by_role = start(good.clone(), source.position.as_deref());
    by_role.until_live();
    drop(by_role);
    // Behind the snapshot nothing but the log is needed.
    server.exec("REVOKE LOCK TABLES, SELECT ON shop.* FROM reader@'%'; INSERT INTO shop.a VALUES (2)");
    assert_eq!(next(&server, &mut source), "U:14: +a(2)");
    assert!(format!("{good:?} {:?}", source.statuses).find("sesame").is_none(), "a password is shown");
}

#[test]
fn src_7_a_purged_log_needs_a_new_snapshot() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1), (2); INSERT INTO a VALUES (3)");
    server.exec("FLUSH BINARY LOGS; INSERT INTO shop.a VALUES (4); FLUSH BINARY LOGS; INSERT INTO shop.a VALUES (5); PURGE BINARY LOGS TO 'binlog.000003'");
    let uuid = server.query("SELECT @@server_uuid")[0][0].clone();
    let config = config(&server.url(), &["shop.a"]);
    for (position, at, missing) in [("U:1-2", "U:1-2", "U:3-5"), ("U:1-4", "U:1-4", "U:5"), ("", "its beginning", "U:1-5")] {
        let text = stop(config.clone(), Some(&position.replace('U', &uuid)));
        let reason = format!("this source stands at {at}, and the server no longer has {missing} in its log");
        assert_eq!(
            short(&server, &text),
            format!("E0410: {reason}; {ANEW}; a larger binlog_expire_logs_seconds keeps the log longer")
        );
    }
    let mut source = start(config, Some(&format!("{uuid}:1-5")));
    assert_eq!(next(&server, &mut source), "U:6: +a(5)");
}

#[test]
fn src_8_a_reset_log_is_another_history() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1)");
    let source = follow(&server.url(), &["shop.a"]);
    let position = source.position.clone().unwrap();
    drop(source);
    server.exec("RESET BINARY LOGS AND GTIDS; INSERT INTO shop.a VALUES (7)");
    let text = stop(config(&server.url(), &["shop.a"]), Some(&position));
    let reason = "this source has read U:2-3, and the server's log has only U:1: its history is another one";
    assert_eq!(short(&server, &text), format!("E0411: {reason}; connect to the right server, or {ANEW}"));
    let mut anew = start(config(&server.url(), &["shop.a"]), None);
    assert_eq!(short(&server, &line(&anew.transaction())), "snapshot:U:1: fill +a(1) +a(7)");
}
