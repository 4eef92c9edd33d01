//! What a slope is where there is none, and what is absent rather than zero.

use thalweg_tensor::{Dtype, Graph, Id, OwnRule, Tensor};

/// The gradient of the sum of what `build` writes, at `x`.
fn slopes(x: &[f64], build: impl FnOnce(&mut Graph, Id) -> Id) -> Vec<f64> {
    let mut g = Graph::new();
    let input = g.input("x", Dtype::F64, [x.len()]);
    let y = build(&mut g, input);
    let goal = g.sum(y).unwrap();
    let gradient = g.gradient(goal, &[input]).unwrap()[0].unwrap();
    g.evaluate(&[gradient], &[(input, Tensor::of([x.len()], x))]).unwrap()[0].to_f64()
}

#[test]
fn slopes_at_kinks_are_those_that_are_written_down() {
    assert_eq!(slopes(&[0.0], |g, x| g.relu(x).unwrap()), [0.0]);
    assert_eq!(slopes(&[0.0], |g, x| g.abs(x).unwrap()), [0.0]);
    assert_eq!(slopes(&[0.0], |g, x| g.sqrt(x).unwrap()), [f64::INFINITY]);
    assert_eq!(slopes(&[0.0], |g, x| g.pow_number(x, 3.0).unwrap()), [0.0]);
    assert_eq!(slopes(&[0.0, 0.0], |g, x| g.norm(x).unwrap()), [0.0, 0.0]);
    assert_eq!(slopes(&[0.0, 0.5, 1.0], |g, x| g.clamp(x, 0.0, 1.0).unwrap()), [0.0, 1.0, 0.0]);
    assert_eq!(
        slopes(&[0.5], |g, x| {
            let c = g.constant(Dtype::F64, [1], 0.5);
            g.maximum(x, c).unwrap()
        }),
        [0.5]
    );
    assert_eq!(slopes(&[3.0, 3.0, 1.0], |g, x| g.max(x).unwrap()), [0.5, 0.5, 0.0]);
    assert_eq!(slopes(&[0.0, 2.0], |g, x| g.prod_over(x, 0).unwrap()), [2.0, 0.0]);
}

#[test]
fn a_branch_that_is_not_taken_has_no_say() {
    let masked = |g: &mut Graph, x: Id| {
        let zero = g.constant(Dtype::F64, [2], 0.0);
        let above = g.greater(x, zero).unwrap();
        let log = g.log(x).unwrap();
        let root = g.sqrt(x).unwrap();
        let both = g.add(log, root).unwrap();
        g.choose(above, both, zero).unwrap()
    };
    assert_eq!(slopes(&[0.0, 4.0], masked), [0.0, 0.5]);
}

#[test]
fn what_a_goal_does_not_read_has_no_gradient() {
    let mut g = Graph::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| g.input(name, Dtype::F64, []));
    let stopped = g.stop_gradient(b);
    let goal = g.mul(a, stopped).unwrap();
    let gradients = g.gradient(goal, &[a, b, c]).unwrap();
    assert!(gradients[0].is_some());
    assert_eq!(gradients[1..], [None, None]);
}

#[test]
fn a_goal_that_is_cut_off_from_a_field_is_an_error() {
    let mut g = Graph::new();
    let price = g.input("price", Dtype::F64, [4]);
    let limit = g.constant(Dtype::F64, [4], 10.0);
    let above = g.greater(price, limit).unwrap();
    let goal = g.sum(above).unwrap();
    let error = g.gradient(goal, &[price]).unwrap_err();
    assert_eq!(error.code(), "E0703");
    assert_eq!(
        error.to_string(),
        "sum: f64[] cannot be moved by price: f64[4]: every way between them goes through greater, which has no slope; \
         use a smooth form (sigmoid, softplus), give it a rule of its own, or stop_gradient if that is meant"
    );
}

#[test]
fn a_rule_of_ones_own_takes_the_place_of_the_others() {
    let halved = OwnRule::new("halved", |g, x, _, ct| {
        let half = g.mul_number(ct, 0.5).unwrap();
        vec![Some(g.mul(half, x[0]).unwrap())]
    });
    let mut g = Graph::new();
    let x = g.input("x", Dtype::F64, [2]);
    let y = g.exp(x).unwrap();
    let y = g.with_rule(y, &[x], halved);
    let goal = g.sum(y).unwrap();
    let first = g.gradient(goal, &[x]).unwrap()[0].unwrap();
    let total = g.sum(first).unwrap();
    let second = g.gradient(total, &[x]).unwrap()[0].unwrap();
    let at = [(x, Tensor::of([2], [3.0, 4.0]))];
    let values = g.evaluate(&[first, second], &at).unwrap();
    assert_eq!((values[0].to_f64(), values[1].to_f64()), (vec![1.5, 2.0], vec![0.5, 0.5]));
    let error = g.jvp(&[goal], &[(x, x)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sum: f64[] cannot be moved by x: f64[2]: every way between them goes through halved, which has no slope; \
         its own rule is for gradients only: use gradient"
    );
}
