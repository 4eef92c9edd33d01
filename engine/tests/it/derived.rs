//! Derived tables, told in whole (the notation is that of [`crate::stories`]), and beside differential dataflow.

use expect_test::expect;
use thalweg_graph::spec::{BySpec, GraphSpec, GroupSpec, OneOrMany, RelationSpec, TableSpec};

use crate::stories::{check, check_with, shop};

/// The shop, with items by order under the name of `Bag`.
fn bags(by: BySpec, filter: Option<&str>, fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let mut spec = shop(fields, effects);
    let group = GroupSpec { of: "Item".into(), by, filter: filter.map(Into::into), rows: Some("items".into()) };
    spec.tables.push(TableSpec { name: "Bag".into(), group: Some(group), ..TableSpec::default() });
    let bag = RelationSpec::Lookup { to: "Bag".into(), key: OneOrMany::One("order".into()) };
    spec.tables[1].relations.insert("bag".into(), bag);
    spec
}

fn one(name: &str) -> BySpec {
    BySpec::One(name.into())
}

#[test]
fn a_document_lives_as_long_as_a_row_is_in_it() {
    check_with(
        &bags(
            one("order"),
            Some("price > 1"),
            &[("Bag.total", "sum(items[*].price)"), ("Bag.n", "count(items[*])")],
            &[("full", "Bag", "n > 1")],
        ),
        true,
        &[
            "+Item 1 7 1.50; +Item 2 7 2.00",
            "+Item 3 8 0.50",
            "~Item 3 : _ _ 5.00",
            "~Item 1 : _ 8 _",
            "~Item 2 : _ null _",
            "~Item 2 : _ 7 _",
            "-Item 1 8 1.50; -Item 3 8 5.00",
        ],
        expect![[r#"
            1 Bag.n[7]: null -> 2
            1 Bag.order[7]: null -> 7
            1 Bag.total[7]: null -> 3.50
            1 Item.id[1]: null -> 1
            1 Item.id[2]: null -> 2
            1 Item.order[1]: null -> 7
            1 Item.order[2]: null -> 7
            1 Item.price[1]: null -> 1.50
            1 Item.price[2]: null -> 2.00
            1 full[7] fires v1 {"n":2,"order":7}
            2 Item.id[3]: null -> 3
            2 Item.order[3]: null -> 8
            2 Item.price[3]: null -> 0.50
            3 Bag.n[8]: null -> 1
            3 Bag.order[8]: null -> 8
            3 Bag.total[8]: null -> 5.00
            3 Item.price[3]: 0.50 -> 5.00
            4 Bag.n[7]: 2 -> 1
            4 Bag.n[8]: 1 -> 2
            4 Bag.total[7]: 3.50 -> 2.00
            4 Bag.total[8]: 5.00 -> 6.50
            4 Item.order[1]: 7 -> 8
            4 full[8] fires v1 {"n":2,"order":8}
            5 Bag.n[7]: 1 -> null gone
            5 Bag.order[7]: 7 -> null gone
            5 Bag.total[7]: 2.00 -> null gone
            5 Item.order[2]: 7 -> null
            6 Bag.n[7]: null -> 1
            6 Bag.order[7]: null -> 7
            6 Bag.total[7]: null -> 2.00
            6 Item.order[2]: null -> 7
            7 Bag.n[8]: 2 -> null gone
            7 Bag.order[8]: 8 -> null gone
            7 Bag.total[8]: 6.50 -> null gone
            7 Item.id[1]: 1 -> null gone
            7 Item.id[3]: 3 -> null gone
            7 Item.order[1]: 8 -> null gone
            7 Item.order[3]: 8 -> null gone
            7 Item.price[1]: 1.50 -> null gone
            7 Item.price[3]: 5.00 -> null gone
        "#]],
    );
}

#[test]
fn a_group_that_empties_and_fills_again_within_an_epoch_lives_on() {
    check(
        &bags(
            one("order"),
            None,
            &[("Bag.steps", "self + count(items[*]) * 0 + 1"), ("Bag.top", "max(items[*].id)")],
            &[("seen", "Bag", "true")],
        ),
        &[
            "+Item 1 7 1.50",
            "-Item 1 7 1.50; +Item 2 7 2.00",
            "-Item 2 7 2.00",
            "+Item 3 7 1.00",
            "~Item 3 : _ 8 _; +Item 4 7 1.00",
        ],
        expect![[r#"
            1 Bag.steps[7]: null -> 1
            1 Bag.top[7]: null -> 1
            1 seen[7] fires v1 {"order":7}
            2 Bag.top[7]: 1 -> 2
            3 Bag.steps[7]: 1 -> null gone
            3 Bag.top[7]: 2 -> null gone
            4 Bag.steps[7]: null -> 1
            4 Bag.top[7]: null -> 3
            4 seen[7] fires v3 {"order":7}
            5 Bag.steps[8]: null -> 1
            5 Bag.top[7]: 3 -> 4
            5 Bag.top[8]: null -> 3
            5 seen[8] fires v1 {"order":8}
        "#]],
    );
}

#[test]
fn rows_read_their_group_and_go_with_it() {
    check(
        &bags(
            one("order"),
            None,
            &[
                ("Bag.total", "sum(items[*].price)"),
                ("Item.share", "price / bag.total"),
                ("Bag.most", "max(items[*].share)"),
                ("bags", "count(Bag[*])"),
            ],
            &[],
        ),
        &["+Item 1 7 1.00", "+Item 2 7 3.00", "~Item 2 : _ 8 _", "-Item 1 7 1.00"],
        expect![[r#"
            1 Bag.most[7]: null -> 1.000000
            1 Bag.total[7]: null -> 1.00
            1 Item.share[1]: null -> 1.000000
            1 bags[]: null -> 1
            2 Bag.most[7]: 1.000000 -> 0.750000
            2 Bag.total[7]: 1.00 -> 4.00
            2 Item.share[1]: 1.000000 -> 0.250000
            2 Item.share[2]: null -> 0.750000
            3 Bag.most[7]: 0.750000 -> 1.000000
            3 Bag.most[8]: null -> 1.000000
            3 Bag.total[7]: 4.00 -> 1.00
            3 Bag.total[8]: null -> 3.00
            3 Item.share[1]: 0.250000 -> 1.000000
            3 Item.share[2]: 0.750000 -> 1.000000
            3 bags[]: 1 -> 2
            4 Bag.most[7]: 1.000000 -> null gone
            4 Bag.total[7]: 1.00 -> null gone
            4 Item.share[1]: 1.000000 -> null gone
            4 bags[]: 2 -> 1
        "#]],
    );
}

#[test]
fn a_key_in_error_is_no_key() {
    check(
        &bags(BySpec::Named([("size".into(), "6 / int(price)".into())].into()), None, &[("Bag.n", "count(items[*])")], &[]),
        &[
            "+Item 1 7 1.00; +Item 2 7 6.00",
            "~Item 2 : _ _ 0.50",
            "~Item 2 : _ _ 1.50",
            "fill +Item 3 8 3.00",
            "~Item 1 : _ _ null",
        ],
        expect![[r#"
            1 Bag.n[1]: null -> 1
            1 Bag.n[6]: null -> 1
            2 Bag.n[1]: 1 -> null gone
            3 Bag.n[6]: 1 -> 2
            4 Bag.n[2]: null -> 1
            5 Bag.n[6]: 2 -> 1
        "#]],
    );
}

#[test]
fn groups_of_groups_follow_in_one_epoch() {
    let mut spec = bags(
        one("order"),
        None,
        &[("Bag.n", "count(items[*])"), ("Size.held", "count(bags[*])"), ("Size.worth", "sum(bags[*].items[*].price)")],
        &[("shared", "Size", "held > 1")],
    );
    let group = GroupSpec { of: "Bag".into(), by: one("n"), filter: None, rows: Some("bags".into()) };
    spec.tables.push(TableSpec { name: "Size".into(), group: Some(group), ..TableSpec::default() });
    check(
        &spec,
        &["+Item 1 7 1.00; +Item 2 7 3.00; +Item 3 8 5.00", "~Item 2 : _ 8 _", "~Item 2 : _ 9 _", "-Item 3 8 5.00"],
        expect![[r#"
            1 Bag.n[7]: null -> 2
            1 Bag.n[8]: null -> 1
            1 Size.held[1]: null -> 1
            1 Size.held[2]: null -> 1
            1 Size.worth[1]: null -> 5.00
            1 Size.worth[2]: null -> 4.00
            2 Bag.n[7]: 2 -> 1
            2 Bag.n[8]: 1 -> 2
            2 Size.worth[1]: 5.00 -> 1.00
            2 Size.worth[2]: 4.00 -> 8.00
            3 Bag.n[8]: 2 -> 1
            3 Bag.n[9]: null -> 1
            3 Size.held[1]: 1 -> 3
            3 Size.held[2]: 1 -> null gone
            3 Size.worth[1]: 1.00 -> 9.00
            3 Size.worth[2]: 8.00 -> null gone
            3 shared[1] fires v1 {"held":3,"n":1}
            4 Bag.n[8]: 1 -> null gone
            4 Size.held[1]: 3 -> 2
            4 Size.worth[1]: 9.00 -> 4.00
        "#]],
    );
}
