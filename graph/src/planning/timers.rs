//! Timers of reactions: when each comes due, and what takes it back.
//!
//! A timer belongs to a rule and a row. `delay` counts from the transaction that arms it, `at` is a formula over the change. What cancels
//! is judged on the tables whose rows arm the timer, and on those only: a change of another row is none of its business.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Expr, ExprKind, InputId, Problem, Type};

use super::delay::parse_delay;
use super::findings::{Findings, with_near_misses};
use super::reactions::{Events, Rule, check_over_change, checked_condition, columns, parse_over_change};
use super::rewrite::map_inputs;
use super::slips;
use super::world::Shared;
use crate::plan::{Cancel, Due, ReactionInput, TableId, TimerRule, Trigger};
use crate::spec::{GraphSpec, Place, ReactionSpec, TimerSpec};

/// A rule's timer, its formulas parsed.
pub(super) struct Timing {
    due: Spoken,
    /// The event that it raises.
    pub(super) event: Arc<str>,
    reset: bool,
    cancel_when: Option<Ast>,
}

/// When it comes due, as it was said.
enum Spoken {
    After(i64),
    At(Ast, Arc<str>),
}

/// The timer of a rule; what is wrong with it is said.
pub(super) fn check(ix: usize, rule: &ReactionSpec, spec: &GraphSpec, findings: &mut Findings) -> Option<Timing> {
    let timer = rule.timer.as_ref()?;
    let due = due(ix, timer, findings);
    check_event(ix, timer, spec, findings);
    let cancel_when = parse_over_change(timer.cancel_when.as_ref(), Place::Reaction(ix, "timer.cancel_when"), findings);
    Some(Timing { due: due?, event: timer.event.as_str().into(), reset: timer.reset, cancel_when })
}

fn due(ix: usize, timer: &TimerSpec, findings: &mut Findings) -> Option<Spoken> {
    match (&timer.delay, &timer.at) {
        (Some(text), None) => {
            let delay = parse_delay(text);
            if delay.is_none() {
                let problem = Problem::new(244, format!("`{text}` is not a delay"));
                let problem = problem.help("write for example \"24h\", \"1d 2h\", \"90s\" or \"PT24H\"");
                findings.error(Place::Reaction(ix, "timer.delay"), problem);
            }
            delay.map(Spoken::After)
        }
        (None, Some(text)) => {
            let parsed = parse_over_change(timer.at.as_ref(), Place::Reaction(ix, "timer.at"), findings);
            parsed.map(|ast| Spoken::At(ast, text.as_str().into()))
        }
        (Some(_), Some(_)) => {
            let problem = Problem::new(244, "a timer has a `delay` or a time `at` which it comes, not both");
            findings.error(Place::Reaction(ix, "timer.at"), problem.help("leave one of them out"));
            None
        }
        (None, None) => {
            let problem = Problem::new(244, "a timer needs to know when it comes");
            let help = "write delay = \"24h\", or at = \"due_at\" with a formula that gives a timestamp";
            findings.error(Place::Reaction(ix, "timer"), problem.help(help));
            None
        }
    }
}

fn check_event(ix: usize, timer: &TimerSpec, spec: &GraphSpec, findings: &mut Findings) {
    if timer.event.is_empty() {
        let problem = Problem::new(237, "a timer needs the name of the event that it raises").help("write event = \"…\"");
        findings.error(Place::Reaction(ix, "timer.event"), problem);
    } else if spec.reactions.iter().all(|other| other.event != timer.event) {
        warn_of_unheard(ix, &timer.event, spec, findings);
    }
}

/// A timer's event that nothing reacts to is for the event log, unless it looks like a slip.
fn warn_of_unheard(ix: usize, event: &str, spec: &GraphSpec, findings: &mut Findings) {
    let slip = |other: &&ReactionSpec| strsim::damerau_levenshtein(&other.event, event) <= 2;
    if let Some(near) = spec.reactions.iter().find(slip) {
        let problem = Problem::new(248, format!("nothing reacts to the event `{event}` that this timer raises"))
            .help(format!("did you mean `{}`?", near.event));
        findings.warn(Place::Reaction(ix, "timer.event"), problem);
    }
}

impl Timing {
    /// What a change of one kind arms; columns that its time reads are added to `inputs`.
    pub(super) fn rule(
        &self,
        world: &Shared,
        (table, trigger): (usize, Trigger),
        rule: &Rule<'_>,
        inputs: &mut Vec<ReactionInput>,
        findings: &mut Findings,
    ) -> Option<TimerRule> {
        let due = match &self.due {
            Spoken::After(delay) => Due::After(*delay),
            Spoken::At(ast, text) => {
                let expr = at(world, (table, trigger), ast, rule.ix, inputs, findings)?;
                Due::At { expr, text: text.clone() }
            }
        };
        Some(TimerRule { due, event: self.event.clone(), reset: self.reset })
    }
}

/// The time that a formula over the change gives.
fn at(
    world: &Shared,
    (table, trigger): (usize, Trigger),
    ast: &Ast,
    ix: usize,
    inputs: &mut Vec<ReactionInput>,
    findings: &mut Findings,
) -> Option<Expr> {
    let place = Place::Reaction(ix, "timer.at");
    let checked = check_over_change(world, table, trigger, ast).and_then(|(expr, read)| match expr.ty() {
        Type::Timestamp | Type::Dyn | Type::Null => Ok((expr, read)),
        ty => {
            let problem = Problem::new(244, format!("the time of a timer is {ty}, not a timestamp")).at(ast.span, "");
            Err(vec![problem.help("write a column or formula that gives one, such as timestamp(due) or tx.at + duration('1h')")])
        }
    });
    let (expr, read) = checked.map_err(|problems| findings.errors(&place, problems)).ok()?;
    slips::warn(&world.borrow(), columns(table, &read), ast, &place, findings);
    let positions: Vec<u32> = read.iter().map(|input| position(inputs, input)).collect();
    Some(map_inputs(&expr, &|id, _| ExprKind::Input(InputId(positions[id.0 as usize]))))
}

/// Where `input` stands among `inputs`; it is added if it does not.
fn position(inputs: &mut Vec<ReactionInput>, input: &ReactionInput) -> u32 {
    let known = inputs.iter().position(|known| known == input);
    known.unwrap_or_else(|| {
        inputs.push(input.clone());
        inputs.len() - 1
    }) as u32
}

/// What takes back the timers of a rule.
pub(super) fn cancels(world: &Shared, rule: &Rule<'_>, events: &Events, findings: &mut Findings) -> Vec<Cancel> {
    let (Some(timing), Some(spec)) = (rule.timing, &rule.spec.timer) else { return Vec::new() };
    let tables: BTreeSet<usize> = events.get(&rule.spec.event).into_iter().flatten().map(|(table, _)| *table).collect();
    let mut cancels = Vec::new();
    for (at, event) in spec.cancel_on.iter().enumerate() {
        let raised: Vec<_> = events.get(event).into_iter().flatten().filter(|(table, _)| tables.contains(table)).collect();
        if raised.is_empty() {
            warn_of_no_cancel((rule.ix, at), event, events, findings);
        }
        for (table, trigger) in raised {
            let event = (*trigger == Trigger::Timer).then(|| event.as_str().into());
            cancels.push(Cancel { event, ..cancel(rule, *table, *trigger) });
        }
    }
    if let Some(ast) = &timing.cancel_when {
        let place = Place::Reaction(rule.ix, "timer.cancel_when");
        for table in tables {
            let checked = checked_condition(world, (table, Trigger::Update), ast, &place, findings);
            let Some((expr, inputs)) = checked else { continue };
            for trigger in [Trigger::Insert, Trigger::Update] {
                let (condition, inputs) = (Some(expr.clone()), inputs.clone());
                cancels.push(Cancel { condition, inputs, ..cancel(rule, table, trigger) });
            }
            cancels.push(cancel(rule, table, Trigger::Delete));
        }
    }
    cancels
}

fn cancel(rule: &Rule<'_>, table: usize, trigger: Trigger) -> Cancel {
    let (name, table) = (rule.name.clone(), TableId(table as u32));
    Cancel { name, rule: rule.ix as u32, table, trigger, event: None, condition: None, inputs: Vec::new() }
}

fn warn_of_no_cancel((rule, at): (usize, usize), event: &str, events: &Events, findings: &mut Findings) {
    let problem = Problem::new(248, format!("nothing raises the event `{event}` for a row that this timer waits for"));
    let problem = with_near_misses(problem, event, "events", events.keys().map(String::as_str));
    findings.warn(Place::CancelOn(rule, at), problem);
}
