//! The loop that everything is about: from changed slots of one row to the cells that they change.
//!
//! Cells stand in topological order and each has a dirty bit. The lowest dirty cell runs; if its value is another than before,
//! the cells that read it become dirty; if not, the change ends there (cut-off). So a change costs the cells that it reaches, and
//! a cell runs at most once per row and epoch.

use thalweg_formulas::eval::Program;
use thalweg_formulas::{Cell, InputId, Value};

use super::layout::{Body, CellCode, Layout};
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
            let cell = &layout.cells[at];
            count += 1;
            scratch.evaluated[at] += 1;
            let Some(old) = run(cell, rows, row, &mut scratch.frame) else { continue };
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
#[inline]
fn run(cell: &CellCode, rows: &mut Rows, row: u32, frame: &mut [u64]) -> Option<Raw> {
    match &cell.body {
        Body::Straight(code, program) => match code.run(rows.row(row), frame) {
            Some(new) => {
                let old = rows.raw(row, cell.slot);
                (new != old).then(|| {
                    rows.put(row, cell.slot, new);
                    old
                })
            }
            None => run_general(cell, program, rows, row),
        },
        Body::General(program) => run_general(cell, program, rows, row),
    }
}

fn run_general(cell: &CellCode, program: &Program, rows: &mut Rows, row: u32) -> Option<Raw> {
    let value = evaluate(cell, program, rows, row);
    rows.set(row, cell.slot, value)
}

/// A cell's value on the row as it is. A self-reference in error goes on from its last good value.
pub fn evaluate(cell: &CellCode, program: &Program, rows: &Rows, row: u32) -> Cell {
    let own = cell.init.is_some().then_some(cell.slot);
    program.eval(&|id: InputId| match own {
        Some(slot) if slot == id.0 => Ok::<Value, _>(rows.last_good(slot, rows.raw(row, slot))),
        _ => rows.cell(row, id.0),
    })
}
