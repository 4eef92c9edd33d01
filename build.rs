//! Gathers `src/explain/*.md` into one list, so that a room's file of explanations is in the index as soon as it is there.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=src/explain");
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/explain");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("src/explain is there").map(|e| e.expect("it can be read").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        writeln!(list, "    include_str!({:?}),", file.display().to_string()).expect("writing to a string cannot fail");
    }
    list.push_str("]\n");
    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("explain_texts.rs");
    std::fs::write(out, list).expect("the output folder can be written");
}
