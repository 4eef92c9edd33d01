//! The accept loop. It is our own because `axum::serve` sets no timer, and without one a client that sends its head a byte an hour holds a
//! connection for ever.
//!
//! - INV-SERVE: at most [`Limits::connections`] connections are open, and each ends by itself: a head comes within
//!   [`Limits::head`] or the connection is closed, and none lives longer than [`Limits::life`] and [`Limits::head`] together, however
//!   slowly its client reads. A body is 64 KiB at most.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::access::{Token, check_listen};
use crate::acks::AckFn;
use crate::{StatusFn, pages};

/// What a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a request's head may take, and how long a connection may be idle between requests.
    pub head: Duration,
    /// How long a connection may serve; then it finishes the request it is at.
    pub life: Duration,
    /// Bytes of a request's head, and of what is buffered for a connection.
    pub head_bytes: usize,
    /// How long connections may take to finish after shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            life: Duration::from_secs(60),
            head_bytes: 16 << 10,
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves the pages on a loopback `listener` to everybody, within the usual limits; see [`serve_with`].
///
/// # Errors
/// The listener's address can be reached from other machines.
pub async fn serve(listener: TcpListener, status: StatusFn, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    serve_with(listener, status, None, Limits::default(), shutdown).await
}

/// As [`serve`], and takes acknowledgements.
///
/// # Errors
/// As [`serve`].
pub async fn serve_acking(
    listener: TcpListener,
    status: StatusFn,
    acks: AckFn,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_all(listener, status, (None, Some(acks)), Limits::default(), shutdown).await
}

/// Serves the pages on `listener` until `shutdown` is ready and the open requests are answered. With a token, every page but `/health` asks
/// for it.
///
/// # Errors
/// The listener's address can be reached from other machines and there is no token. A failed connection is no error.
pub async fn serve_with(
    listener: TcpListener,
    status: StatusFn,
    token: Option<Token>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_all(listener, status, (token, None), limits, shutdown).await
}

async fn serve_all(
    listener: TcpListener,
    status: StatusFn,
    (token, acks): (Option<Token>, Option<AckFn>),
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    check_listen(listener.local_addr()?, token.as_ref()).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))?;
    let router = pages::router(status, token, acks);
    let places = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), limits, stopping.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                // Out of descriptors, or the peer has gone: wait for things to change rather than spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    drop((listener, stop));
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits.drain, drained).await; // What is left is cut when the set is dropped.
    Ok(())
}

/// One connection, to its end.
async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stopping: watch::Receiver<()>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes.max(8192)) // hyper takes no less.
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return, // How it ended is the client's affair.
        _ = stopping.changed() => {}
        () = tokio::time::sleep(limits.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.head, connection).await; // Past that it is cut.
}
