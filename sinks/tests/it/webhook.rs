//! Webhooks against the receiver in all its moods.

use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::json;
use thalweg_formulas::Value;
use thalweg_graph::ports::Attempt;
use thalweg_sinks::receiver::{Behaviour, Receiver, Totals};

use crate::{SECRET, context, fired, id, payload, shown, sink};

async fn receiver() -> Receiver {
    Receiver::start("127.0.0.1:0", SECRET).await.unwrap()
}

#[tokio::test]
async fn a_delivery_is_an_enveloped_and_signed_request() {
    let receiver = receiver().await;
    let settings = json!({"type": "webhook", "url": receiver.url(), "headers": {"X-Team": "a b"}, "method": "put"});
    let sink = sink(settings, &context());
    let delivery = fired(&*sink, &id(1), &payload());
    assert_eq!(sink.deliver(&delivery).await, Attempt::Done);
    let (head, body) = receiver.last();
    expect![[r#"{"specversion":"1.0","id":"01HQT500000000000000000001","source":"/shop/orders","type":"order.big","subject":"7","time":"2024-02-29T23:59:59.25Z","datacontenttype":"application/json","txid":"0-1-42","version":3,"data":{"id":7,"title":"naïve \"x\"","total":12.5}}"#]]
    .assert_eq(std::str::from_utf8(&body).unwrap());
    let mut lines: Vec<String> = head.split("\r\n").map(|line| line.split(" v1,").next().unwrap().to_owned()).collect();
    lines[1..].sort();
    lines.retain(|line| !line.starts_with("host") && !line.starts_with("webhook-timestamp"));
    expect![[r#"
        PUT /hook HTTP/1.1
        accept: */*
        content-length: 262
        content-type: application/cloudevents+json
        idempotency-key: 01HQT500000000000000000001
        user-agent: thalweg/0.1.0
        webhook-id: 01HQT500000000000000000001
        webhook-signature:
        x-team: a b"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn raw_sends_the_payload_alone() {
    let receiver = receiver().await;
    let sink = sink(json!({"type": "webhook", "url": receiver.url(), "format": "raw"}), &context());
    assert_eq!(sink.deliver(&fired(&*sink, &id(1), &payload())).await, Attempt::Done);
    assert_eq!(receiver.last().1, r#"{"id":7,"title":"naïve \"x\"","total":12.5}"#.as_bytes());
}

#[tokio::test]
async fn a_body_of_ones_own_is_sent_and_signed() {
    let receiver = receiver().await;
    let body = json!({"text": "Order {payload.id}: {payload.title}", "total": "{payload.total}", "to": ["#ops"]});
    for (settings, expected) in [
        (json!({"body": body}), r##"{"text":"Order 7: naïve \"x\"","to":["#ops"],"total":12.5}"##),
        (json!({"preset": "slack", "text": "<{payload.title}>"}), r#"{"text":"<naïve \"x\">"}"#),
    ] {
        let mut settings = settings;
        settings["type"] = "webhook".into();
        settings["url"] = receiver.url().into();
        let sink = sink(settings, &context());
        assert_eq!(sink.deliver(&fired(&*sink, &id(1), &payload())).await, Attempt::Done);
        let (head, body) = receiver.last();
        let [found, wanted] =
            [&*body, expected.as_bytes()].map(|body| serde_json::from_slice::<serde_json::Value>(body).unwrap());
        assert_eq!(found, wanted);
        assert!(head.to_lowercase().contains("content-type: application/json\r\n"), "{head}");
    }
    assert_eq!(receiver.totals().unverified, 0);
}

/// Whatever data holds, a body is JSON with the members that were written; what is too large goes to the dead letters at once.
#[tokio::test]
async fn snk_10_poison_in_a_payload_breaks_no_body() {
    let receiver = receiver().await;
    let poison = Value::record([
        ("quote", Value::text("\"},\"admin\":true,{\"x\":\"\0\u{1b}[2J\r\nX: y")),
        ("nan", Value::double(f64::NAN)),
        ("large", Value::text("x".repeat(2 << 20))),
        ("bytes", Value::Bytes(vec![0xff, 0x00, 0xc3].into())),
    ]);
    let body =
        json!({"q": "say {payload.quote}", "nan": "{payload.nan}", "bytes": "{payload.bytes}", "none": "{payload.none.of.it}"});
    let sink_of = |body| sink(json!({"type": "webhook", "url": receiver.url(), "body": body}), &context());
    let sink = sink_of(body);
    assert_eq!(sink.deliver(&fired(&*sink, &id(1), &poison)).await, Attempt::Done);
    let found: serde_json::Value = serde_json::from_slice(&receiver.last().1).unwrap();
    let names: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(names, ["q", "nan", "bytes", "none"]);
    assert_eq!(found["q"], "say \"},\"admin\":true,{\"x\":\"\0\u{1b}[2J\r\nX: y");
    let sink = sink_of(json!("{payload.large}"));
    let attempt = sink.deliver(&fired(&*sink, &id(2), &poison)).await;
    assert_eq!(shown(&attempt), "permanent: E0512: the body has 2097154 bytes, max_body is 1048576");
}

#[tokio::test]
async fn a_wrong_secret_is_found_out() {
    let receiver = receiver().await;
    let sink = sink(json!({"type": "webhook", "url": receiver.url(), "secret": "another"}), &context());
    let attempt = sink.deliver(&fired(&*sink, &id(1), &payload())).await;
    assert_eq!(
        shown(&attempt),
        "permanent: E0510: the receiver answered 401 Unauthorized: the signature is missing, stale or wrong"
    );
    assert_eq!(receiver.totals(), Totals { unverified: 1, ..Totals::default() });
}

/// What the sender makes of each mood: the text before the second colon's detail, where that is the system's own.
#[tokio::test]
async fn snk_03_every_mood_of_a_receiver_has_one_outcome() {
    let answer = |status, headers: &[(&str, &str)], body: &str| Behaviour::Answer {
        status,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_owned(),
    };
    let rows = [
        (Behaviour::Accept, "done"),
        (Behaviour::status(204), "done"),
        (Behaviour::status(299), "done"),
        (Behaviour::Slow(Duration::from_millis(50)), "done"),
        (Behaviour::AcceptAndCutBody, "done"),
        (Behaviour::AcceptEndless, "done"),
        (Behaviour::status(400), "permanent: E0510: the receiver answered 400 Bad Request"),
        (Behaviour::status(401), "permanent: E0510: the receiver answered 401 Unauthorized"),
        (Behaviour::status(403), "permanent: E0510: the receiver answered 403 Forbidden"),
        (Behaviour::status(404), "permanent: E0510: the receiver answered 404 Not Found"),
        (Behaviour::status(410), "gone: E0510: the receiver answered 410 Gone"),
        (Behaviour::status(413), "permanent: E0510: the receiver answered 413 Payload Too Large"),
        (
            answer(422, &[], "no \u{1b}[31msuch\u{7} field\n"),
            "permanent: E0510: the receiver answered 422 Unprocessable Entity: no  [31msuch  field",
        ),
        (Behaviour::status(408), "transient: E0510: the receiver answered 408 Request Timeout"),
        (Behaviour::status(425), "transient: E0510: the receiver answered 425 Too Early"),
        (
            answer(429, &[("retry-after", "30")], ""),
            "transient, not before 30 s: E0510: the receiver answered 429 Too Many Requests",
        ),
        (Behaviour::status(500), "transient: E0510: the receiver answered 500 Internal Server Error"),
        (
            answer(503, &[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], ""),
            "transient, not before 0 s: E0510: the receiver answered 503 Service Unavailable",
        ),
        (Behaviour::status(599), "transient: E0510: the receiver answered 599 <unknown status code>"),
        (
            answer(302, &[("location", "http://127.0.0.1:1/elsewhere")], ""),
            "permanent: E0510: the receiver answered 302 Found, and redirects are not followed",
        ),
        (Behaviour::Hang, "transient: E0511: no answer within 300ms"),
        (Behaviour::Drip, "transient: E0511: no answer within 300ms"),
        (Behaviour::EndlessContinue, "transient: E0511: "),
        (Behaviour::AcceptAndCut, "transient: E0511: the connection failed: "),
        (Behaviour::CutHead, "transient: E0511: the connection failed: "),
        (Behaviour::Garbage, "transient: E0511: the connection failed: "),
    ];
    for (behaviour, expected) in rows {
        let receiver = receiver().await;
        receiver.behave(behaviour.clone());
        let sink = sink(json!({"type": "webhook", "url": receiver.url(), "timeout": "300ms"}), &context());
        let begin = Instant::now();
        let attempt = shown(&sink.deliver(&fired(&*sink, &id(1), &payload())).await);
        let matches = if expected.ends_with(": ") { attempt.starts_with(expected) } else { attempt == expected };
        assert!(matches, "{behaviour:?}: {attempt}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{behaviour:?} took {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn snk_04_a_lost_acknowledgement_costs_a_naive_receiver_one_repeat_and_an_idempotent_one_nothing() {
    let receiver = receiver().await;
    let sink = sink(json!({"type": "webhook", "url": receiver.url()}), &context());
    let delivery = fired(&*sink, &id(1), &payload());
    receiver.behave(Behaviour::AcceptAndCut);
    assert!(shown(&sink.deliver(&delivery).await).starts_with("transient"));
    receiver.behave(Behaviour::Accept);
    assert_eq!(sink.deliver(&delivery).await, Attempt::Done);
    assert_eq!(receiver.totals(), Totals { requests: 2, accepted: 2, accepted_distinct: 1, ..Totals::default() });
}

#[tokio::test]
async fn the_same_id_comes_with_the_same_bytes_until_it_is_accepted() {
    let receiver = receiver().await;
    receiver.behave(Behaviour::FailFirst(2));
    let sink = sink(json!({"type": "webhook", "url": receiver.url()}), &context());
    for n in 0..20 {
        let delivery = fired(&*sink, &id(n), &payload());
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(sink.deliver(&delivery).await == Attempt::Done);
        }
        assert_eq!(outcomes, [false, false, true]);
    }
    assert_eq!(receiver.totals(), Totals { requests: 60, accepted: 20, accepted_distinct: 20, ..Totals::default() });
    assert!(receiver.received().values().all(|one| one.requests == 3 && one.accepted == 1));
}

#[tokio::test]
async fn snk_10_a_body_above_the_limit_is_not_sent() {
    let receiver = receiver().await;
    let sink = sink(json!({"type": "webhook", "url": receiver.url(), "max_body": "1KiB"}), &context());
    let large = thalweg_formulas::Value::record([("x", thalweg_formulas::Value::text("y".repeat(2000)))]);
    let attempt = shown(&sink.deliver(&fired(&*sink, &id(1), &large)).await);
    assert_eq!(attempt, "permanent: E0512: the body has 2226 bytes, max_body is 1024");
    assert_eq!(receiver.totals(), Totals::default());
}

#[tokio::test]
async fn snk_01_nobody_listening_is_transient_and_an_inside_address_is_not_reached() {
    let receiver = receiver().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sink = sink(json!({"type": "webhook", "url": format!("http://{closed}/")}), &context());
    let attempt = shown(&sink.deliver(&fired(&*sink, &id(1), &payload())).await);
    assert!(attempt.starts_with("transient: E0511: cannot connect: "), "{attempt}");

    // The URL is known only at delivery, and its name leads inside.
    let mut strict = context();
    let port = receiver.address().port();
    for (url, allow, expected) in [
        (
            format!("http://127.0.0.1:{port}/"),
            "10.0.0.0/8",
            "permanent: E0505: 127.0.0.1 is a loopback address, and [egress] allow does not name it",
        ),
        (
            format!("http://localhost:{port}/"),
            "10.0.0.0/8",
            "permanent: E0505: localhost is 127.0.0.1, a loopback address, and [egress] allow does not name it",
        ),
        (format!("http://localhost:{port}/"), "::1", ""), // The name may be asked for; 127.0.0.1 behind it may not be dialled.
        (
            format!("http://u:p@127.0.0.1:{port}/"),
            "127.0.0.0/8",
            "permanent: E0505: a url must not carry a user or password; use headers = { Authorization = \"…\" }",
        ),
        ("ftp://127.0.0.1/".to_owned(), "127.0.0.0/8", "permanent: E0505: its scheme is not http or https"),
        ("no url".to_owned(), "127.0.0.0/8", "permanent: E0504: the url is not valid: relative URL without a base"),
    ] {
        let mut fresh = thalweg_sinks::SinkContext::new(strict.secret.clone());
        fresh.egress = std::sync::Arc::new(thalweg_sinks::EgressPolicy::parse(&[allow]).unwrap());
        fresh.secrets = std::sync::Arc::new(move |_| Ok(url.clone()));
        strict = fresh;
        let sink = crate::sink(json!({"type": "webhook", "url": "${URL}"}), &strict);
        let attempt = shown(&sink.deliver(&fired(&*sink, &id(1), &payload())).await);
        assert!(attempt != "done" && attempt.starts_with(expected), "{attempt}");
    }
    assert_eq!(receiver.totals(), Totals::default());
}

/// Many deliveries at once share connections.
#[tokio::test]
async fn deliveries_side_by_side_all_arrive() {
    let receiver = receiver().await;
    let sink = sink(json!({"type": "webhook", "url": receiver.url()}), &context());
    let mut attempts = tokio::task::JoinSet::new();
    for n in 0..200 {
        let sink = sink.clone();
        attempts.spawn(async move { sink.deliver(&fired(&*sink, &id(n), &payload())).await });
    }
    assert!(attempts.join_all().await.iter().all(|attempt| *attempt == Attempt::Done));
    assert_eq!(receiver.totals(), Totals { requests: 200, accepted: 200, accepted_distinct: 200, ..Totals::default() });
}
