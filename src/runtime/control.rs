//! The control socket: `control` in the data directory, on which the process that has the store does what others may not do beside it.
//!
//! A connection is one question and one answer, each a line of JSON: an [`Act`] or a [`TimerAct`] in, an [`Acted`](thalweg_graph::ports::Acted) out, a
//! [`GoalAct`] in and a [`GoalTold`](crate::goals::GoalTold) out, or a [`ReloadAct`] in and a [`Reloaded`](super::reload::Reloaded) out; or else `{"error":…}`. Who may write to the directory may connect; there is no other key. One process holds the directory, so a socket that is there at the start is left over.
//!
//! Bounds: a question of 2 MiB, 10 s for it to come, 16 connections.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thalweg_graph::ports::{Act, TimerAct};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::desk::Desk;
use super::raised;
use super::reload::Reloader;
use crate::goals::GoalAct;

/// Bytes of a question.
const QUESTION_MAX: u64 = 2 << 20;
const QUESTION_TIME: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 16;
/// A socket's path is shorter than this, on every system.
const PATH_MAX: usize = 100;

/// Asks the process to read its definition again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "reload", rename_all = "lowercase")]
pub enum ReloadAct {
    /// From the file that it was started with.
    File,
}

/// Where the socket of a data directory is. Where that path is too long for a socket, a short name in the folder for temporary files.
///
/// # Errors
/// The directory is not there.
pub fn socket_of(directory: &Path) -> io::Result<PathBuf> {
    let whole = directory.canonicalize()?;
    let path = whole.join("control");
    if path.as_os_str().len() < PATH_MAX {
        return Ok(path);
    }
    let hash = short(whole.as_os_str().as_encoded_bytes());
    Ok(std::env::temp_dir().join(format!("thalweg-{hash:016x}.control")))
}

/// FNV-1a, 64 bits: a short name, not a secret.
fn short(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Listens in `directory`, which this process holds.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn listen(directory: &Path) -> io::Result<(UnixListener, PathBuf)> {
    let path = socket_of(directory)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok((listener, path))
}

/// Answers until `stop` turns true.
pub(super) async fn serve(
    (listener, path): (UnixListener, PathBuf),
    desk: Desk,
    reloader: Reloader,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
        tokio::select! {
            () = raised(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (desk, reloader) = (desk.clone(), reloader.clone());
                    tokio::spawn(async move {
                        // Whoever has gone away needs no answer.
                        let _ = answer(stream, &desk, &reloader).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    let _ = std::fs::remove_file(path); // The next start would remove it too.
}

async fn answer(mut stream: UnixStream, desk: &Desk, reloader: &Reloader) -> io::Result<()> {
    let mut line = String::new();
    let (reading, mut writing) = stream.split();
    let mut reader = BufReader::new(reading.take(QUESTION_MAX));
    tokio::time::timeout(QUESTION_TIME, reader.read_line(&mut line)).await??;
    let mut text =
        answer_to(&line, desk, reloader).await.unwrap_or_else(|error| serde_json::json!({ "error": error }).to_string());
    text.push('\n');
    writing.write_all(text.as_bytes()).await
}

/// What is answered, or why nothing was done.
async fn answer_to(line: &str, desk: &Desk, reloader: &Reloader) -> Result<String, String> {
    let acted = match serde_json::from_str::<Act>(line) {
        Ok(act) => desk.act(act).await,
        Err(why) => match serde_json::from_str::<TimerAct>(line) {
            Ok(act) => desk.act_on_timer(act).await,
            Err(_) if serde_json::from_str::<ReloadAct>(line).is_ok() => return reload(reloader).await,
            Err(_) if let Ok(act) = serde_json::from_str::<GoalAct>(line) => {
                return desk.act_on_goal(act).await.map(|told| json(&told)).map_err(|closed| closed.to_string());
            }
            Err(_) => return Err(format!("this is no act: {why}")),
        },
    };
    acted.map(|acted| json(&acted)).map_err(|closed| closed.to_string())
}

async fn reload(reloader: &Reloader) -> Result<String, String> {
    reloader.reload().await.map(|reloaded| json(&reloaded)).map_err(|refused| refused.to_string())
}

fn json(answer: &impl serde::Serialize) -> String {
    serde_json::to_string(answer).expect("an answer is JSON")
}
