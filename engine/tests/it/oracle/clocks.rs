//! Fields that the clock publishes: who waits, found anew from all documents at every epoch.

use thalweg_graph::outcome::Appointment;

use super::*;

impl Oracle {
    /// What the transaction opens.
    pub(super) fn open_moment(&mut self, tx: &Transaction) {
        self.opened.clear();
        self.due.clear();
        let Body::Timer(timer) = &tx.body else { return };
        if *timer.event != *PUBLISH || !timer.table.is_empty() {
            return;
        }
        for part in &timer.key {
            match part {
                Value::Text(name) => {
                    let named = (0..).zip(&self.plan.schedules).filter(|(_, s)| s.publishes && s.name[..] == name[..]);
                    self.opened.extend(named.map(|(at, _)| at));
                }
                Value::Timestamp(until) => {
                    let due = self.appointments.iter().filter(|(_, due)| **due <= until.0);
                    self.due.extend(due.map(|(who, _)| who.clone()));
                }
                other => panic!("no moment is {other:?}"),
            }
        }
        self.appointments.retain(|who, _| !self.due.contains(who));
    }

    /// Whether the moment opens the cell.
    pub(super) fn is_opened(&self, region: usize, key: &Key, slot: u32) -> bool {
        self.plan.clocked.iter().enumerate().any(|(at, clocked)| {
            let opens = match clocked.by {
                Opens::Schedule(schedule) => self.opened.contains(&schedule),
                Opens::After(_) | Opens::At(_) => self.due.contains(&(at, key.clone())),
            };
            opens && (clocked.region.0 as usize, clocked.waits.0) == (region, slot)
        })
    }

    /// Who waits for a time of its own from now on.
    pub(super) fn make_appointments(&mut self, cells: &[BTreeMap<Key, Vec<Cell>>], now: Timestamp) {
        let mut made = BTreeSet::new();
        let before = std::mem::take(&mut self.appointments);
        for (at, clocked) in self.plan.clocked.iter().enumerate() {
            for (key, slots) in &cells[clocked.region.0 as usize] {
                let who = (at, key.clone());
                if slots[clocked.waits.0 as usize] == Ok(Value::Int(0)) {
                    continue;
                }
                let known = before.get(&who).copied();
                let due = match clocked.by {
                    Opens::Schedule(_) => None,
                    Opens::After(delay) => Some(known.unwrap_or(now.0 + delay)),
                    Opens::At(slot) => match slots[slot.0 as usize] {
                        // It stands, unless the row says another time that is still to come.
                        Ok(Value::Timestamp(time)) => {
                            let soonest = known.map_or(now.0 + SOONEST, |known| known.min(now.0 + SOONEST));
                            Some(time.0.max(soonest))
                        }
                        _ => None,
                    },
                };
                if let Some(due) = due {
                    if known != Some(due) {
                        made.insert(Appointment { epoch: self.epoch, due: Timestamp(due) });
                    }
                    self.appointments.insert(who, due);
                }
            }
        }
        self.out.appointments.extend(made);
    }
}
