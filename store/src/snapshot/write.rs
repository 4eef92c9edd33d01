//! Writing a snapshot: under a name that nobody reads, synced, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use thalweg_graph::ports::StoreError;
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Epoch, Row, Schema};

use super::columns::Kind;
use super::manifest::{FORMAT, FileEntry, MANIFEST, Manifest, STATE, Summing, TableEntry};
use crate::dir::sync_dir;
use crate::error::from_io;

/// Rows in one Arrow batch, and so in one fill transaction: few enough that a batch stays in the cache while it is turned into rows.
const BATCH_ROWS: usize = 1 << 13;

/// A snapshot's folder while it is written.
pub(super) struct Folder<'a> {
    snapshots: &'a Path,
    epoch: Epoch,
    /// Where its files are now.
    pub new: PathBuf,
}

impl<'a> Folder<'a> {
    /// An empty folder under a name that nobody reads.
    pub(super) fn create(snapshots: &'a Path, epoch: Epoch) -> Result<Folder<'a>, StoreError> {
        let folder = Folder { snapshots, epoch, new: snapshots.join(format!("{epoch}.tmp")) };
        for leftover in [&folder.new, &folder.place()] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(|e| from_io("remove", leftover, &e))?;
            }
        }
        fs::create_dir_all(&folder.new).map_err(|e| from_io("create", &folder.new, &e))?;
        Ok(folder)
    }

    fn place(&self) -> PathBuf {
        self.snapshots.join(self.epoch.to_string())
    }

    /// Adds the state and the manifest of what is there; afterwards the snapshot is there whole and durable, or not under its name. Gives its
    /// manifest and the manifest's checksum.
    pub(super) fn seal(
        self,
        instance: &str,
        state: &EngineState,
        tables: Vec<TableEntry>,
    ) -> Result<(Manifest, u32), StoreError> {
        let bytes = postcard::to_stdvec(state).expect("a state is texts and values, which postcard writes");
        let state = write_file(&self.new, STATE, &bytes)?;
        let manifest = Manifest { format: FORMAT, instance: instance.to_string(), epoch: self.epoch, state, tables };
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is texts and numbers");
        let crc = write_file(&self.new, MANIFEST, &json)?.crc;
        sync_dir(&self.new)?;
        fs::rename(&self.new, self.place()).map_err(|e| from_io("rename", &self.new, &e))?;
        sync_dir(self.snapshots)?;
        Ok((manifest, crc))
    }
}

fn write_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<FileEntry, StoreError> {
    let path = dir.join(name);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| from_io("write", &path, &e))?;
    Ok(FileEntry { file: name.to_string(), bytes: bytes.len() as u64, crc: crc32fast::hash(bytes) })
}

/// A table's file while it is written, batch by batch.
pub(super) struct TableFile {
    path: PathBuf,
    schema: Schema,
    kinds: Vec<Kind>,
    arrow: SchemaRef,
    writer: FileWriter<Summing<BufWriter<File>>>,
    batch: Vec<Row>,
    rows: u64,
}

impl TableFile {
    /// An empty one for rows of this schema, whose columns are of these kinds.
    pub(super) fn create(path: PathBuf, schema: Schema, kinds: Vec<Kind>) -> Result<TableFile, StoreError> {
        let create = || {
            let fields: Vec<_> = schema.columns.iter().zip(&kinds).map(|(column, kind)| kind.field(&column.name)).collect();
            let json = serde_json::to_string(&schema).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
            let arrow = Arc::new(ArrowSchema::new_with_metadata(fields, [(super::SCHEMA_KEY.to_string(), json)].into()));
            let out = Summing::new(BufWriter::with_capacity(1 << 20, File::create(&path)?));
            Ok((FileWriter::try_new(out, &arrow)?, arrow))
        };
        let (writer, arrow) = create().map_err(|e| unwritten(&path, e))?;
        Ok(TableFile { path, schema, kinds, arrow, writer, batch: Vec::new(), rows: 0 })
    }

    /// Adds a row; cells that it lacks are absent.
    pub(super) fn push(&mut self, mut cells: Vec<Option<thalweg_formulas::Value>>) -> Result<(), StoreError> {
        cells.resize(self.kinds.len(), None);
        self.batch.push(cells.into());
        if self.batch.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let arrays = self.kinds.iter().enumerate().map(|(at, kind)| kind.column(&self.batch, at)).collect();
        let batch = RecordBatch::try_new(self.arrow.clone(), arrays);
        batch.and_then(|batch| self.writer.write(&batch)).map_err(|e| unwritten(&self.path, e))?;
        self.rows += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }

    /// The rest is written, and all of it is durable.
    pub(super) fn finish(mut self) -> Result<TableEntry, StoreError> {
        if !self.batch.is_empty() {
            self.flush()?;
        }
        let finish = |mut writer: FileWriter<Summing<BufWriter<File>>>| {
            writer.finish()?;
            let out = writer.into_inner()?;
            let (bytes, crc) = (out.bytes, out.crc.clone().finalize());
            out.into_file()?.sync_all()?;
            Ok((bytes, crc))
        };
        let (bytes, crc) = finish(self.writer).map_err(|e| unwritten(&self.path, e))?;
        let schema = &self.schema;
        let key = schema.key.iter().map(|at| schema.columns[*at as usize].name.to_string()).collect();
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(TableEntry { table: schema.table.to_string(), key, rows: self.rows, file: FileEntry { file, bytes, crc } })
    }
}

fn unwritten(path: &Path, error: ArrowError) -> StoreError {
    match error {
        ArrowError::IoError(_, e) => from_io("write", path, &e),
        other => from_io("write", path, &std::io::Error::other(other)),
    }
}

impl Summing<BufWriter<File>> {
    /// The file, everything written to it.
    fn into_file(self) -> std::io::Result<File> {
        self.into_inner().into_inner().map_err(std::io::IntoInnerError::into_error)
    }
}
