//! `thalweg history`: what a field or column went through, and what it was at some time.
//!
//! The log is the authority, and it holds every transaction: the engine runs them again by the definition as it is, without sources and actions, and
//! tells what the field came to in each. So nothing is kept for it beside the log, and it is as exact after a crash as the log is. What is followed may be a lazy
//! field or a column as well.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use thalweg::formulas::problem::did_you_mean;
use thalweg::formulas::{Timestamp, Type, Value, json as values};
use thalweg::runtime::launch::data_directory;
use thalweg::versions::{Had, Past};
use thalweg_engine::{Engine, Options};
use thalweg_graph::outcome::Key;
use thalweg_graph::{Epoch, Plan, Transaction};
use thalweg_store::OutboxReader;

use super::effects::time_of;
use super::hand::{failed, unreadable};
use super::{Console, Exit, Failure, definition};

/// Transactions that are run in one step.
const TOGETHER: usize = 1_000;

/// The past values of a field or column, from the log
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg history thalweg.toml Order.total                      every value that each order's total has had, and since when
  thalweg history thalweg.toml Order.total --key '[7]' --last 3
  thalweg history thalweg.toml Order.total --at 120             what they were at the end of epoch 120
  thalweg history thalweg.toml Order.total --at 2026-11-23T12:00:00Z")]
pub struct HistoryArgs {
    /// The configuration; the values are those of its definition as it is now
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// A field or column: `Order.total`
    #[arg(value_name = "NODE")]
    node: String,
    /// Of this document only, as it is listed: '[7]', '["a",1]'
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The last N values of each document
    #[arg(long, value_name = "N", conflicts_with = "at")]
    last: Option<usize>,
    /// What each document had at the end of an epoch, or at a time
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    at: Option<Moment>,
    /// The data directory; default: `.thalweg` beside the configuration
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Lines of JSON
    #[arg(long)]
    json: bool,
}

/// The last moment that is looked at.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Epoch(Epoch),
    Time(Timestamp),
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(epoch) = text.parse() {
        return Ok(Moment::Epoch(epoch));
    }
    let time = thalweg::formulas::coerce::coerce(Value::text(text), &Type::Timestamp);
    match time {
        Ok(Value::Timestamp(at)) => Ok(Moment::Time(at)),
        _ => Err("write the number of an epoch, or a time such as 2026-11-23T12:00:00Z".to_owned()),
    }
}

impl Moment {
    fn is_before(self, epoch: Epoch, at: Timestamp) -> bool {
        match self {
            Moment::Epoch(last) => last < epoch,
            Moment::Time(last) => last < at,
        }
    }
}

/// What a document had from an epoch on.
#[derive(Clone, Debug)]
struct Version {
    epoch: Epoch,
    at: Timestamp,
    key: Key,
    had: Had,
}

pub fn run(args: &HistoryArgs, console: &mut Console) -> Result<Exit, Failure> {
    let config = definition::load(&args.config)?;
    let directory = args.data.clone().unwrap_or_else(|| data_directory(&config));
    let reader = OutboxReader::open(&directory).map_err(unreadable)?;
    let schemas = reader.schemas().map_err(failed)?;
    let (plan, _) = definition::plan(&config, &schemas).map_err(Failure::Findings)?;
    let ty = type_of(&plan, &args.node)?;
    let mut teller = Teller { args, ty, kept: BTreeMap::new(), console };
    teller.begin()?;
    let mut again = Again::new(plan, &args.node);
    let mut wrong = None;
    let read = reader.log(&mut |epoch, transaction| {
        if wrong.is_none() {
            wrong = again.take(epoch, transaction, args.at, &mut teller).err();
        }
    });
    read.map_err(failed)?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    again.step(&mut teller)?;
    teller.end()?;
    Ok(Exit::Ok)
}

/// The type of a field, or of a column that the definition knows.
fn type_of(plan: &Plan, node: &str) -> Result<Type, Failure> {
    if let Some((_, field)) = plan.field(node) {
        return Ok(field.ty.clone());
    }
    let column = node.rsplit_once('.').and_then(|(table, column)| Some((plan.table(table)?.1, column)));
    if let Some((table, column)) = column {
        let known = table.columns.iter().find(|known| *known.name == *column);
        return Ok(known.map_or(Type::Dyn, |known| known.ty.clone()));
    }
    let known = plan.fields.iter().map(|field| &*field.name).chain(plan.tables.iter().map(|table| &*table.name));
    let near = did_you_mean(node, known);
    let help = near.first().map_or("thalweg graph lists the fields".to_owned(), |near| format!("did you mean `{near}`?"));
    Err(Failure::Said(Exit::Failed, format!("error: E0290: there is no field or column `{node}`\n  = help: {help}")))
}

/// The log on its way through an engine.
struct Again {
    engine: Engine,
    /// The times of the epochs that are pushed.
    times: Vec<(Epoch, Timestamp)>,
    past: Past,
}

impl Again {
    fn new(plan: Arc<Plan>, node: &str) -> Again {
        let state_deltas = plan.field(node).is_none();
        let mut engine = Engine::new(plan, Options { state_deltas, ..Options::default() });
        engine.follow([node]);
        Again { engine, times: Vec::new(), past: Past::new(node.into()) }
    }

    fn take(
        &mut self,
        epoch: Epoch,
        transaction: Transaction,
        until: Option<Moment>,
        teller: &mut Teller,
    ) -> Result<(), Failure> {
        if until.is_some_and(|until| until.is_before(epoch, transaction.at)) {
            return Ok(());
        }
        let next = self.engine.epoch() + self.times.len() as Epoch + 1;
        if epoch != next {
            let why = format!("E0624: the log begins at epoch {epoch}, and a history begins at the first");
            return Err(Failure::Said(Exit::Failed, format!("error: {why}\n  = next: thalweg explain E0624")));
        }
        self.times.push((epoch, transaction.at));
        self.engine.push(transaction);
        if self.times.len() == TOGETHER { self.step(teller) } else { Ok(()) }
    }

    /// Runs what is pushed, and tells what became of the node.
    fn step(&mut self, teller: &mut Teller) -> Result<(), Failure> {
        let outcome = self.engine.step();
        for (epoch, key, had) in self.past.take(&outcome) {
            let at = self.times[(epoch - self.times[0].0) as usize].1;
            teller.tell(Version { epoch, at, key, had })?;
        }
        self.times.clear();
        Ok(())
    }
}

/// Who writes versions, at once or those that are left at the end.
struct Teller<'a> {
    args: &'a HistoryArgs,
    ty: Type,
    /// The last versions of each document, where not all are wanted.
    kept: BTreeMap<Key, VecDeque<Version>>,
    console: &'a mut Console,
}

impl Teller<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        if !self.args.json {
            self.console.data(&row(["EPOCH", "TIME", "KEY", "VALUE"]))?;
        }
        Ok(())
    }

    fn tell(&mut self, version: Version) -> Result<(), Failure> {
        if self.args.key.as_ref().is_some_and(|key| *key != key_of(&version.key)) {
            return Ok(());
        }
        let Some(most) = self.args.last.or(self.args.at.map(|_| 1)) else { return self.write(&version) };
        let versions = self.kept.entry(version.key.clone()).or_default();
        versions.push_back(version);
        if versions.len() > most {
            versions.pop_front();
        }
        Ok(())
    }

    /// What was kept, by document; at a moment those that have a value or an error.
    fn end(&mut self) -> Result<(), Failure> {
        let at_a_moment = self.args.at.is_some();
        for version in std::mem::take(&mut self.kept).into_values().flatten() {
            if !at_a_moment || !matches!(version.had, Had::Gone | Had::Value(Value::Null)) {
                self.write(&version)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, Version { epoch, at, key, had }: &Version) -> Result<(), Failure> {
        let mut shown = String::new();
        if let Had::Value(value) = had {
            values::write_as(value, &self.ty, &mut shown);
        }
        let line = if self.args.json {
            let mut line =
                json!({ "v": 1, "epoch": epoch, "at": time_of(*at, true), "node": self.args.node, "key": key_of(key) });
            match had {
                Had::Value(_) => line["value"] = serde_json::from_str(&shown).expect("invariant: a value is written as JSON"),
                Had::Error(error) => {
                    line["error"] = json!({ "code": error.code.to_string(), "message": error.message.to_string() })
                }
                Had::Gone => line["gone"] = true.into(),
            }
            format!("{line}\n")
        } else {
            match had {
                Had::Value(_) => {}
                Had::Error(error) => shown = format!("{}: {}", error.code, error.message),
                Had::Gone => shown = "gone".into(),
            }
            row([&epoch.to_string(), &time_of(*at, false), &key_of(key), &shown])
        };
        self.console.data(&line)?;
        Ok(())
    }
}

fn row([epoch, time, key, value]: [&str; 4]) -> String {
    format!("{epoch:<8} {time:<20} {key:<14} {value}\n")
}

fn key_of(key: &Key) -> String {
    let mut text = String::new();
    values::write(&Value::list(key.iter().cloned()), &mut text);
    text
}
