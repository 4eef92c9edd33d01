//! From one file to the next: where to begin, what must follow what, and what to do at the end.

use std::collections::HashSet;
use std::sync::Arc;

use thalweg_formulas::{Code, Timestamp};
use thalweg_graph::ports::{SourceMessage, SourcePosition, SourceStatus};
use thalweg_graph::{Schema, Transaction};
use tokio::sync::mpsc;

use super::events::{Events, Next};
use super::files::{self, LogFile};
use super::{BinlogFileConfig, Ended, code};
use crate::binlog::frame::{Frame, kind};
use crate::binlog::plan::Hints;
use crate::binlog::{Assembler, DecodeError, GtidState, LogError, Position, Rewritten, SPOOL, Step, Watch, control, gtid_event};

/// Transactions that are passed by before the position is handed over without any.
const PASSED_MAX: u32 = 1000;

/// Where the next event is to be sought.
enum More {
    Here,
    NextFile,
    Nowhere,
}

/// The files, and the place of the reader among them.
pub(super) struct Chain<'a> {
    config: BinlogFileConfig,
    source: Arc<str>,
    files: Vec<LogFile>,
    /// The file that is being read.
    at: usize,
    /// The name that the last ROTATE gave to the file that follows.
    promised: Option<String>,
    assembler: Assembler,
    /// The position that the outlet has.
    told: Option<Position>,
    passed: u32,
    is_live: bool,
    /// How long the last file was when it was looked at last.
    seen: u64,
    messages: &'a mpsc::Sender<SourceMessage>,
}

impl<'a> Chain<'a> {
    /// Finds the files and the one to begin with, and announces the tables that stand in them.
    pub(super) fn open(
        config: BinlogFileConfig,
        position: Option<&str>,
        messages: &'a mpsc::Sender<SourceMessage>,
    ) -> Result<Chain<'a>, Ended> {
        let watch = watch(&config.tables)?;
        let position = position.map(parsed).transpose()?;
        let files = files::find(&config.paths)?;
        let at = match &position {
            Some(position) => first_file(&files, position.start())?,
            None => 0,
        };
        let assembler = || {
            let assembler = match &position {
                Some(position) => Assembler::new(watch.clone(), Hints::default(), position.clone(), &[]).from_earlier(),
                None => Assembler::anywhere(watch.clone(), Hints::default(), &[]),
            };
            assembler.with_clears().with_spooling(config.spooling.clone())
        };
        let (scout, assembler) = (assembler(), assembler());
        let source = config.name.as_str().into();
        let told = position.clone();
        let chain =
            Chain { config, source, files, at, promised: None, assembler, told, passed: 0, is_live: false, seen: 0, messages };
        chain.send(SourceMessage::Schemas(chain.tables(scout)))?;
        chain.send(SourceMessage::Status(SourceStatus::Live(false)))?;
        Ok(chain)
    }

    /// The first layout of every watched table behind the position. What cannot be read ends the search: reading comes to the same place
    /// and says why.
    fn tables(&self, mut scout: Assembler) -> Vec<Arc<Schema>> {
        let (mut found, mut names, mut steps) = (Vec::new(), HashSet::new(), Vec::new());
        for file in &self.files[self.at..] {
            let Ok(Some(mut events)) = Events::open(file) else { break };
            scout.set_file(file.name.as_str());
            loop {
                match events.next_if(Assembler::tells_layouts) {
                    Ok(Next::Event(frame)) if scout.layouts(frame.header, frame.body, &mut steps).is_ok() => {}
                    Ok(Next::Skipped) => continue,
                    Ok(Next::End) => break,
                    Ok(Next::Event(_)) | Err(_) => return found,
                }
                for step in steps.drain(..) {
                    if let Step::Schema(schema) = step
                        && names.insert(schema.table.clone())
                    {
                        found.push(schema);
                    }
                }
            }
        }
        found
    }

    /// Reads to the end, or for ever.
    pub(super) fn read(mut self) -> Result<(), Ended> {
        loop {
            let file = self.files[self.at].clone();
            let more = match Events::open(&file)? {
                Some(events) => self.read_file(&file, events)?,
                None => self.more(&file, 0)?,
            };
            match more {
                More::Here => {}
                More::NextFile => self.at += 1,
                More::Nowhere => {
                    self.tell_position()?;
                    return self.send(SourceMessage::End);
                }
            }
        }
    }

    fn read_file(&mut self, file: &LogFile, mut events: Events) -> Result<More, Ended> {
        self.assembler.set_file(file.name.as_str());
        let mut steps = Vec::new();
        loop {
            let begin = events.offset;
            match events.next()? {
                Next::Event(frame) => {
                    let refused = self.check(&frame, file).map(|()| self.assembler.event(frame.header, frame.body, &mut steps));
                    for step in steps.drain(..) {
                        self.hand_over(step)?;
                    }
                    refused?.map_err(|e| self.refused_at(file, begin, &e))?;
                }
                Next::Skipped => {}
                Next::End => match self.more(file, events.offset)? {
                    More::Here => {}
                    elsewhere => return Ok(elsewhere),
                },
            }
        }
    }

    /// What cannot be written passes with the shortage: then reading goes on behind what was told.
    fn refused_at(&self, file: &LogFile, offset: u64, error: &LogError) -> Ended {
        match error {
            LogError::Spool { .. } => {
                Ended::Short { why: format!("{SPOOL}: {error}"), position: self.told.as_ref().map(Position::to_string) }
            }
            _ => refused_at(file, offset, error),
        }
    }

    /// The files must follow one another.
    fn check(&mut self, frame: &Frame<'_>, file: &LogFile) -> Result<(), Ended> {
        let unreadable = |e: DecodeError| refused_at(file, 0, &e.into());
        let before: GtidState = match frame.header.kind {
            kind::ROTATE if !frame.header.is_artificial() => {
                self.promised = Some(control::rotate(frame.header, frame.body).map_err(unreadable)?);
                return Ok(());
            }
            kind::FORMAT_DESCRIPTION => {
                return match self.promised.take().filter(|promised| *promised != file.name) {
                    Some(promised) => Err(missing(format!("{promised} should follow, and the next file is {}", file.name))),
                    None => Ok(()),
                };
            }
            kind::MARIADB_GTID_LIST => gtid_event::mariadb_list(frame.body).map_err(unreadable)?.into_iter().collect(),
            kind::MYSQL_PREVIOUS_GTIDS => gtid_event::mysql_previous(frame.body).map_err(unreadable)?.into(),
            _ => return Ok(()),
        };
        let done = &self.assembler.position().done;
        match before.minus(done) {
            lost if lost.is_empty() || self.assembler.is_fresh() => Ok(()),
            lost => Err(missing(format!("{} begins behind transactions that no file has: {lost}", file.name))),
        }
    }

    /// What there is to do where a file ends, or ends for now.
    fn more(&mut self, file: &LogFile, offset: u64) -> Result<More, Ended> {
        if self.at + 1 < self.files.len() {
            return Ok(More::NextFile);
        }
        if !self.config.follow {
            return Ok(More::Nowhere);
        }
        self.tell_position()?;
        if !std::mem::replace(&mut self.is_live, true) {
            self.send(SourceMessage::Status(SourceStatus::Live(true)))?;
        }
        std::thread::sleep(self.config.poll);
        if self.messages.is_closed() {
            return Err(Ended::Gone);
        }
        let len = std::fs::metadata(&file.path).map_or(0, |m| m.len());
        if len < offset {
            return Err(missing(format!("{} is shorter than it was", file.name)));
        }
        if std::mem::replace(&mut self.seen, len) == len {
            // Nothing was added here, so what follows may stand in a further file. Half an event at the end will not become a whole one.
            self.files = files::find(&self.config.paths)?;
            let here = self.files.iter().position(|f| f == file);
            self.at = here.ok_or_else(|| missing(format!("{} is not there any more", file.name)))?;
        }
        Ok(More::Here)
    }

    fn hand_over(&mut self, step: Step) -> Result<(), Ended> {
        match step {
            Step::Schema(schema) => self.send(SourceMessage::Schemas(vec![schema])),
            Step::Transaction { id, seconds, cause, body } => {
                let transaction = Transaction {
                    source: self.source.clone(),
                    origin: id.origin(cause.as_ref()),
                    at: Timestamp(i64::from(seconds) * 1_000_000),
                    body,
                };
                self.passed = 0;
                let position = self.assembler.position().clone();
                self.told = Some(position.clone());
                self.send(SourceMessage::Transaction(transaction, SourcePosition::new(position)))
            }
            Step::Passed => {
                self.passed += 1;
                if self.passed >= PASSED_MAX { self.tell_position() } else { Ok(()) }
            }
            // The next table map tells what a statement has altered.
            Step::Altered { rewritten } => {
                for Rewritten { table, .. } in rewritten.iter().filter(|rewritten| rewritten.values || rewritten.key) {
                    tracing::warn!(
                        "{table}: what its rows hold since its layout changed stands in no file; each is up to date once it changes"
                    );
                }
                Ok(())
            }
            Step::Heartbeat => Ok(()),
        }
    }

    /// Hands over the position alone, if the outlet has another one.
    fn tell_position(&mut self) -> Result<(), Ended> {
        self.passed = 0;
        let position = self.assembler.position();
        if self.told.as_ref().unwrap_or(&Position::default()) == position {
            return Ok(());
        }
        let position = position.clone();
        self.told = Some(position.clone());
        self.send(SourceMessage::Position(SourcePosition::new(position)))
    }

    fn send(&self, message: SourceMessage) -> Result<(), Ended> {
        self.messages.blocking_send(message).map_err(|_| Ended::Gone)
    }
}

fn watch(tables: &[String]) -> Result<Watch, Ended> {
    let all = ["*.*".to_string()];
    let setting = |why: String| {
        let (reason, cure) = why.split_once("; ").unwrap_or((&why, "a table in `tables` is written as database.table"));
        Ended::stopped(418, reason, cure)
    };
    Watch::new(if tables.is_empty() { &all } else { tables }, None).map_err(setting)
}

fn parsed(position: &str) -> Result<Position, Ended> {
    let cure = "start with a new data directory to read the files anew";
    position.parse().map_err(|e| Ended::stopped(418, format!("the position {e}"), cure))
}

fn missing(reason: String) -> Ended {
    Ended::stopped(code::MISSING, reason, "add the files that are missing")
}

/// The last file that begins no later than `start`.
fn first_file(files: &[LogFile], start: &GtidState) -> Result<usize, Ended> {
    if let Some(place) = start.place() {
        let at = files.iter().position(|file| file.name == place.file);
        return at.ok_or_else(|| missing(format!("this source stands at {place}, and that file is not there")));
    }
    for (i, file) in files.iter().enumerate().rev() {
        if before(file)?.is_some_and(|before| start.covers(&before)) {
            return Ok(i);
        }
    }
    Ok(0) // Reading finds the gap and names it.
}

/// What a file says to have come before it; `None`: nothing is said.
fn before(file: &LogFile) -> Result<Option<GtidState>, Ended> {
    let Some(mut events) = Events::open(file)? else { return Ok(None) };
    for _ in 0..8 {
        let Next::Event(frame) = events.next()? else { break };
        let unreadable = |e: DecodeError| refused_at(file, 0, &e.into());
        match frame.header.kind {
            kind::MARIADB_GTID_LIST => {
                return Ok(Some(gtid_event::mariadb_list(frame.body).map_err(unreadable)?.into_iter().collect()));
            }
            kind::MYSQL_PREVIOUS_GTIDS => return Ok(Some(gtid_event::mysql_previous(frame.body).map_err(unreadable)?.into())),
            _ => {}
        }
    }
    Ok(None)
}

fn refused_at(file: &LogFile, offset: u64, error: &LogError) -> Ended {
    refused(&format!("{} at {offset}", file.path.display()), error)
}

/// Why a log cannot be followed further: code, place, reason, cure.
pub(super) fn refused(place: &str, error: &LogError) -> Ended {
    let (number, reason, cure) = match error {
        LogError::Decode(DecodeError::Unsupported { what, cure }) => (416, format!("{what} cannot be read"), cure.as_str()),
        LogError::Decode(_) => (415, error.to_string(), "copy the file again, and check it with mysqlbinlog or mariadb-binlog"),
        LogError::Statement { .. } => {
            (413, error.to_string(), "set binlog_format = 'ROW' on the server, and begin with a later file")
        }
        LogError::Replaced { .. } | LogError::PartlyRolledBack { .. } => {
            (414, error.to_string(), "begin with a later file, or leave the table out of `tables`")
        }
        LogError::Incident { .. } => (417, error.to_string(), "begin with a later file"),
        LogError::Gap { position, first } => {
            let lost = first.minus(position);
            (
                code::MISSING,
                format!("the first file begins behind transactions that no file has: {lost}"),
                "add the files that are missing",
            )
        }
        LogError::Diverged { .. } => (411, error.to_string(), "give the files that were read before"),
        LogError::UnknownXa { .. } => (419, error.to_string(), "begin with an earlier file"),
        LogError::Spool { .. } => return Ended::Stopped(format!("{SPOOL}: {error}")),
    };
    Ended::Stopped(format!("{}: {place}: {reason}; {cure}", Code(number)))
}
