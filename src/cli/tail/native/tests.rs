//! What is written here, `sources::jsonl` reads: the same changes, for any values of any types.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_formulas::coerce::coerce;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Timestamp};
use thalweg_graph::transaction::{Body, Row, SchemaColumn};
use thalweg_sources::jsonl::{JsonlReader, Line};

use super::*;

/// A value in a column whose type it has, or NULL.
fn typed() -> impl Strategy<Value = (Type, Value)> {
    let of = |ty: Type, values: BoxedStrategy<Value>| {
        prop_oneof![9 => values, 1 => Just(Value::Null)].prop_map(move |value| (ty.clone(), value)).boxed()
    };
    prop_oneof![
        of(Type::Bool, any::<bool>().prop_map(Value::Bool).boxed()),
        of(Type::Int, any::<i64>().prop_map(Value::Int).boxed()),
        of(Type::Uint, any::<u64>().prop_map(Value::Uint).boxed()),
        of(Type::Double, doubles().boxed()),
        of(Type::Decimal { precision: 38, scale: 9 }, decimals().boxed()),
        of(Type::Text, any::<String>().prop_map(Value::text).boxed()),
        of(Type::Text, bytes().boxed()),
        of(Type::Bytes, bytes().boxed()),
        of(Type::Timestamp, timestamps().boxed()),
        of(Type::Timestamp, Just(Value::text("2024-02-31")).boxed()),
        of(Type::Duration, durations().boxed()),
        of(Type::Dyn, dynamic().boxed()),
    ]
}

fn doubles() -> impl Strategy<Value = Value> {
    any::<f64>().prop_filter("numbers", |x| x.is_finite()).prop_map(Value::double)
}

fn decimals() -> impl Strategy<Value = Value> {
    any::<i64>().prop_map(|x| Value::Decimal(Decimal::new(x.into(), 9).unwrap()))
}

fn bytes() -> impl Strategy<Value = Value> {
    vec(any::<u8>(), 0..9).prop_map(|bytes| Value::Bytes(bytes.into()))
}

fn timestamps() -> impl Strategy<Value = Value> {
    (-62_135_596_800_000_000..=253_402_300_799_999_999i64).prop_map(|micros| Value::Timestamp(Timestamp(micros)))
}

fn durations() -> impl Strategy<Value = Value> {
    (-3_020_399_999_999..=3_020_399_999_999i64).prop_map(|micros| Value::Duration(Duration(micros)))
}

/// What a JSON column may hold, and more.
fn dynamic() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        doubles(),
        decimals(),
        bytes(),
        timestamps(),
        durations(),
        any::<String>().prop_map(Value::text),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![any::<String>(), Just("$uint".to_owned()), Just("$other".to_owned())];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| Value::List(items.into())),
            proptest::collection::btree_map(name.prop_map(Value::text), inner, 0..4).prop_map(|map| Value::Map(Arc::new(map))),
        ]
    })
}

fn schema(types: impl IntoIterator<Item = Type>) -> Arc<Schema> {
    let column = |(at, ty)| SchemaColumn::new(format!("c{at} \"ü\"").into(), ty);
    let columns: Vec<SchemaColumn> = types.into_iter().enumerate().map(column).collect();
    Arc::new(Schema { table: "shop.t".into(), columns, key: vec![0] })
}

fn of(changes: Vec<Change>) -> Transaction {
    Transaction {
        source: "tail".into(),
        origin: "0-1-7".into(),
        at: Timestamp(1_709_210_096_789_012),
        body: Body::Changes(changes),
    }
}

fn insert(schema: &Arc<Schema>, row: Row) -> Change {
    Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row) }
}

fn written(native: &mut Native, transaction: &Transaction) -> String {
    write(native, transaction, "0-1-7").unwrap()
}

fn write(lines: &mut dyn Lines, transaction: &Transaction, position: &str) -> Result<String, String> {
    let (mut text, mut written) = (String::new(), String::new());
    let mut take = |text: &str| {
        written += text;
        Ok(())
    };
    lines.transaction(transaction, position, &mut Out { text: &mut text, write: &mut take, failed: None })?;
    Ok(written + &text)
}

/// Rows as they read back, by column and brought to its type as the engine does.
fn read(text: &str) -> Vec<Change> {
    let lines = JsonlReader::new(text.as_bytes(), Vec::new()).map(|line| line.unwrap_or_else(|why| panic!("{why}\n{text}")));
    lines
        .filter_map(
            |line| if let Line::Transaction(Transaction { body: Body::Changes(it), .. }) = line { Some(it) } else { None },
        )
        .flatten()
        .collect()
}

fn by_name(schema: &Schema, row: &Row) -> BTreeMap<Arc<str>, Option<Value>> {
    let cell = |(column, cell): (&SchemaColumn, &Option<Value>)| {
        // What is of no such type stays what it is.
        let cell = cell.as_ref().map(|value| coerce(value.clone(), &column.ty).unwrap_or_else(|_| value.clone()));
        (column.name.clone(), cell)
    };
    schema.columns.iter().zip(row.iter()).map(cell).collect()
}

proptest! {
    #[test]
    fn every_value_reads_back_as_it_was(cells in vec(typed(), 1..12)) {
        let schema = schema(cells.iter().map(|(ty, _)| ty.clone()));
        let row: Row = cells.into_iter().map(|(_, value)| Some(value)).collect();
        let text = written(&mut Native::default(), &of(vec![insert(&schema, row.clone())]));
        let back = read(&text);
        prop_assert_eq!(back.len(), 1);
        let after = back[0].after.as_ref().unwrap();
        prop_assert_eq!(by_name(&back[0].schema, after), by_name(&schema, &row), "{}", text);
        prop_assert_eq!(&back[0].schema.key, &schema.key);
    }
}

#[test]
fn a_table_is_told_before_its_rows_and_again_when_it_changes() {
    let (one, two) = (schema([Type::Int]), schema([Type::Int, Type::Text]));
    let mut native = Native::default();
    let mut out = String::new();
    native.schemas(std::slice::from_ref(&one), &mut out);
    let row = |n: i64| -> Row { [Some(Value::Int(n))].into() };
    out += &written(&mut native, &of(vec![insert(&one, row(1))]));
    out += &written(&mut native, &of(vec![insert(&one, row(2)), insert(&two, [Some(Value::Int(3)), None].into())]));
    let change = Change {
        schema: two.clone(),
        op: Op::Update,
        key: None,
        before: Some([Some(Value::Int(3)), None].into()),
        after: Some([Some(Value::Int(4)), Some(Value::Null)].into()),
    };
    out += &written(&mut native, &of(vec![change]));
    expect_test::expect![[r#"
        {"schema":{"table":"shop.t","key":["c0 \"ü\""],"columns":{"c0 \"ü\"":"int"}}}
        {"tx":"0-1-7","at":"2024-02-29T12:34:56.789012Z","changes":[{"table":"shop.t","op":"insert","after":{"c0 \"ü\"":1}}]}
        {"schema":{"table":"shop.t","key":["c0 \"ü\""],"columns":{"c0 \"ü\"":"int","c1 \"ü\"":"text"}}}
        {"tx":"0-1-7","at":"2024-02-29T12:34:56.789012Z","changes":[{"table":"shop.t","op":"insert","after":{"c0 \"ü\"":2}},{"table":"shop.t","op":"insert","after":{"c0 \"ü\"":3}}]}
        {"tx":"0-1-7","at":"2024-02-29T12:34:56.789012Z","changes":[{"table":"shop.t","op":"update","before":{"c0 \"ü\"":3},"after":{"c0 \"ü\"":4,"c1 \"ü\"":null}}]}
    "#]]
    .assert_eq(&out);
}

#[test]
fn src_12_a_table_that_is_emptied_is_said_so_where_the_reader_knows_it() {
    let schema = schema([Type::Int]);
    let named = |table: &str| Arc::new(Schema { table: table.into(), columns: Vec::new(), key: Vec::new() });
    let clear = |table: &str| Change::clear(named(table));
    let row = || insert(&schema, [Some(Value::Int(1))].into());
    let mut native = Native::default();
    assert_eq!(written(&mut native, &of(vec![clear("shop.t")])), "");
    written(&mut native, &of(vec![row()]));
    for table in ["shop.other", "sho.*"] {
        assert_eq!(written(&mut native, &of(vec![clear(table)])), "");
    }
    for table in ["shop.t", "shop.*"] {
        let text = written(&mut native, &of(vec![row(), clear(table), row()]));
        expect_test::expect![[r#"
            {"tx":"0-1-7","at":"2024-02-29T12:34:56.789012Z","changes":[{"table":"shop.t","op":"insert","after":{"c0 \"ü\"":1}},{"table":"shop.t","op":"clear"},{"table":"shop.t","op":"insert","after":{"c0 \"ü\"":1}}]}
        "#]]
        .assert_eq(&text);
        let declared = r#"{"schema":{"table":"shop.t","key":["c0 \"ü\""],"columns":{"c0 \"ü\"":"int"}}}"#;
        let back = read(&format!("{declared}\n{text}"));
        assert_eq!(back.iter().map(Change::is_clear).collect::<Vec<_>>(), [false, true, false]);
    }
}

#[test]
fn src_15_a_large_transaction_is_written_as_one_that_is_held() {
    let schema = schema([Type::Int]);
    let rows = |n: i64| (0..n).map(|id| insert(&schema, [Some(Value::Int(id))].into())).collect::<Vec<_>>();
    let formats: [fn() -> Box<dyn Lines>; 3] = [
        || Box::<Native>::default(),
        || Box::new(crate::cli::tail::maxwell::Maxwell),
        || Box::new(crate::cli::tail::debezium::Debezium),
    ];
    for format in formats {
        for n in [0, 1, 5_000] {
            let large = Transaction { body: Body::Spilled(Arc::new(rows(n))), ..of(Vec::new()) };
            let [whole, parts] = [of(rows(n)), large].map(|transaction| write(format().as_mut(), &transaction, "0-1-7").unwrap());
            assert_eq!(parts, whole);
        }
    }
}
