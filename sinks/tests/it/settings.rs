//! Wrong settings, as whole text.

use expect_test::expect;
use serde_json::json;
use thalweg_sinks::{SettingProblem, build, unresolved_secrets};

use crate::{action, context};

fn text(problems: &[SettingProblem]) -> String {
    let mut out = String::new();
    for SettingProblem { key, problem } in problems {
        out.push_str(&format!("{key}: {problem}\n"));
        out.extend(problem.help.iter().map(|help| format!("  help: {help}\n")));
        out.extend(problem.notes.iter().map(|note| format!("  note: {note}\n")));
    }
    out
}

fn problems(settings: serde_json::Value) -> String {
    text(&build(&action(settings), &context()).err().unwrap_or_default())
}

#[test]
fn right_settings_have_no_problems() {
    let url = "https://hooks.example.com/urgent";
    for settings in [
        json!({"type": "webhook", "url": url, "method": "POST"}),
        json!({"type": "webhook", "url": "${HOOK}", "secret": "${file:/run/s}", "headers": {"Authorization": "Bearer ${T}"}, "timeout": "5s"}),
        json!({"type": "webhook", "url": url, "retries": 3, "backoff": "1s..1m", "deadline": "1h", "max_body": "64KiB", "format": "raw"}),
        json!({"type": "log"}),
        json!({"type": "log", "path": "effects.jsonl"}),
        json!({"type": "sql-insert", "url": "mysql://root@localhost/my_app", "table": "event_log", "create": true}),
        json!({"type": "dolt-insert", "url": "mysql://root:${PW}@localhost", "database": "my_app", "table": "event_log"}),
        json!({"type": "shell", "command": ["./notify.sh", "--token=${TOKEN}"], "env": {"A": "${file:/a}"}, "pass_env": "HOME", "timeout": "1m"}),
        json!({"type": "shell", "command": ["true"], "retry_codes": [75, 69], "grace": "1s", "concurrency": 8, "directory": "/tmp", "format": "raw"}),
        json!({"type": "handler", "command": ["python3", "handler.py"], "timeout": "5s", "concurrency": 4, "env": {"A": "b"}}),
        json!({"type": "sql-sync", "url": "mysql://root@localhost/my_app"}),
        json!({"type": "sql-sync", "url": "${DB}", "table": "t", "key": "id", "columns": {"id": "{row.id}", "n": "{new.n}"}, "echo": "follow"}),
        json!({"type": "sql-upsert", "url": "${DB}", "table": "t", "except": ["secret"], "retries": 3}),
        json!({"type": "sql-delete", "url": "${DB}", "table": "t", "key": ["a", "b"]}),
        json!({"type": "sql-delete", "url": "${DB}", "table": "t", "columns": {"id": "{key.id}"}}),
        json!({"type": "sql-insert", "url": "${DB}", "table": "t", "columns": {"a": "{payload.id}", "b": "x"}, "timeout": "1s"}),
    ] {
        assert_eq!(problems(settings.clone()), "", "{settings}");
    }
}

#[test]
fn a_wrong_type_is_named_with_its_neighbours() {
    expect![[r#"
        type: E0501: unknown action type `webhok`
          help: did you mean `webhook`?
          note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
        type: E0501: unknown action type `carrier-pigeon`
          note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
    "#]]
    .assert_eq(
        &(problems(json!({"type": "webhok", "url": "x"})) + &problems(json!({"type": "carrier-pigeon", "command": ["x"]}))),
    );
}

#[test]
fn wrong_webhook_settings_are_all_named() {
    expect![[r#"
        url: E0503: an action of type `webhook` needs the setting `url`
          help: write url = "https://hooks.example.com/…"
        method: E0504: setting `method`: expected one of POST, PUT, PATCH, found `GET`
        headers.X-N: E0504: setting `headers.X-N`: expected a text, found a number
        headers.X-R: E0504: setting `headers.X-R`: a reference is written ${NAME} or ${file:/path}
        headers.webhook-id: E0504: setting `headers.webhook-id`: this header is set by the delivery itself
        headers.X Y: E0504: setting `headers.X Y`: this is not a header name
        headers.X-A: E0504: setting `headers.X-A`: the value holds characters that a header may not
        secret: E0504: setting `secret`: the text after `whsec_` is not base 64
        timeout: E0504: setting `timeout`: `15` is not a span of time like "15s", "10m" or "72h"
        format: E0504: setting `format`: expected one of cloudevents, raw, found `cloudevent`
          help: did you mean `cloudevents`?
        max_body: E0504: setting `max_body`: "1 TB" is not a size like "256KiB", "1MiB" or 1048576
        ulr: E0502: unknown setting `ulr` of an action of type `webhook`
          help: did you mean `url`?
          note: settings: after, backoff, body, deadline, delivery, digest, format, headers, max_body, method, preset, rate, retries, secret, text, timeout, url
        methd: E0502: unknown setting `methd` of an action of type `webhook`
          help: did you mean `method`?
          note: settings: after, backoff, body, deadline, delivery, digest, format, headers, max_body, method, preset, rate, retries, secret, text, timeout, url
    "#]]
    .assert_eq(&problems(json!({
        "type": "webhook",
        "ulr": "https://example.com",
        "methd": "POST",
        "method": "GET",
        "format": "cloudevent",
        "timeout": "15",
        "max_body": "1 TB",
        "secret": "whsec_!",
        "headers": {"webhook-id": "1", "X Y": "1", "X-A": "a\r\nb", "X-N": 1, "X-R": "${1}"},
    })));
}

#[test]
fn a_url_that_may_not_be_reached_is_refused_at_once() {
    let mut out = String::new();
    for url in ["http://10.0.0.1/", "http://localhost:1/", "https://u:p@example.com/", "ftp://example.com/", "example.com", "${A"]
    {
        let mut context = context();
        context.egress = Default::default();
        out += &text(&build(&action(json!({"type": "webhook", "url": url})), &context).err().unwrap());
    }
    expect![[r#"
        url: E0505: this url may not be reached: 10.0.0.1 is a private address, and [egress] allow does not name it
          help: if it is meant, write [egress] allow = ["10.0.0.1"]
        url: E0505: this url may not be reached: localhost is 127.0.0.1, a loopback address, and [egress] allow does not name it
          help: if it is meant, write [egress] allow = ["127.0.0.0/8"]
        url: E0505: this url may not be reached: a url must not carry a user or password; use headers = { Authorization = "…" }
        url: E0505: this url may not be reached: its scheme is not http or https
        url: E0504: setting `url`: relative URL without a base
        url: E0504: setting `url`: a reference `${` is not closed by `}`
    "#]]
    .assert_eq(&out);
}

#[test]
fn wrong_sql_settings_are_all_named() {
    let mut out = problems(json!({"type": "sql-insert"}));
    out += &problems(json!({
        "type": "dolt-insert", "url": "http://x", "table": "a\u{0}", "database": "", "create": 1, "sumary": "x", "actor": "{who}",
    }));
    out += &problems(json!({"type": "sql-insert", "url": "mysql://root@localhost", "table": "t"}));
    out += &problems(json!({
        "type": "sql-insert", "url": "mysql://h/d", "table": "t", "create": true, "summary": "x",
        "columns": {"a": "{payload.x", "b": 7, "c": "${SECRET}"},
    }));
    expect![[r#"
        table: E0503: an action of type `sql-insert` needs the setting `table`
          help: write table = "event_log"
        url: E0503: there is no database to write to
          help: write url = "mysql://user:${PASSWORD}@host:3306/database"
        create: E0504: setting `create`: expected true or false, found a number
        actor: E0504: setting `actor`: `{who}` names nothing; a column of the payload is `{payload.who}`
        database: E0504: setting `database`: `` is not a name of 1 to 64 characters
        table: E0504: setting `table`: `a\0` is not a name of 1 to 64 characters
        url: E0504: setting `url`: this is not a database url; it reads mysql://user:${PASSWORD}@host:3306/database
        sumary: E0502: unknown setting `sumary` of an action of type `dolt-insert`
          help: did you mean `summary`?
          note: settings: actor, after, backoff, columns, create, database, deadline, delivery, rate, retries, summary, table, timeout, url
        database: E0503: no setting names the database
          help: write database = "my_app"
        columns.b: E0504: setting `columns.b`: expected a text, found a number
        summary: E0504: setting `summary`: this does not go with `columns`, which names every column
        columns.a: E0504: setting `columns.a`: a `{` is not closed; write `{{` for a brace
        columns.c: E0504: setting `columns.c`: `{SECRET}` names nothing; a column of the payload is `{payload.SECRET}`
        create: E0504: setting `create`: the table of `create` has its own columns; make the table yourself where `columns` names others
    "#]].assert_eq(&out);
}

#[test]
fn wrong_settings_of_upserts_and_deletes_are_all_named() {
    let url = "mysql://root@localhost/d";
    let mut out = problems(json!({"type": "sql-upsert", "url": url, "key": 7, "echo": "loop"}));
    out += &problems(json!({"type": "sql-upsert", "url": url, "table": "t", "columns": {"a": "{new.x}"}, "except": ["b"]}));
    out += &problems(json!({
        "type": "sql-sync", "url": url, "key": ["id", "x"], "columns": {"ID": "{new.id}", "c": "{payload.old.c}", "d": "{neu.c}"}, "create": true, "conflict": "keep",
    }));
    out += &problems(json!({"type": "sql-upsert", "url": url, "table": "t", "conflict": "keep"}));
    out += &problems(json!({"type": "sql-delete", "url": url, "table": "t", "key": [], "except": ["a"]}));
    out += &problems(json!({"type": "sql-delete", "url": url, "table": "t", "key": ["a"], "columns": {"a": "{key.a}"}}));
    expect![[r#"
        table: E0503: an action of type `sql-upsert` needs the setting `table`
          help: write table = "orders"
        key: E0504: setting `key`: expected a list of texts
        echo: E0504: setting `echo`: expected one of follow, skip, found `loop`
        except: E0504: setting `except`: this does not go with `columns`, which names every column
        key: E0503: `columns` needs the setting `key`, which tells the columns that name the row
          help: write key = ["a"]
        columns.d: E0504: setting `columns.d`: `{neu.c}` names nothing; did you mean `{new}`?
        conflict: E0504: setting `conflict`: `keep` compares the columns of the source, so it does not go with `columns`; leave some out with `except`
        columns.ID: E0504: setting `columns.ID`: a column of the key must not read `new`, which is NULL when the row is deleted; read `row`
        key: E0504: setting `key`: `x` is not among `columns`
        create: E0502: unknown setting `create` of an action of type `sql-sync`
          help: did you mean `rate`?
          note: settings: after, backoff, columns, conflict, database, deadline, delivery, echo, except, key, rate, retries, table, timeout, url
        conflict: E0502: unknown setting `conflict` of an action of type `sql-upsert`
          note: settings: after, backoff, columns, database, deadline, delivery, echo, except, key, rate, retries, table, timeout, url
        key: E0504: setting `key`: no column is named
        except: E0502: unknown setting `except` of an action of type `sql-delete`
          note: settings: after, backoff, columns, database, deadline, delivery, echo, key, rate, retries, table, timeout, url
        key: E0504: setting `key`: this does not go with `columns`, which names the row to delete
    "#]].assert_eq(&out);
}

#[test]
fn wrong_shell_settings_are_all_named() {
    let mut out = problems(json!({"type": "shell"}));
    out += &problems(json!({"type": "shell", "command": "rm -rf ${DIR}"}));
    out += &problems(json!({"type": "shell", "command": []}));
    out += &problems(json!({"type": "shell", "command": ["a", 1]}));
    out += &problems(json!({"type": "shell", "command": ["a\u{0}"]}));
    out += &problems(json!({
        "type": "shell", "command": ["a", "${1}"], "env": {"A=B": "x", "THALWEG_EFFECT_ID": "x", "C": 1}, "pass_env": ["", "THALWEG_TOKEN"],
        "retry_codes": [0, 256], "concurrency": 0, "timeout": "forever", "grace": "1h", "shell": true,
    }));
    expect![[r#"
        command: E0503: an action of type `shell` needs the setting `command`
          help: write command = ["./notify.sh", "--urgent"]
        command: E0504: setting `command`: expected a list, the program and its arguments; a shell reads a line only where you say so: ["sh", "-c", "…"]
        command: E0504: setting `command`: expected a list, the program and its arguments; a shell reads a line only where you say so: ["sh", "-c", "…"]
        command: E0504: setting `command`: expected a list of texts
        command: E0504: setting `command`: `a\0` holds a NUL character
        command: E0504: setting `command`: a reference is written ${NAME} or ${file:/path}
        env.C: E0504: setting `env.C`: expected a text, found a number
        env.A=B: E0504: setting `env.A=B`: `A=B` is not the name of a variable
        env.THALWEG_EFFECT_ID: E0504: setting `env.THALWEG_EFFECT_ID`: `THALWEG_EFFECT_ID`: names that start with THALWEG_ are the delivery's own
        pass_env: E0504: setting `pass_env`: `` is not the name of a variable
        pass_env: E0504: setting `pass_env`: `THALWEG_TOKEN`: names that start with THALWEG_ are the delivery's own
        timeout: E0504: setting `timeout`: `forever` is not a span of time like "15s", "10m" or "72h"
        grace: E0504: setting `grace`: `1h` is not between 1ms and 30s
        retry_codes: E0504: setting `retry_codes`: expected a list of exit codes from 1 to 255
        concurrency: E0504: setting `concurrency`: expected a whole number from 1 to 64, found 0
        shell: E0502: unknown setting `shell` of an action of type `shell`
          note: settings: after, backoff, body, command, concurrency, deadline, delivery, digest, directory, env, format, grace, pass_env, rate, retries, retry_codes, timeout
    "#]].assert_eq(&out);
}

#[test]
fn wrong_handler_settings_are_all_named() {
    let mut out = problems(json!({"type": "handler"}));
    out += &problems(json!({"type": "handler", "name": "a", "command": ["b"]}));
    out += &problems(json!({"type": "handler", "name": "charge", "concurrency": 100, "env": {}}));
    out += &problems(json!({"type": "handler", "command": ["a"], "format": "raw", "timeout": 5}));
    let mut context = context();
    context.handlers.on("charge", |_| Ok(())).on("refund", |_| Ok(()));
    for name in ["chrage", "x"] {
        out += &text(&build(&action(json!({"type": "handler", "name": name})), &context).err().unwrap());
    }
    expect![[r#"
        command: E0503: an action of type `handler` needs the setting `command` or `name`
          help: write command = ["python3", "handler.py"]
        name: E0504: setting `name`: this does not go with `command`: a handler is a function or a program
        name: E0550: no handler is called `charge`
          help: functions are registered by the program that runs the graph; a program of its own is named by `command`
          note: registered: none
        concurrency: E0504: setting `concurrency`: expected a whole number from 1 to 64, found 100
        env: E0502: unknown setting `env` of an action of type `handler`
          note: settings: after, backoff, concurrency, deadline, delivery, digest, name, rate, retries, timeout
        timeout: E0504: setting `timeout`: expected a text, found a number
        format: E0502: unknown setting `format` of an action of type `handler`
          note: settings: after, backoff, command, concurrency, deadline, delivery, digest, directory, env, pass_env, rate, retries, timeout
        name: E0550: no handler is called `chrage`
          help: did you mean `charge`?
          note: registered: charge, refund
        name: E0550: no handler is called `x`
          help: functions are registered by the program that runs the graph; a program of its own is named by `command`
          note: registered: charge, refund
    "#]]
    .assert_eq(&out);
}

#[test]
fn secrets_that_are_not_there_are_told() {
    let spec = action(json!({
        "type": "webhook", "url": "https://example.com/${NOT_SET_1}", "secret": "hunter2",
        "headers": {"X-Api-Key": "${file:/not/there}", "X-Team": "open"},
    }));
    expect![[r#"
        url: E0506: `url` cannot be resolved: environment variable `NOT_SET_1` is not set
        headers.X-Api-Key: E0506: `headers.X-Api-Key` cannot be resolved: file `/not/there` cannot be read: No such file or directory (os error 2)
    "#]].assert_eq(&text(&unresolved_secrets(&spec, &context())));
}
