//! Which tables the receiver has, as the part of a position behind its place in the log.
//!
//! `0-1-42;tables=shop.orders,shop.item*;fill=shop.items:id.int=1500,shop.item_notes` says: the tables of these patterns are followed, of
//! `shop.items` the rows up to that key have been read in, of `shop.item_notes` none. Behind `:+` stands what has been read again of a table
//! whose rows the receiver has, all of them, but perhaps not as an `ALTER TABLE` left them. `;gone=shop.items:note` names a column that was
//! dropped, so that one that comes later by that name does not begin with its values. A position without it is from a source that keeps no
//! such account, or from a time before there was one: then what is watched now counts as read.
//!
//! Invariant EXTENT-1: what prints is parsed to an equal value, and has no `;` but the ones that separate its parts.

use std::fmt::{self, Write};
use std::sync::Arc;

use crate::binlog::{Latest, Position, Watch};

/// What separates the place from the tables.
const TABLES: &str = ";tables=";
const FILL: &str = ";fill=";
const GONE: &str = ";gone=";

/// Where a source stands: its place in the log, the transaction that it is behind, if known, and which tables the receiver has, where that is
/// kept account of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) place: Position,
    pub(crate) latest: Option<Latest>,
    pub(crate) extent: Option<Arc<Extent>>,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        self.latest.as_ref().map_or(Ok(()), |latest| latest.behind().fmt(f))?;
        self.extent.as_ref().map_or(Ok(()), |extent| f.write_str(&extent.text))
    }
}

/// Which tables the receiver has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What is watched: `db.table`, with `*` and `?`.
    patterns: Vec<String>,
    /// Tables of these that are not wholly read, in the order in which they are.
    filling: Vec<Partial>,
    /// Columns that are no more, and of which the receiver may still have values: should one come by that name, they are not its own.
    gone: Vec<Column>,
    /// It as text, since a copy goes with every transaction.
    text: String,
}

/// A column, by the names of its table and its own.
pub(crate) type Column = (String, String);

/// A table that is not wholly read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    /// `db.table`.
    pub(crate) table: String,
    /// What the receiver has of it.
    pub(crate) read: Read,
    /// The receiver has all its rows; `read` says which are up to date.
    pub(crate) is_whole: bool,
}

/// What the receiver has of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// No row.
    Nothing,
    /// The rows up to a key, as the log has left them.
    Upto(Bound),
    /// Rows that the log has told of, as it has left them.
    Some,
    /// Rows in another form than the table has now; they are taken back before it is read from its beginning.
    Stale,
}

/// The key of the last row that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Name and order of each key column, `id.int`: under another order the bound means nothing.
    pub(crate) labels: Vec<String>,
    /// Its values.
    pub(crate) cells: Vec<Cell>,
}

/// A value of a key column, so that it can be written into a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Digits with a sign and a point.
    Number(String),
    /// A date or a time in digits.
    Time(String),
    /// Text or bytes as stored.
    Bytes(Vec<u8>),
}

impl Extent {
    pub(crate) fn new(patterns: Vec<String>, filling: Vec<Partial>, gone: Vec<Column>) -> Extent {
        let mut text = String::from(TABLES);
        write_list(&mut text, patterns.iter(), |text, pattern| escape(text, pattern));
        if !filling.is_empty() {
            text.push_str(FILL);
            write_list(&mut text, filling.iter(), Partial::write);
        }
        if !gone.is_empty() {
            text.push_str(GONE);
            write_list(&mut text, gone.iter(), |text, (table, column)| {
                escape(text, table);
                text.push(':');
                escape(text, column);
            });
        }
        Extent { patterns, filling, gone, text }
    }

    /// All tables of a list are there.
    pub(crate) fn of(watch: &Watch) -> Extent {
        Extent::new(patterns(watch), Vec::new(), Vec::new())
    }

    /// The place and, if it is told, the extent; `None`: not an extent.
    pub(crate) fn split(position: &str) -> Option<(&str, Option<Extent>)> {
        let Some((place, rest)) = position.split_once(TABLES) else { return Some((position, None)) };
        let (rest, gone) = rest.split_once(GONE).unwrap_or((rest, ""));
        let (patterns, filling) = rest.split_once(FILL).unwrap_or((rest, ""));
        let patterns = patterns.split(',').map(unescape).collect::<Option<_>>()?;
        let filling = filling.split(',').filter(|part| !part.is_empty()).map(Partial::parse).collect::<Option<_>>()?;
        let column = |part: &str| part.split_once(':').and_then(|(table, column)| Some((unescape(table)?, unescape(column)?)));
        let gone = gone.split(',').filter(|part| !part.is_empty()).map(column).collect::<Option<_>>()?;
        Some((place, Some(Extent::new(patterns, filling, gone))))
    }

    /// Whether the receiver has all that is watched.
    pub(crate) fn is_whole(&self, watch: &Watch) -> bool {
        self.patterns == patterns(watch) && self.filling.is_empty()
    }

    /// Tables that are not wholly read.
    pub(crate) fn filling(&self) -> &[Partial] {
        &self.filling
    }

    /// Columns that are no more, and of which the receiver may still have values.
    pub(crate) fn gone(&self) -> &[Column] {
        &self.gone
    }

    /// The same patterns with other tables not wholly read.
    pub(crate) fn with(&self, filling: Vec<Partial>) -> Extent {
        Extent::new(self.patterns.clone(), filling, self.gone.clone())
    }

    /// The same with other columns that are no more.
    pub(crate) fn without(&self, gone: Vec<Column>) -> Extent {
        Extent::new(self.patterns.clone(), self.filling.clone(), gone)
    }

    /// What was watched.
    pub(crate) fn watch(&self) -> Watch {
        // Every pattern has its database, so none is refused.
        Watch::new(&self.patterns, None).unwrap_or_default()
    }

    /// Patterns of before that are not watched any more.
    pub(crate) fn dropped(&self, watch: &Watch) -> Vec<&str> {
        let now = patterns(watch);
        self.patterns.iter().filter(|pattern| !now.contains(pattern)).map(String::as_str).collect()
    }
}

/// The place in the log that a position of this source names, without what stood there and the tables that it is of.
pub fn place(position: &str) -> &str {
    let place = position.split_once(TABLES).map_or(position, |(place, _)| place);
    Latest::split(place).0
}

fn patterns(watch: &Watch) -> Vec<String> {
    watch.patterns().map(|(database, table)| format!("{database}.{table}")).collect()
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Partial {
    fn write(text: &mut String, partial: &Partial) {
        escape(text, &partial.table);
        match (partial.is_whole, &partial.read) {
            (true, _) => text.push_str(":+"),
            (false, Read::Nothing) => {}
            (false, _) => text.push(':'),
        }
        match &partial.read {
            Read::Nothing => {}
            Read::Some => text.push('*'),
            Read::Stale => text.push('!'),
            Read::Upto(bound) => {
                for (i, (label, cell)) in bound.labels.iter().zip(&bound.cells).enumerate() {
                    if i > 0 {
                        text.push('&');
                    }
                    escape(text, label);
                    text.push('=');
                    cell.write(text);
                }
            }
        }
    }

    fn parse(text: &str) -> Option<Partial> {
        let (table, read) = text.split_once(':').map_or((text, None), |(table, read)| (table, Some(read)));
        let again = read.and_then(|read| read.strip_prefix('+'));
        let is_whole = again.is_some();
        let read = match again.or(read) {
            None => Read::Nothing,
            Some("") if is_whole => Read::Nothing,
            Some("*") => Read::Some,
            Some("!") => Read::Stale,
            Some(bound) => {
                let cells = bound.split('&').map(|part| {
                    let (label, cell) = part.split_once('=')?;
                    Some((unescape(label)?, Cell::parse(cell)?))
                });
                let (labels, cells) = cells.collect::<Option<Vec<_>>>()?.into_iter().unzip();
                Read::Upto(Bound { labels, cells })
            }
        };
        Some(Partial { table: unescape(table)?, read, is_whole })
    }
}

impl Cell {
    fn write(&self, text: &mut String) {
        match self {
            Cell::Number(number) => text.push_str(number),
            Cell::Time(time) => {
                text.push('t');
                escape(text, time);
            }
            Cell::Bytes(bytes) => {
                text.push('x');
                hex(text, bytes);
            }
        }
    }

    fn parse(text: &str) -> Option<Cell> {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.');
        match text.chars().next()? {
            't' => {
                let time = unescape(&text[1..])?;
                let is_time = time.chars().all(|c| is_number(c) || matches!(c, ' ' | ':'));
                is_time.then_some(Cell::Time(time))
            }
            'x' => {
                let digits = &text.as_bytes()[1..];
                let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let whole = digits.len().is_multiple_of(2).then_some(digits)?;
                Some(Cell::Bytes(whole.chunks(2).map(byte).collect::<Option<_>>()?))
            }
            _ => text.chars().all(is_number).then(|| Cell::Number(text.to_string())),
        }
    }
}

/// Bytes as digits.
pub(crate) fn hex(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes what is written"));
}

fn write_list<'a, T: 'a>(text: &mut String, items: impl Iterator<Item = &'a T>, write: impl Fn(&mut String, &T)) {
    for (i, item) in items.enumerate() {
        if i > 0 {
            text.push(',');
        }
        write(text, item);
    }
}

/// A name with what separates names, and what nobody can see, as `%2c`.
fn escape(text: &mut String, name: &str) {
    for c in name.chars() {
        if c.is_whitespace() || c.is_control() || matches!(c, '%' | ',' | ';' | ':' | '=' | '&' | '+') {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                write!(text, "%{byte:02x}").expect("a string takes what is written");
            }
        } else {
            text.push(c);
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn src_26_positions_say_which_tables_they_are_of() {
        for text in [
            "0-1-42;tables=shop.orders",
            "snapshot;tables=shop.*,other.t?",
            "0-1-42;reread=0-1-39;tables=a.b;fill=a.b",
            ";tables=a.b,a.c;fill=a.b:*,a.d:!,a.c:id.int=-15&name.utf8mb4_bin=x6a6fc3&at.datetime=t2024-02-29%2012%3a00%3a00",
            "0-1-1;tables=a.odd%2cna%3bme%25",
            "0-1-42;tables=a.b,a.c,a.d;fill=a.b:+,a.c:+%2bid.int=7,a.d:+*",
            "0-1-42;tables=a.*;fill=a.b:+;gone=a.b:note,a.c:odd%2cname",
            "0-1-42;tables=a.*;gone=a.b:note",
        ] {
            let (place, extent) = Extent::split(text).unwrap();
            assert_eq!(format!("{place}{}", extent.unwrap()), text);
        }
        assert_eq!(Extent::split("0-1-42;reread=0-1-39"), Some(("0-1-42;reread=0-1-39", None)));
        for text in [
            ";tables=a;gone=a.b",
            ";tables=%",
            ";tables=a.b;fill=a.b:id",
            ";tables=a.b;fill=a.b:id=x0",
            ";tables=a.b;fill=a.b:id=tDROP",
        ] {
            assert_eq!(Extent::split(text), None, "{text}");
        }
    }

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            "-?[0-9]{1,20}(\\.[0-9]{1,9})?".prop_map(Cell::Number),
            "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}".prop_map(Cell::Time),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(Cell::Bytes),
        ]
    }

    fn read() -> impl Strategy<Value = Read> {
        let bound = proptest::collection::vec((".{1,8}", cell()), 1..4);
        let upto =
            bound.prop_map(|cells| cells.into_iter().unzip()).prop_map(|(labels, cells)| Read::Upto(Bound { labels, cells }));
        prop_oneof![Just(Read::Nothing), Just(Read::Some), Just(Read::Stale), upto]
    }

    proptest! {
        #[test]
        fn extents_parse_as_they_print(
            patterns in proptest::collection::vec(".{1,9}", 1..4),
            filling in proptest::collection::vec((".{1,9}", read(), any::<bool>()), 0..3),
            gone in proptest::collection::vec((".{1,9}", ".{1,9}"), 0..3),
        ) {
            let filling = filling.into_iter().map(|(table, read, is_whole)| Partial { table, read, is_whole }).collect();
            let extent = Extent::new(patterns, filling, gone);
            let text = format!("0-1-42{extent}");
            prop_assert_eq!(Extent::split(&text), Some(("0-1-42", Some(extent))));
        }
    }
}
