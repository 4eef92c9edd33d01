//! A canary in every place where a secret may stand must come out nowhere but in the request.

use std::sync::Arc;

use serde_json::json;
use thalweg_graph::ports::Attempt;
use thalweg_sinks::receiver::{Behaviour, Receiver};
use thalweg_sinks::secret::{Resolver, environment_and_files};
use thalweg_sinks::{Secret, build, unresolved_secrets};

use crate::{action, context, fired, id, payload};

const CANARY: &str = "canary-5ecr3t";

#[tokio::test]
async fn sec_08_a_secret_comes_out_nowhere() {
    let receiver = Receiver::start("127.0.0.1:0", CANARY).await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let database = format!("mysql://user:{CANARY}@{closed}/d");
    let mut seen = String::new();
    let urls = [
        (format!("{}/{CANARY}?t={CANARY}", receiver.url()), Behaviour::Accept),
        (
            format!("{}/{CANARY}", receiver.url()),
            Behaviour::Answer { status: 400, headers: Vec::new(), body: format!("bad token {CANARY} in /hook/{CANARY}") },
        ),
        (format!("{}/{CANARY}", receiver.url()), Behaviour::AcceptAndCut),
        (format!("{}/{CANARY}", receiver.url()), Behaviour::Garbage),
        (format!("http://{closed}/{CANARY}"), Behaviour::Accept),
        (format!("http://{CANARY}.invalid/{CANARY}"), Behaviour::Accept),
        (format!("http://u:{CANARY}@127.0.0.1/"), Behaviour::Accept),
        (format!("http://10.0.0.1/{CANARY}"), Behaviour::Accept),
        (format!("http://[{CANARY}/"), Behaviour::Accept),
        (format!("{CANARY}://x/"), Behaviour::Accept),
    ];
    for (url, behaviour) in urls {
        receiver.behave(behaviour);
        let mut context = context();
        context.secret = Secret::new(CANARY);
        context.database_url = Some(Secret::new(database.clone()));
        context.secrets = resolver(url.clone());
        for settings in [
            json!({"type": "webhook", "url": "${URL}", "secret": "${KEY}", "headers": {"Authorization": "${KEY}"}, "timeout": "500ms"}),
            json!({"type": "webhook", "url": "${URL}", "headers": {"Authorization": "${BROKEN}"}, "timeout": "500ms"}),
            json!({"type": "webhook", "url": "${URL}", "secret": "${WHSEC}", "timeout": "500ms"}),
            json!({"type": "sql-insert", "database": "d", "table": "t"}),
            json!({"type": "sql-insert", "database": "d", "table": "t", "url": "${DATABASE}"}),
            json!({"type": "sql-insert", "database": "d", "table": "t", "url": "${URL}"}),
            json!({"type": "sql-insert", "database": "d", "table": "t", "url": "mysql://root:${KEY}@127.0.0.1:99999/d"}),
        ] {
            let spec = action(settings);
            seen += &format!("{context:?} {:?}", unresolved_secrets(&spec, &context));
            let sink = build(&spec, &context).unwrap_or_else(|problems| panic!("{problems:?}"));
            let delivery = fired(&*sink, &id(1), &payload());
            let attempt = sink.deliver(&delivery).await;
            seen += &format!("{delivery:?} {attempt:?}\n");
            let leak = seen.find(CANARY).map(|at| &seen[seen.floor_char_boundary(at.saturating_sub(300))..]);
            assert_eq!(leak, None, "{spec:?}");
        }
    }
    assert!(receiver.totals().accepted > 0, "some requests did go out");
    assert!(seen.contains("••••"), "the receiver's answer was shown, its secret was not: {seen}");
}

fn resolver(url: String) -> Resolver {
    Arc::new(move |name: &str| match name {
        "URL" => Ok(url.clone()),
        "KEY" => Ok(CANARY.to_owned()),
        "WHSEC" => Ok(format!("whsec_{CANARY}!")),
        "BROKEN" => Ok(format!("{CANARY}\r\nx: y")),
        "DATABASE" => Ok(format!("mysql://user:{CANARY}@127.0.0.1:1/d?{CANARY}=1")),
        other => Err(format!("`{other}` is not set")),
    })
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named_and_tried_again() {
    let mut context = context();
    context.secrets = Arc::new(environment_and_files);
    let sink =
        crate::sink(json!({"type": "webhook", "url": "https://example.com/", "secret": "${THALWEG_TEST_NOT_SET}"}), &context);
    let attempt = sink.deliver(&fired(&*sink, &id(1), &payload())).await;
    let error = "E0506: environment variable `THALWEG_TEST_NOT_SET` is not set".to_owned();
    assert_eq!(attempt, Attempt::Transient { error, retry_after: None });
}

#[test]
fn files_are_read_without_their_last_line_end() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "pass word\r\n").unwrap();
    assert_eq!(environment_and_files(&format!("file:{}", file.path().display())).unwrap(), "pass word");
    assert!(environment_and_files("file:/not/there").unwrap_err().starts_with("file `/not/there` cannot be read: "));
}
