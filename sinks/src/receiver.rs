//! A webhook receiver: what the demo shows and what the tests lie with.
//!
//! It checks signatures, and counts in two ways: as a naive receiver, which acts on every request that it accepts, and as one that drops
//! repeated ids. The difference is what at-least-once delivery costs whom. It can also misbehave ([`Behaviour`]).
//!
//! Bounds: 16 KiB of head, 4 MiB of body, HTTP/1.1 with `Content-Length` only; what else comes is answered 400. It remembers every id
//! (about 150 bytes each), so it is no receiver for production.

mod answer;
mod http;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::sign::Key;
use http::Request;

/// How far a timestamp may be off before its signature counts as stale.
const TOLERANCE_SECONDS: u64 = 300;

/// What the receiver does with a request whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Accepts it: 200.
    Accept,
    /// Answers 503 to the first `n` requests of each id, then accepts.
    FailFirst(u32),
    /// Answers with this status, these headers and this body.
    Answer {
        /// The status.
        status: u16,
        /// Further headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Accepts after a while.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Accepts it and closes the connection without an answer: a lost acknowledgement.
    AcceptAndCut,
    /// Closes the connection in the middle of the answer's head.
    CutHead,
    /// Accepts, and closes the connection in the middle of the answer's body.
    AcceptAndCutBody,
    /// Accepts, with a body that never ends.
    AcceptEndless,
    /// Sends `100 Continue` for ever.
    EndlessContinue,
    /// Sends a head one byte at a time, 50 ms apart, that never ends.
    Drip,
    /// Answers with bytes that are not HTTP.
    Garbage,
}

impl Behaviour {
    /// An answer with nothing but a status.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }
}

/// What has been received for one id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// SHA-256 of the body of its first request.
    pub body_hash: [u8; 32],
    /// When its first request came.
    pub first_at: SystemTime,
    /// Requests that came.
    pub requests: u32,
    /// Requests that were accepted: how often a naive receiver would have acted.
    pub accepted: u32,
}

/// Sums over everything received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests with a right signature.
    pub requests: u64,
    /// How often a naive receiver would have acted.
    pub accepted: u64,
    /// How often a receiver that drops repeated ids would have acted.
    pub accepted_distinct: u64,
    /// Requests whose body differs from that of the first request with its id: must stay 0.
    pub contradictions: u64,
    /// Requests without a right signature, answered 401.
    pub unverified: u64,
    /// Requests that could not be read, answered 400.
    pub malformed: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    by_id: HashMap<String, Received>,
    totals: Totals,
    last_head: String,
    last_body: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    key: Key,
    behaviour: Mutex<Behaviour>,
    ledger: Mutex<Ledger>,
}

/// A receiver on its own port. It stops when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on `address` (`127.0.0.1:0`: any free port) and accepts what is signed with `secret`. Needs a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound, or the secret is no signing secret.
    pub async fn start(address: &str, secret: &str) -> io::Result<Self> {
        let key = Key::parse(secret).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { key, behaviour: Mutex::new(Behaviour::Accept), ledger: Mutex::default() });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to send to.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on it behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        lock(&self.shared.ledger).totals
    }

    /// What was received, by id. Copies all of it.
    pub fn received(&self) -> HashMap<String, Received> {
        lock(&self.shared.ledger).by_id.clone()
    }

    /// The head and the body of the last request with a right signature.
    pub fn last(&self) -> (String, Vec<u8>) {
        let ledger = lock(&self.shared.ledger);
        (ledger.last_head.clone(), ledger.last_body.clone())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the receiver: the set is dropped with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, shared.clone()));
            }
            // Out of file descriptors, or the peer was gone already: neither is worth a busy loop.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until either side closes it.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true); // Only a matter of speed.
    let mut unread = Vec::new();
    loop {
        let request = match http::read(&mut stream, &mut unread).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(why) => {
                if why.kind() == io::ErrorKind::InvalidData {
                    lock(&shared.ledger).totals.malformed += 1;
                    let _ = answer::plain(&mut stream, 400, &[], &why.to_string()).await; // The peer may be gone.
                }
                return;
            }
        };
        let behaviour = lock(&shared.behaviour).clone();
        let verdict = judge(&shared, &request, &behaviour);
        match answer::give(&mut stream, verdict, &behaviour).await {
            Ok(answer::After::KeepOpen) => {}
            Ok(answer::After::Close) | Err(_) => return,
        }
    }
}

/// What the signature and the behaviour make of a request; counted before anything is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unverified,
    FailThisTime,
    Behave,
}

fn judge(shared: &Shared, request: &Request, behaviour: &Behaviour) -> Verdict {
    let mut ledger = lock(&shared.ledger);
    let Some(id) = verified_id(&shared.key, request) else {
        ledger.totals.unverified += 1;
        return Verdict::Unverified;
    };
    let body_hash: [u8; 32] = Sha256::digest(&request.body).into();
    let fresh = Received { body_hash, first_at: SystemTime::now(), requests: 0, accepted: 0 };
    let entry = ledger.by_id.entry(id.to_owned()).or_insert(fresh);
    entry.requests += 1;
    let fails = matches!(behaviour, Behaviour::FailFirst(n) if entry.requests <= *n);
    let accepts = !fails && behaviour.accepts();
    entry.accepted += u32::from(accepts);
    let (contradicts, first) = (entry.body_hash != body_hash, entry.accepted == 1);
    ledger.totals.requests += 1;
    ledger.totals.contradictions += u64::from(contradicts);
    ledger.totals.accepted += u64::from(accepts);
    ledger.totals.accepted_distinct += u64::from(accepts && first);
    ledger.last_head.clone_from(&request.head);
    ledger.last_body.clone_from(&request.body);
    if fails { Verdict::FailThisTime } else { Verdict::Behave }
}

impl Behaviour {
    /// Whether a request treated like this has been acted on.
    fn accepts(&self) -> bool {
        match self {
            Self::Accept
            | Self::FailFirst(_)
            | Self::Slow(_)
            | Self::AcceptAndCut
            | Self::AcceptAndCutBody
            | Self::AcceptEndless => true,
            Self::Answer { status, .. } => (200..300).contains(status),
            Self::Hang | Self::CutHead | Self::EndlessContinue | Self::Drip | Self::Garbage => false,
        }
    }
}

/// The id of a request whose signature is right and fresh.
fn verified_id<'a>(key: &Key, request: &'a Request) -> Option<&'a str> {
    let id = request.header("webhook-id")?;
    let timestamp: i64 = request.header("webhook-timestamp")?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    let fresh = now.abs_diff(timestamp) <= TOLERANCE_SECONDS;
    (fresh && key.verify(id, timestamp, &request.body, request.header("webhook-signature")?)).then_some(id)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
