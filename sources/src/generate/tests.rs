use std::collections::BTreeMap;

use thalweg_formulas::Value;
use thalweg_graph::{Op, Row};

use super::*;

/// Every table's rows by their first column, as the changes leave them.
type Content = BTreeMap<(Arc<str>, Value), Row>;

fn apply(content: &mut Content, change: &Change) {
    let key = |row: &Row| (change.schema.table.clone(), row[0].clone().unwrap());
    match (&change.before, &change.after) {
        (None, Some(after)) => assert!(content.insert(key(after), after.clone()).is_none(), "an insert finds no row: {change:?}"),
        (Some(before), Some(after)) => {
            assert_ne!(before, after, "an update changes something");
            assert_eq!(content.insert(key(after), after.clone()).as_ref(), Some(before), "the image before is what stands there");
        }
        (Some(before), None) => assert_eq!(content.remove(&key(before)).as_ref(), Some(before)),
        (None, None) => panic!("a change has an image"),
    }
    assert_eq!(change.op == Op::Insert, change.before.is_none());
}

#[test]
fn the_same_seed_makes_the_same_shop_and_another_seed_another() {
    let first = |seed| {
        let mut shop = Shop::new(seed);
        (0..500).map(|_| shop.next_changes()).collect::<Vec<_>>()
    };
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}

#[test]
fn every_transaction_fits_what_stands_there_and_stock_stays_with_the_goods() {
    for seed in 0..4 {
        let (mut shop, mut content, mut ops) = (Shop::new(seed), Content::new(), BTreeMap::new());
        for _ in 0..6_000 {
            let changes = shop.next_changes();
            assert!(!changes.is_empty());
            for change in &changes {
                apply(&mut content, change);
                *ops.entry((change.schema.table.clone(), change.op)).or_insert(0) += 1;
            }
        }
        let stocks = content.iter().filter(|((table, _), _)| **table == *"shop.products").map(|(_, row)| row[3].clone().unwrap());
        assert!(stocks.into_iter().all(|stock| stock >= Value::Int(0)), "stock never falls below zero");
        let orders = content.keys().filter(|(table, _)| **table == *"shop.orders").count();
        assert!(orders <= 2_010, "the number of live orders is bounded, found {orders}");
        for (table, op) in [("shop.orders", Op::Delete), ("shop.items", Op::Update), ("shop.products", Op::Update)] {
            assert!(ops.contains_key(&(table.into(), op)), "{table} sees {op:?}");
        }
    }
}
