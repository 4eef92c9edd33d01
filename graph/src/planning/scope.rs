//! Scopes: what the names of a formula mean, by the row that they are read from.
//!
//! A formula reads several rows: its own document's, looked-up documents' (`customer.region`), child rows' (`items[*].price`).
//! Each is a **frame**, reached from an outer frame by one step. An input of a checked expression is a [`Ref`]: a frame and
//! what is read there; `lower` brings every such value to the row where it is needed.
//!
//! Names are looked up in this order: relations, columns, derived fields, and at the start of a path also `self`, the own type's
//! name and global fields. In an open table every other name is a dynamic column.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use thalweg_formulas::check::{Binding, Scope};
use thalweg_formulas::{InputId, Type};

use super::catalogue::{AsOf, Mention, Relation};
use super::world::Shared;

/// Names that only reactions know.
const OF_REACTIONS: [&str; 5] = ["now", "tx", "event", "old", "new"];

/// How a frame's row is reached from the outer frame's row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The document itself.
    Home,
    /// The document whose key these columns of the outer row hold; none: the global document.
    Lookup(Vec<usize>),
    /// The newest row at the outer row's time.
    AsOf(AsOf),
    /// The rows whose columns hold the outer row's key; none: all rows of the table, for the global document.
    Children(Vec<usize>),
    /// The rows that are in the outer row, a document of this derived table.
    Members(usize),
}

/// A row that the formula reads.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) table: usize,
    /// The frame it is reached from; its own number for the home frame.
    pub(super) outer: u32,
    pub(super) step: Step,
    /// As a user writes the way here: `items[*].`.
    pub(super) path: String,
}

/// What is read from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Read {
    Column(usize),
    Field(usize),
    /// The field's own previous value.
    Itself,
    /// A value of any type, in place of what was refused already.
    Refused,
}

/// An input of a checked formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ref {
    pub(super) frame: u32,
    pub(super) read: Read,
}

/// What one formula reads.
pub(super) struct Reading {
    pub(super) world: Shared,
    pub(super) frames: RefCell<Vec<Frame>>,
    pub(super) refs: RefCell<Vec<Ref>>,
    ids: RefCell<HashMap<Ref, InputId>>,
    /// The derived fields it reads.
    pub(super) deps: RefCell<BTreeSet<usize>>,
    /// The type of `self`, in a field's formula.
    pub(super) itself: RefCell<Option<Type>>,
    pub(super) reads_self: RefCell<bool>,
    /// Names that mean something only elsewhere, in the order met.
    pub(super) misplaced: RefCell<Vec<String>>,
}

impl Reading {
    /// A formula that stands at documents of `table`; `itself` is the type of `self` if it is a field's.
    pub(super) fn new(world: &Shared, table: usize, itself: Option<Type>) -> Rc<Reading> {
        Rc::new(Reading {
            world: world.clone(),
            frames: RefCell::new(vec![Frame { table, outer: 0, step: Step::Home, path: String::new() }]),
            refs: RefCell::default(),
            ids: RefCell::default(),
            deps: RefCell::default(),
            itself: RefCell::new(itself),
            reads_self: RefCell::new(false),
            misplaced: RefCell::default(),
        })
    }

    /// The scope at the start of a path.
    pub(super) fn scope(self: &Rc<Self>) -> RowScope {
        RowScope { reading: self.clone(), frame: 0 }
    }

    /// What an input reads.
    pub(super) fn reference(&self, input: InputId) -> Ref {
        self.refs.borrow()[input.0 as usize]
    }

    /// A frame.
    pub(super) fn frame(&self, frame: u32) -> Frame {
        self.frames.borrow()[frame as usize].clone()
    }

    /// What an input reads, as a user writes it.
    pub(super) fn path(&self, input: InputId) -> String {
        let reference = self.reference(input);
        let frame = self.frame(reference.frame);
        let world = self.world.borrow();
        let name = match reference.read {
            Read::Column(column) => &*world.catalogue.tables[frame.table].columns[column].name,
            Read::Field(field) => &world.fields[field].short,
            Read::Itself => "self",
            Read::Refused => "?",
        };
        format!("{}{name}", frame.path)
    }

    /// The columns that it reads, with their tables.
    pub(super) fn columns(&self) -> Vec<(usize, usize)> {
        let frames = self.frames.borrow();
        let column = |reference: &Ref| match reference.read {
            Read::Column(column) => Some((frames[reference.frame as usize].table, column)),
            Read::Field(_) | Read::Itself | Read::Refused => None,
        };
        self.refs.borrow().iter().filter_map(column).collect()
    }

    fn input(&self, frame: u32, read: Read, ty: Type) -> Binding {
        let reference = Ref { frame, read };
        let id = *self.ids.borrow_mut().entry(reference).or_insert_with(|| {
            let mut refs = self.refs.borrow_mut();
            refs.push(reference);
            InputId(refs.len() as u32 - 1)
        });
        Binding::Input { id, ty }
    }

    fn read_field(&self, frame: u32, field: usize) -> Binding {
        self.deps.borrow_mut().insert(field);
        let ty = self.world.borrow().fields[field].ty.clone();
        self.input(frame, Read::Field(field), ty)
    }

    fn read_column(&self, frame: u32, table: usize, column: usize) -> Binding {
        let ty = self.world.borrow().catalogue.tables[table].columns[column].ty.clone();
        self.input(frame, Read::Column(column), ty)
    }

    /// The frame that `step` leads to from `outer`; the same step by the same name is the same frame.
    fn enter(&self, outer: u32, table: usize, step: Step, name: &str) -> u32 {
        let mut frames = self.frames.borrow_mut();
        let path = match &step {
            Step::Lookup(_) if name.is_empty() => frames[outer as usize].path.clone(),
            Step::Children(_) | Step::Members(_) => format!("{}{name}[*].", frames[outer as usize].path),
            Step::Lookup(_) | Step::AsOf(_) | Step::Home => format!("{}{name}.", frames[outer as usize].path),
        };
        let same = |frame: &Frame| frame.outer == outer && frame.step == step && frame.table == table && frame.path == path;
        if let Some(known) = frames.iter().skip(1).position(same) {
            return known as u32 + 1;
        }
        frames.push(Frame { table, outer, step, path });
        frames.len() as u32 - 1
    }
}

/// The names of one row.
#[derive(Clone)]
pub(super) struct RowScope {
    reading: Rc<Reading>,
    frame: u32,
}

impl RowScope {
    fn table(&self) -> usize {
        self.reading.frame(self.frame).table
    }

    fn at(&self, frame: u32) -> Rc<dyn Scope> {
        Rc::new(RowScope { reading: self.reading.clone(), frame })
    }

    /// A relation, column or field of the row.
    fn member(&self, name: &str) -> Option<Binding> {
        let table = self.table();
        let world = self.reading.world.borrow();
        let def = &world.catalogue.tables[table];
        let relation = def.relations.get(name).cloned();
        let column = def.column(name);
        let field = world.field(table, name);
        drop(world);
        if let Some(relation) = relation {
            return Some(self.relation(name, relation));
        }
        if let Some(column) = column {
            return Some(self.reading.read_column(self.frame, table, column));
        }
        field.map(|field| self.reading.read_field(self.frame, field))
    }

    fn relation(&self, name: &str, relation: Relation) -> Binding {
        match relation {
            Relation::Children { table, columns } => {
                let frame = self.reading.enter(self.frame, table, Step::Children(columns), name);
                Binding::Children { relation: frame, scope: self.at(frame) }
            }
            Relation::Members { table } => {
                let frame = self.reading.enter(self.frame, table, Step::Members(self.table()), name);
                Binding::Children { relation: frame, scope: self.at(frame) }
            }
            Relation::Lookup { to, columns } => {
                let frame = self.reading.enter(self.frame, to, Step::Lookup(columns), name);
                Binding::Record { scope: self.at(frame), whole: None }
            }
            Relation::AsOf(asof) => {
                let frame = self.reading.enter(self.frame, asof.to, Step::AsOf(asof), name);
                Binding::Record { scope: self.at(frame), whole: None }
            }
            Relation::Json { column } => self.reading.read_column(self.frame, self.table(), column),
            // Its error is found already; a value of any type keeps what reads it quiet.
            Relation::Broken => self.reading.input(self.frame, Read::Refused, Type::Dyn),
        }
    }

    /// What a name at the start of a path means beyond the members of its row.
    fn root(&self, name: &str) -> Option<Binding> {
        let table = self.table();
        let itself = self.reading.itself.borrow().clone();
        if let Some(ty) = itself.filter(|_| name == "self") {
            *self.reading.reads_self.borrow_mut() = true;
            return Some(self.reading.input(self.frame, Read::Itself, ty));
        }
        let global = self.reading.world.borrow_mut().catalogue.global();
        if table == global {
            return self.whole_table(name);
        }
        let world = self.reading.world.borrow();
        if *world.catalogue.tables[table].name == *name {
            return Some(Binding::Record { scope: self.at(self.frame), whole: None });
        }
        let field = world.field(global, name);
        drop(world);
        let frame = |_: &usize| self.reading.enter(self.frame, global, Step::Lookup(Vec::new()), "");
        field.map(|field| self.reading.read_field(frame(&field), field))
    }

    /// In a global formula, a table's name: all its rows.
    fn whole_table(&self, name: &str) -> Option<Binding> {
        let mention = self.reading.world.borrow_mut().catalogue.mention(name);
        let Mention::Table(table) = mention else { return None };
        let frame = self.reading.enter(self.frame, table, Step::Children(Vec::new()), name);
        Some(Binding::Children { relation: frame, scope: self.at(frame) })
    }

    /// A name that nothing declares, in an open table.
    fn dynamic(&self, name: &str) -> Option<Binding> {
        let table = self.table();
        let column = self.reading.world.borrow_mut().catalogue.tables[table].column_or_dynamic(name)?;
        Some(self.reading.read_column(self.frame, table, column))
    }
}

impl Scope for RowScope {
    fn name(&self, name: &str) -> Option<Binding> {
        if let Some(member) = self.member(name) {
            return Some(member);
        }
        if self.frame == 0 {
            let misplaced = OF_REACTIONS.contains(&name) || name == "self" && self.reading.itself.borrow().is_none();
            // A global formula takes any name for a table's in an open world; not these.
            if let Some(root) = Some(name).filter(|_| !misplaced).and_then(|name| self.root(name)) {
                return Some(root);
            }
            if misplaced {
                self.reading.misplaced.borrow_mut().push(name.to_owned());
                return Some(self.reading.input(0, Read::Refused, Type::Dyn));
            }
        }
        self.dynamic(name)
    }

    fn names(&self) -> Vec<String> {
        let table = self.table();
        let world = self.reading.world.borrow();
        let def = &world.catalogue.tables[table];
        let members = def.column_names().chain(world.field_names(table)).chain(def.relations.keys().map(String::as_str));
        let mut names: Vec<String> = members.map(str::to_owned).collect();
        if self.frame == 0 {
            if def.name.is_empty() {
                names.extend(world.catalogue.table_names());
            } else {
                let globals = world.catalogue.tables.iter().position(|table| table.name.is_empty());
                names.extend(globals.iter().flat_map(|global| world.field_names(*global)).map(str::to_owned));
                names.push(def.name.to_string());
            }
        }
        names
    }

    fn describe(&self) -> String {
        let world = self.reading.world.borrow();
        let def = &world.catalogue.tables[self.table()];
        if def.name.is_empty() { "the global document".into() } else { format!("table `{}`", def.name) }
    }

    fn noun(&self) -> &'static str {
        let table = self.table();
        let world = self.reading.world.borrow();
        let columns_only = world.field_names(table).next().is_none() && !world.catalogue.tables[table].name.is_empty();
        if columns_only { "column" } else { "field" }
    }
}
