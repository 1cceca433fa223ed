//! Accounts in which nothing happens, with the points of the documents' samples and the default ladder.

use std::time::Duration;

use serde_json::{Value, json};

use super::table::Steps;
use super::world::World;

const STEPS: [usize; 4] = [1, 100, 1000, 10_000];

/// Readings come every half a minute or so: as many are within each watch.
const WATCH: Duration = Duration::from_secs(90);

/// What started late, and connections of the start, are over then.
const SETTLE: Duration = Duration::from_secs(60);

struct Idle {
    n_accounts: usize,
    live_after: Duration,
    resident_mib: f64,
    peak_mib: f64,
    cpu_percent: f64,
    requests_a_second: f64,
    transactions_a_second: f64,
}

pub fn measure() {
    let idle: Vec<Idle> = STEPS.iter().map(|n_accounts| of(*n_accounts)).collect();
    let mut table = Steps::new("idle accounts", STEPS.iter().map(ToString::to_string));
    let figures = |figure: &dyn Fn(&Idle) -> f64| idle.iter().map(figure).collect::<Vec<_>>();
    table.row("resident memory, MiB", 1, figures(&|one| one.resident_mib));
    table.row("at the most, MiB", 1, figures(&|one| one.peak_mib));
    table.row("CPU, % of a core", 2, figures(&|one| one.cpu_percent));
    table.row("requests a second", 1, figures(&|one| one.requests_a_second));
    table.row("CPU microseconds a request", 0, figures(&|one| one.cpu_percent * 1e4 / one.requests_a_second));
    table.row("transactions a second", 2, figures(&|one| one.transactions_a_second));
    table.row("seconds from start to all live", 1, figures(&|one| one.live_after.as_secs_f64()));
    let more =
        figures(&|one| (one.resident_mib - idle[0].resident_mib) * 1024.0 / (one.n_accounts as f64 - 1.0).max(1.0));
    table.row("KiB an account, beyond the first", 1, more);
    table.print();
}

fn of(n_accounts: usize) -> Idle {
    let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
    let live_after = world.wait_until_live(n_accounts);
    world.watch(SETTLE);
    let spent = world.watch(WATCH);
    let usage = world.sample().usage;
    Idle {
        n_accounts,
        live_after,
        resident_mib: mib(usage.resident_kib),
        peak_mib: mib(usage.peak_kib),
        cpu_percent: spent.cpu_seconds / spent.seconds * 100.0,
        requests_a_second: spent.requests / spent.seconds,
        transactions_a_second: spent.transactions / spent.seconds,
    }
}

fn mib(kib: Option<u64>) -> f64 {
    kib.unwrap_or_default() as f64 / 1024.0
}

fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        json!({
            "name": format!("idle-{number}"), "login": format!("login-{number}"), "password": format!("password-{number}"),
            "keys": [], "calls": {"count": 0, "per_hour": 0},
        })
    };
    (0..n_accounts).map(account).collect()
}

fn config(url: &str, n_accounts: usize) -> Value {
    let account = |number: usize| {
        json!({
            "name": format!("idle-{number}"),
            "service": {"url": url},
            "credentials": {"login": format!("login-{number}"), "password": format!("password-{number}")},
            "start_from": "1d",
        })
    };
    json!({"accounts": (0..n_accounts).map(account).collect::<Vec<_>>()})
}
