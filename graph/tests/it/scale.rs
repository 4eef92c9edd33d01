//! Large definitions: planning neither recurses along chains of fields nor costs more than a little for each field.

use serde_json::json;

use crate::support::planned;

#[test]
fn a_long_chain_of_fields_is_planned_without_recursion() {
    const FIELDS: usize = 5_000;
    let formula = |ix: usize| if ix == 0 { "x".to_owned() } else { format!("f{} + 1", ix - 1) };
    let fields: Vec<_> = (0..FIELDS).map(|ix| json!({ "name": format!("T.f{ix}"), "formula": formula(ix) })).collect();
    let plan = planned(json!({ "fields": fields }));
    assert_eq!(plan.fields.len(), FIELDS);
    assert_eq!(plan.regions.len(), 1);
    assert_eq!(plan.regions[0].cells.len(), FIELDS);
}

#[test]
fn a_chain_of_lookups_climbs_two_levels_a_link() {
    const LINKS: usize = 200;
    let table = |ix: usize| json!({ "name": format!("T{ix}"), "key": ["id"], "relations": { "next": { "to": format!("T{}", (ix + 1) % LINKS), "key": "next_id" } } });
    let formula = |ix: usize| if ix + 1 == LINKS { "x".to_owned() } else { "next.f".to_owned() };
    let tables: Vec<_> = (0..LINKS).map(table).collect();
    let fields: Vec<_> = (0..LINKS).map(|ix| json!({ "name": format!("T{ix}.f"), "formula": formula(ix) })).collect();
    let plan = planned(json!({ "tables": tables, "fields": fields }));
    assert_eq!(plan.lookups.len(), LINKS - 1);
    assert_eq!(plan.regions.iter().map(|region| region.level).max(), Some(2 * (LINKS as u32 - 1)));
}

/// Each undeclared column is compared with the declared names once, not once for each formula that reads it: 40,000 formulas would
/// otherwise take 1.6 billion comparisons.
#[test]
fn formulas_over_an_undeclared_column_cost_no_more_the_more_there_are() {
    const FIELDS: usize = 40_000;
    let fields: Vec<_> =
        (0..FIELDS).map(|ix| json!({ "name": format!("T.f{ix}"), "formula": format!("undeclared + {ix}") })).collect();
    let plan = planned(json!({ "tables": [{ "name": "T", "key": ["id"] }], "fields": fields }));
    assert_eq!(plan.regions[0].cells.len(), FIELDS);
}
