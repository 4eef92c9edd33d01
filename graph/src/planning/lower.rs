//! From a checked formula to nodes: every value is brought to the row where it is needed.
//!
//! - A looked-up value becomes a looked-up node; through several lookups, a hidden node on each document between.
//! - The body of an aggregate becomes a hidden cell of the child; what it reads of the parent the child looks up by the columns
//!   that hold the parent's key.
//! - An aggregate over children of children goes from level to level where that gives the same: a hidden aggregate at each document between, and an edge from
//!   there. So a document between that moves carries one value with it, however many rows are below. Else it is one edge from the grandchild, which looks up
//!   the grandparent's key at its parent.
//!
//! Equal nodes are one ([`super::nodes::Nodes::shared`]), so two formulas that aggregate the same thing share its edge.

use thalweg_formulas::{Agg, Expr, ExprKind, InputId, Problem, Type, Value};

use super::nodes::{NodeId, SELF, Source};
use super::scope::{Frame, Read, Reading, Step};
use super::world::World;
use crate::plan::Part;
use crate::show;

/// A checked formula with nodes of its own table as inputs.
///
/// # Errors
/// It reads a row that the place where it is needed does not determine.
pub(super) fn lower(reading: &Reading, expr: &Expr) -> Result<Expr, Problem> {
    Lowering { reading }.expr(expr, 0)
}

/// The same for what reads no more than the row of `frame` and rows beyond it, with nodes of that row's table as inputs.
///
/// # Errors
/// As [`lower`].
pub(super) fn lower_at(reading: &Reading, expr: &Expr, frame: u32) -> Result<Expr, Problem> {
    Lowering { reading }.expr(expr, frame)
}

/// The node in the home row of the row `frame`'s column or field.
pub(super) fn lower_input(reading: &Reading, input: InputId) -> Result<NodeId, Problem> {
    Lowering { reading }.input(input, 0)
}

/// The node at rows of `table` that holds what `expr` gives: a node as it is, else a hidden cell.
pub(super) fn hidden(world: &mut World, table: usize, expr: &Expr) -> NodeId {
    if let ExprKind::Input(id) = expr.kind()
        && let Some(node) = NodeId::of(*id)
    {
        return node;
    }
    let name = show::text(expr, &|id| NodeId::of(id).map_or("self".into(), |node| world.node_name(node)));
    let source = Source::Cell { expr: expr.clone(), init: None };
    world.nodes.shared(table, source, expr.ty().clone(), || name)
}

struct Lowering<'a> {
    reading: &'a Reading,
}

impl Lowering<'_> {
    /// `expr` as it is evaluated in the rows of frame `at`.
    fn expr(&self, expr: &Expr, at: u32) -> Result<Expr, Problem> {
        match expr.kind() {
            ExprKind::Input(id) => match self.reading.reference(*id).read {
                Read::Itself if at == 0 => Ok(Expr::new(ExprKind::Input(SELF), expr.ty().clone())),
                Read::Itself => Err(self_inside_an_aggregate()),
                Read::Refused => Ok(Expr::new(ExprKind::Const(Value::Null), Type::Dyn)),
                Read::Column(_) | Read::Field(_) => self.as_input(self.input(*id, at)?),
            },
            ExprKind::Aggregate { agg, over, body, second } => {
                self.as_input(self.aggregate(agg, *over, (body, second.as_ref()), expr.ty(), at)?)
            }
            _ => {
                let mut refused = None;
                let lowered = expr.map_args(|arg| {
                    self.expr(arg, at).unwrap_or_else(|problem| {
                        refused.get_or_insert(problem);
                        arg.clone()
                    })
                });
                refused.map_or(Ok(lowered), Err)
            }
        }
    }

    fn as_input(&self, node: NodeId) -> Result<Expr, Problem> {
        let ty = self.reading.world.borrow().nodes.get(node).ty.clone();
        Ok(Expr::new(ExprKind::Input(node.input()), ty))
    }

    /// The node at frame `at` for a column or field of whatever frame the input reads.
    fn input(&self, input: InputId, at: u32) -> Result<NodeId, Problem> {
        let reference = self.reading.reference(input);
        let frame = self.reading.frame(reference.frame);
        let node = {
            let mut world = self.reading.world.borrow_mut();
            match reference.read {
                Read::Column(column) => world.column_node(frame.table, column),
                Read::Field(field) => {
                    world.fields[field].node.expect("invariant: fields are lowered after the fields that they read")
                }
                Read::Itself | Read::Refused => return Err(self_inside_an_aggregate()),
            }
        };
        self.bring(node, reference.frame, at)
    }

    /// The node at frame `at` that shows `node` of frame `from`.
    fn bring(&self, node: NodeId, from: u32, at: u32) -> Result<NodeId, Problem> {
        if from == at {
            return Ok(node);
        }
        let frame = self.reading.frame(from);
        if let Step::Lookup(via) = &frame.step {
            // A looked-up value is a value of the row that looks it up.
            let via = self.columns(self.reading.frame(frame.outer).table, via);
            let looked = self.look_up(frame.outer, via, frame.table, node, Some(&frame));
            return self.bring(looked, frame.outer, at);
        }
        if let Step::AsOf(asof) = &frame.step {
            let table = self.reading.frame(frame.outer).table;
            let via = self.reading.world.borrow_mut().nearest(table, asof, last_step(&frame.path));
            let looked = self.look_up(frame.outer, via, frame.table, node, Some(&frame));
            return self.bring(looked, frame.outer, at);
        }
        let inner = self.reading.frame(at);
        let Some(parent_key) = self.own_parent_key(&inner).and_then(|(key, parts)| parts.is_empty().then_some(key)) else {
            return Err(self.not_determined(node, &frame, &inner));
        };
        let brought = self.bring(node, from, inner.outer)?;
        let parent = self.reading.frame(inner.outer).table;
        Ok(self.look_up(at, parent_key, parent, brought, None))
    }

    fn columns(&self, table: usize, columns: &[usize]) -> Vec<NodeId> {
        let mut world = self.reading.world.borrow_mut();
        columns.iter().map(|column| world.column_node(table, *column)).collect()
    }

    /// The nodes of a child's frame that hold the key of the outer frame's document, or of several; none if it is no child's.
    fn own_parent_key(&self, frame: &Frame) -> Option<(Vec<NodeId>, Vec<Part>)> {
        match &frame.step {
            Step::Children(columns) => Some((self.columns(frame.table, columns), Vec::new())),
            Step::Members(derived) => {
                let world = self.reading.world.borrow();
                let group = world.group_of(*derived).map(|group| &world.groups[group]);
                let key = group.and_then(|group| Some((group.key.clone()?, group.parts.clone())));
                Some(key.expect("invariant: formulas are lowered after the derived tables that they read"))
            }
            Step::Home | Step::Lookup(_) | Step::AsOf(_) => None,
        }
    }

    /// The node of frame `at` that shows `value` of the document of `to` whose key the nodes `via` hold.
    fn look_up(&self, at: u32, via: Vec<NodeId>, to: usize, value: NodeId, by: Option<&Frame>) -> NodeId {
        let table = self.reading.frame(at).table;
        let mut world = self.reading.world.borrow_mut();
        let shown = world.nodes.get(value);
        let (ty, value_name) = (shown.ty.clone(), shown.name.clone());
        let own = world.catalogue.tables[to].name.to_string();
        let relation = by.map_or(own.as_str(), |frame| last_step(&frame.path));
        let short = value_name.strip_prefix(&format!("{own}.")).unwrap_or(&value_name);
        let name = if relation.is_empty() { short.to_owned() } else { format!("{relation}.{short}") };
        if via.is_empty() {
            return world.nodes.global(table, to, value, ty, name);
        }
        world.nodes.shared(table, Source::Looked { via, to, value }, ty, || name)
    }

    /// The node at frame `at` for an aggregate over the rows of frame `over`.
    fn aggregate(&self, agg: &Agg, over: u32, of: (&Expr, Option<&Expr>), ty: &Type, at: u32) -> Result<NodeId, Problem> {
        let (body, second) = of;
        let child = self.reading.frame(over);
        let anchor = self.anchor(over, at);
        let hidden = |expr: &Expr| -> Result<NodeId, Problem> {
            let lowered = self.expr(expr, over)?;
            Ok(hidden(&mut self.reading.world.borrow_mut(), child.table, &lowered))
        };
        let mut contribution = hidden(body)?;
        let second_node = second.map(hidden).transpose()?;
        let name = |outer: &Frame| {
            let within = |path: &str| path.strip_prefix(outer.path.as_str()).unwrap_or(path).to_owned();
            let text = |expr: &Expr| show::text(expr, &|id| within(&self.reading.path(id)));
            let shown = match body.kind() {
                ExprKind::Const(_) => within(child.path.trim_end_matches('.')),
                _ => text(body),
            };
            show::aggregate(agg, &shown, second.map(text).as_deref())
        };
        let shared = |source: Source, at: u32| {
            let frame = self.reading.frame(at);
            let name = name(&frame);
            self.reading.world.borrow_mut().nodes.shared(frame.table, source, ty.clone(), || name)
        };
        let (mut agg, mut over) = (agg.clone(), over);
        for (outer, parent_key) in self.between(&agg, body.ty(), over, anchor) {
            let from = self.reading.frame(over).table;
            let source = Source::Aggregate { agg: agg.clone(), from, contribution, second: None, parent_key, parts: Vec::new() };
            (contribution, over) = (shared(source, outer), outer);
            agg = if agg == Agg::Count { Agg::Sum } else { agg };
        }
        let (parent_key, parts) = self.parent_key(over, anchor)?;
        let from = self.reading.frame(over).table;
        let source = Source::Aggregate { agg, from, contribution, second: second_node, parent_key, parts };
        self.bring(shared(source, anchor), anchor, at)
    }

    /// The frames between `over` and `anchor` whose rows may be aggregated before their aggregates are, from the inner to the outer, each with
    /// the nodes of the rows below it that hold its key.
    fn between(&self, agg: &Agg, ty: &Type, over: u32, anchor: u32) -> Vec<(u32, Vec<NodeId>)> {
        let mut between = Vec::new();
        let mut frame = self.reading.frame(over);
        while frame.outer != anchor && is_sum_of_sums(agg, ty) {
            match self.own_parent_key(&frame) {
                Some((key, parts)) if parts.is_empty() => between.push((frame.outer, key)),
                _ => return Vec::new(),
            }
            frame = self.reading.frame(frame.outer);
        }
        between
    }

    /// The frame whose document the aggregate belongs to: the innermost that is outside its rows and around `at`.
    fn anchor(&self, over: u32, at: u32) -> u32 {
        let mut anchor = self.reading.frame(over).outer;
        while anchor != 0 && !self.surrounds(anchor, at) && self.is_row_of_children(anchor) {
            anchor = self.reading.frame(anchor).outer;
        }
        anchor
    }

    /// Whether frame `outer` is `at` or one that it was reached from.
    fn surrounds(&self, outer: u32, at: u32) -> bool {
        let mut frame = at;
        while frame != outer && frame != 0 {
            frame = self.reading.frame(frame).outer;
        }
        frame == outer
    }

    fn is_row_of_children(&self, frame: u32) -> bool {
        matches!(self.reading.frame(frame).step, Step::Children(_) | Step::Members(_))
    }

    /// The nodes of frame `over` that hold the key of the document of frame `anchor`.
    fn parent_key(&self, over: u32, anchor: u32) -> Result<(Vec<NodeId>, Vec<Part>), Problem> {
        let mut frame = over;
        let mut outermost = over;
        while frame != anchor {
            outermost = frame;
            frame = self.reading.frame(frame).outer;
        }
        let reached = self.reading.frame(outermost);
        let Some((key, parts)) = self.own_parent_key(&reached) else { return Err(self.not_determined_key(&reached)) };
        let key = key.into_iter().map(|node| self.bring(node, outermost, over)).collect::<Result<_, _>>()?;
        Ok((key, parts))
    }

    fn not_determined(&self, node: NodeId, read: &Frame, at: &Frame) -> Problem {
        let world = self.reading.world.borrow();
        let name = format!("{}{}", read.path, world.node_name(node));
        let place = match at.path.trim_end_matches('.') {
            "" => "outside its aggregate".into(),
            path => format!("at `{path}`"),
        };
        Problem::new(250, format!("`{name}` cannot be read {place}: no single row is meant"))
            .help("aggregate one relation at a time, or make a field of one part and read that")
    }

    fn not_determined_key(&self, frame: &Frame) -> Problem {
        let path = frame.path.trim_end_matches('.');
        Problem::new(250, format!("`{path}` leads from many rows to one, so it cannot be followed inside an aggregate"))
            .help("make a field of the inner aggregate on its own table and read that")
    }
}

impl World {
    /// A node's name within its type.
    pub(super) fn node_name(&self, node: NodeId) -> String {
        let node = self.nodes.get(node);
        match node.field {
            Some(field) => self.fields[field].short.clone(),
            None => node.name.to_string(),
        }
    }
}

/// Whether the aggregate of the aggregates of parts is that of all, to the bit. Sums of doubles are rounded once, so theirs is not.
fn is_sum_of_sums(agg: &Agg, ty: &Type) -> bool {
    let is_sound = |ty: &Type| !matches!(ty, Type::Dyn | Type::Null | Type::List(_) | Type::Map(..) | Type::Tensor(_));
    match agg {
        Agg::Count => true,
        Agg::Sum => is_sound(ty) && *ty != Type::Double,
        Agg::Min | Agg::Max => is_sound(ty),
        Agg::Any | Agg::All => *ty == Type::Bool,
        _ => false,
    }
}

/// The last relation of a path: `region` of `customer.region.`.
fn last_step(path: &str) -> &str {
    let path = path.trim_end_matches('.');
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

fn self_inside_an_aggregate() -> Problem {
    Problem::new(251, "`self` cannot be read inside an aggregate")
        .help("make a field of the aggregate and combine it with `self`")
}
