//! What `check` tells programs, and what it says of a definition that is right.

use expect_test::expect;

use super::{SHOP, shop};
use crate::cli::harness::Folder;

#[test]
fn findings_are_data_with_json() {
    let text = shop("\n[fields]\n\"Order.total\" = \"prise * qtty\"\n");
    let folder = Folder::new(&[("t.toml", &text)]);
    let ran = folder.run(&["check", "t.toml", "--json"]);
    for line in ran.out.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["v"], 1);
    }
    ran.is(expect![[r#"
        exit 0
        --- stdout
        {"v":1,"severity":"warning","code":"E0253","message":"`prise` is read as an undeclared column of `Order`","file":"t.toml","line":21,"column":18,"end_line":21,"end_column":23,"label":"not declared","help":"did you mean `price`?","notes":[]}
    "#]]);
}

#[test]
fn a_right_definition_is_summed_up() {
    let folder = Folder::new(&[("t.toml", SHOP), ("reactor.toml", include_str!("../../data/reactor.toml"))]);
    folder.run(&["check", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        t.toml: 11 fields, 0 formulas, 0 effects, 0 reactions, 0 sources
    "#]]);
    folder.run(&["check", "reactor.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        reactor.toml: 3 fields, 0 formulas, 0 effects, 3 reactions, 1 source
    "#]]);
    folder.run(&["check", "reactor.toml", "--json"]).is(expect![[r#"
        exit 0
    "#]]);
    let demo = Folder::new(&[("demo.toml", include_str!("../../../src/cli/demo.toml"))]).env("DEMO_HOOK", "http://127.0.0.1:1/");
    demo.run(&["check", "demo.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        demo.toml: 30 fields, 14 formulas, 3 effects, 3 reactions, 1 source
    "#]]);
}
