//! Reading a snapshot: everything is checked before the first row is handed out.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use arrow::ipc::reader::FileReader;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::StoreError;
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Op, Row, Schema, Transaction};

use super::columns;
use super::manifest::{FORMAT, MANIFEST, Manifest, STATE, measure};
use super::{Recorded, SCHEMA_KEY};
use crate::error::damaged;

/// Reads and checks the manifest of a recorded snapshot and every file that it names.
///
/// # Errors
/// Why the snapshot cannot be used.
pub(super) fn verify(place: &Path, instance: &str, recorded: &Recorded) -> Result<Manifest, String> {
    let text = std::fs::read(place.join(MANIFEST)).map_err(|e| format!("its {MANIFEST} cannot be read ({e})"))?;
    if crc32fast::hash(&text) != recorded.manifest_crc {
        return Err(format!("its {MANIFEST} is not what was written"));
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| format!("its {MANIFEST} cannot be understood ({e})"))?;
    if manifest.format != FORMAT {
        return Err(format!("it has format {}, and this version reads {FORMAT}", manifest.format));
    }
    if manifest.instance != instance || manifest.epoch != recorded.epoch {
        return Err("it belongs to another store or epoch".to_string());
    }
    for entry in manifest.files() {
        let (bytes, crc) =
            measure(&place.join(&entry.file)).map_err(|e| format!("its file {} cannot be read ({e})", entry.file))?;
        if (bytes, crc) != (entry.bytes, entry.crc) {
            return Err(format!("its file {} is not what was written", entry.file));
        }
    }
    Ok(manifest)
}

/// The engine's state.
pub(super) fn state(place: &Path) -> Result<EngineState, String> {
    let bytes = std::fs::read(place.join(STATE)).map_err(|e| format!("its file {STATE} cannot be read ({e})"))?;
    postcard::from_bytes(&bytes).map_err(|e| format!("its file {STATE} cannot be understood ({e})"))
}

/// Hands out every row of every table, in fill transactions of one Arrow batch each.
///
/// On the caller's thread: a second one that decodes ahead was measured, and on two busy cores it made no difference.
pub(super) fn rows(place: &Path, manifest: &Manifest, each: &mut dyn FnMut(Transaction)) -> Result<(), String> {
    manifest.tables.iter().try_for_each(|entry| {
        table(&place.join(&entry.file.file), each).map_err(|e| format!("its file {} cannot be understood ({e})", entry.file.file))
    })
}

/// The schema of a table's file, and its batches.
fn open(path: &Path) -> Result<(Arc<Schema>, FileReader<BufReader<File>>), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = FileReader::try_new_buffered(file, None).map_err(|e| e.to_string())?;
    let json = reader.schema().metadata().get(SCHEMA_KEY).cloned().ok_or("it names no table")?;
    Ok((Arc::new(serde_json::from_str(&json).map_err(|e| e.to_string())?), reader))
}

/// The schema of a table's file.
pub(super) fn schema(path: &Path) -> Result<Arc<Schema>, StoreError> {
    open(path).map(|(schema, _)| schema).map_err(|reason| damaged(path, reason))
}

/// Hands out the rows of a table's file in their order, until `each` fails.
pub(super) fn each_row(path: &Path, each: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let broken = |reason: String| damaged(path, reason);
    let (_, reader) = open(path).map_err(broken)?;
    for batch in reader {
        let mut result = Ok(());
        let mut take = |row| {
            if result.is_ok() {
                result = each(row);
            }
        };
        let batch = batch.map_err(|e| broken(e.to_string()))?;
        columns::rows(&batch, &mut take).map_err(|damaged| broken(damaged.0.to_string()))?;
        result?;
    }
    Ok(())
}

fn table(path: &Path, each: &mut dyn FnMut(Transaction)) -> Result<(), String> {
    let (schema, reader) = open(path)?;
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let mut changes = Vec::with_capacity(batch.num_rows());
        let mut take =
            |row| changes.push(Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row) });
        columns::rows(&batch, &mut take).map_err(|damaged| damaged.0.to_string())?;
        each(Transaction { source: "".into(), origin: "snapshot".into(), at: Timestamp(0), body: Body::Fill(changes) });
    }
    Ok(())
}
