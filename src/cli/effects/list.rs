//! Lists of deliveries: a table for people, a line of JSON each for programs.

use clap::Args;
use serde_json::{Value as Json, json};
use thalweg_graph::ports::{Listed, NEVER, OutboxFilter, OutboxState};

use super::{At, State, Which, time_of, word_of};
use crate::cli::hand::unreadable;
use crate::cli::{Console, Exit, Failure};

/// Deliveries read at a time.
const PAGE: usize = 1_000;
/// Characters of an error in the table.
const ERROR_MAX: usize = 60;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// In this state
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<State>,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Args)]
struct Part {
    /// Behind this number, the first in a line
    #[arg(long, value_name = "N", default_value = "0")]
    after: u64,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
}

pub(super) fn ls(at: &At<'_>, args: &ListArgs, console: &mut Console) -> Result<Exit, Failure> {
    let filter = filter(&args.which, args.state.map(State::of_outbox), &args.part);
    list(at, filter, console)
}

pub(super) fn dead(at: &At<'_>, args: &DeadArgs, console: &mut Console) -> Result<Exit, Failure> {
    let filter = filter(&args.which, Some(OutboxState::Dead), &args.part);
    let exit = list(at, filter, console)?;
    console.next("thalweg effects show ID tells why; retry ID delivers again, discard ID gives up");
    Ok(exit)
}

fn filter(which: &Which, state: Option<OutboxState>, part: &Part) -> OutboxFilter {
    let text = |of: &Option<String>| of.as_deref().map(Into::into);
    OutboxFilter { node: text(&which.effect), key: text(&which.key), state, after: part.after, limit: part.limit }
}

/// Page by page, so that a long list is never held.
fn list(at: &At<'_>, mut filter: OutboxFilter, console: &mut Console) -> Result<Exit, Failure> {
    let reader = at.reader()?;
    let mut left = filter.limit;
    if !at.json {
        console.data(&row(["#", "ID", "EFFECT", "KEY", "V", "STATE", "TRIES", "FIRED", "LAST ERROR"]))?;
    }
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = reader.deliveries(&filter).map_err(unreadable)?;
        for delivery in &page {
            let line = if at.json { format!("{}\n", to_json(delivery)) } else { table_row(delivery) };
            console.data(&line)?;
        }
        left -= page.len();
        match page.last() {
            Some(last) if page.len() == filter.limit => filter.after = last.seq,
            _ => break,
        }
    }
    Ok(Exit::Ok)
}

fn table_row(delivery: &Listed) -> String {
    let action = if delivery.action > 0 { format!("{}#{}", delivery.node, delivery.action) } else { delivery.node.to_string() };
    let error: String = delivery.error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_MAX).collect();
    row([
        &delivery.seq.to_string(),
        &delivery.id,
        &action,
        &delivery.key,
        &delivery.version.to_string(),
        word_of(delivery),
        &delivery.attempts.to_string(),
        &time_of(delivery.fired_at, false),
        &error,
    ])
}

fn row(cells: [&str; 9]) -> String {
    let [seq, id, node, key, version, state, tries, fired, error] = cells;
    let line = format!("{seq:<6} {id:<26} {node:<20} {key:<14} {version:<5} {state:<9} {tries:<5} {fired:<20} {error}");
    format!("{}\n", line.trim_end())
}

/// As a line of JSON.
pub(super) fn to_json(delivery: &Listed) -> Json {
    let mut line = json!({
        "v": 1,
        "n": delivery.seq,
        "id": delivery.id,
        "effect": delivery.node,
        "action": delivery.action,
        "key": delivery.key,
        "version": delivery.version,
        "state": delivery.state,
        "phase": word_of(delivery),
        "attempts": delivery.attempts,
        "deliveries": delivery.deliveries,
        "fired_at": time_of(delivery.fired_at, true),
    });
    let mut put = |name: &str, value: String| line[name] = Json::String(value);
    if delivery.state == OutboxState::Pending && delivery.not_before.0 > 0 && delivery.not_before != NEVER {
        put("not_before", time_of(delivery.not_before, true));
    }
    if let Some(ended) = delivery.ended_at {
        put("ended_at", time_of(ended, true));
    }
    if delivery.state == OutboxState::Acked {
        line["ack_version"] = json!(delivery.version + 1);
    }
    if !delivery.error.is_empty() {
        line["error"] = Json::String(delivery.error.clone());
    }
    line
}
