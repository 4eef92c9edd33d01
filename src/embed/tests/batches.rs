//! Arrow in and out.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn types(batch: &RecordBatch) -> String {
    let line = |field: &Arc<Field>| {
        let mut notes: Vec<String> = field.metadata().iter().map(|(name, value)| format!(" {name}={value}")).collect();
        notes.sort();
        format!("{}: {}{}\n", field.name(), field.data_type(), notes.concat())
    };
    batch.schema().fields().iter().map(line).collect()
}

/// A line for each row.
fn rows(batch: &RecordBatch) -> String {
    let cell = |row: usize| {
        move |column: &ArrayRef| match column.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) if times.is_valid(row) => format!("{} us", times.value(row)),
            Some(_) => String::new(),
            None => array_value_to_string(column, row).unwrap(),
        }
    };
    let line = |row: usize| batch.columns().iter().map(cell(row)).collect::<Vec<_>>().join(" | ") + "\n";
    (0..batch.num_rows()).map(line).collect()
}

fn check(batch: &RecordBatch, columns: &Expect) {
    columns.assert_eq(&types(batch));
}

const TYPED: &[(&str, &str)] = &[
    ("id", "int"),
    ("flag", "bool"),
    ("bits", "uint"),
    ("x", "double"),
    ("money", "decimal(10,2)"),
    ("wide", "decimal(50,4)"),
    ("name", "text"),
    ("raw", "bytes"),
    ("at", "timestamp"),
    ("span", "duration"),
    ("tags", "list(text)"),
    ("sizes", "map(text, int)"),
    ("open", "dyn"),
];

/// A table with a column of each type, all kept.
fn typed() -> LiveGraph {
    let mut graph = Graph::new();
    let table = State::document("T").key("id");
    graph.state(TYPED.iter().fold(table, |table, (name, ty)| table.column(name, ty)));
    graph.derived("T.twice", Derived::formula("money * 2"));
    graph.derived("Rows", Derived::count(Pattern::new("T[*].id")));
    graph.start_with(Options { state_deltas: true, ..Options::default() }).unwrap()
}

fn row(id: i64, open: Value) -> Changes {
    let row = [
        ("id", Value::Int(id)),
        ("flag", Value::Bool(true)),
        ("bits", Value::Uint(u64::MAX)),
        ("x", Value::Double(0.5)),
        ("money", "12.50".into()),
        ("wide", "-123456789012345678901234567890123456789.0001".into()),
        ("name", "n".into()),
        ("raw", Value::Bytes([1, 2].as_slice().into())),
        ("at", "2026-01-02T03:04:05.000006Z".into()),
        ("span", "1.5s".into()),
        ("tags", Value::list(["a".into(), Value::Null])),
        ("sizes", Value::record([("s", Value::Int(1))])),
        ("open", open),
        ("extra", Value::Int(id)),
    ];
    Changes::new("row").insert("T", row)
}

#[test]
fn a_snapshot_has_the_types_of_the_definition() {
    let mut live = typed();
    live.apply(row(1, Value::Int(1)));
    live.apply(Changes::new("blank").insert("T", [("id", 2)]));
    let batch = live.snapshot("T").unwrap();
    check(
        &batch,
        &expect![[r#"
        id: Int64
        at: Timestamp(µs, "UTC")
        bits: UInt64
        flag: Boolean
        money: Decimal128(10, 2)
        name: LargeUtf8
        open: Int64
        raw: LargeBinary
        sizes: Map("entries": non-null Struct("key": non-null LargeUtf8, "value": Int64), sorted)
        span: Duration(µs)
        tags: LargeList(LargeUtf8)
        wide: Decimal256(50, 4)
        x: Float64
        twice: Decimal128(29, 2)
        extra: Int64
    "#]],
    );
    expect![[r#"
        1 | 1767323045000006 us | 18446744073709551615 | true | 12.50 | n | 1 | 0102 | {s: 1} | PT1.5S | [a, ] | -123456789012345678901234567890123456789.0001 | 0.5 | 25.00 | 1
        2 |  |  |  |  |  |  |  |  |  |  |  |  |  | 
    "#]].assert_eq(&rows(&batch));
}

#[test]
fn a_column_of_several_types_is_json_and_comes_back() {
    let mut live = typed();
    live.apply(row(1, Value::Int(1)));
    live.apply(row(2, Value::list([Value::Double(1.5), "x".into()])));
    let batch = live.snapshot("T").unwrap();
    assert!(types(&batch).contains("open: LargeUtf8 thalweg.encoding=json\n"), "{}", types(&batch));
    let mut copy = typed();
    copy.fill_batch("T", &batch.project(&(0..13).collect::<Vec<_>>()).unwrap()).unwrap();
    assert_eq!(copy.get("T.open", [2]), live.get("T.open", [2]));
}

#[test]
fn a_field_in_error_is_null_and_counted() {
    let mut live = orders().start().unwrap();
    live.apply(order(1));
    live.apply(order(2));
    live.apply(item(1, 2, "1.00"));
    let batch = live.snapshot("Order").unwrap();
    check(
        &batch,
        &expect![[r#"
        id: Int64
        total: Decimal256(76, 2)
        share: Int64 thalweg.errors=1
    "#]],
    );
    let shares = batch["share"].as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(shares.iter().collect::<Vec<_>>(), [None, Some(100)]);
    assert_eq!(batch.schema().metadata()["thalweg.epoch"], "3");
    assert_eq!(live.snapshot("").unwrap().num_rows(), 1);
    assert_eq!(
        live.snapshot("Itm").unwrap_err().to_string(),
        "E0290: Itm: there is no document type `Itm` (did you mean `Item`?)"
    );
}

#[test]
fn every_width_of_a_type_is_taken() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int16Array::from(vec![1, 2]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("bits", Arc::new(UInt8Array::from(vec![1, 2]))),
        ("x", Arc::new(Float32Array::from(vec![0.5, 1.5]))),
        ("money", Arc::new(Decimal32Array::from(vec![150, 250]).with_precision_and_scale(5, 1).unwrap())),
        ("wide", Arc::new(Decimal128Array::from(vec![1, 2]).with_precision_and_scale(20, 4).unwrap())),
        ("name", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("a"), None]))),
        ("raw", Arc::new(FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4]].iter()).unwrap())),
        ("at", Arc::new(Date32Array::from(vec![1, 2]))),
        ("span", Arc::new(DurationMillisecondArray::from(vec![1_500, 2_500]))),
        ("tags", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut live = typed();
    let outcome = live.insert_batch("load", "T", &batch).unwrap();
    let refused: Vec<String> = outcome.errors.iter().map(|error| format!("{:?} {}", error.key, error.error)).collect();
    expect!["[Int(1)] E0332: column `tags`: int 1 is not text"].assert_eq(&refused.join("\n"));
    let batch = batch.project(&(0..10).collect::<Vec<_>>()).unwrap();
    let mut live = typed();
    let outcome = live.insert_batch("load", "T", &batch).unwrap();
    assert_eq!((outcome.errors.len(), live.get("Rows", [0; 0])), (0, Some(Ok(Value::Int(2)))));
    let batch = live.snapshot("T").unwrap();
    expect![[r#"
        1 | 86400000000 us | 1 | true | 15.00 | a |  | 0102 |  | PT1.5S |  | 0.0001 | 0.5 | 30.00
        2 | 172800000000 us | 2 |  | 25.00 |  |  | 0304 |  | PT2.5S |  | 0.0002 | 1.5 | 50.00
    "#]]
    .assert_eq(&rows(&batch));
}

#[test]
fn what_has_no_place_is_refused_with_it() {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("at", DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None), true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1])), Arc::new(TimestampNanosecondArray::from(vec![1_001]))];
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    let mut live = typed();
    expect!["E0344: T.at: 1001 ns are no whole microseconds (cast the column first)"]
        .assert_eq(&live.fill_batch("T", &batch).unwrap_err().to_string());
    expect!["E0290: U: there is no document type `U` (there are: T)"]
        .assert_eq(&live.fill_batch("U", &batch).unwrap_err().to_string());
    assert_eq!(live.epoch(), 0);
}

prop_compose! {
    fn arb_row()(
        (flag, bits, x) in (any::<Option<bool>>(), any::<Option<u64>>(), prop::option::of(any::<f64>())),
        (money, wide) in (prop::option::of(-9_999_999_999i64..9_999_999_999), prop::option::of(any::<i128>())),
        (name, raw) in (prop::option::of(".{0,6}"), prop::option::of(prop::collection::vec(any::<u8>(), 0..5))),
        (at, span) in (prop::option::of(-60_000_000_000_000_000i64..200_000_000_000_000_000), any::<Option<i64>>()),
        tags in prop::option::of(prop::collection::vec(prop::option::of(".{0,3}"), 0..4)),
        sizes in prop::option::of(prop::collection::btree_map(".{0,3}", any::<Option<i64>>(), 0..3)),
        open in prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::Int), ".{0,3}".prop_map(Value::text)],
    ) -> Vec<Value> {
        use thalweg_formulas::{Duration, decimal::Decimal};
        fn or_null<T>(x: Option<T>, value: impl Fn(T) -> Value) -> Value {
            x.map_or(Value::Null, value)
        }
        vec![
            or_null(flag, Value::Bool), or_null(bits, Value::Uint), or_null(x, Value::double),
            or_null(money, |x| Value::Decimal(Decimal::new(x.into(), 2).unwrap())),
            or_null(wide, |x| Value::Decimal(Decimal::new(x, 4).unwrap())),
            or_null(name, Value::text), or_null(raw, |x| Value::Bytes(x.into())),
            or_null(at, |x| Value::Timestamp(Timestamp(x))), or_null(span, |x| Value::Duration(Duration(x))),
            or_null(tags, |tags| Value::list(tags.into_iter().map(|tag| or_null(tag, Value::text)))),
            or_null(sizes, |sizes| Value::record(sizes.into_iter().map(|(name, size)| (name, or_null(size, Value::Int))))),
            open,
        ]
    }
}

proptest! {
    #[test]
    fn a_batch_comes_back_the_same(rows in prop::collection::vec(arb_row(), 0..8)) {
        let mut live = typed();
        for (id, row) in rows.iter().enumerate() {
            let columns = TYPED[1..].iter().map(|(name, _)| *name).zip(row.iter().cloned());
            live.push(Changes::new("row").insert("T", std::iter::once(("id", Value::Int(id as i64))).chain(columns)));
        }
        prop_assert!(live.step().errors.iter().all(|error| !error.cleared && &*error.node != "T"));
        let batch = live.snapshot("T").unwrap();
        let mut copy = typed();
        let stored = batch.project(&(0..TYPED.len()).collect::<Vec<_>>()).unwrap();
        let filled = copy.fill_batch("T", &stored).unwrap();
        prop_assert!(filled.errors.is_empty(), "{:?}", filled.errors);
        let again = copy.snapshot("T").unwrap();
        prop_assert_eq!(again.columns(), batch.columns());
    }
}
