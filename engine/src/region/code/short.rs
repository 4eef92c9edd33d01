//! The usual cell: one or two operations on words of the row and constants, as one function that is chosen when the code is made.
//!
//! It saves what the loop over instructions costs: finding each, and finding where its operands are. What has another shape, jumps or
//! more operations, is left to that loop; both take the meaning of an operation from [`super::ops`].

use std::marker::PhantomData;

use super::ops::{self, Flipped, Operation};
use super::{ANSWER, CONSTANT, Instr, KEPT, LAST, Op};

/// What is made of an operation, of those that are named; flipped if the second is `true`.
macro_rules! choose {
    ($operation:expr, $($name:ident)* => $made:expr) => {
        match $operation {
            $(
                (Op::$name, false) => $made.of::<ops::$name>(),
                (Op::$name, true) => $made.of::<Flipped<ops::$name>>(),
            )*
            _ => None,
        }
    };
}

/// How a short cell is run; `None`: only the program can tell.
type Run = fn(&Short, &[u64]) -> Option<u64>;

/// A cell of one or two operations.
#[derive(Clone, Copy, Debug)]
pub struct Short {
    /// Nothing if the cell has another shape.
    pub run: Option<Run>,
    /// The word of the row that is the first operand; those of the next two, or beyond the row.
    operands: [u32; 3],
    /// The next two operands, where they are not in the row.
    constants: [u64; 2],
}

/// Where an operand stands.
#[derive(Clone, Copy)]
enum Place {
    Row(u32),
    Constant(u64),
}

impl Place {
    /// The word of the row, or one beyond every row, and the constant.
    fn split(self) -> (u32, u64) {
        match self {
            Place::Row(at) => (at, 0),
            Place::Constant(word) => (u32::MAX, word),
        }
    }
}

/// What the operands of instructions stand for: the first `words` are the row's, then comes the frame.
pub struct Places<'a> {
    /// Words of a row.
    pub words: u32,
    /// Words of scratch, with which the frame begins.
    pub scratch: u32,
    /// The constants behind it.
    pub constants: &'a [u64],
}

impl Places<'_> {
    fn of(&self, operand: u32, constant: u64) -> Option<Place> {
        match operand {
            at if at < self.words => Some(Place::Row(at)),
            CONSTANT => Some(Place::Constant(constant)),
            LAST => None,
            at => self.constants.get(at.checked_sub(self.words + self.scratch)? as usize).copied().map(Place::Constant),
        }
    }

    /// The operands of an instruction so that the first is in the row; `true`: they have changed places.
    fn row_first(&self, instr: &Instr) -> Option<(u32, Place, bool)> {
        match (self.of(instr.a, instr.constant)?, self.of(instr.b, instr.constant)?) {
            (Place::Row(a), b) => Some((a, b, false)),
            (a, Place::Row(b)) => Some((b, a, true)),
            _ => None,
        }
    }
}

impl Short {
    /// Of a cell of another shape.
    pub const NONE: Short = Short { run: None, operands: [0; 3], constants: [0; 2] };

    /// The short form of a cell's instructions.
    pub fn of(code: &[Instr], places: &Places<'_>) -> Short {
        match code {
            [only] if only.out == ANSWER => Short::one(only, places),
            [first, second] if first.out == KEPT && second.out == ANSWER => Short::two(first, second, places),
            _ => None,
        }
        .unwrap_or(Short::NONE)
    }

    fn one(only: &Instr, places: &Places<'_>) -> Option<Short> {
        let (a, b, is_flipped) = places.row_first(only)?;
        let (b, constant) = b.split();
        Some(Short { run: Some(run_one(only.op, is_flipped)?), operands: [a, b, 0], constants: [constant, 0] })
    }

    fn two(first: &Instr, second: &Instr, places: &Places<'_>) -> Option<Short> {
        let (a, b, is_flipped) = places.row_first(first)?;
        let (c, comes_second) = match (second.a, second.b) {
            (LAST, b) => (places.of(b, second.constant)?, false),
            (a, LAST) => (places.of(a, second.constant)?, true),
            _ => return None,
        };
        let ((b, for_b), (c, for_c)) = (b.split(), c.split());
        let run = run_two((first.op, is_flipped), (second.op, comes_second))?;
        Some(Short { run: Some(run), operands: [a, b, c], constants: [for_b, for_c] })
    }

    #[inline(always)]
    fn first(&self, row: &[u64]) -> Option<u64> {
        row.get(self.operands[0] as usize).copied()
    }

    #[inline(always)]
    fn second(&self, row: &[u64]) -> u64 {
        row.get(self.operands[1] as usize).copied().unwrap_or(self.constants[0])
    }

    #[inline(always)]
    fn third(&self, row: &[u64]) -> u64 {
        row.get(self.operands[2] as usize).copied().unwrap_or(self.constants[1])
    }
}

/// `a op b`.
fn one<O: Operation>(cell: &Short, row: &[u64]) -> Option<u64> {
    O::of(cell.first(row)?, cell.second(row))
}

/// `(a op b) op c`.
fn two<O: Operation, P: Operation>(cell: &Short, row: &[u64]) -> Option<u64> {
    P::of(O::of(cell.first(row)?, cell.second(row))?, cell.third(row))
}

/// What is made of an operation, once it is a type.
trait Made {
    fn of<O: Operation>(self) -> Option<Run>;
}

/// A cell of this operation alone.
struct One;

impl Made for One {
    fn of<O: Operation>(self) -> Option<Run> {
        Some(one::<O>)
    }
}

/// A cell of this operation and then another.
struct First((Op, bool));

impl Made for First {
    fn of<O: Operation>(self) -> Option<Run> {
        choose!(self.0, AddI SubI MulI LtI LeI AddF SubF MulF DivF LtF LeF => Then::<O>(PhantomData))
    }
}

/// A cell of `O` and then this operation.
struct Then<O>(PhantomData<O>);

impl<O: Operation> Made for Then<O> {
    fn of<P: Operation>(self) -> Option<Run> {
        Some(two::<O, P>)
    }
}

fn run_one(op: Op, is_flipped: bool) -> Option<Run> {
    choose!((op, is_flipped), AddI SubI MulI DivI RemI NegI AddU SubU MulU DivU RemU AddF SubF MulF DivF RemF NegF IntToDouble
        IntToDoubleExact UintToDouble UintToInt Eq Ne EqF NeF LtI LeI LtU LeU LtF LeF And Or Not Copy => One)
}

fn run_two(first: (Op, bool), second: (Op, bool)) -> Option<Run> {
    choose!(first, AddI SubI MulI AddF SubF MulF DivF IntToDouble => First(second))
}
