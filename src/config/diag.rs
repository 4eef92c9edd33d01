//! One finding about a configuration: what is wrong, where it stands, and the cure; rendered for people or as JSON.
//!
//! A literal password never reaches the screen: the ranges in [`SourceText::mask`] are shown as `••••`, in the quoted line too.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde_json::{Value as Json, json};
use thalweg_formulas::{Code, Problem};
use thalweg_graph::spec::Severity;

/// What a secret is shown as.
pub const MASK: &str = "••••";

/// A configuration file's text, and what in it must not be shown.
#[derive(Debug, Default)]
pub struct SourceText {
    /// The path as the user gave it.
    pub path: String,
    /// The whole text.
    pub text: String,
    masks: Mutex<Vec<Range<usize>>>,
}

impl SourceText {
    /// A text read from `path`.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<SourceText> {
        Arc::new(SourceText { path: path.into(), text: text.into(), masks: Mutex::default() })
    }

    /// From now on the bytes of `range` are shown as `••••`.
    pub fn mask(&self, range: Range<usize>) {
        let mut masks = self.masks.lock().expect("no holder of the mask lock panics");
        if !range.is_empty() && !masks.iter().any(|m| m.start < range.end && range.start < m.end) {
            masks.push(range);
            masks.sort_by_key(|m| m.start);
        }
    }

    /// The text as it may be shown, and the byte range there that `span` of the real text has become.
    fn shown(&self, span: Range<usize>) -> (String, Range<usize>) {
        let masks = self.masks.lock().expect("no holder of the mask lock panics");
        let (mut out, mut last) = (String::with_capacity(self.text.len()), 0);
        let (mut start, mut end) = (span.start, span.end);
        for mask in masks.iter() {
            out.push_str(&self.text[last..mask.start]);
            let at = out.len();
            out.push_str(MASK);
            last = mask.end;
            let moved = |offset: usize, shown: usize| match offset {
                o if o <= mask.start => shown,
                o if o < mask.end => at,
                o => out.len() + (o - mask.end),
            };
            start = moved(span.start, start);
            end = if span.end > mask.start && span.end < mask.end { out.len() } else { moved(span.end, end) };
        }
        out.push_str(&self.text[last..]);
        (out, start..end)
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// One finding. `message` starts in lower case and has no full stop; `label` stands beside the caret.
#[derive(Clone, Debug)]
pub struct Diag {
    /// Error or warning.
    pub severity: Severity,
    /// The stable code.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The file it is about, where there is one.
    pub file: Option<Arc<SourceText>>,
    /// Bytes of the file; without, the finding is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// What stands at the place.
    pub label: String,
    /// The cure.
    pub help: Option<String>,
    /// Facts that help.
    pub notes: Vec<String>,
}

impl Diag {
    /// An error without a place yet.
    pub fn error(code: u16, message: impl Into<String>) -> Diag {
        Diag::from_problem(Severity::Error, Problem::new(code, message), None, None)
    }

    /// A warning without a place yet.
    pub fn warning(code: u16, message: impl Into<String>) -> Diag {
        Diag { severity: Severity::Warning, ..Diag::error(code, message) }
    }

    /// A problem of the definition, at its place in the file.
    pub fn from_problem(severity: Severity, problem: Problem, file: Option<Arc<SourceText>>, span: Option<Range<usize>>) -> Diag {
        let Problem { code, message, label, span: _, help, notes } = problem;
        Diag { severity, code, message, file, span, label, help, notes }
    }

    /// The same, at `span` of `file`, with a label beside the caret.
    pub fn at(mut self, file: &Arc<SourceText>, span: Range<usize>, label: impl Into<String>) -> Diag {
        self.file = Some(file.clone());
        self.span = Some(span);
        self.label = label.into();
        self
    }

    /// The same, with a cure.
    pub fn help(mut self, help: impl Into<String>) -> Diag {
        self.help = Some(help.into());
        self
    }

    /// The same, with one more note.
    pub fn note(mut self, note: impl Into<String>) -> Diag {
        self.notes.push(note.into());
        self
    }

    /// Whether the definition is refused for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// For people: title, quoted line with caret, help, notes, and where to read on (unless `quiet`). Ends with a newline.
    pub fn render(&self, look: Look) -> String {
        let level = if self.is_error() { Level::ERROR } else { Level::WARNING };
        let clean = normalize_untrusted_str;
        let mut texts: Vec<Element<'_>> = Vec::new();
        texts.extend(self.help.iter().map(|help| Level::HELP.message(clean(help)).into()));
        texts.extend(self.notes.iter().map(|note| Level::NOTE.message(clean(note)).into()));
        if look.hints {
            let next = format!("thalweg explain {}", self.code);
            texts.push(Level::INFO.with_name("next").message(next).into());
        }
        let code = self.code.to_string();
        let title = level.primary_title(&self.message).id(&code);
        let shown = self.shown();
        let group: Group<'_> = match &shown {
            Some((path, text, span)) => {
                let annotation = AnnotationKind::Primary.span(span.clone()).label(&self.label);
                title.element(Snippet::source(text).path(path).annotation(annotation)).elements(texts)
            }
            None => Group::with_title(title).elements(texts),
        };
        let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
        let mut out = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
        out.push('\n');
        out
    }

    /// The path, the text as it may be shown, and the place in it.
    fn shown(&self) -> Option<(String, String, Range<usize>)> {
        let (file, span) = (self.file.as_ref()?, self.span.clone()?);
        let end = file.text.ceil_char_boundary(span.end.max(span.start));
        let (text, span) = file.shown(file.text.floor_char_boundary(span.start)..end);
        Some((file.path.clone(), text, span))
    }

    /// One object for `check --json`; lines and columns count from 1, `end_column` is one past the last character.
    pub fn to_json(&self) -> Json {
        let place = self.file.as_ref().zip(self.span.as_ref());
        let (start, end) = match place {
            Some((file, span)) => (Some(file.line_column(span.start)), Some(file.line_column(span.end))),
            None => (None, None),
        };
        json!({
            "v": 1,
            "severity": if self.is_error() { "error" } else { "warning" },
            "code": self.code.to_string(),
            "message": self.message,
            "file": self.file.as_ref().map(|file| &file.path),
            "line": start.map(|p| p.0),
            "column": start.map(|p| p.1),
            "end_line": end.map(|p| p.0),
            "end_column": end.map(|p| p.1),
            "label": self.label,
            "help": self.help,
            "notes": self.notes,
        })
    }
}

/// How findings are shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// With ANSI colours.
    pub color: bool,
    /// With the line that says where to read on.
    pub hints: bool,
}

/// All of `diags`, with an empty line between them.
pub fn render_all(diags: &[Diag], look: Look) -> String {
    let mut out = String::new();
    for (i, diag) in diags.iter().enumerate() {
        let gap = if i == 0 { "" } else { "\n" };
        write!(out, "{gap}{}", diag.render(look)).expect("writing to a string cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_finding_shows_place_label_help_note_and_where_to_read_on() {
        let file = SourceText::new("thalweg.toml", "[[reactions]]\ncondition = \"old.staus != new.status\"\n");
        let diag = Diag::error(203, "unknown field `staus` in condition")
            .at(&file, 31..36, "table `my_app.issues` has no column `staus`")
            .help("did you mean `status`?")
            .note("columns: id, status");
        expect![[r#"
            error[E0203]: unknown field `staus` in condition
             --> thalweg.toml:2:18
              |
            2 | condition = "old.staus != new.status"
              |                  ^^^^^ table `my_app.issues` has no column `staus`
              |
              = help: did you mean `status`?
              = note: columns: id, status
              = next: thalweg explain E0203
        "#]]
        .assert_eq(&diag.render(Look { color: false, hints: true }));
        assert!(diag.render(Look { color: true, hints: true }).contains('\x1b'));
    }

    #[test]
    fn a_masked_range_is_never_shown_and_later_places_still_point_right() {
        let file = SourceText::new("t.toml", "url = \"mysql://root:hunter2@db:3306\" # x\n");
        let start = file.text.find("hunter2").unwrap();
        file.mask(start..start + 7);
        let at = |needle: &str| {
            let i = file.text.find(needle).unwrap();
            Diag::warning(285, "a").at(&file, i..i + needle.len(), "here").render(Look::default())
        };
        expect![[r#"
            warning[E0285]: a
             --> t.toml:1:21
              |
            1 | url = "mysql://root:••••@db:3306" # x
              |                     ^^^^ here
        "#]]
        .assert_eq(&at("hunter2"));
        expect![[r#"
            warning[E0285]: a
             --> t.toml:1:26
              |
            1 | url = "mysql://root:••••@db:3306" # x
              |                          ^^ here
        "#]]
        .assert_eq(&at("db"));
    }
}
