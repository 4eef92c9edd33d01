//! A server's answers and its log, recorded from the wire and played again, so that a connection costs no server anything and can be cut at
//! any byte.
//!
//! Recording is a proxy that notes what came back for each command. Playing answers each command with what was noted, and a dump with the
//! transactions behind the position that was asked for, as MariaDB would.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const COM_QUERY: u8 = 0x03;
const COM_BINLOG_DUMP: u8 = 0x12;
const STATE: &[u8] = b"\x03SET @slave_connect_state = '";
/// Event types: where a transaction begins in MariaDB's log, and which end what was read of a file.
const GTID: u8 = 162;

/// What a server said: the greeting under no key, each answer under its command.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    answers: HashMap<Vec<u8>, Vec<u8>>,
}

/// A proxy that records. Its threads end with the process.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    tape: Arc<Mutex<Tape>>,
}

impl Recorder {
    /// Records what goes to and comes from `127.0.0.1:target`.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub fn to(target: u16) -> Recorder {
        let (listener, port) = listen();
        let tape: Arc<Mutex<Tape>> = Arc::default();
        let shared = tape.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let tape = shared.clone();
                std::thread::spawn(move || record(client, server, &tape));
            }
        });
        Recorder { port, tape }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was said until now.
    ///
    /// # Panics
    /// If a recording thread has panicked.
    pub fn tape(&self) -> Tape {
        self.tape.lock().expect("no recording thread panics").clone()
    }
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    (listener, port)
}

/// What comes from the server belongs to the last command: the client waits for each answer.
fn record(mut client: TcpStream, mut server: TcpStream, tape: &Arc<Mutex<Tape>>) {
    tape.lock().expect("no recording thread panics").answers.remove(&[][..]); // The greeting of this connection is the one that stays.
    let key: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (Ok(mut from_server), Ok(mut to_client)) = (server.try_clone(), client.try_clone()) else { return };
    let (current, answers) = (key.clone(), tape.clone());
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = from_server.read(&mut buffer) {
            let key = current.lock().expect("no recording thread panics").clone();
            let mut tape = answers.lock().expect("no recording thread panics");
            tape.answers.entry(key).or_default().extend_from_slice(&buffer[..n]);
            drop(tape);
            if to_client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        from_server.shutdown(Shutdown::Both).ok();
        to_client.shutdown(Shutdown::Both).ok();
    });
    let mut is_login = true;
    while let Ok((head, body)) = packet(&mut client) {
        let next = key_of(&body, std::mem::take(&mut is_login));
        // Each connection asks the same anew, and gets the same: the last answer stays.
        tape.lock().expect("no recording thread panics").answers.remove(&next);
        *key.lock().expect("no recording thread panics") = next;
        if server.write_all(&[&head[..], &body].concat()).is_err() {
            break;
        }
    }
    server.shutdown(Shutdown::Both).ok();
    answering.join().ok();
}

/// Under what an answer is kept: a query is what it says, of other commands only the kind counts.
fn key_of(body: &[u8], is_login: bool) -> Vec<u8> {
    match body.first() {
        _ if is_login => b"login".to_vec(),
        Some(&COM_QUERY) => body.to_vec(),
        kind => kind.into_iter().copied().collect(),
    }
}

fn packet(stream: &mut TcpStream) -> io::Result<([u8; 4], Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

/// A transaction of the log: its position, and its events, each as the payload of a packet.
#[derive(Clone, Debug)]
struct Group {
    position: String,
    events: Vec<Vec<u8>>,
}

impl Tape {
    /// What comes before the first transaction, and the transactions.
    fn log(&self) -> (Vec<Vec<u8>>, Vec<Group>) {
        let mut rest = self.answers.get(&[COM_BINLOG_DUMP][..]).map_or(&[][..], Vec::as_slice);
        let (mut head, mut groups): (Vec<Vec<u8>>, Vec<Group>) = Default::default();
        while let [a, b, c, _, after @ ..] = rest {
            let size = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            let Some((event, after)) = after.split_at_checked(size) else { break };
            rest = after;
            // The mark of a good packet, the time, the type, the server's id; the length of the event, its end and its flags.
            let number = |at: usize| u32::from_le_bytes([event[at], event[at + 1], event[at + 2], event[at + 3]]);
            match groups.last_mut() {
                _ if event[5] == GTID => {
                    let position = format!("{}-{}-{}", number(28), number(6), number(20));
                    groups.push(Group { position, events: vec![event.to_vec()] });
                }
                Some(group) => group.events.push(event.to_vec()),
                None => head.push(event.to_vec()),
            }
        }
        (head, groups)
    }
}

/// A server that says what is on a tape, on its own loopback port, from which transactions are taken one after the other.
#[derive(Debug)]
pub struct Replay {
    port: u16,
    shared: Arc<Played>,
}

#[derive(Debug)]
struct Played {
    tape: Tape,
    head: Vec<Vec<u8>>,
    groups: Vec<Group>,
    /// After how many bytes the next dump is cut, and the last transaction that it sends.
    cut: Mutex<(Option<usize>, usize)>,
}

impl Replay {
    /// Plays the tape.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub fn of(tape: &Tape) -> Replay {
        let (listener, port) = listen();
        let (head, groups) = tape.log();
        let all = groups.len();
        let shared = Arc::new(Played { tape: tape.clone(), head, groups, cut: Mutex::new((None, all)) });
        let played = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Some(played) = played.upgrade() else { return };
                std::thread::spawn(move || play(client, &played));
            }
        });
        Replay { port, shared }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The positions of its transactions, in order.
    pub fn positions(&self) -> Vec<&str> {
        self.shared.groups.iter().map(|group| &*group.position).collect()
    }

    /// How many bytes come before the first transaction.
    pub fn head(&self) -> usize {
        self.shared.head.iter().map(|event| 4 + event.len()).sum()
    }

    /// Where the packets of a dump that begins with transaction `begin` (counted from 0) end, in bytes, up to the end of transaction
    /// `end`.
    pub fn borders(&self, begin: usize, end: usize) -> Vec<usize> {
        let events = self.shared.head.iter().chain(self.shared.groups[begin..=end].iter().flat_map(|group| &group.events));
        events
            .scan(0, |at, event| {
                *at += 4 + event.len();
                Some(*at)
            })
            .collect()
    }

    /// Cuts the next dump at this very byte; dumps after it go on to their end, which is behind transaction `end`.
    ///
    /// # Panics
    /// If a playing thread has panicked.
    pub fn cut_next_dump(&self, bytes: usize, end: usize) {
        *self.shared.cut.lock().expect("no playing thread panics") = (Some(bytes), end);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let (port, played) =
            (self.port, Arc::new(Played { tape: Tape::default(), head: Vec::new(), groups: Vec::new(), cut: Mutex::default() }));
        self.shared = played; // The accepting thread finds none to play for,
        TcpStream::connect(("127.0.0.1", port)).ok(); // and is woken to see it.
    }
}

fn play(mut client: TcpStream, played: &Played) {
    client.set_nodelay(true).ok();
    converse(&mut client, played).ok(); // The client has gone away.
    client.shutdown(Shutdown::Both).ok();
}

fn converse(client: &mut TcpStream, played: &Played) -> io::Result<()> {
    let answers = &played.tape.answers;
    let silent = Vec::new();
    client.write_all(answers.get(&[][..]).unwrap_or(&silent))?;
    let (mut is_login, mut state) = (true, String::new());
    loop {
        let (_, body) = packet(client)?;
        if let Some(rest) = body.strip_prefix(STATE) {
            state = String::from_utf8_lossy(rest).trim_end_matches('\'').to_owned();
        }
        let key = key_of(&body, std::mem::take(&mut is_login));
        match answers.get(&key) {
            _ if key == [COM_BINLOG_DUMP] => return dump(client, played, &state),
            Some(answer) => client.write_all(answer)?,
            None if body.starts_with(b"\x03SET ") => client.write_all(&[7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])?,
            None => return Ok(()),
        }
    }
}

/// The log from behind `state`, up to the byte at which it is cut; else the connection stays until the client goes.
fn dump(client: &mut TcpStream, played: &Played, state: &str) -> io::Result<()> {
    let (cut, end) = {
        let mut next = played.cut.lock().expect("no playing thread panics");
        (next.0.take(), next.1)
    };
    let begin = played.groups.iter().position(|group| group.position == state).map_or(0, |at| at + 1);
    let groups = played.groups.get(begin..played.groups.len().min(end + 1)).unwrap_or_default();
    let events = played.head.iter().chain(groups.iter().flat_map(|group| &group.events));
    let mut bytes = Vec::new();
    for (event, number) in events.zip((1..=u8::MAX).chain(0..=0).cycle()) {
        bytes.extend_from_slice(&(event.len() as u32).to_le_bytes()[..3]);
        bytes.push(number);
        bytes.extend_from_slice(event);
    }
    match cut {
        Some(cut) => client.write_all(&bytes[..cut.min(bytes.len())]),
        None => {
            client.write_all(&bytes)?;
            io::copy(client, &mut io::sink()).map(|_| ())
        }
    }
}
