//! `thalweg tail` over a recorded log: lines of every format, and what `apply` makes of them.

use std::io::Read;
use std::process::Stdio;

use expect_test::{Expect, expect};

use super::harness::Folder;

/// A log of MariaDB 10.11; `sources/tests/fixtures/record.sql` says what happened.
const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sources/tests/fixtures/mariadb-10.11.binlog");

fn tail(args: &[&str], want: Expect) {
    let mut all = vec!["tail", LOG];
    all.extend(args);
    Folder::new(&[]).run(&all).is(want);
}

#[test]
fn native_lines_are_transactions_with_schemas_where_they_change() {
    tail(
        &["--tables", "shop.o*"],
        expect![[r#"
        exit 0
        --- stdout
        {"schema":{"table":"shop.orders","key":["c","a"],"columns":{"a":"int","b":"text","c":"int"}}}
        {"tx":"0-1-8","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.orders","op":"insert","after":{"a":1,"b":"one","c":10}},{"table":"shop.orders","op":"insert","after":{"a":2,"b":"two","c":20}},{"table":"shop.orders","op":"update","before":{"a":1,"b":"one","c":10},"after":{"a":1,"b":"one","c":11}},{"table":"shop.orders","op":"update","before":{"a":2,"b":"two","c":20},"after":{"a":2,"b":"two","c":21}}]}
        {"schema":{"table":"shop.orders","key":["c","a"],"columns":{"first":"decimal(4,1)","a":"int","c":"int"}}}
        {"tx":"0-1-10","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.orders","op":"insert","after":{"first":"1.5","a":3,"c":30}}]}
        {"tx":"0-1-12","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.orders","op":"insert","after":{"first":null,"a":4,"c":40}}]}
    "#]],
    );
}

#[test]
fn every_type_has_its_form() {
    tail(
        &["--tables", "types", "--from", "0-1-3", "--format", "native"],
        expect![[r#"
        exit 0
        --- stdout
        {"schema":{"table":"shop.types","key":["id"],"columns":{"id":"int","t":"int","tu":"uint","m":"int","mu":"uint","b":"uint","y":"int","f":"double","d":"double","n":"decimal(65,30)","bt":"uint","da":"timestamp","dt":"timestamp","ts":"timestamp","ti":"duration","c":"text","v":"text","u":"text","tx":"text","bi":"bytes","vb":"bytes","e":"text","s":"text","uu":"bytes","i6":"bytes","js":"text","p":"bytes","g":"int"}}}
        {"tx":"0-1-4","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.types","op":"insert","after":{"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5e300,"n":"-12345678901234567890.000000000000000000000000000001","bt":513,"da":"2024-02-29T00:00:00Z","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-3020399.99s","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==","g":2}},{"table":"shop.types","op":"insert","after":{"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":0,"y":0,"f":-1.5,"d":0.0,"n":"0.500000000000000000000000000000","bt":0,"da":"0000-00-00","dt":"2024-00-15 00:00:00.000","ts":"0000-00-00 00:00:00.000000","ti":"-0.5s","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":"","s":"","uu":"AAAAAAAAAAAAAAAAAAAAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAA==","js":"null","p":null,"g":3}}]}
        {"tx":"0-1-5","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.types","op":"update","before":{"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5e300,"n":"-12345678901234567890.000000000000000000000000000001","bt":513,"da":"2024-02-29T00:00:00Z","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-3020399.99s","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==","g":2},"after":{"id":1,"t":-1,"tu":7,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5e300,"n":"-12345678901234567890.000000000000000000000000000001","bt":513,"da":"2024-02-31","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-3020399.99s","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==","g":2}}]}
        {"tx":"0-1-6","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.types","op":"delete","before":{"id":0,"t":null,"tu":null,"m":null,"mu":null,"b":null,"y":null,"f":null,"d":null,"n":null,"bt":null,"da":null,"dt":null,"ts":null,"ti":null,"c":null,"v":null,"u":null,"tx":null,"bi":null,"vb":null,"e":null,"s":null,"uu":null,"i6":null,"js":null,"p":null,"g":1}},{"table":"shop.types","op":"delete","before":{"id":1,"t":-1,"tu":7,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5e300,"n":"-12345678901234567890.000000000000000000000000000001","bt":513,"da":"2024-02-31","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-3020399.99s","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==","g":2}}]}
    "#]],
    );
}

#[test]
fn it_begins_behind_a_position() {
    tail(
        &["--tables", "orders,copy", "--from", "0-1-12"],
        expect![[r#"
        exit 0
        --- stdout
        {"schema":{"table":"shop.copy","key":[],"columns":{"first":"decimal(4,1)","a":"int","c":"int"}}}
        {"tx":"5-1-1","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.copy","op":"insert","after":{"first":null,"a":1,"c":11}},{"table":"shop.copy","op":"insert","after":{"first":null,"a":2,"c":21}},{"table":"shop.copy","op":"insert","after":{"first":"1.5","a":3,"c":30}},{"table":"shop.copy","op":"insert","after":{"first":null,"a":4,"c":40}}]}
        {"tx":"5-1-2","at":"2024-02-29T12:34:56Z","changes":[{"table":"shop.copy","op":"delete","before":{"first":null,"a":1,"c":11}},{"table":"shop.copy","op":"delete","before":{"first":null,"a":2,"c":21}},{"table":"shop.copy","op":"delete","before":{"first":"1.5","a":3,"c":30}},{"table":"shop.copy","op":"delete","before":{"first":null,"a":4,"c":40}}]}
    "#]],
    );
}

#[test]
fn maxwell_lines_are_rows_with_what_they_were() {
    tail(
        &["--format", "maxwell", "--tables", "orders"],
        expect![[r#"
        exit 0
        --- stdout
        {"database":"shop","table":"orders","type":"insert","ts":1709210096,"xid":8,"data":{"a":1,"b":"one","c":10}}
        {"database":"shop","table":"orders","type":"insert","ts":1709210096,"xid":8,"data":{"a":2,"b":"two","c":20}}
        {"database":"shop","table":"orders","type":"update","ts":1709210096,"xid":8,"data":{"a":1,"b":"one","c":11},"old":{"c":10}}
        {"database":"shop","table":"orders","type":"update","ts":1709210096,"xid":8,"commit":true,"data":{"a":2,"b":"two","c":21},"old":{"c":20}}
        {"database":"shop","table":"orders","type":"insert","ts":1709210096,"xid":10,"commit":true,"data":{"first":1.5,"a":3,"c":30}}
        {"database":"shop","table":"orders","type":"insert","ts":1709210096,"xid":12,"commit":true,"data":{"first":null,"a":4,"c":40}}
    "#]],
    );
}

#[test]
fn maxwell_prints_values_as_java_does() {
    tail(
        &["--format", "maxwell", "--tables", "types", "--from", "0-1-3"],
        expect![[r#"
            exit 0
            --- stdout
            {"database":"shop","table":"types","type":"insert","ts":1709210096,"xid":4,"data":{"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":18446744073709551615,"y":2024,"f":0.1,"d":-2.5E300,"n":-12345678901234567890.000000000000000000000000000001,"bt":513,"da":"2024-02-29","dt":"2024-02-29 12:34:56.789","ts":"2024-02-29 12:34:56.789012","ti":"-838:59:59.99","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":["a","c"],"uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"POINT (1 2)","g":2}}
            {"database":"shop","table":"types","type":"insert","ts":1709210096,"xid":4,"commit":true,"data":{"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":0,"y":0,"f":-1.5,"d":0.0,"n":0.500000000000000000000000000000,"bt":0,"da":"0000-00-00","dt":"2024-00-15 00:00:00.000","ts":"0000-00-00 00:00:00.000000","ti":"-00:00:00.50","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":null,"s":[],"uu":"AAAAAAAAAAAAAAAAAAAAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAA==","js":"null","p":null,"g":3}}
            {"database":"shop","table":"types","type":"update","ts":1709210096,"xid":5,"commit":true,"data":{"id":1,"t":-1,"tu":7,"m":-1,"mu":16777215,"b":18446744073709551615,"y":2024,"f":0.1,"d":-2.5E300,"n":-12345678901234567890.000000000000000000000000000001,"bt":513,"da":"2024-02-31","dt":"2024-02-29 12:34:56.789","ts":"2024-02-29 12:34:56.789012","ti":"-838:59:59.99","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":["a","c"],"uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"POINT (1 2)","g":2},"old":{"tu":255,"da":"2024-02-29"}}
            {"database":"shop","table":"types","type":"delete","ts":1709210096,"xid":6,"data":{"id":0,"t":null,"tu":null,"m":null,"mu":null,"b":null,"y":null,"f":null,"d":null,"n":null,"bt":null,"da":null,"dt":null,"ts":null,"ti":null,"c":null,"v":null,"u":null,"tx":null,"bi":null,"vb":null,"e":null,"s":null,"uu":null,"i6":null,"js":null,"p":null,"g":1}}
            {"database":"shop","table":"types","type":"delete","ts":1709210096,"xid":6,"commit":true,"data":{"id":1,"t":-1,"tu":7,"m":-1,"mu":16777215,"b":18446744073709551615,"y":2024,"f":0.1,"d":-2.5E300,"n":-12345678901234567890.000000000000000000000000000001,"bt":513,"da":"2024-02-31","dt":"2024-02-29 12:34:56.789","ts":"2024-02-29 12:34:56.789012","ti":"-838:59:59.99","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":["a","c"],"uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"POINT (1 2)","g":2}}
        "#]],
    );
}

#[test]
fn debezium_lines_are_rows_and_a_new_key_is_another_row() {
    tail(
        &["--format", "debezium", "--tables", "orders"],
        expect![[r#"
        exit 0
        --- stdout
        {"before":null,"after":{"a":1,"b":"one","c":10},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":0,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":null,"after":{"a":2,"b":"two","c":20},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":1,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":{"a":1,"b":"one","c":10},"after":null,"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":2,"thread":null,"query":null},"transaction":null,"op":"d","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":null,"after":{"a":1,"b":"one","c":11},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":2,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":{"a":2,"b":"two","c":20},"after":null,"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":3,"thread":null,"query":null},"transaction":null,"op":"d","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":null,"after":{"a":2,"b":"two","c":21},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-8","file":"","pos":0,"row":3,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":null,"after":{"first":"1.5","a":3,"c":30},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-10","file":"","pos":0,"row":0,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        {"before":null,"after":{"first":null,"a":4,"c":40},"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"orders","server_id":1,"gtid":"0-1-12","file":"","pos":0,"row":0,"thread":null,"query":null},"transaction":null,"op":"c","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
    "#]],
    );
}

#[test]
fn debezium_prints_what_json_cannot_hold_as_strings() {
    tail(
        &["--format", "debezium", "--tables", "types", "--from", "0-1-5"],
        expect![[r#"
            exit 0
            --- stdout
            {"before":{"id":0,"t":null,"tu":null,"m":null,"mu":null,"b":null,"y":null,"f":null,"d":null,"n":null,"bt":null,"da":null,"dt":null,"ts":null,"ti":null,"c":null,"v":null,"u":null,"tx":null,"bi":null,"vb":null,"e":null,"s":null,"uu":null,"i6":null,"js":null,"p":null,"g":1},"after":null,"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"types","server_id":1,"gtid":"0-1-6","file":"","pos":0,"row":0,"thread":null,"query":null},"transaction":null,"op":"d","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
            {"before":{"id":1,"t":-1,"tu":7,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5E300,"n":"-12345678901234567890.000000000000000000000000000001","bt":"AQI=","da":null,"dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-838:59:59.99Z","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null},"g":2},"after":null,"source":{"version":"thalweg-0.1.0","connector":"mysql","name":"thalweg","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000,"snapshot":"false","db":"shop","sequence":null,"table":"types","server_id":1,"gtid":"0-1-6","file":"","pos":0,"row":1,"thread":null,"query":null},"transaction":null,"op":"d","ts_ms":1709210096000,"ts_us":1709210096000000,"ts_ns":1709210096000000000}
        "#]],
    );
}

#[test]
fn every_type_of_both_servers_looks_as_in_maxwell_and_in_debezium() {
    let mut shown = String::new();
    for server in ["mariadb-10.11", "mysql-9"] {
        let log = LOG.replace("mariadb-10.11", server);
        for (format, insert, from, to) in
            [("maxwell", "\"type\":\"insert\"", "\"data\":", "}"), ("debezium", "\"op\":\"c\"", "\"after\":", ",\"source\":")]
        {
            let ran = Folder::new(&[]).run(&["tail", &log, "--tables", "types", "--format", format]);
            shown += &format!("{server} as {format}\n");
            for line in ran.out.lines().filter(|line| line.contains(insert)).skip(1) {
                let row = &line[line.find(from).unwrap() + from.len()..];
                shown += &format!("  {}\n", &row[..row.rfind(to).unwrap()]);
            }
        }
    }
    expect![[r#"
        mariadb-10.11 as maxwell
          {"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":18446744073709551615,"y":2024,"f":0.1,"d":-2.5E300,"n":-12345678901234567890.000000000000000000000000000001,"bt":513,"da":"2024-02-29","dt":"2024-02-29 12:34:56.789","ts":"2024-02-29 12:34:56.789012","ti":"-838:59:59.99","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":["a","c"],"uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":"POINT (1 2)","g":2}
          {"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":0,"y":0,"f":-1.5,"d":0.0,"n":0.500000000000000000000000000000,"bt":0,"da":"0000-00-00","dt":"2024-00-15 00:00:00.000","ts":"0000-00-00 00:00:00.000000","ti":"-00:00:00.50","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":null,"s":[],"uu":"AAAAAAAAAAAAAAAAAAAAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAA==","js":"null","p":null,"g":3}
        mariadb-10.11 as debezium
          {"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5E300,"n":"-12345678901234567890.000000000000000000000000000001","bt":"AQI=","da":"2024-02-29Z","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-838:59:59.99Z","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","uu":"Ej5FZ+ibEtOkVkJmVUQAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAQ==","js":"{\"a\": 1}","p":{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null},"g":2}
          {"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":"0","y":0,"f":-1.5,"d":0.0,"n":"0.500000000000000000000000000000","bt":"AAA=","da":null,"dt":null,"ts":null,"ti":"-00:00:00.5Z","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":"","s":"","uu":"AAAAAAAAAAAAAAAAAAAAAA==","i6":"AAAAAAAAAAAAAAAAAAAAAA==","js":"null","p":null,"g":3}
        mysql-9 as maxwell
          {"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":18446744073709551615,"y":2024,"f":0.1,"d":-2.5E300,"n":-12345678901234567890.000000000000000000000000000001,"bt":513,"da":"2024-02-29","dt":"2024-02-29 12:34:56.789","ts":"2024-02-29 12:34:56.789012","ti":"-838:59:59.00","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":["a","c"],"js":{"a":1},"p":"POINT (1 2)","vec":"AACAPwAAAEAAAEBA","g":2}
          {"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":0,"y":0,"f":-1.5,"d":0.0,"n":0.500000000000000000000000000000,"bt":0,"da":"0000-00-00","dt":"2024-00-15 00:00:00.000","ts":"0000-00-00 00:00:00.000000","ti":"-00:00:00.50","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":"groß","s":[],"js":null,"p":null,"vec":null,"g":3}
        mysql-9 as debezium
          {"id":1,"t":-1,"tu":255,"m":-1,"mu":16777215,"b":"18446744073709551615","y":2024,"f":0.1,"d":-2.5E300,"n":"-12345678901234567890.000000000000000000000000000001","bt":"AQI=","da":"2024-02-29Z","dt":"2024-02-29T12:34:56.789Z","ts":"2024-02-29T12:34:56.789012Z","ti":"-838:59:59Z","c":"grün","v":"é","u":"€","tx":"text","bi":"YWIAAA==","vb":"AP8A","e":"groß","s":"a,c","js":"{\"a\":1}","p":{"x":1.0,"y":2.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null},"vec":[1.0,2.0,3.0],"g":2}
          {"id":2,"t":-128,"tu":0,"m":-8388608,"mu":0,"b":"0","y":0,"f":-1.5,"d":0.0,"n":"0.500000000000000000000000000000","bt":"AAA=","da":null,"dt":null,"ts":null,"ti":"-00:00:00.5Z","c":"","v":"","u":"","tx":"","bi":"AAAAAA==","vb":"","e":"groß","s":"","js":null,"p":null,"vec":null,"g":3}
    "#]].assert_eq(&shown);
}

const ORDERS: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["c", "a"]

[[table]]
name = "Type"
from = "shop.types"
key = ["id"]

[fields]
"Order.sum" = "a + c"
"Order.tenfold" = "first * 10"
"Type.big" = "b"
"Type.exact" = "n"
"Type.raw" = "vb"
"Type.when" = "dt"
"Type.long" = "ti"
"#;

#[test]
fn what_is_tailed_can_be_applied() {
    let folder = Folder::new(&[("t.toml", ORDERS)]);
    let tailed = folder.run(&["tail", LOG]);
    assert_eq!((tailed.code, tailed.err.as_str()), (0, ""), "{tailed}");
    folder.run_with_input(&["apply", "t.toml", "--input", "-", "--final"], &tailed.out).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":5,"kind":"delta","node":"Type.big","key":{"id":1},"old":null,"new":"18446744073709551615"}
        {"epoch":5,"kind":"delta","node":"Type.exact","key":{"id":1},"old":null,"new":"-12345678901234567890.000000000000000000000000000001"}
        {"epoch":5,"kind":"delta","node":"Type.long","key":{"id":1},"old":null,"new":"-3020399.99s"}
        {"epoch":5,"kind":"delta","node":"Type.raw","key":{"id":1},"old":null,"new":"AP8A"}
        {"epoch":5,"kind":"delta","node":"Type.when","key":{"id":1},"old":null,"new":"2024-02-29T12:34:56.789Z"}
        {"epoch":5,"kind":"error","node":"Type","key":{"id":2},"code":"E0332","message":"column `da`: \"0000-00-00\" is not a timestamp like 2024-01-02T03:04:05Z"}
        {"epoch":6,"kind":"error","node":"Type","key":{"id":1},"code":"E0332","message":"column `da`: \"2024-02-31\" is not a timestamp like 2024-01-02T03:04:05Z"}
        {"epoch":7,"kind":"delta","node":"Type.big","key":{"id":1},"old":"18446744073709551615","new":null,"gone":true}
        {"epoch":7,"kind":"delta","node":"Type.exact","key":{"id":1},"old":"-12345678901234567890.000000000000000000000000000001","new":null,"gone":true}
        {"epoch":7,"kind":"delta","node":"Type.long","key":{"id":1},"old":"-3020399.99s","new":null,"gone":true}
        {"epoch":7,"kind":"delta","node":"Type.raw","key":{"id":1},"old":"AP8A","new":null,"gone":true}
        {"epoch":7,"kind":"delta","node":"Type.when","key":{"id":1},"old":"2024-02-29T12:34:56.789Z","new":null,"gone":true}
        {"epoch":8,"kind":"delta","node":"Order.sum","key":{"c":11,"a":1},"old":null,"new":12}
        {"epoch":8,"kind":"delta","node":"Order.sum","key":{"c":21,"a":2},"old":null,"new":23}
        {"epoch":10,"kind":"delta","node":"Order.sum","key":{"c":30,"a":3},"old":null,"new":33}
        {"epoch":10,"kind":"delta","node":"Order.tenfold","key":{"c":30,"a":3},"old":null,"new":"15.0"}
        {"epoch":11,"kind":"delta","node":"Order.sum","key":{"c":40,"a":4},"old":null,"new":44}
        {"kind":"final","node":"Order.sum","key":{"c":11,"a":1},"value":12,"error":null}
        {"kind":"final","node":"Order.sum","key":{"c":21,"a":2},"value":23,"error":null}
        {"kind":"final","node":"Order.sum","key":{"c":30,"a":3},"value":33,"error":null}
        {"kind":"final","node":"Order.sum","key":{"c":40,"a":4},"value":44,"error":null}
        {"kind":"final","node":"Order.tenfold","key":{"c":11,"a":1},"value":null,"error":null}
        {"kind":"final","node":"Order.tenfold","key":{"c":21,"a":2},"value":null,"error":null}
        {"kind":"final","node":"Order.tenfold","key":{"c":30,"a":3},"value":"15.0","error":null}
        {"kind":"final","node":"Order.tenfold","key":{"c":40,"a":4},"value":null,"error":null}
    "#]]);
}

#[test]
fn a_file_is_watched_until_it_is_idle() {
    let whole = std::fs::read(LOG).unwrap();
    let folder = Folder::new(&[("log.000001", "")]);
    std::fs::write(folder.path("log.000001"), &whole[..whole.len() / 2]).unwrap();
    let command = folder.command(&["tail", "log.000001", "--until-idle", "1"]).spawn().unwrap();
    std::fs::write(folder.path("log.000001"), &whole).unwrap();
    let output = command.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    // A table is told when it is met, which of a file that was short at first is later.
    let changes =
        |text: &str| text.lines().filter(|line| !line.starts_with("{\"schema\"")).map(str::to_owned).collect::<Vec<_>>();
    let tailed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(changes(&tailed), changes(&folder.run(&["tail", LOG]).out));
    std::fs::write(folder.path("t.toml"), ORDERS).unwrap();
    let applied = |lines: &str| folder.run_with_input(&["apply", "t.toml", "--input", "-", "--final"], lines).out;
    assert_eq!(applied(&tailed), applied(&folder.run(&["tail", LOG]).out));
}

#[test]
fn now_is_the_end_of_a_file() {
    tail(
        &["--from", "now", "--until-idle", "0.2"],
        expect![[r#"
        exit 0
        --- stdout
        {"schema":{"table":"shop.types","key":["id"],"columns":{"id":"int","t":"int","tu":"uint","m":"int","mu":"uint","b":"uint","y":"int","f":"double","d":"double","n":"decimal(65,30)","bt":"uint","da":"timestamp","dt":"timestamp","ts":"timestamp","ti":"duration","c":"text","v":"text","u":"text","tx":"text","bi":"bytes","vb":"bytes","e":"text","s":"text","uu":"bytes","i6":"bytes","js":"text","p":"bytes","g":"int"}}}
        {"schema":{"table":"shop.orders","key":["c","a"],"columns":{"a":"int","b":"text","c":"int"}}}
        {"schema":{"table":"shop.copy","key":[],"columns":{"first":"decimal(4,1)","a":"int","c":"int"}}}
        {"schema":{"table":"shop.orders","key":["c","a"],"columns":{"first":"decimal(4,1)","a":"int","c":"int"}}}
    "#]],
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = Folder::new(&[]);
    let mut child = folder.command(&["tail", LOG]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let folder = Folder::new(&[("text", "no log")]);
    let mut shown = String::new();
    for args in [
        &["tail", "none.000001"][..],
        &["tail", "text"],
        &["tail", "mysql://root@127.0.0.1:1/shop"],
        &["tail", "mysql://root@127.0.0.1:1/shop", "--until-idle", "0.1"],
        &["tail", LOG, "--from", "yesterday"],
        &["tail", LOG, "--format", "xml"],
    ] {
        shown += &format!("=== {}\n{}", args[1..].join(" ").replace(LOG, "LOG"), folder.run(args));
    }
    expect![[r#"
        === none.000001
        exit 4
        --- stderr
        error: E0430: none.000001: No such file or directory (os error 2); check the path and that this user may read it
        === text
        exit 4
        --- stderr
        error: E0430: text is no binlog file; name files that a server wrote
        === mysql://root@127.0.0.1:1/shop
        exit 4
        --- stderr
        error: E0400: cannot connect to 127.0.0.1:1: connection refused; is the server running, and does it listen there?
        === mysql://root@127.0.0.1:1/shop --until-idle 0.1
        exit 4
        --- stderr
        error: E0400: cannot connect to 127.0.0.1:1: connection refused; is the server running, and does it listen there?
        === LOG --from yesterday
        exit 2
        --- stderr
        error: invalid value 'yesterday' for '--from <GTIDSET|start|now>': "yesterday" is not a GTID position such as 0-1-42,1-1-7 (MariaDB) or 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 (MySQL); write `start`, `now` or a position such as 0-1-42

        For more information, try '--help'.
        === LOG --format xml
        exit 2
        --- stderr
        error: invalid value 'xml' for '--format <FORMAT>'
          [possible values: native, maxwell, debezium]

        For more information, try '--help'.
    "#]].assert_eq(&shown.replace(env!("CARGO_MANIFEST_DIR"), "."));
}

#[test]
fn json_columns_of_mysql_are_json_in_maxwell_and_a_text_of_json_in_debezium() {
    let log = LOG.replace("mariadb-10.11", "mysql-9");
    let folder = Folder::new(&[]);
    let first = |format: &str, member: &str| {
        let ran = folder.run(&["tail", &log, "--tables", "types", "--format", format]);
        let lines = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("lines are JSON"));
        let json = lines.map(|line| line[member]["js"].clone()).find(|js| !js.is_null());
        json.unwrap_or_else(|| panic!("{ran}")).to_string()
    };
    assert_eq!(first("maxwell", "data"), r#"{"a":1}"#);
    assert_eq!(first("debezium", "after"), r#""{\"a\":1}""#);
}
