//! What cannot be followed exactly stops the source with one text: code, reason, cure. The position stays.

use thalweg_sources::mysql::MysqlConfig;
use thalweg_testkit::{MariaDb, require};

use crate::harness::{ANEW, config, findings, line, purge_to, start, stop};

#[test]
fn a_server_with_wrong_settings_is_refused_with_the_sql_that_mends_it() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); CREATE TABLE shop.plain (id INT PRIMARY KEY) ENGINE = MyISAM");
    let config = config(&server.url(), &["shop.orders"]);
    for (name, wrong, right, code) in [
        ("binlog_format", "STATEMENT", "ROW", "E0404"),
        ("binlog_format", "MIXED", "ROW", "E0404"),
        ("binlog_row_image", "MINIMAL", "FULL", "E0405"),
        ("binlog_row_metadata", "NO_LOG", "FULL", "E0406"),
    ] {
        server.exec(&format!("SET GLOBAL {name} = '{wrong}'"));
        let text = stop(config.clone(), None);
        server.exec(&format!("SET GLOBAL {name} = '{right}'"));
        let cure = format!(
            "run on the server: SET GLOBAL {name} = '{right}'; write it into its configuration too, and let its clients reconnect"
        );
        assert_eq!(text, format!("{code}: {name} is {wrong}, not {right}; {cure}"));
    }
    let with = |tables: &[&str]| MysqlConfig { tables: tables.iter().map(ToString::to_string).collect(), ..config.clone() };
    for (tables, text) in [
        (&["shop.order"][..], "E0408: unknown table `shop.order`; did you mean `orders`?"),
        (
            &["shop.xyz"],
            "E0408: unknown table `shop.xyz`; create it, or grant this user SELECT on it: without a privilege a table is invisible",
        ),
        (&["shp.orders"], "E0408: unknown database `shp`; did you mean `shop`?"),
        (&["orders"], "E0418: `orders` names no database; write `database.orders` or end the url with /database"),
        (&[], "E0418: no tables are named; list them in `tables`, or end the url with /database for all of it"),
        (
            &["shop.*"],
            "E0409: shop.plain is of engine MyISAM, which cannot be read as of one moment; run on the server: ALTER TABLE `shop`.`plain` \
             ENGINE = InnoDB; or leave the table out of `tables`",
        ),
    ] {
        assert_eq!(stop(with(tables), None), text);
    }
    let position = stop(config.clone(), Some("3e11fa47:1-5"));
    assert_eq!(
        position,
        format!(
            "E0418: the position \"3e11fa47:1-5\" is not a GTID position such as 0-1-42,1-1-7 (MariaDB) or \
             3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 (MySQL); {ANEW}"
        )
    );
    let ahead = stop(config.clone(), Some("0-1-900"));
    let reason = "this source stands at 0-1-900, and the server's log has only 0-1-3: its history is another one";
    assert_eq!(ahead, format!("E0411: {reason}; connect to the right server, or {ANEW}"));
}

#[test]
fn a_server_without_a_log_is_refused() {
    if !require() {
        return;
    }
    let server = MariaDb::start_with(&["--skip-log-bin"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY)");
    let text = stop(config(&server.url(), &["shop.orders"]), None);
    assert_eq!(text, "E0403: the server writes no binary log; start it with --log-bin (`log_bin` in its configuration)");
}

#[test]
fn a_database_that_is_left_out_of_the_log_is_refused() {
    if !require() {
        return;
    }
    let text = "E0422: the server leaves the database shop out of its log; take it out of `binlog_ignore_db`, or into `binlog_do_db`, in the \
                server's configuration, and restart it";
    for option in ["--binlog-ignore-db=shop", "--binlog-do-db=other"] {
        let server = MariaDb::start_with(&[option]);
        server.exec("CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY)");
        assert_eq!(stop(config(&server.url(), &["shop.orders"]), None), text);
    }
}

#[test]
fn a_user_without_a_privilege_is_told_which() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); CREATE USER reader@'%' IDENTIFIED BY 'sesame';
         GRANT INSERT ON shop.* TO reader@'%'",
    );
    let url = |password: &str| format!("mysql://reader:{password}@127.0.0.1:{}", server.port());
    let denied = stop(config(&url("mellon"), &["shop.orders"]), None);
    assert_eq!(
        denied,
        "E0401: access denied for user 'reader'@'localhost' (using password: YES); check user and password in the url, and that the user \
         may connect from here"
    );
    let good = config(&url("sesame"), &["shop.orders"]);
    assert_eq!(
        stop(good.clone(), None),
        "E0407: reader@% lacks the privilege REPLICATION SLAVE; run on the server: GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO \
         'reader'@'%'"
    );
    server.exec("GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO reader@'%'");
    assert_eq!(
        stop(good.clone(), None),
        "E0407: SELECT command denied to user 'reader'@'localhost' for table `shop`.`orders`; run on the server: GRANT SELECT ON the \
         watched tables TO this user"
    );
    server.exec("GRANT SELECT ON shop.* TO reader@'%'");
    let mut source = start(good.clone(), None);
    source.transaction();
    source.until_live();
    // Once the snapshot is there, no SELECT is needed.
    let found = findings(&config(&url("sesame"), &["shop.*"]));
    let version = &found[2];
    assert!(version.contains(&server.query("SELECT VERSION()")[0][0]), "{version}");
    let reader = "'reader'@'%'";
    assert_eq!(
        found,
        [
            format!("ok connection 127.0.0.1:{}", server.port()),
            "ok tls none, and none needed on this machine".into(),
            version.clone(),
            "ok log_bin ON".into(),
            "ok binlog_format ROW".into(),
            "ok binlog_row_image FULL".into(),
            "ok binlog_row_metadata FULL".into(),
            "ok gtid_strict_mode ON".into(),
            "ok log kept until it is purged by hand".into(),
            "ok server_id 1; this reader's is random at each run".into(),
            "ok clock that of this machine, within 2 seconds".into(),
            format!("ok privilege REPLICATION SLAVE {reader}"),
            format!("ok privilege BINLOG MONITOR {reader}"),
            format!("ok privilege SELECT on shop.* {reader}"),
            "ok table shop.orders 1 columns, key id".into(),
        ]
    );
    let denied = findings(&config(&url("mellon"), &[]));
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(format!("{good:?} {denied:?} {:?}", source.statuses).find("sesame").is_none(), "a password is shown");
}

#[test]
fn src_7_a_purged_log_needs_a_new_snapshot() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1), (2); INSERT INTO shop.a VALUES (3)");
    server.exec("FLUSH BINARY LOGS; INSERT INTO shop.a VALUES (4); FLUSH BINARY LOGS; INSERT INTO shop.a VALUES (5)");
    purge_to(&server, "binlog.000003");
    let longer = "a larger binlog_expire_logs_seconds keeps the log longer";
    let config = config(&server.url(), &["shop.a"]);
    for (position, at, missing) in
        [("0-1-2", "0-1-2", "0-1-3 … 0-1-5"), ("0-1-4", "0-1-4", "0-1-5"), ("", "its beginning", "0-1-1 … 0-1-5")]
    {
        let text = stop(config.clone(), Some(position));
        let reason = format!("this source stands at {at}, and the server no longer has {missing} in its log");
        assert_eq!(text, format!("E0410: {reason}; {ANEW}; {longer}"));
    }
    let mut source = start(config, Some("0-1-5"));
    assert_eq!(line(&source.transaction()), "0-1-6: +a(5)");
}

#[test]
fn what_changes_rows_without_row_events_stops_the_source() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.t (id INT)");
    for (sql, text) in [
        (
            "SET SESSION binlog_format = 'STATEMENT'; INSERT INTO a VALUES (2, 2)",
            "E0413: transaction {gtid} is logged as a statement, not as rows: INSERT INTO a VALUES (2, 2); run on the server: SET GLOBAL \
             binlog_format = 'ROW', reconnect its clients; then {anew}",
        ),
        (
            "SET SESSION binlog_row_image = 'MINIMAL'; UPDATE a SET x = 2",
            "E0416: a row of shop.a with columns left out cannot be read; set binlog_row_image = 'FULL' on the server, for all sessions",
        ),
        ("TRUNCATE a", "E0414: transaction {gtid} changes rows of shop.a without telling which: TRUNCATE a; {anew}"),
        (
            "DROP TABLE a",
            "E0414: transaction {gtid} changes rows of shop.a without telling which: DROP TABLE `a` /* generated by server */; {anew}",
        ),
        (
            "RENAME TABLE a TO b",
            "E0414: transaction {gtid} changes rows of shop.a without telling which: RENAME TABLE a TO b; {anew}",
        ),
        (
            "DROP DATABASE shop",
            "E0414: transaction {gtid} changes rows of shop without telling which: DROP DATABASE shop; {anew}",
        ),
    ] {
        server.exec("DROP DATABASE shop; CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, x INT); INSERT INTO shop.a VALUES (1, 1)");
        let mut source = start(config(&server.url(), &["shop.a"]), None);
        source.transaction();
        source.until_live();
        server.exec("INSERT INTO shop.a VALUES (7, 7); TRUNCATE other.t; DROP TABLE other.t; CREATE TABLE other.t (id INT)");
        source.transaction();
        source.until_position(&server.gtid());
        let before = source.position.clone();
        server.exec(&format!("USE shop; {sql}"));
        let stopped = source.stopped();
        let text = text.replace("{gtid}", &server.gtid()).replace("{anew}", ANEW);
        assert_eq!(stopped, text);
        assert_eq!(source.position, before, "the position stays before {sql}");
    }
}

/// A server with a user of its own and the url of that user.
fn with_reader(options: &[&str], sql: &str) -> (MariaDb, String) {
    let server = MariaDb::start_with(options);
    server.exec(&format!(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE USER reader@'%' IDENTIFIED BY 'sesame'; {sql}"
    ));
    let url = format!("mysql://reader:sesame@127.0.0.1:{}", server.port());
    (server, url)
}

fn about(config: &MysqlConfig, name: &str) -> Vec<String> {
    findings(config).into_iter().filter(|line| line.split(' ').nth(1) == Some(name)).collect()
}

#[test]
fn src_23_a_role_gives_its_privileges_once_it_is_the_default() {
    if !require() {
        return;
    }
    let (server, url) = with_reader(
        &[],
        "CREATE ROLE follower; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO follower; GRANT SELECT ON shop.* TO follower; GRANT follower TO reader@'%'",
    );
    let config = config(&url, &["shop.a"]);
    assert_eq!(
        about(&config, "privilege"),
        [
            "bad privilege REPLICATION SLAVE 'reader'@'%' lacks it: the log cannot be read",
            "warn privilege BINLOG MONITOR 'reader'@'%' lacks it: it cannot be told which databases the log leaves out, nor what was purged",
            "bad privilege SELECT on shop.a 'reader'@'%' lacks it: the rows cannot be read",
        ]
    );
    server.exec("SET DEFAULT ROLE follower FOR reader@'%'");
    let granted = ["REPLICATION SLAVE", "BINLOG MONITOR", "SELECT on shop.a"];
    assert_eq!(about(&config, "privilege"), granted.map(|privilege| format!("ok privilege {privilege} 'reader'@'%'")));
    let mut source = start(config, None);
    source.transaction();
    source.until_live();
}

#[test]
fn a_clock_that_differs_is_found() {
    if !require() {
        return;
    }
    // What a connection's clock says is what its user is told first of all.
    let (server, url) =
        with_reader(&["--init-connect=SET timestamp = UNIX_TIMESTAMP() + 100"], "GRANT ALL ON shop.* TO reader@'%'");
    let config = config(&url, &["shop.a"]);
    let ahead = about(&config, "clock").join("");
    assert!(
        ["warn clock 99", "warn clock 100"].iter().any(|wanted| ahead == format!("{wanted} seconds ahead of this machine's")),
        "{ahead}"
    );
    server.exec("SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() - 100'");
    let behind = about(&config, "clock").join("");
    assert!(
        ["100", "101"].iter().any(|wanted| behind == format!("warn clock {wanted} seconds behind this machine's")),
        "{behind}"
    );
    server.exec("SET GLOBAL init_connect = ''");
    assert_eq!(about(&config, "clock"), ["ok clock that of this machine, within 2 seconds"]);
}
