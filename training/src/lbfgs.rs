//! L-BFGS: a step along an estimate of the inverse curvature, from the last moves and how the gradient changed over them.
//!
//! The state, for n parameters: the number of steps, the number of remembered moves, the last parameters and gradient, then the moves, the
//! oldest first, then the changes of the gradient. A move is what the parameters really did, so bounds may stop a step.
//!
//! Source: Nocedal & Wright, "Numerical Optimization", algorithm 7.4, as in PyTorch without a line search: the first step has the length
//! `rate * min(1, 1 / |g|_1)`, and a move is not remembered unless the gradient rose along it by 1e-10.

/// The least rise of the gradient along a move that is remembered.
const RISE: f64 = 1e-10;

/// Numbers before the parameters in a state.
const HEAD: usize = 2;

/// One step. See [`crate::Rule::step`].
pub(crate) fn step(history: usize, rate: f64, parameters: &mut [f64], gradient: &[f64], state: &mut Vec<f64>) {
    let n = parameters.len();
    let length = HEAD + 2 * n + 2 * history * n;
    if state.len() != length {
        *state = vec![0.0; length];
    }
    let (head, rest) = state.split_at_mut(HEAD);
    let (last, rest) = rest.split_at_mut(2 * n);
    let (before, slope) = last.split_at_mut(n);
    let (moves, changes) = rest.split_at_mut(history * n);
    let mut memory = Memory { n, history, held: head[1] as usize, moves, changes };
    let first = head[0] == 0.0;
    if !first {
        memory.remember(|i| parameters[i] - before[i], |i| gradient[i] - slope[i]);
    }
    let direction = memory.direction(gradient);
    (head[0], head[1]) = (head[0] + 1.0, memory.held as f64);
    before.copy_from_slice(parameters);
    slope.copy_from_slice(gradient);
    let length = if first { rate * (1.0 / gradient.iter().map(|g| g.abs()).sum::<f64>()).min(1.0) } else { rate };
    for (p, d) in parameters.iter_mut().zip(&direction) {
        *p += length * d;
    }
}

/// The remembered moves.
struct Memory<'a> {
    n: usize,
    history: usize,
    held: usize,
    moves: &'a mut [f64],
    changes: &'a mut [f64],
}

impl Memory<'_> {
    /// A move and the change of the gradient over it, the oldest going where there are too many.
    fn remember(&mut self, moved: impl Fn(usize) -> f64, changed: impl Fn(usize) -> f64) {
        let n = self.n;
        let rise: f64 = (0..n).map(|i| moved(i) * changed(i)).sum();
        if rise <= RISE || self.history == 0 {
            return;
        }
        if self.held == self.history {
            self.moves.copy_within(n.., 0);
            self.changes.copy_within(n.., 0);
            self.held -= 1;
        }
        let at = self.held * n;
        for i in 0..n {
            self.moves[at + i] = moved(i);
            self.changes[at + i] = changed(i);
        }
        self.held += 1;
    }

    /// Down the gradient, by the estimated curvature: the two loops.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = vec![0.0; self.held];
        for k in (0..self.held).rev() {
            let (s, y) = self.pair(k);
            shares[k] = dot(s, &q) / dot(y, s);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= shares[k] * y);
        }
        if let Some(last) = self.held.checked_sub(1) {
            let (s, y) = self.pair(last);
            let scale = dot(y, s) / dot(y, y);
            q.iter_mut().for_each(|q| *q *= scale);
        }
        for (k, share) in shares.iter().enumerate() {
            let (s, y) = self.pair(k);
            let back = dot(y, &q) / dot(y, s);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += s * (share - back));
        }
        q
    }

    fn pair(&self, k: usize) -> (&[f64], &[f64]) {
        let at = k * self.n..(k + 1) * self.n;
        (&self.moves[at.clone()], &self.changes[at])
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
