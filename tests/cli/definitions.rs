//! Wrong definitions, layer by layer: the whole text that `check` prints for each.

mod contradictions;
mod formulas;
mod keys;
mod names;
mod summary;
mod values;

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
