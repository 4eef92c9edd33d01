//! Optimisers: how parameters move, given their gradient. Numbers in, numbers out.
//!
//! ```
//! use thalweg_training::{Bounds, Optimizer};
//!
//! // One Adam step of a price towards more profit: the loss is its negative, so is the gradient.
//! let adam = Optimizer::named("adam", 0.5).unwrap();
//! let (mut price, mut state) = ([20.0], Vec::new());
//! adam.rule.step(adam.schedule.rate(adam.rate, 1), &mut price, &[-181.96], &mut state);
//! let price = Bounds { least: Some(5.0), greatest: Some(24.0) }.nearest(price[0]);
//! assert!((price - 20.5).abs() < 1e-9);
//! ```
//!
//! - [`Optimizer`]: a [`Rule`], a rate with its [`Schedule`], and a [`Clip`]; [`Optimizer::read`] takes the settings of a definition.
//! - The state of a rule is a list of doubles, which starts empty: whoever steps keeps it, and gives it back bit for bit to go on.
//! - Absent is not zero: a parameter without a gradient is not stepped at all; one whose gradient is 0 is, and may decay.
//!
//! Nothing here knows graphs, rows, time or chance. Next to read: [`rule`].

pub mod read;
pub mod rule;

mod bounds;
mod clip;
mod lbfgs;
mod schedule;

pub use bounds::Bounds;
pub use clip::Clip;
pub use rule::Rule;
pub use schedule::Schedule;

/// How a goal's parameters are moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule of a step.
    pub rule: Rule,
    /// The length of a step, in the parameters' units for most rules.
    pub rate: f64,
    /// How the rate changes from step to step.
    pub schedule: Schedule,
    /// What is done to a gradient before the step.
    pub clip: Option<Clip>,
}

impl Optimizer {
    /// The rule called `kind` as it is by default, at a constant rate.
    ///
    /// # Errors
    /// Which rules there are.
    pub fn named(kind: &str, rate: f64) -> Result<Optimizer, String> {
        let settings =
            [("kind", kind.into()), ("lr", rate.into())].map(|(name, value): (_, serde_json::Value)| (name.into(), value));
        Optimizer::read(&settings.into_iter().collect())
    }
}
