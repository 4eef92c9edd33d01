//! A graph on a thread of its own, and the handles by which a program reaches it.
//!
//! What handles send waits in a bounded queue; when it is full, the sender waits. The thread takes what waits, up to [`BATCH_MAX`] transactions, and
//! closes them in one step, each its own epoch; so many small callers cost little more than one.
//!
//! Next to read: [`super::live`], which does the work.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_engine::Options;
use thalweg_formulas::{Cell, Problem, Timestamp, Value};
use thalweg_graph::outcome::{ErrorChange, Fired};
use thalweg_graph::{Epoch, Op, Outcome, Transaction};

use super::columns::BatchError;
use super::document::DocumentError;
use super::live::LiveGraph;
use super::subscription::{Subscribe, Subscription};
use crate::dsl::Definition;

/// Transactions of one step.
const BATCH_MAX: usize = 1_000;

/// Messages that wait for the thread.
const QUEUE: usize = 1_024;

/// A graph on a thread of its own. Clone it for each thread that uses it; the graph ends with the last clone.
///
/// ```
/// use thalweg::prelude::*;
///
/// let mut graph = Graph::new();
/// graph.state(State::document("Order").key("id"));
/// graph.derived("Order.total", Derived::formula("price * qty"));
/// let running = graph.spawn_with(Options { workers: 2, ..Options::default() })?;
///
/// let other = running.clone();
/// std::thread::spawn(move || other.push(Changes::new("tx-1").insert("Order", [("id", 1), ("price", 5), ("qty", 2)]))).join().unwrap()?;
/// assert_eq!(running.get("Order.total", [1])?, Some(Ok(Value::Int(10))));
///
/// let applied = running.apply(Changes::new("tx-2").update("Order", [("id", 9), ("qty", 3)]))?;
/// assert_eq!(applied.errors[0].error.to_string(), "E0331: update of a row that does not exist");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Running {
    thread: Arc<Thread>,
}

/// Waits for the thread when the last handle goes.
struct Thread {
    /// `None` once the last handle goes, so that the thread sees the end.
    inbox: Option<Arc<SyncSender<Message>>>,
    thread: Option<JoinHandle<()>>,
}

/// The graph has ended: its thread met a broken invariant, or a handler panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the graph has ended")]
pub struct Stopped;

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its epoch, which is closed.
    pub epoch: Epoch,
    /// What it fired.
    pub fired: Vec<Fired>,
    /// Fields and rows that it took into or out of error; a change that was refused has its table's name.
    pub errors: Vec<ErrorChange>,
}

enum Message {
    Push(Transaction, Option<SyncSender<Applied>>),
    Do(Box<dyn FnOnce(&mut LiveGraph) + Send>),
    /// A slow reader has caught up.
    Wake,
}

impl Running {
    pub(crate) fn new(definition: Definition, options: Options) -> Running {
        // This channel drops what waits in it when its thread ends, so that nobody waits for an answer to it.
        let (inbox, messages) = sync_channel(QUEUE);
        let inbox = Arc::new(inbox);
        // Not by a sender: the graph ends though its readers stay.
        let waker = Arc::downgrade(&inbox);
        let wake = Arc::new(move || {
            if let Some(inbox) = waker.upgrade() {
                // A full queue wakes it anyway.
                let _ = inbox.try_send(Message::Wake);
            }
        });
        let build = move || {
            let mut live = LiveGraph::new(definition, options);
            live.feed.wake = Some(wake);
            serve(&mut live, &messages);
        };
        let thread = std::thread::Builder::new().name("thalweg-graph".into()).spawn(build);
        let thread = thread.expect("invariant INV-WORKERS: threads can be started");
        Running { thread: Arc::new(Thread { inbox: Some(inbox), thread: Some(thread) }) }
    }

    /// Hands a transaction over; waits only while the queue is full.
    ///
    /// # Errors
    /// The graph has ended.
    pub fn push(&self, transaction: impl Into<Transaction>) -> Result<(), Stopped> {
        self.send(Message::Push(transaction.into(), None))
    }

    /// Hands a transaction over and waits until its epoch is closed.
    ///
    /// # Errors
    /// The graph has ended.
    pub fn apply(&self, transaction: impl Into<Transaction>) -> Result<Applied, Stopped> {
        let (answer, answers) = sync_channel(1);
        self.send(Message::Push(transaction.into(), Some(answer)))?;
        answers.recv().map_err(|_| Stopped)
    }

    /// Does something with the graph on its thread, after everything that was handed over before, and waits for the answer.
    ///
    /// # Errors
    /// The graph has ended.
    pub fn call<R: Send + 'static>(&self, work: impl FnOnce(&mut LiveGraph) -> R + Send + 'static) -> Result<R, Stopped> {
        let (answer, answers) = sync_channel(1);
        self.send(Message::Do(Box::new(move |live| drop(answer.send(work(live))))))?;
        answers.recv().map_err(|_| Stopped)
    }

    /// A field or column of one document; `None` if the document is not there.
    ///
    /// # Errors
    /// The graph has ended.
    pub fn get<V: Into<Value>, const N: usize>(&self, node: &str, key: [V; N]) -> Result<Option<Cell>, Stopped> {
        let (node, key): (String, [Value; N]) = (node.into(), key.map(Into::into));
        self.call(move |live| live.get(&node, key))
    }

    /// A document as a type of one's own; see [`LiveGraph::read`].
    ///
    /// # Errors
    /// As [`LiveGraph::read`]; E0343 if the graph has ended.
    pub fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        table: &str,
        key: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Result<Option<T>, DocumentError> {
        let (name, key): (String, Vec<Value>) = (table.into(), key.into_iter().map(Into::into).collect());
        self.call(move |live| live.read(&name, key))
            .unwrap_or_else(|stopped| Err(DocumentError::of_problem(table, stopped.into())))
    }

    /// Inserts a typed document, as a transaction of its own; see [`LiveGraph::insert`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`]; E0343 if the graph has ended.
    pub fn insert<T: Serialize + ?Sized>(&self, table: &str, document: &T) -> Result<Applied, DocumentError> {
        self.one(table, Op::Insert, document)
    }

    /// Changes a row by a typed document; see [`LiveGraph::update`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`]; E0343 if the graph has ended.
    pub fn update<T: Serialize + ?Sized>(&self, table: &str, document: &T) -> Result<Applied, DocumentError> {
        self.one(table, Op::Update, document)
    }

    /// Makes a row so by a typed document; see [`LiveGraph::upsert`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`]; E0343 if the graph has ended.
    pub fn upsert<T: Serialize + ?Sized>(&self, table: &str, document: &T) -> Result<Applied, DocumentError> {
        self.one(table, Op::Upsert, document)
    }

    /// Deletes the row with a typed document's key; see [`LiveGraph::delete`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`]; E0343 if the graph has ended.
    pub fn delete<T: Serialize + ?Sized>(&self, table: &str, document: &T) -> Result<Applied, DocumentError> {
        self.one(table, Op::Delete, document)
    }

    /// All documents of a type as Arrow; see [`LiveGraph::snapshot`].
    ///
    /// # Errors
    /// As [`LiveGraph::snapshot`]; E0343 if the graph has ended.
    pub fn snapshot(&self, table: &str) -> Result<RecordBatch, BatchError> {
        let name = table.to_owned();
        self.call(move |live| live.snapshot(&name)).unwrap_or_else(|stopped| Err(BatchError::of_problem(table, stopped.into())))
    }

    /// Subscribes; see [`LiveGraph::subscribe`].
    ///
    /// # Errors
    /// As [`LiveGraph::subscribe`]; E0343 if the graph has ended.
    pub fn subscribe(&self, pattern: &str) -> Result<Subscription, Problem> {
        self.subscribe_with(pattern, Subscribe::default())
    }

    /// Subscribes; see [`LiveGraph::subscribe_with`].
    ///
    /// # Errors
    /// As [`LiveGraph::subscribe`]; E0343 if the graph has ended.
    pub fn subscribe_with(&self, pattern: &str, how: Subscribe) -> Result<Subscription, Problem> {
        let pattern = pattern.to_owned();
        self.call(move |live| live.subscribe_with(&pattern, how)).unwrap_or_else(|stopped| Err(stopped.into()))
    }

    /// Tells the time; see [`LiveGraph::advance_to`].
    ///
    /// # Errors
    /// The graph has ended.
    pub fn advance_to(&self, at: Timestamp) -> Result<Outcome, Stopped> {
        self.call(move |live| live.advance_to(at))
    }

    fn one<T: Serialize + ?Sized>(&self, table: &str, op: Op, document: &T) -> Result<Applied, DocumentError> {
        let row = super::document::document_of(table, document)?;
        let name = table.to_owned();
        let work = move |live: &mut LiveGraph| live.write(&name, op, row).map(|outcome| applied(outcome.through, &outcome));
        self.call(work).unwrap_or_else(|stopped| Err(DocumentError::of_problem(table, stopped.into())))
    }

    fn send(&self, message: Message) -> Result<(), Stopped> {
        self.thread.inbox.as_ref().ok_or(Stopped)?.send(message).map_err(|_| Stopped)
    }
}

impl From<Stopped> for Problem {
    fn from(stopped: Stopped) -> Problem {
        Problem::new(343, stopped.to_string())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.inbox = None;
        let Some(thread) = self.thread.take() else { return };
        // A handler may have had the last handle.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

/// The thread's life: what waits, then a step, then the answers.
fn serve(live: &mut LiveGraph, messages: &Receiver<Message>) {
    while let Ok(first) = messages.recv() {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        let mut work = None;
        while let Some(message) = next.take() {
            match message {
                Message::Push(transaction, answer) => waiting.push((live.push(transaction), answer)),
                Message::Do(f) => work = Some(f),
                Message::Wake => {}
            }
            if work.is_none() && waiting.len() < BATCH_MAX {
                next = messages.try_recv().ok();
            }
        }
        let outcome = live.step();
        for (epoch, answer) in waiting {
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.send(applied(epoch, &outcome));
            }
        }
        if let Some(work) = work {
            work(live);
        }
    }
}

/// What an outcome says of one epoch. Firings and errors are in the order of epochs.
fn applied(epoch: Epoch, outcome: &Outcome) -> Applied {
    let fired = &outcome.fired[outcome.fired.partition_point(|fired| fired.epoch < epoch)..];
    let errors = &outcome.errors[outcome.errors.partition_point(|error| error.epoch < epoch)..];
    Applied {
        epoch,
        fired: fired.iter().take_while(|fired| fired.epoch == epoch).cloned().collect(),
        errors: errors.iter().take_while(|error| error.epoch == epoch).cloned().collect(),
    }
}
