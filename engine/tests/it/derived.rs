//! Derived tables, told in whole (the notation is that of [`crate::stories`]), and beside differential dataflow.

use expect_test::expect;
use thalweg_graph::spec::{BySpec, FieldSpec, GraphSpec, GroupSpec, OneOrMany, RelationSpec, TableSpec, WindowSpec};

use crate::stories::{check, check_with, shop};

/// The shop, with items by order under the name of `Bag`.
fn bags(by: BySpec, filter: Option<&str>, fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let mut spec = shop(fields, effects);
    let group =
        GroupSpec { of: "Item".into(), by, filter: filter.map(Into::into), rows: Some("items".into()), ..GroupSpec::default() };
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
    let group = GroupSpec { of: "Bag".into(), by: one("n"), rows: Some("bags".into()), ..GroupSpec::default() };
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

/// A row comes into and leaves the documents of its list's elements one by one; what it gives goes with it.
#[test]
fn a_row_is_in_a_document_for_each_element_of_its_list() {
    let mut spec = shop(&[("Tag.total", "sum(items[*].price)"), ("Tag.n", "count(items[*])")], &[("busy", "Tag", "n > 1")]);
    spec.fields.push(FieldSpec {
        name: "Item.tags_of".into(),
        formula: "price > 5 ? ['dear', 'all', 'all'] : price > 1 ? ['all'] : []".into(),
        ..FieldSpec::default()
    });
    let group = GroupSpec {
        of: "Item".into(),
        by: BySpec::Named([("tag".into(), "tags_of[*]".into())].into()),
        filter: Some("order > 0".into()),
        window: None,
        rows: Some("items".into()),
        closure: false,
    };
    spec.tables.push(TableSpec { name: "Tag".into(), group: Some(group), ..TableSpec::default() });
    check(
        &spec,
        &[
            "+Item 1 7 9.00; +Item 2 7 2.00",
            "~Item 1 : _ _ 3.00",
            "~Item 2 : _ 0 _",
            "~Item 1 : _ _ 0.50",
            "fill +Item 3 1 6.00",
            "-Item 3 1 6.00",
        ],
        expect![[r#"
            1 Item.tags_of[1]: null -> ["dear","all","all"]
            1 Item.tags_of[2]: null -> ["all"]
            1 Tag.n["all"]: null -> 2
            1 Tag.n["dear"]: null -> 1
            1 Tag.total["all"]: null -> 11.00
            1 Tag.total["dear"]: null -> 9.00
            1 busy["all"] fires v1 {"n":2,"tag":"all"}
            2 Item.tags_of[1]: ["dear","all","all"] -> ["all"]
            2 Tag.n["dear"]: 1 -> null gone
            2 Tag.total["all"]: 11.00 -> 5.00
            2 Tag.total["dear"]: 9.00 -> null gone
            3 Tag.n["all"]: 2 -> 1
            3 Tag.total["all"]: 5.00 -> 3.00
            4 Item.tags_of[1]: ["all"] -> []
            4 Tag.n["all"]: 1 -> null gone
            4 Tag.total["all"]: 3.00 -> null gone
            5 Item.tags_of[3]: null -> ["dear","all","all"]
            5 Tag.n["all"]: null -> 1
            5 Tag.n["dear"]: null -> 1
            5 Tag.total["all"]: null -> 6.00
            5 Tag.total["dear"]: null -> 6.00
            6 Item.tags_of[3]: ["dear","all","all"] -> null gone
            6 Tag.n["all"]: 1 -> null gone
            6 Tag.n["dear"]: 1 -> null gone
            6 Tag.total["all"]: 6.00 -> null gone
            6 Tag.total["dear"]: 6.00 -> null gone
        "#]],
    );
}

/// The order's number is a time, in seconds from the epoch.
#[test]
fn a_row_is_in_each_window_that_holds_it() {
    let windows = |slide: Option<&str>| {
        let mut spec = shop(&[("Span.n", "count(notes[*])")], &[]);
        spec.fields.push(FieldSpec { name: "Item.when".into(), formula: "timestamp(order)".into(), ..FieldSpec::default() });
        let window = WindowSpec {
            on: "when".into(),
            size: Some("10s".into()),
            slide: slide.map(Into::into),
            offset: slide.map(|_| "1s".into()),
            ..WindowSpec::default()
        };
        let group = GroupSpec {
            of: "Item".into(),
            by: BySpec::Many(Vec::new()),
            filter: None,
            window: Some(window),
            rows: Some("notes".into()),
            closure: false,
        };
        spec.tables.push(TableSpec { name: "Span".into(), group: Some(group), ..TableSpec::default() });
        spec
    };
    let history = ["+Item 1 0 1.00; +Item 2 9 1.00", "+Item 3 10 1.00", "~Item 2 : _ 12 _", "~Item 1 : _ null _"];
    check(
        &windows(None),
        &history,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:00Z
        1 Item.when[2]: null -> 1970-01-01T00:00:09Z
        1 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 2
        2 Item.when[3]: null -> 1970-01-01T00:00:10Z
        2 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 1
        3 Item.when[2]: 1970-01-01T00:00:09Z -> 1970-01-01T00:00:12Z
        3 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 2 -> 1
        3 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 1 -> 2
        4 Item.when[1]: 1970-01-01T00:00:00Z -> null
        4 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 1 -> null gone
    "#]],
    );
    check(
        &windows(Some("5s")),
        &history,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:00Z
        1 Item.when[2]: null -> 1970-01-01T00:00:09Z
        1 Span.n[1969-12-31T23:59:51Z,1970-01-01T00:00:01Z]: null -> 1
        1 Span.n[1969-12-31T23:59:56Z,1970-01-01T00:00:06Z]: null -> 1
        1 Span.n[1970-01-01T00:00:01Z,1970-01-01T00:00:11Z]: null -> 1
        1 Span.n[1970-01-01T00:00:06Z,1970-01-01T00:00:16Z]: null -> 1
        2 Item.when[3]: null -> 1970-01-01T00:00:10Z
        2 Span.n[1970-01-01T00:00:01Z,1970-01-01T00:00:11Z]: 1 -> 2
        2 Span.n[1970-01-01T00:00:06Z,1970-01-01T00:00:16Z]: 1 -> 2
        3 Item.when[2]: 1970-01-01T00:00:09Z -> 1970-01-01T00:00:12Z
        3 Span.n[1970-01-01T00:00:01Z,1970-01-01T00:00:11Z]: 2 -> 1
        3 Span.n[1970-01-01T00:00:11Z,1970-01-01T00:00:21Z]: null -> 1
        4 Item.when[1]: 1970-01-01T00:00:00Z -> null
        4 Span.n[1969-12-31T23:59:51Z,1970-01-01T00:00:01Z]: 1 -> null gone
        4 Span.n[1969-12-31T23:59:56Z,1970-01-01T00:00:06Z]: 1 -> null gone
    "#]],
    );
}

/// The order's number is a time again; items belong together where no more than ten seconds are between them.
#[test]
fn sessions_grow_merge_and_fall_apart() {
    let mut spec = shop(&[("Visit.n", "count(items[*])"), ("Visit.last", "max(items[*].when)")], &[("long", "Visit", "n > 2")]);
    spec.fields.push(FieldSpec { name: "Item.when".into(), formula: "timestamp(order)".into(), ..FieldSpec::default() });
    let window = WindowSpec { on: "when".into(), gap: Some("10s".into()), ..WindowSpec::default() };
    let group = GroupSpec {
        of: "Item".into(),
        filter: Some("price > 1".into()),
        window: Some(window),
        rows: Some("items".into()),
        ..GroupSpec::default()
    };
    spec.tables.push(TableSpec { name: "Visit".into(), group: Some(group), ..TableSpec::default() });
    check(
        &spec,
        &[
            "+Item 1 0 2.00; +Item 2 10 2.00; +Item 3 30 2.00",
            "+Item 4 20 2.00",
            "+Item 5 -5 2.00",
            "~Item 4 : _ _ 0.50",
            "-Item 5 -5 2.00; ~Item 4 : _ _ 3.00; ~Item 2 : _ 41 _",
            "fill -Item 1 0 2.00",
        ],
        expect![[r#"
            1 Item.when[1]: null -> 1970-01-01T00:00:00Z
            1 Item.when[2]: null -> 1970-01-01T00:00:10Z
            1 Item.when[3]: null -> 1970-01-01T00:00:30Z
            1 Visit.last[1970-01-01T00:00:00Z]: null -> 1970-01-01T00:00:10Z
            1 Visit.last[1970-01-01T00:00:30Z]: null -> 1970-01-01T00:00:30Z
            1 Visit.n[1970-01-01T00:00:00Z]: null -> 2
            1 Visit.n[1970-01-01T00:00:30Z]: null -> 1
            2 Item.when[4]: null -> 1970-01-01T00:00:20Z
            2 Visit.last[1970-01-01T00:00:00Z]: 1970-01-01T00:00:10Z -> 1970-01-01T00:00:30Z
            2 Visit.last[1970-01-01T00:00:30Z]: 1970-01-01T00:00:30Z -> null gone
            2 Visit.n[1970-01-01T00:00:00Z]: 2 -> 4
            2 Visit.n[1970-01-01T00:00:30Z]: 1 -> null gone
            2 long[1970-01-01T00:00:00Z] fires v1 {"n":4,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
            3 Item.when[5]: null -> 1969-12-31T23:59:55Z
            3 Visit.last[1969-12-31T23:59:55Z]: null -> 1970-01-01T00:00:30Z
            3 Visit.last[1970-01-01T00:00:00Z]: 1970-01-01T00:00:30Z -> null gone
            3 Visit.n[1969-12-31T23:59:55Z]: null -> 5
            3 Visit.n[1970-01-01T00:00:00Z]: 4 -> null gone
            3 long[1969-12-31T23:59:55Z] fires v1 {"n":5,"window_start":{"$timestamp":"1969-12-31T23:59:55Z"}}
            4 Visit.last[1969-12-31T23:59:55Z]: 1970-01-01T00:00:30Z -> 1970-01-01T00:00:10Z
            4 Visit.last[1970-01-01T00:00:30Z]: null -> 1970-01-01T00:00:30Z
            4 Visit.n[1969-12-31T23:59:55Z]: 5 -> 3
            4 Visit.n[1970-01-01T00:00:30Z]: null -> 1
            5 Item.when[2]: 1970-01-01T00:00:10Z -> 1970-01-01T00:00:41Z
            5 Item.when[5]: 1969-12-31T23:59:55Z -> null gone
            5 Visit.last[1969-12-31T23:59:55Z]: 1970-01-01T00:00:10Z -> null gone
            5 Visit.last[1970-01-01T00:00:00Z]: null -> 1970-01-01T00:00:00Z
            5 Visit.last[1970-01-01T00:00:20Z]: null -> 1970-01-01T00:00:30Z
            5 Visit.last[1970-01-01T00:00:30Z]: 1970-01-01T00:00:30Z -> null gone
            5 Visit.last[1970-01-01T00:00:41Z]: null -> 1970-01-01T00:00:41Z
            5 Visit.n[1969-12-31T23:59:55Z]: 3 -> null gone
            5 Visit.n[1970-01-01T00:00:00Z]: null -> 1
            5 Visit.n[1970-01-01T00:00:20Z]: null -> 2
            5 Visit.n[1970-01-01T00:00:30Z]: 1 -> null gone
            5 Visit.n[1970-01-01T00:00:41Z]: null -> 1
            6 Item.when[1]: 1970-01-01T00:00:00Z -> null gone
            6 Visit.last[1970-01-01T00:00:00Z]: 1970-01-01T00:00:00Z -> null gone
            6 Visit.n[1970-01-01T00:00:00Z]: 1 -> null gone
        "#]],
    );
}

/// Windows of ten seconds over the order's number; the watermark is five seconds behind.
fn ending(emit: &str) -> GraphSpec {
    let mut spec = shop(
        &[
            ("Item.when", "timestamp(order)"),
            ("Span.n", "count(items[*])"),
            ("Span.worth", "sum(items[*].price)"),
            ("Span.known", "sum(items[*].price) * rate"),
            ("TooLate.price", "max(items[*].price)"),
            ("rate", "max(Order[*].qty)"),
        ],
        &[("over", "Span", "n > 0"), ("missed", "TooLate", "true")],
    );
    let window = WindowSpec {
        on: "when".into(),
        size: Some("10s".into()),
        lateness: Some("5s".into()),
        emit: Some(emit.into()),
        late: Some("TooLate".into()),
        ..WindowSpec::default()
    };
    let group = GroupSpec { of: "Item".into(), window: Some(window), rows: Some("items".into()), ..GroupSpec::default() };
    spec.tables.push(TableSpec { name: "Span".into(), group: Some(group), ..TableSpec::default() });
    spec
}

const LATE_AND_IN_TIME: [&str; 10] = [
    "+Order 1 1 10; +Item 1 3 1.00; +Item 2 12 2.00",
    "+Item 3 14 2.00; +Item 4 5 5.00",
    "+Item 5 15 1.00; +Item 6 1 7.00",
    "+Item 7 2 9.00; ~Item 1 : _ _ 4.00; -Item 4 5 5.00; ~Order 1 : _ _ 20",
    "~Item 7 : _ _ 9.50",
    "~Item 7 : _ 16 _; ~Item 6 : _ 11 _",
    "fill +Item 8 4 1.00; +Item 9 40 1.00",
    "fill +Item 10 21 3.00",
    "+Item 11 22 3.00",
    "-Item 11 22 3.00",
];

#[test]
fn a_final_window_is_born_when_it_is_over_and_does_not_change() {
    check(
        &ending("final"),
        &LATE_AND_IN_TIME,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:03Z
        1 Item.when[2]: null -> 1970-01-01T00:00:12Z
        1 rate[]: null -> 10
        2 Item.when[3]: null -> 1970-01-01T00:00:14Z
        2 Item.when[4]: null -> 1970-01-01T00:00:05Z
        3 Item.when[5]: null -> 1970-01-01T00:00:15Z
        3 Item.when[6]: null -> 1970-01-01T00:00:01Z
        3 Span.known[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 130.00
        3 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 3
        3 Span.worth[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 13.00
        3 over[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z] fires v1 {"n":3,"window_end":{"$timestamp":"1970-01-01T00:00:10Z"},"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        4 Item.when[4]: 1970-01-01T00:00:05Z -> null gone
        4 Item.when[7]: null -> 1970-01-01T00:00:02Z
        4 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: null -> 9.00
        4 rate[]: 10 -> 20
        4 missed[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7] fires v1 {"id":7,"window_end":{"$timestamp":"1970-01-01T00:00:10Z"},"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        5 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: 9.00 -> 9.50
        6 Item.when[6]: 1970-01-01T00:00:01Z -> 1970-01-01T00:00:11Z
        6 Item.when[7]: 1970-01-01T00:00:02Z -> 1970-01-01T00:00:16Z
        6 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: 9.50 -> null gone
        7 Item.when[8]: null -> 1970-01-01T00:00:04Z
        7 Item.when[9]: null -> 1970-01-01T00:00:40Z
        7 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 430.00
        7 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 5
        7 Span.worth[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 21.50
        7 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,8]: null -> 1.00
        8 Item.when[10]: null -> 1970-01-01T00:00:21Z
        8 Span.known[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 60.00
        8 Span.n[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 1
        8 Span.worth[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 3.00
        9 Item.when[11]: null -> 1970-01-01T00:00:22Z
        9 TooLate.price[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11]: null -> 3.00
        9 missed[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11] fires v1 {"id":11,"window_end":{"$timestamp":"1970-01-01T00:00:30Z"},"window_start":{"$timestamp":"1970-01-01T00:00:20Z"}}
        10 Item.when[11]: 1970-01-01T00:00:22Z -> null gone
        10 TooLate.price[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11]: 3.00 -> null gone
    "#]],
    );
}

#[test]
fn an_early_window_follows_its_rows_until_it_is_over() {
    check(
        &ending("early+final"),
        &LATE_AND_IN_TIME,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:03Z
        1 Item.when[2]: null -> 1970-01-01T00:00:12Z
        1 Span.known[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 10.00
        1 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 20.00
        1 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 1
        1 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 1
        1 Span.worth[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: null -> 1.00
        1 Span.worth[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: null -> 2.00
        1 rate[]: null -> 10
        1 over[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z] fires v1 {"n":1,"window_end":{"$timestamp":"1970-01-01T00:00:10Z"},"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        1 over[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z] fires v1 {"n":1,"window_end":{"$timestamp":"1970-01-01T00:00:20Z"},"window_start":{"$timestamp":"1970-01-01T00:00:10Z"}}
        2 Item.when[3]: null -> 1970-01-01T00:00:14Z
        2 Item.when[4]: null -> 1970-01-01T00:00:05Z
        2 Span.known[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 10.00 -> 60.00
        2 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 20.00 -> 40.00
        2 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 1 -> 2
        2 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 1 -> 2
        2 Span.worth[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 1.00 -> 6.00
        2 Span.worth[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 2.00 -> 4.00
        3 Item.when[5]: null -> 1970-01-01T00:00:15Z
        3 Item.when[6]: null -> 1970-01-01T00:00:01Z
        3 Span.known[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 60.00 -> 130.00
        3 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 40.00 -> 50.00
        3 Span.n[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 2 -> 3
        3 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 2 -> 3
        3 Span.worth[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z]: 6.00 -> 13.00
        3 Span.worth[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 4.00 -> 5.00
        4 Item.when[4]: 1970-01-01T00:00:05Z -> null gone
        4 Item.when[7]: null -> 1970-01-01T00:00:02Z
        4 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 50.00 -> 100.00
        4 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: null -> 9.00
        4 rate[]: 10 -> 20
        4 missed[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7] fires v1 {"id":7,"window_end":{"$timestamp":"1970-01-01T00:00:10Z"},"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        5 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: 9.00 -> 9.50
        6 Item.when[6]: 1970-01-01T00:00:01Z -> 1970-01-01T00:00:11Z
        6 Item.when[7]: 1970-01-01T00:00:02Z -> 1970-01-01T00:00:16Z
        6 Span.known[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 100.00 -> 430.00
        6 Span.n[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 3 -> 5
        6 Span.worth[1970-01-01T00:00:10Z,1970-01-01T00:00:20Z]: 5.00 -> 21.50
        6 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,7]: 9.50 -> null gone
        7 Item.when[8]: null -> 1970-01-01T00:00:04Z
        7 Item.when[9]: null -> 1970-01-01T00:00:40Z
        7 Span.known[1970-01-01T00:00:40Z,1970-01-01T00:00:50Z]: null -> 20.00
        7 Span.n[1970-01-01T00:00:40Z,1970-01-01T00:00:50Z]: null -> 1
        7 Span.worth[1970-01-01T00:00:40Z,1970-01-01T00:00:50Z]: null -> 1.00
        7 TooLate.price[1970-01-01T00:00:00Z,1970-01-01T00:00:10Z,8]: null -> 1.00
        8 Item.when[10]: null -> 1970-01-01T00:00:21Z
        8 Span.known[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 60.00
        8 Span.n[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 1
        8 Span.worth[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z]: null -> 3.00
        9 Item.when[11]: null -> 1970-01-01T00:00:22Z
        9 TooLate.price[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11]: null -> 3.00
        9 missed[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11] fires v1 {"id":11,"window_end":{"$timestamp":"1970-01-01T00:00:30Z"},"window_start":{"$timestamp":"1970-01-01T00:00:20Z"}}
        10 Item.when[11]: 1970-01-01T00:00:22Z -> null gone
        10 TooLate.price[1970-01-01T00:00:20Z,1970-01-01T00:00:30Z,11]: 3.00 -> null gone
    "#]],
    );
}
