//! One delivery with all that is known of it.

use clap::Args;
use serde_json::{Value as Json, json};
use thalweg_graph::ports::{NEVER, OutboxState, Shown};
use thalweg_sinks::sign::ack_token;

use super::acts::unknown;
use super::list::to_json;
use super::{At, time_of, word_of};
use crate::cli::hand::unreadable;
use crate::cli::{Console, Exit, Failure};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The effect id, 26 characters
    id: String,
}

pub(super) fn run(at: &At<'_>, args: &ShowArgs, console: &mut Console) -> Result<Exit, Failure> {
    let reader = at.reader()?;
    let Some(shown) = reader.delivery(&args.id).map_err(unreadable)? else { return Err(unknown(&args.id)) };
    let awaited = shown.listed.state == OutboxState::Pending && shown.settings.contains("\"ack\":");
    let token = if awaited { ack_token(reader.instance_secret(), &args.id).ok() } else { None };
    let text = if at.json { format!("{}\n", as_json(&shown, token)) } else { as_text(&shown, token) };
    console.data(&text)?;
    Ok(Exit::Ok)
}

/// The body as JSON if it is, else as text.
fn body_of(shown: &Shown) -> Json {
    serde_json::from_slice(&shown.body).unwrap_or_else(|_| Json::String(String::from_utf8_lossy(&shown.body).into_owned()))
}

fn as_json(shown: &Shown, token: Option<String>) -> Json {
    let mut line = to_json(&shown.listed);
    line["action_settings"] = serde_json::from_str(&shown.settings).unwrap_or(Json::Null);
    line["body"] = body_of(shown);
    if let Some(token) = token {
        line["ack_token"] = Json::String(token);
    }
    let entry = |(at, note): &(_, thalweg_graph::ports::Note)| json!({ "at": time_of(*at, true), "what": note.what, "ms": note.took_us as f64 / 1e3, "detail": note.detail });
    line["history"] = Json::Array(shown.history.iter().map(entry).collect());
    line
}

fn as_text(shown: &Shown, token: Option<String>) -> String {
    let one = &shown.listed;
    let mut text = format!("{} {}\n", one.id, word_of(one));
    let mut put = |name: &str, value: &str| text.push_str(&format!("  {name:<9} {value}\n"));
    put("effect", &format!("{}, action {}, key {}", one.node, one.action, one.key));
    put("version", &format!("{}; its acknowledgement is {}", one.version, one.version + 1));
    put("fired", &format!("{} in epoch {}", time_of(one.fired_at, true), one.epoch));
    match (one.state, one.ended_at) {
        (OutboxState::Pending, _) if one.not_before == NEVER && one.deliveries == 0 => put("waits", "for the action before it"),
        (OutboxState::Pending, _) if one.not_before == NEVER => put("waits", "for its acknowledgement"),
        (OutboxState::Pending, _) if one.not_before.0 > 0 => put("again", &time_of(one.not_before, true)),
        (OutboxState::Pending, _) => put("again", "at once"),
        (_, Some(ended)) => put("ended", &time_of(ended, true)),
        (_, None) => {}
    }
    put("settings", &shown.settings);
    put("body", &body_of(shown).to_string());
    if let Some(token) = token {
        put("token", &token);
    }
    for (n, (at, note)) in shown.history.iter().enumerate() {
        let name = if n == 0 { "history" } else { "" };
        let took = if note.took_us > 0 { format!(" {:.1} ms", note.took_us as f64 / 1e3) } else { String::new() };
        let detail: String = note.detail.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        put(name, format!("{} {}{took} {detail}", time_of(*at, true), note.what.name()).trim_end());
    }
    if one.state == OutboxState::Acked && one.attempts > 0 {
        put("", &format!("delivered at attempt {}", one.attempts));
    }
    text
}
