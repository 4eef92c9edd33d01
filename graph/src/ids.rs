//! Ids that are derived, never random: the same on every replay, in every mode.
