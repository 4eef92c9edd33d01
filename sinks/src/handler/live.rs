//! One running child of a handler: lines of JSON in, lines of JSON out, and what became of those who wait.
//!
//! - INV-HANDLER-TOLD: whoever asks is told: an answer, or that the child has ended. Nobody can ask once it has.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::process::Ready;
use crate::process::capture::{Capture, tail};
use crate::process::leader::{self, Leader, Leash};
use crate::secret::Secret;

/// The longest line of an answer.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How long the end of what a child said is waited for once it is gone.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(200);
/// A child whose input has ended gets so long to end by itself, and so long again after SIGTERM.
const PARTING: Duration = Duration::from_millis(250);

/// What comes of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Ok,
    /// It is not done.
    Failed {
        /// Why, without secrets.
        error: String,
        /// Whether trying again may help.
        retry: bool,
    },
    /// The child has ended; how, and what it said last.
    Ended(String),
}

/// A child that runs, or has ended.
pub(super) struct Live {
    shared: Arc<Shared>,
    leash: Leash,
    /// `None` while it is being dropped.
    questions: Option<Sender<Vec<u8>>>,
}

struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    stderr: Mutex<Option<Capture>>,
    secrets: Vec<Secret>,
}

#[derive(Default)]
struct State {
    /// How it ended, once it has or was made to.
    ended: Option<String>,
    waiting: HashMap<Arc<str>, oneshot::Sender<Answer>>,
}

impl Live {
    /// Starts a child.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(mut ready: Ready) -> std::io::Result<Self> {
        let secrets = std::mem::take(&mut ready.secrets);
        let shared = Arc::new(Shared { state: Mutex::default(), ended: Condvar::new(), stderr: Mutex::default(), secrets });
        let told = shared.clone();
        let (leader, pipes) = Leader::start(&mut ready.command, move |status| told.end(status))?;
        let leash = Leash(leader.clone());
        let logged = shared.clone();
        let stderr = Capture::each_line(pipes.stderr, move |line| {
            tracing::info!(target: "thalweg::handler", "{}", tail(line, &logged.secrets));
        })?;
        *lock(&shared.stderr) = Some(stderr);
        let (questions, asked) = channel();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("thalweg-input").spawn(move || feed(pipes.stdin, &asked))?;
        let answered = shared.clone();
        thread("thalweg-answers").spawn(move || answered.listen(pipes.stdout, &leader))?;
        Ok(Self { shared, leash, questions: Some(questions) })
    }

    /// Puts a question, one line.
    ///
    /// # Errors
    /// How the child has ended.
    pub(super) fn ask(&self, id: &Arc<str>, line: Vec<u8>) -> Result<oneshot::Receiver<Answer>, String> {
        let (answer, answered) = oneshot::channel();
        let mut state = lock(&self.shared.state);
        if let Some(how) = &state.ended {
            return Err(how.clone());
        }
        state.waiting.insert(id.clone(), answer);
        // If its input is closed it will end, or will not answer in time.
        let _ = self.questions.as_ref().map(|questions| questions.send(line));
        Ok(answered)
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.shared.state).ended.is_some()
    }

    /// Ends it: it does not answer. Nobody can ask any more; who waits is told when it is gone.
    pub(super) fn kill(&self) {
        let how = || "E0552: the handler was ended, since it did not answer".to_owned();
        lock(&self.shared.state).ended.get_or_insert_with(how);
        self.leash.0.signal(Signal::KILL);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.questions = None;
        if !self.shared.ends_within(PARTING) {
            self.leash.0.signal(Signal::TERM);
            self.shared.ends_within(PARTING);
        }
    }
}

impl Shared {
    /// Takes answers until the output ends; a child that cannot answer any more is of no use.
    fn listen(&self, stdout: ChildStdout, leader: &Leader) {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut stdout).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(1..) if line.ends_with(b"\n") => self.answer(&line),
                Ok(n) if n as u64 == LINE_BYTES_MAX => {
                    tracing::warn!(target: "thalweg::handler", "a line of more than {LINE_BYTES_MAX} bytes is no answer");
                    break;
                }
                _ => break,
            }
        }
        if !self.ends_within(PARTING) {
            leader.signal(Signal::KILL);
        }
    }

    fn answer(&self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Line {
            id: String,
            #[serde(default)]
            ok: bool,
            error: Option<String>,
            #[serde(default)]
            retry: bool,
        }
        let shown = || tail(&String::from_utf8_lossy(line), &self.secrets);
        let Ok(Line { id, ok, error, retry }) = serde_json::from_slice(line) else {
            return tracing::warn!(target: "thalweg::handler", "this is no answer: {}", shown());
        };
        let Some(waiting) = lock(&self.state).waiting.remove(id.as_str()) else {
            return tracing::warn!(target: "thalweg::handler", "nobody asked for this: {}", shown());
        };
        let answer = match (ok, error) {
            (true, None) => Answer::Ok,
            (_, error) => Answer::Failed { error: tail(error.as_deref().unwrap_or("it gave no reason"), &self.secrets), retry },
        };
        // Whoever asked may have gone.
        let _ = waiting.send(answer);
    }

    /// Tells everybody who waits that the child has ended.
    fn end(&self, status: ExitStatus) {
        let said = lock(&self.stderr).as_ref().map(|stderr| stderr.said(&self.secrets, OUTPUT_PATIENCE)).unwrap_or_default();
        let said = if said.is_empty() { said } else { format!("; stderr: {said}") };
        let how = format!("E0552: the handler ended with {}{said}", leader::shown(status));
        let mut state = lock(&self.state);
        for (_, waiting) in state.waiting.drain() {
            let _ = waiting.send(Answer::Ended(how.clone()));
        }
        state.ended = Some(how);
        self.ended.notify_all();
    }

    fn ends_within(&self, patience: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self.ended.wait_timeout_while(state, patience, |state| state.ended.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.ended.is_some()
    }
}

/// Writes questions until nobody asks any more; then the child's input ends.
fn feed(mut stdin: ChildStdin, asked: &Receiver<Vec<u8>>) {
    while let Ok(line) = asked.recv() {
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
