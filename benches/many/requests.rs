//! How many requests one core sustains: quiet accounts that are read every second. Beside it a plain HTTP client that
//! sends the same requests as often, and throws the answers away.

use std::time::Duration;

use serde_json::{Value, json};

use super::plain_client;
use super::table::Report;
use super::world::{World, watch};

const STEPS: [usize; 3] = [100, 1000, 4000];
const WATCH: Duration = Duration::from_secs(12);

struct Run {
    requests_a_second: f64,
    cores: f64,
    plain: plain_client::Sent,
}

pub fn measure(report: &mut Report) {
    let runs: Vec<Run> = STEPS.into_iter().map(of).collect();
    report.part("accounts read every second", STEPS);
    report.row("requests a second", 0, runs.iter().map(|one| one.requests_a_second));
    report.row("cores used", 2, runs.iter().map(|one| one.cores));
    report.row("requests a second of one core", 0, runs.iter().map(|one| one.requests_a_second / one.cores));
    report.row("of a plain HTTP client", 0, runs.iter().map(|one| one.plain.a_second_of_one_core()));
}

fn of(n_accounts: usize) -> Run {
    let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
    world.wait_until_live(n_accounts);
    let spent = watch(std::slice::from_ref(&world), WATCH).remove(0);
    world.callfeed.kill9();
    let bodies = (0..n_accounts).map(|number| request(&token(number)));
    let plain = plain_client::send(&world.url, bodies.collect(), Duration::from_secs(1), WATCH);
    Run { requests_a_second: spent.requests / spent.seconds, cores: spent.cpu_seconds / spent.seconds, plain }
}

pub fn token(number: usize) -> String {
    format!("key-{number}")
}

fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        json!({
            "name": format!("often-{number}"), "keys": [{"token": token(number)}],
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
            "credentials": {"api_key": token(number)},
            "start_from": "1h",
            "poll": {"adaptive": false, "tiers": [{"age": "15m", "every": "1s"}, {"age": "1d", "every": "1h"}]},
        })
    };
    json!({"accounts": (0..n_accounts).map(account).collect::<Vec<_>>()})
}

/// What callfeed asks for, column by column.
pub fn request(token: &str) -> Value {
    json!({
        "jsonrpc": "2.0", "id": "1", "method": "get.calls_report",
        "params": {
            "access_token": token, "date_from": "2026-03-02 10:00:00", "date_till": "2026-03-02 10:15:00",
            "limit": 5000, "offset": 0, "fields": callfeed::stream::calls::Call::COLUMNS,
            "sort": [{"field": "start_time", "order": "asc"}],
        },
    })
}
