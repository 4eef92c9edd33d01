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
    };
    let row = OutboxRow {
        id: id.into(),
        epoch: 1,
        node: "big".into(),
        action: 0,
        key: "7".into(),
        version: 3,
        body: sink.render(&firing).into(),
        settings: "{}".into(),
    };
    PendingDelivery { row, attempts: 0, fired_at: at, not_before: at }
}

/// `{"id": 7, "title": "…", "total": 12.5}`.
fn payload() -> Value {
    Value::record([("id", Value::Int(7)), ("title", Value::text("naïve \"x\"")), ("total", Value::double(12.5))])
}

/// An id of the right form.
fn id(n: u32) -> String {
    format!("01HQT5{n:020}")
}

/// An attempt in one line.
fn shown(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Done => "done".to_owned(),
        Attempt::Transient { error, retry_after: None } => format!("transient: {error}"),
        Attempt::Transient { error, retry_after: Some(seconds) } => format!("transient, not before {seconds} s: {error}"),
        Attempt::Permanent { error } => format!("permanent: {error}"),
    }
}
