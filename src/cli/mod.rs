//! The command line: one file a verb.
//!
//! Manners, the same for every verb: stdout carries data and stderr the rest; exit codes are those of [`Exit`]; colours only where a
//! terminal shows them (`--color`, `NO_COLOR`, `CLICOLOR_FORCE`); a reader that closes the pipe ends the verb quietly; `-q` hides hints.

mod apply;
mod bar;
mod check;
mod console;
mod definition;
mod demo;
mod doctor;
mod effects;
mod eval;
mod explain;
mod goal;
mod graph;
mod hand;
mod history;
mod reload;
mod run;
mod tail;
mod timers;
mod verify;

use clap::{Args, Parser, Subcommand};

use console::ColorWhen;
pub use console::{Console, Exit, Failure};

/// Keeps fields derived from database changes, and acts on them.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, max_term_width = 100, disable_help_subcommand = true, before_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    manners: Manners,
}

const EXAMPLES: &str = "\
Examples:
  thalweg demo                                           a live graph over a made-up shop
  thalweg check thalweg.toml                             is the definition right? Nothing runs
  thalweg apply thalweg.toml --input changes.jsonl       the derived fields and effects of a file of changes
  thalweg graph thalweg.toml --format mermaid            a picture of the graph
  thalweg doctor thalweg.toml                            would a run work? If not, what to mend
  thalweg run thalweg.toml                               follow the database, fire the effects
  thalweg tail mysql://root@localhost/shop               the changes of a database, a line each
  thalweg effects dead                                   what could not be delivered, and why
  thalweg timers ls                                      what is to come, and when
  thalweg goal train thalweg.toml profit                 steps of a goal, now
  thalweg history thalweg.toml Order.total               what a field was, and since when";

/// What holds for every verb.
#[derive(Clone, Copy, Debug, Args)]
struct Manners {
    /// Colours in messages.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: ColorWhen,
    /// No hints.
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Run(run::RunArgs),
    Reload(reload::ReloadArgs),
    Graph(graph::GraphArgs),
    Apply(apply::ApplyArgs),
    Eval(eval::EvalArgs),
    Doctor(doctor::DoctorArgs),
    Tail(tail::TailArgs),
    Effects(effects::EffectsArgs),
    Timers(timers::TimersArgs),
    Goal(goal::GoalArgs),
    History(history::HistoryArgs),
    Verify(verify::VerifyArgs),
    Backup(verify::BackupArgs),
    Explain(explain::ExplainArgs),
}

/// Reads the arguments, runs the verb, gives the exit code.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data and go to stdout; a wrong use goes to stderr. Nobody may be reading either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    let mut console = Console::new(cli.manners.color, cli.manners.quiet);
    let result = match cli.verb {
        None => greet(&mut console),
        Some(Verb::Demo(args)) => demo::run(&args, &mut console),
        Some(Verb::Run(args)) => run::run(&args, &mut console),
        Some(Verb::Reload(args)) => reload::run(&args, &mut console),
        Some(Verb::Check(args)) => check::run(&args, &mut console),
        Some(Verb::Graph(args)) => graph::run(&args, &mut console),
        Some(Verb::Apply(args)) => apply::run(&args, &mut console),
        Some(Verb::Eval(args)) => eval::run(&args, &mut console),
        Some(Verb::Doctor(args)) => doctor::run(&args, &mut console),
        Some(Verb::Tail(args)) => tail::run(&args, &mut console),
        Some(Verb::Effects(args)) => effects::run(&args, &mut console),
        Some(Verb::Timers(args)) => timers::run(&args, &mut console),
        Some(Verb::Goal(args)) => goal::run(&args, &mut console),
        Some(Verb::History(args)) => history::run(&args, &mut console),
        Some(Verb::Verify(args)) => verify::verify(&args, &mut console),
        Some(Verb::Backup(args)) => verify::backup(&args, &mut console),
        Some(Verb::Explain(args)) => explain::run(&args, &mut console),
    };
    console.end(result).into()
}

/// `thalweg` alone: six lines.
fn greet(console: &mut Console) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    console.data(&format!(
        "thalweg {version}: a change in a database, derived fields kept, an effect out
  thalweg demo                     a live graph over a made-up shop, no database needed
  thalweg check thalweg.toml       is the definition right?
  thalweg run thalweg.toml         follow the database, keep the fields, fire the effects
docs: README.md, ARCHITECTURE.md; thalweg explain E0203 for any error
help: thalweg --help, thalweg VERB --help
"
    ))?;
    Ok(Exit::Ok)
}
