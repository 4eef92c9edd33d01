//! When the value of a field is published: [`Derived::timing`](super::Derived::timing).
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Sheet").key("id").column("open", "bool").column("x", "int"));
//! graph.derived("Sheet.shown", Derived::formula("x * 2").timing(TimingPolicy::when(|ctx| ctx.get("Sheet.open"))));
//! graph.derived("Sheet.third", Derived::formula("x").timing(TimingPolicy::batch(3)));
//! graph.derived("Sheet.rough", Derived::formula("x").epsilon(10.0));
//!
//! let mut live = graph.start()?;
//! let row = |x: i64, open: bool| [("id", Value::Int(1)), ("x", x.into()), ("open", open.into())];
//! let mut see = |changes: Changes| {
//!     live.apply(changes);
//!     ["Sheet.shown", "Sheet.third", "Sheet.rough"].map(|field| live.get(field, [1]).and_then(Result::ok).unwrap_or(Value::Null))
//! };
//! let (int, null) = (Value::Int, Value::Null);
//! // Nothing has opened yet; the first value of a batch is published with its document.
//! assert_eq!(see(Changes::new("1").insert("Sheet", row(1, false))), [null, int(1), int(1)]);
//! assert_eq!(see(Changes::new("2").update("Sheet", row(6, true))), [int(12), int(1), int(1)]);
//! assert_eq!(see(Changes::new("3").update("Sheet", row(9, false))), [int(12), int(1), int(1)]);
//! assert_eq!(see(Changes::new("4").update("Sheet", row(11, false))), [int(12), int(11), int(11)]);
//! assert_eq!(see(Changes::new("5").update("Sheet", row(12, true))), [int(24), int(11), int(11)]);
//! # Ok::<(), DefinitionError>(())
//! ```

use thalweg_formulas::Problem;
use thalweg_formulas::ast::Ast;
use thalweg_graph::spec::{PolicySpec, TimingSpec};

use super::definition::Graph;
use super::trace::{Ctx, Traced, trace};

/// When the value of a field is published. Until then, everybody who reads the field reads what was published before.
pub struct TimingPolicy(Policy);

enum Policy {
    Immediate,
    When(Result<Ast, Vec<Problem>>),
    OnCompletion(Result<Ast, Vec<Problem>>),
    Other(PolicySpec),
}

impl TimingPolicy {
    /// At once, in the transaction that changes it: as without a policy.
    pub fn immediate() -> TimingPolicy {
        TimingPolicy(Policy::Immediate)
    }

    /// While the condition holds for the document: then the value is as it would be at once. NULL before it has held.
    pub fn when<R: Into<Traced>>(open: impl Fn(&Ctx) -> R) -> TimingPolicy {
        TimingPolicy(Policy::When(trace(|ctx| open(ctx).into())))
    }

    /// When the condition first holds for the document, once and for good. NULL before.
    pub fn on_completion<R: Into<Traced>>(complete: impl Fn(&Ctx) -> R) -> TimingPolicy {
        TimingPolicy(Policy::OnCompletion(trace(|ctx| complete(ctx).into())))
    }

    /// With every so many changes: transactions in which the value changes. The first value is published with its document.
    pub fn batch(size: u64) -> TimingPolicy {
        TimingPolicy(Policy::Other(PolicySpec { batch: Some(size), ..PolicySpec::default() }))
    }
}

impl Graph {
    /// A policy as it is written.
    pub(super) fn timing(&mut self, name: &str, policy: TimingPolicy) -> Option<TimingSpec> {
        let policy = match policy.0 {
            Policy::Immediate => return None,
            Policy::When(open) => PolicySpec { when: Some(self.text(name, open)), ..PolicySpec::default() },
            Policy::OnCompletion(complete) => {
                PolicySpec { on_completion: Some(self.text(name, complete)), ..PolicySpec::default() }
            }
            Policy::Other(spec) => spec,
        };
        Some(TimingSpec::Policy(policy))
    }
}
