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
//!
//! Or not before somebody asks:
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Sheet").key("id").column("x", "int"));
//! graph.derived("Sheet.shown", Derived::formula("'<' + string(x) + '>'").timing(TimingPolicy::lazy()));
//!
//! let mut live = graph.start()?;
//! live.apply(Changes::new("1").insert("Sheet", [("id", 1), ("x", 4)]));
//! // Nothing was computed, and so nothing is told.
//! assert!(live.apply(Changes::new("2").update("Sheet", [("id", 1), ("x", 5)])).deltas.is_empty());
//! assert_eq!(live.get("Sheet.shown", [1]), Some(Ok("<5>".into())));
//! # Ok::<(), DefinitionError>(())
//! ```
//!
//! By the clock, which is that of the transactions, or told by [`Live::advance_to`](crate::dsl::LiveGraph::advance_to):
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Sheet").key("id").column("x", "int"));
//! graph.derived("Sheet.shown", Derived::formula("x * 2").timing(TimingPolicy::every("5m")));
//! graph.derived("Sheet.soon", Derived::formula("x").timing(TimingPolicy::batch(100).or_after("10s")));
//!
//! let mut live = graph.start()?;
//! let second = |seconds: i64| Timestamp(seconds * 1_000_000);
//! let row = |x: i64| [("id", Value::Int(1)), ("x", x.into())];
//! live.apply(Changes::new("1").at(second(30)).insert("Sheet", row(1)));
//! live.apply(Changes::new("2").at(second(40)).update("Sheet", row(7)));
//! let see = |live: &mut LiveGraph| ["Sheet.shown", "Sheet.soon"].map(|field| live.get(field, [1]).and_then(Result::ok));
//! assert_eq!(see(&mut live), [Some(Value::Null), Some(Value::Int(1))]);
//! live.advance_to(second(50));
//! assert_eq!(see(&mut live), [Some(Value::Null), Some(Value::Int(7))]);
//! live.advance_to(second(300));
//! assert_eq!(see(&mut live), [Some(Value::Int(14)), Some(Value::Int(7))]);
//! # Ok::<(), DefinitionError>(())
//! ```

use thalweg_formulas::Problem;
use thalweg_formulas::ast::Ast;
use thalweg_graph::spec::{LAZY, PolicySpec, TimingSpec};

use super::definition::Graph;
use super::trace::{Ctx, Traced, trace};

/// When the value of a field is published. Until then, everybody who reads the field reads what was published before.
pub struct TimingPolicy(Policy, PolicySpec);

enum Policy {
    Immediate,
    Lazy,
    When(Result<Ast, Vec<Problem>>),
    OnCompletion(Result<Ast, Vec<Problem>>),
    At(Result<Ast, Vec<Problem>>),
    Other(PolicySpec),
}

impl TimingPolicy {
    fn of(policy: Policy) -> TimingPolicy {
        TimingPolicy(policy, PolicySpec::default())
    }

    /// The same with a setting more.
    fn with(mut self, set: impl FnOnce(&mut PolicySpec)) -> TimingPolicy {
        set(&mut self.1);
        self
    }

    /// At once, in the transaction that changes it: as without a policy.
    pub fn immediate() -> TimingPolicy {
        TimingPolicy::of(Policy::Immediate)
    }

    /// When somebody asks, and not before: a read, a snapshot, an effect that sends it. A change that nobody asks about costs a mark. A subscription
    /// has the field kept for as long as it is there, and so has anything that is kept and reads it; see [`Laziness`](thalweg_graph::plan::Laziness).
    pub fn lazy() -> TimingPolicy {
        TimingPolicy::of(Policy::Lazy)
    }

    /// While the condition holds for the document: then the value is as it would be at once. NULL before it has held.
    pub fn when<R: Into<Traced>>(open: impl Fn(&Ctx) -> R) -> TimingPolicy {
        TimingPolicy::of(Policy::When(trace(|ctx| open(ctx).into())))
    }

    /// When the condition first holds for the document, once and for good. NULL before.
    pub fn on_completion<R: Into<Traced>>(complete: impl Fn(&Ctx) -> R) -> TimingPolicy {
        TimingPolicy::of(Policy::OnCompletion(trace(|ctx| complete(ctx).into())))
    }

    /// Not before the document's own time, which the formula gives: NULL until then, and while there is none what was published. Once the time has
    /// come nothing is held back, but for a tenth of a second in which changes gather.
    pub fn at<R: Into<Traced>>(time: impl Fn(&Ctx) -> R) -> TimingPolicy {
        TimingPolicy::of(Policy::At(trace(|ctx| time(ctx).into())))
    }

    /// At the multiples of a span of time, a second or more, counted from 1970 in UTC: `"5m"`, `"1h 30m"`. NULL before the first moment.
    pub fn every(span: &str) -> TimingPolicy {
        TimingPolicy::of(Policy::Other(PolicySpec { every: Some(span.to_owned()), ..PolicySpec::default() }))
    }

    /// At the times that a cron pattern names, in UTC: `"0 3 * * *"`. NULL before the first of them.
    pub fn cron(pattern: &str) -> TimingPolicy {
        TimingPolicy::of(Policy::Other(PolicySpec { cron: Some(pattern.to_owned()), ..PolicySpec::default() }))
    }

    /// The zone whose clocks a [`TimingPolicy::cron`] follows: `"Europe/Berlin"`. Any other policy is refused with it.
    pub fn zone(self, zone: &str) -> TimingPolicy {
        self.with(|policy| policy.zone = Some(zone.to_owned()))
    }

    /// What becomes of moments of [`TimingPolicy::every`] and [`TimingPolicy::cron`] that passed while nothing ran: `"once"`, as without, `"all"` or
    /// `"skip"`. Any other policy is refused with it.
    pub fn misfire(self, word: &str) -> TimingPolicy {
        self.with(|policy| policy.misfire = Some(word.to_owned()))
    }

    /// With [`TimingPolicy::batch`]: published so long after the first change that waits in any case, `"5s"`. Any other policy is refused with it.
    pub fn or_after(self, span: &str) -> TimingPolicy {
        self.with(|policy| policy.or_after = Some(span.to_owned()))
    }

    /// With every so many changes: transactions in which the value changes. The first value is published with its document.
    pub fn batch(size: u64) -> TimingPolicy {
        TimingPolicy::of(Policy::Other(PolicySpec { batch: Some(size), ..PolicySpec::default() }))
    }
}

impl Graph {
    /// A policy as it is written.
    pub(super) fn timing(&mut self, name: &str, policy: TimingPolicy) -> Option<TimingSpec> {
        let TimingPolicy(policy, more) = policy;
        let policy = match policy {
            Policy::Immediate if more == PolicySpec::default() => return None,
            Policy::Lazy if more == PolicySpec::default() => return Some(LAZY.into()),
            Policy::Immediate | Policy::Lazy => PolicySpec::default(),
            Policy::When(open) => PolicySpec { when: Some(self.text(name, open)), ..PolicySpec::default() },
            Policy::OnCompletion(complete) => {
                PolicySpec { on_completion: Some(self.text(name, complete)), ..PolicySpec::default() }
            }
            Policy::At(at) => PolicySpec { at: Some(self.text(name, at)), ..PolicySpec::default() },
            Policy::Other(spec) => spec,
        };
        let policy = PolicySpec { zone: more.zone, misfire: more.misfire, or_after: more.or_after, ..policy };
        Some(TimingSpec::Policy(policy))
    }
}
