//! Plans written out by hand, and transactions in one line.

use std::sync::Arc;

use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::{Expr, ExprKind, InputId, Timestamp, Type, Value};
use thalweg_graph::plan::*;
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Row, Schema, Transaction};

pub fn input(slot: u32, ty: Type) -> Expr {
    Expr::new(ExprKind::Input(InputId(slot)), ty)
}

pub fn constant(value: impl Into<Value>, ty: Type) -> Expr {
    Expr::new(ExprKind::Const(value.into()), ty)
}

pub fn binary(op: BinaryOp, a: Expr, b: Expr, ty: Type) -> Expr {
    Expr::new(ExprKind::Binary(op, a, b), ty)
}

pub fn slot(name: &str, ty: Type, source: SlotSource) -> Slot {
    Slot { name: name.into(), ty, source }
}

pub fn table(name: &str, key: &[u32], columns: &[(&str, Type)], home: u32) -> Table {
    Table {
        name: name.into(),
        from: name.into(),
        key: Some(key.iter().map(|at| ColumnId(*at)).collect()),
        columns: columns.iter().map(|(name, ty)| Column { name: (*name).into(), ty: ty.clone() }).collect(),
        home: Some(RegionId(home)),
        whole_rows: false,
        kept_by: None,
        paired_by: None,
    }
}

pub fn field(name: &str, table: u32, region: u32, slot: u32, ty: Type) -> Field {
    Field {
        name: name.into(),
        table: TableId(table),
        formula: "".into(),
        ty,
        region: RegionId(region),
        slot: SlotId(slot),
        reads: vec![],
        maintenance: Maintenance::Incremental(String::new()),
        published: None,
        lazy: None,
    }
}

pub fn formula(slot: u32, expr: Expr, field: Option<u32>) -> Cell {
    Cell { slot: SlotId(slot), expr, kind: CellKind::Formula, waits: false, field: field.map(FieldId) }
}

pub fn schema(table: &str, columns: &[&str], key: &[u32]) -> Arc<Schema> {
    let columns = columns.iter().map(|name| SchemaColumn::new((*name).into(), Type::Dyn)).collect();
    Arc::new(Schema { table: table.into(), columns, key: key.to_vec() })
}

pub fn row<const N: usize>(values: [Value; N]) -> Row {
    values.into_iter().map(Some).collect()
}

pub fn change(schema: &Arc<Schema>, op: Op, before: Option<Row>, after: Option<Row>) -> Change {
    Change { schema: schema.clone(), op, key: None, before, after }
}

pub fn tx(changes: Vec<Change>) -> Transaction {
    Transaction { source: "".into(), origin: "t".into(), at: Timestamp(0), body: Body::Changes(changes) }
}
