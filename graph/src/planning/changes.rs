//! The scope of a reaction's condition: one change of one row.
//!
//! Row columns come first, so that a column called `type` or `now` works; then `old`, `new`, `event`, `tx`, `now`. A bare column
//! is that of the row after, of the row before for a delete. Derived fields and relations are not part of a change: they are
//! refused with `[[effect]]` as the cure.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_formulas::check::{Binding, Scope};
use thalweg_formulas::{InputId, Problem, Type};

use super::world::Shared;
use crate::plan::{ColumnId, ReactionInput, Trigger};

/// The scope, at one of its rows.
pub(super) struct ChangeScope {
    reading: Rc<Reading>,
    side: Side,
}

struct Reading {
    world: Shared,
    table: usize,
    trigger: Trigger,
    inputs: RefCell<Vec<ReactionInput>>,
    /// Names that are not part of a change, and why.
    misplaced: RefCell<Vec<(String, Problem)>>,
}

/// Which part of the change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The start of a path: the row's columns and everything else.
    Start,
    /// The row by the type's own name.
    Bare,
    Old,
    New,
    Event,
    Tx,
}

impl ChangeScope {
    /// A change of a row of `table`.
    pub(super) fn new(world: &Shared, table: usize, trigger: Trigger) -> ChangeScope {
        let (inputs, misplaced) = Default::default();
        ChangeScope { reading: Rc::new(Reading { world: world.clone(), table, trigger, inputs, misplaced }), side: Side::Start }
    }

    /// What was read, in the order of the numbers handed out, and what was refused.
    pub(super) fn read(&self) -> (Vec<ReactionInput>, Vec<(String, Problem)>) {
        (self.reading.inputs.take(), self.reading.misplaced.take())
    }

    fn input(&self, input: ReactionInput) -> InputId {
        // A timer sees no change: the row as it stands is both sides.
        let input = match (self.reading.trigger, input) {
            (Trigger::Timer, ReactionInput::Old(column) | ReactionInput::New(column)) => ReactionInput::Bare(column),
            (Trigger::Timer, ReactionInput::OldRow | ReactionInput::NewRow) => ReactionInput::BareRow,
            (_, input) => input,
        };
        let mut inputs = self.reading.inputs.borrow_mut();
        let known = inputs.iter().position(|known| *known == input);
        InputId(known.unwrap_or_else(|| {
            inputs.push(input);
            inputs.len() - 1
        }) as u32)
    }

    fn value(&self, input: ReactionInput, ty: Type) -> Binding {
        Binding::Input { id: self.input(input), ty }
    }

    fn row(&self, side: Side, whole: ReactionInput) -> Binding {
        // Numbers that the expression does not use are dropped afterwards.
        Binding::Record { scope: self.on(side), whole: Some(self.input(whole)) }
    }

    fn on(&self, side: Side) -> Rc<dyn Scope> {
        Rc::new(ChangeScope { reading: self.reading.clone(), side })
    }

    fn column(&self, column: usize) -> Binding {
        let ty = self.reading.world.borrow().catalogue.tables[self.reading.table].columns[column].ty.clone();
        let id = ColumnId(column as u32);
        let input = match self.side {
            Side::Old => ReactionInput::Old(id),
            Side::New => ReactionInput::New(id),
            _ => ReactionInput::Bare(id),
        };
        self.value(input, ty)
    }

    /// A column of the row, or a refusal of what is not part of it.
    fn row_member(&self, name: &str) -> Option<Binding> {
        let world = self.reading.world.borrow();
        let def = &world.catalogue.tables[self.reading.table];
        if let Some(column) = def.column(name) {
            drop(world);
            return Some(self.column(column));
        }
        let what = if world.field(self.reading.table, name).is_some() {
            "a derived field"
        } else if def.relations.contains_key(name) {
            "a relation"
        } else {
            return None;
        };
        let message = format!("`{name}` is {what} of `{}`: a reaction sees one change of one row", def.name);
        let problem = Problem::new(247, message).help(format!("use [[effect]] on = \"{}\" for a condition on it", def.name));
        self.reading.misplaced.borrow_mut().push((name.to_owned(), problem));
        Some(Binding::Input { id: InputId(0), ty: Type::Dyn })
    }

    /// What a name at the start of a path means beyond the row.
    fn start(&self, name: &str) -> Option<Binding> {
        let own = *self.reading.world.borrow().catalogue.tables[self.reading.table].name == *name;
        Some(match name {
            "old" => self.row(Side::Old, ReactionInput::OldRow),
            "new" => self.row(Side::New, ReactionInput::NewRow),
            "event" => Binding::Record { scope: self.on(Side::Event), whole: None },
            "tx" => Binding::Record { scope: self.on(Side::Tx), whole: None },
            "now" => self.value(ReactionInput::Now, Type::Timestamp),
            _ if own => self.row(Side::Bare, ReactionInput::BareRow),
            _ => return None,
        })
    }

    fn dynamic(&self, name: &str) -> Option<Binding> {
        let column = self.reading.world.borrow_mut().catalogue.tables[self.reading.table].column_or_dynamic(name)?;
        Some(self.column(column))
    }
}

impl Scope for ChangeScope {
    fn name(&self, name: &str) -> Option<Binding> {
        match (self.side, name) {
            (Side::Event, "name") => Some(self.value(ReactionInput::EventName, Type::Text)),
            (Side::Tx, "id" | "origin") => Some(self.value(ReactionInput::TxOrigin, Type::Text)),
            (Side::Tx, "at") => Some(self.value(ReactionInput::Now, Type::Timestamp)),
            (Side::Event | Side::Tx, _) => None,
            (Side::Start, _) => self.row_member(name).or_else(|| self.start(name)).or_else(|| self.dynamic(name)),
            (Side::Bare | Side::Old | Side::New, _) => self.row_member(name).or_else(|| self.dynamic(name)),
        }
    }

    fn names(&self) -> Vec<String> {
        let world = self.reading.world.borrow();
        let columns = world.catalogue.tables[self.reading.table].column_names().map(str::to_owned);
        match self.side {
            Side::Event => vec!["name".into()],
            Side::Tx => vec!["id".into(), "at".into()],
            Side::Bare | Side::Old | Side::New => columns.collect(),
            Side::Start => columns.chain(["old", "new", "event", "tx", "now"].map(str::to_owned)).collect(),
        }
    }

    fn describe(&self) -> String {
        match self.side {
            Side::Event => "`event`".into(),
            Side::Tx => "`tx`".into(),
            _ => {
                let world = self.reading.world.borrow();
                let from: &Arc<str> = &world.catalogue.tables[self.reading.table].from;
                format!("table `{from}`")
            }
        }
    }

    fn noun(&self) -> &'static str {
        if matches!(self.side, Side::Event | Side::Tx) { "member" } else { "column" }
    }
}
