//! Commits and branches of the stand-in: content with parents, and names that point at it.
//!
//! Hashes are of Dolt's form, 32 characters of `0-9a-v`, and are made of what a commit holds. A working set is what a branch's tables are
//! between its commits.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::log::Tables;

/// The first commit's time, in microseconds; each later one is a second and a millisecond younger.
const FIRST: i64 = 1_700_000_000_000_000;
const BETWEEN: i64 = 1_001_000;

/// One commit.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) hash: String,
    pub(super) parents: Vec<String>,
    /// Microseconds since 1970, whole milliseconds.
    pub(super) date: i64,
    pub(super) tables: Tables,
}

/// A branch: where it points, and its tables as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    pub(super) head: String,
    pub(super) working: Tables,
}

/// All commits and branches of one server. Every branch holds the tables of all databases; the reader asks one database of each.
#[derive(Debug)]
pub(super) struct History {
    /// In the order in which they were made.
    pub(super) commits: Vec<Commit>,
    pub(super) branches: BTreeMap<String, Branch>,
    made: i64,
}

impl History {
    /// The empty first commit, on `main`.
    pub(super) fn new() -> History {
        let mut history = History { commits: Vec::new(), branches: BTreeMap::new(), made: 0 };
        history.branches.insert("main".into(), Branch::default());
        history.add("main", Vec::new());
        history
    }

    pub(super) fn branch(&self, name: &str) -> &Branch {
        self.branches.get(name).expect("the branch was made")
    }

    pub(super) fn working(&mut self, name: &str) -> &mut Tables {
        &mut self.branches.get_mut(name).expect("the branch was made").working
    }

    /// `dolt_commit('-Am', …)`.
    pub(super) fn commit(&mut self, branch: &str) -> String {
        let parent = self.branch(branch).head.clone();
        self.add(branch, vec![parent])
    }

    fn add(&mut self, branch: &str, parents: Vec<String>) -> String {
        let date = FIRST + BETWEEN * self.made;
        self.made += 1;
        let branch = self.branches.get_mut(branch).expect("the branch was made");
        let tables = branch.working.clone();
        let hash = hash_of(&(&parents, date, root_of(&tables)));
        branch.head.clone_from(&hash);
        self.commits.push(Commit { hash: hash.clone(), parents, date, tables });
        hash
    }

    /// A commit by its hash or by a branch's name.
    pub(super) fn resolve(&self, spec: &str) -> Option<&Commit> {
        let hash = self.branches.get(spec).map_or(spec, |branch| &branch.head);
        self.commits.iter().find(|commit| commit.hash == hash)
    }

    /// A commit and all that came before it.
    pub(super) fn ancestors(&self, hash: &str) -> BTreeSet<String> {
        let (mut all, mut open) = (BTreeSet::new(), vec![hash.to_string()]);
        while let Some(hash) = open.pop() {
            if let Some(commit) = self.resolve(&hash).filter(|_| all.insert(hash.clone())) {
                open.extend(commit.parents.iter().cloned());
            }
        }
        all
    }

    /// What `head` has and `not` has not: children before their parents.
    pub(super) fn log(&self, head: &str, not: Option<&str>) -> Vec<&Commit> {
        let without = not.map(|not| self.ancestors(not)).unwrap_or_default();
        let wanted = self.ancestors(head);
        self.commits.iter().rev().filter(|c| wanted.contains(&c.hash) && !without.contains(&c.hash)).collect()
    }

    /// `dolt_merge`: the rows that `from` has changed since the two parted are so in `into` as well.
    pub(super) fn merge(&mut self, into: &str, from: &str) -> String {
        let (ours, theirs) = (self.branch(into).head.clone(), self.branch(from).head.clone());
        let shared = self.ancestors(&ours);
        if shared.contains(&theirs) {
            return ours; // Everything is up to date.
        }
        let base = self.log(&theirs, None).into_iter().find(|c| shared.contains(&c.hash));
        let base = base.expect("all commits come from the first").clone();
        let new = self.resolve(&theirs).expect("a head is a commit").tables.clone();
        if base.hash == ours {
            *self.branches.get_mut(into).expect("the branch was made") = Branch { head: theirs.clone(), working: new };
            return theirs;
        }
        let working = self.working(into);
        for (name, table) in new {
            let old = base.tables.get(&name).map(|old| old.rows.clone()).unwrap_or_default();
            let mine = working.entry(name).or_insert_with(|| table.clone());
            mine.rows.retain(|key, _| table.rows.contains_key(key) || !old.contains_key(key));
            mine.rows.extend(table.rows.into_iter().filter(|(key, row)| old.get(key) != Some(row)));
        }
        self.add(into, vec![ours, theirs])
    }

    /// `dolt_reset('--hard', …)`.
    pub(super) fn reset(&mut self, branch: &str, hash: &str) {
        let commit = self.resolve(hash).expect("a commit").clone();
        let branch = self.branches.get_mut(branch).expect("the branch was made");
        *branch = Branch { head: commit.hash, working: commit.tables };
    }

    /// `dolt_gc()`: what no branch reaches goes.
    pub(super) fn collect_garbage(&mut self) {
        let heads: Vec<String> = self.branches.values().map(|branch| branch.head.clone()).collect();
        let reached: BTreeSet<String> = heads.iter().flat_map(|head| self.ancestors(head)).collect();
        self.commits.retain(|commit| reached.contains(&commit.hash));
    }
}

/// The hash of all tables' content.
pub(super) fn root_of(tables: &Tables) -> String {
    hash_of(&format!("{tables:?}"))
}

/// 160 bits in 32 characters.
fn hash_of(content: &impl Hash) -> String {
    let part = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        content.hash(&mut hasher);
        hasher.finish()
    };
    let bits = [part(0), part(1), part(2)];
    let digit = |i: usize| bits[i / 12] >> (i % 12 * 5) & 0x1f;
    (0..32).map(|i| char::from(b"0123456789abcdefghijklmnopqrstuv"[digit(i) as usize])).collect()
}
