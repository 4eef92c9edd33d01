//! The fold against rows kept as plain maps by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use thalweg_formulas::{Type, Value};
use thalweg_graph::transaction::{Change, Op, Row, Schema};
use thalweg_store::StoreConfig;
use thalweg_store::fold::{Fold, TableRows};

use crate::support::{delete, insert, row, schema, update};

type Map = BTreeMap<String, Value>;

/// The slow and obvious evaluator.
struct Naive {
    key: Vec<&'static str>,
    rows: Vec<Map>,
}

impl Naive {
    fn map(schema: &Schema, row: &Option<Row>) -> Map {
        let cells = schema.columns.iter().zip(row.iter().flat_map(|row| row.iter()));
        cells.filter_map(|(column, cell)| Some((column.name.to_string(), cell.clone()?))).collect()
    }

    fn key_of(&self, map: &Map) -> Option<Vec<Value>> {
        self.key.iter().map(|name| map.get(*name).filter(|v| !v.is_null()).cloned()).collect()
    }

    fn find(&self, key: &[Value]) -> Option<usize> {
        self.rows.iter().position(|row| self.key_of(row).as_deref() == Some(key))
    }

    fn apply(&mut self, change: &Change) -> Option<()> {
        let (before, after) = (Naive::map(&change.schema, &change.before), Naive::map(&change.schema, &change.after));
        let (first, second) = if matches!(change.op, Op::Insert | Op::Upsert) { (&after, &before) } else { (&before, &after) };
        let names = |map: &Map| self.key.iter().all(|name| map.contains_key(*name));
        let image = [first, second].into_iter().find(|map| names(map));
        let key = change.key.as_deref().map(<[Value]>::to_vec).or_else(|| self.key_of(image?))?;
        if key.iter().any(Value::is_null) || key.len() != self.key.len() {
            return None;
        }
        let mut new_key: Map = self.key.iter().map(|name| name.to_string()).zip(key.iter().cloned()).collect();
        if matches!(change.op, Op::Update | Op::Upsert) {
            new_key.extend(after.clone().into_iter().filter(|(name, _)| self.key.contains(&name.as_str())));
        }
        let moved_to = if change.op == Op::Delete { key.clone() } else { self.key_of(&new_key)? };
        let key = if change.op == Op::Upsert && self.find(&key).is_none() { moved_to.clone() } else { key };
        let (old_place, new_place) = (self.find(&key), self.find(&moved_to));
        match change.op {
            Op::Insert if old_place.is_some() => return None,
            Op::Update | Op::Delete if old_place.is_none() => return None,
            Op::Update | Op::Upsert if moved_to != key && new_place.is_some() => return None,
            _ => {}
        }
        if change.op != Op::Delete && change.after.is_none() {
            return None;
        }
        let mut row = old_place.map(|place| self.rows.remove(place)).unwrap_or_default();
        if change.op != Op::Delete {
            row.extend(after);
            row.extend(new_key);
            self.rows.push(row);
        }
        Some(())
    }

    fn sorted(&self) -> Vec<Map> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| self.key_of(row));
        rows
    }
}

fn by_name(table: &TableRows) -> Vec<Map> {
    table.rows.iter().map(|row| Naive::map(&table.schema, &Some(row.clone()))).collect()
}

/// Three layouts of one table: columns in another order, one more, one fewer.
fn layouts() -> Vec<Arc<Schema>> {
    ["a b x y", "y b a x", "a b x y z", "b a"].map(|names| schema("T", &names.split(' ').collect::<Vec<_>>(), 2)).into()
}

fn arb_cell() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![4 => (0i64..3).prop_map(|x| Some(Value::Int(x))), 1 => Just(Some(Value::Null)), 1 => Just(None)]
}

fn arb_change() -> impl Strategy<Value = Change> {
    let image = || prop::option::weighted(0.8, prop::collection::vec(arb_cell(), 5));
    let op = prop_oneof![Just(Op::Insert), Just(Op::Update), Just(Op::Delete), Just(Op::Upsert)];
    let key = prop::option::weighted(0.3, prop::collection::vec((0i64..3).prop_map(Value::Int), 1..4));
    (0usize..4, op, key, image(), image()).prop_map(|(layout, op, key, before, after)| {
        let schema = layouts()[layout].clone();
        let cut = |image: Option<Vec<Option<Value>>>| image.map(|cells| cells.into_iter().take(schema.columns.len()).collect());
        Change { op, key: key.map(Into::into), before: cut(before), after: cut(after), schema: schema.clone() }
    })
}

proptest! {
    #[test]
    fn folded_rows_are_those_of_the_naive_table(changes in prop::collection::vec(arb_change(), 0..40)) {
        let config = StoreConfig { keys: [("T".to_string(), vec!["a".to_string(), "b".to_string()])].into(), ..StoreConfig::default() };
        let mut fold = Fold::new(Arc::new(config));
        let mut naive = Naive { key: vec!["a", "b"], rows: Vec::new() };
        for change in changes {
            let expected = naive.apply(&change).is_some();
            prop_assert_eq!(fold.change(change.clone()), expected, "{:?}", change);
        }
        let found: Vec<Map> = fold.into_tables().flat_map(|table| by_name(&table)).collect();
        prop_assert_eq!(found, naive.sorted());
    }

    #[test]
    fn a_multiset_holds_each_row_as_often_as_it_was_added(edits in prop::collection::vec((any::<bool>(), 0i64..3, 0i64..2), 0..40)) {
        let bag = schema("Bag", &["x", "y"], 0);
        let mut fold = Fold::default();
        let mut naive: Vec<[i64; 2]> = Vec::new();
        for (add, x, y) in edits {
            let place = naive.iter().position(|row| *row == [x, y]);
            let expected = add || place.is_some();
            match (add, place) {
                (true, _) => naive.push([x, y]),
                (false, Some(place)) => drop(naive.remove(place)),
                (false, None) => {}
            }
            let change = if add { insert(&bag, &[x, y]) } else { delete(&bag, &[x, y]) };
            prop_assert_eq!(fold.change(change), expected);
        }
        naive.sort_unstable();
        let found: Vec<Row> = fold.into_tables().flat_map(|table| table.rows).collect();
        prop_assert_eq!(found, naive.iter().map(|values| row(values)).collect::<Vec<_>>());
    }
}

#[test]
fn values_come_in_the_declared_types_or_the_change_is_refused() {
    let types = [("T".to_string(), [("id".to_string(), Type::Int), ("x".to_string(), Type::Double)].into())].into();
    let mut fold = Fold::new(Arc::new(StoreConfig { types, ..StoreConfig::default() }));
    let t = schema("T", &["id", "x"], 1);
    let change = |op, id: Value, x: Value| Change {
        schema: t.clone(),
        op,
        key: None,
        before: None,
        after: Some([Some(id), Some(x)].into()),
    };
    assert!(fold.change(change(Op::Insert, Value::Uint(1), Value::Int(2))));
    assert!(!fold.change(change(Op::Insert, Value::text("1"), Value::Int(9))), "the same key");
    assert!(!fold.change(change(Op::Update, Value::Int(1), Value::text("not a number"))));
    assert!(fold.change(change(Op::Upsert, Value::Int(2), Value::Null)));
    let rows: Vec<Row> = fold.into_tables().flat_map(|table| table.rows).collect();
    assert_eq!(
        rows,
        [[Some(Value::Int(1)), Some(Value::double(2.0))].into(), [Some(Value::Int(2)), Some(Value::Null)].into()] as [Row; 2]
    );
}

#[test]
fn a_change_of_key_moves_the_row_with_all_its_cells() {
    let t = schema("T", &["id", "x", "y"], 1);
    let mut fold = Fold::default();
    assert!(fold.change(insert(&t, &[1, 5, 6])));
    assert!(fold.change(insert(&t, &[2, 7, 8])));
    assert!(!fold.change(update(&t, &[1, 5, 6], &[2, 5, 6])), "there is a row 2");
    assert!(fold.change(update(&t, &[1, 5, 6], &[3, 5, 9])));
    assert!(fold.change(update(&t, &[2, 7, 8], &[1, 7, 8])));
    let rows: Vec<Row> = fold.into_tables().flat_map(|table| table.rows).collect();
    assert_eq!(rows, [row(&[1, 7, 8]), row(&[3, 5, 9])]);
}
