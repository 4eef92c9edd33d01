//! Derived fields: what they read, that they form no cycle, and their types, in the order in which they can be computed.
//!
//! Every formula is checked twice. The first time all derived fields are dynamic, and only the names matter: they give the
//! graph of fields, whose cycles are refused. The second time goes along that graph, so that every type is known where it is read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Expr, Problem, Type, Value};

use super::findings::Findings;
use super::lower;
use super::places::located;
use super::scope::Reading;
use super::selves;
use super::slips;
use super::world::Shared;
use crate::spec::{GraphSpec, Place};

/// Checks all fields and makes their nodes; the problems of each go to `findings`.
pub(super) fn check_fields(world: &Shared, spec: &GraphSpec, findings: &mut Findings) {
    read_names(world);
    refuse_cycles(world, findings);
    for field in order(world) {
        check_field(world, spec, field, findings);
    }
}

/// The first pass: which fields each formula reads, and whether it reads `self`.
fn read_names(world: &Shared) {
    let count = world.borrow().fields.len();
    for field in 0..count {
        let (table, ast) = {
            let world = world.borrow();
            (world.fields[field].table, world.fields[field].ast.clone())
        };
        let Some(ast) = ast else { continue };
        let reading = Reading::new(world, table, Some(Type::Dyn));
        // Its problems are found again in the second pass, with types.
        let _names_only = super::language::check_formula(&ast, &reading.scope());
        let mut world = world.borrow_mut();
        world.fields[field].deps = reading.deps.take();
        world.fields[field].reads_self = *reading.reads_self.borrow();
    }
}

/// Refuses each group of fields that read each other, by one shortest cycle in it.
fn refuse_cycles(world: &Shared, findings: &mut Findings) {
    let world = world.borrow();
    let mut graph = DiGraph::<usize, ()>::new();
    let ids: Vec<NodeIndex> = (0..world.fields.len()).map(|field| graph.add_node(field)).collect();
    for (field, def) in world.fields.iter().enumerate() {
        def.deps.iter().for_each(|dep| {
            graph.add_edge(ids[field], ids[*dep], ());
        });
    }
    // Not Tarjan's algorithm: petgraph's recurses as deep as the longest chain of fields.
    for component in kosaraju_scc(&graph) {
        let members: BTreeSet<usize> = component.iter().map(|id| graph[*id]).collect();
        let first = *members.first().expect("invariant: a component has a member");
        if members.len() > 1 || world.fields[first].deps.contains(&first) {
            let path = shortest_cycle(first, &members, |field| &world.fields[field].deps);
            let names: Vec<&str> = path.iter().map(|field| &*world.fields[*field].name).collect();
            findings.error(Place::Field(world.fields[first].spec, "formula"), cycle(&names));
        }
    }
}

/// The fields, each after those that it reads, else in the order of the definition. Fields in or above a cycle are left out.
fn order(world: &Shared) -> Vec<usize> {
    let world = world.borrow();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); world.fields.len()];
    let mut waiting_for: Vec<usize> = Vec::with_capacity(world.fields.len());
    for (field, def) in world.fields.iter().enumerate() {
        def.deps.iter().for_each(|dep| readers[*dep].push(field));
        waiting_for.push(def.deps.len());
    }
    let mut ready: BTreeSet<usize> = (0..waiting_for.len()).filter(|field| waiting_for[*field] == 0).collect();
    let mut order = Vec::with_capacity(waiting_for.len());
    while let Some(field) = ready.pop_first() {
        order.push(field);
        for reader in &readers[field] {
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
    while let Some(field) = queue.pop_front() {
        for next in reads(field).iter().filter(|next| members.contains(next)) {
            if *next == first {
                let mut path = vec![first];
                let mut at = field;
                while at != first {
                    path.push(at);
                    at = came_from[&at];
                }
                path.push(first);
                path.reverse();
                return path;
            }
            if !came_from.contains_key(next) {
                came_from.insert(*next, field);
                queue.push_back(*next);
            }
        }
    }
    unreachable!("invariant: the members of a component reach each other")
}

fn cycle(names: &[&str]) -> Problem {
    let problem = Problem::new(235, format!("fields form a cycle: {}", names.join(" -> ")));
    if names.len() == 2 {
        problem.help("read `self` for the field's own value at the previous epoch")
    } else {
        problem.help("break it at one field, or read `self` where a field's own previous value is meant")
    }
}

/// The second pass: types, then nodes.
fn check_field(world: &Shared, spec: &GraphSpec, field: usize, findings: &mut Findings) {
    let (table, ast, ix, reads_self, name) = {
        let world = world.borrow();
        let def = &world.fields[field];
        (def.table, def.ast.clone(), def.spec, def.reads_self, def.name.clone())
    };
    let Some(ast) = ast else { return };
    let init_spec = spec.fields[ix].init.as_ref();
    if init_spec.is_some() && !reads_self {
        let problem = Problem::new(252, format!("field `{name}` has an `init`, but its formula does not read `self`"));
        findings.error(Place::Field(ix, "init"), problem.help("leave `init` out, or read `self`"));
    }
    let place = Place::Field(ix, "formula");
    let checked = if reads_self {
        selves::check(world, table, &ast, init_spec)
    } else {
        let checked = check_at(world, table, &ast, None).map_err(selves::Refused::Formula);
        checked.map(|(reading, expr)| selves::Checked { reading, expr, init: Value::Null })
    };
    let selves::Checked { reading, expr, init } = match checked {
        Ok(checked) => checked,
        Err(selves::Refused::Formula(problems)) => return findings.errors(&place, problems),
        Err(selves::Refused::Init(problem)) => return findings.error(Place::Field(ix, "init"), problem),
    };
    slips::warn(&world.borrow(), reading.columns(), &ast, &place, findings);
    world.borrow_mut().fields[field].ty = expr.ty().clone();
    if !all_accepted(world, &reading) {
        return;
    }
    let lowered = match lower::lower(&reading, &expr) {
        Ok(lowered) => lowered,
        Err(problem) => return findings.error(place, problem.at(ast.span, "")),
    };
    let reads = qualified_reads(&reading, &expr);
    let mut world = world.borrow_mut();
    let node = if reads_self {
        world.nodes.self_reference(table, lowered, init, field, name)
    } else {
        world.nodes.field(table, lowered, field, name)
    };
    let def = &mut world.fields[field];
    def.node = Some(node);
    def.reads = reads;
}

/// Whether every field that was read has its node: nodes are made of nothing less.
fn all_accepted(world: &Shared, reading: &Reading) -> bool {
    let world = world.borrow();
    reading.deps.borrow().iter().all(|dep| world.fields[*dep].node.is_some())
}

/// Checks a formula at documents of `table`; `itself` is the type of `self`.
pub(super) fn check_at(
    world: &Shared,
    table: usize,
    ast: &Ast,
    itself: Option<Type>,
) -> Result<(Rc<Reading>, Expr), Vec<Problem>> {
    let reading = Reading::new(world, table, itself);
    let checked = super::language::check_formula(ast, &reading.scope());
    let misplaced: Vec<Problem> = reading.misplaced.borrow().iter().map(|name| misplaced_name(name, ast)).collect();
    if !misplaced.is_empty() {
        return Err(misplaced);
    }
    checked.map(|expr| (reading, expr))
}

/// A name that only reactions (or only fields) know, read elsewhere.
fn misplaced_name(name: &str, ast: &Ast) -> Problem {
    let who = if name == "self" { "fields" } else { "reactions" };
    let help = match name {
        "self" => "make a field that reads `self`, and read that field",
        "old" | "new" => {
            "a field reads the row as it is; conditions on a change belong to [[reactions]]; if it is a column, declare it"
        }
        _ => {
            "fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it"
        }
    };
    located(Problem::new(246, format!("`{name}` is known to {who} only")).help(help), ast, name, "not known here")
}

/// The columns and fields that a formula reads, with their types' names, in the order read.
pub(super) fn qualified_reads(reading: &Reading, expr: &Expr) -> Vec<std::sync::Arc<str>> {
    let world = reading.world.borrow();
    let mut reads: Vec<std::sync::Arc<str>> = Vec::new();
    for input in expr.inputs() {
        let reference = reading.reference(input);
        let table = &world.catalogue.tables[reading.frame(reference.frame).table];
        let name = match reference.read {
            super::scope::Read::Column(column) => format!("{}.{}", table.name, table.columns[column].name).into(),
            super::scope::Read::Field(field) => world.fields[field].name.clone(),
            super::scope::Read::Itself => "self".into(),
            super::scope::Read::Refused => continue,
        };
        if !reads.contains(&name) {
            reads.push(name);
        }
    }
    reads
}
