//! The source of kind `deliveries`: what becomes of deliveries, as rows of the table `thalweg.deliveries`.
//!
//! A delivery that is acked, dead or cancelled, or a dead letter that is delivered again, is a row by its id, in a transaction of its own. So
//! formulas and rules read outcomes as they read any data: a dead letter is an event, and an answer that somebody gave is a value.
//!
//! The store notes each such move in the commit that makes it ([`thalweg_graph::ports::Store::follow`]), and keeps it until the commit
//! that holds this source's position beyond it: nothing is lost or told twice by a crash between the two.
//!
//! Invariants:
//! - INV-SETTLED-1: the store's other end is not held while the queue is waited for: a session that ends waits for all who hold it.
//! - INV-SETTLED-2: the transaction says which delivery caused it and how deep its chain is, so what fires on it is one deeper. What would be
//!   deeper than [`DEPTH_MAX`] is passed over: it is a loop.

use std::sync::Arc;

use thalweg_formulas::{Type, Value, json};
use thalweg_graph::cause::{Cause, DEPTH_MAX};
use thalweg_graph::ports::{BoxFuture, Outlet, Settled, Source, SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, Row, SchemaColumn};
use thalweg_graph::{Change, Op, Schema, Transaction};
use tokio::sync::watch;

use super::commit::Outbox;

/// The table, as other sources call theirs.
pub const TABLE: &str = "thalweg.deliveries";

/// Rows that are asked for at once.
const ASKED_MAX: usize = 256;

/// Where the source finds the store of the session that runs. Clones are the same.
#[derive(Clone, Default)]
pub struct Hatch(Arc<watch::Sender<Option<Outbox>>>);

impl Hatch {
    /// A session begins, or (with `None`) ends.
    pub(super) fn serve(&self, outbox: Option<Outbox>) {
        self.0.send_replace(outbox);
    }
}

/// Follows what becomes of deliveries.
pub(super) struct DeliveriesSource {
    name: Arc<str>,
    hatch: Hatch,
    schema: Arc<Schema>,
}

impl DeliveriesSource {
    pub(super) fn new(name: Arc<str>, hatch: Hatch) -> DeliveriesSource {
        DeliveriesSource { name, hatch, schema: schema() }
    }

    /// The transaction that tells it; `None` where its chain is too deep.
    fn transaction(&self, settled: &Settled) -> Option<Transaction> {
        let depth = settled.depth + 1;
        if depth > DEPTH_MAX {
            let (rule, id) = (&settled.row.node, &settled.row.id);
            tracing::warn!(
                "E0526: {depth} effects follow from each other, so this is a loop: what became of delivery {id} of `{rule}` is not told"
            );
            return None;
        }
        let own = format!("{}-{}-{}", settled.row.id, settled.state.name(), settled.at.0);
        let origin = Cause { id: settled.row.id.to_string(), depth }.mark(&own).into();
        let change = Change { schema: self.schema.clone(), op: Op::Upsert, key: None, before: None, after: Some(image(settled)) };
        Some(Transaction { source: self.name.clone(), origin, at: settled.at, body: Body::Changes(vec![change]) })
    }

    /// Hands over what has come after number `after`, as far as a session tells it; gives the last number. `None`: nobody listens.
    async fn tell(&self, after: u64, outlet: &dyn Outlet, sessions: &mut watch::Receiver<Option<Outbox>>) -> Option<u64> {
        let outbox = sessions.wait_for(Option::is_some).await.ok()?.clone()?;
        let settled = outbox.settled(after, ASKED_MAX).await.unwrap_or_default();
        if settled.is_empty() {
            tokio::select! {
                () = outbox.moved.notified() => {}
                _ = sessions.changed() => {}
            }
            return Some(after);
        }
        drop(outbox); // INV-SETTLED-1
        for settled in &settled {
            let position = settled.number.to_string().into();
            let message = match self.transaction(settled) {
                Some(transaction) => SourceMessage::Transaction(transaction, position),
                None => SourceMessage::Position(position),
            };
            if !outlet.send(message).await {
                return None;
            }
        }
        settled.last().map(|last| last.number)
    }
}

impl Source for DeliveriesSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let first = [SourceMessage::Schemas(vec![self.schema.clone()]), SourceMessage::Status(SourceStatus::Live(true))];
            for message in first {
                if !outlet.send(message).await {
                    return;
                }
            }
            let mut sessions = self.hatch.0.subscribe();
            let mut after = position.and_then(|position| position.parse().ok());
            while let Some(next) = self.tell(after.unwrap_or(0), outlet.as_ref(), &mut sessions).await {
                after = Some(next);
            }
        })
    }
}

const COLUMNS: [(&str, Type); 11] = [
    ("id", Type::Text),
    ("rule", Type::Text),
    ("action", Type::Int),
    ("key", Type::Text),
    ("subject", Type::Dyn),
    ("state", Type::Text),
    ("result", Type::Text),
    ("error", Type::Text),
    ("attempts", Type::Int),
    ("fired_at", Type::Timestamp),
    ("at", Type::Timestamp),
];

/// The table's layout; its key is the delivery's id.
pub fn schema() -> Arc<Schema> {
    let columns = COLUMNS.map(|(name, ty)| SchemaColumn::new(name.into(), ty)).into();
    Arc::new(Schema { table: TABLE.into(), columns, key: vec![0] })
}

fn image(settled: &Settled) -> Row {
    let Settled { row, state, attempts, result, error, fired_at, at, .. } = settled;
    let said = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
    let values = [
        Value::text(row.id.clone()),
        Value::text(row.node.clone()),
        Value::Int(row.action.into()),
        Value::text(row.key.clone()),
        subject(&row.key),
        Value::text(state.name()),
        said(result),
        said(error),
        Value::Int((*attempts).into()),
        Value::Timestamp(*fired_at),
        Value::Timestamp(*at),
    ];
    values.into_iter().map(Some).collect()
}

/// The key where it is of one column; none elsewhere.
fn subject(key: &str) -> Value {
    match json::parse(key) {
        Ok(Value::List(columns)) if columns.len() == 1 => columns[0].clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_column_is_a_subject() {
        let decimal = r#"[{"$decimal":"2.50"}]"#;
        let subjects = [r#"["D-1"]"#, "[7]", decimal, r#"["a",1]"#, "[]", "no list"].map(subject);
        let shown: Vec<String> = subjects.iter().map(json::display).collect();
        assert_eq!(shown, [r#""D-1""#, "7", "2.50", "null", "null", "null"]);
        assert_eq!(subjects[1], Value::Int(7));
    }
}
