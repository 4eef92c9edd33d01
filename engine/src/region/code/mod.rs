//! Straight code: a cell's expression over words, for the values that stand inline in their slots.
//!
//! It covers bool, int, uint, double, timestamp, duration and small decimals: arithmetic, comparison, logic, `? :`. The types are
//! known before anything runs, so an instruction neither looks at tags nor allocates.
//!
//! Straight code is a shortcut, never a second meaning: whenever something is unusual (an input that is NULL, boxed or in error,
//! an overflow, a division by zero) it gives up, and the general [`thalweg_formulas::eval::Program`] decides. A test compares the
//! two on random expressions and values.
//!
//! Operands are numbered: first the words of the row (tags, then slots), then the words of the region's frame (scratch, then constants).

mod compile;
mod ops;
mod run;
mod short;

pub use compile::Assembler;
use short::Short;

/// What an instruction does with words `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Checked, on two's complement: ints, mantissas of one scale, microseconds.
    AddI,
    /// As `AddI`.
    SubI,
    /// As `AddI`.
    MulI,
    /// Truncating; gives up on zero and on overflow.
    DivI,
    /// The sign is the dividend's; gives up on zero.
    RemI,
    /// Checked negative of `a`.
    NegI,
    /// Checked, unsigned.
    AddU,
    /// As `AddU`.
    SubU,
    /// As `AddU`.
    MulU,
    /// Gives up on zero.
    DivU,
    /// Gives up on zero.
    RemU,
    /// Doubles; the result has the one NaN.
    AddF,
    /// As `AddF`.
    SubF,
    /// As `AddF`.
    MulF,
    /// As `AddF`.
    DivF,
    /// As `AddF`.
    RemF,
    /// Negative of the double `a`.
    NegF,
    /// Int to double, rounded.
    IntToDouble,
    /// Int to double; gives up where that would round.
    IntToDoubleExact,
    /// Uint to double, rounded.
    UintToDouble,
    /// Uint to int; gives up where it does not fit.
    UintToInt,
    /// Equal words.
    Eq,
    /// Different words.
    Ne,
    /// Equal doubles: -0.0 is 0.0, NaN is NaN.
    EqF,
    /// Not `EqF`.
    NeF,
    /// Two's complement order.
    LtI,
    /// As `LtI`.
    LeI,
    /// Unsigned order.
    LtU,
    /// As `LtU`.
    LeU,
    /// Order of doubles, NaN above all.
    LtF,
    /// As `LtF`.
    LeF,
    /// Both of two bools.
    And,
    /// One of two bools.
    Or,
    /// The other bool.
    Not,
    /// The word `a`.
    Copy,
    /// `a` if the bool that the instruction before has computed is true, else `b`.
    Select,
    /// Goes on at instruction `out`.
    Jump,
    /// Goes on at instruction `out` if the bool `a` is false.
    Unless,
    /// The answer is NULL.
    Null,
    /// Gives up if the words have a bit in common: tags of inputs that must stand inline.
    Check,
}

impl Op {
    /// Whether `a op b` and `b op a` are the same word.
    fn commutes(self) -> bool {
        use Op::{AddF, AddI, AddU, And, Eq, EqF, MulF, MulI, MulU, Ne, NeF, Or};
        matches!(self, AddI | MulI | AddU | MulU | AddF | MulF | Eq | Ne | EqF | NeF | And | Or)
    }
}

/// One instruction: `out = a op b`.
#[derive(Clone, Copy, Debug)]
pub struct Instr {
    /// What.
    pub op: Op,
    /// First operand.
    pub a: u32,
    /// Second operand; equal to `a` where there is none.
    pub b: u32,
    /// A word of the frame, [`ANSWER`], [`KEPT`], or where to go on.
    pub out: u32,
    /// The second operand where it is [`CONSTANT`].
    pub constant: u64,
}

impl Instr {
    /// Without a constant.
    fn new(op: Op, a: u32, b: u32, out: u32) -> Instr {
        Instr { op, a, b, out, constant: 0 }
    }
}

/// As an operand: what the instruction before has computed, still in a register.
pub const LAST: u32 = u32::MAX;

/// As the second operand: the instruction's own constant.
pub const CONSTANT: u32 = u32::MAX - 1;

/// As `out`: the result is the cell's value, and the code ends.
pub const ANSWER: u32 = u32::MAX;

/// As `out`: only the next instruction wants the result, as [`LAST`].
pub const KEPT: u32 = u32::MAX - 1;

/// The straight code of all cells of a region, one after the other, so that cells that run one after the other stand together.
#[derive(Debug, Default)]
pub struct Code {
    instrs: Vec<Instr>,
    /// Scratch, then the constants.
    frame: Vec<u64>,
}

impl Code {
    /// The scratch and constants to run with.
    pub fn frame(&self) -> Vec<u64> {
        self.frame.clone()
    }
}

/// A cell's straight code, and when it may run.
#[derive(Clone, Copy, Debug)]
pub struct Straight {
    /// Bits of two tag words that must be clear: the inputs stand inline. Of more words [`Op::Check`] takes care.
    masks: [u64; 2],
    words: [u32; 2],
    /// The whole of it, where that is short.
    short: Short,
    /// Its first instruction.
    start: u32,
}

impl Straight {
    /// Of a cell that needs the general evaluator.
    pub const NONE: Straight = Straight { masks: [0; 2], words: [0; 2], short: Short::NONE, start: u32::MAX };

    /// Whether an input does not stand inline.
    #[inline(always)]
    fn is_missing(&self, row: &[u64]) -> bool {
        (row[self.words[0] as usize] & self.masks[0]) | (row[self.words[1] as usize] & self.masks[1]) != 0
    }
}

/// What straight code comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The word of the cell's value.
    Word(u64),
    /// NULL.
    Null,
    /// Only the program can tell.
    GaveUp,
}

#[cfg(test)]
mod tests;
