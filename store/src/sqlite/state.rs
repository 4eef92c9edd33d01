//! The one row that every write replaces: where the last commit stands, what has been counted, and who may write.

use rusqlite::{Connection, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::OutboxCounts;
use thalweg_graph::transaction::Epoch;

use super::crc::RowCrc;

/// Where the last commit stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    /// Raised at every open; a process that finds another number here has been replaced.
    pub fence: i64,
    /// Writes so far, of any kind.
    pub commits: u64,
    /// The last committed epoch.
    pub epoch: Epoch,
    /// The latest commit time in the log.
    pub at: Timestamp,
    /// The hash chain over log and outbox, through `epoch`.
    pub chain: [u8; 32],
    /// The first epoch that the log still holds.
    pub log_start: Epoch,
    /// Rows of the small tables: a row that is missing shows.
    pub sources: u64,
    pub schemas: u64,
    pub tables: u64,
    pub timers: u64,
    pub paused: u64,
    /// Outbox rows by state.
    pub counts: OutboxCounts,
}

impl State {
    /// A store to which nothing was committed.
    pub(super) fn new() -> State {
        State {
            fence: 0,
            commits: 0,
            epoch: 0,
            at: Timestamp::default(),
            chain: [0; 32],
            log_start: 1,
            sources: 0,
            schemas: 0,
            tables: 0,
            timers: 0,
            paused: 0,
            counts: OutboxCounts::default(),
        }
    }

    fn ints(&self) -> [i64; 16] {
        let c = &self.counts;
        [
            self.fence,
            self.commits as i64,
            self.epoch as i64,
            self.at.0,
            self.log_start as i64,
            self.sources as i64,
            self.schemas as i64,
            self.tables as i64,
            self.timers as i64,
            c.fired as i64,
            c.acked as i64,
            c.dead as i64,
            c.cancelled as i64,
            c.pending as i64,
            c.coalesced as i64,
            self.paused as i64,
        ]
    }

    fn crc(&self) -> i64 {
        self.ints().into_iter().fold(RowCrc::new(), RowCrc::int).bytes(&self.chain).done()
    }

    /// The row of a new store.
    pub(super) fn insert(&self, conn: &Connection) -> rusqlite::Result<()> {
        let i = self.ints();
        conn.execute(
            "INSERT INTO state VALUES(0, ?1, ?2, ?3, ?4, ?17, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?18)",
            params![
                i[0],
                i[1],
                i[2],
                i[3],
                i[4],
                i[5],
                i[6],
                i[7],
                i[8],
                i[9],
                i[10],
                i[11],
                i[12],
                i[13],
                i[14],
                i[15],
                self.chain,
                self.crc()
            ],
        )?;
        Ok(())
    }

    /// Replaces the row; `false` if `fence_before` is not what stands there, and then nothing was written.
    pub(super) fn write(&self, conn: &Connection, fence_before: i64) -> rusqlite::Result<bool> {
        let i = self.ints();
        let sql = "UPDATE state SET fence = ?1, commits = ?2, epoch = ?3, at = ?4, log_start = ?5, sources = ?6, schemas = ?7, tables = ?8, \
                   timers = ?9, fired = ?10, acked = ?11, dead = ?12, cancelled = ?13, pending = ?14, coalesced = ?15, paused = ?16, chain = ?17, crc = ?18 \
                   WHERE id = 0 AND fence = ?19";
        let changed = conn.prepare_cached(sql)?.execute(params![
            i[0],
            i[1],
            i[2],
            i[3],
            i[4],
            i[5],
            i[6],
            i[7],
            i[8],
            i[9],
            i[10],
            i[11],
            i[12],
            i[13],
            i[14],
            i[15],
            self.chain,
            self.crc(),
            fence_before
        ])?;
        Ok(changed == 1)
    }

    /// Reads the row; `None` if it is missing or contradicts its checksum.
    pub(crate) fn read(conn: &Connection) -> rusqlite::Result<Option<State>> {
        let sql = "SELECT fence, commits, epoch, at, log_start, sources, schemas, tables, timers, fired, acked, dead, cancelled, pending, \
                   coalesced, paused, chain, crc FROM state";
        let mut query = conn.prepare(sql)?;
        let mut rows = query.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let n = |i: usize| row.get::<_, i64>(i).map(|x| x as u64);
        let Ok(chain) = row.get::<_, [u8; 32]>(16) else { return Ok(None) };
        let state = State {
            fence: row.get(0)?,
            commits: n(1)?,
            epoch: n(2)?,
            at: Timestamp(row.get(3)?),
            chain,
            log_start: n(4)?,
            sources: n(5)?,
            schemas: n(6)?,
            tables: n(7)?,
            timers: n(8)?,
            paused: n(15)?,
            counts: OutboxCounts {
                fired: n(9)?,
                acked: n(10)?,
                dead: n(11)?,
                cancelled: n(12)?,
                pending: n(13)?,
                coalesced: n(14)?,
            },
        };
        let crc: i64 = row.get(17)?;
        Ok((crc == state.crc()).then_some(state))
    }
}
