//! Relations by time: the newest row of another table at a row's time.
//!
//! The edge finds the row and tells its key; what is read of it is then an ordinary lookup by that key, so values, errors and absence need
//! no case of their own. Both times, and both sides of `by`, are columns.

use thalweg_formulas::{Problem, Type};

use super::catalogue::{AsOf, Catalogue, Relation, unknown_column};
use super::findings::Findings;
use super::joins::equal_type;
use super::nodes::{NodeId, Source};
use super::relations::Subject;
use super::slips;
use super::world::World;
use crate::spec::{OneOrMany, Place};

/// A relation by time as it was written.
pub(super) struct Written<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) to: &'a str,
    pub(super) asof: &'a str,
    pub(super) on: &'a str,
    pub(super) by: &'a OneOrMany,
}

impl Catalogue {
    /// Resolves a relation by time.
    pub(super) fn relate_asof(&mut self, written: &Written<'_>, findings: &mut Findings) -> Option<Relation> {
        let subject = written.subject;
        let context = self.described(subject);
        let to = self.expect(written.to, &context, subject.part("to"), findings)?;
        if self.tables[to].key.as_ref().is_none_or(Vec::is_empty) {
            let other = &self.tables[to].name;
            let why = if self.tables[to].key.is_some() { "which has none" } else { "which is not known" };
            let problem = Problem::new(236, format!("{context} needs a key on `{other}`, {why}"));
            findings.error(subject.place(), problem.help(format!("declare it: key = [\"id\"] in [[table]] \"{other}\"")));
            return None;
        }
        let (mut near, mut line) = (Vec::new(), Vec::new());
        for (at, text) in written.by.names().iter().enumerate() {
            let place = match written.by {
                OneOrMany::One(_) => subject.part("by"),
                OneOrMany::Many(_) => subject.part(&format!("by.{at}")),
            };
            let (own, other) = text.split_once("==").map_or((&**text, &**text), |(own, other)| (own.trim(), other.trim()));
            near.push(self.asof_column(subject.table, own, &context, &place, findings)?);
            line.push(self.asof_column(to, other, &context, &place, findings)?);
        }
        near.push(self.asof_column(subject.table, written.asof, &context, &subject.part("asof"), findings)?);
        line.push(self.asof_column(to, written.on, &context, &subject.part("on"), findings)?);
        self.comparable(written, to, (&near, &line), findings)?;
        Some(Relation::AsOf(AsOf { to, near, line }))
    }

    fn asof_column(&mut self, table: usize, name: &str, context: &str, place: &Place, findings: &mut Findings) -> Option<usize> {
        slips::warn_of_new(&self.tables[table], name, place, findings);
        let column = self.tables[table].column_or_dynamic(name);
        if column.is_none() {
            findings.error(place.clone(), unknown_column(&self.tables[table], name, context));
        }
        column
    }

    /// Whether what must be equal can be, and times have an order. The types of derived columns are not known yet.
    fn comparable(&self, written: &Written<'_>, to: usize, columns: (&[usize], &[usize]), findings: &mut Findings) -> Option<()> {
        let subject = written.subject;
        let (own, other) = (&self.tables[subject.table], &self.tables[to]);
        if own.derived || other.derived {
            return Some(());
        }
        let pairs = || columns.0.iter().zip(columns.1).map(|(near, line)| (&own.columns[*near], &other.columns[*line]));
        if let Some((near, line)) = pairs().find(|(near, line)| equal_type(&near.ty, &line.ty).is_none()) {
            let (a, b) =
                (format!("`{}` is {}", near.name, near.ty), format!("`{}` of `{}` is {}", line.name, other.name, line.ty));
            let problem = Problem::new(234, format!("{} cannot compare its columns: {a} and {b}", self.described(subject)));
            findings.error(subject.place(), problem.help("name columns of one type"));
            return None;
        }
        let time = pairs().next_back().and_then(|(near, line)| equal_type(&near.ty, &line.ty))?;
        if !has_order(&time) {
            let message = format!("{} needs a time, but `{}` is {time}", self.described(subject), written.asof);
            let problem = Problem::new(234, message).help("declare the column's type: timestamp, or a number");
            findings.error(subject.part("asof"), problem);
            return None;
        }
        Some(())
    }
}

/// Whether values of the type follow each other. Of what is not known yet the values decide.
fn has_order(ty: &Type) -> bool {
    ty.is_numeric() || matches!(ty, Type::Timestamp | Type::Duration | Type::Text | Type::Dyn | Type::Null)
}

impl World {
    /// The nodes at documents of `table` that hold the key of the row that a relation by time leads to.
    pub(super) fn nearest(&mut self, table: usize, asof: &AsOf, relation: &str) -> Vec<NodeId> {
        let near: Vec<NodeId> = asof.near.iter().map(|column| self.column_node(table, *column)).collect();
        let of: Vec<NodeId> = asof.line.iter().map(|column| self.column_node(asof.to, *column)).collect();
        let key = self.catalogue.tables[asof.to].key.clone().unwrap_or_default();
        let node = |(at, column): (usize, &usize)| {
            let column = self.catalogue.tables[asof.to].columns[*column].clone();
            let source = Source::Nearest { at, near: near.clone(), of: of.clone() };
            self.nodes.shared(table, source, column.ty, || format!("key of {relation}: {}", column.name))
        };
        key.iter().enumerate().map(node).collect()
    }
}
