//! What can differ between MariaDB 10.11 and 11.8: types, binlog events, positions, snapshots and the like. Every name here contains
//! `mariadb11`, by which `./test` leaves these out where no such server can be had.

use thalweg_testkit::{MariaDb, require_mariadb11};

use crate::harness::{follow, line, start};
use crate::live::{self, COMPRESSED};
use crate::types::{MARIADB, Print};
use crate::{added, ddl, faults, marks, share, snapshot, tls, types};

/// A server with `shop.a` as SQL declares its columns.
fn shop(columns: &str) -> MariaDb {
    let server = MariaDb::start_11(&[]);
    server.exec(&format!("CREATE DATABASE shop; CREATE TABLE shop.a ({columns})"));
    server
}

#[test]
fn src_19_20_21_values_of_the_snapshot_and_of_the_log_are_what_sql_prints() {
    if !require_mariadb11() {
        return;
    }
    let own = [
        ("VECTOR(3) NOT NULL DEFAULT VEC_FromText('[0,0,0]')", Print::Hex, &["VEC_FromText('[1,2.5,-3]')"; 9][..]),
        ("TIMESTAMP(3) NULL", Print::Datetime(3), &["'2106-02-07 06:28:15.999'", "'2038-01-19 03:14:08'"]),
        ("UUID", Print::Plain, &["UUID_v7()", "UUID_v4()"]),
    ];
    let json = types::compare(&MariaDb::start_11(&[]), &[MARIADB, &own].concat());
    assert_eq!(json, ["{\"a\":[1,1.1,NULL,true,18446744073709551616d],\"b\":\"é\"}", "NULL", "7"]);
}

#[test]
fn the_log_reads_as_that_of_10_11() {
    if require_mariadb11() {
        live::rotation(&MariaDb::start_11(&[]));
        live::compressed(&MariaDb::start_11(COMPRESSED));
        live::layouts(&MariaDb::start_11(&[]));
        live::xa(&MariaDb::start_11(&[]));
    }
}

/// Positions name domains and servers; what the connection does not know of is none of a source's history.
#[test]
fn src_10_positions_of_several_domains_resume() {
    if !require_mariadb11() {
        return;
    }
    let server = shop("id INT PRIMARY KEY");
    let mut source = start(crate::harness::config(&server.url(), &["shop.a"]), Some(""));
    source.until_live();
    server.exec("SET gtid_domain_id = 1; INSERT INTO shop.a VALUES (1); SET gtid_domain_id = 2; INSERT INTO shop.a VALUES (2)");
    assert_eq!(line(&source.transaction()), "1-1-1: +a(1)");
    let position = source.position.clone();
    assert_eq!(source.stand(), "0-1-2,1-1-1");
    drop(source);
    let mut source = start(crate::harness::config(&server.url(), &["shop.a"]), position.as_deref());
    assert_eq!(line(&source.transaction()), "2-1-1: +a(2)");
    assert_eq!(source.stand(), "0-1-2,1-1-1,2-1-1");
}

#[test]
fn src_12_emptied_and_swapped_tables() {
    if require_mariadb11() {
        let server = MariaDb::start_11(&[]);
        ddl::emptied(&server);
        ddl::swapped(&server);
    }
}

#[test]
fn src_18_a_snapshot_under_writers_neither_loses_nor_repeats() {
    if require_mariadb11() {
        let server = MariaDb::start_11(&[]);
        server.exec(&format!("CREATE DATABASE shop; {}", snapshot::COUNTERS));
        snapshot::under_writers(&server, || snapshot::rounds(&server, &server.url(), 8));
    }
}

#[test]
fn src_18_after_the_snapshot_no_select_is_needed() {
    if require_mariadb11() {
        added::without_select(&MariaDb::start_11(&[]), "REPLICATION SLAVE, BINLOG MONITOR");
    }
}

#[test]
fn src_26_a_table_is_read_in_under_writers_and_restarts() {
    if require_mariadb11() {
        added::under_writers(&MariaDb::start_11(&[]));
    }
}

#[test]
fn src_1_2_nothing_is_lost_or_repeated_over_crashes_and_cuts() {
    if require_mariadb11() {
        faults::crashes(&mut shop("id INT PRIMARY KEY"), 3);
        faults::cuts(&shop("id INT PRIMARY KEY, note VARCHAR(200)"), 15, 9000);
    }
}

#[test]
fn src_11_two_readers_with_one_server_id_are_told() {
    if require_mariadb11() {
        faults::two_readers(&shop("id INT PRIMARY KEY"));
    }
}

/// Its events within a transaction say no place, and have checksums all the same.
#[test]
fn src_22_a_byte_damaged_on_the_way_is_found_and_read_again() {
    if require_mariadb11() {
        faults::damaged(&shop("id INT PRIMARY KEY, note TEXT"));
    }
}

#[test]
fn src_23_a_certificate_of_an_own_authority_is_verified() {
    if require_mariadb11() {
        tls::verified(MariaDb::start_11);
    }
}

#[test]
fn src_25_a_transaction_that_a_sink_wrote_says_which_effect_it_was() {
    if require_mariadb11() {
        let server = MariaDb::start_11(&[]);
        server.exec(&format!("CREATE DATABASE shop; USE shop; {}", marks::TABLES));
        assert_eq!(marks::own_writes(&server, marks::HISTORY), marks::WANT);
    }
}

#[test]
fn sources_of_one_server_hold_one_connection_through_lag_and_crash() {
    if require_mariadb11() {
        share::one_connection(MariaDb::start_11(&[]));
    }
}

/// Stopped by one version, started by the next: the source waits, and goes on. A reader that comes later reads the files of both.
#[test]
fn src_6_an_upgrade_is_read_across() {
    if !require_mariadb11() {
        return;
    }
    let mut server = MariaDb::start_with(COMPRESSED);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT, at TIMESTAMP(6) NULL)");
    let mut source = follow(&server.url(), &["shop.a"]);
    let insert = |id: u32| format!("INSERT INTO shop.a VALUES ({id}, REPEAT('n', 500), '2024-02-29 12:00:00.5')");
    server.exec(&insert(1));
    let first = source.transaction();
    let begin = source.position.clone();
    server.upgrade_to_11();
    assert!(server.query("SELECT VERSION()")[0][0].starts_with("11.8"));
    server.exec(&format!("{}; UPDATE shop.a SET note = 'new' WHERE id = 1", insert(2)));
    let told = [first, source.transaction(), source.transaction()].map(|transaction| line(&transaction));
    let n = "n".repeat(500);
    assert_eq!(
        told.clone().map(|line| line.replace(&n, "n…")),
        [
            "0-1-3: +a(1, \"n…\", @1709208000500000)",
            "0-1-4: +a(2, \"n…\", @1709208000500000)",
            "0-1-5: ~a(1, \"n…\", @1709208000500000 -> 1, \"new\", @1709208000500000)",
        ]
    );
    for (position, rest) in [(Some("0-1-2"), &told[..]), (begin.as_deref(), &told[1..])] {
        let mut later = start(crate::harness::config(&server.url(), &["shop.a"]), position);
        rest.iter().for_each(|wanted| assert_eq!(line(&later.transaction()), *wanted));
    }
}
