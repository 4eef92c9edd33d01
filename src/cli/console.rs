//! Where a verb's words go: data to stdout, everything else to stderr, and how it ends.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use anstream::AutoStream;
use clap::ValueEnum;
use thalweg::config::{Diag, Look, render_all};

/// How a verb ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// It failed while running.
    Failed,
    /// It was called wrongly.
    Usage,
    /// The definition has errors.
    Findings,
    /// Something outside is missing: a file, a server.
    Missing,
    /// Somebody pressed Ctrl-C, and what was under way has been finished.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Missing => 4,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a verb could not go on; what is to be said has no newline at the end.
#[derive(Debug)]
pub enum Failure {
    /// Said in words, with the exit code.
    Said(Exit, String),
    /// Findings about the definition: exit 3.
    Findings(Vec<Diag>),
    /// Reading or writing failed. A closed pipe is no failure: nobody wants the rest.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// When messages have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` forces them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A verb's mouth.
pub struct Console {
    out: BufWriter<io::Stdout>,
    color: bool,
    quiet: bool,
}

impl Console {
    /// Looks at the terminal and the environment once.
    pub fn new(when: ColorWhen, quiet: bool) -> Console {
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
        };
        Console { out: BufWriter::with_capacity(1 << 16, io::stdout()), color, quiet }
    }

    /// How findings look here.
    pub fn look(&self) -> Look {
        Look { color: self.color, hints: !self.quiet }
    }

    /// Writes data.
    pub fn data(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Where data goes.
    pub fn out(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Says something that is not data.
    pub fn say(&mut self, text: &str) {
        // Nobody may be reading, and then there is nobody to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Shows findings.
    pub fn show(&mut self, diags: &[Diag]) {
        let _ = io::stderr().write_all(render_all(diags, self.look()).as_bytes());
    }

    /// Whether hints are not wanted, nor anything else that only eyes follow.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What to do next: only on a terminal, and not with `-q`.
    pub fn next(&mut self, hint: &str) {
        if !self.quiet && io::stderr().is_terminal() {
            self.say(&format!("→ {hint}"));
        }
    }

    /// Ends a verb: data out, the failure said, the exit code known.
    pub fn end(mut self, result: Result<Exit, Failure>) -> Exit {
        let result = match (result, self.out.flush()) {
            (Ok(_), Err(error)) => Err(Failure::Io(error)),
            (result, _) => result,
        };
        match result {
            Ok(exit) => exit,
            Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Err(Failure::Io(error)) => {
                self.say(&format!("error: {error}"));
                Exit::Failed
            }
            Err(Failure::Findings(diags)) => {
                self.show(&diags);
                Exit::Findings
            }
            Err(Failure::Said(exit, text)) => {
                self.say(&text);
                exit
            }
        }
    }
}
