//! Derived tables: their documents are kept, one for each key that rows of another table have.
//!
//! The catalogue gets their columns, all of which are key columns, and the relation to their rows. What the key columns hold are
//! formulas at the rows (`by`), hidden cells there as the bodies of aggregates are; a row that does not meet `where` has NULL for the
//! first of them, and is so in no document. The formulas may read derived fields and other derived tables, so they are checked in
//! one order with the fields ([`super::order`]); the columns' types come with them.

use std::rc::Rc;

use thalweg_formulas::ast::{Ast, AstKind};
use thalweg_formulas::{Expr, ExprKind, Problem, Type, Value};

use super::catalogue::{Catalogue, Relation, TableDef};
use super::closures;
use super::fields::{check_at, is_lowerable};
use super::findings::Findings;
use super::language;
use super::late;
use super::lower;
use super::nodes::{self, NodeId};
use super::order::Reads;
use super::scope::Reading;
use super::slips;
use super::windows::{self, Ending, Windows};
use super::world::{Shared, World};
use crate::plan::Part;
use crate::spec::{BySpec, GraphSpec, GroupSpec, Place, TableSpec};

/// A derived table while the plan is made.
pub(super) struct GroupDef {
    /// Its place in the definition.
    pub(super) spec: usize,
    pub(super) table: usize,
    /// The table of its rows.
    pub(super) of: usize,
    /// The formulas of the key columns, windows included; `None` if the text was refused.
    keys: Vec<Option<Rc<Ast>>>,
    /// How each gives its column; empty where each holds it as it is.
    pub(super) parts: Vec<Part>,
    /// The condition, if there is one.
    filter: Option<Option<Rc<Ast>>>,
    /// What the formulas read.
    pub(super) reads: Reads,
    /// The nodes at the rows that hold the key, once they have been checked.
    pub(super) key: Option<Vec<NodeId>>,
    /// Its windows end for good, or its documents are the rows that came too late for them.
    pub(super) ending: Option<Ending>,
    /// The node at the rows that holds their time, where windows end; once the key has been checked.
    pub(super) watched: Option<NodeId>,
    /// Of sessions that end: the node at the rows that says for which of them a row came too late.
    pub(super) missed: Option<NodeId>,
    /// Its rows are links, and its documents the pairs between which paths lead.
    pub(super) closure: bool,
    /// The group of the windows for which the documents came too late.
    pub(super) late_for: Option<usize>,
}

impl GroupDef {
    /// Of the rows that are too late for the windows of a group, which is at `at`.
    pub(super) fn late(windows: &GroupDef, at: usize, table: usize) -> GroupDef {
        let (spec, of, ending) = (windows.spec, windows.of, windows.ending);
        let (keys, parts, filter, reads, key, watched, missed) = Default::default();
        GroupDef { spec, table, of, keys, parts, filter, reads, key, ending, watched, missed, closure: false, late_for: Some(at) }
    }

    /// The nodes at the rows that its documents need.
    pub(super) fn rows(&self) -> Vec<NodeId> {
        self.key.iter().flatten().copied().chain(self.watched).chain(self.missed).collect()
    }
}

impl Catalogue {
    /// The document type of a `[[table]]` with a `group`; the types of its columns are found later.
    pub(super) fn declare_derived(
        &self,
        ix: usize,
        spec: &TableSpec,
        group: &GroupSpec,
        name: &str,
        findings: &mut Findings,
    ) -> TableDef {
        self.refuse_source(ix, spec, name, findings);
        let mut table = TableDef::new(name, name);
        table.spec = Some(ix);
        for (at, (column, _)) in group.by.columns().into_iter().enumerate() {
            let problem = if column.is_empty() {
                Some(Problem::new(237, format!("the key of `{name}` names a column without a name")))
            } else if !matches!(group.by, BySpec::Named(_)) && !is_name(column) {
                let problem = Problem::new(256, format!("`{column}` is a formula, so its key column in `{name}` needs a name"));
                Some(problem.help(format!("write by = {{ name = \"{column}\" }}")))
            } else if table.column(column).is_some() {
                let problem = Problem::new(233, format!("column `{column}` stands twice in the key of `{name}`"));
                Some(problem.help("name each key column once"))
            } else {
                None
            };
            match problem {
                Some(problem) => findings.error(by_place(ix, &group.by, at), problem),
                None => drop(table.add_column(column.into(), Type::Dyn)),
            }
        }
        if let Some(window) = &group.window {
            for column in windows::columns(window) {
                if table.column(column).is_some() {
                    let problem = Problem::new(233, format!("column `{column}` stands twice in the key of `{name}`"));
                    findings.error(
                        group_place(ix, "window"),
                        problem.help("a window has a column of this name: give yours another one"),
                    );
                } else {
                    table.add_column((*column).into(), Type::Timestamp);
                }
            }
            Windows::read(ix, window, findings);
            Ending::read(ix, window, findings);
        }
        if group.closure {
            closures::refuse(ix, name, group, findings);
        } else if group.by.columns().is_empty() && group.window.is_none() {
            let problem = Problem::new(256, format!("table `{name}` does not say by what its rows are grouped"));
            findings.error(group_place(ix, "by"), problem.help("write by = \"column\", or by = { name = \"formula\" }"));
        }
        table.key = Some((0..table.columns.len()).collect());
        table.closed = true;
        table.derived = true;
        table
    }

    /// A derived table has no source, nor anything that a source would tell.
    pub(super) fn refuse_source(&self, ix: usize, spec: &TableSpec, name: &str, findings: &mut Findings) {
        let (of, says_key) = match (&spec.group, &spec.join) {
            (_, Some(join)) => (format!("pairs of rows of `{}` and `{}`", join.left, join.right), "it is the keys of both rows"),
            (Some(group), None) if group.closure => (format!("rows of `{}`", group.of), "it is `from` and `to`"),
            (group, None) => (format!("rows of `{}`", group.as_ref().map_or("", |group| &group.of)), "`by` says it"),
        };
        let given = [("from", spec.from.is_some()), ("key", spec.key.is_some()), ("columns", !spec.columns.is_empty())];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            let problem = Problem::new(256, format!("table `{name}` is kept from {of}, so it has no `{key}` of its own"));
            let help = if *key == "from" { "leave it out".to_owned() } else { format!("leave it out: {says_key}") };
            findings.error(Place::Table(ix, (*key).into()), problem.help(help));
        }
        if let Some(schema) = self.known_as(name).first() {
            let message = format!("table `{name}` is kept from {of}, but the source has a table `{}`", schema.table);
            findings
                .error(Place::Table(ix, "name".into()), Problem::new(257, message).help("give the derived table another name"));
        }
    }

    /// The table of a derived table's rows, and the relation to them.
    pub(super) fn relate_derived(&mut self, ix: usize, group: &GroupSpec, findings: &mut Findings) -> Option<GroupDef> {
        let table = self.tables.iter().position(|table| table.spec == Some(ix))?;
        let name = self.tables[table].name.clone();
        let what = if group.closure { "closure" } else { "group" };
        let of = self.expect(&group.of, &format!("the {what} of `{name}`"), group_place(ix, "of"), findings);
        let of = of.filter(|of| {
            if *of == table {
                let problem = Problem::new(256, format!("table `{name}` cannot be kept from rows of itself"));
                findings.error(group_place(ix, "of"), problem.help("name the table whose rows are grouped"));
            }
            *of != table
        });
        if let Some(rows) = &group.rows {
            let taken = if self.tables[table].column(rows).is_some() {
                Some("column")
            } else if self.tables[table].relations.contains_key(rows) {
                Some("relation")
            } else {
                None
            };
            if let Some(what) = taken {
                let message = format!("`{name}` has a {what} called `{rows}` beside the relation to its rows");
                findings.error(group_place(ix, "rows"), Problem::new(233, message).help("give one of them another name"));
            }
            let relation = of.map_or(Relation::Broken, |of| Relation::Members { table: of });
            self.tables[table].relations.insert(rows.clone(), relation);
        }
        let mut read = |text: &str, place: Place| {
            // Of a column without a name it is said already that it has none.
            if text.is_empty() && matches!(group.by, BySpec::Many(_)) {
                return None;
            }
            let ast = language::parse_formula(text);
            ast.map_err(|problems| findings.errors(&place, problems)).ok().map(Rc::new)
        };
        let columns = group.by.columns();
        let mut keys: Vec<Option<Rc<Ast>>> =
            columns.iter().enumerate().map(|(at, (_, text))| read(text, by_place(ix, &group.by, at))).collect();
        let mut parts: Vec<Part> = keys.iter_mut().map(take_each).collect();
        if let Some(window) = &group.window {
            let on = read(&window.on, group_place(ix, "window.on"));
            keys.push(on);
            let windows = Windows::read(ix, window, &mut Findings::default());
            parts.extend(windows.iter().flat_map(Windows::parts));
        }
        if parts.iter().all(|part| *part == Part::One) {
            parts.clear();
        }
        let filter = group.filter.as_deref().map(|text| read(text, group_place(ix, "where")));
        if group.window.as_ref().is_some_and(|window| window.gap.is_some()) && parts.contains(&Part::Each) {
            let message = format!("the sessions of `{name}` need one key for each row, so no `[*]` in `by`");
            let problem = Problem::new(256, message).help("group by a value, or take windows of a `size`");
            findings.error(group_place(ix, "by"), problem);
        }
        let ending = group.window.as_ref().and_then(|window| Ending::read(ix, window, &mut Findings::default()));
        let (reads, key, watched, missed, late_for) = Default::default();
        Some(GroupDef {
            spec: ix,
            table,
            of: of?,
            keys,
            parts,
            filter,
            reads,
            key,
            ending,
            watched,
            missed,
            closure: group.closure,
            late_for,
        })
    }
}

impl World {
    /// The derived table that `table` is.
    pub(super) fn group_of(&self, table: usize) -> Option<usize> {
        self.groups.iter().position(|group| group.table == table)
    }
}

/// The first pass: what the formulas of derived tables read.
pub(super) fn read_names(world: &Shared) {
    let count = world.borrow().groups.len();
    for group in 0..count {
        let (of, asts) = {
            let world = world.borrow();
            let def = &world.groups[group];
            let asts: Vec<Rc<Ast>> = def.keys.iter().chain(&def.filter).flatten().cloned().collect();
            (def.of, asts)
        };
        let mut reads = Reads::default();
        reads.groups.extend(world.borrow().groups[group].late_for);
        for ast in asts {
            let reading = Reading::new(world, of, None);
            // Its problems are found again in the second pass, with types.
            let _names_only = language::check_formula(&ast, &reading.scope());
            reads.extend(&reading);
        }
        world.borrow_mut().groups[group].reads = reads;
    }
}

/// What was written of a derived table, checked and lowered: formulas at the rows.
struct Checked {
    /// The key columns; with windows, the time behind them.
    exprs: Vec<Expr>,
    filter: Option<Expr>,
    windows: Option<Windows>,
    /// How many of the columns `by` gives.
    by: usize,
}

/// The second pass: the types of the key columns, and the nodes at the rows that hold the key.
pub(super) fn check_group(world: &Shared, spec: &GraphSpec, group: usize, findings: &mut Findings) {
    if late::check(world, group) {
        return;
    }
    let Some(checked) = check_formulas(world, spec, group, findings) else { return };
    let mut world = world.borrow_mut();
    let table = world.groups[group].table;
    let width = checked.windows.as_ref().map_or(0, |windows| windows.parts().len());
    if checked.by + width != world.catalogue.tables[table].columns.len() {
        return;
    }
    if world.groups[group].closure && !closures::fits(&world, group, &checked.exprs, findings) {
        return;
    }
    type_columns(&mut world, group, &checked.exprs[..checked.by]);
    place_key(&mut world, group, checked);
    for column in 0..world.catalogue.tables[table].columns.len() {
        world.column_node(table, column);
    }
}

/// The formulas of a derived table; `None` if one of them is refused.
fn check_formulas(world: &Shared, spec: &GraphSpec, group: usize, findings: &mut Findings) -> Option<Checked> {
    let (ix, table, of, keys, parts, filter) = {
        let world = world.borrow();
        let def = &world.groups[group];
        (def.spec, def.table, def.of, def.keys.clone(), def.parts.clone(), def.filter.clone())
    };
    let written = spec.tables[ix].group.as_ref()?;
    let by = written.by.columns().len();
    let name = world.borrow().catalogue.tables[table].name.clone();
    let mut checked: Vec<Option<Expr>> = Vec::with_capacity(keys.len());
    for (at, ast) in keys.iter().enumerate() {
        let place = if at < by { by_place(ix, &written.by, at) } else { group_place(ix, "window.on") };
        let each = parts.get(at) == Some(&Part::Each) && at < by;
        let fits = |expr: &Expr| misfit(&name, expr.ty(), each, at >= by);
        checked.push(ast.as_deref().and_then(|ast| formula(world, of, ast, &place, findings, &fits)));
    }
    let condition = |expr: &Expr| {
        let ty = expr.ty();
        let refused = !matches!(ty, Type::Bool | Type::Dyn | Type::Null);
        refused.then(|| Problem::new(240, format!("the `where` of `{name}` is {ty}, not bool")).help("compare it with something"))
    };
    let filter = filter.map(|ast| formula(world, of, ast.as_deref()?, &group_place(ix, "where"), findings, &condition));
    let exprs = checked.into_iter().collect::<Option<Vec<Expr>>>()?;
    let windows = written.window.as_ref().map(|window| Windows::read(ix, window, &mut Findings::default()));
    match (windows, filter) {
        (Some(None), _) | (_, Some(None)) => None,
        (windows, filter) => Some(Checked { exprs, filter: filter.flatten(), windows: windows.flatten(), by }),
    }
}

/// The types of the columns that `by` gives.
fn type_columns(world: &mut World, group: usize, exprs: &[Expr]) {
    let (table, parts) = (world.groups[group].table, world.groups[group].parts.clone());
    for (at, (column, expr)) in world.catalogue.tables[table].columns.iter_mut().zip(exprs).enumerate() {
        column.ty = column_type(parts.get(at), expr.ty());
    }
    if world.groups[group].closure {
        closures::type_ends(&mut world.catalogue.tables[table]);
    }
}

/// The type of a key column that is given by a formula of this type.
pub(super) fn column_type(part: Option<&Part>, ty: &Type) -> Type {
    match (part, ty) {
        (Some(Part::Each), Type::List(item)) => (**item).clone(),
        (Some(Part::Each), _) | (_, Type::Null) => Type::Dyn,
        (_, ty) => ty.clone(),
    }
}

/// The nodes at the rows that hold the key. A row that does not count has NULL in one part of it; where there is a time, in that, since it is
/// in no session either.
fn place_key(world: &mut World, group: usize, checked: Checked) {
    let Checked { mut exprs, filter, windows, by } = checked;
    let (of, ending) = (world.groups[group].of, world.groups[group].ending);
    // Rows that do not count have seen their time all the same.
    let ending = ending.map(|Ending { lateness, early }| {
        let watched = lower::hidden(world, of, &exprs[by]);
        nodes::Ending { watched, lateness, early }
    });
    world.groups[group].watched = ending.map(|ending| ending.watched);
    if let Some(filter) = filter {
        let at = if windows.is_some() { by } else { 0 };
        exprs[at] = only_where(filter, exprs[at].clone());
    }
    let mut key: Vec<NodeId> = exprs[..by].iter().map(|expr| lower::hidden(world, of, expr)).collect();
    if let Some(windows) = windows {
        let (columns, missed) = windows.nodes(world, of, &key, &exprs[by], ending);
        key.extend(columns);
        world.groups[group].missed = missed;
    }
    world.groups[group].key = Some(key);
}

/// A formula at rows of `of`, checked and lowered; `refuse` may have something against it.
pub(super) fn formula(
    world: &Shared,
    of: usize,
    ast: &Ast,
    place: &Place,
    findings: &mut Findings,
    refuse: &dyn Fn(&Expr) -> Option<Problem>,
) -> Option<Expr> {
    let (reading, expr) = check_at(world, of, ast, None).map_err(|problems| findings.errors(place, problems)).ok()?;
    slips::warn(&world.borrow(), reading.columns(), ast, place, findings);
    if let Some(problem) = refuse(&expr) {
        findings.error(place.clone(), problem.at(ast.span, ""));
        return None;
    }
    if !is_lowerable(world, &reading) {
        return None;
    }
    lower::lower(&reading, &expr).map_err(|problem| findings.error(place.clone(), problem.at(ast.span, ""))).ok()
}

/// A part of the key of rows that meet the condition; NULL for others.
pub(super) fn only_where(filter: Expr, part: Expr) -> Expr {
    let ty = part.ty().clone();
    let none = Expr::new(ExprKind::Const(Value::Null), Type::Null);
    Expr::new(ExprKind::If(filter, part, none), ty)
}

/// Why a key column cannot be made of this type.
fn misfit(name: &str, ty: &Type, each: bool, window: bool) -> Option<Problem> {
    if each && !matches!(ty, Type::List(_) | Type::Dyn | Type::Null) {
        let problem = Problem::new(256, format!("`[*]` in the key of `{name}` follows {ty}, which is no list"));
        return Some(problem.help("name a list, or leave `[*]` out"));
    }
    if window && !matches!(ty, Type::Timestamp | Type::Dyn | Type::Null) {
        let problem = Problem::new(256, format!("the windows of `{name}` are over {ty}, which is no timestamp"));
        return Some(problem.help("name a timestamp, or make one: timestamp(text)"));
    }
    None
}

/// Takes `[*]` off a formula: each element of a list.
fn take_each(ast: &mut Option<Rc<Ast>>) -> Part {
    let inner = match ast.as_deref().map(|ast| &ast.kind) {
        Some(AstKind::Each(inner)) => Rc::new((**inner).clone()),
        _ => return Part::One,
    };
    *ast = Some(inner);
    Part::Each
}

/// Whether the text is a name, not a formula.
fn is_name(text: &str) -> bool {
    language::parse_formula(text).is_ok_and(|ast| matches!(ast.kind, AstKind::Ident(_)))
}

pub(super) fn group_place(ix: usize, key: &str) -> Place {
    Place::Table(ix, format!("group.{key}"))
}

/// The place of a key column's formula.
fn by_place(ix: usize, by: &BySpec, at: usize) -> Place {
    match by {
        BySpec::One(_) => group_place(ix, "by"),
        BySpec::Many(_) => group_place(ix, &format!("by.{at}")),
        BySpec::Named(named) => {
            let name = named.keys().nth(at).map_or("", String::as_str);
            group_place(ix, &format!("by.{name}"))
        }
    }
}
