//! How far the first reading of the tables has come: a bar on a terminal, lines elsewhere.

use std::process::{Command, Stdio};

use super::harness::{Home, SECRET, shop, shop_server};

/// What a run to where nothing moves writes on a terminal.
fn on_terminal(home: &Home, term: &str, options: &str) -> String {
    let command = format!("{} run thalweg.toml --until-idle 0.5 {options}", env!("CARGO_BIN_EXE_thalweg"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(home.path(""));
    script.env("HOOK_SECRET", SECRET).env("TERM", term).env_remove("THALWEG_LOG").stdin(Stdio::null());
    let output = script.output().expect("`script`, which every Debian has, runs");
    let text = String::from_utf8(output.stdout).expect("what is said is UTF-8");
    assert!(output.status.success(), "{text}");
    text.replace("\r\n", "\n")
}

#[test]
fn the_first_reading_is_a_bar_on_a_terminal_and_lines_elsewhere() {
    let Some(server) = shop_server() else { return };
    server.exec("USE shop; INSERT INTO orders SELECT seq, seq % 50 FROM seq_1_to_100000; ANALYZE TABLE orders");
    let config = shop(&server.url(), "{ type = \"log\" }");
    let shown = on_terminal(&Home::new(&config), "xterm", "");
    assert!(
        shown.contains("\rshop [") && shown.contains(" rows, ") && shown.contains("/s, ") && shown.contains(" left"),
        "{shown}"
    );
    // Nothing of it stays: a line behind which something comes was taken back before.
    let last = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned();
    let stays: Vec<String> = shown.lines().map(last).filter(|line| line.starts_with("shop")).collect();
    assert!(stays.is_empty(), "{stays:?}");
    assert!(shown.lines().any(|line| last(line).contains("source shop: 100000 rows in ")), "{shown}");
    for (term, options) in [("dumb", ""), ("xterm", "--quiet")] {
        let shown = on_terminal(&Home::new(&config), term, options);
        assert!(!shown.contains("\rshop") && shown.contains("source shop: 100000 rows in "), "{shown}");
    }
    let ended = Home::new(&config).run_until_idle("0.5");
    ended.well();
    assert!(!ended.said.contains('\r') && ended.said.contains("source shop: 100000 rows in "), "{}", ended.said);
}
