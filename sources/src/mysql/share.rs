//! One replication connection for several sources of one server.
//!
//! Each source catches up on a connection of its own. Then the first gives its connection to a task that reads for all: events go to a
//! seat for each source, and every source puts its own transactions together, with its own position, layouts and failures. One that comes
//! later takes a seat while it still reads its own connection, goes on there to where the seat begins, passes by what it has already, and
//! drops its own.
//!
//! Invariants:
//! - SHARE-1: between its own connection and its seat a source gets every transaction, and none twice: a seat begins behind transactions
//!   that all are named to the source; it leaves its connection when it has these, and takes its first event at a transaction that it has not.
//! - SHARE-2: what ends the connection ends it for every seat; each source then begins anew by itself.
//!
//! Bounds: 64 events wait at each seat; the slowest source holds up the others of its server, as they all wait for one queue of the
//! runtime. A source whose seat is full before it has come to where the seat begins gives it back, so that nobody waits for it, and asks
//! again a heartbeat later.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql_async::Opts;
use tokio::sync::{mpsc, oneshot};

use super::dump::{Dump, Event};
use super::failure::Failure;
use crate::binlog::frame::{Header, kind};
use crate::binlog::{DecodeError, GtidState, TransactionId, gtid_event};

/// Events that wait at a seat.
const SEAT: usize = 64;

type Arrival = Result<Arc<Event>, Failure>;

/// The connections that sources share: those of one server, user and heartbeat are one. Give the same to every source; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Share(Arc<Mutex<Vec<Host>>>);

/// A connection that is read for several.
#[derive(Debug)]
struct Host {
    key: Key,
    asks: mpsc::Sender<oneshot::Sender<Seat>>,
}

/// What must be the same for a connection to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// How to connect, without the database.
    pub(crate) opts: Opts,
    pub(crate) heartbeat: Duration,
}

/// Where a source finds the events of a shared connection.
#[derive(Debug)]
pub(crate) struct Seat {
    events: mpsc::Receiver<Arrival>,
    /// What has begun before the first event here.
    before: GtidState,
    /// What the source had when it came, until a transaction arrives that is not in it.
    had: Option<GtidState>,
}

/// The events of the log, over whatever connection.
pub(crate) enum Events {
    /// One of its own, at least until then.
    Own(Dump, Instant),
    /// One of its own until a seat's beginning is reached.
    Moving(Dump, Seat),
    /// A seat at another one.
    Shared(Seat),
}

impl Events {
    /// The next event; `None` at the end of the connection. A call that is given up loses nothing.
    pub(crate) async fn arrives(&mut self) -> Result<Option<Arc<Event>>, Failure> {
        match self {
            Events::Own(stream, _) | Events::Moving(stream, _) => Ok(stream.arrives().await?.map(Arc::new)),
            Events::Shared(seat) => seat.arrives().await.map(Some),
        }
    }

    /// The same, while the server gives a sign of life at least so often.
    pub(crate) async fn next(&mut self, silence_max: Duration) -> Result<Option<Arc<Event>>, Failure> {
        match tokio::time::timeout(silence_max, self.arrives()).await {
            Ok(event) => event,
            Err(_) => Err(Failure::silent(silence_max)),
        }
    }

    /// Whether the connection stays what it is, for now.
    pub(crate) fn is_settled(&self) -> bool {
        match self {
            Events::Own(_, until) => Instant::now() < *until,
            Events::Moving(..) => false,
            Events::Shared(_) => true,
        }
    }

    /// The source has caught up, and has exactly `done`: its own connection becomes the shared one, or is left for it.
    pub(crate) async fn settle(self, share: &Share, key: &Key, done: &GtidState, silence_max: Duration) -> Events {
        match self {
            Events::Own(stream, _) => share.enter(key, stream, done, silence_max).await,
            Events::Moving(_, seat) if done.covers(&seat.before) => Events::Shared(seat.behind(done)),
            Events::Moving(stream, seat) if seat.events.len() >= SEAT => Events::Own(stream, Instant::now() + key.heartbeat),
            moved => moved,
        }
    }
}

impl Share {
    /// Whether a connection of this kind is shared now.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.hosts().iter().any(|host| host.key == *key && !host.asks.is_closed())
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, Vec<Host>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The host to ask for a seat; `None`: there is none, and these asks make one.
    fn host_or_become(&self, key: &Key) -> Result<mpsc::Sender<oneshot::Sender<Seat>>, mpsc::Receiver<oneshot::Sender<Seat>>> {
        let mut hosts = self.hosts();
        hosts.retain(|host| !host.asks.is_closed());
        match hosts.iter().find(|host| host.key == *key) {
            Some(host) => Ok(host.asks.clone()),
            None => {
                let (asks, asked) = mpsc::channel(1);
                hosts.push(Host { key: key.clone(), asks });
                Err(asked)
            }
        }
    }

    async fn enter(&self, key: &Key, stream: Dump, done: &GtidState, silence_max: Duration) -> Events {
        match self.host_or_become(key) {
            Ok(host) => {
                let (answer, seat) = oneshot::channel();
                // A host that ends now leaves the answer out; the next event asks again.
                host.send(answer).await.ok();
                match seat.await {
                    Ok(seat) => Events::Moving(stream, seat),
                    Err(_) => Events::Own(stream, Instant::now()),
                }
            }
            Err(asks) => {
                let mut reader = Reader { stream, begun: done.clone(), seats: Vec::new(), asks, silence_max };
                let seat = reader.seat();
                tokio::spawn(async move { reader.run().await });
                Events::Shared(seat.behind(done))
            }
        }
    }
}

impl Seat {
    /// The seat of a source that has exactly this.
    fn behind(self, done: &GtidState) -> Seat {
        Seat { had: Some(done.clone()), ..self }
    }

    /// The next event that the source has not seen. A heartbeat tells of no transaction, and always counts.
    async fn arrives(&mut self) -> Arrival {
        loop {
            let closed = || Failure::Retry("E0400: the shared connection ended".to_string());
            let event = self.events.recv().await.ok_or_else(closed)??;
            let is_heartbeat = matches!(event.header.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2);
            match &self.had {
                Some(had) if begun(event.header, event.body())?.is_none_or(|id| had.has_passed(&id)) => {
                    if is_heartbeat {
                        return Ok(event);
                    }
                }
                _ => {
                    self.had = None;
                    return Ok(event);
                }
            }
        }
    }
}

/// Reads a connection for all seats.
struct Reader {
    stream: Dump,
    /// Every transaction that has begun on it, or came before it.
    begun: GtidState,
    seats: Vec<mpsc::Sender<Arrival>>,
    asks: mpsc::Receiver<oneshot::Sender<Seat>>,
    silence_max: Duration,
}

impl Reader {
    /// A new seat, for what comes from now on.
    fn seat(&mut self) -> Seat {
        let (sender, events) = mpsc::channel(SEAT);
        self.seats.push(sender);
        Seat { events, before: self.begun.clone(), had: None }
    }

    /// Until the connection ends or nobody is left.
    async fn run(&mut self) {
        loop {
            let arrival = tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    // One that does not wait any more leaves its seat at once.
                    Some(ask) => {
                        ask.send(self.seat()).ok();
                        continue;
                    }
                    None => return, // Nobody has the share any more, so no source is left.
                },
                event = self.stream.next(self.silence_max) => self.noted(event),
            };
            let is_over = arrival.is_err();
            self.hand_out(&arrival).await;
            if is_over || self.seats.is_empty() {
                return; // Whoever asks from now on finds the door closed, and opens a connection of its own.
            }
        }
    }

    fn noted(&mut self, event: Result<Option<Event>, Failure>) -> Arrival {
        let event = event?.ok_or_else(|| Failure::Retry("E0400: the server ended the connection".to_string()))?;
        if let Some(id) = begun(event.header, event.body())? {
            self.begun.pass(&id, None);
        }
        Ok(Arc::new(event))
    }

    async fn hand_out(&mut self, arrival: &Arrival) {
        let mut stay = Vec::with_capacity(self.seats.len());
        for seat in self.seats.drain(..) {
            if seat.send(arrival.clone()).await.is_ok() {
                stay.push(seat);
            }
        }
        self.seats = stay;
    }
}

/// The transaction that begins with an event, if one with a GTID does.
fn begun(header: Header, body: &[u8]) -> Result<Option<TransactionId>, Failure> {
    let event = match header.kind {
        kind::MARIADB_GTID => gtid_event::mariadb(header.server_id, body),
        kind::MYSQL_GTID => gtid_event::mysql(body),
        kind::MYSQL_TAGGED_GTID => gtid_event::mysql_tagged(body),
        _ => return Ok(None),
    };
    Ok(event.map_err(|why: DecodeError| Failure::from(crate::binlog::LogError::from(why)))?.id)
}
