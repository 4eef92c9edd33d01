//! More of what happens to servers: resets, failovers, clocks, settings and rights that change under a source.

use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_sources::mysql::{MysqlConfig, place};
use thalweg_testkit::{MariaDb, MySql, Proxy, Server, require, require_mysql};

use crate::harness::{Running, changes, config, eventually, follow, ids, line, purge_to, show, start, stop};

/// A source over a proxy that has taken its snapshot and is live.
fn follow_through(proxy: &Proxy) -> Running {
    follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"])
}

/// Runs SQL until it gives what is wanted.
fn wait_for(server: &Server, sql: &str, wanted: &str) {
    eventually(&format!("{wanted} as the answer to {sql}"), || server.query(sql).concat().concat() == wanted);
}

#[test]
fn src_3_4_a_transaction_that_is_cut_in_its_middle_is_read_whole_again() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(200))");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    for round in 0..4 {
        // Some hundred row events; the cut falls behind the first table map, long before the end.
        proxy.cut_after(60_000 + round * 150_000);
        server.exec(&format!(
            "USE shop; BEGIN; INSERT INTO a SELECT seq + {}, REPEAT('n', 100) FROM seq_1_to_5000; DELETE FROM a WHERE id % 2 = 0; COMMIT",
            round * 10_000
        ));
        let before = source.position.clone();
        let transaction = source.transaction();
        assert_eq!(changes(&transaction).len(), 7_500);
        assert_ne!(source.position, before);
        assert_eq!(source.stand(), server.gtid());
    }
    assert!(proxy.accepted() >= 5, "{}", proxy.accepted());
}

#[test]
fn src_8_a_reset_log_is_another_history() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    server.exec("RESET MASTER; INSERT INTO shop.a VALUES (2)");
    proxy.cut();
    let text = source.stopped();
    let reason = "this source stands at 0-1-3, and the server's log has only 0-1-1: its history is another one";
    assert_eq!(
        text,
        format!("E0411: {reason}; connect to the right server, or start with a new data directory to read the tables anew")
    );
}

/// A log that was reset and has grown beyond the position has every number in it; under the last one stands something younger. `id` is that
/// transaction's, from the position.
fn grown_beyond(server: &Server, reset: &str, with_change: bool, id: impl Fn(&str) -> String) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    let mut source = follow(&server.url(), &["shop.a"]);
    if with_change {
        server.exec("INSERT INTO shop.a VALUES (2)");
        assert_eq!(ids(&source.transaction()), [2]);
    }
    let position = source.position.clone().unwrap();
    drop(source);
    // From where it stands it goes on, over the same log, as often as it is begun.
    server.exec("INSERT INTO shop.a VALUES (3)");
    for _ in 0..2 {
        let mut source = start(config(&server.url(), &["shop.a"]), Some(&position));
        assert_eq!(ids(&source.transaction()), [3]);
    }
    let second = server.query("SELECT UNIX_TIMESTAMP()");
    eventually("the next second", || server.query("SELECT UNIX_TIMESTAMP()") != second);
    server.exec(reset);
    server.exec(&"INSERT INTO shop.a SELECT MAX(id) + 1 FROM shop.a;".repeat(9));
    let text = stop(config(&server.url(), &["shop.a"]), Some(&position));
    let (begin, rest) = text.split_once(" was read as made at ").expect(&text);
    assert_eq!(begin, format!("E0411: transaction {}", id(&position)));
    let (read, rest) = rest.split_once(", and the server's log has another one of that number, made at ").expect(&text);
    let (made, rest) = rest.split_once("Z: ").expect(&text);
    assert!(read < made, "{text}");
    let cure = "connect to the right server, or start with a new data directory to read the tables anew";
    assert_eq!(rest, format!("its history is another one; {cure}"));
}

#[test]
fn src_8_a_reset_log_that_has_grown_beyond_the_position_is_told_from_the_one_before() {
    for with_change in [true, false] {
        if require() {
            let id = if with_change { "0-1-4" } else { "0-1-3" };
            grown_beyond(&MariaDb::start(), "RESET MASTER", with_change, |_| id.to_string());
        }
        if require_mysql() {
            let id = |position: &str| position.split_once(";latest=").unwrap().1.split_once(',').unwrap().0.to_string();
            grown_beyond(&MySql::start(), "RESET BINARY LOGS AND GTIDS", with_change, id);
        }
    }
}

/// The position's last transaction is the first that the log still has, so there is none before it to begin at.
#[test]
fn src_8_where_the_log_has_nothing_before_the_position_it_is_followed_uncompared() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let mut source = follow(&server.url(), &["shop.a"]);
    server.exec("INSERT INTO shop.a VALUES (1)");
    assert_eq!(ids(&source.transaction()), [1]);
    let position = source.position.clone();
    drop(source);
    server.exec("FLUSH BINARY LOGS; FLUSH BINARY LOGS; INSERT INTO shop.a VALUES (2)");
    purge_to(&server, "binlog.000003");
    let mut source = start(config(&server.url(), &["shop.a"]), position.as_deref());
    assert_eq!(ids(&source.transaction()), [2]);
    let errors = source.statuses.iter().filter(|status| matches!(status, SourceStatus::Connecting { error: Some(_) }));
    assert_eq!(errors.count(), 0, "{:?}", source.statuses);
}

/// What stands before the position is compared, and not read: it may be of tables that were not watched then, and cannot be read.
#[test]
fn src_8_a_transaction_that_is_only_compared_need_not_be_readable() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE TABLE shop.b (id INT PRIMARY KEY)");
    let mut source = follow(&server.url(), &["shop.a"]);
    server.exec("SET GLOBAL binlog_row_metadata = NO_LOG");
    server.exec("INSERT INTO shop.b VALUES (1)");
    server.exec("SET GLOBAL binlog_row_metadata = FULL");
    source.until_position("0-1-4");
    let position = source.position.clone();
    drop(source);
    let mut source = start(config(&server.url(), &["shop.a", "shop.b"]), position.as_deref());
    source.until_live();
    server.exec("INSERT INTO shop.b VALUES (2)");
    assert_eq!(line(&source.transaction()), "0-1-5: +b(2)");
}

/// A primary and its replica behind one address; the primary dies, the replica takes its place.
fn failover(mut primary: impl AsMut<Server>, mut replica: impl AsMut<Server>, attach: &str, caught_up: &str, detach: &str) {
    let (primary, replica) = (primary.as_mut(), replica.as_mut());
    replica.exec(&attach.replace("{port}", &primary.port().to_string()));
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    primary.exec("INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"));
    wait_for(replica, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'", "1");

    primary.exec("INSERT INTO shop.a VALUES (2)");
    assert!(line(&source.transaction()).ends_with(": +a(2)"));
    wait_for(replica, caught_up, "2");
    primary.kill9();
    replica.exec(detach);
    proxy.retarget(replica.port());
    replica.exec("INSERT INTO shop.a VALUES (3)");
    assert!(line(&source.transaction()).ends_with(": +a(3)"));
    assert_eq!(source.stand(), replica.gtid());
}

#[test]
fn src_9_a_replica_takes_over_by_gtid() {
    if !require() {
        return;
    }
    failover(
        MariaDb::start(),
        MariaDb::start_with(&["--server-id=2", "--log-slave-updates=ON"]),
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; START SLAVE",
        "SELECT MAX(id) FROM shop.a",
        "STOP SLAVE; RESET SLAVE ALL",
    );
}

#[test]
fn mysql9_src_9_a_replica_takes_over_by_gtid() {
    if !require_mysql() {
        return;
    }
    failover(
        MySql::start(),
        MySql::start_with(&["--server-id=2", "--log-replica-updates=ON"]),
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, \
         GET_SOURCE_PUBLIC_KEY = 1; START REPLICA",
        "SELECT MAX(id) FROM shop.a",
        "STOP REPLICA; RESET REPLICA ALL",
    );
}

/// Commits `rows` rows of `shop.a` one by one in the primary, which ends in their midst; the rows that a replica then has. The source either
/// goes on with the replica exactly, or says that it lacks what was read; then the replica applies what it had received, and what is
/// missing still is gone with the primary.
fn failover_at_random(round: u64) {
    let (mut primary, replica) = (MariaDb::start(), MariaDb::start_with(&["--server-id=2", "--log-slave-updates=ON"]));
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    replica.exec(&format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; START SLAVE",
        primary.port()
    ));
    wait_for(&replica, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'", "1");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let client = primary.client();
        let inserts: String = (0..2_000).map(|id| format!("INSERT INTO shop.a VALUES ({id});")).collect();
        let writer = scope.spawn(move || client.try_query(&inserts).ok());
        while seen.len() < 150 + 70 * (round % 20) as usize {
            seen.extend(ids(&source.transaction()));
        }
        primary.kill9();
        writer.join().unwrap();
    });
    replica.exec("STOP SLAVE IO_THREAD"); // What has arrived is applied.
    eventually("what has arrived to be applied", || {
        let status = replica.query("SHOW SLAVE STATUS");
        status[0].iter().any(|cell| cell.starts_with("Slave has read all relay log"))
    });
    replica.exec("STOP SLAVE; RESET SLAVE ALL");
    // What was on the way from the primary has come before its end.
    proxy.retarget(replica.port());
    let stands = |source: &Running| sequence(source.position.as_deref().unwrap());
    let ended = loop {
        match source.any("the end of the primary's log or the replica's") {
            Some(transaction) => seen.extend(ids(&transaction)),
            None => match source.statuses.last() {
                Some(SourceStatus::Live(true)) => break None,
                Some(SourceStatus::Stopped(text)) => break Some(text.clone()),
                _ => {}
            },
        }
    };
    let had = sequence(&replica.gtid());
    match ended {
        Some(text) => {
            assert!(stands(&source) > had, "{text}");
            assert!(text.starts_with("E0411: this source stands at 0-1-"), "{text}");
        }
        None => {
            assert!(stands(&source) <= had);
            replica.exec("INSERT INTO shop.a VALUES (100000)");
            while seen.last() != Some(&100_000) {
                seen.extend(ids(&source.transaction()));
            }
            let stored = replica.query("SELECT id FROM shop.a ORDER BY id");
            assert_eq!(seen, stored.iter().map(|row| row[0].parse().unwrap()).collect::<Vec<i64>>());
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "nothing comes twice");
}

/// The number in `0-1-42`.
fn sequence(position: &str) -> u64 {
    place(position).rsplit('-').next().unwrap().parse().unwrap()
}

#[test]
fn src_9_a_primary_that_dies_under_load_is_succeeded_exactly_or_not_at_all() {
    if !require() {
        return;
    }
    let rounds = std::env::var("THALWEG_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    (0..rounds).for_each(failover_at_random);
}

/// The replica has received what the source has read, but not applied it: it is not followed before it has.
#[test]
fn src_9_a_replica_that_lags_is_not_followed_until_it_has_what_was_read() {
    if !require() {
        return;
    }
    let (mut primary, replica) = (MariaDb::start(), MariaDb::start_with(&["--server-id=2", "--log-slave-updates=ON"]));
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    replica.exec(&format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; START SLAVE",
        primary.port()
    ));
    wait_for(&replica, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'", "1");
    replica.exec("STOP SLAVE SQL_THREAD");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    primary.exec("INSERT INTO shop.a VALUES (1); INSERT INTO shop.a VALUES (2)");
    assert_eq!([ids(&source.transaction()), ids(&source.transaction())], [[1], [2]]);
    eventually("the replica to receive it", || replica.query("SHOW SLAVE STATUS")[0].iter().any(|cell| cell == "0-1-4"));
    primary.kill9();
    proxy.retarget(replica.port());
    let text = source.stopped();
    assert!(text.starts_with("E0411: this source stands at 0-1-4, and the server's log has only 0-1-2: "), "{text}");

    replica.exec("START SLAVE SQL_THREAD");
    wait_for(&replica, "SELECT MAX(id) FROM shop.a", "2");
    replica.exec("STOP SLAVE; RESET SLAVE ALL; INSERT INTO shop.a VALUES (3)");
    let mut source = start(config(&replica.url(), &["shop.a"]), source.position.clone().as_deref());
    assert_eq!(ids(&source.transaction()), [3]);
}

#[test]
fn src_9_a_server_that_lacks_what_was_read_is_not_followed() {
    if !require() {
        return;
    }
    let primary = MariaDb::start();
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let behind = MariaDb::start();
    behind.exec("CREATE DATABASE shop");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    proxy.retarget(behind.port());
    proxy.cut();
    let text = source.stopped();
    assert!(text.starts_with("E0411: this source stands at 0-1-2, and the server's log has only 0-1-1: "), "{text}");
}

#[test]
fn src_13_rows_without_names_stop_the_source() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("SET GLOBAL binlog_row_metadata = 'NO_LOG'; FLUSH TABLES; INSERT INTO shop.a VALUES (1)");
    let text = source.stopped();
    let cure = "run on the server: SET GLOBAL binlog_row_metadata = 'FULL'";
    assert_eq!(text, format!("E0416: a row of shop.a without column names cannot be read; {cure}"));
}

#[test]
fn src_19_clocks_and_time_zones_of_a_server_change_no_order_and_no_value() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; SET time_zone = '+00:00'; CREATE TABLE a (id INT PRIMARY KEY, at TIMESTAMP NULL, on_wall DATETIME); INSERT INTO a VALUES (0, '2024-03-31 01:30:00', '2024-03-31 01:30:00')");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    let value = |transaction: &thalweg_graph::Transaction| {
        let row = changes(transaction)[0].after.clone().unwrap();
        format!("{} {}", show(row[1].as_ref().unwrap()), show(row[2].as_ref().unwrap()))
    };
    let wanted = value(&source.transaction());
    source.until_live();
    let mut seconds = Vec::new();
    for (id, zone, local, clock) in [
        (1, "+05:30", "2024-03-31 07:00:00", 2_000_000_000),
        (2, "-08:00", "2024-03-30 17:30:00", 1), // The clock is set back by decades.
        (3, "+00:00", "2024-03-31 01:30:00", 1_700_000_000),
    ] {
        server.exec(&format!(
            "SET GLOBAL time_zone = '{zone}'; SET time_zone = '{zone}', timestamp = {clock}; INSERT INTO shop.a VALUES ({id}, '{local}', '2024-03-31 01:30:00')"
        ));
        let transaction = source.transaction();
        assert_eq!(value(&transaction), wanted, "{zone}");
        seconds.push(transaction.at.0 / 1_000_000);
    }
    assert_eq!(seconds, [2_000_000_000, 1, 1_700_000_000]);
}

#[test]
fn src_23_a_user_whose_password_changes_is_told_once_the_connection_ends() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE USER reader@'%' IDENTIFIED BY 'sesame';
         GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO reader@'%'",
    );
    let proxy = Proxy::to(server.port());
    let mut source = start(config(&format!("mysql://reader:sesame@127.0.0.1:{}", proxy.port()), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("SET PASSWORD FOR reader@'%' = PASSWORD('mellon'); INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"), "what is open stays open");
    proxy.cut();
    let text = source.stopped();
    assert!(text.starts_with("E0401: access denied for user 'reader'@"), "{text}");
    assert!(!text.contains("sesame") && !format!("{:?}", source.statuses).contains("sesame"));
}

/// A server with enough rows for several pieces, a proxy that lets them come slowly, and a source that has the first of them.
fn amid_a_snapshot() -> (MariaDb, Proxy, Running) {
    amid_a_snapshot_with("")
}

/// The same with more tables behind.
fn amid_a_snapshot_with(more: &str) -> (MariaDb, Proxy, Running) {
    let server = MariaDb::start();
    server.exec(&format!("CREATE DATABASE shop; USE shop; {more}"));
    server.exec("USE shop; CREATE TABLE a (id INT PRIMARY KEY, note VARCHAR(200)); INSERT INTO a SELECT seq, REPEAT('n', 200) FROM seq_1_to_60000");
    let proxy = Proxy::to(server.port());
    proxy.delay(Duration::from_millis(1));
    let config = config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.*"]);
    let mut source = start(MysqlConfig { clears: true, heartbeat: Duration::from_millis(100), ..config }, None);
    assert_eq!(changes(&source.transaction()).len(), 10_000);
    assert_eq!(source.stand(), "snapshot;tables=shop.*");
    (server, proxy, source)
}

/// Takes pieces until the snapshot is whole: what the receiver then has is what the server has.
fn ends_whole(server: &Server, source: &mut Running) {
    let (mut rows, mut clears) = (10_000, 0);
    while source.position.as_deref().is_some_and(|position| position.starts_with("snapshot")) {
        for change in changes(&source.transaction()) {
            (rows, clears) = if change.is_clear() { (0, clears + 1) } else { (rows + 1, clears) };
        }
    }
    assert_eq!((rows, clears > 0), (60_000, true));
    assert_eq!(source.stand(), format!("{};tables=shop.*", server.gtid()));
    server.exec("INSERT INTO shop.a VALUES (0, 'later')");
    assert_eq!(ids(&source.transaction()), [0]);
}

#[test]
fn src_5_a_server_that_falls_silent_amid_a_snapshot_is_given_up() {
    if !require() {
        return;
    }
    let (server, proxy, mut source) = amid_a_snapshot();
    proxy.stall(true);
    let status = loop {
        if source.any("a silent server").is_none()
            && let Some(SourceStatus::Connecting { error: Some(text) }) = source.statuses.last()
        {
            break text.clone();
        }
    };
    assert_eq!(status, "E0400: no sign of life from the server for 4s");
    proxy.cut();
    proxy.delay(Duration::ZERO);
    proxy.stall(false);
    ends_whole(&server, &mut source);
}

/// Tables that were not reached yet change places, so that rows come in the form of others.
#[test]
fn src_18_tables_that_change_places_amid_a_snapshot_are_read_anew() {
    if !require() {
        return;
    }
    let (server, proxy, mut source) = amid_a_snapshot_with(
        "CREATE TABLE b (id INT PRIMARY KEY, x VARCHAR(20)); INSERT INTO b VALUES (1, 'one');
         CREATE TABLE c (id INT PRIMARY KEY, x DATETIME); INSERT INTO c VALUES (2, '2024-02-29')",
    );
    server.exec("USE shop; RENAME TABLE b TO x, c TO b, x TO c");
    proxy.delay(Duration::ZERO);
    let (mut small, gtid) = (Vec::new(), server.gtid());
    while !source.position.as_deref().is_some_and(|position| position.starts_with(&gtid)) {
        for change in source.any("the tables").iter().flat_map(changes) {
            match &*change.schema.table {
                _ if change.is_clear() => small.clear(),
                "shop.a" => {}
                table => small.push(format!("{table} {}", show(change.after.as_ref().unwrap()[1].as_ref().unwrap()))),
            }
        }
    }
    assert_eq!(small, ["shop.b @1709164800000000", "shop.c \"one\""]);
    let told = "E0416: column `x` of shop.b came from the server in a form that is not known; leave the table out of `tables`";
    let is_told = |status: &SourceStatus| matches!(status, SourceStatus::Connecting { error: Some(text) } if text == told);
    assert!(source.statuses.iter().any(is_told), "{:?}", source.statuses);
}

#[test]
fn src_18_a_server_that_dies_amid_a_snapshot_is_read_anew() {
    if !require() {
        return;
    }
    let (mut server, proxy, mut source) = amid_a_snapshot();
    server.kill9();
    proxy.delay(Duration::ZERO);
    server.restart();
    ends_whole(&server, &mut source);
}

#[test]
fn src_24_a_server_that_becomes_read_only_is_followed_on() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    server.exec("SET GLOBAL read_only = ON");
    proxy.cut();
    source.until("a new connection", |s| *s == SourceStatus::Live(true));
    server.exec("SET GLOBAL read_only = OFF; INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"));
}
