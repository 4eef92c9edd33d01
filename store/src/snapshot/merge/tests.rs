//! A merge in rounds, from one snapshot to the next, against folding everything at once.

use proptest::prelude::*;
use thalweg_formulas::{Timestamp, Type};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Op, Schema, SchemaColumn};

use super::super::write::Folder;
use super::*;
use crate::fold::Fold;

/// A keyed table and one without a key, before and after a column was added in the midst.
fn schemas() -> Vec<Arc<Schema>> {
    let column = |name: &&str| SchemaColumn::new((*name).into(), Type::Dyn);
    let schema = |table: &str, columns: &[&str], key: &[u32]| {
        Arc::new(Schema { table: table.into(), columns: columns.iter().map(column).collect(), key: key.to_vec() })
    };
    vec![
        schema("keyed", &["id", "v"], &[0]),
        schema("keyed", &["id", "new", "v"], &[0]),
        schema("many", &["a", "b"], &[]),
        schema("many", &["a", "b", "c"], &[]),
    ]
}

fn arb_cell() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        8 => (0..12i64).prop_map(|x| Some(Value::Int(x))),
        1 => Just(Some(Value::Null)),
        1 => Just(None),
        1 => Just(Some(Value::text("a text that is too long to lie in the value"))),
    ]
}

fn arb_change() -> impl Strategy<Value = Change> {
    let op = prop_oneof![4 => Just(Op::Insert), 2 => Just(Op::Update), 1 => Just(Op::Delete), 2 => Just(Op::Upsert)];
    let image = || prop::option::weighted(0.8, prop::collection::vec(arb_cell(), 3));
    (0..4usize, op, image(), image()).prop_map(|(at, op, before, after)| {
        let schema = schemas().swap_remove(at);
        let fit = |image: Option<Vec<Option<Value>>>| image.map(|cells| cells[..schema.columns.len()].to_vec().into());
        Change { op, key: None, before: fit(before), after: fit(after), schema: schema.clone() }
    })
}

/// Inserts in the order of their keys, as a fill brings them.
fn fill(rows: i64) -> Vec<Change> {
    let row = |id: i64| Some(Row::from([Some(Value::Int(id)), Some(Value::Int(id % 3))]));
    let insert = |id| Change { schema: schemas().swap_remove(0), op: Op::Insert, key: None, before: None, after: row(id) };
    (100..100 + rows).map(insert).collect()
}

/// Merges the changes with the snapshot before, in rounds of at least so many.
fn merged(place: &Path, before: Option<&Manifest>, epoch: u64, least: usize, changes: Vec<Change>) -> Manifest {
    let folder = Folder::create(place, epoch).unwrap();
    let mut merge = Merge { least, round: least, ..Merge::new(Arc::default(), &folder.new) };
    if let Some(manifest) = before {
        merge.begin(&place.join(manifest.epoch.to_string()), manifest).unwrap();
    }
    let body = Body::Changes(changes);
    merge.transaction(Transaction { source: "".into(), origin: "".into(), at: Timestamp(0), body }).unwrap();
    let tables = merge.finish().unwrap();
    let left = std::fs::read_dir(&folder.new).unwrap().count();
    assert_eq!(left, tables.len(), "files of rounds are gone");
    folder.seal("", &EngineState::default(), tables).unwrap().0
}

fn rows_of(path: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    read::each_row(path, &mut |row| {
        rows.push(row);
        Ok(())
    })
    .unwrap();
    rows
}

fn path(place: &Path, manifest: &Manifest, entry: &TableEntry) -> PathBuf {
    place.join(manifest.epoch.to_string()).join(&entry.file.file)
}

fn rows(place: &Path, manifest: &Manifest) -> Vec<(Schema, Vec<Row>)> {
    let of = |entry: &TableEntry| {
        let path = path(place, manifest, entry);
        let (schema, rows) = (read::schema(&path).unwrap(), rows_of(&path));
        assert_eq!((rows.len() as u64, entry.table.as_str()), (entry.rows, &*schema.table));
        (Schema::clone(&schema), rows)
    };
    manifest.tables.iter().map(of).collect()
}

/// All rows of the snapshot before, and the changes, folded in memory.
fn folded(before: Vec<(Schema, Vec<Row>)>, changes: &[Change]) -> Vec<(Schema, Vec<Row>)> {
    let mut fold = Fold::new(Arc::default());
    for (schema, rows) in before {
        let schema = Arc::new(schema);
        // The one without a row brings the columns of an empty table, which a snapshot keeps too.
        for after in std::iter::once(None).chain(rows.into_iter().map(Some)) {
            fold.change(Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after });
        }
    }
    for change in changes {
        fold.change(change.clone());
    }
    fold.into_tables().map(|table| (Schema::clone(&table.schema), table.rows)).filter(|(_, rows)| !rows.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_in_rounds_is_the_fold_of_all_changes(
        parts in prop::collection::vec((prop::collection::vec(arb_change(), 0..40), 0..9i64), 1..4),
        least in 1..12usize,
    ) {
        let place = tempfile::tempdir().unwrap();
        let mut before: Option<Manifest> = None;
        for (epoch, (mut changes, more)) in parts.into_iter().enumerate() {
            changes.extend(fill(more));
            let base = before.as_ref().map(|manifest| rows(place.path(), manifest)).unwrap_or_default();
            let manifest = merged(place.path(), before.as_ref(), epoch as u64 + 1, least, changes.clone());
            let mut found = rows(place.path(), &manifest);
            found.retain(|(_, rows)| !rows.is_empty());
            prop_assert_eq!(found, folded(base, &changes));
            before = Some(manifest);
        }
    }

    #[test]
    fn rounds_write_the_same_bytes_as_one_fold(changes in prop::collection::vec(arb_change(), 0..60), more in 0..30i64, least in 1..12usize) {
        let place = tempfile::tempdir().unwrap();
        let changes = [changes, fill(more)].concat();
        let rounds = merged(place.path(), None, 1, least, changes.clone());
        let once = merged(place.path(), None, 2, 1 << 30, changes);
        prop_assert_eq!(rounds.tables, once.tables);
    }
}

/// A table that was empty in the snapshot keeps the columns that it had there.
#[test]
fn an_empty_table_keeps_its_columns_from_snapshot_to_snapshot() {
    let place = tempfile::tempdir().unwrap();
    let wide = Change { schema: schemas().swap_remove(3), op: Op::Insert, key: None, before: None, after: None };
    let narrow = Change { schema: schemas().swap_remove(2), after: Some(vec![Some(Value::Int(7)); 2].into()), ..wide.clone() };
    let empty = merged(place.path(), None, 1, 1, vec![wide]);
    assert_eq!(rows(place.path(), &empty), [(Schema::clone(&schemas()[3]), vec![])]);
    let one = merged(place.path(), Some(&empty), 2, 1, vec![narrow]);
    let row: Row = vec![Some(Value::Int(7)), Some(Value::Int(7)), None].into();
    assert_eq!(rows(place.path(), &one), [(Schema::clone(&schemas()[3]), vec![row])]);
}

#[test]
fn a_fill_in_the_order_of_its_keys_writes_no_row_anew_before_the_end() {
    let place = tempfile::tempdir().unwrap();
    let mut merge = Merge { least: 10, round: 10, ..Merge::new(Arc::default(), place.path()) };
    let body = Body::Fill(fill(95));
    merge.transaction(Transaction { source: "".into(), origin: "".into(), at: Timestamp(0), body }).unwrap();
    let runs = merge.tables.values().flat_map(|table| &table.runs);
    assert_eq!((runs.map(|run| rows_of(&run.path).len()).collect::<Vec<_>>(), merge.changes.len()), (vec![10; 9], 5));
    assert_eq!(merge.finish().unwrap()[0].rows, 95);
}
