//! Schedules: the rate of each step. The first step has the schedule's value at 0, as in the frameworks, so a warm-up from 0 begins
//! with a step of length 0.

use std::f64::consts::PI;

/// How the rate changes; counts are steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// Times `factor` after every so many steps.
    Step {
        /// So many.
        every: u64,
        /// Below 1, it falls.
        factor: f64,
    },
    /// Times `factor` after each step.
    Exponential {
        /// Below 1, it falls.
        factor: f64,
    },
    /// Along half a cosine from the rate to `floor`, and there it stays.
    Cosine {
        /// How long it takes.
        steps: u64,
        /// Where it ends.
        floor: f64,
    },
    /// From `from` times the rate in a straight line to the rate.
    Linear {
        /// The first share of the rate.
        from: f64,
        /// How long it takes.
        steps: u64,
    },
    /// From the rate to 0 by `(1 - t / steps)^power`.
    Polynomial {
        /// How long it takes.
        steps: u64,
        /// 1: a straight line.
        power: f64,
    },
    /// Cosines that begin anew, each `multiply` times as long as the one before.
    Restarts {
        /// How long the first one takes.
        first: u64,
        /// How much longer each next one takes.
        multiply: u64,
        /// Where each ends.
        floor: f64,
    },
    /// Up from a 25th of the rate along a cosine in 30 % of the steps, and down to a 10,000th of where it began.
    OneCycle {
        /// All of them.
        steps: u64,
    },
    /// From 0 in a straight line to the rate, then down to 0 along half a cosine.
    WarmupCosine {
        /// How long the way up takes.
        warmup: u64,
        /// Both ways together.
        steps: u64,
    },
}

impl Schedule {
    /// The rate of step `step`, counted from 1, where it is `base` at its full height.
    pub fn rate(&self, base: f64, step: u64) -> f64 {
        let t = step.saturating_sub(1);
        match *self {
            Schedule::Constant => base,
            Schedule::Step { every, factor } => base * power(factor, t / every.max(1)),
            Schedule::Exponential { factor } => base * power(factor, t),
            Schedule::Cosine { steps, floor } => cosine(base, floor, share(t, steps)),
            Schedule::Linear { from, steps } => base * (from + (1.0 - from) * share(t, steps)),
            Schedule::Polynomial { steps, power } => base * (1.0 - share(t, steps)).powf(power),
            Schedule::Restarts { first, multiply, floor } => {
                let (into, length) = restart(t, first.max(1), multiply.max(1));
                cosine(base, floor, share(into, length))
            }
            Schedule::OneCycle { steps } => one_cycle(base, steps, t),
            Schedule::WarmupCosine { warmup, .. } if t < warmup => base * share(t, warmup),
            Schedule::WarmupCosine { warmup, steps } => cosine(base, 0.0, share(t - warmup, steps.saturating_sub(warmup))),
        }
    }
}

/// How far `t` is on a way of `steps`, at most 1.
fn share(t: u64, steps: u64) -> f64 {
    if t >= steps { 1.0 } else { t as f64 / steps as f64 }
}

/// From `top` to `floor` along half a cosine.
fn cosine(top: f64, floor: f64, share: f64) -> f64 {
    floor + (top - floor) * (1.0 + (PI * share).cos()) / 2.0
}

fn power(factor: f64, n: u64) -> f64 {
    factor.powi(i32::try_from(n).unwrap_or(i32::MAX))
}

/// How far `t` is into its cosine, and how long that is. O(log t) where they grow.
fn restart(t: u64, first: u64, multiply: u64) -> (u64, u64) {
    if multiply == 1 {
        return (t % first, first);
    }
    let (mut into, mut length) = (t, first);
    while into >= length {
        into -= length;
        length = length.saturating_mul(multiply);
    }
    (into, length)
}

fn one_cycle(top: f64, steps: u64, t: u64) -> f64 {
    let (start, last) = (top / 25.0, steps.saturating_sub(1) as f64);
    let peak = 0.3 * steps as f64 - 1.0;
    let t = (t as f64).min(last);
    if t <= peak { cosine(start, top, t / peak) } else { cosine(top, start / 1e4, (t - peak) / (last - peak)) }
}
