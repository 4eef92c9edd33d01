//! What a restart brings from before and hands to each document when its row is there again.

use std::sync::Arc;

use hashbrown::HashMap;
use thalweg_formulas::Value;
use thalweg_graph::outcome::Key;

type ByDocument = HashMap<Arc<str>, HashMap<Key, Value>>;

/// Values that rows cannot rebuild. Each is taken once.
#[derive(Debug, Default)]
pub struct Memory {
    selves: ByDocument,
    held: ByDocument,
}

impl Memory {
    /// Remembers the value of a self-reference.
    pub fn remember_self(&mut self, name: Arc<str>, key: Key, value: Value) {
        self.selves.entry(name).or_default().insert(key, value);
    }

    /// Remembers the last good value behind an error.
    pub fn remember_held(&mut self, name: Arc<str>, key: Key, value: Value) {
        self.held.entry(name).or_default().insert(key, value);
    }

    /// The value of a self-reference, once.
    pub fn take_self(&mut self, name: &str, key: &Key) -> Option<Value> {
        take(&mut self.selves, name, key)
    }

    /// The value of a self-reference, for as long as rows come back.
    pub fn self_of(&self, name: &str, key: &[Value]) -> Option<&Value> {
        self.selves.get(name)?.get(key)
    }

    /// The documents of which there is a value of this name.
    pub fn keys_of(&self, name: &str) -> impl Iterator<Item = &Key> {
        self.selves.get(name).into_iter().flat_map(HashMap::keys)
    }

    /// The last good value of a self-reference whose last step failed.
    pub fn held(&self, name: &str, key: &Key) -> Option<&Value> {
        self.held.get(name)?.get(key)
    }

    /// All last good values of one name, once.
    pub fn take_all_held(&mut self, name: &str) -> HashMap<Key, Value> {
        self.held.remove(name).unwrap_or_default()
    }
}

fn take(from: &mut ByDocument, name: &str, key: &Key) -> Option<Value> {
    let values = from.get_mut(name)?;
    let value = values.remove(key);
    if values.is_empty() {
        from.remove(name);
    }
    value
}

/// The name under which the value behind an effect's condition is held.
pub fn condition_name(effect: &str) -> Arc<str> {
    format!("when {effect}").into()
}
