//! The changes of one transaction while it is read: held, and past a bound spooled as the row events that they came in.
//!
//! Every event is decoded when it arrives, so that what cannot be read is refused before the transaction counts as read (SRC-B). What is
//! spooled is decoded again, by the same code, each time that somebody reads it.
//!
//! Bound: [`Spooling::above`] bytes and one event's changes are held, whatever the transaction's size; the rest is in the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_formulas::{Code, Value};
use thalweg_graph::transaction::{Body, PART, Spill};
use thalweg_graph::{Change, Schema};

use super::super::DecodeError;
use super::super::frame::kind;
use super::super::log_error::LogError;
use super::super::plan::Plan;
use super::super::position::TransactionId;
use super::super::rows::{self, RowsKind};
use crate::spool::{Spool, Writer};

/// The code of a spool that cannot be written or read; `src/explain/mysql.md` tells its story.
pub(crate) const SPOOL: Code = Code(425);

/// A part that is handed out holds no more bytes than this and the changes of one event.
const PART_BYTES: usize = 2 << 20;

/// Where the rows of a transaction go that is too large to be held, and what too large is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooling {
    /// A directory that is there, with room for the largest transaction. The files in it have no names.
    pub directory: PathBuf,
    /// Bytes of changes, as they are held, that a transaction may have in memory.
    pub above: usize,
}

/// 16 MiB, some hundred thousand short rows; what is above goes to the system's directory for temporary files.
impl Default for Spooling {
    fn default() -> Self {
        Spooling { directory: std::env::temp_dir(), above: 16 << 20 }
    }
}

/// What was read of a transaction.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    held: Vec<Change>,
    /// What they take, roughly.
    bytes: usize,
    /// A table is emptied behind changes: they stay together, whatever they take.
    is_one: bool,
    spooled: Option<Events>,
}

/// Row events on their way into the file.
#[derive(Debug)]
struct Events {
    file: Writer,
    plans: Vec<Arc<Plan>>,
    changes: u64,
    /// The changes of the event that came last: its memory serves the next.
    last: Vec<Change>,
}

impl Gathered {
    /// A table that it changed.
    pub(super) fn table(&self) -> Option<&Arc<str>> {
        let held = self.held.first().map(|change| &change.schema);
        held.or_else(|| Some(&self.spooled.as_ref()?.plans.first()?.schema)).map(|schema| &schema.table)
    }

    /// The layouts of its rows, in the order in which they came.
    pub(super) fn schemas(&self) -> Vec<Arc<Schema>> {
        let spooled = self.spooled.iter().flat_map(|events| &events.plans).map(|plan| &plan.schema);
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        for schema in self.held.iter().map(|change| &change.schema).chain(spooled) {
            if !schemas.iter().any(|known| Arc::ptr_eq(known, schema)) {
                schemas.push(schema.clone());
            }
        }
        schemas
    }

    /// Every row of a table goes.
    ///
    /// # Errors
    /// Rows are spooled already. No server empties a table in the midst of a transaction, so this is not told in place.
    pub(super) fn clear(&mut self, schema: Arc<Schema>, id: &TransactionId) -> Result<(), LogError> {
        if self.spooled.is_some() {
            let sql = "a table is emptied behind many rows".to_string();
            return Err(LogError::Replaced { gtid: id.clone(), table: schema.table.to_string(), sql });
        }
        self.is_one |= !self.held.iter().all(Change::is_clear);
        self.held.push(Change::clear(schema));
        Ok(())
    }

    /// Adds the changes of a row event of this type.
    ///
    /// # Errors
    /// It cannot be decoded, or not be written.
    pub(super) fn rows(&mut self, event: u8, body: &[u8], plan: &Arc<Plan>, to: &Spooling) -> Result<(), LogError> {
        // A clear is told within what is held.
        if self.spooled.is_none() && (self.bytes + body.len() <= to.above || self.is_one) {
            let before = self.held.len();
            rows::decode(rows_kind(event)?, body, plan, &mut self.held)?;
            self.bytes += size(&self.held[before..], event, body, plan);
            return Ok(());
        }
        let unwritten = |e| LogError::spool(&to.directory, &e);
        let events = match &mut self.spooled {
            Some(events) => events,
            none => {
                let file = Writer::create(&to.directory).map_err(unwritten)?;
                none.insert(Events { file, plans: Vec::new(), changes: 0, last: Vec::new() })
            }
        };
        events.last.clear();
        rows::decode(rows_kind(event)?, body, plan, &mut events.last)?;
        events.changes += events.last.len() as u64;
        let number = number_of(plan, &mut events.plans);
        events.file.append(u64::from(number) << 8 | u64::from(event), body).map_err(unwritten)
    }

    /// The transaction is whole: what it carries; `None` if that is nothing.
    ///
    /// # Errors
    /// The last of it cannot be written.
    pub(super) fn finish(self, id: &TransactionId, to: &Spooling) -> Result<Option<Body>, LogError> {
        let Some(events) = self.spooled else {
            return Ok(if self.held.is_empty() { None } else { Some(Body::Changes(self.held)) });
        };
        let spool = events.file.seal().map_err(|e| LogError::spool(&to.directory, &e))?;
        let (held, plans, directory) = (self.held, events.plans, to.directory.clone());
        let changes = held.len() as u64 + events.changes;
        Ok(Some(Body::Spilled(Arc::new(Giant { id: id.to_string(), held, plans, spool, changes, directory }))))
    }
}

/// The number of a plan among those of a transaction. The events of a statement come one after another, so it is mostly the last.
fn number_of(plan: &Arc<Plan>, plans: &mut Vec<Arc<Plan>>) -> u32 {
    let known = plans.iter().rposition(|known| Arc::ptr_eq(known, plan));
    known.unwrap_or_else(|| {
        plans.push(plan.clone());
        plans.len() - 1
    }) as u32
}

/// A transaction whose first changes are held and whose others are read from the file.
#[derive(Debug)]
struct Giant {
    /// Its id, for messages.
    id: String,
    held: Vec<Change>,
    plans: Vec<Arc<Plan>>,
    spool: Spool,
    changes: u64,
    /// Where the file is, for messages.
    directory: PathBuf,
}

impl Giant {
    fn read_spool(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        let mut records = self.spool.records();
        let (mut part, mut bytes) = (Vec::new(), 0);
        while let Some((tag, body)) = records.next().map_err(|e| e.to_string())? {
            let event = tag as u8;
            let plan = self.plans.get((tag >> 8) as usize).ok_or("it holds rows of no table")?;
            let before = part.len();
            rows_kind(event).and_then(|kind| rows::decode(kind, body, plan, &mut part)).map_err(|e| e.to_string())?;
            bytes += size(&part[before..], event, body, plan);
            if part.len() >= PART || bytes >= PART_BYTES {
                bytes = 0;
                let next = Vec::with_capacity(part.capacity());
                if !each(std::mem::replace(&mut part, next)) {
                    return Ok(());
                }
            }
        }
        let _ = part.is_empty() || each(part);
        Ok(())
    }
}

impl Spill for Giant {
    fn changes(&self) -> u64 {
        self.changes
    }

    fn clears(&self) -> &[Change] {
        let end = self.held.iter().position(|change| !change.is_clear());
        &self.held[..end.unwrap_or(self.held.len())]
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        if !self.held.chunks(PART).all(|part| each(part.to_vec())) {
            return Ok(());
        }
        self.read_spool(each).map_err(|why| {
            let place = self.directory.display();
            format!(
                "{SPOOL}: the rows of transaction {} cannot be read back from the file in {place} where they wait ({why}); \
                 check that disk and start again: the source reads them anew",
                self.id
            )
        })
    }
}

fn rows_kind(event: u8) -> Result<RowsKind, DecodeError> {
    RowsKind::of(event).ok_or_else(|| DecodeError::malformed(format!("rows in an event of type {event}")))
}

impl LogError {
    fn spool(directory: &Path, error: &std::io::Error) -> LogError {
        LogError::Spool { directory: directory.to_path_buf(), why: error.to_string() }
    }
}

/// What changes take in memory, roughly: cells, and their texts as long as in the log; where a row can hold far more than its bytes say,
/// its values are looked at.
fn size(changes: &[Change], event: u8, body: &[u8], plan: &Plan) -> usize {
    let images = |change: &Change| usize::from(change.before.is_some()) + usize::from(change.after.is_some());
    let cells = changes.first().map_or(0, images) * plan.columns();
    let fixed = changes.len() * (size_of::<Change>() + cells * size_of::<Option<Value>>());
    let is_packed = (kind::WRITE_ROWS_COMPRESSED_V1..=kind::DELETE_ROWS_COMPRESSED).contains(&event);
    if !is_packed && !plan.may_swell() {
        return fixed + body.len();
    }
    let rows = changes.iter().flat_map(|change| [&change.before, &change.after]).flatten();
    fixed + rows.flatten().flatten().map(content).sum::<usize>()
}

/// Bytes of a value beside its cell.
fn content(value: &Value) -> usize {
    const CELL: usize = size_of::<Value>();
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(|item| CELL + content(item)).sum(),
        Value::Map(map) => map.iter().map(|(k, v)| 2 * CELL + content(k) + content(v)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::control::Flavour;
    use super::super::super::frame::FileEvents;
    use super::super::super::gtid::Gtid;
    use super::super::super::plan::Hints;
    use super::super::super::table_map::TableMap;
    use super::*;

    /// A row event of the recorded log and its plan.
    fn event() -> (u8, Vec<u8>, Arc<Plan>) {
        let file = include_bytes!("../../../tests/fixtures/mariadb-10.11.binlog");
        let frames: Vec<_> = FileEvents::new(file).map(Result::unwrap).collect();
        let at = frames.iter().position(|frame| frame.header.kind == kind::WRITE_ROWS_V1).unwrap();
        let map = frames[..at].iter().rfind(|frame| frame.header.kind == kind::TABLE_MAP).unwrap();
        let map = TableMap::parse(map.body, Flavour::Mariadb).unwrap();
        let plan = Plan::new(&map, &Hints::default(), Flavour::Mariadb).unwrap();
        (frames[at].header.kind, frames[at].body.to_vec(), Arc::new(plan))
    }

    fn gathered(events: usize, above: usize) -> (Gathered, usize) {
        let (kind, body, plan) = event();
        let to = Spooling { above, ..Spooling::default() };
        let mut gathered = Gathered::default();
        gathered.rows(kind, &body, &plan, &Spooling { above: usize::MAX, ..to.clone() }).unwrap();
        let each = gathered.held.len();
        for _ in 1..events {
            gathered.rows(kind, &body, &plan, &to).unwrap();
            let last = gathered.spooled.as_ref().map_or(0, |events| events.last.len());
            assert!(last <= each && gathered.bytes <= above + 4096, "{last} {}", gathered.bytes);
        }
        (gathered, each)
    }

    fn giant(gathered: Gathered) -> Arc<dyn Spill> {
        let id = TransactionId::Mariadb(Gtid { domain: 0, server: 1, sequence: 7 });
        match gathered.finish(&id, &Spooling::default()).unwrap() {
            Some(Body::Spilled(spill)) => spill,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn src_15_what_is_held_does_not_grow_with_the_transaction() {
        let (small, each) = gathered(3_000, 64 << 10);
        let (large, _) = gathered(12_000, 64 << 10);
        assert_eq!(small.held.len(), large.held.len());
        assert!(small.held.len() < 100 * each, "{}", small.held.len());
        let (mut count, mut largest) = (0, 0);
        let spill = giant(large);
        let mut take = |part: Vec<Change>| {
            (count, largest) = (count + part.len(), largest.max(part.len()));
            true
        };
        spill.read(&mut take).unwrap();
        assert_eq!((count, spill.changes()), (12_000 * each, 12_000 * each as u64));
        assert!(largest < PART + each, "{largest}");
    }

    #[test]
    fn src_15_a_reader_that_has_enough_is_told_no_more() {
        let spill = giant(gathered(3_000, 0).0);
        let mut parts = 0;
        let two = |_| {
            parts += 1;
            parts < 2
        };
        spill.read(&mut { two }).unwrap();
        assert_eq!(parts, 2);
    }

    #[test]
    fn a_table_that_is_emptied_stays_before_its_rows_or_is_refused() {
        let (kind, body, plan) = event();
        let id = TransactionId::Mariadb(Gtid { domain: 0, server: 1, sequence: 7 });
        let to = Spooling { above: 0, ..Spooling::default() };
        let mut gathered = Gathered::default();
        gathered.clear(plan.schema.clone(), &id).unwrap();
        (0..3).for_each(|_| gathered.rows(kind, &body, &plan, &to).unwrap());
        let spill = giant(gathered);
        let mut clears = Vec::new();
        spill
            .read(&mut |part| {
                clears.extend(part.iter().map(Change::is_clear));
                true
            })
            .unwrap();
        assert_eq!((clears.len() as u64, spill.clears().len()), (spill.changes(), 1));
        assert!(clears[0] && clears.len() > 3 && !clears[1..].contains(&true), "{clears:?}");

        // Behind rows it is one with them: what was done to them before goes too.
        let mut gathered = Gathered::default();
        gathered.rows(kind, &body, &plan, &Spooling { above: usize::MAX, ..to.clone() }).unwrap();
        gathered.clear(plan.schema.clone(), &id).unwrap();
        gathered.rows(kind, &body, &plan, &to).unwrap();
        assert!(
            matches!(gathered.finish(&id, &to).unwrap(), Some(Body::Changes(changes)) if changes.iter().any(Change::is_clear))
        );

        let mut gathered = Gathered::default();
        gathered.rows(kind, &body, &plan, &to).unwrap();
        let text = gathered.clear(plan.schema.clone(), &id).unwrap_err().to_string();
        assert!(text.ends_with(" without telling which: a table is emptied behind many rows"), "{text}");
    }

    #[test]
    fn sto_6_a_spool_that_rots_is_named_with_its_transaction_and_cure() {
        let (gathered, _) = gathered(50, 0);
        let mut giant = Giant {
            id: "0-1-7".into(),
            held: gathered.held,
            plans: Vec::new(),
            spool: gathered.spooled.unwrap().file.seal().unwrap(),
            changes: 0,
            directory: "/data".into(),
        };
        let why = giant.read(&mut |_| true).unwrap_err();
        let cure = "check that disk and start again: the source reads them anew";
        let place = "the rows of transaction 0-1-7 cannot be read back from the file in /data where they wait";
        assert_eq!(why, format!("E0425: {place} (it holds rows of no table); {cure}"));
        giant.plans.push(event().2);
        let (file, end) = giant.spool.file();
        std::os::unix::fs::FileExt::write_all_at(file, &[0x55], end / 2).unwrap();
        let mut parts = 0;
        let why = giant
            .read(&mut |_| {
                parts += 1;
                true
            })
            .unwrap_err();
        assert!(
            why.starts_with(&format!("E0425: {place} (the record at byte ")) && why.ends_with(&format!(" is damaged); {cure}")),
            "{why}"
        );
    }
}
