//! Reactions: pulses on the net change of a row, and on timers that come due; and what cancels the timers that they armed.
//!
//! A reaction is judged once per (epoch, row). It sees whole rows by column name: the row before as the region stored it, not as a
//! source's before-image tells it. Only a condition that is true fires. NULL does not, nor does an error, which is told under the
//! reaction's name; like the pulse itself it is over when the epoch is, so it is not withdrawn. What cancels is judged in the same way, fills
//! included: a row that was read anew may have closed what a timer waits for.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_formulas::eval::Program;
use thalweg_formulas::{Cell, Error, InputId, Timestamp, Value, errors, ops};
use thalweg_graph::outcome::{Delta, ErrorChange, Fired, Key, RuleId, TimerArmed, TimerCancelled, TimerOf};
use thalweg_graph::plan::{Cancel, Due, Reaction, ReactionInput, SOONEST, Table, TimerRule, Trigger};
use thalweg_graph::transaction::TimerFired;
use thalweg_graph::{Epoch, Plan};

use super::Region;
use super::pad::Touch;
use crate::context::Context;
use crate::intake::RowMap;
use crate::state::KeyHash;

/// The reactions of one table.
#[derive(Debug)]
pub struct Reactions {
    source: Arc<str>,
    all: Vec<Ready>,
    cancels: Vec<Canceller>,
    /// Whether a timer without a key is one for each row.
    each_row: bool,
}

/// A reaction, ready to be judged.
#[derive(Debug)]
struct Ready {
    at: u32,
    name: Arc<str>,
    event: Arc<str>,
    trigger: Trigger,
    condition: Option<Program>,
    inputs: Inputs,
    timer: Option<Armed>,
}

/// A timer, ready to be armed.
#[derive(Debug)]
struct Armed {
    due: ReadyDue,
    event: Arc<str>,
}

#[derive(Debug)]
enum ReadyDue {
    After(i64),
    At(Program),
}

/// What cancels the timers of a rule.
#[derive(Debug)]
struct Canceller {
    name: Arc<str>,
    rule: u32,
    trigger: Trigger,
    event: Option<Arc<str>>,
    condition: Option<Program>,
    inputs: Inputs,
}

/// What formulas over a change read.
#[derive(Debug)]
struct Inputs {
    all: Vec<Input>,
    event: Arc<str>,
}

/// What a condition reads, columns by name.
#[derive(Debug)]
enum Input {
    Old(Value),
    New(Value),
    Bare(Value),
    OldRow,
    NewRow,
    BareRow,
    EventName,
    TxOrigin,
    Now,
}

/// One row's change, as reactions see it.
struct Pulse<'a> {
    trigger: Trigger,
    old: Option<&'a Arc<RowMap>>,
    new: Option<&'a Arc<RowMap>>,
}

impl Reactions {
    /// Those of table `table`.
    pub fn new(plan: &Plan, table: u32) -> Reactions {
        let known = &plan.tables[table as usize];
        let here = plan.reactions.iter().enumerate().filter(|(_, reaction)| reaction.table.0 == table);
        let cancels = plan.cancels.iter().filter(|cancel| cancel.table.0 == table).map(|cancel| Canceller::new(cancel, known));
        Reactions {
            source: known.from.clone(),
            all: here.map(|(at, reaction)| Ready::new(at, reaction, known)).collect(),
            cancels: cancels.collect(),
            each_row: plan.schedules.iter().any(|schedule| schedule.each_row && schedule.table.0 == table),
        }
    }
}

impl Inputs {
    fn new(read: &[ReactionInput], table: &Table, event: Arc<str>) -> Inputs {
        let name = |column: &thalweg_graph::plan::ColumnId| Value::text(table.columns[column.0 as usize].name.clone());
        let all = read.iter().map(|input| match input {
            ReactionInput::Old(column) => Input::Old(name(column)),
            ReactionInput::New(column) => Input::New(name(column)),
            ReactionInput::Bare(column) => Input::Bare(name(column)),
            ReactionInput::OldRow => Input::OldRow,
            ReactionInput::NewRow => Input::NewRow,
            ReactionInput::BareRow => Input::BareRow,
            ReactionInput::EventName => Input::EventName,
            ReactionInput::TxOrigin => Input::TxOrigin,
            ReactionInput::Now => Input::Now,
        });
        Inputs { all: all.collect(), event }
    }

    /// What a formula gives over a change.
    fn eval(&self, formula: &Program, pulse: &Pulse<'_>, epoch: Epoch, context: &Context) -> Cell {
        let info = context.batch.info(epoch);
        let input = |id: InputId| -> Cell {
            Ok(match &self.all[id.0 as usize] {
                Input::Old(name) => column(pulse.old, name),
                Input::New(name) => column(pulse.new, name),
                Input::Bare(name) => column(pulse.bare(), name),
                Input::OldRow => row(pulse.old),
                Input::NewRow => row(pulse.new),
                Input::BareRow => row(pulse.bare()),
                Input::EventName => Value::text(self.event.clone()),
                Input::TxOrigin => Value::text(info.origin.clone()),
                Input::Now => Value::Timestamp(info.at),
            })
        };
        formula.eval(&input)
    }

    /// Whether a condition holds; without one, it does.
    fn holds(&self, condition: Option<&Program>, pulse: &Pulse<'_>, epoch: Epoch, context: &Context) -> Result<bool, Error> {
        condition.map_or(Ok(true), |condition| self.eval(condition, pulse, epoch, context).map(|value| value.is_true()))
    }
}

impl Ready {
    fn new(at: usize, reaction: &Reaction, table: &Table) -> Ready {
        Ready {
            at: at as u32,
            name: reaction.name.clone(),
            event: reaction.event.clone(),
            trigger: reaction.trigger,
            condition: reaction.condition.as_ref().map(Program::compile),
            inputs: Inputs::new(&reaction.inputs, table, reaction.event.clone()),
            timer: reaction.timer.as_ref().map(Armed::new),
        }
    }

    /// When the timer that a match arms is due; `None` where it arms nothing.
    fn due(&self, timer: &Armed, pulse: &Pulse<'_>, epoch: Epoch, context: &Context) -> Result<Option<Timestamp>, Error> {
        let now = context.batch.info(epoch).at;
        match &timer.due {
            ReadyDue::After(delay) => Ok(Some(Timestamp(now.0.saturating_add(*delay)))),
            ReadyDue::At(formula) => match self.inputs.eval(formula, pulse, epoch, context)? {
                Value::Timestamp(at) => Ok(Some(Timestamp(at.0.max(now.0.saturating_add(SOONEST))))),
                Value::Null => Ok(None),
                other => Err(errors::bad_argument(format!("the time of a timer is {}, not a timestamp", ops::type_name(&other)))),
            },
        }
    }
}

impl Armed {
    fn new(timer: &TimerRule) -> Armed {
        let due = match &timer.due {
            Due::After(delay) => ReadyDue::After(*delay),
            Due::At { expr, .. } => ReadyDue::At(Program::compile(expr)),
        };
        Armed { due, event: timer.event.clone() }
    }
}

impl Canceller {
    fn new(cancel: &Cancel, table: &Table) -> Canceller {
        Canceller {
            name: cancel.name.clone(),
            rule: cancel.rule,
            trigger: cancel.trigger,
            event: cancel.event.clone(),
            condition: cancel.condition.as_ref().map(Program::compile),
            inputs: Inputs::new(&cancel.inputs, table, cancel.event.clone().unwrap_or_default()),
        }
    }
}

impl Pulse<'_> {
    fn bare(&self) -> Option<&Arc<RowMap>> {
        self.new.or(self.old)
    }

    fn op(&self) -> &'static str {
        match self.trigger {
            Trigger::Insert => "insert",
            Trigger::Update => "update",
            Trigger::Delete => "delete",
            Trigger::Timer => "timer",
        }
    }
}

fn column(row: Option<&Arc<RowMap>>, name: &Value) -> Value {
    row.and_then(|row| row.get(name)).cloned().unwrap_or(Value::Null)
}

fn row(row: Option<&Arc<RowMap>>) -> Value {
    row.map_or(Value::Null, |row| Value::Map(row.clone()))
}

impl Region {
    /// Judges the reactions on a row's net change, and tells its changed columns where that is asked for.
    pub(super) fn react_to_change(&mut self, epoch: Epoch, touch: &Touch, context: &mut Context) {
        let Some(home) = self.home.as_ref().filter(|home| home.whole.is_some()) else { return };
        let lives = self.alive.get(touch.row);
        let new = if lives { self.whole(touch.row) } else { None };
        let old = if touch.lived { touch.whole.clone() } else { None };
        if old == new {
            return;
        }
        let key = self.key(touch.row, context);
        if home.tells_columns && context.reports(epoch) {
            self.column_deltas(epoch, &key, (old.as_deref(), new.as_deref()), context);
        }
        let trigger = match (&old, &new) {
            (None, _) => Trigger::Insert,
            (_, Some(_)) => Trigger::Update,
            (_, None) => Trigger::Delete,
        };
        let pulse = Pulse { trigger, old: old.as_ref(), new: new.as_ref() };
        self.cancel(epoch, &pulse, &key, None, context);
        if !context.batch.info(epoch).fill {
            self.judge(epoch, &pulse, &key, None, context);
        }
    }

    /// Judges the reactions to a timer's event on the row as it is; a row that is gone reads NULL. A schedule's timer may be one for
    /// each row.
    pub(super) fn timer(&mut self, epoch: Epoch, timer: &TimerFired, context: &mut Context) {
        if timer.key.is_empty() && self.home.as_ref().is_some_and(|home| home.reactions.each_row) {
            let come = |row| self.time_has_come(epoch, Some(row), &self.key(row, context), &timer.event, context);
            return self.alive.ones().for_each(come);
        }
        let directory = &context.directories[self.layout.table.0 as usize];
        let row = directory.find(&timer.key, KeyHash::of(&timer.key));
        let row = row.filter(|row| self.alive.get(*row));
        let key: Key = timer.key.iter().cloned().collect();
        self.time_has_come(epoch, row, &key, &timer.event, context);
    }

    fn time_has_come(&self, epoch: Epoch, row: Option<u32>, key: &Key, event: &Arc<str>, context: &mut Context) {
        let new = row.and_then(|row| self.whole(row));
        let pulse = Pulse { trigger: Trigger::Timer, old: None, new: new.as_ref() };
        self.cancel(epoch, &pulse, key, Some(event), context);
        self.judge(epoch, &pulse, key, Some(event), context);
    }

    /// Tells which rules' timers for the row are taken back.
    fn cancel(&self, epoch: Epoch, pulse: &Pulse<'_>, key: &Key, event: Option<&Arc<str>>, context: &mut Context) {
        let Some(home) = &self.home else { return };
        let here = |cancel: &&Canceller| cancel.trigger == pulse.trigger && cancel.event.as_ref() == event;
        for cancel in home.reactions.cancels.iter().filter(here) {
            match cancel.inputs.holds(cancel.condition.as_ref(), pulse, epoch, context) {
                Ok(true) => {
                    let (rule, key) = (TimerOf::Rule(cancel.rule), key.clone());
                    let table = context.table_names[self.layout.table.0 as usize].clone();
                    context.out.cancelled.push(TimerCancelled { epoch, rule, table, key });
                }
                Ok(false) => {}
                Err(error) => {
                    let (node, key) = (cancel.name.clone(), key.clone());
                    context.out.errors.push(ErrorChange { epoch, node, key, error, cleared: false });
                }
            }
        }
    }

    fn judge(&self, epoch: Epoch, pulse: &Pulse<'_>, key: &Key, event: Option<&Arc<str>>, context: &mut Context) {
        let Some(home) = &self.home else { return };
        for reaction in home.reactions.all.iter().filter(|reaction| reaction.trigger == pulse.trigger) {
            if event.is_some_and(|event| *event != reaction.event) {
                continue;
            }
            match reaction.inputs.holds(reaction.condition.as_ref(), pulse, epoch, context) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    let (node, key) = (reaction.name.clone(), key.clone());
                    context.out.errors.push(ErrorChange { epoch, node, key, error, cleared: false });
                    continue;
                }
            }
            let payload = self.payload(reaction, &home.reactions.source, pulse, key, context);
            let rule = context.triggers.rule(&reaction.name);
            let version = context.triggers.fire(rule, key);
            let (node, rule) = (reaction.name.clone(), RuleId::Reaction(reaction.at));
            context.out.fired.push(Fired { epoch, node, rule, key: key.clone(), version, payload });
            if let Some(timer) = &reaction.timer {
                self.arm(epoch, (reaction, timer), pulse, key, context);
            }
        }
    }

    fn payload(&self, reaction: &Ready, source: &Arc<str>, pulse: &Pulse<'_>, key: &Key, context: &Context) -> Value {
        Value::record([
            ("event", Value::text(reaction.event.clone())),
            ("table", Value::text(source.clone())),
            ("op", Value::from(pulse.op())),
            ("key", context.key_map(self.layout.table, key)),
            ("old", row(pulse.old)),
            ("new", row(pulse.new)),
        ])
    }

    fn arm(&self, epoch: Epoch, (reaction, timer): (&Ready, &Armed), pulse: &Pulse<'_>, key: &Key, context: &mut Context) {
        let (event, table, key) = (timer.event.clone(), context.table_names[self.layout.table.0 as usize].clone(), key.clone());
        match reaction.due(timer, pulse, epoch, context) {
            Ok(Some(due)) => {
                context.out.timers.push(TimerArmed { epoch, rule: RuleId::Reaction(reaction.at), event, table, key, due })
            }
            Ok(None) => {}
            Err(error) => {
                let node = reaction.name.clone();
                context.out.errors.push(ErrorChange { epoch, node, key, error, cleared: false });
            }
        }
    }

    /// The changed columns of a row, by name; an initial NULL is no change.
    fn column_deltas(&self, epoch: Epoch, key: &Key, (old, new): (Option<&RowMap>, Option<&RowMap>), context: &mut Context) {
        let names: BTreeSet<&Value> = old.into_iter().chain(new).flat_map(RowMap::keys).collect();
        let of = |row: Option<&RowMap>, name: &Value| row.and_then(|row| row.get(name)).cloned().unwrap_or(Value::Null);
        for name in names {
            let (old, new, gone) = (of(old, name), of(new, name), new.is_none());
            if old != new {
                let node = context.column_node(self.layout.table, name);
                context.out.deltas.push(Delta { epoch, node, key: key.clone(), old, new, gone });
            }
        }
    }
}
