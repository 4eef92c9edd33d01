//! The order in which formulas can be checked: what each reads comes before it, and cycles are refused.
//!
//! The units are the derived fields, by number, then the keys of derived tables, those of pairs last. A formula that reads a document of a derived table
//! reads that table's key, since without it there is no document.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use thalweg_formulas::Problem;

use super::findings::Findings;
use super::scope::Reading;
use super::world::{Shared, World};
use crate::spec::Place;

/// What a formula reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Derived fields.
    pub(super) fields: BTreeSet<usize>,
    /// Derived tables, by their place among the groups.
    pub(super) groups: BTreeSet<usize>,
    /// Derived tables of pairs, by their place among the joins.
    pub(super) joins: BTreeSet<usize>,
}

impl Reads {
    /// Of one formula.
    pub(super) fn of(reading: &Reading) -> Reads {
        let mut reads = Reads::default();
        reads.extend(reading);
        reads
    }

    /// And of another.
    pub(super) fn extend(&mut self, reading: &Reading) {
        self.fields.extend(reading.deps.borrow().iter());
        let world = reading.world.borrow();
        let tables = reading.frames.borrow();
        self.groups.extend(tables.iter().filter_map(|frame| world.group_of(frame.table)));
        self.joins.extend(tables.iter().filter_map(|frame| world.join_of(frame.table)));
    }
}

/// What is checked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A derived field.
    Field(usize),
    /// The key of a derived table.
    Group(usize),
    /// The key of a derived table of pairs.
    Join(usize),
}

/// All units by number, and what each reads.
struct Units<'a> {
    world: &'a World,
    reads: Vec<BTreeSet<usize>>,
}

impl<'a> Units<'a> {
    fn of(world: &'a World) -> Units<'a> {
        let (fields, groups) = (world.fields.len(), world.groups.len());
        let numbers = |reads: &Reads| {
            let above = |of: &BTreeSet<usize>, first: usize| of.iter().map(|at| first + at).collect::<Vec<_>>();
            let tables = [above(&reads.groups, fields), above(&reads.joins, fields + groups)].concat();
            reads.fields.iter().copied().chain(tables).collect()
        };
        let all = world.fields.iter().map(|field| &field.reads_of).chain(world.groups.iter().map(|group| &group.reads));
        let all = all.chain(world.joins.iter().map(|join| &join.reads));
        Units { world, reads: all.map(numbers).collect() }
    }

    fn unit(&self, number: usize) -> Unit {
        let (fields, groups) = (self.world.fields.len(), self.world.groups.len());
        match number.checked_sub(fields) {
            None => Unit::Field(number),
            Some(group) if group < groups => Unit::Group(group),
            Some(at) => Unit::Join(at - groups),
        }
    }

    fn name(&self, number: usize) -> String {
        let table = match self.unit(number) {
            Unit::Field(field) => return self.world.fields[field].name.to_string(),
            Unit::Group(group) => self.world.groups[group].table,
            Unit::Join(join) => self.world.joins[join].table,
        };
        format!("the key of {}", self.world.catalogue.tables[table].name)
    }

    fn place(&self, number: usize) -> Place {
        match self.unit(number) {
            Unit::Field(field) => Place::Field(self.world.fields[field].spec, "formula"),
            Unit::Group(group) => Place::Table(self.world.groups[group].spec, "group".into()),
            Unit::Join(join) => Place::Table(self.world.joins[join].spec, "join".into()),
        }
    }
}

/// Refuses each group of units that read each other, by one shortest cycle in it.
pub(super) fn refuse_cycles(world: &Shared, findings: &mut Findings) {
    let world = world.borrow();
    let units = Units::of(&world);
    let mut graph = DiGraph::<usize, ()>::new();
    let ids: Vec<NodeIndex> = (0..units.reads.len()).map(|unit| graph.add_node(unit)).collect();
    for (unit, reads) in units.reads.iter().enumerate() {
        reads.iter().for_each(|read| {
            graph.add_edge(ids[unit], ids[*read], ());
        });
    }
    // Not Tarjan's algorithm: petgraph's recurses as deep as the longest chain of fields.
    for component in kosaraju_scc(&graph) {
        let members: BTreeSet<usize> = component.iter().map(|id| graph[*id]).collect();
        let first = *members.first().expect("invariant: a component has a member");
        if members.len() > 1 || units.reads[first].contains(&first) {
            let path = shortest_cycle(first, &members, |unit| &units.reads[unit]);
            let names: Vec<String> = path.iter().map(|unit| units.name(*unit)).collect();
            findings.error(units.place(first), cycle(&names));
        }
    }
}

/// The units, each after those that it reads, else by number. Units in or above a cycle are left out.
pub(super) fn order(world: &Shared) -> Vec<Unit> {
    let world = world.borrow();
    let units = Units::of(&world);
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); units.reads.len()];
    let mut waiting_for: Vec<usize> = Vec::with_capacity(units.reads.len());
    for (unit, reads) in units.reads.iter().enumerate() {
        reads.iter().for_each(|read| readers[*read].push(unit));
        waiting_for.push(reads.len());
    }
    let mut ready: BTreeSet<usize> = (0..waiting_for.len()).filter(|unit| waiting_for[*unit] == 0).collect();
    let mut order = Vec::with_capacity(waiting_for.len());
    while let Some(unit) = ready.pop_first() {
        order.push(units.unit(unit));
        for reader in &readers[unit] {
            waiting_for[*reader] -= 1;
            if waiting_for[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    order
}

/// The shortest way from `first` back to itself, both ends included.
fn shortest_cycle<'a>(first: usize, members: &BTreeSet<usize>, reads: impl Fn(usize) -> &'a BTreeSet<usize>) -> Vec<usize> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(unit) = queue.pop_front() {
        for next in reads(unit).iter().filter(|next| members.contains(next)) {
            if *next == first {
                let mut path = vec![first];
                let mut at = unit;
                while at != first {
                    path.push(at);
                    at = came_from[&at];
                }
                path.push(first);
                path.reverse();
                return path;
            }
            if !came_from.contains_key(next) {
                came_from.insert(*next, unit);
                queue.push_back(*next);
            }
        }
    }
    unreachable!("invariant: the members of a component reach each other")
}

fn cycle(names: &[String]) -> Problem {
    let problem = Problem::new(235, format!("fields form a cycle: {}", names.join(" -> ")));
    if names.len() == 2 {
        problem.help("read `self` for the field's own value at the previous epoch")
    } else {
        problem.help("break it at one field, or read `self` where a field's own previous value is meant")
    }
}
