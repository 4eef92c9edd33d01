//! What formulas can name: the catalogue and the derived fields, shared by all scopes while the plan is made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Problem, Type};

use super::catalogue::{Catalogue, Mention};
use super::clocked::ClockedDef;
use super::derived::GroupDef;
use super::findings::Findings;
use super::joins::JoinDef;
use super::language;
use super::nodes::{NodeId, Nodes, Source};
use super::order::Reads;
use super::timing::{self, Timing};
use crate::spec::{FieldSpec, GraphSpec, Place};

/// The world, shared by the scopes that formulas are checked in.
pub(super) type Shared = Rc<RefCell<World>>;

/// Catalogue, fields and nodes.
pub(super) struct World {
    pub(super) catalogue: Catalogue,
    /// Derived fields, in definition order; a refused one keeps its place so that what reads it is not refused too.
    pub(super) fields: Vec<FieldDef>,
    by_name: HashMap<(usize, String), usize>,
    /// By table and undeclared name: the declared names near to it, once somebody has asked.
    pub(super) near: RefCell<Near>,
    pub(super) nodes: Nodes,
    /// Derived tables.
    pub(super) groups: Vec<GroupDef>,
    /// Derived tables of pairs.
    pub(super) joins: Vec<JoinDef>,
    /// Nodes that are kept though nothing reads them.
    pub(super) kept: Vec<NodeId>,
}

/// Names near to others.
type Near = HashMap<(usize, String), Rc<[String]>>;

/// A derived field while the plan is made.
pub(super) struct FieldDef {
    /// Its place in the definition.
    pub(super) spec: usize,
    pub(super) table: usize,
    /// Its name within its type.
    pub(super) short: String,
    /// `Order.total`, or a bare name for a global field.
    pub(super) name: Arc<str>,
    /// `None` if the text was refused.
    pub(super) ast: Option<Rc<Ast>>,
    /// Dynamic until it has been checked.
    pub(super) ty: Type,
    /// Its cell, once it has been checked.
    pub(super) node: Option<NodeId>,
    /// The fields and derived tables it reads.
    pub(super) reads_of: Reads,
    /// What it reads, as a user names it.
    pub(super) reads: Vec<Arc<str>>,
    /// Whether it names `self`.
    pub(super) reads_self: bool,
    /// When it is published; `None`: at once.
    pub(super) timing: Option<Timing>,
    /// It is computed when somebody asks.
    pub(super) lazy: bool,
    /// The cell that is computed at once, of a field that is not published so.
    pub(super) computed: Option<NodeId>,
    /// How the clock publishes it, if it does.
    pub(super) clocked: Option<ClockedDef>,
}

impl World {
    /// A world without fields.
    pub(super) fn new(catalogue: Catalogue, groups: Vec<GroupDef>, joins: Vec<JoinDef>) -> World {
        let (fields, by_name, near) = Default::default();
        World { catalogue, fields, by_name, near, nodes: Nodes::default(), groups, joins, kept: Vec::new() }
    }

    /// Reads the fields' names and texts.
    pub(super) fn declare_fields(&mut self, spec: &GraphSpec, findings: &mut Findings) {
        self.near.borrow_mut().clear();
        for (ix, field) in spec.fields.iter().enumerate() {
            if let Some((table, short)) = self.place_field(ix, field, findings) {
                self.declare_field(ix, field, table, short, findings);
            }
        }
    }

    /// The field of `table` with this short name.
    pub(super) fn field(&self, table: usize, short: &str) -> Option<usize> {
        self.by_name.get(&(table, short.to_owned())).copied()
    }

    /// The short names of a table's fields, in definition order.
    pub(super) fn field_names(&self, table: usize) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.table == table).map(|field| field.short.as_str())
    }

    /// A node's column, made when first read.
    pub(super) fn column_node(&mut self, table: usize, column: usize) -> NodeId {
        let def = &self.catalogue.tables[table].columns[column];
        let (name, ty) = (def.name.clone(), def.ty.clone());
        let key = self.group_of(table).map(|group| (self.groups[group].rows(), self.groups[group].closure));
        let pair = self.join_of(table).and_then(|join| self.joins[join].met.as_ref());
        let source = match (key, pair) {
            (Some((rows, far)), _) => Source::Key { column, rows, far },
            (None, Some(met)) => Source::Pair { column, left: met.shown(0), right: met.shown(1) },
            (None, None) => Source::Column(column),
        };
        self.nodes.shared(table, source, ty, || name.to_string())
    }

    /// The type and short name of a field's name: the longest table name that is a prefix.
    fn place_field(&mut self, ix: usize, spec: &FieldSpec, findings: &mut Findings) -> Option<(usize, String)> {
        let place = Place::Field(ix, "name");
        let refuse = |findings: &mut Findings, message: String| {
            let problem = Problem::new(237, message).help("write `Type.name`, or a name without a dot for a global field");
            findings.error(place.clone(), problem);
            None
        };
        let name = &spec.name;
        if name.is_empty() {
            return refuse(findings, "a field needs a name".into());
        }
        if !name.contains('.') {
            return Some((self.catalogue.global(), name.clone()));
        }
        let dots: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
        for at in dots.iter().rev() {
            let (table, short) = (&name[..*at], &name[at + 1..]);
            let mention = match self.catalogue.find(table) {
                Mention::Unknown if *at == dots[dots.len() - 1] && !short.is_empty() => self.catalogue.mention(table),
                mention => mention,
            };
            match mention {
                Mention::Unknown => {}
                Mention::Table(_) if short.is_empty() || short.contains('.') => {
                    return refuse(findings, format!("`{name}` is not the name of a field of `{table}`"));
                }
                mention => {
                    let found = self.catalogue.resolved(mention, table, "a field's name", place.clone(), findings);
                    return found.map(|found| (found, short.to_owned()));
                }
            }
        }
        let table = &name[..dots[dots.len() - 1]];
        if table.is_empty() || name.ends_with('.') {
            return refuse(findings, format!("`{name}` is not the name of a field"));
        }
        findings.error(place, self.catalogue.unknown_table(table, &format!("the field `{name}`")));
        None
    }

    fn declare_field(&mut self, ix: usize, spec: &FieldSpec, table: usize, short: String, findings: &mut Findings) {
        let def = &self.catalogue.tables[table];
        let name: Arc<str> = if def.name.is_empty() { short.as_str().into() } else { format!("{}.{short}", def.name).into() };
        let clash = if self.field(table, &short).is_some() {
            Some(format!("field `{name}` is defined twice"))
        } else if def.relations.contains_key(&short) {
            Some(format!("`{name}` is both a field and a relation"))
        } else if def.column(&short).is_some() {
            Some(format!("`{name}` is both a field and a column"))
        } else {
            None
        };
        if let Some(message) = clash {
            findings.error(Place::Field(ix, "name"), Problem::new(233, message).help("give one of them another name"));
            return;
        }
        if def.key.as_ref().is_some_and(Vec::is_empty) && !def.name.is_empty() {
            let problem = Problem::new(236, format!("field `{name}` needs a key on `{}`, which has none", def.name))
                .help(format!("declare it: key = [\"id\"] in [[table]] \"{}\"", def.name));
            findings.error(Place::Field(ix, "name"), problem);
        }
        let timing = timing::read(ix, &name, spec, findings);
        let ast = language::parse_formula(&spec.formula).map_err(|problems| {
            findings.errors(&Place::Field(ix, "formula"), problems);
        });
        self.by_name.insert((table, short.clone()), self.fields.len());
        self.fields.push(FieldDef {
            spec: ix,
            table,
            short,
            name,
            ast: ast.ok().map(Rc::new),
            ty: Type::Dyn,
            node: None,
            reads_of: Reads::default(),
            reads: Vec::new(),
            reads_self: false,
            timing,
            lazy: spec.is_lazy(),
            computed: None,
            clocked: None,
        });
    }
}
