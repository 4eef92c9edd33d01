//! Relations of declared tables: children, lookups, JSON arrays.
//!
//! A relation holds columns of one table against the key of another, column by column: as many columns as the key has, in the key's order.

use thalweg_formulas::{Problem, Type};

use super::asof::Written;
use super::catalogue::{Catalogue, Relation, unknown_column};
use super::findings::Findings;
use super::slips;
use crate::spec::{OneOrMany, Place, RelationSpec, TableSpec};

/// The relation that is being read.
pub(super) struct Subject<'a> {
    /// Its `[[table]]`, in the definition and in the catalogue.
    spec: usize,
    pub(super) table: usize,
    name: &'a str,
}

impl Subject<'_> {
    fn asof<'a>(&'a self, to: &'a str, asof: &'a str, on: Option<&'a str>, by: &'a OneOrMany) -> Written<'a> {
        Written { subject: self, to, asof, on: on.unwrap_or(asof), by }
    }

    pub(super) fn place(&self) -> Place {
        Place::Table(self.spec, format!("relations.{}", self.name))
    }

    pub(super) fn part(&self, key: &str) -> Place {
        Place::Table(self.spec, format!("relations.{}.{key}", self.name))
    }
}

impl Catalogue {
    /// Resolves the relations of `[[table]]` number `ix`. Each ends up in its table, broken if it was refused.
    pub(super) fn relate(&mut self, ix: usize, spec: &TableSpec, findings: &mut Findings) {
        let Some(table) = self.tables.iter().position(|table| table.spec == Some(ix)) else { return };
        for (name, relation) in &spec.relations {
            let subject = Subject { spec: ix, table, name };
            let resolved = self.relation(&subject, relation, findings).unwrap_or(Relation::Broken);
            let alias = matches!(&resolved, Relation::Json { column } if *self.tables[table].columns[*column].name == **name);
            if self.tables[table].column(name).is_some() && !alias {
                let message = format!("`{}` has both a column and a relation called `{name}`", self.tables[table].name);
                findings.error(subject.place(), Problem::new(233, message).help("give the relation another name"));
            }
            self.tables[table].relations.insert(name.clone(), resolved);
        }
    }

    /// The relation as messages call it.
    pub(super) fn described(&self, subject: &Subject<'_>) -> String {
        format!("relation `{}` of `{}`", subject.name, self.tables[subject.table].name)
    }

    fn relation(&mut self, subject: &Subject<'_>, spec: &RelationSpec, findings: &mut Findings) -> Option<Relation> {
        let context = self.described(subject);
        match spec {
            RelationSpec::Children { table: child, key } => {
                let child = self.expect(child, &context, subject.part("table"), findings)?;
                let columns = self.relation_columns(child, key, subject, findings)?;
                self.matches_key(subject.table, &columns, child, subject, findings)?;
                Some(Relation::Children { table: child, columns })
            }
            RelationSpec::Lookup { to, key } => {
                let to = self.expect(to, &context, subject.part("to"), findings)?;
                let columns = self.relation_columns(subject.table, key, subject, findings)?;
                self.matches_key(to, &columns, subject.table, subject, findings)?;
                Some(Relation::Lookup { to, columns })
            }
            RelationSpec::AsOf { to, asof, on, by } => self.relate_asof(&subject.asof(to, asof, on.as_deref(), by), findings),
            RelationSpec::Json { json, key: _ } => self.json_relation(json, subject, findings),
        }
    }

    /// The columns of `table` that a relation names, each of them there, each once.
    fn relation_columns(
        &mut self,
        table: usize,
        key: &OneOrMany,
        subject: &Subject<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<usize>> {
        let context = self.described(subject);
        let mut columns = Vec::new();
        for (at, name) in key.names().iter().enumerate() {
            let place = subject.part(&format!("key.{at}"));
            slips::warn_of_new(&self.tables[table], name, &place, findings);
            match self.tables[table].column_or_dynamic(name) {
                Some(column) if columns.contains(&column) => {
                    let problem = Problem::new(233, format!("column `{name}` stands twice in {context}"));
                    findings.error(place, problem.help("name one column for each column of the key"));
                }
                Some(column) => columns.push(column),
                None => findings.error(place, unknown_column(&self.tables[table], name, &context)),
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
        subject: &Subject<'_>,
        findings: &mut Findings,
    ) -> Option<()> {
        let context = self.described(subject);
        let Some(key) = &self.tables[owner].key else { return Some(()) };
        let owner = &self.tables[owner];
        if key.is_empty() {
            let problem = Problem::new(236, format!("{context} needs a key on `{}`, which has none", owner.name))
                .help(format!("declare it: key = [\"id\"] in [[table]] \"{}\"", owner.name));
            findings.error(subject.place(), problem);
            return None;
        }
        if key.len() != columns.len() {
            let wanted: Vec<&str> = key.iter().map(|column| &*owner.columns[*column].name).collect();
            let message = format!(
                "{context} names {} of `{}`, but the key of `{}` has {}",
                counted(columns.len()),
                self.tables[holder].name,
                owner.name,
                counted(key.len())
            );
            let problem = Problem::new(232, message).help(format!("name one column for each of: {}", wanted.join(", ")));
            findings.error(subject.part("key"), problem);
            return None;
        }
        Some(())
    }

    fn json_relation(&mut self, json: &str, subject: &Subject<'_>, findings: &mut Findings) -> Option<Relation> {
        let context = self.described(subject);
        let place = subject.part("json");
        let table = &mut self.tables[subject.table];
        slips::warn_of_new(table, json, &place, findings);
        let Some(column) = table.column_or_dynamic(json) else {
            findings.error(place, unknown_column(table, json, &context));
            return None;
        };
        let ty = &table.columns[column].ty;
        if !matches!(ty, Type::Dyn | Type::List(_)) {
            let problem = Problem::new(234, format!("{context} needs an array, but column `{json}` is {ty}"))
                .help("name a JSON column, or declare its type: list(dyn)");
            findings.error(place, problem);
            return None;
        }
        Some(Relation::Json { column })
    }
}

/// "1 column", "2 columns".
fn counted(n: usize) -> String {
    if n == 1 { "1 column".into() } else { format!("{n} columns") }
}
