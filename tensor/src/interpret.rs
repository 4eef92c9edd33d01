//! The obvious meaning: every node that is needed, one after the other, each value allocated. Slow; what runs fast is tested against it.

use crate::error::TensorError;
use crate::graph::{Graph, Id};
use crate::rules::{Leaf, Op};
use crate::value::Tensor;

impl Graph {
    /// The values of `outputs`, given those of the inputs that they read.
    ///
    /// # Errors
    /// [`TensorError::Value`] where an input that is read has no value, or one of another type.
    pub fn evaluate(&self, outputs: &[Id], given: &[(Id, Tensor)]) -> Result<Vec<Tensor>, TensorError> {
        let needed = self.needed(outputs);
        let mut values: Vec<Option<Tensor>> = vec![None; self.len()];
        for i in (0..self.len()).filter(|&i| needed[i]) {
            let id = Id(i as u32);
            let node = self.node(id);
            let value = match &node.op {
                Op::Leaf(Leaf::Input(_) | Leaf::Tangent(_), _) => self.given(id, given)?,
                op => {
                    let operands = node.operands.iter().map(|id| values[id.at()].as_ref());
                    let operands: Vec<&Tensor> =
                        operands.map(|x| x.expect("invariant: a node stands behind its operands")).collect();
                    op.eval(&operands, &node.ty)
                }
            };
            values[i] = Some(value);
        }
        Ok(outputs.iter().map(|id| values[id.at()].clone().expect("invariant: an output is needed")).collect())
    }

    fn given(&self, id: Id, given: &[(Id, Tensor)]) -> Result<Tensor, TensorError> {
        let misfit = |reason: String, cure| {
            let input = self.inputs().find(|(_, input)| *input == id).map_or("tangent", |(name, _)| name).into();
            TensorError::Value { input, expected: self.ty(id).clone(), reason, cure }
        };
        match given.iter().find(|(input, _)| *input == id) {
            None => Err(misfit("no value is given".into(), "give one")),
            Some((_, value)) if value.ty() != self.ty(id) => Err(misfit(
                format!("the value is {}", value.ty()),
                "give a value of this type, or declare the input with that of the value",
            )),
            Some((_, value)) => Ok(value.clone()),
        }
    }
}
