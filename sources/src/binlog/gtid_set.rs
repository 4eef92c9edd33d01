//! MySQL's GTIDs: which transactions of which server, as a set of intervals, with tags.
//!
//! A set is printed in one line and in one way: by server id, then by tag (none first), intervals in order and never touching:
//! `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23:mytag:1-4`. Everything that MySQL itself prints or accepts is read: line breaks, capitals,
//! ids without dashes, several blocks of one server, intervals in any order.
//!
//! Cost: adding a transaction at the end of what its server has is O(1), elsewhere O(n) in the intervals of that server; asking for one is
//! O(log n), the set operations O(n). A copy shares all intervals but the last of each server with its original, and their text: it costs as
//! little with a hundred thousand of them as with one, and prints as fast as bytes are copied.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use super::gtid::GtidError;

/// The largest number that a transaction may have.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// A server's own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::text_forms::uuid(self.0))
    }
}

impl FromStr for Uuid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let bad = || GtidError { text: text.to_string() };
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let dashes_are_right = match inner.len() {
            36 => inner.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23)),
            _ => inner.len() == 32,
        };
        let digits: Option<Vec<u8>> =
            inner.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
        let digits = digits.filter(|digits| dashes_are_right && digits.len() == 32).ok_or_else(bad)?;
        Ok(Uuid(std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1])))
    }
}

/// A tag: empty, or up to 32 of `a-z`, `0-9` and `_`, not beginning with a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// No tag.
    pub fn none() -> Tag {
        Tag("".into())
    }

    /// A tag; capitals become small.
    ///
    /// # Errors
    /// Characters or a length that a tag cannot have.
    pub fn new(text: &str) -> Result<Tag, GtidError> {
        let is_tag = text.len() <= 32
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !text.as_bytes().first().is_some_and(u8::is_ascii_digit);
        if is_tag { Ok(Tag(text.to_ascii_lowercase().into())) } else { Err(GtidError { text: text.to_string() }) }
    }

    /// Its text; empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One transaction's id in MySQL: where it was first committed, its tag, its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MysqlGtid {
    /// The server.
    pub uuid: Uuid,
    /// The tag.
    pub tag: Tag,
    /// From 1.
    pub number: u64,
}

impl fmt::Display for MysqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag.as_str() {
            "" => write!(f, "{}:{}", self.uuid, self.number),
            tag => write!(f, "{}:{tag}:{}", self.uuid, self.number),
        }
    }
}

/// A run of numbers of one server and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval<'a> {
    /// The server.
    pub uuid: Uuid,
    /// The tag.
    pub tag: &'a Tag,
    /// The first number.
    pub first: u64,
    /// The last one, included.
    pub last: u64,
}

/// A set of MySQL's GTIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<(Uuid, Tag), Runs>);

/// First and last numbers: in order, each begins at least two behind the end of the one before. The last of them, which grows with every
/// transaction, stands apart from the others, which are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Runs {
    settled: Arc<Settled>,
    last: (u64, u64),
}

/// All but the last, and their text once it was asked for: `:1-7:9`.
#[derive(Clone, Debug, Default)]
struct Settled {
    runs: Vec<(u64, u64)>,
    text: OnceLock<String>,
}

impl PartialEq for Settled {
    fn eq(&self, other: &Self) -> bool {
        self.runs == other.runs
    }
}

impl Eq for Settled {}

impl Settled {
    fn push(&mut self, run: (u64, u64)) {
        self.runs.push(run);
        self.text.get_mut().into_iter().for_each(|text| write_run(text, run).expect("a string takes what is written"));
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut text = String::new();
            self.runs.iter().for_each(|run| write_run(&mut text, *run).expect("a string takes what is written"));
            text
        })
    }
}

fn write_run(out: &mut impl fmt::Write, (first, last): (u64, u64)) -> fmt::Result {
    write!(out, ":{first}")?;
    if first == last { Ok(()) } else { write!(out, "-{last}") }
}

impl Runs {
    /// `None`: there are none.
    fn new(mut runs: Vec<(u64, u64)>) -> Option<Runs> {
        let last = runs.pop()?;
        Some(Runs { settled: Arc::new(Settled { runs, ..Settled::default() }), last })
    }

    fn iter(&self) -> impl Iterator<Item = &(u64, u64)> {
        self.settled.runs.iter().chain(std::iter::once(&self.last))
    }

    /// The first run that ends at `number` or behind it.
    fn reaching(&self, number: u64) -> Option<(u64, u64)> {
        let at = self.settled.runs.partition_point(|(_, end)| *end < number);
        self.settled.runs.get(at).copied().or_else(|| (self.last.1 >= number).then_some(self.last))
    }

    fn add(&mut self, first: u64, last: u64) {
        let (begin, end) = self.last;
        if first > end + 1 {
            Arc::make_mut(&mut self.settled).push(self.last);
            self.last = (first, last);
        } else if first >= begin {
            self.last.1 = end.max(last);
        } else {
            let Settled { runs, text } = Arc::make_mut(&mut self.settled);
            text.take();
            runs.push(self.last);
            join(runs, first, last);
            self.last = runs.pop().expect("invariant: what was added is there");
        }
    }
}

/// Adds a run to others.
fn join(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    // The runs from `from` up to but without `to` touch the new one and become one with it.
    let from = runs.partition_point(|(_, end)| *end < first - 1);
    let to = runs.partition_point(|(begin, _)| *begin <= last + 1);
    if from == to {
        return runs.insert(from, (first, last));
    }
    runs[from] = (runs[from].0.min(first), runs[to - 1].1.max(last));
    runs.drain(from + 1..to);
}

impl GtidSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many transactions are in it; at most `u64::MAX`.
    pub fn count(&self) -> u64 {
        self.intervals().fold(0, |n, run| n.saturating_add(run.last - run.first + 1))
    }

    /// Its intervals in the order in which they print.
    pub fn intervals(&self) -> impl Iterator<Item = Interval<'_>> {
        self.0.iter().flat_map(|((uuid, tag), runs)| {
            runs.iter().map(|(first, last)| Interval { uuid: *uuid, tag, first: *first, last: *last })
        })
    }

    /// Whether `gtid` is in it.
    pub fn contains(&self, gtid: &MysqlGtid) -> bool {
        let Some(runs) = self.0.get(&(gtid.uuid, gtid.tag.clone())) else { return false };
        runs.reaching(gtid.number).is_some_and(|(first, _)| first <= gtid.number)
    }

    /// Whether everything of `other` is in it.
    pub fn covers(&self, other: &GtidSet) -> bool {
        other.0.iter().all(|(stream, runs)| {
            let Some(own) = self.0.get(stream) else { return false };
            runs.iter().all(|(first, last)| own.reaching(*first).is_some_and(|(begin, end)| begin <= *first && *last <= end))
        })
    }

    /// Adds one; a number outside 1 to [`NUMBER_MAX`] is none and changes nothing.
    pub fn add(&mut self, gtid: &MysqlGtid) {
        self.add_range(gtid.uuid, &gtid.tag, gtid.number, gtid.number);
    }

    /// Adds `first` to `last`, both included; what lies outside 1 to [`NUMBER_MAX`], or an empty range, changes nothing.
    pub fn add_range(&mut self, uuid: Uuid, tag: &Tag, first: u64, last: u64) {
        let (first, last) = (first.max(1), last.min(NUMBER_MAX));
        if first > last {
            return;
        }
        let new = || Runs { settled: Arc::default(), last: (first, last) };
        self.0.entry((uuid, tag.clone())).and_modify(|runs| runs.add(first, last)).or_insert_with(new);
    }

    /// Everything that is in one of the two.
    pub fn union(mut self, other: &GtidSet) -> GtidSet {
        other.intervals().for_each(|run| self.add_range(run.uuid, run.tag, run.first, run.last));
        self
    }

    /// What is in this set and not in `other`.
    pub fn minus(&self, other: &GtidSet) -> GtidSet {
        let left = self.0.iter().filter_map(|(stream, runs)| {
            let left = match other.0.get(stream) {
                Some(gone) => Runs::new(runs_minus(runs, &gone.iter().copied().collect::<Vec<_>>()))?,
                None => runs.clone(),
            };
            Some((stream.clone(), left))
        });
        GtidSet(left.collect())
    }
}

fn runs_minus(runs: &Runs, gone: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    let mut at = 0;
    for (first, last) in runs.iter() {
        let mut next = *first;
        while gone.get(at).is_some_and(|(_, end)| end < first) {
            at += 1;
        }
        // A run of `gone` may reach into the next run too, so `at` stays.
        for (begin, end) in gone[at..].iter().take_while(|(begin, _)| begin <= last) {
            if *begin > next {
                left.push((next, begin - 1));
            }
            next = next.max(end + 1);
        }
        if next <= *last {
            left.push((next, *last));
        }
    }
    left
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server: Option<Uuid> = None;
        for ((uuid, tag), runs) in &self.0 {
            if server != Some(*uuid) {
                write!(f, "{}{uuid}", if server.is_some() { "," } else { "" })?;
                server = Some(*uuid);
            }
            if !tag.as_str().is_empty() {
                write!(f, ":{}", tag.as_str())?;
            }
            f.write_str(runs.settled.text())?;
            write_run(f, runs.last)?;
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let bad = || GtidError { text: text.to_string() };
        let mut set = GtidSet::default();
        for block in text.split(',').map(str::trim).filter(|block| !block.is_empty()) {
            let mut parts = block.split(':').map(str::trim);
            let uuid: Uuid = parts.next().unwrap_or_default().parse().map_err(|_| bad())?;
            let mut tag = Tag::none();
            let mut any = false;
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    (tag, any) = (Tag::new(part).map_err(|_| bad())?, false);
                } else {
                    let (first, last) = interval(part).ok_or_else(bad)?;
                    set.add_range(uuid, &tag, first, last);
                    any = true;
                }
            }
            any.then_some(()).ok_or_else(bad)?; // A server or a tag without numbers says nothing.
        }
        Ok(set)
    }
}

/// `7` or `1-23`.
fn interval(text: &str) -> Option<(u64, u64)> {
    let number = |digits: &str| {
        let digits = digits.trim();
        let number: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        (1..=NUMBER_MAX).contains(&number).then_some(number)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4f22fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.replace('α', A).replace('β', B).parse().unwrap()
    }

    fn short(set: &GtidSet) -> String {
        set.to_string().replace(A, "α").replace(B, "β")
    }

    #[test]
    fn src_10_sets_print_in_one_way() {
        for (text, canonical) in [
            ("", ""),
            (" \n", ""),
            ("α:1", "α:1"),
            ("α:1-23:mytag:1-4", "α:1-23:mytag:1-4"),
            ("α:7:3-5:1-2:6", "α:1-7"),
            ("α:1-5,\nβ:2,\n α:4-9 , ", "α:1-9,β:2"),
            ("α:tag:3:1-2:_other:9,α:5", "α:5:_other:9:tag:1-3"),
            ("α:MyTag:1 - 4", "α:mytag:1-4"),
            ("3E11FA4771CA11E19E33C80AA9429562:9223372036854775807", "α:9223372036854775807"),
            ("{3e11fa47-71ca-11e1-9e33-c80aa9429562}:1", "α:1"),
        ] {
            assert_eq!(short(&set(text)), canonical, "{text}");
            assert_eq!(short(&set(canonical)), canonical);
        }
    }

    #[test]
    fn src_10_what_is_no_set_is_refused_whole() {
        let long_tag = format!("α:{}:1", "t".repeat(33));
        for text in [
            "α",
            "α:",
            "α:0",
            "α:5-3",
            "α:1-",
            "α:-1",
            "α:+1",
            "α:1:tag",
            "α:9223372036854775808",
            "α:1-2-3",
            "α:t-g:1",
            &long_tag,
        ]
        .map(|t| t.replace('α', A))
        .iter()
        .map(String::as_str)
        .chain(["3e11fa47:1", "3e11fa4-771ca-11e1-9e33-c80aa9429562:1", "3e11fa47-71ca-11e1-9e33-c80aa942956g:1"])
        {
            let error = text.parse::<GtidSet>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "\"{text}\" is not a GTID position such as 0-1-42,1-1-7 (MariaDB) or 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 (MySQL)"
                )
            );
        }
    }

    /// The slow and obvious set.
    type Naive = BTreeSet<(u8, u8, u64)>;

    fn of(members: &Naive) -> GtidSet {
        let mut set = GtidSet::default();
        for (server, tag, number) in members {
            set.add(&gtid(*server, *tag, *number));
        }
        set
    }

    fn gtid(server: u8, tag: u8, number: u64) -> MysqlGtid {
        MysqlGtid { uuid: Uuid([server; 16]), tag: Tag::new(["", "a", "b_1"][usize::from(tag)]).unwrap(), number }
    }

    fn members() -> impl Strategy<Value = Naive> {
        prop::collection::btree_set((0u8..2, 0u8..3, 1u64..40), 0..60)
    }

    proptest! {
        #[test]
        fn src_10_sets_do_as_naive_sets(a in members(), b in members(), order in any::<u64>()) {
            let (x, y) = (of(&a), of(&b));
            prop_assert_eq!(x.clone().union(&y), of(&a.union(&b).copied().collect()));
            prop_assert_eq!(x.minus(&y), of(&a.difference(&b).copied().collect()));
            prop_assert_eq!(x.covers(&y), a.is_superset(&b));
            prop_assert_eq!(x.count(), a.len() as u64);
            prop_assert_eq!(x.to_string().parse::<GtidSet>().unwrap(), x.clone());
            for (server, tag, number) in &b {
                prop_assert_eq!(x.contains(&gtid(*server, *tag, *number)), a.contains(&(*server, *tag, *number)));
            }
            // The order of adding does not matter.
            let mut shuffled: Vec<_> = a.iter().copied().collect();
            shuffled.sort_by_key(|m| std::hash::BuildHasher::hash_one(&std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(), (order, m)));
            let mut other = GtidSet::default();
            shuffled.iter().for_each(|(server, tag, number)| other.add(&gtid(*server, *tag, *number)));
            prop_assert_eq!(&other, &x);
            // What has printed, and grows, prints what it has become.
            let mut grown = GtidSet::default();
            for (server, tag, number) in &shuffled {
                grown.add(&gtid(*server, *tag, *number));
                prop_assert_eq!(grown.to_string(), grown.to_string().parse::<GtidSet>().unwrap().to_string());
            }
            prop_assert_eq!(grown.to_string(), x.to_string());
        }

        #[test]
        fn src_10_ranges_do_as_their_numbers(ranges in prop::collection::vec((1u64..60, 0u64..12), 0..20)) {
            let (mut set, mut naive) = (GtidSet::default(), Naive::new());
            for (first, len) in ranges {
                set.add_range(Uuid([0; 16]), &Tag::none(), first, first + len);
                naive.extend((first..=first + len).map(|n| (0, 0, n)));
            }
            prop_assert_eq!(set, of(&naive));
        }

        #[test]
        fn src_10_any_text_is_a_set_or_an_error(text in "[0-9a-f:,_ \\n-]{0,80}") {
            if let Ok(set) = text.parse::<GtidSet>() {
                prop_assert_eq!(set.to_string().parse::<GtidSet>().unwrap(), set);
            }
        }
    }

    #[test]
    fn src_28_a_set_of_100_000_holes_takes_one_more_in_no_time() {
        let mut set = GtidSet::default();
        (0..100_000).for_each(|i| set.add(&gtid(0, 0, 2 * i + 1)));
        assert_eq!(set.intervals().count(), 100_000);
        let begin = std::time::Instant::now();
        (0..1_000).for_each(|i| set.add(&gtid(0, 0, 1_000_000 + i)));
        assert!(begin.elapsed().as_millis() < 1_000, "more than a millisecond for one");
        // Whoever keeps a copy for each transaction keeps the old intervals once.
        let mut next = set.clone();
        next.add(&gtid(0, 0, 1_001_000));
        assert_ne!(next, set);
        assert!(next.0.values().zip(set.0.values()).all(|(a, b)| Arc::ptr_eq(&a.settled, &b.settled)));
        let text = set.to_string();
        let (prefix, begin) = (text.rsplit_once(':').unwrap().0, std::time::Instant::now());
        (0..100).for_each(|_| assert!(next.to_string().starts_with(prefix)));
        assert!(begin.elapsed().as_millis() < 1_000, "more than ten milliseconds to print one");
        drop(next);
        (0..100_000).for_each(|i| set.add(&gtid(0, 0, 2 * i + 2)));
        assert_eq!(set.intervals().count(), 2);
    }
}
