//! Goals: what fields are moved towards.
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Product").key("id").column("cost", "double").column("a", "double"));
//! graph.optimizable("Product.price", Optimizable::new(5.0, 100.0));
//! graph.derived("Product.profit", Derived::formula("1000.0 * exp(-a * price) * (price - cost)"));
//! graph.derived("profit", Derived::formula("sum(Product[*].profit)"));
//! graph.goal("best", Goal::maximize(|ctx| ctx.get("profit")).optimizer(Optimizer::Adam { lr: 0.5 }).online(500));
//!
//! // Each change of data is followed by steps, until the price stands still where it earns most: at cost + 1 / a.
//! let mut live = graph.start()?;
//! let product = |cost: f64| [("id", Value::Int(1)), ("cost", cost.into()), ("a", 0.05.into())];
//! let mut price = |changes: Changes| {
//!     live.apply(changes);
//!     match live.get("Product.price", [1]) {
//!         Some(Ok(Value::Double(price))) => (price * 100.0).round() / 100.0,
//!         other => panic!("{other:?}"),
//!     }
//! };
//! assert_eq!(price(Changes::new("1").insert("Product", product(6.0))), 26.0);
//! assert_eq!(price(Changes::new("2").update("Product", product(10.0))), 30.0);
//! # Ok::<(), DefinitionError>(())
//! ```

use std::collections::BTreeMap;

use thalweg_formulas::Problem;
use thalweg_formulas::ast::Ast;
use thalweg_graph::spec::{GoalSpec, TargetSpec, VariableSpec};

use super::definition::Graph;
use super::trace::{Ctx, Traced, trace};

/// A field that goals move: `Product.price` is one for each document, a name without a dot is one value. The engine owns its values.
#[derive(Clone, Debug, Default)]
pub struct Optimizable(VariableSpec);

impl Optimizable {
    /// Within these bounds; it begins in the middle.
    pub fn new(min: f64, max: f64) -> Optimizable {
        Optimizable(VariableSpec { min: Some(min), max: Some(max), ..VariableSpec::default() })
    }

    /// Without bounds; it begins at 0.
    pub fn unbounded() -> Optimizable {
        Optimizable::default()
    }

    /// Its value before the first step.
    pub fn init(mut self, value: f64) -> Optimizable {
        self.0.init = Some(value);
        self
    }

    /// It stays as it is.
    pub fn freeze(mut self) -> Optimizable {
        self.0.freeze = true;
        self
    }
}

/// How a step moves fields. Each at the defaults of its kind; [`Goal::settings`] sets the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Down the slope.
    Sgd {
        /// The rate.
        lr: f64,
    },
    /// Adam.
    Adam {
        /// The rate.
        lr: f64,
    },
    /// Adam with decay that is apart from the slope.
    AdamW {
        /// The rate.
        lr: f64,
    },
    /// RMSprop.
    RmsProp {
        /// The rate.
        lr: f64,
    },
    /// Adagrad.
    Adagrad {
        /// The rate.
        lr: f64,
    },
    /// Lion.
    Lion {
        /// The rate.
        lr: f64,
    },
    /// L-BFGS.
    Lbfgs {
        /// The rate.
        lr: f64,
    },
}

impl Optimizer {
    fn kind(self) -> (&'static str, f64) {
        match self {
            Optimizer::Sgd { lr } => ("sgd", lr),
            Optimizer::Adam { lr } => ("adam", lr),
            Optimizer::AdamW { lr } => ("adamw", lr),
            Optimizer::RmsProp { lr } => ("rmsprop", lr),
            Optimizer::Adagrad { lr } => ("adagrad", lr),
            Optimizer::Lion { lr } => ("lion", lr),
            Optimizer::Lbfgs { lr } => ("lbfgs", lr),
        }
    }
}

/// What fields are moved towards.
pub struct Goal {
    objective: Result<Ast, Vec<Problem>>,
    spec: GoalSpec,
    kind: Kind,
    moves: Option<Vec<String>>,
}

enum Kind {
    Maximize,
    Minimize,
    Target,
}

impl Goal {
    /// What is to be as great as can be, of global fields.
    pub fn maximize<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Goal {
        Goal::of(trace(|ctx| closure(ctx).into()), Kind::Maximize)
    }

    /// What is to be as small as can be.
    pub fn minimize<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Goal {
        Goal::of(trace(|ctx| closure(ctx).into()), Kind::Minimize)
    }

    /// A global field that is to have this value.
    pub fn target(field: &str, value: f64) -> Goal {
        let mut goal = Goal::of(thalweg_formulas::parse(field), Kind::Target);
        goal.spec.target = Some(TargetSpec { value, ..TargetSpec::default() });
        goal
    }

    /// Of a target: within this much of the value, it is reached; it is the unit in which the distance counts.
    pub fn tolerance(mut self, tolerance: f64) -> Goal {
        match &mut self.spec.target {
            Some(target) => target.tolerance = Some(tolerance),
            None => self.spec.tolerance = Some(tolerance),
        }
        self
    }

    /// The fields that it moves; without, all that are declared before it and no other goal moves.
    pub fn moves<const N: usize>(mut self, fields: [&str; N]) -> Goal {
        self.moves = Some(fields.map(str::to_owned).to_vec());
        self
    }

    /// It is pursued together with another goal, whose fields and optimiser it shares.
    pub fn with(mut self, goal: &str) -> Goal {
        self.spec.with = Some(goal.to_owned());
        self
    }

    /// How much it counts beside the goals that it is pursued with.
    pub fn weight(mut self, weight: f64) -> Goal {
        self.spec.weight = Some(weight);
        self
    }

    /// How a step moves the fields; without, Adam at a rate of 0.001.
    pub fn optimizer(mut self, optimizer: Optimizer) -> Goal {
        let (kind, rate) = optimizer.kind();
        self.spec.optimizer.insert("kind".into(), kind.into());
        self.spec.optimizer.insert("lr".into(), rate.into());
        self
    }

    /// One more setting of the optimiser, as in TOML: `("weight_decay", 0.1)`.
    pub fn settings(mut self, name: &str, value: impl Into<serde_json::Value>) -> Goal {
        self.spec.optimizer.insert(name.into(), value.into());
        self
    }

    /// It steps when data changes, at most so often after each change.
    pub fn online(mut self, steps: u64) -> Goal {
        (self.spec.online, self.spec.steps) = (true, Some(steps));
        self
    }

    fn of(objective: Result<Ast, Vec<Problem>>, kind: Kind) -> Goal {
        Goal { objective, spec: GoalSpec::default(), kind, moves: None }
    }
}

impl Graph {
    /// Declares a field that a goal moves.
    pub fn optimizable(&mut self, name: &str, optimizable: Optimizable) -> &mut Graph {
        self.optimizables.insert(name.to_owned(), optimizable.0);
        self
    }

    /// Defines a goal.
    pub fn goal(&mut self, name: &str, goal: Goal) -> &mut Graph {
        let Goal { objective, mut spec, kind, moves } = goal;
        let formula = self.text(name, objective);
        match kind {
            Kind::Maximize => spec.maximize = Some(formula),
            Kind::Minimize => spec.minimize = Some(formula),
            Kind::Target => spec.target.get_or_insert_default().of = formula,
        }
        if spec.with.is_none() {
            spec.variables = self.claim(name, moves);
        }
        spec.name = name.to_owned();
        self.spec.goals.push(spec);
        self
    }

    /// Takes the fields that a goal moves from those that are declared.
    fn claim(&mut self, goal: &str, moves: Option<Vec<String>>) -> BTreeMap<String, VariableSpec> {
        let Some(moves) = moves else { return std::mem::take(&mut self.optimizables) };
        let mut claimed = BTreeMap::new();
        for name in moves {
            match self.optimizables.remove(&name) {
                Some(variable) => drop(claimed.insert(name, variable)),
                None => self.problems.push(format!(
                    "E0265: {goal}: no field `{name}` is left to be moved (declare it before with `Graph::optimizable`; one goal moves a field)"
                )),
            }
        }
        claimed
    }
}
