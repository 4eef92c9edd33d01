//! The loop that everything is about: from changed slots of one row to the cells that they change.
//!
//! Cells stand in topological order and each has a dirty bit. The lowest dirty cell runs; if its value is another than before,
//! the cells that read it become dirty; if not, the change ends there (cut-off). So a change costs the cells that it reaches, and
//! a cell runs at most once per row and epoch.

use thalweg_formulas::{Cell, InputId};
use thalweg_graph::outcome::Deltas;

use super::code::Answer;
use super::layout::{Layout, UNTOLD};
use super::pad::Moved;
use crate::state::{Raw, Rows};

/// Scratch of one region: which cells are dirty, words for straight code, how often each cell has run.
#[derive(Debug)]
pub struct Scratch {
    /// One bit a cell; all clear between rows.
    pub dirty: Vec<u64>,
    /// Straight code's scratch and constants.
    pub frame: Vec<u64>,
    /// Evaluations by cell since the start.
    pub evaluated: Vec<u64>,
}

/// Runs every dirty cell of a row, and those that become dirty by it. Gives the number of cells run. `deltas` gets the changes of
/// fields that go from word to word, `moved` the others, and all where somebody besides wants to know.
///
/// With `FROZEN`, self-references do not step: a restart has brought their values, and rows are still coming.
pub fn propagate<const FROZEN: bool>(
    layout: &Layout,
    rows: &mut Rows,
    row: u32,
    scratch: &mut Scratch,
    moved: &mut Vec<Moved>,
    mut deltas: Option<&mut Deltas>,
) -> u64 {
    let mut count = 0;
    for word in 0..layout.dirty_words {
        let mut bits = std::mem::take(&mut scratch.dirty[word]);
        while bits != 0 {
            let at = word * 64 + bits.trailing_zeros() as usize;
            let lowest = bits & bits.wrapping_neg();
            bits ^= lowest;
            if FROZEN && layout.selves[word] & lowest != 0 {
                continue;
            }
            count += 1;
            scratch.evaluated[at] += 1;
            let cell = &layout.cells[at];
            match run(layout, at, rows, row, &mut scratch.frame) {
                Ran::Same => continue,
                Ran::Word(old, new) => match &mut deltas {
                    Some(deltas) if cell.node != UNTOLD => {
                        deltas.words(cell.node, old, new);
                        if layout.tells_more {
                            moved.push(Moved { slot: cell.slot, old: Raw::inline(old), told: true });
                        }
                    }
                    _ => moved.push(Moved::new(cell.slot, Raw::inline(old))),
                },
                Ran::Other(old) => moved.push(Moved::new(cell.slot, old)),
            }
            bits |= cell.near;
            for far in &layout.far[cell.far.0 as usize..cell.far.1 as usize] {
                scratch.dirty[far.word as usize] |= far.mask;
            }
        }
    }
    count
}

/// Runs every cell of a row that has just begun to live: all must run, and nobody has seen what was there before. Gives the number of
/// cells run.
pub fn propagate_all<const FROZEN: bool>(layout: &Layout, rows: &mut Rows, row: u32, scratch: &mut Scratch) -> u64 {
    let mut count = 0;
    for at in 0..layout.cells.len() {
        if FROZEN && layout.selves[at / 64] >> (at % 64) & 1 != 0 {
            continue;
        }
        count += 1;
        scratch.evaluated[at] += 1;
        if let Ran::Other(old) = run(layout, at, rows, row, &mut scratch.frame) {
            rows.release(old);
        }
    }
    count
}

/// What a cell's run comes to.
enum Ran {
    /// The value is what it was.
    Same,
    /// From one word to another.
    Word(u64, u64),
    /// Another value; this was the content before.
    Other(Raw),
}

/// Runs one cell.
#[inline(always)]
fn run(layout: &Layout, at: usize, rows: &mut Rows, row: u32, frame: &mut [u64]) -> Ran {
    let cell = &layout.cells[at];
    let mut here = rows.row_mut(row);
    let new = match layout.code.run(&cell.straight, here.all(), frame) {
        Answer::Word(new) if here.is_inline(cell.slot) => {
            let old = here.swap(cell.slot, new);
            return if old == new { Ran::Same } else { Ran::Word(old, new) };
        }
        Answer::Word(new) => Raw::inline(new),
        Answer::Null => Raw::NULL,
        Answer::GaveUp => return run_program(layout, at, rows, row),
    };
    here.replace(cell.slot, new).map_or(Ran::Same, Ran::Other)
}

/// Runs a cell by its program, which knows NULL, errors and every type. A self-reference in error goes on from its last good value.
#[inline(never)]
fn run_program(layout: &Layout, at: usize, rows: &mut Rows, row: u32) -> Ran {
    let slot = layout.cells[at].slot;
    let own = layout.inits[at].is_some().then_some(slot);
    let input = |id: InputId| -> Cell {
        if own == Some(id.0) { Ok(rows.last_good(slot, rows.raw(row, slot))) } else { rows.cell(row, id.0) }
    };
    let value = layout.programs[at].eval(&input);
    rows.set(row, slot, value).map_or(Ran::Same, Ran::Other)
}
