//! Tables, keys, columns and relations that are wrong, or perhaps not meant: the whole text that `check` prints for each.

use expect_test::expect;

use super::harness::{Folder, check};

#[test]
fn a_key_that_is_none_is_refused_or_warned_of() {
    check(
        &[
            (
                "a field of a table without a key",
                r#"[[table]]
name = "Log"
key = []
columns = { n = "int" }
[fields]
"Log.m" = "n + 1"
"#,
            ),
            (
                "an effect on a table without a key",
                r#"[[table]]
name = "Log"
key = []
columns = { n = "int" }
[[effect]]
name = "e"
on = "Log"
when = "n > 1"
"#,
            ),
            (
                "the empty name",
                r#"[[table]]
name = "Log"
key = ""
"#,
            ),
            (
                "one column twice",
                r#"[[table]]
name = "Log"
key = ["day", "n", "day"]
columns = { n = "int" }
"#,
            ),
            (
                "a number",
                r#"[[table]]
name = "Log"
key = ["day", 1]
"#,
            ),
            (
                "a slip",
                r#"[[table]]
name = "Log"
key = ["day", "nubmer"]
columns = { number = "int" }
"#,
            ),
        ],
        expect![[r#"
            === a field of a table without a key
            exit 3
            --- stderr
            error[E0236]: field `Log.m` needs a key on `Log`, which has none
             --> t.toml:6:1
              |
            6 | "Log.m" = "n + 1"
              | ^^^^^^^
              |
              = help: declare it: key = ["id"] in [[table]] "Log"

            t.toml: 1 error
            === an effect on a table without a key
            exit 3
            --- stderr
            error[E0236]: effect `e` needs a key on `Log`, which has none
             --> t.toml:7:6
              |
            7 | on = "Log"
              |      ^^^^^
              |
              = help: declare it: key = ["id"] in [[table]] "Log", or use [[reactions]]

            t.toml: 1 error
            === the empty name
            exit 3
            --- stderr
            error[E0237]: the key of `Log` names a column without a name
             --> t.toml:3:7
              |
            3 | key = ""
              |       ^^
              |
              = help: write key = ["id"]; a table without a key has key = []

            t.toml: 1 error
            === one column twice
            exit 3
            --- stderr
            error[E0233]: column `day` stands twice in the key of `Log`
             --> t.toml:3:20
              |
            3 | key = ["day", "n", "day"]
              |                    ^^^^^
              |
              = help: name each key column once

            t.toml: 1 error
            === a number
            exit 3
            --- stderr
            error[E0281]: an element of `key` of section `[[table]]` must be a string, found an integer
             --> t.toml:3:15
              |
            3 | key = ["day", 1]
              |               ^ expected a string

            t.toml: 1 error
            === a slip
            exit 0
            --- stdout
            t.toml: 3 fields, 0 formulas, 0 effects, 0 reactions, 0 sources
            --- stderr
            warning[E0253]: `nubmer` is read as an undeclared column of `Log`
             --> t.toml:3:15
              |
            3 | key = ["day", "nubmer"]
              |               ^^^^^^^^
              |
              = help: did you mean `number`?
        "#]],
    );
}

#[test]
fn a_relation_that_cannot_hold_is_refused_or_warned_of() {
    const TABLES: &str = r#"[[table]]
name = "Order"
key = ["shop", "id"]
columns = { shop = "text", id = "int" }

[[table]]
name = "Item"
key = ["id"]
columns = { id = "int", order_id = "int", shop = "text" }
"#;
    let with = |relation: &str| TABLES.replacen("\n\n", &format!("\n[table.relations]\n{relation}\n\n"), 1);
    check(
        &[
            ("a slip", &with(r#"items = { table = "Item", key = ["shop", "ordr_id"] }"#)),
            ("one column twice", &with(r#"items = { table = "Item", key = ["order_id", "order_id"] }"#)),
            ("too few columns", &with(r#"items = { table = "Item", key = "order_id" }"#)),
            ("no column", &with(r#"items = { table = "Item", key = [] }"#)),
            ("no key", &with(r#"items = { table = "Item" }"#)),
            ("a table that is not there", &with(r#"customer = { to = "Custmer", key = "customer_id" }"#)),
            ("an array that is none", &with(r#"lines = { json = "id" }"#)),
            ("the name of a column", &with(r#"shop = { to = "Item", key = "item_id" }"#)),
            (
                "a table without a key",
                &(with(r#"log = { to = "Log", key = "log_id" }"#) + "\n[[table]]\nname = \"Log\"\nkey = []\n"),
            ),
        ],
        expect![[r#"
            === a slip
            exit 0
            --- stdout
            t.toml: 6 fields, 0 formulas, 0 effects, 0 reactions, 0 sources
            --- stderr
            warning[E0253]: `ordr_id` is read as an undeclared column of `Item`
             --> t.toml:6:42
              |
            6 | items = { table = "Item", key = ["shop", "ordr_id"] }
              |                                          ^^^^^^^^^
              |
              = help: did you mean `order_id`?
            === one column twice
            exit 3
            --- stderr
            error[E0233]: column `order_id` stands twice in relation `items` of `Order`
             --> t.toml:6:46
              |
            6 | items = { table = "Item", key = ["order_id", "order_id"] }
              |                                              ^^^^^^^^^^
              |
              = help: name one column for each column of the key

            t.toml: 1 error
            === too few columns
            exit 3
            --- stderr
            error[E0232]: relation `items` of `Order` names 1 column of `Item`, but the key of `Order` has 2 columns
             --> t.toml:6:33
              |
            6 | items = { table = "Item", key = "order_id" }
              |                                 ^^^^^^^^^^
              |
              = help: name one column for each of: shop, id

            t.toml: 1 error
            === no column
            exit 3
            --- stderr
            error[E0232]: relation `items` of `Order` names 0 columns of `Item`, but the key of `Order` has 2 columns
             --> t.toml:6:33
              |
            6 | items = { table = "Item", key = [] }
              |                                 ^^
              |
              = help: name one column for each of: shop, id

            t.toml: 1 error
            === no key
            exit 3
            --- stderr
            error[E0283]: relation `items` has no `key`
             --> t.toml:6:9
              |
            6 | items = { table = "Item" }
              |         ^^^^^^^^^^^^^^^^^^ `key` is missing

            t.toml: 1 error
            === a table that is not there
            exit 3
            --- stderr
            error[E0230]: unknown table `Custmer` in relation `customer` of `Order`
             --> t.toml:6:19
              |
            6 | customer = { to = "Custmer", key = "customer_id" }
              |                   ^^^^^^^^^
              |
              = help: declare it: [[table]] name = "Custmer"
              = note: tables: Item, Order

            t.toml: 1 error
            === an array that is none
            exit 3
            --- stderr
            error[E0234]: relation `lines` of `Order` needs an array, but column `id` is int
             --> t.toml:6:18
              |
            6 | lines = { json = "id" }
              |                  ^^^^
              |
              = help: name a JSON column, or declare its type: list(dyn)

            t.toml: 1 error
            === the name of a column
            exit 3
            --- stderr
            error[E0233]: `Order` has both a column and a relation called `shop`
             --> t.toml:6:8
              |
            6 | shop = { to = "Item", key = "item_id" }
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: give the relation another name

            t.toml: 1 error
            === a table without a key
            exit 3
            --- stderr
            error[E0236]: relation `log` of `Order` needs a key on `Log`, which has none
             --> t.toml:6:7
              |
            6 | log = { to = "Log", key = "log_id" }
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: declare it: key = ["id"] in [[table]] "Log"

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn a_relation_by_time_has_its_own_keys() {
    const TABLES: &str = r#"[[table]]
name = "Trade"
key = ["id"]
columns = { id = "int", symbol = "text", at = "timestamp" }
[table.relations]
RELATION

[[table]]
name = "Quote"
key = ["id"]
columns = { id = "int", symbol = "text", seen_at = "timestamp", bid = "int" }

[fields]
"Trade.bid" = "quote.bid"
"#;
    let with = |relation: &str| TABLES.replacen("RELATION", relation, 1);
    check(
        &[
            ("by time", &with(r#"quote = { to = "Quote", by = ["symbol == symbol"], asof = "at", on = "seen_at" }"#)),
            ("by a key as well", &with(r#"quote = { to = "Quote", key = "symbol", asof = "at" }"#)),
            ("of child rows", &with(r#"quote = { table = "Quote", key = "symbol", asof = "at" }"#)),
            ("a slip beside it", &with(r#"quote = { to = "Quote", bye = "symbol", asof = "at", on = "seen_at" }"#)),
            ("another type", &with(r#"quote = { to = "Quote", by = "symbol", asof = "at", on = "bid" }"#)),
        ],
        expect![[r#"
            === by time
            exit 0
            --- stdout
            t.toml: 8 fields, 1 formula, 0 effects, 0 reactions, 0 sources
            === by a key as well
            exit 3
            --- stderr
            error[E0282]: relation `quote` has both `key` and `asof`
             --> t.toml:6:9
              |
            6 | quote = { to = "Quote", key = "symbol", asof = "at" }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ either a key leads to the other document, or a time
              |
              = help: write `by` for what must be equal: { to = "Quote", by = "symbol", asof = "at" }

            t.toml: 1 error
            === of child rows
            exit 3
            --- stderr
            error[E0280]: unknown key `asof` in relation `quote`
             --> t.toml:6:44
              |
            6 | quote = { table = "Quote", key = "symbol", asof = "at" }
              |                                            ^^^^ no such key
              |
              = note: keys: key, table, to, json

            t.toml: 1 error
            === a slip beside it
            exit 3
            --- stderr
            error[E0280]: unknown key `bye` in relation `quote`
             --> t.toml:6:25
              |
            6 | quote = { to = "Quote", bye = "symbol", asof = "at", on = "seen_at" }
              |                         ^^^ no such key
              |
              = help: did you mean `by`?
              = note: keys: key, table, to, json, asof, on, by

            t.toml: 1 error
            === another type
            exit 3
            --- stderr
            error[E0234]: relation `quote` of `Trade` cannot compare its columns: `at` is timestamp and `bid` of `Quote` is int
             --> t.toml:6:9
              |
            6 | quote = { to = "Quote", by = "symbol", asof = "at", on = "bid" }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: name columns of one type

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn relations_may_go_round_and_fields_along_them_may_not() {
    const RING: &str = r#"[[table]]
name = "A"
key = ["id"]
[table.relations]
b = { to = "B", key = "b_id" }
kids = { table = "A", key = "parent_id" }

[[table]]
name = "B"
key = ["id"]
[table.relations]
a = { to = "A", key = "a_id" }

"#;
    let with = |fields: &str| format!("{RING}[fields]\n{fields}\n");
    check(
        &[
            ("round and back", &with(r#""A.x" = "b.a.b.n""#)),
            ("fields of two tables", &with("\"A.x\" = \"b.y\"\n\"B.y\" = \"a.x + 1\"")),
            ("a field of its own children", &with(r#""A.size" = "1 + sum(kids[*].size)""#)),
        ],
        expect![[r#"
            === round and back
            exit 0
            --- stdout
            t.toml: 7 fields, 1 formula, 0 effects, 0 reactions, 0 sources
            === fields of two tables
            exit 3
            --- stderr
            error[E0235]: fields form a cycle: A.x -> B.y -> A.x
              --> t.toml:15:9
               |
            15 | "A.x" = "b.y"
               |         ^^^^^
               |
               = help: break it at one field, or read `self` where a field's own previous value is meant

            t.toml: 1 error
            === a field of its own children
            exit 3
            --- stderr
            error[E0235]: fields form a cycle: A.size -> A.size
              --> t.toml:15:12
               |
            15 | "A.size" = "1 + sum(kids[*].size)"
               |            ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: read `self` for the field's own value at the previous epoch

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn a_type_that_does_not_exist_is_refused() {
    check(
        &[
            ("a number", "[[table]]\nname = \"A\"\ncolumns = { id = 1 }\n"),
            (
                "words",
                "[[table]]\nname = \"A\"\ncolumns = { id = \"itn\", list = \"list(strng)\", wide = \"decimal(100,2)\", none = \"\" }\n",
            ),
        ],
        expect![[r#"
            === a number
            exit 3
            --- stderr
            error[E0281]: column `id` must be a string, found an integer
             --> t.toml:3:18
              |
            3 | columns = { id = 1 }
              |                  ^ expected a string

            t.toml: 1 error
            === words
            exit 3
            --- stderr
            error[E0229]: unknown type `itn`
             --> t.toml:3:18
              |
            3 | columns = { id = "itn", list = "list(strng)", wide = "decimal(100,2)", none = "" }
              |                  ^^^^^
              |
              = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn

            error[E0229]: unknown type `strng`
             --> t.toml:3:32
              |
            3 | columns = { id = "itn", list = "list(strng)", wide = "decimal(100,2)", none = "" }
              |                                ^^^^^^^^^^^^^
              |
              = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn

            error[E0229]: decimal(100,2) must be decimal(digits, digits behind the point) with at most 76 of each
             --> t.toml:3:54
              |
            3 | columns = { id = "itn", list = "list(strng)", wide = "decimal(100,2)", none = "" }
              |                                                      ^^^^^^^^^^^^^^^^
              |
              = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn

            error[E0229]: unknown type ``
             --> t.toml:3:79
              |
            3 | columns = { id = "itn", list = "list(strng)", wide = "decimal(100,2)", none = "" }
              |                                                                               ^^
              |
              = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn

            t.toml: 4 errors
        "#]],
    );
}

#[test]
fn a_table_without_a_key_is_a_multiset_also_where_a_schema_has_one() {
    let config = "[[table]]\nname = \"Tick\"\nkey = []\ncolumns = { n = \"int\" }\n\n[fields]\n\"total\" = \"sum(Tick[*].n)\"\n";
    let input = r#"{"schema":{"table":"Tick","key":["n"],"columns":{"n":"int"}}}
{"changes":[{"table":"Tick","op":"insert","after":{"n":2}},{"table":"Tick","op":"insert","after":{"n":2}}]}
{"changes":[{"table":"Tick","op":"delete","before":{"n":2}}]}
{"changes":[{"table":"Tick","op":"delete","before":{"n":3}}]}
"#;
    let folder = Folder::new(&[("t.toml", config), ("in.jsonl", input)]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"total","key":{},"old":null,"new":0}
        {"epoch":2,"kind":"delta","node":"total","key":{},"old":0,"new":4}
        {"epoch":3,"kind":"delta","node":"total","key":{},"old":4,"new":2}
        {"epoch":4,"kind":"error","node":"Tick","key":{"n":3},"code":"E0331","message":"delete of a row that does not exist"}
    "#]]);
}
