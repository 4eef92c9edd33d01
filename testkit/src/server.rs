//! What private servers have in common: a folder, a port, SQL, crash, restart, end.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::template;

/// How long a server may take to answer after its start.
const START_MAX: Duration = Duration::from_secs(60);

/// What a kind of server needs to be started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The server's program.
    pub(crate) program: PathBuf,
    /// The command line client.
    pub(crate) client: PathBuf,
    /// The options before all others.
    pub(crate) options: Vec<String>,
    /// Where the data directory is copied from.
    pub(crate) template: PathBuf,
    /// SQL that gives the position of the log.
    pub(crate) gtid: &'static str,
    /// How it is told its places.
    pub(crate) manner: Manner,
}

/// How a server is told where its data, its port and its socket are, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As MariaDB and MySQL are: by options; it ends by SQL.
    Mysqld,
    /// As Dolt is: its settings lie below HOME; it ends by being ended.
    Dolt,
}

/// A private database server with its own data directory, killed and removed on drop. User `root` has no password.
#[derive(Debug)]
pub struct Server {
    recipe: Recipe,
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    server: Child,
    watchdog: Child,
    alive: ChildStdin,
}

impl Server {
    pub(crate) fn start(recipe: Recipe, options: &[&str]) -> Server {
        Server::start_in(&std::env::temp_dir(), recipe, options)
    }

    /// The same with its folder in `home`.
    pub(crate) fn start_in(home: &Path, recipe: Recipe, options: &[&str]) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("thalweg-db-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = home.join(name);
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(folder.join("tmp")).expect("the temporary folder can be written");
        match recipe.manner {
            Manner::Mysqld => template::copy(&recipe.template, &folder.join("data")),
            Manner::Dolt => std::fs::create_dir_all(folder.join("data")).expect("the temporary folder can be written"),
        }
        let options = options.iter().map(ToString::to_string).collect();
        let mut server = Server { recipe, folder, port: free_port(), options, running: None };
        server.restart();
        server
    }

    /// `mysql://root@127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("mysql://root@127.0.0.1:{}", self.port)
    }

    /// The same with a database.
    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.url())
    }

    /// The TCP port; it stays the same over a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL, any number of statements.
    ///
    /// # Panics
    /// With the server's message if a statement fails.
    pub fn exec(&self, sql: &str) {
        self.query(sql);
    }

    /// Runs SQL and returns the rows of all its results as text; NULL reads `NULL`, and tab, newline and backslash come escaped, as the
    /// command line client prints them.
    ///
    /// # Panics
    /// With the server's message if a statement fails.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        match self.try_query(sql) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}\nin: {sql}"),
        }
    }

    /// The same, with the server's message as an error.
    ///
    /// # Errors
    /// What the command line client printed.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.client().try_query(sql)
    }

    /// A client that another thread may use, also while the server is killed.
    pub fn client(&self) -> Client {
        self.recipe.client(&self.folder, self.port)
    }

    /// The server's current GTID position, such as `0-1-42` or `UUID:1-42`; empty if nothing was logged yet.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn gtid(&self) -> String {
        self.query(self.recipe.gtid).concat().concat().replace("\\n", "")
    }

    /// Kills the server as a crash would; its data stays. [`Server::restart`] brings it back.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.server.kill().ok();
            running.server.wait().ok();
            running.alive.write_all(b"done\n").ok();
            running.watchdog.wait().ok();
        }
    }

    /// Starts the server again on its data and its port, after stopping it in an orderly way if it runs.
    ///
    /// # Panics
    /// With the server's log if it does not answer in time.
    pub fn restart(&mut self) {
        self.shutdown();
        self.running = Some(self.spawn());
        let begin = Instant::now();
        while let Err(error) = self.try_query("SELECT 1") {
            let running = self.running.as_mut().expect("it was just started");
            let ended = running.server.try_wait().is_ok_and(|status| status.is_some());
            if ended || begin.elapsed() > START_MAX {
                panic!("the server did not start: {error}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server in an orderly way and starts another program on its data and its port, without an option that it does not know.
    pub(crate) fn become_another(&mut self, program: PathBuf, unknown: &str) {
        self.shutdown();
        self.recipe.program = program;
        self.recipe.options.retain(|option| option != unknown);
        self.restart();
    }

    /// Stops the server in an orderly way; its data stays.
    pub fn shutdown(&mut self) {
        if self.recipe.manner == Manner::Mysqld
            && let Some(running) = &mut self.running
        {
            self.recipe.client(&self.folder, self.port).try_query("SHUTDOWN").ok();
            running.server.wait().ok();
        }
        self.kill9();
    }

    /// What the server wrote to its error log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The folder of the data, with the binlog files in it.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn spawn(&self) -> Running {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let log = std::fs::File::create(self.folder.join("log")).expect("the log file can be made");
        let mut command = Command::new(&self.recipe.program);
        command.args(&self.recipe.options);
        match self.recipe.manner {
            Manner::Mysqld => command
                .args(template::run_as_root())
                .args([format!("--datadir={}", at("data")), format!("--socket={}", at("s")), format!("--pid-file={}", at("pid"))])
                // A starting server deletes what others have in the same folder for temporary tables, and those then crash.
                .arg(format!("--tmpdir={}", at("tmp")))
                .arg(format!("--port={}", self.port)),
            Manner::Dolt => command
                .args(["--data-dir", &at("data"), "--port", &self.port.to_string()])
                .env("HOME", &self.folder)
                .env("DOLT_ROOT_PATH", &self.folder),
        };
        let server = command
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server's program starts");
        let (watchdog, alive) = watch(server.id(), &self.folder);
        Running { server, watchdog, alive }
    }
}

impl Recipe {
    fn client(&self, folder: &Path, port: u16) -> Client {
        let place = match self.manner {
            Manner::Mysqld => vec![format!("--socket={}", folder.join("s").display())],
            Manner::Dolt => vec!["--protocol=tcp".into(), "--host=127.0.0.1".into(), format!("--port={port}")],
        };
        Client { program: self.client.clone(), place }
    }
}

/// SQL by the command line client, one process for each call.
#[derive(Clone, Debug)]
pub struct Client {
    program: PathBuf,
    /// The options that say where the server is.
    place: Vec<String>,
}

impl Client {
    /// As [`Server::try_query`].
    ///
    /// # Errors
    /// What the command line client printed.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let mut client = Command::new(&self.program)
            .args(["--no-defaults", "-uroot", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"])
            .args(&self.place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut stdin = client.stdin.take().expect("stdin is piped");
        let sql = sql.to_string();
        let writer = std::thread::spawn(move || stdin.write_all(sql.as_bytes()));
        let output = client.wait_with_output().map_err(|e| e.to_string())?;
        writer.join().expect("the writer does not panic").ok();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split('\t').map(String::from).collect()).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// A small process that ends the server and removes its folder when this one is gone: it reads a pipe, and an end without a line means
/// that nobody is left.
fn watch(pid: u32, folder: &Path) -> (Child, ChildStdin) {
    let script = r#"trap "" TERM INT HUP; read line || { kill -9 "$0"; sleep 0.2; rm -rf "$1"; }"#;
    let mut watchdog = Command::new("sh")
        .args(["-c", script, &pid.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("`sh` runs");
    let alive = watchdog.stdin.take().expect("stdin is piped");
    (watchdog, alive)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
    listener.local_addr().expect("a bound socket has an address").port()
}
