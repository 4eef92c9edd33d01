//! The pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::access::Token;
use crate::acks::{AckFn, RESULT_BYTES_MAX, ack_page};
use crate::{StatusFn, metrics};

/// What the pages need.
#[derive(Clone)]
struct Context {
    status: StatusFn,
    token: Option<Arc<Token>>,
}

/// The router: `/health` for everybody, acknowledgements for whoever has theirs, the rest behind the token if there is one.
pub(crate) fn router(status: StatusFn, token: Option<Token>, acks: Option<AckFn>) -> Router {
    let context = Context { status, token: token.map(Arc::new) };
    let telling = Router::new()
        .route("/status", get(status_page))
        .route("/metrics", get(metrics_page))
        .layer(middleware::from_fn_with_state(context.clone(), authorize))
        .route("/health", get(health_page));
    let taking = match acks {
        None => telling,
        Some(acks) => {
            let page = post(ack_page).layer(DefaultBodyLimit::max(RESULT_BYTES_MAX)).with_state(acks);
            telling.route("/effects/{id}/ack", page)
        }
    };
    taking.with_state(context)
}

async fn authorize(State(context): State<Context>, request: Request, next: Next) -> Response {
    let offered = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    match &context.token {
        Some(token) if !token.authorizes(offered) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "the token is missing or wrong\n").into_response()
        }
        _ => next.run(request).await,
    }
}

/// Says no more than whether: it needs no token.
async fn health_page(State(context): State<Context>) -> Response {
    match (context.status)().live {
        true => (StatusCode::OK, NO_STORE, "ok\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, NO_STORE, "not working\n").into_response(),
    }
}

async fn status_page(State(context): State<Context>) -> Response {
    (NO_STORE, axum::Json((context.status)())).into_response()
}

async fn metrics_page(State(context): State<Context>) -> Response {
    (NO_STORE, [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&(context.status)())).into_response()
}

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
