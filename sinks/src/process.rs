//! Programs that actions run: never through a shell, in a process group of their own, with an environment of their own.
//!
//! - INV-PROCESS-GROUP: when a program ends, or is given up, its whole group is killed before its process id is given back, so nothing it has
//!   started goes on and nothing else is ever hit. What leaves the group on purpose (`setsid`) is out of reach.
//! - INV-PROCESS-ENV: a program sees `PATH`, the variables that `pass_env` and `env` name, and `THALWEG_…`; nothing else.
//!
//! Next to read: [`leader`], then `shell` and `handler`, which run programs.

pub(crate) mod capture;
pub(crate) mod leader;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use thalweg_graph::ports::PendingDelivery;

use crate::SinkContext;
use crate::secret::{self, Secret};
use crate::settings::{Reader, wrong};

/// A value of a passed variable of at least so many bytes may be a credential, and is shown in no error.
const CREDENTIAL_BYTES_MIN: usize = 8;

/// A program as configured: texts keep their references.
pub(crate) struct Program {
    command: Vec<String>,
    directory: PathBuf,
    env: Vec<(String, String)>,
    pass_env: Vec<String>,
    context: SinkContext,
}

/// A program that can be started now, and what must not be shown of it.
pub(crate) struct Ready {
    /// Ready but for its pipes.
    pub(crate) command: Command,
    /// What its references resolved to, and what it inherits.
    pub(crate) secrets: Vec<Secret>,
}

impl Program {
    /// Reads `command`, `directory`, `env` and `pass_env`; `None`: there is no command, which was noted.
    pub(crate) fn read(reader: &mut Reader<'_>, context: &SinkContext) -> Option<Self> {
        let command = read_command(reader);
        let directory = reader.text("directory").unwrap_or("");
        let env = reader.texts("env");
        let pass_env = reader.list("pass_env").unwrap_or_default();
        let names = env.iter().map(|(name, _)| (format!("env.{name}"), *name));
        for (key, name) in names.chain(pass_env.iter().map(|name| ("pass_env".to_owned(), *name))) {
            if let Some(why) = refused_name(name) {
                reader.refuse(key.as_str(), wrong(&key, &why));
            }
        }
        Some(Self {
            command: command?,
            directory: context.directory.join(directory),
            env: env.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
            pass_env: pass_env.into_iter().map(str::to_owned).collect(),
            context: context.clone(),
        })
    }

    /// The program as it was configured, for errors.
    pub(crate) fn shown(&self) -> &str {
        &self.command[0]
    }

    /// With its references resolved. What a relative path with a slash means does not depend on where the daemon was started.
    ///
    /// # Errors
    /// E0506: a reference has no value.
    pub(crate) fn ready(&self) -> Result<Ready, String> {
        let mut secrets = Vec::new();
        let mut resolve = |text: &str| {
            let (whole, parts) = secret::resolve(text, &self.context.secrets).map_err(|why| format!("E0506: {why}"))?;
            secrets.extend(parts);
            Ok::<_, String>(whole.reveal().to_owned())
        };
        let program = resolve(&self.command[0])?;
        let arguments = self.command[1..].iter().map(|text| resolve(text)).collect::<Result<Vec<_>, _>>()?;
        let env = self.env.iter().map(|(name, text)| Ok((name, resolve(text)?))).collect::<Result<Vec<_>, String>>()?;
        let program = if program.contains('/') { self.context.directory.join(program) } else { program.into() };
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        if !self.directory.as_os_str().is_empty() {
            command.current_dir(&self.directory);
        }
        for name in ["PATH"].into_iter().chain(self.pass_env.iter().map(String::as_str)) {
            let Some(value) = std::env::var_os(name) else { continue };
            let text = value.to_string_lossy();
            if name != "PATH" && text.len() >= CREDENTIAL_BYTES_MIN {
                secrets.push(Secret::new(text.as_ref()));
            }
            command.env(name, value);
        }
        command.envs(env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Ready { command, secrets })
    }
}

impl Ready {
    /// Tells the program which delivery this is.
    pub(crate) fn tell(&mut self, delivery: &PendingDelivery) {
        let row = &delivery.row;
        self.command.env("THALWEG_EFFECT_ID", &*row.id).env("THALWEG_RULE", &*row.node);
        self.command.env("THALWEG_ATTEMPT", (delivery.attempts + 1).to_string());
    }
}

fn read_command(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let wanted =
        "expected a list, the program and its arguments; a shell reads a line only where you say so: [\"sh\", \"-c\", \"…\"]";
    if matches!(reader.raw("command"), Some(value) if !value.is_array()) {
        reader.refuse("command", wrong("command", wanted));
        return None;
    }
    let command = reader.list("command")?;
    if command.first().is_none_or(|program| program.is_empty()) {
        reader.refuse("command", wrong("command", wanted));
        return None;
    }
    if let Some(text) = command.iter().find(|text| text.contains('\0')) {
        reader.refuse("command", wrong("command", &format!("`{}` holds a NUL character", text.escape_debug())));
        return None;
    }
    Some(command.into_iter().map(str::to_owned).collect())
}

/// Why a variable of this name cannot be given to a program.
fn refused_name(name: &str) -> Option<String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some(format!("`{}` is not the name of a variable", name.escape_debug()));
    }
    name.starts_with("THALWEG_").then(|| format!("`{name}`: names that start with THALWEG_ are the delivery's own"))
}

/// Whether a program that cannot be started may be there later: not if it is missing or may not be run.
pub(crate) fn may_start_later(why: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};
    !matches!(why.kind(), NotFound | PermissionDenied | NotADirectory | InvalidInput) && why.raw_os_error() != Some(EXEC_FORMAT)
}

/// `ENOEXEC`: a file that is no program.
const EXEC_FORMAT: i32 = 8;
