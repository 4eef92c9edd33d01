//! A server whose disk is full, or that takes no writes: what is to be written there waits, and nothing of it is lost or doubled.

use thalweg_testkit::{Daemon, MariaDb, Server, SmallDisk, require};

use super::harness::{Home, until};

/// Rows of `bank.ledger` are told in `told.ledger` of the same server, each on most of a page, by a user whom `read_only` binds.
fn config(server: &Server) -> String {
    format!(
        r#"
        [[source]]
        name = "bank"
        kind = "mysql"
        url = "mysql://teller:sesame@127.0.0.1:{}"
        tables = ["bank.ledger"]
        [[classify]]
        database = "bank"
        table = "ledger"
        insert = "moved"
        [[reactions]]
        event = "moved"
        actions = [{{ type = "sql-insert", database = "told", table = "ledger", timeout = "1s", backoff = "50ms..200ms",
                      columns = {{ entry = "{{new.id}}", note = "{}" }} }}]
        "#,
        server.port(),
        "n".repeat(7_000)
    )
}

const TABLES: &str = "CREATE DATABASE bank; CREATE DATABASE told; CREATE TABLE bank.ledger (id BIGINT PRIMARY KEY);
    CREATE TABLE told.ledger (n BIGINT AUTO_INCREMENT PRIMARY KEY, entry BIGINT, note VARCHAR(8000), KEY (entry));
    CREATE USER teller@'%' IDENTIFIED BY 'sesame'; GRANT ALL ON told.* TO teller@'%';
    GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO teller@'%'";

/// Entries up to here, each a transaction of its own.
fn entries(from: u32, to: u32) -> String {
    (from..=to).map(|id| format!("INSERT INTO bank.ledger VALUES ({id});")).collect()
}

fn count(server: &Server, table: &str) -> u32 {
    server.query(&format!("SELECT COUNT(*) FROM {table}.ledger"))[0][0].parse().unwrap()
}

/// All that was entered is told.
fn until_told(server: &Server, daemon: &Daemon, when: &str) {
    let what = format!("all entries to be told {when}, and it said:\n{}", daemon.said());
    until(&what, || count(server, "told") >= count(server, "bank"));
}

#[test]
fn src_24_a_server_whose_disk_is_full_is_waited_for_and_nothing_is_lost_or_doubled() {
    if !require() {
        return;
    }
    let (Some(disk), Some(logs)) = (SmallDisk::mount(96), SmallDisk::mount(8)) else { return };
    let mut server = MariaDb::start_on(&disk, &[&format!("--log-bin={}/binlog", logs.path().display())]);
    server.exec(TABLES);
    let home = Home::new(&config(&server));
    let daemon = home.start_live();
    server.exec(&entries(1, 3));
    until_told(&server, &daemon, "at first");

    // No room for its tables to grow: entries are small, what is told of them is not.
    disk.fill();
    server.exec(&entries(4, 100));
    daemon.until_said("trying again: E0524: the database refused: The table 'ledger' is full (1114)");
    assert!(count(&server, "told") < 50);
    disk.free();
    until_told(&server, &daemon, "with room again");

    server.exec("SET GLOBAL read_only = ON");
    server.exec(&entries(101, 110));
    daemon.until_said("--read-only option so it cannot execute this statement (1290)");

    // No room for its log: each commit waits, for a minute at least, and its writer gives up. The server is killed, and nobody knows what
    // became of what.
    logs.fill();
    server.exec("SET GLOBAL read_only = OFF");
    daemon.until_said("trying again: E0524: the database did not answer within 1s");
    let waits = |cell: &String| cell == "Waiting for someone to free space";
    assert!(server.query("SHOW PROCESSLIST").concat().iter().any(waits));
    assert!(!daemon.said().contains("connecting again"), "the source follows a server that waits");
    logs.free();
    server.kill9();
    daemon.until_said("connecting again");
    server.restart();
    server.exec(&entries(111, 120));
    until_told(&server, &daemon, "after the server's end");

    let ended = daemon.stop();
    ended.well();
    let wrong = "SELECT b.id, COUNT(t.entry) FROM bank.ledger b LEFT JOIN told.ledger t ON t.entry = b.id GROUP BY 1 HAVING COUNT(t.entry) <> 1";
    assert_eq!(server.query(wrong), Vec::<Vec<String>>::new(), "lost or doubled\n{}", ended.said);
    assert_eq!(count(&server, "told"), count(&server, "bank"), "invented\n{}", ended.said);
    let counts = home.counts();
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
    assert_eq!(counts.fired, u64::from(count(&server, "bank")));
}
