//! State, derived fields and effects: a document with items, totals, a running total, and a stream that completes.
//!
//! Run it: `cargo run --example fields`

use thalweg::prelude::*;

fn main() -> Result<(), DefinitionError> {
    let mut graph = Graph::new();
    graph.state(State::document("Document").key("id").children("items", "Item", "document_id"));
    graph.state(State::document("Item").key("id"));
    graph.state(State::document("Stream").key("id"));

    // Scalar output: Document.total = sum(Document.items[*].price)
    let total = Derived::sum(Pattern::new("Document.items[*].price"));
    graph.derived("Document.total", total);

    // Moving average: the mean of the last 30 elements of Document.values
    let moving_avg = Derived::window_avg("Document.values", 30);
    graph.derived("Document.movingAvg", moving_avg);

    // Self-reference: the running total of every value Document.newValue has had
    let running_total = Derived::accumulate(|self_val, new_val| self_val + new_val).of("Document.newValue");
    graph.derived("Document.runningTotal", running_total);

    // A closure is traced into a formula: both ways of the comparison are in it.
    graph.derived(
        "Document.tier",
        Derived::compute(|ctx| if ctx.get("total") > 100 { Traced::from("gold") } else { Traced::from("std") }),
    );

    // An effect: fires when the stream completes.
    let on_stream_complete = Effect::when(|ctx| ctx.get_field("Stream.complete") == Value::Bool(true));
    graph.effect("on_stream_complete", on_stream_complete.action(|fired| println!("complete: {:?}", fired.key)));

    // A subscription is an effect too: every change of a document.
    let user_notification = Effect::when_changed("Document").action(|delta| println!("changed:  {:?}", delta.key));
    graph.effect("user_notification", user_notification);

    let mut live = graph.start()?;
    live.apply(Changes::new("tx-1").insert("Document", [("id", 1), ("newValue", 10)]).insert("Stream", [("id", 7)]));
    live.apply(
        Changes::new("tx-2")
            .insert("Item", [("id", 1), ("document_id", 1), ("price", 60)])
            .insert("Item", [("id", 2), ("document_id", 1), ("price", 55)])
            .update("Document", [("id", 1), ("newValue", 5)]),
    );
    live.apply(
        Changes::new("tx-3")
            .update("Stream", [("id", Value::Int(7)), ("complete", Value::Bool(true))])
            .update("Document", [("id", Value::Int(1)), ("values", Value::list((1..=40).map(Value::Int)))]),
    );

    assert_eq!(live.get("Document.total", [1]), Some(Ok(Value::Int(115))));
    assert_eq!(live.get("Document.tier", [1]), Some(Ok(Value::text("gold"))));
    assert_eq!(live.get("Document.runningTotal", [1]), Some(Ok(Value::Int(15))));
    assert_eq!(live.get("Document.movingAvg", [1]), Some(Ok(Value::double(25.5))));
    for field in ["total", "tier", "runningTotal", "movingAvg"] {
        println!("Document.{field} = {:?}", live.get(&format!("Document.{field}"), [1]));
    }
    Ok(())
}
