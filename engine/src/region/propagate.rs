//! The loop that everything is about: from changed slots of one row to the cells that they change.
//!
//! Cells stand in topological order and each has a dirty bit. The lowest dirty cell runs; if its value is another than before,
//! the cells that read it become dirty; if not, the change ends there (cut-off). So a change costs the cells that it reaches, and
//! a cell runs at most once per row and epoch.

use thalweg_formulas::{Cell, InputId};

use super::layout::{CellCode, Layout};
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

/// Runs every dirty cell of a row, and those that become dirty by it. Gives the number of cells run; `moved` gets what changed.
/// With `FROZEN`, self-references do not step: a restart has brought their values, and rows are still coming.
pub fn propagate<const FROZEN: bool>(
    layout: &Layout,
    rows: &mut Rows,
    row: u32,
    scratch: &mut Scratch,
    moved: &mut Vec<Moved>,
) -> u64 {
    let mut count = 0;
    for word in 0..layout.dirty_words {
        let mut bits = std::mem::take(&mut scratch.dirty[word]);
        while bits != 0 {
            if FROZEN && layout.selves[word] & bits & bits.wrapping_neg() != 0 {
                bits &= bits - 1;
                continue;
            }
            let at = word * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            count += 1;
            scratch.evaluated[at] += 1;
            let cell = &layout.cells[at];
            let Some(old) = run(layout, at, cell, rows, row, &mut scratch.frame) else { continue };
            moved.push(Moved { slot: cell.slot, old });
            bits |= cell.near;
            for far in &layout.far[cell.far.0 as usize..cell.far.1 as usize] {
                scratch.dirty[far.word as usize] |= far.mask;
            }
        }
    }
    count
}

/// Runs one cell; gives its content before if that was another.
#[inline(always)]
fn run(layout: &Layout, at: usize, cell: &CellCode, rows: &mut Rows, row: u32, frame: &mut [u64]) -> Option<Raw> {
    match layout.code.run(cell.straight, rows.row(row), frame) {
        Some(new) => rows.replace(row, cell.slot, new),
        None => run_general(layout, at, rows, row),
    }
}

/// The same by the program, which knows NULL, errors and every type. A self-reference in error goes on from its last good value.
#[inline(never)]
fn run_general(layout: &Layout, at: usize, rows: &mut Rows, row: u32) -> Option<Raw> {
    let slot = layout.cells[at].slot;
    let own = layout.inits[at].is_some().then_some(slot);
    let input = |id: InputId| -> Cell {
        if own == Some(id.0) { Ok(rows.last_good(slot, rows.raw(row, slot))) } else { rows.cell(row, id.0) }
    };
    let value = layout.programs[at].eval(&input);
    rows.set(row, slot, value)
}
