//! The sections that say what the graph is: `[[table]] [fields] [[effect]] [[classify]] [[reactions]] [[schedule]] [[goal]]`, read into a [`GraphSpec`].
//!
//! Only the form is checked here (keys, types of values); names, formulas and relations are the planner's.

use serde_json::{Map, Value as Json};
use thalweg_graph::spec::{
    AckSpec, ActionSpec, ClassifySpec, EffectSpec, FieldSpec, GraphSpec, OneOrMany, Place, ReactionSpec, RelationSpec,
    ScheduleSpec, TableSpec, TimerSpec,
};

use super::diag::Diag;
use super::places::PlaceMap;
use super::reader::{Collector, Section, content_start, text_of, wrong_type};
use super::secret::{Secret, url_password};
use super::sources::warn_literal;
use super::tree::{Entry, Item, Origin, Tree};

/// The definition being read.
pub(super) struct Reader<'a> {
    pub(super) out: &'a Collector,
    pub(super) spec: GraphSpec,
    pub(super) places: PlaceMap,
}

impl<'a> Reader<'a> {
    pub(super) fn new(out: &'a Collector) -> Reader<'a> {
        Reader { out, spec: GraphSpec::default(), places: PlaceMap::default() }
    }

    pub(super) fn mark(&mut self, place: Place, origin: &Origin, content: Option<&str>) {
        if let Origin::File(span) = origin {
            let start = content.and_then(|text| content_start(&self.out.source.text, span, text));
            self.places.add(place, span.clone(), start);
        }
    }

    /// A string, marked as `place`.
    pub(super) fn text(&mut self, section: &mut Section<'_>, key: &'static str, place: Place) -> Option<String> {
        let (text, origin) = section.text(key)?;
        self.mark(place, &origin, Some(&text));
        Some(text)
    }

    pub(super) fn required(&mut self, section: &mut Section<'_>, key: &'static str, place: Place) -> String {
        let Some((text, origin)) = section.required(key) else { return String::new() };
        self.mark(place, &origin, Some(&text));
        text
    }

    /// A list of names in `[[table]]`, marked as `place` in whole and as `place.0`, `place.1`, … one by one.
    pub(super) fn names(&mut self, section: &mut Section<'_>, key: &'static str, place: Place) -> Option<Vec<String>> {
        let item = section.item(key)?;
        self.mark(place.clone(), &item.origin, None);
        let names = section.texts(key)?;
        for (at, (_, origin)) in names.iter().enumerate() {
            if let Place::Table(table, path) = &place {
                self.mark(Place::Table(*table, format!("{path}.{at}")), origin, None);
            }
        }
        Some(names.into_iter().map(|(name, _)| name).collect())
    }

    // ---- [[table]] ---------------------------------------------------------------------------------------

    pub(super) fn table(&mut self, mut section: Section<'_>) {
        let index = self.spec.tables.len();
        let place = |key: &str| Place::Table(index, key.to_owned());
        self.mark(place(""), &section.origin.clone(), None);
        let name = self.text(&mut section, "name", place("name"));
        let from = self.text(&mut section, "from", place("from"));
        // Without, the source tells the key; `key = []` says that there is none, and rows are a multiset.
        let key = self.names(&mut section, "key", place("key"));
        let columns = self.columns(&mut section, index);
        let relations = self.relations(&mut section, index);
        let group = self.group(&mut section, index);
        let closure = self.closure(&mut section, index);
        if group.is_some() && closure.is_some() {
            let diag =
                Diag::error(282, format!("table `{}` has both a `group` and a `closure`", name.as_deref().unwrap_or_default()));
            let diag = diag.help("make a table of each: a group may be of a closure");
            self.out.report(diag, &section.origin, "rows that are grouped, or links");
        }
        let group = group.or(closure);
        let join = self.join(&mut section, index);
        if name.is_none() && from.is_none() {
            section.required("name");
        }
        section.finish();
        let name = name.or_else(|| from.as_deref().map(|from| from.rsplit('.').next().unwrap_or(from).to_owned()));
        self.spec.tables.push(TableSpec {
            name: name.unwrap_or_default(),
            from,
            key,
            columns,
            column_order: Vec::new(),
            closed: false,
            relations,
            group,
            join,
        });
    }

    fn columns(&mut self, section: &mut Section<'_>, index: usize) -> std::collections::BTreeMap<String, String> {
        let Some(item) = section.item("columns") else { return Default::default() };
        let Some(mut columns) = Section::of(section.path("columns"), item, self.out) else { return Default::default() };
        self.mark(Place::Table(index, "columns".to_owned()), &item.origin, None);
        let mut out = std::collections::BTreeMap::new();
        for entry in columns.all() {
            if let Some(ty) = text_of(self.out, &format!("column `{}`", entry.key), &entry.item) {
                self.mark(Place::Table(index, format!("columns.{}", entry.key)), &entry.item.origin, Some(&ty));
                out.insert(entry.key.clone(), ty);
            }
        }
        out
    }

    fn relations(&mut self, section: &mut Section<'_>, index: usize) -> std::collections::BTreeMap<String, RelationSpec> {
        let Some(item) = section.item("relations") else { return Default::default() };
        let Some(mut relations) = Section::of(section.path("relations"), item, self.out) else { return Default::default() };
        self.mark(Place::Table(index, "relations".to_owned()), &item.origin, None);
        let mut out = std::collections::BTreeMap::new();
        for entry in relations.all() {
            self.mark(Place::Table(index, format!("relations.{}", entry.key)), &entry.item.origin, None);
            if let Some(relation) = self.relation(entry, index) {
                out.insert(entry.key.clone(), relation);
            }
        }
        out
    }

    fn relation(&mut self, entry: &Entry, index: usize) -> Option<RelationSpec> {
        let mut section = Section::of(format!("relation `{}`", entry.key), &entry.item, self.out)?;
        let place = |key: &str| Place::Table(index, format!("relations.{}.{key}", entry.key));
        let key = self.names(&mut section, "key", place("key"));
        let table = self.text(&mut section, "table", place("table"));
        let to = self.text(&mut section, "to", place("to"));
        let json = self.text(&mut section, "json", place("json"));
        let origin = section.origin.clone();
        let missing_key = |section: &mut Section<'_>| section.required("key").map(|_| ());
        let relation = match (table, to, json) {
            (Some(table), None, None) => match key {
                Some(names) => Some(RelationSpec::Children { table, key: one_or_many(names) }),
                None => missing_key(&mut section).and(None),
            },
            (None, Some(to), None) => match (key, self.text(&mut section, "asof", place("asof"))) {
                (None, Some(asof)) => Some(self.as_of(&mut section, to, asof, place)),
                (Some(names), None) => Some(RelationSpec::Lookup { to, key: one_or_many(names) }),
                (None, None) => missing_key(&mut section).and(None),
                (Some(_), Some(_)) => {
                    let diag = Diag::error(282, format!("relation `{}` has both `key` and `asof`", entry.key))
                        .help("write `by` for what must be equal: { to = \"Quote\", by = \"symbol\", asof = \"at\" }");
                    self.out.report(diag, &origin, "either a key leads to the other document, or a time");
                    None
                }
            },
            (None, None, Some(json)) => Some(RelationSpec::Json { json, key: key.and_then(|names| names.into_iter().next()) }),
            _ => {
                let diag = Diag::error(282, format!("relation `{}` needs exactly one of `table`, `to` and `json`", entry.key))
                    .note("{ table = \"Item\", key = \"order_id\" }: child rows whose `order_id` is this key")
                    .note("{ to = \"Customer\", key = \"customer_id\" }: the document that this row's `customer_id` names")
                    .note("{ to = \"Quote\", by = \"symbol\", asof = \"at\" }: the newest one whose `at` is no later than this row's")
                    .note("{ json = \"lines\", key = \"sku\" }: the elements of a JSON array column");
                self.out.report(diag, &origin, "neither child rows, nor a lookup, nor a JSON array");
                None
            }
        };
        section.finish();
        relation
    }

    /// A relation by time.
    fn as_of(&mut self, section: &mut Section<'_>, to: String, asof: String, place: impl Fn(&str) -> Place) -> RelationSpec {
        let on = self.text(section, "on", place("on"));
        let by = one_or_many(self.names(section, "by", place("by")).unwrap_or_default());
        RelationSpec::AsOf { to, asof, on, by }
    }

    // ---- [fields] ----------------------------------------------------------------------------------------

    pub(super) fn fields(&mut self, mut section: Section<'_>) {
        for entry in section.all() {
            self.field(entry);
        }
    }

    fn field(&mut self, entry: &Entry) {
        let index = self.spec.fields.len();
        self.mark(Place::Field(index, ""), &entry.key_origin, None);
        self.mark(Place::Field(index, "name"), &entry.key_origin, Some(&entry.key));
        let mut field = FieldSpec { name: entry.key.clone(), ..FieldSpec::default() };
        match &entry.item.tree {
            Tree::Text(formula) | Tree::Raw(formula) => {
                field.formula = formula.clone();
                self.mark(Place::Field(index, "formula"), &entry.item.origin, Some(formula));
            }
            // A table whose place is its key's was made by a dotted key.
            Tree::Table(inner) if entry.item.origin == entry.key_origin => return unquoted(self.out, entry, inner),
            Tree::Table(_) => {
                let Some(mut section) = Section::of(format!("field `{}`", entry.key), &entry.item, self.out) else { return };
                field.formula = self.required(&mut section, "formula", Place::Field(index, "formula"));
                field.timing = self.timing(&mut section, index);
                field.epsilon = self.epsilon(&mut section, index);
                if let Some(item) = section.item("init") {
                    self.mark(Place::Field(index, "init"), &item.origin, None);
                    field.init = json_of(self.out, "`init`", item);
                }
                section.not_built(&["versioned", "lazy"]);
                section.finish();
            }
            other => {
                wrong_type::<()>(
                    self.out,
                    &format!("field `{}`", entry.key),
                    "a formula (a string) or a table",
                    other,
                    &entry.item.origin,
                );
            }
        }
        self.spec.fields.push(field);
    }

    // ---- [[effect]] --------------------------------------------------------------------------------------

    pub(super) fn effect(&mut self, mut section: Section<'_>) {
        let index = self.spec.effects.len();
        self.mark(Place::Effect(index, ""), &section.origin.clone(), None);
        let name = self.required(&mut section, "name", Place::Effect(index, "name"));
        let on = self.text(&mut section, "on", Place::Effect(index, "on"));
        let when = self.required(&mut section, "when", Place::Effect(index, "when"));
        if let Some(item) = section.item("payload") {
            self.mark(Place::Effect(index, "payload"), &item.origin, None);
        }
        let payload = section.texts("payload");
        for (at, (_, origin)) in payload.iter().flatten().enumerate() {
            self.mark(Place::Payload(index, at), origin, None);
        }
        let payload = payload.map(|names| names.into_iter().map(|(name, _)| name).collect());
        let kind = self.text(&mut section, "kind", Place::Effect(index, "kind"));
        let mode = self.text(&mut section, "mode", Place::Effect(index, "mode"));
        let rearm = self.text(&mut section, "rearm", Place::Effect(index, "rearm"));
        let every = self.text(&mut section, "every", Place::Effect(index, "every"));
        let ack = section.item("ack").and_then(|item| self.ack(item, index));
        let actions = self.actions(&mut section, true, index);
        section.not_built(&["durability"]);
        section.finish();
        self.spec.effects.push(EffectSpec { name, on, when, payload, kind, mode, rearm, every, ack, actions });
    }

    fn ack(&mut self, item: &Item, index: usize) -> Option<AckSpec> {
        let mut section = Section::of("`ack` of section `[[effect]]`", item, self.out)?;
        self.mark(Place::Effect(index, "ack"), &item.origin, None);
        let timeout = section.text("timeout").map(|(timeout, _)| timeout);
        let retries = section.integer("retries", 0..=1_000_000).map(|n| n as u32);
        section.not_built(&["backoff", "dead_letter"]);
        section.finish();
        Some(AckSpec { timeout, retries })
    }

    // ---- [[classify]] and [[reactions]] -------------------------------------------------------------------

    pub(super) fn classify(&mut self, mut section: Section<'_>) {
        let index = self.spec.classify.len();
        self.mark(Place::Classify(index, ""), &section.origin.clone(), None);
        let database = self.text(&mut section, "database", Place::Classify(index, "database"));
        let table = self.required(&mut section, "table", Place::Classify(index, "table"));
        let insert = self.text(&mut section, "insert", Place::Classify(index, "insert"));
        let update = self.text(&mut section, "update", Place::Classify(index, "update"));
        let delete = self.text(&mut section, "delete", Place::Classify(index, "delete"));
        section.finish();
        self.spec.classify.push(ClassifySpec { database, table, insert, update, delete });
    }

    pub(super) fn reaction(&mut self, mut section: Section<'_>) {
        let index = self.spec.reactions.len();
        self.mark(Place::Reaction(index, ""), &section.origin.clone(), None);
        let name = self.text(&mut section, "name", Place::Reaction(index, "name"));
        let event = self.required(&mut section, "event", Place::Reaction(index, "event"));
        let condition = self.text(&mut section, "condition", Place::Reaction(index, "condition"));
        let timer = section.item("timer").and_then(|item| self.timer(item, index));
        let actions = self.actions(&mut section, false, index);
        section.finish();
        self.spec.reactions.push(ReactionSpec { name, event, condition, timer, actions });
    }

    fn timer(&mut self, item: &Item, index: usize) -> Option<TimerSpec> {
        let mut section = Section::of("timer", item, self.out)?;
        self.mark(Place::Reaction(index, "timer"), &item.origin, None);
        let delay = self.text(&mut section, "delay", Place::Reaction(index, "timer.delay"));
        let at = self.text(&mut section, "at", Place::Reaction(index, "timer.at"));
        let event = self.required(&mut section, "event", Place::Reaction(index, "timer.event"));
        let reset = section.boolean("reset").unwrap_or(false);
        let cancel_on = self.cancel_on(&mut section, index);
        let cancel_when = self.text(&mut section, "cancel_when", Place::Reaction(index, "timer.cancel_when"));
        section.finish();
        Some(TimerSpec { delay, at, event, reset, cancel_on, cancel_when })
    }

    /// Events that cancel a timer: one, or a list.
    fn cancel_on(&mut self, section: &mut Section<'_>, index: usize) -> Vec<String> {
        let Some(item) = section.item("cancel_on") else { return Vec::new() };
        self.mark(Place::Reaction(index, "timer.cancel_on"), &item.origin, None);
        if let Tree::Text(event) = &item.tree {
            self.mark(Place::CancelOn(index, 0), &item.origin, None);
            return vec![event.clone()];
        }
        let events = section.texts("cancel_on").unwrap_or_default();
        for (at, (_, origin)) in events.iter().enumerate() {
            self.mark(Place::CancelOn(index, at), origin, None);
        }
        events.into_iter().map(|(event, _)| event).collect()
    }

    // ---- [[schedule]] ------------------------------------------------------------------------------------

    pub(super) fn schedule(&mut self, mut section: Section<'_>) {
        let index = self.spec.schedules.len();
        self.mark(Place::Schedule(index, ""), &section.origin.clone(), None);
        let name = self.required(&mut section, "name", Place::Schedule(index, "name"));
        let cron = self.required(&mut section, "cron", Place::Schedule(index, "cron"));
        let zone = self.text(&mut section, "zone", Place::Schedule(index, "zone"));
        let event = self.required(&mut section, "event", Place::Schedule(index, "event"));
        let on = self.text(&mut section, "on", Place::Schedule(index, "on"));
        let misfire = self.text(&mut section, "misfire", Place::Schedule(index, "misfire"));
        section.finish();
        self.spec.schedules.push(ScheduleSpec { name, cron, zone, event, on, misfire });
    }

    // ---- actions -----------------------------------------------------------------------------------------

    fn actions(&mut self, section: &mut Section<'_>, effect: bool, owner: usize) -> Vec<ActionSpec> {
        let Some(item) = section.item("actions") else { return Vec::new() };
        let place = if effect { Place::Effect(owner, "actions") } else { Place::Reaction(owner, "actions") };
        self.mark(place, &item.origin, None);
        let Tree::Array(items) = &item.tree else {
            wrong_type::<()>(self.out, &section.path("actions"), "a list of tables", &item.tree, &item.origin);
            return Vec::new();
        };
        items.iter().enumerate().filter_map(|(action, item)| self.action(item, effect, owner, action)).collect()
    }

    fn action(&mut self, item: &Item, effect: bool, owner: usize, action: usize) -> Option<ActionSpec> {
        let mut section = Section::of("an action", item, self.out)?;
        let place = |key: &str| Place::Action { effect, owner, action, key: key.to_owned() };
        self.mark(place(""), &item.origin, None);
        let kind = self.required(&mut section, "type", place("type"));
        let mut settings = Map::new();
        for entry in section.all().iter().filter(|entry| entry.key != "type") {
            let content = match &entry.item.tree {
                Tree::Text(text) => Some(text.as_str()),
                _ => None,
            };
            self.mark(place(&entry.key), &entry.item.origin, content);
            literal_secret(self.out, &kind, entry);
            if let Some(value) = json_of(self.out, &format!("`{}`", entry.key), &entry.item) {
                settings.insert(entry.key.clone(), value);
            }
        }
        Some(ActionSpec { kind, settings })
    }
}

/// `Order.total = "…"` without quotes is a table `Order` in TOML.
fn unquoted(out: &Collector, entry: &Entry, inner: &[Entry]) {
    let whole = inner.first().map_or_else(|| entry.key.clone(), |first| format!("{}.{}", entry.key, first.key));
    let diag = Diag::error(282, format!("field `{whole}` is not in quotes"))
        .help(format!("write \"{whole}\" = …"))
        .note("a dot outside quotes makes a table in TOML");
    out.report(diag, &entry.key_origin, "the name of a field with a dot needs quotes");
}

fn one_or_many(mut names: Vec<String>) -> OneOrMany {
    if names.len() == 1 { OneOrMany::One(names.remove(0)) } else { OneOrMany::Many(names) }
}

/// Warns of a literal secret in an action's setting, at any depth.
fn literal_secret(out: &Collector, kind: &str, entry: &Entry) {
    match &entry.item.tree {
        Tree::Text(text) => {
            let place = format!("`{}` of action `{kind}`", entry.key);
            if let Some(password) = url_password(text) {
                warn_literal(out, "a password", &place, &entry.item.origin, text, password);
            } else if is_secret_key(&entry.key) && !text.is_empty() && Secret::new(text.as_str()).is_literal() {
                warn_literal(out, "a secret", &place, &entry.item.origin, text, 0..text.len());
            }
        }
        Tree::Table(entries) => entries.iter().for_each(|inner| literal_secret(out, kind, inner)),
        Tree::Array(items) => items.iter().for_each(|item| {
            if let Tree::Text(text) = &item.tree
                && let Some(password) = url_password(text)
            {
                warn_literal(out, "a password", &format!("`{}` of action `{kind}`", entry.key), &item.origin, text, password);
            }
        }),
        _ => {}
    }
}

fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase();
    ["secret", "password", "passwd", "token", "authorization", "api_key", "apikey", "x-api-key"].iter().any(|word| key == *word)
        || key.ends_with("_secret")
        || key.ends_with("_token")
        || key.ends_with("_password")
}

/// A TOML value as JSON; a date is its text.
pub(super) fn json_of(out: &Collector, what: &str, item: &Item) -> Option<Json> {
    Some(match &item.tree {
        Tree::Text(text) | Tree::Raw(text) | Tree::Datetime(text) => Json::String(text.clone()),
        Tree::Int(int) => Json::from(*int),
        Tree::Bool(bool) => Json::Bool(*bool),
        Tree::Float(float) => match serde_json::Number::from_f64(*float) {
            Some(number) => Json::Number(number),
            None => return wrong_type(out, what, "a finite number", &item.tree, &item.origin),
        },
        Tree::Array(items) => Json::Array(items.iter().map(|item| json_of(out, what, item)).collect::<Option<_>>()?),
        Tree::Table(entries) => {
            Json::Object(entries.iter().map(|e| Some((e.key.clone(), json_of(out, what, &e.item)?))).collect::<Option<_>>()?)
        }
    })
}
