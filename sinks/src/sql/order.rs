//! Which of several writes of one row is the newest: what stands in `thalweg_rows` beside a row, and how a write is judged by it.
//!
//! - INV-SQL-ORDER: what stands in a row of the target is, column by column, what the newest write of this instance said, whatever order
//!   deliveries arrive in and however often. A write is as new as its epoch; in one epoch an upsert is newer than a delete, so that a
//!   change of key that ends where it began leaves the row.
//!
//! The dispatcher delivers the firings of one rule and key in order. Two rules that write one row, a delivery that waits for its next try and a
//! dead letter that is replayed do not keep any order, and what they would overwrite is protected here.
//!
//! One case is not exact: a delete that arrives after a newer upsert of *some* columns leaves the other columns as they were.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How new a write is: commit time in microseconds and epoch; then the effect id, so that any two writes have an order. The commit
/// time never runs backwards with the epoch; it orders what was written before an older backup of the data directory was put back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Order(pub(super) i64, pub(super) u64, pub(super) String);

impl Order {
    fn epoch(&self) -> (i64, u64) {
        (self.0, self.1)
    }
}

/// What a write does to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Sets every column.
    Whole,
    /// Sets these columns, named in lower case.
    Columns(BTreeSet<String>),
    /// Deletes it.
    Delete,
}

/// The newest writes of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Order>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<Order>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<(BTreeSet<String>, Order)>,
}

/// What is to be done with a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it was done before, or newer ones stand.
    Stale,
    /// Carry it out, but for these columns, which newer writes have set; afterwards these marks stand.
    Write(Marks, BTreeSet<String>),
    /// A delete that newer upserts have overtaken: only the marks change.
    Note(Marks),
}

impl Marks {
    /// Judges a write.
    pub(super) fn judge(&self, order: &Order, scope: &Scope) -> Verdict {
        match scope {
            Scope::Delete => self.delete(order),
            Scope::Whole | Scope::Columns(_) if self.is_deleted_after(order) => Verdict::Stale,
            Scope::Whole => self.whole(order),
            Scope::Columns(columns) => self.columns(order, columns),
        }
    }

    fn is_deleted_after(&self, order: &Order) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.epoch() > order.epoch())
    }

    fn delete(&self, order: &Order) -> Verdict {
        if self.deleted.as_ref().is_some_and(|deleted| deleted >= order) {
            return Verdict::Stale;
        }
        let stands = |write: &Order| write.epoch() >= order.epoch();
        let marks = Marks {
            deleted: Some(order.clone()),
            whole: self.whole.clone().filter(stands),
            columns: self.columns.iter().filter(|(_, write)| stands(write)).cloned().collect(),
        };
        if marks.whole.is_none() && marks.columns.is_empty() {
            return Verdict::Write(marks, BTreeSet::new());
        }
        Verdict::Note(marks)
    }

    fn whole(&self, order: &Order) -> Verdict {
        if self.whole.as_ref().is_some_and(|whole| whole >= order) {
            return Verdict::Stale;
        }
        let newer: Vec<_> = self.columns.iter().filter(|(_, write)| write > order).cloned().collect();
        let kept = newer.iter().flat_map(|(columns, _)| columns).cloned().collect();
        Verdict::Write(Marks { deleted: self.deleted.clone(), whole: Some(order.clone()), columns: newer }, kept)
    }

    fn columns(&self, order: &Order, columns: &BTreeSet<String>) -> Verdict {
        if self.whole.as_ref().is_some_and(|whole| whole >= order) {
            return Verdict::Stale;
        }
        let newer = self.columns.iter().filter(|(_, write)| write >= order).flat_map(|(columns, _)| columns);
        let kept: BTreeSet<String> = newer.filter(|column| columns.contains(*column)).cloned().collect();
        let written: BTreeSet<String> = columns.difference(&kept).cloned().collect();
        if written.is_empty() {
            return Verdict::Stale;
        }
        let mut marks = self.clone();
        marks.columns.iter_mut().for_each(|(known, _)| known.retain(|column| !written.contains(column)));
        marks.columns.retain(|(known, _)| !known.is_empty());
        marks.columns.push((written, order.clone()));
        Verdict::Write(marks, kept)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A row of columns, or none; the number is the epoch that wrote it.
    type Row = Option<BTreeMap<String, u64>>;

    const ALL: [&str; 3] = ["a", "b", "c"];

    fn scope(n: u8) -> Scope {
        match n {
            0 => Scope::Delete,
            7 => Scope::Whole,
            bits => {
                Scope::Columns(ALL.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| (*c).into()).collect())
            }
        }
    }

    fn write(row: &mut Row, epoch: u64, scope: &Scope, kept: &BTreeSet<String>) {
        let set: Vec<String> = match scope {
            Scope::Delete => return *row = None,
            Scope::Whole => ALL.iter().map(|c| (*c).to_owned()).collect(),
            Scope::Columns(columns) => columns.iter().cloned().collect(),
        };
        let row = row.get_or_insert_default();
        row.extend(set.into_iter().filter(|column| !kept.contains(column)).map(|column| (column, epoch)));
    }

    /// Delivers writes in this order, as the sink does.
    fn deliver(writes: &[(u64, Scope)], order: impl IntoIterator<Item = usize>) -> Row {
        let (mut row, mut marks) = (None, Marks::default());
        for at in order {
            let (epoch, scope) = &writes[at];
            let order = Order((epoch / 3) as i64, *epoch, format!("id{at}"));
            // What stands beside the row is text.
            let stored: Marks = serde_json::from_str(&serde_json::to_string(&marks).unwrap()).unwrap();
            assert_eq!(stored, marks);
            match marks.judge(&order, scope) {
                Verdict::Stale => {}
                Verdict::Note(next) => marks = next,
                Verdict::Write(next, kept) => {
                    write(&mut row, *epoch, scope, &kept);
                    marks = next;
                }
            }
        }
        row
    }

    fn writes(scopes: &[u8]) -> Vec<(u64, Scope)> {
        scopes.iter().enumerate().map(|(i, n)| (i as u64 + 1, scope(*n))).collect()
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_ends_where_the_epochs_end(
            scopes in prop_oneof![
                prop::collection::vec(1u8..8, 1..12),                       // Upserts of any columns.
                prop::collection::vec(prop_oneof![Just(0u8), Just(7)], 1..12), // Whole rows and deletes.
            ],
            arrivals in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let writes = writes(&scopes);
            let in_order = deliver(&writes, 0..writes.len());
            // Some arrive early, some twice, and at last each arrives once more, the newest first.
            let some = arrivals.iter().map(|index| index.index(writes.len()));
            prop_assert_eq!(deliver(&writes, some.chain((0..writes.len()).rev())), in_order.clone());
            let oldest_first = arrivals.iter().map(|index| index.index(writes.len())).chain(0..writes.len());
            prop_assert_eq!(deliver(&writes, oldest_first), in_order);
        }

        #[test]
        fn deletes_among_upserts_of_some_columns_never_bring_back_a_row(scopes in prop::collection::vec(0u8..8, 1..12)) {
            let writes = writes(&scopes);
            let in_order = deliver(&writes, 0..writes.len());
            let reversed = deliver(&writes, (0..writes.len()).rev());
            prop_assert_eq!(reversed.is_some(), in_order.is_some());
            for (column, epoch) in in_order.unwrap_or_default() {
                prop_assert_eq!(reversed.as_ref().unwrap().get(&column), Some(&epoch));
            }
        }
    }

    #[test]
    fn in_one_epoch_an_upsert_outlives_a_delete() {
        let writes = [(5, Scope::Delete), (5, Scope::Whole)];
        for order in [[0, 1], [1, 0]] {
            assert!(deliver(&writes, order).is_some(), "{order:?}");
        }
    }

    #[test]
    fn the_marks_of_a_mirrored_row_stay_short() {
        let mut marks = Marks::default();
        for epoch in 0..5 {
            let order = Order(1_709_251_199_250_000, epoch, "01HQT500000000000000000001".to_owned());
            let Verdict::Write(next, kept) = marks.judge(&order, &Scope::Whole) else { panic!("newer") };
            assert!(kept.is_empty());
            marks = next;
        }
        let text = serde_json::to_string(&marks).unwrap();
        assert_eq!(text, r#"{"whole":[1709251199250000,4,"01HQT500000000000000000001"]}"#);
    }
}
