//! What a snapshot's folder must hold: names, lengths, checksums; whose it is, and of which epoch.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use thalweg_graph::transaction::Epoch;

/// Raised when an older version could no longer read what is written.
pub(super) const FORMAT: u32 = 1;
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const STATE: &str = "state.bin";

/// The content of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format: u32,
    /// The store that wrote it.
    pub instance: String,
    pub epoch: Epoch,
    /// The engine's state.
    pub state: FileEntry,
    pub tables: Vec<TableEntry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub file: String,
    pub bytes: u64,
    pub crc: u32,
}

/// A table's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub table: String,
    /// Names of the key columns under which its rows were folded.
    pub key: Vec<String>,
    pub rows: u64,
    #[serde(flatten)]
    pub file: FileEntry,
}

impl Manifest {
    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state.bytes + self.tables.iter().map(|table| table.file.bytes).sum::<u64>()
    }

    /// Every file besides the manifest.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        std::iter::once(&self.state).chain(self.tables.iter().map(|table| &table.file))
    }
}

/// Length and checksum of a file's content; reads it once, in pieces.
pub(super) fn measure(path: &Path) -> std::io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    let (mut bytes, mut crc) = (0, crc32fast::Hasher::new());
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, crc.finalize())),
            n => {
                bytes += n as u64;
                crc.update(&buffer[..n]);
            }
        }
    }
}

/// Counts and sums what is written through it.
pub(super) struct Summing<W> {
    inner: W,
    pub bytes: u64,
    pub crc: crc32fast::Hasher,
}

impl<W> Summing<W> {
    pub(super) fn new(inner: W) -> Self {
        Summing { inner, bytes: 0, crc: crc32fast::Hasher::new() }
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.bytes += n as u64;
        self.crc.update(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
