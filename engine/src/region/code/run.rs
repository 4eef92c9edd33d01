//! Running straight code.

use super::{ANSWER, Answer, Code, LAST, NOWHERE, Op, Straight};

impl Code {
    /// Runs a cell on the words of a row.
    #[inline(always)]
    pub fn run(&self, cell: &Straight, row: &[u64], frame: &mut [u64]) -> Answer {
        if cell.tags(row) != 0 || cell.start == NOWHERE {
            return Answer::GaveUp;
        }
        self.run_from(cell.start, row, frame).unwrap_or(Answer::GaveUp)
    }

    #[inline(always)]
    fn run_from(&self, start: u32, row: &[u64], frame: &mut [u64]) -> Option<Answer> {
        let mut at = start as usize;
        let mut last = 0;
        loop {
            let instr = self.instrs[at];
            at += 1;
            let a = operand(row, frame, last, instr.a);
            let b = operand(row, frame, last, instr.b);
            let word = match instr.op {
                Op::AddI => (a as i64).checked_add(b as i64)? as u64,
                Op::SubI => (a as i64).checked_sub(b as i64)? as u64,
                Op::MulI => (a as i64).checked_mul(b as i64)? as u64,
                Op::DivI => (a as i64).checked_div(b as i64)? as u64,
                Op::RemI => if b == 0 { None } else { Some((a as i64).wrapping_rem(b as i64)) }? as u64,
                Op::NegI => (a as i64).checked_neg()? as u64,
                Op::AddU => a.checked_add(b)?,
                Op::SubU => a.checked_sub(b)?,
                Op::MulU => a.checked_mul(b)?,
                Op::DivU => a.checked_div(b)?,
                Op::RemU => a.checked_rem(b)?,
                Op::AddF => double(f64::from_bits(a) + f64::from_bits(b)),
                Op::SubF => double(f64::from_bits(a) - f64::from_bits(b)),
                Op::MulF => double(f64::from_bits(a) * f64::from_bits(b)),
                Op::DivF => double(f64::from_bits(a) / f64::from_bits(b)),
                Op::RemF => double(f64::from_bits(a) % f64::from_bits(b)),
                Op::NegF => double(-f64::from_bits(a)),
                Op::IntToDouble => (a as i64 as f64).to_bits(),
                Op::IntToDoubleExact => exact(a as i64)?,
                Op::UintToDouble => (a as f64).to_bits(),
                Op::UintToInt => i64::try_from(a).ok()? as u64,
                Op::Eq => u64::from(a == b),
                Op::Ne => u64::from(a != b),
                Op::EqF => u64::from(equal(a, b)),
                Op::NeF => u64::from(!equal(a, b)),
                Op::LtI => u64::from((a as i64) < b as i64),
                Op::LeI => u64::from(a as i64 <= b as i64),
                Op::LtU => u64::from(a < b),
                Op::LeU => u64::from(a <= b),
                Op::LtF => u64::from(below(a, b)),
                Op::LeF => u64::from(!below(b, a)),
                Op::And => a & b,
                Op::Or => a | b,
                Op::Not => a ^ 1,
                Op::Copy => a,
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
            frame[instr.out as usize] = word;
            last = word;
        }
    }
}

#[inline(always)]
fn operand(row: &[u64], frame: &[u64], last: u64, at: u32) -> u64 {
    match row.get(at as usize) {
        Some(word) => *word,
        None if at == LAST => last,
        None => frame[at as usize - row.len()],
    }
}

#[inline]
fn double(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

#[inline]
fn equal(a: u64, b: u64) -> bool {
    let (a, b) = (f64::from_bits(a), f64::from_bits(b));
    a == b || (a.is_nan() && b.is_nan())
}

#[inline]
fn below(a: u64, b: u64) -> bool {
    let (a, b) = (f64::from_bits(a), f64::from_bits(b));
    a < b || (b.is_nan() && !a.is_nan())
}

/// An int as a double, where no digit is lost for certain.
#[inline]
fn exact(x: i64) -> Option<u64> {
    (x.unsigned_abs() <= 1 << 53).then_some((x as f64).to_bits())
}
