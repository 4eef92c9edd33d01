//! A handler that is a child process: it lives on, gets a line of JSON for each event and answers by one.
//!
//! ```text
//! to it:    {"id":"01HQ…","rule":"big","attempt":1,"event":{"specversion":"1.0",…}}
//! from it:  {"id":"01HQ…","ok":true}
//!           {"id":"01HQ…","error":"card declined"}                three tries, then a dead letter
//!           {"id":"01HQ…","error":"bank is closed","retry":true}  tried again until the deadline
//! ```
//!
//! What it writes to stderr goes to the daemon's log. It is started at the first event, and again when it ends: after 100 ms, doubled each time up
//! to 30 s until it answers something. What it had not answered is asked again, by the policy of retries. When its input ends it should
//! end; it gets half a second.
//!
//! Bounds: 30 s an answer (`timeout`), or it is killed; one question at a time (`concurrency`); 1 MiB a line.

use std::sync::Arc;
use std::time::Duration;

use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

use super::live::{Answer, Live};
use crate::envelope::Format;
use crate::process::Program;
use crate::settings::{Reader, SettingProblem};
use crate::shell::cannot_start;
use crate::{SinkContext, retry};

const TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
const CONCURRENCY: u64 = 1;
const RESTART_MIN: Duration = Duration::from_millis(100);
const RESTART_MAX: Duration = Duration::from_secs(30);

/// The action, set up.
pub(super) struct ChildHandler {
    program: Arc<Program>,
    timeout: Duration,
    turns: Semaphore,
    child: Mutex<Child>,
    source_prefix: String,
}

/// The child that there is, and how often it has ended without an answer.
#[derive(Default)]
struct Child {
    live: Option<Arc<Live>>,
    ends: u32,
}

impl ChildHandler {
    pub(super) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let program = Program::read(&mut reader, context);
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        let turns = reader.positive("concurrency", 64).unwrap_or(CONCURRENCY);
        reader.finish()?;
        let program = Arc::new(program.expect("invariant: a command that could not be read is a problem, and finish() refused"));
        let source_prefix = context.source_prefix.clone();
        Ok(Self { program, timeout, turns: Semaphore::new(turns as usize), child: Mutex::default(), source_prefix })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Result<(), Attempt> {
        let _turn = self.turns.acquire().await.expect("invariant: nobody closes the semaphore");
        let id = &delivery.row.id;
        let transient = |error: String| Attempt::Transient { error, retry_after: None };
        let live = self.live().await?;
        let answered = live.ask(id, question(delivery)).map_err(transient)?;
        let answer = match timeout(self.timeout, answered).await {
            Ok(answer) => answer.unwrap_or_else(|_| Answer::Ended("E0552: the handler has ended".to_owned())),
            Err(_) => {
                live.kill();
                return Err(transient(format!(
                    "E0551: the handler did not answer within {:?}, it is started anew",
                    self.timeout
                )));
            }
        };
        match answer {
            Answer::Ended(how) => return Err(transient(how)),
            Answer::Ok | Answer::Failed { .. } => self.child.lock().await.ends = 0,
        }
        match answer {
            Answer::Failed { error, retry: true } => Err(transient(format!("E0553: the handler asks to try again: {error}"))),
            Answer::Failed { error, retry: false } => {
                Err(Attempt::Permanent { error: format!("E0553: the handler refused: {error}") })
            }
            Answer::Ok | Answer::Ended(_) => Ok(()),
        }
    }

    /// The child that runs; one is started if there is none, not too soon after the last has ended.
    async fn live(&self) -> Result<Arc<Live>, Attempt> {
        let mut child = self.child.lock().await;
        if let Some(live) = child.live.as_ref().filter(|live| !live.has_ended()) {
            return Ok(live.clone());
        }
        if child.live.take().is_some() {
            let wait = RESTART_MIN.saturating_mul(2u32.saturating_pow(child.ends)).min(RESTART_MAX);
            child.ends = child.ends.saturating_add(1);
            sleep_until(Instant::now() + wait).await;
        }
        let ready = self.program.ready().map_err(|error| Attempt::Transient { error, retry_after: None })?;
        let started = tokio::task::spawn_blocking(move || Live::start(ready)).await;
        let started = started.unwrap_or_else(|why| Err(std::io::Error::other(why)));
        let live = Arc::new(started.map_err(|why| cannot_start(self.program.shown(), &why))?);
        child.live = Some(live.clone());
        Ok(live)
    }
}

impl Sink for ChildHandler {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        Format::CloudEvents.render(firing, &self.source_prefix)
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(async move { self.attempt(delivery).await.err().unwrap_or(Attempt::Done) })
    }
}

/// The line that asks: the stored event between what tells which delivery it is.
fn question(delivery: &PendingDelivery) -> Vec<u8> {
    let row = &delivery.row;
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut line =
        format!("{{\"id\":{},\"rule\":{},\"attempt\":{},\"event\":", text(&row.id), text(&row.node), delivery.attempts + 1);
    line.push_str(&String::from_utf8_lossy(&row.body));
    line.push_str("}\n");
    line.into_bytes()
}
