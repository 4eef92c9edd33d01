//! Numbers, central differences, the dot-product test.

use thalweg_tensor::{Dtype, Graph, Id, Tensor};

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to but without `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Between the two.
    pub fn between(&mut self, least: f64, greatest: f64) -> f64 {
        least + (greatest - least) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A tensor of numbers between the two.
    pub fn tensor(&mut self, shape: &[usize], least: f64, greatest: f64) -> Tensor {
        let n: usize = shape.iter().product();
        Tensor::of(shape, (0..n).map(|_| self.between(least, greatest)).collect::<Vec<f64>>())
    }
}

/// A program over doubles: what it computes, of which inputs, at which point.
pub struct Case {
    pub g: Graph,
    pub fields: Vec<Id>,
    pub output: Id,
    pub at: Vec<(Id, Tensor)>,
}

impl Case {
    /// The program that `build` writes over inputs with these values.
    pub fn new(values: Vec<Tensor>, build: impl FnOnce(&mut Graph, &[Id]) -> Id) -> Case {
        let mut g = Graph::new();
        let fields: Vec<Id> = values.iter().map(|value| g.input("x", Dtype::F64, value.ty().shape.clone())).collect();
        let output = build(&mut g, &fields);
        let at = fields.iter().copied().zip(values).collect();
        Case { g, fields, output, at }
    }

    fn value(&self, output: Id, at: &[(Id, Tensor)]) -> Vec<f64> {
        self.g.evaluate(&[output], at).unwrap()[0].to_f64()
    }

    /// A weighted sum of the output: its gradient agrees with central differences, and with the tangents that forward mode gives.
    #[track_caller]
    pub fn check(mut self, name: &str, numbers: &mut Numbers) {
        let shape = self.g.ty(self.output).shape.clone();
        let weights = self.g.input("weights", Dtype::F64, shape.clone());
        self.at.push((weights, numbers.tensor(&shape, -1.0, 1.0)));
        let goal = self.g.dot(self.output, weights).unwrap();
        let fields = self.fields.clone();
        let gradients = self.g.gradient(goal, &fields).unwrap();
        for (i, gradient) in gradients.iter().enumerate() {
            let own = gradient.map(|id| self.value(id, &self.at));
            let differences = self.differences(goal, i);
            let own = own.unwrap_or(vec![0.0; differences.len()]);
            close(&own, &differences, 2e-7, &format!("{name}: gradient of operand {i} and central differences"));
        }
        self.dot_product(name, goal, &gradients, numbers);
    }

    /// (f(x + h) - f(x - h)) / 2h, for each element of operand `i`.
    fn differences(&self, goal: Id, i: usize) -> Vec<f64> {
        let x = self.at[i].1.to_f64();
        let shape = self.at[i].1.ty().shape.clone();
        let moved = |k: usize, by: f64| {
            let mut at = self.at.clone();
            let mut x = x.clone();
            x[k] += by;
            at[i].1 = Tensor::of(shape.clone(), x);
            self.value(goal, &at)[0]
        };
        let step = |x: f64| 6e-6 * x.abs().max(1.0);
        (0..x.len()).map(|k| (moved(k, step(x[k])) - moved(k, -step(x[k]))) / (2.0 * step(x[k]))).collect()
    }

    /// `<J u, v>` is `<u, Jᵀ v>`, for v the weights.
    #[track_caller]
    fn dot_product(&mut self, name: &str, goal: Id, gradients: &[Option<Id>], numbers: &mut Numbers) {
        let mut seeds = Vec::new();
        for &field in &self.fields.clone() {
            let shape = self.g.ty(field).shape.clone();
            let tangent = self.g.input("tangent", Dtype::F64, shape.clone());
            self.at.push((tangent, numbers.tensor(&shape, -1.0, 1.0)));
            seeds.push((field, tangent));
        }
        let forward = self.g.jvp(&[goal], &seeds).unwrap()[0].map_or(0.0, |id| self.value(id, &self.at)[0]);
        let mut backward = 0.0;
        for (&(_, tangent), gradient) in seeds.iter().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let (u, g) = (self.value(tangent, &self.at), self.value(*gradient, &self.at));
            backward += u.iter().zip(&g).map(|(u, g)| u * g).sum::<f64>();
        }
        close(&[backward], &[forward], 1e-11, &format!("{name}: forward and reverse mode"));
    }
}

/// Equal up to `tolerance`, relative to the greatest number.
#[track_caller]
pub fn close(own: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(own.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    for (i, (a, b)) in own.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale || (a.is_nan() && b.is_nan()), "{what}: element {i} is {a}, expected {b}");
    }
}
