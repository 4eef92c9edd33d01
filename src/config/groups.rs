//! `group = { of = "Order", by = "region", … }` of a `[[table]]`: a table whose documents are kept.

use std::collections::BTreeMap;

use thalweg_graph::spec::{BySpec, GroupSpec, Place, WindowSpec};

use super::definition::Reader;
use super::reader::{Section, text_of, wrong_type};
use super::tree::Tree;

impl Reader<'_> {
    /// The `group` of `[[table]]` number `index`, if it has one.
    pub(super) fn group(&mut self, section: &mut Section<'_>, index: usize) -> Option<GroupSpec> {
        let item = section.item("group")?;
        let mut section = Section::of(section.path("group"), item, self.out)?;
        let place = |key: &str| Place::Table(index, format!("group.{key}"));
        self.mark(Place::Table(index, "group".into()), &item.origin, None);
        let of = self.required(&mut section, "of", place("of"));
        let by = self.by(&mut section, index);
        let filter = self.text(&mut section, "where", place("where"));
        let rows = self.text(&mut section, "rows", place("rows"));
        let window = self.window(&mut section, index);
        section.finish();
        Some(GroupSpec { of, by, filter, window, rows, closure: false })
    }

    /// The `closure` of `[[table]]` number `index`, if it has one: a group whose rows are links.
    pub(super) fn closure(&mut self, section: &mut Section<'_>, index: usize) -> Option<GroupSpec> {
        let item = section.item("closure")?;
        let mut section = Section::of(section.path("closure"), item, self.out)?;
        let place = |key: &str| Place::Table(index, format!("group.{key}"));
        self.mark(Place::Table(index, "group".into()), &item.origin, None);
        let of = self.required(&mut section, "of", place("of"));
        let ends = ["from", "to"].map(|end| (end.to_owned(), self.required(&mut section, end, place(&format!("by.{end}")))));
        let filter = self.text(&mut section, "where", place("where"));
        section.finish();
        Some(GroupSpec { of, by: BySpec::Named(ends.into()), filter, closure: true, ..GroupSpec::default() })
    }

    /// Time windows, if there are.
    fn window(&mut self, section: &mut Section<'_>, index: usize) -> Option<WindowSpec> {
        let item = section.item("window")?;
        let mut section = Section::of(section.path("window"), item, self.out)?;
        let place = |key: &str| Place::Table(index, format!("group.window.{key}"));
        self.mark(Place::Table(index, "group.window".into()), &item.origin, None);
        let on = self.required(&mut section, "on", place("on"));
        let size = self.text(&mut section, "size", place("size"));
        let slide = self.text(&mut section, "slide", place("slide"));
        let offset = self.text(&mut section, "offset", place("offset"));
        let gap = self.text(&mut section, "gap", place("gap"));
        let lateness = self.text(&mut section, "lateness", place("lateness"));
        let emit = self.text(&mut section, "emit", place("emit"));
        let late = self.text(&mut section, "late", place("late"));
        section.finish();
        Some(WindowSpec { on, size, slide, offset, gap, lateness, emit, late })
    }

    /// One name, a list of names, or formulas by name.
    fn by(&mut self, section: &mut Section<'_>, index: usize) -> BySpec {
        let place = |key: &str| Place::Table(index, key.to_owned());
        let Some(item) = section.item("by") else { return BySpec::default() };
        match &item.tree {
            Tree::Text(name) | Tree::Raw(name) => {
                self.mark(place("group.by"), &item.origin, Some(name));
                BySpec::One(name.clone())
            }
            Tree::Array(_) => BySpec::Many(self.names(section, "by", place("group.by")).unwrap_or_default()),
            Tree::Table(entries) => {
                self.mark(place("group.by"), &item.origin, None);
                let mut named = BTreeMap::new();
                for entry in entries {
                    if let Some(formula) = text_of(self.out, &format!("key column `{}`", entry.key), &entry.item) {
                        self.mark(place(&format!("group.by.{}", entry.key)), &entry.item.origin, Some(&formula));
                        named.insert(entry.key.clone(), formula);
                    }
                }
                BySpec::Named(named)
            }
            other => {
                wrong_type(self.out, &section.path("by"), "a name, a list of names or a table of formulas", other, &item.origin)
                    .unwrap_or_default()
            }
        }
    }
}
