//! Windows of derived tables: lengths in words, and what holds their key columns.

use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::{Duration, Expr, ExprKind, Problem, Type, Value, functions};

use super::delay::parse_delay;
use super::derived::group_place;
use super::findings::Findings;
use super::lower;
use super::nodes::{self, NodeId, Source};
use super::world::World;
use crate::plan::Part;
use crate::spec::WindowSpec;

pub(super) const WINDOW_START: &str = "window_start";
pub(super) const WINDOW_END: &str = "window_end";

/// Windows that a row may be in, so that a slip in `slide` does not fill the memory.
const WINDOWS_MAX: i64 = 10_000;

/// What windows there are; lengths are in microseconds.
pub(super) enum Windows {
    /// Half-open spans of one size.
    Sized { size: i64, slide: Option<i64>, offset: i64 },
    /// Rows that are no further apart than the gap.
    Sessions { gap: i64 },
}

/// The key columns of a window, whether or not its lengths can be read.
pub(super) fn columns(window: &WindowSpec) -> &'static [&'static str] {
    if window.gap.is_some() { &[WINDOW_START] } else { &[WINDOW_START, WINDOW_END] }
}

impl Windows {
    /// Reads the lengths in the window of `[[table]]` number `ix`.
    pub(super) fn read(ix: usize, window: &WindowSpec, findings: &mut Findings) -> Option<Windows> {
        let of_size = [("size", &window.size), ("slide", &window.slide), ("offset", &window.offset)];
        if let Some(gap) = &window.gap {
            for (key, _) in of_size.iter().filter(|(_, given)| given.is_some()) {
                let problem =
                    Problem::new(256, format!("a window with a `gap` has no `{key}`: a session ends where a pause is longer"));
                findings.error(group_place(ix, &format!("window.{key}")), problem.help("leave one of the two out"));
            }
            return length(ix, "gap", gap, 0, findings).map(|gap| Windows::Sessions { gap });
        }
        let Some(size) = &window.size else {
            let problem = Problem::new(256, "a window needs a `size`");
            findings.error(group_place(ix, "window"), problem.help("write size = \"1m\", or gap = \"30s\" for sessions"));
            return None;
        };
        let size = length(ix, "size", size, 1, findings);
        let slide = window.slide.as_deref().map(|slide| length(ix, "slide", slide, 1, findings));
        let offset = window.offset.as_deref().map_or(Some(0), |offset| length(ix, "offset", offset, 0, findings));
        let (size, offset) = (size?, offset?);
        let slide = match slide {
            Some(slide) => Some(slide?),
            None => None,
        };
        if slide.is_some_and(|slide| size / slide >= WINDOWS_MAX) {
            let problem = Problem::new(256, format!("a row would be in {WINDOWS_MAX} windows or more"));
            findings.error(group_place(ix, "window.slide"), problem.help("take a longer slide, or a shorter size"));
            return None;
        }
        Some(Windows::Sized { size, slide, offset })
    }

    /// How the columns are given: by themselves where a row is in one window, else it is in several.
    pub(super) fn parts(&self) -> Vec<Part> {
        match self {
            Windows::Sized { size, slide: Some(_), .. } => vec![Part::Each, Part::Later(*size)],
            Windows::Sized { slide: None, .. } => vec![Part::One; 2],
            Windows::Sessions { .. } => vec![Part::One],
        }
    }

    /// The nodes at rows of table `of` that hold the columns. `by` holds the key before them, `on` is the time, NULL for rows that do not count. The last
    /// is for sessions that end: the start of the one for which a row came too late.
    pub(super) fn nodes(
        &self,
        world: &mut World,
        of: usize,
        by: &[NodeId],
        on: &Expr,
        ending: Option<nodes::Ending>,
    ) -> (Vec<NodeId>, Option<NodeId>) {
        match self {
            Windows::Sized { size, slide, offset } => {
                let columns = sized(on, *size, *slide, *offset);
                (columns.iter().map(|column| lower::hidden(world, of, column)).collect(), None)
            }
            Windows::Sessions { gap } => {
                let on = lower::hidden(world, of, on);
                let name = world.node_name(on).to_string();
                let source = |late| Source::Session { by: by.to_vec(), on, gap: *gap, ending, late };
                let start = world.nodes.shared(of, source(false), Type::Timestamp, || format!("session({name})"));
                let late = || format!("late for session({name})");
                let missed = ending.map(|_| world.nodes.shared(of, source(true), Type::Timestamp, late));
                (vec![start], missed)
            }
        }
    }
}

/// Windows that end for good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// How far the watermark is behind the greatest time, in microseconds.
    pub(super) lateness: i64,
    /// Documents are there from the first row on.
    pub(super) early: bool,
}

impl Ending {
    /// Reads `emit`, `lateness` and `late` in the window of `[[table]]` number `ix`; `None` where windows follow every change.
    pub(super) fn read(ix: usize, window: &WindowSpec, findings: &mut Findings) -> Option<Ending> {
        let place = |key: &str| group_place(ix, &format!("window.{key}"));
        let early = match window.emit.as_deref() {
            None | Some("updates") => {
                for (key, _) in
                    [("lateness", &window.lateness), ("late", &window.late)].iter().filter(|(_, given)| given.is_some())
                {
                    let problem =
                        Problem::new(256, format!("`{key}` counts only for windows that end, and these follow every change"));
                    findings.error(place(key), problem.help("add emit = \"final\" or emit = \"early+final\", or leave it out"));
                }
                return None;
            }
            Some("final") => false,
            Some("early+final") => true,
            Some(other) => {
                let problem = Problem::new(256, format!("windows are not emitted as `{other}`"));
                findings.error(place("emit"), problem.help("write \"updates\", \"final\" or \"early+final\""));
                return None;
            }
        };
        let lateness = window.lateness.as_deref().map_or(Some(0), |text| length(ix, "lateness", text, 0, findings));
        Some(Ending { lateness: lateness?, early })
    }
}

/// A length of at least so many microseconds.
fn length(ix: usize, key: &str, text: &str, least: i64, findings: &mut Findings) -> Option<i64> {
    let read = parse_delay(text).filter(|length| *length >= least);
    if read.is_none() {
        let problem = Problem::new(256, format!("`{text}` is no {key} of a window"));
        findings.error(group_place(ix, &format!("window.{key}")), problem.help("write a length such as 10s, 5m or 1d"));
    }
    read
}

/// Start and end; or, where a row is in several windows, the starts of all of them, twice.
fn sized(on: &Expr, size: i64, slide: Option<i64>, offset: i64) -> [Expr; 2] {
    let length = |micros: i64| Expr::new(ExprKind::Const(Value::Duration(Duration(micros))), Type::Duration);
    let call = |name: &str, lengths: Vec<Expr>, ty: Type| {
        let id = functions::find(name).expect("invariant: the registry has the window functions");
        Expr::new(ExprKind::Call(id, std::iter::once(on.clone()).chain(lengths).collect()), ty)
    };
    let offset = (offset != 0).then(|| length(offset));
    match slide {
        Some(slide) => {
            let lengths = [length(size), length(slide)].into_iter().chain(offset);
            let starts = call("windows", lengths.collect(), Type::List(Type::Timestamp.into()));
            [starts.clone(), starts]
        }
        None => {
            let start = call("window", std::iter::once(length(size)).chain(offset).collect(), Type::Timestamp);
            let end = Expr::new(ExprKind::Binary(BinaryOp::Add, start.clone(), length(size)), Type::Timestamp);
            [start, end]
        }
    }
}
