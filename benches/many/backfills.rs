//! Several accounts that read their past at once.

use serde_json::{Value, json};

use super::support::Servers;
use super::table::Steps;
use super::world::{PATIENCE, World};

const STEPS: [usize; 3] = [1, 2, 4];
const CALLS_PER_ACCOUNT: usize = 200_000;

struct Backfill {
    events_a_second: f64,
    cpu_seconds_per_million: f64,
    simulator_cpu_seconds_per_million: f64,
    peak_mib: f64,
}

pub fn measure() {
    let runs: Vec<Backfill> = STEPS.iter().map(|n_accounts| of(*n_accounts)).collect();
    let mut table = Steps::new("accounts that back-fill", STEPS.iter().map(ToString::to_string));
    table.row("events a second, all together", 0, runs.iter().map(|one| one.events_a_second));
    table.row("CPU seconds per million events", 1, runs.iter().map(|one| one.cpu_seconds_per_million));
    table.row("CPU seconds of the simulator", 1, runs.iter().map(|one| one.simulator_cpu_seconds_per_million));
    table.row("at the most, MiB", 1, runs.iter().map(|one| one.peak_mib));
    table.print();
}

fn of(n_accounts: usize) -> Backfill {
    let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
    world.callfeed.wait_for_output("polling", PATIENCE);
    let before = world.sample();
    let simulator_before = world.simulator_cpu_seconds();
    world.wait_until_live(n_accounts);
    let after = world.sample();
    let n_events = Servers::shared().kafka.read_committed(&world.topic).len() as f64;
    // Those that go on are not in the report yet.
    assert!(n_events > 0.99 * (n_accounts * CALLS_PER_ACCOUNT) as f64, "{n_events} events");
    let spent = after.since(&before);
    Backfill {
        events_a_second: n_events / spent.seconds,
        cpu_seconds_per_million: spent.cpu_seconds * 1e6 / n_events,
        simulator_cpu_seconds_per_million: (world.simulator_cpu_seconds() - simulator_before) * 1e6 / n_events,
        peak_mib: after.usage.peak_kib.unwrap_or_default() as f64 / 1024.0,
    }
}

/// Pages are ready: what it costs to serve them is not what is measured.
fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        json!({
            "name": format!("large-{number}"), "keys": [{"token": format!("key-{number}")}],
            "limits": {"minute": 1_000_000, "day": 1_000_000},
            "calls": {"days": 60, "count": CALLS_PER_ACCOUNT, "per_hour": 0, "prerendered": true},
        })
    };
    (0..n_accounts).map(account).collect()
}

fn config(url: &str, n_accounts: usize) -> Value {
    let account = |number: usize| {
        json!({
            "name": format!("large-{number}"),
            "service": {"url": url},
            "credentials": {"api_key": format!("key-{number}")},
            "start_from": "61d",
            "filters": {"channels": {"static": "all"}},
            "poll": {"points_share": 1.0},
        })
    };
    json!({"accounts": (0..n_accounts).map(account).collect::<Vec<_>>()})
}
