//! A connection to MySQL that is read as it comes: login, then the log.
//!
//! The protocol library unpacks a compressed transaction in the call that receives it, whole and into memory of the size that it claims to
//! have. Here every event stays as it was sent, and what is in it is unpacked event by event by whoever reads it.
//!
//! Everything that is asked of a server goes over the library's connections; this one is for the log only. It knows the ways to log in that
//! MySQL's servers have and the library knows too, with the same settings.
//!
//! Bounds: those of [`packets`].

mod login;
mod packets;
mod tls;

use std::time::Duration;

use mysql_async::{DriverError, Error, Opts, Sid};
use mysql_common::packets::ComRegisterSlave;
use mysql_common::packets::binlog_request::BinlogRequest;
use mysql_common::proto::MySerialize;

use super::connect::within;
use super::failure::Failure;
use crate::binlog::LogError;
use crate::binlog::frame::{Framer, Header};
use packets::{Packets, server_error};

const COM_QUERY: u8 = 0x03;

/// The log of a server, packet by packet.
#[derive(Debug)]
pub(crate) struct Wire {
    packets: Packets,
    framer: Framer,
}

/// An event as it was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) header: Header,
    packet: Vec<u8>,
    /// Bytes of the body, without what stands behind it.
    len: usize,
}

impl Sent {
    /// The body without its checksum.
    pub(crate) fn body(&self) -> &[u8] {
        &self.packet[1 + Header::LEN..][..self.len]
    }
}

impl Wire {
    /// Logs in and asks for everything that is not in `done`.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub(crate) async fn open(opts: &Opts, server_id: u32, heartbeat: Duration, done: Vec<Sid<'_>>) -> Result<Wire, Failure> {
        let mut packets = within(opts, login::login(opts)).await?;
        let heartbeat = heartbeat.as_nanos();
        for sql in [
            "SET SESSION net_write_timeout = 3600".to_string(),
            format!("SET @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}"),
            "SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'".to_string(),
        ] {
            packets.command(&[&[COM_QUERY], sql.as_bytes()].concat()).await?;
            packets.accepted().await?;
        }
        packets.command(&bytes_of(&ComRegisterSlave::new(server_id))).await?;
        packets.accepted().await?;
        let request = BinlogRequest::new(server_id).with_use_gtid(true).with_sids(done);
        packets.command(&bytes_of(&request.as_cmd())).await?;
        Ok(Wire { packets, framer: Framer::default() })
    }

    /// The next event, its checksum verified; `None` at the end of the log. A call that is given up loses nothing.
    ///
    /// # Errors
    /// A connection that ends or says that it cannot go on, and damaged bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<Sent>, Failure> {
        let packet = self.packets.next().await?;
        match packet.first() {
            Some(0x00) => {}
            Some(0xff) => return Err(server_error(&packet).into()),
            Some(0xfe) if packet.len() < 9 => return Ok(None),
            _ => return Err(unexpected(packet).into()),
        }
        let frame = self.framer.split(&packet[1..]).map_err(LogError::from)?;
        let (header, len) = (frame.header, frame.body.len());
        Ok(Some(Sent { header, packet, len }))
    }
}

fn bytes_of(command: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    command.serialize(&mut bytes);
    bytes
}

/// An answer that is none. A packet may be huge; its beginning says enough.
fn unexpected(mut payload: Vec<u8>) -> Error {
    payload.truncate(64);
    Error::Driver(DriverError::UnexpectedPacket { payload })
}
