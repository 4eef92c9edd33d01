//! Definitions in JSON, plans and findings as text.

use std::sync::Arc;

use thalweg_formulas::Type;
use thalweg_graph::drawing::to_text;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{Finding, Place, Severity, TimingSpec};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{GraphSpec, Plan, Schema};

/// A definition; fields may be written as `{"Order.total": "formula"}`.
pub fn definition(mut json: serde_json::Value) -> GraphSpec {
    if let Some(fields) = json.get("fields").and_then(|fields| fields.as_object()).cloned() {
        let list = fields.into_iter().map(|(name, formula)| match formula {
            serde_json::Value::String(formula) => serde_json::json!({ "name": name, "formula": formula }),
            mut other => {
                other["name"] = name.into();
                other
            }
        });
        json["fields"] = list.collect();
    }
    serde_json::from_value(json).expect("a definition")
}

/// A discovered table; columns are written `name type`.
pub fn schema(table: &str, columns: &[(&str, &str)], key: &[u32]) -> Arc<Schema> {
    let columns = columns.iter().map(|(name, ty)| SchemaColumn::new((*name).into(), Type::parse(ty).expect("a type"))).collect();
    Arc::new(Schema { table: table.into(), columns, key: key.to_vec() })
}

/// The plan of a definition that is accepted.
pub fn planned(json: serde_json::Value) -> Plan {
    let spec = definition(json);
    plan(&spec, &[]).unwrap_or_else(|findings| panic!("refused:\n{}", findings_text(&spec, &findings))).0
}

/// The plan as text, warnings first; or why the definition is refused.
pub fn plan_text(json: serde_json::Value, known: &[Arc<Schema>]) -> String {
    let spec = definition(json);
    match plan(&spec, known) {
        Ok((plan, warnings)) => findings_text(&spec, &warnings) + &to_text(&plan, &[]),
        Err(findings) => findings_text(&spec, &findings),
    }
}

/// Every finding: place, code, message, the text it points at, cure and notes.
pub fn findings_text(spec: &GraphSpec, findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding_text(spec, finding)).collect()
}

fn finding_text(spec: &GraphSpec, finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let problem = &finding.problem;
    let mut text = format!("{severity} {}: {problem}\n", place_text(&finding.place));
    if let (Some(span), Some(formula)) = (problem.span, formula(spec, &finding.place)) {
        let label = if problem.label.is_empty() { String::new() } else { format!(": {}", problem.label) };
        text += &format!("  at `{}`{label}\n", &formula[span.start as usize..span.end as usize]);
    }
    problem.help.iter().for_each(|help| text += &format!("  help: {help}\n"));
    problem.notes.iter().for_each(|note| text += &format!("  note: {note}\n"));
    text
}

fn place_text(place: &Place) -> String {
    match place {
        Place::Table(ix, key) => format!("table[{ix}].{key}"),
        Place::Field(ix, key) => format!("field[{ix}].{key}"),
        Place::Effect(ix, key) => format!("effect[{ix}].{key}"),
        Place::Payload(ix, name) => format!("effect[{ix}].payload[{name}]"),
        Place::Classify(ix, key) => format!("classify[{ix}].{key}"),
        Place::Reaction(ix, key) => format!("reaction[{ix}].{key}"),
        Place::CancelOn(ix, event) => format!("reaction[{ix}].timer.cancel_on[{event}]"),
        Place::Schedule(ix, key) => format!("schedule[{ix}].{key}"),
        Place::Goal(ix, key) => format!("goal[{ix}].{key}"),
        Place::Action { effect: true, owner, action, key } => format!("effect[{owner}].actions[{action}].{key}"),
        Place::Action { effect: false, owner, action, key } => format!("reaction[{owner}].actions[{action}].{key}"),
    }
}

fn formula<'a>(spec: &'a GraphSpec, place: &Place) -> Option<&'a str> {
    match place {
        Place::Field(ix, "formula") => Some(&spec.fields[*ix].formula),
        Place::Field(ix, key @ ("timing.when" | "timing.on_completion")) => match spec.fields[*ix].timing.as_ref()? {
            TimingSpec::Policy(policy) if *key == "timing.when" => policy.when.as_deref(),
            TimingSpec::Policy(policy) => policy.on_completion.as_deref(),
            TimingSpec::Word(_) => None,
        },
        Place::Goal(ix, key) => match key.as_str() {
            "maximize" => spec.goals[*ix].maximize.as_deref(),
            "minimize" => spec.goals[*ix].minimize.as_deref(),
            "target.of" => spec.goals[*ix].target.as_ref().map(|target| target.of.as_str()),
            _ => None,
        },
        Place::Effect(ix, "when") => Some(&spec.effects[*ix].when),
        Place::Reaction(ix, "condition") => spec.reactions[*ix].condition.as_deref(),
        Place::Reaction(ix, "timer.at") => spec.reactions[*ix].timer.as_ref()?.at.as_deref(),
        Place::Reaction(ix, "timer.cancel_when") => spec.reactions[*ix].timer.as_ref()?.cancel_when.as_deref(),
        _ => None,
    }
}
