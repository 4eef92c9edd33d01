//! [`Desk`]: where acts on the outbox come in, from the control socket, from HTTP and from an embedding program. They reach the one writer of
//! the store; what is answered is durable.
//!
//! Sessions of the engine's thread come and go with the tables; the desk outlives them, and an act waits while there is none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thalweg_graph::ports::{Act, Acted, OutboxState, TimerAct};
use thalweg_server::{Ack, AckAnswer, AckFn};
use thalweg_sinks::Secret;
use thalweg_sinks::sign::verify_ack_token;
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::commit::Outbox;
use crate::goals::{GoalAct, GoalTold};

/// How long an act waits for a session.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes acts. Clones are the same desk.
#[derive(Clone)]
pub struct Desk {
    open: Arc<Mutex<Option<Hall>>>,
    clock: Arc<dyn Clock>,
    secret: Secret,
}

/// Where a session takes what is asked.
#[derive(Clone)]
pub(super) struct Hall {
    /// The store, for deliveries.
    pub outbox: Outbox,
    /// The engine's thread, for timers.
    pub timers: mpsc::Sender<TimerAsk>,
    /// The same, for goals.
    pub goals: mpsc::Sender<GoalAsk>,
}

/// What somebody asks of a timer, and who waits for what came of it.
pub(super) type TimerAsk = (TimerAct, oneshot::Sender<Acted>);

/// What somebody asks of goals, who waits for what came of it, and for when that is durable.
pub(super) type GoalAsk = (GoalAct, oneshot::Sender<Result<GoalTold, String>>, oneshot::Sender<Acted>);

/// The run has ended, or cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("E0613: the process has no session that could do it; try again, and if that does not help look at /status")]
pub struct Closed;

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>, secret: Secret) -> Desk {
        Desk { open: Arc::default(), clock, secret }
    }

    /// A session begins, or (with `None`) ends.
    pub(super) fn serve(&self, hall: Option<Hall>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = hall;
    }

    fn hall(&self) -> Option<Hall> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does what is asked; durable when it returns.
    ///
    /// # Errors
    /// There was nobody to do it for ten seconds.
    pub async fn act(&self, act: Act) -> Result<Acted, Closed> {
        let asked = async {
            loop {
                if let Some(hall) = self.hall()
                    && let Some(acted) = hall.outbox.act(act.clone(), self.clock.now()).await
                {
                    return acted;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Closed)
    }

    /// Does what is asked of a timer; durable when it returns.
    ///
    /// # Errors
    /// There was nobody to do it for ten seconds.
    pub async fn act_on_timer(&self, act: TimerAct) -> Result<Acted, Closed> {
        let asked = async {
            loop {
                if let Some(hall) = self.hall() {
                    let (reply, answer) = oneshot::channel();
                    if hall.timers.send((act.clone(), reply)).await.is_ok()
                        && let Ok(acted) = answer.await
                    {
                        return acted;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Closed)
    }

    /// Does what is asked of goals; durable when it returns.
    ///
    /// # Errors
    /// There was nobody to do it for ten seconds.
    pub async fn act_on_goal(&self, act: GoalAct) -> Result<Result<GoalTold, String>, Closed> {
        let asked = async {
            loop {
                if let Some(hall) = self.hall() {
                    let ((reply, answer), (done, durable)) = (oneshot::channel(), oneshot::channel());
                    if hall.goals.send((act.clone(), reply, done)).await.is_ok()
                        && let (Ok(told), Ok(_)) = (answer.await, durable.await)
                    {
                        return told;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Closed)
    }

    /// Acknowledges by token, as whoever was told of the trigger does.
    pub async fn acknowledge(&self, id: &str, token: &str, result: String) -> AckAnswer {
        if !self.is_token_of(id, token) {
            return AckAnswer::Forged;
        }
        match self.act(Act::Ack { id: id.into(), result }).await {
            Ok(Acted::Done) => AckAnswer::Acked,
            Ok(Acted::Late) => AckAnswer::AckedLate,
            Ok(Acted::Over(OutboxState::Acked) | Acted::Already) => AckAnswer::AlreadyAcked,
            Ok(Acted::Over(_) | Acted::Malformed) => AckAnswer::Discarded,
            Ok(Acted::Unknown) => AckAnswer::Unknown,
            Err(Closed) => AckAnswer::Busy,
        }
    }

    /// The same, for HTTP.
    pub(super) fn acks(&self) -> AckFn {
        let desk = self.clone();
        Arc::new(move |Ack { id, token, result }| {
            let desk = desk.clone();
            Box::pin(async move { desk.acknowledge(&id, &token, result).await })
        })
    }

    /// Whether `token` is the one that deliveries of `id` carry.
    pub fn is_token_of(&self, id: &str, token: &str) -> bool {
        verify_ack_token(self.secret.reveal(), id, token)
    }
}
