//! A region as others read it between batches: cells, documents, state to export, sizes.

use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::{Document, Key, NodeStats};
use thalweg_graph::plan::RegionId;
use thalweg_graph::state::EngineState;

use super::Region;
use crate::context::Context;
use crate::state::KeyHash;
use crate::state::rows::heap_bytes;

impl Region {
    /// The cell of a slot of a living document.
    pub(crate) fn read(&mut self, slot: u32, key: &[Value], context: &Context) -> Option<Cell> {
        let row = self.living_row(key, context)?;
        self.ask(row, slot);
        Some(self.rows.cell(row, slot))
    }

    /// The cell of a living row; of one that waits, what it was when it was asked for last.
    pub(crate) fn cell(&self, row: u32, slot: u32) -> Option<Cell> {
        self.lives(row).then(|| self.rows.cell(row, slot))
    }

    /// A column of a living document's whole row, where whole rows are kept.
    pub(crate) fn read_column(&self, name: &Value, key: &[Value], context: &Context) -> Option<Cell> {
        self.whole(self.living_row(key, context)?)?.get(name).cloned().map(Ok)
    }

    fn living_row(&self, key: &[Value], context: &Context) -> Option<u32> {
        let row = context.directories[self.layout.table.0 as usize].find(key, KeyHash::of(key))?;
        self.lives(row).then_some(row)
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = u32> + '_ {
        self.alive.ones()
    }

    /// The fields of every living document; those that wait have been asked for.
    pub(crate) fn documents(&self, context: &Context, out: &mut Vec<Document>) {
        let fields: Vec<u32> =
            self.layout.fields.iter().copied().chain(self.layout.lazy.fields()).map(|(slot, _)| slot).collect();
        if fields.is_empty() {
            return;
        }
        for row in self.living() {
            let key = self.key(row, context);
            for slot in &fields {
                let raw = self.rows.raw(row, *slot);
                let error = self.rows.failure(raw).map(|failure| failure.error.clone());
                out.push(Document {
                    node: self.node_name(*slot),
                    key: key.clone(),
                    value: self.rows.last_good(*slot, raw),
                    error,
                });
            }
        }
    }

    /// Self-references and the values behind errors.
    pub(crate) fn export(&self, context: &Context, state: &mut EngineState) {
        let cells: Vec<(u32, bool)> =
            self.layout.cells.iter().zip(&self.layout.inits).map(|(cell, init)| (cell.slot, init.is_some())).collect();
        let watched: Vec<_> =
            cells.into_iter().filter(|(slot, is_self)| *is_self || !self.held_names(*slot).is_empty()).collect();
        self.export_gate(context, state);
        self.export_missed(context, state);
        self.export_clocks(context, state);
        if watched.is_empty() {
            return;
        }
        for row in self.living() {
            let mut key: Option<Key> = None;
            for (slot, is_self) in &watched {
                let raw = self.rows.raw(row, *slot);
                let failed = self.rows.failure(raw).is_some();
                if !is_self && !failed {
                    continue;
                }
                let key = key.get_or_insert_with(|| self.key(row, context));
                let last = self.rows.last_good(*slot, raw);
                if *is_self {
                    state.selves.push((self.node_name(*slot), key.clone(), last.clone()));
                }
                if failed && (*is_self || !last.is_null()) {
                    let names = if *is_self { vec![self.node_name(*slot)] } else { self.held_names(*slot) };
                    state.held.extend(names.into_iter().map(|name| (name, key.clone(), last.clone())));
                }
            }
        }
    }

    /// The rows that came too late for a session.
    fn export_missed(&self, context: &Context, state: &mut EngineState) {
        for target in context.sessions.iter().filter(|target| target.region == self.layout.id) {
            let Some(slot) = target.missed else { continue };
            for row in self.living() {
                if let Ok(start @ Value::Timestamp(_)) = self.rows.cell(row, slot) {
                    state.selves.push((target.missed_name.clone(), self.key(row, context), start));
                }
            }
        }
    }

    /// Bytes that belong to the rows as such: which live, what the epoch touches, whole rows.
    pub(crate) fn row_bytes(&self) -> u64 {
        let whole = self.home.iter().flat_map(|home| home.whole.iter().flatten());
        let whole: u64 = whole.map(|row| 8 + row.as_ref().map_or(0, |row| heap_bytes(&Value::Map(row.clone())))).sum();
        let members = self.home.as_ref().map_or(0, |home| home.members.bytes());
        self.alive.bytes() + self.pad.bytes() + members + whole
    }

    /// What each slot holds and has cost.
    pub(crate) fn stats(&self, out: &mut Vec<NodeStats>) {
        let evaluated: hashbrown::HashMap<u32, u64> =
            self.layout.cells.iter().map(|cell| (cell.slot, cell.evaluated.get())).collect();
        let touched = |slot: u32| self.touched[slot as usize] + self.births_and_deaths;
        for slot in 0..self.layout.names.len() as u32 {
            let group = self.layout.groups_in.iter().position(|group| group.slot == slot);
            let (groups, accumulators) = group.map_or((0, 0), |place| self.aggregates.size(place));
            out.push(NodeStats {
                node: self.node_name(slot),
                region: Some(RegionId(self.layout.id)),
                rows: self.living.max(groups),
                state_bytes: self.rows.slot_bytes(slot) + accumulators,
                rows_touched: evaluated.get(&slot).copied().unwrap_or_else(|| touched(slot)),
            });
        }
    }
}
