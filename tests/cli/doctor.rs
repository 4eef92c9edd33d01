//! `doctor` where there is no server: the definition, the data directory, files, and how it is called.

use expect_test::expect;

use super::harness::{Folder, Ran};

const FILE: &str =
    "[[source]]\nname = \"lines\"\nkind = \"jsonl\"\npath = \"in.jsonl\"\n\n[[table]]\nname = \"Order\"\nkey = [\"id\"]\n";

/// What is left on the disk differs.
fn without_space(mut ran: Ran) -> Ran {
    let line = |line: &str| match line.split_once(" MiB") {
        Some((number, rest)) => format!("{}… MiB{rest}\n", number.trim_end_matches(char::is_numeric)),
        None => format!("{line}\n"),
    };
    ran.out = ran.out.lines().map(line).collect();
    ran
}

#[test]
fn a_definition_with_errors_is_exit_3_and_a_finding_each() {
    let bad = "[fields]\n\"Order.total\" = \"price *\"\n";
    let folder = Folder::new(&[("bad.toml", bad)]);
    without_space(folder.run(&["doctor", "bad.toml"])).is(expect![[r#"
        exit 3
        --- stdout
        definition
          bad   definition  bad.toml:2:24: the formula ends where a value is expected [E0102]
                            = help: write the value, or remove this

        data .thalweg
          ok    writable    yes
          ok    free space  … MiB
          ok    store       none yet: the first run makes it

        3 ok, 0 warn, 1 bad
    "#]]);
    without_space(folder.run(&["doctor", "bad.toml", "--json"])).is(expect![[r#"
        exit 3
        --- stdout
        {"v":1,"about":"definition","server":null,"name":"definition","grade":"bad","found":"bad.toml:2:24: the formula ends where a value is expected","code":"E0102","help":"write the value, or remove this","sql":[]}
        {"v":1,"about":"data .thalweg","server":null,"name":"writable","grade":"ok","found":"yes","code":null,"help":null,"sql":[]}
        {"v":1,"about":"data .thalweg","server":null,"name":"free space","grade":"ok","found":"… MiB","code":null,"help":null,"sql":[]}
        {"v":1,"about":"data .thalweg","server":null,"name":"store","grade":"ok","found":"none yet: the first run makes it","code":null,"help":null,"sql":[]}
    "#]]);
}

#[test]
fn what_is_missing_outside_is_exit_4_and_nothing_is_made() {
    let folder = Folder::new(&[("t.toml", FILE)]);
    without_space(folder.run(&["doctor", "t.toml"])).is(expect![[r#"
        exit 4
        --- stdout
        definition
          ok    definition  no errors

        data .thalweg
          ok    writable    yes
          ok    free space  … MiB
          ok    store       none yet: the first run makes it

        source lines
          bad   file  in.jsonl cannot be read
                      = help: check the path, and that this user may read it

        4 ok, 0 warn, 1 bad
    "#]]);
    let folder = Folder::new(&[("t.toml", FILE), ("in.jsonl", "")]);
    without_space(folder.run(&["doctor", "t.toml"])).is(expect![[r#"
        exit 0
        --- stdout
        definition
          ok    definition  no errors

        data .thalweg
          ok    writable    yes
          ok    free space  … MiB
          ok    store       none yet: the first run makes it

        source lines
          ok    file  in.jsonl

        5 ok, 0 warn, 0 bad
    "#]]);
    assert!(!folder.command(&[]).get_current_dir().unwrap().join(".thalweg").exists());
}

#[test]
fn a_wrong_call_says_how_it_is_called() {
    let folder = Folder::new(&[]);
    folder.run(&["doctor", "postgres://a:sesame@b/c"]).is(expect![[r#"
        exit 2
        --- stderr
        error: a server's url begins with mysql://
          = help: thalweg doctor 'mysql://USER:${PASSWORD}@HOST:3306/DATABASE'
    "#]]);
    folder.run(&["doctor", "mysql://a@b/c", "--show-secret"]).is(expect![[r#"
        exit 2
        --- stderr
        error: --data and --show-secret go with a configuration, not with a url
    "#]]);
    folder.run(&["doctor", "mysql://a:${NOT_SET}@b/c"]).is(expect![[r#"
        exit 4
        --- stderr
        error: environment variable `NOT_SET` is not set
    "#]]);
    folder.run(&["doctor", "none.toml"]).is(expect![[r#"
        exit 4
        --- stderr
        error: cannot read none.toml: No such file or directory (os error 2)
    "#]]);
}
