//! The pages over real sockets, with clients good and bad.

use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use thalweg_server::status::{Source, SourceState, StatusSnapshot, Stopped};
use thalweg_server::{Limits, Token, serve, serve_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn snapshot(live: bool) -> StatusSnapshot {
    let mut status =
        StatusSnapshot { version: "0.1.0".into(), uptime_seconds: 1.5, live, epoch: 7, nodes: 3, ..Default::default() };
    status.sources.push(Source {
        name: "app \"x\"\\\n".into(),
        state: SourceState::Live,
        position: Some("0-1-7".into()),
        lag_seconds: Some(0.25),
        ..Default::default()
    });
    status.outbox.fired = 5;
    status.outbox.acked = 4;
    status.outbox.pending = 1;
    status.outbox.oldest_pending_seconds = Some(2.0);
    status.counters.transactions = 7;
    [1, 2, 3, 1000, 1_000_000].into_iter().for_each(|n| status.batches.observe(n));
    if !live {
        status.stopped.push(Stopped { what: "store".into(), reason: "E0601: the disk is full".into() });
    }
    status
}

/// A server, its address, and what stops it.
async fn start(
    live: bool,
    token: Option<&str>,
    limits: Limits,
) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let token = token.and_then(Token::new);
    let task = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve_with(listener, Arc::new(move || snapshot(live)), token, limits, shutdown).await.unwrap();
    });
    (address, stop, task)
}

/// Sends raw bytes, and reads until the server closes.
async fn exchange(address: std::net::SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await; // A reset after the answer is as good as an end.
    answer
}

async fn get(address: std::net::SocketAddr, path: &str, more: &str) -> (String, String) {
    let answer = exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split_once("\r\n").unwrap().0.to_owned(), body.to_owned())
}

#[tokio::test]
async fn health_says_whether_and_nothing_more() {
    for (live, expected) in [(true, ("HTTP/1.1 200 OK", "ok\n")), (false, ("HTTP/1.1 503 Service Unavailable", "not working\n"))]
    {
        let (address, _stop, _) = start(live, Some("s3cret"), Limits::default()).await;
        let (status, body) = get(address, "/health", "").await;
        assert_eq!((status.as_str(), body.as_str()), expected);
    }
}

#[tokio::test]
async fn status_is_the_snapshot_as_json() {
    let (address, _stop, _) = start(false, None, Limits::default()).await;
    let (status, body) = get(address, "/status", "").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        json["outbox"],
        serde_json::json!({"fired": 5, "acked": 4, "dead": 0, "cancelled": 0, "pending": 1, "coalesced": 0, "oldest_pending_seconds": 2.0})
    );
    assert_eq!(json["sources"][0]["state"], "live");
    assert_eq!(json["stopped"][0]["reason"], "E0601: the disk is full");
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let (address, _stop, _) = start(true, None, Limits::default()).await;
    let (_, body) = get(address, "/metrics", "").await;
    expect![[r##"
        # TYPE thalweg_build info
        # HELP thalweg_build the running program
        thalweg_build_info{version="0.1.0"} 1
        # TYPE thalweg_uptime_seconds gauge
        # HELP thalweg_uptime_seconds seconds since the start
        thalweg_uptime_seconds 1.5
        # TYPE thalweg_live gauge
        # HELP thalweg_live whether the process does its work
        thalweg_live 1
        # TYPE thalweg_epoch gauge
        # HELP thalweg_epoch the last committed epoch
        thalweg_epoch 7
        # TYPE thalweg_nodes gauge
        # HELP thalweg_nodes nodes in the plan
        thalweg_nodes 3
        # TYPE thalweg_timers_armed gauge
        # HELP thalweg_timers_armed timers that wait
        thalweg_timers_armed 0
        # TYPE thalweg_store_bytes gauge
        # HELP thalweg_store_bytes bytes of the store on disk
        thalweg_store_bytes 0
        # TYPE thalweg_stopped gauge
        # HELP thalweg_stopped things that have stopped and wait for somebody
        thalweg_stopped 0
        # TYPE thalweg_transactions counter
        # HELP thalweg_transactions transactions committed
        thalweg_transactions_total 7
        # TYPE thalweg_deltas counter
        # HELP thalweg_deltas deltas of derived fields
        thalweg_deltas_total 0
        # TYPE thalweg_effects counter
        # HELP thalweg_effects effects and reactions fired
        thalweg_effects_total 0
        # TYPE thalweg_commits counter
        # HELP thalweg_commits durable commits
        thalweg_commits_total 0
        # TYPE thalweg_field_errors counter
        # HELP thalweg_field_errors field errors that appeared
        thalweg_field_errors_total 0
        # TYPE thalweg_redundant_changes counter
        # HELP thalweg_redundant_changes changes that changed nothing
        thalweg_redundant_changes_total 0
        # TYPE thalweg_delivery_attempts counter
        # HELP thalweg_delivery_attempts delivery attempts
        thalweg_delivery_attempts_total 0
        # TYPE thalweg_delivery_failures counter
        # HELP thalweg_delivery_failures delivery attempts that failed
        thalweg_delivery_failures_total 0
        # TYPE thalweg_batch_transactions histogram
        # HELP thalweg_batch_transactions transactions per commit
        thalweg_batch_transactions_bucket{le="1.0"} 1
        thalweg_batch_transactions_bucket{le="2.0"} 2
        thalweg_batch_transactions_bucket{le="4.0"} 3
        thalweg_batch_transactions_bucket{le="8.0"} 3
        thalweg_batch_transactions_bucket{le="16.0"} 3
        thalweg_batch_transactions_bucket{le="32.0"} 3
        thalweg_batch_transactions_bucket{le="64.0"} 3
        thalweg_batch_transactions_bucket{le="128.0"} 3
        thalweg_batch_transactions_bucket{le="256.0"} 3
        thalweg_batch_transactions_bucket{le="512.0"} 3
        thalweg_batch_transactions_bucket{le="1024.0"} 4
        thalweg_batch_transactions_bucket{le="+Inf"} 5
        thalweg_batch_transactions_count 5
        thalweg_batch_transactions_sum 1001006
        # TYPE thalweg_outbox gauge
        # HELP thalweg_outbox deliveries by state
        thalweg_outbox{state="acked"} 4
        thalweg_outbox{state="cancelled"} 0
        thalweg_outbox{state="dead"} 0
        thalweg_outbox{state="fired"} 5
        thalweg_outbox{state="pending"} 1
        # TYPE thalweg_outbox_oldest_pending_seconds gauge
        # HELP thalweg_outbox_oldest_pending_seconds how long the oldest pending delivery has waited
        thalweg_outbox_oldest_pending_seconds 2
        # TYPE thalweg_source_state stateset
        # HELP thalweg_source_state what each source does
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="connecting"} 0
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="snapshot"} 0
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="catching"} 0
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="live"} 1
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="ended"} 0
        thalweg_source_state{source="app \"x\"\\\n",thalweg_source_state="stopped"} 0
        # TYPE thalweg_source_lag_seconds gauge
        # HELP thalweg_source_lag_seconds from the commit at the source to the commit here
        thalweg_source_lag_seconds{source="app \"x\"\\\n"} 0.25
        # EOF
    "##]]
    .assert_eq(&body);
}

#[tokio::test]
async fn a_token_guards_all_but_health() {
    let (address, _stop, _) = start(true, Some("s3cret"), Limits::default()).await;
    for (path, more, expected) in [
        ("/status", "", "HTTP/1.1 401 Unauthorized"),
        ("/metrics", "authorization: Bearer wrong\r\n", "HTTP/1.1 401 Unauthorized"),
        ("/status", "authorization: Bearer s3cret\r\n", "HTTP/1.1 200 OK"),
        ("/metrics", "Authorization: bearer s3cret\r\n", "HTTP/1.1 200 OK"),
        ("/nothing", "", "HTTP/1.1 401 Unauthorized"),
        ("/nothing", "authorization: Bearer s3cret\r\n", "HTTP/1.1 404 Not Found"),
    ] {
        assert_eq!(get(address, path, more).await.0, expected, "{path} {more}");
    }
}

#[tokio::test]
async fn an_open_address_is_refused_without_a_token() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(listener, Arc::new(|| snapshot(true)), async {}).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn malformed_requests_get_a_4xx_and_a_closed_connection() {
    let (address, _stop, _) = start(true, None, Limits::default()).await;
    let long = format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET /health HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(500));
    for (bytes, expected) in [
        ("GET /health\r\n\r\n", "HTTP/1.1 400"),
        ("\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400"),
        ("GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 400"),
        ("GET /health HTTP/1.1\r\nbad header: x\r\n\r\n", "HTTP/1.1 400"),
        ("DELETE /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "HTTP/1.1 405"),
        ("POST /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nab", "HTTP/1.1 405"),
        (long.as_str(), "HTTP/1.1 431"),
        (many.as_str(), "HTTP/1.1 431"),
    ] {
        let answer = exchange(address, bytes).await;
        assert!(answer.starts_with(expected), "{:.60}: {answer}", bytes.escape_debug().to_string());
    }
}

/// Drippers and idlers fill every place; they are put out in time and a good client is served.
#[tokio::test]
async fn slow_clients_do_not_keep_good_ones_out() {
    let limits = Limits { connections: 4, head: Duration::from_millis(300), life: Duration::from_secs(2), ..Limits::default() };
    let (address, _stop, _) = start(true, None, limits).await;
    let mut slow = Vec::new();
    for bytes in ["", "G", "GET /health HTTP/1.1\r\n", "GET /health HTTP/1.1\r\nhost: x\r\nx: "] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let begin = Instant::now();
    assert_eq!(get(address, "/health", "").await.1, "ok\n");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await; // Ends: that is the assertion.
    }
}

#[tokio::test]
async fn connections_are_kept_for_further_requests_and_closed_at_shutdown() {
    let (address, stop, task) = start(true, None, Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let n = stream.read(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer[..n]).starts_with("HTTP/1.1 200 OK"));
    }
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    tokio::time::timeout(Duration::from_secs(3), task).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
