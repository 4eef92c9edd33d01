//! Text that is no TOML, and sections and keys that mean nothing.

use expect_test::expect;

use crate::cli::harness::check;

#[test]
fn bad_toml_is_shown_where_it_breaks() {
    check(
        &[
            (
                "an unclosed bracket",
                r#"[fields
"Order.total" = "1"
"#,
            ),
            (
                "an unclosed string",
                r#"[fields]
"Order.total" = "1
"#,
            ),
            (
                "a key written twice",
                r#"[app]
name = "a"
name = "b"
"#,
            ),
            (
                "a value without quotes",
                r#"[app]
name = shop
"#,
            ),
            (
                "a number that does not fit",
                r#"[engine]
workers = 99999999999999999999
"#,
            ),
        ],
        expect![[r#"
            === an unclosed bracket
            exit 3
            --- stderr
            error[E0180]: bad TOML: unclosed table, expected `]`
             --> t.toml:1:8
              |
            1 | [fields
              |        ^

            t.toml: 1 error
            === an unclosed string
            exit 3
            --- stderr
            error[E0180]: bad TOML: invalid basic string, expected `"`
             --> t.toml:2:19
              |
            2 | "Order.total" = "1
              |                   ^

            t.toml: 1 error
            === a key written twice
            exit 3
            --- stderr
            error[E0180]: bad TOML: duplicate key
             --> t.toml:3:1
              |
            3 | name = "b"
              | ^^^^

            t.toml: 1 error
            === a value without quotes
            exit 3
            --- stderr
            error[E0180]: bad TOML: string values must be quoted, expected literal string
             --> t.toml:2:8
              |
            2 | name = shop
              |        ^^^^

            t.toml: 1 error
            === a number that does not fit
            exit 3
            --- stderr
            error[E0180]: bad TOML: the integer does not fit 64 bits
             --> t.toml:2:11
              |
            2 | workers = 99999999999999999999
              |           ^^^^^^^^^^^^^^^^^^^^

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn a_section_or_key_that_means_nothing_is_refused() {
    check(
        &[
            (
                "a section",
                r#"[htpp]
listen = "127.0.0.1:7777"
"#,
            ),
            (
                "a list of sections",
                r#"[[reaction]]
event = "a"
"#,
            ),
            (
                "a key",
                r#"[[effect]]
name = "a"
when = "Order.qty > 1"
paylod = ["id"]
"#,
            ),
            (
                "a key of a table",
                r#"[[table]]
name = "Order"
keys = ["id"]
"#,
            ),
            (
                "a key of a field",
                r#"[fields]
"Order.total" = { formula = "qty", timming = "immediate" }
"#,
            ),
            (
                "a key of a timer",
                r#"[[classify]]
table = "Order"
insert = "placed"
[[reactions]]
event = "placed"
timer = { dely = "1h", event = "late" }
"#,
            ),
            (
                "what is not built yet",
                r#"[[view]]
name = "price"
"#,
            ),
        ],
        expect![[r#"
            === a section
            exit 3
            --- stderr
            error[E0280]: unknown key `htpp` in the configuration
             --> t.toml:1:2
              |
            1 | [htpp]
              |  ^^^^ no such key
              |
              = help: did you mean `http`?
              = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions, schedule, goal

            t.toml: 1 error
            === a list of sections
            exit 3
            --- stderr
            error[E0280]: unknown key `reaction` in the configuration
             --> t.toml:1:3
              |
            1 | [[reaction]]
              |   ^^^^^^^^ no such key
              |
              = help: did you mean `reactions`?
              = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions, schedule, goal

            t.toml: 1 error
            === a key
            exit 3
            --- stderr
            error[E0280]: unknown key `paylod` in section `[[effect]]`
             --> t.toml:4:1
              |
            4 | paylod = ["id"]
              | ^^^^^^ no such key
              |
              = help: did you mean `payload`?
              = note: keys: name, on, when, payload, kind, mode, rearm, every, ack, actions

            t.toml: 1 error
            === a key of a table
            exit 3
            --- stderr
            error[E0280]: unknown key `keys` in section `[[table]]`
             --> t.toml:3:1
              |
            3 | keys = ["id"]
              | ^^^^ no such key
              |
              = help: did you mean `key`?
              = note: keys: name, from, key, columns, relations, group, closure, join

            t.toml: 1 error
            === a key of a field
            exit 3
            --- stderr
            error[E0280]: unknown key `timming` in field `Order.total`
             --> t.toml:2:36
              |
            2 | "Order.total" = { formula = "qty", timming = "immediate" }
              |                                    ^^^^^^^ no such key
              |
              = help: did you mean `timing`?
              = note: keys: formula, timing, epsilon, init

            t.toml: 1 error
            === a key of a timer
            exit 3
            --- stderr
            error[E0280]: unknown key `dely` in timer
             --> t.toml:6:11
              |
            6 | timer = { dely = "1h", event = "late" }
              |           ^^^^ no such key
              |
              = help: did you mean `delay`?
              = note: keys: delay, at, event, reset, cancel_on, cancel_when

            t.toml: 1 error
            === what is not built yet
            exit 3
            --- stderr
            error[E0287]: `view` of the configuration is not built yet
             --> t.toml:1:3
              |
            1 | [[view]]
              |   ^^^^ not built yet
              |
              = help: leave it out

            t.toml: 1 error
        "#]],
    );
}
