//! Time windows of derived tables: lengths in words, and the formulas of their two key columns.

use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::{Duration, Expr, ExprKind, Problem, Type, Value, functions};

use super::delay::parse_delay;
use super::derived::group_place;
use super::findings::Findings;
use crate::plan::Part;
use crate::spec::WindowSpec;

pub(super) const WINDOW_START: &str = "window_start";
pub(super) const WINDOW_END: &str = "window_end";

/// Windows that a row may be in, so that a slip in `slide` does not fill the memory.
const WINDOWS_MAX: i64 = 10_000;

/// The lengths of a window, in microseconds.
pub(super) struct Lengths {
    size: i64,
    slide: Option<i64>,
    offset: i64,
}

impl Lengths {
    /// Reads the lengths in the window of `[[table]]` number `ix`.
    pub(super) fn read(ix: usize, window: &WindowSpec, findings: &mut Findings) -> Option<Lengths> {
        let mut length = |key: &str, text: &str, least: i64| {
            let read = parse_delay(text).filter(|length| *length >= least);
            if read.is_none() {
                let problem = Problem::new(256, format!("`{text}` is no {key} of a window"));
                findings.error(group_place(ix, &format!("window.{key}")), problem.help("write a length such as 10s, 5m or 1d"));
            }
            read
        };
        let size = length("size", &window.size, 1);
        let slide = window.slide.as_deref().map(|slide| length("slide", slide, 1));
        let offset = window.offset.as_deref().map_or(Some(0), |offset| length("offset", offset, 0));
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
        Some(Lengths { size, slide, offset })
    }

    /// How the two columns are given: by themselves where windows follow each other, else a row is in several.
    pub(super) fn parts(&self) -> [Part; 2] {
        if self.slide.is_some() { [Part::Each, Part::Later(self.size)] } else { [Part::One; 2] }
    }

    /// What holds `window_start` (0) or `window_end` (1): the value, or the starts of all windows.
    pub(super) fn column(&self, on: Expr, column: usize) -> Expr {
        let length = |micros: i64| Expr::new(ExprKind::Const(Value::Duration(Duration(micros))), Type::Duration);
        let call = |name: &str, args: Vec<Expr>, ty: Type| {
            let id = functions::find(name).expect("invariant: the registry has the window functions");
            Expr::new(ExprKind::Call(id, args), ty)
        };
        let offset = (self.offset != 0).then(|| length(self.offset));
        match self.slide {
            Some(slide) => {
                let args = [on, length(self.size), length(slide)].into_iter().chain(offset);
                call("windows", args.collect(), Type::List(Type::Timestamp.into()))
            }
            None => {
                let start = call("window", [on, length(self.size)].into_iter().chain(offset).collect(), Type::Timestamp);
                if column == 0 {
                    return start;
                }
                Expr::new(ExprKind::Binary(BinaryOp::Add, start, length(self.size)), Type::Timestamp)
            }
        }
    }
}
