//! The index of a join edge, on the worker of what must be equal: which rows of two tables meet.
//!
//! For each key there are the rows of either side; a row that comes is paired with those of the other side, one that leaves is parted
//! from them. What the edge keeps of a row is its id and what the condition reads of it.
//!
//! - INV-NET: what arrives is net: within an epoch a row leaves a key once at most, and comes to one once at most.
//! - INV-PAIR: an epoch's leaves are applied before what comes, so a pair is parted only if it was one in an earlier epoch; then the
//!   derived table's counts hold INV-MEMBERS whatever the order in which workers tell them.
//! - What goes out is net within the worker: a pair that is parted and joined by one epoch is not told.
//!
//! Cost: a row that comes or goes costs the rows of the other side under its key, whatever else there is; 8 B a row and side, and what
//! the condition reads.

use hashbrown::HashMap;
use thalweg_formulas::eval::Program;
use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::{Join, TableId};
use thalweg_graph::{Epoch, Plan};

use super::mail::{Meet, MeetKind, Parcel, ParcelKind, Referrer};
use crate::context::Context;
use crate::state::{KeyBuf, KeyHash};

/// What an edge joins, and what it keeps.
#[derive(Clone, Copy, Debug)]
pub struct JoinTarget {
    /// The tables of the rows, left and right.
    tables: [TableId; 2],
    /// The edge's number among those that keep documents.
    keeps: u32,
}

/// The targets of a plan's join edges.
pub fn targets(plan: &Plan) -> Vec<JoinTarget> {
    let table = |region: thalweg_graph::plan::RegionId| plan.regions[region.0 as usize].table;
    let target = |(at, join): (usize, &Join)| JoinTarget {
        tables: [table(join.sides[0].from), table(join.sides[1].from)],
        keeps: (plan.memberships.len() + at) as u32,
    };
    plan.joins.iter().enumerate().map(target).collect()
}

/// From here on a side knows the places of its rows.
const MANY: usize = 24;

/// The rows of one side under one key, each with what the condition reads of it.
#[derive(Debug, Default)]
struct Side {
    rows: Vec<Referrer>,
    /// Empty where the condition reads nothing of this side.
    given: Vec<Box<[Cell]>>,
    /// The places of many rows, so that one leaves in constant time.
    places: Option<Box<HashMap<Referrer, u32, foldhash::fast::FixedState>>>,
}

impl Side {
    fn insert(&mut self, row: Referrer, given: Box<[Cell]>) {
        let at = self.rows.len();
        self.rows.push(row);
        if !given.is_empty() {
            self.given.push(given);
        }
        match &mut self.places {
            Some(places) => drop(places.insert(row, at as u32)),
            None if at >= MANY => self.places = Some(Box::new(self.rows.iter().copied().zip(0..).collect())),
            None => {}
        }
    }

    /// Takes a row out; what the condition read of it.
    fn remove(&mut self, row: Referrer) -> Option<Box<[Cell]>> {
        let at = match &mut self.places {
            Some(places) => places.remove(&row)? as usize,
            None => self.rows.iter().position(|other| *other == row)?,
        };
        self.rows.swap_remove(at);
        let given = if self.given.is_empty() { Box::default() } else { self.given.swap_remove(at) };
        if let (Some(places), Some(moved)) = (&mut self.places, self.rows.get(at)) {
            places.insert(*moved, at as u32);
        }
        if self.rows.is_empty() {
            *self = Side::default();
        }
        Some(given)
    }

    fn given(&self, at: usize) -> &[Cell] {
        self.given.get(at).map_or(&[], |given| given)
    }

    fn bytes(&self) -> usize {
        let given: usize = self.given.iter().map(|given| given.len() * size_of::<Cell>()).sum();
        let places = self.places.as_ref().map_or(0, |places| places.capacity() * 8 / 7 * (size_of::<(Referrer, u32)>() + 1));
        self.rows.capacity() * size_of::<Referrer>() + self.given.capacity() * size_of::<Box<[Cell]>>() + given + places
    }
}

/// Two rows that meet from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    rows: [Referrer; 2],
    comes: bool,
}

/// Rows by what must be equal.
#[derive(Debug)]
pub struct PairIndex {
    condition: Option<Program>,
    /// How many of the condition's inputs are the left row's.
    lefts: usize,
    sides: Vec<[Side; 2]>,
    /// The keys of rows of other workers, and how often each is here.
    names: [HashMap<Referrer, (Key, u32), foldhash::fast::FixedState>; 2],
    references: u64,
    touched: u64,
    pairs: Vec<Pair>,
    left: Vec<(usize, Referrer)>,
}

impl PairIndex {
    /// An empty index of this edge.
    pub fn new(join: &Join) -> PairIndex {
        PairIndex {
            condition: join.condition.as_ref().map(Program::compile),
            lefts: join.sides[0].given.len(),
            sides: Vec::new(),
            names: Default::default(),
            references: 0,
            touched: 0,
            pairs: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Applies a batch in epoch order, and tells the derived table which pairs come and go.
    pub fn run(&mut self, meets: &mut Vec<Meet>, target: JoinTarget, context: &mut Context) {
        let order = |meet: &Meet| (meet.epoch, matches!(meet.what, MeetKind::Come(_)));
        if !meets.is_sorted_by_key(order) {
            meets.sort_by_key(order);
        }
        let mut meets = meets.drain(..).peekable();
        while let Some(epoch) = meets.peek().map(|meet| meet.epoch) {
            while let Some(meet) = meets.next_if(|meet| meet.epoch == epoch) {
                self.apply(meet);
            }
            self.tell(epoch, target, context);
        }
    }

    fn apply(&mut self, meet: Meet) {
        self.touched += 1;
        if self.sides.len() <= meet.key as usize {
            self.sides.resize_with(meet.key as usize + 1, Default::default);
        }
        let (side, row) = (usize::from(meet.is_right), meet.row);
        match meet.what {
            MeetKind::Leave => {
                let given = self.sides[meet.key as usize][side].remove(row);
                let given = given.expect("invariant INV-NET: a row leaves what it has come to");
                self.references -= 1;
                self.left.push((side, row));
                self.pair(meet.key, side, row, &given, false);
            }
            MeetKind::Come(shown) => {
                self.references += 1;
                if let Some(name) = shown.name {
                    self.names[side].entry(row).or_insert((name, 0)).1 += 1;
                }
                self.pair(meet.key, side, row, &shown.given, true);
                self.sides[meet.key as usize][side].insert(row, shown.given);
            }
        }
    }

    /// Pairs a row with those of the other side that meet the condition with it.
    fn pair(&mut self, key: u32, side: usize, row: Referrer, given: &[Cell], comes: bool) {
        let others = &self.sides[key as usize][1 - side];
        for (at, other) in others.rows.iter().enumerate() {
            let shown = if side == 0 { [given, others.given(at)] } else { [others.given(at), given] };
            if self.condition.as_ref().is_none_or(|condition| holds(condition, self.lefts, shown)) {
                let rows = if side == 0 { [row, *other] } else { [*other, row] };
                self.pairs.push(Pair { rows, comes });
            }
        }
    }

    /// At the end of an epoch: the pairs that have come or gone.
    fn tell(&mut self, epoch: Epoch, target: JoinTarget, context: &mut Context) {
        let mut pairs = std::mem::take(&mut self.pairs);
        if !self.left.is_empty() && pairs.iter().any(|pair| pair.comes) {
            pairs.sort_unstable();
            cancel(&mut pairs);
        }
        let mut key = KeyBuf::new();
        for pair in pairs.drain(..) {
            key.clear();
            for side in 0..2 {
                self.write_key(side, pair.rows[side], target, context, &mut key);
            }
            context.member(epoch, target.keeps, &key, pair.comes);
        }
        self.pairs = pairs;
        for (side, row) in self.left.drain(..) {
            if let Some((_, here)) = self.names[side].get_mut(&row) {
                *here -= 1;
                if *here == 0 {
                    self.names[side].remove(&row);
                }
            }
        }
    }

    fn write_key(&self, side: usize, row: Referrer, target: JoinTarget, context: &Context, out: &mut KeyBuf) {
        if row.worker() == context.me {
            out.extend(context.directories[target.tables[side].0 as usize].key_values(row.row()));
        } else {
            let (name, _) = &self.names[side][&row];
            out.extend(name.iter().cloned());
        }
    }

    /// Rows held now, on both sides.
    pub fn references(&self) -> u64 {
        self.references
    }

    /// Rows that came or left so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let rows: usize = self.sides.iter().flatten().map(Side::bytes).sum();
        let names: usize = self.names.iter().map(|names| names.capacity() * 8 / 7 * size_of::<(Referrer, (Key, u32))>()).sum();
        (rows + names + self.sides.capacity() * size_of::<[Side; 2]>()) as u64
    }
}

/// Takes out what is there both ways; pairs are in order.
fn cancel(pairs: &mut Vec<Pair>) {
    let mut kept = 0;
    for at in 0..pairs.len() {
        let pair = pairs[at];
        if kept > 0 && pairs[kept - 1].rows == pair.rows && !pairs[kept - 1].comes && pair.comes {
            kept -= 1;
        } else {
            pairs[kept] = pair;
            kept += 1;
        }
    }
    pairs.truncate(kept);
}

/// Whether the condition is true of what two rows show.
fn holds(condition: &Program, lefts: usize, shown: [&[Cell]; 2]) -> bool {
    let input = |id: thalweg_formulas::InputId| match (id.0 as usize).checked_sub(lefts) {
        None => shown[0][id.0 as usize].clone(),
        Some(right) => shown[1][right].clone(),
    };
    condition.eval(&input).is_ok_and(|value| value.is_true())
}

impl Context {
    /// Tells a join edge that a row comes under a key or leaves it.
    pub fn meet(&mut self, epoch: Epoch, join: u32, is_right: bool, key: &[Value], row: u32, mut what: MeetKind) {
        let hash = KeyHash::of(key);
        let owner = hash.owner(self.workers);
        let referrer = Referrer::new(self.me, row);
        if owner == self.me {
            return self.met(join, key, hash, Meet { epoch, key: 0, is_right, row: referrer, what });
        }
        if let MeetKind::Come(shown) = &mut what {
            let table = self.joins[join as usize].tables[usize::from(is_right)];
            shown.name = Some(self.directories[table.0 as usize].key(row));
        }
        let what = ParcelKind::Meet(join, key.into(), is_right, referrer, what);
        self.parcels.push(Parcel { to: owner as u32, epoch, what });
    }

    /// A row has reached the worker of its key.
    pub(crate) fn met(&mut self, join: u32, key: &[Value], hash: KeyHash, mut meet: Meet) {
        let directory = &mut self.join_keys[join as usize];
        meet.key = directory.intern(key, hash);
        match meet.what {
            MeetKind::Come(_) => directory.hold(meet.key),
            MeetKind::Leave => directory.let_go(meet.key),
        }
        self.meets[join as usize].push(meet);
    }
}
