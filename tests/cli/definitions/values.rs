//! Values of the wrong kind, and secrets that stand in clear.

use expect_test::expect;

use crate::cli::harness::check;

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    check(
        &[
            (
                "a string for a number",
                r#"[engine]
workers = "two"
"#,
            ),
            (
                "a number for a formula",
                r#"[fields]
"Order.total" = 3
"#,
            ),
            (
                "one table for a list",
                r#"[effect]
name = "a"
"#,
            ),
            (
                "an unknown word",
                r#"[[source]]
kind = "mysql"
url = "mysql://root@localhost"
snapshot = "once"
"#,
            ),
            (
                "a number out of range",
                r#"[engine]
workers = 0
"#,
            ),
            (
                "an open address",
                r#"[http]
listen = "0.0.0.0:7777"
"#,
            ),
            (
                "no network",
                r#"[egress]
allow = ["localhost"]
"#,
            ),
            (
                "no URL of a server",
                r#"[[source]]
kind = "mysql"
url = "postgres://localhost"
"#,
            ),
            (
                "an unknown timing",
                r#"[fields]
"Order.total" = { formula = "qty", timing = "sometimes" }
"#,
            ),
            (
                "a timing that is no span of time",
                r#"[fields]
"Order.total" = { formula = "qty", timing = { every = "hourly" } }
"#,
            ),
            (
                "a field name without quotes",
                r#"[fields]
Order.total = "1"
"#,
            ),
            (
                "two sources that follow deliveries",
                r#"[[source]]
name = "a"
kind = "deliveries"

[[source]]
name = "b"
kind = "deliveries"
"#,
            ),
            (
                "two sources of one name",
                r#"[[source]]
name = "a"
kind = "generate"
[[source]]
name = "a"
kind = "generate"
"#,
            ),
            (
                "a missing key",
                r#"[[source]]
kind = "mysql"
"#,
            ),
        ],
        expect![[r#"
            === a string for a number
            exit 3
            --- stderr
            error[E0281]: `workers` of section `[engine]` must be an integer, found a string
             --> t.toml:2:11
              |
            2 | workers = "two"
              |           ^^^^^ expected an integer

            t.toml: 1 error
            === a number for a formula
            exit 3
            --- stderr
            error[E0281]: field `Order.total` must be a formula (a string) or a table, found an integer
             --> t.toml:2:17
              |
            2 | "Order.total" = 3
              |                 ^ expected a formula (a string) or a table

            t.toml: 1 error
            === one table for a list
            exit 3
            --- stderr
            error[E0281]: section `[[effect]]` is a list of tables, found one table
             --> t.toml:1:1
              |
            1 | [effect]
              | ^^^^^^^^ expected double brackets
              |
              = help: write `[[effect]]`

            t.toml: 1 error
            === an unknown word
            exit 3
            --- stderr
            error[E0282]: unknown value `once` for `snapshot` of section `[[source]]`
             --> t.toml:4:12
              |
            4 | snapshot = "once"
              |            ^^^^^^ not one of the possible values
              |
              = note: possible: `initial`, `never`, `always`

            t.toml: 1 error
            === a number out of range
            exit 3
            --- stderr
            error[E0282]: `workers` of section `[engine]` must be from 1 to 256, found 0
             --> t.toml:2:11
              |
            2 | workers = 0
              |           ^ expected 1 to 256

            t.toml: 1 error
            === an open address
            exit 3
            --- stderr
            error[E0282]: `listen` may only be a loopback address, found 0.0.0.0:7777
             --> t.toml:2:10
              |
            2 | listen = "0.0.0.0:7777"
              |          ^^^^^^^^^^^^^^ reachable from outside without a token
              |
              = help: write "127.0.0.1:7777" and put a proxy that authenticates in front of it

            t.toml: 1 error
            === no network
            exit 3
            --- stderr
            error[E0282]: `localhost` is not a network
             --> t.toml:2:10
              |
            2 | allow = ["localhost"]
              |          ^^^^^^^^^^^ expected ADDRESS/BITS
              |
              = help: for example "127.0.0.0/8" or "fd00::/8"

            t.toml: 1 error
            === no URL of a server
            exit 3
            --- stderr
            error[E0282]: `url` of a source of kind `mysql` must start with mysql://
             --> t.toml:3:7
              |
            3 | url = "postgres://localhost"
              |       ^^^^^^^^^^^^^^^^^^^^^^ not a mysql:// URL
              |
              = help: mysql://USER:${PASSWORD}@HOST:3306

            t.toml: 1 error
            === an unknown timing
            exit 3
            --- stderr
            error[E0242]: field `Order.total` asks for timing `sometimes`, which does not exist
             --> t.toml:2:45
              |
            2 | "Order.total" = { formula = "qty", timing = "sometimes" }
              |                                             ^^^^^^^^^^^
              |
              = help: write timing = "immediate", or leave it out; or "lazy"; or a table: { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … }, { at = … }

            t.toml: 1 error
            === a timing that is no span of time
            exit 3
            --- stderr
            error[E0260]: field `Order.total` is to be published every `hourly`, which is no span of time
             --> t.toml:2:55
              |
            2 | "Order.total" = { formula = "qty", timing = { every = "hourly" } }
              |                                                       ^^^^^^^^
              |
              = help: write a number and a unit: "5m", "1h 30m", "PT90M"

            t.toml: 1 error
            === a field name without quotes
            exit 3
            --- stderr
            error[E0282]: field `Order.total` is not in quotes
             --> t.toml:2:1
              |
            2 | Order.total = "1"
              | ^^^^^ the name of a field with a dot needs quotes
              |
              = help: write "Order.total" = …
              = note: a dot outside quotes makes a table in TOML

            t.toml: 1 error
            === two sources that follow deliveries
            exit 3
            --- stderr
            error[E0284]: sources `a` and `b` both have kind `deliveries`
             --> t.toml:1:3
              |
            1 | [[source]]
              |   ^^^^^^ one may have it
              |
              = help: leave one of them: any number of rules may read its table

            t.toml: 1 error
            === two sources of one name
            exit 3
            --- stderr
            error[E0284]: two sources are called `a`
             --> t.toml:1:3
              |
            1 | [[source]]
              |   ^^^^^^ the names must differ
              |
              = help: give each its own `name`

            t.toml: 1 error
            === a missing key
            exit 3
            --- stderr
            error[E0283]: section `[[source]]` has no `url`
             --> t.toml:1:1
              |
            1 | [[source]]
              | ^^^^^^^^^^ `url` is missing

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn a_secret_in_clear_is_warned_of_and_hidden() {
    check(
        &[
            (
                "in a URL",
                r#"[[source]]
kind = "mysql"
url = "mysql://root:hunter2@localhost:3306"
"#,
            ),
            (
                "in an action",
                r#"[[classify]]
table = "Order"
insert = "placed"
[[reactions]]
event = "placed"
actions = [{ type = "webhook", url = "https://example.com/x", secret = "hunter2hunter2hunter2" }]
"#,
            ),
            (
                "a reference without a value",
                r#"[[source]]
kind = "mysql"
url = "mysql://root:${DB_PASSWORD}@localhost:3306"
"#,
            ),
        ],
        expect![[r#"
            === in a URL
            exit 0
            --- stdout
            t.toml: 0 fields, 0 formulas, 0 effects, 0 reactions, 1 source
            --- stderr
            warning[E0285]: a password in clear in the URL
             --> t.toml:3:21
              |
            3 | url = "mysql://root:••••@localhost:3306"
              |                     ^^^^ kept in the file
              |
              = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file
            === in an action
            exit 0
            --- stdout
            t.toml: 0 fields, 0 formulas, 0 effects, 1 reaction, 0 sources
            --- stderr
            warning[E0285]: a secret in clear in `secret` of action `webhook`
             --> t.toml:6:73
              |
            6 | actions = [{ type = "webhook", url = "https://example.com/x", secret = "••••" }]
              |                                                                         ^^^^ kept in the file
              |
              = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file
            === a reference without a value
            exit 0
            --- stdout
            t.toml: 0 fields, 0 formulas, 0 effects, 0 reactions, 1 source
            --- stderr
            warning[E0286]: source `source1`: environment variable `DB_PASSWORD` is not set
             |
             = help: set it before `thalweg run`
        "#]],
    );
}

#[test]
fn how_a_branch_is_followed_is_checked() {
    let source = |more: &str| format!("[[source]]\nkind = \"mysql\"\nurl = \"mysql://localhost/shop\"\n{more}\n");
    let texts = [
        "branch = \"dev\"\npoll = \"250ms\"",
        "poll = \"often\"",
        "poll = \"1ms\"",
        "branch = \"\"",
        "branch = \"dev\"\nserver_id = 7",
    ];
    let sources = texts.map(|text| (text, source(text)));
    let cases: Vec<(&str, &str)> = sources.iter().map(|(text, source)| (*text, source.as_str())).collect();
    check(
        &cases,
        expect![[r#"
            === branch = "dev"
            poll = "250ms"
            exit 0
            --- stdout
            t.toml: 0 fields, 0 formulas, 0 effects, 0 reactions, 1 source
            === poll = "often"
            exit 3
            --- stderr
            error[E0282]: "often" is not a duration like 1h30m or 1.5s
             --> t.toml:4:8
              |
            4 | poll = "often"
              |        ^^^^^^^ not an interval
              |
              = help: poll = "1s"

            t.toml: 1 error
            === poll = "1ms"
            exit 3
            --- stderr
            error[E0282]: `poll` must be from 10ms to 1h, and 1ms is not
             --> t.toml:4:8
              |
            4 | poll = "1ms"
              |        ^^^^^ not an interval
              |
              = help: poll = "1s"

            t.toml: 1 error
            === branch = ""
            exit 3
            --- stderr
            error[E0282]: `branch` must name a branch
             --> t.toml:4:10
              |
            4 | branch = ""
              |          ^^ no name
              |
              = help: branch = "main"

            t.toml: 1 error
            === branch = "dev"
            server_id = 7
            exit 3
            --- stderr
            error[E0282]: `server_id` is for readers of the log, and with `branch` or `poll` the log is not read
             --> t.toml:5:13
              |
            5 | server_id = 7
              |             ^ has no effect
              |
              = help: take it out

            t.toml: 1 error
        "#]],
    );
}
