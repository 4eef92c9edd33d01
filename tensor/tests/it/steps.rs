//! The compiled step against the interpreted one, against the optimisers' own rules, and against itself.

use crate::programs::grow;
use crate::support::{Numbers, close};
use proptest::prelude::*;
use serde_json::{Value, json};
use thalweg_tensor::kernels::Width;
use thalweg_tensor::{Data, Dtype, Free, Graph, Id, Step, Tensor, Type, Unfused};
use thalweg_training::{Bounds, Clip, Optimizer};

fn optimizer(settings: Value) -> Optimizer {
    Optimizer::read(settings.as_object().unwrap()).unwrap()
}

fn every_rule() -> Vec<Optimizer> {
    let mut rules: Vec<Optimizer> = [
        json!({"kind": "sgd", "lr": 0.05}),
        json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": true, "weight_decay": 0.01}),
        json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9}),
        json!({"kind": "adam", "lr": 0.05, "weight_decay": 0.01}),
        json!({"kind": "adam", "lr": 0.05, "amsgrad": true}),
        json!({"kind": "adamw", "lr": 0.05}),
        json!({"kind": "rmsprop", "lr": 0.01, "momentum": 0.5, "centered": true}),
        json!({"kind": "adagrad", "lr": 0.1}),
        json!({"kind": "lion", "lr": 0.01, "weight_decay": 0.01}),
    ]
    .into_iter()
    .map(optimizer)
    .collect();
    rules[2].clip = Some(Clip::Norm(0.5));
    rules[4].clip = Some(Clip::Value(0.1));
    rules
}

/// A network over pictures: inputs, classes, parameters with their shapes, the loss.
struct Net {
    g: Graph,
    x: Id,
    class: Id,
    free: Vec<Id>,
    loss: Id,
    sizes: Vec<usize>,
    batch: usize,
}

fn net(dtype: Dtype, batch: usize, sizes: &[usize]) -> Net {
    let mut g = Graph::new();
    let x = g.input("x", dtype, [batch, sizes[0]]);
    let class = g.input("class", Dtype::Index { below: sizes[sizes.len() - 1] }, [batch]);
    let (mut layer, mut free) = (x, Vec::new());
    for (i, pair) in sizes.windows(2).enumerate() {
        let w = g.input("w", dtype, pair);
        let b = g.input("b", dtype, &pair[1..]);
        free.extend([w, b]);
        layer = g.matmul(layer, w).and_then(|product| g.add(product, b)).unwrap();
        if i + 2 < sizes.len() {
            layer = g.relu(layer).unwrap();
        }
    }
    let loss = g.cross_entropy(layer, class).unwrap();
    Net { g, x, class, free, loss, sizes: sizes.to_vec(), batch }
}

impl Net {
    fn free(&self) -> Vec<Free> {
        self.free.iter().map(|&id| Free::anywhere(id)).collect()
    }

    fn weights(&self, numbers: &mut Numbers) -> Vec<Vec<f64>> {
        self.free.iter().map(|&id| numbers.tensor(&self.g.ty(id).shape, -0.3, 0.3).to_f64()).collect()
    }

    fn batch(&self, numbers: &mut Numbers) -> (Vec<f64>, Vec<u32>) {
        let x = numbers.tensor(&[self.batch, self.sizes[0]], 0.0, 1.0).to_f64();
        (x, (0..self.batch).map(|_| numbers.below(self.sizes[self.sizes.len() - 1]) as u32).collect())
    }
}

/// Steps of both kinds, side by side.
fn compare<T: thalweg_tensor::step::Element>(net: &Net, optimizer: &Optimizer, steps: usize, tolerance: f64) {
    let numbers = &mut Numbers(7);
    let mut fused = Step::<T>::compile(&net.g, net.loss, &[], &net.free(), optimizer).unwrap();
    let mut unfused = Unfused::new(&net.g, net.loss, &net.free(), optimizer).unwrap();
    let own = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    for (&id, weights) in net.free.iter().zip(net.weights(numbers)) {
        fused.set(id, &own(&weights)).unwrap();
        unfused.set(id, Tensor::of(net.g.ty(id).shape.clone(), own(&weights)));
    }
    for step in 0..steps {
        let (x, classes) = net.batch(numbers);
        fused.set(net.x, &own(&x)).unwrap();
        fused.set_numbers(net.class, &classes).unwrap();
        unfused.set(net.x, Tensor::of([net.batch, net.sizes[0]], own(&x)));
        unfused.set(net.class, Tensor::new(net.g.ty(net.class).clone(), Data::Index(classes)).unwrap());
        let (a, b) = (fused.run().to_f64(), unfused.run().unwrap());
        let what = format!("{:?}, step {step} of {}", net.sizes, optimizer.rule.name());
        close(&[a], &[b], tolerance, &what);
        for &id in &net.free {
            let own: Vec<f64> = fused.parameter(id).into_iter().map(T::to_f64).collect();
            close(&own, &unfused.parameter(id).to_f64(), tolerance, &what);
        }
    }
}

#[test]
fn a_compiled_network_steps_as_the_interpreted_one() {
    for optimizer in every_rule() {
        compare::<f64>(&net(Dtype::F64, 6, &[40, 7, 3]), &optimizer, 8, 1e-10);
    }
    let adamw = &every_rule()[5];
    for (batch, sizes) in [(32, vec![784, 10]), (5, vec![33, 48, 11]), (1, vec![40, 17, 2]), (9, vec![3, 20, 16, 1])] {
        compare::<f32>(&net(Dtype::F32, batch, &sizes), adamw, 3, 2e-4);
        compare::<f64>(&net(Dtype::F64, batch, &sizes), adamw, 3, 1e-10);
    }
}

#[test]
fn bits_depend_neither_on_the_machine_nor_on_the_run() {
    let net = net(Dtype::F32, 32, &[100, 40, 10]);
    let adam = &every_rule()[5];
    let run = |width: Width| {
        let numbers = &mut Numbers(11);
        let mut step = Step::<f32>::compile_for(width, &net.g, net.loss, &net.free(), adam).unwrap();
        for (&id, weights) in net.free.iter().zip(net.weights(numbers)) {
            step.set(id, &weights.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap();
        }
        for _ in 0..20 {
            let (x, classes) = net.batch(numbers);
            step.set(net.x, &x.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap();
            step.set_numbers(net.class, &classes).unwrap();
            step.run();
        }
        step.state()
    };
    let plain = run(Width::Plain);
    assert_eq!(plain.steps, 20);
    for width in Width::all().chain(Width::all()) {
        assert_eq!(run(width), plain, "{width:?}");
    }
}

#[test]
fn a_step_that_is_resumed_goes_on_with_the_same_bits() {
    let net = net(Dtype::F32, 4, &[40, 5]);
    for optimizer in every_rule() {
        let numbers = &mut Numbers(13);
        let mut step = Step::<f32>::compile(&net.g, net.loss, &[], &net.free(), &optimizer).unwrap();
        let (x, classes) = net.batch(numbers);
        let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        step.set(net.x, &x).unwrap();
        step.set_numbers(net.class, &classes).unwrap();
        (0..5).for_each(|_| _ = step.run());
        let state = step.state();
        let mut other = Step::<f32>::compile(&net.g, net.loss, &[], &net.free(), &optimizer).unwrap();
        other.resume(&state);
        other.set(net.x, &x).unwrap();
        other.set_numbers(net.class, &classes).unwrap();
        for _ in 0..5 {
            assert_eq!(step.run(), other.run());
        }
        assert_eq!(step.state(), other.state());
    }
}

#[test]
fn rules_of_tensors_move_as_those_of_slices_do() {
    for optimizer in every_rule() {
        let mut g = Graph::new();
        let p = g.input("p", Dtype::F64, [3]);
        let bent = g.pow_number(p, 4.0).and_then(|power| g.mul_number(power, 0.25)).unwrap();
        let loss = g.sum(bent).unwrap();
        let mut step = Step::<f64>::compile(&g, loss, &[], &[Free::anywhere(p)], &optimizer).unwrap();
        let mut own = [0.7, -0.4, 0.2];
        step.set(p, &own).unwrap();
        let mut state = Vec::new();
        for t in 1..=30 {
            step.run();
            let mut gradient = own.map(|x| x * x * x);
            if let Some(clip) = optimizer.clip {
                clip.apply(&mut gradient);
            }
            optimizer.rule.step(optimizer.schedule.rate(optimizer.rate, t), &mut own, &gradient, &mut state);
            close(&step.parameter(p), &own, 1e-12, &format!("{}, step {t}", optimizer.rule.name()));
        }
    }
}

#[test]
fn single_numbers_step_within_bounds() {
    // profit = p * d - (200 + 6 d), d = 1000 exp(-0.05 (p - 10)): greatest at 26, but the price may be 24 at most.
    let mut g = Graph::new();
    let price = g.input("price", Dtype::F64, []);
    let demand = g.mul_number(price, -0.05).and_then(|x| g.add_number(x, 0.5)).and_then(|x| g.exp(x)).unwrap();
    let demand = g.mul_number(demand, 1000.0).unwrap();
    let margin = g.add_number(price, -6.0).unwrap();
    let profit = g.mul(margin, demand).and_then(|x| g.add_number(x, -200.0)).unwrap();
    let loss = g.neg(profit).unwrap();
    let adam = Optimizer::named("adam", 0.5).unwrap();
    for (greatest, expected) in [(60.0, 26.0), (24.0, 24.0)] {
        let bounds = Bounds { least: Some(5.0), greatest: Some(greatest) };
        let mut step = Step::<f64>::compile(&g, loss, &[], &[Free { input: price, bounds }], &adam).unwrap();
        step.set(price, &[20.0]).unwrap();
        (0..2000).for_each(|_| _ = step.run());
        close(&step.parameter(price), &[expected], 1e-6, "the price");
    }
}

#[test]
fn what_cannot_be_compiled_is_told() {
    let mut g = Graph::new();
    let p = g.input("p", Dtype::F64, [3]);
    let loss = g.norm(p).unwrap();
    let adam = Optimizer::named("adam", 0.5).unwrap();
    let error =
        |free: &[Free], optimizer: &Optimizer| Step::<f64>::compile(&g, loss, &[], free, optimizer).unwrap_err().to_string();
    assert_eq!(
        error(&[], &adam),
        "the step of where: f64[] cannot be compiled: there is nothing to move; name an input that may move"
    );
    assert_eq!(
        error(&[Free::anywhere(loss)], &adam),
        "the step of where: f64[] cannot be compiled: where: f64[] is no input; move inputs only"
    );
    assert_eq!(
        error(&[Free::anywhere(p)], &Optimizer::named("lbfgs", 0.5).unwrap()),
        "the step of where: f64[] cannot be compiled: lbfgs moves all parameters at once; use sgd, adam, adamw, rmsprop, adagrad or lion"
    );
    let narrow = Step::<f32>::compile(&g, loss, &[], &[Free::anywhere(p)], &adam).unwrap_err();
    assert_eq!(
        (narrow.code(), narrow.to_string().as_str()),
        (
            "E0705",
            "the step of where: f64[] cannot be compiled: not all of its numbers are f32; \
             compile it for the type that it has, and cast none of it"
        )
    );
    let mut step = Step::<f64>::compile(&g, loss, &[], &[Free::anywhere(p)], &adam).unwrap();
    assert_eq!(
        step.set(p, &[1.0]).unwrap_err().to_string(),
        "input \"p\" is f64[3]: 1 numbers were given; give as many as its type says"
    );
    let net = net(Dtype::F64, 2, &[3, 2]);
    let mut step = Step::<f64>::compile(&net.g, net.loss, &[], &net.free(), &adam).unwrap();
    assert_eq!(
        step.set_numbers(net.class, &[0, 2]).unwrap_err().to_string(),
        "input \"class\" is index<2>[2]: the row number 2 was given; give numbers below the bound"
    );
}

/// Other instructions than those of networks: each compiled, forward and one step.
#[test]
fn every_operation_runs_compiled_as_interpreted() {
    let mut g = Graph::new();
    let a = g.input("a", Dtype::F64, [3, 4]);
    let b = g.input("b", Dtype::F64, [2, 3, 3]);
    let rows = g.input("rows", Dtype::Index { below: 3 }, [5]);
    let flipped = g.transpose(a, &[1, 0]).unwrap();
    let square = g.matmul(a, flipped).unwrap();
    let batched = g.matmul(b, square).unwrap();
    let turned = g.transpose(batched, &[2, 0, 1]).unwrap();
    let row = g.slice(a, 0, 0, 1).and_then(|row| g.broadcast(row, &[5, 4])).unwrap();
    let tall = g.transpose(row, &[1, 0]).unwrap();
    let parts = [
        g.matmul(row, flipped).unwrap(),
        g.matmul(a, tall).unwrap(),
        g.gather(a, rows).and_then(|taken| g.scatter_add(taken, rows, 4)).unwrap(),
        g.cumsum(a, 0).unwrap(),
        g.min_over(b, 1).unwrap(),
        g.max_over(a, 1).unwrap(),
        g.sum_over(b, &[0, 2]).unwrap(),
        turned,
        g.moving_mean(a, 1, 2).unwrap(),
        g.lag(a, 0, 1).unwrap(),
        g.concat(&[a, a], 1).unwrap(),
        g.prod_over(a, 0).unwrap(),
        g.add_number(a, 1.5).and_then(|x| g.pow(x, a)).unwrap(),
        g.softplus(a).and_then(|x| g.erf(x)).unwrap(),
        g.norm(a).unwrap(),
    ];
    let eye = g.one_hot(rows, Dtype::F64).and_then(|all| g.slice(all, 0, 0, 3)).unwrap();
    let shifted = g.mul_number(eye, 4.0).and_then(|eye| g.add(square, eye)).unwrap();
    let solved = g.solve(shifted, a).unwrap();
    let log = g.logdet(shifted).unwrap();
    let mut loss = log;
    for part in parts.into_iter().chain([solved]) {
        let curved = g.tanh(part).and_then(|x| g.sum(x)).unwrap();
        loss = g.add(loss, curved).unwrap();
    }
    let numbers = &mut Numbers(17);
    let (x, y) = (numbers.tensor(&[3, 4], 0.2, 1.0), numbers.tensor(&[2, 3, 3], -1.0, 1.0));
    let indexes = vec![0, 1, 2, 0, 2];
    let free = [Free::anywhere(a), Free::anywhere(b)];
    let sgd = &every_rule()[0];
    let mut fused = Step::<f64>::compile(&g, loss, &[], &free, sgd).unwrap();
    let mut unfused = Unfused::new(&g, loss, &free, sgd).unwrap();
    fused.set(a, x.elements()).unwrap();
    fused.set(b, y.elements()).unwrap();
    fused.set_numbers(rows, &indexes).unwrap();
    unfused.set(a, x);
    unfused.set(b, y);
    unfused.set(rows, Tensor::new(Type::new(Dtype::Index { below: 3 }, [5]), Data::Index(indexes)).unwrap());
    for step in 0..4 {
        close(&[fused.run()], &[unfused.run().unwrap()], 1e-11, &format!("step {step}"));
        close(&fused.parameter(a), &unfused.parameter(a).to_f64(), 1e-11, &format!("a, step {step}"));
        close(&fused.parameter(b), &unfused.parameter(b).to_f64(), 1e-11, &format!("b, step {step}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_step_compiled_as_interpreted(seed: u64, n in 5usize..120, rule in 0usize..9) {
        let numbers = &mut Numbers(seed);
        let mut g = Graph::new();
        let [a, b] = ["a", "b"].map(|name| g.input(name, Dtype::F64, [3, 3]));
        let mut pool = vec![a, b];
        (0..n).for_each(|_| grow(&mut g, &mut pool, numbers));
        let both = g.add(a, b).unwrap();
        let last = g.add(*pool.last().unwrap(), both).and_then(|x| g.tanh(x)).unwrap();
        let loss = g.sum(last).unwrap();
        let optimizer = &every_rule()[rule];
        let free = [Free::anywhere(a), Free { input: b, bounds: Bounds { least: Some(-0.5), greatest: Some(0.5) } }];
        let mut fused = Step::<f64>::compile(&g, loss, &[last], &free, optimizer).unwrap();
        let mut unfused = Unfused::new(&g, loss, &free, optimizer).unwrap();
        for id in [a, b] {
            let value = numbers.tensor(&[3, 3], -0.4, 0.4);
            fused.set(id, value.elements()).unwrap();
            unfused.set(id, value);
        }
        for step in 0..3 {
            let what = format!("seed {seed}, {n} operations, {}, step {step}", optimizer.rule.name());
            // A sign or a square root of what is nearly 0 tells rounding apart.
            let tolerance = 1e-7;
            close(&[fused.run()], &[unfused.run().unwrap()], tolerance, &what);
            close(&fused.parameter(a), &unfused.parameter(a).to_f64(), tolerance, &what);
            close(&fused.parameter(b), &unfused.parameter(b).to_f64(), tolerance, &what);
        }
    }
}
