//! What of two plans is the same, so that its state can be moved instead of computed again.
//!
//! Every slot has a **sign**: two slots of one table with equal signs hold equal values in every row, whichever plan they are of. A column's is its name
//! and type, a carried slot's that of what it carries, a cell's its expression over the signs of what it reads, whatever other cells share parts of it; an
//! aggregate's is all that its edge says. A self-reference is known by its name as well, since it remembers.
//!
//! Regions are the same where a table has as many of them in both plans. [`Alike::between`] gives up where it cannot be sure, and where edges have gone or come that
//! only rows as they are brought back can fill: then the plan is replaced by bringing all rows back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thalweg_formulas::{Expr, ExprKind, InputId};
use thalweg_graph::Plan;
use thalweg_graph::plan::{CellKind, Group, Lookup, Region, RegionId, SlotId, SlotSource};

/// What a new plan takes over from the one before.
#[derive(Debug, Default)]
pub struct Alike {
    /// By new table: the old one; `None`: no row of it has ever come.
    pub tables: Vec<Option<usize>>,
    /// By new region: the old one.
    pub regions: Vec<Option<usize>>,
    /// By new region and slot: the old slot of equal value.
    pub slots: Vec<Vec<Option<u32>>>,
    /// By new group edge: the old one.
    pub groups: Vec<Option<usize>>,
    /// By new lookup edge: the old one.
    pub lookups: Vec<usize>,
}

impl Alike {
    /// What of `new` is as it was in `old`; `None` where rows must be brought back.
    pub fn between(old: &Plan, new: &Plan) -> Option<Alike> {
        if [old, new].iter().any(|plan| remembers_more(plan)) {
            return None;
        }
        let tables: Vec<Option<usize>> =
            new.tables.iter().map(|table| old.tables.iter().position(|of| of.name == table.name)).collect();
        let same_tables = new.tables.iter().zip(&tables).all(|(table, of)| match of {
            Some(of) => table.from == old.tables[*of].from && key(table) == key(&old.tables[*of]),
            None => !table.name.is_empty(),
        });
        if !same_tables || tables.iter().flatten().count() < old.tables.len() {
            return None;
        }
        let regions = regions(old, new, &tables)?;
        let mut signs = Signs::default();
        let [of_old, of_new] = [old, new].map(|plan| signs.of(plan));
        let mut alike = Alike { tables, regions, ..Alike::default() };
        alike.slots = alike.regions.iter().enumerate().map(|(at, of)| slots((old, &of_old), *of, (new, &of_new), at)).collect();
        alike.groups = matched(&of_old.groups, &of_new.groups)?;
        let lookups = matched(&of_old.lookups, &of_new.lookups)?;
        alike.lookups = lookups.into_iter().collect::<Option<_>>()?;
        alike.can_be_filled(new).then_some(alike)
    }

    /// Whether all that is new can be computed from its own row and from new group edges.
    fn can_be_filled(&self, new: &Plan) -> bool {
        new.regions.iter().enumerate().all(|(at, region)| {
            let selves = selves(region);
            region.slots.iter().zip((0..).map(SlotId)).all(|(slot, id)| {
                let is_kept = self.slots[at][id.0 as usize].is_some();
                let is_empty = self.regions[at].is_none();
                match &slot.source {
                    _ if is_kept => true,
                    SlotSource::Cell(_) => is_empty || !selves.contains(&id.0),
                    SlotSource::Carried(..) | SlotSource::Aggregate(_) => true,
                    // Whole rows may have it.
                    SlotSource::Column(_) => true,
                    SlotSource::Nearest(..) | SlotSource::Looked(..) | SlotSource::Session(_) => false,
                }
            })
        })
    }
}

/// Whether a plan has edges or cells whose state is more than rows, contributions and references.
fn remembers_more(plan: &Plan) -> bool {
    let edges = [plan.memberships.len(), plan.sessions.len(), plan.joins.len(), plan.watermarks.len(), plan.nearest.len()];
    edges.iter().any(|count| *count > 0) || !plan.clocked.is_empty() || plan.fields.iter().any(|field| field.lazy.is_some())
}

/// Names and types of a key.
fn key(table: &thalweg_graph::plan::Table) -> Option<Vec<&thalweg_graph::plan::Column>> {
    Some(table.key.as_ref()?.iter().map(|at| &table.columns[at.0 as usize]).collect())
}

/// By new region the old one: the regions of a table, from low to high, are the same ones.
fn regions(old: &Plan, new: &Plan, tables: &[Option<usize>]) -> Option<Vec<Option<usize>>> {
    let of = |plan: &Plan, table: usize| -> Vec<usize> {
        (0..plan.regions.len()).filter(|at| plan.regions[*at].table.0 as usize == table).collect()
    };
    let mut regions = vec![None; new.regions.len()];
    for (table, before) in tables.iter().enumerate() {
        let Some(before) = before else { continue };
        let (here, there) = (of(new, table), of(old, *before));
        if here.len() != there.len() {
            return None;
        }
        here.into_iter().zip(there).for_each(|(here, there)| regions[here] = Some(there));
    }
    Some(regions)
}

/// By slot of a new region: the old slot of equal value.
fn slots(old: (&Plan, &Signed), of: Option<usize>, new: (&Plan, &Signed), at: usize) -> Vec<Option<u32>> {
    let Some(of) = of else { return vec![None; new.0.regions[at].slots.len()] };
    let types = |plan: &Plan, region: usize, slot: usize| plan.regions[region].slots[slot].ty.clone();
    // A copy of a self-reference has its values, but it is not what remembers.
    let (before, here) = (selves(&old.0.regions[of]), selves(&new.0.regions[at]));
    let mut by_sign: HashMap<(u32, bool), usize> = HashMap::new();
    for (slot, sign) in old.1.slots[of].iter().enumerate() {
        by_sign.entry((*sign, before.contains(&(slot as u32)))).or_insert(slot);
    }
    let find = |(slot, sign): (usize, &u32)| {
        let of_its_kind = by_sign.get(&(*sign, here.contains(&(slot as u32))));
        let before = *of_its_kind.or_else(|| by_sign.get(&(*sign, true)).filter(|_| !here.contains(&(slot as u32))))?;
        (types(old.0, of, before) == types(new.0, at, slot)).then_some(before as u32)
    };
    new.1.slots[at].iter().enumerate().map(find).collect()
}

/// The slots of a region that are self-references.
fn selves(region: &Region) -> HashSet<u32> {
    region.cells.iter().filter(|cell| cell.kind != CellKind::Formula).map(|cell| cell.slot.0).collect()
}

/// By new edge the old one of equal sign; `None` where an old one has gone, or signs are not unique.
fn matched(old: &[u32], new: &[u32]) -> Option<Vec<Option<usize>>> {
    let by_sign: HashMap<u32, usize> = old.iter().copied().zip(0..).collect();
    let found: Vec<Option<usize>> = new.iter().map(|sign| by_sign.get(sign).copied()).collect();
    (found.iter().flatten().count() == old.len() && by_sign.len() == old.len()).then_some(found)
}

/// The signs of one plan.
struct Signed {
    /// By region and slot.
    slots: Vec<Vec<u32>>,
    groups: Vec<u32>,
    lookups: Vec<u32>,
}

/// Signs by what they stand for, over both plans.
#[derive(Default)]
struct Signs {
    texts: HashMap<String, u32>,
    nodes: HashMap<Expr, u32>,
    next: u32,
}

impl Signs {
    fn of(&mut self, plan: &Plan) -> Signed {
        let mut signed = Signed { slots: Vec::new(), groups: vec![0; plan.groups.len()], lookups: vec![0; plan.lookups.len()] };
        for region in &plan.regions {
            let table = &plan.tables[region.table.0 as usize];
            signed.slots.push(vec![0; region.slots.len()]);
            for (at, slot) in region.slots.iter().enumerate() {
                let sign = match &slot.source {
                    SlotSource::Cell(_) => continue,
                    SlotSource::Column(column) => {
                        let column = &table.columns[column.0 as usize];
                        self.text(format!("column {} {} {:?}", table.name, column.name, column.ty))
                    }
                    SlotSource::Carried(from, of) => signed.slots[from.0 as usize][of.0 as usize],
                    SlotSource::Aggregate(group) => {
                        let sign = self.group(plan, &signed, &plan.groups[group.0 as usize]);
                        signed.groups[group.0 as usize] = sign;
                        sign
                    }
                    SlotSource::Looked(lookup, position) => {
                        let sign = self.lookup(plan, &signed, &plan.lookups[lookup.0 as usize]);
                        signed.lookups[lookup.0 as usize] = sign;
                        self.text(format!("looked {sign} {position}"))
                    }
                    SlotSource::Nearest(..) | SlotSource::Session(_) => self.alone(),
                };
                signed.slots.last_mut().expect("it was pushed")[at] = sign;
            }
            self.cells(plan, region, &mut signed);
        }
        signed
    }

    fn cells(&mut self, plan: &Plan, region: &Region, signed: &mut Signed) {
        let here = signed.slots.len() - 1;
        for cell in &region.cells {
            let own = cell.slot.0;
            let sign = match &cell.kind {
                CellKind::Formula => self.node(&cell.expr, &|slot| signed.slots[here][slot as usize]),
                CellKind::SelfReference { init } => {
                    let field = cell.field.map(|field| plan.fields[field.0 as usize].name.clone());
                    let name = field.unwrap_or_else(|| region.slots[own as usize].name.clone());
                    let table = &plan.tables[region.table.0 as usize].name;
                    let itself = self.text(format!("self of {table} {name} {init:?}"));
                    let body =
                        self.node(&cell.expr, &|slot| if slot == own { itself } else { signed.slots[here][slot as usize] });
                    self.text(format!("{itself} steps by {body}"))
                }
            };
            signed.slots[here][own as usize] = sign;
        }
    }

    fn group(&mut self, plan: &Plan, signed: &Signed, group: &Group) -> u32 {
        let sign = |slot: &SlotId| signed.slots[group.from.0 as usize][slot.0 as usize];
        let (from, to) = (table(plan, group.from), table(plan, group.to));
        let (contribution, second) = (sign(&group.contribution), group.second.as_ref().map(sign));
        let key: Vec<u32> = group.parent_key.iter().map(sign).collect();
        let of = plan.regions[group.from.0 as usize].slots[group.contribution.0 as usize].ty.clone();
        let Group { agg, parts, key_types, .. } = group;
        self.text(format!("group {agg:?} {from} {contribution} {of:?} {second:?} {key:?} {parts:?} {key_types:?} {to}"))
    }

    fn lookup(&mut self, plan: &Plan, signed: &Signed, lookup: &Lookup) -> u32 {
        let sign = |region: RegionId, slot: &SlotId| signed.slots[region.0 as usize][slot.0 as usize];
        let via: Vec<u32> = lookup.via.iter().map(|slot| sign(lookup.from, slot)).collect();
        let values: Vec<u32> = lookup.values.iter().map(|slot| sign(lookup.to, slot)).collect();
        let types: Vec<_> =
            lookup.slots.iter().map(|slot| &plan.regions[lookup.into.0 as usize].slots[slot.0 as usize].ty).collect();
        let (from, to) = (table(plan, lookup.from), table(plan, lookup.to));
        self.text(format!("lookup {from} {via:?} {:?} {to} {values:?} {types:?}", lookup.key_types))
    }

    /// The sign of an expression: that of a part does not depend on who shares it.
    fn node(&mut self, expr: &Expr, of: &dyn Fn(u32) -> u32) -> u32 {
        if let ExprKind::Input(id) = expr.kind() {
            return of(id.0);
        }
        let flat = expr.map_args(|arg| Expr::new(ExprKind::Input(InputId(self.node(arg, of))), arg.ty().clone()));
        let next = self.next;
        let sign = *self.nodes.entry(flat).or_insert(next);
        self.next += u32::from(sign == next);
        sign
    }

    fn text(&mut self, text: String) -> u32 {
        let next = self.next;
        let sign = *self.texts.entry(text).or_insert(next);
        self.next += u32::from(sign == next);
        sign
    }

    /// A sign that nothing else has.
    fn alone(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }
}

fn table(plan: &Plan, region: RegionId) -> Arc<str> {
    plan.tables[plan.regions[region.0 as usize].table.0 as usize].name.clone()
}
