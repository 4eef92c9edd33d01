//! Derived document types of pairs: two rows of any types that have something in common.

use thalweg_graph::spec::{JoinSpec, OneOrMany, TableSpec};

use super::definition::State;

/// A derived document type of pairs: see [`State::joined`].
///
/// ```
/// use thalweg::prelude::*;
///
/// let mut graph = Graph::new();
/// graph.state(State::document("Order").key("id").children("matches", "Match", "order_id"));
/// graph.state(State::document("Shipment").key("id"));
/// graph.state(State::joined("Match").left("Order").right("Shipment").on("sku").only("order.qty <= shipment.qty"));
/// graph.derived("Match.spare", Derived::formula("shipment.qty - order.qty"));
/// graph.derived("Order.served", Derived::formula("count(matches[*]) > 0"));
///
/// let mut live = graph.start()?;
/// live.apply(Changes::new("tx-1").insert("Order", [("id", 1), ("sku", 7), ("qty", 3)]));
/// assert_eq!(live.get("Order.served", [1]), Some(Ok(Value::Bool(false))));
/// live.apply(Changes::new("tx-2").insert("Shipment", [("id", 9), ("sku", 7), ("qty", 5)]));
/// assert_eq!(live.get("Match.spare", [1, 9]), Some(Ok(Value::Int(2))));
/// assert_eq!(live.get("Order.served", [1]), Some(Ok(Value::Bool(true))));
/// # Ok::<(), DefinitionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Joined {
    name: String,
    join: JoinSpec,
    on: Vec<String>,
}

impl State {
    /// A derived document type: a document for each pair of rows of two types that have something in common. Say whose by
    /// [`Joined::left`] and [`Joined::right`].
    pub fn joined(name: &str) -> Joined {
        Joined { name: name.into(), join: JoinSpec::default(), on: Vec::new() }
    }
}

impl Joined {
    /// The type of the first row.
    pub fn left(mut self, document: &str) -> Joined {
        self.join.left = document.into();
        self
    }

    /// The type of the second row; it may be the same.
    pub fn right(mut self, document: &str) -> Joined {
        self.join.right = document.into();
        self
    }

    /// What is equal: a name or formula of both rows, or `a == b`, `a` read at the left row and `b` at the right one. Said several times,
    /// all of it is.
    pub fn on(mut self, equal: &str) -> Joined {
        self.on.push(equal.into());
        self
    }

    /// Only pairs for which this condition is true; it reads the rows by their names.
    pub fn only(mut self, condition: &str) -> Joined {
        self.join.filter = Some(condition.into());
        self
    }

    /// What the two rows are called; without, their types in lower case.
    pub fn named(mut self, left: &str, right: &str) -> Joined {
        self.join.names = Some(vec![left.into(), right.into()]);
        self
    }
}

impl From<Joined> for State {
    fn from(Joined { name, join, on }: Joined) -> State {
        State(TableSpec { name, join: Some(JoinSpec { on: OneOrMany::Many(on), ..join }), ..TableSpec::default() })
    }
}
