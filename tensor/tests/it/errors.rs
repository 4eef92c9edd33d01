//! Whole texts: the place, the reason, the cure.

use thalweg_tensor::{Data, Dtype, Graph, Id, Tensor, TensorError, Type};

fn check(build: impl FnOnce(&mut Graph, [Id; 4]) -> Result<Id, TensorError>, code: &str, text: &str) {
    let mut g = Graph::new();
    let x = g.input("x", Dtype::F32, [32, 784]);
    let w = g.input("w", Dtype::F32, [10, 784]);
    let class = g.input("class", Dtype::Index { below: 10 }, [32]);
    let wide = g.input("wide", Dtype::F64, [32, 784]);
    let error = build(&mut g, [x, w, class, wide]).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (code, text));
}

#[test]
fn shapes_that_do_not_fit_are_told_at_definition() {
    check(
        |g, [x, w, ..]| g.matmul(x, w),
        "E0701",
        "matmul of x: f32[32, 784] and w: f32[10, 784]: the inner lengths 784 and 10 differ; transpose one of them, or correct its shape",
    );
    check(
        |g, [x, w, ..]| g.add(x, w),
        "E0701",
        "add of x: f32[32, 784] and w: f32[10, 784]: [32, 784] and [10, 784] differ; \
         lengths must be equal or 1, counted from the last axis; reshape one of them",
    );
    check(
        |g, [x, ..]| g.reshape(x, &[100]),
        "E0701",
        "reshape of x: f32[32, 784]: [32, 784] has 25088 elements, [100] has 100; give a shape with as many",
    );
    check(
        |g, [x, ..]| g.slice(x, 1, 780, 9),
        "E0701",
        "slice of x: f32[32, 784]: places 780 to 789 of an axis of length 784; end within the axis",
    );
    check(
        |g, [x, ..]| g.sum_over(x, &[2]),
        "E0701",
        "sum of x: f32[32, 784]: there is no axis 2 in f32[32, 784]; axes are counted from 0",
    );
    check(
        |g, [x, w, ..]| g.concat(&[x, w], 1),
        "E0701",
        "concat of x: f32[32, 784] and w: f32[10, 784]: [32, 784] and [10, 784] differ beside axis 1; all other lengths must be equal",
    );
    check(
        |g, [_, w, class, _]| {
            let few = g.slice(w, 0, 0, 9)?;
            g.gather(few, class)
        },
        "E0701",
        "gather of slice: f32[9, 784] and class: index<10>[32]: row numbers go up to 9 of 9 rows; \
         declare the numbers below the number of rows",
    );
    check(
        |g, [x, ..]| g.solve(x, x),
        "E0701",
        "solve of x: f32[32, 784] and x: f32[32, 784]: [32, 784] is no square matrix; give one of shape [n, n]",
    );
    check(
        |g, [x, ..]| g.moving_sum(x, 0, 40),
        "E0701",
        "moving_sum of x: f32[32, 784]: a window of 40 does not fit into axis 0 of length 32; use a window between 1 and that length",
    );
    check(
        |g, [x, ..]| g.gradient(x, &[x]).map(|_| x),
        "E0701",
        "gradient of x: f32[32, 784]: a goal is one number, this is [32, 784]; sum it, or take its mean",
    );
}

#[test]
fn kinds_of_elements_that_differ_are_told_at_definition() {
    check(
        |g, [x, _, _, wide]| g.mul(x, wide),
        "E0702",
        "mul of x: f32[32, 784] and wide: f64[32, 784]: f32 and f64 differ; cast one of them",
    );
    check(
        |g, [_, _, class, _]| g.exp(class),
        "E0702",
        "exp of class: index<10>[32]: index<10>[32] is no number to compute with; make a vector of it: one_hot",
    );
    check(
        |g, [x, ..]| g.one_hot(x, Dtype::F32),
        "E0702",
        "one_hot of x: f32[32, 784]: f32[32, 784] are no row numbers; give an input of type index",
    );
    check(
        |g, [x, _, class, _]| {
            let goal = g.sum(x)?;
            g.gradient(goal, &[class]).map(|_| goal)
        },
        "E0702",
        "gradient of class: index<10>[32]: index<10> has no slope; move a floating-point field",
    );
}

#[test]
fn values_that_do_not_fit_are_told_before_anything_is_computed() {
    let mut g = Graph::new();
    let x = g.input("x", Dtype::F64, [2]);
    let error = g.evaluate(&[x], &[]).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("E0704", "input \"x\" is f64[2]: no value is given; give one"));
    let error = g.evaluate(&[x], &[(x, Tensor::of([3], [0.0; 3]))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input \"x\" is f64[2]: the value is f64[3]; give a value of this type, or declare the input with that of the value"
    );
    let classes = Type::new(Dtype::Index { below: 3 }, [2]);
    assert_eq!(Tensor::new(classes.clone(), Data::Index(vec![2, 3])), None);
    assert!(Tensor::new(classes, Data::Index(vec![2, 0])).is_some());
}
