//! Goals: what they become in the plan, and what is said of those that make no sense.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::plan_text;

fn check(json: Value, expected: Expect) {
    expected.assert_eq(&plan_text(json, &[]));
}

/// A shop: products with a price that is moved, and orders that look it up.
fn shop(goals: Value) -> Value {
    json!({
        "tables": [
            {"name": "Product", "key": ["id"], "columns": {"id": "int", "cost": "double", "a": "double"},
             "relations": {"orders": {"table": "Order", "key": "product_id"}}},
            {"name": "Order", "key": ["id"], "columns": {"id": "int", "product_id": "int", "qty": "int"},
             "relations": {"product": {"to": "Product", "key": "product_id"}}}
        ],
        "fields": {
            "Product.demand": "100.0 * exp(-a * price)",
            "Product.profit": "demand * (price - cost)",
            "Product.mean": "avg(orders[*].take)",
            "Order.take": "qty * product.price",
            "Order.band": "product.price > 10.0 ? 'high' : 'low'",
            "Product.steps": "round(price)"
        },
        "goals": goals
    })
}

#[test]
fn a_goal_becomes_tables_and_fields() {
    check(
        shop(
            json!([{"name": "profit", "maximize": "sum(Product[*].profit)", "variables": {"Product.price": {"min": 10.0, "max": 100.0}}}]),
        ),
        expect![[r#"
            Product, key id
              region 0, level 0
                0  a: double  column
                1  cost: double  column
                2  id: int  column
              region 4, level 2
                0  a: double  from region 0
                1  cost: double  from region 0
                2  @price.value: double  <- @Product.price `value` by id, region 2, index at level 1
                3  Product.price: double  = coalesce(`@price.value`, 55.0)
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                4  Product.steps: double  = round(Product.price)
                   incremental: a function of its own row
                5  -a: double  = -a
                6  exp(-a * price): double  = exp(`-a` * Product.price)
                7  Product.demand: double  = 100.0 * `exp(-a * price)`
                   incremental: a function of its own row
                8  price - cost: double  = Product.price - cost
                9  Product.profit: double  = Product.demand * `price - cost`
                   incremental: a function of its own row
                10  d profit / d Product.profit: double  = Product.profit != null ? -1.0 : 0.0
                11  `d profit / d Product.profit` == 0.0: bool  = `d profit / d Product.profit` == 0.0
                12  d profit / d Product.demand: double  = ```d profit / d Product.profit`` == 0.0` ? 0.0 : `d profit / d Product.profit` * `price - cost`
                13  d profit / d Product.price: double  = (```d profit / d Product.profit`` == 0.0` ? 0.0 : `d profit / d Product.profit` * Product.demand) + (`d profit / d Product.demand` == 0.0 ? 0.0 : `d profit / d Product.demand` * 100.0 * `exp(-a * price)` * `-a`)
                14  Product.price gradient: double  = `d profit / d Product.price`
                   incremental: a function of its own row
              region 7, level 5
                0  avg(orders[*].take): double  <- avg of Order `Order.take` by product_id, region 6
                1  Product.mean: double  = `avg(orders[*].take)`
                   incremental: avg is an accumulator, one step for each changed row
            Order, key id
              region 1, level 0
                0  product_id: int  column
                1  qty: int  column
              region 6, level 4
                0  qty: int  from region 1
                1  product_id: int  from region 1
                2  product.price: double  <- Product `Product.price` by product_id, region 4, index at level 3
                3  Order.take: double  = qty * product.price
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                4  Order.band: text  = product.price > 10.0 ? 'high' : 'low'
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            @Product.price, key id
              region 2, level 0
                0  id: int  column
                1  value: double  column
                2  state: list(double)  column
            @goals, key name
              region 3, level 0
                0  name: text  column
                1  steps: int  column
                2  epoch: int  column
                3  left: int  column
                4  paused: bool  column
                5  loss: double  column
                6  state: list(double)  column
            global
              region 5, level 3
                0  sum(Product[*].profit): double  <- sum of Product `Product.profit`, region 4
                1  goal profit: double  = `sum(Product[*].profit)`
                   incremental: sum is an accumulator, one step for each changed row
            goal profit: maximize `goal profit`
              moves Product.price by `Product.price gradient`, at least 10.0, at most 100.0, from 55.0
              adam at rate 0.001, when asked, until no slope is above 1e-6
        "#]],
    );
}

#[test]
fn cotangents_go_back_over_lookups_and_aggregates() {
    check(
        shop(
            json!([{"name": "take", "maximize": "sum(Order[*].take) + max(Product[*].mean)", "variables": {"Product.price": {}}}]),
        ),
        expect![[r#"
            Product, key id
              region 0, level 0
                0  a: double  column
                1  cost: double  column
                2  id: int  column
                3  true: bool  = true
              region 4, level 2
                0  a: double  from region 0
                1  cost: double  from region 0
                2  @price.value: double  <- @Product.price `value` by id, region 2, index at level 1
                3  Product.price: double  = coalesce(`@price.value`, 0.0)
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                4  Product.demand: double  = 100.0 * exp(-a * Product.price)
                   incremental: a function of its own row
                5  Product.profit: double  = Product.demand * (Product.price - cost)
                   incremental: a function of its own row
                6  Product.steps: double  = round(Product.price)
                   incremental: a function of its own row
              region 6, level 5
                0  avg(orders[*].take): double  <- avg of Order `Order.take` by product_id, region 5
                1  count(Order.take): int  <- count of Order `Order.take` by product_id, region 5
                2  Product.mean: double  = `avg(orders[*].take)`
                   incremental: avg is an accumulator, one step for each changed row
              region 8, level 8
                0  Product.mean: double  from region 6
                1  max(Product[*].mean): double  <- global `max(Product[*].mean)`, region 7, index at level 7
                2  mean == `max(Product[*].mean)` ? 1.0 : 0.0: double  = Product.mean == `max(Product[*].mean)` ? 1.0 : 0.0
              region 10, level 11
                0  Product.mean: double  from region 6
                1  max(Product[*].mean): double  from region 8
                2  count(Order.take): int  from region 6
                3  d take / d max(Product[*].mean): double  <- global `d take / d max(Product[*].mean)`, region 9, index at level 10
                4  d take / d Product.mean: double  = Product.mean == `max(Product[*].mean)` ? `d take / d max(Product[*].mean)` : 0.0
                5  double(`count(Order.take)`): double  = double(`count(Order.take)`)
                6  d take / d Product.avg(orders[*].take): double  = `double(``count(Order.take)``)` > 0.0 ? `d take / d Product.mean` / `double(``count(Order.take)``)` : 0.0
              region 12, level 14
                0  sum(d take / d Order.product.price): double  <- sum of Order `d take / d Order.product.price` by product_id, region 11
                1  Product.price gradient: double  = `sum(d take / d Order.product.price)`
                   incremental: sum is an accumulator, one step for each changed row
            Order, key id
              region 1, level 0
                0  product_id: int  column
                1  qty: int  column
              region 5, level 4
                0  qty: int  from region 1
                1  product_id: int  from region 1
                2  product.price: double  <- Product `Product.price` by product_id, region 4, index at level 3
                3  Order.take: double  = qty * product.price
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                4  Order.band: text  = product.price > 10.0 ? 'high' : 'low'
                   incremental: a looked-up value follows its document, one step for each row that refers to it
              region 11, level 13
                0  qty: int  from region 1
                1  product_id: int  from region 1
                2  Order.take: double  from region 5
                3  d take / d Product.avg(orders[*].take): double  <- Product `d take / d Product.avg(orders[*].take)` by product_id, region 10, index at level 12
                4  take != null: bool  = Order.take != null
                5  d take / d Order.take: double  = (`take != null` ? -1.0 : 0.0) + (`take != null` ? `d take / d Product.avg(orders[*].take)` : 0.0)
                6  d take / d Order.product.price: double  = `d take / d Order.take` == 0.0 ? 0.0 : `d take / d Order.take` * double(qty)
            @Product.price, key id
              region 2, level 0
                0  id: int  column
                1  value: double  column
                2  state: list(double)  column
            @goals, key name
              region 3, level 0
                0  name: text  column
                1  steps: int  column
                2  epoch: int  column
                3  left: int  column
                4  paused: bool  column
                5  loss: double  column
                6  state: list(double)  column
            global
              region 7, level 6
                0  sum(Order[*].take): double  <- sum of Order `Order.take`, region 5
                1  max(Product[*].mean): double  <- max of Product `Product.mean`, region 6
                2  goal take: double  = `sum(Order[*].take)` + `max(Product[*].mean)`
                   incremental: max keeps its values in order, O(log n) for each changed row; sum is an accumulator, one step for each changed row
              region 9, level 9
                0  sum(Product.mean == `max(Product[*].mean)` ? 1.0 : 0.0): double  <- sum of Product `mean == `max(Product[*].mean)` ? 1.0 : 0.0`, region 8
                1  d take / d max(Product[*].mean): double  = `sum(Product.mean == ``max(Product[*].mean)`` ? 1.0 : 0.0)` > 0.0 ? -1.0 / `sum(Product.mean == ``max(Product[*].mean)`` ? 1.0 : 0.0)` : 0.0
            goal take: maximize `goal take`
              moves Product.price by `Product.price gradient`, from 0.0
              adam at rate 0.001, when asked, until no slope is above 1e-6
        "#]],
    );
}

#[test]
fn a_goal_that_cannot_be_followed_is_refused_with_the_place_and_the_cure() {
    let bounded = json!({"Product.price": {"min": 1.0}});
    for (goals, expected) in [
        (
            json!([{"name": "g", "minimize": "sum(Product[*].steps)", "variables": bounded}]),
            expect![[r#"
            error goal[0].variables.Product.price: E0266: goal `g` does not depend on `Product.price`
              help: use functions with a slope (sigmoid for a condition), or leave it out of `variables`
              note: no slope goes through round in Product.steps
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "count(Product[*]) * 1.0", "variables": bounded}]),
            expect![[r#"
            error goal[0].variables.Product.price: E0266: goal `g` does not depend on `Product.price`
              help: read it in the objective, or leave it out of `variables`
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "sum(Product[*].cost)", "variables": bounded}]),
            expect![[r#"
            error goal[0].variables.Product.price: E0266: goal `g` does not depend on `Product.price`
              help: read it in the objective, or leave it out of `variables`
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "median(Product[*].price)", "variables": bounded}]),
            expect![[r#"
            error goal[0].: E0266: goal `g` has no way back through `median` in `median(Product[*].price)`: it has no way back yet
              help: write it with functions that have a slope, or in stop_gradient(…) where its slope does not matter
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "sum(Product[*].prise)", "variables": bounded}]),
            expect![[r#"
            warning goal[0].minimize: E0253: `prise` is read as an undeclared column of `Product`
              at `prise`: not declared
              help: did you mean `price`?
            error goal[0].variables.Product.price: E0266: goal `g` does not depend on `Product.price`
              help: read it in the objective, or leave it out of `variables`
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "sum(Product[*].price)", "maximize": "1.0", "variables": bounded}]),
            expect![[r#"
            error goal[0].: E0265: goal `g` needs exactly one of `maximize`, `minimize` and `target`
              help: a second objective is a goal of its own, `with` this one
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "sum(Product[*].price)"}]),
            expect![[r#"
            error goal[0].variables: E0265: goal `g` moves no field
              help: name the fields: variables = { "Product.price" = { min = 1.0, max = 9.0 } }, or `with` another goal
        "#]],
        ),
        (
            json!([{"name": "a goal", "minimize": "p", "variables": {"p": {"min": 3.0, "max": 1.0}}}]),
            expect![[r#"
                error goal[0].name: E0265: `a goal` cannot be the name of a goal
                  help: use letters, digits, `_` and `-`
                error goal[0].variables.p: E0265: the least value of `p`, 3.0, is above the greatest, 1.0
                  help: exchange `min` and `max`
            "#]],
        ),
        (
            json!([{"name": "g", "minimize": "p", "variables": {"p": {"min": 3.0, "init": 1.0}}, "optimizer": {"kind": "adma"}}]),
            expect![[r#"
                error goal[0].optimizer: E0265: the optimiser of goal `g`: there is no optimiser `adma`: sgd, adam, adamw, rmsprop, adagrad, lion, lbfgs
                  help: write optimizer = { kind = "adam", lr = 0.01 }
            "#]],
        ),
        (
            json!([{"name": "g", "minimize": "1.0", "variables": {"Prodcut.p": {}}}]),
            expect![[r#"
            error goal[0].variables.Prodcut.p: E0265: goal moves `Prodcut.p`, but `Prodcut` is not declared
              help: declare it: [[table]] name = "Prodcut", key = ["id"]
        "#]],
        ),
        (
            json!([{"name": "g", "minimize": "q", "variables": {"p": {}}}]),
            expect![[r#"
                error goal[0].minimize: E0203: unknown field `q`
                  at `q`: the global document has no field `q`
                  note: fields: p, goal g, Order, Product
            "#]],
        ),
        (
            json!([{"name": "g", "minimize": "p", "variables": {"p": {}}}, {"name": "h", "minimize": "p", "variables": {"p": {}}},
                   {"name": "i", "minimize": "p", "with": "f", "online": true}]),
            expect![[r#"
                error goal[1].variables.p: E0265: `p` is moved by two goals, `g` and `h`
                  help: pursue both at once: with = "g" in place of `variables`
                error goal[2].: E0265: goal `i` shares the fields and the optimiser of `f`
                  help: write `variables`, `optimizer`, `online`, `steps` and `tolerance` there only
                error goal[2].with: E0265: goal `i` is to be pursued with `f`, which is no goal with fields
                  note: goals: g, h
            "#]],
        ),
    ] {
        check(shop(goals), expected);
    }
}
