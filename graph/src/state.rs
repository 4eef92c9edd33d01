//! What rows cannot rebuild: the part of the engine's state that a snapshot stores beside the base rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_formulas::Value;

use crate::outcome::Key;
use crate::transaction::Epoch;

/// The history-dependent state at one closed epoch, sorted, so that equal states are equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineState {
    /// The closed epoch.
    pub epoch: Epoch,
    /// Self-references: (field, document, value of `self`).
    pub selves: Vec<(Arc<str>, Key, Value)>,
    /// Triggers so far: (effect or reaction, document, k). Kept after the document is deleted, so versions go on.
    pub triggers: Vec<(Arc<str>, Key, u64)>,
    /// Last good values behind errors: (field, or `when ` and an effect's name, document, value). NULL values are left out,
    /// except for a self-reference, where the entry says that its last step failed.
    #[serde(default)]
    pub held: Vec<(Arc<str>, Key, Value)>,
}
