//! What is done to deliveries: through the process that has the store, or, where none runs, by opening it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use thalweg_graph::ports::{Act, Acted, OutboxFilter, OutboxState};

use super::{At, Which};
use crate::cli::hand::{Hand, unreadable};
use crate::cli::{Console, Exit, Failure};

#[derive(Debug, Args)]
pub(super) struct AckArgs {
    /// The effect id of any of the trigger's deliveries
    id: String,
    /// What came of it; becomes part of the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    result: String,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    these: These,
    /// Send this body from now on; `-` is stdin
    #[arg(long, value_name = "FILE", requires = "ids")]
    edit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    these: These,
}

#[derive(Debug, Args)]
struct These {
    /// Effect ids
    #[arg(required_unless_present = "dead")]
    ids: Vec<String>,
    /// Every dead letter
    #[arg(long, conflicts_with = "ids")]
    dead: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The effect or reaction
    effect: String,
    /// Why; shown in /status
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The effect or reaction
    effect: String,
}

pub(super) fn ack(at: &At<'_>, args: &AckArgs, console: &mut Console) -> Result<Exit, Failure> {
    let act = Act::Ack { id: args.id.as_str().into(), result: args.result.clone() };
    done(at, &mut Hand::open(at.data)?, ("acknowledged", &args.id), &act, console)
}

pub(super) fn retry(at: &At<'_>, args: &RetryArgs, console: &mut Console) -> Result<Exit, Failure> {
    let body = args.edit.as_deref().map(read).transpose()?;
    if body.is_some() && args.these.ids.len() > 1 {
        return Err(Failure::Said(Exit::Usage, "error: --edit is for one delivery\n  = help: name one id".into()));
    }
    each(at, &args.these, "to be delivered again", &|id| Act::Retry { id, body: body.clone() }, console)
}

pub(super) fn discard(at: &At<'_>, args: &DiscardArgs, console: &mut Console) -> Result<Exit, Failure> {
    each(at, &args.these, "discarded", &|id| Act::Discard { id }, console)
}

pub(super) fn pause(at: &At<'_>, args: &PauseArgs, console: &mut Console) -> Result<Exit, Failure> {
    let act = Act::Pause { node: args.effect.as_str().into(), action: None, reason: args.reason.clone() };
    done(at, &mut Hand::open(at.data)?, ("paused", &args.effect), &act, console)
}

pub(super) fn resume(at: &At<'_>, args: &ResumeArgs, console: &mut Console) -> Result<Exit, Failure> {
    let act = Act::Resume { node: args.effect.as_str().into() };
    done(at, &mut Hand::open(at.data)?, ("resumed", &args.effect), &act, console)
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(path).map(|all| text = all),
    };
    let failed = |error| Failure::Said(Exit::Missing, format!("error: cannot read {}: {error}", path.display()));
    read.map(|()| text.trim_end_matches('\n').to_owned()).map_err(failed)
}

/// Acts on each, oldest first. The worst that happens is the exit code.
fn each(at: &At<'_>, these: &These, word: &str, act: &dyn Fn(Arc<str>) -> Act, console: &mut Console) -> Result<Exit, Failure> {
    let ids = if these.dead { dead_letters(at, &these.which)? } else { these.ids.iter().map(|id| id.as_str().into()).collect() };
    let mut hand = Hand::open(at.data)?;
    for id in ids {
        if these.dead && !is_dead(at, &id)? {
            continue; // It was in one digest with an earlier one, and went with it.
        }
        done(at, &mut hand, (word, &id), &act(id.clone()), console)?;
    }
    Ok(Exit::Ok)
}

fn is_dead(at: &At<'_>, id: &str) -> Result<bool, Failure> {
    let found = at.reader()?.delivery(id).map_err(unreadable)?;
    Ok(found.is_some_and(|found| found.listed.state == OutboxState::Dead))
}

/// The ids of the dead letters that are meant now, oldest first: what dies meanwhile is not among them.
fn dead_letters(at: &At<'_>, which: &Which) -> Result<Vec<Arc<str>>, Failure> {
    let text = |of: &Option<String>| of.as_deref().map(Into::into);
    let (node, key) = (text(&which.effect), text(&which.key));
    let filter = OutboxFilter { node, key, state: Some(OutboxState::Dead), after: 0, limit: usize::MAX };
    let all = at.reader()?.deliveries(&filter).map_err(unreadable)?;
    Ok(all.into_iter().map(|delivery| delivery.id).collect())
}

/// Acts, and says what came of it.
fn done(at: &At<'_>, hand: &mut Hand, (word, id): (&str, &str), act: &Act, console: &mut Console) -> Result<Exit, Failure> {
    let acted = hand.act(act)?;
    let (known, text) = match acted {
        Acted::Done => (true, format!("{id} {word}")),
        Acted::Late => (true, format!("{id} {word}, late: it was a dead letter")),
        Acted::Already => (true, format!("{id} was {word} already")),
        Acted::Over(state) => (word == word_when(state), format!("{id} is {} already", word_when(state))),
        Acted::Unknown if matches!(act, Act::Resume { .. }) => (true, format!("{id} is not paused")),
        Acted::Unknown => return Err(unknown(id)),
        Acted::Malformed => {
            let why = format!("error: E0615: the body of {id} is JSON, and the new one is not\n  = help: nothing was changed");
            return Err(Failure::Said(Exit::Failed, why));
        }
    };
    if at.json {
        let mut line = json!({ "v": 1, "id": id });
        if let (Some(line), Ok(serde_json::Value::Object(answer))) = (line.as_object_mut(), serde_json::to_value(&acted)) {
            line.extend(answer);
        }
        console.data(&format!("{line}\n"))?;
    } else if known {
        console.data(&format!("{text}\n"))?;
    }
    if known { Ok(Exit::Ok) } else { Err(Failure::Said(Exit::Failed, format!("error: E0616: {text}, and stays so"))) }
}

fn word_when(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Acked => "acknowledged",
        OutboxState::Cancelled => "discarded",
        OutboxState::Dead => "given up",
        OutboxState::Pending => "pending",
    }
}

/// No delivery has this id.
pub(super) fn unknown(id: &str) -> Failure {
    let help = "thalweg effects ls shows those that there are";
    Failure::Said(Exit::Failed, format!("error: E0614: no delivery has the id {id}\n  = help: {help}"))
}
