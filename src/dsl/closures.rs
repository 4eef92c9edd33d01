//! Derived document types of paths: pairs of places between which links lead.

use thalweg_graph::spec::{BySpec, GroupSpec, TableSpec};

use super::definition::State;

/// A derived document type of paths: see [`State::closure`].
///
/// ```
/// use thalweg::prelude::*;
///
/// let mut graph = Graph::new();
/// graph.state(State::document("Edge").key("id"));
/// graph.state(State::document("Node").key("id").children("below", "Reach", "from"));
/// graph.state(State::closure("Reach").of("Edge").from("a").to("b").only("open"));
/// graph.derived("Node.reached", Derived::count(Pattern::new("Node.below[*]")));
///
/// let mut live = graph.start()?;
/// live.apply(Changes::new("tx-1").insert("Node", [("id", 1)]));
/// let edge = |id: i64, a: i64, b: i64| [("id", Value::Int(id)), ("a", a.into()), ("b", b.into()), ("open", true.into())];
/// live.apply(Changes::new("tx-2").insert("Edge", edge(1, 1, 2)).insert("Edge", edge(2, 2, 3)));
/// assert_eq!(live.get("Node.reached", [1]), Some(Ok(Value::Int(2))));
/// live.apply(Changes::new("tx-3").delete("Edge", [("id", 1)]));
/// assert_eq!(live.get("Node.reached", [1]), Some(Ok(Value::Int(0))));
/// # Ok::<(), DefinitionError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Closure {
    name: String,
    group: GroupSpec,
    ends: [String; 2],
}

impl State {
    /// A derived document type: a document for each pair of places between which a path of links leads, with the key columns `from` and `to`. Say whose
    /// rows are the links by [`Closure::of`].
    pub fn closure(name: &str) -> Closure {
        Closure { name: name.into(), ..Closure::default() }
    }
}

impl Closure {
    /// The type of the rows that are links.
    pub fn of(mut self, document: &str) -> Closure {
        self.group.of = document.into();
        self
    }

    /// Where a link begins: a column, field or formula of the row; `[*]` behind it is each element of a list.
    pub fn from(mut self, from: &str) -> Closure {
        self.ends[0] = from.into();
        self
    }

    /// Where a link ends, in the same way.
    pub fn to(mut self, to: &str) -> Closure {
        self.ends[1] = to.into();
        self
    }

    /// Rows are links only where this condition is true.
    pub fn only(mut self, condition: &str) -> Closure {
        self.group.filter = Some(condition.into());
        self
    }
}

impl From<Closure> for State {
    fn from(Closure { name, group, ends: [from, to] }: Closure) -> State {
        let by = BySpec::Named([("from".to_owned(), from), ("to".to_owned(), to)].into());
        State(TableSpec { name, group: Some(GroupSpec { by, closure: true, ..group }), ..TableSpec::default() })
    }
}
