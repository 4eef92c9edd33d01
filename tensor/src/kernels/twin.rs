//! What the kernels compute, said plainly and safely. Slow without fused multiply-add in the machine; for tests.

use super::{Adam, After, Left, Moving, Right, Size};

/// See [`product`](super::product).
pub fn product(a: Left<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = finished(element(a, b, size, i), i % size.columns, after);
    }
}

/// See [`dot`](super::dot).
pub fn dot(a: Right<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (row, column) = (i / size.columns, i % size.columns);
        let mut lanes = [0.0f32; 16];
        for s in 0..size.len {
            lanes[s % 16] = a.data[row * a.row + s].mul_add(b.data[column * b.row + s], lanes[s % 16]);
        }
        *out = finished(tree(lanes), column, after);
    }
}

/// See [`descend`](super::descend).
pub fn descend(a: Left<'_>, b: Right<'_>, size: Size, adam: &Adam, moving: Moving<'_>) {
    for i in 0..size.rows * size.columns {
        let gradient = element(a, b, size, i);
        step(adam, gradient, &mut moving.param[i], &mut moving.m[i], &mut moving.v[i]);
    }
}

fn element(a: Left<'_>, b: Right<'_>, size: Size, i: usize) -> f32 {
    let (row, column) = (i / size.columns, i % size.columns);
    (0..size.len).fold(0.0, |sum, s| a.data[row * a.row + s * a.column].mul_add(b.data[s * b.row + column], sum))
}

fn finished(x: f32, column: usize, after: After<'_>) -> f32 {
    let x = after.bias.map_or(x, |bias| x + bias[column]);
    if after.relu && x <= 0.0 { 0.0 } else { x }
}

/// Halves are added until one lane remains.
pub(crate) fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// One number's step.
pub(crate) fn step(adam: &Adam, gradient: f32, param: &mut f32, m: &mut f32, v: &mut f32) {
    let g = if adam.decay == 0.0 { gradient } else { gradient + adam.decay * *param };
    *m += adam.share1 * (g - *m);
    *v = adam.beta2 * *v + adam.share2 * g * g;
    let direction = *m / (v.sqrt() * adam.root + adam.epsilon);
    let next = *param * adam.shrink - adam.step * direction;
    let next = if adam.least > next { adam.least } else { next };
    *param = if adam.greatest < next { adam.greatest } else { next };
}
