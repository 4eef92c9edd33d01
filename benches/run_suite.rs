//! Question: how does Thalweg compare with what one would take instead?
//!
//! The workloads of the published tables (w2: group-by, w3: join with a hot key, w4: moving averages and top-k, Nexmark, joins after TPC-H, from a binlog
//! file to deltas, two workers, cells of one document), ours beside light peers.
//! Expected: one change is several times cheaper than by hand in differential dataflow; moving the hot key costs what any customer costs,
//! since the sums are taken before the join; cells are five times cheaper than those of `incremental`.
//!
//! `cargo bench -p thalweg-benches [-- [--json] [--quick] [FILTER]]`; the filter is a part of `workload/engine`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    thalweg_benches::suite::run(&thalweg_benches::suite::entries());
}
