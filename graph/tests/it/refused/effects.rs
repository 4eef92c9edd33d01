//! Effects and actions.

use expect_test::expect;
use serde_json::json;

use super::check;

#[test]
fn an_effect_has_a_name_of_its_own() {
    check(
        json!({ "fields": { "Total": "1" }, "effects": [
            { "when": "Total > 1" }, { "name": "e", "when": "Total > 1" }, { "name": "e", "when": "Total > 2" },
            { "name": "Total", "when": "Total > 2" } ],
            "reactions": [{ "name": "e", "event": "x" }] }),
        expect![[r#"
            error effect[0].name: E0237: an effect needs a name
              help: write name = "…"; it is part of every effect id
            error effect[2].name: E0233: effect `e` has the name of an effect
              help: give one of them another name
            error effect[3].name: E0233: effect `Total` has the name of a field
              help: give one of them another name
            warning reaction[0].event: E0248: nothing raises the event `x`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
            error reaction[0].name: E0233: reaction `e` has the name of an effect
              help: give one of them another name
        "#]],
    );
}

#[test]
fn an_effect_stands_on_documents() {
    check(
        json!({ "tables": [{ "name": "Order" }, { "name": "Item" }], "effects": [
            { "name": "a", "when": "total > 1" }, { "name": "b", "when": "Order.x > Item.y" }, { "name": "c", "on": "Ordr", "when": "true" } ] }),
        expect![[r#"
            error effect[0].when: E0239: effect `a` does not say on which documents it stands
              help: write on = "…", or start a path with the type's name
            error effect[1].when: E0239: effect `b` does not say on which documents it stands
              help: write on = "…", or start a path with the type's name
            error effect[2].on: E0230: unknown table `Ordr` in effect `c`
              help: did you mean `Order`?
              note: tables: Item, Order
        "#]],
    );
}

#[test]
fn a_condition_is_a_truth_value() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "n": "int" } }],
            "effects": [{ "name": "a", "on": "Order", "when": "n + 1" }],
            "classify": [{ "table": "Order", "insert": "x" }], "reactions": [{ "event": "x", "condition": "n" }] }),
        expect![[r#"
            error effect[0].when: E0240: the condition of effect `a` is int, not bool
              at `n + 1`
              help: compare it with something
            error reaction[0].condition: E0240: the condition of a reaction is int, not bool
              at `n`
              help: compare it with something
        "#]],
    );
}

#[test]
fn a_payload_names_what_the_document_has() {
    check(
        json!({ "tables": [{ "name": "Order", "closed": true, "columns": { "total": "int", "id": "int" } }],
            "effects": [{ "name": "a", "on": "Order", "when": "total > 1", "payload": ["totl", "total + 1", "id"] }] }),
        expect![[r#"
            error effect[0].payload[0]: E0241: the payload of effect `a` names `totl`, which `Order` does not have
              help: did you mean `total`?
              note: names: id, total
            error effect[0].payload[1]: E0241: the payload of effect `a` names `total + 1`, which is a formula
              help: make it a field, and name the field
        "#]],
    );
}

#[test]
fn options_that_do_not_exist_are_refused() {
    check(
        json!({ "effects": [
            { "name": "a", "on": "Order", "when": "x > 1", "kind": "stack", "mode": "shout", "rearm": "levels" },
            { "name": "b", "on": "Order", "when": "x > 1", "ack": { "timeout": "30s" },
              "actions": [{ "type": "log", "ack": true }] },
            { "name": "c", "on": "Order", "when": "x > 1", "mode": "ack", "ack": { "timeout": "soon" } },
            { "name": "d", "on": "Order", "when": "x > 1", "mode": "count", "ack": { "retries": 2 } },
            { "name": "e", "on": "Order", "when": "x > 1", "rearm": "level" },
            { "name": "f", "on": "Order", "when": "x > 1", "rearm": "level", "every": "1ms" },
            { "name": "g", "on": "Order", "when": "x > 1", "every": "1h" } ] }),
        expect![[r#"
            error effect[0].kind: E0242: effect `a` asks for kind `stack`, which does not exist
              help: write kind = "queue" or kind = "boolean" or kind = "counter", or leave it out
            error effect[0].mode: E0242: effect `a` asks for mode `shout`, which does not exist
              help: write mode = "fire" or mode = "ack" or mode = "count", or leave it out
            error effect[0].rearm: E0242: effect `a` asks for rearm `levels`, which does not exist
              help: write rearm = "edge" or rearm = "once" or rearm = "level", or leave it out
            error effect[1].ack: E0242: effect `b` has `ack`, and in its mode no acknowledgement is waited for
              help: write mode = "ack" or mode = "count", or leave `ack` out
            error effect[2].ack: E0244: `soon` is not a time to wait for an acknowledgement
              help: write for example "30s", "10m", "24h" or "PT24H"
            error effect[3].ack: E0242: effect `d` repeats what is not acknowledged, and does not say after what time
              help: add timeout = "30s"
            error effect[4].rearm: E0242: effect `e` fires again while its condition holds, and does not say how often
              help: add every = "24h"
            error effect[5].every: E0244: `1ms` is not a time after which an effect fires again
              help: write for example "10m", "24h" or "PT24H"; 100 ms is the least
            error effect[6].every: E0242: effect `g` says every when it fires again, and does not ask for it
              help: add rearm = "level"
            error effect[1].actions[0].ack: E0242: an action asks for `ack`, which belongs to the effect
              help: write it beside mode = "ack" in [[effect]]
        "#]],
    );
}

#[test]
fn a_digest_is_of_triggers_that_are_delivered_one_by_one() {
    let actions = json!([{ "type": "log" }, { "type": "webhook", "digest": { "every": "1h" } }]);
    check(
        json!({ "effects": [
            { "name": "a", "on": "Order", "when": "x > 1", "mode": "ack", "actions": actions },
            { "name": "b", "on": "Order", "when": "x > 1", "kind": "boolean", "actions": actions },
            { "name": "c", "on": "Order", "when": "x > 1", "kind": "counter", "actions": actions } ] }),
        expect![[r#"
            error effect[0].actions[1].digest: E0242: effect `a` waits for an acknowledgement of each trigger, and a digest sends several as one
              help: leave `mode` out, or leave `digest` out
            error effect[1].actions[1].digest: E0242: effect `b` merges triggers of one document, and a digest sends several as one
              help: write kind = "queue", or leave `digest` out
        "#]],
    );
}

#[test]
fn an_action_has_a_type_that_exists() {
    check(
        json!({ "effects": [{ "name": "a", "on": "Order", "when": "x > 1",
            "actions": [{ "type": "webhok" }, { "type": "" }] }] }),
        expect![[r#"
            error effect[0].actions[0].type: E0243: unknown action type `webhok`
              help: did you mean `webhook`?
              note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
            error effect[0].actions[1].type: E0243: an action needs a type
              note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
        "#]],
    );
}
