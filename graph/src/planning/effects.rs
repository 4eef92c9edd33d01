//! Effects: the type they stand on, their condition, and what they send.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_formulas::ast::{Ast, AstKind};
use thalweg_formulas::{Expr, ExprKind, Problem, Type};

use super::actions::check_actions;
use super::catalogue::{Mention, TableDef};
use super::delay::parse_delay;
use super::fields::check_at;
use super::findings::{Findings, with_near_misses};
use super::language;
use super::lower;
use super::nodes::NodeId;
use super::scope::{Read, Reading, Step};
use super::slips;
use super::world::Shared;
use crate::plan::{AckWait, EffectKind, EffectMode, Rearm, SOONEST};
use crate::spec::{EffectSpec, GraphSpec, Place};

/// An effect while the plan is made.
pub(super) struct EffectDef {
    /// Its place in the definition.
    pub(super) spec: usize,
    pub(super) table: usize,
    /// The cell of its condition.
    pub(super) when: NodeId,
    /// Names and nodes of its own type.
    pub(super) payload: Vec<(Arc<str>, NodeId)>,
    pub(super) options: Options,
}

/// Checks all effects and makes the nodes of their conditions.
pub(super) fn check_effects(world: &Shared, spec: &GraphSpec, findings: &mut Findings) -> Vec<EffectDef> {
    spec.effects.iter().enumerate().filter_map(|(ix, effect)| check_effect(world, ix, effect, findings)).collect()
}

fn check_effect(world: &Shared, ix: usize, spec: &EffectSpec, findings: &mut Findings) -> Option<EffectDef> {
    let options = check_options(ix, spec, findings);
    let place = |action: usize, key: &str| Place::Action { effect: true, owner: ix, action, key: key.into() };
    check_actions(&world.borrow(), &spec.actions, place, findings);
    let when = Place::Effect(ix, "when");
    let ast = language::parse_formula(&spec.when).map_err(|problems| findings.errors(&when, problems)).ok();
    let table = table_of(world, ix, spec, ast.as_ref(), findings)?;
    check_key(&world.borrow().catalogue.tables[table], ix, spec, findings);
    let ast = ast?;
    let checked = check_condition(world, table, &ast, spec);
    let (reading, expr) = checked.map_err(|problems| findings.errors(&when, problems)).ok()?;
    slips::warn(&world.borrow(), reading.columns(), &ast, &when, findings);
    // Nodes can only be made of fields that were accepted; the payload's names can be checked all the same.
    if !findings.acceptable() {
        for (at, name) in spec.payload.iter().flatten().enumerate() {
            payload_input(&reading, Place::Payload(ix, at), spec, name, findings);
        }
        return None;
    }
    let lowered = lower::lower(&reading, &expr);
    let condition = lowered.map_err(|problem| findings.error(when, problem.at(ast.span, ""))).ok()?;
    let payload = payload(&reading, ix, spec, &expr, findings);
    let beside = payload.iter().map(|(_, node)| *node).collect();
    let name = format!("effect {}", spec.name);
    let when = world.borrow_mut().nodes.condition(table, condition, beside, name);
    Some(EffectDef { spec: ix, table, when, payload, options })
}

/// The condition, of a type that can be true.
fn check_condition(world: &Shared, table: usize, ast: &Ast, spec: &EffectSpec) -> Result<(Rc<Reading>, Expr), Vec<Problem>> {
    let (reading, expr) = check_at(world, table, ast, None)?;
    if matches!(expr.ty(), Type::Bool | Type::Dyn | Type::Null) {
        return Ok((reading, expr));
    }
    let problem = Problem::new(240, format!("the condition of effect `{}` is {}, not bool", spec.name, expr.ty()));
    Err(vec![problem.at(ast.span, "").help("compare it with something")])
}

/// What an effect is, and when it fires and is over.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) kind: EffectKind,
    pub(super) mode: EffectMode,
    pub(super) rearm: Rearm,
}

/// Deliveries after the first that nobody acknowledged.
const ACK_RETRIES: u32 = 3;

/// The options that exist so far; any other is refused.
fn check_options(ix: usize, spec: &EffectSpec, findings: &mut Findings) -> Options {
    let mut only = |key: &'static str, value: &Option<String>, exists: &[&str]| {
        if let Some(value) = value.as_deref().filter(|value| !exists.contains(value)) {
            let message = format!("effect `{}` asks for {key} `{value}`, which does not exist", spec.name);
            let written: Vec<String> = exists.iter().map(|value| format!("{key} = \"{value}\"")).collect();
            let problem = Problem::new(242, message).help(format!("write {}, or leave it out", written.join(" or ")));
            findings.error(Place::Effect(ix, key), problem);
        }
    };
    only("kind", &spec.kind, &["queue", "boolean", "counter"]);
    only("mode", &spec.mode, &["fire", "ack", "count"]);
    only("rearm", &spec.rearm, &["edge", "once", "level"]);
    let kind = match spec.kind.as_deref() {
        Some("boolean") => EffectKind::Boolean,
        Some("counter") => EffectKind::Counter,
        _ => EffectKind::Queue,
    };
    let rearm = match spec.rearm.as_deref() {
        Some("once") => Rearm::Once,
        Some("level") => Rearm::Level(check_every(ix, spec, findings)),
        _ => {
            if spec.every.is_some() {
                let message = format!("effect `{}` says every when it fires again, and does not ask for it", spec.name);
                findings.error(Place::Effect(ix, "every"), Problem::new(242, message).help("add rearm = \"level\""));
            }
            Rearm::Edge
        }
    };
    let wait = check_ack(ix, spec, findings);
    let mode = match spec.mode.as_deref() {
        Some("ack") => EffectMode::Ack(wait),
        Some("count") => EffectMode::Count(wait),
        _ => EffectMode::Fire,
    };
    check_digests(ix, spec, kind, mode, findings);
    Options { kind, mode, rearm }
}

/// Triggers that are over by themselves, one by one, do not go out together.
fn check_digests(ix: usize, spec: &EffectSpec, kind: EffectKind, mode: EffectMode, findings: &mut Findings) {
    let (what, cure) = match (kind, mode) {
        (_, EffectMode::Ack(_) | EffectMode::Count(_)) => ("waits for an acknowledgement of each trigger", "leave `mode` out"),
        (EffectKind::Boolean, EffectMode::Fire) => ("merges triggers of one document", "write kind = \"queue\""),
        (EffectKind::Queue | EffectKind::Counter, EffectMode::Fire) => return,
    };
    for (action, _) in spec.actions.iter().enumerate().filter(|(_, action)| action.settings.contains_key("digest")) {
        let message = format!("effect `{}` {what}, and a digest sends several as one", spec.name);
        let place = Place::Action { effect: true, owner: ix, action, key: "digest".to_owned() };
        findings.error(place, Problem::new(242, message).help(format!("{cure}, or leave `digest` out")));
    }
}

/// How long after a firing the effect fires again while its condition holds, in microseconds.
fn check_every(ix: usize, spec: &EffectSpec, findings: &mut Findings) -> i64 {
    let Some(text) = &spec.every else {
        let message = format!("effect `{}` fires again while its condition holds, and does not say how often", spec.name);
        findings.error(Place::Effect(ix, "rearm"), Problem::new(242, message).help("add every = \"24h\""));
        return 0;
    };
    parse_delay(text).filter(|every| *every >= EVERY_MIN).unwrap_or_else(|| {
        let problem = Problem::new(244, format!("`{text}` is not a time after which an effect fires again"));
        findings.error(
            Place::Effect(ix, "every"),
            problem.help("write for example \"10m\", \"24h\" or \"PT24H\"; 100 ms is the least"),
        );
        0
    })
}

/// What comes up again by itself comes no more often than this, in microseconds.
const EVERY_MIN: i64 = SOONEST;

/// How long an acknowledgement is waited for; it must be waited for at all.
fn check_ack(ix: usize, spec: &EffectSpec, findings: &mut Findings) -> AckWait {
    let Some(ack) = &spec.ack else { return AckWait { timeout_us: None, retries: ACK_RETRIES } };
    if matches!(spec.mode.as_deref(), None | Some("fire")) {
        let message = format!("effect `{}` has `ack`, and in its mode no acknowledgement is waited for", spec.name);
        let problem = Problem::new(242, message).help("write mode = \"ack\" or mode = \"count\", or leave `ack` out");
        findings.error(Place::Effect(ix, "ack"), problem);
    }
    let timeout_us = ack.timeout.as_deref().and_then(|text| {
        let timeout = parse_delay(text).filter(|us| *us > 0);
        if timeout.is_none() {
            let problem = Problem::new(244, format!("`{text}` is not a time to wait for an acknowledgement"));
            let help = "write for example \"30s\", \"10m\", \"24h\" or \"PT24H\"";
            findings.error(Place::Effect(ix, "ack"), problem.help(help));
        }
        timeout
    });
    if ack.timeout.is_none() && ack.retries.is_some() {
        let message = format!("effect `{}` repeats what is not acknowledged, and does not say after what time", spec.name);
        findings.error(Place::Effect(ix, "ack"), Problem::new(242, message).help("add timeout = \"30s\""));
    }
    AckWait { timeout_us, retries: ack.retries.unwrap_or(ACK_RETRIES) }
}

fn check_key(table: &TableDef, ix: usize, spec: &EffectSpec, findings: &mut Findings) {
    if table.key.as_ref().is_some_and(Vec::is_empty) && !table.name.is_empty() {
        let problem = Problem::new(236, format!("effect `{}` needs a key on `{}`, which has none", spec.name, table.name))
            .help(format!("declare it: key = [\"id\"] in [[table]] \"{}\", or use [[reactions]]", table.name));
        findings.error(Place::Effect(ix, "on"), problem);
    }
}

/// The document type: `on`, else the one type whose name starts a path of the condition.
fn table_of(world: &Shared, ix: usize, spec: &EffectSpec, ast: Option<&Ast>, findings: &mut Findings) -> Option<usize> {
    if let Some(on) = &spec.on {
        let mut world = world.borrow_mut();
        return world.catalogue.expect(on, &format!("effect `{}`", spec.name), Place::Effect(ix, "on"), findings);
    }
    let mut roots = Roots::default();
    roots.collect(ast?);
    let mut world = world.borrow_mut();
    let global = world.catalogue.global();
    let names: Vec<&String> = roots.all.iter().filter(|name| !roots.bound.contains(*name)).collect();
    let mut tables = BTreeSet::new();
    for name in &names {
        if world.field(global, name).is_some() {
            continue;
        }
        // A name that stands before a member is a type's in an open world, unless it means something else.
        let member = roots.before_member.contains(*name) && !["old", "new", "tx", "event", "self"].contains(&name.as_str());
        let mention = if member { world.catalogue.mention(name) } else { world.catalogue.find(name) };
        if let Mention::Table(table) = mention {
            tables.insert(table);
        }
    }
    let globals_only = !names.is_empty() && names.iter().all(|name| world.field(global, name).is_some());
    match tables.len() {
        1 => tables.pop_first(),
        0 if globals_only => Some(global),
        _ => {
            let known = world.catalogue.table_names();
            let help = match known.as_slice() {
                [one] => format!("write on = \"{one}\""),
                _ => "write on = \"…\", or start a path with the type's name".into(),
            };
            let problem =
                Problem::new(239, format!("effect `{}` does not say on which documents it stands", spec.name)).help(help);
            findings.error(Place::Effect(ix, "when"), problem);
            None
        }
    }
}

/// The names that start a path.
#[derive(Default)]
struct Roots {
    all: BTreeSet<String>,
    before_member: BTreeSet<String>,
    /// Variables of comprehensions.
    bound: BTreeSet<String>,
}

impl Roots {
    fn collect(&mut self, ast: &Ast) {
        match &ast.kind {
            AstKind::Ident(name) => {
                self.all.insert(name.clone());
            }
            AstKind::Select(of, ..) => {
                if let AstKind::Ident(name) = &of.kind {
                    self.before_member.insert(name.clone());
                }
            }
            AstKind::Call { function, target: Some(_), args, .. }
                if matches!(function.as_str(), "all" | "exists" | "exists_one" | "map" | "filter") =>
            {
                if let Some(AstKind::Ident(variable)) = args.first().map(|arg| &arg.kind) {
                    self.bound.insert(variable.clone());
                }
            }
            _ => {}
        }
        ast.parts().into_iter().for_each(|child| self.collect(child));
    }
}

/// What is sent: as written, else the key and what the condition reads.
fn payload(reading: &Reading, ix: usize, spec: &EffectSpec, expr: &Expr, findings: &mut Findings) -> Vec<(Arc<str>, NodeId)> {
    let mut payload: Vec<(Arc<str>, NodeId)> = Vec::new();
    let mut add = |name: Arc<str>, node: NodeId| {
        if payload.iter().all(|(known, _)| *known != name) {
            payload.push((name, node));
        }
    };
    if let Some(names) = &spec.payload {
        for (at, name) in names.iter().enumerate() {
            if let Some(node) = payload_input(reading, Place::Payload(ix, at), spec, name, findings) {
                add(name.as_str().into(), node);
            }
        }
        return payload;
    }
    let table = reading.frame(0).table;
    let key = reading.world.borrow().catalogue.tables[table].key.clone().unwrap_or_default();
    for column in key {
        let mut world = reading.world.borrow_mut();
        let name = world.catalogue.tables[table].columns[column].name.clone();
        add(name, world.column_node(table, column));
    }
    for input in expr.inputs() {
        let reference = reading.reference(input);
        let of_one_row = matches!(reference.read, Read::Column(_) | Read::Field(_)) && reads_one_row(reading, reference.frame);
        if let Some(Ok(node)) = of_one_row.then(|| lower::lower_input(reading, input)) {
            add(reading.path(input).into(), node);
        }
    }
    payload
}

/// Whether the frame is the document's own row or one that it looks up.
fn reads_one_row(reading: &Reading, mut frame: u32) -> bool {
    while frame != 0 {
        let step = reading.frame(frame);
        if matches!(step.step, Step::Children(_)) {
            return false;
        }
        frame = step.outer;
    }
    true
}

/// The node that a name of the payload means.
fn payload_input(reading: &Reading, place: Place, spec: &EffectSpec, name: &str, findings: &mut Findings) -> Option<NodeId> {
    let table = reading.frame(0).table;
    let quoted = reading.world.borrow().catalogue.tables[table].column(name).is_some();
    let text = if quoted { format!("`{name}`") } else { name.to_owned() };
    let checked = language::parse_formula(&text).ok().and_then(|ast| check_at(&reading.world, table, &ast, None).ok());
    let Some((own, expr)) = checked else {
        let world = reading.world.borrow();
        let def = &world.catalogue.tables[table];
        let problem = Problem::new(
            241,
            format!("the payload of effect `{}` names `{name}`, which `{}` does not have", spec.name, def.name),
        );
        let names: Vec<&str> = def.column_names().chain(world.field_names(table)).collect();
        findings.error(place, with_near_misses(problem, name, "names", names));
        return None;
    };
    if !matches!(expr.kind(), ExprKind::Input(_)) {
        let problem = Problem::new(241, format!("the payload of effect `{}` names `{name}`, which is a formula", spec.name));
        findings.error(place, problem.help("make it a field, and name the field"));
        return None;
    }
    slips::warn_of_name(&reading.world.borrow(), own.columns(), &place, findings);
    if !findings.acceptable() {
        return None;
    }
    let lowered = lower::lower(&own, &expr).ok()?;
    lowered.inputs().first().copied().and_then(NodeId::of)
}
