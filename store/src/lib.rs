//! The durable commit: log, positions, outbox, timers, snapshots.
