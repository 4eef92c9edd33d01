//! The `shell` action: a program is run for each firing, with the event as JSON on its standard input.
//!
//! The command is a list and never a line, so no text of a row is ever read by a shell. The program gets the effect id in
//! `THALWEG_EFFECT_ID`, the same at every attempt: at least once, so what must not happen twice is for the program to remember by it.
//!
//! Exit code 0 delivers. 75 (`EX_TEMPFAIL`) and those of `retry_codes` are tried again until the deadline, as are a run that takes too long and
//! one that a signal ends; any other code gets three tries. See [`process`](crate::process) for what the program sees and how it ends.
//!
//! Bounds: 30 s a run (`timeout`), then SIGTERM, then SIGKILL after `grace` (2 s); 4 runs at a time (`concurrency`); 64 KiB of each output
//! kept, 600 characters of it shown.

use std::io::Write;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::envelope::Format;
use crate::process::capture::Capture;
use crate::process::leader::{self, Leader, Leash};
use crate::process::{Program, Ready, may_start_later};
use crate::secret::Secret;
use crate::settings::{Reader, SettingProblem, wrong};
use crate::{SinkContext, retry};

const TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
const GRACE: Duration = Duration::from_secs(2);
const CONCURRENCY: u64 = 4;
/// `EX_TEMPFAIL` of `sysexits.h`.
const TEMPORARY: i32 = 75;
/// How long the end of an output is waited for once the program is gone.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// The action, set up.
pub(crate) struct Shell {
    program: Arc<Program>,
    timeout: Duration,
    grace: Duration,
    retry_codes: Vec<i32>,
    format: Format,
    runs: Semaphore,
    source_prefix: String,
}

/// A run under way.
struct Run {
    leash: Leash,
    ended: oneshot::Receiver<ExitStatus>,
    stdout: Capture,
    stderr: Capture,
    secrets: Vec<Secret>,
}

impl Shell {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        reader.required_key("command", "[\"./notify.sh\", \"--urgent\"]");
        let program = Program::read(&mut reader, context);
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        let grace = reader.duration("grace", TIMEOUT).unwrap_or(GRACE);
        let retry_codes = read_codes(&mut reader);
        let runs = reader.positive("concurrency", 64).unwrap_or(CONCURRENCY);
        let format = Format::read(&mut reader);
        reader.finish()?;
        let program = Arc::new(program.expect("invariant: a command that could not be read is a problem, and finish() refused"));
        let source_prefix = context.source_prefix.clone();
        Ok(Self { program, timeout, grace, retry_codes, format, runs: Semaphore::new(runs as usize), source_prefix })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Attempt {
        let _turn = self.runs.acquire().await.expect("invariant: nobody closes the semaphore");
        let mut ready = match self.program.ready() {
            Ok(ready) => ready,
            Err(error) => return Attempt::Transient { error, retry_after: None },
        };
        ready.tell(delivery);
        let body = delivery.row.body.clone();
        let started = tokio::task::spawn_blocking(move || start(ready, &body)).await;
        let mut run = match started {
            Ok(Ok(run)) => run,
            Ok(Err(why)) => return cannot_start(self.program.shown(), &why),
            Err(why) => return Attempt::Transient { error: format!("E0540: the run was given up: {why}"), retry_after: None },
        };
        match timeout(self.timeout, &mut run.ended).await {
            Ok(Ok(status)) => self.judge(run, status).await,
            Ok(Err(_)) => Attempt::Transient { error: "E0540: how the program ended is not known".to_owned(), retry_after: None },
            Err(_) => {
                self.end(&mut run).await;
                let error = format!("E0541: the program took longer than {:?}{}", self.timeout, run.said().await);
                Attempt::Transient { error, retry_after: None }
            }
        }
    }

    /// Asks the group to end, then makes it.
    async fn end(&self, run: &mut Run) {
        run.leash.0.signal(Signal::TERM);
        if timeout(self.grace, &mut run.ended).await.is_err() {
            run.leash.0.signal(Signal::KILL);
        }
    }

    async fn judge(&self, run: Run, status: ExitStatus) -> Attempt {
        if status.success() {
            return Attempt::Done;
        }
        let error = format!("E0542: the program ended with {}{}", leader::shown(status), run.said().await);
        match status.code() {
            Some(code) if code != TEMPORARY && !self.retry_codes.contains(&code) => Attempt::Permanent { error },
            _ => Attempt::Transient { error, retry_after: None },
        }
    }
}

impl Sink for Shell {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        self.format.render(firing, &self.source_prefix)
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(self.attempt(delivery))
    }
}

impl Run {
    /// What was said on both outputs, for an error.
    async fn said(self) -> String {
        let Self { stdout, stderr, secrets, leash, .. } = self;
        let read = move || {
            let _leash = leash;
            let said =
                [("stderr", stderr), ("stdout", stdout)].map(|(name, capture)| (name, capture.said(&secrets, OUTPUT_PATIENCE)));
            said.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("; {name}: {text}")).collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }
}

/// Starts the program and the threads that feed and empty its pipes. One that does not read its input is not made to.
fn start(mut ready: Ready, body: &Arc<[u8]>) -> std::io::Result<Run> {
    let (end, ended) = oneshot::channel();
    let (leader, pipes) = Leader::start(&mut ready.command, move |status| {
        // Nobody waits any more if the attempt was given up.
        let _ = end.send(status);
    })?;
    let leash = Leash(leader);
    let (mut stdin, body) = (pipes.stdin, body.clone());
    std::thread::Builder::new().name("thalweg-input".into()).spawn(move || {
        let _ = stdin.write_all(&body).and_then(|()| stdin.write_all(b"\n"));
    })?;
    let (stdout, stderr) = (Capture::start(pipes.stdout)?, Capture::start(pipes.stderr)?);
    Ok(Run { leash, ended, stdout, stderr, secrets: ready.secrets })
}

/// E0540: what is not there gets three tries, what the machine is short of for now is tried until the deadline.
pub(crate) fn cannot_start(program: &str, why: &std::io::Error) -> Attempt {
    let error = format!("E0540: `{program}` cannot be started: {why}");
    if may_start_later(why) { Attempt::Transient { error, retry_after: None } } else { Attempt::Permanent { error } }
}

fn read_codes(reader: &mut Reader<'_>) -> Vec<i32> {
    let Some(value) = reader.raw("retry_codes") else { return Vec::new() };
    let code = |value: &serde_json::Value| value.as_u64().filter(|code| (1..=255).contains(code)).map(|code| code as i32);
    let codes = value.as_array().and_then(|codes| codes.iter().map(code).collect());
    if codes.is_none() {
        reader.refuse("retry_codes", wrong("retry_codes", "expected a list of exit codes from 1 to 255"));
    }
    codes.unwrap_or_default()
}
