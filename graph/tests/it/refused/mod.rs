//! Definitions that are refused, or warned of: place, message and cure as whole text.

use expect_test::Expect;
use serde_json::Value;

use crate::support::{definition, findings_text};

mod effects;
mod events;
mod fields;
mod slips;
mod tables;

/// The findings of a definition.
fn check(json: Value, expected: Expect) {
    let spec = definition(json);
    let findings = match thalweg_graph::planning::plan(&spec, &[]) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    expected.assert_eq(&findings_text(&spec, &findings));
}
