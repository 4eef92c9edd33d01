//! Gradients: reverse mode as a rewrite. The goal's tangent is written as a program over the tangents of the fields (`jvp`, node by node);
//! that program is linear, and its transpose, walked backwards, is the gradient. What comes out are ordinary nodes: they can be read,
//! differentiated again, compiled.
//!
//! Source: Radul et al. 2022, "You Only Linearize Once: Tangents Transpose to Gradients".
//!
//! Absent is not zero: a field that the goal does not read has the gradient `None`, and an optimiser leaves it as it is.

use crate::error::TensorError;
use crate::graph::{Graph, Id};
use crate::rules::{At, Choice, Op};

impl Graph {
    /// How `goal` changes with each of `fields`: a node of the field's type, or `None` where the goal does not read it, or only behind
    /// `stop_gradient`.
    ///
    /// Cost: as many nodes as the goal has, times a small constant; nothing is computed.
    ///
    /// # Errors
    /// [`TensorError::Cut`] where the goal reads a field, but only through operations without a slope; [`TensorError::Shape`] or
    /// [`TensorError::Dtype`] where the goal is not one floating-point number.
    pub fn gradient(&mut self, goal: Id, fields: &[Id]) -> Result<Vec<Option<Id>>, TensorError> {
        self.is_scalar(goal)?;
        for &field in fields {
            self.is_movable(field)?;
        }
        let tangents: Vec<Id> = fields.iter().map(|&field| self.tangent(field)).collect();
        let seeds: Vec<(Id, Id)> = fields.iter().copied().zip(tangents.iter().copied()).collect();
        let gradients = match self.tangents_of(&[goal], &seeds)[0] {
            Some(tangent) => self.transposed(tangent, &tangents),
            None => vec![None; fields.len()],
        };
        for (&field, gradient) in fields.iter().zip(&gradients) {
            if gradient.is_none() {
                self.not_cut(goal, field)?;
            }
        }
        Ok(gradients)
    }

    /// Forward mode: how `outputs` change when each field of `seeds` changes along its tangent; `None` where one does not.
    ///
    /// # Errors
    /// [`TensorError::Cut`] where a rule of one's own for gradients is met, which says nothing about this direction; [`TensorError::Shape`]
    /// where a tangent has another type than its field.
    pub fn jvp(&mut self, outputs: &[Id], seeds: &[(Id, Id)]) -> Result<Vec<Option<Id>>, TensorError> {
        for &(field, tangent) in seeds {
            if self.ty(field) != self.ty(tangent) {
                let reason = format!("{} and {} differ", self.ty(field), self.ty(tangent));
                let operands = format!("{} and {}", self.describe(field), self.describe(tangent));
                let cure = "a tangent has the type of its field".into();
                return Err(TensorError::Shape { op: "jvp", operands, reason, cure });
            }
            let needed = self.needed(outputs);
            let own = (0..needed.len()).find_map(|i| match &self.node(Id(i as u32)).op {
                Op::Choice(Choice::Own(rule)) if needed[i] => Some(rule.name),
                _ => None,
            });
            if let Some(op) = own {
                let (goal, field) = (self.describe(outputs[0]), self.describe(field));
                return Err(TensorError::Cut { goal, field, op, cure: "its own rule is for gradients only: use gradient" });
            }
        }
        Ok(self.tangents_of(outputs, seeds))
    }

    /// Which nodes `outputs` read, themselves included.
    pub(crate) fn needed(&self, outputs: &[Id]) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        outputs.iter().for_each(|id| needed[id.at()] = true);
        for i in (0..self.len()).rev() {
            if needed[i] {
                self.node(Id(i as u32)).operands.iter().for_each(|id| needed[id.at()] = true);
            }
        }
        needed
    }

    fn tangents_of(&mut self, outputs: &[Id], seeds: &[(Id, Id)]) -> Vec<Option<Id>> {
        let needed = self.needed(outputs);
        let mut tangents: Vec<Option<Id>> = vec![None; needed.len()];
        for &(field, tangent) in seeds {
            tangents[field.at()] = Some(tangent);
        }
        for i in 0..needed.len() {
            if !needed[i] || tangents[i].is_some() {
                continue;
            }
            let y = Id(i as u32);
            let node = self.node(y).clone();
            let t: Vec<Option<Id>> = node.operands.iter().map(|id| tangents[id.at()]).collect();
            if t.iter().any(Option::is_some) {
                tangents[i] = node.op.jvp(At { g: self, x: &node.operands, y }, &t);
            }
        }
        outputs.iter().map(|id| tangents[id.at()]).collect()
    }

    /// The cotangents of `leaves`, which `output` is a linear program of.
    fn transposed(&mut self, output: Id, leaves: &[Id]) -> Vec<Option<Id>> {
        let end = output.at() + 1;
        let mut linear = vec![false; end];
        leaves.iter().filter(|id| id.at() < end).for_each(|id| linear[id.at()] = true);
        for i in 0..end {
            linear[i] |= self.node(Id(i as u32)).operands.iter().any(|id| linear[id.at()]);
        }
        let mut cotangents: Vec<Option<Id>> = vec![None; end];
        cotangents[output.at()] = Some(self.like(output, 1.0));
        for i in (0..end).rev() {
            let (Some(ct), true) = (cotangents[i], linear[i]) else { continue };
            let y = Id(i as u32);
            let node = self.node(y).clone();
            let flags: Vec<bool> = node.operands.iter().map(|id| linear[id.at()]).collect();
            let parts = node.op.transpose(At { g: self, x: &node.operands, y }, &flags, ct);
            for ((operand, part), linear) in node.operands.iter().zip(parts).zip(flags) {
                if linear {
                    cotangents[operand.at()] = self.sum_of(cotangents[operand.at()], part);
                }
            }
        }
        leaves.iter().map(|id| cotangents.get(id.at()).copied().flatten()).collect()
    }

    /// Whether a missing gradient is meant: the field is not read, or a stop was written.
    fn not_cut(&self, goal: Id, field: Id) -> Result<(), TensorError> {
        let needed = self.needed(&[goal]);
        let mut reads = vec![false; needed.len()];
        reads[field.at()] = true;
        let mut cut = None;
        for i in (0..needed.len()).filter(|&i| needed[i]) {
            let node = self.node(Id(i as u32));
            if node.operands.iter().any(|id| reads[id.at()]) {
                reads[i] = true;
                if node.op == Op::Choice(Choice::Stop) {
                    return Ok(());
                }
                if node.op.cuts() {
                    cut = cut.or(Some(node.op.name()));
                }
            }
        }
        let Some(op) = cut else { return Ok(()) };
        let cure = "use a smooth form (sigmoid, softplus), give it a rule of its own, or stop_gradient if that is meant";
        Err(TensorError::Cut { goal: self.describe(goal), field: self.describe(field), op, cure })
    }

    fn is_scalar(&self, goal: Id) -> Result<(), TensorError> {
        self.is_movable(goal)?;
        if self.ty(goal).rank() == 0 {
            return Ok(());
        }
        let reason = format!("a goal is one number, this is {:?}", self.ty(goal).shape);
        Err(TensorError::Shape { op: "gradient", operands: self.describe(goal), reason, cure: "sum it, or take its mean".into() })
    }

    fn is_movable(&self, id: Id) -> Result<(), TensorError> {
        if self.ty(id).dtype.is_float() {
            return Ok(());
        }
        let reason = format!("{} has no slope", self.ty(id).dtype);
        Err(TensorError::Dtype {
            op: "gradient",
            operands: self.describe(id),
            reason,
            cure: "move a floating-point field".into(),
        })
    }
}
