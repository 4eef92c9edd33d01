//! Schemas by number: each different schema is stored once, when the log first meets it, and changes refer to it by its number.
//!
//! Numbers are given in the order of the log, so they are the same for any batching. What is new in a commit is staged until
//! [`Schemas::kept`]; after a failed commit [`Schemas::forget_new`] takes it back, except for what [`Schemas::hold`] holds: log that is
//! written ahead of its commit refers to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use thalweg_graph::transaction::Schema;

/// Pointers remembered at most; a source that makes a new `Arc` for every row is slower, not larger.
const PINNED_MAX: usize = 4096;

/// All schemas ever seen, and the newest of each table.
#[derive(Default)]
pub(crate) struct Schemas {
    known: Vec<Known>,
    by_body: HashMap<Arc<[u8]>, u32>,
    by_place: HashMap<usize, u32>,
    /// Keeps alive what `by_place` points to, so that no pointer is used again for something else.
    pinned: Vec<Arc<Schema>>,
    newest: BTreeMap<Arc<str>, u32>,
    newest_staged: BTreeMap<Arc<str>, u32>,
    kept: usize,
    /// What stays after a failed commit: so many of `known`, and these of `newest_staged`.
    held: usize,
    newest_held: BTreeMap<Arc<str>, u32>,
}

/// One schema and its stored form.
pub(crate) struct Known {
    pub schema: Arc<Schema>,
    pub body: Arc<[u8]>,
}

impl Schemas {
    /// The number of a schema; a new one if it was never seen.
    pub(crate) fn number_of(&mut self, schema: &Arc<Schema>) -> u32 {
        let place = Arc::as_ptr(schema) as usize;
        let number = match self.by_place.get(&place) {
            Some(&number) => number,
            None => self.look_up(place, schema),
        };
        if self.newest_staged.get(&schema.table).or_else(|| self.newest.get(&schema.table)) != Some(&number) {
            self.newest_staged.insert(schema.table.clone(), number);
        }
        number
    }

    fn look_up(&mut self, place: usize, schema: &Arc<Schema>) -> u32 {
        let body: Arc<[u8]> =
            postcard::to_stdvec(schema.as_ref()).expect("a schema is texts and numbers, which postcard writes").into();
        let number = match self.by_body.get(&body) {
            Some(&number) => number,
            None => self.add(schema.clone(), body),
        };
        if self.pinned.len() >= PINNED_MAX {
            self.unpin();
        }
        self.pinned.push(schema.clone());
        self.by_place.insert(place, number);
        number
    }

    fn add(&mut self, schema: Arc<Schema>, body: Arc<[u8]>) -> u32 {
        let number = self.known.len() as u32;
        self.by_body.insert(body.clone(), number);
        self.known.push(Known { schema, body });
        number
    }

    /// Takes up a stored schema; they come in the order of their numbers.
    pub(crate) fn restore(&mut self, body: &[u8]) -> Result<(), postcard::Error> {
        let schema: Schema = postcard::from_bytes(body)?;
        self.add(Arc::new(schema), body.into());
        self.kept = self.known.len();
        Ok(())
    }

    /// Takes up a stored table's newest schema; `false` if there is none of that number.
    pub(crate) fn restore_newest(&mut self, table: Arc<str>, number: u64) -> bool {
        let known = self.get(number).is_some_and(|schema| schema.table == table);
        if known {
            self.newest.insert(table, number as u32);
        }
        known
    }

    /// The schema of a number.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Schema>> {
        self.known.get(usize::try_from(number).ok()?).map(|known| &known.schema)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many tables have a newest schema, staged ones included.
    pub(crate) fn tables(&self) -> usize {
        self.newest.len() + self.newest_staged.keys().filter(|table| !self.newest.contains_key(*table)).count()
    }

    /// Those from number `from` on.
    pub(crate) fn since(&self, from: usize) -> impl Iterator<Item = (usize, &Known)> {
        self.known.iter().enumerate().skip(from)
    }

    /// Those that are not stored yet, with their numbers.
    pub(crate) fn new_ones(&self) -> impl Iterator<Item = (usize, &Known)> {
        self.since(self.kept)
    }

    /// Tables whose newest schema is not stored yet.
    pub(crate) fn new_newest(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.newest_staged.iter().map(|(table, number)| (table, *number))
    }

    /// The newest schema of each table, by table.
    pub(crate) fn newest(&self) -> Vec<Arc<Schema>> {
        self.newest.values().map(|&number| self.known[number as usize].schema.clone()).collect()
    }

    /// The new ones are stored.
    pub(crate) fn kept(&mut self) {
        self.kept = self.known.len();
        self.newest.append(&mut self.newest_staged);
        self.let_go();
    }

    /// The new ones so far stay when a commit fails.
    pub(crate) fn hold(&mut self) {
        self.held = self.known.len();
        self.newest_held.clone_from(&self.newest_staged);
    }

    /// What was held is as new as the rest.
    pub(crate) fn let_go(&mut self) {
        self.held = 0;
        self.newest_held.clear();
    }

    /// The new ones were not stored.
    pub(crate) fn forget_new(&mut self) {
        for known in self.known.drain(self.kept.max(self.held)..) {
            self.by_body.remove(&known.body);
        }
        self.newest_staged.clone_from(&self.newest_held);
        self.unpin();
    }

    fn unpin(&mut self) {
        self.by_place.clear();
        self.pinned.clear();
    }
}
