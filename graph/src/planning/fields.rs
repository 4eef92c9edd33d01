//! Derived fields: what they read, that they form no cycle, and their types, in the order in which they can be computed.
//!
//! Every formula is checked twice. The first time all derived fields are dynamic, and only the names matter: they give the
//! graph of fields, whose cycles are refused ([`super::order`]). The second time goes along that graph, so that every type is known
//! where it is read.

use std::rc::Rc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Expr, Problem, Type, Value};

use super::derived;
use super::findings::Findings;
use super::joins;
use super::lower;
use super::order::{self, Reads, Unit};
use super::places::located;
use super::scope::Reading;
use super::selves;
use super::slips;
use super::timing;
use super::world::Shared;
use crate::spec::{GraphSpec, Place};

/// Checks all fields and makes their nodes; the problems of each go to `findings`.
pub(super) fn check_fields(world: &Shared, spec: &GraphSpec, findings: &mut Findings) {
    read_names(world);
    derived::read_names(world);
    joins::read_names(world);
    order::refuse_cycles(world, findings);
    for unit in order::order(world) {
        match unit {
            Unit::Field(field) => check_field(world, spec, field, findings),
            Unit::Group(group) => derived::check_group(world, spec, group, findings),
            Unit::Join(join) => joins::check_join(world, spec, join, findings),
        }
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
        let mut reads = Reads::of(&reading);
        let timing = world.borrow().fields[field].timing.clone();
        if let Some(more) = timing.and_then(|timing| timing::reads(world, table, &timing)) {
            reads.fields.extend(more.fields);
            reads.groups.extend(more.groups);
            reads.joins.extend(more.joins);
        }
        let mut world = world.borrow_mut();
        world.fields[field].reads_of = reads;
        world.fields[field].reads_self = *reading.reads_self.borrow();
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
    if !is_lowerable(world, &reading) {
        return;
    }
    let lowered = match lower::lower(&reading, &expr) {
        Ok(lowered) => lowered,
        Err(problem) => return findings.error(place, problem.at(ast.span, "")),
    };
    let reads = qualified_reads(&reading, &expr);
    let timing = world.borrow().fields[field].timing.clone();
    if reads_self && world.borrow().fields[field].lazy {
        return findings.error(Place::Field(ix, "timing"), steps_and_is_asked(&name));
    }
    let published = match &timing {
        Some(_) if reads_self => return findings.error(Place::Field(ix, "timing"), steps_and_waits(&name)),
        Some(timing) => match timing::publish(world, (table, ix, &name), timing, &lowered, findings) {
            Some(published) => Some(published),
            None => return,
        },
        None => None,
    };
    let mut world = world.borrow_mut();
    let node = if let Some(published) = published {
        world.fields[field].computed = Some(published.computed);
        world.fields[field].clocked = published.clocked;
        world.nodes.self_reference(table, published.expr, Value::Null, field, name)
    } else if reads_self {
        world.nodes.self_reference(table, lowered, init, field, name)
    } else {
        world.nodes.field(table, lowered, field, name)
    };
    let def = &mut world.fields[field];
    def.node = Some(node);
    def.reads = reads;
}

/// A field that steps on its own value and is to be published later.
fn steps_and_waits(name: &str) -> Problem {
    Problem::new(260, format!("field `{name}` reads `self` and has a timing, and `self` would be either of two values"))
        .help("make it two fields: one that reads `self`, and one with the timing that reads that one")
}

/// A field that steps on its own value and is to be computed when somebody asks.
fn steps_and_is_asked(name: &str) -> Problem {
    Problem::new(260, format!("field `{name}` reads `self` and is lazy, and `self` steps with each change, asked for or not"))
        .help("leave the timing out; or make it two fields: one that reads `self`, and a lazy one that reads that one")
}

/// Whether every field that was read has its node, and every derived table its key: nodes are made of nothing less.
pub(super) fn is_lowerable(world: &Shared, reading: &Reading) -> bool {
    let reads = Reads::of(reading);
    let world = world.borrow();
    reads.fields.iter().all(|field| world.fields[*field].node.is_some())
        && reads.groups.iter().all(|group| world.groups[*group].key.is_some())
        && reads.joins.iter().all(|join| world.joins[*join].met.is_some())
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
