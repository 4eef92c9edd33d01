//! Timers, schedules, classifications and reactions.

use expect_test::expect;
use serde_json::json;

use super::check;

#[test]
fn a_delay_can_be_read_and_a_timer_names_its_event() {
    check(
        json!({ "classify": [{ "table": "t", "insert": "x" }],
            "reactions": [{ "event": "x", "timer": { "delay": "soon", "event": "" } }] }),
        expect![[r#"
            error reaction[0].timer.delay: E0244: `soon` is not a delay
              help: write for example "24h", "1d 2h", "90s" or "PT24H"
            error reaction[0].timer.event: E0237: a timer needs the name of the event that it raises
              help: write event = "…"
        "#]],
    );
}

#[test]
fn a_timer_knows_when_it_comes_and_what_cancels_it() {
    let on = json!([{ "name": "t", "key": ["id"], "columns": { "id": "int", "due": "timestamp", "n": "int" } }]);
    check(
        json!({ "tables": on, "classify": [{ "table": "t", "insert": "x", "delete": "gone" }, { "table": "u", "insert": "other" }],
            "reactions": [
                { "event": "x", "name": "none", "timer": { "event": "late" } },
                { "event": "x", "name": "both", "timer": { "delay": "1h", "at": "due", "event": "late" } },
                { "event": "x", "name": "type", "timer": { "at": "n + 1", "event": "late" } },
                { "event": "x", "name": "text", "timer": { "at": "due -", "event": "late" } },
                { "event": "x", "name": "when", "timer": { "delay": "1h", "event": "late", "cancel_when": "n" } },
                { "event": "x", "name": "on", "timer": { "delay": "1h", "event": "late", "cancel_on": ["gone", "gine", "other"] } },
            ] }),
        expect![[r#"
            error classify[1].table: E0230: unknown table `u` in [[classify]]
              help: declare it: [[table]] name = "u"
              note: tables: t
            error reaction[0].timer: E0244: a timer needs to know when it comes
              help: write delay = "24h", or at = "due_at" with a formula that gives a timestamp
            error reaction[1].timer.at: E0244: a timer has a `delay` or a time `at` which it comes, not both
              help: leave one of them out
            error reaction[2].timer.at: E0244: the time of a timer is int, not a timestamp
              at `n + 1`
              help: write a column or formula that gives one, such as timestamp(due) or tx.at + duration('1h')
            error reaction[3].timer.at: E0102: the formula ends where a value is expected
              at `-`: nothing follows `-`
              help: write the value, or remove this
            error reaction[4].timer.cancel_when: E0240: the condition of a reaction is int, not bool
              at `n`
              help: compare it with something
            warning reaction[5].timer.cancel_on[1]: E0248: nothing raises the event `gine` for a row that this timer waits for
              help: did you mean `gone`?
              note: events: gone, late, x
            warning reaction[5].timer.cancel_on[2]: E0248: nothing raises the event `other` for a row that this timer waits for
              note: events: gone, late, x
        "#]],
    );
}

#[test]
fn a_schedule_has_a_time_a_name_and_an_event() {
    check(
        json!({ "tables": [{ "name": "t", "key": ["id"] }], "schedules": [
            { "name": "a", "cron": "0 3 * *", "event": "x" },
            { "name": "b", "cron": "0 0 31 2 *", "event": "x" },
            { "name": "c", "cron": "@daily", "zone": "Europe/Berln", "event": "x" },
            { "cron": "@daily" },
            { "name": "d", "cron": "@daily", "event": "y", "misfire": "never" },
            { "name": "d", "cron": "@daily", "event": "x" },
            { "name": "t", "cron": "@daily", "event": "x" },
            { "name": "e", "cron": "@daily", "event": "x", "on": "tt" },
        ], "reactions": [{ "event": "x" }] }),
        expect![[r#"
            warning reaction[0].event: E0248: nothing raises the event `x`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
            error schedule[0].cron: E0259: `0 3 * *` is not a schedule: Invalid pattern: Pattern must have 5 or 6 fields when years are disallowed
              help: write minute, hour, day, month and weekday: "30 3 * * MON-FRI"; "*/15 * * * *" is every quarter of an hour
            error schedule[1].cron: E0259: `0 0 31 2 *` is not a schedule: no time ever matches it
              help: write minute, hour, day, month and weekday: "30 3 * * MON-FRI"; "*/15 * * * *" is every quarter of an hour
            error schedule[2].zone: E0259: no time zone is called `Europe/Berln`
              help: write a name of the IANA database, such as "Europe/Berlin" or "UTC"
            error schedule[3].event: E0237: a schedule needs the name of the event that it raises
              help: write event = "…"
            error schedule[3].name: E0237: a schedule needs a name
              help: write name = "…"
            warning schedule[4].event: E0248: nothing reacts to the event `y` that this schedule raises
              help: write [[reactions]] event = "y"
            error schedule[4].misfire: E0242: `never` is no way to treat times that have passed
              help: write "once", "all" or "skip"
            error schedule[5].name: E0233: schedule `d` is declared twice
              help: give one of them another name
            error schedule[6].name: E0233: schedule `t` has the name of a table
              help: give it another name, or write on = "t" to raise its event for each row
            error schedule[7].on: E0230: unknown table `tt` in schedule `e`
              help: did you mean `t`?
              note: tables: a, b, c, d, t
        "#]],
    );
}

#[test]
fn an_event_that_nothing_raises_is_warned_of() {
    check(
        json!({ "classify": [{ "table": "t", "insert": "issue.created" }],
            "reactions": [{ "event": "issue.craeted" }, { "event": "y" }, { "event": "" },
                { "event": "issue.created", "timer": { "delay": "1h", "event": "z" } } ] }),
        expect![[r#"
            warning reaction[0].event: E0248: nothing raises the event `issue.craeted`
              help: did you mean `issue.created`?
              note: events: issue.created, z
            warning reaction[1].event: E0248: nothing raises the event `y`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
              note: events: issue.created, z
            error reaction[2].event: E0237: a reaction needs the name of its event
              help: write event = "…"
            warning reaction[3].timer.event: E0248: nothing reacts to the event `z` that this timer raises
              help: did you mean `y`?
        "#]],
    );
}

#[test]
fn a_classification_names_events_of_a_table_that_exists() {
    check(
        json!({ "tables": [{ "name": "issues", "from": "app.issues" }], "classify": [
            { "database": "app", "table": "issues" }, { "database": "app", "table": "isues", "insert": "x" },
            { "table": "orders", "insert": "x" } ] }),
        expect![[r#"
            error classify[0].table: E0254: the classification of `issues` names no event
              help: write insert = "…", update = "…" or delete = "…"
            warning classify[1].table: E0255: table `app.isues` is named here only
              help: did you mean `app.issues`?
            error classify[2].table: E0230: unknown table `orders` in [[classify]]
              help: declare it: [[table]] name = "orders"
              note: tables: issues, isues
        "#]],
    );
}

#[test]
fn a_reaction_sees_one_change_of_one_row() {
    check(
        json!({ "fields": { "issues.score": "votes * 2" },
            "classify": [{ "table": "issues", "update": "x" }],
            "reactions": [{ "event": "x", "condition": "score > 3 && old.score < 3" }] }),
        expect![[r#"
            error reaction[0].condition: E0247: `score` is a derived field of `issues`: a reaction sees one change of one row
              at `score`: not part of a change
              help: use [[effect]] on = "issues" for a condition on it
        "#]],
    );
}
