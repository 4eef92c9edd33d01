//! The input log in bytes: the transactions of a commit, cut into blobs.
//!
//! A blob is a run of pieces; a piece is one transaction, or a part of one that is larger than [`PIECE`]. Where a transaction is cut
//! depends on the transaction alone, so the bytes of its changes, and with them the hash chain, are the same for any batching, and
//! whether it comes at once or in parts.
//!
//! ```text
//! blob   := format byte, piece*                       format 0: as is; 1: zstd
//! piece  := flags, source, origin, at − previous at, timer | count, change*
//! change := flags, [schema number], [key], [before], [after]
//! ```

use std::sync::Arc;

use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::StoreError;
use thalweg_graph::transaction::{Body, Change, Epoch, Op, Schema, Spill, TimerFired, Transaction};

use super::value::{get_key, get_row, put_key, put_row};
use super::wire::{Damaged, Reader, put_sized, put_varint, put_zigzag};
use crate::error::{miscounted, unreadable};
use crate::schemas::Schemas;

/// A transaction is cut when a piece of it has grown beyond this many bytes: as much as is turned into rows at once when the log is read.
pub(crate) const PIECE: usize = 1 << 20;
/// A blob is closed when it has grown beyond so many pieces, so that neither writing nor reading one needs much memory.
const BLOB_PIECES: usize = 8;
/// Below this many bytes compression gains nothing.
const COMPRESS_MIN: usize = 128;
/// zstd's fastest ordinary level: the commit path pays for it with every row.
const LEVEL: i32 = 1;

const KIND: u8 = 0b11;
const CONTINUES: u8 = 0b100;
const MORE: u8 = 0b1000;

/// One row of the log table.
#[derive(Debug)]
pub(crate) struct Blob {
    /// Epoch of the first piece.
    pub first: Epoch,
    /// Epoch of the last piece.
    pub last: Epoch,
    /// The last transaction goes on in the next blob.
    pub more: bool,
    /// Length before compression.
    pub raw_len: usize,
    /// Format byte and content.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Checksum of content and place.
    pub(crate) fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.first.to_le_bytes());
        crc.update(&self.last.to_le_bytes());
        crc.update(&(self.raw_len as u64).to_le_bytes());
        crc.update(&[u8::from(self.more)]);
        crc.update(&self.bytes);
        crc.finalize()
    }
}

/// Takes finished blobs.
pub(crate) type Emit<'a> = dyn FnMut(Blob) -> Result<(), StoreError> + 'a;

/// Where a transaction goes besides the buffer.
pub(crate) struct Target<'a> {
    /// Numbers its schemas.
    pub schemas: &'a mut Schemas,
    /// Takes its bytes as they are in any batching.
    pub link: &'a mut Sha256,
    /// Takes blobs that are full.
    pub emit: &'a mut Emit<'a>,
}

/// Writes blobs; keeps its buffers from commit to commit.
pub(crate) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    sources: Vec<Arc<str>>,
    at: i64,
    first: Epoch,
    open: Open,
    piece: usize,
    blob: usize,
}

/// The piece that is being written.
#[derive(Default)]
struct Open {
    kind: u8,
    /// Where its flags, its count and its first change stand.
    flags_at: usize,
    count_at: usize,
    start: usize,
    taken: u32,
    /// The layout of its last change.
    previous: Option<Arc<Schema>>,
}

impl Encoder {
    /// Cuts transactions into pieces of about `piece` bytes.
    pub(crate) fn new(piece: usize) -> Self {
        let zstd = zstd::bulk::Compressor::new(LEVEL).expect("level 1 exists in every zstd");
        Self {
            zstd,
            raw: Vec::new(),
            sources: Vec::new(),
            at: 0,
            first: 0,
            open: Open::default(),
            piece,
            blob: BLOB_PIECES * piece,
        }
    }

    /// Starts the log of a commit whose first epoch is `first`.
    pub(crate) fn begin(&mut self, first: Epoch) {
        self.raw.clear();
        self.sources.clear();
        self.at = 0;
        self.first = first;
        if self.raw.capacity() > 4 * self.blob {
            self.raw = Vec::new(); // One giant commit must not keep its buffer for ever.
        }
    }

    /// Appends a transaction.
    pub(crate) fn push(&mut self, epoch: Epoch, transaction: &Transaction, to: &mut Target<'_>) -> Result<(), StoreError> {
        hash_header(transaction, to.link);
        match &transaction.body {
            Body::Timer(timer) => {
                self.header(transaction, 2);
                let start = self.raw.len();
                put_timer(&mut self.raw, timer);
                to.link.update(&self.raw[start..]);
            }
            Body::Changes(changes) => self.push_changes(epoch, transaction, 0, changes, to)?,
            Body::Fill(changes) => self.push_changes(epoch, transaction, 1, changes, to)?,
            Body::Spilled(spill) => self.push_spilled(epoch, transaction, spill.as_ref(), to)?,
        }
        if self.raw.len() >= self.blob {
            (to.emit)(self.close(epoch, false))?;
            self.first = epoch + 1;
        }
        Ok(())
    }

    /// Starts the log of one transaction that comes in parts: then [`Encoder::append`] for each, [`Encoder::shut`], and
    /// [`Encoder::finish`].
    pub(crate) fn start(&mut self, epoch: Epoch, transaction: &Transaction, link: &mut Sha256) {
        self.begin(epoch);
        hash_header(transaction, link);
        self.open_piece(transaction, 0, 0);
    }

    /// All parts are in.
    pub(crate) fn shut(&mut self, link: &mut Sha256) {
        self.close_piece(link);
    }

    /// Closes the last blob of the commit.
    pub(crate) fn finish(&mut self, last: Epoch, emit: &mut Emit<'_>) -> Result<(), StoreError> {
        if self.raw.is_empty() { Ok(()) } else { emit(self.close(last, false)) }
    }

    fn push_changes(
        &mut self,
        epoch: Epoch,
        transaction: &Transaction,
        kind: u8,
        changes: &[Change],
        to: &mut Target<'_>,
    ) -> Result<(), StoreError> {
        self.open_piece(transaction, kind, 0);
        self.append(epoch, transaction, changes, to)?;
        self.close_piece(to.link);
        Ok(())
    }

    fn push_spilled(
        &mut self,
        epoch: Epoch,
        transaction: &Transaction,
        spill: &dyn Spill,
        to: &mut Target<'_>,
    ) -> Result<(), StoreError> {
        self.open_piece(transaction, 0, 0);
        let (mut seen, mut done) = (0, Ok(()));
        let read = spill.read(&mut |part| {
            seen += part.len() as u64;
            done = self.append(epoch, transaction, &part, to);
            done.is_ok()
        });
        read.map_err(unreadable)?;
        done?;
        if seen != spill.changes() {
            return Err(miscounted(seen, spill.changes()));
        }
        self.close_piece(to.link);
        Ok(())
    }

    /// Appends changes to the open transaction. A piece that is full is closed when the next change comes.
    pub(crate) fn append(
        &mut self,
        epoch: Epoch,
        transaction: &Transaction,
        changes: &[Change],
        to: &mut Target<'_>,
    ) -> Result<(), StoreError> {
        for change in changes {
            if self.raw.len() - self.open.start >= self.piece {
                self.close_piece(to.link);
                self.raw[self.open.flags_at] |= MORE;
                if self.raw.len() >= self.blob {
                    (to.emit)(self.close(epoch, true))?;
                }
                self.open_piece(transaction, self.open.kind, CONTINUES);
            }
            put_change(&mut self.raw, change, self.open.previous.as_ref(), to.schemas);
            self.open.taken += 1;
            if !self.open.previous.as_ref().is_some_and(|previous| Arc::ptr_eq(previous, &change.schema)) {
                self.open.previous = Some(change.schema.clone());
            }
        }
        Ok(())
    }

    fn open_piece(&mut self, transaction: &Transaction, kind: u8, continues: u8) {
        let flags_at = self.raw.len();
        self.header(transaction, kind | continues);
        let count_at = self.raw.len();
        self.raw.extend_from_slice(&[0; 4]);
        self.open = Open { kind, flags_at, count_at, start: self.raw.len(), taken: 0, previous: None };
    }

    fn close_piece(&mut self, link: &mut Sha256) {
        self.raw[self.open.count_at..self.open.start].copy_from_slice(&self.open.taken.to_le_bytes());
        link.update(&self.raw[self.open.start..]);
    }

    fn header(&mut self, transaction: &Transaction, flags: u8) {
        self.raw.push(flags);
        match self.sources.iter().position(|known| *known == transaction.source) {
            Some(i) => put_varint(&mut self.raw, i as u64 + 1),
            None => {
                self.raw.push(0);
                put_sized(&mut self.raw, transaction.source.as_bytes());
                self.sources.push(transaction.source.clone());
            }
        }
        put_sized(&mut self.raw, transaction.origin.as_bytes());
        put_zigzag(&mut self.raw, transaction.at.0.wrapping_sub(self.at));
        self.at = transaction.at.0;
    }

    fn close(&mut self, last: Epoch, more: bool) -> Blob {
        let raw_len = self.raw.len();
        let mut bytes = Vec::new();
        if raw_len >= COMPRESS_MIN {
            bytes = self.zstd.compress(&self.raw).expect("compressing from memory to memory cannot fail");
        }
        if bytes.is_empty() || bytes.len() >= raw_len {
            bytes.clear();
            bytes.push(0);
            bytes.extend_from_slice(&self.raw);
        } else {
            bytes.insert(0, 1);
        }
        let blob = Blob { first: self.first, last, more, raw_len, bytes };
        self.begin(last);
        blob
    }
}

fn hash_header(transaction: &Transaction, link: &mut Sha256) {
    let (kind, n) = match &transaction.body {
        Body::Changes(changes) => (0u8, changes.len() as u64),
        Body::Spilled(spill) => (0, spill.changes()),
        Body::Fill(changes) => (1, changes.len() as u64),
        Body::Timer(_) => (2, 1),
    };
    for text in [&transaction.source, &transaction.origin] {
        link.update((text.len() as u64).to_le_bytes());
        link.update(text.as_bytes());
    }
    link.update(transaction.at.0.to_le_bytes());
    link.update([kind]);
    link.update(n.to_le_bytes());
}

const HAS_KEY: u8 = 0b100;
const HAS_BEFORE: u8 = 0b1000;
const HAS_AFTER: u8 = 0b1_0000;
const SAME_SCHEMA: u8 = 0b10_0000;

fn put_change(out: &mut Vec<u8>, change: &Change, previous: Option<&Arc<Schema>>, schemas: &mut Schemas) {
    let same = previous.is_some_and(|p| Arc::ptr_eq(p, &change.schema));
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let op = match change.op {
        Op::Insert => 0,
        Op::Update => 1,
        Op::Delete => 2,
        Op::Upsert => 3,
    };
    out.push(
        op | flag(change.key.is_some(), HAS_KEY)
            | flag(change.before.is_some(), HAS_BEFORE)
            | flag(change.after.is_some(), HAS_AFTER)
            | flag(same, SAME_SCHEMA),
    );
    if !same {
        put_varint(out, schemas.number_of(&change.schema).into());
    }
    if let Some(key) = &change.key {
        put_key(out, key);
    }
    if let Some(before) = &change.before {
        put_row(out, before, &[]);
    }
    if let Some(after) = &change.after {
        put_row(out, after, change.before.as_deref().unwrap_or(&[]));
    }
}

fn get_change(from: &mut Reader<'_>, previous: &mut Option<Arc<Schema>>, schemas: &Schemas) -> Result<Change, Damaged> {
    let flags = from.byte()?;
    let schema = if flags & SAME_SCHEMA == 0 {
        let schema = schemas.get(from.varint()?).ok_or(Damaged("a schema number"))?;
        previous.insert(schema.clone()).clone()
    } else {
        previous.clone().ok_or(Damaged("a repeated schema"))?
    };
    let op = [Op::Insert, Op::Update, Op::Delete, Op::Upsert][usize::from(flags & 0b11)];
    let key = if flags & HAS_KEY == 0 { None } else { Some(get_key(from)?) };
    let before = if flags & HAS_BEFORE == 0 { None } else { Some(get_row(from, &[])?) };
    let after = if flags & HAS_AFTER == 0 { None } else { Some(get_row(from, before.as_deref().unwrap_or(&[]))?) };
    Ok(Change { schema, op, key, before, after })
}

fn put_timer(out: &mut Vec<u8>, timer: &TimerFired) {
    [&timer.id, &timer.event, &timer.table].into_iter().for_each(|text| put_sized(out, text.as_bytes()));
    put_key(out, &timer.key);
    put_zigzag(out, timer.due.0);
}

fn get_timer(from: &mut Reader<'_>) -> Result<TimerFired, Damaged> {
    let mut text = || from.text().map(Arc::from);
    let (id, event, table) = (text()?, text()?, text()?);
    Ok(TimerFired { id, event, table, key: get_key(from)?, due: Timestamp(from.zigzag()?) })
}

/// A transaction, or a part of one.
pub(crate) struct Piece {
    pub epoch: Epoch,
    /// It goes on from the piece before.
    pub continues: bool,
    /// It goes on in the piece after.
    pub more: bool,
    pub transaction: Transaction,
}

/// The pieces of a blob, in order; the last one read says in which epoch the blob ends.
pub(crate) fn decode(blob: &Blob, schemas: &Schemas, each: &mut dyn FnMut(Piece) -> Result<(), Damaged>) -> Result<(), Damaged> {
    let raw = inflate(blob)?;
    let mut from = Reader::new(&raw);
    let mut sources: Vec<Arc<str>> = Vec::new();
    let (mut at, mut epoch, mut more) = (0i64, blob.first, false);
    let mut last = None;
    while !from.is_empty() {
        let flags = from.byte()?;
        let source = get_source(&mut from, &mut sources)?;
        let origin = from.text()?.into();
        at = at.wrapping_add(from.zigzag()?);
        let body = get_body(&mut from, flags & KIND, schemas)?;
        more = flags & MORE != 0;
        last = Some(epoch);
        let transaction = Transaction { source, origin, at: Timestamp(at), body };
        each(Piece { epoch, continues: flags & CONTINUES != 0, more, transaction })?;
        epoch += u64::from(!more);
    }
    if last == Some(blob.last) && more == blob.more { Ok(()) } else { Err(Damaged("the end of a blob")) }
}

fn inflate(blob: &Blob) -> Result<std::borrow::Cow<'_, [u8]>, Damaged> {
    match blob.bytes.split_first() {
        Some((0, rest)) => Ok(rest.into()),
        Some((1, rest)) => zstd::bulk::decompress(rest, blob.raw_len).map(Into::into).map_err(|_| Damaged("compressed bytes")),
        _ => Err(Damaged("a blob's format byte")),
    }
}

fn get_source(from: &mut Reader<'_>, sources: &mut Vec<Arc<str>>) -> Result<Arc<str>, Damaged> {
    match from.varint()? {
        0 => {
            let name: Arc<str> = from.text()?.into();
            sources.push(name.clone());
            Ok(name)
        }
        n => sources.get(n as usize - 1).cloned().ok_or(Damaged("a source's number")),
    }
}

fn get_body(from: &mut Reader<'_>, kind: u8, schemas: &Schemas) -> Result<Body, Damaged> {
    if kind == 2 {
        return Ok(Body::Timer(get_timer(from)?));
    }
    let n = u32::from_le_bytes(from.fixed()?) as usize;
    let mut previous = None;
    let mut changes = Vec::with_capacity(n.min(1 << 16));
    for _ in 0..n {
        changes.push(get_change(from, &mut previous, schemas)?);
    }
    match kind {
        0 => Ok(Body::Changes(changes)),
        1 => Ok(Body::Fill(changes)),
        _ => Err(Damaged("a transaction's kind")),
    }
}
