//! A reload: a running process takes a changed definition, between two transactions.
//!
//! The new definition is read and checked whole while the old one runs on; where anything is wrong with it, it is refused with all that is wrong
//! and nothing has changed. Else the session closes what it has taken, leaves a snapshot at that epoch and ends, and the next one begins from
//! there with the new plan. Where its sources read otherwise, they are asked for their tables in between, and the old ones go on if those do not fit.
//!
//! Invariant INV-RELOAD: every transaction is computed wholly by the one or wholly by the other definition, and a reload means what a restart
//! with the changed file means. So values of fields that both have are equal; an effect that is there by the same name keeps its versions, and
//! one whose condition is true already does not fire; what has fired is delivered as it was written, also of a rule that is gone.
//!
//! Cost: that of a restart from a snapshot, O(rows); sources stay connected unless what they read has changed.
//!
//! Next to read: `session`, which swaps, and [`super::launch`], which reads the file.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thalweg_graph::spec::Finding;
use thalweg_graph::{Epoch, GraphSpec, Schema, planning};
use thalweg_sinks::{Handlers, SinkContext};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::SourceSetup;
use super::actions::Actions;

/// Reads the definition again. What it says when it refuses has codes, places and cures.
pub type Reread = Arc<dyn Fn() -> Result<Definition, Refused> + Send + Sync>;

/// A definition that may take the place of the one that runs.
pub struct Definition {
    /// The graph.
    pub spec: GraphSpec,
    /// What sinks may know.
    pub sinks: SinkContext,
    /// Timely workers.
    pub workers: usize,
    /// The source that follows what becomes of deliveries.
    pub follower: Option<Arc<str>>,
    /// The sources anew, where what they are or what they read has changed; `None`: those that run stay.
    pub sources: Option<Renewed>,
    /// How a planner's findings are told, with their places.
    pub tell: Box<dyn Fn(Vec<Finding>) -> String + Send>,
    /// Is called when this definition runs.
    pub taken: Box<dyn FnOnce() + Send>,
}

/// Sources that take the place of those that run.
pub struct Renewed {
    /// As the definition has them.
    pub sources: Vec<SourceSetup>,
    /// As they were, to go on with if the tables that the new ones show do not bear the definition.
    pub before: Vec<SourceSetup>,
}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The last epoch of the definition before.
    pub epoch: Epoch,
    /// What is other than before, one rule or table each: `+ field Order.total`, `- effect big`, `~ reaction Order`.
    pub changes: Vec<String>,
    /// From the question to the answer, in milliseconds.
    pub took_ms: u64,
}

/// The definition before runs on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Asks for reloads. Clones ask the same process; one question is answered after the other.
#[derive(Clone)]
pub struct Reloader {
    reread: Option<Reread>,
    /// What the embedding program handles itself, which no file says.
    handlers: Handlers,
    asks: mpsc::Sender<Ask>,
    turn: Arc<Mutex<()>>,
}

/// A question on its way to the engine's thread.
pub(super) struct Ask {
    pub definition: Definition,
    since: Instant,
    reply: oneshot::Sender<Result<Reloaded, Refused>>,
}

/// A reload whose definition is right: the session that begins with it answers.
pub(super) struct Taking {
    taken: Box<dyn FnOnce() + Send>,
    changes: Vec<String>,
    since: Instant,
    reply: oneshot::Sender<Result<Reloaded, Refused>>,
}

impl Reloader {
    pub(super) fn new(reread: Option<Reread>, handlers: Handlers) -> (Reloader, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(1);
        (Reloader { reread, handlers, asks, turn: Arc::default() }, asked)
    }

    /// Reads the definition again and lets it take the place of the one that runs; returns when it does.
    ///
    /// # Errors
    /// What is wrong with the definition; E0620 where a part has changed that only a restart can take; E0613 where the process ends.
    pub async fn reload(&self) -> Result<Reloaded, Refused> {
        let _turn = self.turn.lock().await;
        let since = Instant::now();
        let reread = self.reread.clone().ok_or_else(no_file)?;
        let mut definition = tokio::task::spawn_blocking(move || reread()).await.map_err(|_| ended())??;
        definition.sinks.handlers = self.handlers.clone();
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask { definition, since, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Ask {
    /// Checks the definition against the tables as they are, or by itself where its sources may show others. `None`: it is refused, and
    /// whoever asked has been told.
    pub(super) fn check(self, schemas: &[Arc<Schema>]) -> Option<Ask> {
        let schemas = if self.definition.sources.is_some() { &[] } else { schemas };
        let planned = planning::plan(&self.definition.spec, schemas);
        let built = planned.and_then(|(plan, _)| Actions::new(self.definition.sinks.clone()).of_plan(&plan).map(drop));
        match built {
            Ok(()) => Some(self),
            Err(findings) => {
                let why = (self.definition.tell)(findings);
                self.refuse(why);
                None
            }
        }
    }

    /// Tells whoever asked why not.
    pub(super) fn refuse(self, why: String) {
        // Whoever asked may have gone.
        let _ = self.reply.send(Err(Refused(why)));
    }

    /// The definition, and what answers when it runs; `before` is the one that it follows.
    pub(super) fn accept(self, before: &GraphSpec) -> (Accepted, Taking) {
        let Ask { definition, since, reply } = self;
        let Definition { spec, sinks, workers, follower, taken, .. } = definition;
        let changes = changes(before, &spec);
        (Accepted { spec, sinks, workers, follower }, Taking { taken, changes, since, reply })
    }
}

/// What a session takes from a definition.
pub(super) struct Accepted {
    pub spec: GraphSpec,
    pub sinks: SinkContext,
    pub workers: usize,
    pub follower: Option<Arc<str>>,
}

impl Taking {
    /// The new definition runs, from the end of `epoch` on.
    pub(super) fn done(self, epoch: Epoch) {
        (self.taken)();
        let took_ms = self.since.elapsed().as_millis() as u64;
        let _ = self.reply.send(Ok(Reloaded { epoch, changes: self.changes, took_ms }));
    }
}

/// What is other than before, by kind and name.
fn changes(before: &GraphSpec, after: &GraphSpec) -> Vec<String> {
    let (before, after) = (rules(before), rules(after));
    let mut changes = Vec::new();
    for (name, text) in &after {
        match before.iter().find(|(known, _)| known == name) {
            None => changes.push(format!("+ {name}")),
            Some((_, known)) if known != text => changes.push(format!("~ {name}")),
            Some(_) => {}
        }
    }
    changes.extend(
        before.iter().filter(|(name, _)| !after.iter().any(|(known, _)| known == name)).map(|(name, _)| format!("- {name}")),
    );
    changes
}

/// Tables and rules by kind and name, with all that is said of each.
fn rules(spec: &GraphSpec) -> Vec<(String, String)> {
    fn all<T: Serialize>(kind: &str, items: &[T], name: impl Fn(&T) -> String) -> Vec<(String, String)> {
        let text = |item: &T| serde_json::to_string(item).expect("a definition is JSON");
        items.iter().map(|item| (format!("{kind} {}", name(item)), text(item))).collect()
    }
    let mut rules = all("table", &spec.tables, |table| table.name.clone());
    rules.extend(all("field", &spec.fields, |field| field.name.clone()));
    rules.extend(all("effect", &spec.effects, |effect| effect.name.clone()));
    rules.extend(all("reaction", &spec.reactions, |reaction| reaction.name.clone().unwrap_or_else(|| reaction.event.clone())));
    rules.extend(all("schedule", &spec.schedules, |schedule| schedule.name.clone()));
    rules.extend(all("classify", &spec.classify, |rule| rule.table.clone()));
    // Reactions on one event, and classifications of one table, are told apart by their places.
    for at in (1..rules.len()).rev() {
        let before = rules[..at].iter().filter(|(name, _)| *name == rules[at].0).count();
        if before > 0 {
            rules[at].0.push_str(&format!("#{}", before + 1));
        }
    }
    rules
}

fn ended() -> Refused {
    Refused("E0613: the process ends before it could take the definition".into())
}

fn no_file() -> Refused {
    Refused(
        "E0620: this process was started without a file that could be read again; start it anew with the changed definition"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use thalweg_graph::spec::{EffectSpec, FieldSpec};

    use super::*;

    #[test]
    fn what_is_other_is_told_by_kind_and_name() {
        let field = |name: &str, formula: &str| FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() };
        let before = GraphSpec {
            fields: vec![field("Order.total", "a + b"), field("Order.tax", "a"), field("Order.gone", "b")],
            effects: vec![EffectSpec { name: "big".into(), ..EffectSpec::default() }],
            ..GraphSpec::default()
        };
        let after = GraphSpec {
            fields: vec![field("Order.new", "1"), field("Order.total", "a - b"), field("Order.tax", "a")],
            ..GraphSpec::default()
        };
        assert_eq!(changes(&before, &after), ["+ field Order.new", "~ field Order.total", "- field Order.gone", "- effect big"]);
        assert!(changes(&after, &after).is_empty());
    }
}
