//! What a graph is made of, as a Rust program writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_engine::Options;
use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Problem, Value, parse};
use thalweg_graph::spec::{
    ClassifySpec, EffectSpec, FieldSpec, Finding, OneOrMany, ReactionSpec, RelationSpec, TableSpec, TimerSpec, VariableSpec,
};
use thalweg_graph::{GraphSpec, Plan, planning};

use super::timing::TimingPolicy;
use super::trace::{Ctx, Traced, trace};
use crate::embed::{Handler, Handlers, LiveGraph, Running};

/// A document type: what is known of its state before any row is seen. Columns need no declaration; those that are declared are typed.
#[derive(Clone, Debug, Default)]
pub struct State(pub(super) TableSpec);

impl State {
    /// A document type.
    pub fn document(name: &str) -> State {
        State(TableSpec { name: name.into(), ..TableSpec::default() })
    }

    /// One more key column.
    pub fn key(mut self, column: &str) -> State {
        self.0.key.get_or_insert_default().push(column.into());
        self
    }

    /// A typed column: `"decimal(10,2)"`.
    pub fn column(mut self, name: &str, ty: &str) -> State {
        self.0.columns.insert(name.into(), ty.into());
        self
    }

    /// Child rows: `table`'s column `key` holds this document's key.
    pub fn children(mut self, name: &str, table: &str, key: &str) -> State {
        let relation = RelationSpec::Children { table: table.into(), key: OneOrMany::One(key.into()) };
        self.0.relations.insert(name.into(), relation);
        self
    }

    /// A reference: this row's column `key` holds `table`'s key.
    pub fn lookup(mut self, name: &str, table: &str, key: &str) -> State {
        let relation = RelationSpec::Lookup { to: table.into(), key: OneOrMany::One(key.into()) };
        self.0.relations.insert(name.into(), relation);
        self
    }

    /// A reference by time: of `table`'s documents with equal `by`, the newest whose column `on` is no later than this row's `asof`. `by` is a
    /// column of both, or `"mine == theirs"`; empty, there is one line of documents. Where there is none, what is read of it is NULL.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Quote").key("id"));
    /// graph.state(State::document("Trade").key("id").as_of("quote", "Quote", "symbol", "sold_at", "at"));
    /// graph.derived("Trade.gain", Derived::formula("price - quote.bid"));
    ///
    /// let mut live = graph.start()?;
    /// let quote = |id: i64, at: i64, bid: i64| [("id", Value::Int(id)), ("symbol", "eel".into()), ("at", at.into()), ("bid", bid.into())];
    /// live.apply(Changes::new("tx-1").insert("Quote", quote(1, 10, 30)));
    /// let trade = [("id", Value::Int(7)), ("symbol", "eel".into()), ("sold_at", 15.into()), ("price", 34.into())];
    /// live.apply(Changes::new("tx-2").insert("Trade", trade));
    /// assert_eq!(live.get("Trade.gain", [7]), Some(Ok(Value::Int(4))));
    /// // A quote that comes late, and is newer as of the trade.
    /// live.apply(Changes::new("tx-3").insert("Quote", quote(2, 15, 33)));
    /// assert_eq!(live.get("Trade.gain", [7]), Some(Ok(Value::Int(1))));
    /// # Ok::<(), DefinitionError>(())
    /// ```
    pub fn as_of(mut self, name: &str, table: &str, by: &str, asof: &str, on: &str) -> State {
        let by = if by.is_empty() { OneOrMany::default() } else { OneOrMany::One(by.into()) };
        let relation = RelationSpec::AsOf { to: table.into(), asof: asof.into(), on: Some(on.into()), by };
        self.0.relations.insert(name.into(), relation);
        self
    }
}

/// A field that is computed.
pub struct Derived {
    formula: Result<Ast, Vec<Problem>>,
    init: Option<Value>,
    timing: TimingPolicy,
    epsilon: Option<f64>,
}

impl Derived {
    /// A self-reference: the field's own value before and the input named by [`Accumulate::of`] give the value now. It steps once in every
    /// transaction in which the input changes.
    pub fn accumulate(step: impl Fn(Traced, Traced) -> Traced + 'static) -> Accumulate {
        Accumulate { step: Box::new(step), init: None }
    }

    /// A traced closure; see [`super::trace`].
    pub fn compute<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Derived {
        Derived::of_ast(trace(|ctx| closure(ctx).into()), None)
    }

    /// A formula as text.
    pub fn formula(text: &str) -> Derived {
        Derived::of_ast(parse(text), None)
    }

    /// When the value is published; without, at once.
    pub fn timing(mut self, policy: TimingPolicy) -> Derived {
        self.timing = policy;
        self
    }

    /// A change smaller than this is not published. It is measured from the value that was published last, so small changes add up.
    pub fn epsilon(mut self, epsilon: f64) -> Derived {
        self.epsilon = Some(epsilon);
        self
    }

    pub(super) fn of_ast(formula: Result<Ast, Vec<Problem>>, init: Option<Value>) -> Derived {
        Derived { formula, init, timing: TimingPolicy::immediate(), epsilon: None }
    }
}

/// A self-reference that does not know its input yet: say it with [`Accumulate::of`].
pub struct Accumulate {
    step: Box<dyn Fn(Traced, Traced) -> Traced>,
    init: Option<Value>,
}

impl Accumulate {
    /// The value before the first step; without, the typed zero.
    pub fn init(mut self, value: impl Into<Value>) -> Accumulate {
        self.init = Some(value.into());
        self
    }

    /// The input.
    pub fn of(self, path: &str) -> Derived {
        let formula = trace(|ctx| (self.step)(Traced(Ast::ident("self")), ctx.get(path)));
        Derived::of_ast(formula, self.init)
    }
}

/// A field that causes an action when its condition rises.
pub struct Effect {
    condition: Condition,
    on: Option<String>,
    payload: Option<Vec<String>>,
    handler: Option<Handler>,
}

enum Condition {
    Rises(Result<Ast, Vec<Problem>>),
    Changed(Change),
}

/// What a reaction waits for.
struct Change {
    document: String,
    delay: Option<String>,
    provided: Option<Result<Ast, Vec<Problem>>>,
}

impl Effect {
    /// Fires when the condition rises for a document.
    pub fn when<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Effect {
        Effect { condition: Condition::Rises(trace(|ctx| closure(ctx).into())), on: None, payload: None, handler: None }
    }

    /// Fires on every net change of a document of this type.
    pub fn when_changed(document: &str) -> Effect {
        let change = Change { document: document.into(), delay: None, provided: None };
        Effect { condition: Condition::Changed(change), on: None, payload: None, handler: None }
    }

    /// After [`Effect::when_changed`]: not at once, but so long after each insert or update of a document (`"15m"`, `"1d 2h"`), as time
    /// is told ([`LiveGraph::advance_to`]).
    pub fn after(mut self, delay: &str) -> Effect {
        match &mut self.condition {
            Condition::Changed(change) => change.delay = Some(delay.into()),
            Condition::Rises(formula) => *formula = Err(vec![only_changes("after")]),
        }
        self
    }

    /// After [`Effect::when_changed`]: only where this holds for the row; with [`Effect::after`], for the row as it is by then. It reads columns.
    pub fn provided<R: Into<Traced>>(mut self, closure: impl Fn(&Ctx) -> R) -> Effect {
        match &mut self.condition {
            Condition::Changed(change) => change.provided = Some(trace(|ctx| closure(ctx).into())),
            Condition::Rises(formula) => *formula = Err(vec![only_changes("provided")]),
        }
        self
    }

    /// The document type, where no absolute path in the condition tells it.
    pub fn on(mut self, document: &str) -> Effect {
        self.on = Some(document.into());
        self
    }

    /// The fields that are sent; without, the key and every field that the condition reads.
    pub fn payload<const N: usize>(mut self, fields: [&str; N]) -> Effect {
        self.payload = Some(fields.map(Into::into).to_vec());
        self
    }

    /// What to do, in the thread that steps the graph, after the step.
    pub fn action(mut self, handler: impl FnMut(&thalweg_graph::outcome::Fired) + Send + 'static) -> Effect {
        self.handler = Some(Box::new(handler));
        self
    }
}

/// A graph under definition. Problems are collected and reported by [`Graph::start`], all at once.
#[derive(Default)]
pub struct Graph {
    pub(super) spec: GraphSpec,
    handlers: Handlers,
    pub(super) problems: Vec<String>,
    /// Fields that no goal moves yet.
    pub(super) optimizables: BTreeMap<String, VariableSpec>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Declares a document type.
    pub fn state(&mut self, state: impl Into<State>) -> &mut Graph {
        self.spec.tables.push(state.into().0);
        self
    }

    /// Defines a field: `Document.total`, or without a dot a global one.
    pub fn derived(&mut self, name: &str, derived: Derived) -> &mut Graph {
        let formula = self.text(name, derived.formula);
        let init = derived.init.map(|value| to_json(&value));
        let timing = self.timing(name, derived.timing);
        self.spec.fields.push(FieldSpec { name: name.into(), formula, timing, epsilon: derived.epsilon, init });
        self
    }

    /// Defines an effect.
    pub fn effect(&mut self, name: &str, effect: Effect) -> &mut Graph {
        match effect.condition {
            Condition::Rises(formula) => {
                let when = self.text(name, formula);
                self.spec.effects.push(EffectSpec {
                    name: name.into(),
                    on: effect.on,
                    when,
                    payload: effect.payload,
                    ..EffectSpec::default()
                });
            }
            Condition::Changed(change) => self.on_change(name, change),
        }
        if let Some(handler) = effect.handler {
            self.handlers.by_name.insert(name.into(), handler);
        }
        self
    }

    /// What to do when this effect or reaction fires, in the thread that steps the graph.
    pub fn handle(&mut self, effect: &str, handler: impl FnMut(&thalweg_graph::outcome::Fired) + Send + 'static) -> &mut Graph {
        self.handlers.by_name.insert(effect.into(), Box::new(handler));
        self
    }

    /// Takes everything of this name out of the definition: a field, an effect or reaction, a schedule, a document type with its relations. What reads it
    /// must go too, or be defined anew.
    pub fn remove(&mut self, name: &str) -> &mut Graph {
        self.spec.fields.retain(|field| field.name != name);
        self.spec.effects.retain(|effect| effect.name != name);
        let of_reaction = |reaction: &ReactionSpec| reaction.name.as_deref().unwrap_or(&reaction.event) == name;
        self.spec.reactions.retain(|reaction| !of_reaction(reaction));
        self.spec.schedules.retain(|schedule| schedule.name != name);
        self.spec.tables.retain(|table| table.name != name);
        self.handlers.by_name.remove(name);
        self
    }

    /// Changes what is said of a document type: one more relation, a typed column. Does nothing where there is no such type.
    pub fn change_state(&mut self, document: &str, change: impl FnOnce(State) -> State) -> &mut Graph {
        if let Some(table) = self.spec.tables.iter_mut().find(|table| table.name == document) {
            *table = change(State(std::mem::take(table))).0;
        }
        self
    }

    /// The definition as data: print it, store it, compare it.
    pub fn spec(&self) -> &GraphSpec {
        &self.spec
    }

    /// Checks the graph and sets it going, in this thread.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn start(self) -> Result<LiveGraph, DefinitionError> {
        self.start_with(Options::default())
    }

    /// The same with options: more workers, deltas of columns.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn start_with(self, options: Options) -> Result<LiveGraph, DefinitionError> {
        Ok(LiveGraph::new(self.planned()?, options))
    }

    /// Checks the graph and sets it going on a thread of its own.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn spawn(self) -> Result<Running, DefinitionError> {
        self.spawn_with(Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// Everything that is wrong with the definition.
    pub fn spawn_with(self, options: Options) -> Result<Running, DefinitionError> {
        Ok(Running::new(self.planned()?, options))
    }

    pub(crate) fn planned(mut self) -> Result<Definition, DefinitionError> {
        let unmoved = self.optimizables.keys().map(|name| format!("E0265: {name}: no goal moves it (define a goal after it)"));
        self.problems.extend(unmoved);
        if !self.problems.is_empty() {
            return Err(DefinitionError(self.problems));
        }
        let (plan, _) = planning::plan(&self.spec, &[]).map_err(|findings| DefinitionError::from(findings.as_slice()))?;
        Ok(Definition { spec: self.spec, plan: Arc::new(plan), handlers: self.handlers })
    }

    pub(super) fn text(&mut self, name: &str, formula: Result<Ast, Vec<Problem>>) -> String {
        match formula {
            Ok(ast) => ast.to_string(),
            Err(problems) => {
                self.problems.extend(problems.iter().map(|p| describe(name, p)));
                String::new()
            }
        }
    }

    /// An event for the changes of a document, and a reaction to it, at once or by way of a timer.
    fn on_change(&mut self, name: &str, change: Change) {
        let Change { document, delay, provided } = change;
        let event = self.event_of(&document);
        let condition = provided.map(|formula| self.text(name, formula));
        let reaction = ReactionSpec { name: Some(name.into()), condition, ..ReactionSpec::default() };
        let Some(delay) = delay else {
            self.spec.reactions.push(ReactionSpec { event, ..reaction });
            return;
        };
        let due = format!("{name}.due");
        let (timer, armed) =
            (TimerSpec { delay: Some(delay), event: due.clone(), ..TimerSpec::default() }, format!("{name}.armed"));
        self.handlers.silent.insert(armed.as_str().into());
        self.spec.reactions.push(ReactionSpec { name: Some(armed), event, timer: Some(timer), ..ReactionSpec::default() });
        self.spec.reactions.push(ReactionSpec { event: due, ..reaction });
    }

    /// The name of a document type's changes.
    fn event_of(&mut self, document: &str) -> String {
        let event = format!("{document}.changed");
        if !self.spec.classify.iter().any(|c| c.table == document && c.update.as_ref() == Some(&event)) {
            let [insert, update, delete] = [(); 3].map(|()| Some(event.clone()));
            self.spec.classify.push(ClassifySpec { database: None, table: document.into(), insert, update, delete });
        }
        event
    }
}

/// A graph that has been checked.
pub(crate) struct Definition {
    /// As it was given.
    pub spec: GraphSpec,
    /// As it runs.
    pub plan: Arc<Plan>,
    /// What its firings do.
    pub handlers: Handlers,
}

impl From<GraphSpec> for Graph {
    /// A definition that is data already; its actions are left to handlers of the effects' names ([`Graph::handle`]).
    fn from(spec: GraphSpec) -> Graph {
        Graph { spec, ..Graph::default() }
    }
}

fn only_changes(method: &str) -> Problem {
    Problem::new(287, format!("`{method}` belongs to `Effect::when_changed`"))
}

/// Everything that is wrong with a definition. Nothing has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError(Vec<String>);

impl From<&[Finding]> for DefinitionError {
    fn from(findings: &[Finding]) -> Self {
        DefinitionError(findings.iter().map(|f| describe(&format!("{:?}", f.place), &f.problem)).collect())
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for DefinitionError {}

fn describe(place: &str, problem: &Problem) -> String {
    let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{}: {place}: {}{help}", problem.code, problem.message)
}

fn to_json(value: &Value) -> serde_json::Value {
    let mut text = String::new();
    thalweg_formulas::json::write(value, &mut text);
    serde_json::from_str(&text).expect("invariant: a written value is JSON")
}
