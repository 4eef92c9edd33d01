//! From the checked expression to the nodes that are walked: constants folded, chains of operators flattened, lazy
//! functions and constant patterns given nodes of their own.

use regex::Regex;

use super::{EXPRESSION_DEPTH_MAX, Fuel, run};
use crate::ast::{BinaryOp, UnaryOp};
use crate::errors;
use crate::expr::{Comprehension, Expr, ExprKind, InputId};
use crate::functions::{self, Function, FunctionId};
use crate::ops::Logic;
use crate::value::{Cell, Value};

/// One step of the evaluator.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A known answer, or a known error.
    Const(Cell),
    Input(InputId),
    Local(u32),
    Unary(UnaryOp, Box<Node>),
    /// `first op a op b …`, left to right: long sums do not recurse.
    Chain(Box<Chain>),
    /// `first && a && b …`; decided as soon as one operand decides.
    Logic(Logic, Box<[Node]>),
    If(Box<[Node; 3]>),
    /// The first that is not NULL.
    Coalesce(Box<[Node]>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Index(Box<[Node; 2]>),
    Has(Box<[Node; 2]>),
    Call(Callee, Box<[Node]>),
    /// `matches` with a constant pattern.
    Matches(Regex, Box<Node>),
    Loop(Box<Loop>),
}

/// An operator chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub first: Node,
    pub rest: Box<[(BinaryOp, Node)]>,
}

/// A comprehension.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub kind: Comprehension,
    pub over: Node,
    pub filter: Option<Node>,
    pub body: Node,
    /// What one element costs: the nodes of filter and body.
    pub weight: u64,
}

/// A function of the registry.
#[derive(Clone, Copy)]
pub(super) struct Callee(pub &'static Function);

impl std::fmt::Debug for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// What folding one constant may spend; dearer constants are computed when they are needed.
const FOLDING_FUEL: u64 = 10_000;

pub(super) fn compile(expr: &Expr) -> Node {
    node(expr, 0)
}

fn node(expr: &Expr, depth: usize) -> Node {
    if depth > EXPRESSION_DEPTH_MAX {
        return Node::Const(Err(errors::too_deep(EXPRESSION_DEPTH_MAX)));
    }
    let inner = |e: &Expr| node(e, depth + 1);
    let compiled = match expr.kind() {
        ExprKind::Const(value) => Node::Const(Ok(value.clone())),
        ExprKind::Input(id) => Node::Input(*id),
        ExprKind::Local(n) => Node::Local(*n),
        ExprKind::Unary(op, a) => Node::Unary(*op, Box::new(inner(a))),
        ExprKind::Binary(BinaryOp::And, ..) => logic(expr, BinaryOp::And, Logic::And, depth),
        ExprKind::Binary(BinaryOp::Or, ..) => logic(expr, BinaryOp::Or, Logic::Or, depth),
        ExprKind::Binary(..) => chain(expr, depth),
        ExprKind::If(c, a, b) => Node::If(Box::new([inner(c), inner(a), inner(b)])),
        ExprKind::List(items) => Node::List(items.iter().map(inner).collect()),
        ExprKind::Map(entries) => Node::Map(entries.iter().map(|(k, v)| (inner(k), inner(v))).collect()),
        ExprKind::Index(a, b) => Node::Index(Box::new([inner(a), inner(b)])),
        ExprKind::Has(a, b) => Node::Has(Box::new([inner(a), inner(b)])),
        ExprKind::Call(id, args) => call(*id, args.iter().map(inner).collect()),
        ExprKind::Comprehension { kind, over, filter, body } => {
            let (over, filter, body) = (inner(over), filter.as_ref().map(inner), inner(body));
            let weight = 1 + size(&body) + filter.as_ref().map_or(0, size);
            Node::Loop(Box::new(Loop { kind: *kind, over, filter, body, weight }))
        }
        ExprKind::Aggregate { .. } => Node::Const(Err(errors::unplanned_aggregate())),
    };
    fold(compiled)
}

/// The operands of a left-leaning chain, without recursion on its length.
fn spine(expr: &Expr, joins: impl Fn(BinaryOp) -> bool) -> (&Expr, Vec<(BinaryOp, &Expr)>) {
    let (mut first, mut rest) = (expr, Vec::new());
    while let ExprKind::Binary(op, a, b) = first.kind() {
        if !joins(*op) {
            break;
        }
        rest.push((*op, b));
        first = a;
    }
    rest.reverse();
    (first, rest)
}

fn chain(expr: &Expr, depth: usize) -> Node {
    let (first, rest) = spine(expr, |op| !matches!(op, BinaryOp::And | BinaryOp::Or));
    let mut first = node(first, depth + 1);
    let mut steps = Vec::with_capacity(rest.len());
    for (op, operand) in rest {
        let operand = node(operand, depth + 1);
        match (&first, &operand) {
            // A constant prefix becomes one constant.
            (Node::Const(_), Node::Const(_)) if steps.is_empty() => {
                first = fold(Node::Chain(Box::new(Chain { first, rest: Box::new([(op, operand)]) })));
            }
            _ => steps.push((op, operand)),
        }
    }
    match steps.is_empty() {
        true => first,
        false => Node::Chain(Box::new(Chain { first, rest: steps.into() })),
    }
}

fn logic(expr: &Expr, joined: BinaryOp, logic: Logic, depth: usize) -> Node {
    let (first, rest) = spine(expr, |op| op == joined);
    let operands = std::iter::once(first).chain(rest.into_iter().map(|(_, operand)| operand));
    Node::Logic(logic, operands.map(|operand| node(operand, depth + 1)).collect())
}

fn call(id: FunctionId, args: Box<[Node]>) -> Node {
    let function = functions::get(id);
    match (function.name, Vec::from(args)) {
        ("coalesce" | "if_null", args) => Node::Coalesce(args.into()),
        ("if_else", args) => match <[Node; 3]>::try_from(args) {
            Ok(args) => Node::If(Box::new(args)),
            Err(args) => Node::Call(Callee(function), args.into()),
        },
        ("matches", mut args) => match constant_pattern(&args) {
            Some(regex) => Node::Matches(regex, Box::new(args.swap_remove(0))),
            None => Node::Call(Callee(function), args.into()),
        },
        (_, args) => Node::Call(Callee(function), args.into()),
    }
}

fn constant_pattern(args: &[Node]) -> Option<Regex> {
    match args {
        [_, Node::Const(Ok(Value::Text(pattern)))] => functions::pattern(pattern).ok(),
        _ => None,
    }
}

/// How many nodes.
fn size(node: &Node) -> u64 {
    let sum = |nodes: &[Node]| nodes.iter().map(size).sum::<u64>();
    1 + match node {
        Node::Const(_) | Node::Input(_) | Node::Local(_) => 0,
        Node::Unary(_, a) | Node::Matches(_, a) => size(a),
        Node::Chain(chain) => size(&chain.first) + chain.rest.iter().map(|(_, b)| size(b)).sum::<u64>(),
        Node::Logic(_, nodes) | Node::Coalesce(nodes) | Node::List(nodes) | Node::Call(_, nodes) => sum(nodes),
        Node::If(nodes) => sum(&nodes[..]),
        Node::Map(entries) => entries.iter().map(|(k, v)| size(k) + size(v)).sum(),
        Node::Index(nodes) | Node::Has(nodes) => sum(&nodes[..]),
        Node::Loop(l) => size(&l.over) + l.weight,
    }
}

/// The answer of a node whose arguments are known, where it is cheap.
fn fold(node: Node) -> Node {
    let known = |nodes: &[Node]| nodes.iter().all(|n| matches!(n, Node::Const(_)));
    let foldable = match &node {
        Node::Const(_) | Node::Input(_) | Node::Local(_) | Node::Loop(_) => false,
        Node::Unary(_, a) | Node::Matches(_, a) => known(std::slice::from_ref(a)),
        Node::Chain(chain) => {
            known(std::slice::from_ref(&chain.first)) && chain.rest.iter().all(|(_, b)| matches!(b, Node::Const(_)))
        }
        Node::Logic(_, nodes) | Node::Coalesce(nodes) | Node::List(nodes) | Node::Call(_, nodes) => known(nodes),
        Node::If(nodes) => known(&nodes[..]),
        Node::Map(entries) => entries.iter().all(|(k, v)| matches!((k, v), (Node::Const(_), Node::Const(_)))),
        Node::Index(nodes) | Node::Has(nodes) => known(&nodes[..]),
    };
    if !foldable {
        return node;
    }
    let mut fuel = Fuel::new(FOLDING_FUEL);
    let answer = run::run(&node, &|_: InputId| Ok(Value::Null), &mut fuel);
    if fuel.left() == 0 { node } else { Node::Const(answer) }
}
