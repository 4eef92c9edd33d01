//! `thalweg check`: is the definition right? Offline, nothing runs.

use std::path::PathBuf;

use clap::Args;
use thalweg::config::{Config, Diag};
use thalweg_graph::Plan;

use super::{Console, Exit, Failure, definition};

/// Check a definition without running it
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg check thalweg.toml
  thalweg check thalweg.toml --json | jq .message

Exit: 0 right (there may be warnings), 3 errors, 4 the file is not there")]
pub struct CheckArgs {
    /// The configuration
    config: PathBuf,
    /// One JSON object a finding, on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs, console: &mut Console) -> Result<Exit, Failure> {
    let (diags, summary) = match examine(&args.config)? {
        Ok((config, plan, warnings)) => (warnings, Some(summary(&config, &plan))),
        Err(diags) => (diags, None),
    };
    if args.json {
        diags.iter().try_for_each(|diag| writeln!(console.out(), "{}", diag.to_json()))?;
    } else {
        console.show(&diags);
    }
    match summary {
        Some(summary) if !args.json => {
            console.data(&format!("{}: {summary}\n", args.config.display()))?;
            console.next(&format!("thalweg graph {}", args.config.display()));
        }
        Some(_) => {}
        None => {
            if !args.json {
                console.say(&format!("\n{}: {}", args.config.display(), counted(&diags)));
            }
            return Ok(Exit::Findings);
        }
    }
    Ok(Exit::Ok)
}

type Examined = Result<(Config, std::sync::Arc<Plan>, Vec<Diag>), Vec<Diag>>;

/// Reads and plans; findings are the answer, not a failure.
fn examine(path: &std::path::Path) -> Result<Examined, Failure> {
    let config = match definition::load(path) {
        Ok(config) => config,
        Err(Failure::Findings(diags)) => return Ok(Err(diags)),
        Err(failure) => return Err(failure),
    };
    Ok(definition::plan(&config, &[]).map(|(plan, warnings)| (config, plan, warnings)))
}

/// "12 fields, 9 formulas, 4 effects, 1 reaction, 1 source".
fn summary(config: &Config, plan: &Plan) -> String {
    let columns: usize = plan.tables.iter().map(|table| table.columns.len()).sum();
    [
        count(columns + plan.fields.len(), "field"),
        count(plan.fields.len(), "formula"),
        count(plan.effects.len(), "effect"),
        count(config.spec.reactions.len(), "reaction"),
        count(config.sources.len(), "source"),
    ]
    .join(", ")
}

/// "2 errors, 1 warning".
fn counted(diags: &[Diag]) -> String {
    let errors = diags.iter().filter(|diag| diag.is_error()).count();
    match diags.len() - errors {
        0 => count(errors, "error"),
        warnings => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
