//! The error index and the sources: every code that is used has a text, every text has a code that is used, and none is told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use thalweg::explain;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for room in ["src", "formulas/src", "graph/src", "engine/src", "sources/src", "sinks/src", "store/src", "server/src"] {
        walk(&root().join(room), &mut found);
    }
    assert!(found.len() > 50, "the sources are where this test looks");
    found
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // Unit tests may use a code as an example.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            let is_test = path.file_name().is_some_and(|name| name == "tests.rs") || path.iter().any(|part| part == "tests");
            if !is_test {
                found.push((path, code));
            }
        }
    }
}

/// Codes by the ways in which the sources write them: `E0203` in a text, or the number as the first argument of what takes a code.
fn used() -> BTreeMap<String, PathBuf> {
    let mut used = BTreeMap::new();
    for (path, text) in sources() {
        for call in ["Problem::new(", "Error::new(", "Fault::new(", "Diag::error(", "Diag::warning(", "Code("] {
            for after in text.split(call).skip(1) {
                let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
                if digits.len() == 3 {
                    used.insert(format!("E0{digits}"), path.clone());
                }
            }
        }
        // What a comment mentions is not used there.
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("E0") {
                let code: String = line[at..].chars().take(5).collect();
                if explain::is_code(&code) {
                    used.insert(code, path.clone());
                }
            }
        }
    }
    used
}

#[test]
fn every_code_that_is_used_has_a_text() {
    let known: BTreeSet<String> = explain::all().iter().map(|e| e.code.to_owned()).collect();
    let missing: Vec<_> = used().into_iter().filter(|(code, _)| !known.contains(code)).collect();
    assert!(missing.is_empty(), "codes without a text in src/explain: {missing:#?}");
}

#[test]
fn no_code_is_told_twice_and_every_text_is_whole() {
    let mut seen = BTreeSet::new();
    for e in explain::all() {
        assert!(explain::is_code(e.code) && e.code.starts_with('E'), "{e:?}");
        assert!(seen.insert(e.code), "{} is explained twice", e.code);
        assert!(!e.title.is_empty() && !e.title.ends_with('.'), "{e:?}");
        let lines = e.text.lines().filter(|line| !line.is_empty()).count();
        assert!(e.text.len() >= 60 && lines <= 12, "{}: it wants a meaning, an example and a cure, in a few lines", e.code);
    }
}

#[test]
fn every_file_of_texts_is_in_the_index() {
    let known = explain::all();
    for entry in std::fs::read_dir(root().join("src/explain")).unwrap() {
        let path = entry.unwrap().path();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(code) = line.strip_prefix("## ").and_then(|head| head.split(' ').next()) {
                assert!(
                    known.iter().any(|e| e.code == code),
                    "{code} of {} is not embedded: add the file to explain.rs",
                    path.display()
                );
            }
        }
    }
}
