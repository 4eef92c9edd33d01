//! Fields, their formulas and types.

use expect_test::expect;
use serde_json::{Value, json};

use super::check;

#[test]
fn a_field_stands_on_a_table_that_exists() {
    check(
        json!({ "tables": [{ "name": "Order" }], "fields": { "Ordr.total": "1" } }),
        expect![[r#"
            error field[0].name: E0230: unknown table `Ordr` in the field `Ordr.total`
              help: did you mean `Order`?
              note: tables: Order
        "#]],
    );
}

#[test]
fn a_field_has_a_name() {
    check(
        json!({ "tables": [{ "name": "Order" }],
            "fields": { "": "1", "Order.": "1", ".x": "1", "Order.a.b": "1" } }),
        expect![[r#"
            error field[0].name: E0237: a field needs a name
              help: write `Type.name`, or a name without a dot for a global field
            error field[1].name: E0237: `Order.` is not the name of a field of `Order`
              help: write `Type.name`, or a name without a dot for a global field
            error field[2].name: E0237: `.x` is not the name of a field
              help: write `Type.name`, or a name without a dot for a global field
            error field[3].name: E0237: `Order.a.b` is not the name of a field of `Order`
              help: write `Type.name`, or a name without a dot for a global field
        "#]],
    );
}

#[test]
fn two_fields_need_different_names() {
    check(
        serde_json::from_str::<serde_json::Value>(
            r#"{"fields": [
            { "name": "Order.total", "formula": "1" }, { "name": "Order.total", "formula": "2" } ] }"#,
        )
        .unwrap(),
        expect![[r#"
            error field[1].name: E0233: field `Order.total` is defined twice
              help: give one of them another name
        "#]],
    );
}

#[test]
fn eng_06_a_cycle_is_shown_whole() {
    check(
        json!({ "fields": { "Order.a": "b + 1", "Order.b": "c * 2", "Order.c": "a", "Order.d": "d", "Order.e": "a" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Order.a -> Order.b -> Order.c -> Order.a
              help: break it at one field, or read `self` where a field's own previous value is meant
            error field[3].formula: E0235: fields form a cycle: Order.d -> Order.d
              help: read `self` for the field's own value at the previous epoch
        "#]],
    );
}

#[test]
fn a_cycle_through_edges_is_shown_whole() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"], "relations": { "order": { "to": "Order", "key": "order_id" } } },
        ], "fields": { "Order.total": "sum(items[*].cost)", "Item.cost": "price * order.total" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Order.total -> Item.cost -> Order.total
              help: break it at one field, or read `self` where a field's own previous value is meant
        "#]],
    );
}

#[test]
fn names_of_reactions_are_not_known_to_fields() {
    check(
        json!({ "fields": { "Order.age": "now - created", "Order.change": "old.x != x", "Order.by": "tx.id" },
            "effects": [{ "name": "e", "on": "Order", "when": "event == 'x'" }, { "name": "f", "on": "Order", "when": "self > 1" }] }),
        expect![[r#"
            error field[0].formula: E0246: `now` is known to reactions only
              at `now`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error field[1].formula: E0246: `old` is known to reactions only
              at `old`: not known here
              help: a field reads the row as it is; conditions on a change belong to [[reactions]]; if it is a column, declare it
            error field[2].formula: E0246: `tx` is known to reactions only
              at `tx`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error effect[0].when: E0246: `event` is known to reactions only
              at `event`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error effect[1].when: E0246: `self` is known to fields only
              at `self`: not known here
              help: make a field that reads `self`, and read that field
        "#]],
    );
}

#[test]
fn a_keyless_table_has_no_fields_and_no_effects() {
    check(
        json!({ "tables": [{ "name": "Log", "key": [] }], "fields": { "Log.x": "1" },
            "effects": [{ "name": "e", "on": "Log", "when": "true" }] }),
        expect![[r#"
            error field[0].name: E0236: field `Log.x` needs a key on `Log`, which has none
              help: declare it: key = ["id"] in [[table]] "Log"
            error effect[0].on: E0236: effect `e` needs a key on `Log`, which has none
              help: declare it: key = ["id"] in [[table]] "Log", or use [[reactions]]
        "#]],
    );
}

#[test]
fn a_timing_says_when_and_in_one_way() {
    let field = |timing: Value| json!({ "formula": "1", "timing": timing });
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "columns": { "id": "int", "qty": "int", "name": "text", "on": "timestamp" } },
            { "name": "W", "group": { "of": "Order", "window": { "on": "on", "size": "1h", "emit": "final" } } },
        ], "fields": {
            "Order.a": field("batched".into()),
            "Order.b": field("conditional".into()),
            "Order.c": field("temporal".into()),
            "Order.d": field("on_completion".into()),
            "Order.e": field("sometimes".into()),
            "Order.f": field(json!({ "when": "qty > 0", "batch": 3 })),
            "Order.g": field(json!({})),
            "Order.h": field(json!({ "when": "qty" })),
            "Order.i": field(json!({ "on_completion": "qtty > 1" })),
            "Order.j": field(json!({ "batch": 0 })),
            "Order.k": { "formula": "self + qty", "timing": { "batch": 3 } },
            "Order.l": { "formula": "name", "epsilon": 0.5 },
            "Order.m": { "formula": "qty", "epsilon": 0.0 },
            "Order.n": { "formula": "qty", "timing": { "when": "o > 1" } },
            "Order.o": "n + 1",
            "Order.p": field(json!({ "every": "often" })),
            "Order.q": field(json!({ "every": "10ms" })),
            "Order.r": field(json!({ "cron": "0 0 30 2 *" })),
            "Order.s": field(json!({ "cron": "@daily", "zone": "Mars/Olympus", "misfire": "never" })),
            "Order.t": field(json!({ "every": "1h", "zone": "UTC", "or_after": "5s" })),
            "Order.u": field(json!({ "batch": 5, "or_after": "soon" })),
            "Order.v": field(json!({ "batch": 5, "misfire": "all" })),
            "Order.w": field(json!({ "at": "qty + 1" })),
            "Order.x": field(json!({ "at": "due_at" })),
            "Order.y": field(json!({ "every": "1h", "at": "due_at" })),
            "W.z": field(json!({ "every": "1h" })),
            "Order.za": { "formula": "self + qty", "timing": "lazy" },
            "Order.zb": { "formula": "qty", "timing": "lazy", "epsilon": 0.5 } } }),
        expect![[r#"
            error field[0].timing: E0260: field `Order.a` asks for timing `batched` and does not say which
              help: write timing = { batch = 1000 }
            error field[1].timing: E0260: field `Order.b` asks for timing `conditional` and does not say which
              help: write timing = { when = "open" }
            error field[2].timing: E0260: field `Order.c` asks for timing `temporal` and does not say which
              help: write timing = { every = "5m" }
            error field[3].timing: E0260: nothing says when a document of field `Order.d` is complete
              help: write timing = { on_completion = "status == 'closed'" } with its condition
              note: a window of time that ends is complete by itself: window = { …, emit = "final" }, whose fields are published once without a timing
            error field[4].timing: E0242: field `Order.e` asks for timing `sometimes`, which does not exist
              help: write timing = "immediate", or leave it out; or "lazy"; or a table: { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … }, { at = … }
            error field[5].timing: E0260: the timing of field `Order.f` is of several kinds: when, batch
              help: write one of { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … } and { at = … }
            error field[6].timing: E0260: the timing of field `Order.g` does not say when
              help: write one of { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … } and { at = … }
            error field[7].timing.when: E0240: the condition of the timing of field `Order.h` is int, not bool
              at `qty`
              help: compare it with something
            error field[9].timing.batch: E0260: a batch of field `Order.j` is 0 changes
              help: write a number from 1 to 1099511627776
            error field[10].timing: E0260: field `Order.k` reads `self` and has a timing, and `self` would be either of two values
              help: make it two fields: one that reads `self`, and one with the timing that reads that one
            error field[11].epsilon: E0260: the `epsilon` of field `Order.l` needs a number, and the field is text
              help: leave it out, or declare the types of the columns that it reads
            error field[12].epsilon: E0260: the `epsilon` of field `Order.m` is 0, which no change is smaller than
              help: write a number above 0, or leave it out
            error field[13].formula: E0235: fields form a cycle: Order.n -> Order.o -> Order.n
              help: break it at one field, or read `self` where a field's own previous value is meant
            error field[15].timing.every: E0260: field `Order.p` is to be published every `often`, which is no span of time
              help: write a number and a unit: "5m", "1h 30m", "PT90M"
            error field[16].timing.every: E0260: field `Order.q` is to be published every `10ms`, and moments are a second apart or more
              help: write timing = { batch = 1000, or_after = "10ms" }, which costs nothing where nothing waits
            error field[17].timing.cron: E0259: `0 0 30 2 *` is not a schedule: no time ever matches it
              help: write minute, hour, day, month and weekday: "30 3 * * MON-FRI"; "*/15 * * * *" is every quarter of an hour
            error field[18].timing.misfire: E0242: `never` is no way to treat times that have passed
              help: write "once", "all" or "skip"
            error field[18].timing.zone: E0259: no time zone is called `Mars/Olympus`
              help: write a name of the IANA database, such as "Europe/Berlin" or "UTC"
            error field[19].timing.or_after: E0260: the timing of field `Order.t` has `or_after` and no `batch`
              help: leave it out: for a time alone there is `every`
            error field[19].timing.zone: E0260: the timing of field `Order.t` has `zone` and no `cron`
              help: leave it out: every and at are the same in all zones
            error field[20].timing.or_after: E0260: a batch of field `Order.u` is to be published after `soon`, which is no span of time
              help: write a number and a unit: "5s", "1h 30m", "PT90M"
            error field[21].timing.misfire: E0260: the timing of field `Order.v` has `misfire` and no `every` or `cron`
              help: leave it out: no other moments can be missed
            error field[22].timing.at: E0240: the `at` of field `Order.w` is int, not a timestamp
              help: write a column or formula that gives one: due_at - duration('1h')
            error field[24].timing: E0260: the timing of field `Order.y` is of several kinds: every, at
              help: write one of { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … } and { at = … }
            error field[25].timing: E0260: the clock cannot publish field `W.z`: the windows of `W` stand still once they are over
              help: leave the timing out: fields of windows that end are published once; or write emit = "updates"
            error field[26].timing: E0260: field `Order.za` reads `self` and is lazy, and `self` steps with each change, asked for or not
              help: leave the timing out; or make it two fields: one that reads `self`, and a lazy one that reads that one
            error field[27].epsilon: E0260: field `Order.zb` is lazy and has an `epsilon`, and it publishes nothing
              help: leave one of them out: whoever asks gets the exact value
        "#]],
    );
}

#[test]
fn init_fits_the_field_and_needs_self() {
    check(
        json!({ "fields": {
            "Order.a": { "formula": "x + 1", "init": 1 }, "Order.b": { "formula": "self + 1", "init": "one" } } }),
        expect![[r#"
            error field[0].init: E0252: field `Order.a` has an `init`, but its formula does not read `self`
              help: leave `init` out, or read `self`
            error field[1].init: E0245: `init` is not a value of type int: "one" is not an int of 64 bits
              help: write a value of the field's type
        "#]],
    );
}

#[test]
fn a_formula_is_text_that_can_be_read() {
    check(
        json!({ "fields": { "Order.a": "price *" } }),
        expect![[r#"
            error field[0].formula: E0102: the formula ends where a value is expected
              at `*`: nothing follows `*`
              help: write the value, or remove this
        "#]],
    );
}

#[test]
fn an_unknown_field_names_its_near_miss() {
    check(
        json!({ "tables": [{ "name": "Order", "key": ["id"], "closed": true, "columns": { "id": "int", "status": "text" } }],
            "fields": { "Order.open": "staus == 'open'" } }),
        expect![[r#"
            error field[0].formula: E0203: unknown field `staus`
              at `staus`: table `Order` has no field `staus`
              help: did you mean `status`?
              note: fields: id, status, open, Order
        "#]],
    );
}

#[test]
fn types_are_checked_along_the_graph() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "name": "text", "n": "int" } }],
            "fields": { "Order.twice": "half * name", "Order.half": "n / 2" } }),
        expect![[r#"
            error field[0].formula: E0206: `*` cannot take int and text
              at `*`: int * text has no meaning
        "#]],
    );
}

#[test]
fn self_is_not_read_inside_an_aggregate() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"] },
        ], "fields": { "Order.t": "sum(items[*].price * self)" } }),
        expect![[r#"
            error field[0].formula: E0251: `self` cannot be read inside an aggregate
              at `sum(items[*].price * self)`
              help: make a field of the aggregate and combine it with `self`
        "#]],
    );
}

#[test]
fn an_aggregate_over_a_looked_up_documents_rows_cannot_read_this_row() {
    check(
        json!({ "tables": [
            { "name": "Customer", "key": ["id"], "relations": { "orders": { "table": "Order", "key": "customer_id" } } },
            { "name": "Order", "key": ["id"], "relations": { "customer": { "to": "Customer", "key": "customer_id" } } },
        ], "fields": { "Order.t": "sum(customer.orders[*].price * rate)" } }),
        expect![[r#"
            error field[0].formula: E0250: `rate` cannot be read at `customer`: no single row is meant
              at `sum(customer.orders[*].price * rate)`
              help: aggregate one relation at a time, or make a field of one part and read that
        "#]],
    );
}
