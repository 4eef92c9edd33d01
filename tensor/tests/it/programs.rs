//! Random programs of 5 to 200 operations: gradients against central differences, reverse against forward mode.

use crate::support::{Case, Numbers};
use proptest::prelude::*;
use thalweg_tensor::{Graph, Id};

/// Adds one random operation over what is there; all values stay near 1 in size.
pub fn grow(g: &mut Graph, pool: &mut Vec<Id>, numbers: &mut Numbers) {
    let pick = |pool: &[Id], numbers: &mut Numbers| pool[pool.len() - 1 - numbers.below(pool.len().min(6))];
    let (a, b) = (pick(pool, numbers), pool[numbers.below(pool.len())]);
    let grown = match numbers.below(14) {
        0 => g.tanh(a),
        1 => g.sin(a),
        2 => g.sigmoid(a),
        3 => g.softplus(a),
        4 => g.add(a, b).and_then(|sum| g.mul_number(sum, 0.5)),
        5 => g.mul(a, b).and_then(|product| g.tanh(product)),
        6 => g.sub(a, b),
        7 => g.mul(b, b).and_then(|square| g.add_number(square, 1.0)).and_then(|above| g.div(a, above)),
        8 => g.transpose(a, &[1, 0]).and_then(|flipped| g.matmul(flipped, b)).and_then(|product| g.sin(product)),
        9 => g.softmax(a, numbers.below(2)),
        10 => g.sum_over(a, &[1]).and_then(|sum| g.reshape(sum, &[3, 1])).and_then(|sum| g.mul(sum, b)).and_then(|x| g.tanh(x)),
        11 => g.cumsum(a, 1).and_then(|sums| g.mul_number(sums, 0.4)),
        12 => g.lag(a, 0, 1),
        _ => g.slice(a, 0, 1, 2).and_then(|rows| g.slice(b, 0, 0, 1).and_then(|row| g.concat(&[rows, row], 0))),
    };
    pool.push(grown.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gradients_of_random_programs_agree_with_central_differences(seed: u64, n in 5usize..200) {
        let numbers = &mut Numbers(seed);
        let values = vec![numbers.tensor(&[3, 3], -1.0, 1.0), numbers.tensor(&[3, 3], -1.0, 1.0)];
        let mut rest = Numbers(seed ^ 1);
        let case = Case::new(values, |g, x| {
            let mut pool = x.to_vec();
            (0..n).for_each(|_| grow(g, &mut pool, &mut rest));
            let last = *pool.last().unwrap();
            let read = g.add(x[0], x[1]).unwrap();
            g.add(last, read).unwrap()
        });
        case.check(&format!("seed {seed}, {n} operations"), numbers);
    }
}
