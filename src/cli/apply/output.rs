//! The lines that `apply` prints: `delta`, `effect`, `error`, `final`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use thalweg::sequencer::Batch;
use thalweg_engine::Engine;
use thalweg_formulas::{Error, Type, Value, json};
use thalweg_graph::Plan;
use thalweg_graph::ids::canonical_key;
use thalweg_graph::outcome::{Delta, ErrorChange, Fired, Key, RuleId};
use thalweg_graph::plan::EffectKind;

/// Writes what batches bring.
pub struct Output {
    plan: Arc<Plan>,
    /// Node to its document type and the type of its values.
    nodes: HashMap<Arc<str>, (Arc<str>, Type)>,
    /// The types of each rule's payload, as far as the definition knows them.
    payloads: HashMap<RuleId, Arc<Types>>,
    /// Documents for which a boolean effect has risen.
    risen: HashSet<(u32, Vec<u8>)>,
    line: String,
}

/// Members and their types.
type Types = HashMap<Arc<str>, Type>;

/// What is written, in the order of one epoch.
enum Event<'a> {
    Delta(&'a Delta),
    Effect(&'a Fired),
    Error(&'a ErrorChange),
}

impl Event<'_> {
    /// Epoch, kind, node, key, version: the order of lines.
    fn place(&self) -> (u64, u8, &str, &Key, u64) {
        match self {
            Event::Delta(d) => (d.epoch, 0, &d.node, &d.key, 0),
            Event::Effect(f) => (f.epoch, 1, &f.node, &f.key, f.version),
            Event::Error(e) => (e.epoch, 2, &e.node, &e.key, 0),
        }
    }
}

impl Output {
    /// For the nodes of `plan`.
    pub fn new(plan: Arc<Plan>) -> Output {
        let mut nodes = HashMap::new();
        for table in &plan.tables {
            nodes.insert(table.name.clone(), (table.name.clone(), Type::Dyn));
            for column in &table.columns {
                nodes.insert(format!("{}.{}", table.name, column.name).into(), (table.name.clone(), column.ty.clone()));
            }
        }
        for field in &plan.fields {
            nodes.insert(field.name.clone(), (plan.tables[field.table.0 as usize].name.clone(), field.ty.clone()));
        }
        let effects = plan.effects.iter().map(|effect| (&effect.name, effect.table));
        let reactions = plan.reactions.iter().map(|reaction| (&reaction.name, reaction.table));
        for (name, table) in effects.chain(reactions) {
            nodes.entry(name.clone()).or_insert_with(|| (plan.tables[table.0 as usize].name.clone(), Type::Bool));
        }
        Output { plan, nodes, payloads: HashMap::new(), risen: HashSet::new(), line: String::new() }
    }

    /// All lines of a batch, sorted.
    pub fn batch(&mut self, batch: &Batch, engine: &Engine, out: &mut dyn Write) -> io::Result<()> {
        let outcome = &batch.outcome;
        let deltas = outcome.deltas.sorted();
        let mut events: Vec<Event<'_>> = deltas.iter().map(Event::Delta).collect();
        events.extend(outcome.fired.iter().map(Event::Effect));
        events.extend(outcome.errors.iter().map(Event::Error));
        events.sort_by(|a, b| a.place().cmp(&b.place()));
        for event in events {
            match event {
                Event::Delta(delta) => self.delta(delta, engine),
                Event::Effect(fired) if self.is_coalesced(fired) => continue,
                Event::Effect(fired) => self.effect(fired, batch, engine),
                Event::Error(error) => self.error(error, engine),
            }
            self.flush(out)?;
        }
        Ok(())
    }

    /// Every live document's fields.
    pub fn finals(&mut self, engine: &mut Engine, out: &mut dyn Write) -> io::Result<()> {
        for document in engine.documents() {
            self.line.push_str("{\"kind\":\"final\"");
            self.head(&document.node, &document.key, engine);
            let ty = self.node(&document.node).1;
            self.line.push_str(",\"value\":");
            json::write_as(&document.value, &ty, &mut self.line);
            match &document.error {
                None => self.line.push_str(",\"error\":null"),
                Some(error) => {
                    self.line.push_str(",\"error\":{");
                    self.reason(error);
                    self.line.push('}');
                }
            }
            self.flush(out)?;
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Delta, engine: &Engine) {
        self.start(delta.epoch, "delta");
        self.head(&delta.node, &delta.key, engine);
        let ty = self.node(&delta.node).1;
        self.line.push_str(",\"old\":");
        json::write_as(&delta.old, &ty, &mut self.line);
        self.line.push_str(",\"new\":");
        json::write_as(&delta.new, &ty, &mut self.line);
        if delta.gone {
            self.line.push_str(",\"gone\":true");
        }
    }

    /// Nothing is acknowledged here: a boolean effect that has risen for a document stays so, and its further rises are coalesced.
    fn is_coalesced(&mut self, fired: &Fired) -> bool {
        let RuleId::Effect(n) = fired.rule else { return false };
        let boolean = self.plan.effects[n as usize].kind == EffectKind::Boolean;
        boolean && !self.risen.insert((n, canonical_key(&fired.key)))
    }

    fn effect(&mut self, fired: &Fired, batch: &Batch, engine: &Engine) {
        let plan = self.plan.clone();
        let table = match fired.rule {
            RuleId::Effect(n) => plan.effects[n as usize].table,
            RuleId::Reaction(n) => plan.reactions[n as usize].table,
        };
        let table = &plan.tables[table.0 as usize].name;
        self.start(fired.epoch, "effect");
        self.line.push_str(",\"node\":");
        json::write_text(&fired.node, &mut self.line);
        self.key(table, &fired.key, engine);
        self.write(format_args!(
            ",\"version\":{},\"state\":\"fired\",\"id\":\"{}\"",
            fired.version,
            batch.effect_id(&plan, fired, 0)
        ));
        self.line.push_str(",\"payload\":");
        let types = self.payload_types(fired.rule);
        match fired.rule {
            RuleId::Effect(_) => record(&fired.payload, &mut self.line, &mut |name, value, out| typed(&types, name, value, out)),
            // Rows stand inside: `old`, `new`, `key`.
            RuleId::Reaction(_) => record(&fired.payload, &mut self.line, &mut |_, value, out| {
                record(value, out, &mut |name, value, out| typed(&types, name, value, out));
            }),
        }
    }

    fn error(&mut self, change: &ErrorChange, engine: &Engine) {
        self.start(change.epoch, "error");
        self.head(&change.node, &change.key, engine);
        self.line.push(',');
        self.reason(&change.error);
        if change.cleared {
            self.line.push_str(",\"cleared\":true");
        }
    }

    fn reason(&mut self, error: &Error) {
        self.write(format_args!("\"code\":\"{}\",\"message\":", error.code));
        json::write_text(&error.message, &mut self.line);
    }

    fn start(&mut self, epoch: u64, kind: &str) {
        self.write(format_args!("{{\"epoch\":{epoch},\"kind\":\"{kind}\""));
    }

    /// Node and key.
    fn head(&mut self, node: &str, key: &Key, engine: &Engine) {
        self.line.push_str(",\"node\":");
        json::write_text(node, &mut self.line);
        let table = self.node(node).0;
        self.key(&table, key, engine);
    }

    fn key(&mut self, table: &str, key: &Key, engine: &Engine) {
        self.line.push_str(",\"key\":{");
        for (i, (name, value)) in engine.key_names(table).iter().zip(key.iter()).enumerate() {
            if i > 0 {
                self.line.push(',');
            }
            json::write_text(name, &mut self.line);
            self.line.push(':');
            json::write(value, &mut self.line);
        }
        self.line.push('}');
    }

    /// The document type and value type of a node. A column that the definition does not know is dynamic.
    fn node(&self, node: &str) -> (Arc<str>, Type) {
        let unknown = || (node.rsplit_once('.').map_or(node, |(table, _)| table).into(), Type::Dyn);
        self.nodes.get(node).cloned().unwrap_or_else(unknown)
    }

    /// What the definition knows of the types of a payload's members.
    fn payload_types(&mut self, rule: RuleId) -> Arc<Types> {
        if let Some(known) = self.payloads.get(&rule) {
            return known.clone();
        }
        let types = Arc::new(self.types_of(rule));
        self.payloads.insert(rule, types.clone());
        types
    }

    fn types_of(&self, rule: RuleId) -> Types {
        let columns = |table: thalweg_graph::plan::TableId| {
            self.plan.tables[table.0 as usize].columns.iter().map(|column| (column.name.clone(), column.ty.clone()))
        };
        match rule {
            RuleId::Effect(n) => {
                let effect = &self.plan.effects[n as usize];
                let slots = &self.plan.regions[effect.region.0 as usize].slots;
                effect.payload.iter().map(|(name, slot)| (name.clone(), slots[slot.0 as usize].ty.clone())).collect()
            }
            RuleId::Reaction(n) => columns(self.plan.reactions[n as usize].table).collect(),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.line.write_fmt(text).expect("writing to a string cannot fail");
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.line.push_str("}\n");
        out.write_all(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

/// A member by its type, where the definition knows it.
fn typed(types: &Types, name: &str, value: &Value, out: &mut String) {
    match types.get(name) {
        Some(ty) => json::write_as(value, ty, out),
        None => json::write(value, out),
    }
}

/// A map with names as an object whose members `each` writes; any other value as it is.
fn record(value: &Value, out: &mut String, each: &mut dyn FnMut(&str, &Value, &mut String)) {
    let Value::Map(entries) = value else { return json::write(value, out) };
    if entries.keys().any(|key| !matches!(key, Value::Text(_))) {
        return json::write(value, out);
    }
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        let Value::Text(name) = key else { continue };
        if i > 0 {
            out.push(',');
        }
        json::write_text(name, out);
        out.push(':');
        each(name, value, out);
    }
    out.push('}');
}
