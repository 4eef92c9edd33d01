//! The life of the source: connect, check, snapshot, stream; and over again with backoff when something breaks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::{Conn, Opts};
use rand::Rng;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Outlet, SourceMessage, SourcePosition, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Schema, Transaction};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::added::{self, Added};
use super::cascades;
use super::catalog::{Catalog, Missing};
use super::check::{Facts, watch};
use super::connect::{Flavour, Server, connect, options};
use super::dolt::place::Commit;
use super::dolt::{only_database, resync};
use super::examine::without_database;
use super::extent::{Extent, Mark};
use super::failure::{Failure, NEW_SNAPSHOT, code};
use super::pause::{GOOD_CONNECTION, PAUSE_MIN, Pauses};
use super::share::{Key, Share};
use super::stream::{self, Out, QUEUE, Task};
use super::{AfterPurge, MysqlConfig, Snapshot, history, snapshot};
use crate::binlog::{Assembler, GtidState, Latest, Position, Watch};

/// The shortest pause after another reader with the same server id took over, so that the two do not push each other out in a loop.
const PAUSE_DUPLICATE: Duration = Duration::from_secs(6);

/// Times that a layout may change while rows are read by it.
const FORMS_MAX: u32 = 5;

/// Heartbeats that a server may take to answer, or to send as many rows as are handed over at once.
pub(crate) const ANSWER_HEARTBEATS: u32 = 40;

/// The outlet, with the runtime's "gone" as a failure.
pub(crate) struct Port {
    outlet: Arc<dyn Outlet>,
    /// Since when nothing has been handed over; `None` while something is.
    quiet: Mutex<Option<Instant>>,
}

impl Port {
    pub(crate) fn of(outlet: Arc<dyn Outlet>) -> Port {
        Port { outlet, quiet: Mutex::new(Some(Instant::now())) }
    }

    pub(crate) async fn message(&self, message: SourceMessage) -> Result<(), Failure> {
        self.set_quiet(None);
        let taken = self.outlet.send(message).await;
        self.set_quiet(Some(Instant::now()));
        if taken { Ok(()) } else { Err(Failure::Gone) }
    }

    fn set_quiet(&self, since: Option<Instant>) {
        *self.quiet.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// For how long nothing has come from the server, as far as it was waited for.
    fn quiet_for(&self) -> Duration {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// What `work` gives, if that or something to hand over comes at least so often: a link may be dead without a word, and where a server
    /// is asked there are no heartbeats. The time that the outlet takes is not the server's.
    pub(crate) async fn waited_for<T>(
        &self,
        silence_max: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        const LOOK: Duration = Duration::from_millis(100);
        let mut work = std::pin::pin!(work);
        self.set_quiet(Some(Instant::now()));
        loop {
            let left = silence_max.saturating_sub(self.quiet_for());
            match tokio::time::timeout(left.max(LOOK), &mut work).await {
                Ok(done) => return done,
                Err(_) if self.quiet_for() >= silence_max => return Err(Failure::silent(silence_max)),
                Err(_) => {}
            }
        }
    }

    pub(crate) async fn status(&self, status: SourceStatus) -> Result<(), Failure> {
        self.message(SourceMessage::Status(status)).await
    }
}

/// Runs the source until the runtime is gone or nobody but the user can help.
pub(crate) async fn run(config: MysqlConfig, position: Option<String>, outlet: Arc<dyn Outlet>) {
    let port = Port::of(outlet);
    let failure = match Follower::new(config, position) {
        Ok(mut follower) => follower.follow(&port).await,
        Err(failure) => failure,
    };
    if let Failure::Stop(text) = failure {
        port.status(SourceStatus::Stopped(text)).await.ok();
    }
}

struct Follower {
    config: MysqlConfig,
    opts: Opts,
    watch: Watch,
    /// What the outlet has; `None`: nothing yet.
    position: Option<Position>,
    /// The newest transaction that it has, where one is known that the log can be compared with.
    latest: Option<Latest>,
    /// Which tables it has; `None`: no account was kept.
    extent: Option<Arc<Extent>>,
    /// The commit of Dolt whose tables the outlet has, where one is known.
    commit: Option<Commit>,
    snapshot_due: bool,
    /// The outlet may have rows that the next snapshot must take back.
    has_rows: bool,
    /// What the outlet knows of the tables.
    schemas: Vec<Arc<Schema>>,
    /// Damaged bytes were seen once since the last good connection.
    damaged: bool,
    /// It was looked for what the log does not tell.
    looked: bool,
    /// How often a value came in another form than its layout says since then.
    forms: u32,
}

impl Follower {
    fn new(config: MysqlConfig, position: Option<String>) -> Result<Follower, Failure> {
        let opts = options(&config.url, &config.tls)?;
        let watch = watch(&config.tables, opts.db_name())?;
        let parts = position.as_deref().map(history::parts).transpose()?;
        let (position, latest, extent) =
            parts.map_or((None, None, None), |(place, latest, extent)| (Some(place), latest, extent));
        let is_incomplete = position == Some(snapshot::INCOMPLETE);
        let commit = position.and_then(|text| resync::split(text).1);
        let position = position.filter(|_| !is_incomplete).map(history::parsed).transpose()?;
        let extent = extent.map(Arc::new);
        if config.heartbeat < Duration::from_millis(100) || config.heartbeat > Duration::from_secs(3600) {
            return Err(Failure::stop(
                code::SETTING,
                format!("a heartbeat of {:?}", config.heartbeat),
                "set it from 0.1 s to 1 h",
            ));
        }
        if config.server_id == Some(0) {
            return Err(Failure::stop(code::SETTING, "server_id 0 is not an id", "set it from 1 to 4294967295, or leave it out"));
        }
        let snapshot_due = match config.snapshot {
            _ if is_incomplete => true,
            Snapshot::Initial => position.is_none(),
            Snapshot::Never => false,
            Snapshot::Always => true,
        };
        let schemas = Vec::new();
        let has_rows = is_incomplete;
        Ok(Follower {
            config,
            opts,
            watch,
            position,
            latest,
            commit,
            extent,
            snapshot_due,
            has_rows,
            schemas,
            damaged: false,
            looked: false,
            forms: 0,
        })
    }

    /// Connects again and again; returns only what cannot be helped.
    async fn follow(&mut self, port: &Port) -> Failure {
        let mut pauses = Pauses::new();
        let mut error = None;
        loop {
            if let Err(gone) = port.status(SourceStatus::Connecting { error: error.take() }).await {
                return gone;
            }
            let (begin, stood) = (Instant::now(), self.position.clone());
            let (text, at_least) = match self.attempt(port).await {
                Failure::Again => continue,
                Failure::Retry(text) => (text, PAUSE_MIN),
                Failure::DuplicateServerId(text) => (text, PAUSE_DUPLICATE),
                Failure::Damaged(text) if !self.damaged => {
                    self.damaged = true;
                    (text, PAUSE_MIN)
                }
                Failure::Damaged(text) => {
                    return Failure::Stop(format!(
                        "{text}; it came damaged twice, so check the server's disk and {NEW_SNAPSHOT}"
                    ));
                }
                Failure::Form(text) if self.forms < FORMS_MAX => {
                    self.forms += 1;
                    (text, PAUSE_MIN)
                }
                Failure::Form(text) => return Failure::Stop(text),
                Failure::Replaced(text) if self.may_read_anew() => (self.read_anew(text), PAUSE_MIN),
                Failure::Lost(text) if self.may_read_anew() && self.config.after_purge == AfterPurge::Snapshot => {
                    (self.read_anew(text), PAUSE_MIN)
                }
                Failure::Replaced(text) | Failure::Lost(text) => return Failure::Stop(text),
                over => return over,
            };
            let was_good = begin.elapsed() > GOOD_CONNECTION || stood != self.position;
            if let Err(gone) = port.status(SourceStatus::Connecting { error: Some(text.clone()) }).await {
                return gone;
            }
            error = Some(text);
            pauses.wait(was_good, at_least).await;
        }
    }

    /// Whether rows may be read beside the log, and the receiver can take back those that it has.
    fn may_read_anew(&self) -> bool {
        self.config.clears && self.config.snapshot != Snapshot::Never
    }

    /// The next connection begins with a snapshot that takes the place of what the outlet has.
    fn read_anew(&mut self, reason: String) -> String {
        (self.snapshot_due, self.has_rows) = (true, true);
        reason.replace(NEW_SNAPSHOT, "the tables are read anew")
    }

    /// One connection from its beginning to its end.
    async fn attempt(&mut self, port: &Port) -> Failure {
        match self.try_attempt(port).await {
            Ok(failure) | Err(failure) => failure,
        }
    }

    async fn try_attempt(&mut self, port: &Port) -> Result<Failure, Failure> {
        let mut conn = connect(&self.opts).await?;
        let silence_max = self.config.heartbeat * ANSWER_HEARTBEATS;
        let (facts, catalog) = port.waited_for(silence_max, self.ask(&mut conn, port)).await?;
        let (flavour, is_rewound) = (facts.flavour, self.rewound(&facts).is_some());
        // After the snapshot the connection has settings of its own.
        conn.disconnect().await?;
        let conn = connect(&self.opts).await?;
        match self.stream(conn, facts, catalog, port).await? {
            // One transaction earlier the server may have no log, or know no such place,
            Failure::Purged(_) | Failure::NotThere(_) if is_rewound => {
                self.latest = None;
                Ok(Failure::Again)
            }
            // or not be able to read what lies between.
            damaged @ Failure::Damaged(_) => {
                self.latest = None;
                Ok(damaged)
            }
            Failure::NotThere(message) => {
                let reason = format!("the position is not in this server's log ({message})");
                Ok(Failure::stop(code::DIVERGED, reason, NEW_SNAPSHOT))
            }
            Failure::Purged(message) => {
                let position = self.position.as_ref().expect("invariant: `prepare` leaves a position");
                Ok(history::purged(&self.opts, flavour, position.start(), &message).await)
            }
            other => Ok(other),
        }
    }

    /// What is to be known before the log is followed, and a snapshot if one is due.
    async fn ask(&mut self, conn: &mut Conn, port: &Port) -> Result<(Facts, Catalog), Failure> {
        let flavour = Server::ask(conn).await?.flavour;
        let facts = Facts::read(conn, flavour).await?;
        facts.require(&self.watch)?;
        facts.require_privilege(conn).await?;
        if !std::mem::replace(&mut self.looked, true) {
            for cascade in cascades::unlogged(conn, flavour, &self.watch).await? {
                let cure = cascade.cure.unwrap_or_default();
                tracing::warn!("{}: {}; {cure} (`thalweg doctor` prints the statements)", cascade.name, cascade.found);
            }
        }
        let catalog = self.prepare(conn, &facts, port).await?;
        Ok((facts, catalog))
    }

    /// Snapshot or layout, as needed; afterwards there is a position.
    async fn prepare(&mut self, conn: &mut Conn, facts: &Facts, port: &Port) -> Result<Catalog, Failure> {
        if self.snapshot_due {
            return self.snapshot(conn, facts, port).await;
        }
        let missing = if self.position.is_none() { Missing::Refused } else { Missing::Dropped };
        let catalog = Catalog::read(conn, facts.flavour, &self.watch, missing).await?;
        self.announce(catalog.schemas(), port).await?;
        match &self.position {
            None => {
                let position = Position { done: facts.executed.clone(), reread: None };
                self.latest = history::latest(conn, facts.flavour, &position.done).await?;
                let mark = Mark { place: position.clone(), latest: self.latest.clone(), extent: None };
                port.message(SourceMessage::Position(SourcePosition::new(mark))).await?;
                self.position = Some(position);
            }
            Some(position) => {
                let judged = history::require_same(position, &facts.executed);
                let judged = judged.and_then(|()| history::require_log(position, &facts.purged));
                match (judged, self.commit.take()) {
                    (Ok(()), commit) => self.commit = commit,
                    // The difference is of tables that the outlet has, and has whole.
                    (Err(lost), Some(commit)) if facts.flavour == Flavour::Dolt && self.is_whole() => {
                        return self.resync(conn, commit, lost, port).await;
                    }
                    (Err(lost), _) => return Err(lost),
                }
                self.extend(conn, &catalog, port).await?;
            }
        }
        Ok(catalog)
    }

    /// Whether a position says which tables are in it: only where a snapshot has read them, and they can be taken back.
    fn keeps_account(&self) -> bool {
        self.config.clears && self.config.snapshot == Snapshot::Initial
    }

    /// What is watched from here on, with the tables that are to be read in; what the outlet has of others goes.
    async fn extend(&mut self, conn: &mut Conn, catalog: &Catalog, port: &Port) -> Result<(), Failure> {
        let (Some(place), true) = (self.position.clone(), self.keeps_account()) else { return Ok(()) };
        let extent = Arc::new(added::extended(self.extent.as_deref(), &self.watch, catalog)?);
        if self.extent.as_ref() == Some(&extent) {
            return Ok(());
        }
        let clears = added::cleared(conn, self.extent.as_deref(), &self.watch).await?;
        let mark = Mark { place, latest: self.latest.clone(), extent: Some(extent) };
        match clears.is_empty() {
            true => port.message(SourceMessage::Position(SourcePosition::new(mark.clone()))).await?,
            false => self.clear(clears, mark.to_string(), port).await?,
        }
        self.extent = mark.extent;
        Ok(())
    }

    /// Rows go that the outlet has of tables that are not watched any more.
    async fn clear(&self, clears: Vec<Change>, position: String, port: &Port) -> Result<(), Failure> {
        let transaction = Transaction {
            source: self.config.name.as_str().into(),
            origin: format!("unwatched:{position}").into(),
            at: Timestamp(0), // It makes no time pass.
            body: Body::Fill(clears),
        };
        port.message(SourceMessage::Transaction(transaction, position.into())).await
    }

    /// Goes on by commits where the log is gone: what differs since the last one is a transaction. Where commits do not help either, the
    /// log is `lost`.
    async fn resync(&mut self, conn: &mut Conn, last: Commit, lost: Failure, port: &Port) -> Result<Catalog, Failure> {
        let found = match resync::resync(conn, &self.opts, &self.watch, last).await {
            Err(Failure::Stop(why) | Failure::Lost(why)) => {
                tracing::info!("the last commit does not help: {why}");
                return Err(lost);
            }
            found => found?,
        };
        tracing::info!("{}; what differs since its last commit is told as one transaction", lost.text().unwrap_or_default());
        self.announce(found.catalog.schemas(), port).await?;
        let position = Position { done: found.position, reread: None };
        let mark = Mark { place: position.clone(), latest: None, extent: self.extent.clone() };
        let text = with_commit(&mark, &found.step.to.hash);
        if found.difference.changes.is_empty() {
            port.message(SourceMessage::Position(text.into())).await?;
            (self.position, self.commit) = (Some(position), Some(found.step.to.hash));
            return Ok(found.catalog);
        }
        let transaction = Transaction {
            source: self.config.name.as_str().into(),
            origin: found.step.origin().into(),
            at: found.step.to.at,
            body: Body::Changes(found.difference.changes),
        };
        port.message(SourceMessage::Transaction(transaction, text.into())).await?;
        (self.position, self.commit) = (Some(position), Some(found.step.to.hash));
        Ok(found.catalog)
    }

    /// Reads the tables. Until the last row is handed over, a break means that all of it begins anew.
    async fn snapshot(&mut self, conn: &mut Conn, facts: &Facts, port: &Port) -> Result<Catalog, Failure> {
        let extent = self.keeps_account().then(|| Arc::new(Extent::of(&self.watch)));
        let clears = added::cleared(conn, self.extent.as_deref(), &self.watch).await?;
        if !clears.is_empty() {
            let told = extent.as_ref().map(ToString::to_string).unwrap_or_default();
            self.clear(clears, format!("{}{told}", snapshot::INCOMPLETE), port).await?;
            self.has_rows = true;
        }
        let known = self.has_rows.then_some(&*self.schemas);
        let job = snapshot::Job {
            opts: &self.opts,
            flavour: facts.flavour,
            config: &self.config,
            watch: &self.watch,
            known,
            has_rows: &mut self.has_rows,
            extent: extent.as_deref(),
        };
        let taken = snapshot::take(conn, job, port).await?;
        self.extent = extent;
        self.schemas = taken.catalog.schemas();
        self.position = Some(Position { done: taken.position, reread: None });
        self.latest = taken.latest;
        self.commit = taken.commit;
        (self.snapshot_due, self.has_rows) = (false, false);
        Ok(taken.catalog)
    }

    /// Hands over layouts that are new.
    async fn announce(&mut self, schemas: Vec<Arc<Schema>>, port: &Port) -> Result<(), Failure> {
        if self.schemas == schemas && !schemas.is_empty() {
            return Ok(());
        }
        self.schemas = schemas;
        port.message(SourceMessage::Schemas(self.schemas.clone())).await
    }

    /// Follows the log in a task of its own and passes on what it hands over.
    async fn stream(&mut self, mut conn: Conn, facts: Facts, catalog: Catalog, port: &Port) -> Result<Failure, Failure> {
        let position = self.position.clone().expect("invariant: `prepare` leaves a position");
        // Only Dolt has commits.
        let database = if facts.flavour == Flavour::Dolt { only_database(&catalog)? } else { None };
        let expected = added::expected(&mut conn, facts.flavour, self.extent.as_deref(), &catalog).await;
        let mut watch = self.watch.clone();
        watch.exclude(catalog.others);
        let (out, mut queue) = mpsc::channel(QUEUE);
        let assembler = Assembler::new(watch.clone(), catalog.hints, position.clone(), &self.schemas)
            .with_spooling(self.config.spooling.clone());
        let assembler = match self.rewound(&facts) {
            Some((latest, before)) => assembler.behind(latest, before),
            None => assembler,
        };
        let added = Added::new(&self.config, self.opts.clone(), facts.flavour, self.extent.clone(), catalog.tables, expected)?;
        let task = Task {
            added,
            source: self.config.name.as_str().into(),
            opts: self.opts.clone(),
            flavour: facts.flavour,
            assembler: if self.config.clears { assembler.with_clears() } else { assembler },
            watch,
            server_id: self.server_id(),
            share: self.share(),
            heartbeat: self.config.heartbeat,
            target: position.done.left_of(facts.executed),
            out,
        };
        port.status(SourceStatus::Live(false)).await?;
        let mut task = Guard(tokio::spawn(stream::run(task, conn)));
        let mut quiet = resync::QUIET;
        loop {
            let asks = database.as_ref().filter(|_| self.commit.is_none());
            let waited = match asks {
                Some(_) => tokio::time::timeout(quiet, queue.recv()).await,
                None => Ok(queue.recv().await),
            };
            match (waited, asks) {
                (Ok(Some(out)), _) => {
                    self.pass_on(out, port).await?;
                    quiet = resync::QUIET;
                }
                (Err(_), Some(database)) => {
                    quiet = (quiet * 2).min(resync::QUIET_MAX);
                    self.settle(database, port).await?;
                }
                (Ok(None), _) | (Err(_), None) => break,
            }
        }
        Ok(match (&mut task.0).await {
            Ok(failure) => failure,
            Err(panic) => Failure::Retry(format!("E0400: the connection sent what the protocol library cannot read ({panic})")),
        })
    }

    /// What the log is compared with from one transaction before the position, where it still has that one.
    fn rewound(&self, facts: &Facts) -> Option<(Latest, GtidState)> {
        let latest = self.latest.clone().filter(|latest| !facts.purged.has_passed(&latest.id))?;
        let before = latest.before(&self.position.as_ref()?.done)?;
        Some((latest, before))
    }

    /// Where this source may share its connection, and with whom.
    fn share(&self) -> Option<(Share, Key)> {
        let key = Key { opts: without_database(&self.opts), heartbeat: self.config.heartbeat };
        self.config.share.clone().map(|share| (share, key))
    }

    /// The id of its connection. One that will be left for a shared connection must not push that one out.
    fn server_id(&self) -> u32 {
        let is_shared = self.share().is_some_and(|(share, key)| share.has(&key));
        self.config.server_id.filter(|_| !is_shared).unwrap_or_else(random_server_id)
    }

    /// The outlet has everything up to here.
    fn stand(&mut self, mark: Mark) {
        self.position = Some(mark.place);
        self.latest = mark.latest;
        self.extent = mark.extent;
        (self.damaged, self.forms) = (false, 0);
    }

    /// In a quiet moment: the commit that belongs to the position, if there is one, goes beside it.
    async fn settle(&mut self, database: &str, port: &Port) -> Result<(), Failure> {
        let Some(place) = self.position.clone().filter(|_| self.is_whole()) else { return Ok(()) };
        self.commit = resync::commit_at(&self.opts, database, &place.done).await;
        let Some(commit) = &self.commit else { return Ok(()) };
        let mark = Mark { place, latest: None, extent: self.extent.clone() };
        port.message(SourceMessage::Position(with_commit(&mark, commit).into())).await
    }

    /// Whether the outlet has all watched tables, and wholly.
    fn is_whole(&self) -> bool {
        self.extent.as_ref().is_none_or(|extent| extent.is_whole(&self.watch))
    }

    async fn pass_on(&mut self, out: Out, port: &Port) -> Result<(), Failure> {
        match out {
            Out::Schemas(schemas) => {
                self.commit = None;
                for schema in &schemas {
                    self.schemas.retain(|known| known.table != schema.table);
                }
                self.schemas.extend(schemas.iter().cloned());
                port.message(SourceMessage::Schemas(schemas)).await
            }
            Out::Transaction(transaction, mark) => {
                port.message(SourceMessage::Transaction(transaction, SourcePosition::new(mark.clone()))).await?;
                self.commit = None;
                self.stand(mark);
                Ok(())
            }
            Out::Position(mark) => {
                // What was passed by changed no watched table, so a commit still stands.
                let place = match &self.commit {
                    Some(commit) => with_commit(&mark, commit).into(),
                    None => SourcePosition::new(mark.clone()),
                };
                port.message(SourceMessage::Position(place)).await?;
                self.stand(mark);
                Ok(())
            }
            Out::Status(status) => port.status(status).await,
        }
    }
}

/// A position as text, with the commit that belongs to its place.
fn with_commit(mark: &Mark, commit: &Commit) -> String {
    let extent = mark.extent.as_ref().map(ToString::to_string).unwrap_or_default();
    resync::joined(&mark.place, Some(commit)) + &extent
}

/// An id that no other replica is likely to have: the upper half of the range, which people do not use.
fn random_server_id() -> u32 {
    rand::rng().random_range(0x8000_0000..=u32::MAX)
}

/// Ends the task when the source is dropped.
struct Guard(JoinHandle<Failure>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
