//! The store's fold and the engine take the same changes and refuse the same, and so hold the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::outcome::{Delta, Key};
use thalweg_graph::{Plan, Transaction};
use thalweg_store::fold::{Fold, TableRows};

use super::history::{arb_history, definition};

/// Table and cells that are not NULL, as often as such a row is there.
type Rows = BTreeMap<(String, BTreeMap<String, Value>), usize>;

/// The columns of the plan by the names that deltas call them.
fn columns(plan: &Plan) -> BTreeMap<String, (String, String)> {
    let columns = |table: &thalweg_graph::plan::Table| {
        let name = |column: &thalweg_graph::plan::Column| (table.name.to_string(), column.name.to_string());
        table.columns.iter().map(|column| (format!("{}.{}", table.name, column.name), name(column))).collect::<Vec<_>>()
    };
    plan.tables.iter().filter(|table| !table.is_derived()).flat_map(columns).collect()
}

/// The engine's rows, as its deltas tell them.
#[derive(Default)]
struct Told(BTreeMap<(String, Key), BTreeMap<String, Value>>);

impl Told {
    fn hear(&mut self, delta: Delta, columns: &BTreeMap<String, (String, String)>) {
        let Some((table, column)) = columns.get(&*delta.node) else { return };
        let row = (table.clone(), delta.key);
        let cells = self.0.entry(row.clone()).or_default();
        if delta.new.is_null() {
            assert!(cells.remove(column).is_some(), "a delta takes away what was there");
        } else {
            cells.insert(column.clone(), delta.new);
        }
        if cells.is_empty() {
            self.0.remove(&row);
        }
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for ((table, _), cells) in &self.0 {
            *rows.entry((table.clone(), cells.clone())).or_default() += 1;
        }
        rows
    }
}

/// The store's rows, of the columns that the plan knows.
fn folded(tables: impl Iterator<Item = TableRows>, columns: &BTreeMap<String, (String, String)>) -> Rows {
    let mut rows = Rows::new();
    for table in tables {
        let name = &table.schema.table;
        for row in &table.rows {
            let cells = table.schema.columns.iter().zip(row).filter_map(|(column, cell)| {
                let known = columns.contains_key(&format!("{name}.{}", column.name));
                cell.clone().filter(|value| known && !value.is_null()).map(|value| (column.name.to_string(), value))
            });
            let cells: BTreeMap<_, _> = cells.collect();
            if !cells.is_empty() {
                *rows.entry((name.to_string(), cells)).or_default() += 1;
            }
        }
    }
    rows
}

fn engine_rows(history: &[Transaction], plan: &Arc<Plan>, workers: usize, batch: usize) -> Rows {
    let columns = columns(plan);
    let mut engine = Engine::new(plan.clone(), Options { workers, state_deltas: true, inline_max: batch, ..Options::default() });
    let mut told = Told::default();
    for batch in history.chunks(batch) {
        for transaction in batch {
            engine.push(transaction.clone());
        }
        engine.step().deltas.sorted().into_iter().for_each(|delta| told.hear(delta, &columns));
    }
    told.rows()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_folds_the_rows_that_the_engine_keeps(history in arb_history(), workers in 1usize..3, batch in 1usize..8) {
        let (plan, config) = definition();
        let columns = columns(&plan);
        let config = Arc::new(config);
        let mut fold = Fold::new(config.clone());
        history.iter().for_each(|transaction| fold.transaction(transaction.clone()));
        let folded = folded(fold.into_tables(), &columns);
        prop_assert_eq!(engine_rows(&history, &plan, workers, batch), folded);
    }
}
