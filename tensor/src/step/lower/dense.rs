//! Layers: what a product takes along, and gradients that are descended without being stored.

use super::{Lowering, Place};
use crate::graph::{Graph, Id};
use crate::rules::{Binary, Choice, Contract, Layout, Leaf, Op, Unary};
use crate::step::instruction::{Buf, Descent, Instruction};
use crate::step::program::Moved;
use thalweg_training::Rule;

impl Lowering<'_> {
    /// The last node that a product makes, with its bias and whether nothing below 0 remains. The nodes between are made by nobody.
    pub(super) fn tail(&mut self, product: Id) -> (Id, Option<Id>, bool) {
        let Some((sum, bias)) = self.biased(product) else { return (product, None, false) };
        self.absorbed[product.at()] = true;
        self.node(bias);
        match self.only_user(sum) {
            Some(relu) if self.g.node(relu).op == Op::Unary(Unary::Relu) => {
                self.absorbed[sum.at()] = true;
                (relu, Some(bias), true)
            }
            _ => (sum, Some(bias), false),
        }
    }

    /// `product + bias`, where nothing else reads the product and the bias is there in time.
    fn biased(&self, product: Id) -> Option<(Id, Id)> {
        let sum = self.only_user(product)?;
        let node = self.g.node(sum);
        if node.op != Op::Binary(Binary::Add) || self.g.ty(product).rank() != 2 || node.operands[0] == node.operands[1] {
            return None;
        }
        let other = *node.operands.iter().find(|&&id| id != product)?;
        let Op::Layout(Layout::Broadcast(_)) = self.g.node(other).op else { return None };
        let bias = self.g.node(other).operands[0];
        let in_time = bias < product || matches!(self.g.node(bias).op, Op::Leaf(Leaf::Input(_), _));
        let fits = *self.g.ty(bias).shape == self.g.ty(product).shape[1..];
        (in_time && fits && self.g.splat(bias).is_none()).then_some((sum, bias))
    }

    fn only_user(&self, id: Id) -> Option<Id> {
        match *self.uses[id.at()] {
            [user] if !self.program.outputs.contains(&id) => Some(user),
            _ => None,
        }
    }

    /// Marks the gradients that are products, read by nobody but Adam.
    pub(super) fn mark_descents(&mut self) {
        let Some(Rule::Adam { amsgrad: false, .. }) = self.program.rule else { return };
        if !self.tiles {
            return;
        }
        for moved in &self.program.moved {
            let Some(gradient) = moved.gradient else { continue };
            let node = self.g.node(gradient);
            let own = |id: Id| self.program.moved.iter().any(|moved| moved.own == bottom(self.g, id));
            let apart = self.uses[gradient.at()].iter().all(|user| moved.rule_nodes.contains(&user.at()));
            let product = node.op == Op::Contract(Contract::Matmul) && node.ty.rank() == 2;
            if product && apart && !self.program.outputs.contains(&gradient) && !node.operands.iter().any(|&id| own(id)) {
                self.absorbed[gradient.at()] = true;
            }
        }
    }

    pub(super) fn is_descended(&self, moved: &Moved) -> bool {
        moved.gradient.is_some_and(|gradient| {
            self.absorbed[gradient.at()] && self.uses[gradient.at()].iter().all(|user| moved.rule_nodes.contains(&user.at()))
        })
    }

    /// The instruction for a marked gradient.
    pub(super) fn descent(&mut self, moved: &Moved) {
        let gradient = moved.gradient.expect("invariant: a descended parameter has a gradient");
        let Some(Rule::Adam { beta1, beta2, epsilon, decay, decoupled, .. }) = self.program.rule else {
            unreachable!("invariant: only Adam descends");
        };
        let shared = self.program.shared.expect("invariant: a step has its scalars");
        let node = self.g.node(gradient).clone();
        let (a, mut b) = (self.matrix(node.operands[0]), self.matrix(node.operands[1]));
        if b.column != 1 {
            b = self.whole(node.operands[1]);
        }
        self.inputs(shared.step, &[(shared.root, shared.root), (shared.shrink, shared.shrink)]);
        let [param, m, v] = [moved.own, moved.kept[0].0, moved.kept[1].0].map(|id| self.stored(id));
        let [step, root, shrink] = [shared.step, shared.root, shared.shrink].map(|id| self.stored(id));
        let descent = Descent {
            a,
            b,
            rows: node.ty.shape[0],
            len: self.g.ty(node.operands[0]).shape[1],
            columns: node.ty.shape[1],
            param,
            m,
            v,
            step,
            root,
            shrink: decoupled.then_some(shrink),
            beta1,
            beta2,
            epsilon,
            decay: if decoupled { 0.0 } else { decay },
            least: moved.bounds.least.unwrap_or(f64::NEG_INFINITY),
            greatest: moved.bounds.greatest.unwrap_or(f64::INFINITY),
        };
        self.drafts.push(super::Draft::Ready(Instruction::Descent(Box::new(descent))));
    }

    /// What regions computed goes where it came from: in place where nobody reads the old value any more, else copied after the step.
    pub(super) fn updates(&mut self) -> Vec<(Buf, Buf)> {
        let mut copies = Vec::new();
        for moved in &self.program.moved {
            if self.is_descended(moved) {
                continue;
            }
            let next = moved.next.map(|next| (moved.own, next));
            for (own, next) in next.into_iter().chain(moved.kept.iter().copied()) {
                let to = self.inputs[&own];
                let root = self.root(next);
                match self.region_of(root) {
                    Some(region) if self.is_free(to, region) => self.region_mut(region).stores.push((root, to)),
                    _ => {
                        let from = self.stored(next);
                        self.wanted[from.at()].lasting = true;
                        copies.push((from, to));
                    }
                }
            }
        }
        copies
    }

    fn region_of(&self, root: Id) -> Option<usize> {
        let i = match self.place[root.at()] {
            Some(Place::Region(region)) => region,
            Some(Place::Buf(_)) => self.ready[root.at()].checked_sub(1)?,
            _ => return None,
        };
        matches!(&self.drafts[i], super::Draft::Region(drafted) if drafted.holds(root)).then_some(i)
    }

    /// INV-TENSOR-INPLACE for a write in `region`.
    fn is_free(&self, to: Buf, region: usize) -> bool {
        !self.drafts[region].reads(to, true) && !self.drafts[region + 1..].iter().any(|draft| draft.reads(to, false))
    }
}

/// What a chain of views and names stands on.
fn bottom(g: &Graph, mut id: Id) -> Id {
    while let Op::Layout(_) | Op::Choice(Choice::Stop | Choice::Own(_)) = g.node(id).op {
        id = g.node(id).operands[0];
    }
    id
}
