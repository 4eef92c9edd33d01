//! The `handler` action: what a program of one's own does with an event.
//!
//! - `name`: a Rust function that the program which runs the graph has registered, see [`Handlers`].
//! - `command`: a child process that lives as long as the daemon and answers each line of JSON by one, see [`child`].
//!
//! At least once: a crash between the doing and the answer repeats the event, with the same id. One event of a rule and key is under way at
//! a time, in order.

mod child;
mod function;
mod live;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;
use thalweg_formulas::Problem;
use thalweg_graph::ports::{PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;

use crate::SinkContext;
use crate::settings::{SettingProblem, wrong};

/// A function that handles events.
type Function = Arc<dyn Fn(&Event) -> Result<(), Failure> + Send + Sync>;

/// The Rust functions that actions of type `handler` may name.
///
/// ```
/// use thalweg_sinks::{Failure, Secret, SinkContext};
///
/// let mut context = SinkContext::new(Secret::new("instance secret"));
/// context.handlers.on("charge", |event| match event.data()["total"].as_f64() {
///     Some(total) if total < 10_000.0 => Ok(()), // Charges `event.id` once, however often it is asked.
///     Some(_) => Err(Failure::Refused("that is too much".into())),
///     None => Err(Failure::Retry("the total is not known yet".into())),
/// });
/// ```
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Function>);

impl Handlers {
    /// Registers a function; one that had the name before is replaced. It is called in a thread where it may block. A panic counts as
    /// [`Failure::Refused`].
    pub fn on(
        &mut self,
        name: impl Into<String>,
        function: impl Fn(&Event) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> &mut Self {
        self.0.insert(name.into(), Arc::new(function));
        self
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a function handles: one attempt of one delivery.
#[derive(Clone, Debug)]
pub struct Event {
    /// The effect id: the same at every attempt, so what must not happen twice can be remembered by it.
    pub id: Arc<str>,
    /// The rule that fired.
    pub rule: Arc<str>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The event: a CloudEvents 1.0 envelope.
    pub event: Json,
}

impl Event {
    fn of(delivery: &PendingDelivery) -> Result<Self, String> {
        let row = &delivery.row;
        let event = serde_json::from_slice(&row.body).map_err(|why| format!("E0553: the stored event cannot be read: {why}"))?;
        Ok(Self { id: row.id.clone(), rule: row.node.clone(), attempt: delivery.attempts + 1, event })
    }

    /// The payload: of an effect its fields, of a reaction `op`, `key`, `old` and `new`.
    pub fn data(&self) -> &Json {
        &self.event["data"]
    }
}

/// Why a function did not handle an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Trying again may help: it is tried until the deadline.
    #[error("{0}")]
    Retry(String),
    /// Trying again will hardly help: three tries, then a dead letter.
    #[error("{0}")]
    Refused(String),
}

/// Sets up an action of type `handler`.
pub(crate) fn build(action: &ActionSpec, context: &SinkContext) -> Result<Arc<dyn Sink>, Vec<SettingProblem>> {
    let has = |key: &str| action.settings.contains_key(key);
    let refused = |key: &str, problem: Problem| Err(vec![SettingProblem { key: key.to_owned(), problem }]);
    match (has("name"), has("command")) {
        (true, false) => Ok(Arc::new(function::FunctionHandler::new(action, context)?)),
        (false, true) => Ok(Arc::new(child::ChildHandler::new(action, context)?)),
        (true, true) => refused("name", wrong("name", "this does not go with `command`: a handler is a function or a program")),
        (false, false) => {
            let problem = Problem::new(503, "an action of type `handler` needs the setting `command` or `name`");
            refused("command", problem.help("write command = [\"python3\", \"handler.py\"]"))
        }
    }
}
