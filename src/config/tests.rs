use expect_test::{Expect, expect};

use super::*;

/// The TOML block of a Reactor rules file, as users have it.
const REACTOR: &str = include_str!("../../tests/data/reactor.toml");

fn check(text: &str, want: Expect) {
    check_with(text, &Environment::default(), want);
}

fn check_with(text: &str, env: &Environment, want: Expect) {
    let shown = match Config::parse(SourceText::new("t.toml", text), env) {
        Ok(config) => render_all(&config.warnings, Look::default()),
        Err(diags) => render_all(&diags, Look::default()),
    };
    want.assert_eq(&shown);
}

fn config(text: &str) -> Config {
    Config::parse(SourceText::new("t.toml", text), &Environment::default())
        .unwrap_or_else(|d| panic!("{}", render_all(&d, Look::default())))
}

#[test]
fn a_reactor_file_runs_unchanged() {
    let config = config(REACTOR);
    assert!(config.warnings.is_empty());
    expect![[r#"
        [
            SourceConfig {
                name: "reactor",
                kind: Mysql(
                    MysqlConfig {
                        server: Parts {
                            host: "localhost",
                            port: 3306,
                            user: "root",
                            password: None,
                        },
                        server_id: Some(
                            100,
                        ),
                        tables: [],
                        snapshot: Initial,
                        snapshot_effects: Suppress,
                        tls: AsUrl,
                        after_purge: Stop,
                        polling: None,
                    },
                ),
            },
        ]
    "#]]
    .assert_debug_eq(&config.sources);
    expect![[r#"
        GraphSpec {
            tables: [],
            fields: [],
            effects: [],
            classify: [
                ClassifySpec {
                    database: Some(
                        "my_app",
                    ),
                    table: "issues",
                    insert: Some(
                        "issue.created",
                    ),
                    update: Some(
                        "issue.updated",
                    ),
                    delete: Some(
                        "issue.deleted",
                    ),
                },
            ],
            reactions: [
                ReactionSpec {
                    name: None,
                    event: "issue.created",
                    condition: Some(
                        "priority <= 1",
                    ),
                    timer: None,
                    actions: [
                        ActionSpec {
                            kind: "webhook",
                            settings: {
                                "url": String("https://hooks.example.com/urgent"),
                                "method": String("POST"),
                            },
                        },
                        ActionSpec {
                            kind: "dolt-insert",
                            settings: {
                                "database": String("my_app"),
                                "table": String("event_log"),
                            },
                        },
                    ],
                },
                ReactionSpec {
                    name: None,
                    event: "issue.updated",
                    condition: Some(
                        "old.status != new.status",
                    ),
                    timer: None,
                    actions: [
                        ActionSpec {
                            kind: "webhook",
                            settings: {
                                "url": String("https://hooks.example.com/status-change"),
                            },
                        },
                    ],
                },
                ReactionSpec {
                    name: None,
                    event: "issue.created",
                    condition: Some(
                        "type == 'decision'",
                    ),
                    timer: Some(
                        TimerSpec {
                            delay: Some(
                                "24h",
                            ),
                            at: None,
                            event: "decision.expired",
                            reset: false,
                            cancel_on: [],
                            cancel_when: None,
                        },
                    ),
                    actions: [
                        ActionSpec {
                            kind: "webhook",
                            settings: {
                                "url": String("https://hooks.example.com/decision-needed"),
                            },
                        },
                    ],
                },
            ],
            schedules: [],
            goals: [],
        }
    "#]]
    .assert_debug_eq(&config.spec);
}

#[test]
fn every_section_is_read_in_the_order_written() {
    let config = config(
        r#"
        [app]
        name = "shop"
        [engine]
        workers = 2
        data_dir = "data"
        [http]
        listen = "127.0.0.1:7777"
        [egress]
        allow = ["127.0.0.0/8", "fd00::/8"]
        [[source]]
        name = "db"
        kind = "mysql"
        url = "mysql://root:${PW}@localhost:3306"
        server_id = 7
        tables = ["shop.*"]
        snapshot = "never"
        snapshot_effects = "fire"
        tls = "required"
        tls_ca = "ca.pem"
        after_purge = "snapshot"
        [[source]]
        kind = "generate"
        rows_per_s = 10
        seed = 3
        [[source]]
        kind = "jsonl"
        path = "-"
        [[table]]
        from = "shop.orders"
        key = "id"
        columns = { price = "decimal(10,2)" }
        [table.relations]
        items = { table = "Item", key = "order_id" }
        customer = { to = "Customer", key = ["a", "b"] }
        lines = { json = "lines" }
        [fields]
        "z" = "1"
        "a" = { formula = "self + 1", timing = "immediate", init = 1.5 }
        [[effect]]
        name = "big"
        when = "a > 1"
        payload = ["a"]
        actions = [{ type = "webhook", url = "https://x.example", headers = { "X-Count" = 3 } }]
        "#,
    );
    expect![[r#"
        (
            App {
                name: "shop",
            },
            EngineConfig {
                workers: 2,
                data_dir: Some(
                    "data",
                ),
                reload: false,
            },
            HttpConfig {
                listen: Some(
                    127.0.0.1:7777,
                ),
            },
            EgressConfig {
                allow: [
                    "127.0.0.0/8",
                    "fd00::/8",
                ],
            },
        )
    "#]]
    .assert_debug_eq(&(&config.app, &config.engine, &config.http, &config.egress));
    expect![[r#"
        [
            SourceConfig {
                name: "db",
                kind: Mysql(
                    MysqlConfig {
                        server: Url(
                            Secret(mysql://root:${PW}@localhost:3306),
                        ),
                        server_id: Some(
                            7,
                        ),
                        tables: [
                            "shop.*",
                        ],
                        snapshot: Never,
                        snapshot_effects: Fire,
                        tls: Required {
                            ca: Some(
                                "ca.pem",
                            ),
                            name: None,
                        },
                        after_purge: Snapshot,
                        polling: None,
                    },
                ),
            },
            SourceConfig {
                name: "source2",
                kind: Generate {
                    rows_per_s: 10,
                    seed: 3,
                },
            },
            SourceConfig {
                name: "source3",
                kind: Jsonl {
                    path: "-",
                },
            },
        ]
    "#]]
    .assert_debug_eq(&config.sources);
    expect![[r#"
        GraphSpec {
            tables: [
                TableSpec {
                    name: "orders",
                    from: Some(
                        "shop.orders",
                    ),
                    key: Some(
                        [
                            "id",
                        ],
                    ),
                    columns: {
                        "price": "decimal(10,2)",
                    },
                    column_order: [],
                    closed: false,
                    relations: {
                        "customer": Lookup {
                            to: "Customer",
                            key: Many(
                                [
                                    "a",
                                    "b",
                                ],
                            ),
                        },
                        "items": Children {
                            table: "Item",
                            key: One(
                                "order_id",
                            ),
                        },
                        "lines": Json {
                            json: "lines",
                            key: None,
                        },
                    },
                    group: None,
                    join: None,
                },
            ],
            fields: [
                FieldSpec {
                    name: "z",
                    formula: "1",
                    timing: None,
                    epsilon: None,
                    init: None,
                },
                FieldSpec {
                    name: "a",
                    formula: "self + 1",
                    timing: Some(
                        Word(
                            "immediate",
                        ),
                    ),
                    epsilon: None,
                    init: Some(
                        Number(1.5),
                    ),
                },
            ],
            effects: [
                EffectSpec {
                    name: "big",
                    on: None,
                    when: "a > 1",
                    payload: Some(
                        [
                            "a",
                        ],
                    ),
                    kind: None,
                    mode: None,
                    rearm: None,
                    every: None,
                    ack: None,
                    actions: [
                        ActionSpec {
                            kind: "webhook",
                            settings: {
                                "url": String("https://x.example"),
                                "headers": Object {
                                    "X-Count": Number(3),
                                },
                            },
                        },
                    ],
                },
            ],
            classify: [],
            reactions: [],
            schedules: [],
            goals: [],
        }
    "#]]
    .assert_debug_eq(&config.spec);
    expect![[r#"
        warning[E0286]: source `db`: environment variable `PW` is not set
         |
         = help: set it before `thalweg run`
    "#]]
    .assert_eq(&render_all(&config.warnings, Look::default()));
}

#[test]
fn the_environment_wins_over_the_file() {
    let env = Environment::of([
        ("THALWEG_HTTP__LISTEN", "127.0.0.1:1"),
        ("THALWEG_ENGINE__WORKERS", "4"),
        ("THALWEG_EGRESS__ALLOW", "10.0.0.0/8, ::1"),
        ("THALWEG_LOG", "debug"),
    ]);
    let source = SourceText::new("t.toml", "[http]\nlisten = \"127.0.0.1:2\"\n");
    let config = Config::parse(source, &env).unwrap();
    assert_eq!(config.http.listen.unwrap().port(), 1);
    assert_eq!(config.engine.workers, 4);
    assert_eq!(config.egress.allow, ["10.0.0.0/8", "::1"]);
    let env = Environment::of([("THALWEG_HTPP__LISTEN", "x"), ("THALWEG_ENGINE__WORKERS", "many")]);
    check_with(
        "",
        &env,
        expect![[r#"
            error[E0281]: `workers` of section `[engine]` must be an integer, found a string
             |
             = note: set by environment variable THALWEG_ENGINE__WORKERS

            error[E0280]: unknown key `htpp` in the configuration
             |
             = help: did you mean `http`?
             = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions, schedule, goal
             = note: set by environment variable THALWEG_HTPP__LISTEN
        "#]],
    );
}

#[test]
fn a_place_inside_a_string_is_exact_where_the_text_stands_as_written() {
    use thalweg_formulas::Span;
    use thalweg_graph::spec::Place;
    let text = "[fields]\na = \"x + yy\"\nb = 'x + yy'\nc = \"\"\"\nx + yy\"\"\"\nd = \"\\u0078 + yy\"\n";
    let config = config(text);
    for (index, want) in [(0, "yy"), (1, "yy"), (2, "yy"), (3, "\"\\u0078 + yy\"")] {
        let range = config.places.locate(&Place::Field(index, "formula"), Some(Span::new(4, 6))).unwrap();
        assert_eq!(&text[range], want, "field {index}");
    }
    let range = config.places.locate(&Place::Field(0, "timing"), None).unwrap();
    assert_eq!(&text[range], "a", "a place that was not written is its field's name");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_all_at_once() {
    check(
        r#"
[htpp]
listen = "127.0.0.1:7777"
[engine]
workers = "two"
wrokers = 2
[http]
listen = "0.0.0.0:80"
[[source]]
kind = "mysqll"
[[source]]
kind = "binlog-file"
follow = "yes"
[[source]]
kind = "mysql"
url = "mysql://root:hunter2@localhost"
[fields]
Order.total = "1"
"Order.n" = 3
"Order.m" = { formula = "1", timming = "immediate" }
"Order.o" = { formula = "1", timing = { batch = "many", wen = "x", or_after = 1 }, versioned = true }
[[effect]]
when = "x"
durability = "do"
actions = [{ url = "x" }, { type = "webhook", url = "https://x", secret = "s3cret" }]
[goal]
"#,
        expect![[r#"
            error[E0280]: unknown key `htpp` in the configuration
             --> t.toml:2:2
              |
            2 | [htpp]
              |  ^^^^ no such key
              |
              = help: did you mean `http`?
              = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions, schedule, goal

            error[E0281]: `workers` of section `[engine]` must be an integer, found a string
             --> t.toml:5:11
              |
            5 | workers = "two"
              |           ^^^^^ expected an integer

            error[E0280]: unknown key `wrokers` in section `[engine]`
             --> t.toml:6:1
              |
            6 | wrokers = 2
              | ^^^^^^^ no such key
              |
              = help: did you mean `workers`?
              = note: keys: workers, data_dir, reload

            error[E0282]: `listen` may only be a loopback address, found 0.0.0.0:80
             --> t.toml:8:10
              |
            8 | listen = "0.0.0.0:80"
              |          ^^^^^^^^^^^^ reachable from outside without a token
              |
              = help: write "127.0.0.1:80" and put a proxy that authenticates in front of it

            error[E0282]: unknown value `mysqll` for `kind` of section `[[source]]`
              --> t.toml:10:8
               |
            10 | kind = "mysqll"
               |        ^^^^^^^^ not one of the possible values
               |
               = help: did you mean `mysql`?
               = note: possible: `mysql`, `jsonl`, `generate`, `binlog-file`, `deliveries`

            error[E0283]: section `[[source]]` has no `path`
              --> t.toml:11:1
               |
            11 | [[source]]
               | ^^^^^^^^^^ `path` is missing

            error[E0281]: `follow` of section `[[source]]` must be true or false, found a string
              --> t.toml:13:10
               |
            13 | follow = "yes"
               |          ^^^^^ expected true or false

            warning[E0285]: a password in clear in the URL
              --> t.toml:16:21
               |
            16 | url = "mysql://root:••••@localhost"
               |                     ^^^^ kept in the file
               |
               = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file

            error[E0282]: field `Order.total` is not in quotes
              --> t.toml:18:1
               |
            18 | Order.total = "1"
               | ^^^^^ the name of a field with a dot needs quotes
               |
               = help: write "Order.total" = …
               = note: a dot outside quotes makes a table in TOML

            error[E0281]: field `Order.n` must be a formula (a string) or a table, found an integer
              --> t.toml:19:13
               |
            19 | "Order.n" = 3
               |             ^ expected a formula (a string) or a table

            error[E0280]: unknown key `timming` in field `Order.m`
              --> t.toml:20:30
               |
            20 | "Order.m" = { formula = "1", timming = "immediate" }
               |                              ^^^^^^^ no such key
               |
               = help: did you mean `timing`?
               = note: keys: formula, timing, epsilon, init

            error[E0281]: `batch` of `timing` of field `Order.o` must be an integer, found a string
              --> t.toml:21:49
               |
            21 | "Order.o" = { formula = "1", timing = { batch = "many", wen = "x", or_after = 1 }, versioned = true }
               |                                                 ^^^^^^ expected an integer

            error[E0280]: unknown key `wen` in `timing` of field `Order.o`
              --> t.toml:21:57
               |
            21 | "Order.o" = { formula = "1", timing = { batch = "many", wen = "x", or_after = 1 }, versioned = true }
               |                                                         ^^^ no such key
               |
               = help: did you mean `when`?
               = note: keys: when, on_completion, batch, or_after, every, cron, zone, at, misfire

            error[E0281]: `or_after` of `timing` of field `Order.o` must be a string, found an integer
              --> t.toml:21:79
               |
            21 | "Order.o" = { formula = "1", timing = { batch = "many", wen = "x", or_after = 1 }, versioned = true }
               |                                                                               ^ expected a string

            error[E0287]: `versioned` of field `Order.o` is not built yet
              --> t.toml:21:84
               |
            21 | "Order.o" = { formula = "1", timing = { batch = "many", wen = "x", or_after = 1 }, versioned = true }
               |                                                                                    ^^^^^^^^^ not built yet
               |
               = help: leave it out

            error[E0283]: section `[[effect]]` has no `name`
              --> t.toml:22:1
               |
            22 | [[effect]]
               | ^^^^^^^^^^ `name` is missing

            error[E0287]: `durability` of section `[[effect]]` is not built yet
              --> t.toml:24:1
               |
            24 | durability = "do"
               | ^^^^^^^^^^ not built yet
               |
               = help: leave it out

            error[E0283]: an action has no `type`
              --> t.toml:25:12
               |
            25 | actions = [{ url = "x" }, { type = "webhook", url = "https://x", secret = "••••" }]
               |            ^^^^^^^^^^^^^ `type` is missing

            warning[E0285]: a secret in clear in `secret` of action `webhook`
              --> t.toml:25:76
               |
            25 | actions = [{ url = "x" }, { type = "webhook", url = "https://x", secret = "••••" }]
               |                                                                            ^^^^ kept in the file
               |
               = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file

            error[E0281]: section `[[goal]]` is a list of tables, found one table
              --> t.toml:26:1
               |
            26 | [goal]
               | ^^^^^^ expected double brackets
               |
               = help: write `[[goal]]`
        "#]],
    );
    check(
        "[http\nlisten = 3\n",
        expect![[r#"
        error[E0180]: bad TOML: unclosed table, expected `]`
         --> t.toml:1:6
          |
        1 | [http
          |      ^
    "#]],
    );
    check(
        "[app]\nname = \"a\"\nname = \"b\"\n",
        expect![[r#"
        error[E0180]: bad TOML: duplicate key
         --> t.toml:3:1
          |
        3 | name = "b"
          | ^^^^
    "#]],
    );
    check(
        "[[http]]\n[effect]\n",
        expect![[r#"
        error[E0281]: section `[http]` is one table, not a list
         --> t.toml:1:1
          |
        1 | [[http]]
          | ^^^^^^^^ expected a table
          |
          = help: write `[http]`

        error[E0281]: section `[[effect]]` is a list of tables, found one table
         --> t.toml:2:1
          |
        2 | [effect]
          | ^^^^^^^^ expected double brackets
          |
          = help: write `[[effect]]`
    "#]],
    );
}

#[test]
fn a_password_in_what_a_program_gets_is_seen() {
    check(
        r#"
[[effect]]
name = "big"
when = "Order.total > 100"
actions = [
    { type = "shell", command = ["curl", "https://me:hunter2@example.com"], env = { API_TOKEN = "s3cret", LANG = "C" } },
    { type = "handler", command = ["python3", "h.py", "mysql://me:${PW}@db"], env = { API_TOKEN = "${TOKEN}" } },
]
"#,
        expect![[r#"
            warning[E0285]: a password in clear in `command` of action `shell`
             --> t.toml:6:54
              |
            6 |     { type = "shell", command = ["curl", "https://me:••••@example.com"], env = { API_TOKEN = "••••", LANG = "C" } },
              |                                                      ^^^^ kept in the file
              |
              = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file

            warning[E0285]: a secret in clear in `API_TOKEN` of action `shell`
             --> t.toml:6:95
              |
            6 |     { type = "shell", command = ["curl", "https://me:••••@example.com"], env = { API_TOKEN = "••••", LANG = "C" } },
              |                                                                                               ^^^^ kept in the file
              |
              = help: write `${NAME}` for an environment variable or `${file:PATH}` for a file
        "#]],
    );
}

#[test]
fn what_tls_verifies_needs_tls() {
    check(
        r#"
[[source]]
kind = "mysql"
url = "mysql://reader@db.example/shop"
tls_ca = "ca.pem"
"#,
        expect![[r#"
            error[E0282]: `tls_ca` says what is verified, and nothing is without `tls = "required"`
             --> t.toml:5:10
              |
            5 | tls_ca = "ca.pem"
              |          ^^^^^^^^ has no effect
              |
              = help: add tls = "required"
        "#]],
    );
}
