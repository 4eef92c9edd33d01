//! Acknowledgements over HTTP: `POST /effects/ID/ack`, with the token that the delivery carried, and what came of it as the body.
//!
//! The token, not the page's, is the authority: whoever was told of a trigger may say that it is taken care of. It is asked for before
//! anything is looked up, so that a guess tells nothing. The same acknowledgement twice is one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Bytes of a result.
pub(crate) const RESULT_BYTES_MAX: usize = 64 << 10;

/// Who takes acknowledgements.
pub type AckFn = Arc<dyn Fn(Ack) -> Pin<Box<dyn Future<Output = AckAnswer> + Send>> + Send + Sync>;

/// An acknowledgement as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The effect id.
    pub id: String,
    /// From `Authorization: Bearer`, `webhook-ack-token` or `?token=`; empty if none came.
    pub token: String,
    /// The body.
    pub result: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckAnswer {
    /// It counts, and is durable.
    Acked,
    /// It counts, though the delivery was a dead letter.
    AckedLate,
    /// It counted before.
    AlreadyAcked,
    /// The delivery was discarded; nothing has changed.
    Discarded,
    /// The token is not that of this id.
    Forged,
    /// There is no such delivery.
    Unknown,
    /// Nobody could do it now.
    Busy,
}

impl AckAnswer {
    fn page(self) -> (StatusCode, &'static str) {
        match self {
            AckAnswer::Acked => (StatusCode::OK, "acked"),
            AckAnswer::AckedLate => (StatusCode::OK, "acked_late"),
            AckAnswer::AlreadyAcked => (StatusCode::OK, "already_acked"),
            AckAnswer::Discarded => (StatusCode::CONFLICT, "discarded"),
            AckAnswer::Forged => (StatusCode::FORBIDDEN, "forbidden"),
            AckAnswer::Unknown => (StatusCode::NOT_FOUND, "unknown"),
            AckAnswer::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        }
    }
}

/// The page.
pub(crate) async fn ack_page(
    State(acks): State<AckFn>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = token(&headers, query.as_deref()).to_owned();
    let Ok(result) = String::from_utf8(body.to_vec()) else {
        return (StatusCode::BAD_REQUEST, "the result is not text\n").into_response();
    };
    let (status, outcome) = acks(Ack { id, token, result }).await.page();
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(serde_json::json!({ "outcome": outcome }))).into_response()
}

fn token<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> &'a str {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let in_query = || query?.split('&').find_map(|pair| pair.strip_prefix("token="));
    bearer.or_else(|| text("webhook-ack-token")).or_else(in_query).unwrap_or_default().trim()
}
