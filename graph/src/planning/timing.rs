//! When the value of a field is published.
//!
//! A timed field is two cells: a hidden one that is computed at once, as any other, and the **published** one, which everybody reads. The
//! published cell is a self-reference over a formula such as `open ? computed : self`: so what it holds is state, kept over a restart and
//! stepped once an epoch, and the engine has no case of its own for it. Policies differ by what opens:
//!
//! - `when`: a condition over the document;
//! - `on_completion`: the same, the first time that it holds;
//! - `batch`: a hidden count of the changes that wait, which is 0 again with each batch;
//! - `every`, `cron`, `at` and `or_after`: a moment ([`super::clocked`]);
//! - `lazy` is none of these: such a field has its one cell, which waits to be asked ([`super::lazy`]).
//! - `epsilon`, alone or beside another: the distance from the value that was published.
//!
//! What is written here as a formula is parsed and checked like any other, with the nodes as its names.

use std::rc::Rc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::check::{Binding, Scope};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Expr, ExprKind, InputId, Problem, Type, Value};

use super::clocked::{self, By, ClockedDef};
use super::fields::{self, check_at};
use super::findings::Findings;
use super::language;
use super::lower;
use super::nodes::{NodeId, SELF};
use super::order::Reads;
use super::rewrite::map_inputs;
use super::slips;
use super::world::{Shared, World};
use crate::schedule::{Misfire, Times};
use crate::spec::{FieldSpec, LAZY, Place, PolicySpec, TimingSpec};

/// How a field is published, where that is not at once.
#[derive(Clone)]
pub(super) struct Timing {
    pub(super) policy: Policy,
    pub(super) epsilon: Option<f64>,
}

/// What must be so for a value to be published.
#[derive(Clone)]
pub(super) enum Policy {
    /// Nothing.
    Immediate,
    /// A condition holds.
    When(Rc<Ast>),
    /// A condition holds for the first time.
    OnCompletion(Rc<Ast>),
    /// So many changes wait, or the first of them has waited so many microseconds.
    Batch(u64, Option<i64>),
    /// A moment of a schedule has come.
    Schedule(Times, Misfire),
    /// The document's time has come.
    At(Rc<Ast>),
}

impl Timing {
    /// The formula over the document.
    fn formula(&self) -> Option<&Rc<Ast>> {
        match &self.policy {
            Policy::When(ast) | Policy::OnCompletion(ast) | Policy::At(ast) => Some(ast),
            Policy::Immediate | Policy::Batch(..) | Policy::Schedule(..) => None,
        }
    }

    /// Whether the clock publishes the field.
    fn is_clocked(&self) -> bool {
        matches!(self.policy, Policy::Batch(_, Some(_)) | Policy::Schedule(..) | Policy::At(_))
    }

    /// The condition over the document, and the key that it was written under.
    fn condition(&self) -> Option<(&Rc<Ast>, &'static str)> {
        match &self.policy {
            Policy::When(ast) => Some((ast, "timing.when")),
            Policy::OnCompletion(ast) => Some((ast, "timing.on_completion")),
            Policy::Immediate | Policy::Batch(..) | Policy::Schedule(..) | Policy::At(_) => None,
        }
    }
}

/// The most changes that a batch may ask for.
const BATCH_MAX: u64 = 1 << 40;

/// Reads the timing of a field; `None` if it is published at once.
pub(super) fn read(ix: usize, name: &str, spec: &FieldSpec, findings: &mut Findings) -> Option<Timing> {
    let epsilon = spec.epsilon.filter(|epsilon| {
        let sound = epsilon.is_finite() && *epsilon > 0.0;
        if !sound {
            let problem =
                Problem::new(260, format!("the `epsilon` of field `{name}` is {epsilon}, which no change is smaller than"));
            findings.error(Place::Field(ix, "epsilon"), problem.help("write a number above 0, or leave it out"));
        }
        sound
    });
    if spec.is_lazy() && spec.epsilon.is_some() {
        let problem = Problem::new(260, format!("field `{name}` is lazy and has an `epsilon`, and it publishes nothing"));
        findings.error(Place::Field(ix, "epsilon"), problem.help("leave one of them out: whoever asks gets the exact value"));
        return None;
    }
    let policy = match &spec.timing {
        None => Policy::Immediate,
        Some(TimingSpec::Word(word)) => word_of(ix, name, word, findings)?,
        Some(TimingSpec::Policy(policy)) => policy_of(ix, name, policy, findings)?,
    };
    (epsilon.is_some() || !matches!(policy, Policy::Immediate)).then_some(Timing { policy, epsilon })
}

fn word_of(ix: usize, name: &str, word: &str, findings: &mut Findings) -> Option<Policy> {
    let problem = match word {
        "immediate" | LAZY => return Some(Policy::Immediate),
        "on_completion" => Problem::new(260, format!("nothing says when a document of field `{name}` is complete"))
            .help("write timing = { on_completion = \"status == 'closed'\" } with its condition")
            .note("a window of time that ends is complete by itself: window = { …, emit = \"final\" }, whose fields are published once without a timing"),
        "conditional" => form(name, word, "{ when = \"open\" }"),
        "temporal" => form(name, word, "{ every = \"5m\" }"),
        "batched" => form(name, word, "{ batch = 1000 }"),
        _ => Problem::new(242, format!("field `{name}` asks for timing `{word}`, which does not exist"))
            .help("write timing = \"immediate\", or leave it out; or \"lazy\"; or a table: { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … }, { at = … }"),
    };
    findings.error(Place::Field(ix, "timing"), problem);
    None
}

fn form(name: &str, word: &str, written: &str) -> Problem {
    Problem::new(260, format!("field `{name}` asks for timing `{word}` and does not say which"))
        .help(format!("write timing = {written}"))
}

fn policy_of(ix: usize, name: &str, spec: &PolicySpec, findings: &mut Findings) -> Option<Policy> {
    let asked = [
        ("when", spec.when.is_some()),
        ("on_completion", spec.on_completion.is_some()),
        ("batch", spec.batch.is_some()),
        ("every", spec.every.is_some()),
        ("cron", spec.cron.is_some()),
        ("at", spec.at.is_some()),
    ];
    let asked: Vec<&str> = asked.iter().filter(|(_, asked)| *asked).map(|(key, _)| *key).collect();
    if clocked::misplaced(ix, name, spec, findings) {
        return None;
    }
    let [only] = asked[..] else {
        let message = match asked[..] {
            [] => format!("the timing of field `{name}` does not say when"),
            _ => format!("the timing of field `{name}` is of several kinds: {}", asked.join(", ")),
        };
        let help = "write one of { when = … }, { on_completion = … }, { batch = … }, { every = … }, { cron = … } and { at = … }";
        findings.error(Place::Field(ix, "timing"), Problem::new(260, message).help(help));
        return None;
    };
    match only {
        "when" => condition(ix, "timing.when", spec.when.as_deref()?, findings).map(Policy::When),
        "on_completion" => {
            condition(ix, "timing.on_completion", spec.on_completion.as_deref()?, findings).map(Policy::OnCompletion)
        }
        "at" => condition(ix, "timing.at", spec.at.as_deref()?, findings).map(Policy::At),
        "batch" => batch_of(ix, name, spec, findings),
        _ => clocked::times(ix, name, spec, findings).map(|(times, misfire)| Policy::Schedule(times, misfire)),
    }
}

fn condition(ix: usize, key: &'static str, text: &str, findings: &mut Findings) -> Option<Rc<Ast>> {
    let parsed = language::parse_formula(text);
    parsed.map(Rc::new).map_err(|problems| findings.errors(&Place::Field(ix, key), problems)).ok()
}

fn batch_of(ix: usize, name: &str, spec: &PolicySpec, findings: &mut Findings) -> Option<Policy> {
    let batch = spec.batch?;
    if batch == 0 || batch > BATCH_MAX {
        let problem = Problem::new(260, format!("a batch of field `{name}` is {batch} changes"));
        findings.error(Place::Field(ix, "timing.batch"), problem.help(format!("write a number from 1 to {BATCH_MAX}")));
        return None;
    }
    let or_after = spec.or_after.as_ref().map(|text| clocked::or_after(ix, name, text, findings));
    match or_after {
        Some(None) => None,
        or_after => Some(Policy::Batch(batch, or_after.flatten())),
    }
}

/// When a field is published, in words.
pub(super) fn words(spec: &FieldSpec) -> String {
    let policy = match &spec.timing {
        Some(TimingSpec::Policy(policy)) => policy_words(policy),
        Some(TimingSpec::Word(_)) | None => None,
    };
    let epsilon = spec.epsilon.map(|epsilon| format!("where it is {epsilon} off or more"));
    policy.into_iter().chain(epsilon).collect::<Vec<_>>().join(", ")
}

fn policy_words(policy: &PolicySpec) -> Option<String> {
    let when = policy.when.as_ref().map(|when| format!("while {when}"));
    let complete = policy.on_completion.as_ref().map(|complete| format!("once {complete}"));
    let or_after = policy.or_after.as_ref().map_or(String::new(), |or_after| format!(" or after {or_after}"));
    let batch = policy.batch.map(|batch| format!("in batches of {batch}{or_after}"));
    when.or(complete).or(batch).or(clocked::words(policy))
}

/// What the formula of a field's timing reads, without types.
pub(super) fn reads(world: &Shared, table: usize, timing: &Timing) -> Option<Reads> {
    let ast = timing.formula()?;
    let reading = super::scope::Reading::new(world, table, None);
    // Its problems are found when it is checked with types.
    let _names_only = language::check_formula(ast, &reading.scope());
    Some(Reads::of(&reading))
}

/// What is published, and how it is made.
pub(super) struct Published {
    /// The published value, over nodes and itself.
    pub(super) expr: Expr,
    /// The cell that is computed at once.
    pub(super) computed: NodeId,
    /// How the clock publishes it, if it does.
    pub(super) clocked: Option<ClockedDef>,
}

/// The published cell over `computed`, the lowered formula of a field of `table`; `None` if its timing is refused.
pub(super) fn publish(
    world: &Shared,
    field: (usize, usize, &str),
    timing: &Timing,
    computed: &Expr,
    findings: &mut Findings,
) -> Option<Published> {
    let (table, ix, name) = field;
    if timing.is_clocked() && clocked::refuse_windows(&world.borrow(), field, findings) {
        return None;
    }
    let open = match timing.condition() {
        Some((ast, key)) => Some(gate(world, field, ast, key, findings)?),
        None => None,
    };
    let at = match &timing.policy {
        Policy::At(ast) => Some(clocked::time(world, field, ast, findings)?),
        _ => None,
    };
    let ty = computed.ty().clone();
    let computed = lower::hidden(&mut world.borrow_mut(), table, computed);
    let mut names = Names::default();
    names.node("computed", computed, ty.clone());
    open.into_iter().for_each(|(open, ty)| names.node("open", open, ty));
    at.iter().for_each(|(at, ty)| names.node("at", *at, ty.clone()));
    let (condition, clocked) = state(&mut world.borrow_mut(), (table, name), &timing.policy, at.map(|(at, _)| at), &mut names);
    let far = match timing.epsilon {
        Some(epsilon) => Some(far(ix, name, epsilon, &ty, &mut names, findings)?),
        None => None,
    };
    let open: Vec<&str> = condition.into_iter().chain(far).collect();
    let expr = names.formula(&format!("({}) ? computed : self", open.join(") && (")), ty);
    Some(Published { expr, computed, clocked })
}

/// What a policy knows of the document beside its values, as a cell of its own: the condition over it, and how the clock opens it.
fn state(
    world: &mut World,
    (table, name): (usize, &str),
    policy: &Policy,
    at: Option<NodeId>,
    names: &mut Names,
) -> (Option<&'static str>, Option<ClockedDef>) {
    let mut hidden = |names: &mut Names, what: &'static str, formula: &str, init: i64| {
        let formula = names.formula(formula, Type::Int);
        let node = world.nodes.hidden_self(table, formula, Value::Int(init), format!("{name} {what}"));
        names.node(what, node, Type::Int);
        node
    };
    match policy {
        Policy::Immediate => (None, None),
        Policy::When(_) => (Some("open"), None),
        Policy::OnCompletion(_) => {
            hidden(names, "completed", PHASE, 0);
            (Some("completed == 1"), None)
        }
        Policy::Batch(size, or_after) => {
            names.constant("size", Value::Int(*size as i64), Type::Int);
            let formula = if or_after.is_some() { WAITING_OR_OPENED } else { WAITING };
            let waits = hidden(names, "waiting", formula, *size as i64 - 1);
            (Some("waiting == 0"), or_after.map(|delay| ClockedDef { waits, by: By::After(delay) }))
        }
        Policy::Schedule(times, misfire) => {
            let waits = hidden(names, "waits", WAITS, 0);
            (Some("waits == 0"), Some(ClockedDef { waits, by: By::Schedule(times.clone(), *misfire) }))
        }
        Policy::At(_) => {
            let waits = hidden(names, "waits", WAITS_FOR_ITS_TIME, 0);
            (Some("waits == 0"), at.map(|at| ClockedDef { waits, by: By::At(at) }))
        }
    }
}

/// 0: open; 1: complete since this epoch; 2: complete before. It steps whenever the published cell could, so that it is 1 in one step.
const PHASE: &str = "(true || computed == null) ? (self >= 1 ? 2 : open ? 1 : 0) : 0";

/// How many changes wait. It steps with each change of what is computed, whatever the change is.
const WAITING: &str = "(true || computed == null) ? (self + 1 >= size ? 0 : self + 1) : 0";

/// The same where a moment opens it as well: it has then written a number below 0.
const WAITING_OR_OPENED: &str = "(true || computed == null) ? (self < 0 || self + 1 >= size ? 0 : self + 1) : 0";

/// 1: something waits for a moment; 0: it is published.
const WAITS: &str = "(true || computed == null) ? (self < 0 ? 0 : 1) : 0";

/// The same; the time stands beside it in the row.
const WAITS_FOR_ITS_TIME: &str = "(true || computed == null || at == null) ? (self < 0 ? 0 : 1) : 0";

/// Whether the computed value is far enough from the published one.
const FAR: &str = "self == null || computed == null || (computed > self ? computed - self : self - computed) >= epsilon";

/// The same for whole numbers, whose difference may be none of their type.
const FAR_WHOLE: &str = "self == null || computed == null || (computed > self ? decimal(computed) - decimal(self) \
                         : decimal(self) - decimal(computed)) >= epsilon";

fn far(ix: usize, name: &str, epsilon: f64, ty: &Type, names: &mut Names, findings: &mut Findings) -> Option<&'static str> {
    let decimal = Decimal::from_f64(epsilon);
    match (ty, decimal) {
        (Type::Double, _) => names.constant("epsilon", Value::double(epsilon), Type::Double),
        (Type::Int | Type::Uint | Type::Decimal { .. }, Some(decimal)) => {
            let ty = Type::Decimal { precision: 76, scale: decimal.scale() };
            names.constant("epsilon", Value::Decimal(decimal), ty);
        }
        (Type::Int | Type::Uint | Type::Decimal { .. }, None) => {
            let problem = Problem::new(260, format!("the `epsilon` of field `{name}` has more digits than a decimal"));
            findings.error(Place::Field(ix, "epsilon"), problem.help("write a number of fewer digits"));
            return None;
        }
        _ => {
            let problem = Problem::new(260, format!("the `epsilon` of field `{name}` needs a number, and the field is {ty}"));
            findings.error(
                Place::Field(ix, "epsilon"),
                problem.help("leave it out, or declare the types of the columns that it reads"),
            );
            return None;
        }
    }
    Some(if matches!(ty, Type::Int | Type::Uint) { FAR_WHOLE } else { FAR })
}

/// The node of a condition over the document, and its type.
fn gate(
    world: &Shared,
    (table, ix, name): (usize, usize, &str),
    ast: &Ast,
    key: &'static str,
    findings: &mut Findings,
) -> Option<(NodeId, Type)> {
    let place = Place::Field(ix, key);
    let (reading, expr) = check_at(world, table, ast, None).map_err(|problems| findings.errors(&place, problems)).ok()?;
    slips::warn(&world.borrow(), reading.columns(), ast, &place, findings);
    if !matches!(expr.ty(), Type::Bool | Type::Dyn | Type::Null) {
        let problem = Problem::new(240, format!("the condition of the timing of field `{name}` is {}, not bool", expr.ty()));
        findings.error(place, problem.at(ast.span, "").help("compare it with something"));
        return None;
    }
    if !fields::is_lowerable(world, &reading) {
        return None;
    }
    let lowered = lower::lower(&reading, &expr);
    let lowered = lowered.map_err(|problem| findings.error(place, problem.at(ast.span, ""))).ok()?;
    let node = lower::hidden(&mut world.borrow_mut(), table, &lowered);
    Some((node, lowered.ty().clone()))
}

/// The names of the formulas in this module.
#[derive(Default)]
struct Names {
    all: Vec<(&'static str, Type, ExprKind)>,
}

impl Names {
    fn node(&mut self, name: &'static str, node: NodeId, ty: Type) {
        self.all.push((name, ty, ExprKind::Input(node.input())));
    }

    fn constant(&mut self, name: &'static str, value: Value, ty: Type) {
        self.all.push((name, ty, ExprKind::Const(value)));
    }

    /// The formula over nodes; `itself` is the type of `self`, and of what comes of it.
    fn formula(&self, text: &str, itself: Type) -> Expr {
        let own = ("self", itself.clone(), ExprKind::Input(SELF));
        let all: Rc<[_]> = self.all.iter().cloned().chain([own]).collect();
        let scope = Here(all.clone());
        let ast = language::parse_formula(text).expect("invariant: the formulas of timings can be read");
        let expr = language::check_formula(&ast, &scope).expect("invariant: the formulas of timings have their types");
        let expr = map_inputs(&expr, &|id, _| all[id.0 as usize].2.clone());
        // What a branch gives may be narrower than what the field is.
        Expr::new(expr.kind().clone(), itself)
    }
}

/// Names by their place.
struct Here(Rc<[(&'static str, Type, ExprKind)]>);

impl Scope for Here {
    fn name(&self, name: &str) -> Option<Binding> {
        let at = self.0.iter().position(|(known, ..)| *known == name)?;
        Some(Binding::Input { id: InputId(at as u32), ty: self.0[at].1.clone() })
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    fn describe(&self) -> String {
        "the timing of a field".into()
    }
}
