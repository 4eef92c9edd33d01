//! Running straight code.

use super::ops::{self, Operation};
use super::{ANSWER, Answer, CONSTANT, Code, Instr, LAST, Op, Straight};

impl Code {
    /// Runs a cell on the words of a row. With `PLAIN`, every slot of the row stands inline.
    #[inline(always)]
    pub fn run<const PLAIN: bool>(&self, cell: &Straight, row: &[u64], frame: &mut [u64]) -> Answer {
        if !PLAIN && cell.is_missing(row) {
            return Answer::GaveUp;
        }
        match cell.short.run {
            Some(run) => run(&cell.short, row).map_or(Answer::GaveUp, Answer::Word),
            None => self.run_from(cell.start, row, frame).unwrap_or(Answer::GaveUp),
        }
    }

    /// Runs the instructions from `start`.
    #[inline(always)]
    pub(super) fn run_from(&self, start: u32, row: &[u64], frame: &mut [u64]) -> Option<Answer> {
        let mut at = start as usize;
        let mut last = 0;
        loop {
            let instr = self.instrs.get(at)?;
            at += 1;
            let (a, b) = (first(instr, row, frame, last), second(instr, row, frame, last));
            let word = match instr.op {
                Op::AddI => ops::AddI::of(a, b)?,
                Op::SubI => ops::SubI::of(a, b)?,
                Op::MulI => ops::MulI::of(a, b)?,
                Op::DivI => ops::DivI::of(a, b)?,
                Op::RemI => ops::RemI::of(a, b)?,
                Op::NegI => ops::NegI::of(a, b)?,
                Op::AddU => ops::AddU::of(a, b)?,
                Op::SubU => ops::SubU::of(a, b)?,
                Op::MulU => ops::MulU::of(a, b)?,
                Op::DivU => ops::DivU::of(a, b)?,
                Op::RemU => ops::RemU::of(a, b)?,
                Op::AddF => ops::AddF::of(a, b)?,
                Op::SubF => ops::SubF::of(a, b)?,
                Op::MulF => ops::MulF::of(a, b)?,
                Op::DivF => ops::DivF::of(a, b)?,
                Op::RemF => ops::RemF::of(a, b)?,
                Op::NegF => ops::NegF::of(a, b)?,
                Op::IntToDouble => ops::IntToDouble::of(a, b)?,
                Op::IntToDoubleExact => ops::IntToDoubleExact::of(a, b)?,
                Op::UintToDouble => ops::UintToDouble::of(a, b)?,
                Op::UintToInt => ops::UintToInt::of(a, b)?,
                Op::Eq => ops::Eq::of(a, b)?,
                Op::Ne => ops::Ne::of(a, b)?,
                Op::EqF => ops::EqF::of(a, b)?,
                Op::NeF => ops::NeF::of(a, b)?,
                Op::LtI => ops::LtI::of(a, b)?,
                Op::LeI => ops::LeI::of(a, b)?,
                Op::LtU => ops::LtU::of(a, b)?,
                Op::LeU => ops::LeU::of(a, b)?,
                Op::LtF => ops::LtF::of(a, b)?,
                Op::LeF => ops::LeF::of(a, b)?,
                Op::And => ops::And::of(a, b)?,
                Op::Or => ops::Or::of(a, b)?,
                Op::Not => ops::Not::of(a, b)?,
                Op::Copy => ops::Copy::of(a, b)?,
                Op::Select => {
                    if last == 0 {
                        b
                    } else {
                        a
                    }
                }
                Op::Jump => {
                    at = instr.out as usize;
                    continue;
                }
                Op::Unless => {
                    if a == 0 {
                        at = instr.out as usize;
                    }
                    continue;
                }
                Op::Check if a & b == 0 => continue,
                Op::Check => return None,
                Op::Null => return Some(Answer::Null),
            };
            if instr.out == ANSWER {
                return Some(Answer::Word(word));
            }
            if let Some(place) = frame.get_mut(instr.out as usize) {
                *place = word;
            }
            last = word;
        }
    }
}

#[inline(always)]
fn first(instr: &Instr, row: &[u64], frame: &[u64], last: u64) -> u64 {
    match row.get(instr.a as usize) {
        Some(word) => *word,
        None if instr.a == LAST => last,
        None => frame[instr.a as usize - row.len()],
    }
}

#[inline(always)]
fn second(instr: &Instr, row: &[u64], frame: &[u64], last: u64) -> u64 {
    match row.get(instr.b as usize) {
        Some(word) => *word,
        None if instr.b == CONSTANT => instr.constant,
        None if instr.b == LAST => last,
        None => frame[instr.b as usize - row.len()],
    }
}
