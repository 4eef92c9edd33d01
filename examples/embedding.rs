//! Embedding: the engine as the compute backend of a program of one's own. No store, no files, no sockets, no threads: the
//! program steps it by hand, when it likes, with as many transactions at a time as it likes.
//!
//! Run it: `cargo run --example embedding`

use thalweg::prelude::*;

/// A small ledger service: accounts with transfers, a balance per account, an alarm when one is overdrawn.
struct Ledger {
    live: LiveGraph,
    transfers: i64,
}

impl Ledger {
    fn new() -> Result<Ledger, DefinitionError> {
        let mut graph = Graph::new();
        graph.state(
            State::document("Account")
                .key("name")
                .children("incoming", "Transfer", "into")
                .children("outgoing", "Transfer", "out_of"),
        );
        graph.state(State::document("Transfer").key("id").column("amount", "decimal(12,2)"));
        graph.derived("Account.balance", Derived::formula("sum(incoming[*].amount) - sum(outgoing[*].amount)"));
        graph.derived("Turnover", Derived::sum(Pattern::new("Transfer[*].amount")));
        graph.effect("overdrawn", Effect::when(|ctx| ctx.get("Account.balance") < 0));
        Ok(Ledger { live: graph.start()?, transfers: 0 })
    }

    fn open(&mut self, name: &'static str) {
        self.live.push(Changes::new(&format!("open {name}")).insert("Account", [("name", name)]));
    }

    fn transfer(&mut self, out_of: &'static str, into: &'static str, amount: &'static str) {
        self.transfers += 1;
        let row =
            [("id", Value::Int(self.transfers)), ("out_of", out_of.into()), ("into", into.into()), ("amount", amount.into())];
        self.live.push(Changes::new(&format!("transfer {}", self.transfers)).insert("Transfer", row));
    }
}

fn main() -> Result<(), DefinitionError> {
    let mut ledger = Ledger::new()?;
    for name in ["bank", "ada", "bob"] {
        ledger.open(name);
    }
    ledger.transfer("bank", "ada", "100.00");
    ledger.transfer("ada", "bob", "120.50");
    ledger.transfer("bob", "ada", "20.50");

    // Six transactions, one step: each is its own epoch, so the overdraft of the fifth is seen although the sixth cures it.
    let outcome = ledger.live.step();
    for delta in &outcome.deltas {
        println!("epoch {}: {} {:?}: {:?} -> {:?}", delta.epoch, delta.node, delta.key, delta.old, delta.new);
    }
    let overdrawn: Vec<_> = outcome.fired.iter().map(|fired| (fired.epoch, fired.key[0].clone())).collect();
    assert_eq!(overdrawn, [(4, Value::text("bank")), (5, Value::text("ada"))]);
    Ok(())
}
