//! The training step: forward, backward, optimiser and bounds as one list of instructions over planned memory.
//!
//! ```
//! use thalweg_tensor::{Dtype, Free, Graph, Step};
//! use thalweg_training::Optimizer;
//!
//! // The price at which profit is greatest: profit falls by the square of the distance to 17.
//! let mut g = Graph::new();
//! let price = g.input("price", Dtype::F64, []);
//! let loss = g.target(price, 17.0, 1.0).unwrap();
//! let adam = Optimizer::named("adam", 0.5).unwrap();
//! let mut step = Step::<f64>::compile(&g, loss, &[], &[Free::anywhere(price)], &adam).unwrap();
//! step.set(price, &[20.0]).unwrap();
//! for _ in 0..200 {
//!     step.run();
//! }
//! assert!((step.parameter(price)[0] - 17.0).abs() < 1e-3);
//! ```
//!
//! Numeric contract: subnormal numbers count as 0 within a step of tensors. Sums run in an order that depends on shapes alone, so the same inputs give
//! the same bits on every run. A step of tensors uses one thread.
//!
//! Cost: no allocation after [`Step::compile`]. Next to read: `program`, then `lower`.

pub(crate) mod program;

mod arena;
mod element;
mod flat;
pub(crate) mod instruction;
mod lower;
mod machine;
pub(crate) mod region;
mod unfused;
mod update;

use crate::error::TensorError;
use crate::graph::{Graph, Id};
use crate::kernels::Width;
use crate::types::Dtype;
pub use element::Element;
use flat::Flat;
use instruction::{Buf, Numbers};
use machine::Machine;
pub use program::Free;
use program::Program;
use std::collections::HashMap;
use thalweg_training::Optimizer;
pub use unfused::Unfused;

/// A compiled step, or a compiled program without one.
#[derive(Debug)]
pub struct Step<T> {
    program: Program,
    optimizer: Option<(Optimizer, update::Scalars)>,
    steps: u64,
    body: Body<T>,
    inputs: HashMap<Id, Buf>,
    numbers: HashMap<Id, Numbers>,
    outputs: Vec<Buf>,
    /// Where the scalars of a step go: a cell, or a buffer.
    scalars: [Option<u32>; 5],
}

#[derive(Debug)]
enum Body<T> {
    Machine(Machine<T>),
    Flat(Flat<T>),
}

/// What a step moves and keeps: enough to go on from there with the same bits.
#[derive(Clone, Debug, PartialEq)]
pub struct State<T> {
    /// How many steps there were.
    pub steps: u64,
    /// For each input that moves: its value, then what the rule keeps of it.
    pub values: Vec<Vec<T>>,
}

impl<T: Element> Step<T> {
    /// One step of `free` towards a lesser `goal`; `others` are computed beside it, before the step.
    ///
    /// # Errors
    /// [`TensorError::Step`] where there is nothing to move, a field is no input, the optimiser moves all at once, or the program has
    /// numbers of another width than `T`; [`TensorError::Cut`] where no slope leads to a field.
    pub fn compile(g: &Graph, goal: Id, others: &[Id], free: &[Free], optimizer: &Optimizer) -> Result<Step<T>, TensorError> {
        let program = Program::step(g, goal, others, free, optimizer)?;
        Step::of(program, Some(optimizer.clone()), Width::widest())
    }

    /// The same for a machine of this width.
    ///
    /// # Errors
    /// As [`Step::compile`].
    pub fn compile_for(width: Width, g: &Graph, goal: Id, free: &[Free], optimizer: &Optimizer) -> Result<Step<T>, TensorError> {
        Step::of(Program::step(g, goal, &[], free, optimizer)?, Some(optimizer.clone()), width)
    }

    /// `outputs` alone: nothing moves.
    ///
    /// # Errors
    /// [`TensorError::Step`] where the program has numbers of another width than `T`.
    pub fn forward(g: &Graph, outputs: &[Id]) -> Result<Step<T>, TensorError> {
        Step::of(Program::forward(g, outputs), None, Width::widest())
    }

    fn of(program: Program, optimizer: Option<Optimizer>, width: Width) -> Result<Step<T>, TensorError> {
        let optimizer = optimizer.map(|optimizer| {
            let scalars = update::Scalars::new(&optimizer.rule);
            (optimizer, scalars)
        });
        if program.dtype() != Some(T::DTYPE) {
            let goal = program.graph.describe(program.outputs[0]);
            let reason = format!("not all of its numbers are {}", T::DTYPE);
            return Err(TensorError::Step { goal, reason, cure: "compile it for the type that it has, and cast none of it" });
        }
        let mut step = match Flat::new(&program) {
            Some(flat) => {
                let body = Body::Flat(flat);
                Step {
                    program,
                    optimizer,
                    steps: 0,
                    body,
                    inputs: HashMap::new(),
                    numbers: HashMap::new(),
                    outputs: Vec::new(),
                    scalars: [None; 5],
                }
            }
            None => {
                let lowered = lower::lower(&program, T::TILES);
                let body = Body::Machine(Machine::new(&lowered, width));
                let lower::Lowered { inputs, numbers, outputs, .. } = lowered;
                Step { program, optimizer, steps: 0, body, inputs, numbers, outputs, scalars: [None; 5] }
            }
        };
        if let Some(shared) = step.program.shared {
            step.scalars = [shared.rate, shared.step, shared.root, shared.first, shared.shrink].map(|id| match &step.body {
                Body::Machine(_) => step.inputs.get(&id).map(|buf| buf.0),
                Body::Flat(flat) => flat.inputs.get(&id).copied(),
            });
        }
        step.count_iotas();
        step.forget();
        Ok(step)
    }

    /// Row numbers that are constants.
    fn count_iotas(&mut self) {
        for (id, numbers) in self.numbers.clone() {
            if let (crate::rules::Op::Leaf(crate::rules::Leaf::Iota, _), Body::Machine(machine)) =
                (&self.program.graph.node(id).op, &mut self.body)
            {
                (0..numbers.len).for_each(|i| machine.numbers[numbers.start + i] = i as u32);
            }
        }
    }

    /// What the optimiser keeps is as before the first step; the inputs stay.
    pub fn forget(&mut self) {
        self.steps = 0;
        let initial = self.optimizer.as_ref().map_or(0.0, |(optimizer, _)| update::initial(&optimizer.rule));
        let kept: Vec<Id> = self.program.moved.iter().flat_map(|moved| moved.kept.iter().map(|(id, _)| *id)).collect();
        for id in kept {
            if let Some(values) = self.own_mut(id) {
                values.fill(T::from_f64(initial));
            }
        }
    }

    fn own_mut(&mut self, own: Id) -> Option<&mut [T]> {
        match &mut self.body {
            Body::Machine(machine) => self.inputs.get(&own).map(|&buf| machine.write(buf)),
            Body::Flat(flat) => flat.inputs.get(&own).map(|&cell| &mut flat.cells[cell as usize..][..1]),
        }
    }

    fn own(&self, own: Id) -> Option<&[T]> {
        match &self.body {
            Body::Machine(machine) => self.inputs.get(&own).map(|&buf| machine.read(buf)),
            Body::Flat(flat) => flat.inputs.get(&own).map(|&cell| &flat.cells[cell as usize..][..1]),
        }
    }

    fn misfit(&self, g: &Graph, own: Id, reason: String, cure: &'static str) -> TensorError {
        let input = g.inputs().find(|(_, id)| *id == own).map_or("", |(name, _)| name).into();
        TensorError::Value { input, expected: g.ty(own).clone(), reason, cure }
    }

    /// Gives an input its numbers, row by row. One that the program does not read is ignored.
    ///
    /// # Errors
    /// [`TensorError::Value`] where there are more or fewer than its type says.
    pub fn set(&mut self, input: Id, values: &[T]) -> Result<(), TensorError> {
        let moved = self.program.moved.iter().find(|moved| moved.input == input).map(|moved| (moved.own, moved.flipped));
        let given = || self.program.given.iter().find(|(id, _)| *id == input).map(|(_, own)| (*own, false));
        let Some((own, flipped)) = moved.or_else(given) else { return Ok(()) };
        let ty = self.program.graph.ty(own).clone();
        if values.len() != ty.len() {
            let reason = format!("{} numbers were given", values.len());
            return Err(self.misfit(&self.program.graph, own, reason, "give as many as its type says"));
        }
        let exchanged = flipped.then(|| unfused::flipped(values, ty.shape[0]));
        if let Some(to) = self.own_mut(own) {
            to.copy_from_slice(exchanged.as_deref().unwrap_or(values));
        }
        Ok(())
    }

    /// Where an input's numbers lie, to be written in place. Empty where the program does not read it, or where it is one that moves.
    pub fn input_mut(&mut self, input: Id) -> &mut [T] {
        let own = self.program.given.iter().find(|(id, _)| *id == input).map(|(_, own)| *own);
        own.and_then(|own| self.own_mut(own)).unwrap_or_default()
    }

    /// Gives an input its row numbers.
    ///
    /// # Errors
    /// [`TensorError::Value`] where one is beyond the bound of its type, or there are more or fewer than that says.
    pub fn set_numbers(&mut self, input: Id, values: &[u32]) -> Result<(), TensorError> {
        let Some(&(_, own)) = self.program.given.iter().find(|(id, _)| *id == input) else { return Ok(()) };
        let ty = self.program.graph.ty(own);
        if values.len() != ty.len() {
            let reason = format!("{} row numbers were given", values.len());
            return Err(self.misfit(&self.program.graph, own, reason, "give as many as its type says"));
        }
        let below = if let Dtype::Index { below } = ty.dtype { below } else { 0 };
        if let Some(number) = values.iter().find(|&&i| i as usize >= below) {
            let reason = format!("the row number {number} was given");
            return Err(self.misfit(&self.program.graph, own, reason, "give numbers below the bound"));
        }
        if let (Some(numbers), Body::Machine(machine)) = (self.numbers.get(&own), &mut self.body) {
            machine.numbers[numbers.start..][..numbers.len].copy_from_slice(values);
        }
        Ok(())
    }

    /// The value of an input that moves, row by row.
    ///
    /// # Panics
    /// If it is none.
    pub fn parameter(&self, input: Id) -> Vec<T> {
        let moved = self.program.moved.iter().find(|moved| moved.input == input).expect("an input that moves");
        let values = self.own(moved.own).unwrap_or_default();
        if moved.flipped { unfused::flipped(values, self.program.graph.ty(moved.own).shape[1]) } else { values.to_vec() }
    }

    /// An output of the last run: the goal is the first.
    pub fn output(&self, i: usize) -> &[T] {
        match &self.body {
            Body::Machine(machine) => machine.read(self.outputs[i]),
            Body::Flat(flat) => &flat.cells[flat.outputs[i] as usize..][..1],
        }
    }

    /// One run, and one step where there is an optimiser. Returns the goal as it was before the step.
    pub fn run(&mut self) -> T {
        if let Some((optimizer, scalars)) = &mut self.optimizer {
            self.steps += 1;
            let rate = optimizer.schedule.rate(optimizer.rate, self.steps);
            for (slot, x) in self.scalars.iter().zip(scalars.at(rate, self.steps)) {
                match (slot, &mut self.body) {
                    (Some(buf), Body::Machine(machine)) => machine.write(Buf(*buf))[0] = T::from_f64(x),
                    (Some(cell), Body::Flat(flat)) => flat.cells[*cell as usize] = T::from_f64(x),
                    (None, _) => {}
                }
            }
        }
        match &mut self.body {
            Body::Machine(machine) => machine.run(),
            Body::Flat(flat) => flat.run(),
        }
        self.output(0).first().copied().unwrap_or_default()
    }

    /// What it moves and keeps.
    pub fn state(&self) -> State<T> {
        let ids =
            self.program.moved.iter().flat_map(|moved| std::iter::once(moved.own).chain(moved.kept.iter().map(|(id, _)| *id)));
        State { steps: self.steps, values: ids.map(|id| self.own(id).unwrap_or_default().to_vec()).collect() }
    }

    /// Goes on from a state of the same program: the steps that follow have the bits that they would have had.
    ///
    /// # Panics
    /// If the state is that of another program.
    pub fn resume(&mut self, state: &State<T>) {
        self.steps = state.steps;
        let ids =
            self.program.moved.iter().flat_map(|moved| std::iter::once(moved.own).chain(moved.kept.iter().map(|(id, _)| *id)));
        let ids: Vec<Id> = ids.collect();
        assert_eq!(ids.len(), state.values.len(), "a state of this program");
        for (id, values) in ids.into_iter().zip(&state.values) {
            if let Some(to) = self.own_mut(id) {
                to.copy_from_slice(values);
            }
        }
    }

    /// How many bytes of memory were planned for values.
    pub fn bytes(&self) -> usize {
        match &self.body {
            Body::Machine(machine) => machine.bytes(),
            Body::Flat(flat) => flat.cells.len() * size_of::<T>(),
        }
    }
}
