//! `join = { left = "Order", right = "Shipment", on = "sku", … }` of a `[[table]]`: a table whose documents are pairs.

use thalweg_graph::spec::{JoinSpec, OneOrMany, Place};

use super::definition::Reader;
use super::reader::Section;
use super::tree::Tree;

impl Reader<'_> {
    /// The `join` of `[[table]]` number `index`, if it has one.
    pub(super) fn join(&mut self, section: &mut Section<'_>, index: usize) -> Option<JoinSpec> {
        let item = section.item("join")?;
        let mut section = Section::of(section.path("join"), item, self.out)?;
        let place = |key: &str| Place::Table(index, format!("join.{key}"));
        self.mark(Place::Table(index, "join".into()), &item.origin, None);
        let left = self.required(&mut section, "left", place("left"));
        let right = self.required(&mut section, "right", place("right"));
        let on = self.on(&mut section, index);
        let filter = self.text(&mut section, "where", place("where"));
        let names = self.names(&mut section, "as", place("as"));
        section.finish();
        Some(JoinSpec { left, right, on, filter, names })
    }

    /// One formula or a list of them.
    fn on(&mut self, section: &mut Section<'_>, index: usize) -> OneOrMany {
        let place = Place::Table(index, "join.on".into());
        let Some(item) = section.item("on") else { return OneOrMany::default() };
        if let Tree::Text(text) | Tree::Raw(text) = &item.tree {
            self.mark(place, &item.origin, Some(text));
            return OneOrMany::One(text.clone());
        }
        self.mark(place, &item.origin, None);
        let texts = section.texts("on").unwrap_or_default();
        for (at, (text, origin)) in texts.iter().enumerate() {
            self.mark(Place::Table(index, format!("join.on.{at}")), origin, Some(text));
        }
        OneOrMany::Many(texts.into_iter().map(|(text, _)| text).collect())
    }
}
