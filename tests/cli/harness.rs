//! Runs the binary in a folder of its own, away from the environment of whoever runs the tests.

use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};

use expect_test::Expect;
use tempfile::TempDir;

/// A folder with files; the binary runs in it.
pub struct Folder {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a run left behind. `Display` shows it whole.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Folder {
    pub fn new(files: &[(&str, &str)]) -> Folder {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file can be written");
        }
        Folder { dir, env: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Folder {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(args).current_dir(&self.dir).env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("the binary runs");
        Ran::of(output)
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("the binary runs");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        stdin.write_all(input.as_bytes()).expect("the binary reads its input");
        drop(stdin);
        Ran::of(child.wait_with_output().expect("the binary ends"))
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub fn append(&self, name: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.dir.path().join(name)).expect("the file is there");
        file.write_all(text.as_bytes()).expect("it can be written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).expect("the file is there")
    }
}

impl Ran {
    fn of(output: std::process::Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The whole of it is as expected.
    pub fn is(&self, want: Expect) {
        want.assert_eq(&self.to_string());
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", &self.out), ("stderr", &self.err)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{text}")?;
            }
        }
        Ok(())
    }
}

/// `check` of every text, one after another.
pub fn check(cases: &[(&str, &str)], want: Expect) {
    let mut shown = String::new();
    for (what, text) in cases {
        let folder = Folder::new(&[("t.toml", text)]);
        let ran = folder.run(&["check", "t.toml", "-q"]);
        shown += &format!("=== {what}\n{ran}");
    }
    want.assert_eq(&shown);
}
