//! The metrics page: OpenMetrics text, written from a snapshot at scrape time, so nothing is counted twice and the hot path pays nothing.
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `thalweg_build_info{version}` | info | 1 |
//! | `thalweg_uptime_seconds` | gauge | since the start |
//! | `thalweg_live` | gauge | 1 while `/health` is 200 |
//! | `thalweg_epoch` | gauge | the last committed epoch |
//! | `thalweg_nodes` | gauge | nodes in the plan |
//! | `thalweg_transactions_total`, `…_deltas_total`, `…_effects_total`, `…_commits_total` | counter | since the start |
//! | `thalweg_field_errors_total`, `thalweg_redundant_changes_total` | counter | since the start |
//! | `thalweg_delivery_attempts_total`, `thalweg_delivery_failures_total` | counter | since the start |
//! | `thalweg_batch_transactions` | histogram | transactions per commit |
//! | `thalweg_outbox{state}` | gauge | deliveries by state, as the store counts them |
//! | `thalweg_outbox_fired` | gauge | all of them: the sum of the states |
//! | `thalweg_outbox_oldest_pending_seconds` | gauge | absent while nothing waits |
//! | `thalweg_timers_armed` | gauge | timers that wait |
//! | `thalweg_store_bytes` | gauge | on disk |
//! | `thalweg_source_state{source,thalweg_source_state}` | stateset | 1 for the state it is in |
//! | `thalweg_source_lag_seconds{source}` | gauge | commit there to commit here; absent before the first transaction |
//! | `thalweg_stopped` | gauge | things that wait for somebody |
//!
//! Source: the OpenMetrics 1.0 specification.

use std::fmt::{Display, Write};

use crate::status::{BatchSizes, SourceState, StatusSnapshot};

/// The content type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page.
pub fn render(status: &StatusSnapshot) -> String {
    let mut page = Page(String::with_capacity(4096));
    process(&mut page, status);
    work(&mut page, status);
    deliveries(&mut page, status);
    sources(&mut page, status);
    page.0.push_str("# EOF\n");
    page.0
}

fn process(page: &mut Page, status: &StatusSnapshot) {
    page.family("thalweg_build", "info", "the running program");
    page.sample("thalweg_build_info", &[("version", &status.version)], 1);
    page.gauge("thalweg_uptime_seconds", "seconds since the start", status.uptime_seconds);
    page.gauge("thalweg_live", "whether the process does its work", u8::from(status.live));
    page.gauge("thalweg_epoch", "the last committed epoch", status.epoch);
    page.gauge("thalweg_nodes", "nodes in the plan", status.nodes);
    page.gauge("thalweg_timers_armed", "timers that wait", status.timers.armed);
    page.gauge("thalweg_store_bytes", "bytes of the store on disk", status.store.bytes);
    page.gauge("thalweg_stopped", "things that have stopped and wait for somebody", status.stopped.len());
}

fn work(page: &mut Page, status: &StatusSnapshot) {
    let c = &status.counters;
    page.counter("thalweg_transactions", "transactions committed", c.transactions);
    page.counter("thalweg_deltas", "deltas of derived fields", c.deltas);
    page.counter("thalweg_effects", "effects and reactions fired", c.effects);
    page.counter("thalweg_commits", "durable commits", c.commits);
    page.counter("thalweg_field_errors", "field errors that appeared", c.field_errors);
    page.counter("thalweg_redundant_changes", "changes that changed nothing", c.redundant);
    page.counter("thalweg_delivery_attempts", "delivery attempts", c.attempts);
    page.counter("thalweg_delivery_failures", "delivery attempts that failed", c.attempts_failed);
    histogram(page, &status.batches);
}

fn histogram(page: &mut Page, batches: &BatchSizes) {
    let name = "thalweg_batch_transactions";
    page.family(name, "histogram", "transactions per commit");
    let mut cumulative = 0;
    for (i, count) in batches.buckets.iter().enumerate() {
        cumulative += count;
        let bound = if i + 1 == batches.buckets.len() { "+Inf".to_owned() } else { format!("{}.0", 1u64 << i) };
        page.sample("thalweg_batch_transactions_bucket", &[("le", &bound)], cumulative);
    }
    page.sample("thalweg_batch_transactions_count", &[], batches.count);
    page.sample("thalweg_batch_transactions_sum", &[], batches.sum);
}

fn deliveries(page: &mut Page, status: &StatusSnapshot) {
    let o = &status.outbox;
    page.family("thalweg_outbox", "gauge", "deliveries by state");
    for (state, count) in
        [("acked", o.acked), ("cancelled", o.cancelled), ("dead", o.dead), ("fired", o.fired), ("pending", o.pending)]
    {
        page.sample("thalweg_outbox", &[("state", state)], count);
    }
    if let Some(age) = o.oldest_pending_seconds {
        page.gauge("thalweg_outbox_oldest_pending_seconds", "how long the oldest pending delivery has waited", age);
    }
}

fn sources(page: &mut Page, status: &StatusSnapshot) {
    page.family("thalweg_source_state", "stateset", "what each source does");
    for source in &status.sources {
        for state in SourceState::ALL {
            let labels = [("source", source.name.as_str()), ("thalweg_source_state", state.name())];
            page.sample("thalweg_source_state", &labels, u8::from(source.state == state));
        }
    }
    page.family("thalweg_source_lag_seconds", "gauge", "from the commit at the source to the commit here");
    for source in &status.sources {
        if let Some(lag) = source.lag_seconds {
            page.sample("thalweg_source_lag_seconds", &[("source", &source.name)], lag);
        }
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# TYPE {name} {kind}"));
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(&format!("{name}_total"), &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("invariant: writing to a String cannot fail");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
