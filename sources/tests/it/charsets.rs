//! Character sets: every collation that a server has, and bytes that are none of its characters. Text is what SQL makes of it, and what cannot
//! be decoded stays the bytes that SQL shows.

use thalweg_formulas::Value;
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mariadb11, require_mysql};

use crate::harness::{Running, changes, config, line, start};

/// Of these the server shows the whole: everything it can have, most of it replaced where a character set lacks it.
const TEXT: &str = "A é 中 ж α 日 €";

/// Values as bytes, which a server takes or not.
const RAW: &[&str] =
    &["41E9", "FF", "80", "C328", "D800", "DC00D800", "0000D83D", "00110000", "0041", "8140", "F0288CBC", "EDA080", "E4B8AD"];

/// As many columns as a table has here.
const WIDTH: usize = 120;

fn cell(value: &Value) -> (String, bool) {
    match value {
        Value::Text(text) => (text.to_string(), true),
        Value::Bytes(bytes) => (bytes.iter().map(|b| format!("{b:02X}")).collect(), false),
        other => panic!("{other:?}"),
    }
}

/// The one row that a transaction inserts, behind its id.
fn row(source: &mut Running) -> Vec<Value> {
    let transaction = source.transaction();
    let row = changes(&transaction)[0].after.as_ref().unwrap();
    row[1..].iter().map(|cell| cell.clone().unwrap()).collect()
}

/// Each collation in a column; the names and character sets of those whose values stay bytes.
fn every_collation(server: &Server, names: &str) -> Vec<String> {
    let asked = format!(
        "SELECT {names}, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE CHARACTER_SET_NAME <> 'binary' ORDER BY 2, 1"
    );
    let collations = server.query(&asked);
    assert!(collations.len() > 200, "{}", collations.len());
    server.exec("CREATE DATABASE sets");
    let mut bytes: Vec<String> = Vec::new();
    for (t, some) in collations.chunks(WIDTH).enumerate() {
        let columns: String = some
            .iter()
            .enumerate()
            .map(|(i, c)| format!(", c{i} {} COLLATE {}", ["VARCHAR(20)", "CHAR(20)", "TINYTEXT"][i % 3], c[0]))
            .collect();
        let values = format!(", '{TEXT}'").repeat(some.len());
        let mode = "USE sets; SET NAMES utf8mb4, sql_mode = ''";
        server.exec(&format!(
            "{mode}; CREATE TABLE t{t} (id INT PRIMARY KEY{columns}); INSERT IGNORE INTO t{t} VALUES (1{values})"
        ));
        let mut source = start(config(&server.url(), &[&format!("sets.t{t}")]), None);
        let read = row(&mut source);
        source.until_live();
        server.exec(&format!("{mode}; INSERT IGNORE INTO t{t} VALUES (2{values})"));
        assert_eq!(row(&mut source), read, "the log and the snapshot");
        let shown: String = (0..some.len()).map(|i| format!(", CONVERT(c{i} USING utf8mb4), HEX(c{i})")).collect();
        let shown = &server.query(&format!("{mode}; SELECT id{shown} FROM t{t} WHERE id = 1"))[0];
        for (i, collation) in some.iter().enumerate() {
            let (value, is_text) = cell(&read[i]);
            assert_eq!(value, shown[1 + 2 * i + usize::from(!is_text)], "{}", collation[0]);
            if !is_text && !bytes.contains(&collation[1]) {
                bytes.push(collation[1].clone());
            }
        }
    }
    bytes
}

/// Bytes as a server lets them into a column of each character set: how many it took, and how many of those are no text. MariaDB takes more of
/// them than MySQL.
fn raw_bytes(server: &Server) -> [usize; 2] {
    server.exec("CREATE DATABASE raw");
    let (mut taken, mut no_text) = (0, 0);
    for set in ["ascii", "latin1", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32", "sjis", "gbk", "binary"] {
        server.exec(&format!("CREATE TABLE raw.{set} (id INT PRIMARY KEY, c VARCHAR(20) CHARACTER SET {set})"));
        let mut source = start(config(&server.url(), &[&format!("raw.{set}")]), None);
        source.transaction();
        source.until_live();
        for (i, hex) in RAW.iter().enumerate() {
            if server.try_query(&format!("SET sql_mode = 'TRADITIONAL'; INSERT INTO raw.{set} VALUES ({i}, x'{hex}')")).is_err() {
                continue;
            }
            let (value, is_text) = cell(&row(&mut source)[0]);
            let shown = &server
                .query(&format!("SET NAMES utf8mb4; SELECT CONVERT(c USING utf8mb4), HEX(c) FROM raw.{set} WHERE id = {i}"))[0];
            let escaped = value.replace('\0', "\\0");
            assert_eq!(escaped, shown[usize::from(!is_text)], "{set} {hex}");
            taken += 1;
            no_text += usize::from(!is_text && set != "binary" && set != "sjis" && set != "gbk");
        }
    }
    [taken, no_text]
}

/// The character sets that are not decoded, for every server.
const BYTES: &str = "armscii8 big5 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb2312 gbk geostd8 greek hebrew hp8 keybcs2 \
                     koi8r koi8u latin2 latin5 latin7 macce macroman sjis swe7 tis620 ujis";

#[test]
fn src_20_every_collation_of_mariadb_reads_as_sql_shows_it() {
    if require() {
        let server = MariaDb::start();
        assert_eq!(every_collation(&server, "FULL_COLLATION_NAME").join(" "), BYTES);
        assert_eq!(raw_bytes(&server), [102, 18]);
    }
}

#[test]
fn mariadb11_src_20_every_collation_reads_as_sql_shows_it() {
    if require_mariadb11() {
        assert_eq!(every_collation(&MariaDb::start_11(&[]), "FULL_COLLATION_NAME").join(" "), BYTES);
    }
}

#[test]
fn mysql9_src_20_every_collation_reads_as_sql_shows_it() {
    if require_mysql() {
        let server = MySql::start();
        assert_eq!(every_collation(&server, "COLLATION_NAME").join(" "), BYTES.replace("gb2312", "gb18030 gb2312"));
    }
}

/// Where the server's names have no case, tables are named as it keeps them.
#[test]
fn src_20_names_of_tables_are_those_that_the_server_keeps() {
    if !require() {
        return;
    }
    let server = MariaDb::start_with(&["--lower-case-table-names=1"]);
    server.exec("CREATE DATABASE Shop; CREATE TABLE Shop.Orders (Id INT PRIMARY KEY)");
    let mut source = start(config(&server.url(), &["shop.orders"]), None);
    source.transaction();
    source.until_live();
    server.exec("INSERT INTO SHOP.ORDERS VALUES (1)");
    assert_eq!(line(&source.transaction()).split_once(": ").unwrap().1, "+orders(1)");
    let text = start(config(&server.url(), &["Shop.Orders"]), None).stopped();
    assert_eq!(text, "E0408: unknown database `Shop`; did you mean `shop`?");
}
