//! Rows from changes: what the tables of a source hold after a run of transactions.
//!
//! A pure function of the changes, in their order, and of the declared keys and types. It holds itself to the engine's rules:
//!
//! - an insert of a row that is there, an update or delete of one that is not, a change of key onto a row that is there, a change
//!   without its key or with a value that does not fit its column leaves all rows as they were;
//! - an absent cell is unchanged, NULL is NULL;
//! - a table's key is the declared one, else that of the first schema seen; without a key its rows are a multiset;
//! - columns are known by name, so a column may come, go, and change its place; what a later layout lacks stays as it was.
//!
//! Cost: O(1) per change; memory for every row. Next to read: `table`.

pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_graph::transaction::{Body, Change, Row, Schema, Transaction};

use self::table::Table;
use crate::config::StoreConfig;

/// All tables so far.
#[derive(Debug, Default)]
pub struct Fold {
    tables: BTreeMap<Arc<str>, Table>,
    config: Arc<StoreConfig>,
}

/// One table's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRows {
    /// Its columns, every one ever seen, and its key as it was established.
    pub schema: Arc<Schema>,
    /// Its rows, each as long as the schema, by key; a multiset's by value, as often as they are there.
    pub rows: Vec<Row>,
}

impl Fold {
    /// No tables yet; `config` declares keys and types.
    pub fn new(config: Arc<StoreConfig>) -> Fold {
        Fold { tables: BTreeMap::new(), config }
    }

    /// Takes a transaction, whole or a part of it. Panics if it is spilled and cannot be read; those that come from a store are held.
    pub fn transaction(&mut self, transaction: Transaction) {
        match transaction.body {
            Body::Spilled(spill) => {
                let take = &mut |part: Vec<Change>| {
                    for change in part {
                        self.change(change);
                    }
                    true
                };
                spill.read(take).unwrap_or_else(|why| panic!("what is folded can be read: {why}"));
            }
            Body::Changes(changes) | Body::Fill(changes) => {
                for change in changes {
                    self.change(change);
                }
            }
            Body::Timer(_) => {}
        }
    }

    /// Takes one change; `false`: it was refused, and the rows are as they were.
    pub fn change(&mut self, change: Change) -> bool {
        if !self.tables.contains_key(&change.schema.table) {
            let table = Table::new(&change.schema, &self.config);
            self.tables.insert(change.schema.table.clone(), table);
        }
        let table = self.tables.get_mut(&change.schema.table).expect("it was just inserted");
        table.change(change).is_some()
    }

    /// Takes out the tables whose names `wants`: their rows go, and they begin anew with the next change.
    pub fn take_tables(&mut self, wants: impl Fn(&str) -> bool) -> Vec<TableRows> {
        self.tables.extract_if(.., |name, _| wants(name)).map(|(_, table)| table.into_rows()).collect()
    }

    /// The tables in the order of their names.
    pub fn into_tables(self) -> impl Iterator<Item = TableRows> {
        self.tables.into_values().map(Table::into_rows)
    }
}
