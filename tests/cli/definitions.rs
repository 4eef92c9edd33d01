//! Wrong definitions, layer by layer: the whole text that `check` prints for each.

use expect_test::expect;

use super::harness::{Folder, check};

/// Three tables that most cases build on.
const SHOP: &str = r#"[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = { id = "int", customer_id = "int", status = "text", price = "decimal(10,2)", qty = "int" }
[table.relations]
items = { table = "Item", key = "order_id" }
customer = { to = "Customer", key = "customer_id" }

[[table]]
name = "Item"
key = ["id"]
columns = { id = "int", order_id = "int", price = "decimal(10,2)", qty = "int" }

[[table]]
name = "Customer"
key = ["id"]
columns = { id = "int", region = "text" }
"#;

/// A text after the three tables, whose lines are then not counted from the top of what is shown.
fn shop(text: &str) -> String {
    format!("{SHOP}{text}")
}

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
                r#"[[goal]]
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
              = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions

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
              = note: keys: app, engine, http, egress, source, reactor, table, fields, effect, classify, reactions

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
              = note: keys: name, on, when, payload, kind, mode, rearm, actions

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
              = note: keys: name, from, key, columns, relations

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
              = note: keys: formula, timing, init

            t.toml: 1 error
            === a key of a timer
            exit 3
            --- stderr
            error[E0283]: timer has no `delay`
             --> t.toml:6:9
              |
            6 | timer = { dely = "1h", event = "late" }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `delay` is missing

            error[E0280]: unknown key `dely` in timer
             --> t.toml:6:11
              |
            6 | timer = { dely = "1h", event = "late" }
              |           ^^^^ no such key
              |
              = help: did you mean `delay`?
              = note: keys: delay, event

            t.toml: 2 errors
            === what is not built yet
            exit 3
            --- stderr
            error[E0287]: `goal` of the configuration is not built yet
             --> t.toml:1:3
              |
            1 | [[goal]]
              |   ^^^^ not built yet
              |
              = help: leave it out

            t.toml: 1 error
        "#]],
    );
}

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
                "a timing that is not built yet",
                r#"[fields]
"Order.total" = { formula = "qty", timing = { batch = 1000 } }
"#,
            ),
            (
                "a field name without quotes",
                r#"[fields]
Order.total = "1"
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
            error[E0282]: unknown timing `sometimes`
             --> t.toml:2:45
              |
            2 | "Order.total" = { formula = "qty", timing = "sometimes" }
              |                                             ^^^^^^^^^^^ no such timing
              |
              = help: write `immediate`, or leave it out

            t.toml: 1 error
            === a timing that is not built yet
            exit 3
            --- stderr
            error[E0287]: a batched timing is not built yet
             --> t.toml:2:45
              |
            2 | "Order.total" = { formula = "qty", timing = { batch = 1000 } }
              |                                             ^^^^^^^^^^^^^^^^ not built yet
              |
              = note: built: immediate

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
fn a_formula_that_cannot_be_read_is_refused() {
    check(
        &[
            (
                "it ends too soon",
                &shop(
                    r#"
[fields]
"Order.total" = "price *"
"#,
                ),
            ),
            (
                "an unclosed bracket",
                &shop(
                    r#"
[fields]
"Order.total" = "(price * qty"
"#,
                ),
            ),
            (
                "an unclosed text",
                &shop(
                    r#"
[fields]
"Order.total" = "status == 'open"
"#,
                ),
            ),
            (
                "one equals sign",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "status = 'open'"
"#,
                ),
            ),
            (
                "a stray character",
                &shop(
                    r#"
[fields]
"Order.total" = "price # qty"
"#,
                ),
            ),
        ],
        expect![[r#"
            === it ends too soon
            exit 3
            --- stderr
            error[E0102]: the formula ends where a value is expected
              --> t.toml:21:24
               |
            21 | "Order.total" = "price *"
               |                        ^ nothing follows `*`
               |
               = help: write the value, or remove this

            t.toml: 1 error
            === an unclosed bracket
            exit 3
            --- stderr
            error[E0103]: unclosed `(`
              --> t.toml:21:18
               |
            21 | "Order.total" = "(price * qty"
               |                  ^ this bracket is never closed
               |
               = help: add `)`

            t.toml: 1 error
            === an unclosed text
            exit 3
            --- stderr
            error[E0101]: unclosed text
              --> t.toml:21:28
               |
            21 | "Order.total" = "status == 'open"
               |                            ^ this quote is never closed
               |
               = help: close the text with '; only a text in three quotes goes on over the end of its line

            t.toml: 1 error
            === one equals sign
            exit 3
            --- stderr
            error[E0104]: `=` is not an operator of this language
              --> t.toml:23:16
               |
            23 | when = "status = 'open'"
               |                ^ a comparison is written `==`
               |
               = help: write `==`

            t.toml: 1 error
            === a stray character
            exit 3
            --- stderr
            error[E0106]: unexpected character `#`
              --> t.toml:21:24
               |
            21 | "Order.total" = "price # qty"
               |                        ^ no token begins with this
               |
               = help: a comment begins with `//`

            t.toml: 1 error
        "#]],
    );
}

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
               = note: settings: backoff, deadline, format, headers, max_body, method, retries, secret, timeout, url

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

#[test]
fn types_that_do_not_go_together_are_refused() {
    check(
        &[
            (
                "text with a number",
                &shop(
                    r#"
[fields]
"Order.total" = "status + qty"
"#,
                ),
            ),
            (
                "a condition that is no condition",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty + 1"
"#,
                ),
            ),
            (
                "a sum of texts",
                &shop(
                    r#"
[fields]
"Order.total" = "sum(items[*].id) + status"
"#,
                ),
            ),
            (
                "the number of arguments",
                &shop(
                    r#"
[fields]
"Order.total" = "size()"
"#,
                ),
            ),
            (
                "children outside an aggregate",
                &shop(
                    r#"
[fields]
"Order.total" = "items[*].price"
"#,
                ),
            ),
            (
                "branches",
                &shop(
                    r#"
[fields]
"Order.total" = "qty > 1 ? 'many' : 1"
"#,
                ),
            ),
        ],
        expect![[r#"
            === text with a number
            exit 3
            --- stderr
            error[E0206]: `+` cannot take text and int
              --> t.toml:21:25
               |
            21 | "Order.total" = "status + qty"
               |                         ^ text + int has no meaning
               |
               = help: write `status + string(qty)`

            t.toml: 1 error
            === a condition that is no condition
            exit 3
            --- stderr
            error[E0240]: the condition of effect `a` is int, not bool
              --> t.toml:23:9
               |
            23 | when = "qty + 1"
               |         ^^^^^^^
               |
               = help: compare it with something

            t.toml: 1 error
            === a sum of texts
            exit 3
            --- stderr
            error[E0206]: `+` cannot take int and text
              --> t.toml:21:35
               |
            21 | "Order.total" = "sum(items[*].id) + status"
               |                                   ^ int + text has no meaning
               |
               = help: write `string(sum(items[*].id)) + status`

            t.toml: 1 error
            === the number of arguments
            exit 3
            --- stderr
            error[E0205]: `size` takes 1 argument, and 0 are given
              --> t.toml:21:18
               |
            21 | "Order.total" = "size()"
               |                  ^^^^ called with 0
               |
               = note: `size`: how many characters, bytes, elements or entries

            t.toml: 1 error
            === children outside an aggregate
            exit 3
            --- stderr
            error[E0208]: the pattern `items[*]` stands outside an aggregate
              --> t.toml:21:18
               |
            21 | "Order.total" = "items[*].price"
               |                  ^^^^^^^^ this is many values
               |
               = help: aggregate it: `sum(items[*]…)`, or count, avg, min, max

            t.toml: 1 error
            === branches
            exit 3
            --- stderr
            error[E0212]: the branches of `? :` have different types: text and int
              --> t.toml:21:26
               |
            21 | "Order.total" = "qty > 1 ? 'many' : 1"
               |                          ^ a field has one type
               |
               = help: convert the other one with string(), or take null for no value

            t.toml: 1 error
        "#]],
    );
}

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
mode = "ack"
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
               = help: write rearm = "edge" or rearm = "once", or leave it out

            t.toml: 1 error
            === a mode that is not built
            exit 3
            --- stderr
            error[E0242]: effect `a` asks for mode `ack`, which does not exist
              --> t.toml:24:8
               |
            24 | mode = "ack"
               |        ^^^^^
               |
               = help: write mode = "fire", or leave it out

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

#[test]
fn findings_are_data_with_json() {
    let text = shop("\n[fields]\n\"Order.total\" = \"prise * qtty\"\n");
    let folder = Folder::new(&[("t.toml", &text)]);
    let ran = folder.run(&["check", "t.toml", "--json"]);
    for line in ran.out.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["v"], 1);
    }
    ran.is(expect![[r#"
        exit 0
        --- stdout
        {"v":1,"severity":"warning","code":"E0253","message":"`prise` is read as an undeclared column of `Order`","file":"t.toml","line":21,"column":18,"end_line":21,"end_column":23,"label":"not declared","help":"did you mean `price`?","notes":[]}
    "#]]);
}

#[test]
fn a_right_definition_is_summed_up() {
    let folder = Folder::new(&[("t.toml", SHOP), ("reactor.toml", include_str!("../data/reactor.toml"))]);
    folder.run(&["check", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        t.toml: 11 fields, 0 formulas, 0 effects, 0 reactions, 0 sources
    "#]]);
    folder.run(&["check", "reactor.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        reactor.toml: 3 fields, 0 formulas, 0 effects, 3 reactions, 1 source
    "#]]);
    folder.run(&["check", "reactor.toml", "--json"]).is(expect![[r#"
        exit 0
    "#]]);
    let demo = Folder::new(&[("demo.toml", include_str!("../../src/cli/demo.toml"))]).env("DEMO_HOOK", "http://127.0.0.1:1/");
    demo.run(&["check", "demo.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        demo.toml: 30 fields, 14 formulas, 3 effects, 3 reactions, 1 source
    "#]]);
}
