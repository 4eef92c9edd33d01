//! The sources at work, each in a task of its own, and the queue on which they bring what they read.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::SourceSetup;
use super::pump::Arrival;
use super::queue::Gate;

/// Messages that may wait for the pump before the sources wait; what they may hold stands in `queue`.
const QUEUE: usize = 4_096;

/// The sources of a run.
pub(super) struct Following {
    /// Their names.
    pub names: Vec<Arc<str>>,
    /// Those whose schemas planning needs.
    pub announcing: BTreeSet<Arc<str>>,
    /// What they bring.
    pub queue: mpsc::Receiver<Arrival>,
    tasks: Vec<JoinHandle<()>>,
}

impl Following {
    /// Starts them where the last commit stands.
    pub(super) fn start(
        sources: Vec<SourceSetup>,
        positions: &[(Arc<str>, String)],
        tokio: &tokio::runtime::Handle,
    ) -> Following {
        let (arrivals, queue) = mpsc::channel(QUEUE);
        let (gate, mut names, mut announcing) = (Gate::default(), Vec::new(), BTreeSet::new());
        let tasks = sources.into_iter().map(|SourceSetup { source, announces }| {
            let name: Arc<str> = source.name().into();
            names.push(name.clone());
            if announces {
                announcing.insert(name.clone());
            }
            let position = positions.iter().find(|(known, _)| *known == name).map(|(_, position)| position.clone());
            let outlet = Arc::new(Queue { name, gate: gate.clone(), arrivals: arrivals.clone() });
            tokio.spawn(source.run(position, outlet))
        });
        let tasks = tasks.collect();
        Following { names, announcing, queue, tasks }
    }

    /// Ends them. What they have brought and nobody has taken is dropped: it is behind the last commit.
    pub(super) async fn end(self) {
        drop(self.queue);
        for task in self.tasks {
            task.abort();
            // One that was aborted says so.
            let _ = task.await;
        }
    }
}

/// A source's end of the queue.
struct Queue {
    name: Arc<str>,
    gate: Gate,
    arrivals: mpsc::Sender<Arrival>,
}

impl Outlet for Queue {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let held = self.gate.enter(&message).await;
            self.arrivals.send(Arrival { source: self.name.clone(), message, held }).await.is_ok()
        })
    }
}
