//! The benchmark suite: one question a file, peers side by side.
//!
//! Every bench first checks that all contestants give the same answers, then times them in the same run, on the same rows. Figures are
//! processor time of the thread that works ([`clock`]), so that time given to a neighbour does not count; medians over many chunks. All results come
//! as rows of one [`Table`], the lost ones like the won ones. `--quick` is for a look, not for a figure to quote.
//!
//! The last results stand in `README.md`, with machine and commit.
//!
//! [`suite`] is what `cargo bench` runs: the published workloads, each contestant in a process of its own, one table.
//!
//! Next to read: [`suite`], `cells.rs`, `transactions.rs`, `backfill.rs`, `bystanders.rs`, `restart.rs`, `commit_to_webhook.rs`.

pub mod clock;
pub mod dataflow;
pub mod graphs;
pub mod recording;
pub mod suite;
mod table;

pub use table::{Table, Target, Unit};

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Figures to quote.
    Full,
    /// A look: a tenth of the rows, a few chunks.
    Quick,
}

impl Effort {
    /// `--quick` on the command line, or not.
    pub fn from_args() -> Effort {
        if std::env::args().any(|arg| arg == "--quick") { Effort::Quick } else { Effort::Full }
    }

    /// One of two sizes.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Effort::Full => full,
            Effort::Quick => quick,
        }
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// A sequence.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// The next one, from 0 up to but without `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ (mixed >> 31)) * u128::from(end)) >> 64) as u64
    }
}
