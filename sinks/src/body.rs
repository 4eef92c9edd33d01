//! A body as its receiver wants it: JSON whose texts are templates, written in the definition or one that is known by name.
//!
//! Values go into texts of JSON, never into JSON itself, so whatever data holds, the body is well formed and has the members that were
//! written. A text that is one placeholder becomes its value: a number stays a number, a list a list.
//!
//! Bound: as deep as the definition is written.

use serde_json::Value as Json;
use thalweg_formulas::{Value, json};

use crate::secret;
use crate::settings::{Reader, wrong};
use crate::template::Template;

/// The bodies that are known by name; `none` is no choice of anybody.
const PRESETS: [&str; 4] = ["none", "slack", "discord", "teams"];

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A text, or the value of its one placeholder.
    Text(Template),
    /// A text, whatever its placeholders hold; `is_slack`: values in it begin nothing (Slack's documentation, "Escaping text").
    Line { text: Template, is_slack: bool },
    /// The same every time.
    Fixed(String),
    /// A list.
    List(Vec<Body>),
    /// An object.
    Object(Vec<(String, Body)>),
}

impl Body {
    /// Reads `body`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Body> {
        let written = reader.raw("body")?;
        Body::refuse_beside(reader, &["format"], "`body`, which is all that is sent");
        Body::of(reader, "body".into(), written)
    }

    /// Reads `body`, or `preset` with `text`, the forms of services on the web.
    pub(crate) fn read_known(reader: &mut Reader<'_>) -> Option<Body> {
        let preset = reader.choice("preset", &PRESETS);
        let text = reader.text("text").map(|text| Template::read(reader, "text".into(), text));
        if reader.has("body") {
            Body::refuse_beside(reader, &["preset", "text"], "`body`, which is all that is sent");
            return Body::read(reader);
        }
        reader.leave(&["body"]);
        if preset == PRESETS[0] {
            if reader.has("text") {
                reader.refuse("text", wrong("text", "this goes with a `preset`; write a `body` for a form of your own"));
            }
            return None;
        }
        Body::refuse_beside(reader, &["format"], "`preset`, which has its own form");
        named(preset, text.flatten().unwrap_or_else(Template::usual))
    }

    fn refuse_beside(reader: &mut Reader<'_>, keys: &[&'static str], what: &str) {
        reader.leave(keys);
        for key in keys.iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
            reader.refuse(*key, wrong(key, &format!("this does not go with {what}")));
        }
    }

    fn of(reader: &mut Reader<'_>, key: String, body: &Json) -> Option<Body> {
        match body {
            Json::String(text) if secret::has_reference(text) => {
                let why = "a body is stored as it is sent, so no secret may be in it; put it into `headers` or the url";
                reader.refuse(key.as_str(), wrong(&key, why));
                None
            }
            Json::String(text) => Template::read(reader, key, text).map(Body::Text),
            Json::Array(items) => {
                let items = items.iter().enumerate();
                let items: Vec<_> = items.map(|(at, item)| Body::of(reader, format!("{key}.{at}"), item)).collect();
                items.into_iter().collect::<Option<_>>().map(Body::List)
            }
            Json::Object(members) => {
                let members = members.iter();
                let members: Vec<_> = members
                    .map(|(name, member)| Some((name.clone(), Body::of(reader, format!("{key}.{name}"), member)?)))
                    .collect();
                members.into_iter().collect::<Option<_>>().map(Body::Object)
            }
            fixed => Some(Body::Fixed(fixed.to_string())),
        }
    }

    /// The body of a firing of which this is known.
    pub(crate) fn render(&self, known: &Value) -> String {
        let mut out = String::new();
        self.write(known, &mut out);
        out
    }

    fn write(&self, known: &Value, out: &mut String) {
        match self {
            Body::Text(template) => json::write(&template.fill(known), out),
            Body::Line { text, is_slack } => {
                json::write_text(&text.text(known, |value| if *is_slack { escaped(value) } else { value }), out);
            }
            Body::Fixed(text) => out.push_str(text),
            Body::List(items) => enclosed(out, '[', ']', items, |item, out| item.write(known, out)),
            Body::Object(members) => enclosed(out, '{', '}', members, |(name, member), out| {
                json::write_text(name, out);
                out.push(':');
                member.write(known, out);
            }),
        }
    }
}

/// A body by name. `None`: none was asked for.
fn named(preset: &str, text: Template) -> Option<Body> {
    let line = Body::Line { text, is_slack: preset == "slack" };
    let fixed = |text: &str| Body::Fixed(text.to_owned());
    let object =
        |members: Vec<(&str, Body)>| Body::Object(members.into_iter().map(|(name, body)| (name.to_owned(), body)).collect());
    Some(match preset {
        "slack" => object(vec![("text", line)]),
        // Nobody is called by what data holds.
        "discord" => object(vec![("content", line), ("allowed_mentions", fixed(r#"{"parse":[]}"#))]),
        "teams" => {
            let line = object(vec![("type", fixed(r#""TextBlock""#)), ("text", line), ("wrap", fixed("true"))]);
            let card =
                vec![("type", fixed(r#""AdaptiveCard""#)), ("version", fixed(r#""1.4""#)), ("body", Body::List(vec![line]))];
            let content = fixed(r#""application/vnd.microsoft.card.adaptive""#);
            let attachment = object(vec![("contentType", content), ("content", object(card))]);
            object(vec![("type", fixed(r#""message""#)), ("attachments", Body::List(vec![attachment]))])
        }
        _ => return None,
    })
}

/// Text in which `&`, `<` and `>` begin nothing.
fn escaped(text: String) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn enclosed<T>(out: &mut String, open: char, close: char, items: &[T], mut each: impl FnMut(&T, &mut String)) {
    out.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn read(settings: Json) -> Result<Option<Body>, Vec<String>> {
        let Json::Object(settings) = settings else { panic!("settings are a table") };
        let settings: Map<String, Json> = settings;
        let mut reader = Reader::new("webhook", &settings);
        reader.raw("format");
        let body = Body::read_known(&mut reader);
        let told = |problems: Vec<crate::settings::SettingProblem>| {
            problems.into_iter().map(|problem| format!("{}: {}", problem.key, problem.problem)).collect()
        };
        reader.finish().map(|()| body).map_err(told)
    }

    fn known() -> Value {
        let payload = Value::record([
            ("n", Value::Int(7)),
            ("note", Value::text("\"}, <!channel> & more\n")),
            ("tags", Value::list([Value::text("a"), Value::Null])),
        ]);
        Value::record([
            ("event_type", Value::text("big")),
            ("source_table", Value::text("orders")),
            ("subject_id", Value::text("7")),
            ("payload", payload),
        ])
    }

    fn sent(settings: Json) -> String {
        read(settings).unwrap().unwrap().render(&known())
    }

    #[test]
    fn texts_are_filled_and_data_stays_data() {
        let body = json!({
            "text": "Order {subject_id} has {payload.n}: {payload.note}", "n": "{payload.n}", "tags": "{payload.tags}", "none": "{payload.x}",
            "fixed": [1, 2.5, true, null, {"brace": "{{}"}],
        });
        let expected = concat!(
            r#"{"fixed":[1,2.5,true,null,{"brace":"{}"}],"n":7,"none":null,"tags":["a",null],"#,
            r#""text":"Order 7 has 7: \"}, <!channel> & more\n"}"#
        );
        let mut found: Json = serde_json::from_str(&sent(json!({ "body": body }))).unwrap();
        found.sort_all_objects();
        let mut wanted: Json = serde_json::from_str(expected).unwrap();
        wanted.sort_all_objects();
        assert_eq!(found, wanted);
        assert_eq!(sent(json!({ "body": "{payload.tags}" })), r#"["a",null]"#);
    }

    #[test]
    fn forms_that_are_known_by_name() {
        assert_eq!(sent(json!({ "preset": "slack" })), r#"{"text":"big orders 7"}"#);
        assert_eq!(
            sent(json!({ "preset": "slack", "text": "<b> {payload.note}" })),
            r#"{"text":"<b> \"}, &lt;!channel&gt; &amp; more\n"}"#
        );
        assert_eq!(
            sent(json!({ "preset": "discord", "text": "{payload.n}" })),
            r#"{"content":"7","allowed_mentions":{"parse":[]}}"#
        );
        let teams = r#"{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","version":"1.4","body":[{"type":"TextBlock","text":"big orders 7","wrap":true}]}}]}"#;
        assert_eq!(sent(json!({ "preset": "teams" })), teams);
        assert_eq!(read(json!({})), Ok(None));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (settings, expected) in [
            (
                json!({ "body": 1, "format": "raw" }),
                "format: E0504: setting `format`: this does not go with `body`, which is all that is sent",
            ),
            (
                json!({ "body": 1, "text": "x" }),
                "text: E0504: setting `text`: this does not go with `body`, which is all that is sent",
            ),
            (
                json!({ "preset": "slack", "format": "raw" }),
                "format: E0504: setting `format`: this does not go with `preset`, which has its own form",
            ),
            (
                json!({ "text": "x" }),
                "text: E0504: setting `text`: this goes with a `preset`; write a `body` for a form of your own",
            ),
            (
                json!({ "body": { "a": ["{title}"] } }),
                "body.a.0: E0504: setting `body.a.0`: `{title}` names nothing; a column of the payload is `{payload.title}`",
            ),
            (
                json!({ "body": { "key": "${KEY}" } }),
                "body.key: E0504: setting `body.key`: a body is stored as it is sent, so no secret may be in it; put it into `headers` or the url",
            ),
            (
                json!({ "preset": "slak" }),
                "preset: E0504: setting `preset`: expected one of none, slack, discord, teams, found `slak`",
            ),
        ] {
            let told = read(settings).unwrap_err();
            assert_eq!(told[0].lines().next().unwrap(), expected);
        }
    }
}
