//! A daemon as a process that is watched: what it says, how it ends, ways to end it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until it holds.
///
/// # Panics
/// After 90 seconds, with `what`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    patiently(|| holds().then_some(()), || what.to_owned());
}

/// Looks until there is something to see; `wanted` says in a failure what there was not.
fn patiently<T>(mut look: impl FnMut() -> Option<T>, wanted: impl Fn() -> String) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {}", wanted());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A daemon that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// How a daemon ended, and what it had said on stderr.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All that it said.
    pub said: String,
}

impl Ended {
    /// It ended as it should.
    ///
    /// # Panics
    /// With what it said, if it did not.
    pub fn well(&self) {
        assert_eq!(self.status.code(), Some(0), "{}", self.said);
    }
}

impl Daemon {
    /// Starts it; its stderr is read.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn of(mut command: Command) -> Daemon {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).spawn().expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let listener = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Daemon { child, said, listener: Some(listener) }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    ///
    /// # Panics
    /// If the thread that listens has.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says so.
    ///
    /// # Panics
    /// If that does not come within 90 seconds.
    pub fn until_said(&self, text: &str) {
        patiently(|| self.said().contains(text).then_some(()), || format!("`{text}`, and it said:\n{}", self.said()));
    }

    /// Whether it runs; it may have ended by itself.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_none()
    }

    /// Waits for its own end.
    ///
    /// # Panics
    /// If that does not come within 90 seconds.
    pub fn wait(mut self) -> Ended {
        let (child, said) = (&mut self.child, &self.said);
        let end = || format!("its end, and it said:\n{}", said.lock().unwrap());
        let status = patiently(|| child.try_wait().expect("it can be waited for"), end);
        self.listener.take().expect("it ends once").join().expect("listening does not panic");
        Ended { status, said: self.said() }
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// If that does not come within 90 seconds.
    pub fn kill9(mut self) -> Ended {
        self.child.kill().expect("it can be killed");
        self.wait()
    }

    /// SIGTERM, and its orderly end.
    ///
    /// # Panics
    /// If that does not come within 90 seconds.
    pub fn stop(self) -> Ended {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("`kill` runs").success(), "{}", self.said());
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
