//! The rules: what one step does to parameters.
//!
//! A rule takes its state and leaves it changed, so that whoever steps can show, store and resume it. The state is a list of doubles: the
//! number of steps, then one value for each parameter and each quantity that the rule keeps. It starts empty. One parameter and a slice
//! of a million go the same way, so scalars that are stepped apart move as those of one slice do.
//!
//! Numbers: t counts from 1. `1 - beta^t` is computed by `powi` in each step: a running product of the betas would fall among the
//! subnormal numbers, where every step after is slow. A gradient of 0 still decays what the rule decays.
//!
//! Source: the update rules of PyTorch 2.15 (SGD, Adam, AdamW, RMSprop, Adagrad, L-BFGS) and optax 0.2.8 (Lion), without departures; the
//! tests compare every rule with their traces.

use crate::lbfgs;

/// How parameters move in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Down the gradient, perhaps with momentum.
    Sgd {
        /// How much of the last move goes on; 0: none.
        momentum: f64,
        /// How much less of the gradient enters the momentum; the first does in full.
        dampening: f64,
        /// Looks ahead along the momentum.
        nesterov: bool,
        /// Decay, as a part of the gradient.
        decay: f64,
    },
    /// Adam (Kingma & Ba 2015), AMSGrad and AdamW (Loshchilov & Hutter 2019).
    Adam {
        /// How long the mean of the gradient remembers.
        beta1: f64,
        /// How long the mean of its square remembers.
        beta2: f64,
        /// Added to the root, after its correction.
        epsilon: f64,
        /// Decay.
        decay: f64,
        /// The decay shrinks the parameter itself (AdamW); else it is a part of the gradient.
        decoupled: bool,
        /// The greatest mean of squares so far counts.
        amsgrad: bool,
    },
    /// RMSprop.
    RmsProp {
        /// How long the mean of squares remembers.
        alpha: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
        /// Epsilon stands inside the root, as in optax.
        inside: bool,
        /// How much of the last move goes on.
        momentum: f64,
        /// The variance counts instead of the mean of squares.
        centered: bool,
    },
    /// Adagrad.
    Adagrad {
        /// How fast the rate falls: over `1 + (t - 1) * fall`.
        fall: f64,
        /// The sum of squares before the first step.
        initial: f64,
        /// Keeps the quotient finite.
        epsilon: f64,
    },
    /// Lion (Chen et al. 2023): steps of one length, by sign.
    Lion {
        /// How much of the momentum decides the sign.
        beta1: f64,
        /// How long the momentum remembers.
        beta2: f64,
        /// Decay, beside the sign.
        decay: f64,
    },
    /// L-BFGS without a line search. Its parameters move together: the state is of all of them.
    Lbfgs {
        /// How many moves it remembers.
        history: usize,
    },
}

impl Rule {
    /// What definitions call it.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Sgd { .. } => "sgd",
            Rule::Adam { decoupled: false, .. } => "adam",
            Rule::Adam { decoupled: true, .. } => "adamw",
            Rule::RmsProp { .. } => "rmsprop",
            Rule::Adagrad { .. } => "adagrad",
            Rule::Lion { .. } => "lion",
            Rule::Lbfgs { .. } => "lbfgs",
        }
    }

    /// Whether each parameter may be stepped apart from the others, with a state of its own. Only L-BFGS needs all at once.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self, Rule::Lbfgs { .. })
    }

    /// One step down `gradient`, in place. `state` is empty before the first step; one of another length begins anew.
    ///
    /// Cost: O(n), for L-BFGS O(n × history); the state is allocated by the first step only.
    ///
    /// # Panics
    /// If `parameters` and `gradient` differ in length.
    pub fn step(&self, rate: f64, parameters: &mut [f64], gradient: &[f64], state: &mut Vec<f64>) {
        assert_eq!(parameters.len(), gradient.len(), "invariant: every parameter of a step has its gradient");
        let n = parameters.len();
        if let Rule::Lbfgs { history } = self {
            return lbfgs::step(*history, rate, parameters, gradient, state);
        }
        if state.len() != 1 + self.kept() * n {
            *state = vec![0.0; 1 + self.kept() * n];
            state[1..].fill(self.initial());
        }
        state[0] += 1.0;
        let (t, kept) = state.split_first_mut().map(|(t, kept)| (*t, kept)).expect("invariant: the state has its count");
        let one = self.one(rate, t);
        for i in 0..n {
            one.apply(&mut parameters[i], gradient[i], &mut Kept { all: kept, n, i });
        }
    }

    /// How many values it keeps for each parameter.
    fn kept(&self) -> usize {
        match self {
            Rule::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Rule::Adam { amsgrad, .. } => 2 + usize::from(*amsgrad),
            Rule::RmsProp { .. } => 3,
            Rule::Adagrad { .. } | Rule::Lion { .. } => 1,
            Rule::Lbfgs { .. } => 0,
        }
    }

    /// What they are before the first step.
    fn initial(&self) -> f64 {
        if let Rule::Adagrad { initial, .. } = self { *initial } else { 0.0 }
    }

    /// What is the same for all parameters of a step.
    fn one(&self, rate: f64, t: f64) -> One<'_> {
        let corrected = |beta: f64| 1.0 - beta.powi(t as i32);
        let (step, root) = match self {
            Rule::Adam { beta1, beta2, .. } => (rate / corrected(*beta1), corrected(*beta2).sqrt()),
            Rule::Adagrad { fall, .. } => (rate / (1.0 + (t - 1.0) * fall), 1.0),
            _ => (rate, 1.0),
        };
        One { rule: self, rate, first: t == 1.0, step, root }
    }
}

/// What a rule keeps of one parameter.
struct Kept<'a> {
    all: &'a mut [f64],
    n: usize,
    i: usize,
}

impl Kept<'_> {
    fn at(&mut self, quantity: usize) -> &mut f64 {
        &mut self.all[quantity * self.n + self.i]
    }
}

/// One step, for one parameter after another.
struct One<'a> {
    rule: &'a Rule,
    rate: f64,
    first: bool,
    /// The rate with its corrections.
    step: f64,
    /// What the root of squares is divided by.
    root: f64,
}

impl One<'_> {
    fn apply(&self, p: &mut f64, g: f64, kept: &mut Kept<'_>) {
        match *self.rule {
            Rule::Sgd { momentum, dampening, nesterov, decay } => {
                let mut g = g + decay * *p;
                if momentum != 0.0 {
                    let b = kept.at(0);
                    *b = if self.first { g } else { momentum * *b + (1.0 - dampening) * g };
                    g = if nesterov { g + momentum * *b } else { *b };
                }
                *p -= self.rate * g;
            }
            Rule::Adam { beta1, beta2, epsilon, decay, decoupled, amsgrad } => {
                let mut g = g;
                if decoupled {
                    *p *= 1.0 - self.rate * decay;
                } else {
                    g += decay * *p;
                }
                let m = kept.at(0);
                *m += (1.0 - beta1) * (g - *m);
                let m = *m;
                let v = kept.at(1);
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                let mut v = *v;
                if amsgrad {
                    let greatest = kept.at(2);
                    *greatest = greatest.max(v);
                    v = *greatest;
                }
                *p -= self.step * m / (v.sqrt() / self.root + epsilon);
            }
            Rule::RmsProp { alpha, epsilon, inside, momentum, centered } => {
                let v = kept.at(0);
                *v = alpha * *v + (1.0 - alpha) * g * g;
                let mut v = *v;
                if centered {
                    let mean = kept.at(1);
                    *mean += (1.0 - alpha) * (g - *mean);
                    v -= *mean * *mean;
                }
                let mut u = if inside { g / (v + epsilon).sqrt() } else { g / (v.sqrt() + epsilon) };
                if momentum != 0.0 {
                    let b = kept.at(2);
                    *b = momentum * *b + u;
                    u = *b;
                }
                *p -= self.rate * u;
            }
            Rule::Adagrad { epsilon, .. } => {
                let sum = kept.at(0);
                *sum += g * g;
                *p -= self.step * g / (sum.sqrt() + epsilon);
            }
            Rule::Lion { beta1, beta2, decay } => {
                let m = kept.at(0);
                let u = sign(beta1 * *m + (1.0 - beta1) * g);
                *m = beta2 * *m + (1.0 - beta2) * g;
                *p -= self.rate * (u + decay * *p);
            }
            Rule::Lbfgs { .. } => unreachable!("invariant: L-BFGS steps all parameters at once"),
        }
    }
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
