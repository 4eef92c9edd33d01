//! `thalweg timers`: what is to come, brought forward and called off.
//!
//! Looking reads the store beside the process that has it; acting goes through that process where one runs ([`super::hand`]).

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use thalweg::formulas::{Value, json as values};
use thalweg::runtime::clock::{Clock, SystemClock};
use thalweg::sequencer::{brought_forward, is_scheduled};
use thalweg_graph::ports::{Acted, CommitBatch, Store, Timer, TimerAct};
use thalweg_store::{OutboxReader, SqliteStore};

use super::effects::time_of;
use super::hand::{Hand, ask, failed, unreadable};
use super::{Console, Exit, Failure};

/// Look at timers that wait, let them come now, call them off
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg timers ls                                  what is to come, the soonest first
  thalweg timers ls --rule issue.created --key '[7]'
  thalweg timers fire 01KAV8Y0ZZ…                    it comes now
  thalweg timers cancel 01KAV8Y0ZZ…                  it does not come
  thalweg timers cancel --rule issue.created         none of the rule comes")]
pub struct TimersArgs {
    #[command(subcommand)]
    what: What,
    /// The data directory of `thalweg run`
    #[arg(long, global = true, value_name = "DIR", default_value = ".thalweg")]
    data: PathBuf,
    /// A line of JSON for each
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List timers that wait, the soonest first
    Ls(ListArgs),
    /// Let timers come now; that of a schedule comes once more
    Fire(These),
    /// Call timers off; that of a schedule is left out this time
    Cancel(These),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
}

/// Which timers.
#[derive(Debug, Args)]
struct Which {
    /// Of this rule, as it is listed
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Of this key, as it is listed: '[7]', '["a",1]'
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Args)]
struct These {
    /// Ids of timers
    #[arg(required_unless_present = "rule", conflicts_with = "rule")]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
}

pub fn run(args: &TimersArgs, console: &mut Console) -> Result<Exit, Failure> {
    match &args.what {
        What::Ls(list) => ls(args, list, console),
        What::Fire(these) => each(args, these, ("fired", &|id| TimerAct::Fire { id }), console),
        What::Cancel(these) => each(args, these, ("cancelled", &|id| TimerAct::Cancel { id }), console),
    }
}

fn ls(args: &TimersArgs, list: &ListArgs, console: &mut Console) -> Result<Exit, Failure> {
    if !args.json {
        console.data(&row(["DUE", "ID", "RULE", "EVENT", "TABLE", "KEY"]))?;
    }
    for timer in matching(args, &list.which)?.iter().take(list.limit) {
        let line = if args.json { format!("{}\n", to_json(timer)) } else { table_row(timer) };
        console.data(&line)?;
    }
    Ok(Exit::Ok)
}

/// The timers that are meant now, soonest first.
fn matching(args: &TimersArgs, which: &Which) -> Result<Vec<Timer>, Failure> {
    let mut timers = OutboxReader::open(&args.data).and_then(|reader| reader.timers()).map_err(unreadable)?;
    timers.retain(|timer| which.rule.as_deref().is_none_or(|rule| *timer.rule == *rule));
    timers.retain(|timer| which.key.as_deref().is_none_or(|key| key_of(timer) == key));
    Ok(timers)
}

fn key_of(timer: &Timer) -> String {
    let mut text = String::new();
    values::write(&Value::list(timer.key.iter().cloned()), &mut text);
    text
}

fn table_row(timer: &Timer) -> String {
    row([&time_of(timer.due, false), &timer.id, &timer.rule, &timer.event, &timer.table, &key_of(timer)])
}

fn row([due, id, rule, event, table, key]: [&str; 6]) -> String {
    let line = format!("{due:<20} {id:<26} {rule:<20} {event:<20} {table:<14} {key}");
    format!("{}\n", line.trim_end())
}

fn to_json(timer: &Timer) -> Json {
    json!({
        "v": 1,
        "id": timer.id,
        "rule": timer.rule,
        "event": timer.event,
        "table": timer.table,
        "key": key_of(timer),
        "due": time_of(timer.due, true),
    })
}

/// Acts on each, soonest first.
fn each(
    args: &TimersArgs,
    these: &These,
    (word, act): (&str, &dyn Fn(Arc<str>) -> TimerAct),
    console: &mut Console,
) -> Result<Exit, Failure> {
    let ids: Vec<Arc<str>> = match these.ids.is_empty() {
        true => matching(args, &these.which)?.into_iter().map(|timer| timer.id).collect(),
        false => these.ids.iter().map(|id| id.as_str().into()).collect(),
    };
    let mut hand = Hand::open(&args.data)?;
    for id in ids {
        let acted = match &mut hand {
            Hand::Process(socket) => ask(socket, &act(id.clone()))?,
            Hand::Store(store) => in_store(store, &act(id.clone()))?,
        };
        if acted != Acted::Done {
            let help = "thalweg timers ls shows those that wait";
            return Err(Failure::Said(
                Exit::Failed,
                format!("error: E0617: no timer that waits has the id {id}\n  = help: {help}"),
            ));
        }
        let line =
            if args.json { format!("{}\n", json!({ "v": 1, "id": id, "outcome": "done" })) } else { format!("{id} {word}\n") };
        console.data(&line)?;
    }
    Ok(Exit::Ok)
}

/// Where no process runs: a timer that is fired is due at the next start.
fn in_store(store: &mut SqliteStore, act: &TimerAct) -> Result<Acted, Failure> {
    let timers = store.timers().map_err(failed)?;
    let Some(timer) = timers.into_iter().find(|timer| timer.id == *act.id()) else { return Ok(Acted::Unknown) };
    let scheduled = is_scheduled(&timer.rule);
    let (timers, timers_done) = match act {
        TimerAct::Cancel { id } if scheduled => {
            let why = format!("error: E0618: {id} is of a schedule, whose next time only a running process knows");
            return Err(Failure::Said(Exit::Failed, format!("{why}\n  = help: start `thalweg run`, then cancel it")));
        }
        TimerAct::Cancel { id } => (Vec::new(), vec![id.clone()]),
        TimerAct::Fire { id } => {
            (vec![brought_forward(timer, SystemClock.now())], if scheduled { Vec::new() } else { vec![id.clone()] })
        }
    };
    let first = store.recovered().epoch + 1;
    store.commit(&CommitBatch { first, timers, timers_done, ..CommitBatch::default() }).map_err(failed)?;
    Ok(Acted::Done)
}
