//! Derived tables of pairs: a document for every two rows whose `on` is equal.
//!
//! The key of a pair is both rows' keys, and both rows are relations of it, so its fields are ordinary lookups and a relation back is
//! an ordinary one to child rows. What must be equal are formulas at the rows of each side, hidden cells there; NULL and errors are
//! equal to nothing. The condition (`where`) is [`super::conditions`]' to take apart.
//!
//! A side may be a derived table itself, also one that stands further below in the definition, so columns are found in rounds.

use std::rc::Rc;

use thalweg_formulas::ast::{Ast, AstKind, BinaryOp};
use thalweg_formulas::{Expr, Problem, Type, ops};

use super::catalogue::{Catalogue, Relation, TableDef};
use super::conditions::{self, Condition};
use super::derived::{formula, only_where};
use super::findings::Findings;
use super::language;
use super::lower;
use super::nodes::NodeId;
use super::order::Reads;
use super::scope::Reading;
use super::world::{Shared, World};
use crate::spec::{GraphSpec, JoinSpec, OneOrMany, Place, TableSpec};

/// A derived table of pairs while the plan is made.
pub(super) struct JoinDef {
    /// Its place in the definition.
    pub(super) spec: usize,
    pub(super) table: usize,
    /// The tables of its rows, left and right.
    pub(super) sides: [usize; 2],
    /// What the two rows are called.
    pub(super) names: [String; 2],
    /// What must be equal, for each side; `None` if the text was refused.
    on: Vec<Option<[Rc<Ast>; 2]>>,
    /// The condition, if there is one.
    filter: Option<Option<Rc<Ast>>>,
    /// What the formulas read.
    pub(super) reads: Reads,
    /// The nodes at the rows, once they have been checked.
    pub(super) met: Option<Met>,
}

/// The nodes that say which rows meet.
#[derive(Clone)]
pub(super) struct Met {
    /// By side: what must be equal.
    pub(super) on: [Vec<NodeId>; 2],
    pub(super) types: Vec<Type>,
    /// By side: what the condition reads; its inputs are these, the left side's first.
    pub(super) given: [Vec<NodeId>; 2],
    pub(super) condition: Option<Expr>,
}

impl Met {
    /// All nodes that a side's rows must show.
    pub(super) fn shown(&self, side: usize) -> Vec<NodeId> {
        [self.on[side].as_slice(), &self.given[side]].concat()
    }
}

impl Catalogue {
    /// The document types of all `[[table]]` with a `join`, each after those that it joins.
    pub(super) fn declare_joins(&mut self, spec: &GraphSpec, findings: &mut Findings) -> Vec<JoinDef> {
        let joins = spec.tables.iter().enumerate().filter_map(|(ix, table)| Some((ix, table, table.join.as_ref()?)));
        let mut waiting: Vec<(usize, &TableSpec, &JoinSpec)> = joins.collect();
        let mut made = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |(_, _, join): &(usize, &TableSpec, &JoinSpec)| {
                [&join.left, &join.right].iter().all(|side| self.open_join(side, spec).is_none())
            };
            let Some(next) = waiting.iter().position(is_ready) else { break };
            let (ix, table, join) = waiting.remove(next);
            made.extend(self.declare_join(ix, table, join, findings));
        }
        for (ix, table, join) in waiting {
            let (left, right) = (&join.left, &join.right);
            let message = format!("table `{}` joins `{left}` and `{right}`, of which one is made from it", table.name);
            let problem = Problem::new(256, message).help("join tables that are there without it");
            findings.error(join_place(ix, "left"), problem);
        }
        made
    }

    /// The `[[table]]` called `name` if it is a join whose columns are not known yet.
    fn open_join(&self, name: &str, spec: &GraphSpec) -> Option<usize> {
        let ix = spec.tables.iter().position(|table| table.name == name && table.join.is_some())?;
        let table = self.tables.iter().find(|table| table.spec == Some(ix))?;
        (!table.settled).then_some(ix)
    }

    /// The key columns of pairs and the relations to their rows.
    fn declare_join(&mut self, ix: usize, spec: &TableSpec, join: &JoinSpec, findings: &mut Findings) -> Option<JoinDef> {
        let table = self.tables.iter().position(|table| table.spec == Some(ix))?;
        self.tables[table].settled = true;
        let name = self.tables[table].name.clone();
        let context = format!("the join of `{name}`");
        let sides = [(&join.left, "left"), (&join.right, "right")]
            .map(|(side, key)| self.expect(side, &context, join_place(ix, key), findings));
        let names = self.side_names(ix, spec, join, findings);
        for ((side, key), own) in sides.iter().zip(["left", "right"]).zip(names.iter().flatten()) {
            self.declare_side(table, (ix, key), *side, own, findings);
        }
        if names.is_none() || sides.contains(&None) {
            // It is refused; what reads it is not refused too.
            self.tables[table].closed = false;
        }
        let [Some(left), Some(right)] = sides else { return None };
        let on = self.read_on(ix, &name, &join.on, findings);
        let filter = join.filter.as_deref().map(|text| {
            let ast = language::parse_formula(text);
            ast.map_err(|problems| findings.errors(&join_place(ix, "where"), problems)).ok().map(Rc::new)
        });
        names.map(|names| JoinDef {
            spec: ix,
            table,
            sides: [left, right],
            names,
            on,
            filter,
            reads: Reads::default(),
            met: None,
        })
    }

    /// What the two rows are called: two names that are not used otherwise.
    fn side_names(&self, ix: usize, spec: &TableSpec, join: &JoinSpec, findings: &mut Findings) -> Option<[String; 2]> {
        let names = join.side_names();
        let problem = match &names[..] {
            [left, right] if left == right => {
                let problem = Problem::new(256, format!("both rows of a pair of `{}` are called `{left}`", spec.name));
                problem.help("name them apart: as = [\"one\", \"other\"]")
            }
            [left, right] => match [left, right].into_iter().find(|name| name.is_empty() || spec.relations.contains_key(*name)) {
                None => return Some([left.clone(), right.clone()]),
                Some(taken) if taken.is_empty() => Problem::new(237, format!("a row of a pair of `{}` has no name", spec.name))
                    .help("name both: as = [\"one\", \"other\"]"),
                Some(taken) => {
                    let message = format!("`{}` has a relation called `{taken}` beside the row of that name", spec.name);
                    Problem::new(233, message).help("give one of them another name")
                }
            },
            others => {
                let problem =
                    Problem::new(256, format!("a pair of `{}` has 2 rows, but `as` has {}", spec.name, counted(others.len())));
                problem.help("name them both: as = [\"one\", \"other\"]")
            }
        };
        findings.error(join_place(ix, "as"), problem);
        None
    }

    /// The key columns that hold one row's key, and the relation to the row.
    fn declare_side(&mut self, table: usize, (ix, key): (usize, &str), side: Option<usize>, own: &str, findings: &mut Findings) {
        let first = self.tables[table].columns.len();
        let columns = side.and_then(|side| self.side_key(table, side, join_place(ix, key), findings));
        for (column, ty) in columns.iter().flatten() {
            let column = format!("{own}_{column}");
            if self.tables[table].column(&column).is_some() {
                let problem =
                    Problem::new(233, format!("column `{column}` stands twice in the key of `{}`", self.tables[table].name));
                findings.error(join_place(ix, "as"), problem.help("give the rows other names by `as`"));
            } else {
                self.tables[table].add_column(column.into(), ty.clone());
            }
        }
        let columns: Vec<usize> = (first..self.tables[table].columns.len()).collect();
        self.tables[table].key.get_or_insert_default().extend(&columns);
        let relation = match side {
            Some(to) if !columns.is_empty() => Relation::Lookup { to, columns },
            _ => Relation::Broken,
        };
        self.tables[table].relations.insert(own.to_owned(), relation);
    }

    /// The names and types of the key columns of a side.
    fn side_key(&self, table: usize, side: usize, place: Place, findings: &mut Findings) -> Option<Vec<(String, Type)>> {
        let (pairs, side) = (&self.tables[table].name, &self.tables[side]);
        let column = |column: &usize| (side.columns[*column].name.to_string(), side.columns[*column].ty.clone());
        match &side.key {
            Some(key) if !key.is_empty() => return Some(key.iter().map(column).collect()),
            // It was refused already.
            _ if side.derived => {}
            known => {
                let why = if known.is_some() { "which has none" } else { "which is not known" };
                let problem = Problem::new(236, format!("the join of `{pairs}` needs a key on `{}`, {why}", side.name));
                let help = format!("declare it: key = [\"id\"] in [[table]] \"{}\"", side.name);
                findings.error(place, problem.help(help));
            }
        }
        None
    }

    /// What must be equal: `a == b`, or one text for both sides.
    fn read_on(&self, ix: usize, name: &str, on: &OneOrMany, findings: &mut Findings) -> Vec<Option<[Rc<Ast>; 2]>> {
        if on.names().is_empty() {
            let problem = Problem::new(256, format!("the join of `{name}` does not say what is equal in two rows that meet"));
            findings.error(
                join_place(ix, "on"),
                problem.help("write on = \"sku\", or on = [\"sku\", \"date(at) == date(sent_at)\"]"),
            );
        }
        let read = |(at, text): (usize, &String)| {
            let ast = language::parse_formula(text).map_err(|problems| findings.errors(&on_place(ix, on, at), problems)).ok()?;
            Some(match ast.kind {
                AstKind::Binary(BinaryOp::Eq, left, right) => [Rc::new(*left), Rc::new(*right)],
                _ => [(); 2].map(|()| Rc::new(ast.clone())),
            })
        };
        on.names().iter().enumerate().map(read).collect()
    }
}

/// The document type of a `[[table]]` with a `join`, without its columns.
pub(super) fn blank(ix: usize, name: &str) -> TableDef {
    let mut table = TableDef::new(name, name);
    table.spec = Some(ix);
    table.closed = true;
    table.derived = true;
    table.settled = false;
    table
}

impl World {
    /// The derived table of pairs that `table` is.
    pub(super) fn join_of(&self, table: usize) -> Option<usize> {
        self.joins.iter().position(|join| join.table == table)
    }
}

/// The first pass: what the formulas of joins read.
pub(super) fn read_names(world: &Shared) {
    let count = world.borrow().joins.len();
    for join in 0..count {
        let (table, sides, on, filter) = {
            let world = world.borrow();
            let def = &world.joins[join];
            (def.table, def.sides, def.on.clone(), def.filter.clone())
        };
        let mut reads = Reads::default();
        let mut read = |table: usize, ast: &Ast| {
            let reading = Reading::new(world, table, None);
            // Its problems are found again in the second pass, with types.
            let _names_only = language::check_formula(ast, &reading.scope());
            reads.extend(&reading);
        };
        for asts in on.iter().flatten() {
            sides.iter().zip(asts).for_each(|(side, ast)| read(*side, ast));
        }
        filter.iter().flatten().for_each(|ast| read(table, ast));
        // A condition stands at the pair to be, which is not read by that.
        reads.joins.remove(&join);
        let mut world = world.borrow_mut();
        reads.groups.extend(sides.iter().filter_map(|side| world.group_of(*side)));
        reads.joins.extend(sides.iter().filter_map(|side| world.join_of(*side)));
        world.joins[join].reads = reads;
    }
}

/// The second pass: the types of the key columns, and the nodes at the rows that say which of them meet.
pub(super) fn check_join(world: &Shared, spec: &GraphSpec, join: usize, findings: &mut Findings) {
    let (ix, table, sides, on, filter) = {
        let world = world.borrow();
        let def = &world.joins[join];
        (def.spec, def.table, def.sides, def.on.clone(), def.filter.clone())
    };
    let Some(written) = &spec.tables[ix].join else { return };
    type_key(world, table, sides);
    let checked: Vec<Option<[Expr; 2]>> = on
        .iter()
        .enumerate()
        .map(|(at, asts)| {
            let place = on_place(ix, &written.on, at);
            let [left, right] = asts.as_ref()?;
            let left = formula(world, sides[0], left, &place, findings, &|_| None);
            let right = formula(world, sides[1], right, &place, findings, &|_| None);
            Some([left?, right?])
        })
        .collect();
    let types = equal_types(world, ix, sides, &written.on, &checked, findings);
    let place = join_place(ix, "where");
    let condition = match filter {
        None => Some(Condition::default()),
        Some(ast) => ast.and_then(|ast| conditions::check(world, table, sides, &ast, &place, findings)),
    };
    let (Some(types), Some(condition), Some(on)) = (types, condition, checked.into_iter().collect::<Option<Vec<_>>>()) else {
        return;
    };
    if on.is_empty() {
        return;
    }
    let mut world = world.borrow_mut();
    let at_side = |world: &mut World, side: usize| -> Vec<NodeId> {
        let exprs: Vec<Expr> = on.iter().map(|both| both[side].clone()).collect();
        let meets = |(at, expr): (usize, Expr)| match &condition.own[side] {
            Some(own) if at == 0 => only_where(own.clone(), expr),
            _ => expr,
        };
        let exprs: Vec<Expr> = exprs.into_iter().enumerate().map(meets).collect();
        exprs.iter().map(|expr| lower::hidden(world, sides[side], expr)).collect()
    };
    let on = [at_side(&mut world, 0), at_side(&mut world, 1)];
    world.joins[join].met = Some(Met { on, types, given: condition.given, condition: condition.of_pair });
    for column in 0..world.catalogue.tables[table].columns.len() {
        world.column_node(table, column);
    }
}

/// The key columns of pairs are of the types of their rows' keys, which are known by now.
fn type_key(world: &Shared, table: usize, sides: [usize; 2]) {
    let mut world = world.borrow_mut();
    let tables = &mut world.catalogue.tables;
    let types: Vec<Type> = sides.iter().flat_map(|side| tables[*side].key_types(0)).collect();
    tables[table].columns.iter_mut().zip(types).for_each(|(column, ty)| column.ty = ty);
}

/// The types as which both sides are compared.
fn equal_types(
    world: &Shared,
    ix: usize,
    sides: [usize; 2],
    on: &OneOrMany,
    checked: &[Option<[Expr; 2]>],
    findings: &mut Findings,
) -> Option<Vec<Type>> {
    let names = sides.map(|side| world.borrow().catalogue.tables[side].name.clone());
    let mut types = Vec::new();
    for (at, both) in checked.iter().enumerate() {
        let Some([left, right]) = both else { continue };
        match equal_type(left.ty(), right.ty()) {
            Some(ty) => types.push(ty),
            None => {
                let message = format!("{} of `{}` is never equal to {} of `{}`", left.ty(), names[0], right.ty(), names[1]);
                let text = &on.names()[at];
                let problem =
                    Problem::new(240, message).help(format!("convert one of them: `{text}` compares values of one type"));
                findings.error(on_place(ix, on, at), problem);
            }
        }
    }
    (types.len() == checked.len()).then_some(types)
}

/// The type as which values of two types are compared: numbers on one number line.
pub(super) fn equal_type(left: &Type, right: &Type) -> Option<Type> {
    let scale = |ty: &Type| match ty {
        Type::Decimal { scale, .. } => *scale,
        _ => 0,
    };
    match (left, right) {
        (left, right) if left == right => Some(left.clone()),
        (Type::Dyn | Type::Null, other) | (other, Type::Dyn | Type::Null) => Some(other.clone()),
        (Type::Double, other) | (other, Type::Double) if other.is_numeric() => Some(Type::Double),
        (left, right) if left.is_numeric() && right.is_numeric() => {
            Some(Type::Decimal { precision: 76, scale: scale(left).max(scale(right)) })
        }
        (left, right) => Some(ops::unify(left, right)).filter(|ty| *ty != Type::Dyn),
    }
}

/// "1 name", "3 names".
fn counted(n: usize) -> String {
    if n == 1 { "1 name".into() } else { format!("{n} names") }
}

fn join_place(ix: usize, key: &str) -> Place {
    Place::Table(ix, format!("join.{key}"))
}

fn on_place(ix: usize, on: &OneOrMany, at: usize) -> Place {
    match on {
        OneOrMany::One(_) => join_place(ix, "on"),
        OneOrMany::Many(_) => join_place(ix, &format!("on.{at}")),
    }
}
