//! What somebody asks of goals, and what is told of them; and the ledger of steps that a log holds.

use serde::{Deserialize, Serialize};
use thalweg_graph::plan::GOALS;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Epoch, Transaction};

use super::rows;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "goal_act", rename_all = "lowercase")]
pub enum GoalAct {
    /// How they stand.
    List,
    /// Steps now.
    Train {
        /// Of this goal.
        goal: String,
        /// At most so many.
        steps: u64,
    },
    /// No steps, or steps again.
    Pause {
        /// Of this goal.
        goal: String,
        /// Whether it is held.
        paused: bool,
    },
    /// The values of an earlier step. It takes no step by itself until data changes again.
    Rollback {
        /// Of this goal.
        goal: String,
        /// The step.
        step: u64,
        /// What that step wrote.
        changes: Vec<Change>,
    },
}

impl GoalAct {
    /// The goal that it is about.
    pub fn goal(&self) -> Option<&str> {
        match self {
            GoalAct::List => None,
            GoalAct::Train { goal, .. } | GoalAct::Pause { goal, .. } | GoalAct::Rollback { goal, .. } => Some(goal),
        }
    }
}

/// What is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalTold {
    /// Every goal.
    pub goals: Vec<GoalReport>,
    /// Steps that were taken because somebody asked.
    pub taken: u64,
    /// Why no more were.
    pub stop: Option<String>,
}

/// How a goal stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalReport {
    /// Its name.
    pub name: String,
    /// Steps that it has taken.
    pub steps: u64,
    /// The epoch of the last of them.
    pub epoch: Epoch,
    /// Steps that may still follow the last change.
    pub left: u64,
    /// Whether it is held.
    pub paused: bool,
    /// The loss as it stands.
    pub loss: Option<f64>,
    /// Its objective as it stands.
    pub metric: Option<f64>,
    /// `due`, or why it takes no step: `still`, `reached`, `paused`, `no rows`, `no number`, `diverged`.
    pub state: String,
}

/// A step that the log holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its number.
    pub step: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// The loss before it.
    pub loss: Option<f64>,
    /// What it wrote, but for how goals stand.
    pub changes: Vec<Change>,
}

/// The steps of one goal, as far as the log goes back.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    goal: String,
    /// In order.
    pub steps: Vec<Taken>,
}

impl Ledger {
    /// No steps of this goal yet.
    pub fn of(goal: &str) -> Ledger {
        Ledger { goal: goal.to_owned(), steps: Vec::new() }
    }

    /// Takes in a transaction of the log.
    pub fn read(&mut self, epoch: Epoch, transaction: Transaction) {
        let step = transaction.is_step().then(|| transaction.origin.strip_prefix("goal ")).flatten();
        let step = step.and_then(|origin| origin.strip_prefix(self.goal.as_str())?.strip_prefix(' ')?.parse().ok());
        let (Some(step), Body::Changes(changes)) = (step, transaction.body) else { return };
        let (own, changes): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| *change.schema.table == *GOALS);
        let loss = own.iter().find_map(|change| rows::loss_of(change, &self.goal));
        self.steps.push(Taken { step, epoch, loss, changes });
    }

    /// The step that is meant: its number, or `best`: the one that led to the least loss.
    pub fn at(&self, which: &str) -> Option<&Taken> {
        if which == "best" {
            // The loss of a step stands with the one after it.
            let pairs = self.steps.windows(2).filter_map(|pair| Some((&pair[0], pair[1].loss?)));
            return pairs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(taken, _)| taken);
        }
        let step: u64 = which.parse().ok()?;
        self.steps.iter().find(|taken| taken.step == step)
    }
}
