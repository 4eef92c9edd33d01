//! JSON lines through the source port: a file is read to its end, a pipe until it closes.
//!
//! The position is `LINE:OFFSET:AT`: lines and bytes read, and the time of the last transaction, all after the line. A file goes on behind
//! the offset; a pipe cannot go back, so its next line simply counts on, which keeps the origins of lines without `tx` apart.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{BoxFuture, Outlet, Source, SourceMessage, SourceStatus};
use tokio::sync::mpsc;

use super::{JsonTable, JsonlReader, Line, LineError, schema_lines};

/// Lines that may wait between the reading thread and the outlet.
const QUEUE: usize = 1_024;

/// Where the lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// This process's standard input.
    Stdin,
}

/// A source of JSON lines.
#[derive(Debug)]
pub struct JsonlSource {
    name: Arc<str>,
    input: Input,
    tables: Vec<JsonTable>,
}

impl JsonlSource {
    /// Reads `input`, in which lines speak of `tables` and of those that `schema` lines declare.
    pub fn new(name: impl Into<Arc<str>>, input: Input, tables: Vec<JsonTable>) -> JsonlSource {
        JsonlSource { name: name.into(), input, tables }
    }

    /// Whether it tells its `schema` lines' tables before anything else: a file does, a pipe cannot.
    pub fn announces(&self) -> bool {
        matches!(self.input, Input::File(_))
    }
}

impl Source for JsonlSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (messages, mut queue) = mpsc::channel(QUEUE);
            // Reading blocks, a pipe for ever: a thread of its own that nobody has to wait for.
            std::thread::spawn(move || {
                // A closed queue means that nobody listens any more.
                let _ = self.read(position.as_deref(), &mut |message| messages.blocking_send(message).ok());
            });
            while let Some(message) = queue.recv().await {
                if !outlet.send(message).await {
                    return;
                }
            }
        })
    }
}

impl JsonlSource {
    /// Reads everything; `None` once nobody listens.
    fn read(&self, position: Option<&str>, send: &mut dyn FnMut(SourceMessage) -> Option<()>) -> Option<()> {
        let stopped = |why: String| SourceMessage::Status(SourceStatus::Stopped(why));
        let place = match position.map(Place::parse) {
            Some(None) => return send(stopped(format!("E0465: the stored position {} is none", position.unwrap_or_default()))),
            Some(Some(place)) => place,
            None => Place::default(),
        };
        match &self.input {
            Input::Stdin => self.pump(JsonlReader::new(std::io::stdin().lock(), self.tables.clone()), place, send),
            Input::File(path) => match self.open(path, &place, send) {
                Ok(Some(reader)) => self.pump(reader, place, send),
                Ok(None) => None,
                Err(error) => send(stopped(format!("E0465: {}: {error}", path.display()))),
            },
        }
    }

    /// Announces the tables of the file's `schema` lines, then stands behind the place.
    fn open(
        &self,
        path: &PathBuf,
        place: &Place,
        send: &mut dyn FnMut(SourceMessage) -> Option<()>,
    ) -> std::io::Result<Option<JsonlReader<BufReader<File>>>> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() < place.offset {
            return Err(std::io::Error::other(format!("the file is shorter than the stored position, {} bytes", place.offset)));
        }
        let schemas = schema_lines(BufReader::new(&file))?;
        if send(SourceMessage::Schemas(schemas.iter().filter_map(|(_, line)| line.schema().ok().map(Arc::new)).collect()))
            .is_none()
        {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(place.offset))?;
        let mut reader = JsonlReader::new(BufReader::with_capacity(1 << 16, file), self.tables.clone());
        for (_, schema) in schemas.iter().filter(|(number, _)| *number <= place.line) {
            // A schema that was read before is right.
            let _ = reader.tables.declare(schema, 0);
        }
        Ok(Some(reader))
    }

    fn pump<R: BufRead>(
        &self,
        reader: JsonlReader<R>,
        place: Place,
        send: &mut dyn FnMut(SourceMessage) -> Option<()>,
    ) -> Option<()> {
        let mut reader = reader.named(self.name.clone());
        reader.resume(place.line, place.offset, place.at);
        send(SourceMessage::Status(SourceStatus::Live(false)))?;
        while let Some(line) = reader.next_line() {
            match line {
                Ok(Line::Transaction(transaction)) => {
                    let place = Place { line: reader.line(), offset: reader.offset(), at: reader.at() };
                    send(SourceMessage::Transaction(transaction, place.to_string().into()))?;
                }
                Ok(Line::Schema(schema)) if !self.announces() => {
                    send(SourceMessage::Schemas(schema.schema().into_iter().map(Arc::new).collect()))?;
                }
                Ok(Line::Schema(_) | Line::Blank) => {}
                Err(error) => return send(SourceMessage::Status(SourceStatus::Stopped(self.reason(error)))),
            }
        }
        send(SourceMessage::End)
    }

    /// Code, place, reason and cure in one text.
    fn reason(&self, error: LineError) -> String {
        let input = match &self.input {
            Input::File(path) => path.display().to_string(),
            Input::Stdin => "<stdin>".to_owned(),
        };
        match error {
            LineError::Bad { code, line, column, message, help } => {
                let help = help.map_or(String::new(), |help| format!("; {help}"));
                format!("{code}: {input}:{line}:{column}: {message}{help}")
            }
            LineError::Input { line, error } => format!("E0465: {input}:{line}: {error}"),
        }
    }
}

/// Behind which line, byte and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    line: u64,
    offset: u64,
    at: Timestamp,
}

impl Place {
    fn parse(text: &str) -> Option<Place> {
        let mut parts = text.splitn(3, ':');
        let (line, offset, at) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Place { line: line.parse().ok()?, offset: offset.parse().ok()?, at: Timestamp(at.parse().ok()?) })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.line, self.offset, self.at.0)
    }
}
