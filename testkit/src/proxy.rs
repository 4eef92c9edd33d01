//! A TCP proxy between a client and its server, to cut, stall and delay what flows.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy on its own loopback port. Its threads end with it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: AtomicU16,
    stalled: AtomicBool,
    refusing: AtomicBool,
    ended: AtomicBool,
    /// Bytes from the server that may still pass before the next cut.
    budget: AtomicU64,
    /// Bytes from the server that pass before one of them is changed.
    intact: AtomicU64,
    delay_us: AtomicU64,
    accepted: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy to `127.0.0.1:target`.
    ///
    /// # Panics
    /// If no loopback port can be had.
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let state = Arc::new(State {
            target: AtomicU16::new(target),
            stalled: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            budget: AtomicU64::new(u64::MAX),
            intact: AtomicU64::new(u64::MAX),
            delay_us: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
        });
        let shared = state.clone();
        std::thread::spawn(move || accept(&listener, &shared));
        Proxy { port, state }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections came so far.
    pub fn accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Sends connections that come from now on to `127.0.0.1:target`; the open ones stay where they are.
    pub fn retarget(&self, target: u16) {
        self.state.target.store(target, Ordering::SeqCst);
    }

    /// Cuts every open connection now; new ones are let in.
    ///
    /// # Panics
    /// If a proxy thread has panicked.
    pub fn cut(&self) {
        for stream in self.state.open.lock().expect("no proxy thread panics").drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Cuts all connections once `bytes` more have come from the server: at that very byte.
    pub fn cut_after(&self, bytes: u64) {
        self.state.budget.store(bytes, Ordering::SeqCst);
    }

    /// Changes one byte that comes from the server, once `bytes` more have passed.
    pub fn damage_after(&self, bytes: u64) {
        self.state.intact.store(bytes, Ordering::SeqCst);
    }

    /// `true`: nothing passes any more in either direction and nothing is closed, as behind a dead link. `false`: it flows again.
    pub fn stall(&self, stalled: bool) {
        self.state.stalled.store(stalled, Ordering::SeqCst);
    }

    /// `true`: new connections are closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Waits this long before each piece is passed on.
    pub fn delay(&self, delay: Duration) {
        self.state.delay_us.store(delay.as_micros() as u64, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.cut();
        TcpStream::connect(("127.0.0.1", self.port)).ok(); // Wakes the accepting thread, which then sees the end.
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming().flatten() {
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        state.accepted.fetch_add(1, Ordering::SeqCst);
        if state.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", state.target.load(Ordering::SeqCst))) else { continue };
        client.set_nodelay(true).ok();
        server.set_nodelay(true).ok();
        for (from, to, counted) in [(&client, &server, false), (&server, &client, true)] {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
            let state = state.clone();
            std::thread::spawn(move || pump(from, to, &state, counted));
        }
        state.open.lock().expect("no proxy thread panics").extend([client, server]);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, state: &State, counted: bool) {
    let mut buffer = [0u8; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let pause = Duration::from_micros(state.delay_us.load(Ordering::SeqCst));
        std::thread::sleep(pause);
        while state.stalled.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if counted {
            damage(&state.intact, &mut buffer[..n]);
        }
        let pass = if counted { take(&state.budget, n as u64) as usize } else { n };
        if to.write_all(&buffer[..pass]).is_err() || pass < n {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// Changes the byte of `piece` at which the count runs out.
fn damage(intact: &AtomicU64, piece: &mut [u8]) {
    let left = intact.load(Ordering::SeqCst);
    match piece.get_mut(usize::try_from(left).unwrap_or(usize::MAX)) {
        Some(byte) => {
            *byte ^= 0xff;
            intact.store(u64::MAX, Ordering::SeqCst);
        }
        None if left == u64::MAX => {}
        None => intact.store(left - piece.len() as u64, Ordering::SeqCst),
    }
}

/// Takes up to `n` from the budget and says how much; a budget that runs dry is unlimited again for the connections that follow.
fn take(budget: &AtomicU64, n: u64) -> u64 {
    let left = budget.load(Ordering::SeqCst);
    if left == u64::MAX {
        return n;
    }
    let pass = left.min(n);
    budget.store(if pass < n { u64::MAX } else { left - pass }, Ordering::SeqCst);
    pass
}
