//! Reading goals: what is written is checked, and becomes tables and fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_formulas::Problem;
use thalweg_training::{Bounds, Optimizer};

use super::{Expanded, Lead, Moved, Part};
use crate::plan::{Direction, GOAL_COLUMNS, GOALS};
use crate::planning::findings::{Findings, with_near_misses};
use crate::spec::{FieldSpec, GoalSpec, GraphSpec, OneOrMany, Place, RelationSpec, TableSpec, VariableSpec};
use crate::transaction::Schema;

/// At most so many steps after a change, where nothing is said.
const STEPS: u64 = 100;

/// The greatest part of the gradient at which a goal stands still, where nothing is said.
const TOLERANCE: f64 = 1e-6;

/// The definition with its goals as tables and fields. What is wrong with a goal is told, and the goal left out.
pub(in crate::planning) fn expand(spec: &GraphSpec, known: &[Arc<Schema>], findings: &mut Findings) -> Expanded {
    let (tables, fields, formulas) = Default::default();
    let mut expanded = Expanded { spec: spec.clone(), leads: Vec::new(), tables, fields, formulas };
    expanded.spec.goals.clear();
    let mut reader = Reader { spec, known, findings, moved: BTreeMap::new() };
    reader.check_names();
    for (ix, goal) in spec.goals.iter().enumerate() {
        if goal.with.is_none() {
            let lead = reader.lead(ix, goal, &mut expanded);
            expanded.leads.extend(lead);
        } else {
            reader.check_follower(ix, goal);
        }
    }
    if !expanded.leads.is_empty() {
        expanded.tables.insert(expanded.spec.tables.len(), Place::Goal(0, String::new()));
        let columns: Vec<(String, String)> = GOAL_COLUMNS.map(|(name, ty)| (name.to_owned(), ty.to_owned())).into();
        expanded.spec.tables.push(own_table(GOALS, &[("name".to_owned(), "text".to_owned())], columns));
    }
    expanded
}

struct Reader<'a> {
    spec: &'a GraphSpec,
    known: &'a [Arc<Schema>],
    findings: &'a mut Findings,
    /// By moved field: the goal that moves it.
    moved: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn error(&mut self, ix: usize, key: impl Into<String>, message: impl Into<String>, help: impl Into<String>) {
        self.findings.error(Place::Goal(ix, key.into()), Problem::new(265, message.into()).help(help.into()));
    }

    fn check_names(&mut self) {
        let mut taken = BTreeSet::new();
        for (ix, goal) in self.spec.goals.iter().enumerate() {
            let name = &goal.name;
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
                let message = format!("`{name}` cannot be the name of a goal");
                self.error(ix, "name", message, "use letters, digits, `_` and `-`");
            } else if !taken.insert(name) {
                self.error(ix, "name", format!("there are two goals `{name}`"), "give one of them another name");
            }
        }
    }

    /// A goal that moves fields, with those that are pursued with it.
    fn lead(&mut self, ix: usize, goal: &GoalSpec, expanded: &mut Expanded) -> Option<Lead> {
        if goal.variables.is_empty() {
            let help = "name the fields: variables = { \"Product.price\" = { min = 1.0, max = 9.0 } }, or `with` another goal";
            self.error(ix, "variables", format!("goal `{}` moves no field", goal.name), help);
            return None;
        }
        let optimizer = self.optimizer(ix, goal)?;
        let variables: Vec<Option<Moved>> =
            goal.variables.iter().map(|(name, variable)| self.variable(ix, goal, name, variable, expanded)).collect();
        let variables = variables.into_iter().collect::<Option<_>>()?;
        let followers = self.spec.goals.iter().enumerate();
        let followers = followers.filter(|(at, other)| *at == ix || other.with.as_deref() == Some(goal.name.as_str()));
        let objectives: Vec<Option<Part>> = followers.map(|(at, goal)| self.objective(at, goal, expanded)).collect();
        Some(Lead {
            spec: ix,
            name: goal.name.clone(),
            objectives: objectives.into_iter().collect::<Option<_>>()?,
            variables,
            optimizer,
            online: goal.online.then_some(goal.steps.unwrap_or(STEPS)),
            tolerance: goal.tolerance.unwrap_or(TOLERANCE),
        })
    }

    fn optimizer(&mut self, ix: usize, goal: &GoalSpec) -> Option<Optimizer> {
        if goal.steps == Some(0) || goal.steps.is_some_and(|steps| steps > i64::MAX as u64) {
            let help = "leave `online` out where it is not to step when data changes";
            self.error(ix, "steps", format!("goal `{}` takes no step after a change", goal.name), help);
        }
        if goal.steps.is_some() && !goal.online {
            let message = format!("goal `{}` has `steps`, but is not `online`", goal.name);
            self.error(ix, "steps", message, "write online = true, or tell `thalweg goal train` how many steps");
        }
        if goal.tolerance.is_some_and(|tolerance| tolerance.is_nan() || tolerance < 0.0) {
            self.error(ix, "tolerance", format!("the tolerance of goal `{}` is below 0", goal.name), "write 0 or more");
        }
        match Optimizer::read(&goal.optimizer) {
            Ok(optimizer) => Some(optimizer),
            Err(why) => {
                let help = "write optimizer = { kind = \"adam\", lr = 0.01 }";
                self.error(ix, "optimizer", format!("the optimiser of goal `{}`: {why}", goal.name), help);
                None
            }
        }
    }

    /// A goal that is pursued with another one has nothing of its own but its objective.
    fn check_follower(&mut self, ix: usize, goal: &GoalSpec) {
        let with = goal.with.clone().unwrap_or_default();
        let leads = self.spec.goals.iter().filter(|other| other.with.is_none()).map(|other| other.name.as_str());
        if !leads.clone().any(|lead| lead == with) {
            let problem =
                Problem::new(265, format!("goal `{}` is to be pursued with `{with}`, which is no goal with fields", goal.name));
            let problem = with_near_misses(problem, &with, "goals", leads);
            self.findings.error(Place::Goal(ix, "with".into()), problem);
        }
        let own = !goal.variables.is_empty() || !goal.optimizer.is_empty() || goal.online || goal.steps.is_some();
        if own || goal.tolerance.is_some() {
            let message = format!("goal `{}` shares the fields and the optimiser of `{with}`", goal.name);
            self.error(ix, "", message, "write `variables`, `optimizer`, `online`, `steps` and `tolerance` there only");
        }
    }

    /// The objective of a goal, which becomes a field.
    fn objective(&mut self, ix: usize, goal: &GoalSpec, expanded: &mut Expanded) -> Option<Part> {
        let written = [
            goal.maximize.as_ref().map(|formula| ("maximize", formula, Direction::Maximize)),
            goal.minimize.as_ref().map(|formula| ("minimize", formula, Direction::Minimize)),
            goal.target.as_ref().map(|target| {
                let tolerance = target.tolerance.unwrap_or(1.0);
                ("target.of", &target.of, Direction::Target { value: target.value, tolerance })
            }),
        ];
        let [Some((key, formula, direction))] = written.into_iter().flatten().map(Some).collect::<Vec<_>>()[..] else {
            let message = format!("goal `{}` needs exactly one of `maximize`, `minimize` and `target`", goal.name);
            self.error(ix, "", message, "a second objective is a goal of its own, `with` this one");
            return None;
        };
        if let Direction::Target { tolerance, .. } = direction
            && (tolerance.is_nan() || tolerance <= 0.0)
        {
            self.error(ix, "target", format!("the tolerance of the target of goal `{}` is not above 0", goal.name), "write 0.1");
        }
        let weight = goal.weight.unwrap_or(1.0);
        if weight.is_nan() || weight <= 0.0 {
            self.error(ix, "weight", format!("the weight of goal `{}` is not above 0", goal.name), "leave the goal out instead");
        }
        let field = expanded.spec.fields.len();
        expanded.formulas.insert(field, Place::Goal(ix, key.into()));
        expanded.fields.insert(field, Place::Goal(ix, "name".into()));
        let name = format!("goal {}", goal.name);
        expanded.spec.fields.push(FieldSpec { name, formula: formula.clone(), ..FieldSpec::default() });
        Some(Part { name: goal.name.clone(), field, direction, weight })
    }

    /// A field that is moved, which becomes a table of its values and a field that looks them up.
    fn variable(
        &mut self,
        ix: usize,
        goal: &GoalSpec,
        name: &str,
        spec: &VariableSpec,
        expanded: &mut Expanded,
    ) -> Option<Moved> {
        let place = format!("variables.{name}");
        if let Some(other) = self.moved.insert(name.to_owned(), goal.name.clone()) {
            let message = format!("`{name}` is moved by two goals, `{other}` and `{}`", goal.name);
            self.error(ix, place, message, format!("pursue both at once: with = \"{other}\" in place of `variables`"));
            return None;
        }
        let (bounds, init) = self.bounds(ix, name, spec)?;
        let (table, short) = name.rsplit_once('.').unwrap_or(("", name));
        let key =
            if table.is_empty() { vec![("name".to_owned(), "text".to_owned())] } else { self.key(ix, name, table, expanded)? };
        let (own, at) = (format!("@{name}"), expanded.spec.tables.len());
        expanded.tables.insert(at, Place::Goal(ix, place.clone()));
        let columns = [("value", "double"), ("state", "list(double)")].map(|(name, ty)| (name.to_owned(), ty.to_owned())).into();
        expanded.spec.tables.push(own_table(&own, &key, columns));
        let key: Vec<String> = key.into_iter().map(|(column, _)| column).collect();
        if let Some(table) = expanded.spec.tables.iter_mut().find(|spec| spec.name == table && !table.is_empty()) {
            let relation = RelationSpec::Lookup { to: own.clone(), key: OneOrMany::Many(key.clone()) };
            table.relations.insert(format!("@{short}"), relation);
        }
        let formula = match table {
            "" => format!("coalesce(max(`{own}`[*].value), {init:?})"),
            _ => format!("coalesce(`@{short}`.value, {init:?})"),
        };
        let field = expanded.spec.fields.len();
        expanded.fields.insert(field, Place::Goal(ix, place));
        expanded.spec.fields.push(FieldSpec { name: name.to_owned(), formula, ..FieldSpec::default() });
        Some(Moved { name: name.to_owned(), field, table: table.to_owned(), key, bounds, init, frozen: spec.freeze })
    }

    fn bounds(&mut self, ix: usize, name: &str, spec: &VariableSpec) -> Option<(Bounds, f64)> {
        let bounds = Bounds { least: spec.min, greatest: spec.max };
        let place = format!("variables.{name}");
        let all = [spec.min, spec.max, spec.init];
        if all.into_iter().flatten().any(|x| !x.is_finite()) {
            self.error(ix, place, format!("a bound of `{name}` is no finite number"), "leave a bound out where there is none");
            return None;
        }
        if let (Some(least), Some(greatest)) = (spec.min, spec.max)
            && least > greatest
        {
            let message = format!("the least value of `{name}`, {least:?}, is above the greatest, {greatest:?}");
            self.error(ix, place, message, "exchange `min` and `max`");
            return None;
        }
        let init = spec.init.unwrap_or(bounds.middle());
        if bounds.nearest(init) != init {
            self.error(ix, place, format!("`{name}` begins at {init:?}, beyond its bounds"), "begin within them");
            return None;
        }
        Some((bounds, init))
    }

    /// The key columns of a declared table, with their types as written.
    fn key(&mut self, ix: usize, name: &str, table: &str, expanded: &Expanded) -> Option<Vec<(String, String)>> {
        let place = format!("variables.{name}");
        let Some(spec) = expanded.spec.tables.iter().find(|spec| spec.name == table) else {
            let message = format!("goal moves `{name}`, but `{table}` is not declared");
            self.error(ix, place, message, format!("declare it: [[table]] name = \"{table}\", key = [\"id\"]"));
            return None;
        };
        let kept = spec.group.is_some() || spec.join.is_some();
        let from = spec.from.as_deref().unwrap_or(&spec.name);
        let schema = self.known.iter().find(|schema| &*schema.table == from || schema.table.rsplit('.').next() == Some(from));
        let column = |at: &u32| schema.map(|schema| schema.columns[*at as usize].name.to_string());
        let key: Option<Vec<String>> = match (&spec.key, schema) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(schema)) => schema.key.iter().map(column).collect(),
            (None, None) => None,
        };
        let Some(key) = key.filter(|key| !key.is_empty() && !kept) else {
            let why = if kept { "is a derived table" } else { "has no key that is known" };
            let help = "a field for each row needs a declared key: key = [\"id\"] in its [[table]]";
            self.error(ix, place, format!("goal moves `{name}`, but `{table}` {why}"), help);
            return None;
        };
        let of_schema =
            |name: &String| schema?.columns.iter().find(|column| *column.name == **name).map(|column| column.ty.to_string());
        let ty = |name: &String| spec.columns.get(name).cloned().or_else(|| of_schema(name)).unwrap_or_else(|| "dyn".into());
        Some(key.iter().map(|name| (name.clone(), ty(name))).collect())
    }
}

/// A table that only steps write.
fn own_table(name: &str, key: &[(String, String)], columns: Vec<(String, String)>) -> TableSpec {
    let order: Vec<String> = key.iter().chain(&columns).map(|(name, _)| name.clone()).collect();
    TableSpec {
        name: name.to_owned(),
        key: Some(key.iter().map(|(name, _)| name.clone()).collect()),
        columns: key.iter().cloned().chain(columns).collect(),
        column_order: order,
        closed: true,
        ..TableSpec::default()
    }
}
