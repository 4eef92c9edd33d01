//! Exit codes, streams, colours, pipes.

use expect_test::expect;

use super::harness::Folder;

const GOOD: &str = "[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\n[fields]\n\"Order.total\" = \"price * 2\"\n";
const BAD: &str = "[fields]\n\"Order.total\" = \"price *\"\n";

#[test]
fn alone_it_says_six_lines() {
    let ran = Folder::new(&[]).run(&[]);
    assert_eq!(ran.out.lines().count(), 6);
    ran.is(expect![[r#"
        exit 0
        --- stdout
        thalweg 0.1.0: a change in a database, derived fields kept, an effect out
          thalweg demo                     a live graph over a made-up shop, no database needed
          thalweg check thalweg.toml       is the definition right?
          thalweg run thalweg.toml         follow the database, keep the fields, fire the effects
        docs: README.md, ARCHITECTURE.md; thalweg explain E0203 for any error
        help: thalweg --help, thalweg VERB --help
    "#]]);
}

#[test]
fn help_leads_with_examples_and_version_is_one_line() {
    let folder = Folder::new(&[]);
    for args in [
        &["--help"][..],
        &["check", "--help"],
        &["apply", "--help"],
        &["eval", "--help"],
        &["graph", "--help"],
        &["doctor", "--help"],
        &["tail", "--help"],
        &["explain", "--help"],
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert!(ran.out.starts_with("Examples:\n"), "{args:?} leads with examples:\n{}", ran.out);
    }
    assert_eq!(folder.run(&["--version"]).out, format!("thalweg {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn exit_codes_say_what_happened() {
    let folder = Folder::new(&[("good.toml", GOOD), ("bad.toml", BAD), ("bad.jsonl", "{\n")]);
    for (args, code) in [
        (&["check", "good.toml"][..], 0),
        (&["check", "bad.toml"], 3),
        (&["check", "none.toml"], 4),
        (&["check"], 2),
        (&["chekc", "good.toml"], 2),
        (&["apply", "good.toml", "--input", "none.jsonl"], 4),
        (&["apply", "good.toml", "--input", "bad.jsonl"], 1),
        (&["apply", "bad.toml", "--input", "bad.jsonl"], 3),
        (&["apply", "good.toml", "--input", "bad.jsonl", "--batch", "0"], 2),
        (&["eval", "--input", "none.jsonl"], 4),
        (&["eval", "--input", "bad.jsonl"], 1),
        (&["graph", "bad.toml"], 3),
        (&["graph", "good.toml", "--format", "svg"], 2),
        (&["explain", "E0285"], 0),
        (&["explain", "E9999"], 2),
        (&["explain", "sense"], 2),
        (&["explain", "good.toml", "--node", "Order.total"], 0),
        (&["explain", "good.toml", "--node", "Order.totl"], 2),
        (&["run", "none.toml"], 4),
        (&["run", "bad.toml"], 3),
        (&["run", "good.toml"], 3),
        (&["run", "good.toml", "--until-idle", "soon"], 2),
        (&["demo", "--seconds", "-1"], 2),
    ] {
        let ran = folder.run(args);
        assert_eq!(ran.code, code, "{args:?}\n{ran}");
        assert!(!ran.err.contains("panicked"), "{args:?}\n{ran}");
    }
}

#[test]
fn a_pipe_gets_no_colours_unless_they_are_forced() {
    let folder = Folder::new(&[("bad.toml", BAD)]);
    let colours = |folder: &Folder, args: &[&str]| folder.run(args).err.contains('\x1b');
    assert!(!colours(&folder, &["check", "bad.toml"]));
    assert!(colours(&folder, &["check", "bad.toml", "--color", "always"]));
    let forced = Folder::new(&[("bad.toml", BAD)]).env("CLICOLOR_FORCE", "1");
    assert!(colours(&forced, &["check", "bad.toml"]));
    assert!(!colours(&forced, &["check", "bad.toml", "--color", "never"]));
    let refused = Folder::new(&[("bad.toml", BAD)]).env("NO_COLOR", "1");
    assert!(!colours(&refused, &["check", "bad.toml"]));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let lines: String = (1..20_000)
        .map(|id| format!("{{\"changes\":[{{\"table\":\"Order\",\"op\":\"insert\",\"after\":{{\"id\":{id},\"price\":1}}}}]}}\n"))
        .collect();
    let folder = Folder::new(&[("good.toml", GOOD), ("in.jsonl", &lines)]);
    let mut child = folder.command(&["apply", "good.toml", "--input", "in.jsonl"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn quiet_hides_hints() {
    let folder = Folder::new(&[("bad.toml", BAD)]);
    assert!(folder.run(&["check", "bad.toml"]).err.contains("next: thalweg explain"));
    assert!(!folder.run(&["check", "bad.toml", "-q"]).err.contains("next:"));
}
