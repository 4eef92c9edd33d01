//! The condition of a join, taken apart by the rows that it reads.
//!
//! It is a formula at the pair, whose rows it reads by their names. What it reads of one row is a node there, so that what travels is no
//! more than that; a part (between `&&`) that reads one row only is asked of that row before it meets any other.

use thalweg_formulas::ast::{Ast, BinaryOp};
use thalweg_formulas::{Expr, ExprKind, InputId, Problem, Type};

use super::fields::check_at;
use super::findings::Findings;
use super::lower;
use super::nodes::NodeId;
use super::order::Reads;
use super::scope::{Read, Reading, Ref, Step};
use super::slips;
use super::world::Shared;
use crate::spec::Place;

/// A condition by the rows that it reads.
#[derive(Default)]
pub(super) struct Condition {
    /// By side: what the row alone must meet, over its nodes.
    pub(super) own: [Option<Expr>; 2],
    /// By side: what of the row the rest reads.
    pub(super) given: [Vec<NodeId>; 2],
    /// The rest, over `given`.
    pub(super) of_pair: Option<Expr>,
}

/// What an expression reads of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Nothing,
    Side(usize),
    Both,
}

impl Of {
    fn and(self, other: Of) -> Of {
        match (self, other) {
            (Of::Nothing, of) | (of, Of::Nothing) => of,
            (a, b) if a == b => a,
            _ => Of::Both,
        }
    }
}

/// Checks the condition of the pairs `table` and takes it apart.
pub(super) fn check(
    world: &Shared,
    table: usize,
    sides: [usize; 2],
    ast: &Ast,
    place: &Place,
    findings: &mut Findings,
) -> Option<Condition> {
    let (reading, expr) = check_at(world, table, ast, None).map_err(|problems| findings.errors(place, problems)).ok()?;
    slips::warn(&world.borrow(), reading.columns(), ast, place, findings);
    let ty = expr.ty();
    if !matches!(ty, Type::Bool | Type::Dyn | Type::Null) {
        let name = world.borrow().catalogue.tables[table].name.clone();
        let problem = Problem::new(240, format!("the `where` of `{name}` is {ty}, not bool")).help("compare it with something");
        findings.error(place.clone(), problem.at(ast.span, ""));
        return None;
    }
    if !has_nodes(world, table, &reading) {
        return None;
    }
    let parting = Parting { reading: &reading, sides, arity: world.borrow().catalogue.tables[sides[0]].key_types(0).len() };
    parting.part(&expr).map_err(|problem| findings.error(place.clone(), problem.at(ast.span, ""))).ok()
}

/// Whether everything that it reads has its nodes; the pair itself need not.
fn has_nodes(world: &Shared, table: usize, reading: &Reading) -> bool {
    let reads = Reads::of(reading);
    let world = world.borrow();
    let own = world.join_of(table);
    reads.fields.iter().all(|field| world.fields[*field].node.is_some())
        && reads.groups.iter().all(|group| world.groups[*group].key.is_some())
        && reads.joins.iter().all(|join| own == Some(*join) || world.joins[*join].met.is_some())
}

struct Parting<'a> {
    reading: &'a Reading,
    sides: [usize; 2],
    /// How many key columns of the pair are the left row's.
    arity: usize,
}

impl Parting<'_> {
    fn part(&self, expr: &Expr) -> Result<Condition, Problem> {
        let mut condition = Condition::default();
        let mut rest: Option<Expr> = None;
        for conjunct in conjuncts(expr) {
            match self.of(conjunct)? {
                Of::Side(side) => {
                    let own = self.at_side(conjunct, side)?;
                    condition.own[side] = Some(both(condition.own[side].take(), own));
                }
                Of::Nothing | Of::Both => rest = Some(both(rest, conjunct.clone())),
            }
        }
        if let Some(rest) = rest {
            let split = self.split(&rest, &mut condition.given, false)?;
            // The right row's inputs come behind the left one's.
            let left = condition.given[0].len() as u32;
            let place = |id: InputId, _: &Type| {
                let right = id.0.checked_sub(RIGHT).map(|at| left + at);
                ExprKind::Input(InputId(right.unwrap_or(id.0)))
            };
            condition.of_pair = Some(super::rewrite::map_inputs(&split, &place));
        }
        Ok(condition)
    }

    /// What an expression reads.
    fn of(&self, expr: &Expr) -> Result<Of, Problem> {
        match expr.kind() {
            ExprKind::Input(id) => self.of_input(*id),
            ExprKind::Aggregate { over, .. } => self.of_frame(*over),
            _ => expr.args().into_iter().try_fold(Of::Nothing, |of, arg| Ok(of.and(self.of(arg)?))),
        }
    }

    fn of_input(&self, input: InputId) -> Result<Of, Problem> {
        let reference = self.reading.reference(input);
        match reference.read {
            Read::Refused => Ok(Of::Nothing),
            Read::Column(column) if reference.frame == 0 => Ok(Of::Side(usize::from(column >= self.arity))),
            Read::Column(_) | Read::Field(_) | Read::Itself => self.of_frame(reference.frame),
        }
    }

    /// The side over which a frame is reached.
    fn of_frame(&self, frame: u32) -> Result<Of, Problem> {
        self.side_frame(frame).map(|(side, _)| Of::Side(side))
    }

    /// The side over which a frame is reached, and the frame of the side's row.
    fn side_frame(&self, frame: u32) -> Result<(usize, u32), Problem> {
        let mut row = frame;
        while row != 0 && self.reading.frame(row).outer != 0 {
            row = self.reading.frame(row).outer;
        }
        let reached = self.reading.frame(row);
        let pairs = self.reading.frame(0).table;
        let columns = self.reading.world.borrow().catalogue.tables[pairs].columns.len();
        let key = |side: usize| if side == 0 { 0..self.arity } else { self.arity..columns };
        let leads_to = |side: &usize| {
            let by_key = matches!(&reached.step, Step::Lookup(columns) if columns.iter().copied().eq(key(*side)));
            row != 0 && by_key && reached.table == self.sides[*side]
        };
        let side = (0..2).find(leads_to).ok_or_else(|| self.neither(frame))?;
        Ok((side, row))
    }

    fn neither(&self, frame: u32) -> Problem {
        let path = self.reading.frame(frame).path;
        let what = match path.trim_end_matches('.') {
            "" => "a global field".to_owned(),
            path => format!("`{path}`"),
        };
        Problem::new(250, format!("the `where` of a join reads its two rows, and {what} is neither"))
            .help("read it through one of the two rows, or make a field of it there")
    }

    /// An expression that reads one row, over the nodes of that row.
    fn at_side(&self, expr: &Expr, side: usize) -> Result<Expr, Problem> {
        let frame = match expr.kind() {
            ExprKind::Input(id) => match self.reading.reference(*id) {
                Ref { frame: 0, read: Read::Column(column) } => return Ok(self.key_column(column, side, expr.ty())),
                Ref { read: Read::Refused, .. } => 0,
                Ref { frame, .. } => self.side_frame(frame)?.1,
            },
            ExprKind::Aggregate { over, .. } => self.side_frame(*over)?.1,
            _ => return each_arg(expr, |arg| self.at_side(arg, side)),
        };
        lower::lower_at(self.reading, expr, frame)
    }

    /// A key column of the pair, which is one of the row's.
    fn key_column(&self, column: usize, side: usize, ty: &Type) -> Expr {
        let mut world = self.reading.world.borrow_mut();
        let at = column - side * self.arity;
        let table = self.sides[side];
        let own = world.catalogue.tables[table].key.as_ref().map_or(at, |key| key[at]);
        Expr::new(ExprKind::Input(world.column_node(table, own).input()), ty.clone())
    }

    /// The expression with what it reads of each row as inputs: places in `given`, the right ones from [`RIGHT`] on. `inside` a comprehension
    /// only what has a value outside of it can be taken out.
    fn split(&self, expr: &Expr, given: &mut [Vec<NodeId>; 2], inside: bool) -> Result<Expr, Problem> {
        let is_leaf = matches!(expr.kind(), ExprKind::Input(_) | ExprKind::Aggregate { .. });
        if let Of::Side(side) = self.of(expr)?
            && (is_leaf || !inside)
        {
            let own = self.at_side(expr, side)?;
            let node = lower::hidden(&mut self.reading.world.borrow_mut(), self.sides[side], &own);
            let at = given[side].iter().position(|other| *other == node).unwrap_or_else(|| {
                given[side].push(node);
                given[side].len() - 1
            });
            let place = at as u32 + if side == 0 { 0 } else { RIGHT };
            return Ok(Expr::new(ExprKind::Input(InputId(place)), expr.ty().clone()));
        }
        let inside = inside || matches!(expr.kind(), ExprKind::Comprehension { .. });
        each_arg(expr, |arg| self.split(arg, given, inside))
    }
}

/// Where the right row's inputs begin while they are counted.
const RIGHT: u32 = 1 << 31;

/// The parts between `&&`.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr.kind() {
        ExprKind::Binary(BinaryOp::And, a, b) => [conjuncts(a), conjuncts(b)].concat(),
        _ => vec![expr],
    }
}

fn both(one: Option<Expr>, other: Expr) -> Expr {
    match one {
        None => other,
        Some(one) => Expr::new(ExprKind::Binary(BinaryOp::And, one, other), Type::Bool),
    }
}

/// [`Expr::map_args`] where `f` may refuse.
fn each_arg(expr: &Expr, mut f: impl FnMut(&Expr) -> Result<Expr, Problem>) -> Result<Expr, Problem> {
    let mut refused = None;
    let mapped = expr.map_args(|arg| {
        f(arg).unwrap_or_else(|problem| {
            refused.get_or_insert(problem);
            arg.clone()
        })
    });
    refused.map_or(Ok(mapped), Err)
}
