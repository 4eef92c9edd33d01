//! What a program says, read to its end and kept in part: the last 64 KiB, shown without secrets.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::secret::{self, Secret};

/// How much is kept.
const KEPT_BYTES: usize = 64 << 10;
/// A longer line is not handed out.
const LINE_BYTES_MAX: usize = 8 << 10;
/// How much is shown.
const SHOWN_CHARS: usize = 600;

/// A pipe that a thread empties.
pub(crate) struct Capture {
    kept: Arc<Mutex<Kept>>,
    ended: Receiver<()>,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

impl Capture {
    /// Reads a pipe to its end, in a thread; what is not kept is thrown away, so the writer never waits.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn start(pipe: impl Read + Send + 'static) -> std::io::Result<Self> {
        Self::each_line(pipe, |_| {})
    }

    /// The same, and hands out each line as it comes; of a long one (8 KiB) it says only that it came, since pieces may show half a secret.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn each_line(
        mut pipe: impl Read + Send + 'static,
        mut each: impl FnMut(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (end, ended) = channel::<()>();
        let filled = kept.clone();
        std::thread::Builder::new().name("thalweg-output".into()).spawn(move || {
            let _end = end;
            let (mut buffer, mut line) = ([0; 8192], Vec::new());
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                filled.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]);
                for part in buffer[..n].split_inclusive(|byte| *byte == b'\n') {
                    if line.len() < LINE_BYTES_MAX {
                        line.extend(part);
                    }
                    if part.ends_with(b"\n") {
                        each(&shown_line(&line));
                        line.clear();
                    }
                }
            }
            if !line.is_empty() {
                each(&shown_line(&line));
            }
        })?;
        Ok(Self { kept, ended })
    }

    /// The end of what was said, fit for an error. Waits for the pipe's end for `patience` at most: a process that left the group may
    /// hold it open.
    pub(crate) fn said(&self, secrets: &[Secret], patience: Duration) -> String {
        let end = self.ended.recv_timeout(patience);
        debug_assert!(matches!(end, Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)));
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).shown(secrets)
    }
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        if let Some(over) = self.bytes.len().checked_sub(KEPT_BYTES).filter(|over| *over > 0) {
            self.bytes.drain(..over);
            self.is_cut = true;
        }
    }

    /// The end of what was said. A secret that was cut in two at the beginning goes whole.
    fn shown(&mut self, secrets: &[Secret]) -> String {
        let text = secret::hide(&String::from_utf8_lossy(self.bytes.make_contiguous()), secrets);
        let longest = secrets.iter().map(|secret| secret.reveal().len()).max().unwrap_or(0);
        let begins = if self.is_cut { text.char_indices().nth(longest).map_or(text.len(), |(at, _)| at) } else { 0 };
        tail(&text[begins..], secrets)
    }
}

fn shown_line(line: &[u8]) -> String {
    if line.len() >= LINE_BYTES_MAX {
        return format!("(a line of more than {LINE_BYTES_MAX} bytes)");
    }
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// The end of a text, without secrets and control characters.
pub(crate) fn tail(text: &str, secrets: &[Secret]) -> String {
    let text = secret::hide(text.trim_end(), secrets);
    let over = text.chars().count().saturating_sub(SHOWN_CHARS);
    let shown: String = text.chars().skip(over).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if over > 0 { format!("…{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_no_part_of_a_secret() {
        let secrets = [Secret::new("canary-5ecr3t")];
        let mut kept = Kept::default();
        kept.push(b"first\n");
        assert_eq!(kept.shown(&secrets), "first");
        kept.push("canary-5ecr3t".repeat(KEPT_BYTES / 13 + 1).as_bytes());
        assert_eq!(kept.bytes.len(), KEPT_BYTES);
        let shown = kept.shown(&secrets);
        assert!(shown.starts_with('…') && shown.chars().count() == SHOWN_CHARS + 1, "{shown}");
        assert!(!shown.contains("5ecr") && !shown.contains("can"), "{shown}");
        kept.push(b"\x1b[2Jlast\n\n");
        assert!(kept.shown(&secrets).ends_with(" [2Jlast"));
    }
}
