//! The error index: every stable code with its meaning, an example and the cure, embedded in the binary.
//!
//! Each room describes its own codes in `explain/<room>.md`: a line `## E0203 title`, then the text. A test holds the index to the
//! sources: every code that is used has a text, and none has two.

/// The texts of all rooms: whatever lies in `explain/`, gathered by the build script.
const TEXTS: &[&str] = include!(concat!(env!("OUT_DIR"), "/explain_texts.rs"));

/// One code's story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `E0203`.
    pub code: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What it means, an example, the cure.
    pub text: &'static str,
}

/// Every explanation, by code.
pub fn all() -> Vec<Explanation> {
    let mut all: Vec<Explanation> = TEXTS.iter().flat_map(|text| sections(text)).collect();
    all.sort_by_key(|e| e.code);
    all
}

/// The story of `code`, written in any case.
pub fn explain(code: &str) -> Option<Explanation> {
    all().into_iter().find(|e| e.code.eq_ignore_ascii_case(code))
}

fn sections(text: &'static str) -> impl Iterator<Item = Explanation> {
    text.strip_prefix("## ").unwrap_or(text).split("\n## ").filter_map(|section| {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let (code, title) = head.split_once(' ').unwrap_or((head, ""));
        is_code(code).then_some(Explanation { code, title: title.trim(), text: body.trim() })
    })
}

/// `E` and four digits.
pub fn is_code(text: &str) -> bool {
    text.len() == 5 && text.starts_with(['E', 'e']) && text[1..].bytes().all(|b| b.is_ascii_digit())
}
