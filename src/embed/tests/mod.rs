//! The engine inside a program: what goes in, what comes out, and what is told to whom.

mod batches;
mod documents;
mod replace;
mod running;
mod subscriptions;
mod time;
mod versions;

use crate::prelude::*;

/// Orders with items, a total for each and one for all.
fn orders() -> Graph {
    let mut graph = Graph::new();
    graph.state(State::document("Order").key("id").column("note", "text").children("items", "Item", "order_id"));
    graph.state(State::document("Item").key("id").column("price", "decimal(10,2)"));
    graph.derived("Order.total", Derived::sum(Pattern::new("Order.items[*].price")));
    graph.derived("Order.share", Derived::formula("100 / count(items[*])"));
    graph.derived("Turnover", Derived::sum(Pattern::new("Item[*].price")));
    graph
}

fn order(id: i64) -> Changes {
    Changes::new(&format!("order {id}")).insert("Order", [("id", Value::Int(id)), ("note", format!("note {id}").into())])
}

fn item(id: i64, order: i64, price: &str) -> Changes {
    let row = [("id", Value::Int(id)), ("order_id", Value::Int(order)), ("price", price.into())];
    Changes::new(&format!("item {id}")).insert("Item", row)
}
