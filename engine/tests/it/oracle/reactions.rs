//! Effects, reactions and timers: what a change of rows or of cells sets off.

use super::*;

/// What happened to a row, and the row before and after.
type Pulse<'a> = (&'static str, &'a Option<Whole>, &'a Option<Whole>);

impl Oracle {
    /// The payload shows the last good values of the document's own fields; another document's that is in error is NULL.
    pub(super) fn fire(&mut self, id: usize, effect: &Effect, key: &Key, slots: &[Cell], now: Timestamp) {
        let count = self.triggers.entry((effect.name.clone(), key.clone())).or_insert(0);
        if effect.rearm == Rearm::Once && *count > 0 {
            return;
        }
        *count += 1;
        let version = 2 * *count - 1;
        let payload = effect.payload.iter().map(|(name, slot)| {
            let (region, at) = self.origin(effect.region.0 as usize, slot.0);
            let shown = self.shown.get(&(region, key.clone(), at)).cloned();
            (name.clone(), slots[slot.0 as usize].clone().unwrap_or_else(|_| shown.unwrap_or(Value::Null)))
        });
        let payload = Value::record(payload.collect::<Vec<_>>());
        let (epoch, rule) = (self.epoch, RuleId::Effect(id as u32));
        self.out.fired.push(Fired { epoch, node: effect.name.clone(), rule, key: key.as_slice().into(), version, payload });
        self.arm_reminder(id, effect, key, now);
    }

    /// The region and slot of the same document from which a slot is carried here; itself if it is not.
    fn origin(&self, region: usize, slot: u32) -> (usize, u32) {
        match self.plan.regions[region].slots[slot as usize].source {
            SlotSource::Carried(from, at) => self.origin(from.0 as usize, at.0),
            _ => (region, slot),
        }
    }

    pub(super) fn arm_reminder(&mut self, id: usize, effect: &Effect, key: &Key, now: Timestamp) {
        let (Rearm::Level(every), Some(event)) = (effect.rearm, effect.reminder()) else { return };
        let (table, key) = (self.plan.tables[effect.table.0 as usize].name.clone(), key.as_slice().into());
        let (epoch, rule, due) = (self.epoch, RuleId::Effect(id as u32), Timestamp(now.0 + every));
        self.out.timers.push(TimerArmed { epoch, rule, event, table, key, due });
    }

    /// An effect that the timer brings up again fires if its condition holds; an error puts it off.
    pub(super) fn remind(&mut self, timer: &TimerFired, now: Timestamp) {
        let plan = self.plan.clone();
        for (id, effect) in plan.effects.iter().enumerate() {
            let key = timer.key.to_vec();
            let region = effect.region.0 as usize;
            let Some(slots) = self.cells[region].get(&key).cloned().filter(|_| effect.reminder().as_ref() == Some(&timer.event))
            else {
                continue;
            };
            match &slots[effect.when.0 as usize] {
                Ok(value) if value.is_true() => self.fire(id, effect, &key, &slots, now),
                Err(_) if self.shown.get(&(region, key.clone(), effect.when.0)).is_some_and(Value::is_true) => {
                    self.arm_reminder(id, effect, &key, now);
                }
                _ => {}
            }
        }
    }

    pub(super) fn react(&mut self, before: &[BTreeMap<Key, Whole>], tx: &Transaction, fill: bool) {
        if let Body::Timer(timer) = &tx.body {
            return self.react_to_timer(timer, tx);
        }
        let plan = self.plan.clone();
        for cancel in &plan.cancels {
            let table = cancel.table.0 as usize;
            let keys: BTreeSet<Key> = before[table].keys().chain(self.tables[table].keys()).cloned().collect();
            for key in keys {
                let (old, new) = (before[table].get(&key).cloned(), self.tables[table].get(&key).cloned());
                if old != new && cancel.event.is_none() && trigger_of(&old, &new).0 == cancel.trigger {
                    self.cancel(cancel, &key, &old, &new, tx);
                }
            }
        }
        if fill {
            return;
        }
        for (id, reaction) in plan.reactions.iter().enumerate() {
            let table = reaction.table.0 as usize;
            let keys: BTreeSet<Key> = before[table].keys().chain(self.tables[table].keys()).cloned().collect();
            for key in keys {
                let (old, new) = (before[table].get(&key).cloned(), self.tables[table].get(&key).cloned());
                let (trigger, op) = trigger_of(&old, &new);
                if old != new && trigger == reaction.trigger {
                    self.judge(id, reaction, &key, (op, &old, &new), tx);
                }
            }
        }
    }

    /// A timer's event is judged on the row as it stands.
    pub(super) fn react_to_timer(&mut self, timer: &TimerFired, tx: &Transaction) {
        let plan = self.plan.clone();
        let Some(table) = plan.tables.iter().position(|table| table.name == timer.table) else { return };
        let each_row = plan.schedules.iter().any(|schedule| schedule.each_row && schedule.table.0 as usize == table);
        let keys: Vec<Key> = if timer.key.is_empty() && each_row {
            self.tables[table].keys().cloned().collect()
        } else {
            vec![timer.key.to_vec()]
        };
        for key in keys {
            let row = self.tables[table].get(&key).cloned();
            for cancel in &plan.cancels {
                if cancel.table.0 as usize == table
                    && cancel.trigger == Trigger::Timer
                    && cancel.event.as_ref() == Some(&timer.event)
                {
                    self.cancel(cancel, &key, &None, &row, tx);
                }
            }
            for (id, reaction) in plan.reactions.iter().enumerate() {
                let heard = reaction.trigger == Trigger::Timer && reaction.event == timer.event;
                if heard && reaction.table.0 as usize == table {
                    self.judge(id, reaction, &key, ("timer", &None, &row), tx);
                }
            }
        }
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel, key: &Key, old: &Option<Whole>, new: &Option<Whole>, tx: &Transaction) {
        let (epoch, key): (_, Arc<[Value]>) = (self.epoch, key.as_slice().into());
        let event = cancel.event.clone().unwrap_or_default();
        match self.over_change((cancel.table, &cancel.inputs, &event), cancel.condition.as_ref(), (old, new), tx) {
            Ok(value) if value.is_true() => {
                let table = self.plan.tables[cancel.table.0 as usize].name.clone();
                self.out.cancelled.push(TimerCancelled { epoch, rule: TimerOf::Rule(cancel.rule), table, key });
            }
            Ok(_) => {}
            Err(error) => {
                self.out.errors.push(ErrorChange { epoch, node: cancel.name.clone(), key, error, cleared: false });
            }
        }
    }

    pub(super) fn judge(&mut self, id: usize, reaction: &Reaction, key: &Key, (op, old, new): Pulse<'_>, tx: &Transaction) {
        let epoch = self.epoch;
        let reads = (reaction.table, &reaction.inputs[..], &reaction.event);
        match self.over_change(reads, reaction.condition.as_ref(), (old, new), tx) {
            Ok(value) if value.is_true() => {}
            Ok(_) => return,
            Err(error) => {
                let (node, key) = (reaction.name.clone(), key.as_slice().into());
                return self.out.errors.push(ErrorChange { epoch, node, key, error, cleared: false });
            }
        }
        let count = self.triggers.entry((reaction.name.clone(), key.clone())).or_insert(0);
        *count += 1;
        let version = 2 * *count - 1;
        let table = &self.plan.tables[reaction.table.0 as usize];
        let map = |row: &Option<Whole>| row.clone().map_or(Value::Null, |row| Value::Map(Arc::new(row)));
        let names = self.keys[reaction.table.0 as usize].iter().cloned();
        let payload = Value::record([
            ("event", Value::text(reaction.event.clone())),
            ("table", Value::text(table.from.clone())),
            ("op", Value::from(op)),
            ("key", Value::record(names.zip(key.iter().cloned()))),
            ("old", map(old)),
            ("new", map(new)),
        ]);
        let (node, key, rule) = (reaction.name.clone(), key.as_slice().into(), RuleId::Reaction(id as u32));
        self.out.fired.push(Fired { epoch, node, rule, key, version, payload });
        let Some(timer) = &reaction.timer else { return };
        let (table, key) = (table.name.clone(), self.out.fired.last().expect("just pushed").key.clone());
        let due = match &timer.due {
            Due::After(delay) => Ok(Value::Timestamp(Timestamp(tx.at.0 + delay))),
            Due::At { expr, .. } => self.over_change(reads, Some(expr), (old, new), tx),
        };
        match due {
            Ok(Value::Timestamp(due)) => {
                let due = if let Due::At { .. } = timer.due { due.max(Timestamp(tx.at.0 + 100_000)) } else { due };
                self.out.timers.push(TimerArmed {
                    epoch,
                    rule: RuleId::Reaction(id as u32),
                    event: timer.event.clone(),
                    table,
                    key,
                    due,
                });
            }
            Ok(Value::Null) => {}
            Ok(other) => panic!("the generator's times are timestamps: {other:?}"),
            Err(error) => {
                self.out.errors.push(ErrorChange { epoch, node: reaction.name.clone(), key, error, cleared: false });
            }
        }
    }

    /// What a formula gives over a change; nothing is true.
    pub(super) fn over_change(
        &self,
        (table, inputs, event): (TableId, &[ReactionInput], &Arc<str>),
        formula: Option<&Expr>,
        (old, new): (&Option<Whole>, &Option<Whole>),
        tx: &Transaction,
    ) -> Cell {
        let table = &self.plan.tables[table.0 as usize];
        let bare = new.clone().or(old.clone());
        let column = |row: &Option<Whole>, at: &ColumnId| {
            let name = Value::text(table.columns[at.0 as usize].name.clone());
            row.as_ref().and_then(|row| row.get(&name)).cloned().unwrap_or(Value::Null)
        };
        let map = |row: &Option<Whole>| row.clone().map_or(Value::Null, |row| Value::Map(Arc::new(row)));
        let input = |id: InputId| {
            Ok(match &inputs[id.0 as usize] {
                ReactionInput::Old(at) => column(old, at),
                ReactionInput::New(at) => column(new, at),
                ReactionInput::Bare(at) => column(&bare, at),
                ReactionInput::OldRow => map(old),
                ReactionInput::NewRow => map(new),
                ReactionInput::BareRow => map(&bare),
                ReactionInput::EventName => Value::text(event.clone()),
                ReactionInput::TxOrigin => Value::text(tx.origin.clone()),
                ReactionInput::Now => Value::Timestamp(tx.at),
            })
        };
        formula.map_or(Ok(Value::Bool(true)), |formula| evaluate(formula, &input))
    }
}

/// What happened to a row.
pub(super) fn trigger_of(old: &Option<Whole>, new: &Option<Whole>) -> (Trigger, &'static str) {
    match (old, new) {
        (None, Some(_)) => (Trigger::Insert, "insert"),
        (Some(_), None) => (Trigger::Delete, "delete"),
        _ => (Trigger::Update, "update"),
    }
}
