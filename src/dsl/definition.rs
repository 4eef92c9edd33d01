//! What a graph is made of, as a Rust program writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Problem, Value, parse};
use thalweg_graph::spec::{ClassifySpec, EffectSpec, FieldSpec, Finding, OneOrMany, ReactionSpec, RelationSpec, TableSpec};
use thalweg_graph::{GraphSpec, planning};

use super::live::{Handler, LiveGraph};
use super::trace::{Ctx, Traced, trace};

/// A document type: what is known of its state before any row is seen. Columns need no declaration; those that are declared are typed.
#[derive(Clone, Debug, Default)]
pub struct State(TableSpec);

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
}

/// A path with `[*]`: each child row or each element of a JSON array.
#[derive(Clone, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// `"Document.items[*].price"`.
    pub fn new(path: &str) -> Pattern {
        Pattern(path.into())
    }
}

/// A field that is computed.
pub struct Derived {
    formula: Result<Ast, Vec<Problem>>,
    init: Option<Value>,
}

impl Derived {
    /// Sum over a pattern; of nothing, 0.
    pub fn sum(pattern: Pattern) -> Derived {
        Derived::formula(&format!("sum({})", pattern.0))
    }

    /// How many of a pattern are not NULL.
    pub fn count(pattern: Pattern) -> Derived {
        Derived::formula(&format!("count({})", pattern.0))
    }

    /// Mean over a pattern; of nothing, NULL.
    pub fn avg(pattern: Pattern) -> Derived {
        Derived::formula(&format!("avg({})", pattern.0))
    }

    /// Least of a pattern; of nothing, NULL.
    pub fn min(pattern: Pattern) -> Derived {
        Derived::formula(&format!("min({})", pattern.0))
    }

    /// Greatest of a pattern; of nothing, NULL.
    pub fn max(pattern: Pattern) -> Derived {
        Derived::formula(&format!("max({})", pattern.0))
    }

    /// Mean of the last `n` elements of a list field.
    pub fn window_avg(path: &str, n: u32) -> Derived {
        Derived::formula(&format!("avg(slice({path}, -{n}))"))
    }

    /// A self-reference: the field's own value before and the input named by [`Accumulate::of`] give the value now. It steps once in every
    /// transaction in which the input changes.
    pub fn accumulate(step: impl Fn(Traced, Traced) -> Traced + 'static) -> Accumulate {
        Accumulate { step: Box::new(step), init: None }
    }

    /// A traced closure; see [`super::trace`].
    pub fn compute<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Derived {
        Derived { formula: trace(|ctx| closure(ctx).into()), init: None }
    }

    /// A formula as text.
    pub fn formula(text: &str) -> Derived {
        Derived { formula: parse(text), init: None }
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
        Derived { formula, init: self.init }
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
    Changed(String),
}

impl Effect {
    /// Fires when the condition rises for a document.
    pub fn when<R: Into<Traced>>(closure: impl Fn(&Ctx) -> R) -> Effect {
        Effect { condition: Condition::Rises(trace(|ctx| closure(ctx).into())), on: None, payload: None, handler: None }
    }

    /// Fires on every net change of a document of this type.
    pub fn when_changed(document: &str) -> Effect {
        Effect { condition: Condition::Changed(document.into()), on: None, payload: None, handler: None }
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
    pub fn action(mut self, handler: impl FnMut(&thalweg_graph::outcome::Fired) + 'static) -> Effect {
        self.handler = Some(Box::new(handler));
        self
    }
}

/// A graph under definition. Problems are collected and reported by [`Graph::start`], all at once.
#[derive(Default)]
pub struct Graph {
    spec: GraphSpec,
    handlers: BTreeMap<Arc<str>, Handler>,
    problems: Vec<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Declares a document type.
    pub fn state(&mut self, state: State) -> &mut Graph {
        self.spec.tables.push(state.0);
        self
    }

    /// Defines a field: `Document.total`, or without a dot a global one.
    pub fn derived(&mut self, name: &str, derived: Derived) -> &mut Graph {
        let formula = self.text(name, derived.formula);
        let init = derived.init.map(|value| to_json(&value));
        self.spec.fields.push(FieldSpec { name: name.into(), formula, timing: None, init });
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
            Condition::Changed(document) => self.on_change(name, &document),
        }
        if let Some(handler) = effect.handler {
            self.handlers.insert(name.into(), handler);
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
        if !self.problems.is_empty() {
            return Err(DefinitionError(self.problems));
        }
        let (plan, _) = planning::plan(&self.spec, &[]).map_err(|findings| DefinitionError::from(findings.as_slice()))?;
        let plan = Arc::new(plan);
        Ok(LiveGraph::new(Engine::new(plan, options), self.handlers))
    }

    fn text(&mut self, name: &str, formula: Result<Ast, Vec<Problem>>) -> String {
        match formula {
            Ok(ast) => ast.to_string(),
            Err(problems) => {
                self.problems.extend(problems.iter().map(|p| describe(name, p)));
                String::new()
            }
        }
    }

    /// One event for insert, update and delete, and a reaction to it.
    fn on_change(&mut self, name: &str, document: &str) {
        let event = format!("{document}.changed");
        if !self.spec.classify.iter().any(|c| c.table == document && c.update.as_ref() == Some(&event)) {
            self.spec.classify.push(ClassifySpec {
                database: None,
                table: document.into(),
                insert: Some(event.clone()),
                update: Some(event.clone()),
                delete: Some(event.clone()),
            });
        }
        self.spec.reactions.push(ReactionSpec { name: Some(name.into()), event, ..ReactionSpec::default() });
    }
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
