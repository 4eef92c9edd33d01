//! Golden plans: one for each way in which rows meet.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::plan_text;

fn check(definition: Value, expected: Expect) {
    expected.assert_eq(&plan_text(definition, &[]));
}

/// Orders, their items, customers.
fn shop() -> Value {
    json!([
        { "name": "Customer", "key": ["id"], "columns": { "id": "int", "rate": "double" }, "relations": {
            "orders": { "table": "Order", "key": "customer_id" }, "region": { "to": "Region", "key": "region_id" } } },
        { "name": "Order", "key": ["id"], "columns": { "id": "int", "customer_id": "int" }, "relations": {
            "items": { "table": "Item", "key": "order_id" }, "customer": { "to": "Customer", "key": "customer_id" },
            "lines": { "json": "lines" } } },
        { "name": "Item", "key": ["id"], "columns": { "id": "int", "name": "text", "order_id": "int", "price": "decimal(10,2)", "qty": "int" },
          "relations": { "order": { "to": "Order", "key": "order_id" } } },
        { "name": "Region", "key": ["id"], "columns": { "id": "int", "name": "text" } },
    ])
}

#[test]
fn fields_of_one_row_are_cells_of_one_region() {
    check(
        json!({
            "fields": { "Document.total": "price * qty", "Document.gross": "Document.total * 1.2" },
            "effects": [{ "name": "big", "on": "Document", "when": "gross > 100.0", "payload": ["id", "total"] }],
        }),
        expect![[r#"
            Document, key not known yet
              region 0, level 0
                0  price: dyn  column
                1  qty: dyn  column
                2  id: dyn  column
                3  Document.total: dyn  = price * qty
                   incremental: a function of its own row
                4  Document.gross: dyn  = Document.total * 1.2
                   incremental: a function of its own row
                5  effect big: bool  = Document.gross > 100.0
            effect big on Document when gross > 100.0
              region 0, condition slot 5, sends id = slot 2, total = slot 3
        "#]],
    );
}

#[test]
fn an_order_and_the_sum_of_its_items_are_one_region() {
    check(
        json!({ "tables": shop(), "fields": {
            "Order.total": "sum(items[*].price * items[*].qty)",
            "Order.average": "total / count(items[*])",
            "Order.dearest": "max(items[*].price)",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 3, level 1
                0  sum(items[*].price * items[*].qty): decimal(76,2)  <- sum of Item `price * qty` by order_id, region 1
                1  count(items[*]): int  <- count of Item `true` by order_id, region 1
                2  max(items[*].price): decimal(10,2)  <- max of Item `price` by order_id, region 1
                3  Order.total: decimal(76,2)  = `sum(items[*].price * items[*].qty)`
                   incremental: sum is an accumulator, one step for each changed row
                4  Order.average: decimal(76,6)  = Order.total / `count(items[*])`
                   incremental: count is an accumulator, one step for each changed row
                5  Order.dearest: decimal(10,2)  = `max(items[*].price)`
                   incremental: max keeps its values in order, O(log n) for each changed row
            Item, key id
              region 1, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
                2  qty: int  column
                3  price * qty: decimal(29,2)  = price * qty
                4  true: bool  = true
            Region, key id
              region 2, level 0
        "#]],
    );
}

#[test]
fn an_aggregate_of_two_values_reads_both_of_its_rows() {
    check(
        json!({ "tables": shop(), "fields": {
            "Order.last": "last(items[*].price, 2, items[*].qty * 2)",
            "Order.trend": "corr(items[*].price, items[*].qty)",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 3, level 1
                0  last(items[*].price, 2, items[*].qty * 2): list(decimal(10,2))  <- last 2 of Item `price` in the order of `qty * 2` by order_id, region 1
                1  corr(items[*].price, items[*].qty): double  <- corr of Item `price` and `qty` by order_id, region 1
                2  Order.last: list(decimal(10,2))  = `last(items[*].price, 2, items[*].qty * 2)`
                   incremental: last keeps its rows in order, O(log n) for each changed row and 2 values to show
                3  Order.trend: double  = `corr(items[*].price, items[*].qty)`
                   incremental: corr is exact sums of values and products, one step for each changed row
            Item, key id
              region 1, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
                2  qty: int  column
                3  qty * 2: int  = qty * 2
            Region, key id
              region 2, level 0
        "#]],
    );
}

#[test]
fn grandchildren_are_reached_through_a_field_or_directly() {
    check(
        json!({ "tables": shop(), "fields": {
            "Order.total": "sum(items[*].price)",
            "Customer.spent": "sum(orders[*].total)",
            "Customer.dearest": "max(orders[*].items[*].price)",
        } }),
        expect![[r#"
            Customer, key id
              region 3, level 2
                0  sum(orders[*].total): decimal(76,2)  <- sum of Order `Order.total` by customer_id, region 2
                1  max(orders[*].items[*].price): decimal(10,2)  <- max of Order `max(items[*].price)` by customer_id, region 2
                2  Customer.spent: decimal(76,2)  = `sum(orders[*].total)`
                   incremental: sum is an accumulator, one step for each changed row
                3  Customer.dearest: decimal(10,2)  = `max(orders[*].items[*].price)`
                   incremental: max keeps its values in order, O(log n) for each changed row
            Order, key id
              region 2, level 1
                0  customer_id: int  column
                1  sum(items[*].price): decimal(76,2)  <- sum of Item `price` by order_id, region 0
                2  max(items[*].price): decimal(10,2)  <- max of Item `price` by order_id, region 0
                3  Order.total: decimal(76,2)  = `sum(items[*].price)`
                   incremental: sum is an accumulator, one step for each changed row
            Item, key id
              region 0, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
            Region, key id
              region 1, level 0
        "#]],
    );
}

#[test]
fn lookups_go_through_hidden_fields() {
    check(
        json!({ "tables": shop(), "fields": {
            "Order.place": "customer.region.name",
            "Order.rate": "customer.rate",
            "Item.place": "order.place",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
                0  rate: double  column
                1  region_id: dyn  column
              region 4, level 2
                0  region.name: text  <- Region `name` by region_id, region 3, index at level 1
            Order, key id
              region 1, level 0
                0  customer_id: int  column
              region 5, level 4
                0  customer.region.name: text  <- Customer `region.name` by customer_id, region 4, index at level 3
                1  customer.rate: double  <- Customer `rate` by customer_id, region 0, index at level 1
                2  Order.place: text  = customer.region.name
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                3  Order.rate: double  = customer.rate
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Item, key id
              region 2, level 0
                0  order_id: int  column
              region 6, level 6
                0  order.place: text  <- Order `Order.place` by order_id, region 5, index at level 5
                1  Item.place: text  = order.place
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Region, key id
              region 3, level 0
                0  name: text  column
        "#]],
    );
}

#[test]
fn a_share_of_a_total_gives_its_table_two_strata() {
    check(
        json!({ "tables": shop(), "fields": {
            "Order.total": "sum(items[*].price)",
            "Item.share": "price / order.total",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 3, level 1
                0  sum(items[*].price): decimal(76,2)  <- sum of Item `price` by order_id, region 1
                1  Order.total: decimal(76,2)  = `sum(items[*].price)`
                   incremental: sum is an accumulator, one step for each changed row
            Item, key id
              region 1, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
              region 4, level 3
                0  price: decimal(10,2)  from region 1
                1  order.total: decimal(76,2)  <- Order `Order.total` by order_id, region 3, index at level 2
                2  Item.share: decimal(16,6)  = price / order.total
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Region, key id
              region 2, level 0
        "#]],
    );
}

#[test]
fn the_body_of_an_aggregate_looks_its_parent_up() {
    check(
        json!({ "tables": shop(), "fields": { "Customer.weighted": "sum(orders[*].id * rate)" } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
                0  rate: double  column
              region 5, level 3
                0  sum(orders[*].id * rate): double  <- sum of Order `id * Customer.rate` by customer_id, region 4
                1  Customer.weighted: double  = `sum(orders[*].id * rate)`
                   incremental: sum is an accumulator, one step for each changed row
            Order, key id
              region 1, level 0
                0  customer_id: int  column
                1  id: int  column
              region 4, level 2
                0  id: int  from region 1
                1  customer_id: int  from region 1
                2  Customer.rate: double  <- Customer `rate` by customer_id, region 0, index at level 1
                3  id * Customer.rate: double  = id * Customer.rate
            Item, key id
              region 2, level 0
            Region, key id
              region 3, level 0
        "#]],
    );
}

#[test]
fn a_global_field_aggregates_a_whole_table_and_is_read_by_any_document() {
    check(
        json!({ "tables": shop(), "fields": {
            "Revenue": "sum(Item[*].price)",
            "Half": "Revenue / 2",
            "Item.part": "price / Revenue",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 1, level 0
            Item, key id
              region 2, level 0
                0  price: decimal(10,2)  column
                1  true: bool  = true
              region 5, level 3
                0  price: decimal(10,2)  from region 2
                1  Revenue: decimal(76,2)  <- global `Revenue`, region 4, index at level 2
                2  Item.part: decimal(16,6)  = price / Revenue
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Region, key id
              region 3, level 0
            global
              region 4, level 1
                0  sum(Item[*].price): decimal(76,2)  <- sum of Item `price`, region 2
                1  Revenue: decimal(76,2)  = `sum(Item[*].price)`
                   incremental: sum is an accumulator, one step for each changed row
                2  Half: decimal(76,6)  = Revenue / 2
                   incremental: a function of its own row
        "#]],
    );
}

#[test]
fn a_self_reference_reads_its_own_slot() {
    check(
        json!({ "tables": shop(), "fields": {
            "Item.running": "self + price",
            "Item.doubled": { "formula": "self * 2 + qty", "init": 1 },
            "Item.longest": "self > qty ? self : qty",
            "Item.names": "self + name",
            "Item.sold": "self || qty > 0",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 1, level 0
            Item, key id
              region 2, level 0
                0  name: text  column
                1  price: decimal(10,2)  column
                2  qty: int  column
                3  Item.running: decimal(76,2)  = self + price, self at first decimal('0.00')
                   incremental: one step for each epoch in which an input changes
                4  Item.doubled: int  = self * 2 + qty, self at first 1
                   incremental: one step for each epoch in which an input changes
                5  Item.longest: int  = self > qty ? self : qty, self at first 0
                   incremental: one step for each epoch in which an input changes
                6  Item.names: text  = self + name, self at first ''
                   incremental: one step for each epoch in which an input changes
                7  Item.sold: bool  = self || qty > 0, self at first false
                   incremental: one step for each epoch in which an input changes
            Region, key id
              region 3, level 0
        "#]],
    );
}

#[test]
fn equal_expressions_are_computed_once() {
    check(
        json!({ "tables": shop(), "fields": {
            "Item.net": "price * qty",
            "Item.gross": "price * qty + 5",
            "Item.high": "(price * qty + 5) * 2",
            "Item.same": "price * qty",
            "Order.total": "sum(items[*].price * items[*].qty)",
            "Order.again": "sum(items[*].price * items[*].qty) + 1",
        } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 3, level 1
                0  sum(items[*].price * items[*].qty): decimal(76,2)  <- sum of Item `Item.net` by order_id, region 1
                1  Order.total: decimal(76,2)  = `sum(items[*].price * items[*].qty)`
                   incremental: sum is an accumulator, one step for each changed row
                2  Order.again: decimal(76,2)  = `sum(items[*].price * items[*].qty)` + 1
                   incremental: sum is an accumulator, one step for each changed row
            Item, key id
              region 1, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
                2  qty: int  column
                3  Item.net: decimal(29,2)  = price * qty
                   incremental: a function of its own row
                4  Item.gross: decimal(30,2)  = Item.net + 5
                   incremental: a function of its own row
                5  Item.high: decimal(49,2)  = Item.gross * 2
                   incremental: a function of its own row
                6  Item.same: decimal(29,2)  = Item.net
                   incremental: a function of its own row
            Region, key id
              region 2, level 0
        "#]],
    );
}

#[test]
fn an_array_column_is_one_value() {
    check(
        json!({ "tables": shop(), "fields": { "Order.sold": "sum(lines[*].price)" } }),
        expect![[r#"
            Customer, key id
              region 0, level 0
            Order, key id
              region 1, level 0
                0  lines: dyn  column
                1  Order.sold: dyn  = sum(lines.map(x, x.price))
                   recomputed: the array `lines` is one value
            Item, key id
              region 2, level 0
            Region, key id
              region 3, level 0
        "#]],
    );
}

#[test]
fn an_effect_stands_where_its_payload_can_be_read() {
    check(
        json!({ "tables": shop(),
            "fields": { "Order.total": "sum(items[*].price)" },
            "effects": [
                { "name": "first", "when": "Order.id > 100", "payload": ["id", "total", "customer.rate"], "rearm": "once" },
                { "name": "default payload", "on": "Order", "when": "total > 100 && customer.rate > 0.5",
                  "actions": [{ "type": "log" }] },
            ] }),
        expect![[r#"
            Customer, key id
              region 0, level 0
                0  rate: double  column
            Order, key id
              region 1, level 0
                0  customer_id: int  column
                1  id: int  column
              region 4, level 2
                0  id: int  from region 1
                1  sum(items[*].price): decimal(76,2)  <- sum of Item `price` by order_id, region 2
                2  customer.rate: double  <- Customer `rate` by customer_id, region 0, index at level 1
                3  Order.total: decimal(76,2)  = `sum(items[*].price)`
                   incremental: sum is an accumulator, one step for each changed row
                4  effect first: bool  = id > 100
                5  effect default payload: bool  = Order.total > 100 && customer.rate > 0.5
            Item, key id
              region 2, level 0
                0  order_id: int  column
                1  price: decimal(10,2)  column
            Region, key id
              region 3, level 0
            effect first on Order when Order.id > 100, once
              region 4, condition slot 4, sends id = slot 0, total = slot 3, customer.rate = slot 2
            effect default payload on Order when total > 100 && customer.rate > 0.5
              region 4, condition slot 5, sends id = slot 0, total = slot 3, customer.rate = slot 2
              log
        "#]],
    );
}

#[test]
fn reactions_follow_classified_changes_and_timers() {
    check(
        json!({
            "classify": [{ "database": "my_app", "table": "issues", "insert": "issue.created", "update": "issue.updated" }],
            "reactions": [
                { "event": "issue.created", "condition": "priority <= 1", "actions": [{ "type": "webhook", "url": "https://x" }] },
                { "event": "issue.updated", "condition": "old.status != new.status" },
                { "event": "issue.created", "condition": "type == 'decision'",
                  "timer": { "delay": "24h", "event": "decision.expired" } },
                { "event": "decision.expired", "condition": "old.status == new.status && status == 'open'" },
            ],
        }),
        expect![[r#"
            issues from my_app.issues, key not known yet, whole rows kept
              region 0, level 0
            reaction issue.created to issue.created (insert of issues) when priority <= 1
              webhook
            reaction issue.updated to issue.updated (update of issues) when old.status != new.status
            reaction issue.created#2 to issue.created (insert of issues) when type == 'decision'
              arms decision.expired after 1d
            reaction decision.expired to decision.expired (a timer of issues) when old.status == new.status && status == 'open'
        "#]],
    );
}

#[test]
fn timers_are_put_off_and_cancelled_and_schedules_raise_events() {
    check(
        json!({
            "tables": [{ "name": "Order", "key": ["id"], "columns": { "id": "int", "due": "timestamp", "paid": "bool" } }],
            "classify": [{ "table": "Order", "insert": "came", "update": "changed", "delete": "went" }],
            "schedules": [
                { "name": "nightly", "cron": "0 3 * * *", "zone": "Europe/Berlin", "event": "night" },
                { "name": "hourly", "cron": "@hourly", "event": "look", "on": "Order" },
            ],
            "reactions": [
                { "event": "came", "timer": { "at": "due + duration('1h')", "event": "late", "cancel_when": "paid" } },
                { "event": "changed", "timer": { "delay": "24h", "event": "stale", "reset": true, "cancel_on": ["went"] } },
                { "event": "late" }, { "event": "stale" }, { "event": "night" }, { "event": "look", "condition": "!paid" },
            ],
        }),
        expect![[r#"
            Order, key id, whole rows kept
              region 0, level 0
            nightly, no key, whole rows kept
              region 1, level 0
            reaction came to came (insert of Order)
              arms late at due + duration('1h')
            reaction changed to changed (update of Order)
              arms stale after 1d, one for each row
            reaction late to late (a timer of Order)
            reaction stale to stale (a timer of Order)
            reaction night to night (a timer of nightly)
            reaction look to look (a timer of Order) when !paid
            timer of came cancelled by insert of Order where its condition holds
            timer of came cancelled by update of Order where its condition holds
            timer of came cancelled by delete of Order
            timer of changed cancelled by delete of Order
            schedule nightly raises night: 0 3 * * * Europe/Berlin
            schedule hourly raises look for each row of Order: @hourly UTC
        "#]],
    );
}

#[test]
fn an_aggregate_inside_an_aggregate_belongs_to_the_row_between() {
    check(
        json!({ "tables": shop(), "fields": {
            "Customer.scored": "sum(orders[*].id * sum(orders[*].items[*].qty))",
            "Customer.average": "avg(orders[*].items[*].qty)",
        } }),
        expect![[r#"
            Customer, key id
              region 5, level 3
                0  sum(orders[*].id * sum(orders[*].items[*].qty)): int  <- sum of Order `id * `sum(items[*].qty)`` by customer_id, region 3
                1  avg(orders[*].items[*].qty): double  <- avg of Item `qty` by Order.customer_id, region 4
                2  Customer.scored: int  = `sum(orders[*].id * sum(orders[*].items[*].qty))`
                   incremental: sum is an accumulator, one step for each changed row
                3  Customer.average: double  = `avg(orders[*].items[*].qty)`
                   incremental: avg is an accumulator, one step for each changed row
            Order, key id
              region 0, level 0
                0  customer_id: int  column
                1  id: int  column
              region 3, level 1
                0  id: int  from region 0
                1  customer_id: int  from region 0
                2  sum(items[*].qty): int  <- sum of Item `qty` by order_id, region 1
                3  id * `sum(items[*].qty)`: int  = id * `sum(items[*].qty)`
            Item, key id
              region 1, level 0
                0  order_id: int  column
                1  qty: int  column
              region 4, level 2
                0  qty: int  from region 1
                1  Order.customer_id: int  <- Order `customer_id` by order_id, region 0, index at level 1
            Region, key id
              region 2, level 0
        "#]],
    );
}

#[test]
fn an_aggregate_of_a_looked_up_documents_rows_stands_at_that_document() {
    check(
        json!({ "tables": shop(), "fields": { "Order.part": "id / sum(customer.orders[*].id)" } }),
        expect![[r#"
        Customer, key id
          region 3, level 1
            0  sum(orders[*].id): int  <- sum of Order `id` by customer_id, region 0
        Order, key id
          region 0, level 0
            0  customer_id: int  column
            1  id: int  column
          region 4, level 3
            0  id: int  from region 0
            1  customer.sum(orders[*].id): int  <- Customer `sum(orders[*].id)` by customer_id, region 3, index at level 2
            2  Order.part: int  = id / `customer.sum(orders[*].id)`
               incremental: a looked-up value follows its document, one step for each row that refers to it
        Item, key id
          region 1, level 0
        Region, key id
          region 2, level 0
    "#]],
    );
}

#[test]
fn a_global_condition_and_a_keyless_child_are_planned() {
    check(
        json!({
            "tables": [
                { "name": "Sensor", "key": ["site", "id"], "columns": { "site": "text", "id": "int" },
                  "relations": { "readings": { "table": "Reading", "key": ["site", "sensor"] } } },
                { "name": "Reading", "key": [], "columns": { "site": "text", "sensor": "int", "value": "double" } },
            ],
            "fields": { "Sensor.highest": "max(readings[*].value)", "Hottest": "max(Sensor[*].highest)" },
            "effects": [{ "name": "hot", "when": "Hottest > 80.0" }],
        }),
        expect![[r#"
            Sensor, key site, id
              region 1, level 1
                0  max(readings[*].value): double  <- max of Reading `value` by site, sensor, region 0
                1  Sensor.highest: double  = `max(readings[*].value)`
                   incremental: max keeps its values in order, O(log n) for each changed row
            Reading, no key
              region 0, level 0
                0  sensor: int  column
                1  site: text  column
                2  value: double  column
            global
              region 2, level 2
                0  max(Sensor[*].highest): double  <- max of Sensor `Sensor.highest`, region 1
                1  Hottest: double  = `max(Sensor[*].highest)`
                   incremental: max keeps its values in order, O(log n) for each changed row
                2  effect hot: bool  = Hottest > 80.0
            effect hot on global when Hottest > 80.0
              region 2, condition slot 2, sends Hottest = slot 1
        "#]],
    );
}
