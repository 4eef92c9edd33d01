//! The events of one file, from its disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::chain::refused;
use super::files::LogFile;
use super::{Ended, code};
use crate::binlog::DecodeError;
use crate::binlog::frame::{ENCRYPTED_MAGIC, FILE_MAGIC, Frame, Framer, Header, kind};

/// Reads a file event by event; one event is in memory at a time.
#[derive(Debug)]
pub(super) struct Events {
    file: BufReader<File>,
    shown: String,
    framer: Framer,
    buffer: Vec<u8>,
    /// Where the next event begins.
    pub(super) offset: u64,
}

/// What stands at a place of a file.
pub(super) enum Next<'a> {
    /// An event, in whole.
    Event(Frame<'a>),
    /// An event that was passed by.
    Skipped,
    /// Nothing, or half an event.
    End,
}

impl Events {
    /// Opens a file and checks that it is a log. `None`: it has not even its first bytes yet.
    pub(super) fn open(file: &LogFile) -> Result<Option<Events>, Ended> {
        let shown = file.path.display().to_string();
        let mut opened = BufReader::with_capacity(1 << 17, File::open(&file.path).map_err(|e| failed(&shown, &e))?);
        let mut magic = Vec::new();
        opened.by_ref().take(4).read_to_end(&mut magic).map_err(|e| failed(&shown, &e))?;
        if magic == ENCRYPTED_MAGIC {
            let cure = "decrypt it with mysqlbinlog --read-from-remote-server --raw, or set binlog_encryption=OFF on the server";
            return Err(Ended::stopped(code::FILES, format!("{shown} is encrypted"), cure));
        }
        if magic.len() < 4 && FILE_MAGIC.starts_with(&magic) {
            return Ok(None);
        }
        if magic != FILE_MAGIC {
            return Err(Ended::stopped(code::FILES, format!("{shown} is no binlog file"), "name files that a server wrote"));
        }
        Ok(Some(Events { file: opened, shown, framer: Framer::default(), buffer: Vec::new(), offset: 4 }))
    }

    /// The next event.
    pub(super) fn next(&mut self) -> Result<Next<'_>, Ended> {
        self.next_if(|_| true)
    }

    /// The next event, without its body where `wanted` says no to its type.
    pub(super) fn next_if(&mut self, wanted: impl Fn(u8) -> bool) -> Result<Next<'_>, Ended> {
        self.buffer.clear();
        if !self.fill(Header::LEN as u64)? {
            return Ok(Next::End);
        }
        let header = Header::parse(&self.buffer).map_err(|e| refused(&self.shown, &e.into()))?;
        let Some(rest) = header.size.checked_sub(Header::LEN as u32) else {
            let error = DecodeError::malformed(format!("an event of {} bytes", header.size));
            return Err(refused(&self.shown, &error.into()));
        };
        if !wanted(header.kind) && header.kind != kind::FORMAT_DESCRIPTION {
            self.file.seek_relative(i64::from(rest)).map_err(|e| failed(&self.shown, &e))?;
            self.offset += u64::from(header.size);
            return Ok(Next::Skipped);
        }
        if !self.fill(u64::from(rest))? {
            return Ok(Next::End);
        }
        self.offset += u64::from(header.size);
        let frame = self.framer.split(&self.buffer).map_err(|e| refused(&self.shown, &e.into()))?;
        Ok(Next::Event(frame))
    }

    /// Adds so many bytes to the buffer. `false`: there are fewer; the file stands at the event's beginning again.
    fn fill(&mut self, len: u64) -> Result<bool, Ended> {
        let read = self.file.by_ref().take(len).read_to_end(&mut self.buffer).map_err(|e| failed(&self.shown, &e))?;
        if read as u64 == len {
            return Ok(true);
        }
        self.file.seek(SeekFrom::Start(self.offset)).map_err(|e| failed(&self.shown, &e))?;
        Ok(false)
    }
}

fn failed(shown: &str, error: &io::Error) -> Ended {
    Ended::stopped(code::FILES, format!("{shown}: {error}"), "check the path and that this user may read it")
}
