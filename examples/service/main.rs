//! A small HTTP service with the engine inside: typed documents in and out, Arrow for analysts, changes as they happen.
//!
//! `cargo run --example service` serves itself a few requests and ends; `cargo run --example service -- 127.0.0.1:8080` serves until it is
//! stopped. The page beside this file says what it answers.

mod demo;

use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use axum::extract::{Path, State as With};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use thalweg::embed::DocumentError;
use thalweg::prelude::*;

/// An order as clients write it. The price is text, for it is money.
#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    price: String,
    qty: u32,
}

/// An order as clients see it: columns and derived fields alike.
#[derive(Serialize, Deserialize)]
struct OrderView {
    id: u64,
    customer: String,
    qty: u32,
    total: String,
    big: bool,
}

/// The definition: what is computed, and what is done about it.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let order = State::document("Order").key("id").column("id", "int").column("customer", "text");
    graph.state(order.column("price", "decimal(10,2)").column("qty", "int"));
    graph.state(State::document("Customer").key("name").children("orders", "Order", "customer"));
    graph.derived("Order.total", Derived::formula("price * qty"));
    graph.derived("Order.big", Derived::compute(|ctx| ctx.get("total") > 1000));
    graph.derived("Customer.spent", Derived::sum(Pattern::new("Customer.orders[*].total")));
    graph.derived("Turnover", Derived::sum(Pattern::new("Order[*].total")));
    graph.effect("big_order", Effect::when(|ctx| ctx.get("Order.big") == true).action(|fired| eprintln!("big: {:?}", fired.key)));
    graph
}

fn app(orders: Running) -> Router {
    Router::new()
        .route("/orders", post(insert))
        .route("/orders/{id}", get(read).put(update).delete(remove))
        .route("/orders.arrow", get(arrow_stream))
        .route("/changes", get(changes))
        .route("/changes/{after}", get(changes))
        .with_state(orders)
}

async fn insert(With(orders): With<Running>, Json(order): Json<Order>) -> Result<StatusCode, Refused> {
    orders.upsert("Customer", &[("name", &order.customer)].into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
    orders.insert("Order", &order)?;
    Ok(StatusCode::CREATED)
}

async fn update(With(orders): With<Running>, Path(id): Path<u64>, Json(order): Json<Order>) -> Result<StatusCode, Refused> {
    orders.update("Order", &Order { id, ..order })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(With(orders): With<Running>, Path(id): Path<u64>) -> Result<StatusCode, Refused> {
    orders.delete("Order", &[("id", id)].into_iter().collect::<std::collections::BTreeMap<_, _>>())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn read(With(orders): With<Running>, Path(id): Path<u64>) -> Result<Response, Refused> {
    let order: Option<OrderView> = orders.read("Order", [id as i64])?;
    Ok(order.map_or(StatusCode::NOT_FOUND.into_response(), |order| Json(order).into_response()))
}

/// All orders as an Arrow stream: `pyarrow.ipc.open_stream(…)`, DuckDB, Polars read it.
async fn arrow_stream(With(orders): With<Running>) -> Result<Response, Response> {
    let internal = |error: &dyn std::error::Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
    let batch = orders.snapshot("Order").map_err(|error| internal(&error))?;
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).map_err(|error| internal(&error))?;
    writer.write(&batch).and_then(|()| writer.finish()).map_err(|error| internal(&error))?;
    drop(writer);
    Ok(([(header::CONTENT_TYPE, "application/vnd.apache.arrow.stream")], bytes).into_response())
}

/// What has changed after an epoch; waits up to ten seconds for something. A client asks again after the last epoch that it got.
async fn changes(With(orders): With<Running>, after: Option<Path<u64>>) -> Result<Response, Refused> {
    let how = Subscribe { after: after.map(|Path(epoch)| epoch), ..Subscribe::default() };
    let lines = tokio::task::spawn_blocking(move || {
        let subscription = orders.subscribe_with("*", how).map_err(|problem| problem.to_string())?;
        let mut lines = Vec::new();
        let mut wait = Duration::from_secs(10);
        while let Ok(Some(update)) = subscription.recv_timeout(wait) {
            lines.extend(shown(update));
            wait = Duration::ZERO;
        }
        Ok::<_, String>(lines.concat())
    });
    match lines.await {
        Ok(Ok(lines)) => Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response()),
        Ok(Err(reason)) => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, reason)),
        Err(ended) => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, ended.to_string())),
    }
}

/// A line for each field that changed or stands.
fn shown(update: Update) -> Vec<String> {
    let line = |epoch: u64, node: &str, key: &[Value], value: &Value| {
        let key: Vec<serde_json::Value> = key.iter().map(json).collect();
        format!("{}\n", serde_json::json!({ "epoch": epoch, "node": node, "key": key, "value": json(value) }))
    };
    match update {
        Update::Snapshot { epoch, documents } => documents.iter().map(|d| line(epoch, &d.node, &d.key, &d.value)).collect(),
        Update::Changed(changed) => changed.deltas.iter().map(|d| line(d.epoch, &d.node, &d.key, &d.new)).collect(),
    }
}

fn json(value: &Value) -> serde_json::Value {
    let mut text = String::new();
    thalweg::formulas::json::write(value, &mut text);
    serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
}

/// Why a request is refused: the engine's own words.
struct Refused(StatusCode, String);

impl From<DocumentError> for Refused {
    fn from(error: DocumentError) -> Refused {
        Refused(StatusCode::CONFLICT, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().nth(1);
    let listener = tokio::net::TcpListener::bind(given.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let address = listener.local_addr()?;
    let service = axum::serve(listener, app(graph().spawn()?));
    if given.is_some() {
        println!("listening on http://{address}");
        return Ok(service.await?);
    }
    let service = tokio::spawn(async move { service.await });
    demo::run(address).await?;
    service.abort();
    Ok(())
}
