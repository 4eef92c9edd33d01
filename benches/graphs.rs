//! Graphs and rows for the benches. Schemas are made once and shared, so that the harness is not what is measured.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{BySpec, FieldSpec, GraphSpec, GroupSpec, JoinSpec, OneOrMany, RelationSpec, TableSpec, WindowSpec};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Plan, Row, Schema, Transaction};

/// A document type and the layout of its rows. The first column is the key.
#[derive(Clone, Debug)]
pub struct Doc {
    spec: TableSpec,
    schema: Arc<Schema>,
}

impl Doc {
    /// A document type with these columns, types as a definition writes them.
    ///
    /// # Panics
    /// If a type is none.
    pub fn new(name: &str, columns: &[(&str, &str)]) -> Doc {
        let typed = |(name, ty): &(&str, &str)| SchemaColumn::new((*name).into(), Type::parse(ty).expect("a type"));
        let schema = Schema { table: name.into(), columns: columns.iter().map(typed).collect(), key: vec![0] };
        let spec = TableSpec {
            name: name.into(),
            key: Some(vec![columns[0].0.into()]),
            columns: columns.iter().map(|(name, ty)| ((*name).into(), (*ty).into())).collect(),
            column_order: columns.iter().map(|(name, _)| (*name).into()).collect(),
            ..TableSpec::default()
        };
        Doc { spec, schema: Arc::new(schema) }
    }

    /// The table behind it, `db.table`.
    pub fn from(mut self, table: &str) -> Doc {
        self.spec.from = Some(table.into());
        self
    }

    /// A document type that is kept, not read: one document for each key that rows of `of` have, whose rows are its relation `rows`.
    /// `by` names the key columns and what they hold.
    pub fn group(name: &str, of: &str, by: &[(&str, &str)], rows: &str) -> Doc {
        let by = by.iter().map(|(column, formula)| ((*column).into(), (*formula).into())).collect();
        let group = GroupSpec { of: of.into(), by: BySpec::Named(by), rows: Some(rows.into()), ..GroupSpec::default() };
        Doc::kept(TableSpec { name: name.into(), group: Some(group), ..TableSpec::default() })
    }

    /// A document type that is kept: one document for each two rows whose `on` is equal.
    pub fn join(name: &str, left: &str, right: &str, on: &[&str]) -> Doc {
        let on = OneOrMany::Many(on.iter().map(|part| (*part).into()).collect());
        let join = JoinSpec { left: left.into(), right: right.into(), on, ..JoinSpec::default() };
        Doc::kept(TableSpec { name: name.into(), join: Some(join), ..TableSpec::default() })
    }

    fn kept(spec: TableSpec) -> Doc {
        let schema = Schema { table: spec.name.as_str().into(), columns: Vec::new(), key: Vec::new() };
        Doc { spec, schema: Arc::new(schema) }
    }

    /// Of a group: windows of time over the rows' `on`, so long and so far apart, both as delays are written.
    pub fn windows(mut self, on: &str, size: &str, slide: Option<&str>) -> Doc {
        let window = WindowSpec { on: on.into(), size: Some(size.into()), slide: slide.map(Into::into), ..WindowSpec::default() };
        self.spec.group.get_or_insert_default().window = Some(window);
        self
    }

    /// Of a group: the condition that its rows meet.
    pub fn only(mut self, filter: &str) -> Doc {
        self.spec.group.get_or_insert_default().filter = Some(filter.into());
        self
    }

    /// Child rows: `table`'s column `key` holds this document's key.
    pub fn children(mut self, name: &str, table: &str, key: &str) -> Doc {
        let relation = RelationSpec::Children { table: table.into(), key: OneOrMany::One(key.into()) };
        self.spec.relations.insert(name.into(), relation);
        self
    }

    /// A reference: this document's column `key` holds `table`'s key.
    pub fn lookup(self, name: &str, table: &str, key: &str) -> Doc {
        self.lookup_by(name, table, &[key])
    }

    /// The same with a key of several columns.
    pub fn lookup_by(mut self, name: &str, table: &str, key: &[&str]) -> Doc {
        let key = OneOrMany::Many(key.iter().map(|column| (*column).into()).collect());
        let relation = RelationSpec::Lookup { to: table.into(), key };
        self.spec.relations.insert(name.into(), relation);
        self
    }

    /// A new row.
    pub fn insert<const N: usize>(&self, row: [Value; N]) -> Change {
        Change { schema: self.schema.clone(), op: Op::Insert, key: None, before: None, after: Some(image(row)) }
    }

    /// A changed row, with both images, as a binary log has it.
    pub fn update<const N: usize>(&self, before: [Value; N], after: [Value; N]) -> Change {
        Change { schema: self.schema.clone(), op: Op::Update, key: None, before: Some(image(before)), after: Some(image(after)) }
    }
}

fn image<const N: usize>(row: [Value; N]) -> Row {
    row.into_iter().map(Some).collect()
}

/// An engine over documents and fields.
///
/// # Panics
/// If the definition has errors.
pub fn engine(docs: &[&Doc], fields: &[(&str, &str)]) -> Engine {
    engine_with(docs, fields, Options::default())
}

/// The same with options.
///
/// # Panics
/// If the definition has errors.
pub fn engine_with(docs: &[&Doc], fields: &[(&str, &str)], options: Options) -> Engine {
    Engine::new(plan_of(docs, fields), options)
}

/// The plan of documents and fields.
///
/// # Panics
/// If the definition has errors.
pub fn plan_of(docs: &[&Doc], fields: &[(&str, &str)]) -> Arc<Plan> {
    let field =
        |(name, formula): &(&str, &str)| FieldSpec { name: (*name).into(), formula: (*formula).into(), ..FieldSpec::default() };
    let spec = GraphSpec {
        tables: docs.iter().map(|doc| doc.spec.clone()).collect(),
        fields: fields.iter().map(field).collect(),
        ..GraphSpec::default()
    };
    let (plan, _) = plan(&spec, &[]).unwrap_or_else(|findings| panic!("{findings:#?}"));
    Arc::new(plan)
}

/// Makes transactions: each takes one row or many.
pub struct Transactions {
    empty: Arc<str>,
}

impl Default for Transactions {
    fn default() -> Self {
        Transactions { empty: "".into() }
    }
}

impl Transactions {
    /// One change: one epoch.
    pub fn one(&self, change: Change) -> Transaction {
        self.of(Body::Changes(vec![change]))
    }

    /// Each edit as a transaction of its own.
    pub fn each<E>(&self, edits: &[E], change: impl Fn(&E) -> Change) -> Vec<Transaction> {
        edits.iter().map(|edit| self.one(change(edit))).collect()
    }

    /// Several changes: one epoch.
    pub fn all(&self, changes: Vec<Change>) -> Transaction {
        self.of(Body::Changes(changes))
    }

    /// Rows that were there before: one epoch.
    pub fn fill(&self, rows: Vec<Change>) -> Transaction {
        self.of(Body::Fill(rows))
    }

    fn of(&self, body: Body) -> Transaction {
        Transaction { source: self.empty.clone(), origin: self.empty.clone(), at: Timestamp(0), body }
    }
}

/// An amount of money.
pub fn cents(n: i64) -> Value {
    Value::Decimal(Decimal::Small { mantissa: n, scale: 2 })
}

/// An amount of money as an engine reads it.
///
/// # Panics
/// If it is none.
pub fn in_cents(cell: Option<thalweg_formulas::Cell>) -> i64 {
    match cell {
        Some(Ok(Value::Decimal(Decimal::Small { mantissa, scale: 2 }))) => mantissa,
        Some(Ok(Value::Null)) | None => 0,
        other => panic!("an amount of money is expected, not {other:?}"),
    }
}

/// A number as an engine reads it.
///
/// # Panics
/// If it is none.
pub fn double(cell: Option<thalweg_formulas::Cell>) -> f64 {
    match cell {
        Some(Ok(Value::Double(x))) => x,
        other => panic!("a double is expected, not {other:?}"),
    }
}
