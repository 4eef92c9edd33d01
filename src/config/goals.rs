//! `[[goal]]`: what fields are moved towards.

use std::collections::BTreeMap;

use thalweg_graph::spec::{GoalSpec, Place, TargetSpec, VariableSpec};

use super::definition::{Reader, json_of};
use super::reader::{Section, wrong_type};
use super::tree::{Entry, Tree};

impl Reader<'_> {
    pub(super) fn goal(&mut self, mut section: Section<'_>) {
        let index = self.spec.goals.len();
        let place = |key: &str| Place::Goal(index, key.to_owned());
        self.mark(place(""), &section.origin.clone(), None);
        let name = self.required(&mut section, "name", place("name"));
        let maximize = self.text(&mut section, "maximize", place("maximize"));
        let minimize = self.text(&mut section, "minimize", place("minimize"));
        let target = self.target(&mut section, index);
        let weight = self.number(&mut section, "weight", place("weight"));
        let with = self.text(&mut section, "with", place("with"));
        let variables = self.variables(&mut section, index);
        let optimizer = self.optimizer(&mut section, index);
        let online = section.boolean("online").unwrap_or(false);
        let steps = section.integer("steps", 1..=i64::MAX).map(|steps| steps as u64);
        let tolerance = self.number(&mut section, "tolerance", place("tolerance"));
        section.not_built(&["batch"]);
        section.finish();
        let goal = GoalSpec { name, maximize, minimize, target, weight, with, variables, optimizer, online, steps, tolerance };
        self.spec.goals.push(goal);
    }

    /// `target = { of = "temperature", value = 22.5, tolerance = 0.5 }`.
    fn target(&mut self, section: &mut Section<'_>, index: usize) -> Option<TargetSpec> {
        let item = section.item("target")?;
        let place = |key: &str| Place::Goal(index, format!("target.{key}"));
        self.mark(Place::Goal(index, "target".into()), &item.origin, None);
        let mut section = Section::of(section.path("target"), item, self.out)?;
        let of = self.required(&mut section, "of", place("of"));
        let value = match section.item("value") {
            Some(_) => self.number(&mut section, "value", place("value")).unwrap_or_default(),
            None => section.required("value").map(|_| 0.0).unwrap_or_default(),
        };
        let tolerance = self.number(&mut section, "tolerance", place("tolerance"));
        section.finish();
        Some(TargetSpec { of, value, tolerance })
    }

    /// `variables = { "Product.price" = { min = 10.0, max = 100.0 } }`.
    fn variables(&mut self, section: &mut Section<'_>, index: usize) -> BTreeMap<String, VariableSpec> {
        let Some(item) = section.item("variables") else { return BTreeMap::new() };
        self.mark(Place::Goal(index, "variables".into()), &item.origin, None);
        let Some(mut section) = Section::of(section.path("variables"), item, self.out) else { return BTreeMap::new() };
        section.all().iter().filter_map(|entry| Some((entry.key.clone(), self.variable(entry, index)?))).collect()
    }

    fn variable(&mut self, entry: &Entry, index: usize) -> Option<VariableSpec> {
        let place = |key: &str| Place::Goal(index, format!("variables.{}{key}", entry.key));
        self.mark(place(""), &entry.key_origin, None);
        let mut section = Section::of(format!("variable `{}`", entry.key), &entry.item, self.out)?;
        let [min, max, init] = ["min", "max", "init"].map(|key| self.number(&mut section, key, place(&format!(".{key}"))));
        let freeze = section.boolean("freeze").unwrap_or(false);
        section.finish();
        Some(VariableSpec { min, max, init, freeze })
    }

    /// The settings of an optimiser: its reader knows them.
    fn optimizer(&mut self, section: &mut Section<'_>, index: usize) -> serde_json::Map<String, serde_json::Value> {
        let Some(item) = section.item("optimizer") else { return Default::default() };
        self.mark(Place::Goal(index, "optimizer".into()), &item.origin, None);
        match json_of(self.out, "`optimizer`", item) {
            Some(serde_json::Value::Object(settings)) => settings,
            Some(_) => {
                wrong_type::<()>(self.out, "`optimizer`", "a table", &item.tree, &item.origin);
                Default::default()
            }
            None => Default::default(),
        }
    }

    fn number(&mut self, section: &mut Section<'_>, key: &'static str, place: Place) -> Option<f64> {
        let what = section.path(key);
        let item = section.item(key)?;
        self.mark(place, &item.origin, None);
        match &item.tree {
            Tree::Float(number) => Some(*number),
            Tree::Int(number) => Some(*number as f64),
            other => wrong_type(self.out, &what, "a number", other, &item.origin),
        }
    }
}
