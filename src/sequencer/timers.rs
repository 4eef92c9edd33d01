//! The timers that wait: by time, and by who armed them where they can be taken back.
//!
//! A schedule is a timer that arms its successor when it fires. Its successor is that of the time at which it was due, so that a stream
//! which is read late sees every time in its place; only what passed while nothing ran, and the clock alone brings up, is subject to
//! its `misfire` policy.
//!
//! Timers that publish fields are taken together where they are due at one time: what is published in one moment is one epoch. Such a time that documents
//! tell is one timer, however many they are.
//!
//! Cost: O(log timers) for each that is armed, fires or is taken back. Memory: about 200 bytes a timer, and 100 more where timers can be
//! taken back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::Plan;
use thalweg_graph::ids;
use thalweg_graph::outcome::{Outcome, RuleId, TimerArmed, TimerOf};
use thalweg_graph::plan::{Due, Opens, PUBLISH, REMINDER, Rearm, SOONEST, Schedule};
use thalweg_graph::ports::{Timer, TimerAct};
use thalweg_graph::schedule::{LATE, Misfire};

/// When a timer is due, and its id.
type Place = (Timestamp, Arc<str>);

/// What waits.
pub(crate) struct Timers {
    plan: Arc<Plan>,
    /// What a timer is of, by the name of its rule.
    owners: HashMap<Arc<str>, Owner>,
    waiting: BTreeMap<Place, Timer>,
    /// What each rule has armed for each row; empty unless timers can be taken back.
    by_subject: HashMap<Box<[u8]>, Vec<Place>>,
    revocable: bool,
    /// Reminders that the clock alone brought up late, and when: their effects come up again from then on.
    late: HashMap<Box<[u8]>, Timestamp>,
    /// The shortest time between the arming of a timer and its coming, in microseconds.
    soonest: Option<i64>,
    /// Whether times of a schedule that passed are ever left out.
    skips: bool,
    /// Schedules that wait for their first time, by their names as rules.
    unwound: HashSet<Arc<str>>,
    /// What is not yet part of a batch.
    moved: Moved,
}

/// Whose a timer is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// What arms timers of rows.
    Row(TimerOf),
    /// A schedule, by its place in the plan.
    Schedule(u32),
    /// Documents that are published at a time of their own.
    Documents,
}

/// Timers armed, and ids of timers that wait no more; one that came and went is in both.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub armed: Vec<Timer>,
    pub done: Vec<Arc<str>>,
}

impl Timers {
    /// Goes on with those that waited before. What is left of schedules and of effects that are no longer in the plan goes.
    pub fn new(plan: Arc<Plan>, before: Vec<Timer>) -> Timers {
        let timers = || plan.reactions.iter().filter_map(|reaction| reaction.timer.as_ref());
        let delays = timers().map(|timer| if let Due::After(delay) = timer.due { delay } else { SOONEST });
        let levels =
            || plan.effects.iter().filter_map(|effect| if let Rearm::Level(every) = effect.rearm { Some(every) } else { None });
        let clocked = plan.clocked.iter().filter_map(|clocked| match clocked.by {
            Opens::Schedule(_) => None,
            Opens::After(delay) => Some(delay),
            Opens::At(_) => Some(SOONEST),
        });
        let soonest = delays.chain(levels()).chain(clocked).min();
        let revocable = !plan.cancels.is_empty() || timers().any(|timer| timer.reset) || levels().next().is_some();
        let skips = plan.schedules.iter().any(|schedule| schedule.misfire == Misfire::Skip);
        let unwound = plan.schedules.iter().map(rule_name).collect();
        let owners = owners(&plan);
        let (waiting, by_subject, late, moved) = Default::default();
        let mut timers = Timers { plan, owners, waiting, by_subject, revocable, late, soonest, skips, unwound, moved };
        for timer in before {
            timers.unwound.remove(&timer.rule);
            let needs_owner = is_scheduled(&timer.rule) || timer.rule.starts_with(REMINDER) || *timer.rule == *APPOINTMENT;
            if needs_owner && !timers.owners.contains_key(&timer.rule) {
                timers.moved.done.push(timer.id);
            } else {
                timers.add(timer);
            }
        }
        timers
    }

    /// Whether none can ever come.
    pub fn is_idle(&self) -> bool {
        self.soonest.is_none() && self.plan.schedules.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// All that wait.
    pub fn waiting(&self) -> Vec<Timer> {
        self.waiting.values().cloned().collect()
    }

    /// When the next is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }

    /// Whether a transaction may take one back that is due after it.
    pub fn revocable(&self) -> bool {
        self.revocable
    }

    /// Whether a timer that is armed at `first` could be due by `at`.
    pub fn could_overtake(&self, first: Timestamp, at: Timestamp) -> bool {
        self.soonest.is_some_and(|delay| at.0 >= first.0.saturating_add(delay))
    }

    /// The first that is due, and with one that publishes fields all that do so at that time. `missed` is the time of the clock, where that alone
    /// brings it up.
    pub fn pop(&mut self, missed: Option<Timestamp>) -> Option<Timer> {
        let place = self.waiting.keys().next()?.clone();
        let mut timer = self.pop_one(&place, missed)?;
        if *timer.event == *PUBLISH && timer.table.is_empty() {
            let together = self.waiting.iter().take_while(|((due, _), _)| *due == timer.due);
            let together = together.filter(|(_, other)| other.event == timer.event && other.table.is_empty());
            let together: Vec<Place> = together.map(|(place, _)| place.clone()).collect();
            let others: Vec<Timer> = together.iter().filter_map(|place| self.pop_one(place, missed)).collect();
            timer.key = timer.key.iter().chain(others.iter().flat_map(|other| other.key.iter())).cloned().collect();
        }
        Some(timer)
    }

    /// One that is due; a schedule's arms its successor.
    fn pop_one(&mut self, place: &Place, missed: Option<Timestamp>) -> Option<Timer> {
        let timer = self.remove(place)?;
        if let Some(now) = missed.filter(|now| now.0.saturating_sub(timer.due.0) > LATE)
            && let Some(effect) = self.reminded(&timer.rule)
        {
            self.late.insert(subject(TimerOf::Effect(effect), &timer.table, &timer.key), now);
        }
        if let Some(schedule) = self.schedule(&timer.rule) {
            let late = missed.filter(|now| now.0.saturating_sub(timer.due.0) > LATE);
            let from = if schedule.misfire == Misfire::All { timer.due } else { late.unwrap_or(timer.due) };
            self.wind(&timer.rule.clone(), from);
        }
        self.moved.done.push(timer.id.clone());
        Some(timer)
    }

    /// Times of schedules that were missed by `now` and are to be left out, go.
    pub fn skip_missed(&mut self, now: Timestamp) {
        if !self.skips {
            return;
        }
        let missed = |timer: &Timer| now.0.saturating_sub(timer.due.0) > LATE;
        let skipped = self.waiting.range(..(now, "".into())).filter(|(_, timer)| missed(timer));
        let skipped = skipped.filter(|(_, timer)| self.schedule(&timer.rule).is_some_and(|s| s.misfire == Misfire::Skip));
        for place in skipped.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            let Some(timer) = self.remove(&place) else { continue };
            self.wind(&timer.rule, now);
            self.moved.done.push(timer.id);
        }
    }

    /// Schedules that are new get their first time after `now`. A stream that tells no time stands at 1970, where nothing begins.
    pub fn wind_up(&mut self, now: Timestamp) {
        if now <= Timestamp(0) {
            return;
        }
        let mut unwound: Vec<Arc<str>> = self.unwound.drain().collect();
        unwound.sort_unstable();
        unwound.iter().for_each(|rule| self.wind(rule, now));
    }

    /// Whether a schedule waits for its first time.
    pub fn is_unwound(&self) -> bool {
        !self.unwound.is_empty()
    }

    /// Takes in what a batch armed and took back: in each epoch first what is taken back.
    pub fn follow(&mut self, outcome: &Outcome, origin: &dyn Fn(&TimerArmed) -> Arc<str>) {
        let mut cancelled = outcome.cancelled.iter().peekable();
        for armed in &outcome.timers {
            while let Some(cancel) = cancelled.next_if(|cancel| cancel.epoch <= armed.epoch) {
                self.take_back(&subject(cancel.rule, &cancel.table, &cancel.key));
            }
            self.arm(armed, &origin(armed));
        }
        for cancel in cancelled {
            self.take_back(&subject(cancel.rule, &cancel.table, &cancel.key));
        }
        outcome.appointments.iter().for_each(|appointment| self.appoint(appointment.due));
        self.late.clear();
    }

    /// A time at which documents are to be published; one timer, whoever waits for it.
    pub fn appoint(&mut self, due: Timestamp) {
        let (id, rule, event) = (ids::timer_id("appointment", APPOINTMENT, &[], due).into(), APPOINTMENT.into(), PUBLISH.into());
        let timer = Timer { id, rule, event, table: "".into(), key: [Value::Timestamp(due)].into(), due };
        if !self.waiting.contains_key(&(due, timer.id.clone())) {
            self.moved.armed.push(timer.clone());
            self.add(timer);
        }
    }

    /// Does what somebody asks of a timer, `now`; `false`: none that waits has this id.
    pub fn act(&mut self, act: &TimerAct, now: Timestamp) -> bool {
        let Some(place) = self.waiting.keys().find(|(_, id)| id == act.id()).cloned() else { return false };
        let timer = self.waiting[&place].clone();
        let scheduled = self.schedule(&timer.rule).is_some();
        if !scheduled || matches!(act, TimerAct::Cancel { .. }) {
            self.remove(&place);
            self.moved.done.push(timer.id.clone());
        }
        match act {
            TimerAct::Fire { .. } => {
                let timer = brought_forward(timer, now);
                self.moved.armed.push(timer.clone());
                self.add(timer);
            }
            TimerAct::Cancel { .. } if scheduled => self.wind(&timer.rule, timer.due),
            TimerAct::Cancel { .. } => {}
        }
        true
    }

    /// What has changed since the last call.
    pub fn moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    fn arm(&mut self, armed: &TimerArmed, origin: &str) {
        let (rule, of, alone) = self.armer(armed);
        let subject = subject(of, &armed.table, &armed.key);
        if alone {
            self.take_back(&subject);
        }
        let due = self.late.get(&subject).map_or(armed.due, |now| self.after_late(armed, *now));
        let row: Vec<Value> = std::iter::once(Value::text(armed.table.clone())).chain(armed.key.iter().cloned()).collect();
        let id = ids::timer_id(origin, &rule, &row, due).into();
        let timer = Timer { id, rule, event: armed.event.clone(), table: armed.table.clone(), key: armed.key.clone(), due };
        self.moved.armed.push(timer.clone());
        self.add(timer);
    }

    /// The rule whose timer it is, by name and as what takes it back names it; and whether it has one for each row.
    fn armer(&self, armed: &TimerArmed) -> (Arc<str>, TimerOf, bool) {
        match armed.rule {
            RuleId::Effect(effect) => (armed.event.clone(), TimerOf::Effect(effect), true),
            RuleId::Reaction(reaction) => {
                let reaction = &self.plan.reactions[reaction as usize];
                let reset = reaction.timer.as_ref().is_some_and(|timer| timer.reset);
                (reaction.name.clone(), TimerOf::Rule(reaction.rule), reset)
            }
        }
    }

    /// When an effect comes up again whose reminder came late: what passed while nothing ran is one reminder, not many.
    fn after_late(&self, armed: &TimerArmed, now: Timestamp) -> Timestamp {
        match armed.rule {
            RuleId::Effect(effect) => match self.plan.effects[effect as usize].rearm {
                Rearm::Level(every) => armed.due.max(Timestamp(now.0.saturating_add(every))),
                Rearm::Edge | Rearm::Once => armed.due,
            },
            RuleId::Reaction(_) => armed.due,
        }
    }

    /// The effect that timers of this rule bring up again.
    fn reminded(&self, rule: &str) -> Option<u32> {
        if let Some(Owner::Row(TimerOf::Effect(effect))) = self.owners.get(rule) { Some(*effect) } else { None }
    }

    fn wind(&mut self, rule: &Arc<str>, after: Timestamp) {
        let Some(schedule) = self.schedule(rule) else { return };
        let Some(due) = schedule.times.next_after(after) else { return };
        let (table, key): (Arc<str>, Arc<[Value]>) = match schedule.publishes {
            true => ("".into(), [Value::text(schedule.name.clone())].into()),
            false => (self.plan.tables[schedule.table.0 as usize].name.clone(), [].into()),
        };
        let (id, event) = (ids::timer_id("schedule", rule, &[], due).into(), schedule.event.clone());
        let timer = Timer { id, rule: rule.clone(), event, table, key, due };
        self.moved.armed.push(timer.clone());
        self.add(timer);
    }

    fn schedule(&self, rule: &str) -> Option<&Schedule> {
        if let Some(Owner::Schedule(at)) = self.owners.get(rule) { self.plan.schedules.get(*at as usize) } else { None }
    }

    fn add(&mut self, timer: Timer) {
        let place = (timer.due, timer.id.clone());
        if let Some(subject) = self.subject_of(&timer) {
            self.by_subject.entry(subject).or_default().push(place.clone());
        }
        self.waiting.insert(place, timer);
    }

    fn remove(&mut self, place: &Place) -> Option<Timer> {
        let timer = self.waiting.remove(place)?;
        if let Some(subject) = self.subject_of(&timer)
            && let Some(places) = self.by_subject.get_mut(&subject)
        {
            places.retain(|other| other != place);
            if places.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
        Some(timer)
    }

    fn take_back(&mut self, subject: &[u8]) {
        for place in self.by_subject.remove(subject).unwrap_or_default() {
            self.waiting.remove(&place);
            self.moved.done.push(place.1);
        }
    }

    /// Under what a timer can be taken back; a timer of a rule that is gone cannot.
    fn subject_of(&self, timer: &Timer) -> Option<Box<[u8]>> {
        if !self.revocable {
            return None;
        }
        match self.owners.get(&timer.rule)? {
            Owner::Row(of) => Some(subject(*of, &timer.table, &timer.key)),
            Owner::Schedule(_) | Owner::Documents => None,
        }
    }
}

const SCHEDULE: &str = "schedule ";

/// The rule of timers at whose times documents are published.
const APPOINTMENT: &str = "times of documents";

fn owners(plan: &Plan) -> HashMap<Arc<str>, Owner> {
    let rules = plan.reactions.iter().map(|reaction| (reaction.name.clone(), Owner::Row(TimerOf::Rule(reaction.rule))));
    let effects = (0..).zip(&plan.effects).filter_map(|(at, effect)| Some((effect.reminder()?, Owner::Row(TimerOf::Effect(at)))));
    let schedules = (0..).zip(&plan.schedules).map(|(at, schedule)| (rule_name(schedule), Owner::Schedule(at)));
    let documents = plan.clocked.iter().find(|clocked| clocked.by.is_of_document());
    let documents = documents.map(|_| (APPOINTMENT.into(), Owner::Documents));
    rules.chain(effects).chain(schedules).chain(documents).collect()
}

/// A schedule as the rule of its timers: one whose pattern or zone has changed is another.
fn rule_name(schedule: &Schedule) -> Arc<str> {
    match schedule.publishes {
        true => format!("{SCHEDULE}of fields: {}", schedule.name).into(),
        false => format!("{SCHEDULE}{} {}", schedule.name, schedule.times.text()).into(),
    }
}

/// The timer, due now: another one, since the one that it was is over.
pub fn brought_forward(timer: Timer, now: Timestamp) -> Timer {
    let due = timer.due.min(now);
    Timer { id: ids::timer_id(&timer.id, "by hand", &[], due).into(), due, ..timer }
}

/// Whether a timer is of a schedule, by the name of its rule.
pub fn is_scheduled(rule: &str) -> bool {
    rule.starts_with(SCHEDULE)
}

/// A rule and a row.
fn subject(rule: TimerOf, table: &str, key: &[Value]) -> Box<[u8]> {
    let (kind, rule) = match rule {
        TimerOf::Rule(rule) => (0, rule),
        TimerOf::Effect(effect) => (1, effect),
    };
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&rule.to_be_bytes());
    bytes.extend_from_slice(&ids::canonical_key(&[Value::text(table)]));
    bytes.extend_from_slice(&ids::canonical_key(key));
    bytes.into()
}
