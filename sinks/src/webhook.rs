//! The `webhook` action: a signed HTTP request per firing.
//!
//! The body is rendered at fire time and never again; id, body and `webhook-id` are the same on every attempt, timestamp and signature are of
//! the attempt (Standard Webhooks 1.0.0). Only a 2xx status delivers. Redirects are not followed. At least once: an answer that is lost
//! repeats the request with the same id.
//!
//! Bounds: connect 5 s, total 15 s (`timeout`), 64 KiB of answer read, 1 MiB of body sent (`max_body`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use thalweg_formulas::Problem;
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;

use crate::egress::{EgressPolicy, Guard, Refused};
use crate::envelope::Format;
use crate::secret::{self, Secret};
use crate::settings::{Reader, SettingProblem, wrong};
use crate::sign::Key;
use crate::{SinkContext, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
const TIMEOUT_MAX: Duration = Duration::from_secs(300);
const ANSWER_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;
/// A header's value of at least so many bytes may be a credential, and is shown in no error.
const CREDENTIAL_BYTES_MIN: usize = 8;
/// Headers that belong to the protocol, not to the settings.
const RESERVED: [&str; 12] = [
    "webhook-ack-token",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "idempotency-key",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "te",
    "expect",
];

/// The one HTTP client of a process's webhooks: its connection pool, with the egress guard as its resolver. Built at first use.
#[derive(Debug, Default)]
pub(crate) struct SharedClient(OnceLock<Result<Client, String>>);

impl SharedClient {
    fn get(&self, policy: &Arc<EgressPolicy>) -> Result<&Client, &String> {
        self.0.get_or_init(|| build_client(policy)).as_ref()
    }
}

fn build_client(policy: &Arc<EgressPolicy>) -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster; then its provider stands, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder()
        .dns_resolver(Arc::new(Guard { policy: policy.clone() }))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(32)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("thalweg/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|why| format!("E0511: the http client cannot be built: {why}"))
}

/// The action, set up. Texts keep their references; an attempt resolves them.
pub(crate) struct Webhook {
    url: String,
    method: Method,
    headers: Vec<(HeaderName, String)>,
    secret: Option<String>,
    timeout: Duration,
    format: Format,
    max_body: usize,
    /// An acknowledgement is awaited: the request carries its token, and the answer may be one.
    acknowledged: bool,
    /// A body is a list of those of several triggers.
    gathered: bool,
    context: SinkContext,
}

impl Webhook {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let url = read_url(&mut reader, context);
        let method = match reader.choice("method", &["POST", "PUT", "PATCH"]) {
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => Method::POST,
        };
        let headers = read_headers(&mut reader);
        let secret = reader.text("secret").map(str::to_owned);
        if let Some(Err(why)) = secret.as_deref().filter(|text| !secret::has_reference(text)).map(Key::parse) {
            reader.refuse("secret", wrong("secret", &why));
        }
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        let format = Format::read_known(&mut reader);
        let max_body = reader.size("max_body").unwrap_or(BODY_BYTES_MAX);
        reader.finish()?;
        let url = url.expect("invariant: a url that could not be read is a problem, and finish() refused");
        let acknowledged = action.settings.contains_key("ack");
        let gathered = action.settings.contains_key("digest");
        let context = context.clone();
        Ok(Self { url, method, headers, secret, timeout, format, max_body, acknowledged, gathered, context })
    }

    async fn attempt(&self, delivery: &PendingDelivery, now: jiff::Timestamp) -> Result<Attempt, Failure> {
        let body = &delivery.row.body;
        if body.len() > self.max_body {
            let (length, max) = (body.len(), self.max_body);
            return Err(Failure::permanent(format!("E0512: the body has {length} bytes, max_body is {max}")));
        }
        let mut secrets = Vec::new();
        let request = self.request(delivery, now, &mut secrets)?;
        let client = self.context.client.get(&self.context.egress).map_err(|why| Failure::transient(why.clone()))?;
        let answer = client.execute(request).await.map_err(|why| transport_failure(&why, self.timeout))?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers(), now);
        let head = read_answer(answer).await;
        if status.is_success() {
            let result = if self.acknowledged { acknowledgement(&head) } else { None };
            return Ok(result.map_or(Attempt::Done, |result| Attempt::Acknowledged { result }));
        }
        let said = secret::redact(&String::from_utf8_lossy(&head), &secrets);
        Err(answer_failure(status, said.trim(), retry_after))
    }

    /// The request of this attempt. What its references resolved to is added to `secrets`.
    fn request(
        &self,
        delivery: &PendingDelivery,
        now: jiff::Timestamp,
        secrets: &mut Vec<Secret>,
    ) -> Result<reqwest::Request, Failure> {
        let url = self.resolve(&self.url, secrets)?;
        let url = Url::parse(url.reveal()).map_err(|why| Failure::permanent(format!("E0504: the url is not valid: {why}")))?;
        self.context.egress.check_url(&url).map_err(|why| Failure::permanent(format!("E0505: {why}")))?;
        let key = match &self.secret {
            Some(text) => self.resolve(text, secrets)?,
            None => self.context.secret.clone(),
        };
        secrets.push(key.clone());
        let key = Key::parse(key.reveal()).map_err(|why| Failure::permanent(format!("E0504: secret: {why}")))?;
        let (id, timestamp) = (&delivery.row.id, now.as_second());
        let mut headers = self.own_headers(secrets)?;
        let mut set = |name: &'static str, value: String| {
            let value =
                HeaderValue::from_str(&value).map_err(|_| Failure::permanent(format!("E0504: header {name} cannot be sent")))?;
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        };
        set("content-type", self.content_type().to_owned())?;
        set("webhook-id", id.to_string())?;
        set("webhook-timestamp", timestamp.to_string())?;
        set("webhook-signature", key.sign(id, timestamp, &delivery.row.body))?;
        set("idempotency-key", id.to_string())?;
        if self.acknowledged {
            let token = crate::sign::ack_token(self.context.secret.reveal(), id);
            set("webhook-ack-token", token.map_err(|why| Failure::permanent(format!("E0504: secret: {why}")))?)?;
        }
        let mut request = reqwest::Request::new(self.method.clone(), url);
        *request.headers_mut() = headers;
        *request.timeout_mut() = Some(self.timeout);
        *request.body_mut() = Some(delivery.row.body.to_vec().into());
        Ok(request)
    }

    fn own_headers(&self, secrets: &mut Vec<Secret>) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, text) in &self.headers {
            let value = self.resolve(text, secrets)?;
            if value.reveal().len() >= CREDENTIAL_BYTES_MIN {
                secrets.push(value.clone());
            }
            let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| {
                Failure::permanent(format!("E0504: the value of header {name} holds characters that a header may not"))
            })?;
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
        Ok(headers)
    }

    fn resolve(&self, text: &str, secrets: &mut Vec<Secret>) -> Result<Secret, Failure> {
        let (whole, parts) =
            secret::resolve(text, &self.context.secrets).map_err(|why| Failure::transient(format!("E0506: {why}")))?;
        secrets.extend(parts);
        Ok(whole)
    }

    fn content_type(&self) -> &'static str {
        match self.format {
            Format::CloudEvents if self.gathered => "application/cloudevents-batch+json",
            Format::CloudEvents => "application/cloudevents+json",
            Format::Raw | Format::Own(_) => "application/json",
        }
    }
}

impl Sink for Webhook {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        self.format.render(firing, &self.context.source_prefix)
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(async move {
            match self.attempt(delivery, jiff::Timestamp::now()).await {
                Ok(done) => done,
                Err(failure) => failure.0,
            }
        })
    }
}

fn read_url(reader: &mut Reader<'_>, context: &SinkContext) -> Option<String> {
    let text = reader.required("url", "\"https://hooks.example.com/…\"")?;
    if !secret::has_reference(text) {
        let verdict = match Url::parse(text) {
            Err(why) => Err(wrong("url", &why.to_string())),
            Ok(url) => context.egress.check_url(&url).map_err(|why| {
                let problem = Problem::new(505, format!("this url may not be reached: {why}"));
                match why.cure() {
                    Some(cure) => problem.help(cure),
                    None => problem,
                }
            }),
        };
        if let Err(problem) = verdict {
            reader.refuse("url", problem);
            return None;
        }
    }
    Some(text.to_owned())
}

fn read_headers(reader: &mut Reader<'_>) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    for (name, text) in reader.texts("headers") {
        let key = format!("headers.{name}");
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => reader.refuse(key.as_str(), wrong(&key, "this is not a header name")),
            Ok(header) if RESERVED.contains(&header.as_str()) => {
                reader.refuse(key.as_str(), wrong(&key, "this header is set by the delivery itself"));
            }
            Ok(_) if HeaderValue::from_str(text).is_err() => {
                reader.refuse(key.as_str(), wrong(&key, "the value holds characters that a header may not"));
            }
            Ok(header) => headers.push((header, text.to_owned())),
        }
    }
    headers
}

/// A failed attempt.
struct Failure(Attempt);

impl Failure {
    fn transient(error: String) -> Self {
        Self(Attempt::Transient { error, retry_after: None })
    }

    fn permanent(error: String) -> Self {
        Self(Attempt::Permanent { error })
    }
}

/// Reads an answer's first bytes and lets the rest go. Its status has decided already, so nothing here can fail.
async fn read_answer(mut answer: reqwest::Response) -> Vec<u8> {
    let mut head = Vec::new();
    while head.len() < ANSWER_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => head.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - head.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    head
}

/// The result in an answer `{"ack": true, "result": …}`, which says that the trigger is taken care of.
fn acknowledgement(answer: &[u8]) -> Option<String> {
    let answer: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(answer).ok()?;
    let says_so = answer.get("ack")?.as_bool()?;
    says_so.then(|| answer.get("result").map_or_else(String::new, ToString::to_string))
}

fn answer_failure(status: StatusCode, said: &str, retry_after: Option<u64>) -> Failure {
    let mut error = format!("E0510: the receiver answered {status}");
    if status.is_redirection() {
        error.push_str(", and redirects are not followed");
    }
    if !said.is_empty() {
        error.push_str(": ");
        error.push_str(said);
    }
    if status == StatusCode::GONE {
        return Failure(Attempt::Gone { error });
    }
    let transient = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Failure(if transient { Attempt::Transient { error, retry_after } } else { Attempt::Permanent { error } })
}

/// Names what went wrong before an answer came. The URL is left out: its path may be the secret.
fn transport_failure(why: &reqwest::Error, timeout: Duration) -> Failure {
    let mut chain = Vec::new();
    let mut cause = std::error::Error::source(why);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Failure::permanent(format!("E0505: {refused}"));
        }
        chain.push(inner.to_string());
        cause = inner.source();
    }
    if why.is_timeout() && !why.is_connect() {
        return Failure::transient(format!("E0511: no answer within {timeout:?}"));
    }
    let stage = if why.is_connect() { "cannot connect" } else { "the connection failed" };
    let detail = chain.last().map_or_else(|| "no reason given".to_owned(), |last| secret::redact(last, &[]));
    Failure::transient(format!("E0511: {stage}: {detail}"))
}

/// `Retry-After` in seconds from now: a number, or an HTTP date.
fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<u64> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds);
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now: jiff::Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:30:00 GMT", Some(120)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("retry-after"), HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
