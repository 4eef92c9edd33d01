//! The log as a server sends it: events in their order, the checksum of each verified.
//!
//! MySQL's comes over a connection of our own ([`super::wire`]), because its compressed transactions are to be unpacked event by event.
//! MariaDB and Dolt have none; theirs comes over the protocol library's.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use mysql_async::binlog::events::Event as Library;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Sid};

use super::connect::Flavour;
use super::failure::{Failure, NEW_SNAPSHOT, code};
use super::wire::{Sent, Wire};
use crate::binlog::frame::{FLAG_ARTIFICIAL, Header, kind, verify};
use crate::binlog::gtid_set::{GtidSet, Tag, Uuid};
use crate::binlog::{GtidState, LogError};

/// A connection over which the log comes.
pub(crate) enum Dump {
    Library(Box<BinlogStream>),
    Wire(Box<Wire>),
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) header: Header,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Library(Library),
    Sent(Sent),
}

impl Event {
    /// The body without its checksum.
    pub(crate) fn body(&self) -> &[u8] {
        match &self.held {
            Held::Library(event) => event.data(),
            Held::Sent(event) => event.body(),
        }
    }
}

impl Dump {
    /// Asks for the log from behind `start`; `conn` is used up.
    pub(crate) async fn open(
        mut conn: Conn,
        flavour: Flavour,
        server_id: u32,
        heartbeat: Duration,
        start: &GtidState,
    ) -> Result<Dump, Failure> {
        if flavour == Flavour::MySql {
            let opts = conn.opts().clone();
            conn.disconnect().await?;
            return Ok(Dump::Wire(Box::new(Wire::open(&opts, server_id, heartbeat, sids(start.executed())?).await?)));
        }
        conn.query_drop("SET SESSION net_write_timeout = 3600").await?;
        conn.query_drop(format!("SET @master_heartbeat_period = {0}, @source_heartbeat_period = {0}", heartbeat.as_nanos()))
            .await?;
        let request = BinlogStreamRequest::new(server_id);
        let request = match flavour {
            Flavour::MariaDb => {
                conn.query_drop(
                    "SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 0, @slave_gtid_ignore_duplicates = 0",
                )
                .await?;
                conn.query_drop(format!("SET @slave_connect_state = '{start}'")).await?;
                request
            }
            Flavour::MySql | Flavour::Dolt => request.with_gtid().with_gtid_set(sids(start.executed())?),
        };
        Ok(Dump::Library(Box::new(conn.get_binlog_stream(request).await?)))
    }

    /// The next event; `None` at the end of the log. A call that is given up loses nothing.
    pub(crate) async fn arrives(&mut self) -> Result<Option<Event>, Failure> {
        match self {
            Dump::Library(stream) => {
                let event = poll_fn(|cx| Pin::new(&mut **stream).poll_next(cx)).await;
                event.map(|event| checked(event?)).transpose()
            }
            Dump::Wire(wire) => {
                let event = wire.next().await?;
                Ok(event.map(|event| Event { header: event.header, held: Held::Sent(event) }))
            }
        }
    }

    /// The same, while the server gives a sign of life at least so often.
    pub(crate) async fn next(&mut self, silence_max: Duration) -> Result<Option<Event>, Failure> {
        match tokio::time::timeout(silence_max, self.arrives()).await {
            Ok(event) => event,
            Err(_) => Err(Failure::silent(silence_max)),
        }
    }
}

/// The set in the protocol library's terms: one entry for each server and tag.
fn sids(set: &GtidSet) -> Result<Vec<Sid<'static>>, Failure> {
    let mut texts: Vec<((Uuid, &Tag), String)> = Vec::new();
    for run in set.intervals() {
        let stream = (run.uuid, run.tag);
        if texts.last().is_none_or(|(last, _)| *last != stream) {
            let tag = run.tag.as_str();
            texts.push((stream, if tag.is_empty() { run.uuid.to_string() } else { format!("{}:{tag}", run.uuid) }));
        }
        let (_, text) = texts.last_mut().expect("invariant: it was pushed above");
        text.push_str(&format!(":{}-{}", run.first, run.last));
    }
    let parse = |(_, text): ((Uuid, &Tag), String)| {
        text.parse().map_err(|e| Failure::stop(code::SETTING, format!("the position {text} cannot be sent: {e}"), NEW_SNAPSHOT))
    };
    texts.into_iter().map(parse).collect()
}

/// The library's event in this crate's terms, its checksum verified.
fn checked(event: Library) -> Result<Event, Failure> {
    let h = event.header();
    let header = Header {
        timestamp: h.timestamp(),
        kind: h.event_type_raw(),
        server_id: h.server_id(),
        size: h.event_size(),
        end: h.log_pos(),
        flags: h.flags_raw(),
    };
    let algorithm = event.footer().get_checksum_alg().ok().flatten().map(|a| a as u8);
    let is_description = header.kind == kind::FORMAT_DESCRIPTION;
    if let (Some(crc), Some(1)) = (event.checksum(), algorithm) {
        // What stands in no file has no checksum that the library could know. That it says no place is no sign: from 11 on MariaDB's events
        // within a transaction say none.
        if header.flags & FLAG_ARTIFICIAL == 0 || is_description {
            verify(header, event.data(), algorithm.filter(|_| is_description), crc).map_err(LogError::from)?;
        }
    }
    Ok(Event { header, held: Held::Library(event) })
}
