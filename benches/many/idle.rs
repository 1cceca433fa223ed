//! Accounts in which nothing happens, with the points of the documents' samples and the default ladder. Their day begins
//! with the run, so that points are spent as they are on the mean of a day.

use std::time::Duration;

use serde_json::{Value, json};

use super::plain_client::{self, Sent};
use super::requests::{request, token};
use super::table::Report;
use super::world::{Spent, World, watch};

const STEPS: [usize; 4] = [1, 100, 1000, 10_000];

/// Progress of a quiet account is stored, and its second tier read, once in it.
const WATCH: Duration = Duration::from_mins(5);

const WATCH_PLAIN: Duration = Duration::from_mins(1);

/// What started late is over then.
const SETTLE: Duration = Duration::from_secs(10);

/// All steps are processes side by side: started one after another, and watched when all of them rest.
pub fn measure(report: &mut Report) {
    let mut worlds: Vec<World> = Vec::new();
    let mut live_after = Vec::new();
    for n_accounts in STEPS {
        let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
        live_after.push(world.wait_until_live(n_accounts).as_secs_f64());
        worlds.push(world);
    }
    watch(&worlds, SETTLE);
    let spent: Vec<Spent> = watch(&worlds, WATCH);
    let resident: Vec<f64> = worlds.iter().map(World::resident_mib).collect();
    let peak: Vec<f64> = worlds.iter().map(World::peak_mib).collect();
    worlds.iter_mut().for_each(|world| world.callfeed.kill9());
    let plain: Vec<Sent> = STEPS
        .into_iter()
        .zip(worlds.iter().zip(&spent))
        .map(|(n, (world, spent))| by_plain_client(n, world, spent))
        .collect();

    report.part("idle accounts", STEPS);
    report.row("resident memory, MiB", 1, resident.iter().copied());
    report.row("at the most, MiB", 1, peak);
    let more = |(n_accounts, resident_mib): (usize, &f64)| (resident_mib - resident[0]) * 1024.0 / n_accounts as f64;
    report.row("KiB an account, beyond the first", 1, STEPS.into_iter().zip(&resident).map(more));
    report.row("CPU, % of a core", 2, spent.iter().map(|one| one.cpu_seconds / one.seconds * 100.0));
    report.row("of a plain HTTP client", 2, plain.iter().map(Sent::percent));
    report.row("requests a second", 2, spent.iter().map(|one| one.requests / one.seconds));
    report.row("transactions a second", 2, spent.iter().map(|one| one.transactions / one.seconds));
    report.row("seconds from start to all live", 1, live_after);
}

/// A plain HTTP client sends as many requests.
fn by_plain_client(n_accounts: usize, world: &World, spent: &Spent) -> Sent {
    let every = Duration::from_secs_f64(spent.seconds * n_accounts as f64 / spent.requests);
    let bodies = (0..n_accounts).map(|number| request(&token(number)));
    plain_client::send(&world.url, bodies.collect(), every, WATCH_PLAIN)
}

fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        // The key is for the plain client: callfeed logs in.
        json!({
            "name": format!("idle-{number}"), "login": format!("login-{number}"), "password": format!("password-{number}"),
            "keys": [{"token": token(number)}], "limits": {"minute": 60, "day": 3000, "day_reset": 86_400}, "calls": {"count": 0, "per_hour": 0},
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
