//! `thalweg run`: the daemon.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use thalweg::config::Config;
use thalweg::runtime::launch::{Launch, LaunchError, setup};
use thalweg::runtime::reload::{Refused, Reloaded, Reloader};
use thalweg::runtime::{self, RunError, Setup, dry, reading};
use thalweg_graph::ports::OutboxRow;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::bar::{self, Screen};
use super::{Console, Exit, Failure, definition, reload};

/// How often the file is looked at where a change of it is to be taken.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Follow the sources, keep the fields, fire the effects
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg run thalweg.toml
  thalweg run thalweg.toml --data /var/lib/thalweg
  thalweg run thalweg.toml --until-idle 5        end when nothing has happened for 5 seconds
  thalweg run thalweg.toml --dry-run             what would be delivered from here on, a line each; delivers and keeps nothing
  thalweg reload                                 the changed file, while it runs (also: kill -HUP, or `[engine] reload = true`)

Exit: 0 stopped or idle, 1 failed while running, 3 the definition has errors, 4 something outside is missing, 130 interrupted")]
pub struct RunArgs {
    /// The configuration
    config: PathBuf,
    /// The data directory; default: `.thalweg` beside the configuration
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End when nothing has moved for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    until_idle: Option<Duration>,
    /// Run on a copy of the data directory, and print each delivery instead of making it
    #[arg(long)]
    dry_run: bool,
}

/// A positive number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected a number of seconds that is not negative".to_owned())
}

pub fn run(args: &RunArgs, console: &mut Console) -> Result<Exit, Failure> {
    let config = definition::load(&args.config)?;
    let (_, warnings) = definition::plan(&config, &[]).map_err(Failure::Findings)?;
    console.show(&warnings);
    if config.sources.is_empty() {
        let cure = "add [[source]] with kind = \"mysql\", \"jsonl\" or \"generate\"";
        return Err(Failure::Said(Exit::Findings, format!("error: there is no source to follow\n  = help: {cure}")));
    }
    let screen = Screen::new(std::io::stderr());
    let has_bar = bar::is_wanted(console.is_quiet());
    log_to(screen.clone(), console.look().color, has_bar);
    let launched = config.clone();
    let (data, until_idle) = (args.data.clone(), args.until_idle);
    in_runtime(async {
        let secrets = Arc::new(thalweg_sinks::secret::environment_and_files);
        let (stop, by_hand) = interrupted();
        let launch = Launch { config: launched, data, until_idle, secrets, stop };
        let (setup, _copy) = if args.dry_run {
            dry_setup(launch).map(|(setup, copy)| (setup, Some(copy)))
        } else {
            setup(launch).map(|setup| (setup, None))
        }
        .map_err(cannot_begin)?;
        let running = runtime::start(setup).await.map_err(|error| failed(&config, error))?;
        if let Some(address) = running.address {
            tracing::info!("status at http://{address}/status");
        }
        if !args.dry_run {
            follow_definition(&config, running.reloader.clone());
        }
        let _bar = has_bar.then(|| bar::show(running.board.clone(), screen));
        let report = running.wait().await.map_err(|error| failed(&config, error))?;
        tracing::info!(
            "stopped at epoch {}: {} transactions, {} deltas, {} effects fired, {} delivered, {} pending, {} dead",
            report.committed,
            report.totals.transactions,
            report.totals.deltas,
            report.outbox.fired,
            report.outbox.acked,
            report.outbox.pending,
            report.outbox.dead
        );
        Ok(if by_hand.load(Ordering::Relaxed) { Exit::Interrupted } else { Exit::Ok })
    })
}

/// A run that prints its deliveries; a reader that closes the pipe ends it.
fn dry_setup(mut launch: Launch) -> Result<(Setup, TempDir), LaunchError> {
    let (quit, mut asked) = (Arc::new(watch::Sender::new(false)), launch.stop.clone());
    launch.stop = quit.subscribe();
    let closed = quit.clone();
    tokio::spawn(async move {
        if asked.wait_for(|stop| *stop).await.is_ok() {
            quit.send_replace(true);
        }
    });
    let show = move |row: &OutboxRow| {
        if writeln!(std::io::stdout(), "{}", dry_line(row)).is_err() {
            closed.send_replace(true);
        }
    };
    dry::setup(launch, Box::new(show))
}

/// A delivery that is not made. The body as JSON if it is, else as text.
fn dry_line(row: &OutboxRow) -> Json {
    let settings: Json = serde_json::from_str(&row.settings).unwrap_or_default();
    let text = || Json::String(String::from_utf8_lossy(&row.body).into_owned());
    let body = serde_json::from_slice(&row.body).unwrap_or_else(|_| text());
    json!({
        "v": 1, "epoch": row.epoch, "id": row.id, "node": row.node, "action": row.action, "type": settings["type"], "key": row.key,
        "version": row.version, "body": body,
    })
}

/// Reloads on SIGHUP and, where the configuration says so, when its file changes; what it came to is logged.
fn follow_definition(config: &Config, reloader: Reloader) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_up = signal(SignalKind::hangup()).expect("a signal handler can be set");
    let by_signal = reloader.clone();
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            log_reload(by_signal.reload().await);
        }
    });
    if config.engine.reload {
        let path = PathBuf::from(&config.source.path);
        let seen = config.source.text.clone();
        tokio::spawn(reload_on_change(path, seen, reloader));
    }
}

/// Reloads whenever the file has another text, and has had it for a look: an editor may write it in pieces.
async fn reload_on_change(path: PathBuf, mut seen: String, reloader: Reloader) {
    let mut before: Option<String> = None;
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        // An editor that replaces the file may have taken it away for a moment.
        let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
        if text != seen && before.as_deref() == Some(text.as_str()) {
            log_reload(reloader.reload().await);
            seen.clone_from(&text);
        }
        before = Some(text);
    }
}

fn log_reload(came_to: Result<Reloaded, Refused>) {
    match came_to {
        Ok(reloaded) => tracing::info!("{}", reload::told(&reloaded)),
        Err(refused) => tracing::error!("the definition was not reloaded, the one before runs on:\n{}", refused.0.trim_end()),
    }
}

/// Runs a verb that waits.
pub fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(work);
    // What still runs (a source in the middle of a read) is not waited for: nothing of it is committed.
    runtime.shutdown_background();
    result
}

/// Log lines go to stderr; `THALWEG_LOG` chooses what is said (`debug`, `thalweg_sources=trace`). What a bar shows is not said as well.
fn log_to(screen: Screen, color: bool, has_bar: bool) {
    let mut filter = EnvFilter::try_from_env("THALWEG_LOG").unwrap_or_else(|_| "info".into());
    if has_bar && let Ok(silence) = format!("{}=off", reading::TARGET).parse() {
        filter = filter.add_directive(silence);
    }
    // Embedded twice in one process, the first one logs.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen).with_ansi(color).with_target(false).try_init();
}

/// Turns true at the first Ctrl-C or SIGTERM; the second ends the process at once. Both leave a recoverable data directory.
/// The exit code is that of an interrupt for Ctrl-C; SIGTERM is how a service is told to stop, and stopping is no failure.
pub fn interrupted() -> (watch::Receiver<bool>, Arc<AtomicBool>) {
    let (stop, stopped) = watch::channel(false);
    let by_hand = Arc::new(AtomicBool::new(false));
    let seen = by_hand.clone();
    tokio::spawn(async move {
        seen.store(signal().await, Ordering::Relaxed);
        tracing::info!("stopping: committing what has been read, delivering what is due; interrupt again to stop at once");
        stop.send_replace(true);
        signal().await;
        std::process::exit(130);
    });
    (stopped, by_hand)
}

/// Waits for a signal to stop; whether it was Ctrl-C.
async fn signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler can be set");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => true,
        _ = terminate.recv() => false,
    }
}

/// A run that could not begin.
pub fn cannot_begin(error: LaunchError) -> Failure {
    let exit = match &error {
        LaunchError::Egress(_) => Exit::Findings,
        _ => Exit::Missing,
    };
    Failure::Said(exit, format!("error: {error}"))
}

/// A run that ended badly.
pub fn failed(config: &Config, error: RunError) -> Failure {
    match error {
        RunError::Definition(findings) => Failure::Findings(config.findings(findings)),
        error @ (RunError::Listen { .. } | RunError::SourceStopped { .. }) => {
            Failure::Said(Exit::Missing, format!("error: {error}"))
        }
        error => Failure::Said(Exit::Failed, format!("error: {error}")),
    }
}
