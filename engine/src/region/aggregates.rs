//! The accumulators of a region's rows, ghosts included: children may come before their parent.
//!
//! Each aggregate has a lane of its own. The common ones (counts, sums of whole numbers and decimals, extremes of few words) take a few
//! bytes a row there; a row that gets anything unusual (an error, a large decimal, many values to choose from) has an [`Accumulator`] of
//! its own from then on, until it is empty.
//!
//! Invariant INV-LANE: a row in a lane shows what an accumulator shows that got the same; a property test compares the two.
//!
//! Memory: 8 B for a count, 24 for a sum, 24 and 8 to 12 a child for an extreme, 128 and more for any other.

use thalweg_formulas::aggregate::Accumulator;
use thalweg_formulas::{Agg, Cell, Type, Value};

use super::ends::GroupIn;
use crate::edges::mail::Given;
use crate::state::Kind;
use crate::state::arena::Arena;
use crate::state::blocks::Blocks;

/// No accumulator of its own.
const NONE: u32 = u32::MAX;

/// So many words an extreme chooses from in its lane.
const FEW: usize = 32;

/// Accumulators by row and place.
#[derive(Debug)]
pub struct Aggregates {
    lanes: Vec<Lane>,
}

/// One aggregate of every row.
#[derive(Debug)]
struct Lane {
    agg: Agg,
    /// The type of the values, and that of the second value of each row if there is one.
    of: Vec<Type>,
    /// How values of that type are read as words.
    kind: Kind,
    all: All,
    /// The accumulators of rows that are not in the lane.
    apart: Arena<Accumulator>,
}

#[derive(Debug)]
enum All {
    Counts(Blocks<Count>),
    Sums(Blocks<Sum>),
    Extremes(Blocks<Extreme>),
    Any(Accumulator, Blocks<Accumulator>),
}

/// How many values are in, or the accumulator.
#[derive(Clone, Debug)]
struct Count {
    values: u32,
    apart: u32,
}

/// The sum of the words that are in, and how many; or the accumulator.
#[derive(Clone, Debug)]
struct Sum {
    /// An `i128`, lower half first.
    sum: [u64; 2],
    values: u32,
    apart: u32,
}

/// The words that are in, in the order of their values; or the accumulator.
#[derive(Clone, Debug)]
enum Extreme {
    Few(Vec<u64>),
    Apart(u32),
}

impl Sum {
    #[inline]
    fn add(&mut self, by: i128, values: u32) {
        let sum = (u128::from(self.sum[1]) << 64 | u128::from(self.sum[0])) as i128 + by;
        self.sum = [sum as u64, (sum as u128 >> 64) as u64];
        self.values = self.values.wrapping_add(values);
    }

    fn total(&self) -> i128 {
        (u128::from(self.sum[1]) << 64 | u128::from(self.sum[0])) as i128
    }
}

/// A word as a summand.
#[inline]
fn summand(kind: Kind, word: u64) -> i128 {
    if kind == Kind::Uint { i128::from(word) } else { i128::from(word as i64) }
}

/// A word so that unsigned order is the order of the values; the same again gives the word back.
#[inline]
fn ranked(kind: Kind, word: u64) -> u64 {
    if matches!(kind, Kind::Uint | Kind::Bool) { word } else { word ^ 1 << 63 }
}

/// Whether a cell counts: it is a value, and not NULL.
#[inline]
fn is_value(cell: &Cell) -> bool {
    !matches!(cell, Err(_) | Ok(Value::Null))
}

impl Lane {
    fn new(agg: &Agg, of: &[Type]) -> Lane {
        let kind = of.first().map_or(Kind::Open, Kind::of_type);
        let is_integer = matches!(kind, Kind::Int | Kind::Uint | Kind::Duration | Kind::Decimal(_));
        let all = match agg {
            Agg::Count => All::Counts(Blocks::default()),
            Agg::Sum | Agg::Avg if is_integer => All::Sums(Blocks::default()),
            Agg::Min | Agg::Max if is_integer || kind == Kind::Timestamp => All::Extremes(Blocks::default()),
            _ => All::Any(Accumulator::new(agg, of), Blocks::default()),
        };
        Lane { agg: agg.clone(), of: of.to_vec(), kind, all, apart: Arena::default() }
    }

    fn ensure(&mut self, row: u32) {
        let rows = row as usize + 1;
        match &mut self.all {
            All::Counts(all) => all.grow(rows, &Count { values: 0, apart: NONE }),
            All::Sums(all) => all.grow(rows, &Sum { sum: [0; 2], values: 0, apart: NONE }),
            All::Extremes(all) => all.grow(rows, &Extreme::Few(Vec::new())),
            All::Any(blank, all) => all.grow(rows, blank),
        }
    }

    /// Puts a cell in, or takes one out that is in.
    #[inline]
    fn change(&mut self, row: u32, cell: &Cell, comes: bool) {
        if !self.change_in_lane(row, cell, comes) {
            self.change_apart(row, cell, comes);
        }
    }

    /// The same with a word of the lane's kind.
    fn change_word(&mut self, row: u32, word: u64, comes: bool) {
        self.change(row, &Ok(self.kind.value(word)), comes);
    }

    /// One word goes, another comes.
    #[inline]
    fn swap_words(&mut self, row: u32, goes: u64, comes: u64) {
        match &mut self.all {
            All::Counts(all) if all[row as usize].apart == NONE => {}
            All::Sums(all) if all[row as usize].apart == NONE => {
                all[row as usize].add(summand(self.kind, comes) - summand(self.kind, goes), 0);
            }
            _ => {
                self.change_word(row, goes, false);
                self.change_word(row, comes, true);
            }
        }
    }

    /// Looks at what a row has.
    #[inline]
    fn look(&self, row: usize) -> u64 {
        match &self.all {
            All::Counts(all) => all.get(row).map_or(0, |count| u64::from(count.values)),
            All::Sums(all) => all.get(row).map_or(0, |sum| sum.sum[0]),
            All::Extremes(all) => match all.get(row) {
                Some(Extreme::Few(words)) => words.last().copied().unwrap_or_default(),
                _ => 0,
            },
            All::Any(_, all) => all.get(row).map_or(0, Accumulator::rows),
        }
    }

    /// Does nothing where the row has an accumulator or needs one.
    #[inline]
    fn change_in_lane(&mut self, row: u32, cell: &Cell, comes: bool) -> bool {
        let row = row as usize;
        let word = cell.as_ref().ok().and_then(|value| self.kind.word(value));
        match (&mut self.all, word) {
            (All::Counts(all), _) if all[row].apart == NONE && is_value(cell) => {
                let count = &mut all[row];
                let next = if comes { count.values.checked_add(1) } else { count.values.checked_sub(1) };
                next.map(|values| count.values = values).is_some()
            }
            (All::Sums(all), Some(word)) if all[row].apart == NONE && all[row].values < u32::MAX => {
                let (by, values) = (summand(self.kind, word), if comes { 1 } else { u32::MAX });
                all[row].add(if comes { by } else { -by }, values);
                true
            }
            (All::Extremes(all), Some(word)) => change_extreme(&mut all[row], ranked(self.kind, word), comes),
            _ => false,
        }
    }

    #[cold]
    fn change_apart(&mut self, row: u32, cell: &Cell, comes: bool) {
        let accumulator = self.accumulator(row);
        if comes {
            accumulator.insert(cell);
        } else {
            accumulator.remove(cell);
            if accumulator.is_empty() {
                self.come_back(row);
            }
        }
    }

    /// The accumulator of a row; if the row was in the lane, with what was in there.
    fn accumulator(&mut self, row: u32) -> &mut Accumulator {
        let (row, agg, of) = (row as usize, &self.agg, &self.of[..]);
        let apart = match &mut self.all {
            All::Any(_, all) => return &mut all[row],
            All::Counts(all) => {
                let Count { values, apart } = &mut all[row];
                if *apart == NONE {
                    *apart = self.apart.insert(Accumulator::of_words(agg, of, 0, u64::from(*values)));
                }
                *apart
            }
            All::Sums(all) => {
                let sum = &mut all[row];
                if sum.apart == NONE {
                    sum.apart = self.apart.insert(Accumulator::of_words(agg, of, sum.total(), u64::from(sum.values)));
                }
                sum.apart
            }
            All::Extremes(all) => match &mut all[row] {
                Extreme::Apart(apart) => *apart,
                Extreme::Few(words) => {
                    let mut accumulator = Accumulator::new(agg, of);
                    words.iter().for_each(|word| accumulator.insert(&Ok(self.kind.value(ranked(self.kind, *word)))));
                    let apart = self.apart.insert(accumulator);
                    all[row] = Extreme::Apart(apart);
                    apart
                }
            },
        };
        self.apart.get_mut(apart)
    }

    /// A row whose accumulator is empty is in the lane again.
    fn come_back(&mut self, row: u32) {
        let row = row as usize;
        let apart = match &mut self.all {
            All::Any(..) => return,
            All::Counts(all) => std::mem::replace(&mut all[row], Count { values: 0, apart: NONE }).apart,
            All::Sums(all) => std::mem::replace(&mut all[row], Sum { sum: [0; 2], values: 0, apart: NONE }).apart,
            All::Extremes(all) => match std::mem::replace(&mut all[row], Extreme::Few(Vec::new())) {
                Extreme::Apart(apart) => apart,
                Extreme::Few(_) => return,
            },
        };
        self.apart.remove(apart);
    }

    /// Puts words in, of the lane's kind: one for each of the rows, which often come again.
    fn add_words(&mut self, rows: &[u32], kind: Kind, words: &[u64]) {
        let mut at = 0;
        for same in rows.chunk_by(|a, b| a == b) {
            let (row, words) = (same[0], &words[at..at + same.len()]);
            at += same.len();
            self.ensure(row);
            match &mut self.all {
                All::Counts(all) if all[row as usize].apart == NONE && all[row as usize].values < u32::MAX / 2 => {
                    all[row as usize].values += words.len() as u32;
                }
                All::Sums(all)
                    if kind == self.kind && all[row as usize].apart == NONE && all[row as usize].values < u32::MAX / 2 =>
                {
                    all[row as usize].add(words.iter().map(|word| summand(kind, *word)).sum(), words.len() as u32);
                }
                _ => words.iter().for_each(|word| self.change(row, &Ok(kind.value(*word)), true)),
            }
        }
    }

    fn value(&self, row: usize) -> Cell {
        match &self.all {
            All::Counts(all) => match all.get(row) {
                None => Ok(Value::Int(0)),
                Some(count) if count.apart == NONE => Ok(Value::Int(i64::from(count.values))),
                Some(count) => self.apart.get(count.apart).value(),
            },
            All::Sums(all) => match all.get(row) {
                None => Accumulator::new(&self.agg, &self.of).value(),
                Some(sum) if sum.apart == NONE => {
                    Accumulator::of_words(&self.agg, &self.of, sum.total(), u64::from(sum.values)).value()
                }
                Some(sum) => self.apart.get(sum.apart).value(),
            },
            All::Extremes(all) => match all.get(row) {
                None => Ok(Value::Null),
                Some(Extreme::Apart(apart)) => self.apart.get(*apart).value(),
                Some(Extreme::Few(words)) => {
                    let end = if self.agg == Agg::Min { words.first() } else { words.last() };
                    Ok(end.map_or(Value::Null, |word| self.kind.value(ranked(self.kind, *word))))
                }
            },
            All::Any(blank, all) => all.get(row).unwrap_or(blank).value(),
        }
    }

    /// Groups that hold something, and the bytes of all of them.
    fn size(&self) -> (u64, u64) {
        let apart = self.apart.iter().fold((0, 0), |(groups, bytes), one| (groups + 1, bytes + one.bytes() as u64));
        let (groups, bytes) = match &self.all {
            All::Counts(all) => (all.iter().filter(|count| count.apart == NONE && count.values > 0).count(), all.bytes()),
            All::Sums(all) => (all.iter().filter(|sum| sum.apart == NONE && sum.values > 0).count(), all.bytes()),
            All::Extremes(all) => all.iter().fold((0, all.bytes()), |(groups, bytes), extreme| match extreme {
                Extreme::Few(words) => (groups + usize::from(!words.is_empty()), bytes + words.capacity() as u64 * 8),
                Extreme::Apart(_) => (groups, bytes),
            }),
            All::Any(_, all) => all.iter().fold((0, all.bytes()), |(groups, bytes), one| {
                (groups + usize::from(!one.is_empty()), bytes + (one.bytes() - size_of::<Accumulator>()) as u64)
            }),
        };
        (groups as u64 + apart.0, bytes + apart.1)
    }
}

/// Puts a word in or takes one out, unless there are too many.
#[inline]
fn change_extreme(extreme: &mut Extreme, word: u64, comes: bool) -> bool {
    let Extreme::Few(words) = extreme else { return false };
    let at = words.partition_point(|other| *other < word);
    if !comes {
        debug_assert_eq!(words.get(at), Some(&word), "invariant AGG-1: only what is in is taken out");
        if words.get(at) == Some(&word) {
            words.remove(at);
        }
        return true;
    }
    if words.len() >= FEW {
        return false;
    }
    if words.len() == words.capacity() {
        words.reserve_exact(2 + words.len() / 2);
    }
    words.insert(at, word);
    true
}

impl Aggregates {
    /// For these aggregates in each row.
    pub fn new(groups: &[GroupIn]) -> Aggregates {
        Aggregates { lanes: groups.iter().map(|group| Lane::new(&group.agg, &group.of)).collect() }
    }

    /// Takes over what others hold: by place here, the place there.
    pub fn adopt(&mut self, old: &mut Aggregates, places: &[Option<usize>]) {
        for (lane, from) in self.lanes.iter_mut().zip(places) {
            from.iter().for_each(|from| std::mem::swap(lane, &mut old.lanes[*from]));
        }
    }

    /// Takes what a child no longer gives out, and puts in what it gives now.
    #[inline]
    pub fn apply(&mut self, row: u32, place: u32, given: &Given) {
        let lane = &mut self.lanes[place as usize];
        lane.ensure(row);
        match given {
            Given::Add(add) => lane.change_word(row, *add, true),
            Given::Remove(remove) => lane.change_word(row, *remove, false),
            Given::Swap(remove, add) => lane.swap_words(row, *remove, *add),
            Given::Cells(cells) => {
                cells.remove.iter().for_each(|cell| lane.change(row, cell, false));
                cells.add.iter().for_each(|cell| lane.change(row, cell, true));
            }
        }
    }

    /// Looks at a row's lanes, so that they are near when they are wanted.
    #[inline]
    pub fn look(&self, row: u32) -> u64 {
        self.lanes.iter().fold(0, |all, lane| all ^ lane.look(row as usize))
    }

    /// Puts in what children give that are born: a word of this kind for each of the rows.
    pub fn add_words(&mut self, place: u32, rows: &[u32], kind: Kind, words: &[u64]) {
        self.lanes[place as usize].add_words(rows, kind, words);
    }

    /// What an aggregate shows.
    #[inline]
    pub fn value(&self, row: u32, place: u32) -> Cell {
        self.lanes[place as usize].value(row as usize)
    }

    /// Groups that hold something at one place, and the bytes of all of them.
    pub fn size(&self, place: usize) -> (u64, u64) {
        self.lanes[place].size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::mail::Contribution;
    use thalweg_formulas::decimal::Decimal;
    use thalweg_formulas::{Duration, Error, Timestamp};

    /// SplitMix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value of a type, mostly small, sometimes at the ends, sometimes in error, of another scale, or NULL.
    fn cell(ty: &Type, state: &mut u64) -> Cell {
        let n = match random(state) % 16 {
            0 => i64::MAX,
            1 => i64::MIN,
            _ => (random(state) % 9) as i64 - 4,
        };
        match random(state) % 64 {
            0 => return Err(Error::new(302, "1 / 0")),
            1 => return Ok(Value::Null),
            _ => {}
        }
        Ok(match ty {
            Type::Int => Value::Int(n),
            Type::Uint => Value::Uint(n as u64),
            Type::Double => Value::double(n as f64 / 4.0),
            Type::Timestamp => Value::Timestamp(Timestamp(n)),
            Type::Duration => Value::Duration(Duration(n)),
            Type::Decimal { .. } if random(state).is_multiple_of(64) => Value::Decimal(Decimal::Small { mantissa: n, scale: 3 }),
            Type::Decimal { scale, .. } => Value::Decimal(Decimal::Small { mantissa: n, scale: *scale }),
            Type::Bool => Value::Bool(n > 0),
            _ => Value::from(n.to_string().as_str()),
        })
    }

    #[test]
    fn a_lane_shows_what_an_accumulator_shows() {
        let decimal = Type::Decimal { precision: 10, scale: 2 };
        let types = [Type::Int, Type::Uint, Type::Double, Type::Timestamp, Type::Duration, decimal, Type::Bool, Type::Text];
        let mut state = 7;
        for (agg, ty) in [Agg::Count, Agg::Sum, Agg::Avg, Agg::Min, Agg::Max]
            .iter()
            .flat_map(|agg| types.iter().map(move |ty| (agg.clone(), ty)))
        {
            if thalweg_formulas::aggregate::result_type(&agg, std::slice::from_ref(ty)).is_err() {
                continue;
            }
            let of = vec![ty.clone()];
            let mut plain = vec![Accumulator::new(&agg, &of); 5];
            let mut lanes = Aggregates::new(&[GroupIn { agg: agg.clone(), of, slot: 0 }]);
            let mut inside: Vec<Vec<Cell>> = vec![Vec::new(); 5];
            for step in 0..4_000 {
                let row = (random(&mut state) % 5) as usize;
                // Rows grow beyond what a lane holds, and are emptied.
                let comes = if step / 500 % 2 == 0 {
                    !random(&mut state).is_multiple_of(4)
                } else {
                    random(&mut state).is_multiple_of(4)
                };
                let (mut add, mut remove) = (None, None);
                if comes {
                    add = Some(cell(ty, &mut state));
                }
                if (!comes || random(&mut state).is_multiple_of(3)) && !inside[row].is_empty() {
                    let at = (random(&mut state) % inside[row].len() as u64) as usize;
                    remove = Some(inside[row].swap_remove(at));
                }
                remove.iter().for_each(|cell| plain[row].remove(cell));
                add.iter().for_each(|cell| plain[row].insert(cell));
                inside[row].extend(add.clone());
                let kind = Kind::of_type(ty);
                let word = |cell: &Option<Cell>| cell.as_ref().and_then(|cell| kind.word(cell.as_ref().ok()?));
                let in_words = match (word(&remove), word(&add)) {
                    (Some(remove), Some(add)) => Some(Given::Swap(remove, add)),
                    (Some(remove), None) if add.is_none() => Some(Given::Remove(remove)),
                    (None, Some(add)) if remove.is_none() => Some(Given::Add(add)),
                    _ => None,
                };
                lanes.apply(row as u32, 0, &in_words.unwrap_or_else(|| Given::Cells(Contribution { remove, add }.into())));
                let given: Vec<Cell> = (0..random(&mut state) % 3).map(|_| cell(ty, &mut state)).collect();
                let words: Vec<u64> = given.iter().filter_map(|cell| kind.word(cell.as_ref().ok()?)).collect();
                if comes && words.len() == given.len() {
                    lanes.add_words(0, &vec![row as u32; words.len()], kind, &words);
                    given.iter().for_each(|cell| plain[row].insert(cell));
                    inside[row].extend(given);
                }
                assert_eq!(lanes.value(row as u32, 0), plain[row].value(), "{agg:?} over {ty}: {:?}", inside[row]);
            }
            let groups = plain.iter().filter(|one| !one.is_empty()).count() as u64;
            assert_eq!(lanes.size(0).0, groups, "{agg:?} over {ty}");
        }
    }
}
