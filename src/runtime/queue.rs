//! The bound on what waits between the sources and the disk: by number, and by what the transactions hold.
//!
//! A number alone is no bound: four thousand transactions of fifteen megabytes are sixty gigabytes. So a transaction that is large takes
//! its share of [`HELD`] before it enters, and gives it back when its commit is done.
//!
//! - INV-QUEUE-1: the large transactions that wait in the queue, in the sequencer and for the disk hold at most [`HELD`] bytes
//!   together, or are one that alone is larger. Those below [`LARGE`] are bounded by their number.
//!
//! Cost: a look at each cell; what is small takes no turn.

use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_graph::Row;
use thalweg_graph::ports::SourceMessage;
use thalweg_graph::transaction::{Body, Change};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What large transactions may hold together.
pub const HELD: usize = 256 << 20;
/// A transaction that holds so much is large.
pub const LARGE: usize = 64 << 10;

/// Where messages enter the queue.
#[derive(Clone, Debug)]
pub struct Gate {
    shares: Arc<Semaphore>,
    all: u32,
}

/// A message's share of what may be held; dropping it gives it back. Small messages have none.
#[derive(Debug, Default)]
pub struct Held {
    _share: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Whether it holds a share.
    pub fn is_some(&self) -> bool {
        self._share.is_some()
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::of(HELD)
    }
}

impl Gate {
    /// A gate behind which large messages hold so many bytes together.
    pub fn of(bytes: usize) -> Gate {
        let all = u32::try_from(bytes / LARGE).unwrap_or(u32::MAX).max(1);
        Gate { shares: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until there is room for the message; what is larger than all there is goes alone.
    pub async fn enter(&self, message: &SourceMessage) -> Held {
        let shares = u32::try_from(size(message) / LARGE).unwrap_or(u32::MAX).min(self.all);
        if shares == 0 {
            return Held::default();
        }
        // The semaphore is never closed.
        Held { _share: self.shares.clone().acquire_many_owned(shares).await.ok() }
    }
}

/// About how many bytes a message holds. What is spilled lies in a file.
fn size(message: &SourceMessage) -> usize {
    match message {
        SourceMessage::Transaction(transaction, _) => match &transaction.body {
            Body::Changes(changes) | Body::Fill(changes) => changes.iter().map(of_change).sum(),
            Body::Spilled(_) | Body::Timer(_) => 0,
        },
        _ => 0,
    }
}

fn of_change(change: &Change) -> usize {
    size_of::<Change>() + [&change.before, &change.after].into_iter().flatten().map(of_row).sum::<usize>()
}

fn of_row(row: &Row) -> usize {
    row.iter().map(|cell| size_of::<Option<Value>>() + cell.as_ref().map_or(0, beyond)).sum()
}

/// What a value holds beside itself.
fn beyond(value: &Value) -> usize {
    let whole = |value: &Value| size_of::<Value>() + beyond(value);
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(whole).sum(),
        Value::Map(members) => members.iter().map(|(key, value)| whole(key) + whole(value)).sum(),
        Value::Tensor(_) => LARGE, // No source makes one.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => 0,
        Value::Decimal(_) | Value::Timestamp(_) | Value::Duration(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_formulas::{Timestamp, Type};
    use thalweg_graph::transaction::{Op, Schema, SchemaColumn};
    use thalweg_graph::{Row, Transaction};

    use super::*;

    /// A transaction of one row with a text of so many bytes.
    fn message(bytes: usize) -> SourceMessage {
        let columns = vec![SchemaColumn::new("text".into(), Type::Text)];
        let schema = Arc::new(Schema { table: "T".into(), columns, key: Vec::new() });
        let after: Row = vec![Some(Value::text("x".repeat(bytes)))].into();
        let change = Change { schema, op: Op::Insert, key: None, before: None, after: Some(after) };
        let transaction =
            Transaction { source: "s".into(), origin: "1".into(), at: Timestamp(0), body: Body::Changes(vec![change]) };
        SourceMessage::Transaction(transaction, "1".into())
    }

    async fn waits(entry: impl Future<Output = Held>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), entry).await.is_err()
    }

    #[tokio::test]
    async fn eng_11_inv_queue_1_large_messages_wait_until_others_are_committed() {
        let gate = Gate::of(1 << 20);
        let (half, small) = (message(500 << 10), message(1000));
        let first = gate.enter(&half).await;
        let second = gate.enter(&half).await;
        assert!(first.is_some() && second.is_some());
        assert!(waits(gate.enter(&half)).await, "a third half does not fit");
        for _ in 0..10_000 {
            assert!(!gate.enter(&small).await.is_some(), "what is small passes");
        }
        drop(first);
        let third = gate.enter(&half).await;
        drop((second, third));
        // What alone is larger than everything goes alone.
        let giant = gate.enter(&message(5 << 20)).await;
        assert!(waits(gate.enter(&half)).await);
        drop(giant);
        assert!(gate.enter(&half).await.is_some());
    }

    #[test]
    fn what_lies_within_values_counts() {
        let member = Value::record([("name", Value::list([Value::text("x".repeat(100_000)), Value::Int(1)]))]);
        assert!((100_000..101_000).contains(&beyond(&member)), "{}", beyond(&member));
        assert!((100_000..101_000).contains(&size(&message(100_000))), "{}", size(&message(100_000)));
    }
}
