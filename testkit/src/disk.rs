//! A disk that can be full: a small file system in memory, which only some users may mount.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A file system of its own size, unmounted on drop. Make it before the servers that lie on it, so that it goes after them.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// One of so many MiB; `None`, and `skipped: …` is printed, where this user may not mount one.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    pub fn mount(mib: usize) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(dir.path()).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(dir));
        }
        eprintln!("skipped: no right to mount a small file system");
        None
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes it full, to the last byte.
    ///
    /// # Panics
    /// If a file cannot be made on it.
    pub fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).expect("a file can be made");
        for size in [1 << 20, 1 << 12, 1] {
            while ballast.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Makes room again.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn free(&self) {
        std::fs::remove_file(self.path().join("ballast")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}
