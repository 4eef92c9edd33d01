//! Parts that are right one by one, and not together.

use expect_test::expect;

use super::shop;
use crate::cli::harness::check;

#[test]
fn a_definition_that_contradicts_itself_is_refused() {
    check(
        &[
            (
                "a cycle",
                &shop(
                    r#"
[fields]
"Order.a" = "b + 1"
"Order.b" = "c + 1"
"Order.c" = "a + 1"
"#,
                ),
            ),
            (
                "a field that is a column",
                &shop(
                    r#"
[fields]
"Order.price" = "1"
"#,
                ),
            ),
            (
                "a relation of two kinds",
                r#"[[table]]
name = "Order"
[table.relations]
items = { table = "Item", to = "Customer", key = "id" }
"#,
            ),
            (
                "two effects of one name",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
[[effect]]
name = "a"
on = "Order"
when = "qty > 2"
"#,
                ),
            ),
            (
                "old outside a reaction",
                &shop(
                    r#"
[fields]
"Order.total" = "old.qty"
"#,
                ),
            ),
            (
                "an effect of no table",
                &shop(
                    r#"
[[effect]]
name = "a"
when = "1 > 0"
"#,
                ),
            ),
            (
                "a rearm that does not exist",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
rearm = "never"
"#,
                ),
            ),
            (
                "a mode that is not built",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty > 1"
mode = "shout"
"#,
                ),
            ),
            (
                "a delay that is none",
                &shop(
                    r#"
[[classify]]
table = "Order"
insert = "placed"
[[reactions]]
event = "placed"
timer = { delay = "soon", event = "late" }
"#,
                ),
            ),
        ],
        expect![[r#"
            === a cycle
            exit 3
            --- stderr
            error[E0235]: fields form a cycle: Order.a -> Order.b -> Order.c -> Order.a
              --> t.toml:21:13
               |
            21 | "Order.a" = "b + 1"
               |             ^^^^^^^
               |
               = help: break it at one field, or read `self` where a field's own previous value is meant

            t.toml: 1 error
            === a field that is a column
            exit 3
            --- stderr
            error[E0233]: `Order.price` is both a field and a column
              --> t.toml:21:1
               |
            21 | "Order.price" = "1"
               | ^^^^^^^^^^^^^
               |
               = help: give one of them another name

            t.toml: 1 error
            === a relation of two kinds
            exit 3
            --- stderr
            error[E0282]: relation `items` needs exactly one of `table`, `to` and `json`
             --> t.toml:4:9
              |
            4 | items = { table = "Item", to = "Customer", key = "id" }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ neither child rows, nor a lookup, nor a JSON array
              |
              = note: { table = "Item", key = "order_id" }: child rows whose `order_id` is this key
              = note: { to = "Customer", key = "customer_id" }: the document that this row's `customer_id` names
              = note: { to = "Quote", by = "symbol", asof = "at" }: the newest one whose `at` is no later than this row's
              = note: { json = "lines", key = "sku" }: the elements of a JSON array column

            t.toml: 1 error
            === two effects of one name
            exit 3
            --- stderr
            error[E0233]: effect `a` has the name of an effect
              --> t.toml:25:8
               |
            25 | name = "a"
               |        ^^^
               |
               = help: give one of them another name

            t.toml: 1 error
            === old outside a reaction
            exit 3
            --- stderr
            error[E0246]: `old` is known to reactions only
              --> t.toml:21:18
               |
            21 | "Order.total" = "old.qty"
               |                  ^^^ not known here
               |
               = help: a field reads the row as it is; conditions on a change belong to [[reactions]]; if it is a column, declare it

            t.toml: 1 error
            === an effect of no table
            exit 3
            --- stderr
            error[E0239]: effect `a` does not say on which documents it stands
              --> t.toml:22:8
               |
            22 | when = "1 > 0"
               |        ^^^^^^^
               |
               = help: write on = "…", or start a path with the type's name

            t.toml: 1 error
            === a rearm that does not exist
            exit 3
            --- stderr
            error[E0242]: effect `a` asks for rearm `never`, which does not exist
              --> t.toml:24:9
               |
            24 | rearm = "never"
               |         ^^^^^^^
               |
               = help: write rearm = "edge" or rearm = "once" or rearm = "level", or leave it out

            t.toml: 1 error
            === a mode that is not built
            exit 3
            --- stderr
            error[E0242]: effect `a` asks for mode `shout`, which does not exist
              --> t.toml:24:8
               |
            24 | mode = "shout"
               |        ^^^^^^^
               |
               = help: write mode = "fire" or mode = "ack" or mode = "count", or leave it out

            t.toml: 1 error
            === a delay that is none
            exit 3
            --- stderr
            error[E0244]: `soon` is not a delay
              --> t.toml:25:19
               |
            25 | timer = { delay = "soon", event = "late" }
               |                   ^^^^^^
               |
               = help: write for example "24h", "1d 2h", "90s" or "PT24H"

            t.toml: 1 error
        "#]],
    );
}
