//! `thalweg explain`: the story of an error code, or of a node of the graph.

use std::path::PathBuf;

use clap::Args;
use thalweg::explain;
use thalweg_formulas::problem::did_you_mean;
use thalweg_graph::Plan;

use super::{Console, Exit, Failure, definition};

/// Tell what an error code means, or how a field is kept
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg explain E0203
  thalweg explain thalweg.toml --node Order.total")]
pub struct ExplainArgs {
    /// An error code; a configuration with --node
    #[arg(value_name = "CODE or CONFIG")]
    subject: String,
    /// The field, effect or reaction of the configuration
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

pub fn run(args: &ExplainArgs, console: &mut Console) -> Result<Exit, Failure> {
    match &args.node {
        Some(node) => of_node(&args.subject, node, console),
        None => of_code(&args.subject, console),
    }
}

fn of_code(code: &str, console: &mut Console) -> Result<Exit, Failure> {
    if let Some(found) = explain::explain(code) {
        console.data(&format!("{}: {}\n\n{}\n", found.code, found.title, found.text))?;
        return Ok(Exit::Ok);
    }
    let why = if explain::is_code(code) {
        let all = explain::all();
        let near = did_you_mean(code, all.iter().map(|e| e.code));
        let help = if near.is_empty() { String::new() } else { format!("\n  = help: near it: {}", near.join(", ")) };
        format!("error: no error has the code {}{help}", code.to_uppercase())
    } else {
        format!(
            "error: `{code}` is not an error code\n  = help: thalweg explain E0203, or thalweg explain thalweg.toml --node Order.total"
        )
    };
    Err(Failure::Said(Exit::Usage, why))
}

fn of_node(path: &str, node: &str, console: &mut Console) -> Result<Exit, Failure> {
    let config = definition::load(&PathBuf::from(path))?;
    let (plan, _) = definition::plan(&config, &[]).map_err(Failure::Findings)?;
    let Some(mut text) = plan.explain(node) else {
        let near = did_you_mean(node, names(&plan));
        let help = if near.is_empty() { names(&plan).collect::<Vec<_>>().join(", ") } else { near.join(", ") };
        let why = format!("error: no field, effect or reaction is called `{node}`\n  = help: there is {help}");
        return Err(Failure::Said(Exit::Usage, why));
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    console.data(&text)?;
    Ok(Exit::Ok)
}

fn names(plan: &Plan) -> impl Iterator<Item = &str> {
    let fields = plan.fields.iter().map(|field| &*field.name);
    let effects = plan.effects.iter().map(|effect| &*effect.name);
    fields.chain(effects).chain(plan.reactions.iter().map(|reaction| &*reaction.name))
}
