//! `thalweg graph`: the plan, as text, JSON, DOT or Mermaid; with `--input`, with what each node holds and has cost.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thalweg_engine::Options;
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid, to_text};
use thalweg_graph::outcome::NodeStats;
use thalweg_sources::jsonl::schema_lines;

use super::apply::{Input, Run, merge};
use super::{Console, Exit, Failure, definition};

/// Draw the graph, or list its nodes and how each is kept
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg graph thalweg.toml
  thalweg graph thalweg.toml --format mermaid > graph.mmd
  thalweg graph thalweg.toml --format json --input changes.jsonl    with state bytes and rows touched")]
pub struct GraphArgs {
    /// The configuration
    config: PathBuf,
    /// text and json list, dot and mermaid draw
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// Run these transactions first, so that counters have something to count; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
    Mermaid,
}

pub fn run(args: &GraphArgs, console: &mut Console) -> Result<Exit, Failure> {
    let config = definition::load(&args.config)?;
    let input = args.input.as_ref().map(Input::open).transpose()?;
    let schemas = match &input {
        Some(input) => merge(&schema_lines(input.reader()?)?).map_err(|why| input.wrong(why))?,
        None => Vec::new(),
    };
    let (plan, warnings) = definition::plan(&config, &schemas).map_err(Failure::Findings)?;
    console.show(&warnings);
    let stats: Vec<NodeStats> = match &input {
        Some(input) => {
            let run = Run { plan: plan.clone(), input, options: Options::default(), batch: 1000 };
            run.drive(&mut |_, _| Ok(()))?.engine().stats()
        }
        None => Vec::new(),
    };
    let mut text = match args.format {
        Format::Text => to_text(&plan, &stats),
        Format::Json => to_json(&plan, &stats),
        Format::Dot => to_dot(&plan, &stats),
        Format::Mermaid => to_mermaid(&plan, &stats),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    console.data(&text)?;
    Ok(Exit::Ok)
}
