//! Writing a snapshot: under a name that nobody reads, synced, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use thalweg_graph::ports::StoreError;
use thalweg_graph::state::EngineState;

use super::columns::Kind;
use super::manifest::{FORMAT, FileEntry, MANIFEST, Manifest, STATE, Summing, TableEntry};
use crate::dir::sync_dir;
use crate::error::from_io;
use crate::fold::TableRows;

/// Rows in one Arrow batch, and so in one fill transaction: few enough that a batch stays in the cache while it is turned into rows.
const BATCH_ROWS: usize = 1 << 13;

/// Writes a snapshot's folder into `snapshots`; afterwards it is there whole and durable, or not under its name. Gives its manifest and
/// the manifest's checksum.
pub(super) fn write(
    snapshots: &Path,
    instance: &str,
    state: &EngineState,
    tables: impl Iterator<Item = TableRows>,
) -> Result<(Manifest, u32), StoreError> {
    let (new, place) = (snapshots.join(format!("{}.tmp", state.epoch)), snapshots.join(state.epoch.to_string()));
    for leftover in [&new, &place] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(|e| from_io("remove", leftover, &e))?;
        }
    }
    fs::create_dir_all(&new).map_err(|e| from_io("create", &new, &e))?;
    let mut entries = Vec::new();
    for (number, table) in tables.enumerate() {
        entries.push(write_table(&new, format!("{number:04}.arrow"), &table)?);
    }
    let bytes = postcard::to_stdvec(state).expect("a state is texts and values, which postcard writes");
    let state_entry = write_file(&new, STATE, &bytes)?;
    let manifest =
        Manifest { format: FORMAT, instance: instance.to_string(), epoch: state.epoch, state: state_entry, tables: entries };
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is texts and numbers");
    let crc = write_file(&new, MANIFEST, &json)?.crc;
    sync_dir(&new)?;
    fs::rename(&new, &place).map_err(|e| from_io("rename", &new, &e))?;
    sync_dir(snapshots)?;
    Ok((manifest, crc))
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

fn write_table(dir: &Path, file: String, table: &TableRows) -> Result<TableEntry, StoreError> {
    let path = dir.join(&file);
    let written = write_arrow(&path, table).map_err(|e| match e {
        ArrowError::IoError(_, e) => from_io("write", &path, &e),
        other => from_io("write", &path, &std::io::Error::other(other)),
    });
    let (bytes, crc) = written?;
    let schema = &table.schema;
    let key = schema.key.iter().map(|at| schema.columns[*at as usize].name.to_string()).collect();
    let rows = table.rows.len() as u64;
    Ok(TableEntry { table: schema.table.to_string(), key, rows, file: FileEntry { file, bytes, crc } })
}

fn write_arrow(path: &Path, table: &TableRows) -> Result<(u64, u32), ArrowError> {
    let columns = &table.schema.columns;
    let kinds: Vec<Kind> = (0..columns.len()).map(|at| Kind::of(table.rows.iter().map(|row| row[at].as_ref()))).collect();
    let fields: Vec<_> = columns.iter().zip(&kinds).map(|(column, kind)| kind.field(&column.name)).collect();
    let json = serde_json::to_string(table.schema.as_ref()).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
    let schema = Arc::new(ArrowSchema::new_with_metadata(fields, [(super::SCHEMA_KEY.to_string(), json)].into()));

    let mut out = Summing::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let mut writer = FileWriter::try_new(&mut out, &schema)?;
    for rows in table.rows.chunks(BATCH_ROWS) {
        let arrays = kinds.iter().enumerate().map(|(at, kind)| kind.column(rows, at)).collect();
        writer.write(&RecordBatch::try_new(schema.clone(), arrays)?)?;
    }
    writer.finish()?;
    drop(writer);
    let (bytes, crc) = (out.bytes, out.crc.clone().finalize());
    out.into_file()?.sync_all()?;
    Ok((bytes, crc))
}

impl Summing<BufWriter<File>> {
    /// The file, everything written to it.
    fn into_file(self) -> std::io::Result<File> {
        self.into_inner().into_inner().map_err(std::io::IntoInnerError::into_error)
    }
}
