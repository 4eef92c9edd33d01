//! Three receivers: one that drops repeated ids, one that acts on every request, one that lies.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use thalweg_sinks::receiver::{Behaviour, Receiver};

use crate::nemesis::Random;

/// What signs the webhooks.
pub const SECRET: &str = "whsec_dGhhbHdlZy1jcmFzaC1sZWRnZXIta2V5LTAwMDAx";

pub struct Receivers {
    pub idempotent: Receiver,
    pub naive: Receiver,
    pub hostile: Receiver,
}

impl Receivers {
    pub async fn start() -> Receivers {
        let start = async || Receiver::start("127.0.0.1:0", SECRET).await.expect("a loopback port can be had");
        let all = Receivers { idempotent: start().await, naive: start().await, hostile: start().await };
        all.idempotent.behave(acknowledges());
        all
    }

    /// How they take requests until the next kill.
    pub fn behave(&self, random: &mut Random) {
        self.idempotent.behave(match random.below(4) {
            0 => Behaviour::AcceptAndCut,
            _ => acknowledges(),
        });
        self.naive.behave(match random.below(6) {
            0 => Behaviour::AcceptAndCut,
            1 => Behaviour::AcceptAndCutBody,
            2 => Behaviour::FailFirst(2),
            _ => Behaviour::Accept,
        });
        self.hostile.behave(match random.below(9) {
            0 => Behaviour::status(503),
            1 => Behaviour::status(429),
            2 => Behaviour::Hang,
            3 => Behaviour::CutHead,
            4 => Behaviour::Garbage,
            5 => Behaviour::EndlessContinue,
            6 => Behaviour::Drip,
            7 => Behaviour::AcceptEndless,
            _ => Behaviour::Slow(Duration::from_millis(200)),
        });
    }

    /// From now on all of them accept.
    pub fn relent(&self) {
        self.idempotent.behave(acknowledges());
        self.naive.behave(Behaviour::Accept);
        self.hostile.behave(Behaviour::Accept);
    }

    /// Writes what each has received into files of the folder, a line for each id.
    pub fn log(&self, folder: &Path) {
        for (name, receiver) in [("idempotent", &self.idempotent), ("naive", &self.naive), ("hostile", &self.hostile)] {
            let mut text = Vec::new();
            for (id, received) in receiver.received() {
                let line = serde_json::json!({ "id": id, "requests": received.requests, "accepted": received.accepted });
                writeln!(text, "{line}").expect("memory can be written");
            }
            let totals = receiver.totals();
            let wrong = totals.contradictions + totals.unverified + totals.malformed;
            writeln!(text, "{}", serde_json::json!({ "wrong": wrong })).expect("memory can be written");
            std::fs::write(folder.join(format!("{name}.jsonl")), text).expect("the folder can be written");
        }
    }
}

/// Accepts, and says so.
fn acknowledges() -> Behaviour {
    Behaviour::Answer { status: 200, headers: Vec::new(), body: "{\"ack\": true}".into() }
}
