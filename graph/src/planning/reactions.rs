//! Reactions: from classified changes and timers to conditions over one change.
//!
//! An event is raised by changes that `[[classify]]` names and by timers that reactions arm; a timer raises its event for the
//! row that armed it. One rule becomes one reaction for each (table, trigger) of its event; all of them have the rule's name.
//! A timer sees no change: for its reactions `old` and `new` are both the row as it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Expr, ExprKind, InputId, Problem, Type};

use super::actions::check_actions;
use super::changes::ChangeScope;
use super::delay::parse_delay;
use super::findings::{Findings, with_near_misses};
use super::language;
use super::places::located;
use super::rewrite::map_inputs;
use super::slips;
use super::world::Shared;
use crate::plan::{Reaction, ReactionInput, TableId, Trigger};
use crate::spec::{ClassifySpec, GraphSpec, Place, ReactionSpec};

/// Which changes raise which event.
type Events = BTreeMap<String, Vec<(usize, Trigger)>>;

/// Events of the classified changes.
pub(super) fn classify(world: &Shared, spec: &GraphSpec, findings: &mut Findings) -> Vec<Option<usize>> {
    let mut world = world.borrow_mut();
    let rules = &spec.classify;
    rules.iter().enumerate().map(|(ix, rule)| world.catalogue.classified(ix, rule, rules, findings)).collect()
}

/// All reactions; `tables` are those of the classifications.
pub(super) fn check_reactions(
    world: &Shared,
    spec: &GraphSpec,
    tables: &[Option<usize>],
    findings: &mut Findings,
) -> Vec<Reaction> {
    let mut events = classified_events(&spec.classify, tables, findings);
    let names = names(&spec.reactions);
    let timers: Vec<Option<(i64, Arc<str>)>> =
        spec.reactions.iter().enumerate().map(|(ix, rule)| check_timer(ix, rule, spec, findings)).collect();
    raise_timer_events(&mut events, &spec.reactions, &timers);
    let mut reactions = Vec::new();
    for (ix, rule) in spec.reactions.iter().enumerate() {
        let place = |action: usize, key: &str| Place::Action { effect: false, owner: ix, action, key: key.into() };
        check_actions(&world.borrow(), &rule.actions, place, findings);
        let condition = parse_condition(ix, rule, findings);
        let Some(raised) = events.get(&rule.event) else {
            warn_of_silence(ix, rule, &events, findings);
            continue;
        };
        for (table, trigger) in raised {
            let mut inputs = Vec::new();
            let checked = match &condition {
                Some(ast) => match check_condition(world, *table, *trigger, ast) {
                    Ok((expr, read)) => {
                        let place = Place::Reaction(ix, "condition");
                        slips::warn(&world.borrow(), columns(*table, &read), ast, &place, findings);
                        inputs = read;
                        Some(expr)
                    }
                    Err(problems) => {
                        findings.errors(&Place::Reaction(ix, "condition"), problems);
                        continue;
                    }
                },
                None => None,
            };
            reactions.push(Reaction {
                name: names[ix].as_str().into(),
                rule: ix as u32,
                event: rule.event.as_str().into(),
                table: TableId(*table as u32),
                trigger: *trigger,
                condition_text: rule.condition.as_deref().map(Into::into),
                condition: checked,
                inputs,
                timer: timers[ix].clone(),
                actions: rule.actions.clone(),
            });
        }
    }
    reactions
}

/// Every reaction's name: its own, else its event, with its number from the second reaction on that event.
pub(super) fn names(rules: &[ReactionSpec]) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let numbered = |rule: &ReactionSpec, count: usize| {
        if count == 1 { rule.event.clone() } else { format!("{}#{count}", rule.event) }
    };
    rules
        .iter()
        .map(|rule| {
            let count = seen.entry(&rule.event).or_insert(0);
            *count += 1;
            rule.name.clone().unwrap_or_else(|| numbered(rule, *count))
        })
        .collect()
}

fn classified_events(rules: &[ClassifySpec], tables: &[Option<usize>], findings: &mut Findings) -> Events {
    let mut events = Events::new();
    for (ix, (rule, table)) in rules.iter().zip(tables).enumerate() {
        let named = [(&rule.insert, Trigger::Insert), (&rule.update, Trigger::Update), (&rule.delete, Trigger::Delete)];
        if named.iter().all(|(event, _)| event.is_none()) {
            let problem = Problem::new(254, format!("the classification of `{}` names no event", rule.table))
                .help("write insert = \"…\", update = \"…\" or delete = \"…\"");
            findings.error(Place::Classify(ix, "table"), problem);
        }
        let Some(table) = table else { continue };
        for (event, trigger) in named {
            let Some(event) = event else { continue };
            let raised = events.entry(event.clone()).or_default();
            if !raised.contains(&(*table, trigger)) {
                raised.push((*table, trigger));
            }
        }
    }
    events
}

/// Lets each timer raise its event for every table whose rows can arm it, timers armed by timers included.
fn raise_timer_events(events: &mut Events, rules: &[ReactionSpec], timers: &[Option<(i64, Arc<str>)>]) {
    loop {
        let mut changed = false;
        for (rule, timer) in rules.iter().zip(timers) {
            let Some((_, event)) = timer else { continue };
            let armed: Vec<usize> = events.get(&rule.event).into_iter().flatten().map(|(table, _)| *table).collect();
            for table in armed {
                let raised = events.entry(event.to_string()).or_default();
                if !raised.contains(&(table, Trigger::Timer)) {
                    raised.push((table, Trigger::Timer));
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

fn check_timer(ix: usize, rule: &ReactionSpec, spec: &GraphSpec, findings: &mut Findings) -> Option<(i64, Arc<str>)> {
    let timer = rule.timer.as_ref()?;
    let delay = parse_delay(&timer.delay);
    if delay.is_none() {
        let message = format!("`{}` is not a delay", timer.delay);
        let problem = Problem::new(244, message).help("write for example \"24h\", \"1d 2h\", \"90s\" or \"PT24H\"");
        findings.error(Place::Reaction(ix, "timer.delay"), problem);
    }
    if timer.event.is_empty() {
        let problem = Problem::new(237, "a timer needs the name of the event that it raises").help("write event = \"…\"");
        findings.error(Place::Reaction(ix, "timer.event"), problem);
    } else if spec.reactions.iter().all(|other| other.event != timer.event) {
        warn_of_unheard(ix, &timer.event, spec, findings);
    }
    delay.map(|delay| (delay, timer.event.as_str().into()))
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

fn warn_of_silence(ix: usize, rule: &ReactionSpec, events: &Events, findings: &mut Findings) {
    if rule.event.is_empty() {
        let problem = Problem::new(237, "a reaction needs the name of its event").help("write event = \"…\"");
        findings.error(Place::Reaction(ix, "event"), problem);
        return;
    }
    let problem = Problem::new(248, format!("nothing raises the event `{}`", rule.event));
    let problem = with_near_misses(problem, &rule.event, "events", events.keys().map(String::as_str));
    let problem =
        if problem.help.is_some() { problem } else { problem.help("name it in [[classify]], or in the timer of a reaction") };
    findings.warn(Place::Reaction(ix, "event"), problem);
}

fn parse_condition(ix: usize, rule: &ReactionSpec, findings: &mut Findings) -> Option<Ast> {
    let text = rule.condition.as_ref()?;
    language::parse_formula(text).map_err(|problems| findings.errors(&Place::Reaction(ix, "condition"), problems)).ok()
}

/// The condition, its inputs numbered as positions in what it reads.
fn check_condition(
    world: &Shared,
    table: usize,
    trigger: Trigger,
    ast: &Ast,
) -> Result<(Expr, Vec<ReactionInput>), Vec<Problem>> {
    let scope = ChangeScope::new(world, table, trigger);
    let checked = language::check_formula(ast, &scope);
    let (inputs, misplaced) = scope.read();
    if !misplaced.is_empty() {
        return Err(misplaced.into_iter().map(|(name, problem)| located(problem, ast, &name, "not part of a change")).collect());
    }
    let expr = checked?;
    if !matches!(expr.ty(), Type::Bool | Type::Dyn | Type::Null) {
        let problem = Problem::new(240, format!("the condition of a reaction is {}, not bool", expr.ty()));
        return Err(vec![problem.at(ast.span, "").help("compare it with something")]);
    }
    Ok(only_read(&expr, &inputs))
}

/// The expression over those inputs only that it reads.
fn only_read(expr: &Expr, inputs: &[ReactionInput]) -> (Expr, Vec<ReactionInput>) {
    let read = expr.inputs();
    let renumbered = map_inputs(expr, &|id, _| {
        let position = read.iter().position(|known| *known == id).expect("invariant: a read input is among those read");
        ExprKind::Input(InputId(position as u32))
    });
    (renumbered, read.iter().map(|id| inputs[id.0 as usize].clone()).collect())
}

/// The columns that a condition reads.
fn columns(table: usize, inputs: &[ReactionInput]) -> impl Iterator<Item = (usize, usize)> + '_ {
    inputs.iter().filter_map(move |input| match input {
        ReactionInput::Old(column) | ReactionInput::New(column) | ReactionInput::Bare(column) => Some((table, column.0 as usize)),
        ReactionInput::OldRow | ReactionInput::NewRow | ReactionInput::BareRow => None,
        ReactionInput::EventName | ReactionInput::TxOrigin | ReactionInput::Now => None,
    })
}
