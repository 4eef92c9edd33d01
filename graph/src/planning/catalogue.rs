//! The catalogue: which tables there are, with their keys, columns and relations.
//!
//! Three things make a table: a `[[table]]`, a schema discovered from a source, and a mention (a rule, a field's or an effect's
//! type). A discovered schema adds columns, types and key to the `[[table]]` it stands behind and closes its column list; a
//! discovered table that nothing mentions is left out. Where neither a `[[table]]` nor a schema exists, a mention makes an open table.
//!
//! Declared columns win over discovered ones. An open table takes any further column name, as a dynamic column.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use thalweg_formulas::{Problem, Type};

use super::derived::GroupDef;
use super::findings::{Findings, with_near_misses};
use super::goals;
use super::joins::{self, JoinDef};
use super::language;
use super::slips::{self, one_slip_apart};
use crate::plan::Column;
use crate::spec::{ClassifySpec, GraphSpec, Place, TableSpec};
use crate::transaction::Schema;

/// A document type while the plan is made.
pub(super) struct TableDef {
    pub(super) name: Arc<str>,
    /// The table behind it.
    pub(super) from: Arc<str>,
    /// Key columns; `None` = not known yet.
    pub(super) key: Option<Vec<usize>>,
    pub(super) columns: Vec<Column>,
    column_ids: HashMap<Arc<str>, usize>,
    /// How many of `columns` are declared; the rest were only read.
    pub(super) declared: usize,
    /// Whether `columns` is all there is.
    pub(super) closed: bool,
    pub(super) relations: BTreeMap<String, Relation>,
    /// Its `[[table]]`, if it has one.
    pub(super) spec: Option<usize>,
    /// Its rows are kept, not read; all its columns are key columns.
    pub(super) derived: bool,
    /// Its columns are known; a join's are not before those of its sides.
    pub(super) settled: bool,
}

/// A relation, names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Rows of `table` whose `columns` hold this table's key.
    Children { table: usize, columns: Vec<usize> },
    /// Rows of `table` that are in this derived document.
    Members { table: usize },
    /// The row of `to` whose key this table's `columns` hold.
    Lookup { to: usize, columns: Vec<usize> },
    /// The newest row of a table at this row's time.
    AsOf(AsOf),
    /// The elements of an array column.
    Json { column: usize },
    /// Refused already; nothing more is said about what reads it.
    Broken,
}

/// A relation by time, names resolved: columns of both tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AsOf {
    pub(super) to: usize,
    /// This table's columns that must be equal, then its time.
    pub(super) near: Vec<usize>,
    /// The other table's.
    pub(super) line: Vec<usize>,
}

impl TableDef {
    pub(super) fn new(name: impl Into<Arc<str>>, from: impl Into<Arc<str>>) -> TableDef {
        TableDef {
            name: name.into(),
            from: from.into(),
            key: None,
            columns: Vec::new(),
            column_ids: HashMap::new(),
            declared: 0,
            closed: false,
            relations: BTreeMap::new(),
            spec: None,
            derived: false,
            settled: true,
        }
    }

    /// The column called `name`.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.column_ids.get(name).copied()
    }

    /// The column called `name`, which an open table gets if it lacks it.
    pub(super) fn column_or_dynamic(&mut self, name: &str) -> Option<usize> {
        self.column(name).or_else(|| (!self.closed).then(|| self.add_column(name.into(), Type::Dyn)))
    }

    /// Adds a column that is not there yet.
    pub(super) fn add_column(&mut self, name: Arc<str>, ty: Type) -> usize {
        self.column_ids.insert(name.clone(), self.columns.len());
        self.columns.push(Column { name, ty });
        self.columns.len() - 1
    }

    /// The types of the key columns; dynamic for each of `arity` where the key is not known yet.
    pub(super) fn key_types(&self, arity: usize) -> Vec<Type> {
        match &self.key {
            Some(key) => key.iter().map(|column| self.columns[*column].ty.clone()).collect(),
            None => vec![Type::Dyn; arity],
        }
    }

    /// The names of its columns.
    pub(super) fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }
}

/// All tables, and the schemas that may become tables.
pub(super) struct Catalogue {
    pub(super) tables: Vec<TableDef>,
    /// Document type names, and the tables behind them, to positions in `tables`.
    names: HashMap<Arc<str>, usize>,
    known: Vec<Arc<Schema>>,
    /// Neither a `[[table]]` nor a schema exists, so a mention makes a table.
    open_world: bool,
}

/// What a mention of a table gives.
pub(super) enum Mention {
    /// The table.
    Table(usize),
    /// Several tables of different databases have this name.
    Ambiguous(Vec<Arc<str>>),
    /// There is none.
    Unknown,
}

impl Catalogue {
    /// Tables, keys, columns and relations of the definition.
    pub(super) fn build(
        spec: &GraphSpec,
        known: &[Arc<Schema>],
        findings: &mut Findings,
    ) -> (Catalogue, Vec<GroupDef>, Vec<JoinDef>) {
        let open_world = spec.tables.iter().all(|table| goals::is_own(&table.name)) && known.is_empty();
        let mut catalogue = Catalogue { tables: Vec::new(), names: HashMap::new(), known: known.to_vec(), open_world };
        spec.tables.iter().enumerate().for_each(|(ix, table)| catalogue.declare(ix, table, &spec.tables, findings));
        let joins = catalogue.declare_joins(spec, findings);
        spec.tables.iter().enumerate().for_each(|(ix, table)| catalogue.relate(ix, table, findings));
        let only_group = |table: &'_ TableSpec| table.join.is_none();
        let groups = spec.tables.iter().enumerate().filter(|(_, table)| only_group(table));
        let groups = groups.filter_map(|(ix, table)| Some((ix, table.group.as_ref()?)));
        let mut groups: Vec<GroupDef> = groups.filter_map(|(ix, group)| catalogue.relate_derived(ix, group, findings)).collect();
        for at in 0..groups.len() {
            let written = spec.tables[groups[at].spec].group.as_ref();
            groups.extend(written.and_then(|written| catalogue.declare_late(at, &groups[at], written, findings)));
        }
        catalogue.tables.iter_mut().for_each(|table| table.declared = table.columns.len());
        (catalogue, groups, joins)
    }

    /// The table of global fields: one document with the empty key.
    pub(super) fn global(&mut self) -> usize {
        if let Some(ix) = self.names.get("") {
            return *ix;
        }
        let mut table = TableDef::new("", "");
        table.key = Some(Vec::new());
        table.closed = true;
        self.add(table)
    }

    /// A table that never has a row; `None` if the name is taken.
    pub(super) fn add_rowless(&mut self, name: &str) -> Option<usize> {
        if !matches!(self.find(name), Mention::Unknown) {
            return None;
        }
        let mut table = TableDef::new(name, name);
        table.key = Some(Vec::new());
        table.closed = true;
        Some(self.add(table))
    }

    /// The table that a mention of `name` means, without making one in an open world.
    pub(super) fn find(&mut self, name: &str) -> Mention {
        if name.is_empty() {
            return Mention::Unknown;
        }
        if let Some(ix) = self.names.get(name) {
            return Mention::Table(*ix);
        }
        let found: Vec<Arc<Schema>> = self.known.iter().filter(|schema| &*schema.table == name).cloned().collect();
        let found = if found.is_empty() { self.known_as(name) } else { found };
        match found.as_slice() {
            [] => Mention::Unknown,
            [one] => Mention::Table(self.adopt(one)),
            several => Mention::Ambiguous(several.iter().map(|schema| schema.table.clone()).collect()),
        }
    }

    /// The table that a mention of `name` means; in an open world, a new open table.
    pub(super) fn mention(&mut self, name: &str) -> Mention {
        match self.find(name) {
            Mention::Unknown if self.open_world && !name.is_empty() => Mention::Table(self.add(TableDef::new(name, name))),
            mention => mention,
        }
    }

    /// [`Catalogue::mention`], with its problem said.
    pub(super) fn expect(&mut self, name: &str, context: &str, place: Place, findings: &mut Findings) -> Option<usize> {
        let mention = self.mention(name);
        self.resolved(mention, name, context, place, findings)
    }

    /// The table of a mention, with its problem said.
    pub(super) fn resolved(
        &self,
        mention: Mention,
        name: &str,
        context: &str,
        place: Place,
        findings: &mut Findings,
    ) -> Option<usize> {
        match mention {
            Mention::Table(ix) => Some(ix),
            Mention::Ambiguous(tables) => {
                let tables: Vec<&str> = tables.iter().map(|table| &**table).collect();
                let problem = Problem::new(238, format!("the table name `{name}` in {context} is ambiguous"));
                findings.error(place, problem.help(format!("write {}", super::findings::one_of(&tables))));
                None
            }
            Mention::Unknown => {
                findings.error(place, self.unknown_table(name, context));
                None
            }
        }
    }

    /// The table that a classification names. A rule that names its database may be read before any schema is known, so it makes
    /// an open table until the source has told its schemas.
    pub(super) fn classified(
        &mut self,
        ix: usize,
        rule: &ClassifySpec,
        rules: &[ClassifySpec],
        findings: &mut Findings,
    ) -> Option<usize> {
        let place = Place::Classify(ix, "table");
        let Some(database) = &rule.database else { return self.expect(&rule.table, "[[classify]]", place, findings) };
        let full = format!("{database}.{}", rule.table);
        match self.find(&full) {
            Mention::Unknown => {}
            mention => return self.resolved(mention, &full, "[[classify]]", place, findings),
        }
        // `database` on a declared document type without `from`: the table behind it was left out, and this tells it.
        if let Some(table) = self.names.get(&*rule.table).copied().filter(|t| !self.tables[*t].from.contains('.')) {
            self.names.insert(full.as_str().into(), table);
            self.tables[table].from = full.into();
            return Some(table);
        }
        if !self.known.is_empty() {
            findings.error(place, self.unknown_table(&full, "[[classify]]"));
            return None;
        }
        self.warn_of_slip(&full, place, findings);
        let same_name = |other: &ClassifySpec| other.table == rule.table && other.database != rule.database;
        let name = if rules.iter().any(same_name) { full.clone() } else { rule.table.clone() };
        Some(self.add(TableDef::new(name, full)))
    }

    /// A table that only a rule names may be a slip for a declared one.
    fn warn_of_slip(&self, full: &str, place: Place, findings: &mut Findings) {
        if let Some(near) = self.tables.iter().find(|table| one_slip_apart(full, &table.from)) {
            let problem =
                Problem::new(255, format!("table `{full}` is named here only")).help(format!("did you mean `{}`?", near.from));
            findings.warn(place, problem);
        }
    }

    /// The names by which tables can be mentioned, in order.
    pub(super) fn table_names(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.tables.iter().map(|table| table.name.to_string()).collect();
        names.extend(
            self.known.iter().filter(|schema| !self.names.contains_key(&schema.table)).map(|schema| self.default_name(schema)),
        );
        names.remove("");
        names.retain(|name| !goals::is_own(name));
        names.into_iter().collect()
    }

    /// "unknown table", with near misses.
    pub(super) fn unknown_table(&self, name: &str, context: &str) -> Problem {
        let names = self.table_names();
        let problem = Problem::new(230, format!("unknown table `{name}` in {context}"));
        let problem = with_near_misses(problem, name, "tables", names.iter().map(String::as_str));
        if problem.help.is_some() { problem } else { problem.help(format!("declare it: [[table]] name = \"{name}\"")) }
    }

    /// Known schemas whose table's own name is `name`.
    pub(super) fn known_as(&self, name: &str) -> Vec<Arc<Schema>> {
        self.known.iter().filter(|schema| own_name(&schema.table) == name).cloned().collect()
    }

    /// A document type for a discovered table.
    fn adopt(&mut self, schema: &Arc<Schema>) -> usize {
        if let Some(ix) = self.names.get(&schema.table) {
            return *ix;
        }
        let mut table = TableDef::new(self.default_name(schema), schema.table.clone());
        add_discovered(&mut table, schema);
        table.key = Some(schema.key.iter().map(|column| *column as usize).collect());
        self.add(table)
    }

    /// The table's own name; `db.table` where another table has the same.
    fn default_name(&self, schema: &Schema) -> String {
        let own = own_name(&schema.table);
        let taken = self.names.get(own).is_some_and(|ix| self.tables[*ix].from != schema.table);
        if taken || self.known_as(own).len() > 1 { schema.table.to_string() } else { own.to_owned() }
    }

    pub(super) fn add(&mut self, table: TableDef) -> usize {
        let ix = self.tables.len();
        self.names.entry(table.from.clone()).or_insert(ix);
        self.names.insert(table.name.clone(), ix);
        self.tables.push(table);
        ix
    }

    /// Adds a `[[table]]`, without its relations.
    fn declare(&mut self, ix: usize, spec: &TableSpec, all: &[TableSpec], findings: &mut Findings) {
        let Some(name) = declared_name(ix, spec, all, findings) else { return };
        if self.tables.iter().any(|table| *table.name == *name) {
            let problem = Problem::new(233, format!("table `{name}` is declared twice"));
            findings.error(Place::Table(ix, "name".into()), problem.help("give one of them another name"));
            return;
        }
        if spec.join.is_some() {
            self.refuse_source(ix, spec, &name, findings);
            if let Some(group) = &spec.group {
                let what = if group.closure { "closure" } else { "group" };
                let problem = Problem::new(256, format!("table `{name}` has both a `{what}` and a `join`"));
                findings.error(
                    Place::Table(ix, "group".into()),
                    problem.help(format!("make a table of each: a {what} may be of a join")),
                );
            }
            self.add(joins::blank(ix, &name));
            return;
        }
        if let Some(group) = &spec.group {
            let table = self.declare_derived(ix, spec, group, &name, findings);
            self.add(table);
            return;
        }
        let schema = self.schema_behind(ix, spec, &name, findings);
        let from = schema.as_ref().map(|schema| schema.table.to_string()).or_else(|| spec.from.clone());
        let mut table = TableDef::new(name.as_str(), from.unwrap_or_else(|| name.clone()));
        table.spec = Some(ix);
        if let Some(other) = self.tables.iter().find(|other| other.from == table.from) {
            let message = format!("tables `{}` and `{name}` are both made from `{}`", other.name, table.from);
            let problem = Problem::new(233, message).help("use one document type for a table");
            findings.error(Place::Table(ix, "from".into()), problem);
        }
        declare_columns(&mut table, ix, spec, schema.as_deref(), findings);
        table.declared = table.columns.len();
        table.key = declare_key(&mut table, ix, spec, schema.as_deref(), findings);
        table.declared = table.columns.len();
        self.add(table);
    }

    /// The discovered schema that a `[[table]]` describes.
    fn schema_behind(&self, ix: usize, spec: &TableSpec, name: &str, findings: &mut Findings) -> Option<Arc<Schema>> {
        let wanted = spec.from.as_deref().unwrap_or(name);
        if let Some(exact) = self.known.iter().find(|schema| &*schema.table == wanted) {
            return Some(exact.clone());
        }
        match self.known_as(wanted).as_slice() {
            [one] => Some(one.clone()),
            [] => {
                if spec.from.is_some() && !self.known.is_empty() {
                    let problem = Problem::new(230, format!("unknown table `{wanted}` behind `{name}`"));
                    let tables = self.known.iter().map(|schema| &*schema.table);
                    findings.error(Place::Table(ix, "from".into()), with_near_misses(problem, wanted, "tables", tables));
                }
                None
            }
            several => {
                let tables: Vec<&str> = several.iter().map(|schema| &*schema.table).collect();
                let problem = Problem::new(238, format!("the table name `{wanted}` behind `{name}` is ambiguous"))
                    .help(format!("write from = {}", super::findings::one_of(&tables)));
                findings.error(Place::Table(ix, "from".into()), problem);
                None
            }
        }
    }
}

/// What follows the database in `db.table`.
fn own_name(table: &str) -> &str {
    table.rsplit_once('.').map_or(table, |(_, own)| own)
}

/// The document type's name: as written, else the table's own name, `db.table` where another `[[table]]` has the same.
fn declared_name(ix: usize, spec: &TableSpec, all: &[TableSpec], findings: &mut Findings) -> Option<String> {
    if !spec.name.is_empty() {
        return Some(spec.name.clone());
    }
    let Some(from) = spec.from.as_deref().filter(|from| !from.is_empty()) else {
        let problem = Problem::new(237, "a table needs a name").help("write name = \"Order\", or from = \"database.table\"");
        findings.error(Place::Table(ix, "name".into()), problem);
        return None;
    };
    let own = own_name(from);
    let same = |(other_ix, other): (usize, &TableSpec)| {
        other_ix != ix && (other.name == own || other.name.is_empty() && other.from.as_deref().map(own_name) == Some(own))
    };
    Some(if all.iter().enumerate().any(same) { from.to_owned() } else { own.to_owned() })
}

/// Adds a schema's columns that are not declared, and closes the list.
fn add_discovered(table: &mut TableDef, schema: &Schema) {
    for column in &schema.columns {
        if table.column(&column.name).is_none() {
            table.add_column(column.name.clone(), column.ty.clone());
        }
    }
    table.closed = true;
    table.declared = table.columns.len();
}

/// The columns of a `[[table]]`: in the source's order where it is known, with the declared types.
fn declare_columns(table: &mut TableDef, ix: usize, spec: &TableSpec, schema: Option<&Schema>, findings: &mut Findings) {
    let discovered = schema.iter().flat_map(|schema| &schema.columns).map(|column| column.name.to_string());
    let order: Vec<String> = discovered.chain(spec.column_order.iter().cloned()).chain(spec.columns.keys().cloned()).collect();
    for name in order {
        if table.column(&name).is_some() {
            continue;
        }
        let place = || Place::Table(ix, format!("columns.{name}"));
        let source = schema.map(|schema| schema.columns.iter().find(|column| *column.name == *name));
        if let (Some(None), Some(schema)) = (&source, schema) {
            let problem = Problem::new(231, format!("table `{}` has no column `{name}`", schema.table));
            let columns = schema.columns.iter().map(|column| &*column.name);
            findings.error(place(), with_near_misses(problem, &name, "columns", columns));
        }
        let declared = spec.columns.get(&name).map(|text| language::parse_type(text));
        let ty = match declared {
            Some(Ok(ty)) => ty,
            Some(Err(problem)) => {
                findings.error(place(), problem);
                Type::Dyn
            }
            None => source.flatten().map_or(Type::Dyn, |column| column.ty.clone()),
        };
        table.add_column(name.into(), ty);
    }
    table.closed = spec.closed || schema.is_some();
}

/// The key of a `[[table]]`: as written, else the source's.
fn declare_key(
    table: &mut TableDef,
    ix: usize,
    spec: &TableSpec,
    schema: Option<&Schema>,
    findings: &mut Findings,
) -> Option<Vec<usize>> {
    let Some(names) = &spec.key else {
        // Declared columns are laid out in the source's order, so positions agree.
        return schema.map(|schema| schema.key.iter().map(|column| *column as usize).collect());
    };
    let mut key = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let place = Place::Table(ix, format!("key.{at}"));
        slips::warn_of_new(table, name, &place, findings);
        match table.column_or_dynamic(name) {
            Some(_) if name.is_empty() => {
                let problem = Problem::new(237, format!("the key of `{}` names a column without a name", table.name));
                findings.error(place, problem.help("write key = [\"id\"]; a table without a key has key = []"));
            }
            Some(column) if key.contains(&column) => {
                let problem = Problem::new(233, format!("column `{name}` stands twice in the key of `{}`", table.name));
                findings.error(place, problem.help("name each key column once"));
            }
            Some(column) => key.push(column),
            None => findings.error(place, unknown_column(table, name, &format!("the key of `{}`", table.name))),
        }
    }
    Some(key)
}

/// "unknown column", with near misses.
pub(super) fn unknown_column(table: &TableDef, name: &str, context: &str) -> Problem {
    let problem = Problem::new(231, format!("table `{}` has no column `{name}`, which {context} names", table.name));
    with_near_misses(problem, name, "columns", table.column_names())
}
