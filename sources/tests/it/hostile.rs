//! Hostile bytes: recorded logs of every server, cut, mixed up and damaged, and bytes that no server wrote.
//!
//! Whatever comes in, what comes out is bounded by it, and there is no panic.
//!
//! `PROPTEST_CASES=1000000 cargo nextest run --release -p thalweg-sources -E 'test(hostile)'` for a long run.

use proptest::prelude::*;
use thalweg_formulas::Value;
use thalweg_graph::Change;
use thalweg_graph::transaction::Body;
use thalweg_sources::binlog::frame::{FileEvents, Framer, Header, kind};
use thalweg_sources::binlog::plan::Hints;
use thalweg_sources::binlog::{Assembler, DecodeError, Spooling, Step, Watch};

use crate::decoder::{COMPRESSED, MYSQL, MYSQL_COMPRESSED, RECORDED};

const FILES: [&[u8]; 4] = [RECORDED, COMPRESSED, MYSQL, MYSQL_COMPRESSED];

/// Bytes of what comes out for each byte that goes in: a NULL is a bit and becomes a cell, and compression is worth a thousand.
const GROWTH: usize = 64 * 1024;

type Events = Vec<(Header, Vec<u8>)>;

fn bare(file: &[u8]) -> Events {
    FileEvents::new(file).map(|frame| frame.unwrap()).map(|f| (f.header, f.body.to_vec())).collect()
}

fn assembler() -> Assembler {
    let mut assembler = Assembler::anywhere(Watch::new(&["shop.*".into()], None).unwrap(), Hints::default(), &[]);
    assembler.set_file("log.000001");
    assembler
}

/// The same, and every row is spooled.
fn spooling() -> Assembler {
    assembler().with_spooling(Spooling { above: 0, ..Spooling::default() })
}

fn bytes_of(value: &Value) -> usize {
    24 + match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(bytes_of).sum(),
        Value::Map(map) => map.iter().map(|(k, v)| bytes_of(k) + bytes_of(v)).sum(),
        _ => 0,
    }
}

fn bytes_of_change(change: &Change) -> usize {
    let images = [&change.before, &change.after];
    64 + images.iter().flat_map(|image| image.iter().flatten()).map(|cell| cell.as_ref().map_or(24, bytes_of)).sum::<usize>()
}

/// Reads events until one is refused; how much came out.
fn read(mut assembler: Assembler, events: &[(Header, Vec<u8>)]) -> usize {
    let mut steps = Vec::new();
    for (header, body) in events {
        if assembler.event(*header, body, &mut steps).is_err() {
            break;
        }
    }
    let mut out = 0;
    for step in &steps {
        match step {
            Step::Transaction { body: Body::Changes(changes), .. } => out += changes.iter().map(bytes_of_change).sum::<usize>(),
            Step::Transaction { body: Body::Spilled(spill), .. } => {
                let mut count = 0;
                let mut add = |part: Vec<Change>| {
                    count += part.len() as u64;
                    out += part.iter().map(bytes_of_change).sum::<usize>();
                    true
                };
                spill.read(&mut add).unwrap();
                assert_eq!(count, spill.changes());
            }
            Step::Schema(schema) => out += schema.columns.iter().map(|c| 64 + c.name.len()).sum::<usize>(),
            _ => {}
        }
    }
    out
}

fn assert_bounded(events: &[(Header, Vec<u8>)]) {
    let came_in: usize = events.iter().map(|(_, body)| body.len() + Header::LEN).sum();
    let came_out = read(assembler(), events);
    assert!(came_out <= GROWTH * (came_in + 1), "{came_out} bytes out of {came_in}");
    assert_eq!(read(spooling(), events), came_out, "what is spooled is the same");
}

#[test]
fn src_02_a_file_cut_at_any_byte_ends_before_the_event_that_is_cut() {
    for file in FILES {
        let mut ends = vec![4];
        for frame in FileEvents::new(file) {
            ends.push(ends.last().unwrap() + frame.unwrap().header.size as usize);
        }
        for cut in 4..file.len() {
            let whole = ends.partition_point(|end| *end <= cut) - 1;
            let (frames, rest): (Vec<_>, Vec<_>) = FileEvents::new(&file[..cut]).partition(|frame| frame.is_ok());
            assert_eq!(frames.len(), whole, "cut at {cut}");
            let expected = if ends.contains(&cut) { 0 } else { 1 };
            assert_eq!(rest.len(), expected, "cut at {cut}");
            assert!(rest.iter().all(|r| matches!(r, Err(DecodeError::Truncated { .. }))), "cut at {cut}");
        }
    }
}

#[test]
fn src_22_every_event_cut_anywhere_is_refused_or_read() {
    for file in FILES {
        let events = bare(file);
        let mut begin = 0;
        for (i, (header, body)) in events.iter().enumerate() {
            if matches!(header.kind, kind::MARIADB_GTID | kind::MYSQL_GTID | kind::MYSQL_TAGGED_GTID | kind::FORMAT_DESCRIPTION) {
                begin = i;
            }
            for cut in 0..body.len() {
                // What comes before in its transaction must be there.
                let (mut assembler, mut steps) = (assembler(), Vec::new());
                for (header, body) in events[..1].iter().chain(&events[begin..i]) {
                    assembler.event(*header, body, &mut steps).ok();
                }
                assembler.event(*header, &body[..cut], &mut steps).ok();
            }
        }
    }
}

#[test]
fn src_22_claims_of_size_are_not_believed() {
    let before = peak_kilobytes();
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let long = [0xffu8; 64];
    let gtid = |kind, body: &[u8]| (Header { timestamp: 0, kind, server_id: 1, size: 0, end: 0, flags: 0 }, body.to_vec());
    for body in [&huge[..], &long, &[&[0u8; 8][..], &long].concat(), &[&[0x80 | 4, 0x3f, 0xff, 0xff, 0xff][..], &huge].concat()] {
        for kind in 0..=255 {
            assert_bounded(&[gtid(kind, body)]);
        }
    }
    // A compressed transaction that claims 4 GiB and holds little; one that says nothing of its size.
    for head in [&[2, 1, 0, 3, 9, 0xfe, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &[2, 1, 0, 0]] {
        let body = [head, &zstd::encode_all(&[0u8; 100_000][..], 3).unwrap()].concat();
        assert_bounded(&[gtid(kind::TRANSACTION_PAYLOAD, &body)]);
    }
    let header = Header { timestamp: 0, kind: 2, server_id: 1, size: u32::MAX, end: 0, flags: 0 };
    assert!(FileEvents::new(&[&[0xfe, b'b', b'i', b'n'][..], &header.to_bytes(), &[0; 50]].concat()).all(|f| f.is_err()));
    let grown = peak_kilobytes() - before;
    assert!(grown < 200_000, "{grown} kB more for a few hundred bytes");
}

/// The most memory that this process ever had; 0 where there is no `/proc`.
pub fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A look by default; `PROPTEST_CASES=1000000` for a long run (with `--release`).
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

/// One act of violence.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, prop::sample::Index, u8),
    Cut(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index),
    Drop(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    /// The tail of one event behind the head of another.
    Splice(prop::sample::Index, prop::sample::Index, prop::sample::Index),
    Kind(prop::sample::Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), at(), any::<u8>()).prop_map(|(e, b, x)| Damage::Flip(e, b, x)),
        (at(), at()).prop_map(|(e, b)| Damage::Cut(e, b)),
        at().prop_map(Damage::Repeat),
        at().prop_map(Damage::Drop),
        (at(), at()).prop_map(|(a, b)| Damage::Swap(a, b)),
        (at(), at(), at()).prop_map(|(a, b, c)| Damage::Splice(a, b, c)),
        (at(), any::<u8>()).prop_map(|(e, k)| Damage::Kind(e, k)),
    ]
}

fn damaged(mut events: Events, damages: &[Damage]) -> Events {
    for damage in damages {
        if events.is_empty() {
            break;
        }
        match damage {
            Damage::Flip(e, b, x) => {
                let body = &mut e.get_mut(&mut events).1;
                if !body.is_empty() {
                    *b.get_mut(body) = *x;
                }
            }
            Damage::Cut(e, b) => {
                let body = &mut e.get_mut(&mut events).1;
                body.truncate(b.index(body.len() + 1));
            }
            Damage::Repeat(e) => {
                let at = e.index(events.len());
                let copy = events[at].clone();
                events.insert(at, copy);
            }
            Damage::Drop(e) => {
                events.remove(e.index(events.len()));
            }
            Damage::Swap(a, b) => {
                let (a, b) = (a.index(events.len()), b.index(events.len()));
                events.swap(a, b);
            }
            Damage::Splice(a, b, at) => {
                let (tail, target) = (b.get(&events).1.clone(), &mut a.get_mut(&mut events).1);
                let at = at.index(target.len().min(tail.len()) + 1);
                target.truncate(at);
                target.extend(&tail[at..]);
            }
            Damage::Kind(e, k) => e.get_mut(&mut events).0.kind = *k,
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn src_22_damaged_logs_never_panic_nor_swell(file in prop::sample::select(FILES.to_vec()), damages in prop::collection::vec(damage(), 1..8)) {
        assert_bounded(&damaged(bare(file), &damages));
    }

    #[test]
    fn src_22_two_logs_shuffled_together_never_panic(a in prop::sample::select(FILES.to_vec()), b in prop::sample::select(FILES.to_vec()), order in prop::collection::vec(any::<bool>(), 0..120), damages in prop::collection::vec(damage(), 0..3)) {
        let (mut a, mut b) = (bare(a).into_iter(), bare(b).into_iter());
        let mixed = order.into_iter().filter_map(|first| if first { a.next() } else { b.next() }).collect();
        assert_bounded(&damaged(mixed, &damages));
    }

    #[test]
    fn src_22_arbitrary_bodies_never_panic(file in prop::sample::select(FILES.to_vec()), after in any::<prop::sample::Index>(), kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut events = bare(file);
        let at = after.index(events.len());
        events.truncate(at);
        events.push((Header { timestamp: 0, kind, server_id: 1, size: 0, end: 0, flags: 0 }, body));
        assert_bounded(&events);
    }

    #[test]
    fn src_22_arbitrary_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        Framer::default().split(&bytes).ok();
        FileEvents::new(&bytes).count();
        FileEvents::new(&[&[0xfe, b'b', b'i', b'n'][..], &bytes].concat()).count();
    }
}
