//! The same step by the interpreter: the obvious meaning of [`Step`](super::Step), value by value.

use super::program::{Free, Program};
use super::update;
use crate::error::TensorError;
use crate::graph::{Graph, Id};
use crate::types::{Dtype, Type};
use crate::value::{Data, Tensor};
use thalweg_training::Optimizer;

/// A step that is interpreted. Slow, and what the compiled one is tested against.
#[derive(Debug)]
pub struct Unfused {
    program: Program,
    optimizer: Optimizer,
    steps: u64,
    values: Vec<(Id, Tensor)>,
}

impl Unfused {
    /// One step of `free` towards a lesser `goal`.
    ///
    /// # Errors
    /// As [`Step::compile`](super::Step::compile).
    pub fn new(g: &Graph, goal: Id, free: &[Free], optimizer: &Optimizer) -> Result<Unfused, TensorError> {
        let program = Program::step(g, goal, &[], free, optimizer)?;
        let mut unfused = Unfused { program, optimizer: optimizer.clone(), steps: 0, values: Vec::new() };
        let kept: Vec<Id> = unfused.program.moved.iter().flat_map(|moved| moved.kept.iter().map(|(id, _)| *id)).collect();
        for id in kept {
            let ty = unfused.program.graph.ty(id).clone();
            unfused.values.push((id, number(&ty, update::initial(&optimizer.rule))));
        }
        Ok(unfused)
    }

    /// Gives an input its value.
    ///
    /// # Panics
    /// If there is no such input, or its type is another one.
    pub fn set(&mut self, input: Id, value: Tensor) {
        let given = self.program.given.iter().find(|(id, _)| *id == input).map(|(_, own)| (*own, false));
        let moved = || self.program.moved.iter().find(|moved| moved.input == input).map(|moved| (moved.own, moved.flipped));
        let (own, flipped) = given.or_else(moved).expect("an input of the program");
        let value = if flipped { flip(&value) } else { value };
        assert_eq!(value.ty(), self.program.graph.ty(own), "the type of the input");
        self.put(own, value);
    }

    fn put(&mut self, own: Id, value: Tensor) {
        match self.values.iter_mut().find(|(id, _)| *id == own) {
            Some(entry) => entry.1 = value,
            None => self.values.push((own, value)),
        }
    }

    /// The value of what steps move.
    ///
    /// # Panics
    /// If it is none of that, or was not given a value.
    pub fn parameter(&self, input: Id) -> Tensor {
        let moved = self.program.moved.iter().find(|moved| moved.input == input).expect("an input that moves");
        let (_, value) = self.values.iter().find(|(id, _)| *id == moved.own).expect("a value");
        if moved.flipped { flip(value) } else { value.clone() }
    }

    /// One step; the goal before it.
    ///
    /// # Errors
    /// [`TensorError::Value`] where an input has no value.
    pub fn run(&mut self) -> Result<f64, TensorError> {
        self.steps += 1;
        let rate = self.optimizer.schedule.rate(self.optimizer.rate, self.steps);
        let shared = self.program.shared.expect("invariant: a step has its scalars");
        let ids = [shared.rate, shared.step, shared.root, shared.first, shared.shrink];
        for (id, x) in ids.into_iter().zip(update::Scalars::new(&self.optimizer.rule).at(rate, self.steps)) {
            let ty = self.program.graph.ty(id).clone();
            self.put(id, number(&ty, x));
        }
        let values = self.program.graph.evaluate(&self.program.results(), &self.values)?;
        let goal = values[0].to_f64()[0];
        let mut results = values.into_iter().skip(self.program.outputs.len());
        for i in 0..self.program.moved.len() {
            let moved = &self.program.moved[i];
            let own = moved.next.map(|_| moved.own);
            let own: Vec<Id> = own.into_iter().chain(moved.kept.iter().map(|(id, _)| *id)).collect();
            for id in own {
                let value = results.next().expect("invariant: every move has a result");
                self.put(id, value);
            }
        }
        Ok(goal)
    }
}

fn number(ty: &Type, x: f64) -> Tensor {
    let data = match ty.dtype {
        Dtype::F32 => Data::F32(vec![x as f32; ty.len()]),
        Dtype::F64 | Dtype::Index { .. } => Data::F64(vec![x; ty.len()]),
    };
    Tensor::new(ty.clone(), data).expect("invariant: parameters are floating-point numbers")
}

/// A matrix with its axes exchanged.
fn flip(value: &Tensor) -> Tensor {
    let shape = &value.ty().shape;
    match value.data() {
        Data::F32(x) => Tensor::of([shape[1], shape[0]], flipped(x, shape[1])),
        Data::F64(x) => Tensor::of([shape[1], shape[0]], flipped(x, shape[1])),
        Data::Index(_) => unreachable!("invariant: parameters are floating-point numbers"),
    }
}

/// The elements of a matrix with so many columns, column by column.
pub(super) fn flipped<T: Copy>(x: &[T], columns: usize) -> Vec<T> {
    (0..columns).flat_map(|column| x.iter().skip(column).step_by(columns).copied()).collect()
}
