//! Gradients over the graph of nodes: reverse mode, from a goal to the fields that it moves.
//!
//! Every node on a way from a moved field to the goal gets a cotangent: how much the loss rises with it. A cotangent goes
//!
//! - through a **cell** by the rules of its expression ([`thalweg_formulas::gradient`]);
//! - from a **looked-up** value to the document that it was looked up from: the sum over all rows that look it up;
//! - from an **aggregate** to the rows that it is of: each looks up its parent's. Of `sum` each row gets it whole, of `avg` divided by the
//!   count, of `min` and `max` the chosen rows share it, of `var` and `stddev` it goes by the distance from the mean. A row whose value is
//!   NULL did not count, and gets 0.
//!
//! So a sum's way back is a lookup, and a lookup's a sum: the edges that exist already. The nodes are hidden cells like any other, so
//! equal ones are one, and they are kept one change at a time. Keys, conditions and counts pass nothing on; where every way is cut so, the
//! definition is refused.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_formulas::agg::Of;
use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::gradient::{Cotangent, as_double, pull};
use thalweg_formulas::{Agg, Expr, ExprKind, Problem, Type, Value};

use super::{Expanded, Lead, Moved, Part};
use crate::plan::{Direction, Goal, Objective, Variable};
use crate::planning::findings::Findings;
use crate::planning::lower;
use crate::planning::nodes::{NodeId, Source};
use crate::planning::order::Reads;
use crate::planning::world::{FieldDef, Shared, World};
use crate::spec::{FieldSpec, Place};

/// Adds the gradients of all goals to the world and the definition. Nothing is done where something is wrong already.
pub(in crate::planning) fn differentiate(world: &Shared, expanded: &mut Expanded, findings: &mut Findings) -> Vec<Goal> {
    if !findings.acceptable() {
        return Vec::new();
    }
    let mut world = world.borrow_mut();
    let mut fields = Vec::new();
    let mut goals = Vec::new();
    for lead in &expanded.leads {
        match gradients(&mut world, lead) {
            Ok(gradients) => {
                for (moved, node) in lead.variables.iter().zip(&gradients) {
                    if let Some(node) = node {
                        let spec = expanded.spec.fields.len() + fields.len();
                        fields.push(publish(&mut world, lead, moved, *node, spec));
                    }
                }
                goals.push(goal(lead));
            }
            Err(refused) => findings.error(Place::Goal(lead.spec, refused.0), refused.1),
        }
    }
    keep_own(&mut world);
    expanded.spec.fields.extend(fields);
    goals
}

/// A goal as the plan has it.
fn goal(lead: &Lead) -> Goal {
    let objective = |part: &Part| Objective {
        name: part.name.as_str().into(),
        field: format!("goal {}", part.name).into(),
        direction: part.direction,
        weight: part.weight,
    };
    let variable = |moved: &Moved| Variable {
        field: moved.name.as_str().into(),
        table: moved.table.as_str().into(),
        values: moved.values().into(),
        key: moved.key.iter().map(|name| name.as_str().into()).collect(),
        gradient: (!moved.frozen).then(|| gradient_name(moved).into()),
        bounds: moved.bounds,
        init: moved.init,
    };
    Goal {
        name: lead.name.as_str().into(),
        objectives: lead.objectives.iter().map(objective).collect(),
        variables: lead.variables.iter().map(variable).collect(),
        optimizer: lead.optimizer.clone(),
        online: lead.online,
        tolerance: lead.tolerance,
    }
}

fn gradient_name(moved: &Moved) -> String {
    format!("{} gradient", moved.name)
}

/// Makes a gradient a field; gives what stands for it in the definition, at place `spec`.
fn publish(world: &mut World, lead: &Lead, moved: &Moved, node: NodeId, spec: usize) -> FieldSpec {
    let name = gradient_name(moved);
    let table = world.nodes.get(node).table;
    let short = name.rsplit_once('.').map_or(name.as_str(), |(_, short)| short).to_owned();
    let (field, input) = (world.fields.len(), input(world, node));
    let cell = world.nodes.field(table, input, field, name.as_str().into());
    let reads = lead.objectives.iter().map(|part| format!("goal {}", part.name).into()).collect();
    world.fields.push(FieldDef {
        spec,
        table,
        short,
        name: name.as_str().into(),
        ast: None,
        ty: Type::Double,
        node: Some(cell),
        reads_of: Reads::default(),
        reads,
        reads_self: false,
        timing: None,
        lazy: false,
        computed: None,
        clocked: None,
    });
    let formula = format!("the slope of the loss of goal {} by {}", lead.name, moved.name);
    FieldSpec { name, formula, ..FieldSpec::default() }
}

/// What steps write is kept whole, also what nothing reads.
fn keep_own(world: &mut World) {
    let own = |world: &World, table: usize| super::is_own(&world.catalogue.tables[table].name);
    for table in (0..world.catalogue.tables.len()).filter(|table| own(world, *table)).collect::<Vec<_>>() {
        for column in 0..world.catalogue.tables[table].columns.len() {
            let node = world.column_node(table, column);
            world.kept.push(node);
        }
    }
}

/// The slope of the loss by each moved field; none of what is frozen.
fn gradients(world: &mut World, lead: &Lead) -> Result<Vec<Option<NodeId>>, Box<(String, Problem)>> {
    let node_of = |world: &World, spec: usize| {
        let field = world.fields.iter().find(|field| field.spec == spec);
        field.and_then(|field| field.node).expect("invariant: every field of an accepted definition has its node")
    };
    let moved: Vec<Option<NodeId>> =
        lead.variables.iter().map(|moved| (!moved.frozen).then(|| node_of(world, moved.field))).collect();
    let mut back = Back::new(world, lead, moved.iter().flatten().copied().collect());
    for part in &lead.objectives {
        let node = node_of(back.world, part.field);
        let seed = seed(part, &input(back.world, node));
        back.arrive(node, seed);
    }
    back.run().map_err(|problem| Box::new((String::new(), problem)))?;
    let arrived = moved.iter().zip(&lead.variables).map(|(node, variable)| match node {
        None => Ok(None),
        Some(node) => match back.bars.get(node).cloned() {
            Some(bar) => Ok(Some(back.hold(*node, bar))),
            None => Err(Box::new((format!("variables.{}", variable.name), back.cut_off(variable)))),
        },
    });
    arrived.collect::<Vec<_>>().into_iter().collect()
}

/// The slope of the loss by the value of an objective.
fn seed(part: &Part, value: &Expr) -> Cotangent {
    let expr = match part.direction {
        Direction::Maximize => number(-part.weight),
        Direction::Minimize => number(part.weight),
        Direction::Target { value: wanted, tolerance } => {
            let distance = apply(BinaryOp::Sub, as_double(value), number(wanted));
            apply(BinaryOp::Mul, number(2.0 * part.weight / (tolerance * tolerance)), distance)
        }
    };
    Cotangent { expr, guarded: false }
}

/// The way back.
struct Back<'a> {
    world: &'a mut World,
    lead: &'a Lead,
    wanted: BTreeSet<NodeId>,
    /// Nodes that change with a wanted one.
    active: BTreeSet<NodeId>,
    bars: BTreeMap<NodeId, Cotangent>,
    /// What passed nothing on, and where.
    flat: BTreeSet<String>,
}

impl<'a> Back<'a> {
    fn new(world: &'a mut World, lead: &'a Lead, wanted: BTreeSet<NodeId>) -> Back<'a> {
        let mut active = wanted.clone();
        for id in world.nodes.ids() {
            if world.nodes.get(id).inputs().iter().any(|input| active.contains(input)) {
                active.insert(id);
            }
        }
        Back { world, lead, wanted, active, bars: BTreeMap::new(), flat: BTreeSet::new() }
    }

    fn arrive(&mut self, node: NodeId, bar: Cotangent) {
        if !self.active.contains(&node) {
            return;
        }
        let sum = match self.bars.remove(&node) {
            Some(before) => before.plus(bar),
            None => bar,
        };
        self.bars.insert(node, sum);
    }

    /// Through all nodes, those that read before those that are read.
    fn run(&mut self) -> Result<(), Problem> {
        for id in self.world.nodes.ids().rev() {
            if self.wanted.contains(&id) {
                continue;
            }
            if let Some(bar) = self.bars.remove(&id) {
                let bar = self.asked(id, bar);
                self.through(id, bar)?;
            }
        }
        Ok(())
    }

    fn through(&mut self, id: NodeId, bar: Cotangent) -> Result<(), Problem> {
        let node = self.world.nodes.get(id).clone();
        match &node.source {
            Source::Cell { expr, init: None } => self.through_cell(id, expr, &bar),
            Source::Cell { .. } => Err(self.refuse(id, "a value that steps on itself", "what it was before is no longer known")),
            Source::Looked { via, to, value } => {
                self.note_keys(id, via);
                let contribution = self.hold(id, bar);
                let summed = self.sum(contribution, *to, via);
                self.arrive_as(*value, summed);
                Ok(())
            }
            Source::Aggregate { parent_key, .. } => {
                self.note_keys(id, parent_key);
                self.through_aggregate(id, bar)
            }
            Source::Column(_) | Source::Key { .. } | Source::Pair { .. } | Source::Nearest { .. } | Source::Session { .. } => {
                self.note(id, "a key");
                Ok(())
            }
        }
    }

    fn through_cell(&mut self, id: NodeId, expr: &Expr, bar: &Cotangent) -> Result<(), Problem> {
        let active = |input| NodeId::of(input).is_some_and(|node| self.active.contains(&node));
        let pulled = pull(expr, bar, &active).map_err(|no| self.refuse(id, &format!("`{}`", no.of), &no.why))?;
        pulled.flat.iter().for_each(|what| self.note(id, what));
        for (input, bar) in pulled.inputs {
            if let Some(node) = NodeId::of(input) {
                self.arrive(node, bar);
            }
        }
        Ok(())
    }

    fn through_aggregate(&mut self, id: NodeId, bar: Cotangent) -> Result<(), Problem> {
        let node = self.world.nodes.get(id).clone();
        let Source::Aggregate { agg, from, contribution, second, parent_key, parts } = &node.source else {
            unreachable!("invariant: only aggregates come here")
        };
        if !parts.is_empty() {
            return Err(self.refuse(id, "rows that are in several documents", "no single document is meant"));
        }
        if second.is_some() {
            return Err(self.refuse(id, &format!("`{}`", agg.name()), "its rows have two values"));
        }
        let edge = Edge { id, table: node.table, from: *from, contribution: *contribution, parent_key };
        let row = input(self.world, *contribution);
        match agg {
            Agg::Sum => {
                let bar = self.down(&edge, bar);
                self.count_in(&edge, row, bar);
            }
            Agg::Avg => {
                let count = self.beside(&edge, Agg::Count);
                let each = shared_out(bar.expr, as_double(&count));
                let bar = self.down(&edge, Cotangent { expr: each, guarded: true });
                self.count_in(&edge, row, bar);
            }
            Agg::Min | Agg::Max => self.through_extreme(&edge, row, bar),
            Agg::Var(of) => self.through_variance(&edge, row, *of, bar),
            Agg::Stddev(of) => {
                // d√v = dv / 2√v, and 0 where nothing varies.
                let deviation = as_double(&input(self.world, id));
                let slope = apply(BinaryOp::Div, number(0.5), deviation.clone());
                let expr = either(is(BinaryOp::Gt, deviation, number(0.0)), apply(BinaryOp::Mul, bar.expr, slope), number(0.0));
                self.through_variance(&edge, row, *of, Cotangent { expr, guarded: true });
            }
            Agg::Count | Agg::CountDistinct | Agg::Any | Agg::All => self.note(id, agg.name()),
            Agg::Covar(_)
            | Agg::Corr
            | Agg::Median
            | Agg::Quantile(_)
            | Agg::First
            | Agg::Last
            | Agg::FirstOf(_)
            | Agg::LastOf(_)
            | Agg::Collect
            | Agg::StringAgg(_)
            | Agg::Top(_)
            | Agg::Bottom(_)
            | Agg::Window(..) => {
                return Err(self.refuse(id, &format!("`{}`", agg.name()), "it has no way back yet"));
            }
        }
        Ok(())
    }

    /// `min` and `max`: rows that are equally chosen share the cotangent.
    fn through_extreme(&mut self, edge: &Edge<'_>, row: Expr, bar: Cotangent) {
        let chosen = self.shown(edge, edge.id);
        let is_chosen = is(BinaryOp::Eq, row, chosen);
        let one = lower::hidden(self.world, edge.from, &either(is_chosen.clone(), number(1.0), number(0.0)));
        let ties = self.sum(one, edge.table, edge.parent_key);
        let ties = input(self.world, ties);
        let bar = self.down(edge, Cotangent { expr: shared_out(bar.expr, ties), guarded: true });
        let expr = either(is_chosen, bar.expr, number(0.0));
        self.arrive(edge.contribution, Cotangent { expr, guarded: true });
    }

    /// dv/dx = 2 (x - mean) / (n - 1), or / n.
    fn through_variance(&mut self, edge: &Edge<'_>, row: Expr, of: Of, bar: Cotangent) {
        let count = as_double(&self.beside(edge, Agg::Count));
        let divisor = if of == Of::Sample { apply(BinaryOp::Sub, count, number(1.0)) } else { count };
        let twice = apply(BinaryOp::Mul, number(2.0), bar.expr);
        let bar = self.down(edge, Cotangent { expr: shared_out(twice, divisor), guarded: true });
        let mean = self.aggregate(edge, Agg::Avg);
        let mean = as_double(&self.shown(edge, mean));
        let distance = apply(BinaryOp::Sub, as_double(&row), mean);
        let expr = apply(BinaryOp::Mul, bar.expr, distance);
        self.count_in(edge, row, Cotangent { expr, guarded: true });
    }

    /// A row gets `bar` where its value counted.
    fn count_in(&mut self, edge: &Edge<'_>, row: Expr, bar: Cotangent) {
        let null = Expr::new(ExprKind::Const(Value::Null), Type::Null);
        let expr = either(is(BinaryOp::Ne, row, null), bar.expr, number(0.0));
        self.arrive(edge.contribution, Cotangent { expr, guarded: true });
    }

    /// The cotangent of an aggregate at each of its rows.
    fn down(&mut self, edge: &Edge<'_>, bar: Cotangent) -> Cotangent {
        if matches!(bar.expr.kind(), ExprKind::Const(_)) {
            return bar;
        }
        let guarded = bar.guarded;
        let node = self.hold(edge.id, bar);
        Cotangent { expr: self.shown(edge, node), guarded }
    }

    /// A node of the parent at each of its rows.
    fn shown(&mut self, edge: &Edge<'_>, node: NodeId) -> Expr {
        let (ty, name) = (self.world.nodes.get(node).ty.clone(), self.named(node));
        let shown = match edge.parent_key {
            [] => self.world.nodes.global(edge.from, edge.table, node, ty, name),
            key => {
                let source = Source::Looked { via: key.to_vec(), to: edge.table, value: node };
                self.world.nodes.shared(edge.from, source, ty, || name)
            }
        };
        input(self.world, shown)
    }

    /// Another aggregate over the same edge, at the parent.
    fn beside(&mut self, edge: &Edge<'_>, agg: Agg) -> Expr {
        let node = self.aggregate(edge, agg);
        input(self.world, node)
    }

    fn aggregate(&mut self, edge: &Edge<'_>, agg: Agg) -> NodeId {
        let ty = if agg == Agg::Count { Type::Int } else { self.world.nodes.get(edge.id).ty.clone() };
        let name = format!("{}({})", agg.name(), self.named(edge.contribution));
        let (from, contribution, parent_key) = (edge.from, edge.contribution, edge.parent_key.to_vec());
        let source = Source::Aggregate { agg, from, contribution, second: None, parent_key, parts: Vec::new() };
        self.world.nodes.shared(edge.table, source, ty, || name)
    }

    /// The sum of a node over all rows whose `key` nodes hold the key of a document of `table`, at that document.
    fn sum(&mut self, contribution: NodeId, table: usize, key: &[NodeId]) -> NodeId {
        let from = self.world.nodes.get(contribution).table;
        let name = format!("sum({})", self.named(contribution));
        let source =
            Source::Aggregate { agg: Agg::Sum, from, contribution, second: None, parent_key: key.to_vec(), parts: Vec::new() };
        self.world.nodes.shared(table, source, Type::Double, || name)
    }

    fn arrive_as(&mut self, node: NodeId, bar: NodeId) {
        let expr = input(self.world, bar);
        self.arrive(node, Cotangent { expr, guarded: true });
    }

    /// The node at the rows of `id` that holds its cotangent.
    fn hold(&mut self, id: NodeId, bar: Cotangent) -> NodeId {
        let table = self.world.nodes.get(id).table;
        if let ExprKind::Input(read) = bar.expr.kind()
            && let Some(node) = NodeId::of(*read)
        {
            return node;
        }
        let name = format!("d {} / d {}", self.lead.name, self.named(id));
        self.world.nodes.shared(table, Source::Cell { expr: bar.expr, init: None }, Type::Double, || name)
    }

    /// The cotangent as something that costs nothing to ask.
    fn asked(&mut self, id: NodeId, bar: Cotangent) -> Cotangent {
        if matches!(bar.expr.kind(), ExprKind::Const(_) | ExprKind::Input(_)) {
            return bar;
        }
        let guarded = bar.guarded;
        let node = self.hold(id, bar);
        Cotangent { expr: input(self.world, node), guarded }
    }

    /// A node's name, with its type's.
    fn named(&self, id: NodeId) -> String {
        let node = self.world.nodes.get(id);
        let table = &self.world.catalogue.tables[node.table].name;
        let short = self.world.node_name(id);
        if table.is_empty() || short.starts_with("d ") { short } else { format!("{table}.{short}") }
    }

    fn note(&mut self, id: NodeId, what: &str) {
        let place = self.named(id);
        self.flat.insert(format!("{what} in {place}"));
    }

    fn note_keys(&mut self, id: NodeId, keys: &[NodeId]) {
        if keys.iter().any(|key| self.active.contains(key)) {
            self.note(id, "a key");
        }
    }

    fn refuse(&self, id: NodeId, what: &str, why: &str) -> Problem {
        let message = format!("goal `{}` has no way back through {what} in `{}`: {why}", self.lead.name, self.named(id));
        Problem::new(266, message)
            .help("write it with functions that have a slope, or in stop_gradient(…) where its slope does not matter")
    }

    fn cut_off(&self, moved: &Moved) -> Problem {
        let message = format!("goal `{}` does not depend on `{}`", self.lead.name, moved.name);
        let mut problem = Problem::new(266, message);
        if self.flat.is_empty() {
            return problem.help("read it in the objective, or leave it out of `variables`");
        }
        for flat in &self.flat {
            problem = problem.note(format!("no slope goes through {flat}"));
        }
        problem.help("use functions with a slope (sigmoid for a condition), or leave it out of `variables`")
    }
}

/// An aggregate's edge.
struct Edge<'a> {
    id: NodeId,
    /// The parent's table, and the rows'.
    table: usize,
    from: usize,
    contribution: NodeId,
    parent_key: &'a [NodeId],
}

fn input(world: &World, node: NodeId) -> Expr {
    Expr::new(ExprKind::Input(node.input()), world.nodes.get(node).ty.clone())
}

fn number(x: f64) -> Expr {
    Expr::new(ExprKind::Const(Value::double(x)), Type::Double)
}

fn apply(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::Binary(op, a, b), Type::Double)
}

/// A part of `whole` for each of `n`; 0 where there is none.
fn shared_out(whole: Expr, n: Expr) -> Expr {
    either(is(BinaryOp::Gt, n.clone(), number(0.0)), apply(BinaryOp::Div, whole, n), number(0.0))
}

fn is(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::Binary(op, a, b), Type::Bool)
}

fn either(condition: Expr, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::If(condition, a, b), Type::Double)
}
