//! Sessions that end for good, told in whole (the notation is that of [`crate::stories`]), and beside differential dataflow.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use thalweg_graph::spec::{BySpec, GraphSpec, GroupSpec, TableSpec, WindowSpec};

use crate::stories::{check, shop};
use crate::twins::{Item, Updates, assert_groups_over, grouped, later_and_later, sessions};

/// Sessions with a gap of ten seconds over the order's number; the watermark is five seconds behind.
fn visits(emit: &str) -> GraphSpec {
    let fields = [
        ("Item.when", "timestamp(order)"),
        ("Visit.n", "count(items[*])"),
        ("Visit.worth", "sum(items[*].price)"),
        ("Missed.price", "max(items[*].price)"),
    ];
    let mut spec = shop(&fields, &[("over", "Visit", "n > 1"), ("missed", "Missed", "true")]);
    let window = WindowSpec {
        on: "when".into(),
        gap: Some("10s".into()),
        lateness: Some("5s".into()),
        emit: Some(emit.into()),
        late: Some("Missed".into()),
        ..WindowSpec::default()
    };
    let group = GroupSpec { of: "Item".into(), window: Some(window), rows: Some("items".into()), ..GroupSpec::default() };
    spec.tables.push(TableSpec { name: "Visit".into(), group: Some(group), ..TableSpec::default() });
    spec
}

const COMING_AND_GOING: [&str; 14] = [
    "+Item 1 0 1.00; +Item 2 8 2.00",
    // The watermark passes 18.
    "+Item 3 30 3.00",
    // One within the gap of the final session, and one that holds on to the open one only.
    "+Item 4 17 4.00; +Item 5 20 5.00",
    // What was final stands still.
    "-Item 1 0 1.00; ~Item 2 : _ _ 9.00",
    // Between a final session and an open one.
    "+Item 6 18 6.00",
    // A late row moves on in time.
    "~Item 4 : _ 21 _; ~Item 6 : _ _ 6.50",
    // The watermark is where the session would end, and a row comes there.
    "+Item 7 45 7.00; +Item 8 40 8.00",
    "+Item 9 70 9.00",
    // Just outside of a final session, and not over by itself.
    "+Item 10 56 1.00",
    // Over before they came: each would be a session of its own.
    "+Item 11 -20 1.00; +Item 12 -40 1.00",
    // A row of a final session moves to another time, and one of an open session does.
    "~Item 3 : _ 80 _; ~Item 10 : _ 68 _",
    // A load is in time with itself: what it closes may grow until it is over.
    "fill +Item 13 200 1.00",
    "fill +Item 14 86 1.00; +Item 15 150 1.00",
    "+Item 16 92 1.00",
];

#[test]
fn a_final_session_is_born_when_it_is_over_and_does_not_change() {
    check(
        &visits("final"),
        &COMING_AND_GOING,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:00Z
        1 Item.when[2]: null -> 1970-01-01T00:00:08Z
        2 Item.when[3]: null -> 1970-01-01T00:00:30Z
        2 Visit.n[1970-01-01T00:00:00Z]: null -> 2
        2 Visit.worth[1970-01-01T00:00:00Z]: null -> 3.00
        2 over[1970-01-01T00:00:00Z] fires v1 {"n":2,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        3 Item.when[4]: null -> 1970-01-01T00:00:17Z
        3 Item.when[5]: null -> 1970-01-01T00:00:20Z
        3 Missed.price[1970-01-01T00:00:00Z,4]: null -> 4.00
        3 missed[1970-01-01T00:00:00Z,4] fires v1 {"id":4,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        4 Item.when[1]: 1970-01-01T00:00:00Z -> null gone
        5 Item.when[6]: null -> 1970-01-01T00:00:18Z
        5 Missed.price[1970-01-01T00:00:00Z,6]: null -> 6.00
        5 missed[1970-01-01T00:00:00Z,6] fires v1 {"id":6,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        6 Item.when[4]: 1970-01-01T00:00:17Z -> 1970-01-01T00:00:21Z
        6 Missed.price[1970-01-01T00:00:00Z,4]: 4.00 -> null gone
        6 Missed.price[1970-01-01T00:00:00Z,6]: 6.00 -> 6.50
        7 Item.when[7]: null -> 1970-01-01T00:00:45Z
        7 Item.when[8]: null -> 1970-01-01T00:00:40Z
        8 Item.when[9]: null -> 1970-01-01T00:01:10Z
        8 Visit.n[1970-01-01T00:00:20Z]: null -> 5
        8 Visit.worth[1970-01-01T00:00:20Z]: null -> 27.00
        8 over[1970-01-01T00:00:20Z] fires v1 {"n":5,"window_start":{"$timestamp":"1970-01-01T00:00:20Z"}}
        9 Item.when[10]: null -> 1970-01-01T00:00:56Z
        10 Item.when[11]: null -> 1969-12-31T23:59:40Z
        10 Item.when[12]: null -> 1969-12-31T23:59:20Z
        10 Missed.price[1969-12-31T23:59:20Z,12]: null -> 1.00
        10 Missed.price[1969-12-31T23:59:40Z,11]: null -> 1.00
        10 missed[1969-12-31T23:59:20Z,12] fires v1 {"id":12,"window_start":{"$timestamp":"1969-12-31T23:59:20Z"}}
        10 missed[1969-12-31T23:59:40Z,11] fires v1 {"id":11,"window_start":{"$timestamp":"1969-12-31T23:59:40Z"}}
        11 Item.when[3]: 1970-01-01T00:00:30Z -> 1970-01-01T00:01:20Z
        11 Item.when[10]: 1970-01-01T00:00:56Z -> 1970-01-01T00:01:08Z
        12 Item.when[13]: null -> 1970-01-01T00:03:20Z
        12 Visit.n[1970-01-01T00:01:08Z]: null -> 3
        12 Visit.worth[1970-01-01T00:01:08Z]: null -> 13.00
        13 Item.when[14]: null -> 1970-01-01T00:01:26Z
        13 Item.when[15]: null -> 1970-01-01T00:02:30Z
        13 Visit.n[1970-01-01T00:01:08Z]: 3 -> 4
        13 Visit.n[1970-01-01T00:02:30Z]: null -> 1
        13 Visit.worth[1970-01-01T00:01:08Z]: 13.00 -> 14.00
        13 Visit.worth[1970-01-01T00:02:30Z]: null -> 1.00
        14 Item.when[16]: null -> 1970-01-01T00:01:32Z
        14 Missed.price[1970-01-01T00:01:08Z,16]: null -> 1.00
        14 missed[1970-01-01T00:01:08Z,16] fires v1 {"id":16,"window_start":{"$timestamp":"1970-01-01T00:01:08Z"}}
    "#]],
    );
}

#[test]
fn an_early_session_follows_its_rows_until_it_is_over() {
    check(
        &visits("early+final"),
        &COMING_AND_GOING,
        expect![[r#"
        1 Item.when[1]: null -> 1970-01-01T00:00:00Z
        1 Item.when[2]: null -> 1970-01-01T00:00:08Z
        1 Visit.n[1970-01-01T00:00:00Z]: null -> 2
        1 Visit.worth[1970-01-01T00:00:00Z]: null -> 3.00
        1 over[1970-01-01T00:00:00Z] fires v1 {"n":2,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        2 Item.when[3]: null -> 1970-01-01T00:00:30Z
        2 Visit.n[1970-01-01T00:00:30Z]: null -> 1
        2 Visit.worth[1970-01-01T00:00:30Z]: null -> 3.00
        3 Item.when[4]: null -> 1970-01-01T00:00:17Z
        3 Item.when[5]: null -> 1970-01-01T00:00:20Z
        3 Missed.price[1970-01-01T00:00:00Z,4]: null -> 4.00
        3 Visit.n[1970-01-01T00:00:20Z]: null -> 2
        3 Visit.n[1970-01-01T00:00:30Z]: 1 -> null gone
        3 Visit.worth[1970-01-01T00:00:20Z]: null -> 8.00
        3 Visit.worth[1970-01-01T00:00:30Z]: 3.00 -> null gone
        3 missed[1970-01-01T00:00:00Z,4] fires v1 {"id":4,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        3 over[1970-01-01T00:00:20Z] fires v1 {"n":2,"window_start":{"$timestamp":"1970-01-01T00:00:20Z"}}
        4 Item.when[1]: 1970-01-01T00:00:00Z -> null gone
        5 Item.when[6]: null -> 1970-01-01T00:00:18Z
        5 Missed.price[1970-01-01T00:00:00Z,6]: null -> 6.00
        5 missed[1970-01-01T00:00:00Z,6] fires v1 {"id":6,"window_start":{"$timestamp":"1970-01-01T00:00:00Z"}}
        6 Item.when[4]: 1970-01-01T00:00:17Z -> 1970-01-01T00:00:21Z
        6 Missed.price[1970-01-01T00:00:00Z,4]: 4.00 -> null gone
        6 Missed.price[1970-01-01T00:00:00Z,6]: 6.00 -> 6.50
        6 Visit.n[1970-01-01T00:00:20Z]: 2 -> 3
        6 Visit.worth[1970-01-01T00:00:20Z]: 8.00 -> 12.00
        7 Item.when[7]: null -> 1970-01-01T00:00:45Z
        7 Item.when[8]: null -> 1970-01-01T00:00:40Z
        7 Visit.n[1970-01-01T00:00:20Z]: 3 -> 5
        7 Visit.worth[1970-01-01T00:00:20Z]: 12.00 -> 27.00
        8 Item.when[9]: null -> 1970-01-01T00:01:10Z
        8 Visit.n[1970-01-01T00:01:10Z]: null -> 1
        8 Visit.worth[1970-01-01T00:01:10Z]: null -> 9.00
        9 Item.when[10]: null -> 1970-01-01T00:00:56Z
        9 Visit.n[1970-01-01T00:00:56Z]: null -> 1
        9 Visit.worth[1970-01-01T00:00:56Z]: null -> 1.00
        10 Item.when[11]: null -> 1969-12-31T23:59:40Z
        10 Item.when[12]: null -> 1969-12-31T23:59:20Z
        10 Missed.price[1969-12-31T23:59:20Z,12]: null -> 1.00
        10 Missed.price[1969-12-31T23:59:40Z,11]: null -> 1.00
        10 missed[1969-12-31T23:59:20Z,12] fires v1 {"id":12,"window_start":{"$timestamp":"1969-12-31T23:59:20Z"}}
        10 missed[1969-12-31T23:59:40Z,11] fires v1 {"id":11,"window_start":{"$timestamp":"1969-12-31T23:59:40Z"}}
        11 Item.when[3]: 1970-01-01T00:00:30Z -> 1970-01-01T00:01:20Z
        11 Item.when[10]: 1970-01-01T00:00:56Z -> 1970-01-01T00:01:08Z
        11 Visit.n[1970-01-01T00:00:56Z]: 1 -> null gone
        11 Visit.n[1970-01-01T00:01:08Z]: null -> 3
        11 Visit.n[1970-01-01T00:01:10Z]: 1 -> null gone
        11 Visit.worth[1970-01-01T00:00:56Z]: 1.00 -> null gone
        11 Visit.worth[1970-01-01T00:01:08Z]: null -> 13.00
        11 Visit.worth[1970-01-01T00:01:10Z]: 9.00 -> null gone
        11 over[1970-01-01T00:01:08Z] fires v1 {"n":3,"window_start":{"$timestamp":"1970-01-01T00:01:08Z"}}
        12 Item.when[13]: null -> 1970-01-01T00:03:20Z
        12 Visit.n[1970-01-01T00:03:20Z]: null -> 1
        12 Visit.worth[1970-01-01T00:03:20Z]: null -> 1.00
        13 Item.when[14]: null -> 1970-01-01T00:01:26Z
        13 Item.when[15]: null -> 1970-01-01T00:02:30Z
        13 Visit.n[1970-01-01T00:01:08Z]: 3 -> 4
        13 Visit.n[1970-01-01T00:02:30Z]: null -> 1
        13 Visit.worth[1970-01-01T00:01:08Z]: 13.00 -> 14.00
        13 Visit.worth[1970-01-01T00:02:30Z]: null -> 1.00
        14 Item.when[16]: null -> 1970-01-01T00:01:32Z
        14 Missed.price[1970-01-01T00:01:08Z,16]: null -> 1.00
        14 missed[1970-01-01T00:01:08Z,16] fires v1 {"id":16,"window_start":{"$timestamp":"1970-01-01T00:01:08Z"}}
    "#]],
    );
}

#[test]
fn a_session_is_over_though_its_only_row_makes_room_for_another_meanwhile() {
    check(
        &visits("early+final"),
        &["+Item 1 0 1.00", "-Item 1 0 1.00; +Item 2 0 2.00; +Item 3 30 3.00", "-Item 2 0 2.00"],
        expect![[r#"
            1 Item.when[1]: null -> 1970-01-01T00:00:00Z
            1 Visit.n[1970-01-01T00:00:00Z]: null -> 1
            1 Visit.worth[1970-01-01T00:00:00Z]: null -> 1.00
            2 Item.when[1]: 1970-01-01T00:00:00Z -> null gone
            2 Item.when[2]: null -> 1970-01-01T00:00:00Z
            2 Item.when[3]: null -> 1970-01-01T00:00:30Z
            2 Visit.n[1970-01-01T00:00:30Z]: null -> 1
            2 Visit.worth[1970-01-01T00:00:00Z]: 1.00 -> 2.00
            2 Visit.worth[1970-01-01T00:00:30Z]: null -> 3.00
            3 Item.when[2]: 1970-01-01T00:00:00Z -> null gone
        "#]],
    );
}

#[test]
fn the_final_sessions_are_a_differential_reduce_of_what_was_there_when_they_ended() {
    let (gap, emit, lateness) = (Some("2s".into()), Some("final".into()), Some("4s".into()));
    let window = WindowSpec { on: "at".into(), gap, emit, lateness, ..WindowSpec::default() };
    let plan = grouped(GroupSpec { by: BySpec::One("order".into()), window: Some(window), ..GroupSpec::default() });
    assert_groups_over("final sessions", &plan, later_and_later, |updates| sessions(when_over(updates)));
}

/// The items of each session as they were at the end of the epoch in which it was over, at that epoch and for good.
fn when_over(mut updates: Updates<Item>) -> Updates<Item> {
    const GAP: i64 = 2;
    updates.sort_by_key(|(_, epoch, _)| *epoch);
    let mut held: BTreeSet<Item> = BTreeSet::new();
    let mut open: BTreeSet<Item> = BTreeSet::new();
    let mut finals: BTreeMap<i64, Vec<[i64; 2]>> = BTreeMap::new();
    let mut closed = Updates::new();
    let mut watermark = i64::MIN;
    for of_epoch in updates.chunk_by(|a, b| a.1 == b.1) {
        let before = held.clone();
        for (item, _, diff) in of_epoch {
            if *diff > 0 {
                held.insert(*item)
            } else {
                held.remove(item)
            };
        }
        open.retain(|item| held.contains(item));
        let near = |(order, (_, x)): &Item| {
            finals.get(order).into_iter().flatten().any(|[first, last]| first - GAP <= *x && *x <= last + GAP)
        };
        let new: BTreeSet<Item> = held.difference(&before).filter(|item| !near(item)).copied().collect();
        open.extend(&new);
        for run in runs(&open, GAP).into_iter().filter(|run| run[run.len() - 1].1.1 + GAP < watermark) {
            open.retain(|item| !run.contains(item) || !new.contains(item));
        }
        watermark = held.iter().map(|(_, (_, x))| x - 4).max().unwrap_or(watermark).max(watermark);
        for run in runs(&open, GAP).into_iter().filter(|run| run[run.len() - 1].1.1 + GAP < watermark) {
            finals.entry(run[0].0).or_default().push([run[0].1.1, run[run.len() - 1].1.1]);
            closed.extend(run.iter().map(|item| (*item, of_epoch[0].1, 1)));
            open.retain(|item| !run.contains(item));
        }
    }
    closed
}

/// Items of one order that follow each other within the gap, in the order of time.
fn runs(items: &BTreeSet<Item>, gap: i64) -> Vec<Vec<Item>> {
    let mut items: Vec<Item> = items.iter().copied().collect();
    items.sort_by_key(|(order, (id, x))| (*order, *x, *id));
    items.chunk_by(|a, b| a.0 == b.0 && b.1.1 - a.1.1 <= gap).map(<[Item]>::to_vec).collect()
}
