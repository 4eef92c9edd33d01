//! Derived document types: documents that are kept from the rows of another type.

use thalweg_graph::spec::{BySpec, GroupSpec, TableSpec, WindowSpec};

use super::definition::State;

/// A derived document type: see [`State::grouped`].
///
/// ```
/// use thalweg::prelude::*;
///
/// let mut graph = Graph::new();
/// graph.state(State::document("Order").key("id"));
/// graph.state(State::grouped("Region").of("Order").by("region").only("amount > 0").rows("orders"));
/// graph.derived("Region.total", Derived::sum(Pattern::new("Region.orders[*].amount")));
///
/// let mut live = graph.start()?;
/// live.apply(Changes::new("tx-1").insert("Order", [("id", 1), ("region", 7), ("amount", 30)]));
/// assert_eq!(live.get("Region.total", [7]), Some(Ok(Value::Int(30))));
/// live.apply(Changes::new("tx-2").delete("Order", [("id", 1)]));
/// assert_eq!(live.get("Region.total", [7]), None);
/// # Ok::<(), DefinitionError>(())
/// ```
///
/// Windows of time, which may end for good:
///
/// ```
/// use thalweg::prelude::*;
///
/// let mut graph = Graph::new();
/// graph.state(State::document("Click").key("id").column("at", "timestamp"));
/// let minutes = State::grouped("Minute").of("Click").window("at", "1m").final_after("10s").late_rows("LateClick");
/// graph.state(minutes.rows("clicks"));
/// graph.derived("Minute.n", Derived::count(Pattern::new("Minute.clicks[*]")));
/// graph.derived("late", Derived::count(Pattern::new("LateClick[*]")));
///
/// let mut live = graph.start()?;
/// let at = |seconds: i64| Value::Timestamp(Timestamp(seconds * 1_000_000));
/// for (id, seconds) in [(1, 5), (2, 75), (3, 30)] {
///     live.apply(Changes::new("tx").insert("Click", [("id", Value::Int(id)), ("at", at(seconds))]));
/// }
/// assert_eq!(live.get("Minute.n", [at(0), at(60)]), Some(Ok(Value::Int(1))));
/// assert_eq!(live.get("late", [Value::Null; 0]), Some(Ok(Value::Int(1))));
/// # Ok::<(), DefinitionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grouped {
    name: String,
    group: GroupSpec,
    by: Vec<(String, String)>,
}

impl State {
    /// A derived document type: a document for each key that rows of another type have. Say whose by [`Grouped::of`].
    pub fn grouped(name: &str) -> Grouped {
        Grouped { name: name.into(), group: GroupSpec::default(), by: Vec::new() }
    }
}

impl Grouped {
    /// The type of the rows.
    pub fn of(mut self, document: &str) -> Grouped {
        self.group.of = document.into();
        self
    }

    /// One more key column: a column or field of the rows.
    pub fn by(self, name: &str) -> Grouped {
        self.by_formula(name, name)
    }

    /// One more key column: a formula at the row; `tags[*]` is each element of a list. Where there is one that is not the column of its
    /// name, the key columns stand in the order of their names.
    pub fn by_formula(mut self, name: &str, formula: &str) -> Grouped {
        self.by.push((name.into(), formula.into()));
        self
    }

    /// Rows count only where this condition is true.
    pub fn only(mut self, condition: &str) -> Grouped {
        self.group.filter = Some(condition.into());
        self
    }

    /// Windows of time over a timestamp at the row, which follow each other: `"1m"`. They add the key columns `window_start` and
    /// `window_end`.
    pub fn window(mut self, on: &str, size: &str) -> Grouped {
        self.group.window = Some(WindowSpec { on: on.into(), size: Some(size.into()), ..WindowSpec::default() });
        self
    }

    /// Windows of time that start at every `slide`, so that a row may be in several.
    pub fn sliding_window(mut self, on: &str, size: &str, slide: &str) -> Grouped {
        let (size, slide) = (Some(size.into()), Some(slide.into()));
        self.group.window = Some(WindowSpec { on: on.into(), size, slide, ..WindowSpec::default() });
        self
    }

    /// Sessions: rows of one key that follow each other within `gap`. They add the key column `window_start`, the time of the first row.
    pub fn sessions(mut self, on: &str, gap: &str) -> Grouped {
        self.group.window = Some(WindowSpec { on: on.into(), gap: Some(gap.into()), ..WindowSpec::default() });
        self
    }

    /// A window's document is born once the greatest time seen so far, less `lateness`, has reached its end, or has passed a session's last row by more than the gap, and
    /// does not change any more.
    pub fn final_after(self, lateness: &str) -> Grouped {
        self.emit("final", lateness)
    }

    /// A window's document is there from its first row on, and does not change any more once the greatest time seen so far, less
    /// `lateness`, has reached its end, or has passed a session's last row by more than the gap.
    pub fn early_and_final_after(self, lateness: &str) -> Grouped {
        self.emit("early+final", lateness)
    }

    /// Rows that come too late for their window are documents of a type of this name, by the window's key and their own.
    pub fn late_rows(mut self, name: &str) -> Grouped {
        self.group.window.get_or_insert_default().late = Some(name.into());
        self
    }

    fn emit(mut self, emit: &str, lateness: &str) -> Grouped {
        let window = self.group.window.get_or_insert_default();
        (window.emit, window.lateness) = (Some(emit.into()), Some(lateness.into()));
        self
    }

    /// What the relation from a document to its rows is called.
    pub fn rows(mut self, relation: &str) -> State {
        self.group.rows = Some(relation.into());
        self.into()
    }
}

impl From<Grouped> for State {
    fn from(Grouped { name, group, by }: Grouped) -> State {
        let by = match by.iter().all(|(name, formula)| name == formula) {
            true => BySpec::Many(by.into_iter().map(|(name, _)| name).collect()),
            false => BySpec::Named(by.into_iter().collect()),
        };
        State(TableSpec { name, group: Some(GroupSpec { by, ..group }), ..TableSpec::default() })
    }
}
