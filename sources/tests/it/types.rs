//! Every column type at its edges: what the snapshot reads, what the log gives and what SQL prints are the same value.

use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::{Change, Row};
use thalweg_testkit::{MySql, Server, require, require_mysql};

use crate::harness::{changes, config, shared, show, start};

/// How SQL's own text is compared with a value.
#[derive(Clone, Copy)]
pub enum Print {
    /// As it is: numbers, decimals, text.
    Plain,
    /// By value, since SQL shows a FLOAT with six digits.
    Float,
    /// By value.
    Double,
    /// `HEX(column)`.
    Hex,
    /// A date, or a date and time with so many digits.
    Date,
    Datetime(usize),
    Time(usize),
    /// The value is what this module's table of JSON says.
    Json,
}

/// A column: its declaration, how SQL prints it, and the values to try.
pub type Column = (&'static str, Print, &'static [&'static str]);

/// What both servers have.
const COMMON: &[Column] = &[
    ("TINYINT", Print::Plain, &["-128", "-1", "0", "127"]),
    ("TINYINT UNSIGNED", Print::Plain, &["0", "128", "255"]),
    ("BOOLEAN", Print::Plain, &["true", "false"]),
    ("SMALLINT", Print::Plain, &["-32768", "-1", "32767"]),
    ("SMALLINT UNSIGNED", Print::Plain, &["0", "65535"]),
    ("MEDIUMINT", Print::Plain, &["-8388608", "-1", "8388607"]),
    ("MEDIUMINT UNSIGNED", Print::Plain, &["0", "16777215"]),
    ("INT", Print::Plain, &["-2147483648", "-1", "2147483647"]),
    ("YEAR", Print::Plain, &["0000", "1901", "2155", "2024"]),
    ("INT UNSIGNED", Print::Plain, &["0", "4294967295"]),
    ("INT(5) ZEROFILL", Print::Plain, &["0", "4294967295"]),
    ("BIGINT", Print::Plain, &["-9223372036854775808", "-1", "9223372036854775807"]),
    ("BIGINT UNSIGNED", Print::Plain, &["0", "9223372036854775808", "18446744073709551615"]),
    ("FLOAT", Print::Float, &["0", "0.1", "-1.5", "3.14159274", "16777217", "3.4028234e38", "1.17549435e-38", "1e-45"]),
    ("FLOAT UNSIGNED", Print::Float, &["0.3"]),
    ("DOUBLE", Print::Double, &["0", "0.1", "-1e-300", "1.7976931348623157e308", "5e-324", "123456789012345680"]),
    ("DECIMAL(5,2)", Print::Plain, &["0", "0.01", "-0.01", "999.99", "-999.99"]),
    ("DECIMAL(18,0)", Print::Plain, &["999999999999999999", "-999999999999999999", "0"]),
    ("DECIMAL(20,6) UNSIGNED", Print::Plain, &["0", "99999999999999.999999"]),
    ("DECIMAL(30,30)", Print::Plain, &["0.000000000000000000000000000001", "-0.999999999999999999999999999999"]),
    (
        "DECIMAL(65,30)",
        Print::Plain,
        &["99999999999999999999999999999999999.999999999999999999999999999999", "-1", "0", "-12345678901234567890.5"],
    ),
    ("DECIMAL(65,0)", Print::Plain, &["-99999999999999999999999999999999999999999999999999999999999999999"]),
    ("BIT(1)", Print::Plain, &["b'0'", "b'1'"]),
    ("BIT(10)", Print::Plain, &["b'1000000001'", "0"]),
    ("BIT(64)", Print::Plain, &["x'ffffffffffffffff'", "1"]),
    (
        "DATE",
        Print::Date,
        &["'2024-02-29'", "'0001-01-01'", "'9999-12-31'", "'1969-12-31'", "'0000-00-00'", "'2024-00-15'", "'2024-02-31'"],
    ),
    (
        "DATETIME",
        Print::Datetime(0),
        &["'2024-02-29 23:59:59'", "'0001-01-01 00:00:00'", "'0000-00-00 00:00:00'", "'1969-12-31 23:59:59'"],
    ),
    ("DATETIME(1)", Print::Datetime(1), &["'2024-02-29 12:34:56.7'", "'0000-00-00 00:00:00'"]),
    ("DATETIME(3)", Print::Datetime(3), &["'2024-02-29 12:34:56.789'", "'2024-02-31 12:34:56.789'"]),
    ("DATETIME(6)", Print::Datetime(6), &["'9999-12-31 23:59:59.999999'", "'2024-00-00 00:00:00.000001'"]),
    ("TIMESTAMP NULL", Print::Datetime(0), &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"]),
    ("TIMESTAMP(4) NULL", Print::Datetime(4), &["'2024-02-29 12:34:56.7891'", "'0000-00-00 00:00:00'"]),
    ("TIMESTAMP(6) NULL", Print::Datetime(6), &["'2024-02-29 12:34:56.789012'"]),
    ("TIME", Print::Time(0), &["'00:00:00'", "'838:59:59'", "'-838:59:59'", "'-00:00:01'"]),
    ("TIME(1)", Print::Time(1), &["'-00:00:00.5'", "'23:59:59.9'"]),
    ("TIME(2)", Print::Time(2), &["'-838:59:59.99'", "'00:00:00.01'"]),
    ("TIME(4)", Print::Time(4), &["'-00:00:00.0001'", "'100:00:00.9999'"]),
    ("TIME(6)", Print::Time(6), &["'-838:59:59.999999'", "'00:00:00.000001'", "'-00:00:00.000001'"]),
    ("CHAR(5)", Print::Plain, &["'grün'", "''", "'a'"]),
    ("CHAR(255)", Print::Plain, &["REPEAT('ß', 255)", "'x'"]),
    ("VARCHAR(20)", Print::Plain, &["'😀 grün'", "''"]),
    ("VARCHAR(1000)", Print::Plain, &["REPEAT('x', 1000)", "'y'"]),
    ("CHAR(10) CHARACTER SET latin1", Print::Plain, &["'grün €'", "'a'"]),
    ("VARCHAR(10) CHARACTER SET ascii", Print::Plain, &["'plain'"]),
    ("VARCHAR(10) CHARACTER SET utf8mb3", Print::Plain, &["'grün €'"]),
    ("CHAR(10) CHARACTER SET ucs2", Print::Plain, &["'grün €'"]),
    ("VARCHAR(10) CHARACTER SET utf16", Print::Plain, &["'😀€'"]),
    ("VARCHAR(10) CHARACTER SET utf16le", Print::Plain, &["'😀€'"]),
    ("VARCHAR(10) CHARACTER SET utf32", Print::Plain, &["'😀€'"]),
    ("TINYTEXT", Print::Plain, &["'tiny'"]),
    ("TEXT", Print::Plain, &["REPEAT('ä', 1000)"]),
    ("MEDIUMTEXT CHARACTER SET latin1", Print::Plain, &["REPEAT('ä', 70000)"]),
    ("LONGTEXT", Print::Plain, &["'long'"]),
    ("BINARY(4)", Print::Hex, &["'ab'", "x'00ff0000'", "''"]),
    ("BINARY(16)", Print::Hex, &["x'00112233445566778899aabbccddee00'"]),
    ("VARBINARY(300)", Print::Hex, &["x'00ff00'", "''", "REPEAT(x'ff', 300)"]),
    ("TINYBLOB", Print::Hex, &["x'00'"]),
    ("BLOB", Print::Hex, &["REPEAT(x'01', 60000)"]),
    ("MEDIUMBLOB", Print::Hex, &["REPEAT(x'02', 70000)"]),
    ("LONGBLOB", Print::Hex, &["''"]),
    ("VARCHAR(10) CHARACTER SET gbk", Print::Hex, &["'中文'"]),
    ("ENUM('small','größe','x')", Print::Plain, &["'small'", "'größe'", "3"]),
    ("ENUM('ä','b') CHARACTER SET ucs2", Print::Plain, &["'ä'"]),
    ("SET('a','zß','c','d','e','f','g','h','i')", Print::Plain, &["''", "'a,zß'", "'i'"]),
    ("POINT", Print::Hex, &["POINT(1, 2)"]),
    ("GEOMETRY", Print::Hex, &["ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326)"]),
    ("INT UNSIGNED", Print::Plain, &["4294967295"]),
];

/// What only MariaDB has.
pub const MARIADB: &[Column] = &[
    ("VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_swedish_nopad_ci", Print::Plain, &["'é'"]),
    ("VARCHAR(10) COLLATE utf8mb4_uca1400_german2_ai_ci", Print::Plain, &["'grün €'"]),
    (
        "UUID",
        Print::Plain,
        &[
            "'123e4567-e89b-12d3-a456-426655440000'",
            "'0192d5e8-8f6c-7abc-8def-0123456789ab'",
            "UUID()",
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'",
            "'12345678-1234-5234-7234-123456789012'",
            "'12345678-1234-8234-8234-123456789012'",
            "'12345678-1234-1234-2234-123456789012'",
            "'12345678-1234-b234-9234-123456789000'",
        ],
    ),
    ("INET4", Print::Plain, &["'10.0.0.0'", "'0.0.0.0'", "'255.255.255.255'"]),
    (
        "INET6",
        Print::Plain,
        &["'::'", "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'", "'1:0:2:3:4:5:6:7'", "'::1:0'", "'1:0:0:2::3'"],
    ),
    ("JSON", Print::Json, &["'{\"a\": [1, 1.10, null, true, 18446744073709551616], \"b\": \"é\"}'", "'null'", "'7'"]),
];

/// What only MySQL has.
const MYSQL: &[Column] = &[
    ("VARCHAR(10) COLLATE utf8mb4_0900_as_cs", Print::Plain, &["'grün €'"]),
    ("VARCHAR(10) COLLATE utf8mb4_ja_0900_as_cs_ks", Print::Plain, &["'日本'"]),
    (
        "JSON",
        Print::Json,
        &[
            "'{\"a\": [1, 1.5, null, true, false, -1, 18446744073709551615], \"b\": \"é\", \"c\": {}, \"d\": []}'",
            "'null'",
            "'7'",
            "'\"text\"'",
            "'[1.0, 1e100, -0.0, 12345678901234567890123]'",
            "CAST(1.10 AS JSON)",
            "JSON_ARRAY(CAST('2024-02-29 12:34:56.789' AS DATETIME(3)), CAST('2024-02-29' AS DATE), CAST('-12:34:56.5' AS TIME(1)))",
            "JSON_OBJECT('bin', x'00ff', 'bit', b'101', 'geo', ST_GeomFromText('POINT(1 2)'))",
            "JSON_OBJECT(REPEAT('k', 300), REPEAT('v', 70000), 'after', 1)",
            "'[32767, 32768, -32768, -32769, 2147483647, 2147483648, -2147483649, 9223372036854775808]'",
        ],
    ),
    ("VECTOR(3)", Print::Hex, &["STRING_TO_VECTOR('[1,2.5,-3]')"]),
    // Behind it: it counts among the columns with a character set.
    ("VARCHAR(10) CHARACTER SET latin1", Print::Plain, &["'größe'"]),
    ("VARCHAR(10) CHARACTER SET utf16", Print::Plain, &["'größe €'"]),
];

const MODE: &str =
    "USE types; SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'; ";

/// A server's columns, and what is made of them.
struct Table(Vec<Column>);

impl Table {
    fn of(own: &[Column]) -> Table {
        Table([COMMON, own].concat())
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|(_, _, values)| values.len()).max().unwrap() + 1
    }

    fn names(&self) -> String {
        (0..self.0.len()).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",")
    }

    fn create(&self) -> String {
        let declared: Vec<String> = self.0.iter().enumerate().map(|(i, (ty, ..))| format!("c{i} {ty}")).collect();
        format!(
            "CREATE DATABASE types; {MODE} CREATE TABLE t (id INT NOT NULL, {}, v INT AS (id + 1) VIRTUAL, s INT AS (id + 2) STORED, PRIMARY KEY (id))",
            declared.join(",")
        )
    }

    /// `INSERT` of every value, each row with the values of one place; columns with fewer values are NULL there.
    fn insert(&self) -> String {
        let row = |i: usize| {
            let cells: Vec<&str> = self.0.iter().map(|(_, _, values)| values.get(i).copied().unwrap_or("NULL")).collect();
            format!("({i}, {})", cells.join(","))
        };
        let rows: Vec<String> = (0..self.rows()).map(row).collect();
        format!("{MODE} INSERT INTO t (id, {}) VALUES {};", self.names(), rows.join(","))
    }

    /// The rows as SQL prints them.
    fn printed(&self, server: &Server) -> Vec<Vec<String>> {
        let print = |(i, (ty, print, _)): (usize, &Column)| match print {
            Print::Hex => format!("HEX(c{i})"),
            Print::Float | Print::Double => format!("c{i} + 0e0"),
            Print::Plain if ty.starts_with("BIT") => format!("CAST(c{i} AS UNSIGNED)"),
            Print::Plain if *ty == "YEAR" || ty.contains("ZEROFILL") => format!("c{i} + 0"),
            _ => format!("c{i}"),
        };
        let columns: Vec<String> = self.0.iter().enumerate().map(print).collect();
        server.query(&format!("{MODE} SELECT {}, v, s FROM t WHERE id < 100 ORDER BY id", columns.join(",")))
    }
}

fn agrees(print: Print, value: &Value, sql: &str) -> bool {
    let number = || sql.parse::<f64>().unwrap();
    match (print, value) {
        (Print::Json, _) => true,
        (_, Value::Null) => sql == "NULL",
        (Print::Float, Value::Double(x)) => *x as f32 == number() as f32,
        (Print::Double, Value::Double(x)) => *x == number(),
        (Print::Hex, Value::Bytes(bytes)) => bytes.iter().map(|b| format!("{b:02X}")).collect::<String>() == sql,
        (Print::Date, Value::Timestamp(t)) => datetime(*t, 0).strip_suffix(" 00:00:00") == Some(sql),
        (Print::Datetime(digits), Value::Timestamp(t)) => datetime(*t, digits) == sql,
        (Print::Time(digits), Value::Duration(d)) => time(d.0, digits) == sql,
        (Print::Date | Print::Datetime(_), Value::Text(text)) => &**text == sql,
        (Print::Plain, Value::Text(text)) => &**text == sql,
        (Print::Plain, Value::Int(x)) => x.to_string() == sql,
        (Print::Plain, Value::Uint(x)) => x.to_string() == sql,
        (Print::Plain, Value::Decimal(x)) => x.to_string() == sql,
        _ => false,
    }
}

fn datetime(t: Timestamp, digits: usize) -> String {
    let text = thalweg_formulas::time::Civil::at(t, 0);
    format!("{} {}", text.date(), clock(text.micros, digits))
}

fn time(micros: i64, digits: usize) -> String {
    format!("{}{}", if micros < 0 { "-" } else { "" }, clock(micros.abs(), digits))
}

fn clock(micros: i64, digits: usize) -> String {
    let (seconds, fraction) = (micros / 1_000_000, format!("{:06}", micros % 1_000_000));
    let text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if digits == 0 { text } else { format!("{text}.{}", &fraction[..digits]) }
}

/// Everything behind the id.
fn cells(row: &Row) -> Vec<Value> {
    row[1..].iter().map(|c| c.clone().expect("full images")).collect()
}

/// Fills a table on the server and compares snapshot, log and SQL; the JSON values as text.
pub fn compare(server: &Server, own: &[Column]) -> Vec<String> {
    let table = Table::of(own);
    server.exec(&table.create());
    server.exec(&table.insert());
    let mut source = start(config(&server.url_of("types"), &[]), None);
    let fill = source.transaction();
    source.until_live();
    let layout = source.schemas.clone();
    // The same values again, copied by the server, then moved and deleted.
    let names = table.names();
    server.exec(&format!("{MODE} INSERT INTO t (id, {names}) SELECT id + 100, {names} FROM t; UPDATE t SET id = id + 1000 WHERE id >= 100; DELETE FROM t WHERE id >= 1000;"));
    let (inserts, updates, deletes) = (source.transaction(), source.transaction(), source.transaction());
    assert_eq!(source.schemas.len(), 1);
    for (c, (logged, asked)) in source.schemas[0].columns.iter().zip(&layout[0].columns).enumerate() {
        let declared = c.checked_sub(1).and_then(|c| table.0.get(c)).map_or("", |(ty, ..)| ty);
        assert_eq!(logged, asked, "{declared}: the log and information_schema give the same layout");
        assert_eq!(logged.sql, asked.sql, "{declared}: the log and information_schema call it the same");
    }
    assert_eq!(source.schemas, layout);
    assert_eq!(*layout[0].key, [0]);

    let sql = table.printed(server);
    let filled: Vec<&Change> = changes(&fill).iter().collect();
    assert_eq!((filled.len(), sql.len()), (table.rows(), table.rows()));
    for (i, change) in filled.iter().enumerate() {
        let values = cells(change.after.as_ref().unwrap());
        for (c, (ty, print, _)) in table.0.iter().enumerate() {
            assert!(agrees(*print, &values[c], &sql[i][c]), "{ty} in row {i}: {} is not {}", show(&values[c]), sql[i][c]);
        }
        let logged = [
            changes(&inserts)[i].after.as_ref(),
            changes(&updates)[i].before.as_ref(),
            changes(&updates)[i].after.as_ref(),
            changes(&deletes)[i].before.as_ref(),
        ];
        for row in logged {
            let logged = cells(row.unwrap());
            for (c, (ty, ..)) in table.0.iter().enumerate() {
                assert_eq!(show(&logged[c]), show(&values[c]), "{ty} in row {i}: log and snapshot");
            }
        }
    }
    let json = table.0.iter().position(|(ty, ..)| *ty == "JSON").unwrap();
    let count = table.0[json].2.len();
    filled.iter().take(count).map(|c| show(&cells(c.after.as_ref().unwrap())[json])).collect()
}

#[test]
fn src_19_20_21_values_of_the_snapshot_and_of_the_log_are_what_sql_prints() {
    if !require() {
        return;
    }
    let json = compare(shared(), MARIADB);
    assert_eq!(json, ["{\"a\":[1,1.1,NULL,true,18446744073709551616d],\"b\":\"é\"}", "NULL", "7"]);
}

#[test]
fn mysql9_src_19_20_21_values_of_the_snapshot_and_of_the_log_are_what_sql_prints() {
    if !require_mysql() {
        return;
    }
    let json = compare(&MySql::start(), MYSQL);
    let long = |text: String| text.replace(&"k".repeat(300), "K").replace(&"v".repeat(70_000), "V");
    let json: Vec<String> = json.into_iter().map(long).collect();
    let point = "{\"coordinates\":[1.0,2.0],\"crs\":{\"properties\":{\"name\":\"urn:ogc:def:crs:MySQL::0\"},\"type\":\"name\"},\"type\":\"Point\"}";
    assert_eq!(
        json,
        [
            "{\"a\":[1,1.5,NULL,true,false,-1,18446744073709551615u],\"b\":\"é\",\"c\":{},\"d\":[]}",
            "NULL",
            "7",
            "\"text\"",
            "[1.0,1e100,-0.0,1.2345678901234568e22]",
            "1.1",
            "[\"2024-02-29 12:34:56.789000\",\"2024-02-29\",\"-12:34:56.500000\"]",
            &format!("{{\"bin\":\"base64:type15:AP8=\",\"bit\":\"base64:type15:BQ==\",\"geo\":{point}}}"),
            "{\"after\":1,\"K\":\"V\"}",
            "[32767,32768,-32768,-32769,2147483647,2147483648,-2147483649,9223372036854775808u]",
        ]
    );
}
