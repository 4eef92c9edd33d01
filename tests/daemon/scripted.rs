//! One scripted history, with every type, changes of layout and accidents, on every kind of server: at each mark `tail | apply` has the
//! values that SQL computes.
//!
//! The script is SQL, and all servers get it. For Dolt's stand-in, which knows no SQL, a MariaDB runs it and the stand-in is given the
//! difference after each step (`scripted/shadow.rs`): what Dolt logs is such a difference.

mod play;
mod shadow;

use thalweg_testkit::{MariaDb, MySql, require, require_mariadb11, require_mysql};

use play::{Accident, Play, Print, Step};
use shadow::Shadow;

/// A derived field: its document and name, its formula, and what SQL says of it.
type Field = (&'static str, &'static str, &'static str, Print);

/// What is kept of customers, orders and the whole.
const FIELDS: &[Field] = &[
    (
        "Customer.spent",
        "sum(orders[*].total)",
        "(SELECT COALESCE(SUM(i.price * i.qty), 0) FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = t.id)",
        Print::Number,
    ),
    ("Customer.count", "count(orders[*].id)", "(SELECT COUNT(*) FROM orders o WHERE o.customer_id = t.id)", Print::Number),
    (
        "Customer.pieces",
        "sum(orders[*].items[*].qty)",
        "(SELECT COALESCE(SUM(i.qty), 0) FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = t.id)",
        Print::Number,
    ),
    ("Customer.sign", "upper(name) + '/' + string(size(name))", "CONCAT(UPPER(name), '/', CHAR_LENGTH(name))", Print::Text),
    (
        "Order.total",
        "sum(items[*].price * items[*].qty)",
        "(SELECT COALESCE(SUM(i.price * i.qty), 0) FROM items i WHERE i.order_id = t.id)",
        Print::Number,
    ),
    ("Order.lines", "count(items[*].id)", "(SELECT COUNT(*) FROM items i WHERE i.order_id = t.id)", Print::Number),
    (
        "Order.mean",
        "avg(items[*].qty)",
        "(SELECT SUM(i.qty) * 1e0 / COUNT(i.qty) FROM items i WHERE i.order_id = t.id)",
        Print::Double,
    ),
    ("Order.middle", "avg(items[*].price)", "(SELECT AVG(i.price) FROM items i WHERE i.order_id = t.id)", Print::Number),
    ("Order.lowest", "min(items[*].price)", "(SELECT MIN(i.price) FROM items i WHERE i.order_id = t.id)", Print::Number),
    ("Order.highest", "max(items[*].qty)", "(SELECT MAX(i.qty) FROM items i WHERE i.order_id = t.id)", Print::Number),
    ("Order.who", "customer.name", "(SELECT c.name FROM customers c WHERE c.id = t.customer_id)", Print::Text),
    (
        "Order.share",
        "customer.spent > 0 ? total * 100 / customer.spent > 50 : false",
        "(SELECT IF(COALESCE(SUM(i.price * i.qty), 0) > 0, COALESCE(SUM(IF(o.id = t.id, i.price * i.qty, 0)), 0) * 100 / SUM(i.price * i.qty) > 50, 0) FROM customers c JOIN orders o ON o.customer_id = c.id LEFT JOIN items i ON i.order_id = o.id WHERE c.id = t.customer_id)",
        Print::Bool,
    ),
    (
        "Order.tier",
        "total > 100 ? 'gold' : 'std'",
        "(SELECT IF(COALESCE(SUM(i.price * i.qty), 0) > 100, 'gold', 'std') FROM items i WHERE i.order_id = t.id)",
        Print::Text,
    ),
];

/// A column of a type: its declaration, two values, its formula (`@` is the column), what SQL says (`@` too), and how that reads.
type Column = (&'static str, [&'static str; 2], &'static str, &'static str, Print);

/// Types that all of them have, the stand-in among them.
const EVERYWHERE: &[Column] = &[
    ("SMALLINT", ["-32768", "32767"], "@", "@", Print::Text),
    ("INT", ["-2147483648", "-1"], "@ + 1", "@ + 1", Print::Text),
    ("INT UNSIGNED", ["4294967295", "0"], "@", "@", Print::Text),
    ("BIGINT", ["-9223372036854775808", "9007199254740993"], "@", "@", Print::Text),
    ("DOUBLE", ["-1.7976931348623157e308", "0.1"], "@", "@ + 0e0", Print::Double),
    ("DECIMAL(10,2)", ["-99999999.99", "0.01"], "@ * 3", "@ * 3", Print::Number),
    ("DECIMAL(38,9)", ["12345678901234567890123456789.123456789", "-0.000000001"], "@", "@", Print::Number),
    ("DATE", ["'2024-02-29'", "'1969-12-31'"], "@", "CONCAT(@, 'T00:00:00')", Print::Time),
    ("DATETIME(6)", ["'2024-02-29 23:59:59.999999'", "'1000-01-01 00:00:00'"], "@", "REPLACE(@, ' ', 'T')", Print::Time),
    (
        "TIME(6)",
        ["'838:59:59.000001'", "'-00:00:01'"],
        "@",
        "CONCAT(TRUNCATE(TIME_TO_SEC(@), 0), '.', LPAD(MICROSECOND(@), 6, '0'))",
        Print::Time,
    ),
    ("VARCHAR(20)", ["'grün 😀'", "''"], "upper(@)", "UPPER(@)", Print::Text),
    ("VARBINARY(20)", ["x'00ff27'", "''"], "@", "TO_BASE64(@)", Print::Text),
    ("ENUM('small','größe')", ["'größe'", "'small'"], "@ + '!'", "CONCAT(@, '!')", Print::Text),
    (
        "JSON",
        ["'{\"a\": 1, \"b\": -7}'", "'{\"a\": 0, \"b\": 5}'"],
        "@.a * 2 + @.b",
        "JSON_EXTRACT(@, '$.a') * 2 + JSON_EXTRACT(@, '$.b')",
        Print::Number,
    ),
];

/// Types that both MariaDB and MySQL have.
const SERVERS: &[Column] = &[
    ("TINYINT", ["-128", "127"], "@", "@", Print::Text),
    ("TINYINT(1)", ["1", "0"], "@ == 1", "COALESCE(@ = 1, 0)", Print::Bool),
    ("MEDIUMINT", ["-8388608", "-1"], "@", "@", Print::Text),
    ("MEDIUMINT UNSIGNED", ["16777215", "0"], "@", "@", Print::Text),
    ("BIGINT UNSIGNED", ["18446744073709551615", "0"], "@", "@", Print::Text),
    ("YEAR", ["1901", "0000"], "@", "@ + 0", Print::Text),
    ("FLOAT", ["-1.5", "0.25"], "@", "@ + 0e0", Print::Double),
    ("DECIMAL(65,30)", ["-12345678901234567890.5", "0"], "@", "@", Print::Number),
    ("BIT(10)", ["b'1000000001'", "b'0'"], "@", "@ + 0", Print::Text),
    ("DATETIME", ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'"], "@", "REPLACE(@, ' ', 'T')", Print::Time),
    ("TIMESTAMP(3) NULL", ["'2024-02-29 12:34:56.789'", "'1970-01-01 00:00:01'"], "@", "REPLACE(@, ' ', 'T')", Print::Time),
    ("TIME", ["'-838:59:59'", "'00:00:00'"], "@", "TIME_TO_SEC(@)", Print::Time),
    ("CHAR(10) CHARACTER SET latin1", ["'grün €'", "'a'"], "lower(@)", "LOWER(@)", Print::Text),
    ("VARCHAR(10) CHARACTER SET utf16", ["'😀€'", "''"], "@", "@", Print::Text),
    ("TINYTEXT", ["'tiny'", "''"], "size(@)", "CHAR_LENGTH(@)", Print::Text),
    ("MEDIUMTEXT", ["REPEAT('ä', 70000)", "'x'"], "size(@)", "CHAR_LENGTH(@)", Print::Text),
    ("BINARY(4)", ["x'00ff0000'", "'ab'"], "@", "TO_BASE64(@)", Print::Text),
    ("BLOB", ["x'00ff'", "''"], "@", "TO_BASE64(@)", Print::Text),
    ("SET('a','zß','c')", ["'a,zß'", "''"], "@", "@", Print::Text),
    ("POINT", ["POINT(1, 2)", "POINT(0, -1)"], "@", "REPLACE(TO_BASE64(@), '\\n', '')", Print::Text),
];

const MARIADB: &[Column] = &[
    ("UUID", ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"], "@", "@", Print::Text),
    ("INET4", ["'10.0.0.0'", "'255.255.255.255'"], "@", "@", Print::Text),
    ("INET6", ["'::1'", "'2001:db8::ff00:42:8329'"], "@", "@", Print::Text),
];

const MARIADB11: &[Column] = &[("VECTOR(3)", ["VEC_FromText('[1,2.5,-3]')", "NULL"], "@", "TO_BASE64(@)", Print::Text)];

const MYSQL: &[Column] = &[("VECTOR(3)", ["STRING_TO_VECTOR('[1,2.5,-3]')", "NULL"], "@", "TO_BASE64(@)", Print::Text)];

const TABLES: &str = "CREATE DATABASE shop; USE shop;
CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL);
CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, note VARCHAR(30));
CREATE TABLE items (id INT PRIMARY KEY, order_id INT, qty INT, price DECIMAL(10,2), mood ENUM('low','high'));
CREATE TABLE marks (id INT PRIMARY KEY, n INT)";

/// What happens. A server's own connection ends with each step, so one that is a transaction is one step.
const SCRIPT: &[Step] = {
    use Accident::*;
    use Step::*;
    &[
        Sql(
            "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Čapek'); INSERT INTO orders VALUES (1, 1, 'first'), (2, 1, NULL), (3, 2, ''), (4, 9, 'orphan')",
        ),
        Sql(
            "INSERT INTO items VALUES (1, 1, 2, 10.50, 'low'), (2, 1, 1, 0.01, NULL), (3, 2, 7, 99999999.99, 'high'), (4, 3, NULL, 5.00, 'low'), (5, 99, 1, 1.00, 'low')",
        ),
        Mark,
        // Undone, done in part, and done to one row several times.
        Sql("BEGIN; UPDATE items SET qty = 1000; ROLLBACK"),
        Sql(
            "BEGIN; UPDATE items SET qty = 3 WHERE id = 1; SAVEPOINT s; DELETE FROM items; ROLLBACK TO s; UPDATE items SET qty = qty + 1 WHERE id = 1; INSERT INTO items VALUES (6, 1, 5, 2.25, 'high'); DELETE FROM items WHERE id = 2; COMMIT",
        ),
        Have(Cut),
        Sql("UPDATE items SET id = 30, order_id = 1 WHERE id = 3; UPDATE orders SET customer_id = 2 WHERE id = 2"),
        Sql(
            "BEGIN; DELETE FROM orders WHERE id = 3; INSERT INTO orders VALUES (3, 1, 'anew'); COMMIT; INSERT INTO customers VALUES (9, 'late')",
        ),
        Mark,
        // Layouts change, and the server dies between the change and the next row.
        Sql("ALTER TABLE items ADD COLUMN extra VARCHAR(10) FIRST"),
        Have(Crash),
        Sql("INSERT INTO items VALUES ('new', 7, 1, 5, 1.25, 'low'), (NULL, 8, 2, 1, 3.00, NULL)"),
        Sql("ALTER TABLE items MODIFY qty BIGINT, MODIFY mood ENUM('low','high','odd')"),
        Sql("INSERT INTO items VALUES ('x', 9, 3, 9007199254740993, 2.00, 'odd')"),
        Have(KillTail),
        Sql("UPDATE items SET qty = 4, mood = 'odd' WHERE id = 8"),
        Sql("ALTER TABLE items DROP COLUMN extra; ALTER TABLE orders RENAME COLUMN note TO remark"),
        Sql("UPDATE orders SET remark = 'renamed', customer_id = 3 WHERE id = 1"),
        Mark,
        // All types, under a byte that flips on its way and logs that end.
        Types(0),
        Have(Damage),
        Types(1),
        Sql("UPDATE kinds SET id = id + 10; INSERT INTO kinds (id) VALUES (5)"),
        Have(Rotate),
        Mark,
        // Tables that come and go, and ways to write that are several.
        Sql("CREATE TABLE other LIKE orders; INSERT INTO other SELECT * FROM orders; DROP TABLE other"),
        Sql(
            "INSERT INTO items VALUES (7, 2, 6, 1.25, 'low') ON DUPLICATE KEY UPDATE qty = qty * 2; REPLACE INTO customers VALUES (1, 'Ada L.'); UPDATE items i JOIN orders o ON o.id = i.order_id SET i.qty = i.qty + 1, o.remark = 'both' WHERE o.customer_id = 3",
        ),
        Sql(
            "XA START 'a'; INSERT INTO items VALUES (40, 2, 8, 0.50, NULL); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a'; XA START 'b'; DELETE FROM items; XA END 'b'; XA ROLLBACK 'b'",
        ),
        Have(KillTail),
        Sql("DELETE FROM customers WHERE id = 2; DELETE FROM kinds WHERE id = 11; DELETE FROM items WHERE order_id = 99"),
        Mark,
        // One that is cut in its middle, and one behind which everything breaks at once.
        Have(CutWithin(20_000)),
        Sql(
            "BEGIN; INSERT INTO items SELECT a.id * 10000 + b.id * 100 + c.id, 1 + (a.id + b.id) % 4, c.id, a.id * 0.25, 'low' FROM items a CROSS JOIN items b CROSS JOIN items c; INSERT INTO items SELECT id + 1000000, order_id, qty, price, mood FROM items WHERE id >= 1000; COMMIT",
        ),
        Sql("DELETE FROM items WHERE id >= 1000000 AND id % 3 = 0; UPDATE items SET price = price * 2 WHERE id % 7 = 0"),
        Have(Crash),
        Have(Cut),
        Have(KillTail),
        Sql("UPDATE customers SET name = UPPER(name); UPDATE kinds SET id = 15 WHERE id = 10"),
        Mark,
    ]
};

#[test]
fn a_tail_of_mariadb_through_a_scripted_history_applied_equals_sql() {
    if require() {
        let types = [EVERYWHERE, SERVERS, MARIADB].concat();
        Play::new(MariaDb::start(), &types).run();
    }
}

#[test]
fn a_tail_of_mariadb11_through_a_scripted_history_applied_equals_sql() {
    if require_mariadb11() {
        let types = [EVERYWHERE, SERVERS, MARIADB, MARIADB11].concat();
        Play::new(MariaDb::start_11(&[]), &types).run();
    }
}

#[test]
fn a_tail_of_mysql9_through_a_scripted_history_applied_equals_sql() {
    if require_mysql() {
        let types = [EVERYWHERE, SERVERS, MYSQL].concat();
        Play::new(MySql::start(), &types).run();
    }
}

#[test]
fn a_tail_of_dolts_stand_in_through_a_scripted_history_applied_equals_sql() {
    if require() {
        Play::new(Shadow::of(MariaDb::start()), EVERYWHERE).run();
    }
}
