//! The commits between the last that was handed over and a branch's head, in order.
//!
//! A commit's first parent is what its branch was before it, so the way from head to last is that of first parents. Where a branch was
//! moved forward to a commit that has the last one as its second parent only, the way goes there instead: it is always one along which
//! every commit follows from the one before.
//!
//! Cost: one query, and about 150 bytes for each commit that is new to this reader.

use std::collections::{BTreeSet, HashMap};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value as Sql};
use thalweg_formulas::{Timestamp, Value};

use super::place::Commit;
use crate::binlog::temporal::Civil;
use crate::mysql::failure::{Failure, code};

/// A commit as the log tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: Commit,
    parents: Vec<Commit>,
    /// When it was made, by the committer's clock.
    pub(crate) at: Timestamp,
}

/// A commit, and the one that it is told as a change of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// `None`: there was nothing before.
    pub(crate) from: Option<Commit>,
    pub(crate) to: Entry,
}

impl Step {
    /// The transaction's id. The commit's own hash where the change is the one that the commit itself made, whoever asks and wherever the
    /// repository is; else both ends.
    pub(crate) fn origin(&self) -> String {
        match &self.from {
            Some(from) if self.to.parents.first() != Some(from) => format!("{from}..{}", self.to.hash),
            _ => self.to.hash.to_string(),
        }
    }
}

/// The steps from `last` to `head`, oldest first; from the very first commit where there is no last. `None`: `last` is not in the history
/// of `head`.
pub(crate) async fn steps(conn: &mut Conn, head: &Commit, last: Option<&Commit>) -> Result<Option<Vec<Step>>, Failure> {
    let entries = match last {
        Some(last) => log(conn, &format!("'{head}', '--not', '{last}', '--parents'")).await?,
        None => log(conn, &format!("'{head}', '--parents'")).await?,
    };
    Ok(way(entries, head, last))
}

/// What the log tells of one commit.
pub(crate) async fn entry(conn: &mut Conn, hash: &Commit) -> Result<Entry, Failure> {
    let entries = log(conn, &format!("'{hash}', '--parents'")).await?;
    entries.into_iter().find(|entry| entry.hash == *hash).ok_or_else(unknown_form)
}

/// What `dolt_log` gives for these arguments.
async fn log(conn: &mut Conn, arguments: &str) -> Result<Vec<Entry>, Failure> {
    let rows: Vec<Row> = conn.exec(format!("SELECT commit_hash, parents, date FROM dolt_log({arguments})"), ()).await?;
    rows.into_iter().map(|row| of_row(row.unwrap()).ok_or_else(unknown_form)).collect()
}

fn of_row(cells: Vec<Sql>) -> Option<Entry> {
    let text = |cell: &Sql| match cell {
        Sql::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(String::from),
        Sql::NULL => Some(String::new()),
        _ => None,
    };
    let [hash, parents, date] = &cells[..] else { return None };
    let parents = text(parents)?;
    let parents = parents.split(',').map(str::trim).filter(|hash| !hash.is_empty()).map(str::parse).collect::<Result<_, _>>();
    let Sql::Date(year, month, day, hour, minute, second, micros) = *date else { return None };
    let Value::Timestamp(at) = (Civil { year, month, day, hour, minute, second, micros }).datetime(6) else { return None };
    Some(Entry { hash: text(hash)?.parse().ok()?, parents: parents.ok()?, at })
}

fn unknown_form() -> Failure {
    Failure::stop(code::SERVER, "the server answers in an unknown form: SELECT … FROM dolt_log", "report this")
}

/// The way from `last` to `head` over these entries.
fn way(entries: Vec<Entry>, head: &Commit, last: Option<&Commit>) -> Option<Vec<Step>> {
    let leading = last.map(|last| leading_to(&entries, last));
    let leads = |hash: &Commit| match &leading {
        Some(leading) => Some(hash) == last || leading.contains(hash),
        None => true,
    };
    let mut left: HashMap<Commit, Entry> = entries.into_iter().map(|entry| (entry.hash.clone(), entry)).collect();
    let (mut steps, mut at) = (Vec::new(), Some(head.clone()));
    while at.as_ref() != last {
        // Each is taken out once, so even a history that bites its tail ends.
        let to = left.remove(at.as_ref()?)?;
        let from = to.parents.iter().find(|parent| leads(parent)).cloned();
        at.clone_from(&from);
        steps.push(Step { from, to });
    }
    steps.reverse();
    Some(steps)
}

/// The commits that have `last` among their ancestors.
fn leading_to(entries: &[Entry], last: &Commit) -> BTreeSet<Commit> {
    let mut children: HashMap<&Commit, Vec<&Commit>> = HashMap::new();
    for entry in entries {
        entry.parents.iter().for_each(|parent| children.entry(parent).or_default().push(&entry.hash));
    }
    let (mut leading, mut open) = (BTreeSet::new(), vec![last]);
    while let Some(hash) = open.pop() {
        let new = children.get(hash).into_iter().flatten().filter(|child| leading.insert((**child).clone()));
        open.extend(new);
    }
    leading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(letter: char) -> Commit {
        letter.to_string().repeat(32).parse().unwrap()
    }

    /// `c:ab` is a commit `c` with the parents `a` and `b`.
    fn entries(history: &str) -> Vec<Entry> {
        let entry = |text: &str| {
            let (own, parents) = text.split_once(':').unwrap();
            let parents = parents.chars().map(hash).collect();
            Entry { hash: hash(own.chars().next().unwrap()), parents, at: Timestamp(0) }
        };
        history.split_whitespace().map(entry).collect()
    }

    #[test]
    fn the_way_goes_by_first_parents_or_else_by_those_that_lead_there() {
        for (history, head, last, wanted) in [
            ("c:b b:a", 'c', Some('a'), Some("b c")),
            ("", 'a', Some('a'), Some("")),
            ("c:b b:a a:", 'c', None, Some("a b c")),
            // A merge into this branch: what came with it is one step.
            ("m:bd d:c c:a b:a", 'm', Some('a'), Some("b m")),
            // The branch was moved forward to a merge that has the last commit as its second parent.
            ("m:da d:c c:b", 'm', Some('a'), Some("a..m")),
            ("n:m m:da d:c", 'n', Some('a'), Some("a..m n")),
            // Both parents lead there: the first counts.
            ("m:bc c:a b:a", 'm', Some('a'), Some("b m")),
            // Rewritten, moved back, or another history altogether.
            ("c:b b:0", 'c', Some('a'), None),
            ("", 'b', Some('a'), None),
            ("b:c c:b", 'b', Some('a'), None),
        ] {
            let last = last.map(hash);
            let found = way(entries(history), &hash(head), last.as_ref());
            let shown = |step: Step| {
                let ends = step.origin();
                ends.split("..").map(|end| &end[..1]).collect::<Vec<_>>().join("..")
            };
            let found = found.map(|steps| steps.into_iter().map(shown).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), wanted, "{history}");
        }
    }
}
