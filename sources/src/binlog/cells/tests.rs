//! The straight path and the other tell the same values, and neither reads past the end.

use proptest::prelude::*;

use super::*;

/// What both paths read.
fn arb_op() -> impl Strategy<Value = Op> {
    let members = || ["", "new", "a member that is too long to be short"].map(Value::text).into();
    prop_oneof![
        (1..=65u8)
            .prop_flat_map(|precision| (Just(precision), 0..=precision.min(30)))
            .prop_map(|(precision, scale)| Op::Decimal(Packing::new(precision, scale).unwrap())),
        Just(Op::Date),
        (0..=6u8).prop_map(|digits| Op::Datetime(Fraction::new(digits).unwrap())),
        (0..=6u8).prop_map(|digits| Op::Timestamp(Fraction::new(digits).unwrap())),
        (1..=4u8).prop_map(|prefix| Op::Utf8 { prefix }),
        (1..=2u8).prop_map(move |bytes| Op::Enum { bytes, members: members() }),
    ]
}

/// Bytes as a column has them, and as it does not.
fn arb_bytes() -> impl Strategy<Value = Vec<u8>> {
    let date = (1890..2170u64, 0..14u64, 0..32u64, 0..25u64, 0..61u64, 0..61u64, any::<[u8; 3]>());
    let datetime = date.prop_map(|(year, month, day, hour, minute, second, fraction)| {
        let days = (year * 13 + month) << 5 | day;
        let raw = 1 << 39 | days << 17 | hour << 12 | minute << 6 | second;
        [&raw.to_be_bytes()[3..], &fraction].concat()
    });
    let day = (1890..2170u32, 0..16u32, 0..32u32).prop_map(|(y, m, d)| (y << 9 | m << 5 | d).to_le_bytes()[..3].to_vec());
    let ascii = (0..40u8, "[a-z]{40}").prop_map(|(len, text)| [&[len], text.as_bytes()].concat());
    let letters = ".{0,24}".prop_map(|text| [&[text.len() as u8], text.as_bytes()].concat());
    prop_oneof![datetime, day, ascii, letters, prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(0..4u8, 0..9)]
}

/// The value, or none, and how many bytes are behind it.
fn value(read: impl FnOnce(&Texts<'_>, &mut Cell) -> Result<usize, Fault>, rows: &[u8]) -> (Cell, Option<usize>, bool) {
    let (texts, mut cell) = (Texts::new(rows), None);
    let left = read(&texts, &mut cell).ok();
    let told = texts.take_heap();
    (cell, left, told)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn both_paths_read_the_same(op in arb_op(), bytes in arb_bytes(), behind in 0..30usize) {
        let rows = [&bytes[..], &vec![0xa5; behind]].concat();
        let straight = value(|texts, cell| op.read(&rows, texts, cell).map(<[u8]>::len), &rows);
        let (cell, left, _) = value(|texts, cell| op.unusual(&rows, texts, cell), &rows);
        prop_assert_eq!((&straight.0, straight.1), (&cell, left), "{:?}", op);
        prop_assert!(straight.2 || !cell.as_ref().is_some_and(Value::has_heap), "what lies on the heap is told");
    }

    #[test]
    fn an_image_behind_another_reads_the_same(bytes in arb_bytes(), same in any::<bool>()) {
        let op = Op::Utf8 { prefix: 1 };
        let (before, ..) = value(|texts, cell| op.unusual(&bytes, texts, cell), &bytes);
        let before = if same { before } else { Some(Value::text("another text, too long to be short")) };
        let after = value(|texts, cell| op.read_after(&bytes, texts, &before, cell).map(<[u8]>::len), &bytes);
        let (cell, left, _) = value(|texts, cell| op.unusual(&bytes, texts, cell), &bytes);
        prop_assert_eq!((after.0, after.1), (cell, left));
    }
}
