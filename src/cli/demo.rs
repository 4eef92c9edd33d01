//! `thalweg demo`: a live graph over a made-up shop. No database, no network beyond this machine, nothing left behind.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use thalweg::config::{Config, Environment, SourceText};
use thalweg::runtime;
use thalweg::runtime::launch::{Launch, setup};
use thalweg::runtime::status::Report;
use thalweg_sinks::receiver::Receiver;
use tokio::sync::watch;

use super::run::{cannot_begin, failed, in_runtime, interrupted, seconds};
use super::{Console, Exit, Failure, definition};

/// See it work: a made-up shop, derived fields, webhooks, timers
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg demo
  thalweg demo --seconds 10 --json

Exit: 0, or 1 if no delta, no delivery or no timer was seen")]
pub struct DemoArgs {
    /// End after so many seconds; without, at Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// A JSON line a second, and a last one with the totals, on stdout
    #[arg(long)]
    json: bool,
    /// Keep the data here; without, in a temporary directory that is removed
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The definition that it runs: an example to read.
const DEFINITION: &str = include_str!("demo.toml");

/// The receiver's signing secret; it lives as long as the demo does.
const SECRET: &str = "whsec_dGhhbHdlZy1kZW1vLXJlY2VpdmVyLWtleQ==";

pub fn run(args: &DemoArgs, console: &mut Console) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let mut config = Config::parse(SourceText::new("demo.toml".to_owned(), DEFINITION.to_owned()), &Environment::of([]))
        .map_err(Failure::Findings)?;
    config.egress.allow = vec!["127.0.0.0/8".to_owned()];
    let (plan, _) = definition::plan(&config, &[]).map_err(Failure::Findings)?;
    if !args.json {
        console.say(&format!(
            "thalweg {} · demo \"{}\" · nothing to install, nothing left behind",
            env!("CARGO_PKG_VERSION"),
            config.app.name
        ));
        console.say(&format!(
            "  ✔ {} tables, {} formulas, {} effects and reactions checked in {} ms",
            plan.tables.len(),
            plan.fields.len(),
            plan.effects.len() + plan.reactions.len(),
            begun.elapsed().as_millis()
        ));
    }
    let directory = Directory::new(args.data.clone())?;
    let report = in_runtime(live(args, config, directory.path.clone(), console))?;
    let seen = report.totals.deltas > 0 && report.outbox.acked > 0;
    if args.json {
        console.data(&format!("{}\n", totals(&report)))?;
    } else {
        console.say(&format!(
            "  {} transactions, {} deltas, {} effects fired, {} delivered and verified",
            report.totals.transactions, report.totals.deltas, report.outbox.fired, report.outbox.acked
        ));
        console.next("thalweg graph src/cli/demo.toml --format mermaid");
    }
    Ok(if seen { Exit::Ok } else { Exit::Failed })
}

async fn live(args: &DemoArgs, mut config: Config, data: PathBuf, console: &mut Console) -> Result<Report, Failure> {
    let receiver = Receiver::start("127.0.0.1:0", SECRET).await?;
    config.http.listen = Some(free_address().await);
    let hook = receiver.url();
    let secrets = Arc::new(move |name: &str| match name {
        "DEMO_HOOK" => Ok(hook.clone()),
        "DEMO_SECRET" => Ok(SECRET.to_owned()),
        other => Err(format!("`{other}` is not set")),
    });
    let (stop, stopped) = watch::channel(false);
    let launch = Launch { config: config.clone(), data: Some(data), until_idle: None, secrets, stop: stopped };
    let running = runtime::start(setup(launch).map_err(cannot_begin)?).await.map_err(|error| failed(&config, error))?;
    if let (Some(address), false) = (running.address, args.json) {
        console.say(&format!("  ▸ status http://{address}/status · metrics http://{address}/metrics"));
    }
    watch_it(args, &running.board, console, interrupted().0).await?;
    stop.send_replace(true);
    running.wait().await.map_err(|error| failed(&config, error))
}

/// A line a second until time is up or somebody interrupts.
async fn watch_it(
    args: &DemoArgs,
    board: &runtime::status::Board,
    console: &mut Console,
    mut interrupt: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut before = board.read();
    loop {
        let left =
            args.seconds.map_or(Duration::from_secs(1), |all| all.saturating_sub(begun.elapsed()).min(Duration::from_secs(1)));
        let interrupted = tokio::select! {
            _ = interrupt.wait_for(|stop| *stop) => true,
            () = tokio::time::sleep(left) => false,
        };
        let report = board.read();
        if args.json {
            console.data(&format!("{}\n", totals(&report)))?;
        } else {
            show(&before, &report, console);
        }
        before = report;
        if interrupted || args.seconds.is_some_and(|all| begun.elapsed() >= all) {
            return Ok(());
        }
    }
}

/// The live line: on a terminal it rewrites itself.
fn show(before: &Report, now: &Report, console: &mut Console) {
    let line = format!(
        "transactions {}/s · deltas {}/s · effects {} delivered, {} pending · timers {} · epoch {}",
        now.totals.transactions - before.totals.transactions,
        now.totals.deltas - before.totals.deltas,
        now.outbox.acked,
        now.outbox.pending,
        now.timers,
        now.committed,
    );
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K  {line}");
        if now.epoch == before.epoch {
            console.say("");
        }
    } else {
        console.say(&format!("  {line}"));
    }
}

fn totals(report: &Report) -> String {
    serde_json::json!({
        "v": 1,
        "transactions": report.totals.transactions,
        "changes": report.totals.changes,
        "deltas": report.totals.deltas,
        "effects_fired": report.outbox.fired,
        "effects_acked": report.outbox.acked,
        "effects_pending": report.outbox.pending,
        "effects_dead": report.outbox.dead,
        "timers_waiting": report.timers,
        "epoch": report.committed,
    })
    .to_string()
}

/// The address that the documentation names, or any other if it is taken.
async fn free_address() -> std::net::SocketAddr {
    let usual = std::net::SocketAddr::from(([127, 0, 0, 1], 7777));
    match tokio::net::TcpListener::bind(usual).await {
        Ok(_) => usual,
        Err(_) => std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

/// The data directory; a temporary one goes with the demo.
struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    fn new(asked: Option<PathBuf>) -> std::io::Result<Directory> {
        let temporary = asked.is_none();
        let path = asked.unwrap_or_else(|| std::env::temp_dir().join(format!("thalweg-demo-{}", std::process::id())));
        std::fs::create_dir_all(&path)?;
        Ok(Directory { path, temporary })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
