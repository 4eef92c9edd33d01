//! Reading a snapshot: everything is checked before the first row is handed out.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use arrow::ipc::reader::FileReader;
use thalweg_formulas::Timestamp;
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Op, Row, Schema, Transaction};

use super::columns;
use super::manifest::{FORMAT, MANIFEST, Manifest, STATE, measure};
use super::{Recorded, SCHEMA_KEY};

/// Batches decoded ahead of who takes them.
const AHEAD: usize = 2;

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

/// Hands out every row of every table, in fill transactions of one Arrow batch each. A second thread decodes ahead.
pub(super) fn rows(place: &Path, manifest: &Manifest, each: &mut dyn FnMut(Transaction)) -> Result<(), String> {
    let (sender, receiver): (_, Receiver<Result<Transaction, String>>) = sync_channel(AHEAD);
    std::thread::scope(|scope| {
        let decode = move || {
            for entry in &manifest.tables {
                let failed = |e: String| format!("its file {} cannot be understood ({e})", entry.file.file);
                let mut send = |transaction| sender.send(Ok(transaction)).is_ok();
                if let Err(error) = table(&place.join(&entry.file.file), &mut send) {
                    // The taker has gone only if it failed before; then nobody asks.
                    let _ = sender.send(Err(failed(error)));
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("thalweg-snapshot".into());
        thread.spawn_scoped(scope, decode).map_err(|e| format!("no thread to decode it ({e})"))?;
        for transaction in receiver {
            each(transaction?);
        }
        Ok(())
    })
}

fn table(path: &Path, send: &mut dyn FnMut(Transaction) -> bool) -> Result<(), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = FileReader::try_new_buffered(file, None).map_err(|e| e.to_string())?;
    let json = reader.schema().metadata().get(SCHEMA_KEY).cloned().ok_or("it names no table")?;
    let schema: Arc<Schema> = Arc::new(serde_json::from_str(&json).map_err(|e| e.to_string())?);
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let rows = columns::rows(&batch).map_err(|damaged| damaged.0.to_string())?;
        if !send(fill(&schema, rows)) {
            break;
        }
    }
    Ok(())
}

fn fill(schema: &Arc<Schema>, rows: Vec<Row>) -> Transaction {
    let change = |row| Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row) };
    let body = Body::Fill(rows.into_iter().map(change).collect());
    Transaction { source: "".into(), origin: "snapshot".into(), at: Timestamp(0), body }
}
