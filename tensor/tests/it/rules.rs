//! Every operation: its gradient against central differences, forward against reverse mode, on shapes with lengths 0 and 1.

use crate::support::{Case, Numbers};
use thalweg_tensor::rules::{Binary, Unary};
use thalweg_tensor::{Data, Dtype, Graph, Id, Tensor, Type};

const SHAPES: [&[usize]; 7] = [&[], &[1], &[0], &[5], &[3, 4], &[1, 3, 1], &[2, 0, 3]];

fn unary(g: &mut Graph, op: Unary, x: Id) -> Id {
    match op {
        Unary::Neg => g.neg(x),
        Unary::Abs => g.abs(x),
        Unary::Sign => g.sign(x),
        Unary::Exp => g.exp(x),
        Unary::Expm1 => g.expm1(x),
        Unary::Log => g.log(x),
        Unary::Log1p => g.log1p(x),
        Unary::Sqrt => g.sqrt(x),
        Unary::Rsqrt => g.rsqrt(x),
        Unary::Sin => g.sin(x),
        Unary::Cos => g.cos(x),
        Unary::Tanh => g.tanh(x),
        Unary::Sigmoid => g.sigmoid(x),
        Unary::Softplus => g.softplus(x),
        Unary::Relu => g.relu(x),
        Unary::Erf => g.erf(x),
    }
    .unwrap()
}

fn binary(g: &mut Graph, op: Binary, a: Id, b: Id) -> Id {
    match op {
        Binary::Add => g.add(a, b),
        Binary::Sub => g.sub(a, b),
        Binary::Mul | Binary::Scale => g.mul(a, b),
        Binary::Div => g.div(a, b),
        Binary::Pow => g.pow(a, b),
        Binary::Max => g.maximum(a, b),
        Binary::Min => g.minimum(a, b),
        Binary::Greater => g.greater(a, b),
        Binary::Equal => g.equal(a, b),
    }
    .unwrap()
}

#[test]
fn elementwise_rules_agree_with_central_differences() {
    let numbers = &mut Numbers(1);
    for op in Unary::ALL.into_iter().filter(|&op| op != Unary::Sign) {
        for shape in SHAPES {
            let least = if matches!(op, Unary::Log | Unary::Log1p | Unary::Sqrt | Unary::Rsqrt) { 0.3 } else { -2.0 };
            let values = vec![numbers.tensor(shape, least, 2.0)];
            Case::new(values, |g, x| unary(g, op, x[0])).check(op.name(), numbers);
        }
    }
    for op in Binary::ALL.into_iter().filter(|op| !matches!(op, Binary::Greater | Binary::Equal)) {
        for shape in SHAPES {
            let values = vec![numbers.tensor(shape, 0.4, 2.0), numbers.tensor(shape, 0.4, 2.0)];
            Case::new(values, |g, x| binary(g, op, x[0], x[1])).check(op.name(), numbers);
        }
    }
}

#[test]
fn lengths_of_one_are_repeated_and_their_gradients_summed() {
    let numbers = &mut Numbers(2);
    for (a, b) in [(&[3, 4][..], &[4][..]), (&[3, 1], &[1, 4]), (&[], &[2, 3]), (&[1], &[0]), (&[2, 1, 3], &[5, 1])] {
        let values = vec![numbers.tensor(a, 0.5, 2.0), numbers.tensor(b, 0.5, 2.0)];
        Case::new(values, |g, x| g.div(x[0], x[1]).unwrap()).check(&format!("{a:?} / {b:?}"), numbers);
    }
}

type Build = fn(&mut Graph, &[Id]) -> Id;

#[test]
fn the_other_rules_agree_with_central_differences() {
    let cases: &[(&str, &[&[usize]], Build)] = &[
        ("where", &[&[3, 4], &[3, 4], &[4]], |g, x| {
            let mask = g.greater(x[0], x[1]).unwrap();
            let sum = g.add(x[0], x[1]).unwrap();
            g.choose(mask, x[2], sum).unwrap()
        }),
        ("cast and back", &[&[3]], |g, x| {
            let same = g.cast(x[0], Dtype::F64).unwrap();
            g.mul(same, x[0]).unwrap()
        }),
        ("broadcast", &[&[3, 1]], |g, x| g.broadcast(x[0], &[2, 3, 4]).unwrap()),
        ("reshape", &[&[3, 4]], |g, x| g.reshape(x[0], &[2, 6]).unwrap()),
        ("transpose", &[&[2, 3, 4]], |g, x| g.transpose(x[0], &[2, 0, 1]).unwrap()),
        ("slice", &[&[4, 3]], |g, x| g.slice(x[0], 0, 1, 2).unwrap()),
        ("slice of nothing", &[&[4, 3]], |g, x| g.slice(x[0], 1, 3, 0).unwrap()),
        ("pad", &[&[2, 3]], |g, x| g.pad(x[0], 1, 2, 1).unwrap()),
        ("concat", &[&[2, 3], &[2, 0], &[2, 1]], |g, x| g.concat(x, 1).unwrap()),
        ("sum", &[&[2, 3]], |g, x| g.sum(x[0]).unwrap()),
        ("sum over axes", &[&[2, 3, 4]], |g, x| g.sum_over(x[0], &[2, 0]).unwrap()),
        ("sum of nothing", &[&[0, 3]], |g, x| g.sum_over(x[0], &[0]).unwrap()),
        ("max", &[&[3, 4]], |g, x| g.max(x[0]).unwrap()),
        ("max over", &[&[3, 4]], |g, x| g.max_over(x[0], 1).unwrap()),
        ("min over", &[&[3, 1, 2]], |g, x| g.min_over(x[0], 0).unwrap()),
        ("cumsum", &[&[3, 4]], |g, x| g.cumsum(x[0], 0).unwrap()),
        ("cumsum of nothing", &[&[2, 0]], |g, x| g.cumsum(x[0], 1).unwrap()),
        ("prod", &[&[2, 5]], |g, x| g.prod_over(x[0], 1).unwrap()),
        ("prod of nothing", &[&[2, 0]], |g, x| g.prod_over(x[0], 1).unwrap()),
        ("matmul", &[&[2, 3], &[3, 4]], |g, x| g.matmul(x[0], x[1]).unwrap()),
        ("matmul of nothing", &[&[2, 0], &[0, 4]], |g, x| g.matmul(x[0], x[1]).unwrap()),
        ("matmul, one row", &[&[1, 3], &[3, 1]], |g, x| g.matmul(x[0], x[1]).unwrap()),
        ("matmul, batched", &[&[5, 2, 3], &[3, 4]], |g, x| g.matmul(x[0], x[1]).unwrap()),
        ("dot", &[&[4], &[4]], |g, x| g.dot(x[0], x[1]).unwrap()),
        ("outer", &[&[3], &[2]], |g, x| g.outer(x[0], x[1]).unwrap()),
        ("solve", &[&[3, 3], &[3, 2]], |g, x| {
            let square = dominant(g, x[0]);
            g.solve(square, x[1]).unwrap()
        }),
        ("logdet", &[&[3, 3]], |g, x| {
            let square = dominant(g, x[0]);
            g.logdet(square).unwrap()
        }),
        ("mean", &[&[3, 4]], |g, x| g.mean(x[0]).unwrap()),
        ("var", &[&[3, 4]], |g, x| g.var_over(x[0], 1, 1).unwrap()),
        ("std", &[&[3, 4]], |g, x| g.std_over(x[0], 0, 0).unwrap()),
        ("norm", &[&[3, 4]], |g, x| g.norm(x[0]).unwrap()),
        ("logsumexp", &[&[3, 4]], |g, x| g.logsumexp(x[0], 0).unwrap()),
        ("softmax", &[&[3, 4]], |g, x| g.softmax(x[0], 1).unwrap()),
        ("log_softmax", &[&[3, 1]], |g, x| g.log_softmax(x[0], 1).unwrap()),
        ("layer_norm", &[&[3, 4]], |g, x| g.layer_norm(x[0], 1, 1e-5).unwrap()),
        ("covariance", &[&[5, 3]], |g, x| g.covariance(x[0], 1).unwrap()),
        ("corrcoef", &[&[5, 3]], |g, x| g.corrcoef(x[0]).unwrap()),
        ("clamp", &[&[3, 4]], |g, x| g.clamp(x[0], 0.7, 1.3).unwrap()),
        ("leaky_relu", &[&[3, 4]], |g, x| g.leaky_relu(x[0], 0.01).unwrap()),
        ("silu", &[&[3, 4]], |g, x| g.silu(x[0]).unwrap()),
        ("gelu", &[&[3, 4]], |g, x| g.gelu(x[0]).unwrap()),
        ("gelu_tanh", &[&[3, 4]], |g, x| g.gelu_tanh(x[0]).unwrap()),
        ("soft cross entropy", &[&[3, 4], &[3, 4]], |g, x| g.soft_cross_entropy(x[0], x[1]).unwrap()),
        ("mse", &[&[3, 4], &[3, 4]], |g, x| g.mse(x[0], x[1]).unwrap()),
        ("l1", &[&[3, 4], &[3, 4]], |g, x| g.l1(x[0], x[1]).unwrap()),
        ("huber", &[&[3, 4], &[3, 4]], |g, x| g.huber(x[0], x[1], 0.3).unwrap()),
        ("bce_with_logits", &[&[3, 4], &[3, 4]], |g, x| g.bce_with_logits(x[0], x[1]).unwrap()),
        ("hinge", &[&[3, 4], &[3, 4]], |g, x| g.hinge(x[0], x[1]).unwrap()),
        ("target", &[&[]], |g, x| g.target(x[0], 4.0, 0.5).unwrap()),
        ("moving_mean", &[&[6, 2]], |g, x| g.moving_mean(x[0], 0, 3).unwrap()),
        ("lag", &[&[4, 2]], |g, x| g.lag(x[0], 0, 1).unwrap()),
        ("lag beyond the end", &[&[2]], |g, x| g.lag(x[0], 0, 5).unwrap()),
        ("conv2d", &[&[2, 4, 3, 2], &[2, 2, 2, 3]], |g, x| g.conv2d(x[0], x[1]).unwrap()),
        ("max_pool", &[&[1, 4, 2, 2]], |g, x| g.max_pool(x[0], 2).unwrap()),
        ("mean_pool", &[&[1, 4, 2, 2]], |g, x| g.mean_pool(x[0], 2).unwrap()),
        ("a second derivative", &[&[3]], |g, x| {
            let cube = g.pow_number(x[0], 3.0).unwrap();
            let wave = g.sin(cube).unwrap();
            let goal = g.sum(wave).unwrap();
            g.gradient(goal, &[x[0]]).unwrap()[0].unwrap()
        }),
        ("a second derivative through products", &[&[2, 3], &[3, 2]], |g, x| {
            let product = g.matmul(x[0], x[1]).unwrap();
            let log = g.log_softmax(product, 1).unwrap();
            let goal = g.norm(log).unwrap();
            g.gradient(goal, &[x[0]]).unwrap()[0].unwrap()
        }),
    ];
    let numbers = &mut Numbers(3);
    for (name, shapes, build) in cases {
        let values = shapes.iter().map(|shape| numbers.tensor(shape, 0.4, 2.0)).collect();
        Case::new(values, build).check(name, numbers);
    }
}

/// A matrix that is far from singular.
fn dominant(g: &mut Graph, x: Id) -> Id {
    let eye = Tensor::of([3, 3], [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0]);
    let rows: Vec<Id> = eye.to_f64().iter().map(|&x| g.constant(Dtype::F64, [1], x)).collect();
    let eye = g.concat(&rows, 0).unwrap();
    let eye = g.reshape(eye, &[3, 3]).unwrap();
    g.add(x, eye).unwrap()
}

#[test]
fn rules_by_row_number_agree_with_central_differences() {
    let numbers = &mut Numbers(4);
    for (rows, chosen) in [(3, vec![2, 0, 2]), (1, vec![0]), (3, vec![])] {
        let with_index = |case: &mut Case, index: Id| {
            let ty = Type::new(Dtype::Index { below: rows }, [chosen.len()]);
            case.at.push((index, Tensor::new(ty, Data::Index(chosen.clone())).unwrap()));
        };
        let mut index = None;
        let mut gather = Case::new(vec![numbers.tensor(&[rows, 2], -1.0, 1.0)], |g, x| {
            let numbers = g.input("rows", Dtype::Index { below: rows }, [chosen.len()]);
            index = Some(numbers);
            g.gather(x[0], numbers).unwrap()
        });
        with_index(&mut gather, index.unwrap());
        gather.check("gather", numbers);
        let mut scatter = Case::new(vec![numbers.tensor(&[chosen.len(), 2], -1.0, 1.0)], |g, x| {
            let numbers = g.input("rows", Dtype::Index { below: rows }, [chosen.len()]);
            index = Some(numbers);
            let sums = g.scatter_add(x[0], numbers, rows + 1).unwrap();
            g.mul(sums, sums).unwrap()
        });
        with_index(&mut scatter, index.unwrap());
        scatter.check("scatter_add", numbers);
    }
}
