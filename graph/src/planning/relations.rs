//! Relations of declared tables: children, lookups, JSON arrays.
//!
//! A relation holds columns of one table against the key of another, column by column: as many columns as the key has, in the key's order.

use thalweg_formulas::{Problem, Type};

use super::catalogue::{Catalogue, Relation, unknown_column};
use super::findings::Findings;
use crate::spec::{OneOrMany, Place, RelationSpec, TableSpec};

impl Catalogue {
    /// Resolves the relations of `[[table]]` number `ix`. Each ends up in its table, broken if it was refused.
    pub(super) fn relate(&mut self, ix: usize, spec: &TableSpec, findings: &mut Findings) {
        let Some(table) = self.tables.iter().position(|table| table.spec == Some(ix)) else { return };
        for (name, relation) in &spec.relations {
            let place = Place::Table(ix, format!("relations.{name}"));
            let resolved = self.relation(table, name, relation, &place, findings).unwrap_or(Relation::Broken);
            let alias = matches!(&resolved, Relation::Json { column } if *self.tables[table].columns[*column].name == **name);
            if self.tables[table].column(name).is_some() && !alias {
                let message = format!("`{}` has both a column and a relation called `{name}`", self.tables[table].name);
                findings.error(place, Problem::new(233, message).help("give the relation another name"));
            }
            self.tables[table].relations.insert(name.clone(), resolved);
        }
    }

    fn relation(
        &mut self,
        table: usize,
        name: &str,
        spec: &RelationSpec,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<Relation> {
        let context = format!("relation `{name}` of `{}`", self.tables[table].name);
        match spec {
            RelationSpec::Children { table: child, key } => {
                let child = self.expect(child, &context, place.clone(), findings)?;
                let columns = self.relation_columns(child, key, &context, place, findings)?;
                self.matches_key(table, &columns, child, &context, place, findings)?;
                Some(Relation::Children { table: child, columns })
            }
            RelationSpec::Lookup { to, key } => {
                let to = self.expect(to, &context, place.clone(), findings)?;
                let columns = self.relation_columns(table, key, &context, place, findings)?;
                self.matches_key(to, &columns, table, &context, place, findings)?;
                Some(Relation::Lookup { to, columns })
            }
            RelationSpec::Json { json, key: _ } => self.json_relation(table, json, &context, place, findings),
        }
    }

    /// The columns that a relation names, each of them there.
    fn relation_columns(
        &mut self,
        table: usize,
        key: &OneOrMany,
        context: &str,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<Vec<usize>> {
        let mut columns = Vec::new();
        for name in key.names() {
            match self.tables[table].column_or_dynamic(name) {
                Some(column) => columns.push(column),
                None => findings.error(place.clone(), unknown_column(&self.tables[table], name, context)),
            }
        }
        (columns.len() == key.names().len()).then_some(columns)
    }

    /// Whether `columns` of `holder` can hold the key of `owner`.
    fn matches_key(
        &self,
        owner: usize,
        columns: &[usize],
        holder: usize,
        context: &str,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<()> {
        let Some(key) = &self.tables[owner].key else { return Some(()) };
        let owner = &self.tables[owner];
        let problem = if key.is_empty() {
            Problem::new(236, format!("{context} needs a key on `{}`, which has none", owner.name))
                .help(format!("declare it: key = [\"id\"] in [[table]] \"{}\"", owner.name))
        } else if key.len() != columns.len() {
            let wanted: Vec<&str> = key.iter().map(|column| &*owner.columns[*column].name).collect();
            let message = format!(
                "{context} names {} of `{}`, but the key of `{}` has {}",
                counted(columns.len()),
                self.tables[holder].name,
                owner.name,
                counted(key.len())
            );
            Problem::new(232, message).help(format!("name one column for each of: {}", wanted.join(", ")))
        } else {
            return Some(());
        };
        findings.error(place.clone(), problem);
        None
    }

    fn json_relation(
        &mut self,
        table: usize,
        json: &str,
        context: &str,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<Relation> {
        let Some(column) = self.tables[table].column_or_dynamic(json) else {
            findings.error(place.clone(), unknown_column(&self.tables[table], json, context));
            return None;
        };
        let ty = &self.tables[table].columns[column].ty;
        if !matches!(ty, Type::Dyn | Type::List(_)) {
            let problem = Problem::new(234, format!("{context} needs an array, but column `{json}` is {ty}"))
                .help("name a JSON column, or declare its type: list(dyn)");
            findings.error(place.clone(), problem);
            return None;
        }
        Some(Relation::Json { column })
    }
}

/// "1 column", "2 columns".
fn counted(n: usize) -> String {
    if n == 1 { "1 column".into() } else { format!("{n} columns") }
}
