//! Geometries as servers store them: the number of the reference system in four bytes, then well-known binary.

use std::fmt::Write as _;

/// Collections within collections that are followed; servers allow fewer.
const DEPTH_MAX: usize = 32;
const POINT: u32 = 1;

/// The number of the reference system, 0 for none, and the well-known binary.
pub(super) fn parts(stored: &[u8]) -> Option<(u32, &[u8])> {
    let (srid, wkb) = stored.split_at_checked(4)?;
    Some((u32::from_le_bytes(srid.try_into().ok()?), wkb))
}

/// The coordinates of a POINT.
pub(super) fn point(wkb: &[u8]) -> Option<(f64, f64)> {
    let mut reader = Reader { rest: wkb, is_little: true };
    (reader.head()? == POINT).then_some(())?;
    Some((reader.number()?, reader.number()?))
}

/// Well-known text with a space behind the kind: `LINESTRING (0 0, 1 1)`. `None`: it is no geometry of this form.
pub(super) fn text(wkb: &[u8]) -> Option<String> {
    let mut reader = Reader { rest: wkb, is_little: true };
    let mut out = String::new();
    reader.tagged(&mut out, 0)?;
    reader.rest.is_empty().then_some(out)
}

struct Reader<'a> {
    rest: &'a [u8],
    is_little: bool,
}

impl Reader<'_> {
    /// Byte order and kind.
    fn head(&mut self) -> Option<u32> {
        let (order, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.is_little = match order {
            0 => false,
            1 => true,
            _ => return None,
        };
        self.count()
    }

    fn count(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(if self.is_little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }

    fn number(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(if self.is_little { f64::from_le_bytes(*bytes) } else { f64::from_be_bytes(*bytes) })
    }

    /// A geometry with its kind before it.
    fn tagged(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let kind = self.head()?;
        let names = ["POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"];
        out.push_str(names.get(usize::try_from(kind).ok()?.checked_sub(1)?)?);
        out.push(' ');
        self.body(kind, out, depth)
    }

    /// What stands in brackets.
    fn body(&mut self, kind: u32, out: &mut String, depth: usize) -> Option<()> {
        (depth < DEPTH_MAX).then_some(())?;
        match kind {
            POINT => {
                out.push('(');
                self.position(out)?;
                out.push(')');
                Some(())
            }
            2 => self.list(out, |reader, out| reader.position(out)),
            3 => self.list(out, |reader, out| reader.body(2, out, depth + 1)),
            4..=6 => self.list(out, |reader, out| {
                let part = reader.head()?;
                (part == kind - 3).then_some(())?;
                reader.body(part, out, depth + 1)
            }),
            7 => self.list(out, |reader, out| reader.tagged(out, depth + 1)),
            _ => None,
        }
    }

    fn position(&mut self, out: &mut String) -> Option<()> {
        write!(out, "{} {}", self.number()?, self.number()?).ok()
    }

    fn list(&mut self, out: &mut String, mut each: impl FnMut(&mut Self, &mut String) -> Option<()>) -> Option<()> {
        let count = self.count()?;
        if count == 0 {
            out.push_str("EMPTY");
            return Some(());
        }
        for at in 0..count {
            out.push_str(if at == 0 { "(" } else { ", " });
            each(self, out)?;
        }
        out.push(')');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wkb(kind: u32, body: &[u8]) -> Vec<u8> {
        [&[1][..], &kind.to_le_bytes(), body].concat()
    }

    fn counted(parts: &[Vec<u8>]) -> Vec<u8> {
        [(parts.len() as u32).to_le_bytes().to_vec(), parts.concat()].concat()
    }

    fn at(x: f64, y: f64) -> Vec<u8> {
        [x.to_le_bytes(), y.to_le_bytes()].concat()
    }

    #[test]
    fn every_kind_has_its_text() {
        let line = counted(&[at(0.0, 0.5), at(-1.0, 1e9)]);
        let polygon = counted(&[line.clone(), line.clone()]);
        for (bytes, want) in [
            (wkb(1, &at(1.0, -2.25)), "POINT (1 -2.25)"),
            (wkb(2, &line), "LINESTRING (0 0.5, -1 1000000000)"),
            (wkb(3, &polygon), "POLYGON ((0 0.5, -1 1000000000), (0 0.5, -1 1000000000))"),
            (wkb(4, &counted(&[wkb(1, &at(1.0, 2.0)), wkb(1, &at(3.0, 4.0))])), "MULTIPOINT ((1 2), (3 4))"),
            (wkb(5, &counted(&[wkb(2, &line)])), "MULTILINESTRING ((0 0.5, -1 1000000000))"),
            (wkb(6, &counted(&[wkb(3, &counted(std::slice::from_ref(&line)))])), "MULTIPOLYGON (((0 0.5, -1 1000000000)))"),
            (
                wkb(7, &counted(&[wkb(1, &at(1.0, 2.0)), wkb(7, &counted(&[]))])),
                "GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION EMPTY)",
            ),
        ] {
            assert_eq!(text(&bytes).as_deref(), Some(want));
            // No part of it is one, and nothing more is.
            (0..bytes.len()).for_each(|end| assert_eq!(text(&bytes[..end]), None, "{want} {end}"));
            assert_eq!(text(&[&bytes[..], &[0]].concat()), None);
        }
        let big_endian = [&[0][..], &1u32.to_be_bytes(), &1f64.to_be_bytes(), &2f64.to_be_bytes()].concat();
        assert_eq!((text(&big_endian).as_deref(), point(&big_endian)), (Some("POINT (1 2)"), Some((1.0, 2.0))));
    }

    #[test]
    fn what_is_no_geometry_has_none() {
        let nested = (0..100).fold(wkb(7, &counted(&[])), |inner, _| wkb(7, &counted(&[inner])));
        let liar = wkb(2, &u32::MAX.to_le_bytes());
        for bytes in [&nested[..], &liar, b"", b"\x02\0\0\0\0", &wkb(8, &[]), &wkb(0, &[])] {
            assert_eq!(text(bytes), None);
        }
        assert_eq!((parts(b"abc"), parts(b"\x01\x02\0\0x")), (None, Some((513, &b"x"[..]))));
    }
}
