//! The `shell` action: programs that do as they are told, and many that do not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use thalweg_formulas::Value;
use thalweg_graph::ports::{Attempt, Sink};
use thalweg_sinks::SinkContext;

use crate::{fired, home, id, payload, read, shown, until_gone, with};

/// A program that `sh` reads.
fn script(context: &SinkContext, script: &str, more: serde_json::Value) -> Arc<dyn Sink> {
    crate::sink(with(json!({"type": "shell", "command": ["sh", "-c", script]}), more), context)
}

async fn try_one(sink: &dyn Sink) -> String {
    shown(&sink.deliver(&fired(sink, &id(1), &payload())).await)
}

#[tokio::test]
async fn a_program_reads_the_event_and_sees_what_it_was_given() {
    let (folder, mut context) = home();
    context.secrets = Arc::new(|name: &str| Ok(format!("value of {name}")));
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let settings =
        json!({"env": {"TOKEN": "${TOKEN}", "PLAIN": "x"}, "pass_env": ["HOME", "NOT_SET_ANYWHERE"], "directory": "sub"});
    let sink = script(&context, "cat > body; env | grep -v '^\\(PWD\\|OLDPWD\\|SHLVL\\|_\\)=' | sort > env; pwd > pwd", settings);
    let mut delivery = fired(&*sink, &id(7), &payload());
    delivery.attempts = 2;
    assert_eq!(sink.deliver(&delivery).await, Attempt::Done);
    assert_eq!(read(&folder, "sub/body"), String::from_utf8(delivery.row.body.to_vec()).unwrap() + "\n");
    assert!(read(&folder, "sub/body").starts_with(r#"{"specversion":"1.0","id":"01HQT500000000000000000007","#));
    assert!(read(&folder, "sub/pwd").trim().ends_with("/sub"));
    let (home, path) = (std::env::var("HOME").unwrap(), std::env::var("PATH").unwrap());
    let expected = format!(
        "HOME={home}\nPATH={path}\nPLAIN=x\nTHALWEG_ATTEMPT=3\nTHALWEG_EFFECT_ID=01HQT500000000000000000007\nTHALWEG_RULE=big\nTOKEN=value of TOKEN\n"
    );
    assert_eq!(read(&folder, "sub/env"), expected);

    let raw = script(&context, "cat > raw", json!({"format": "raw"}));
    assert_eq!(try_one(&*raw).await, "done");
    assert_eq!(read(&folder, "raw"), "{\"id\":7,\"title\":\"naïve \\\"x\\\"\",\"total\":12.5}\n");
}

#[tokio::test]
async fn an_exit_code_says_whether_to_try_again() {
    let (folder, context) = home();
    let codes = json!({"retry_codes": [69, 111]});
    for (program, more, expected) in [
        ("exit 0", json!({}), "done"),
        ("echo all is well; echo oh >&2", json!({}), "done"),
        (
            "echo no such account >&2; exit 3",
            json!({}),
            "permanent: E0542: the program ended with exit code 3; stderr: no such account",
        ),
        ("echo 'a\nb'; exit 75", json!({}), "transient: E0542: the program ended with exit code 75; stdout: a b"),
        ("exit 69", codes.clone(), "transient: E0542: the program ended with exit code 69"),
        ("exit 111", codes.clone(), "transient: E0542: the program ended with exit code 111"),
        ("exit 70", codes, "permanent: E0542: the program ended with exit code 70"),
        ("kill -SEGV $$", json!({}), "transient: E0542: the program ended with signal 11"),
        (
            "exec ./not-there",
            json!({}),
            "permanent: E0542: the program ended with exit code 127; stderr: sh: 1: exec: ./not-there: not found",
        ),
    ] {
        assert_eq!(try_one(&*script(&context, program, more)).await, expected, "{program}");
    }
    std::fs::write(folder.path().join("data"), "no program").unwrap();
    let cannot = async |command: serde_json::Value, more: serde_json::Value| {
        try_one(&*crate::sink(with(json!({"type": "shell", "command": command}), more), &context)).await
    };
    assert_eq!(
        cannot(json!(["./not-there"]), json!({})).await,
        "permanent: E0540: `./not-there` cannot be started: No such file or directory (os error 2)"
    );
    assert_eq!(
        cannot(json!(["./data"]), json!({})).await,
        "permanent: E0540: `./data` cannot be started: Permission denied (os error 13)"
    );
    assert_eq!(
        cannot(json!(["true"]), json!({"directory": "nowhere"})).await,
        "permanent: E0540: `true` cannot be started: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn snk_12_what_takes_too_long_is_ended_with_all_it_has_started() {
    let (folder, context) = home();
    let short = json!({"timeout": "1s", "grace": "200ms"});
    let polite = "trap 'echo bye >> said; exit 0' TERM; sleep 600 & echo $! > pid; echo started; wait";
    let ended = try_one(&*script(&context, polite, short.clone())).await;
    assert_eq!(ended, "transient: E0541: the program took longer than 1s; stdout: started");
    until_gone(&read(&folder, "pid")).await;
    assert_eq!(read(&folder, "said"), "bye\n", "it was asked before it was made to");

    let deaf = "trap '' TERM; echo $$ > leader; (trap '' TERM; sleep 600) & echo $! > pid; while :; do sleep 1; done";
    let begin = Instant::now();
    let ended = try_one(&*script(&context, deaf, short)).await;
    assert_eq!(ended, "transient: E0541: the program took longer than 1s");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    until_gone(&read(&folder, "leader")).await;
    until_gone(&read(&folder, "pid")).await;
}

#[tokio::test]
async fn snk_12_what_a_program_leaves_behind_ends_with_it() {
    let (folder, context) = home();
    let begin = Instant::now();
    assert_eq!(try_one(&*script(&context, "sleep 600 & echo $! > pid", json!({}))).await, "done");
    until_gone(&read(&folder, "pid")).await;
    // One that left the group holds the outputs open: what it might say is not waited for.
    let escaped = try_one(&*script(&context, "setsid sleep 5 & echo gone >&2; exit 4", json!({}))).await;
    assert_eq!(escaped, "permanent: E0542: the program ended with exit code 4; stderr: gone");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn snk_12_an_attempt_that_is_given_up_takes_its_program_along() {
    let (folder, context) = home();
    let sink = script(&context, "echo $$ > leader; sleep 600 & echo $! > pid; wait", json!({}));
    let delivery = fired(&*sink, &id(1), &payload());
    // The run is stopped while the program runs.
    let mut attempt = sink.deliver(&delivery);
    while !read(&folder, "pid").ends_with('\n') {
        let ended = tokio::time::timeout(Duration::from_millis(10), &mut attempt).await;
        assert!(ended.is_err(), "it runs for minutes: {ended:?}");
    }
    drop(attempt);
    until_gone(&read(&folder, "leader")).await;
    until_gone(&read(&folder, "pid")).await;
}

#[tokio::test]
async fn snk_12_floods_and_closed_ears_do_no_harm() {
    let (_folder, context) = home();
    let begin = Instant::now();
    let flood = "yes 0123456789abcdef | head -c 30000000; yes error | head -c 30000000 >&2; echo the end >&2; exit 9";
    let said = try_one(&*script(&context, flood, json!({}))).await;
    assert!(said.starts_with("permanent: E0542: the program ended with exit code 9; stderr: …"), "{said}");
    assert!(said.contains("error the end; stdout: …") && said.len() < 1400, "{said}");
    // A body that no pipe holds, and a program that does not read it.
    let big = Value::record([("text", Value::text("x".repeat(4 << 20)))]);
    for program in ["exec 0<&-; exit 0", "sleep 0.1"] {
        let sink = script(&context, program, json!({}));
        assert_eq!(sink.deliver(&fired(&*sink, &id(2), &big)).await, Attempt::Done, "{program}");
    }
    let reads = script(&context, "test $(wc -c) -gt 4000000", json!({}));
    assert_eq!(reads.deliver(&fired(&*reads, &id(3), &big)).await, Attempt::Done);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn sec_3_no_text_of_a_row_is_ever_a_command() {
    let (folder, context) = home();
    let sink = script(&context, "cat > body", json!({}));
    for text in [
        "$(touch canary)",
        "`touch canary`",
        "'; touch canary; '",
        "\"; touch canary; \"",
        "| touch canary",
        "\n touch canary\n",
        "${IFS}touch${IFS}canary",
        "&& touch canary",
    ] {
        let payload = Value::record([(text, Value::text(text)), ("title", Value::text(text))]);
        assert_eq!(sink.deliver(&fired(&*sink, &id(4), &payload)).await, Attempt::Done);
        let body: serde_json::Value = serde_json::from_str(&read(&folder, "body")).unwrap();
        assert_eq!(body["data"]["title"], text);
    }
    assert!(!folder.path().join("canary").exists());
}

#[tokio::test]
async fn so_many_run_at_a_time_as_may() {
    let (folder, context) = home();
    let sink = script(&context, "printf + >> log; sleep 0.05; printf - >> log", json!({"concurrency": 1}));
    let runs = (0..4).map(|n| {
        let (sink, delivery) = (sink.clone(), fired(&*sink, &id(n), &payload()));
        tokio::spawn(async move { sink.deliver(&delivery).await })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(run.await.unwrap(), Attempt::Done);
    }
    assert_eq!(read(&folder, "log"), "+-+-+-+-");
}

#[tokio::test]
async fn what_a_program_says_shows_no_secret() {
    let (_folder, mut context) = home();
    let canary = "canary-5ecr3t";
    context.secrets = Arc::new(move |_: &str| Ok(canary.to_owned()));
    let program = "echo \"key $TOKEN is bad\" >&2; echo $1; echo $0; exit 1";
    let settings = json!({
        "type": "shell", "command": ["sh", "-c", program, "x", "--token=${TOKEN}"], "env": {"TOKEN": "${TOKEN}"},
    });
    let sink = crate::sink(settings, &context);
    assert_eq!(
        try_one(&*sink).await,
        "permanent: E0542: the program ended with exit code 1; stderr: key •••• is bad; stdout: --token=•••• x"
    );
    context.secrets = Arc::new(|name: &str| Err(format!("environment variable `{name}` is not set")));
    let missing = script(&context, "true", json!({"env": {"TOKEN": "${TOKEN}"}}));
    assert_eq!(try_one(&*missing).await, "transient: E0506: environment variable `TOKEN` is not set");
}
