use proptest::prelude::*;
use thalweg_engine::Options;
use thalweg_formulas::Type;
use thalweg_graph::transaction::{Op, SchemaColumn};
use thalweg_graph::{Change, Row, Schema, planning};

use super::*;
use crate::config::{Config, Environment, SourceText};

/// An order is looked at again 10 s after it was placed, and once more 5 s after that.
const REMINDERS: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = { id = "int", status = "text" }

[[classify]]
database = "shop"
table = "orders"
insert = "order.placed"
update = "order.changed"

[[reactions]]
event = "order.placed"
timer = { delay = "10s", event = "order.late" }

[[reactions]]
event = "order.late"
condition = "status == 'open'"
timer = { delay = "5s", event = "order.lost" }
actions = [{ type = "log" }]

[[reactions]]
event = "order.lost"
condition = "status == 'open'"
actions = [{ type = "log" }]
"#;

/// One reminder an order, put off by each change, called off when it is paid or deleted; a look at all orders every 20 s; and a due time
/// of the order's own.
const REVOCABLE: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = { id = "int", status = "text" }

[[classify]]
database = "shop"
table = "orders"
insert = "order.placed"
update = "order.changed"
delete = "order.gone"

[[schedule]]
name = "rounds"
cron = "*/20 * * * * *"
event = "round"
on = "Order"

[[reactions]]
event = "order.placed"
timer = { delay = "10s", event = "order.late", reset = true, cancel_when = "status == 'paid'" }

[[reactions]]
event = "order.changed"
timer = { delay = "4s", event = "order.stale", reset = true, cancel_on = ["order.gone", "order.late"] }

[[reactions]]
event = "order.placed"
timer = { at = "tx.at + duration(status == 'open' ? '7s' : '0s')", event = "order.due", cancel_on = "round" }

[[reactions]]
event = "round"
condition = "status == 'open'"
actions = [{ type = "log" }]
"#;

/// Fields that the clock publishes in every way.
const CLOCKED: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = { id = "int", status = "text" }

[fields]
"Order.shown" = { formula = "status", timing = { every = "20s" } }
"Order.again" = { formula = "shown", timing = { cron = "*/10 * * * * *" } }
"Order.third" = { formula = "status", timing = { batch = 3, or_after = "4s" } }
"open" = { formula = "count(Order[*].third == 'open' ? 1 : null)", timing = { every = "20s" } }

[[effect]]
name = "is shown"
when = "Order.shown == 'open'"
actions = [{ type = "log" }]

[[effect]]
name = "is third"
when = "Order.third == 'paid'"
actions = [{ type = "log" }]

[[effect]]
name = "many"
when = "open > 1"
actions = [{ type = "log" }]
"#;

fn sequencer() -> Sequencer {
    sequencer_of(REMINDERS)
}

fn sequencer_of(config: &str) -> Sequencer {
    resumed(config, Vec::new(), Timestamp(0))
}

fn resumed(config: &str, timers: Vec<Timer>, at: Timestamp) -> Sequencer {
    let config = Config::parse(SourceText::new("t.toml", config), &Environment::default()).expect("the configuration is right");
    let plan = Arc::new(planning::plan(&config.spec, &[]).expect("the definition is right").0);
    let engine = Engine::new(plan.clone(), Options::default());
    Sequencer::new(engine, plan, timers, at)
}

/// "Make it so", committed `at` this second; the status `gone` deletes.
fn order(at: i64, id: i64, status: &str) -> Transaction {
    let column = |name: &str, ty| SchemaColumn::new(name.into(), ty);
    let columns = vec![column("id", Type::Int), column("status", Type::Text)];
    let schema = Arc::new(Schema { table: "shop.orders".into(), columns, key: vec![0] });
    let after: Row = [Some(Value::Int(id)), Some(Value::text(status))].into();
    let change = match status {
        "gone" => Change { schema, op: Op::Delete, key: Some([Value::Int(id)].into()), before: None, after: None },
        _ => Change { schema, op: Op::Upsert, key: None, before: None, after: Some(after) },
    };
    Transaction {
        source: "test".into(),
        origin: format!("tx-{at}-{id}-{status}").into(),
        at: seconds(at),
        body: Body::Changes(vec![change]),
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

/// Everything that waits, in batches of `max`; a line per epoch.
fn drain(sequencer: &mut Sequencer, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(batch) = sequencer.batch(max, true).expect("nothing is spilled") {
        for (n, transaction) in batch.transactions.iter().enumerate() {
            let epoch = batch.first + n as u64;
            let what = match &transaction.body {
                Body::Timer(timer) => format!("{} {:?}", timer.event, timer.key),
                _ => transaction.origin.to_string(),
            };
            let fired: Vec<_> =
                batch.outcome.fired.iter().filter(|f| f.epoch == epoch).map(|f| format!("{} {:?}", f.node, f.key)).collect();
            lines.push(format!("epoch {epoch} at {} s: {what}; fired {fired:?}", transaction.at.0 / 1_000_000));
        }
    }
    lines
}

/// The events in their order, without what fired.
fn events(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(';').next().unwrap()).collect()
}

#[test]
fn due_timers_take_their_epochs_before_the_transaction_that_reaches_them() {
    let mut sequencer = sequencer();
    for transaction in [order(2, 2, "open"), order(1, 1, "open"), order(12, 3, "paid"), order(40, 4, "paid")] {
        sequencer.offer(transaction);
    }
    let lines = drain(&mut sequencer, 100);
    // The second one was committed before the first: time does not go back, so its timer is due at 12 s too.
    assert_eq!(events(&lines)[..2], ["epoch 1 at 2 s: tx-2-2-open", "epoch 2 at 2 s: tx-1-1-open"], "{lines:#?}");
    let mut late: Vec<&str> = events(&lines)[2..4].iter().map(|line| line.split(" at ").nth(1).unwrap()).collect();
    late.sort_unstable();
    assert_eq!(late, ["12 s: order.late [Int(1)]", "12 s: order.late [Int(2)]"]);
    assert_eq!(events(&lines)[4], "epoch 5 at 12 s: tx-12-3-paid");
    let after: Vec<&str> = events(&lines)[5..].iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(after.len(), 4, "{lines:#?}");
    assert_eq!((after[2], after[3]), ("order.late [Int(3)]", "tx-40-4-paid"), "two at 17 s, then the one due at 22 s");
    assert_eq!(sequencer.next_due(), Some(seconds(50)));
}

#[test]
fn the_clock_fires_timers_when_nothing_waits_and_leaves_what_waits_in_its_place() {
    let mut sequencer = sequencer();
    sequencer.offer(order(1, 1, "open"));
    assert_eq!(events(&drain(&mut sequencer, 100)), ["epoch 1 at 1 s: tx-1-1-open"]);
    sequencer.clock(seconds(10));
    assert!(drain(&mut sequencer, 100).is_empty(), "due at 11 s");
    sequencer.clock(seconds(30));
    // One that was committed at 5 s comes late: it stands before the timer of 11 s.
    sequencer.offer(order(5, 1, "paid"));
    let lines = drain(&mut sequencer, 100);
    assert_eq!(events(&lines), ["epoch 2 at 5 s: tx-5-1-paid", "epoch 3 at 11 s: order.late [Int(1)]"]);
    assert!(lines[1].ends_with("fired []"), "it was paid in time: {lines:?}");
    assert_eq!((sequencer.timers(), sequencer.queued()), (0, 0));
}

#[test]
fn less_than_a_batch_waits_unless_it_is_flushed() {
    let mut sequencer = sequencer();
    sequencer.offer(order(1, 1, "open"));
    assert!(sequencer.batch(2, false).unwrap().is_none());
    assert_eq!(sequencer.queued(), 1);
    let batch = sequencer.batch(2, true).unwrap().expect("one waits");
    assert_eq!((batch.first, batch.transactions.len(), batch.armed.len()), (1, 1, 1));
    assert_eq!(batch.armed[0].due, seconds(11));
    assert!(sequencer.batch(2, true).unwrap().is_none());
}

/// A pause, an order, what becomes of it; `None`: the clock moves to 7 s after the last one.
type Step = Option<(i64, i64, &'static str)>;

/// Orders placed, paid, opened again and deleted.
fn histories() -> impl Strategy<Value = Vec<Step>> {
    let status = prop_oneof![3 => Just("open"), 1 => Just("paid"), 1 => Just("gone")];
    let transaction = (0i64..9, 1i64..6, status).prop_map(Some);
    proptest::collection::vec(prop_oneof![6 => transaction, 1 => Just(None)], 1..60)
}

fn run(config: &str, history: &[Step], max: usize) -> (Vec<String>, Option<Timestamp>, usize) {
    let mut sequencer = sequencer_of(config);
    let (mut at, mut lines) = (0, Vec::new());
    for (n, step) in history.iter().enumerate() {
        match *step {
            Some((pause, id, status)) => {
                at += pause;
                let order = order(at, id, status);
                let body = match order.body {
                    Body::Changes(changes) if n % 4 == 3 => Body::Spilled(Arc::new(changes)),
                    body => body,
                };
                sequencer.offer(Transaction { origin: format!("tx-{n}").into(), body, ..order });
            }
            None => {
                lines.extend(drain(&mut sequencer, max));
                sequencer.clock(seconds(at + 7));
            }
        }
    }
    lines.extend(drain(&mut sequencer, max));
    (lines, sequencer.next_due(), sequencer.timers())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// INV-SEQ-1 and INV-SEQ-2.
    #[test]
    fn inv_seq_1_epochs_and_firings_are_the_same_for_every_batch_size(history in histories(), max in 2usize..80) {
        for config in [REMINDERS, REVOCABLE, CLOCKED] {
            let one_by_one = run(config, &history, 1);
            prop_assert_eq!(&run(config, &history, max), &one_by_one);
            for (n, line) in one_by_one.0.iter().enumerate() {
                prop_assert!(line.starts_with(&format!("epoch {} at ", n + 1)), "{}", line);
            }
        }
    }
}

#[test]
fn inv_seq_1_a_stream_that_tells_its_time_late_has_schedules_from_then_on() {
    let history = [Some((0, 1, "open")), Some((1, 1, "open"))];
    assert_eq!(run(CLOCKED, &history, 2), run(CLOCKED, &history, 1));
}

/// The lines of a history during which the clock says these seconds, one after each order, and is then a day ahead.
fn under_clocks(history: &[Step], clocks: &[i64]) -> Vec<String> {
    let (mut sequencer, mut at, mut lines) = (sequencer_of(REVOCABLE), 0, Vec::new());
    for (n, ((pause, id, status), clock)) in history.iter().flatten().zip(clocks.iter().cycle()).enumerate() {
        at += pause;
        sequencer.offer(Transaction { origin: format!("tx-{n}").into(), ..order(at, *id, status) });
        lines.extend(drain(&mut sequencer, 100));
        sequencer.clock(seconds(*clock));
        lines.extend(drain(&mut sequencer, 100));
    }
    sequencer.clock(seconds(86_400));
    lines.extend(drain(&mut sequencer, 100));
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A clock that is set back says nothing new: what it has shown has been, so nothing comes twice, and time never goes back.
    #[test]
    fn tim_02_a_clock_that_jumps_back_and_forth_brings_nothing_early_and_nothing_twice(
        history in histories(),
        clocks in proptest::collection::vec(prop_oneof![5 => -50i64..200, 1 => Just(-86_400), 1 => 0i64..86_400], 1..12),
    ) {
        let lines = under_clocks(&history, &clocks);
        let steady: Vec<i64> = {
            let mut greatest = i64::MIN;
            let orders = history.iter().flatten().count();
            clocks.iter().cycle().take(orders.max(1)).map(|clock| { greatest = greatest.max(*clock); greatest }).collect()
        };
        prop_assert_eq!(&lines, &under_clocks(&history, &steady));
        let times: Vec<i64> = lines.iter().map(|line| line.split(' ').nth(3).unwrap().parse().unwrap()).collect();
        prop_assert!(times.is_sorted(), "{:?}", lines);
    }
}

#[test]
fn tim_04_timers_that_are_due_at_once_come_a_batch_at_a_time_each_once() {
    let mut sequencer = sequencer();
    let orders = 3_500;
    (1..=orders).for_each(|id| sequencer.offer(order(1, id, "open")));
    while sequencer.batch(1_000, true).expect("nothing is spilled").is_some() {}
    assert_eq!(sequencer.timers(), orders as usize);
    sequencer.clock(seconds(12));
    sequencer.offer(order(13, 1, "paid"));
    let mut sizes = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    while let Some(batch) = sequencer.batch(1_000, true).expect("nothing is spilled") {
        sizes.push(batch.transactions.len());
        keys.extend(batch.transactions.iter().filter_map(|transaction| match &transaction.body {
            Body::Timer(timer) => Some(timer.key.to_vec()),
            _ => None,
        }));
    }
    assert_eq!(sizes, [1_000, 1_000, 1_000, 501], "what is committed later comes behind them");
    assert_eq!(keys.len(), orders as usize);
}

/// The events of a history, each with its second.
fn story(sequencer: &mut Sequencer, orders: &[(i64, i64, &str)]) -> Vec<String> {
    orders.iter().for_each(|(at, id, status)| sequencer.offer(order(*at, *id, status)));
    let lines = drain(sequencer, 100);
    events(&lines).into_iter().map(|line| line.split(" at ").nth(1).unwrap().to_owned()).collect()
}

#[test]
fn tim_03_a_timer_is_put_off_and_called_off_by_its_row() {
    let mut sequencer = sequencer_of(REVOCABLE);
    let orders = [(1, 1, "open"), (2, 2, "open"), (4, 1, "held"), (6, 1, "new"), (7, 2, "paid"), (9, 1, "gone"), (30, 3, "paid")];
    let lines = story(&mut sequencer, &orders);
    assert_eq!(
        lines,
        [
            "1 s: tx-1-1-open",
            "2 s: tx-2-2-open",
            "4 s: tx-4-1-held",
            "6 s: tx-6-1-new",
            "7 s: tx-7-2-paid",
            "8 s: order.due [Int(1)]",
            "9 s: order.due [Int(2)]",
            // The stale one of 8 s was put off to 10 s, and called off by the deletion.
            "9 s: tx-9-1-gone",
            // Order 2 was changed at 7 s and paid: its reminder of 12 s is off, what its change armed is not. Order 1 is gone.
            "11 s: order.stale [Int(2)]",
            "20 s: round []",
            "30 s: tx-30-3-paid",
        ]
    );
}

#[test]
fn a_schedule_sees_every_time_of_a_stream_and_one_of_a_pause() {
    let mut sequencer = sequencer_of(REVOCABLE);
    let lines = story(&mut sequencer, &[(15, 1, "open"), (61, 2, "open")]);
    let rounds: Vec<&String> = lines.iter().filter(|line| line.ends_with("round []")).collect();
    assert_eq!(rounds, ["20 s: round []", "40 s: round []", "60 s: round []"]);
    // Nothing came for ten minutes.
    sequencer.clock(seconds(661));
    let rounds: Vec<String> = story(&mut sequencer, &[]).into_iter().filter(|line| line.ends_with("round []")).collect();
    assert_eq!(rounds, ["80 s: round []"]);
    let left = sequencer.next_due();
    assert_eq!(left, Some(seconds(680)));
}

#[test]
fn a_schedule_goes_on_after_a_restart_and_one_that_has_changed_begins_anew() {
    let mut first = sequencer_of(REVOCABLE);
    first.offer(order(15, 1, "open"));
    let mut waiting: Vec<Timer> = Vec::new();
    while let Some(batch) = first.batch(9, true).expect("nothing is spilled") {
        waiting.extend(batch.armed);
        waiting.retain(|timer| !batch.timers_done.contains(&timer.id));
    }
    let rounds = |timers: &[Timer]| timers.iter().filter(|timer| *timer.event == *"round").map(|t| t.due).collect::<Vec<_>>();
    assert_eq!(rounds(&waiting), [seconds(20)]);

    // Down from 15 s to 200 s: the time that was missed comes once, late.
    let mut second = resumed(REVOCABLE, waiting.clone(), seconds(15));
    second.clock(seconds(200));
    let lines = story(&mut second, &[]);
    assert!(lines.contains(&"20 s: round []".to_owned()), "{lines:?}");
    assert_eq!(second.next_due(), Some(seconds(220)));

    let skipping = REVOCABLE.replace("on = \"Order\"", "on = \"Order\"\nmisfire = \"skip\"");
    let mut third = resumed(&skipping, waiting.clone(), seconds(15));
    third.clock(seconds(200));
    assert!(!story(&mut third, &[]).iter().any(|line| line.ends_with("round []")));
    assert_eq!(third.next_due(), Some(seconds(220)));

    let all = REVOCABLE.replace("on = \"Order\"", "on = \"Order\"\nmisfire = \"all\"");
    let mut fourth = resumed(&all, waiting.clone(), seconds(15));
    fourth.clock(seconds(79));
    assert_eq!(story(&mut fourth, &[]).iter().filter(|line| line.ends_with("round []")).count(), 3);

    let other = REVOCABLE.replace("*/20", "*/30");
    let mut fifth = resumed(&other, waiting, seconds(15));
    fifth.clock(seconds(16));
    story(&mut fifth, &[]);
    let (armed, done) = fifth.moved_timers();
    assert_eq!((rounds(&armed), done.len()), (vec![seconds(30)], 1));
}

#[test]
fn what_is_published_in_one_moment_is_one_epoch() {
    let mut sequencer = sequencer_of(CLOCKED);
    let lines = story(&mut sequencer, &[(15, 1, "open"), (16, 1, "held"), (16, 2, "open"), (41, 2, "paid")]);
    expect_test::expect![[r#"
        15 s: tx-15-1-open
        16 s: tx-16-1-held
        16 s: tx-16-2-open
        20 s: publish fields [Text("*/10 * * * * * UTC"), Timestamp(Timestamp(20000000)), Text("every 20s")]
        30 s: publish fields [Text("*/10 * * * * * UTC")]
        40 s: publish fields [Text("*/10 * * * * * UTC"), Text("every 20s")]
        41 s: tx-41-2-paid"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn moments_go_on_after_a_restart() {
    let mut first = sequencer_of(CLOCKED);
    [order(15, 1, "open"), order(16, 1, "held")].into_iter().for_each(|order| first.offer(order));
    let mut waiting: Vec<Timer> = Vec::new();
    while let Some(batch) = first.batch(9, true).expect("nothing is spilled") {
        waiting.extend(batch.armed);
        waiting.retain(|timer| !batch.timers_done.contains(&timer.id));
    }
    let rules = |timers: &[Timer]| {
        let mut rules: Vec<String> = timers.iter().map(|timer| format!("{} {}", timer.rule, timer.due.0 / 1_000_000)).collect();
        rules.sort_unstable();
        rules
    };
    let all = ["schedule of fields: */10 * * * * * UTC 20", "schedule of fields: every 20s 20", "times of documents 20"];
    assert_eq!(rules(&waiting), all);

    // The engine has the same documents, whose times are found; a timer of one that is gone is dropped.
    let config = Config::parse(SourceText::new("t.toml", CLOCKED), &Environment::default()).expect("the configuration is right");
    let plan = Arc::new(planning::plan(&config.spec, &[]).expect("the definition is right").0);
    let state = first.engine().export();
    let mut engine = Engine::new(plan.clone(), Options::default());
    engine.import(state);
    let fill = order(16, 1, "held");
    let Body::Changes(rows) = fill.body.clone() else { panic!("an order is a change") };
    engine.push(Transaction { body: Body::Fill(rows), ..fill });
    engine.step();
    engine.resume_at(2);
    assert_eq!(engine.appointments(), [seconds(20)]);
    let mut second = Sequencer::new(engine, plan, waiting.clone(), seconds(16));
    assert_eq!((second.timers(), second.moved_timers().0.len()), (3, 0), "the one that waits is not armed again");
    second.clock(seconds(500));
    let lines = story(&mut second, &[]);
    let late = r#"20 s: publish fields [Text("*/10 * * * * * UTC"), Timestamp(Timestamp(20000000)), Text("every 20s")]"#;
    assert_eq!(lines, [late], "each schedule once, late");

    let without = CLOCKED.replace(", or_after = \"4s\"", "");
    let mut third = resumed(&without, waiting, seconds(16));
    assert_eq!(third.moved_timers().1.len(), 1, "nobody waits for a time of its own any more");
}

/// What gives its only part, and then none.
#[derive(Debug)]
struct Breaks(Vec<Change>);

impl Spill for Breaks {
    fn changes(&self) -> u64 {
        2 * self.0.len() as u64
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        each(self.0.clone());
        Err("E0499: gone".into())
    }
}

#[test]
fn a_spilled_transaction_is_a_batch_of_its_own_and_goes_by_in_parts() {
    let mut sequencer = sequencer();
    let Body::Changes(changes) = order(2, 2, "open").body else { unreachable!() };
    let large = |body| Transaction { body, ..order(2, 2, "open") };
    for transaction in [order(1, 1, "open"), large(Body::Spilled(Arc::new(changes.clone()))), order(3, 3, "open")] {
        sequencer.offer(transaction);
    }
    let mut seen = Vec::new();
    for first in 1..=3 {
        let parts = &mut |part: &Part<'_>| {
            seen.push((part.epoch, part.from, part.changes.len(), part.head.origin.to_string()));
            true
        };
        let batch = sequencer.batch_in_parts(9, true, parts).expect("it can be read").expect("one waits");
        assert_eq!((batch.first, batch.transactions.len(), batch.armed.len()), (first, 1, 1));
    }
    assert_eq!(seen, [(2, 0, 1, "tx-2-2-open".to_owned())]);

    sequencer.offer(large(Body::Spilled(Arc::new(changes.clone()))));
    let refused = sequencer.batch_in_parts(9, true, &mut |_| false).expect_err("nobody wants it");
    assert!(matches!(refused, Halted::Refused), "{refused}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_source() {
    let mut sequencer = sequencer();
    let Body::Changes(changes) = order(2, 2, "open").body else { unreachable!() };
    sequencer.offer(Transaction { body: Body::Spilled(Arc::new(Breaks(changes))), ..order(2, 2, "open") });
    let halted = sequencer.batch(9, true).expect_err("it breaks");
    assert_eq!(halted.to_string(), "a large transaction of source `test` cannot be read: E0499: gone");
}

/// An order that stays open is told of every 10 s.
const LEVEL: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = { id = "int", status = "text" }

[[effect]]
name = "open"
on = "Order"
when = "status == 'open'"
rearm = "level"
every = "10s"
actions = [{ type = "log" }]
"#;

#[test]
fn level_comes_again_until_the_condition_falls_however_it_is_batched() {
    let run = |max| {
        let mut sequencer = sequencer_of(LEVEL);
        let orders = [(1, 1, "open"), (4, 2, "open"), (12, 2, "paid"), (23, 1, "gone"), (25, 2, "open"), (40, 3, "x")];
        orders.into_iter().for_each(|(at, id, status)| sequencer.offer(order(at, id, status)));
        drain(&mut sequencer, max)
    };
    let lines = run(1);
    expect_test::expect![[r#"
        epoch 1 at 1 s: tx-1-1-open; fired ["open [Int(1)]"]
        epoch 2 at 4 s: tx-4-2-open; fired ["open [Int(2)]"]
        epoch 3 at 11 s: effect open [Int(1)]; fired ["open [Int(1)]"]
        epoch 4 at 12 s: tx-12-2-paid; fired []
        epoch 5 at 21 s: effect open [Int(1)]; fired ["open [Int(1)]"]
        epoch 6 at 23 s: tx-23-1-gone; fired []
        epoch 7 at 25 s: tx-25-2-open; fired ["open [Int(2)]"]
        epoch 8 at 35 s: effect open [Int(2)]; fired ["open [Int(2)]"]
        epoch 9 at 40 s: tx-40-3-x; fired []
    "#]]
    .assert_eq(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    (2..9).for_each(|max| assert_eq!(run(max), lines, "in batches of {max}"));
}

#[test]
fn tim_01_reminders_that_passed_while_nothing_ran_are_one() {
    let mut sequencer = sequencer_of(LEVEL);
    sequencer.offer(order(1, 1, "open"));
    drain(&mut sequencer, 9);
    sequencer.clock(seconds(1_000));
    assert_eq!(drain(&mut sequencer, 9).len(), 1);
    assert_eq!(sequencer.next_due(), Some(seconds(1_010)));
}

#[test]
fn a_timer_is_brought_forward_and_called_off_by_hand() {
    let mut sequencer = sequencer();
    [order(1, 1, "open"), order(2, 2, "open")].into_iter().for_each(|tx| sequencer.offer(tx));
    let armed = sequencer.batch(9, true).expect("nothing is spilled").expect("two wait").armed;
    let (first, second) = (armed[0].id.clone(), armed[1].id.clone());
    assert!(sequencer.act(&TimerAct::Cancel { id: first.clone() }, seconds(3)));
    assert!(!sequencer.act(&TimerAct::Cancel { id: first.clone() }, seconds(3)), "it is gone");
    assert!(sequencer.act(&TimerAct::Fire { id: second.clone() }, seconds(3)));
    let (armed, done) = sequencer.moved_timers();
    assert_eq!(done, [first, second], "what is brought forward is another timer");
    assert_eq!((armed.len(), armed[0].due), (1, seconds(3)));
    sequencer.clock(seconds(3));
    let lines = drain(&mut sequencer, 9);
    assert_eq!(events(&lines), ["epoch 3 at 3 s: order.late [Int(2)]"]);
}

#[test]
fn a_time_of_a_schedule_comes_once_more_or_is_left_out_by_hand() {
    let round = |sequencer: &mut Sequencer| sequencer.timers.pop(None).expect("it waits");
    let mut other = sequencer_of(REVOCABLE);
    other.timers.wind_up(seconds(1));
    let id = other.timers.moved().armed[0].id.clone();
    assert!(other.act(&TimerAct::Fire { id: id.clone() }, seconds(5)));
    assert_eq!(round(&mut other).due, seconds(5));
    assert_eq!(round(&mut other).due, seconds(20), "the ordinary one is still to come");
    let id = other.timers.moved().armed.pop().expect("the next").id;
    assert!(other.act(&TimerAct::Cancel { id }, seconds(21)));
    assert_eq!(round(&mut other).due, seconds(60), "that of 40 s is left out");
}
