//! The memory plan: every buffer's place in one arena, reused as soon as its last reader is done.
//!
//! - INV-TENSOR-ARENA: buffers that are needed at the same time share no place.

use super::instruction::Instruction;
use std::ops::Range;

/// A buffer before it has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub len: usize,
    /// Kept from run to run, or read after it.
    pub lasting: bool,
}

/// Places are multiples of this many elements: 64 bytes of singles.
const ALIGNED: usize = 16;

/// Where each buffer lies, and how long the arena is.
pub(crate) fn plan(wanted: &[Wanted], instructions: &[Instruction]) -> (Vec<Range<usize>>, usize) {
    let mut lives: Vec<Option<(usize, usize)>> = wanted.iter().map(|w| w.lasting.then_some((0, usize::MAX))).collect();
    for (i, instruction) in instructions.iter().enumerate() {
        for buf in instruction.writes().into_iter().chain(instruction.reads()) {
            if !wanted[buf.at()].lasting {
                let (first, _) = lives[buf.at()].unwrap_or((i, i));
                lives[buf.at()] = Some((first, i));
            }
        }
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(wanted[i].len));
    let mut places: Vec<Range<usize>> = vec![0..0; wanted.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for i in order {
        let Some(life) = lives[i] else { continue };
        let mut taken: Vec<Range<usize>> =
            placed.iter().filter(|&&j| meets(life, lives[j])).map(|&j| places[j].clone()).collect();
        taken.sort_by_key(|range| range.start);
        let len = wanted[i].len;
        let mut start = 0;
        for range in taken {
            if start + len <= range.start {
                break;
            }
            start = start.max(range.end.next_multiple_of(ALIGNED));
        }
        places[i] = start..start + len;
        end = end.max(start + len);
        placed.push(i);
    }
    (places, end)
}

fn meets(a: (usize, usize), b: Option<(usize, usize)>) -> bool {
    b.is_some_and(|b| a.0 <= b.1 && b.0 <= a.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::instruction::Buf;

    #[test]
    fn a_place_is_reused_once_its_last_reader_is_done() {
        let moved = |from, to| Instruction::Place { from: Buf(from), to: Buf(to), block: 1, step: 1, at: 0 };
        let wanted = [(20, true), (20, false), (20, false), (20, false)].map(|(len, lasting)| Wanted { len, lasting });
        let (places, end) = plan(&wanted, &[moved(0, 1), moved(1, 2), moved(2, 3)]);
        assert_eq!(places, [0..20, 32..52, 64..84, 32..52]);
        assert_eq!(end, 84);
    }
}
