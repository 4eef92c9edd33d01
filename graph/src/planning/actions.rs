//! Actions: their kinds, and the tables they write to. Their settings are checked by the sinks that know them.

use thalweg_formulas::Problem;

use super::findings::{Findings, with_near_misses};
use super::world::World;
use crate::spec::{ActionSpec, Place};

/// The kinds of actions that there are.
const KINDS: [&str; 9] =
    ["webhook", "dolt-insert", "sql-insert", "sql-upsert", "sql-delete", "sql-sync", "shell", "handler", "log"];

/// Checks the actions of one rule; `place` gives the place of a key of an action.
pub(super) fn check_actions(
    world: &World,
    actions: &[ActionSpec],
    place: impl Fn(usize, &str) -> Place,
    findings: &mut Findings,
) {
    for (ix, action) in actions.iter().enumerate() {
        if !KINDS.contains(&action.kind.as_str()) {
            let message = if action.kind.is_empty() {
                "an action needs a type".into()
            } else {
                format!("unknown action type `{}`", action.kind)
            };
            let problem = with_near_misses(Problem::new(243, message), &action.kind, "types", KINDS);
            findings.error(place(ix, "type"), problem);
        }
        if action.settings.contains_key("ack") {
            let problem = Problem::new(242, "an action asks for `ack`, which belongs to the effect");
            findings.error(place(ix, "ack"), problem.help("write it beside mode = \"ack\" in [[effect]]"));
        }
        if let Some(table) = written_table(world, action) {
            let message = format!("this action writes to `{table}`, which the graph watches: it may cause itself");
            let problem = Problem::new(249, message).help("make sure that a condition stops it, or write to another table");
            findings.warn(place(ix, "table"), problem);
        }
    }
}

/// The watched table that an action writes to. A row that is kept like another is usually in another database, which has a url.
fn written_table<'a>(world: &'a World, action: &ActionSpec) -> Option<&'a str> {
    match action.kind.as_str() {
        "dolt-insert" | "sql-insert" => {}
        "sql-upsert" | "sql-delete" | "sql-sync" if !action.settings.contains_key("url") => {}
        _ => return None,
    }
    let setting = |key: &str| action.settings.get(key).and_then(|value| value.as_str());
    let table = setting("table")?;
    let full = setting("database").map(|database| format!("{database}.{table}"));
    let watched = |from: &str| from == table || full.as_deref() == Some(from);
    let own_name = |from: &str| full.is_none() && from.rsplit_once('.').is_some_and(|(_, own)| own == table);
    let found = world.catalogue.tables.iter().find(|def| watched(&def.from) || own_name(&def.from))?;
    (!found.name.is_empty()).then_some(&*found.name)
}
