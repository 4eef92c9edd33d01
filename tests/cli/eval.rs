//! `thalweg eval`: one line in, one line out.

use expect_test::expect;

use super::harness::Folder;

#[test]
fn each_case_has_its_answer_in_order() {
    let cases = r#"
{"expr":"[1u, 2u]"}
{"expr":"x + 1.5","bind":{"x":2}}
{"expr":"price * qty","bind":{"price":{"$decimal":"1.50"},"qty":2}}
{"expr":"1 / 0"}
{"expr":"staus","bind":{"status":1}}
{"expr":"a.b","bind":{"a":{"b":{"$uint":"7"}}}}
{"expr":"1 +"}
{"expr":"9223372036854775807 + 1"}
{"expr":"'a' + 'b'","bind":{}}
{"expr":"null"}
{"expr":"9007199254740993"}
{"expr":"1.0"}
{"expr":"{1: 'a'}"}
{"expr":"{'a': [1, 2.5]}"}
{"expr":"n == null ? 'none' : 'some'","bind":{"n":null}}
{"expr":"timestamp('2026-01-31T12:00:00Z') + duration('90s')"}
{"expr":"b'abc'"}
"#;
    Folder::new(&[]).run_with_input(&["eval", "--input", "-"], cases).is(expect![[r#"
        exit 0
        --- stdout
        {"value":[1,2],"type":"list(uint)"}
        {"value":3.5,"type":"double"}
        {"value":"3.00","type":"decimal(22,2)"}
        {"error":{"code":"E0302","message":"division by zero"}}
        {"error":{"code":"E0203","message":"unknown field `staus`"}}
        {"value":7,"type":"uint"}
        {"error":{"code":"E0102","message":"the formula ends where a value is expected"}}
        {"error":{"code":"E0301","message":"int + int overflows"}}
        {"value":"ab","type":"text"}
        {"value":null,"type":"null"}
        {"value":"9007199254740993","type":"int"}
        {"value":1.0,"type":"double"}
        {"value":[[1,"a"]],"type":"map(int, text)"}
        {"value":{"a":[1,2.5]},"type":"map(text, list(dyn))"}
        {"value":"none","type":"text"}
        {"value":"2026-01-31T12:01:30Z","type":"timestamp"}
        {"value":"YWJj","type":"bytes"}
    "#]]);
}

#[test]
fn a_line_that_is_no_case_is_answered_too_and_told_by_the_exit_code() {
    let folder = Folder::new(&[(
        "cases.jsonl",
        "{\"expr\":\"1\"}\n{\"expr\":2}\n{\"expr\" 3}\n{\"expr\":\"4\",\"bind\":[]}\n{\"expr\":\"5\"}\n",
    )]);
    folder.run(&["eval", "--input", "cases.jsonl"]).is(expect![[r#"
        exit 1
        --- stdout
        {"value":1,"type":"int"}
        {"error":{"code":"E0461","message":"a case needs `expr`, a string"}}
        {"error":{"code":"E0461","message":"bad JSON: expected `:` at line 1 column 9"}}
        {"error":{"code":"E0461","message":"`bind` must be an object"}}
        {"value":5,"type":"int"}
    "#]]);
}
