//! Names that nothing has.

use expect_test::expect;

use super::shop;
use crate::cli::harness::check;

#[test]
fn a_name_that_nothing_has_is_refused_with_the_near_ones() {
    check(
        &[
            (
                "a column",
                &shop(
                    r#"
[fields]
"Order.total" = "customer.regoin"
"#,
                ),
            ),
            (
                "a relation",
                &shop(
                    r#"
[fields]
"Order.total" = "sum(itms[*].price)"
"#,
                ),
            ),
            (
                "a function",
                &shop(
                    r#"
[fields]
"Order.total" = "summ(items[*].price)"
"#,
                ),
            ),
            (
                "a table of a field",
                &shop(
                    r#"
[fields]
"Ordr.total" = "1"
"#,
                ),
            ),
            (
                "a table of a relation",
                r#"[[table]]
name = "Order"
key = ["id"]
[table.relations]
items = { table = "Itm", key = "order_id" }
[[table]]
name = "Item"
key = ["id"]
[fields]
"Order.n" = "count(items[*].id)"
"#,
            ),
            (
                "an event",
                &shop(
                    r#"
[[classify]]
table = "Order"
insert = "order.placed"
[[reactions]]
event = "order.plcaed"
"#,
                ),
            ),
            (
                "an action",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
actions = [{ type = "webhok", url = "https://example.com" }]
"#,
                ),
            ),
            (
                "a setting of an action",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
actions = [{ type = "webhook", ulr = "https://example.com" }]
"#,
                ),
            ),
            (
                "a payload",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
payload = ["id", "prcie", "customer.regoin", "note"]
"#,
                ),
            ),
            (
                "a type of a column",
                r#"[[table]]
name = "Order"
key = ["id"]
columns = { id = "itn" }
"#,
            ),
            (
                "a key",
                r#"[[table]]
name = "Order"
key = ["id"]
columns = { id = "int" }
[table.relations]
a = { to = "Order", key = ["x", "y"] }
[fields]
"Order.n" = "a.id"
"#,
            ),
        ],
        expect![[r#"
            === a column
            exit 0
            --- stdout
            t.toml: 13 fields, 1 formula, 0 effects, 0 reactions, 0 sources
            --- stderr
            warning[E0253]: `regoin` is read as an undeclared column of `Customer`
              --> t.toml:21:27
               |
            21 | "Order.total" = "customer.regoin"
               |                           ^^^^^^ not declared
               |
               = help: did you mean `region`?
            === a relation
            exit 0
            --- stdout
            t.toml: 13 fields, 1 formula, 0 effects, 0 reactions, 0 sources
            --- stderr
            warning[E0253]: `itms` is read as an undeclared column of `Order`
              --> t.toml:21:22
               |
            21 | "Order.total" = "sum(itms[*].price)"
               |                      ^^^^ not declared
               |
               = help: did you mean `items`?
            === a function
            exit 3
            --- stderr
            error[E0204]: unknown function `summ`
              --> t.toml:21:18
               |
            21 | "Order.total" = "summ(items[*].price)"
               |                  ^^^^ no function is called so
               |
               = help: did you mean `sum`?

            error[E0208]: the pattern `items[*]` stands outside an aggregate
              --> t.toml:21:23
               |
            21 | "Order.total" = "summ(items[*].price)"
               |                       ^^^^^^^^ this is many values
               |
               = help: aggregate it: `sum(items[*]…)`, or count, avg, min, max

            t.toml: 2 errors
            === a table of a field
            exit 3
            --- stderr
            error[E0230]: unknown table `Ordr` in the field `Ordr.total`
              --> t.toml:21:1
               |
            21 | "Ordr.total" = "1"
               | ^^^^^^^^^^^^
               |
               = help: did you mean `Order`?
               = note: tables: Customer, Item, Order

            t.toml: 1 error
            === a table of a relation
            exit 3
            --- stderr
            error[E0230]: unknown table `Itm` in relation `items` of `Order`
             --> t.toml:5:19
              |
            5 | items = { table = "Itm", key = "order_id" }
              |                   ^^^^^
              |
              = help: did you mean `Item`?
              = note: tables: Item, Order

            t.toml: 1 error
            === an event
            exit 0
            --- stdout
            t.toml: 11 fields, 0 formulas, 0 effects, 1 reaction, 0 sources
            --- stderr
            warning[E0248]: nothing raises the event `order.plcaed`
              --> t.toml:24:9
               |
            24 | event = "order.plcaed"
               |         ^^^^^^^^^^^^^^
               |
               = help: did you mean `order.placed`?
               = note: events: order.placed
            === an action
            exit 3
            --- stderr
            error[E0243]: unknown action type `webhok`
              --> t.toml:24:21
               |
            24 | actions = [{ type = "webhok", url = "https://example.com" }]
               |                     ^^^^^^^^
               |
               = help: did you mean `webhook`?
               = note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log

            t.toml: 1 error
            === a setting of an action
            exit 3
            --- stderr
            error[E0503]: an action of type `webhook` needs the setting `url`
              --> t.toml:24:12
               |
            24 | actions = [{ type = "webhook", ulr = "https://example.com" }]
               |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: write url = "https://hooks.example.com/…"

            error[E0502]: unknown setting `ulr` of an action of type `webhook`
              --> t.toml:24:38
               |
            24 | actions = [{ type = "webhook", ulr = "https://example.com" }]
               |                                      ^^^^^^^^^^^^^^^^^^^^^
               |
               = help: did you mean `url`?
               = note: settings: after, backoff, body, deadline, delivery, digest, format, headers, max_body, method, preset, rate, retries, secret, text, timeout, url

            t.toml: 2 errors
            === a payload
            exit 0
            --- stdout
            t.toml: 14 fields, 0 formulas, 1 effect, 0 reactions, 0 sources
            --- stderr
            warning[E0253]: `prcie` is read as an undeclared column of `Order`
              --> t.toml:24:18
               |
            24 | payload = ["id", "prcie", "customer.regoin", "note"]
               |                  ^^^^^^^
               |
               = help: did you mean `price`?

            warning[E0253]: `regoin` is read as an undeclared column of `Customer`
              --> t.toml:24:27
               |
            24 | payload = ["id", "prcie", "customer.regoin", "note"]
               |                           ^^^^^^^^^^^^^^^^^
               |
               = help: did you mean `region`?
            === a type of a column
            exit 3
            --- stderr
            error[E0229]: unknown type `itn`
             --> t.toml:4:18
              |
            4 | columns = { id = "itn" }
              |                  ^^^^^
              |
              = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn

            t.toml: 1 error
            === a key
            exit 3
            --- stderr
            error[E0232]: relation `a` of `Order` names 2 columns of `Order`, but the key of `Order` has 1 column
             --> t.toml:6:27
              |
            6 | a = { to = "Order", key = ["x", "y"] }
              |                           ^^^^^^^^^^
              |
              = help: name one column for each of: id

            t.toml: 1 error
        "#]],
    );
}
