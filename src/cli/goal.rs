//! `thalweg goal`: how goals stand, steps on demand, a pause, the steps that were taken, and back to one of them.
//!
//! Looking at steps reads the log beside the process that has it. Everything else is a question to that process; where none runs, one is started
//! here, without its sources.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::json;
use thalweg::config::Config;
use thalweg::goals::{GoalAct, GoalReport, GoalTold, Ledger, Taken};
use thalweg::runtime::launch::{Launch, data_directory, setup};
use thalweg::runtime::{self, Running};
use thalweg_store::OutboxReader;
use tokio::sync::watch;

use super::hand::{self, Hand, ask, unreadable};
use super::run::{cannot_begin, failed};
use super::{Console, Exit, Failure, definition};

/// Look at goals, train them, hold them, go back
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg goal ls thalweg.toml                          how each goal stands
  thalweg goal train thalweg.toml profit --steps 500    steps now, beside the daemon or without one
  thalweg goal pause thalweg.toml profit                no steps until it is told to go on (--off)
  thalweg goal runs thalweg.toml profit                 the steps that the log holds, with their loss
  thalweg goal rollback thalweg.toml profit --to 120    the values as of step 120; nothing fires that has fired")]
pub struct GoalArgs {
    #[command(subcommand)]
    what: What,
    /// The data directory; default: `.thalweg` beside the configuration
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Lines of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How each goal stands
    Ls(Whole),
    /// Take steps now
    Train(TrainArgs),
    /// Hold a goal, or let it go on
    Pause(PauseArgs),
    /// The steps that the log holds
    Runs(One),
    /// The values as of an earlier step
    Rollback(RollbackArgs),
}

#[derive(Debug, Args)]
struct Whole {
    /// The configuration
    config: PathBuf,
}

#[derive(Debug, Args)]
struct One {
    /// The configuration
    config: PathBuf,
    /// The goal
    goal: String,
}

#[derive(Debug, Args)]
struct TrainArgs {
    #[command(flatten)]
    one: One,
    /// At most so many; it ends before where no slope is above the goal's tolerance
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
}

#[derive(Debug, Args)]
struct PauseArgs {
    #[command(flatten)]
    one: One,
    /// It goes on
    #[arg(long)]
    off: bool,
}

#[derive(Debug, Args)]
struct RollbackArgs {
    #[command(flatten)]
    one: One,
    /// The step, or `best`: the one before which the loss was least
    #[arg(long, value_name = "STEP")]
    to: String,
}

/// Steps that are asked for at once: a process answers each question within its time.
const AT_ONCE: u64 = 200;

pub fn run(args: &GoalArgs, console: &mut Console) -> Result<Exit, Failure> {
    match &args.what {
        What::Ls(Whole { config }) => list(args, &at_place(args, config, |act| act(GoalAct::List))?, console),
        What::Train(train_args) => train(args, train_args, console),
        What::Pause(PauseArgs { one, off }) => {
            let pause = GoalAct::Pause { goal: one.goal.clone(), paused: !off };
            list(args, &at_place(args, &one.config, |act| act(pause))?, console)
        }
        What::Runs(one) => runs(args, one, console),
        What::Rollback(RollbackArgs { one, to }) => {
            let ledger = ledger(args, one)?;
            let back = ledger.at(to).ok_or_else(|| not_held(&ledger, to))?;
            let back = GoalAct::Rollback { goal: one.goal.clone(), step: back.step, changes: back.changes.clone() };
            list(args, &at_place(args, &one.config, |act| act(back))?, console)
        }
    }
}

fn list(args: &GoalArgs, told: &GoalTold, console: &mut Console) -> Result<Exit, Failure> {
    if !args.json {
        console.data(&format!("{:<16} {:>8} {:>14} {:>6}  {}\n", "GOAL", "STEPS", "LOSS", "LEFT", "STATE"))?;
    }
    for goal in &told.goals {
        let state = if goal.paused { "paused" } else { &goal.state };
        let line = if args.json {
            json!({"v": 1, "goal": goal.name, "steps": goal.steps, "loss": goal.loss, "epoch": goal.epoch, "left": goal.left, "state": state})
                .to_string()
        } else {
            format!("{:<16} {:>8} {:>14} {:>6}  {state}", goal.name, goal.steps, shown(goal.loss), goal.left)
        };
        console.data(&format!("{line}\n"))?;
    }
    Ok(Exit::Ok)
}

fn train(args: &GoalArgs, train: &TrainArgs, console: &mut Console) -> Result<Exit, Failure> {
    let (start, goal) = (Instant::now(), &train.one.goal);
    let (mut taken, mut stop, mut report) = (0, None, GoalReport::default());
    at_place(args, &train.one.config, |act| {
        while taken < train.steps && stop.is_none() {
            let told = act(GoalAct::Train { goal: goal.clone(), steps: (train.steps - taken).min(AT_ONCE) })?;
            (taken, stop) = (taken + told.taken, told.stop);
            report = told.goals.into_iter().find(|told| told.name == *goal).unwrap_or_default();
            if !args.json {
                console.data(&format!("{goal}: {taken} of {} steps, loss {}\n", train.steps, shown(report.loss)))?;
            }
        }
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = taken as f64 / seconds.max(f64::MIN_POSITIVE);
    let line = if args.json {
        let line = json!({
            "v": 1, "goal": goal, "steps": taken, "loss": report.loss, "metric": report.metric, "steps_per_s": rate, "seconds": seconds,
        });
        line.to_string()
    } else {
        let why = stop.map_or(String::new(), |stop| format!(", then {stop}"));
        format!("{goal}: {taken} steps in {seconds:.2} s, {rate:.0} a second{why}")
    };
    console.data(&format!("{line}\n"))?;
    Ok(Exit::Ok)
}

fn shown(loss: Option<f64>) -> String {
    loss.map_or("-".to_owned(), |loss| format!("{loss:.6}"))
}

fn runs(args: &GoalArgs, one: &One, console: &mut Console) -> Result<Exit, Failure> {
    if !args.json {
        console.data(&format!("{:>8} {:>8} {:>16}\n", "STEP", "EPOCH", "LOSS BEFORE"))?;
    }
    for Taken { step, epoch, loss, .. } in &ledger(args, one)?.steps {
        let line = if args.json {
            json!({"v": 1, "goal": one.goal, "step": step, "epoch": epoch, "loss": loss}).to_string()
        } else {
            format!("{step:>8} {epoch:>8} {:>16}", shown(*loss))
        };
        console.data(&format!("{line}\n"))?;
    }
    Ok(Exit::Ok)
}

/// The steps of a goal that the log holds.
fn ledger(args: &GoalArgs, one: &One) -> Result<Ledger, Failure> {
    let config = definition::load(&one.config)?;
    let directory = args.data.clone().unwrap_or_else(|| data_directory(&config));
    let reader = OutboxReader::open(&directory).map_err(unreadable)?;
    let mut ledger = Ledger::of(&one.goal);
    reader.log(&mut |epoch, transaction| ledger.read(epoch, transaction)).map_err(hand::failed)?;
    Ok(ledger)
}

fn not_held(ledger: &Ledger, to: &str) -> Failure {
    let held = match (ledger.steps.first(), ledger.steps.last()) {
        (Some(first), Some(last)) => format!("it holds steps {} to {}", first.step, last.step),
        _ => "it holds none".to_owned(),
    };
    Failure::Said(Exit::Failed, format!("error: E0622: the log does not hold step {to} of this goal\n  = help: {held}"))
}

/// Who acts: the process that runs, or one that is started here for it, without sources. So what fires is delivered as ever.
enum Place {
    Process(PathBuf),
    Here(Box<Running>),
}

/// With what is asked of it, in a runtime.
fn at_place<T>(
    args: &GoalArgs,
    config: &Path,
    work: impl FnOnce(&mut dyn FnMut(GoalAct) -> Result<GoalTold, Failure>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = definition::load(config)?;
    let directory = args.data.clone().unwrap_or_else(|| data_directory(&config));
    let socket = match Hand::open(&directory)? {
        Hand::Process(socket) => Some(socket),
        Hand::Store(store) => {
            drop(store);
            None
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let place = match socket {
        Some(socket) => Place::Process(socket),
        None => Place::Here(Box::new(runtime.block_on(start(config.clone(), directory, stopped))?)),
    };
    let worked = work(&mut |act| match &place {
        Place::Process(socket) => told(ask::<Result<GoalTold, String>>(socket, &act)?),
        Place::Here(running) => {
            let answer = runtime.block_on(running.desk.act_on_goal(act));
            told(answer.map_err(|closed| Failure::Said(Exit::Failed, format!("error: {closed}")))?)
        }
    });
    if let Place::Here(running) = place {
        stop.send_replace(true);
        runtime.block_on(running.wait()).map_err(|error| failed(&config, error))?;
    }
    worked
}

/// A process without sources.
async fn start(config: Config, directory: PathBuf, stop: watch::Receiver<bool>) -> Result<Running, Failure> {
    let secrets = Arc::new(thalweg_sinks::secret::environment_and_files);
    let launch = Launch { config: config.clone(), data: Some(directory), until_idle: None, secrets, stop };
    let mut setup = setup(launch).map_err(cannot_begin)?;
    setup.sources.clear();
    setup.listen = None;
    runtime::start(setup).await.map_err(|error| failed(&config, error))
}

fn told(told: Result<GoalTold, String>) -> Result<GoalTold, Failure> {
    told.map_err(|why| Failure::Said(Exit::Failed, format!("error: E0623: {why}\n  = help: thalweg goal ls shows the goals")))
}
