//! How many requests one core sustains: quiet accounts that are read every second, more than the machine can bear.

use std::time::Duration;

use serde_json::{Value, json};

use super::table::Steps;
use super::world::World;

const STEPS: [usize; 3] = [100, 300, 900];
const WATCH: Duration = Duration::from_secs(30);

pub fn measure() {
    let mut table = Steps::new("accounts read every second", STEPS.iter().map(ToString::to_string));
    let runs: Vec<(f64, f64)> = STEPS.iter().map(|n_accounts| of(*n_accounts)).collect();
    table.row("requests a second", 0, runs.iter().map(|(requests, _)| *requests));
    table.row("cores used", 2, runs.iter().map(|(_, cores)| *cores));
    table.row("requests a second of one core", 0, runs.iter().map(|(requests, cores)| requests / cores));
    table.print();
}

/// Requests a second, and cores.
fn of(n_accounts: usize) -> (f64, f64) {
    let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
    world.wait_until_live(n_accounts);
    let spent = world.watch(WATCH);
    (spent.requests / spent.seconds, spent.cpu_seconds / spent.seconds)
}

fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        json!({
            "name": format!("often-{number}"), "keys": [{"token": format!("key-{number}")}],
            "limits": {"minute": 1_000_000, "day": 1_000_000}, "calls": {"count": 0, "per_hour": 0},
        })
    };
    (0..n_accounts).map(account).collect()
}

fn config(url: &str, n_accounts: usize) -> Value {
    let account = |number: usize| {
        json!({
            "name": format!("often-{number}"),
            "service": {"url": url},
            "credentials": {"api_key": format!("key-{number}")},
            "start_from": "1h",
            "poll": {"adaptive": false, "tiers": [{"age": "15m", "every": "1s"}, {"age": "1d", "every": "1h"}]},
        })
    };
    json!({"accounts": (0..n_accounts).map(account).collect::<Vec<_>>()})
}
