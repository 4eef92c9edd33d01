//! Planning: from a definition, loose and perhaps wrong, to a plan that is always right.
//!
//! The steps, each in its module, in the order in which they run:
//!
//! 1. `catalogue`, `relations`, `asof`, `derived`, `joins`, `closures`: tables, keys, columns and relations, from the definition and from discovered schemas.
//! 2. `world`, `fields`, `order`: names and texts of derived fields; what each reads; cycles refused; types along the graph (`scope`, `selves`); when
//!    values are published (`timing`, `clocked`).
//! 3. `lower`: formulas become nodes: hidden cells for the bodies of aggregates, looked-up values, one node for equal ones (`nodes`).
//! 4. `effects`, `schedules`, `reactions`, `timers`: conditions, payloads, events, what comes later and what takes it back.
//! 5. `goals`: what goals mean in tables and fields, before all this; gradients, when all fields have their nodes.
//! 6. `lazy`, `levels`, `common`, `layout`: what waits to be asked; nodes become regions, slots, cells and edges.
//! 7. `invariants`: the plan is checked before anybody sees it.
//!
//! All problems of a definition are reported together, in the order of the definition. Nothing runs here, and the same definition
//! gives the same plan, byte for byte.

mod actions;
mod asof;
mod catalogue;
mod changes;
mod clocked;
mod closures;
mod common;
mod conditions;
mod delay;
mod derived;
mod effects;
mod fields;
mod findings;
mod goals;
mod invariants;
mod joins;
mod language;
mod late;
mod layout;
mod lazy;
mod levels;
mod lower;
mod maintenance;
mod names;
mod nodes;
mod order;
mod places;
mod reactions;
mod relations;
mod rewrite;
mod schedules;
mod scope;
mod selves;
mod slips;
mod timers;
mod timing;
mod windows;
mod world;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use self::catalogue::Catalogue;
use self::findings::Findings;
pub(crate) use self::maintenance::{NEAREST, kept_aggregate};
use self::world::World;
use crate::plan::Plan;
use crate::spec::{Finding, GraphSpec};
use crate::transaction::Schema;

/// Checks a definition and plans it. `known` are the schemas that a source has discovered; they may be empty.
///
/// Cost: about linear in the definition; nothing depends on data.
///
/// # Errors
/// Everything that is wrong with the definition, and the warnings beside it, sorted by place. Otherwise the warnings stand beside the plan.
pub fn plan(spec: &GraphSpec, known: &[Arc<Schema>]) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let mut findings = Findings::default();
    let mut expanded = goals::expand(spec, known, &mut findings);
    let planned = plan_expanded(&mut expanded, known, &mut findings);
    findings.place_by(|place| expanded.place(place));
    match planned {
        Some(plan) => Ok((plan, findings.sorted())),
        None => Err(findings.sorted()),
    }
}

/// The plan of a definition without goals, and the gradients of those that it had; `None` where it is refused.
fn plan_expanded(expanded: &mut goals::Expanded, known: &[Arc<Schema>], findings: &mut Findings) -> Option<Plan> {
    let spec = &expanded.spec;
    names::check(spec, findings);
    let (catalogue, groups, joins) = Catalogue::build(spec, known, findings);
    let world = Rc::new(RefCell::new(World::new(catalogue, groups, joins)));
    let classified = reactions::classify(&world, spec, findings);
    world.borrow_mut().declare_fields(spec, findings);
    fields::check_fields(&world, spec, findings);
    let goals = goals::differentiate(&world, expanded, findings);
    let spec = &expanded.spec;
    let effects = effects::check_effects(&world, spec, findings);
    let schedules = schedules::check_schedules(&world, spec, findings);
    let (reactions, cancels) = reactions::check_reactions(&world, spec, &classified, &schedules, findings);
    if !findings.acceptable() {
        return None;
    }
    let world = Rc::into_inner(world).expect("invariant: no scope outlives the formula that it was made for").into_inner();
    let later = layout::Later { reactions, cancels, schedules: schedules.into_iter().flatten().collect() };
    let mut plan = layout::plan(world, spec, &effects, later);
    plan.goals = goals;
    invariants::assert_holds(&plan);
    Some(plan)
}
