//! `timing = …` and `epsilon = …` of a field.

use thalweg_graph::spec::{Place, PolicySpec, TimingSpec};

use super::definition::Reader;
use super::reader::{Section, wrong_type};
use super::tree::Tree;

impl Reader<'_> {
    /// The `timing` of field number `index`, if it has one.
    pub(super) fn timing(&mut self, section: &mut Section<'_>, index: usize) -> Option<TimingSpec> {
        let item = section.item("timing")?;
        self.mark(Place::Field(index, "timing"), &item.origin, None);
        match &item.tree {
            Tree::Text(word) | Tree::Raw(word) => Some(TimingSpec::Word(word.clone())),
            Tree::Table(_) => {
                let mut section = Section::of(section.path("timing"), item, self.out)?;
                let mut text = |key: &'static str, place: &'static str| self.text(&mut section, key, Place::Field(index, place));
                let when = text("when", "timing.when");
                let on_completion = text("on_completion", "timing.on_completion");
                let batch = section.integer("batch", 1..=i64::MAX).map(|batch| batch as u64);
                let mut text = |key: &'static str, place: &'static str| self.text(&mut section, key, Place::Field(index, place));
                let (or_after, every) = (text("or_after", "timing.or_after"), text("every", "timing.every"));
                let (cron, zone) = (text("cron", "timing.cron"), text("zone", "timing.zone"));
                let (at, misfire) = (text("at", "timing.at"), text("misfire", "timing.misfire"));
                section.finish();
                let policy = PolicySpec { when, on_completion, batch, or_after, every, cron, zone, at, misfire };
                Some(TimingSpec::Policy(policy))
            }
            other => wrong_type(self.out, "`timing`", "a string or a table", other, &item.origin),
        }
    }

    /// The `epsilon` of field number `index`, if it has one.
    pub(super) fn epsilon(&mut self, section: &mut Section<'_>, index: usize) -> Option<f64> {
        let item = section.item("epsilon")?;
        self.mark(Place::Field(index, "epsilon"), &item.origin, None);
        match &item.tree {
            Tree::Float(epsilon) => Some(*epsilon),
            Tree::Int(epsilon) => Some(*epsilon as f64),
            other => wrong_type(self.out, "`epsilon`", "a number", other, &item.origin),
        }
    }
}
