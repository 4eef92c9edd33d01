//! The `handler` action: functions of this program, and children that answer, or do not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use thalweg_graph::ports::{Attempt, Sink};
use thalweg_sinks::{Failure, SinkContext};

use crate::{context, fired, home, id, is_running, payload, read, shown, until, with};

/// A child that `sh` runs; `$id` and `$attempt` are of the question in `$line`, which `next` reads.
fn child(context: &SinkContext, script: &str, more: serde_json::Value) -> Arc<dyn Sink> {
    let next = r#"next() { IFS= read -r line || exit 0; id=$(echo "$line" | cut -d'"' -f4); attempt=$(echo "$line" | sed 's/.*"attempt":\([0-9]*\).*/\1/'); }
ok() { echo "{\"id\":\"$id\",\"ok\":true}"; }
"#;
    crate::sink(with(json!({"type": "handler", "command": ["sh", "-c", format!("{next}{script}")]}), more), context)
}

async fn nth(sink: &dyn Sink, n: u32, attempts: u32) -> String {
    let mut delivery = fired(sink, &id(n), &payload());
    delivery.attempts = attempts;
    shown(&sink.deliver(&delivery).await)
}

#[tokio::test]
async fn one_child_answers_many_events() {
    let (folder, context) = home();
    let script = r#"echo $$ >> starts; while next; do printf '%s\n' "$line" >> asked; case $attempt in
        1) ok;; 2) printf '{"id":"%s","error":"bank is\\tclosed","retry":true}\n' $id;;
        3) echo "{\"id\":\"$id\",\"error\":\"card declined\"}";; *) echo "{\"id\":\"$id\",\"ok\":false}";; esac; done"#;
    let sink = child(&context, script, json!({}));
    assert_eq!(nth(&*sink, 1, 0).await, "done");
    assert_eq!(nth(&*sink, 2, 1).await, "transient: E0553: the handler asks to try again: bank is closed");
    assert_eq!(nth(&*sink, 3, 2).await, "permanent: E0553: the handler refused: card declined");
    assert_eq!(nth(&*sink, 4, 3).await, "permanent: E0553: the handler refused: it gave no reason");
    assert_eq!(read(&folder, "starts").lines().count(), 1);
    let first: serde_json::Value = serde_json::from_str(read(&folder, "asked").lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["rule"], &first["attempt"]), (&json!(id(1)), &json!("big"), &json!(1)));
    assert_eq!((&first["event"]["type"], &first["event"]["data"]["title"]), (&json!("order.big"), &json!("naïve \"x\"")));
    let pid = read(&folder, "starts");
    assert!(is_running(&pid));
    drop(sink);
    assert!(!is_running(&pid), "it ends with the action");
}

#[tokio::test]
async fn a_child_that_dies_is_started_again_and_asked_again() {
    let (folder, context) = home();
    // The first dies in the middle of its answer, the second before it reads; the third does well.
    let script = r#"echo $$ >> starts; case $(wc -l < starts) in
        1) next; printf '{"id":"%s","o' $id; echo out of memory >&2; exit 3;; 2) exit 4;; esac
        while next; do ok; done"#;
    let sink = child(&context, script, json!({}));
    assert_eq!(nth(&*sink, 1, 0).await, "transient: E0552: the handler ended with exit code 3; stderr: out of memory");
    let second = nth(&*sink, 1, 1).await;
    assert_eq!(second, "transient: E0552: the handler ended with exit code 4");
    assert_eq!(nth(&*sink, 1, 2).await, "done");
    assert_eq!(nth(&*sink, 2, 0).await, "done");
    assert_eq!(read(&folder, "starts").lines().count(), 3);
}

#[tokio::test]
async fn what_was_under_way_when_a_child_died_is_tried_again() {
    let (_folder, context) = home();
    let script = "next; next; next; exit 9";
    let sink = child(&context, script, json!({"concurrency": 3}));
    let asks = (0..3).map(|n| nth(&*sink, n, 0));
    for answer in futures_of(asks).await {
        assert_eq!(answer, "transient: E0552: the handler ended with exit code 9");
    }
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let (_folder, context) = home();
    let script = r#"next; a=$id; next; b=$id; next; for id in $id $a $b; do ok; done; while next; do ok; done"#;
    let sink = child(&context, script, json!({"concurrency": 3}));
    for answer in futures_of((0..3).map(|n| nth(&*sink, n, 0))).await {
        assert_eq!(answer, "done");
    }
}

#[tokio::test]
async fn a_child_that_does_not_answer_is_ended_with_all_it_has_started() {
    let (folder, context) = home();
    let late = json!({"timeout": "300ms"});
    for script in [
        "trap '' TERM; echo $$ > pid; sleep 600 & echo $! > other; next; while :; do sleep 1; done",
        "echo $$ > pid; sleep 600 & echo $! > other; wait", // It never reads.
    ] {
        let sink = child(&context, script, late.clone());
        let answer = nth(&*sink, 1, 0).await;
        assert_eq!(answer, "transient: E0551: the handler did not answer within 300ms, it is started anew");
        drop(sink);
        until("the end of all", || !["pid", "other"].iter().any(|name| is_running(&read(&folder, name)))).await;
    }
}

#[tokio::test]
async fn a_child_that_cannot_answer_any_more_is_ended() {
    let (_folder, context) = home();
    let flood = child(&context, "next; yes 012345678 | tr -d '\\n'", json!({}));
    let said = nth(&*flood, 1, 0).await;
    assert!(said.starts_with("transient: E0552: the handler ended with "), "{said}");
    let mute = child(&context, "exec 1>&-; while next; do :; done", json!({}));
    let said = nth(&*mute, 1, 0).await;
    assert!(said.starts_with("transient: E0552: the handler ended with signal 9"), "{said}");
    let deaf = child(&context, "exec 0<&-; sleep 600", json!({"timeout": "200ms"}));
    let said = nth(&*deaf, 1, 0).await;
    assert!(said.starts_with("transient: E0551"), "{said}");
}

#[tokio::test]
async fn noise_is_no_answer() {
    let (_folder, context) = home();
    let script = r#"while next; do echo debug; echo; echo '{"id":7}'; echo '{"id":"x","ok":true}'; yes err | head -c 200000 >&2; ok; ok; done"#;
    let sink = child(&context, script, json!({}));
    for n in 0..5 {
        assert_eq!(nth(&*sink, n, 0).await, "done");
    }
}

#[tokio::test]
async fn a_child_that_ends_at_once_is_not_started_in_a_hurry() {
    let (folder, context) = home();
    let sink = child(&context, "echo x >> starts; exit 1", json!({}));
    let begin = Instant::now();
    for n in 0..5 {
        assert!(nth(&*sink, n, 0).await.starts_with("transient: E0552"));
    }
    // 100, 200, 400 and 800 ms lie between.
    assert!(begin.elapsed() > Duration::from_millis(1500), "{:?}", begin.elapsed());
    assert_eq!(read(&folder, "starts").lines().count(), 5);
    let missing = crate::sink(json!({"type": "handler", "command": ["./not-there.py"]}), &context);
    assert_eq!(
        nth(&*missing, 1, 0).await,
        "permanent: E0540: `./not-there.py` cannot be started: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn what_a_child_says_shows_no_secret() {
    let (_folder, mut context) = home();
    context.secrets = Arc::new(|_: &str| Ok("canary-5ecr3t".to_owned()));
    let env = json!({"env": {"TOKEN": "${TOKEN}"}});
    let refuses = r#"while next; do echo "{\"id\":\"$id\",\"error\":\"$TOKEN is not valid\"}"; done"#;
    assert_eq!(
        nth(&*child(&context, refuses, env.clone()), 1, 0).await,
        "permanent: E0553: the handler refused: •••• is not valid"
    );
    let dies = "next; echo token $TOKEN >&2; exit 1";
    assert_eq!(
        nth(&*child(&context, dies, env), 1, 0).await,
        "transient: E0552: the handler ended with exit code 1; stderr: token ••••"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snk_13_a_function_may_fail_panic_or_hang() {
    let calls = Arc::new(AtomicU32::new(0));
    let mut context = context();
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    let (counted, opened) = (calls.clone(), Mutex::new(opened));
    context.handlers.on("charge", move |event| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!((&*event.id, &*event.rule), (id(1).as_str(), "big"));
        assert_eq!(event.data()["total"], json!(12.5));
        match event.attempt {
            1 => Ok(()),
            2 => Err(Failure::Retry("bank is closed".into())),
            3 => Err(Failure::Refused("card declined".into())),
            4 => panic!("no bank at {}", event.event["source"]),
            _ => {
                // It hangs until the other end is dropped.
                let _ = opened.lock().unwrap().recv();
                Ok(())
            }
        }
    });
    let settings = |more| with(json!({"type": "handler", "name": "charge"}), more);
    let sink = crate::sink(settings(json!({})), &context);
    for (attempts, expected) in [
        (0, "done"),
        (1, "transient: E0553: the handler asks to try again: bank is closed"),
        (2, "permanent: E0553: the handler refused: card declined"),
        (3, "permanent: E0553: the handler panicked: no bank at \"/shop/orders\""),
    ] {
        assert_eq!(nth(&*sink, 1, attempts).await, expected);
    }
    // A call that hangs keeps its turn: the next waits for it, and is not made while it lasts.
    let slow = crate::sink(settings(json!({"timeout": "200ms", "concurrency": 1})), &context);
    for _ in 0..2 {
        assert_eq!(nth(&*slow, 1, 4).await, "transient: E0551: the handler did not answer within 200ms");
    }
    until("the call that hangs", || calls.load(Ordering::Relaxed) == 5).await;
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    drop(gate);
    let delivery = fired(&*sink, &id(1), &payload());
    let begin = Instant::now();
    while slow.deliver(&delivery).await != Attempt::Done {
        assert!(begin.elapsed() < Duration::from_secs(20), "its turn is given back");
    }
}

/// All at once, in this task.
async fn futures_of<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
