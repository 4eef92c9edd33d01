//! The loop that everything is about: from changed slots of one row to the cells that they change.
//!
//! Cells stand in topological order and each has a dirty bit. The lowest dirty cell runs; if its value is another than before,
//! the cells that read it become dirty; if not, the change ends there (cut-off). So a change costs the cells that it reaches, and
//! a cell runs at most once per row and epoch.

use thalweg_formulas::{Cell, InputId};
use thalweg_graph::outcome::Deltas;

use super::code::Answer;
use super::layout::{CellCode, Layout, UNTOLD};
use super::pad::Moved;
use crate::state::{Raw, RowMut, Rows};

/// Scratch of one region: which cells are dirty, words for straight code.
#[derive(Debug)]
pub struct Scratch {
    /// One bit a cell; all clear between rows.
    pub dirty: Vec<u64>,
    /// Straight code's scratch and constants.
    pub frame: Vec<u64>,
    /// The cells that stand still while a restart brings rows, by word of dirty bits: the self-references, less those of the row that thaw, and
    /// those that wait to be asked.
    pub frozen: Vec<u64>,
    /// The cells that wait to be asked and that a row's change has reached, by word of dirty bits.
    pub stale: Vec<u64>,
}

/// Which cells do not run though a change reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// None.
    Nothing,
    /// Those that wait to be asked.
    Waiting,
    /// Those and the self-references, which do not step: a restart has brought their values, and rows are still coming, or the errors behind them.
    Frozen,
}

/// Runs every dirty cell of a row, and those that become dirty by it. Gives the number of cells run. `deltas` gets the changes of
/// fields that go from word to word, `moved` the others, and all where somebody besides wants to know.
///
/// With `STILL`, there are cells that stand still, as `still` says; those that wait to be asked become stale.
pub fn propagate<const STILL: bool>(
    layout: &Layout,
    still: Still,
    rows: &mut Rows,
    row: u32,
    scratch: &mut Scratch,
    moved: &mut Vec<Moved>,
    deltas: Option<&mut Deltas>,
) -> u64 {
    let mut told = ToldBy { layout, moved, deltas };
    let still = if still == Still::Frozen { &scratch.frozen } else { &layout.lazy.waits };
    let mut front = Front::new(layout, still, &mut scratch.dirty, &mut scratch.stale);
    loop {
        let is_plain = rows.is_plain(row);
        let (here, frame) = (rows.row_mut(row), &mut scratch.frame);
        let other = match is_plain {
            true => stretch::<STILL, true>(layout, here, &mut front, frame, &mut told),
            false => stretch::<STILL, false>(layout, here, &mut front, frame, &mut told),
        };
        let Some(at) = other else { return front.count };
        if let Some(old) = run(layout, at, rows, row, &mut scratch.frame) {
            told.moved.push(Moved::new(layout.cells[at].slot, old));
            front.mark(&layout.cells[at]);
        }
    }
}

/// Runs dirty cells that go from word to word, one after the other; gives the first that does not.
#[inline(always)]
fn stretch<const STILL: bool, const PLAIN: bool>(
    layout: &Layout,
    mut row: RowMut<'_>,
    front: &mut Front<'_>,
    frame: &mut [u64],
    told: &mut ToldBy<'_>,
) -> Option<usize> {
    loop {
        let at = front.next::<STILL>()?;
        let cell = &layout.cells[at];
        cell.evaluated.set(cell.evaluated.get() + 1);
        let Answer::Word(new) = layout.code.run::<PLAIN>(&cell.straight, row.all(), frame) else { return Some(at) };
        let Some(old) = row.swap_inline::<PLAIN>(cell.slot, new) else { return Some(at) };
        if old != new {
            told.word(cell, old, new);
            front.mark(cell);
        }
    }
}

/// The dirty cells, lowest first.
struct Front<'a> {
    layout: &'a Layout,
    still: &'a [u64],
    dirty: &'a mut [u64],
    stale: &'a mut [u64],
    word: usize,
    bits: u64,
    /// Cells given so far.
    count: u64,
}

impl<'a> Front<'a> {
    #[inline]
    fn new(layout: &'a Layout, still: &'a [u64], dirty: &'a mut [u64], stale: &'a mut [u64]) -> Front<'a> {
        let bits = dirty.first_mut().map_or(0, std::mem::take);
        Front { layout, still, dirty, stale, word: 0, bits, count: 0 }
    }

    #[inline(always)]
    fn next<const STILL: bool>(&mut self) -> Option<usize> {
        loop {
            while self.bits == 0 {
                self.word += 1;
                self.bits = std::mem::take(self.dirty.get_mut(self.word)?);
            }
            let at = self.word * 64 + self.bits.trailing_zeros() as usize;
            let lowest = self.bits & self.bits.wrapping_neg();
            self.bits ^= lowest;
            if !STILL || self.still[self.word] & lowest == 0 {
                self.count += 1;
                return Some(at);
            }
            if self.layout.lazy.waits[self.word] & lowest != 0 {
                self.stale[self.word] |= lowest;
                // Who reads it waits as well.
                self.mark(&self.layout.cells[at]);
            }
        }
    }

    /// The cells that read this one are dirty; all of them come after it.
    #[inline(always)]
    fn mark(&mut self, cell: &CellCode) {
        self.bits |= cell.near;
        if cell.far.0 != cell.far.1 {
            for far in &self.layout.far[cell.far.0 as usize..cell.far.1 as usize] {
                self.dirty[far.word as usize] |= far.mask;
            }
        }
    }
}

/// Who is told of what a cell's run has changed.
struct ToldBy<'a> {
    layout: &'a Layout,
    moved: &'a mut Vec<Moved>,
    deltas: Option<&'a mut Deltas>,
}

impl ToldBy<'_> {
    /// A cell has gone from one word to another.
    #[inline(always)]
    fn word(&mut self, cell: &CellCode, old: u64, new: u64) {
        match &mut self.deltas {
            Some(deltas) if cell.node != UNTOLD => {
                deltas.words(cell.node, old, new);
                if self.layout.tells_more {
                    self.moved.push(Moved { slot: cell.slot, old: Raw::inline(old), told: true });
                }
            }
            _ => self.moved.push(Moved::new(cell.slot, Raw::inline(old))),
        }
    }
}

/// Runs every cell of rows that have just begun to live, but those that wait to be asked, column by column: all must run, and nobody has seen what
/// was there before. With `FROZEN`, self-references do not step. Gives the number of cells run.
pub fn propagate_births<const FROZEN: bool>(layout: &Layout, rows: &mut Rows, born: &[u32], scratch: &mut Scratch) -> u64 {
    let still = if FROZEN { &layout.lazy.still } else { &layout.lazy.waits };
    let stands = |at: &usize| still[at / 64] >> (at % 64) & 1 != 0;
    begin_cells(layout, (0..layout.cells.len()).filter(|at| !stands(at)), rows, born, scratch)
}

/// The same for these cells alone.
pub fn begin_cells(
    layout: &Layout,
    cells: impl Iterator<Item = usize>,
    rows: &mut Rows,
    born: &[u32],
    scratch: &mut Scratch,
) -> u64 {
    let mut count = 0;
    for at in cells {
        let cell = &layout.cells[at];
        count += born.len() as u64;
        cell.evaluated.set(cell.evaluated.get() + born.len() as u64);
        let mut constant = None;
        for row in born {
            let mut here = rows.row_mut(*row);
            if constant.is_some_and(|word| here.begin_inline(cell.slot, word)) {
                continue;
            }
            let answer = layout.code.run::<false>(&cell.straight, here.all(), &mut scratch.frame);
            if let (true, Answer::Word(word)) = (cell.is_constant, answer) {
                constant = Some(word);
            }
            let is_done = matches!(answer, Answer::Word(new) if here.begin_inline(cell.slot, new));
            if !is_done && let Some(old) = run(layout, at, rows, *row, &mut scratch.frame) {
                rows.release(old);
            }
        }
    }
    count
}

/// Runs one cell, whatever it comes to; gives the content before if that was another.
#[inline]
pub(super) fn run(layout: &Layout, at: usize, rows: &mut Rows, row: u32, frame: &mut [u64]) -> Option<Raw> {
    let cell = &layout.cells[at];
    let mut here = rows.row_mut(row);
    match layout.code.run::<false>(&cell.straight, here.all(), frame) {
        Answer::Word(new) => here.replace(cell.slot, Raw::inline(new)),
        Answer::Null => here.replace(cell.slot, Raw::NULL),
        Answer::GaveUp => run_program(layout, at, rows, row),
    }
}

/// Runs a cell by its program, which knows NULL, errors and every type. A self-reference in error goes on from its last good value.
#[inline(never)]
fn run_program(layout: &Layout, at: usize, rows: &mut Rows, row: u32) -> Option<Raw> {
    let slot = layout.cells[at].slot;
    let own = layout.inits[at].is_some().then_some(slot);
    let input = |id: InputId| -> Cell {
        if own == Some(id.0) { Ok(rows.last_good(slot, rows.raw(row, slot))) } else { rows.cell(row, id.0) }
    };
    let value = layout.programs[at].eval(&input);
    rows.set(row, slot, value)
}
