//! A handler that is a Rust function of the program which runs the graph.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use thalweg_formulas::Problem;
use thalweg_formulas::problem::did_you_mean;
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;
use tokio::sync::Semaphore;

use super::{Event, Failure, Function};
use crate::envelope::Format;
use crate::secret::redact;
use crate::settings::{Reader, SettingProblem, with_near};
use crate::{SinkContext, retry};

const TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
const CONCURRENCY: u64 = 4;

/// The action, set up.
pub(super) struct FunctionHandler {
    function: Function,
    timeout: Duration,
    /// A call that takes too long keeps its turn until it returns: a thread cannot be ended from outside.
    turns: Arc<Semaphore>,
    source_prefix: String,
}

impl FunctionHandler {
    pub(super) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let name = reader.text("name").unwrap_or_default();
        let function = context.handlers.0.get(name).cloned();
        if function.is_none() {
            reader.refuse("name", unknown(name, &context.handlers.names()));
        }
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        let turns = reader.positive("concurrency", 64).unwrap_or(CONCURRENCY);
        reader.finish()?;
        let function = function.expect("invariant: a function that is not registered is a problem, and finish() refused");
        let source_prefix = context.source_prefix.clone();
        Ok(Self { function, timeout, turns: Arc::new(Semaphore::new(turns as usize)), source_prefix })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Attempt {
        let event = match Event::of(delivery) {
            Ok(event) => event,
            Err(error) => return Attempt::Permanent { error },
        };
        let call = async {
            let turn = self.turns.clone().acquire_owned().await.expect("invariant: nobody closes the semaphore");
            let function = self.function.clone();
            let called = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                function(&event)
            });
            called.await
        };
        let transient = |error: String| Attempt::Transient { error, retry_after: None };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(Ok(()))) => Attempt::Done,
            Ok(Ok(Err(Failure::Retry(why)))) => transient(format!("E0553: the handler asks to try again: {}", redact(&why, &[]))),
            Ok(Ok(Err(Failure::Refused(why)))) => {
                Attempt::Permanent { error: format!("E0553: the handler refused: {}", redact(&why, &[])) }
            }
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => Attempt::Permanent { error: format!("E0553: the handler panicked: {}", message(panic.as_ref())) },
                Err(_) => transient("E0552: the handler was not called, since the process ends".to_owned()),
            },
            Err(_) => transient(format!("E0551: the handler did not answer within {:?}", self.timeout)),
        }
    }
}

impl Sink for FunctionHandler {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        Format::CloudEvents.render(firing, &self.source_prefix)
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(self.attempt(delivery))
    }
}

fn unknown(name: &str, names: &[&str]) -> Problem {
    let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let problem = Problem::new(550, format!("no handler is called `{name}`")).note(format!("registered: {list}"));
    match did_you_mean(name, names.iter().copied()).as_slice() {
        [] => problem
            .help("functions are registered by the program that runs the graph; a program of its own is named by `command`"),
        near => with_near(problem, near),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    redact(text.unwrap_or("without a word"), &[])
}
