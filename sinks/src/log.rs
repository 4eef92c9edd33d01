//! The `log` action: one JSON line per delivery, to the process's log or to a file.
//!
//! To a file each line is one append, synced before it counts as delivered. At least once: a crash between the write and its
//! acknowledgement repeats a line, with the same id; a crash inside a write can leave an unfinished line, which the next one ends.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;

use crate::settings::{Reader, SettingProblem};
use crate::{SinkContext, envelope, retry};

/// The action, set up.
#[derive(Debug)]
pub(crate) struct LogSink {
    path: Option<PathBuf>,
    source_prefix: String,
}

impl LogSink {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let path = reader.text("path").map(|path| context.directory.join(path));
        let source_prefix = context.source_prefix.clone();
        reader.finish().map(|()| Self { path, source_prefix })
    }
}

impl Sink for LogSink {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        envelope::cloud_event(firing, &self.source_prefix).into_bytes()
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(async move {
            let Some(path) = &self.path else {
                let row = &delivery.row;
                tracing::info!(target: "thalweg::effect", id = %row.id, node = %row.node, "{}", String::from_utf8_lossy(&row.body));
                return Attempt::Done;
            };
            let (shown, path, body) = (path.display(), path.clone(), delivery.row.body.clone());
            match tokio::task::spawn_blocking(move || append(&path, &body)).await {
                Ok(Ok(())) => Attempt::Done,
                Ok(Err(why)) => {
                    Attempt::Transient { error: format!("E0530: cannot append to {shown}: {why}"), retry_after: None }
                }
                Err(why) => Attempt::Transient { error: format!("E0530: cannot append to {shown}: {why}"), retry_after: None },
            }
        })
    }
}

fn append(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut line = Vec::with_capacity(body.len() + 2);
    if ends_unfinished(&mut file)? {
        line.push(b'\n');
    }
    line.extend_from_slice(body);
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_data()
}

/// Whether the file's last byte is not a line end. Things that have no length (a pipe, a terminal) count as finished.
fn ends_unfinished(file: &mut std::fs::File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, b"{\"half\":").unwrap();
        append(&path, b"{\"a\":1}").unwrap();
        append(&path, b"{\"a\":2}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\":\n{\"a\":1}\n{\"a\":2}\n");
        assert!(append(Path::new("/nowhere/at/all"), b"x").is_err());
    }
}
