//! The changed fields of a step, kept as the engine finds them and rendered for whoever reads them.
//!
//! One record stands for one document in one epoch; behind it lie its key and its changes, old word and new word each. A change
//! costs 24 bytes and no allocation, so a step of which only [`Deltas::len`] is read pays for little more than the writing. Names,
//! values and the order of [`crate::outcome`] come with [`Deltas::sorted`].

use std::cmp::Ordering;
use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_formulas::word::Kind;

use super::{Delta, Key};
use crate::transaction::Epoch;

/// The nodes that a step can tell of, by number: their names, and how their words are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legend {
    /// Name and kind of each node.
    pub nodes: Vec<(Arc<str>, Kind)>,
}

/// What a field showed before or shows now.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// Nothing.
    Null,
    /// The word of a value, in the node's kind.
    Word(u64),
    /// A value that does not stand in a word.
    Value(Value),
}

/// A side of a change as it is kept, to be read where it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown<'a> {
    /// Nothing.
    Null,
    /// The word of a value of this kind.
    Word(Kind, u64),
    /// A value that does not stand in a word.
    Value(&'a Value),
}

impl Shown<'_> {
    /// Whether it shows nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Shown::Null | Shown::Value(Value::Null))
    }

    /// The value; a copy where it does not stand in a word.
    pub fn value(&self) -> Value {
        match self {
            Shown::Null => Value::Null,
            Shown::Word(kind, word) => kind.value(*word),
            Shown::Value(value) => (*value).clone(),
        }
    }
}

/// Changed fields, as they were found. Equal if they tell the same, in whatever order.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    legend: Arc<Legend>,
    records: Vec<Record>,
    /// By record: the document's key.
    keys: Vec<Value>,
    /// By record: what changed.
    changes: Vec<Change>,
    /// What does not stand in a word.
    values: Vec<Value>,
    /// Told as a whole.
    others: Vec<Delta>,
}

/// One document in one epoch.
#[derive(Clone, Copy, Debug)]
struct Record {
    epoch: Epoch,
    /// Where its key ends; it begins where that of the record before ends.
    keys_end: u64,
    /// The same for its changes.
    changes_end: u64,
    gone: bool,
}

/// One field of one document in one epoch.
#[derive(Clone, Copy, Debug)]
struct Change {
    node: u32,
    old_is: Is,
    new_is: Is,
    old: u64,
    new: u64,
}

/// How a side is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Null,
    Word,
    /// The word is a place among the values.
    Value,
}

impl Deltas {
    /// None yet, of these nodes.
    pub fn new(legend: Arc<Legend>) -> Deltas {
        Deltas { legend, ..Deltas::default() }
    }

    /// None yet, with room for about as many as these, but not for more than `most` changes.
    pub fn like(&self, most: usize) -> Deltas {
        Deltas {
            records: Vec::with_capacity(self.records.len().min(most)),
            keys: Vec::with_capacity(self.keys.len().min(most)),
            changes: Vec::with_capacity(self.changes.len().min(most)),
            ..Deltas::new(self.legend.clone())
        }
    }

    /// Expects changes of so many more documents, and so many changes.
    pub fn reserve(&mut self, documents: usize, changes: usize) {
        self.records.reserve(documents);
        self.keys.reserve(documents);
        self.changes.reserve(changes);
    }

    /// None any more, of these nodes, with the memory of those there were.
    pub fn cleared(mut self, legend: Arc<Legend>) -> Deltas {
        self.legend = legend;
        self.records.clear();
        self.keys.clear();
        self.changes.clear();
        self.values.clear();
        self.others.clear();
        self
    }

    /// How many fields changed.
    pub fn len(&self) -> usize {
        self.changes.len() + self.others.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field of the document whose record [`Deltas::end_record`] will end went from one word to another.
    #[inline]
    pub fn words(&mut self, node: u32, old: u64, new: u64) {
        self.changes.push(Change { node, old_is: Is::Word, new_is: Is::Word, old, new });
    }

    /// The same, whatever the field shows.
    pub fn change(&mut self, node: u32, old: Side, new: Side) {
        let ((old_is, old), (new_is, new)) = (self.side(old), self.side(new));
        self.changes.push(Change { node, old_is, new_is, old, new });
    }

    fn side(&mut self, side: Side) -> (Is, u64) {
        match side {
            Side::Null => (Is::Null, 0),
            Side::Word(word) => (Is::Word, word),
            Side::Value(value) => {
                self.values.push(value);
                (Is::Value, self.values.len() as u64 - 1)
            }
        }
    }

    /// The changes since the last record are those of one document in one epoch; no record without changes. `key` writes the key.
    #[inline]
    pub fn end_record(&mut self, epoch: Epoch, gone: bool, key: impl FnOnce(&mut Vec<Value>)) {
        let changes_end = self.changes.len() as u64;
        if self.records.last().map_or(0, |last| last.changes_end) < changes_end {
            key(&mut self.keys);
            self.records.push(Record { epoch, keys_end: self.keys.len() as u64, changes_end, gone });
        }
    }

    /// Adds a delta that is whole already.
    pub fn push(&mut self, delta: Delta) {
        self.others.push(delta);
    }

    /// Adds those of another worker or step.
    pub fn append(&mut self, mut other: Deltas) {
        if self.is_empty() {
            *self = other;
        } else if self.legend == other.legend {
            self.append_records(&mut other);
        } else {
            self.others.extend(other.sorted());
        }
    }

    fn append_records(&mut self, other: &mut Deltas) {
        let [keys, changes, values] = [self.keys.len(), self.changes.len(), self.values.len()].map(|len| len as u64);
        let moved =
            |record: &Record| Record { keys_end: record.keys_end + keys, changes_end: record.changes_end + changes, ..*record };
        let place = |is: Is, word: u64| if is == Is::Value { word + values } else { word };
        let placed =
            |change: &Change| Change { old: place(change.old_is, change.old), new: place(change.new_is, change.new), ..*change };
        self.records.extend(other.records.iter().map(moved));
        self.changes.extend(other.changes.iter().map(placed));
        self.keys.append(&mut other.keys);
        self.values.append(&mut other.values);
        self.others.append(&mut other.others);
    }

    /// Hands each over as it was found, in no order: name, key, old value, new value. Cost: no sort, no copy and no allocation.
    pub fn each(&self, mut take: impl FnMut(&Arc<str>, &[Value], Shown<'_>, Shown<'_>)) {
        let (mut keys, mut changes) = (0, 0);
        for record in &self.records {
            let key = &self.keys[keys..record.keys_end as usize];
            for change in &self.changes[changes..record.changes_end as usize] {
                let (node, kind) = &self.legend.nodes[change.node as usize];
                take(node, key, self.shown(*kind, change.old_is, change.old), self.shown(*kind, change.new_is, change.new));
            }
            (keys, changes) = (record.keys_end as usize, record.changes_end as usize);
        }
        self.others.iter().for_each(|delta| take(&delta.node, &delta.key, Shown::Value(&delta.old), Shown::Value(&delta.new)));
    }

    #[inline]
    fn shown(&self, kind: Kind, is: Is, word: u64) -> Shown<'_> {
        match is {
            Is::Null => Shown::Null,
            Is::Word => Shown::Word(kind, word),
            Is::Value => Shown::Value(&self.values[word as usize]),
        }
    }

    /// All of them with names and values, in the order of [`crate::outcome`]. Cost: a sort, and an allocation for each document.
    pub fn sorted(&self) -> Vec<Delta> {
        let mut all: Vec<Delta> = Vec::with_capacity(self.len());
        let (mut keys, mut changes) = (0, 0);
        for record in &self.records {
            let key: Key = self.keys[keys..record.keys_end as usize].into();
            for change in &self.changes[changes..record.changes_end as usize] {
                all.push(self.rendered(record, &key, change));
            }
            (keys, changes) = (record.keys_end as usize, record.changes_end as usize);
        }
        all.extend(self.others.iter().cloned());
        all.sort_by(|a, b| a.epoch.cmp(&b.epoch).then_with(|| by_text(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key)));
        all
    }

    fn rendered(&self, record: &Record, key: &Key, change: &Change) -> Delta {
        let (node, kind) = &self.legend.nodes[change.node as usize];
        let [old, new] =
            [(change.old_is, change.old), (change.new_is, change.new)].map(|(is, word)| self.shown(*kind, is, word).value());
        Delta { epoch: record.epoch, node: node.clone(), key: key.clone(), old, new, gone: record.gone }
    }
}

impl PartialEq for Deltas {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.sorted() == other.sorted()
    }
}

impl IntoIterator for &Deltas {
    type Item = Delta;
    type IntoIter = std::vec::IntoIter<Delta>;

    fn into_iter(self) -> Self::IntoIter {
        self.sorted().into_iter()
    }
}

fn by_text(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

fn by_key(a: &Key, b: &Key) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend() -> Arc<Legend> {
        Arc::new(Legend { nodes: vec![("b".into(), Kind::Int), ("a".into(), Kind::Boxed)] })
    }

    fn told(epoch: Epoch, key: i64, old: &str, new: i64) -> Deltas {
        let mut deltas = Deltas::new(legend());
        deltas.change(1, Side::Value(Value::from(old)), Side::Null);
        deltas.words(0, 1, new as u64);
        deltas.end_record(epoch, false, |keys| keys.push(Value::Int(key)));
        deltas
    }

    fn shown(deltas: &Deltas) -> Vec<String> {
        let line = |d: Delta| format!("{} {}{:?}: {:?} -> {:?} {}", d.epoch, d.node, d.key, d.old, d.new, d.gone);
        deltas.into_iter().map(line).collect()
    }

    #[test]
    fn records_of_several_workers_are_rendered_in_one_order() {
        let mut deltas = told(2, 7, "x", 5);
        deltas.append(told(1, 9, "y", 6));
        deltas.append(told(2, 3, "z", 4));
        deltas.push(Delta { epoch: 1, node: "c".into(), key: [].into(), old: Value::Null, new: Value::Int(8), gone: true });
        deltas.end_record(3, true, |_| panic!("no record without changes"));
        assert_eq!(deltas.len(), 7);
        assert_eq!(
            shown(&deltas),
            [
                "1 a[Int(9)]: Text(\"y\") -> Null false",
                "1 b[Int(9)]: Int(1) -> Int(6) false",
                "1 c[]: Null -> Int(8) true",
                "2 a[Int(3)]: Text(\"z\") -> Null false",
                "2 a[Int(7)]: Text(\"x\") -> Null false",
                "2 b[Int(3)]: Int(1) -> Int(4) false",
                "2 b[Int(7)]: Int(1) -> Int(5) false",
            ]
        );
    }

    #[test]
    fn each_is_handed_over_once() {
        let mut deltas = told(2, 7, "x", 5);
        deltas.append(told(1, 9, "y", 6));
        deltas.push(Delta { epoch: 1, node: "c".into(), key: [].into(), old: Value::Null, new: Value::Int(8), gone: true });
        let told = |node: &str, key: &[Value], old: &Value, new: &Value| format!("{node}{key:?}: {old:?} -> {new:?}");
        let mut each = Vec::new();
        deltas.each(|node, key, old, new| each.push(told(node, key, &old.value(), &new.value())));
        let mut sorted: Vec<String> = deltas.into_iter().map(|d| told(&d.node, &d.key, &d.old, &d.new)).collect();
        each.sort();
        sorted.sort();
        assert_eq!(each, sorted);
    }

    #[test]
    fn those_of_another_graph_are_taken_by_name() {
        let mut other = Deltas::new(Arc::new(Legend { nodes: vec![("d".into(), Kind::Bool)] }));
        other.words(0, 0, 1);
        other.end_record(1, false, |keys| keys.push(Value::Null));
        let mut deltas = told(1, 1, "x", 2);
        deltas.append(other);
        assert_eq!(shown(&deltas)[2], "1 d[Null]: Bool(false) -> Bool(true) false");
    }

    #[test]
    fn deltas_are_sorted_by_epoch_node_and_key() {
        let nodes: [Arc<str>; 4] = ["b".into(), "a".into(), "b".into(), "c".into()];
        let mut deltas = told(3, 2, "x", 5);
        for at in 0..200_i64 {
            let key: Key = Arc::new([Value::Int(at * 37 % 11)]);
            let node = nodes[at as usize % 4].clone();
            deltas.push(Delta { epoch: (at * 7 % 5) as u64, node, key, old: Value::Null, new: Value::Int(at), gone: false });
        }
        let sorted = deltas.sorted();
        assert_eq!(sorted.len(), 202);
        assert!(sorted.is_sorted_by_key(|delta| (delta.epoch, delta.node.clone(), delta.key.clone())));
    }
}
