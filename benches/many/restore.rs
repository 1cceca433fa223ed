//! A process that is started anew: how long until it has read back what was published, and goes on.

use serde_json::{Value, json};

use super::support::Servers;
use super::table::Steps;
use super::usage::Usage;
use super::world::{PATIENCE, World};

const STEPS: [usize; 3] = [10_000, 100_000, 1_000_000];

struct Restored {
    seconds: f64,
    cpu_seconds: f64,
    resident_mib: f64,
    records: f64,
}

pub fn measure() {
    let runs: Vec<Restored> = STEPS.iter().map(|n_calls| of(*n_calls)).collect();
    let mut table = Steps::new("calls in the ledger", STEPS.iter().map(ToString::to_string));
    table.row("seconds from start to live", 2, runs.iter().map(|one| one.seconds));
    table.row("CPU seconds until then", 2, runs.iter().map(|one| one.cpu_seconds));
    table.row("resident memory, MiB", 1, runs.iter().map(|one| one.resident_mib));
    table.row("records in the state topic", 0, runs.iter().map(|one| one.records));
    table.print();
}

fn of(n_calls: usize) -> Restored {
    let mut world = World::start(&scenario(n_calls), config);
    world.wait_until_live(1);
    world.callfeed.terminate();
    world.callfeed.wait_exit(PATIENCE);
    let records = Servers::shared().kafka.read_committed(&format!("{}.state", world.topic)).len() as f64;
    world.restart();
    let seconds = world.wait_until_live(1).as_secs_f64();
    let usage = Usage::of(&world.callfeed.id().to_string());
    let resident_mib = usage.resident_kib.unwrap_or_default() as f64 / 1024.0;
    Restored { seconds, cpu_seconds: usage.cpu_seconds, resident_mib, records }
}

fn scenario(n_calls: usize) -> Vec<Value> {
    vec![json!({
        "name": "large", "keys": [{"token": "large-key"}], "limits": {"minute": 1_000_000, "day": 1_000_000},
        "calls": {"days": 29, "count": n_calls, "per_hour": 0, "prerendered": true},
    })]
}

fn config(url: &str) -> Value {
    json!({
        "accounts": [{
            "name": "large",
            "service": {"url": url},
            "credentials": {"api_key": "large-key"},
            "start_from": "30d",
            "filters": {"channels": {"static": "all"}},
            "poll": {"points_share": 1.0},
        }],
    })
}
