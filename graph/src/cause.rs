//! Own writes that come back: what a transaction says of the effect that wrote it, and how deep the chain is.
//!
//! A SQL sink leaves its effect id and the depth of the chain with every write. A source that reads such a transaction appends both to
//! its origin, ` via ID:DEPTH`, so that everything the transaction causes knows where it comes from. The depth of a chain counts
//! effects: a change made by a user has none, what a sink writes because of it has depth 1.
//!
//! ```
//! use thalweg_graph::cause::Cause;
//!
//! let cause = Cause { id: "01HQT500000000000000000001".into(), depth: 2 };
//! let origin = cause.mark("0-1-42");
//! assert_eq!(origin, "0-1-42 via 01HQT500000000000000000001:2");
//! assert_eq!(Cause::of(&origin), Some(cause));
//! assert_eq!(Cause::of("0-1-42"), None);
//! assert_eq!(Cause::split(&origin).0, "0-1-42");
//! ```

use std::fmt;

/// The effect that wrote something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its id, 26 characters.
    pub id: String,
    /// How many effects lie between this and what no effect caused, this one included; at least 1.
    pub depth: u32,
}

/// The table in which SQL sinks note, in the transaction of each write, the row that they made so; its column `origin` is `ID:DEPTH`.
pub const ROWS: &str = "thalweg_rows";
/// The same for rows that were inserted into tables without an id of ours; its columns are `id` and `depth`.
pub const APPLIED: &str = "thalweg_applied";

/// Whether a table holds marks of sinks, and no data.
pub fn is_mark_table(table: &str) -> bool {
    [ROWS, APPLIED].contains(&table)
}

/// Effects that may follow from each other: a longer chain is taken for a loop and ends.
pub const DEPTH_MAX: u32 = 16;

const VIA: &str = " via ";
/// Characters of an effect id.
const ID_LENGTH: usize = 26;

impl Cause {
    /// Reads `ID:DEPTH`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Cause> {
        let (id, depth) = text.split_once(':')?;
        let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let depth = depth.parse().ok().filter(|depth| *depth > 0)?;
        is_id.then(|| Cause { id: id.to_owned(), depth })
    }

    /// The origin of a transaction that this effect wrote.
    pub fn mark(&self, origin: &str) -> String {
        format!("{origin}{VIA}{self}")
    }

    /// What an origin says of the effect that wrote its transaction.
    pub fn of(origin: &str) -> Option<Cause> {
        Cause::split(origin).1
    }

    /// An origin as its source names it, and the effect that wrote its transaction.
    pub fn split(origin: &str) -> (&str, Option<Cause>) {
        match origin.rsplit_once(VIA).map(|(own, via)| (own, Cause::parse(via))) {
            Some((own, Some(cause))) => (own, Some(cause)),
            _ => (origin, None),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cause_is_none() {
        for text in [
            "",
            "x:1",
            "01HQT500000000000000000001",
            "01HQT500000000000000000001:0",
            "01HQT500000000000000000001:-1",
            "01HQT5000000000000000000é:1",
        ] {
            assert_eq!(Cause::parse(text), None, "{text}");
        }
        assert_eq!(Cause::split("a via b"), ("a via b", None));
        assert_eq!(Cause::of("tx via x via 01HQT500000000000000000001:16").map(|cause| cause.depth), Some(16));
    }
}
