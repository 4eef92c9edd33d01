//! Instructions over buffers: what a compiled step consists of. Everything that can be known is: shapes, strides, who reads what.

use crate::rules::{Binary, Unary};

/// A buffer of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Buf(pub u32);

impl Buf {
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A matrix in a buffer: where it begins, how far apart neighbours in a row's and a column's direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mat {
    pub buf: Buf,
    pub offset: usize,
    pub row: usize,
    pub column: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Instruction {
    /// Element by element, fused: each block of elements goes through all of it before the next.
    Region(Region),
    /// Elements in other places.
    Move { from: Buf, offset: usize, strides: Vec<usize>, shape: Vec<usize>, to: Buf },
    /// One number everywhere.
    Fill { to: Buf, x: f64 },
    /// Blocks of `block` elements, `step` apart in `to`, from `at` on.
    Place { from: Buf, to: Buf, block: usize, step: usize, at: usize },
    /// `[outer, len, inner]` summed over `len`.
    Sum { from: Buf, to: Buf, outer: usize, len: usize, inner: usize },
    /// `[outer, len, inner]`: the extreme along `len`.
    Extreme { op: Binary, from: Buf, to: Buf, len: usize, inner: usize },
    /// `[outer, len, inner]`: running sums along `len`.
    Cumsum { from: Buf, to: Buf, len: usize, inner: usize, reverse: bool },
    /// A product, with what follows it.
    Product(Product),
    /// A product that is a gradient, and Adam's step with it.
    Descent(Box<Descent>),
    /// `x` of `a x = b`.
    Solve { a: Buf, b: Buf, to: Buf, n: usize, m: usize },
    /// The logarithm of a determinant.
    LogDet { a: Buf, to: Buf, n: usize },
    /// A 1 at each number's place.
    OneHot { numbers: Numbers, to: Buf },
    /// Rows by number.
    Gather { from: Buf, numbers: Numbers, to: Buf },
    /// Sums of rows by number.
    Scatter { from: Buf, numbers: Numbers, to: Buf },
}

/// Row numbers, in the arena of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub start: usize,
    pub len: usize,
}

/// `to = a b`, `times` of them; then perhaps a bias for each column, then perhaps nothing below 0.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub a: Mat,
    pub b: Mat,
    pub to: Buf,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub times: usize,
    pub bias: Option<Buf>,
    pub relu: bool,
}

/// `gradient = a b`, which is never stored: each tile of it moves its part of the parameter.
#[derive(Clone, Debug)]
pub(crate) struct Descent {
    pub a: Mat,
    pub b: Mat,
    pub rows: usize,
    pub len: usize,
    pub columns: usize,
    pub param: Buf,
    pub m: Buf,
    pub v: Buf,
    pub step: Buf,
    pub root: Buf,
    pub shrink: Option<Buf>,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Decay as a part of the gradient.
    pub decay: f64,
    pub least: f64,
    pub greatest: f64,
}

/// Elementwise operations over one shape, in registers of a block of elements.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub len: usize,
    /// Registers that hold one number throughout.
    pub constants: Vec<(u8, Constant)>,
    pub loads: Vec<(u8, Source)>,
    pub ops: Vec<Micro>,
    pub stores: Vec<(u8, Buf)>,
    pub registers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Constant {
    Number(f64),
    First(Buf),
}

/// Where a region's operand lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Element by element.
    Whole(Buf),
    /// The same `n` elements again and again.
    Rows { buf: Buf, n: usize },
    /// Each element `n` times.
    Columns { buf: Buf, n: usize },
    /// By strides.
    Strided { buf: Buf, offset: usize, strides: Vec<usize>, shape: Vec<usize> },
}

/// One operation of a region, from registers to another register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Micro {
    pub op: MicroOp,
    pub x: [u8; 3],
    pub out: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MicroOp {
    Unary(Unary),
    Binary(Binary),
    Select,
}

impl Source {
    pub fn buf(&self) -> Buf {
        match self {
            Source::Whole(buf) | Source::Rows { buf, .. } | Source::Columns { buf, .. } | Source::Strided { buf, .. } => *buf,
        }
    }
}

impl Instruction {
    /// Which buffers are read.
    pub fn reads(&self) -> Vec<Buf> {
        match self {
            Instruction::Region(region) => {
                let firsts = region.constants.iter().filter_map(|(_, constant)| match constant {
                    Constant::First(buf) => Some(*buf),
                    Constant::Number(_) => None,
                });
                region.loads.iter().map(|(_, source)| source.buf()).chain(firsts).collect()
            }
            Instruction::Move { from, .. }
            | Instruction::Place { from, .. }
            | Instruction::Sum { from, .. }
            | Instruction::Extreme { from, .. }
            | Instruction::Cumsum { from, .. }
            | Instruction::Gather { from, .. }
            | Instruction::Scatter { from, .. }
            | Instruction::LogDet { a: from, .. } => vec![*from],
            Instruction::Fill { .. } | Instruction::OneHot { .. } => Vec::new(),
            Instruction::Product(p) => [p.a.buf, p.b.buf].into_iter().chain(p.bias).collect(),
            Instruction::Descent(d) => {
                [d.a.buf, d.b.buf, d.param, d.m, d.v, d.step, d.root].into_iter().chain(d.shrink).collect()
            }
            Instruction::Solve { a, b, .. } => vec![*a, *b],
        }
    }

    /// Which buffers are written.
    pub fn writes(&self) -> Vec<Buf> {
        match self {
            Instruction::Region(region) => region.stores.iter().map(|(_, buf)| *buf).collect(),
            Instruction::Move { to, .. }
            | Instruction::Fill { to, .. }
            | Instruction::Place { to, .. }
            | Instruction::Sum { to, .. }
            | Instruction::Extreme { to, .. }
            | Instruction::Cumsum { to, .. }
            | Instruction::Solve { to, .. }
            | Instruction::LogDet { to, .. }
            | Instruction::OneHot { to, .. }
            | Instruction::Gather { to, .. }
            | Instruction::Scatter { to, .. } => vec![*to],
            Instruction::Product(p) => vec![p.to],
            Instruction::Descent(d) => vec![d.param, d.m, d.v],
        }
    }
}
