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
use super::findings::{Findings, with_near_misses};
use super::language;
use super::places::located;
use super::rewrite::map_inputs;
use super::slips;
use super::timers::{self, Timing};
use super::world::Shared;
use crate::plan::{Cancel, Reaction, ReactionInput, Schedule, TableId, Trigger};
use crate::spec::{ClassifySpec, GraphSpec, Place, ReactionSpec};

/// Which changes raise which event.
pub(super) type Events = BTreeMap<String, Vec<(usize, Trigger)>>;

/// Events of the classified changes.
pub(super) fn classify(world: &Shared, spec: &GraphSpec, findings: &mut Findings) -> Vec<Option<usize>> {
    let mut world = world.borrow_mut();
    let rules = &spec.classify;
    let mut classified = |(ix, rule): (usize, &ClassifySpec)| {
        let table = world.catalogue.classified(ix, rule, rules, findings)?;
        let name = &world.catalogue.tables[table].name;
        if world.catalogue.tables[table].derived {
            let problem = Problem::new(257, format!("[[classify]] names `{name}`, whose rows no source changes"));
            let help = format!("use [[effect]] on = \"{name}\" for a condition on it");
            findings.error(Place::Classify(ix, "table"), problem.help(help));
            return None;
        }
        Some(table)
    };
    rules.iter().enumerate().map(&mut classified).collect()
}

/// All reactions and what cancels their timers; `tables` are those of the classifications, `schedules` those of the schedules.
pub(super) fn check_reactions(
    world: &Shared,
    spec: &GraphSpec,
    tables: &[Option<usize>],
    schedules: &[Option<Schedule>],
    findings: &mut Findings,
) -> (Vec<Reaction>, Vec<Cancel>) {
    let mut events = classified_events(&spec.classify, tables, findings);
    for schedule in schedules.iter().flatten() {
        raise(&mut events, &schedule.event, schedule.table.0 as usize, Trigger::Timer);
    }
    let names = names(&spec.reactions);
    let timers: Vec<Option<Timing>> =
        spec.reactions.iter().enumerate().map(|(ix, rule)| timers::check(ix, rule, spec, findings)).collect();
    raise_timer_events(&mut events, &spec.reactions, &timers);
    let (mut reactions, mut cancels) = (Vec::new(), Vec::new());
    for (ix, rule) in spec.reactions.iter().enumerate() {
        let place = |action: usize, key: &str| Place::Action { effect: false, owner: ix, action, key: key.into() };
        check_actions(&world.borrow(), &rule.actions, place, findings);
        let condition = parse_over_change(rule.condition.as_ref(), Place::Reaction(ix, "condition"), findings);
        let Some(raised) = events.get(&rule.event) else {
            warn_of_silence(ix, rule, &events, findings);
            continue;
        };
        let rule =
            Rule { ix, name: names[ix].as_str().into(), spec: rule, condition: condition.as_ref(), timing: timers[ix].as_ref() };
        reactions.extend(raised.iter().filter_map(|(table, trigger)| rule.reaction(world, *table, *trigger, findings)));
        cancels.extend(timers::cancels(world, &rule, &events, findings));
    }
    (reactions, cancels)
}

/// A rule on its way to its reactions.
pub(super) struct Rule<'a> {
    /// Its place in the definition.
    pub(super) ix: usize,
    pub(super) name: Arc<str>,
    pub(super) spec: &'a ReactionSpec,
    condition: Option<&'a Ast>,
    pub(super) timing: Option<&'a Timing>,
}

impl Rule<'_> {
    /// Its reaction to one kind of change of one table.
    fn reaction(&self, world: &Shared, table: usize, trigger: Trigger, findings: &mut Findings) -> Option<Reaction> {
        let mut inputs = Vec::new();
        let condition = match self.condition {
            Some(ast) => {
                let place = Place::Reaction(self.ix, "condition");
                let (expr, read) = checked_condition(world, (table, trigger), ast, &place, findings)?;
                inputs = read;
                Some(expr)
            }
            None => None,
        };
        let timer = match self.timing {
            Some(timing) => Some(timing.rule(world, (table, trigger), self, &mut inputs, findings)?),
            None => None,
        };
        Some(Reaction {
            name: self.name.clone(),
            rule: self.ix as u32,
            event: self.spec.event.as_str().into(),
            table: TableId(table as u32),
            trigger,
            condition_text: self.spec.condition.as_deref().map(Into::into),
            condition,
            inputs,
            timer,
            actions: self.spec.actions.clone(),
        })
    }
}

/// A condition over one kind of change of one table, with what it reads; what is wrong with it is said at `place`.
pub(super) fn checked_condition(
    world: &Shared,
    (table, trigger): (usize, Trigger),
    ast: &Ast,
    place: &Place,
    findings: &mut Findings,
) -> Option<(Expr, Vec<ReactionInput>)> {
    let checked = check_over_change(world, table, trigger, ast).and_then(|(expr, read)| match expr.ty() {
        Type::Bool | Type::Dyn | Type::Null => Ok((expr, read)),
        ty => {
            let problem = Problem::new(240, format!("the condition of a reaction is {ty}, not bool"));
            Err(vec![problem.at(ast.span, "").help("compare it with something")])
        }
    });
    match checked {
        Ok((expr, read)) => {
            slips::warn(&world.borrow(), columns(table, &read), ast, place, findings);
            Some((expr, read))
        }
        Err(problems) => {
            findings.errors(place, problems);
            None
        }
    }
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
            raise(&mut events, event, *table, trigger);
        }
    }
    events
}

/// Lets each timer raise its event for every table whose rows can arm it, timers armed by timers included.
fn raise_timer_events(events: &mut Events, rules: &[ReactionSpec], timers: &[Option<Timing>]) {
    loop {
        let mut changed = false;
        for (rule, timing) in rules.iter().zip(timers) {
            let Some(timing) = timing else { continue };
            let armed: Vec<usize> = events.get(&rule.event).into_iter().flatten().map(|(table, _)| *table).collect();
            for table in armed {
                changed |= raise(events, &timing.event, table, Trigger::Timer);
            }
        }
        if !changed {
            return;
        }
    }
}

/// Lets `trigger` of a table raise an event; whether that is new.
fn raise(events: &mut Events, event: &str, table: usize, trigger: Trigger) -> bool {
    let raised = events.entry(event.to_owned()).or_default();
    let new = !raised.contains(&(table, trigger));
    if new {
        raised.push((table, trigger));
    }
    new
}

fn warn_of_silence(ix: usize, rule: &ReactionSpec, events: &Events, findings: &mut Findings) {
    if rule.event.is_empty() {
        let problem = Problem::new(237, "a reaction needs the name of its event").help("write event = \"…\"");
        findings.error(Place::Reaction(ix, "event"), problem);
        return;
    }
    let problem = Problem::new(248, format!("nothing raises the event `{}`", rule.event));
    let problem = with_near_misses(problem, &rule.event, "events", events.keys().map(String::as_str));
    let problem = if problem.help.is_some() {
        problem
    } else {
        problem.help("name it in [[classify]], in [[schedule]], or in the timer of a reaction")
    };
    findings.warn(Place::Reaction(ix, "event"), problem);
}

/// A formula over a change, parsed; what is wrong with it is said.
pub(super) fn parse_over_change(text: Option<&String>, place: Place, findings: &mut Findings) -> Option<Ast> {
    language::parse_formula(text?).map_err(|problems| findings.errors(&place, problems)).ok()
}

/// The formula, its inputs numbered as positions in what it reads.
pub(super) fn check_over_change(
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
    Ok(only_read(&checked?, &inputs))
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
pub(super) fn columns(table: usize, inputs: &[ReactionInput]) -> impl Iterator<Item = (usize, usize)> + '_ {
    inputs.iter().filter_map(move |input| match input {
        ReactionInput::Old(column) | ReactionInput::New(column) | ReactionInput::Bare(column) => Some((table, column.0 as usize)),
        ReactionInput::OldRow | ReactionInput::NewRow | ReactionInput::BareRow => None,
        ReactionInput::EventName | ReactionInput::TxOrigin | ReactionInput::Now => None,
    })
}
