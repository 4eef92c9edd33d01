//! What strikes: `kill -9` at any moment of a start or of a run, at the n-th write or sync of one of the daemon's threads, with the server
//! at once, while the disk is full, after a sync that failed, after cut connections and altered tables, around a reload of another
//! definition, and when the server has thrown away what the daemon has read.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use thalweg_testkit::{Daemon, Ended, MariaDb, until};

use crate::scene::Scene;

/// SplitMix64: a seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// System calls at which a thread is struck, and how far into a run.
const POINTS: [(&str, u64); 5] = [("fdatasync", 12), ("pwrite64", 150), ("fsync", 6), ("sendto", 60), ("recvfrom", 60)];
/// A daemon that does not reach its point is killed then.
const POINT_TIME: Duration = Duration::from_secs(3);
const STRACE: &str = "/usr/bin/strace";

/// Counts its blows.
pub struct Nemesis {
    has_strace: bool,
    at_random: u64,
    at_points: u64,
    missed_points: u64,
    with_server: u64,
    full_disks: u64,
    failed_syncs: u64,
    cuts: u64,
    alterations: u64,
    reloads: u64,
    purges: u64,
}

impl Nemesis {
    pub fn new() -> Nemesis {
        let has_strace = Path::new(STRACE).exists();
        if !has_strace {
            eprintln!("skipped: kills at the n-th system call, since there is no {STRACE}");
        }
        Nemesis {
            has_strace,
            at_random: 0,
            at_points: 0,
            missed_points: 0,
            with_server: 0,
            full_disks: 0,
            failed_syncs: 0,
            cuts: 0,
            alterations: 0,
            reloads: 0,
            purges: 0,
        }
    }

    /// Starts a daemon and strikes it once.
    pub fn strike(&mut self, scene: &Scene, server: &mut MariaDb, random: &mut Random) -> Ended {
        let (kind, (call, most), nth) = (random.below(12), POINTS[random.below(POINTS.len() as u64) as usize], random.next());
        let wait = Duration::from_millis(20 + random.below(600));
        match kind {
            0..4 if self.has_strace => self.at_point(scene, call, 1 + nth % most),
            4 => self.with_server(scene, server, wait),
            5 if self.has_strace => self.with_a_full_disk(scene, 1 + nth % 150, wait),
            6 if self.has_strace => self.with_a_failed_sync(scene, 1 + nth % 12),
            7 => self.cut_and_altered(scene, server, random),
            8 => self.reloaded(scene, random),
            9 => self.purged(scene, server, wait),
            _ => self.at_random(scene, wait, kind % 2 == 0),
        }
    }

    /// Half of them at any moment of the start, half while it follows.
    fn at_random(&mut self, scene: &Scene, wait: Duration, live: bool) -> Ended {
        self.at_random += 1;
        let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
        if live {
            daemon.until_said(": live");
        }
        std::thread::sleep(wait);
        daemon.kill9()
    }

    /// The first thread that makes the call for the n-th time does not return from it.
    fn at_point(&mut self, scene: &Scene, call: &str, nth: u64) -> Ended {
        let (ended, was_struck) = until_it_ends(injected(scene, call, &format!("signal=SIGKILL:when={nth}")));
        *if was_struck { &mut self.at_points } else { &mut self.missed_points } += 1;
        ended
    }

    /// Twenty writes of a thread, from the n-th, find no room. It is killed while it waits, or when it has gone on.
    fn with_a_full_disk(&mut self, scene: &Scene, nth: u64, wait: Duration) -> Ended {
        self.full_disks += 1;
        let daemon = injected(scene, "pwrite64", &format!("error=ENOSPC:when={nth}..{}", nth + 19));
        std::thread::sleep(2 * wait);
        daemon.kill9()
    }

    /// The n-th sync of a thread fails, and it must end by itself.
    fn with_a_failed_sync(&mut self, scene: &Scene, nth: u64) -> Ended {
        let (ended, was_struck) = until_it_ends(injected(scene, "fdatasync,fsync", &format!("error=EIO:when={nth}")));
        *if was_struck { &mut self.failed_syncs } else { &mut self.missed_points } += 1;
        ended
    }

    /// The server ends the daemon's connections, and between two cuts the watched table gets a column or loses it.
    fn cut_and_altered(&mut self, scene: &Scene, server: &MariaDb, random: &mut Random) -> Ended {
        let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
        daemon.until_said(": live");
        for _ in 0..=random.below(3) {
            let dumps = server.query("SELECT id FROM information_schema.processlist WHERE command = 'Binlog Dump'");
            self.cuts += dumps.len() as u64;
            // One that has ended since cannot be ended.
            dumps.iter().for_each(|row| drop(server.try_query(&format!("KILL CONNECTION {}", row[0]))));
            self.alterations += 1;
            let change = if self.alterations.is_multiple_of(2) {
                "DROP COLUMN IF EXISTS note"
            } else {
                "ADD COLUMN IF NOT EXISTS note TEXT"
            };
            server.exec(&format!("ALTER TABLE shop.orders {change}"));
            std::thread::sleep(Duration::from_millis(random.below(300)));
        }
        daemon.kill9()
    }

    /// The daemon takes other definitions while it follows, and is struck at any moment of the last of them.
    fn reloaded(&mut self, scene: &Scene, random: &mut Random) -> Ended {
        let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
        daemon.until_said(": live");
        for _ in 0..=random.below(3) {
            scene.configure(1 + random.below(2), random.below(4));
            self.reloads += 1;
            let told = Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status();
            assert!(told.expect("`kill` runs").success(), "the daemon was there");
            std::thread::sleep(Duration::from_millis(random.below(80)));
        }
        daemon.kill9()
    }

    /// The server begins another log and throws the older ones away as soon as the daemon has committed what they tell.
    fn purged(&mut self, scene: &Scene, server: &MariaDb, wait: Duration) -> Ended {
        let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
        daemon.until_said(": live");
        server.exec("FLUSH BINARY LOGS");
        let newest = server.query("SHOW MASTER STATUS")[0][0].clone();
        let sequence =
            |gtid: &str| gtid.rsplit('-').next().and_then(|n| n.parse::<u64>().ok()).expect("a GTID ends with a number");
        let told = sequence(&server.gtid());
        let said = daemon.said();
        let page = said.split_once("status at http://").expect("the daemon says where its page is").1.split('/').next();
        until("the daemon has committed what the older logs tell", || sequence(&position(page.unwrap_or_default())) >= told);
        server.exec(&format!("PURGE BINARY LOGS TO '{newest}'"));
        self.purges += 1;
        std::thread::sleep(wait);
        daemon.kill9()
    }

    /// The server goes first; the daemon is struck while it looks for it, or when it is back.
    fn with_server(&mut self, scene: &Scene, server: &mut MariaDb, wait: Duration) -> Ended {
        self.with_server += 1;
        let daemon = Daemon::of(scene.thalweg(&["run", "thalweg.toml"]));
        std::thread::sleep(wait);
        server.kill9();
        if wait.as_millis().is_multiple_of(2) {
            let ended = daemon.kill9();
            server.restart();
            return ended;
        }
        server.restart();
        std::thread::sleep(wait / 2);
        daemon.kill9()
    }
}

/// The committed position of the daemon's source.
fn position(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    write!(stream, "GET /status HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer is text");
    let body = answer.split_once("\r\n\r\n").expect("an answer has a head").1;
    let status: serde_json::Value = serde_json::from_str(body).expect("/status is JSON");
    status["sources"][0]["position"].as_str().unwrap_or("0").to_owned()
}

/// A daemon of which calls fail or kill.
fn injected(scene: &Scene, calls: &str, how: &str) -> Daemon {
    let mut strace = Command::new(STRACE);
    // The tracer is the grandchild (-D), so that the daemon is this process's child.
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:{how}")]);
    Daemon::of(scene.thalweg_by(strace, &["run", "thalweg.toml"]))
}

/// Its end, and whether that came before [`POINT_TIME`]; then it is killed.
fn until_it_ends(mut daemon: Daemon) -> (Ended, bool) {
    let begun = Instant::now();
    while daemon.runs() && begun.elapsed() < POINT_TIME {
        std::thread::sleep(Duration::from_millis(5));
    }
    if daemon.runs() { (daemon.kill9(), false) } else { (daemon.wait(), true) }
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Nemesis {
            at_random,
            at_points,
            missed_points,
            with_server,
            full_disks,
            failed_syncs,
            cuts,
            alterations,
            reloads,
            purges,
            ..
        } = self;
        write!(
            f,
            "{at_random} kills at random, {at_points} at a system call, {missed_points} that did not reach theirs, {with_server} with the server, \
             {full_disks} with a full disk, {failed_syncs} syncs that failed, {cuts} cut connections, {alterations} altered tables, {reloads} reloads, {purges} purged logs"
        )
    }
}
