//! `thalweg doctor` against real servers: what it says, and that what it says to run mends what is wrong.

use expect_test::{Expect, expect};
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mariadb11, require_mysql};

use super::harness::{Home, SECRET, SHOP, purge, shop, shop_server};

const LOG: &str = "{ type = \"log\", path = \"fired.log\" }";
const WRONG: [&str; 5] = [
    "--binlog-format=MIXED",
    "--binlog-row-image=MINIMAL",
    "--binlog-row-metadata=NO_LOG",
    "--gtid-strict-mode=OFF",
    "--binlog-expire-logs-seconds=3600",
];

/// What it says on stdout, and its exit code; with what differs from run to run replaced, and no password in it.
fn doctor(home: &Home, args: &[&str], server: Option<&Server>) -> (i32, String) {
    let output = home.command(&[&["doctor"], args].concat()).output().expect("the binary runs");
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("sesame"), "a secret is shown:\n{text}");
    let text: String = text.lines().map(|line| format!("{}\n", space(line))).collect();
    let Some(server) = server else { return (output.status.code().unwrap(), text) };
    let version = &server.query("SELECT VERSION()")[0][0];
    (output.status.code().unwrap(), text.replace(&server.port().to_string(), "PORT").replace(version, "VERSION"))
}

/// The line, without how much space is left on the disk of this machine.
fn space(line: &str) -> String {
    match line.split_once(" MiB") {
        Some((number, rest)) => format!("{}… MiB{rest}", number.trim_end_matches(char::is_numeric)),
        None => line.to_owned(),
    }
}

fn says(home: &Home, server: &Server, code: i32, want: Expect) {
    let (exit, text) = doctor(home, &["thalweg.toml"], Some(server));
    want.assert_eq(&text);
    assert_eq!(exit, code, "{text}");
}

/// The lines to paste.
fn block(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("-- to be run"));
    lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_it_says_to_run_on_a_wrongly_set_server_makes_it_pass() {
    if require() {
        passes_once_mended(&MariaDb::start_with(&WRONG));
    }
}

#[test]
fn what_it_says_to_run_on_a_wrongly_set_mariadb11_makes_it_pass() {
    if require_mariadb11() {
        passes_once_mended(&MariaDb::start_11(&WRONG));
    }
}

fn passes_once_mended(server: &MariaDb) {
    server.exec(SHOP);
    server.exec("CREATE USER reader@'%' IDENTIFIED BY 'open-sesame'");
    let url = format!("mysql://reader:${{PASSWORD}}@127.0.0.1:{}", server.port());
    let home = Home::new(&shop(&url, LOG)).env("PASSWORD", "open-sesame");
    says(
        &home,
        server,
        4,
        expect![[r#"
            definition
              ok    definition  no errors

            data .thalweg
              ok    writable    yes
              ok    free space  … MiB
              ok    store       none yet: the first run makes it

            server shop reader@127.0.0.1:PORT
              ok    connection                       127.0.0.1:PORT
              ok    tls                              none, and none needed on this machine
              ok    version                          MariaDB VERSION
              ok    log_bin                          ON
              bad   binlog_format                    binlog_format is MIXED, not ROW [E0404]
              bad   binlog_row_image                 binlog_row_image is MINIMAL, not FULL [E0405]
              bad   binlog_row_metadata              binlog_row_metadata is NO_LOG, not FULL [E0406]
              warn  gtid_strict_mode                 OFF
                                                     = help: switch it on, so that the server refuses transactions out of order, which a position cannot tell apart
              warn  log kept                         3600 seconds
                                                     = help: keep it longer than any outage: what is purged before it is read is missing
              ok    server_id                        1; this reader's is random at each run
              ok    clock                            that of this machine, within 2 seconds
              bad   privilege REPLICATION SLAVE      'reader'@'%' lacks it: the log cannot be read [E0407]
              warn  privilege BINLOG MONITOR         'reader'@'%' lacks it: it cannot be told which databases the log leaves out, nor what was purged [E0407]
              bad   privilege SELECT on shop.orders  'reader'@'%' lacks it: the rows cannot be read [E0407]
              ok    position                         none yet: the first run begins

            -- to be run on 127.0.0.1:PORT by an administrator; clients that write must connect anew to follow a changed setting
            SET GLOBAL binlog_format = 'ROW';
            -- and so that a restart keeps it, below [mariadbd] in the server's configuration: binlog_format = ROW
            SET GLOBAL binlog_row_image = 'FULL';
            -- and so that a restart keeps it, below [mariadbd] in the server's configuration: binlog_row_image = FULL
            SET GLOBAL binlog_row_metadata = 'FULL';
            -- and so that a restart keeps it, below [mariadbd] in the server's configuration: binlog_row_metadata = FULL
            SET GLOBAL gtid_strict_mode = ON;
            -- and so that a restart keeps it, below [mariadbd] in the server's configuration: gtid_strict_mode = ON
            SET GLOBAL binlog_expire_logs_seconds = 604800;
            -- and so that a restart keeps it, below [mariadbd] in the server's configuration: binlog_expire_logs_seconds = 604800
            GRANT REPLICATION SLAVE ON *.* TO 'reader'@'%';
            GRANT BINLOG MONITOR ON *.* TO 'reader'@'%';
            GRANT SELECT ON `shop`.`orders` TO 'reader'@'%';

            11 ok, 3 warn, 5 bad
        "#]],
    );
    let (_, text) = doctor(&home, &["thalweg.toml"], None);
    server.exec(&block(&text));
    says(
        &home,
        server,
        0,
        expect![[r#"
            definition
              ok    definition  no errors

            data .thalweg
              ok    writable    yes
              ok    free space  … MiB
              ok    store       none yet: the first run makes it

            server shop reader@127.0.0.1:PORT
              ok    connection                       127.0.0.1:PORT
              ok    tls                              none, and none needed on this machine
              ok    version                          MariaDB VERSION
              ok    log_bin                          ON
              ok    binlog_format                    ROW
              ok    binlog_row_image                 FULL
              ok    binlog_row_metadata              FULL
              ok    gtid_strict_mode                 ON
              ok    log kept                         7 days
              ok    server_id                        1; this reader's is random at each run
              ok    clock                            that of this machine, within 2 seconds
              ok    privilege REPLICATION SLAVE      'reader'@'%'
              ok    privilege BINLOG MONITOR         'reader'@'%'
              ok    privilege SELECT on shop.orders  'reader'@'%'
              ok    table shop.orders                2 columns, key id
              ok    position                         none yet: the first run begins

            20 ok, 0 warn, 0 bad
        "#]],
    );
    // And it is true: a run works.
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    home.run_until_idle("0.3").well();
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(server));
    assert_eq!(exit, 0, "{text}");
    for said in ["and the log has all that follows", "at epoch ", "of this instance: ••••"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_server_that_is_down_and_a_wrong_password_are_said() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new("").env("PASSWORD", "open-sesame");
    let url = format!("mysql://reader:${{PASSWORD}}@127.0.0.1:{port}/shop");
    let (exit, text) = doctor(&home, &[&url], None);
    assert_eq!(exit, 4, "{text}");
    expect![[r#"
        server reader@127.0.0.1:PORT
          bad   connection  cannot connect to 127.0.0.1:PORT: connection refused [E0400]
                            = help: is the server running, and does it listen there?

        0 ok, 0 warn, 1 bad
    "#]]
    .assert_eq(&text.replace(&port.to_string(), "PORT"));
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE USER reader@'%' IDENTIFIED BY 'right'");
    let url = format!("mysql://reader:${{PASSWORD}}@127.0.0.1:{}/shop", server.port());
    let (exit, text) = doctor(&home, &[&url, "--json"], Some(&server));
    assert_eq!(exit, 4, "{text}");
    expect![[r#"
        {"v":1,"about":"server","server":"reader@127.0.0.1:PORT","name":"connection","grade":"bad","found":"access denied for user 'reader'@'localhost' (using password: YES)","code":"E0401","help":"check user and password in the url, and that the user may connect from here","sql":[]}
    "#]].assert_eq(&text);
}

#[test]
fn mysql9_set_wrongly_passes_once_what_it_says_was_run() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&["--gtid-mode=OFF", "--binlog-row-metadata=MINIMAL", "--binlog-row-image=MINIMAL"]);
    server.exec(SHOP);
    server.exec("CREATE USER reader@'%'");
    let home = Home::new(&shop(&server.url().replace("root", "reader"), LOG));
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(&server));
    assert_eq!(exit, 4, "{text}");
    let paste = block(&text);
    expect![[r#"
        -- to be run on 127.0.0.1:PORT by an administrator; clients that write must connect anew to follow a changed setting
        SET PERSIST enforce_gtid_consistency = ON;
        SET PERSIST gtid_mode = OFF_PERMISSIVE;
        SET PERSIST gtid_mode = ON_PERMISSIVE;
        SET PERSIST gtid_mode = ON;
        SET PERSIST binlog_row_image = 'FULL';
        SET PERSIST binlog_row_metadata = 'FULL';
        GRANT REPLICATION SLAVE ON *.* TO 'reader'@'%';
        GRANT REPLICATION CLIENT ON *.* TO 'reader'@'%';
        GRANT SELECT ON `shop`.`orders` TO 'reader'@'%';
        GRANT LOCK TABLES ON `shop`.* TO 'reader'@'%';
    "#]]
    .assert_eq(&paste);
    server.exec(&paste);
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(&server));
    assert!(exit == 0 && text.contains(" 0 warn, 0 bad"), "{text}");
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    home.run_until_idle("0.3").well();
}

#[test]
fn targets_of_actions_are_looked_at_and_nothing_is_sent() {
    let Some(server) = shop_server() else { return };
    server.exec("CREATE TABLE shop.copies (id INT PRIMARY KEY, amount INT); CREATE TABLE shop.notes (n INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(20))");
    server.exec("CREATE USER writer@'%' IDENTIFIED BY 'open-sesame'");
    let url = format!("mysql://writer:${{PASSWORD}}@127.0.0.1:{}/shop", server.port());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let actions = format!(
        r#"{{ type = "sql-upsert", url = "{url}", table = "copies", key = ["id"], columns = {{ id = "{{key.id}}" }} }},
           {{ type = "sql-insert", url = "{url}", table = "events", create = true }},
           {{ type = "sql-insert", url = "{url}", table = "notes", columns = {{ text = "{{key.id}}" }} }},
           {{ type = "webhook", url = "http://127.0.0.1:{free}/token@b", secret = "${{NOT_SET}}" }}"#
    );
    let actions = actions.replace('\n', " ");
    let home = Home::new(&shop(&server.url(), &actions)).env("PASSWORD", "open-sesame");
    let targets = |text: &str| text.lines().skip_while(|line| !line.starts_with("target")).collect::<Vec<_>>().join("\n");
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(&server));
    assert_eq!(exit, 4, "{text}");
    expect![[r#"
        target writer@127.0.0.1:PORT
          ok    connection                  127.0.0.1:PORT
          bad   table shop.copies           not there, or invisible: 'writer'@'%' lacks SELECT, INSERT, UPDATE [E0407]
          bad   table shop.thalweg_rows     'writer'@'%' lacks CREATE, SELECT, INSERT, UPDATE [E0407]
          bad   table shop.events           'writer'@'%' lacks SELECT, INSERT, CREATE [E0407]
          bad   table shop.thalweg_applied  'writer'@'%' lacks CREATE, SELECT, INSERT [E0407]
          bad   table shop.notes            not there, or invisible: 'writer'@'%' lacks SELECT, INSERT [E0407]

        actions
          bad   secret   webhook: `secret` cannot be resolved: environment variable `NOT_SET` is not set [E0506]
                         = help: set it as for `thalweg run`
          warn  webhook  127.0.0.1:FREE takes no connection now
                         = help: deliveries wait in the outbox and are tried again until their deadline

        -- to be run on 127.0.0.1:PORT by an administrator; clients that write must connect anew to follow a changed setting
        GRANT SELECT, INSERT, UPDATE ON `shop`.`copies` TO 'writer'@'%';
        GRANT CREATE, SELECT, INSERT, UPDATE ON `shop`.`thalweg_rows` TO 'writer'@'%';
        GRANT SELECT, INSERT, CREATE ON `shop`.`events` TO 'writer'@'%';
        GRANT CREATE, SELECT, INSERT ON `shop`.`thalweg_applied` TO 'writer'@'%';
        GRANT SELECT, INSERT ON `shop`.`notes` TO 'writer'@'%';

        21 ok, 1 warn, 6 bad"#]]
    .assert_eq(&targets(&text.replace(&free.to_string(), "FREE")));
    server.exec(&block(&text));
    let home = home.env("NOT_SET", SECRET);
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(&server));
    assert_eq!(exit, 0, "{text}");
    expect![[r#"
        target writer@127.0.0.1:PORT
          ok    connection                  127.0.0.1:PORT
          ok    table shop.copies           there, and SELECT, INSERT, UPDATE granted
          ok    table shop.thalweg_rows     not there: the first delivery makes it
          ok    table shop.events           not there: the first delivery makes it
          ok    table shop.thalweg_applied  not there: the first delivery makes it
          ok    table shop.notes            there, and SELECT, INSERT granted

        actions
          warn  webhook  127.0.0.1:FREE takes no connection now
                         = help: deliveries wait in the outbox and are tried again until their deadline

        26 ok, 1 warn, 0 bad"#]]
    .assert_eq(&targets(&text.replace(&free.to_string(), "FREE")));
    // Tables of marks that are there need no CREATE, and each other privilege is missed by name.
    server.exec(
        "CREATE TABLE shop.thalweg_rows (n INT); CREATE TABLE shop.thalweg_applied (n INT);
         REVOKE CREATE, UPDATE ON shop.thalweg_rows FROM writer@'%'; REVOKE CREATE, INSERT ON shop.thalweg_applied FROM writer@'%'",
    );
    let (exit, text) = doctor(&home, &["thalweg.toml"], Some(&server));
    assert_eq!(exit, 4, "{text}");
    expect![[r#"
        -- to be run on 127.0.0.1:PORT by an administrator; clients that write must connect anew to follow a changed setting
        GRANT UPDATE ON `shop`.`thalweg_rows` TO 'writer'@'%';
        GRANT INSERT ON `shop`.`thalweg_applied` TO 'writer'@'%';
    "#]]
    .assert_eq(&block(&text));
}

#[test]
fn a_user_without_privileges_is_told_each_that_is_wanting() {
    let Some(server) = shop_server() else { return };
    server.exec("CREATE USER reader@'%'");
    let url = format!("mysql://reader@127.0.0.1:{}/shop", server.port());
    let (exit, text) = doctor(&Home::new(""), &[&url], Some(&server));
    assert_eq!(exit, 4, "{text}");
    expect![[r#"
        server reader@127.0.0.1:PORT
          ok    connection                   127.0.0.1:PORT
          ok    tls                          none, and none needed on this machine
          ok    version                      MariaDB VERSION
          ok    log_bin                      ON
          ok    binlog_format                ROW
          ok    binlog_row_image             FULL
          ok    binlog_row_metadata          FULL
          ok    gtid_strict_mode             ON
          ok    log kept                     until it is purged by hand
          ok    server_id                    1; this reader's is random at each run
          ok    clock                        that of this machine, within 2 seconds
          bad   privilege REPLICATION SLAVE  'reader'@'%' lacks it: the log cannot be read [E0407]
          warn  privilege BINLOG MONITOR     'reader'@'%' lacks it: it cannot be told which databases the log leaves out, nor what was purged [E0407]
          bad   privilege SELECT on shop.*   'reader'@'%' lacks it: the rows cannot be read [E0407]

        -- to be run on 127.0.0.1:PORT by an administrator; clients that write must connect anew to follow a changed setting
        GRANT REPLICATION SLAVE ON *.* TO 'reader'@'%';
        GRANT BINLOG MONITOR ON *.* TO 'reader'@'%';
        GRANT SELECT ON `shop`.* TO 'reader'@'%';

        11 ok, 1 warn, 2 bad
    "#]].assert_eq(&text);
    server.exec(&block(&text));
    let (exit, text) = doctor(&Home::new(""), &[&url], Some(&server));
    assert!(exit == 0 && text.contains(" 0 warn, 0 bad"), "{text}");
}

#[test]
fn a_run_under_way_is_left_alone_and_what_was_purged_is_missed() {
    let Some(server) = shop_server() else { return };
    let home = Home::new(&shop(&server.url(), LOG));
    let daemon = home.start_live();
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    assert!(exit == 0 && text.contains("  warn  store") && text.contains("is in use by process"), "{text}");
    daemon.stop().well();

    server.exec(
        "INSERT INTO shop.orders VALUES (2, 150); FLUSH BINARY LOGS; INSERT INTO shop.orders VALUES (3, 150); FLUSH BINARY LOGS",
    );
    purge(&server);
    let line = |text: &str| text.lines().find(|line| line.contains("  position ")).map(str::to_owned).unwrap_or_default();
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    let bad = line(&text);
    assert!(
        exit == 4 && bad.starts_with("  bad ") && bad.contains("the server no longer has") && bad.ends_with("[E0410]"),
        "{text}"
    );
    let policy = "kind = \"mysql\"\nafter_purge = \"snapshot\"";
    home.configure(&shop(&server.url(), LOG).replace("kind = \"mysql\"", policy));
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    assert!(exit == 0 && line(&text).starts_with("  warn "), "{text}");
}

#[test]
fn a_definition_that_does_not_fit_the_tables_and_an_id_that_clashes_are_said() {
    let Some(server) = shop_server() else { return };
    let config = shop(&server.url(), LOG).replace("kind = \"mysql\"", "kind = \"mysql\"\nserver_id = 1");
    let home = Home::new(&config);
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    assert!(exit == 4 && text.contains("this reader's is 1, which is the server's own [E0412]"), "{text}");
    home.configure(&config.replace("server_id = 1", "").replace("amount > 100", "amuont > 100"));
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    assert!(exit == 3 && text.contains("did you mean `amount`?"), "{text}");
    home.configure(&shop(&server.url(), LOG).replace("shop.orders", "shop.order"));
    let (exit, text) = doctor(&home, &["thalweg.toml"], None);
    assert!(exit == 4 && text.contains("unknown table `shop.order` [E0408]"), "{text}");
}

#[test]
fn an_address_to_listen_on_is_looked_at() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let config = |address: &str| {
        format!("[http]\nlisten = \"{address}\"\n[[source]]\nname = \"lines\"\nkind = \"jsonl\"\npath = \"lines.jsonl\"\n")
    };
    let home = Home::new(&config(&format!("127.0.0.1:{port}")));
    std::fs::write(home.path("lines.jsonl"), "").unwrap();
    let pages = |home: &Home| {
        let (exit, text) = doctor(home, &["thalweg.toml"], None);
        let lines = text.lines().skip_while(|line| *line != "http").take_while(|line| !line.is_empty());
        format!("exit {exit}\n{}", lines.map(|line| format!("{line}\n")).collect::<String>().replace(&port, "PORT"))
    };
    expect![[r#"
        exit 4
        http
          bad   listen  127.0.0.1:PORT: address already in use [E0460]
                        = help: name another address in [http]
    "#]]
    .assert_eq(&pages(&home));
    drop(taken);
    expect![[r#"
        exit 0
        http
          ok    listen  127.0.0.1:PORT is free
    "#]]
    .assert_eq(&pages(&home));
}
