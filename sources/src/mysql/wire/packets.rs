//! Packets of the protocol: a length of three bytes, a number, and as many bytes; what fills a packet wholly goes on in the next one.
//!
//! Bounds: one packet is held, at most [`PACKET_MAX`], and memory grows with what has arrived, whatever a length says.
//! Invariant: [`Packets::next`] may be given up at any point and called again; what has arrived is kept.

use std::io;

use mysql_async::{DriverError, Error, ServerError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::unexpected;
use crate::mysql::connect::PACKET_MAX;

/// Length and number.
const HEAD: usize = 4;
/// A packet of this length goes on.
const PIECE: usize = 0xff_ffff;
/// How much is asked for at once.
const READ: usize = 64 << 10;
/// Room that is kept between packets.
const KEPT: usize = 1 << 20;

/// What carries packets.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Packets over a stream.
pub(super) struct Packets {
    stream: Box<dyn Stream>,
    /// What has arrived; up to `at` it has been taken.
    inbox: Vec<u8>,
    at: usize,
    /// The pieces so far of a packet that goes on.
    whole: Vec<u8>,
    /// The number of the next packet.
    number: u8,
}

impl std::fmt::Debug for Packets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packets").field("arrived", &self.inbox.len()).finish_non_exhaustive()
    }
}

impl Packets {
    /// Over a stream; the next packet has this number.
    pub(super) fn over(stream: Box<dyn Stream>, number: u8) -> Packets {
        Packets { stream, inbox: Vec::new(), at: 0, whole: Vec::new(), number }
    }

    /// The stream, for another one over it, and the number at which that goes on. Nothing may have arrived that was not taken.
    pub(super) fn into_stream(self) -> (Box<dyn Stream>, u8) {
        (self.stream, self.number)
    }

    /// The next packet, its pieces joined.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            self.arrived(HEAD).await?;
            let head = &self.inbox[self.at..];
            let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
            self.number = head[3].wrapping_add(1);
            if self.whole.len() + len > PACKET_MAX {
                return Err(Error::Driver(DriverError::PacketTooLarge));
            }
            self.arrived(HEAD + len).await?;
            let from = self.at + HEAD;
            self.whole.extend_from_slice(&self.inbox[from..from + len]);
            self.at = from + len;
            if len < PIECE {
                return Ok(std::mem::take(&mut self.whole));
            }
        }
    }

    /// Waits until so much is there.
    async fn arrived(&mut self, len: usize) -> io::Result<()> {
        while self.inbox.len() - self.at < len {
            self.inbox.drain(..self.at);
            self.at = 0;
            if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
                self.inbox = Vec::new();
            }
            self.inbox.reserve(READ);
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed"));
            }
        }
        Ok(())
    }

    /// Sends a command, with which numbers begin anew.
    pub(super) async fn command(&mut self, body: &[u8]) -> Result<(), Error> {
        self.number = 0;
        self.send(body).await
    }

    /// Sends a packet.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<(), Error> {
        let mut rest = body;
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(PIECE));
            let [a, b, c, _] = (piece.len() as u32).to_le_bytes();
            self.stream.write_all(&[a, b, c, self.number]).await?;
            self.stream.write_all(piece).await?;
            self.number = self.number.wrapping_add(1);
            rest = behind;
            if piece.len() < PIECE {
                break;
            }
        }
        Ok(self.stream.flush().await?)
    }

    /// Waits for a yes.
    pub(super) async fn accepted(&mut self) -> Result<(), Error> {
        let packet = self.next().await?;
        match packet.first() {
            Some(0x00) => Ok(()),
            Some(0xff) => Err(server_error(&packet)),
            _ => Err(unexpected(packet)),
        }
    }
}

/// What the server says in a packet that begins with 0xff: a number, perhaps `#` and a state, a text.
pub(super) fn server_error(packet: &[u8]) -> Error {
    let (code, rest) = match packet.get(1..).and_then(|rest| rest.split_first_chunk::<2>()) {
        Some((code, rest)) => (u16::from_le_bytes(*code), rest),
        None => (0, &[][..]),
    };
    let (state, message) = match rest.strip_prefix(b"#").and_then(|rest| rest.split_at_checked(5)) {
        Some((state, message)) => (state, message),
        None => (&b"HY000"[..], rest),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Error::Server(ServerError { code, state: text(state), message: text(message) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Both ends of packets.
    fn pair() -> (Packets, Packets) {
        let (one, other) = tokio::io::duplex(1 << 20);
        (Packets::over(Box::new(one), 0), Packets::over(Box::new(other), 0))
    }

    #[test]
    fn what_is_sent_arrives_in_pieces_of_any_number() {
        runtime().block_on(async {
            let (mut here, mut there) = pair();
            for len in [0, 1, 70_000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
                let body: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
                let (sent, came) = tokio::join!(here.command(&body), there.next());
                sent.unwrap();
                assert_eq!(came.unwrap(), body);
                assert_eq!(there.number, (len / PIECE) as u8 + 1);
            }
            drop(here);
            let closed = there.next().await.unwrap_err().to_string();
            assert!(closed.ends_with("connection closed"), "{closed}");
        });
    }

    #[test]
    fn a_call_that_is_given_up_loses_nothing() {
        runtime().block_on(async {
            let (mut here, there) = tokio::io::duplex(64);
            let mut there = Packets::over(Box::new(there), 0);
            let mut came = Vec::new();
            for byte in [2, 0, 0, 7, b'a', b'b', 1, 0, 0, 8, b'c'] {
                tokio::select! {
                    biased;
                    packet = there.next() => came.push(packet.unwrap()),
                    () = std::future::ready(()) => {}
                }
                here.write_all(&[byte]).await.unwrap();
            }
            came.push(there.next().await.unwrap());
            assert_eq!(came, [b"ab".to_vec(), b"c".to_vec()]);
        });
    }

    #[test]
    fn memory_grows_with_what_arrives_and_not_with_what_is_claimed() {
        runtime().block_on(async {
            let (mut here, there) = tokio::io::duplex(64);
            let mut there = Packets::over(Box::new(there), 0);
            here.write_all(&[0xff, 0xff, 0xff, 0, 1, 2, 3]).await.unwrap();
            drop(here);
            there.next().await.unwrap_err();
            assert!(there.inbox.capacity() <= 2 * READ, "{}", there.inbox.capacity());
            there.whole = vec![0; PACKET_MAX - 1];
            there.inbox = vec![2, 0, 0, 0];
            there.at = 0;
            let refused = there.next().await.unwrap_err();
            assert!(matches!(refused, Error::Driver(DriverError::PacketTooLarge)), "{refused}");
        });
    }

    #[test]
    fn what_a_server_refuses_is_read() {
        for (packet, code, state, message) in [
            (&b"\xff\x15\x04#28000Access denied"[..], 1045, "28000", "Access denied"),
            (b"\xff\x10\x04Too many connections", 1040, "HY000", "Too many connections"),
            (b"\xff\x10\x04#28", 1040, "HY000", "#28"),
            (b"\xff\x10", 0, "HY000", ""),
        ] {
            let Error::Server(error) = server_error(packet) else { panic!("{packet:?}") };
            assert_eq!((error.code, &*error.state, &*error.message), (code, state, message));
        }
    }
}
