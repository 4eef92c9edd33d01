//! One database follows another, and two follow each other.

use thalweg_testkit::{MariaDb, MySql, Server, require, require_mysql};

use super::harness::{Daemon, Home, until};

const CONFIG: &str = include_str!("../../examples/cross-database-sync/thalweg.toml");
const SHOP: &str = include_str!("../../examples/cross-database-sync/shop.sql");
const WAREHOUSE: &str = include_str!("../../examples/cross-database-sync/warehouse.sql");

fn rows(server: &MariaDb, database: &str, table: &str, columns: &str) -> Vec<Vec<String>> {
    server.query(&format!("SELECT {columns} FROM {database}.{table} ORDER BY 1"))
}

#[test]
fn the_example_keeps_a_copy_on_another_server_through_crashes_of_all_three() {
    if !require() {
        return;
    }
    let (shop, mut warehouse) = (MariaDb::start(), MariaDb::start());
    shop.exec(SHOP);
    warehouse.exec(WAREHOUSE);
    shop.exec(
        "INSERT INTO shop.customers VALUES (1, 'Ada', 'ada@example.com', 'secret'), (2, 'Bob', 'bob@example.com', NULL);
         INSERT INTO shop.orders VALUES (1, 1, '12.50', 0, '2024-02-29 23:59:59.250', NULL)",
    );
    let config = CONFIG
        .replace("thalweg:${SHOP_PASSWORD}@shop-db:3306", &format!("root@127.0.0.1:{}", shop.port()))
        .replace("thalweg:${WAREHOUSE_PASSWORD}@warehouse-db:3306", &format!("root@127.0.0.1:{}", warehouse.port()))
        .replace("{ type = \"sql-", "{ backoff = \"50ms..200ms\", type = \"sql-")
        .replace("\ntype = \"sql-", "\nbackoff = \"50ms..200ms\"\ntype = \"sql-");
    let home = Home::new(&config);
    let daemon = home.start_live();
    let customers = "id, name, email";
    until("the first copy", || rows(&warehouse, "warehouse", "orders", "id").len() == 1);

    // New rows, changed rows, rows that go, a key that changes, an order before its customer in the log of one transaction.
    shop.exec(
        "INSERT INTO shop.customers VALUES (3, 'Eve', 'eve@example.com', 'x');
         UPDATE shop.customers SET name = 'Ada L.' WHERE id = 1;
         SET foreign_key_checks = 0; BEGIN;
         INSERT INTO shop.orders VALUES (2, 4, '99999999.99', 1, '2024-03-01 00:00:00', 'gift \\\\ \"wrapped\" 🦀');
         INSERT INTO shop.customers VALUES (4, 'Dan', 'dan@example.com', NULL); COMMIT;
         UPDATE shop.orders SET id = 7 WHERE id = 1;
         DELETE FROM shop.customers WHERE id = 2",
    );
    daemon.kill9();
    let mut daemon = home.start_live();
    for round in 0..4 {
        for n in 0..20 {
            let id = 100 + n % 7;
            shop.exec(&format!(
                "REPLACE INTO shop.customers VALUES ({id}, 'c{round}-{n}', 'c', NULL); DELETE FROM shop.customers WHERE id = {}",
                100 + (n + 3) % 7
            ));
            if n == 10 && round % 2 == 0 {
                daemon.kill9();
                daemon = home.start_live();
            }
            if n == 10 && round == 1 {
                warehouse.kill9();
                warehouse.restart();
            }
        }
    }
    let same = || {
        let orders = "id, customer_id, total, paid, ordered_at, note";
        rows(&shop, "shop", "customers", customers) == rows(&warehouse, "warehouse", "customers", customers)
            && rows(&shop, "shop", "orders", orders) == rows(&warehouse, "warehouse", "orders", orders)
    };
    until("both are the same", same);
    let listed = rows(&warehouse, "warehouse", "mailing_list", "customer, address, last_change");
    assert_eq!(listed[0], ["1", "Ada L. <ada@example.com>", "update"]);
    assert_eq!(listed[1], ["2", "Bob <bob@example.com>", "delete"]);
    daemon.stop().well();
    home.run_until_idle("0.5").well();
    let counts = home.counts();
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
    assert!(same(), "and stay so");
}

#[test]
fn every_column_type_arrives_as_it_was() {
    if !require() {
        return;
    }
    let (from, to) = (MariaDb::start(), MariaDb::start());
    let columns = "id BIGINT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT, i INT, b BIGINT, bu BIGINT UNSIGNED, f FLOAT, d DOUBLE,
        n DECIMAL(65,30), n2 DECIMAL(10,0), bit1 BIT(1), bit64 BIT(64), y YEAR, da DATE, dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP(6) NULL, ti TIME, ti6 TIME(6),
        c CHAR(10), v VARCHAR(100), latin VARCHAR(50) CHARACTER SET latin1, bin BINARY(4), vb VARBINARY(20), tx TEXT, bl LONGBLOB, e ENUM('a','b c'), st SET('x','y','z'),
        j JSON, u UUID, ip INET6, flag BOOLEAN, doubled BIGINT AS (i * 2) STORED";
    for (server, database) in [(&from, "a"), (&to, "b")] {
        server.exec(&format!("CREATE DATABASE {database}; CREATE TABLE {database}.kinds ({columns})"));
    }
    let home = Home::new(&format!(
        r#"
        [[source]]
        name = "a"
        kind = "mysql"
        url = "{}"
        tables = ["a.kinds"]
        [[classify]]
        database = "a"
        table = "kinds"
        insert = "kind"
        update = "kind"
        delete = "kind"
        [[reactions]]
        event = "kind"
        actions = [{{ type = "sql-sync", url = "{}" }}]
        "#,
        from.url(),
        to.url_of("b")
    ));
    let daemon = home.start_live();
    from.exec(
        "INSERT INTO a.kinds (id) VALUES (0), (-9223372036854775808);
         INSERT INTO a.kinds (id, t, tu, s, m, i, b, bu, f, d, n, n2, bit1, bit64, y, da, dt, dt6, ts, ti, ti6, c, v, latin, bin, vb, tx, bl, e, st, j, u, ip, flag) VALUES
         (1, -128, 255, -32768, -8388608, -2147483648, -9223372036854775808, 18446744073709551615, 0.1, 1e-308,
          -12345678901234567890123456789012345.123456789012345678901234567891, -9999999999, 1, b'1010', 2155, '1000-01-01', '9999-12-31 23:59:59',
          '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.999999', '-838:59:59', '838:59:59.000001', 'ä', '', 'naïve', x'00ff', x'00ff80', REPEAT('ü', 1000),
          x'deadbeef00', 'b c', 'x,z', '{\"a\": [1, null, \"x\"]}', '123e4567-e89b-12d3-a456-426614174000', '2001:db8::1', TRUE),
         (2, 0, 0, 0, 0, 0, 0, 0, 16777216, 1.7976931348623157e308, 0, 0, 0, b'0', 1901, '9999-12-31', '1000-01-01 00:00:00', '1970-01-01 00:00:00', '1970-01-02 00:00:00', '00:00:00',
          '-00:00:00.5', '', 'trailing  ', '', '', '', '', '', 'a', '', '\"text\"', '00000000-0000-0000-0000-000000000000', '::', FALSE),
         (3, 1, 1, 1, 1, 1, 1, 9007199254740993, 3.4e38, -0.0, 0.000000000000000000000000000001, 1, NULL, b'1111111111111111111111111111111111111111111111111111111111111111', 2024,
          '2024-02-29', NULL, NULL, NULL, NULL, '12:34:56.789', 'x', '\\\\''\"`%_\\0', '€', 'abcd', '', NULL, NULL, NULL, 'x,y,z', '[]', NULL, '::ffff:1.2.3.4', NULL);
         UPDATE a.kinds SET v = 'changed', bl = x'ff' WHERE id = 0;
         DELETE FROM a.kinds WHERE id < 0",
    );
    // A document is kept as what it says, not as how it was spelled.
    let all = |server: &MariaDb, database: &str| {
        let texts = "HEX(bin), HEX(vb), HEX(bl), bit1 + 0, bit64 + 0, HEX(v), HEX(latin), d + 0e0, JSON_COMPACT(j), e, st, u, ip, flag, doubled, c, tx";
        let numbers = "id, t, tu, s, m, i, b, bu, f, n, n2, y, da, dt, dt6, ts, ti, ti6";
        server.query(&format!("SELECT {numbers}, {texts} FROM {database}.kinds ORDER BY id"))
    };
    until("four rows", || {
        assert!(!daemon.said().contains("delivery failed"), "{}", daemon.said());
        to.query("SELECT COUNT(*), SUM(v = 'changed') FROM b.kinds") == [["4", "1"]]
    });
    daemon.stop().well();
    let (expected, found) = (all(&from, "a"), all(&to, "b"));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected.len(), found.len());
}

/// One of two ways between two databases: what happens to the people of one is done to those of the other.
fn way(name: &str, from: &Server, to: &str, settings: &str) -> String {
    format!(
        r#"
        [[source]]
        name = "{name}"
        kind = "mysql"
        url = "{}"
        tables = ["{name}.*"]
        [[classify]]
        database = "{name}"
        table = "people"
        insert = "{name}"
        update = "{name}"
        delete = "{name}"
        [[reactions]]
        event = "{name}"
        actions = [{{ type = "sql-sync", url = "{to}", backoff = "50ms..200ms", {settings} }}]
        "#,
        from.url()
    )
}

#[test]
fn src_25_two_databases_that_follow_each_other_come_to_rest() {
    if !require() {
        return;
    }
    let (east, west) = (MariaDb::start(), MariaDb::start());
    for (server, database) in [(&east, "east"), (&west, "west")] {
        let columns = "id INT PRIMARY KEY, name VARCHAR(50), hits INT NOT NULL DEFAULT 0";
        server.exec(&format!("CREATE DATABASE {database}; CREATE TABLE {database}.people ({columns})"));
    }
    // Where both change one row at once the east wins.
    let config = way("east", &east, &west.url_of("west"), "conflict = \"overwrite\"")
        + &way("west", &west, &east.url_of("east"), "conflict = \"keep\"");
    let home = Home::new(&config);
    let daemon = home.start();
    until("both are live", || daemon.said().matches(": live").count() == 2);
    let both = |columns: &str| (rows(&east, "east", "people", columns), rows(&west, "west", "people", columns));
    for n in 0..30 {
        east.exec(&format!("INSERT INTO east.people (id, name) VALUES ({n}, 'e{n}')"));
        west.exec(&format!("INSERT INTO west.people (id, name) VALUES ({}, 'w{n}')", 100 + n));
    }
    until("all rows are on both sides", || {
        let (east, west) = both("id, name, hits");
        east.len() == 60 && east == west
    });
    // Each side changes rows that the other has made, again and again.
    for round in 0..10 {
        for id in 0..5 {
            east.exec(&format!("UPDATE east.people SET hits = hits + 1 WHERE id = {}", 100 + id));
            west.exec(&format!("UPDATE west.people SET hits = hits + 1 WHERE id = {id}"));
        }
        if round == 5 {
            east.exec("DELETE FROM east.people WHERE id BETWEEN 10 AND 19");
            west.exec("DELETE FROM west.people WHERE id BETWEEN 110 AND 119");
        }
    }
    let hits = |rows: &[Vec<String>]| rows.iter().map(|row| row[1].parse::<u32>().unwrap()).sum::<u32>();
    until("both are the same", || {
        let (east, west) = both("id, hits");
        east == west && east.len() == 40 && hits(&east) == 100
    });
    // What has come back is not written on: no transaction follows from another for ever.
    daemon.stop().well();
    home.run_until_idle("0.5").well();
    let counts = home.counts();
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
    // 60 inserts, 100 updates and 20 deletes, and each of them once more when it came back.
    assert_eq!(counts.fired, 2 * 180, "{counts:?}");

    // Both change the same rows at the same time, and nobody looks: each side is told of the other's when it is too late.
    for n in 0..5 {
        east.exec(&format!("UPDATE east.people SET name = 'east' WHERE id = {n}; DELETE FROM east.people WHERE id = {}", 20 + n));
        west.exec(&format!(
            "UPDATE west.people SET name = 'west' WHERE id IN ({n}, {}); DELETE FROM west.people WHERE id = {}",
            20 + n,
            25 + n
        ));
        east.exec(&format!("UPDATE east.people SET name = 'kept' WHERE id = {}", 25 + n));
    }
    let stands = || (east.gtid(), west.gtid());
    until("nothing moves any more", || {
        let before = stands();
        home.run_until_idle("0.5").well();
        stands() == before
    });
    let (in_the_east, in_the_west) = both("id, name, hits");
    assert_eq!(in_the_east, in_the_west);
    let names: Vec<&str> = in_the_east.iter().filter(|row| row[0].len() < 3).map(|row| row[1].as_str()).collect();
    assert_eq!(names[..10], ["east", "east", "east", "east", "east", "e5", "e6", "e7", "e8", "e9"]);
    assert_eq!(names[10..], ["kept"; 5], "what the east has deleted is gone, what it has changed is there");
}

#[test]
fn src_25_eng_07_two_rules_that_insert_into_each_others_table_end_as_a_dead_letter() {
    if require() {
        a_ring_of_inserts_ends("n INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(50)", "text = \"{new.text}\"");
    }
}

#[test]
fn src_25_where_the_effect_id_is_the_key_they_end_too() {
    if require() {
        a_ring_of_inserts_ends(
            "id VARCHAR(26) DEFAULT 'by hand' PRIMARY KEY, text VARCHAR(50)",
            "id = \"{id}\", text = \"{new.text}\"",
        );
    }
}

fn a_ring_of_inserts_ends(columns: &str, written: &str) {
    let server = MariaDb::start();
    for table in ["a", "b"] {
        server.exec(&format!("CREATE DATABASE IF NOT EXISTS ring; CREATE TABLE ring.{table} ({columns})"));
    }
    let rule = |from: &str, to: &str| {
        format!(
            r#"
            [[classify]]
            database = "ring"
            table = "{from}"
            insert = "{from}.new"
            [[reactions]]
            event = "{from}.new"
            actions = [{{ type = "sql-insert", database = "ring", table = "{to}", columns = {{ {written} }}, backoff = "10ms..20ms" }}]
            "#
        )
    };
    let source = format!("[[source]]\nname = \"ring\"\nkind = \"mysql\"\nurl = \"{}\"\ntables = [\"ring.*\"]\n", server.url());
    let home = Home::new(&format!("{source}{}{}", rule("a", "b"), rule("b", "a")));
    let daemon = home.start_live();
    server.exec("INSERT INTO ring.a (text) VALUES ('hot potato')");
    daemon.until_said("dead letter: E0526: 17 effects follow from each other, so this is a loop and ends here; at most 16 may");
    // A change by hand begins a chain of its own.
    server.exec("INSERT INTO ring.b (text) VALUES ('another')");
    until("two chains have ended", || daemon.said().matches("dead letter: E0526").count() == 2);
    daemon.stop().well();
    let rows = server
        .query("SELECT text, COUNT(*) FROM (SELECT text FROM ring.a UNION ALL SELECT text FROM ring.b) t GROUP BY 1 ORDER BY 1");
    assert_eq!(rows, [["another", "17"], ["hot potato", "17"]]);
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.dead), (34, 32, 2), "{counts:?}");
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Both sides change the same few rows at random, with crashes of the daemon in between: inserts, updates, deletes, rows that come back,
/// keys that change, all in transactions of one to three statements. Then both must come to rest, and be the same.
fn converges(east: &Server, west: &Server, seed: u64) {
    for (server, database) in [(east, "east"), (west, "west")] {
        let columns = "id INT PRIMARY KEY, name VARCHAR(50), hits INT NOT NULL DEFAULT 0";
        server.exec(&format!("CREATE DATABASE {database}; CREATE TABLE {database}.people ({columns})"));
    }
    let config = way("east", east, &west.url_of("west"), "conflict = \"overwrite\"")
        + &way("west", west, &east.url_of("east"), "conflict = \"keep\"");
    let home = Home::new(&config);
    let live = |daemon: &Daemon| until("both are live", || daemon.said().matches(": live").count() == 2);
    let mut daemon = home.start();
    live(&daemon);
    let mut dice = Dice(seed);
    let statement = |database: &str, dice: &mut Dice| {
        let (id, other, n) = (dice.below(8), dice.below(8), dice.below(1000));
        let people = format!("{database}.people");
        match dice.below(6) {
            0 => format!("INSERT IGNORE INTO {people} VALUES ({id}, '{database} {n}', {n})"),
            1 => format!("UPDATE {people} SET hits = hits + 1, name = '{database} {n}' WHERE id = {id}"),
            2 => format!("DELETE FROM {people} WHERE id = {id}"),
            3 => {
                format!("DELETE FROM {people} WHERE id = {id}; INSERT INTO {people} VALUES ({id}, 'back in the {database}', {n})")
            }
            4 => format!("UPDATE IGNORE {people} SET id = {other} WHERE id = {id}"),
            _ => format!("REPLACE INTO {people} VALUES ({id}, '{database} {n}', {n})"),
        }
    };
    for round in 0..60 {
        for (server, database) in [(east, "east"), (west, "west")] {
            let statements: Vec<String> = (0..=dice.below(3)).map(|_| statement(database, &mut dice)).collect();
            // A transaction of a sink may be in the way; then this one did not happen.
            server.try_query(&format!("BEGIN; {}; COMMIT", statements.join("; "))).ok();
        }
        if round == 30 {
            daemon.kill9();
            daemon = home.start();
            live(&daemon);
        }
    }
    daemon.stop().well();
    let stands = || (east.gtid(), west.gtid());
    until("nothing moves any more", || {
        let before = stands();
        home.run_until_idle("0.5").well();
        stands() == before
    });
    let rows =
        |server: &Server, database: &str| server.query(&format!("SELECT id, name, hits FROM {database}.people ORDER BY id"));
    assert_eq!(rows(east, "east"), rows(west, "west"), "seed {seed}");
    let counts = home.counts();
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
}

#[test]
fn src_25_random_changes_on_both_sides_end_alike_and_nothing_goes_back_and_forth() {
    if !require() {
        return;
    }
    converges(&MariaDb::start(), &MariaDb::start(), 1);
}

#[test]
fn src_25_random_changes_on_mariadb_and_mysql9_end_alike() {
    if !require_mysql() {
        return;
    }
    converges(&MariaDb::start(), &MySql::start(), 3);
}
