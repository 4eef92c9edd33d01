//! A region: the rows of one table at one level, and everything that depends on a row alone.
//!
//! An epoch goes through a region in three moves: **fold** ([`fold`]) writes what came into the rows and remembers what they held;
//! **propagate** ([`propagate`]) runs the cells that this reaches; **emit** ([`emit`]) tells everybody who wants to know. The rows
//! of an epoch do not see each other, so their order does not matter.
//!
//! Two usual epochs are shorter: one that is a plain update of one row ([`update`]), and one that only others tell of ([`notes`]). There
//! each row is settled at once.
//!
//! Next to read: [`propagate`], the loop.

pub mod adopt;
mod aggregates;
mod ahead;
mod arrivals;
mod births;
pub mod closing;
pub mod code;
mod emit;
pub mod ends;
mod families;
mod fill;
mod fold;
mod images;
pub mod layout;
pub mod lazy;
mod members;
pub mod moments;
mod notes;
pub mod pad;
pub mod propagate;
mod reactions;
mod restart;
mod run;
mod update;
mod view;

use std::sync::Arc;

use hashbrown::HashMap;
use thalweg_formulas::Value;

use crate::edges::members::Members;
use crate::intake::RowMap;
use crate::state::{Bits, Rows};
use aggregates::Aggregates;
use closing::{Freezer, Gate};
use layout::Layout;
use lazy::Fresh;
use moments::Clocks;
use pad::{Moved, Pad};
use propagate::Scratch;
pub use reactions::Reactions;

/// Rows of one table at one level, on one worker.
pub struct Region {
    /// What it is.
    pub layout: Layout,
    rows: Rows,
    alive: Bits,
    living: u64,
    aggregates: Aggregates,
    home: Option<Home>,
    pad: Pad,
    scratch: Scratch,
    moved: Vec<Moved>,
    /// Scratch of a fill: rows that begin together.
    born: Vec<u32>,
    /// Scratch of an update: what it writes.
    news: Vec<update::New>,
    /// By slot that is no cell: how many changes of living rows wrote it.
    touched: Vec<u64>,
    births_and_deaths: u64,
    /// After a restart: cells by row that must step once all rows are there.
    thawing: HashMap<u32, Vec<u32>>,
    /// What of the cells that wait to be asked is computed.
    fresh: Fresh,
    /// Who waits for the clock.
    clocks: Clocks,
    /// Documents that do not change any more, where there are such.
    freezer: Option<Freezer>,
    /// Rows of a large staged epoch that are being settled.
    settling: Option<run::Settling>,
    /// While a plan takes the place of another: what stands behind errors by the names of slots.
    heirs: adopt::Heirs,
}

/// What only the region has that takes its table's row changes.
pub struct Home {
    /// Every row by column name, where somebody needs whole rows.
    pub whole: Option<Vec<Option<Arc<RowMap>>>>,
    /// Changed columns are told as deltas (`--state`).
    pub tells_columns: bool,
    /// How many rows of each value there are, for a table without a key.
    pub occurrences: HashMap<Box<[Value]>, u64>,
    /// Reactions on the table.
    pub reactions: Reactions,
    /// Rows in each document, of a derived table.
    pub members: Members,
    /// How its documents end by a watermark, if they do.
    pub gate: Option<Gate>,
}
