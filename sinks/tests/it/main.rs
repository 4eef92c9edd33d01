//! The sinks against receivers and servers that are real, and often hostile.

mod handler;
mod log;
mod secrets;
mod settings;
mod shell;
mod sql;
mod webhook;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::{Attempt, Firing, OutboxRow, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;
use thalweg_sinks::{EgressPolicy, Secret, SinkContext, build};

/// The signing secret of the tests.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A context that may reach loopback.
fn context() -> SinkContext {
    let mut context = SinkContext::new(Secret::new(SECRET));
    context.egress = Arc::new(EgressPolicy::parse(&["127.0.0.0/8"]).unwrap());
    context
}

/// An action from its JSON.
fn action(settings: serde_json::Value) -> ActionSpec {
    serde_json::from_value(settings).unwrap()
}

/// The first settings with the second put in.
fn with(mut settings: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    let serde_json::Value::Object(more) = more else { panic!("settings are a table: {more}") };
    settings.as_object_mut().unwrap().extend(more);
    settings
}

/// The sink of an action that is right.
fn sink(settings: serde_json::Value, context: &SinkContext) -> Arc<dyn Sink> {
    build(&action(settings), context).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A firing of `big` on `shop.orders`, rendered by `sink`.
fn fired(sink: &dyn Sink, id: &str, payload: &Value) -> PendingDelivery {
    let key = [("id".into(), Value::Int(7))];
    let at = Timestamp(1_709_251_199_250_000);
    let firing = Firing {
        id,
        node: "big",
        event: "order.big",
        table: "shop.orders",
        key: &key,
        version: 3,
        at,
        origin: "0-1-42",
        payload,
        ack_token: None,
    };
    delivery(sink, &firing, 1)
}

/// The first attempt of what `sink` makes of a firing.
fn delivery(sink: &dyn Sink, firing: &Firing<'_>, epoch: u64) -> PendingDelivery {
    let row = OutboxRow {
        id: firing.id.into(),
        epoch,
        node: firing.node.into(),
        action: 0,
        key: "7".into(),
        version: firing.version,
        body: sink.render(firing).into(),
        settings: "{}".into(),
        manner: thalweg_graph::ports::Manner::default(),
    };
    PendingDelivery { row, attempts: 0, fired_at: firing.at, not_before: firing.at, since: firing.at, deliveries: 0 }
}

/// `{"id": 7, "title": "…", "total": 12.5}`.
fn payload() -> Value {
    Value::record([("id", Value::Int(7)), ("title", Value::text("naïve \"x\"")), ("total", Value::double(12.5))])
}

/// An id of the right form.
fn id(n: u32) -> String {
    format!("01HQT5{n:020}")
}

/// Texts that are none of SQL's business.
const HOSTILE: [&str; 15] = [
    "'; DROP TABLE event_log; --",
    "'; DROP TABLE people; --",
    "' OR '1'='1",
    "\\'",
    "\\",
    "''",
    "\"",
    "`",
    "\0",
    "%_",
    "?",
    "ünïcode 🦀",
    "\r\n\t\u{1a}",
    "{payload.id}{new.id}",
    "\u{feff}",
];

/// A context whose paths start in a folder of its own.
fn home() -> (TempDir, SinkContext) {
    let folder = tempfile::tempdir().unwrap();
    let mut context = context();
    context.directory = folder.path().to_owned();
    (folder, context)
}

/// What a program wrote into a file of that folder.
fn read(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

/// Waits until it holds, and lets the rest of the test go on meanwhile.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited 10 s for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a process is gone; a test fails if it stays.
async fn until_gone(pid: &str) {
    assert!(!pid.trim().is_empty());
    until(&format!("the end of process {pid}"), || !is_running(pid)).await;
}

/// Whether a process runs: one that is dead and that nobody has looked at yet does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !pid.is_empty() && !stat.is_empty() && !stat.contains(") Z ")
}

/// An attempt in one line.
fn shown(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Done => "done".to_owned(),
        Attempt::Acknowledged { result } => format!("acknowledged: {result}"),
        Attempt::Gone { error } => format!("gone: {error}"),
        Attempt::Transient { error, retry_after: None } => format!("transient: {error}"),
        Attempt::Transient { error, retry_after: Some(seconds) } => format!("transient, not before {seconds} s: {error}"),
        Attempt::Permanent { error } => format!("permanent: {error}"),
    }
}
