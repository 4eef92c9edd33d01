//! The log action.

use serde_json::json;
use thalweg_graph::ports::Attempt;

use crate::{context, fired, id, payload, shown, sink};

#[tokio::test]
async fn a_delivery_is_a_line_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut context = context();
    context.directory = folder.path().to_owned();
    let sink = sink(json!({"type": "log", "path": "effects.jsonl"}), &context);
    for n in [1, 2, 2] {
        assert_eq!(sink.deliver(&fired(&*sink, &id(n), &payload())).await, Attempt::Done);
    }
    let text = std::fs::read_to_string(folder.path().join("effects.jsonl")).unwrap();
    let ids: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, [id(1), id(2), id(2)], "at least once: a repeat has the same id");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_again() {
    let sink = sink(json!({"type": "log", "path": "/not/there/x.jsonl"}), &context());
    let attempt = shown(&sink.deliver(&fired(&*sink, &id(1), &payload())).await);
    assert_eq!(attempt, "transient: E0530: cannot append to /not/there/x.jsonl: No such file or directory (os error 2)");
}

#[tokio::test]
async fn without_a_path_it_goes_to_the_process_log() {
    let sink = sink(json!({"type": "log"}), &context());
    assert_eq!(sink.deliver(&fired(&*sink, &id(1), &payload())).await, Attempt::Done);
}
