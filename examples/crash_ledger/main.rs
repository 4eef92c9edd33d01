//! The proof that nothing is lost: a daemon on a real MariaDB is killed again and again, at random moments and at the n-th write or sync,
//! with its disk full, its syncs failing, its connections cut, the watched table altered, its definition changed and old logs purged, while writers commit. A checker, a process of its own, then compares the writers' ledger with what the receivers logged, what stands in the sink's table, and
//! what the command line tells.
//!
//! `cargo run --release --example crash_ledger -- --kills 50 --seed 1`. The last line is the result as JSON; `lost` and
//! `duplicated_idempotent` must be 0, and the exit code is 1 where anything is wrong. The seed settles what the nemesis and the writers do and when they
//! mean to do it; the machine's own timing plays a part too.

mod checker;
mod nemesis;
mod receivers;
mod scene;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use thalweg_testkit::{Daemon, MariaDb, require};

use nemesis::{Nemesis, Random};
use receivers::Receivers;
use scene::Scene;
use writers::Writers;

/// Writers beside each other.
const WRITERS: i64 = 4;
/// A writer's pause between two transactions.
const PAUSE: Duration = Duration::from_millis(15);
/// Deliveries of which not one goes for so long are stuck.
const STUCK: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [check, folder] = &args[..]
        && check == "check"
    {
        return checker::main(&PathBuf::from(folder));
    }
    let number = |name: &str, default: u64| match args.iter().position(|arg| arg == name) {
        None => Some(default),
        Some(at) => args.get(at + 1).and_then(|text| text.parse().ok()),
    };
    match (number("--kills", 50), number("--seed", 1)) {
        (Some(kills), Some(seed)) if args.len().is_multiple_of(2) => run(kills, seed),
        _ => {
            eprintln!("usage: crash_ledger [--kills N] [--seed S]");
            ExitCode::from(2)
        }
    }
}

fn run(kills: u64, seed: u64) -> ExitCode {
    if !require() {
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let mut server = MariaDb::start();
    server.exec(scene::TABLES);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built");
    let receivers = runtime.block_on(Receivers::start());
    let scene = Scene::new(&server.url(), &receivers, kills, seed);
    let mut random = Random::new(seed);
    let mut nemesis = Nemesis::new();
    // The first start reads empty tables; from then on the writers write.
    scene.run_until_idle("0.3");
    let writers = Writers::start(&runtime, &server.url(), WRITERS, PAUSE, &mut random);
    for kill in 1..=kills {
        scene.configure(1 + random.below(2), random.below(2));
        receivers.behave(&mut random);
        let ended = nemesis.strike(&scene, &mut server, &mut random);
        scene::assert_struck(&ended, kill);
        if kill.is_multiple_of(50) {
            eprintln!("{kill} kills after {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
    let in_doubt = writers.stop(&runtime);
    receivers.relent();
    settle(&scene);
    receivers.log(&scene.folder());
    eprintln!("{nemesis}, {in_doubt} transactions whose answer was lost, {:.0} s", begun.elapsed().as_secs_f64());
    let checked = scene.check();
    drop(server);
    if checked.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs, undisturbed, until no delivery waits; what piled up behind the receiver that lies takes its time.
fn settle(scene: &Scene) {
    let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
    daemon.until_said(": live");
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let listed = scene.thalweg(&["effects", "ls", "--state", "pending", "--limit", "1000000000", "--json"]).output();
        let listed = listed.expect("the binary runs").stdout;
        let pending = listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        if pending == 0 {
            break;
        }
        if pending < least {
            (least, since) = (pending, Instant::now());
        }
        let first = listed.split(|byte| *byte == b'\n').next().unwrap_or_default();
        assert!(
            since.elapsed() < STUCK,
            "{pending} deliveries wait, the first: {}\n{}",
            String::from_utf8_lossy(first),
            daemon.said()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    daemon.stop().well();
    scene.run_until_idle("1");
}
