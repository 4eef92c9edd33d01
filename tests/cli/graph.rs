//! `thalweg graph` and `thalweg explain CONFIG --node`.

use expect_test::expect;

use super::harness::Folder;

const SHOP: &str = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", customer_id = "int" }
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

[fields]
"Order.total" = "sum(items[*].price * items[*].qty)"
"Order.region" = "customer.region"

[[effect]]
name = "big"
when = "Order.total > 100"
"#;

const CHANGES: &str = r#"{"changes":[{"table":"Customer","op":"insert","after":{"id":1,"region":"north"}}]}
{"changes":[{"table":"Order","op":"insert","after":{"id":1,"customer_id":1}},{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"60.00","qty":2}}]}
"#;

#[test]
fn the_graph_is_listed_and_drawn() {
    let folder = Folder::new(&[("t.toml", SHOP)]);
    folder.run(&["graph", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        Order, key id
          region 0, level 0
            0  customer_id: int  column
            1  id: int  column
          region 3, level 2
            0  id: int  from region 0
            1  sum(items[*].price * items[*].qty): decimal(76,2)  <- sum of Item `price * qty` by order_id, region 1
            2  customer.region: text  <- Customer `region` by customer_id, region 2, index at level 1
            3  Order.total: decimal(76,2)  = `sum(items[*].price * items[*].qty)`
               incremental: sum is an accumulator, one step for each changed row
            4  Order.region: text  = customer.region
               incremental: a looked-up value follows its document, one step for each row that refers to it
            5  effect big: bool  = Order.total > 100
        Item, key id
          region 1, level 0
            0  order_id: int  column
            1  price: decimal(10,2)  column
            2  qty: int  column
            3  price * qty: decimal(29,2)  = price * qty
        Customer, key id
          region 2, level 0
            0  region: text  column
        effect big on Order when Order.total > 100
          region 3, condition slot 5, sends id = slot 0, total = slot 3
    "#]]);
    folder.run(&["graph", "t.toml", "--format", "mermaid"]).is(expect![[r#"
        exit 0
        --- stdout
        flowchart LR
          subgraph r0["Order, level 0"]
            n0["Order.customer_id<br/>int"]
            n1["Order.id<br/>int"]
          end
          subgraph r1["Item, level 0"]
            n2["Item.order_id<br/>int"]
            n3["Item.price<br/>decimal(10,2)"]
            n4["Item.qty<br/>int"]
            n5("Item: price * qty<br/>decimal(29,2)")
          end
          subgraph r2["Customer, level 0"]
            n6["Customer.region<br/>text"]
          end
          subgraph r3["Order, level 2"]
            n7("Order: sum(items[*].price * items[*].qty)<br/>decimal(76,2)")
            n8("Order: customer.region<br/>text")
            n9(["Order.total<br/>decimal(76,2)"])
            n10(["Order.region<br/>text"])
            n11>"big<br/>bool"]
          end
          n3 --> n5
          n4 --> n5
          n5 --> n7
          n2 --> n7
          n0 --> n8
          n6 --> n8
          n7 --> n9
          n8 --> n10
          n9 --> n11
    "#]]);
    folder.run(&["graph", "t.toml", "--format", "dot"]).is(expect![[r#"
        exit 0
        --- stdout
        digraph thalweg {
          rankdir=LR;
          node [fontname="sans-serif"];
          subgraph cluster_0 {
            label="Order, level 0";
            "Order.customer_id" [shape=box, label="Order.customer_id\nint"];
            "Order.id" [shape=box, label="Order.id\nint"];
          }
          subgraph cluster_1 {
            label="Item, level 0";
            "Item.order_id" [shape=box, label="Item.order_id\nint"];
            "Item.price" [shape=box, label="Item.price\ndecimal(10,2)"];
            "Item.qty" [shape=box, label="Item.qty\nint"];
            "Item: price * qty" [shape=plaintext, label="Item: price * qty\ndecimal(29,2)"];
          }
          subgraph cluster_2 {
            label="Customer, level 0";
            "Customer.region" [shape=box, label="Customer.region\ntext"];
          }
          subgraph cluster_3 {
            label="Order, level 2";
            "Order: sum(items[*].price * items[*].qty)" [shape=plaintext, label="Order: sum(items[*].price * items[*].qty)\ndecimal(76,2)"];
            "Order: customer.region" [shape=plaintext, label="Order: customer.region\ntext"];
            "Order.total" [shape=ellipse, label="Order.total\ndecimal(76,2)"];
            "Order.region" [shape=ellipse, label="Order.region\ntext"];
            "big" [shape=cds, label="big\nbool"];
          }
          "Item.price" -> "Item: price * qty";
          "Item.qty" -> "Item: price * qty";
          "Item: price * qty" -> "Order: sum(items[*].price * items[*].qty)";
          "Item.order_id" -> "Order: sum(items[*].price * items[*].qty)";
          "Order.customer_id" -> "Order: customer.region";
          "Customer.region" -> "Order: customer.region";
          "Order: sum(items[*].price * items[*].qty)" -> "Order.total";
          "Order: customer.region" -> "Order.region";
          "Order.total" -> "big";
        }
    "#]]);
}

#[test]
fn with_input_the_nodes_have_counters() {
    let folder = Folder::new(&[("t.toml", SHOP), ("in.jsonl", CHANGES)]);
    let empty = folder.run(&["graph", "t.toml", "--format", "json"]);
    let run = folder.run(&["graph", "t.toml", "--format", "json", "--input", "in.jsonl"]);
    assert_eq!((empty.code, run.code), (0, 0), "{empty}{run}");
    let touched = |text: &str| -> u64 {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        json["nodes"].as_array().unwrap().iter().filter_map(|node| node["rows_touched"].as_u64()).sum()
    };
    assert_eq!(touched(&empty.out), 0);
    assert!(touched(&run.out) > 0, "{run}");
}

#[test]
fn a_node_is_explained() {
    let folder = Folder::new(&[("t.toml", SHOP)]);
    folder.run(&["explain", "t.toml", "--node", "Order.total"]).is(expect![[r#"
        exit 0
        --- stdout
        Order.total (derived): decimal(76,2)
        formula: sum(items[*].price * items[*].qty)
        kept: incremental: sum is an accumulator, one step for each changed row
        place: tier 1, region 3, level 2
        reads: Order: sum(items[*].price * items[*].qty)
        read by: big
    "#]]);
    folder.run(&["explain", "t.toml", "--node", "Order.totl"]).is(expect![[r#"
        exit 2
        --- stderr
        error: no field, effect or reaction is called `Order.totl`
          = help: there is Order.total, Order.region
    "#]]);
}

/// A field that waits to be asked, one that another one keeps, and one that an effect sends.
const LAZY: &str = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", name = "text" }
[table.relations]
items = { table = "Item", key = "order_id" }

[[table]]
name = "Item"
key = ["id"]
columns = { id = "int", order_id = "int", price = "decimal(10,2)" }

[fields]
"Order.total" = "sum(items[*].price)"
"Order.letter" = { formula = "'Dear ' + name + ', you owe ' + string(total)", timing = "lazy" }
"Order.shout" = { formula = "letter + '!'", timing = "lazy" }
"Order.round" = { formula = "int(total)", timing = "lazy" }
"Order.high" = "round > 50"

[[effect]]
name = "big"
when = "Order.total > 100"
payload = ["letter"]
"#;

#[test]
fn what_waits_to_be_asked_is_said_and_asked_for_at_the_end() {
    let lines = r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"name":"Ann"}},{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"60.00"}}]}
{"changes":[{"table":"Item","op":"insert","after":{"id":2,"order_id":1,"price":"50.00"}}]}
"#;
    let folder = Folder::new(&[("t.toml", LAZY), ("in.jsonl", lines)]);
    folder.run(&["graph", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        Order, key id
          region 1, level 1
            0  name: text  column
            1  sum(items[*].price): decimal(76,2)  <- sum of Item `price` by order_id, region 0
            2  Order.total: decimal(76,2)  = `sum(items[*].price)`
               incremental: sum is an accumulator, one step for each changed row
            3  Order.letter: text  = 'Dear ' + name + ', you owe ' + string(Order.total)
               recomputed: when somebody asks, if what it reads has changed since; a function of its own row
            4  Order.shout: text  = Order.letter + '!'
               recomputed: when somebody asks, if what it reads has changed since; a function of its own row
            5  Order.round: int  = int(Order.total)
               incremental: a function of its own row; lazy, but kept for `Order.high`
            6  Order.high: bool  = Order.round > 50
               incremental: a function of its own row
            7  effect big: bool  = Order.total > 100
        Item, key id
          region 0, level 0
            0  order_id: int  column
            1  price: decimal(10,2)  column
        effect big on Order when Order.total > 100
          region 1, condition slot 7, sends letter = slot 3
    "#]]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.high","key":{"id":1},"old":null,"new":true}
        {"epoch":1,"kind":"delta","node":"Order.round","key":{"id":1},"old":null,"new":60}
        {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"60.00"}
        {"epoch":2,"kind":"delta","node":"Order.round","key":{"id":1},"old":60,"new":110}
        {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":1},"old":"60.00","new":"110.00"}
        {"epoch":2,"kind":"effect","node":"big","key":{"id":1},"version":1,"state":"fired","id":"0000000000W05JMNECKAT6R29K","payload":{"letter":"Dear Ann, you owe 110.00"}}
        {"kind":"final","node":"Order.high","key":{"id":1},"value":true,"error":null}
        {"kind":"final","node":"Order.letter","key":{"id":1},"value":"Dear Ann, you owe 110.00","error":null}
        {"kind":"final","node":"Order.round","key":{"id":1},"value":110,"error":null}
        {"kind":"final","node":"Order.shout","key":{"id":1},"value":"Dear Ann, you owe 110.00!","error":null}
        {"kind":"final","node":"Order.total","key":{"id":1},"value":"110.00","error":null}
    "#]]);
}
