//! `thalweg run` and `thalweg demo`, as far as no database is needed: lines from a file, the made-up shop.

use std::collections::BTreeSet;

use super::harness::Folder;

const LINES: &str = r#"
[[source]]
name = "file"
kind = "jsonl"
path = "in.jsonl"

[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", total = "decimal(10,2)" }

[fields]
"Order.big" = "total > 100"

[[effect]]
name = "big"
on = "Order"
when = "big"
payload = ["id", "total"]
actions = [{ type = "log", path = "big.log" }]
"#;

fn line(id: u32, total: &str) -> String {
    format!("{{\"changes\":[{{\"table\":\"Order\",\"op\":\"insert\",\"after\":{{\"id\":{id},\"total\":\"{total}\"}}}}]}}\n")
}

#[test]
fn a_file_is_followed_to_its_end_and_a_second_run_goes_on_behind_it() {
    let folder = Folder::new(&[("t.toml", LINES), ("in.jsonl", &(line(1, "50.00") + &line(2, "150.00")))]);
    let ran = folder.run(&["run", "t.toml", "--until-idle", "0.3"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(folder.read("big.log").lines().count(), 1, "{ran}");

    folder.append("in.jsonl", &line(3, "500.00"));
    let again = folder.run(&["run", "t.toml", "--until-idle", "0.3"]);
    assert_eq!(again.code, 0, "{again}");
    let log = folder.read("big.log");
    assert_eq!(log.lines().count(), 2, "what was read before is not read again\n{log}\n{again}");
    assert!(log.lines().last().unwrap().contains("500.00"), "{log}");
}

/// A row that comes back behind a clear is a new one: its condition rises again; also where the clear was read by an earlier run.
#[test]
fn a_table_of_lines_is_emptied_by_a_clear() {
    let clear = "{\"changes\":[{\"table\":\"Order\",\"op\":\"clear\"}]}\n";
    let folder = Folder::new(&[("t.toml", LINES), ("in.jsonl", &(line(2, "150.00") + clear + &line(2, "160.00") + clear))]);
    for fired in [2, 3] {
        let ran = folder.run(&["run", "t.toml", "--until-idle", "0.3"]);
        assert_eq!((ran.code, folder.read("big.log").lines().count()), (0, fired), "{ran}");
        folder.append("in.jsonl", &line(2, "170.00"));
    }
}

#[test]
fn the_demo_sees_changes_effects_and_acknowledgements() {
    let ran = Folder::new(&[]).run(&["demo", "--seconds", "1.5", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran}");
    let last: serde_json::Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    let count = |name: &str| last[name].as_u64().unwrap_or_else(|| panic!("{name} in {last}"));
    assert!(count("transactions") > 0 && count("deltas") > 0 && count("effects_acked") > 0, "{last}");
    assert_eq!(count("effects_fired"), count("effects_acked") + count("effects_pending") + count("effects_dead"), "{last}");
}

/// A dry run shows what the next run delivers, id by id, and leaves all as it is: before the first run, and behind one.
#[test]
fn a_dry_run_shows_what_a_run_delivers_and_keeps_nothing() {
    let folder = Folder::new(&[("t.toml", LINES), ("in.jsonl", &(line(1, "50.00") + &line(2, "150.00")))]);
    for (shown, delivered) in [(1, 1), (2, 3)] {
        let before = folder.run(&["verify", ".thalweg"]);
        let dry = folder.run(&["run", "t.toml", "--dry-run", "--until-idle", "0.3"]);
        assert_eq!((dry.code, dry.out.lines().count()), (0, shown), "{dry}");
        assert_eq!(folder.run(&["verify", ".thalweg"]).to_string(), before.to_string());
        let ran = folder.run(&["run", "t.toml", "--until-idle", "0.3"]);
        assert_eq!((ran.code, folder.read("big.log").lines().count()), (0, delivered), "{ran}");
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string();
        let log = folder.read("big.log");
        // Deliveries of several keys are under way at once.
        let written: BTreeSet<String> = log.lines().skip(delivered - shown).map(id).collect();
        assert_eq!(dry.out.lines().map(id).collect::<BTreeSet<_>>(), written, "{dry}\n{log}");
        folder.append("in.jsonl", &(line(3, "500.00") + &line(4, "20.00") + &line(5, "600.00")));
    }
    let last = folder.run(&["run", "t.toml", "--dry-run", "--until-idle", "0.3"]);
    assert_eq!((last.code, last.out.as_str()), (0, ""), "the lines were there before\n{last}");
}
