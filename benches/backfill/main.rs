//! What a back-fill costs: `callfeed run --once` reads an account of 200 000 calls from the simulator, in a process of
//! its own with ready pages, into a real Kafka; then a plain librdkafka producer sends the very same records with the
//! same settings. `make bench` starts the servers and runs this.
//!
//! It prints figures and judges none: they depend on the machine, their ratios less so.

mod figures;
mod reference;

#[path = "../common/usage.rs"]
mod usage;

// The harness of the integration tests: processes of the built binary, and what is in Kafka.
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use figures::{Figures, table};
use support::{Callfeed, Servers, Setup, eventually, unique_name};
use usage::{Usage, Watch};

const N_CALLS: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    // `cargo bench -- 20000` reads fewer calls, for a quick look.
    let n_calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(N_CALLS);
    let topic = unique_name("bench");
    let (took, usage) = back_fill(n_calls, &topic);

    let records = Servers::shared().kafka.read_committed(&topic);
    let keys: HashSet<&[u8]> = records.iter().filter_map(|record| record.key.as_deref()).collect();
    assert_eq!(records.len(), keys.len(), "events, and calls they are about");
    // A few have not ended yet, so the report does not have them.
    assert!(n_calls - records.len() < 100, "{} of {n_calls} calls were published", records.len());
    let callfeed = Figures { n_events: records.len(), took, usage };
    let reference = reference::send(&records);

    println!("{} events, {} bytes an event (key, value and headers)", records.len(), mean_size(&records));
    println!("{}", table(&callfeed, &reference));
}

/// Reads the account once and watches the process while it does.
fn back_fill(n_calls: usize, topic: &str) -> (Duration, Usage) {
    let scenario = scenario(n_calls).to_string();
    let simulator = Setup::new(&["simulate", "--listen", "127.0.0.1:0", "--scenario", "scenario.yaml"])
        .file("scenario.yaml", &scenario);
    let mut simulator = simulator.start();
    simulator.wait_for_output("truth: ", PATIENCE);

    let config = config(&address(&simulator), topic).to_string();
    let callfeed =
        Setup::new(&["run", "--once", "--timeout", "10m", "--config", "callfeed.yaml"]).file("callfeed.yaml", &config);
    let mut callfeed = callfeed.start();
    callfeed.wait_for_output("polling", PATIENCE);
    let polling_since = Instant::now();
    let mut watch = Watch::new(callfeed.id());
    let usage = eventually("callfeed to end", PATIENCE, || watch.ended());
    let took = polling_since.elapsed();
    let status = callfeed.wait_exit(PATIENCE);
    assert!(status.success(), "{status}: {}", callfeed.stderr());
    (took, usage)
}

/// Its pages are ready: what it costs to serve them is not what is measured.
fn scenario(n_calls: usize) -> Value {
    json!({
        "accounts": [{
            "name": "bench",
            "keys": [{"token": "bench-key"}],
            "limits": {"minute": 1_000_000, "day": 1_000_000},
            "calls": {"days": 60, "count": n_calls, "prerendered": true},
        }],
    })
}

fn config(url: &str, topic: &str) -> Value {
    let servers = Servers::shared();
    json!({
        "kafka": {
            "bootstrap_servers": servers.kafka.bootstrap,
            "group_id": topic,
            "state_topic": format!("{topic}.state"),
            "dead_letter_topic": format!("{topic}.dead-letter"),
            "create_topics": {"replication_factor": 1, "partitions": reference::PARTITIONS},
        },
        "schema_registry": {"url": servers.registry.url},
        "topics": {"calls": topic},
        "accounts": [{
            "name": "bench",
            "service": {"url": url},
            "credentials": {"api_key": "bench-key"},
            "start_from": "61d",
            "filters": {"channels": {"static": "all"}},
            "poll": {"page_size": 5000, "points_share": 1.0},
        }],
    })
}

/// Where the simulator answers; it writes one line an account.
fn address(simulator: &Callfeed) -> String {
    let output = simulator.stdout();
    let url = output.lines().find_map(|line| line.strip_prefix("bench: "));
    url.expect("the simulator says where it answers").to_owned()
}

fn mean_size(records: &[support::Record]) -> usize {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers = |record: &support::Record| -> usize {
        record.headers.iter().map(|(name, value)| name.len() + length(value)).sum()
    };
    let sum: usize = records.iter().map(|one| length(&one.key) + length(&one.value) + headers(one)).sum();
    sum / records.len().max(1)
}
