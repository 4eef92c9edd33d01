//! The optimisers' rules as nodes: each is what [`Rule`] says, number by number, over whole tensors. The tests hold the two together.
//!
//! What is the same for all parameters of a step (the rate with its schedule, the corrections) is computed by the caller and given as
//! scalars.

use super::program::Program;
use crate::graph::{Graph, Id};
use crate::rules::{Binary, Unary};
use crate::types::Type;
use thalweg_training::{Bounds, Clip, Optimizer, Rule};

/// Inputs that all parameters share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    /// The rate.
    pub rate: Id,
    /// The rate with its corrections.
    pub step: Id,
    /// What the root of squares is multiplied by.
    pub root: Id,
    /// 1 in the first step, else 0.
    pub first: Id,
    /// `1 - rate * decay`
    pub shrink: Id,
}

/// The powers of one beta, a multiplication each: by blocks of 64 steps and within them, so that the bits of each depend on the step alone.
#[derive(Clone, Debug)]
struct Powers {
    beta: f64,
    within: [f64; 64],
    block: u64,
    before: f64,
}

impl Powers {
    fn new(beta: f64) -> Powers {
        Powers { beta, within: std::array::from_fn(|i| beta.powi(i as i32)), block: 0, before: 1.0 }
    }

    /// `1 - beta^t`. A power below 2⁻⁶⁰ is nothing beside 1, and is not computed: `beta^t` is at most `exp(-(1 - beta) t)`.
    fn corrected(&mut self, t: u64) -> f64 {
        if (1.0 - self.beta) * t as f64 > 42.0 {
            return 1.0;
        }
        if self.block != t / 64 {
            self.block = t / 64;
            self.before = self.beta.powi((self.block * 64) as i32);
        }
        1.0 - self.before * self.within[(t % 64) as usize]
    }
}

/// What the scalars of each step are.
#[derive(Clone, Debug)]
pub(crate) struct Scalars {
    rule: Rule,
    powers: [Powers; 2],
}

impl Scalars {
    pub fn new(rule: &Rule) -> Scalars {
        let betas = if let Rule::Adam { beta1, beta2, .. } = rule { [*beta1, *beta2] } else { [0.0; 2] };
        Scalars { rule: rule.clone(), powers: betas.map(Powers::new) }
    }

    /// Rate, step, root, first, shrink of step `t`, from 1.
    pub fn at(&mut self, rate: f64, t: u64) -> [f64; 5] {
        let first = if t == 1 { 1.0 } else { 0.0 };
        match self.rule {
            Rule::Adam { decay, .. } => {
                let [one, two] = self.powers.each_mut().map(|powers| powers.corrected(t));
                [rate, rate / one, 1.0 / two.sqrt(), first, 1.0 - rate * decay]
            }
            Rule::Adagrad { fall, .. } => [rate, rate / (1.0 + (t as f64 - 1.0) * fall), 1.0, first, 1.0],
            Rule::Sgd { .. } | Rule::RmsProp { .. } | Rule::Lion { .. } | Rule::Lbfgs { .. } => [rate, rate, 1.0, first, 1.0],
        }
    }
}

/// What a rule's memory is before the first step.
pub(crate) fn initial(rule: &Rule) -> f64 {
    if let Rule::Adagrad { initial, .. } = rule { *initial } else { 0.0 }
}

/// Adds the updates to a program. A parameter without a gradient has none.
pub(crate) fn add(program: &mut Program, gradients: Vec<Option<Id>>, optimizer: &Optimizer) {
    let g = &mut program.graph;
    let dtype = g.ty(program.outputs[0]).dtype;
    let [rate, step, root, first, shrink] = ["rate", "step", "root", "first", "shrink"].map(|name| g.input(name, dtype, []));
    let shared = Shared { rate, step, root, first, shrink };
    let gradients = clipped(g, gradients, optimizer.clip);
    for (moved, gradient) in program.moved.iter_mut().zip(gradients) {
        let Some(gradient) = gradient else { continue };
        let start = g.len();
        let mut update = Update { g, shared, param: moved.own, gradient, kept: Vec::new() };
        let next = update.apply(&optimizer.rule);
        moved.kept = update.kept;
        moved.next = Some(bounded(g, next, moved.bounds));
        moved.gradient = Some(gradient);
        moved.rule_nodes = start..g.len();
    }
    program.shared = Some(shared);
}

fn bounded(g: &mut Graph, x: Id, bounds: Bounds) -> Id {
    let mut x = x;
    for (bound, op) in [(bounds.least, Binary::Max), (bounds.greatest, Binary::Min)] {
        if let Some(bound) = bound {
            let bound = g.like(x, bound);
            x = g.binary(op, x, bound);
        }
    }
    x
}

fn clipped(g: &mut Graph, gradients: Vec<Option<Id>>, clip: Option<Clip>) -> Vec<Option<Id>> {
    match clip {
        None => gradients,
        Some(Clip::Value(most)) => {
            let bounds = Bounds { least: Some(-most), greatest: Some(most) };
            gradients.into_iter().map(|gradient| gradient.map(|x| bounded(g, x, bounds))).collect()
        }
        Some(Clip::Norm(most)) => {
            let mut total = None;
            for &gradient in gradients.iter().flatten() {
                let squares = g.binary(Binary::Mul, gradient, gradient);
                let sum = g.sum_axes(squares, (0..g.ty(gradient).rank()).collect());
                total = g.sum_of(total, Some(sum));
            }
            let Some(total) = total else { return gradients };
            let norm = g.unary(Unary::Sqrt, total);
            let (most, one) = (g.like(norm, most), g.like(norm, 1.0));
            let less = g.binary(Binary::Div, most, norm);
            let small = g.binary(Binary::Greater, most, norm);
            let factor = g.select(small, one, less);
            let mut scaled = |x: Id| {
                let shape = g.ty(x).shape.clone();
                let factor = g.broadcasted(factor, &shape);
                g.binary(Binary::Mul, x, factor)
            };
            gradients.into_iter().map(|gradient| gradient.map(&mut scaled)).collect()
        }
    }
}

/// One parameter's update while it is written.
struct Update<'a> {
    g: &'a mut Graph,
    shared: Shared,
    param: Id,
    gradient: Id,
    kept: Vec<(Id, Id)>,
}

impl Update<'_> {
    fn scalar(&mut self, of: Id) -> Id {
        let shape = self.g.ty(self.param).shape.clone();
        self.g.broadcasted(of, &shape)
    }

    /// What the rule keeps, before the step.
    fn memory(&mut self, name: &str) -> Id {
        let Type { dtype, shape } = self.g.ty(self.param).clone();
        let id = self.g.input(name, dtype, shape);
        self.kept.push((id, id));
        id
    }

    fn keep(&mut self, memory: Id, next: Id) -> Id {
        let kept = self.kept.iter_mut().find(|(id, _)| *id == memory).expect("invariant: a memory is kept");
        kept.1 = next;
        next
    }

    fn mul(&mut self, a: Id, b: Id) -> Id {
        self.g.binary(Binary::Mul, a, b)
    }

    fn add(&mut self, a: Id, b: Id) -> Id {
        self.g.binary(Binary::Add, a, b)
    }

    /// `decay * x + (1 - decay) * new`
    fn faded(&mut self, memory: Id, decay: f64, new: Id, share: f64) -> Id {
        let old = self.g.times(memory, decay);
        let new = self.g.times(new, share);
        self.add(old, new)
    }

    /// `param - factor * direction`
    fn along(&mut self, param: Id, factor: Id, direction: Id) -> Id {
        let factor = self.scalar(factor);
        let way = self.mul(factor, direction);
        self.g.binary(Binary::Sub, param, way)
    }

    fn decayed(&mut self, decay: f64) -> Id {
        let part = self.g.times(self.param, decay);
        if decay == 0.0 { self.gradient } else { self.add(self.gradient, part) }
    }

    /// The parameter after the step.
    fn apply(&mut self, rule: &Rule) -> Id {
        match *rule {
            Rule::Sgd { momentum, dampening, nesterov, decay } => {
                let mut g = self.decayed(decay);
                if momentum != 0.0 {
                    let b = self.memory("momentum");
                    let later = self.faded(b, momentum, g, 1.0 - dampening);
                    let first = self.scalar(self.shared.first);
                    let next = self.g.select(first, g, later);
                    self.keep(b, next);
                    let ahead = self.g.times(next, momentum);
                    g = if nesterov { self.add(g, ahead) } else { next };
                }
                self.along(self.param, self.shared.rate, g)
            }
            Rule::Adam { beta1, beta2, epsilon, decay, decoupled, amsgrad } => {
                let (g, param) = if decoupled {
                    let shrink = self.scalar(self.shared.shrink);
                    (self.gradient, self.mul(self.param, shrink))
                } else {
                    (self.decayed(decay), self.param)
                };
                let (m, v) = (self.memory("m"), self.memory("v"));
                let off = self.g.binary(Binary::Sub, g, m);
                let off = self.g.times(off, 1.0 - beta1);
                let next = self.add(m, off);
                let m = self.keep(m, next);
                let share = self.g.times(g, 1.0 - beta2);
                let share = self.mul(share, g);
                let old = self.g.times(v, beta2);
                let next = self.add(old, share);
                let mut v = self.keep(v, next);
                if amsgrad {
                    let most = self.memory("greatest v");
                    let next = self.g.binary(Binary::Max, most, v);
                    v = self.keep(most, next);
                }
                let sqrt = self.g.unary(Unary::Sqrt, v);
                let root = self.scalar(self.shared.root);
                let sqrt = self.mul(sqrt, root);
                let below = self.g.plus(sqrt, epsilon);
                let direction = self.g.binary(Binary::Div, m, below);
                self.along(param, self.shared.step, direction)
            }
            Rule::RmsProp { alpha, epsilon, inside, momentum, centered } => {
                let g = self.gradient;
                let v = self.memory("v");
                let square = self.mul(g, g);
                let next = self.faded(v, alpha, square, 1.0 - alpha);
                let mut v = self.keep(v, next);
                if centered {
                    let mean = self.memory("mean");
                    let next = self.faded(mean, alpha, g, 1.0 - alpha);
                    let mean = self.keep(mean, next);
                    let square = self.mul(mean, mean);
                    v = self.g.binary(Binary::Sub, v, square);
                }
                let under = if inside { self.g.plus(v, epsilon) } else { v };
                let root = self.g.unary(Unary::Sqrt, under);
                let below = if inside { root } else { self.g.plus(root, epsilon) };
                let mut u = self.g.binary(Binary::Div, g, below);
                if momentum != 0.0 {
                    let b = self.memory("momentum");
                    let old = self.g.times(b, momentum);
                    let next = self.add(old, u);
                    u = self.keep(b, next);
                }
                self.along(self.param, self.shared.rate, u)
            }
            Rule::Adagrad { epsilon, .. } => {
                let sum = self.memory("sum");
                let square = self.mul(self.gradient, self.gradient);
                let next = self.add(sum, square);
                let sum = self.keep(sum, next);
                let root = self.g.unary(Unary::Sqrt, sum);
                let below = self.g.plus(root, epsilon);
                let direction = self.g.binary(Binary::Div, self.gradient, below);
                self.along(self.param, self.shared.step, direction)
            }
            Rule::Lion { beta1, beta2, decay } => {
                let m = self.memory("m");
                let mixed = self.faded(m, beta1, self.gradient, 1.0 - beta1);
                let sign = self.g.unary(Unary::Sign, mixed);
                let next = self.faded(m, beta2, self.gradient, 1.0 - beta2);
                self.keep(m, next);
                let part = self.g.times(self.param, decay);
                let direction = self.add(sign, part);
                self.along(self.param, self.shared.rate, direction)
            }
            Rule::Lbfgs { .. } => unreachable!("invariant: a rule that moves all at once is refused"),
        }
    }
}
