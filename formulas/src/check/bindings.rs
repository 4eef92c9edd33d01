//! The scope of `eval`: names bound to values of known types.

use std::collections::BTreeMap;

use super::{Binding, Scope};
use crate::expr::InputId;
use crate::types::Type;

/// Names and their types. The inputs are numbered in the order of the names.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Sorted by name.
    types: Vec<(String, Type)>,
}

impl Bindings {
    /// A scope with these names.
    pub fn new(types: BTreeMap<String, Type>) -> Bindings {
        Bindings { types: types.into_iter().collect() }
    }
}

impl Scope for Bindings {
    fn name(&self, name: &str) -> Option<Binding> {
        let at = self.types.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(Binding::Input { id: InputId(at as u32), ty: self.types[at].1.clone() })
    }

    fn names(&self) -> Vec<String> {
        self.types.iter().map(|(name, _)| name.clone()).collect()
    }

    fn describe(&self) -> String {
        "the bindings".into()
    }

    fn noun(&self) -> &'static str {
        "name"
    }
}
