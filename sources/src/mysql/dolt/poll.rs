//! Following the commits of a branch without the log: ask for the branch's head, and hand over each new commit as one transaction.
//!
//! Any branch can be followed, and no setting of the server is needed. A transaction is what the commit changed, its id the commit's hash,
//! its time the commit's; what was written and not committed is not seen. The first start reads the tables as of the head. Tables that come to
//! the source later are read in as of where it stands (`added`).
//!
//! Invariants:
//! - DOLT-POLL-1: behind a transaction with commit H, the receiver has the watched tables exactly as of H.
//! - DOLT-POLL-2: commits come in the order of the branch, each once. Where the last one is not in the branch's history any more, the
//!   source stops; or, where the settings allow it, hands over the difference to the head as one transaction.
//!
//! Cost: one small query each interval; for each commit two more, and one for each table that it changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use thalweg_graph::ports::{Outlet, SourceMessage, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Schema, Transaction};

use super::added::{self, Coming};
use super::ancestry::{self, Step};
use super::difference::{self, Scope, State};
use super::place::{Commit, CommitPlace};
use crate::binlog::Watch;
use crate::mysql::catalog::{Catalog, Missing, literal};
use crate::mysql::check::watch;
use crate::mysql::connect::{Flavour, Server, ask, ask_first, connect, options, quoted};
use crate::mysql::extent::Extent;
use crate::mysql::failure::{Failure, NEW_SNAPSHOT, code};
use crate::mysql::follow::Port;
use crate::mysql::pause::{GOOD_CONNECTION, PAUSE_MIN, Pauses};
use crate::mysql::view::AS_STORED;
use crate::mysql::{AfterPurge, MysqlConfig, Polling, Snapshot, history, snapshot};

/// Commits that change nothing here are passed by without a word, but for one in so many.
const PASSED_MAX: u32 = 1000;
/// How long the answer to a small question may take before the link counts as dead.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The silence after which the system asks whether the other side still lives.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Runs the source until the runtime is gone or nobody but the user can help.
pub(crate) async fn run(config: MysqlConfig, polling: Polling, position: Option<String>, outlet: Arc<dyn Outlet>) {
    let port = Port::of(outlet);
    let failure = match Poller::new(config, polling, position) {
        Ok(mut poller) => poller.follow(&port).await,
        Err(failure) => failure,
    };
    if let Failure::Stop(text) = failure {
        port.status(SourceStatus::Stopped(text)).await.ok();
    }
}

/// What the outlet has.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stand {
    /// Nothing, and what is there now is not wanted.
    Nowhere,
    /// Nothing: all begins with the first commit.
    Beginning,
    /// The tables as of a commit.
    At(CommitPlace),
}

struct Poller {
    config: MysqlConfig,
    polling: Polling,
    opts: Opts,
    watch: Watch,
    database: String,
    stand: Stand,
    /// Which tables the outlet has; `None`: no account is kept.
    extent: Option<Extent>,
    snapshot_due: bool,
    /// The outlet may have rows that the next snapshot must take back.
    has_rows: bool,
    /// What the outlet knows of the tables.
    schemas: Vec<Arc<Schema>>,
    /// Commits since the position was last handed over.
    passed: u32,
}

impl Poller {
    fn new(config: MysqlConfig, polling: Polling, position: Option<String>) -> Result<Poller, Failure> {
        let opts = options(&config.url, &config.tls)?;
        let watch = watch(&config.tables, opts.db_name())?;
        let database = only_database(&watch)?;
        if polling.every < Duration::from_millis(10) || polling.every > Duration::from_secs(3600) {
            let reason = format!("a branch looked at every {:?}", polling.every);
            return Err(Failure::stop(code::SETTING, reason, "set `poll` from 10ms to 1h"));
        }
        let parts = position.as_deref().map(history::parts).transpose()?;
        let (position, extent) = parts.map(|(place, _, extent)| (place, extent)).unzip();
        let is_incomplete = position == Some(snapshot::INCOMPLETE);
        let stand = match position {
            None | Some(snapshot::INCOMPLETE) => Stand::Nowhere,
            Some("") => Stand::Beginning,
            Some(text) => Stand::At(parsed(text)?),
        };
        let snapshot_due = match config.snapshot {
            _ if is_incomplete => true,
            Snapshot::Initial => position.is_none(),
            Snapshot::Never => false,
            Snapshot::Always => true,
        };
        // The database is entered once it is known to be there.
        let opts = OptsBuilder::from_opts(opts).db_name(None::<String>).tcp_keepalive(Some(KEEPALIVE)).into();
        let (extent, has_rows, schemas) = (extent.flatten(), is_incomplete, Vec::new());
        Ok(Poller { config, polling, opts, watch, database, stand, extent, snapshot_due, has_rows, schemas, passed: 0 })
    }

    /// Connects again and again; returns only what cannot be helped.
    async fn follow(&mut self, port: &Port) -> Failure {
        let mut pauses = Pauses::new();
        let mut error = None;
        loop {
            if let Err(gone) = port.status(SourceStatus::Connecting { error: error.take() }).await {
                return gone;
            }
            let (begin, stood) = (Instant::now(), self.stand.clone());
            let text = match self.attempt(port).await {
                Failure::Retry(text) => text,
                Failure::Lost(text) if self.may_read_anew() => {
                    (self.snapshot_due, self.has_rows) = (true, true);
                    text.replace(NEW_SNAPSHOT, "the tables are read anew")
                }
                Failure::Lost(text) | Failure::Form(text) => return Failure::Stop(text),
                over => return over,
            };
            if let Err(gone) = port.status(SourceStatus::Connecting { error: Some(text.clone()) }).await {
                return gone;
            }
            error = Some(text);
            pauses.wait(begin.elapsed() > GOOD_CONNECTION || stood != self.stand, PAUSE_MIN).await;
        }
    }

    /// Whether the tables may take the place of what the receiver has.
    fn may_read_anew(&self) -> bool {
        self.config.after_purge == AfterPurge::Snapshot && self.config.clears && self.config.snapshot != Snapshot::Never
    }

    /// One connection from its beginning to its end.
    async fn attempt(&mut self, port: &Port) -> Failure {
        match self.try_attempt(port).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    async fn try_attempt(&mut self, port: &Port) -> Result<std::convert::Infallible, Failure> {
        let mut conn = connect(&self.opts).await?;
        require_dolt(&Server::ask(&mut conn).await?)?;
        conn.query_drop(AS_STORED).await?;
        conn.query_drop(format!("USE {}", quoted(&self.database))).await?;
        let branch = branch(&mut conn, &self.database, self.polling.branch.as_deref()).await?;
        let mut head = head(&mut conn, &self.database, &branch).await?;
        let mut state = self.prepare(&mut conn, &branch, &head, port).await?;
        port.status(SourceStatus::Live(false)).await?;
        let mut is_live = false;
        loop {
            self.advance(&mut conn, &branch, &head, &mut state, port).await?;
            if !is_live {
                port.status(SourceStatus::Live(true)).await?;
                is_live = true;
            }
            tokio::time::sleep(self.polling.every).await;
            head = self::head(&mut conn, &self.database, &branch).await?;
        }
    }

    /// Snapshot or layout, as needed; afterwards the outlet knows the tables as of where it stands.
    async fn prepare(&mut self, conn: &mut Conn, branch: &str, head: &Commit, port: &Port) -> Result<State, Failure> {
        if self.snapshot_due {
            return self.snapshot(conn, branch, head, port).await;
        }
        let scope = Scope { database: &self.database, watch: &self.watch };
        let (state, begins) = match self.stand.clone() {
            Stand::Beginning => (State { commit: None, catalog: Catalog::default() }, false),
            Stand::Nowhere => (State::read(conn, scope, head, Missing::Refused).await?, true),
            Stand::At(place) => {
                require_commit(conn, &place.commit).await?;
                (State::read(conn, scope, &place.commit, Missing::Dropped).await?, false)
            }
        };
        self.announce(state.catalog.schemas(), port).await?;
        match self.stand.clone() {
            _ if begins => {
                let place = CommitPlace { commit: head.clone(), branch: Some(branch.to_string()) };
                port.message(SourceMessage::Position(self.position(&place).into())).await?;
                self.stand = Stand::At(place);
            }
            Stand::At(place) if added::keeps_account(&self.config) => self.bring_in(conn, &place, &state, port).await?,
            _ => {}
        }
        Ok(state)
    }

    /// Reads in the tables that have come since the last start, and clears those that have gone.
    async fn bring_in(&mut self, conn: &mut Conn, place: &CommitPlace, state: &State, port: &Port) -> Result<(), Failure> {
        let coming = Coming { place, state, extent: &mut self.extent };
        let job = snapshot::Job {
            opts: &self.opts,
            flavour: Flavour::Dolt,
            config: &self.config,
            watch: &self.watch,
            known: None,
            has_rows: &mut false,
            extent: None,
        };
        added::bring_in(conn, coming, job, port).await
    }

    /// A place as it is handed over, with the tables that the outlet has.
    fn position(&self, place: &CommitPlace) -> String {
        self.extent.as_ref().map_or_else(|| place.to_string(), |extent| format!("{place}{extent}"))
    }

    /// Reads the tables as of the head. Until the last row is handed over, a break means that all of it begins anew.
    async fn snapshot(&mut self, conn: &mut Conn, branch: &str, head: &Commit, port: &Port) -> Result<State, Failure> {
        let missing = if self.has_rows { Missing::Dropped } else { Missing::Refused };
        let scope = Scope { database: &self.database, watch: &self.watch };
        let state = State::read(conn, scope, head, missing).await?;
        let place = CommitPlace { commit: head.clone(), branch: Some(branch.to_string()) };
        let extent = added::keeps_account(&self.config).then(|| Extent::of(&self.watch));
        let known = self.has_rows.then_some(&*self.schemas);
        let moment = snapshot::Moment {
            tables: state.catalog.tables.iter().collect(),
            clears: known.map_or_else(Vec::new, |known| snapshot::clears(known, &state.catalog, &self.watch)),
            as_of: Some(head.as_str()),
            origin: format!("snapshot:{head}"),
            at: ancestry::entry(conn, head).await?.at,
            position: place.to_string(),
            incomplete: snapshot::INCOMPLETE.to_string(),
        };
        let job = snapshot::Job {
            opts: &self.opts,
            flavour: Flavour::Dolt,
            config: &self.config,
            watch: &self.watch,
            known,
            has_rows: &mut self.has_rows,
            extent: extent.as_ref(),
        };
        snapshot::read(conn, job, moment, port).await?;
        self.extent = extent;
        self.schemas = state.catalog.schemas();
        self.stand = Stand::At(place);
        (self.snapshot_due, self.has_rows) = (false, false);
        Ok(state)
    }

    /// Hands over the commits from where the outlet stands to the head.
    async fn advance(
        &mut self,
        conn: &mut Conn,
        branch: &str,
        head: &Commit,
        state: &mut State,
        port: &Port,
    ) -> Result<(), Failure> {
        let place = CommitPlace { commit: head.clone(), branch: Some(branch.to_string()) };
        let steps = match &self.stand {
            Stand::At(last) if *last == place => return Ok(()),
            Stand::At(last) => {
                let is_other = last.branch.as_ref().is_some_and(|of| of != branch);
                let way = if is_other { None } else { ancestry::steps(conn, head, Some(&last.commit)).await? };
                match way {
                    Some(steps) => steps,
                    None => vec![self.diverged(conn, last, &place).await?],
                }
            }
            Stand::Nowhere | Stand::Beginning => ancestry::steps(conn, head, None).await?.unwrap_or_default(),
        };
        for step in steps {
            self.hand_over(conn, branch, step, state, port).await?;
        }
        if self.passed > 0 || self.stand != Stand::At(place.clone()) {
            self.pass_by(place, port).await?;
        }
        Ok(())
    }

    /// The last commit is not in the history of the head: the straight step there, where the settings allow it.
    async fn diverged(&self, conn: &mut Conn, last: &CommitPlace, head: &CommitPlace) -> Result<Step, Failure> {
        if self.config.after_purge == AfterPurge::Snapshot {
            let to = ancestry::entry(conn, &head.commit).await?;
            return Ok(Step { from: Some(last.commit.clone()), to });
        }
        Err(diverged(last, head))
    }

    /// Hands over one commit.
    async fn hand_over(
        &mut self,
        conn: &mut Conn,
        branch: &str,
        step: Step,
        state: &mut State,
        port: &Port,
    ) -> Result<(), Failure> {
        let scope = Scope { database: &self.database, watch: &self.watch };
        let difference = difference::since(conn, scope, state, &step.to.hash).await?;
        if let Some(catalog) = difference.catalog {
            self.announce(catalog.schemas(), port).await?;
            state.catalog = catalog;
        }
        state.commit = Some(step.to.hash.clone());
        let place = CommitPlace { commit: step.to.hash.clone(), branch: Some(branch.to_string()) };
        if difference.changes.is_empty() {
            self.passed += 1;
            return if self.passed >= PASSED_MAX { self.pass_by(place, port).await } else { Ok(()) };
        }
        let transaction = Transaction {
            source: self.config.name.as_str().into(),
            origin: step.origin().into(),
            at: step.to.at,
            body: Body::Changes(difference.changes),
        };
        port.message(SourceMessage::Transaction(transaction, self.position(&place).into())).await?;
        (self.stand, self.passed) = (Stand::At(place), 0);
        Ok(())
    }

    /// Hands over the position alone.
    async fn pass_by(&mut self, place: CommitPlace, port: &Port) -> Result<(), Failure> {
        port.message(SourceMessage::Position(self.position(&place).into())).await?;
        (self.stand, self.passed) = (Stand::At(place), 0);
        Ok(())
    }

    /// Hands over layouts that are new.
    async fn announce(&mut self, schemas: Vec<Arc<Schema>>, port: &Port) -> Result<(), Failure> {
        let new: Vec<Arc<Schema>> = schemas.iter().filter(|schema| !self.schemas.contains(schema)).cloned().collect();
        self.schemas = schemas;
        if new.is_empty() { Ok(()) } else { port.message(SourceMessage::Schemas(new)).await }
    }
}

/// A position as it was handed over once.
pub(crate) fn parsed(text: &str) -> Result<CommitPlace, Failure> {
    text.parse().map_err(|why| {
        let cure = format!("take `branch` and `poll` out of the source's section to follow the log, or {NEW_SNAPSHOT}");
        match CommitPlace::is_meant(text) {
            true => Failure::stop(code::SETTING, format!("the position {why}"), NEW_SNAPSHOT),
            false => Failure::stop(
                code::SETTING,
                format!("the position {text} is a place of a binary log, and this source follows commits"),
                cure,
            ),
        }
    })
}

/// Commits are of one database.
pub(crate) fn only_database(watch: &Watch) -> Result<String, Failure> {
    let mut databases: Vec<&str> = watch.patterns().map(|(database, _)| database).collect();
    databases.sort_unstable();
    databases.dedup();
    match databases[..] {
        [one] if !Watch::is_wild(one) => Ok(one.to_string()),
        [wild] => Err(Failure::stop(
            code::SETTING,
            format!("commits are of one database, and `{wild}` may be several"),
            "name the database in the url or in `tables`",
        )),
        _ => Err(Failure::stop(
            code::SETTING,
            format!("commits are of one database, and tables of {} are watched", databases.join(" and of ")),
            "configure one source for each database",
        )),
    }
}

/// Only Dolt has commits to ask for.
pub(crate) fn require_dolt(server: &Server) -> Result<(), Failure> {
    match server.flavour {
        Flavour::Dolt => Ok(()),
        Flavour::MariaDb | Flavour::MySql => Err(Failure::stop(
            code::SETTING,
            format!("`branch` and `poll` follow the commits of a Dolt server, and this is {}", server.version),
            "take them out of the source's section, and /branch out of the url, to follow the binary log",
        )),
    }
}

/// The branch to follow.
pub(crate) async fn branch(conn: &mut Conn, database: &str, wanted: Option<&str>) -> Result<String, Failure> {
    if let Some(wanted) = wanted {
        return Ok(wanted.to_string());
    }
    let active: Option<Option<String>> = ask_first(conn, "SELECT active_branch()").await?;
    active.flatten().ok_or_else(|| {
        Failure::stop(code::SETTING, format!("the server has no branch of its own for {database}"), "name one as `branch`")
    })
}

/// The last commit of a branch.
pub(crate) async fn head(conn: &mut Conn, database: &str, branch: &str) -> Result<Commit, Failure> {
    let sql = format!("SELECT dolt_hashof({})", literal(branch));
    let answer = tokio::time::timeout(ANSWER_MAX, conn.query_first::<Option<String>, _>(sql)).await;
    let answer = answer.map_err(|_| Failure::Retry(format!("E0400: no sign of life from the server for {ANSWER_MAX:?}")))?;
    let refused = match answer {
        Err(mysql_async::Error::Server(refused)) => refused,
        answer => {
            let hash = answer?.flatten().unwrap_or_default();
            return hash.parse().map_err(|_| {
                Failure::stop(code::SERVER, format!("the server gives \"{hash}\" as the hash of a commit"), "report this")
            });
        }
    };
    let branches: Vec<String> = ask(conn, "SELECT name FROM dolt_branches").await?;
    match branches.iter().any(|known| known.eq_ignore_ascii_case(branch)) {
        true => Err(mysql_async::Error::Server(refused).into()),
        false => {
            let reason = format!("unknown branch `{branch}` of {database}");
            Err(Failure::stop(code::UNKNOWN_TABLE, reason, format!("its branches are {}", branches.join(", "))))
        }
    }
}

/// The last commit is not in the history of the head.
pub(crate) fn diverged(last: &CommitPlace, head: &CommitPlace) -> Failure {
    let (commit, branch, to) = (&last.commit, head.branch.as_deref().unwrap_or_default(), &head.commit);
    let reason = match &last.branch {
        Some(other) if other != branch => {
            format!("this source stands at commit {commit} of branch `{other}`, and follows `{branch}`, whose head is {to}")
        }
        _ => format!(
            "commit {commit}, the last that this source handed over, is not in the history of branch `{branch}`, whose head is {to}: the \
             branch was reset or pushed over"
        ),
    };
    let way = "to take what differs between the two as one transaction";
    Failure::stop(
        code::DIVERGED,
        reason,
        format!("set `after_purge = \"snapshot\"` in the source's section {way}, or {NEW_SNAPSHOT}"),
    )
}

/// The last commit may be gone for good: rewritten, and collected as garbage.
pub(crate) async fn require_commit(conn: &mut Conn, commit: &Commit) -> Result<(), Failure> {
    match conn.query_drop(format!("SELECT dolt_hashof('{commit}')")).await {
        Err(mysql_async::Error::Server(_)) => {
            let reason = format!("commit {commit}, the last that this source handed over, is not in the database any more");
            Err(Failure::Lost(format!("{}: {reason}; {NEW_SNAPSHOT}", thalweg_formulas::Code(code::DIVERGED))))
        }
        answer => Ok(answer?),
    }
}
