//! The examples: every definition is right, and every command that a page gives works as it stands there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where commands are given to be run.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below `examples` with this name.
fn files(name: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("examples")).expect("there are examples").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = folders.map(|folder| folder.join(name)).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// The lines of a page's shell blocks.
fn commands(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).expect("a page can be read");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// What a run left, if it did not end well.
fn failure(mut command: Command) -> Option<String> {
    let output = command.current_dir(root()).output().expect("it runs");
    (!output.status.success()).then(|| format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn thalweg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(args);
    command
}

#[test]
fn every_definition_is_right() {
    let definitions = files("thalweg.toml");
    assert!(definitions.len() >= 3, "{definitions:?}");
    for path in definitions {
        let check = thalweg(&["check", "-q", path.to_str().expect("its name is text")]);
        assert_eq!(failure(check), None);
    }
}

/// `run` wants the databases that the tests of the daemon start; here its definition is checked.
#[test]
fn the_commands_of_every_page_work() {
    let mut pages = files("README.md");
    pages.push(root().join("examples/README.md"));
    pages.push(root().join("README.md"));
    let mut tried = 0;
    for line in pages.iter().flat_map(|page| commands(page)) {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let words: Vec<&str> = words.into_iter().skip_while(|word| word.contains("_PASSWORD=")).collect();
        for path in
            words.iter().filter(|word| word.starts_with("examples/") && !word.contains("/invoices/") && !word.ends_with(".txt"))
        {
            assert!(root().join(path).is_file(), "{line}: there is no {path}");
        }
        let failed = match words.as_slice() {
            ["thalweg", "check" | "run", path, ..] if path.starts_with("examples/") => failure(thalweg(&["check", "-q", path])),
            ["thalweg", args @ ..] if args.iter().any(|arg| arg.starts_with("examples/")) => failure(thalweg(args)),
            ["cargo", "run", "--example", name] => failure(example(name)),
            _ => continue,
        };
        assert_eq!(failed, None, "{line}");
        tried += 1;
    }
    assert!(tried >= 15, "only {tried} commands were found");
}

/// The built example, which stands beside the built binary; it is built now where only this test was asked for.
fn example(name: &str) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_thalweg")).with_file_name("examples").join(name);
    if !built.is_file() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", name]);
        assert_eq!(failure(build), None);
    }
    Command::new(built)
}

/// `THALWEG_KILLS` and `THALWEG_SEED` set how many, and which.
#[test]
fn the_crash_ledger_balances_after_fifty_kills() {
    if !thalweg_testkit::require() {
        return;
    }
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (kills, seed) = (setting("THALWEG_KILLS", "50"), setting("THALWEG_SEED", "1"));
    let mut ledger = example("crash_ledger");
    ledger.args(["--kills", &kills, "--seed", &seed]).env("THALWEG_BINARY", env!("CARGO_BIN_EXE_thalweg"));
    let output = ledger.current_dir(root()).output().expect("it runs");
    let (said, told) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    eprintln!("{said}{told}");
    assert!(output.status.success(), "{said}{told}");
    let last: serde_json::Value = serde_json::from_str(told.lines().last().expect("a last line")).expect("it is JSON");
    assert_eq!(
        (last["kills"].to_string(), &last["lost"], &last["duplicated_idempotent"]),
        (kills, &0.into(), &0.into()),
        "{told}"
    );
}
