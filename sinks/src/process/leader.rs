//! A child process that leads a group of its own, started in threads of its own, and how the group ends with it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A handle on a group; dropping it does nothing, see [`Leash`].
#[derive(Debug)]
pub(crate) struct Leader {
    /// `None` once the leader's process id may belong to somebody else.
    pid: Mutex<Option<Pid>>,
}

/// The pipes of a started program.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// A group that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Leash(pub(crate) Arc<Leader>);

impl Leader {
    /// Starts a program whose pipes are all set; `ended` is called, in another thread, when it has ended and its group is gone.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        command: &mut Command,
        ended: impl FnOnce(ExitStatus) + Send + 'static,
    ) -> io::Result<(Arc<Leader>, Pipes)> {
        let mut child = command.process_group(0).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            unreachable!("invariant: the three pipes were asked for");
        };
        let leader = Arc::new(Leader { pid: Mutex::new(Some(Pid::from_child(&child))) });
        let watched = leader.clone();
        let watch = move || watched.watch(child).map(ended);
        let thread = std::thread::Builder::new().name("thalweg-child".into()).spawn(watch);
        if let Err(why) = thread {
            leader.signal(Signal::KILL);
            return Err(why);
        }
        Ok((leader, Pipes { stdin, stdout, stderr }))
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.pid() {
            // The group may just have ended: then there is nobody to tell.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Waits for the leader, ends the rest of its group, and only then gives its process id back (INV-PROCESS-GROUP).
    fn watch(&self, mut child: Child) -> Option<ExitStatus> {
        let pid = Pid::from_child(&child);
        while let Err(why) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            if why != rustix::io::Errno::INTR {
                break;
            }
        }
        self.signal(Signal::KILL);
        let mut held = self.pid();
        *held = None;
        child.wait().ok()
    }

    fn pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.signal(Signal::KILL);
    }
}

/// How a program ended, in words.
pub(crate) fn shown(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}
