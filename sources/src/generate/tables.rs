//! The shop's tables and the images of their rows.

use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Type, Value};
use thalweg_graph::transaction::{Row, SchemaColumn};
use thalweg_graph::{Change, Op, Schema};

/// A price in cents.
pub(super) type Cents = i64;

#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) region: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) price: Cents,
    pub(super) stock: i64,
    pub(super) reorder: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) customer: i64,
    pub(super) status: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: i64,
    pub(super) order: i64,
    pub(super) product: i64,
    pub(super) qty: i64,
    pub(super) price: Cents,
}

/// A row of some table.
pub(super) trait Record {
    fn schema<'a>(&self, tables: &'a Tables) -> &'a Arc<Schema>;
    fn row(&self) -> Row;
}

/// The layouts.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    customers: Arc<Schema>,
    products: Arc<Schema>,
    orders: Arc<Schema>,
    items: Arc<Schema>,
}

impl Tables {
    pub(super) fn new() -> Tables {
        let money = Type::Decimal { precision: 10, scale: 2 };
        let table = |name: &str, columns: &[(&str, Type)]| {
            let column = |(name, ty): &(&str, Type)| SchemaColumn::new((*name).into(), ty.clone());
            Arc::new(Schema { table: name.into(), columns: columns.iter().map(column).collect(), key: vec![0] })
        };
        Tables {
            customers: table("shop.customers", &[("id", Type::Int), ("name", Type::Text), ("region", Type::Text)]),
            products: table(
                "shop.products",
                &[
                    ("id", Type::Int),
                    ("name", Type::Text),
                    ("price", money.clone()),
                    ("stock", Type::Int),
                    ("reorder", Type::Int),
                ],
            ),
            orders: table("shop.orders", &[("id", Type::Int), ("customer_id", Type::Int), ("status", Type::Text)]),
            items: table(
                "shop.items",
                &[("id", Type::Int), ("order_id", Type::Int), ("product_id", Type::Int), ("qty", Type::Int), ("price", money)],
            ),
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Schema>> {
        vec![self.customers.clone(), self.products.clone(), self.orders.clone(), self.items.clone()]
    }

    pub(super) fn insert(&self, record: &impl Record) -> Change {
        Change { schema: record.schema(self).clone(), op: Op::Insert, key: None, before: None, after: Some(record.row()) }
    }

    pub(super) fn update(&self, before: Row, record: &impl Record) -> Change {
        Change { schema: record.schema(self).clone(), op: Op::Update, key: None, before: Some(before), after: Some(record.row()) }
    }

    pub(super) fn delete(&self, record: &impl Record) -> Change {
        Change { schema: record.schema(self).clone(), op: Op::Delete, key: None, before: Some(record.row()), after: None }
    }
}

fn row<const N: usize>(values: [Value; N]) -> Row {
    values.into_iter().map(Some).collect()
}

fn money(cents: Cents) -> Value {
    Value::Decimal(Decimal::new(cents.into(), 2).expect("invariant: cents fit a decimal"))
}

impl Record for Customer {
    fn schema<'a>(&self, tables: &'a Tables) -> &'a Arc<Schema> {
        &tables.customers
    }

    fn row(&self) -> Row {
        row([self.id.into(), self.name.as_str().into(), self.region.into()])
    }
}

impl Record for Product {
    fn schema<'a>(&self, tables: &'a Tables) -> &'a Arc<Schema> {
        &tables.products
    }

    fn row(&self) -> Row {
        row([self.id.into(), self.name.as_str().into(), money(self.price), self.stock.into(), self.reorder.into()])
    }
}

impl Record for Order {
    fn schema<'a>(&self, tables: &'a Tables) -> &'a Arc<Schema> {
        &tables.orders
    }

    fn row(&self) -> Row {
        row([self.id.into(), self.customer.into(), self.status.into()])
    }
}

impl Record for Item {
    fn schema<'a>(&self, tables: &'a Tables) -> &'a Arc<Schema> {
        &tables.items
    }

    fn row(&self) -> Row {
        row([self.id.into(), self.order.into(), self.product.into(), self.qty.into(), money(self.price)])
    }
}
