//! Runs instructions over the arena. Nothing is allocated, nothing is looked up: a flat match, once for each instruction.

use super::arena;
use super::element::Element;
use super::instruction::{Buf, Descent, Instruction, Mat, Numbers, Product};
use super::lower::Lowered;
use super::region;
use crate::kernels::{Adam, Size, Width, raw};
use crate::rules::{Binary, Contract, Index, Reduce};
use std::ops::Range;

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Machine<T> {
    instructions: Vec<Instruction>,
    copies: Vec<(Buf, Buf)>,
    places: Vec<Range<usize>>,
    arena: Vec<T>,
    /// Where the arena begins, on a multiple of 64 bytes.
    aligned: usize,
    registers: Vec<T>,
    pub numbers: Vec<u32>,
    /// What systems of equations are solved in.
    work: Vec<f64>,
    width: Width,
}

impl<T: Element> Machine<T> {
    pub fn new(lowered: &Lowered, width: Width) -> Machine<T> {
        let (places, len) = arena::plan(&lowered.wanted, &lowered.instructions);
        let slack = 64 / size_of::<T>();
        let arena = vec![T::ZERO; len + slack];
        let aligned = arena.as_ptr().align_offset(64).min(slack);
        let of = |f: fn(&Instruction) -> usize| lowered.instructions.iter().map(f).max().unwrap_or(0);
        let registers = of(|i| if let Instruction::Region(region) = i { region.registers } else { 0 });
        let work = of(|i| match i {
            Instruction::Solve { n, m, .. } => n * (n + m),
            Instruction::LogDet { n, .. } => n * n,
            _ => 0,
        });
        let numbers = lowered.numbers.values().map(|numbers| numbers.start + numbers.len).max().unwrap_or(0);
        Machine {
            instructions: lowered.instructions.clone(),
            copies: lowered.copies.clone(),
            places,
            arena,
            aligned,
            registers: vec![T::ZERO; registers * region::BLOCK],
            numbers: vec![0; numbers],
            work: vec![0.0; work],
            width,
        }
    }

    /// How many bytes the arena has.
    pub fn bytes(&self) -> usize {
        self.arena.len() * size_of::<T>()
    }

    pub fn read(&self, buf: Buf) -> &[T] {
        &self.arena[self.aligned..][self.places[buf.at()].clone()]
    }

    pub fn write(&mut self, buf: Buf) -> &mut [T] {
        &mut self.arena[self.aligned..][self.places[buf.at()].clone()]
    }

    /// Runs everything once.
    pub fn run(&mut self) {
        let _flushed = raw::Flushed::new();
        let arena = &mut self.arena[self.aligned..];
        let mut running =
            Running { places: &self.places, arena, numbers: &self.numbers, work: &mut self.work, width: self.width };
        for instruction in &self.instructions {
            match instruction {
                Instruction::Region(region) => {
                    raw::region(self.width, region, running.places, running.arena, &mut self.registers);
                }
                Instruction::Product(product) => running.product(product),
                Instruction::Descent(descent) => running.descent(descent),
                other => running.other(other),
            }
        }
        for &(from, to) in &self.copies {
            let (from, to) = (self.places[from.at()].clone(), self.places[to.at()].start);
            running.arena.copy_within(from, to);
        }
    }
}

struct Running<'a, T> {
    places: &'a [Range<usize>],
    arena: &'a mut [T],
    numbers: &'a [u32],
    work: &'a mut Vec<f64>,
    width: Width,
}

impl<T: Element> Running<'_, T> {
    fn place(&self, buf: Buf) -> Range<usize> {
        self.places[buf.at()].clone()
    }

    /// A buffer to write, and others to read: INV-TENSOR-ARENA lets them share nothing.
    fn apart<const N: usize>(&mut self, to: Buf, from: [Buf; N]) -> (&mut [T], [&[T]; N]) {
        let out = self.place(to);
        let (before, rest) = self.arena.split_at_mut(out.start);
        let (to, after) = rest.split_at_mut(out.len());
        let (before, after) = (&*before, &*after);
        let places = self.places;
        let read = from.map(|buf| {
            let range = &places[buf.at()];
            if range.end <= out.start { &before[range.clone()] } else { &after[range.start - out.end..range.end - out.end] }
        });
        (to, read)
    }

    fn product(&mut self, p: &Product) {
        let width = self.width;
        let size = Size { rows: p.m, len: p.k, columns: p.n };
        let (a_len, b_len, out_len) = (p.m * p.k, p.k * p.n, p.m * p.n);
        let (out, [a, b, bias]) = self.apart(p.to, [p.a.buf, p.b.buf, p.bias.unwrap_or(p.a.buf)]);
        for i in 0..p.times {
            let a = (&a[p.a.offset + i * a_len..], p.a.row, p.a.column);
            let b = (&b[p.b.offset + i * b_len..], p.b.row, p.b.column);
            let bias = p.bias.map(|_| bias);
            T::product(width, a, b, size, bias, p.relu, &mut out[i * out_len..][..out_len]);
        }
    }

    fn descent(&mut self, d: &Descent) {
        let width = self.width;
        let first = |buf: Option<Buf>, or: f32| buf.map_or(or, |buf| self.arena[self.place(buf).start].to_f64() as f32);
        let adam = Adam {
            step: first(Some(d.step), 0.0),
            root: first(Some(d.root), 1.0),
            shrink: first(d.shrink, 1.0),
            share1: (1.0 - d.beta1) as f32,
            beta2: d.beta2 as f32,
            share2: (1.0 - d.beta2) as f32,
            epsilon: d.epsilon as f32,
            decay: d.decay as f32,
            least: d.least as f32,
            greatest: d.greatest as f32,
        };
        let size = Size { rows: d.rows, len: d.len, columns: d.columns };
        let factor = |data: &'_ [T], mat: Mat| (mat.offset.min(data.len()), mat.row, mat.column);
        let moving = [d.param, d.m, d.v].map(|buf| self.place(buf));
        let [param, m, v] = moving;
        let (pa, pb) = (self.place(d.a.buf), self.place(d.b.buf));
        let apart = "INV-TENSOR-ARENA: a parameter and the factors of its gradient share nothing";
        if pa == pb {
            let [param, m, v, both] = self.arena.get_disjoint_mut([param, m, v, pa]).expect(apart);
            let (a, b) = (factor(both, d.a), factor(both, d.b));
            T::descend(width, (&both[a.0..], a.1, a.2), (&both[b.0..], b.1, b.2), size, &adam, [param, m, v]);
        } else {
            let [param, m, v, x, y] = self.arena.get_disjoint_mut([param, m, v, pa, pb]).expect(apart);
            let (a, b) = (factor(x, d.a), factor(y, d.b));
            T::descend(width, (&x[a.0..], a.1, a.2), (&y[b.0..], b.1, b.2), size, &adam, [param, m, v]);
        }
    }

    fn other(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Region(_) | Instruction::Product(_) | Instruction::Descent(_) => unreachable!("invariant: met before"),
            Instruction::Move { from, offset, strides, shape, to } => {
                let (to, [from]) = self.apart(*to, [*from]);
                crate::rules::layout::walk(shape, strides, *offset, |i, place| to[i] = from[place]);
            }
            Instruction::Fill { to, x } => {
                let place = self.place(*to);
                self.arena[place].fill(T::from_f64(*x));
            }
            Instruction::Place { from, to, block, step, at } => {
                let (to, [from]) = self.apart(*to, [*from]);
                if *block > 0 {
                    from.chunks_exact(*block)
                        .enumerate()
                        .for_each(|(i, from)| to[i * step + at..][..*block].copy_from_slice(from));
                }
            }
            Instruction::Sum { from, to, outer, len, inner } => {
                let (to, [from]) = self.apart(*to, [*from]);
                sum(from, to, *outer, *len, *inner);
            }
            Instruction::Extreme { op, from, to, len, inner } => {
                let (to, [from]) = self.apart(*to, [*from]);
                extreme(*op, from, to, *len, *inner);
            }
            Instruction::Cumsum { from, to, len, inner, reverse } => {
                let (to, [from]) = self.apart(*to, [*from]);
                let outer = from.len().checked_div(len * inner).unwrap_or(0);
                Reduce::Cumsum { axis: 1, reverse: *reverse }.eval_into(from, &[outer, *len, *inner], &mut [], to);
            }
            Instruction::Solve { a, b, to, n, m } => {
                let mut work = std::mem::take(self.work);
                let (to, [a, b]) = self.apart(*to, [*a, *b]);
                Contract::Solve.eval_into(&[a, b], &[&[*n, *n], &[*n, *m]], &mut work[..n * (n + m)], to);
                *self.work = work;
            }
            Instruction::LogDet { a, to, n } => {
                let mut work = std::mem::take(self.work);
                let (to, [a]) = self.apart(*to, [*a]);
                Contract::LogDet.eval_into(&[a], &[&[*n, *n]], &mut work[..n * n], to);
                *self.work = work;
            }
            Instruction::OneHot { numbers, to } => {
                let place = self.place(*to);
                let numbers = &self.numbers[numbers.start..][..numbers.len];
                Index::OneHot(T::DTYPE).eval_into(&[], numbers, &mut self.arena[place]);
            }
            Instruction::Gather { from, numbers, to } => self.by_number(Index::Gather, *from, *numbers, *to),
            Instruction::Scatter { from, numbers, to } => self.by_number(Index::Scatter(0), *from, *numbers, *to),
        }
    }

    fn by_number(&mut self, index: Index, from: Buf, numbers: Numbers, to: Buf) {
        let all = self.numbers;
        let (to, [from]) = self.apart(to, [from]);
        index.eval_into(from, &all[numbers.start..][..numbers.len], to);
    }
}

/// Along the last axis 16 partial sums and a fixed tree, else row after row: in both cases the same order always.
fn sum<T: Element>(from: &[T], to: &mut [T], outer: usize, len: usize, inner: usize) {
    to.fill(T::ZERO);
    if len == 0 || inner == 0 {
        return;
    }
    if inner == 1 {
        for (to, from) in to.iter_mut().zip(from.chunks_exact(len)) {
            *to = lanes(from);
        }
        return;
    }
    for outer in 0..outer {
        let to = &mut to[outer * inner..][..inner];
        for row in from[outer * len * inner..][..len * inner].chunks_exact(inner) {
            to.iter_mut().zip(row).for_each(|(to, x)| *to += *x);
        }
    }
}

fn lanes<T: Element>(x: &[T]) -> T {
    let mut lanes = [T::ZERO; 16];
    let (blocks, rest) = x.as_chunks::<16>();
    for block in blocks {
        for i in 0..16 {
            lanes[i] += block[i];
        }
    }
    rest.iter().zip(&mut lanes).for_each(|(x, lane)| *lane += *x);
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let other = lanes[i + half];
            lanes[i] += other;
        }
    }
    lanes[0]
}

fn extreme<T: Element>(op: Binary, from: &[T], to: &mut [T], len: usize, inner: usize) {
    let further = |a: T, b: T| {
        let taken = if op == Binary::Max { b > a } else { b < a };
        if taken || b.is_nan() { b } else { a }
    };
    if inner == 1 {
        for (to, row) in to.iter_mut().zip(from.chunks_exact(len)) {
            *to = row.iter().copied().reduce(further).expect("invariant: the axis has a length");
        }
        return;
    }
    for (i, to) in to.iter_mut().enumerate() {
        let first = i / inner * len * inner + i % inner;
        *to = (1..len).fold(from[first], |most, k| further(most, from[first + k * inner]));
    }
}
