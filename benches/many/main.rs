//! What many accounts cost in one process: idle ones by the thousand, several that back-fill at once, the restoring of
//! what those have published, and requests at full speed. `make bench` starts the servers and runs this.
//!
//! The simulator is a process of its own, so that what it uses is not counted. Figures are printed beside their growth
//! from step to step, which depends on the machine less than they do; none is judged.

mod backfills;
mod idle;
mod plain_client;
mod requests;
mod table;
mod world;

#[path = "../common/usage.rs"]
mod usage;

// The harness of the integration tests: processes of the built binary, and what is in Kafka.
#[path = "../../tests/it/support/mod.rs"]
mod support;

use table::Report;

type Part = (&'static str, fn(&mut Report));

/// `cargo bench --bench many -- idle requests` measures only these.
const PARTS: [Part; 3] = [("idle", idle::measure), ("backfills", backfills::measure), ("requests", requests::measure)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut report = Report::new();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            measure(&mut report);
        }
    }
    report.print();
}
