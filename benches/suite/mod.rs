//! The suite: the workloads of the published tables, ours beside the peers, one table at the end.
//!
//! Each contestant is this very program started again, so `run` takes over `main`: it looks at its arguments, and is either the parent, which
//! starts one contestant after the other and collects their figures, or one of them.
//!
//! Next to read: [`workloads`], what is run; [`harness`], how it is measured; [`ours`], the graphs.

mod binlog;
pub mod cells;
pub mod data;
pub mod differential;
pub mod flow;
pub mod harness;
pub mod nexmark;
pub mod ours;
mod report;
pub mod tpch;
pub mod workloads;

use std::process::{Command, Stdio};

use self::harness::{Figure, Runner};
use self::ours::Ours;
use self::workloads::{Size, w2, w3, w4a, w4b};

/// One contestant of one workload.
pub struct Entry {
    /// `w2`.
    pub workload: &'static str,
    /// `thalweg`.
    pub engine: &'static str,
    run: Box<Run>,
}

/// Runs all phases.
type Run = dyn Fn(Runner<'_>, Size);

impl Entry {
    /// `run` runs all phases.
    pub fn new(workload: &'static str, engine: &'static str, run: impl Fn(Runner<'_>, Size) + 'static) -> Entry {
        Entry { workload, engine, run: Box::new(run) }
    }

    /// Runs all phases, and hands over each figure as it is there.
    fn run(&self, size: Size, take: &mut dyn FnMut(Figure)) {
        (self.run)(Runner { workload: self.workload, engine: self.engine, take }, size);
    }

    fn print(&self, size: Size) {
        self.run(size, &mut |figure| println!("{}", figure.json()));
    }
}

/// Ours and the light peers.
pub fn entries() -> Vec<Entry> {
    let mut all = vec![
        Entry::new("w2", "thalweg", |runner, size| w2(runner, size, |orders| Ours::w2(orders, 1))),
        Entry::new("w2", "differential", |runner, size| w2(runner, size, |_| differential::w2(1))),
        Entry::new("w3", "thalweg", |runner, size| w3(runner, size, |_| Ours::w3(1))),
        Entry::new("w3", "differential", |runner, size| w3(runner, size, |_| differential::w3(1))),
        Entry::new("w3", "differential-push", |runner, size| w3(runner, size, |_| differential::w3_pushed(1))),
        Entry::new("w4a", "thalweg", |runner, size| w4a(runner, size, Ours::w4a)),
        Entry::new("w4a", "differential", |runner, size| w4a(runner, size, differential::w4a)),
        Entry::new("w4b", "thalweg", |runner, size| w4b(runner, size, Ours::w4b)),
        Entry::new("w4b", "differential", |runner, size| w4b(runner, size, differential::w4b)),
        Entry::new("w4b", "differential-layers", |runner, size| w4b(runner, size, differential::w4b_layers)),
        Entry::new("w2-2workers", "thalweg", |runner, size| w2(runner, size, |orders| Ours::w2(orders, 2))),
        Entry::new("w2-2workers", "differential", |runner, size| w2(runner, size, |_| differential::w2(2))),
        Entry::new("w3-2workers", "thalweg", |runner, size| w3(runner, size, |_| Ours::w3(2))),
        Entry::new("w3-2workers", "differential", |runner, size| w3(runner, size, |_| differential::w3(2))),
    ];
    all.extend(nexmark::entries());
    all.extend(tpch::entries());
    all.extend(binlog::entries());
    all.extend(cells::entries());
    all
}

/// `[--json] [--quick] [FILTER]`: runs the entries whose `workload/engine` holds the filter, and prints the table (or the JSON lines).
///
/// Exits with 1 if an answer is wrong or a contestant fails.
pub fn run(entries: &[Entry]) {
    // What `cargo bench` adds.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let size = if has("--quick") { Size::Quick } else { Size::Full };
    if let [.., flag, workload, engine] = &args[..]
        && flag == "--one"
    {
        let entry = entries.iter().find(|entry| entry.workload == workload && entry.engine == engine);
        return entry.map_or_else(|| fail(&format!("there is no {workload}/{engine}")), |entry| entry.print(size));
    }
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    let wanted =
        |entry: &&Entry| filter.is_none_or(|filter| format!("{}/{}", entry.workload, entry.engine).contains(filter.as_str()));
    let mut figures: Vec<Figure> = Vec::new();
    let mut failed = false;
    for entry in entries.iter().filter(wanted) {
        match one(entry, size) {
            Ok(new) => {
                new.iter().for_each(
                    |figure| if has("--json") { println!("{}", figure.json()) } else { eprintln!("{}", figure.json()) },
                );
                failed |= new.iter().any(|figure| !figure.check);
                figures.extend(new);
            }
            Err(why) => {
                eprintln!("{}/{}: {why}", entry.workload, entry.engine);
                failed = true;
            }
        }
    }
    if !has("--json") {
        print!("{}", report::table(&figures, size));
    }
    if failed {
        fail("an answer is wrong, or a contestant has failed");
    }
}

/// A contestant in a process of its own.
fn one(entry: &Entry, size: Size) -> Result<Vec<Figure>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    if size == Size::Quick {
        command.arg("--quick");
    }
    let output = command.args(["--one", entry.workload, entry.engine]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Figure::parse).collect())
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A contestant that walks a chain of a thousand cells by recursion needs room for it where nothing is optimised.
    const STACK: usize = 256 << 20;

    #[test]
    fn every_contestant_has_the_right_answer_after_every_phase() {
        let all = std::thread::Builder::new().stack_size(STACK).spawn(|| {
            let mut phases = 0;
            for entry in entries() {
                entry.run(Size::Tiny, &mut |figure| {
                    assert!(figure.check, "{}/{}: {} is wrong", figure.workload, figure.engine, figure.phase);
                    phases += 1;
                });
            }
            phases
        });
        let phases = all.expect("a thread can be started").join().expect("every answer is right");
        assert!(phases > 60, "{phases}");
    }
}
