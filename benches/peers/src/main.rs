//! Question: how does Thalweg compare with `dbsp`, the engine of Feldera?
//!
//! The suite with `dbsp` beside ours and the light peers: the same workloads, the same harness, one table. Expected: one change costs a tenth or
//! less, since a circuit's step has a fixed price; large steps are near each other.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- [--json] [--quick] [FILTER]`

mod circuits;
mod nexmark;

use thalweg_benches::suite::workloads::{w2, w3, w4b};
use thalweg_benches::suite::{Entry, entries, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut all = entries();
    all.extend([
        Entry::new("w2", "dbsp", |runner, size| w2(runner, size, |_| circuits::w2(1))),
        Entry::new("w3", "dbsp", |runner, size| w3(runner, size, |_| circuits::w3(1))),
        Entry::new("w3", "dbsp-push", |runner, size| w3(runner, size, |_| circuits::w3_pushed(1))),
        Entry::new("w4b", "dbsp", |runner, size| w4b(runner, size, |_| circuits::w4b())),
        Entry::new("w2-2workers", "dbsp", |runner, size| w2(runner, size, |_| circuits::w2(2))),
        Entry::new("w3-2workers", "dbsp", |runner, size| w3(runner, size, |_| circuits::w3(2))),
    ]);
    all.extend(nexmark::entries());
    // So that a table has its engines together; ours come first, in their order.
    let order: Vec<&str> = all.iter().map(|entry| entry.workload).collect();
    all.sort_by_key(|entry| order.iter().position(|workload| *workload == entry.workload));
    run(&all);
}
