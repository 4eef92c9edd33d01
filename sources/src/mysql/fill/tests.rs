//! The algorithm against a model: a server that writers change, whose reads lag behind its log as real ones do, and a receiver that is
//! strict about what the log tells and takes what fills tell.

use std::collections::BTreeMap;

use proptest::prelude::*;
use thalweg_formulas::Type;
use thalweg_graph::transaction::SchemaColumn;

use super::*;
use crate::binlog::Gtid;
use crate::mysql::extent::Cell;

const ROWS_OF_A_CHUNK: usize = 3;

fn schema() -> Arc<Schema> {
    let column = |name: &str| SchemaColumn::new(name.into(), Type::Int);
    Arc::new(Schema { table: "db.t".into(), columns: vec![column("id"), column("n")], key: vec![0] })
}

fn row(id: i64, n: i64) -> Option<Row> {
    Some([id, n].map(|x| Some(Value::Int(x))).into())
}

fn change(op: Op, before: Option<Row>, after: Option<Row>) -> Change {
    Change { schema: schema(), op, key: None, before, after }
}

fn pair(row: &Row) -> (i64, i64) {
    match row[..] {
        [Some(Value::Int(id)), Some(Value::Int(n))] => (id, n),
        ref other => panic!("{other:?}"),
    }
}

/// What one transaction of a writer does to a row.
#[derive(Clone, Copy, Debug)]
enum Write {
    /// A value; an insert if the row is not there.
    Put(i64, i64),
    Delete(i64),
    /// The row under another key.
    Move(i64, i64),
    Truncate,
    /// Every row holds something else, and the log does not tell rows: `ALTER TABLE`. Whether the key is the same.
    Rewrite(bool),
}

/// One step of anybody.
#[derive(Clone, Debug)]
enum Act {
    /// A transaction is written to the log; it cannot be seen yet.
    Log(Vec<Write>),
    /// So many of those that are logged become visible.
    Show(usize),
    /// The reader takes the next transaction of the log.
    Read,
    /// The reader does what it wants to do beside the log.
    ReadIn,
    /// The process ends and starts again from the last position.
    Restart,
}

type Rows = BTreeMap<i64, i64>;

#[derive(Default)]
struct Server {
    /// The changes of each transaction; it stands behind `log.len()` of them as the log has it.
    log: Vec<Vec<Change>>,
    /// Which of these are an `ALTER TABLE`, and whether it leaves the key.
    rewrites: Vec<Option<bool>>,
    /// Its rows after each transaction; the first before any.
    states: Vec<Rows>,
    /// Transactions that can be seen.
    shown: usize,
    /// Transactions that `gtid_executed` has: what is shown may come into it late.
    executed: usize,
}

fn state(count: usize) -> GtidState {
    (count > 0).then_some(Gtid { domain: 0, server: 1, sequence: count as u64 }).into_iter().collect()
}

impl Server {
    fn log(&mut self, writes: &[Write]) {
        let mut rows = self.states.last().cloned().unwrap_or_default();
        let mut changes = Vec::new();
        for write in writes {
            match *write {
                Write::Put(id, n) => match rows.insert(id, n) {
                    None => changes.push(change(Op::Insert, None, row(id, n))),
                    Some(old) => changes.push(change(Op::Update, row(id, old), row(id, n))),
                },
                Write::Delete(id) => changes.extend(rows.remove(&id).map(|old| change(Op::Delete, row(id, old), None))),
                Write::Move(from, to) if !rows.contains_key(&to) => {
                    if let Some(n) = rows.remove(&from) {
                        rows.insert(to, n);
                        changes.push(change(Op::Update, row(from, n), row(to, n)));
                    }
                }
                Write::Move(..) => {}
                Write::Truncate => {
                    rows.clear();
                    changes.push(Change::clear(schema()));
                }
                Write::Rewrite(_) => {} // A statement of its own.
            }
        }
        let rewrites = match writes {
            [Write::Rewrite(same_key)] => Some(*same_key),
            _ => None,
        };
        if rewrites.is_some() {
            rows.values_mut().for_each(|n| *n += 1000);
        }
        self.rewrites.push(rewrites);
        self.log.push(changes);
        self.states.push(rows);
    }

    /// A chunk, as [`super::super::chunk`] reads it.
    fn chunk(&self, after: Option<i64>, done: usize) -> Option<Chunk> {
        let low = self.executed;
        (low >= done).then(|| {
            let rows = &self.states[self.shown];
            let behind = rows.range(after.map_or(i64::MIN, |after| after + 1)..);
            let read: Vec<(i64, i64)> = behind.take(ROWS_OF_A_CHUNK).map(|(id, n)| (*id, *n)).collect();
            let bound = read.last().map(|(id, _)| Bound { labels: Vec::new(), cells: vec![Cell::Number(id.to_string())] });
            Chunk {
                low: state(low),
                high: state(self.shown),
                is_last: read.len() < ROWS_OF_A_CHUNK,
                rows: read.into_iter().map(|(id, n)| change(Op::Insert, None, row(id, n))).collect(),
                bound,
            }
        })
    }
}

/// What the runtime has committed.
#[derive(Clone, Default)]
struct Receiver {
    rows: Rows,
    /// Transactions of the log that have been handed over.
    done: usize,
    partials: Vec<Partial>,
    /// Changes that the engine would have refused.
    refused: Vec<Change>,
}

impl Receiver {
    fn take(&mut self, change: Change) {
        let (before, after) = (change.before.as_ref().map(pair), change.after.as_ref().map(pair));
        let there = |key: Option<(i64, i64)>| key.is_some_and(|(id, _)| self.rows.contains_key(&id));
        let fits = match change.op {
            _ if change.is_clear() => {
                self.rows.clear();
                return;
            }
            Op::Insert => !there(after),
            Op::Update | Op::Delete => there(before),
            Op::Upsert => true,
        };
        if !fits {
            return self.refused.push(change);
        }
        if let Some((id, _)) = before {
            self.rows.remove(&id);
        }
        self.rows.extend(after);
    }
}

struct World {
    server: Server,
    receiver: Receiver,
    fills: Fills,
}

impl World {
    fn restart(&mut self) {
        self.fills = Fills::new(self.receiver.partials.clone().into_iter().map(|partial| (partial, By::Chunks)));
    }

    fn read(&mut self) {
        let Some(changes) = self.server.log.get(self.receiver.done) else { return };
        let number = self.receiver.done + 1;
        let id = TransactionId::Mariadb(Gtid { domain: 0, server: 1, sequence: number as u64 });
        if let Some(same_key) = self.server.rewrites[self.receiver.done] {
            self.fills.rewritten("db.t", By::Chunks, same_key);
        }
        let is_whole = self.fills.partials().iter().all(|partial| partial.is_whole);
        let Parted { fill, rest } = self.fills.part(&id, changes.clone());
        assert!(
            !is_whole || fill.is_empty() && rest == *changes,
            "the log's changes of a table that the receiver has are ordinary"
        );
        fill.into_iter().chain(rest).for_each(|change| self.receiver.take(change));
        self.receiver.done = number;
        self.receiver.partials = self.fills.partials();
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Some(ready) = self.fills.ready(&state(self.receiver.done)) {
            if let Ready::Rows(rows) = ready {
                let stands = &self.server.states[self.receiver.done];
                let is_now = |row: &Change| row.after.as_ref().map(pair).is_some_and(|(id, n)| stands.get(&id) == Some(&n));
                assert!(rows.iter().all(is_now), "FILL-1 or FILL-3: {rows:?} beside {stands:?}");
                rows.into_iter().for_each(|row| self.receiver.take(row));
            }
            self.receiver.partials = self.fills.partials();
        }
    }

    fn read_in(&mut self) {
        match self.fills.want() {
            None | Some(Want::View(_)) => {}
            Some(Want::Clear) => {
                self.fills.cleared();
                self.receiver.take(Change::clear(schema()));
                self.receiver.partials = self.fills.partials();
            }
            Some(Want::End) => {
                // Asked for later than the last chunk was read: by then all that it saw has come into the executed set.
                self.server.executed = self.server.shown;
                self.fills.take_end(state(self.server.executed));
            }
            Some(Want::Chunk(_, after)) => {
                let after = after.map(|bound| match &bound.cells[..] {
                    [Cell::Number(id)] => id.parse().unwrap(),
                    other => panic!("{other:?}"),
                });
                if let Some(chunk) = self.server.chunk(after, self.receiver.done) {
                    self.fills.take(chunk);
                }
            }
        }
        self.hand_over();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Log(writes) => self.server.log(writes),
            Act::Show(count) => {
                self.server.executed = self.server.shown;
                self.server.shown = (self.server.shown + count).min(self.server.log.len());
            }
            Act::Read => self.read(),
            Act::ReadIn => self.read_in(),
            Act::Restart => self.restart(),
        }
    }
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let id = || 0..12i64;
    let rows = proptest::collection::vec(
        prop_oneof![
            6 => (id(), 0..100i64).prop_map(|(id, n)| Write::Put(id, n)),
            2 => id().prop_map(Write::Delete),
            2 => (id(), id()).prop_map(|(from, to)| Write::Move(from, to)),
            1 => Just(Write::Truncate),
        ],
        1..4,
    );
    prop_oneof![8 => rows, 1 => any::<bool>().prop_map(|same_key| vec![Write::Rewrite(same_key)])]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => writes().prop_map(Act::Log),
        4 => (1..3usize).prop_map(Act::Show),
        5 => Just(Act::Read),
        4 => Just(Act::ReadIn),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever writers, reader and restarts do in between, the receiver ends with the server's rows, also where an `ALTER TABLE` gave them
    /// other values, and nothing that it was told by the log after the table was whole contradicts what it had.
    #[test]
    fn src_26_a_table_that_is_read_in_under_writers_ends_as_the_server_has_it(first in writes(), acts in acts()) {
        let mut world = World { server: Server::default(), receiver: Receiver::default(), fills: Fills::default() };
        world.server.states.push(Rows::new());
        world.server.log(&first);
        // What was written before the table was watched is not in the log that is read.
        (world.server.shown, world.server.executed, world.receiver.done) = (1, 1, 1);
        world.receiver.partials = vec![Partial { table: "db.t".into(), read: Read::Nothing, is_whole: false }];
        world.restart();
        acts.iter().for_each(|act| world.act(act));
        for _ in 0..200 {
            [Act::Show(1), Act::Read, Act::ReadIn].iter().for_each(|act| world.act(act));
        }
        prop_assert!(world.fills.is_empty(), "{:?}", world.fills);
        prop_assert_eq!(&world.receiver.rows, world.server.states.last().unwrap());
        prop_assert_eq!(&world.receiver.refused, &[]);
    }
}
