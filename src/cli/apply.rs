//! `thalweg apply`: a file of transactions through the graph, purely: no store, no sockets, time from the input.
//!
//! The bytes that come out do not depend on `--workers` or `--batch`. Every line of the input is an epoch, a schema line and an empty line
//! too, so the epoch of a line is its number plus the timers that fired before it.

mod emptied;
mod output;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use thalweg::config::Diag;
use thalweg::sequencer::Sequencer;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::Timestamp;
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Plan, Schema, Transaction};
use thalweg_sources::jsonl::{JsonTable, JsonlReader, Line, LineError, SchemaLine, schema_lines};

use super::{Console, Exit, Failure, definition};
use emptied::Emptied;
use output::Output;

/// Run a file of transactions through the graph
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg apply thalweg.toml --input changes.jsonl
  thalweg apply thalweg.toml --input changes.jsonl --final --output result.jsonl
  thalweg tail mysql://localhost | thalweg apply thalweg.toml --input -

Input, one transaction a line:
  {\"tx\":\"1\",\"at\":\"2026-01-31T12:00:00Z\",\"changes\":[{\"table\":\"Order\",\"op\":\"insert\",\"after\":{\"id\":1}}]}")]
pub struct ApplyArgs {
    /// The configuration
    config: PathBuf,
    /// Transactions as JSON lines; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the result goes; stdout if not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Worker threads; the result is the same for any number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    workers: u16,
    /// Transactions a step; the result is the same for any number
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    batch: u32,
    /// Also the changes of columns
    #[arg(long)]
    state: bool,
    /// After the last epoch, every live document's fields
    #[arg(long = "final")]
    finals: bool,
}

pub fn run(args: &ApplyArgs, console: &mut Console) -> Result<Exit, Failure> {
    let config = definition::load(&args.config)?;
    let input = Input::open(&args.input)?;
    let schemas = merge(&schema_lines(input.reader()?)?).map_err(|why| input.wrong(why))?;
    let (plan, warnings) = definition::plan(&config, &schemas).map_err(Failure::Findings)?;
    warn(console, &warnings);
    let run = Run { plan, input: &input, options: options(args), batch: args.batch as usize };
    match &args.output {
        None => run.write(&mut *console.out(), args.finals)?,
        Some(path) => {
            let create = |e| Failure::Said(Exit::Missing, format!("error: cannot write {}: {e}", path.display()));
            let mut out = BufWriter::new(File::create(path).map_err(create)?);
            let result = run.write(&mut out, args.finals);
            out.flush()?;
            result?;
        }
    }
    Ok(Exit::Ok)
}

fn options(args: &ApplyArgs) -> Options {
    Options { workers: args.workers.into(), state_deltas: args.state, ..Options::default() }
}

/// Warnings that matter to a run without sources and actions: not those about secrets and connections.
fn warn(console: &mut Console, warnings: &[Diag]) {
    let about_the_graph: Vec<Diag> = warnings.iter().filter(|diag| ![285, 286].contains(&diag.code.0)).cloned().collect();
    console.show(&about_the_graph);
}

/// The transactions of a file through a plan.
pub(super) struct Run<'a> {
    pub(super) plan: Arc<Plan>,
    pub(super) input: &'a Input,
    pub(super) options: Options,
    pub(super) batch: usize,
}

impl Run<'_> {
    /// Everything that comes of it, written as it comes.
    fn write(&self, out: &mut dyn Write, finals: bool) -> Result<(), Failure> {
        let mut output = Output::new(self.plan.clone());
        let mut sequencer = self.drive(&mut |batch, engine| Ok(output.batch(&batch, engine, out)?))?;
        if finals {
            output.finals(sequencer.engine(), out)?;
        }
        Ok(())
    }

    /// Runs all transactions; `each` gets every batch. Gives the sequencer as it stands at the end.
    pub(super) fn drive(
        &self,
        each: &mut dyn FnMut(thalweg::sequencer::Batch, &mut Engine) -> Result<(), Failure>,
    ) -> Result<Sequencer, Failure> {
        let engine = Engine::new(self.plan.clone(), self.options.clone());
        let mut sequencer = Sequencer::new(engine, self.plan.clone(), Vec::new(), Timestamp(i64::MIN));
        let mut reader = JsonlReader::new(self.input.reader()?, JsonTable::all(&self.plan));
        let mut emptied = Emptied::new(&self.plan, self.input);
        while let Some(line) = reader.next_line() {
            let transaction = match line {
                Ok(Line::Transaction(transaction)) => Ok(emptied.told(transaction, reader.line())?),
                Ok(Line::Schema(_) | Line::Blank) => Ok(nothing(reader.line(), reader.at())),
                Err(error) => Err(error),
            };
            match transaction {
                Ok(transaction) => sequencer.offer(transaction),
                Err(error) => {
                    // What came before the wrong line counts.
                    drain(&mut sequencer, self.batch, true, each)?;
                    return Err(self.input.wrong(error));
                }
            }
            drain(&mut sequencer, self.batch, false, each)?;
        }
        drain(&mut sequencer, self.batch, true, each)?;
        Ok(sequencer)
    }
}

fn drain(
    sequencer: &mut Sequencer,
    max: usize,
    flush: bool,
    each: &mut dyn FnMut(thalweg::sequencer::Batch, &mut Engine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let halted = |why: thalweg::sequencer::Halted| Failure::Said(Exit::Failed, format!("error: {why}"));
    while let Some(batch) = sequencer.batch(max, flush).map_err(halted)? {
        each(batch, sequencer.engine())?;
    }
    Ok(())
}

/// A line that changes nothing still is an epoch.
fn nothing(line: u64, at: Timestamp) -> Transaction {
    Transaction { source: "".into(), origin: line.to_string().into(), at, body: Body::Changes(Vec::new()) }
}

/// The input, which is read twice: for its schema lines, and for its transactions.
pub(super) enum Input {
    File(PathBuf),
    /// Stdin cannot be read twice, so it is kept.
    Kept(Vec<u8>),
}

impl Input {
    pub(super) fn open(path: &PathBuf) -> Result<Input, Failure> {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            return Ok(Input::Kept(bytes));
        }
        let missing = |e| Failure::Said(Exit::Missing, format!("error: cannot read {}: {e}", path.display()));
        File::open(path).map_err(missing)?;
        Ok(Input::File(path.clone()))
    }

    pub(super) fn reader(&self) -> std::io::Result<Box<dyn BufRead + '_>> {
        Ok(match self {
            Input::File(path) => Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)),
            Input::Kept(bytes) => Box::new(bytes.as_slice()),
        })
    }

    fn name(&self) -> String {
        match self {
            Input::File(path) => path.display().to_string(),
            Input::Kept(_) => "<stdin>".to_owned(),
        }
    }

    /// A line that cannot be applied, with its place.
    pub(super) fn wrong(&self, error: LineError) -> Failure {
        match error {
            LineError::Bad { code, line, column, message, help } => {
                let help = help.map_or(String::new(), |help| format!("\n  = help: {help}"));
                let place = format!("{}:{line}:{column}", self.name());
                let text = format!("error[{code}]: {message}\n --> {place}{help}\n  = next: thalweg explain {code}");
                Failure::Said(Exit::Failed, text)
            }
            LineError::Input { line, error } => Failure::Said(Exit::Failed, format!("error: {}:{line}: {error}", self.name())),
        }
    }
}

/// The tables that schema lines declare: the columns of all lines about a table together, each with its last type.
pub(super) fn merge(lines: &[(u64, SchemaLine)]) -> Result<Vec<Arc<Schema>>, LineError> {
    let mut schemas: Vec<Schema> = Vec::new();
    for (number, line) in lines {
        let schema = line.schema().map_err(|problem| bad(*number, problem.code, problem.message, problem.help))?;
        match schemas.iter_mut().find(|known| known.table == schema.table) {
            None => schemas.push(schema),
            Some(known) => {
                join(known, &schema, line.key.is_some()).map_err(|why| bad(*number, thalweg_formulas::Code(464), why, None))?
            }
        }
    }
    Ok(schemas.into_iter().map(Arc::new).collect())
}

fn bad(line: u64, code: thalweg_formulas::Code, message: String, help: Option<String>) -> LineError {
    LineError::Bad { code, line, column: 1, message, help }
}

fn join(known: &mut Schema, next: &Schema, key_given: bool) -> Result<(), String> {
    let names = |schema: &Schema| schema.key.iter().map(|at| schema.columns[*at as usize].name.clone()).collect::<Vec<_>>();
    if key_given && names(known) != names(next) {
        return Err(format!("the key of table `{}` cannot change from one line to another", known.table));
    }
    for SchemaColumn { name, ty, .. } in &next.columns {
        match known.columns.iter_mut().find(|column| column.name == *name) {
            Some(column) => column.ty = ty.clone(),
            None => known.columns.push(SchemaColumn::new(name.clone(), ty.clone())),
        }
    }
    Ok(())
}
