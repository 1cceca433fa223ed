//! Several accounts that read their past at once; and the same process started anew: how long until it has read back what
//! was published, and goes on.

use std::time::Instant;

use serde_json::{Value, json};

use super::support::Servers;
use super::table::Report;
use super::usage::Usage;
use super::world::{PATIENCE, World};

const STEPS: [usize; 3] = [1, 2, 4];

/// A million in all with four of them.
const CALLS_PER_ACCOUNT: usize = 250_000;

struct Backfill {
    events_a_second: f64,
    cpu_seconds_per_million: f64,
    peak_mib: f64,
}

struct Restore {
    n_calls: usize,
    seconds: f64,
    cpu_seconds: f64,
    resident_mib: f64,
    n_records: usize,
    plain: PlainRead,
}

/// What it takes a plain consumer to read the same records.
struct PlainRead {
    seconds: f64,
    cpu_seconds: f64,
}

pub fn measure(report: &mut Report) {
    let (backfills, restores): (Vec<Backfill>, Vec<Restore>) = STEPS.into_iter().map(of).unzip();

    report.part("accounts that back-fill", STEPS);
    report.row("events a second, all together", 0, backfills.iter().map(|one| one.events_a_second));
    report.row("CPU seconds per million events", 1, backfills.iter().map(|one| one.cpu_seconds_per_million));
    report.row("at the most, MiB", 1, backfills.iter().map(|one| one.peak_mib));

    report.part("calls in the ledger, restored", restores.iter().map(|one| one.n_calls));
    report.row("seconds from start to live", 2, restores.iter().map(|one| one.seconds));
    report.row("CPU seconds until then", 2, restores.iter().map(|one| one.cpu_seconds));
    report.row("resident memory, MiB", 1, restores.iter().map(|one| one.resident_mib));
    report.row("records in the state topic", 0, restores.iter().map(|one| one.n_records as f64));
    report.row("a plain consumer reads them in, seconds", 2, restores.iter().map(|one| one.plain.seconds));
    report.row("with CPU seconds", 2, restores.iter().map(|one| one.plain.cpu_seconds));
}

fn of(n_accounts: usize) -> (Backfill, Restore) {
    let mut world = World::start(&scenario(n_accounts), |url| config(url, n_accounts));
    world.callfeed.wait_for_output("polling", PATIENCE);
    let before = world.sample();
    world.wait_until_live(n_accounts);
    let spent = world.sample().since(&before);
    // Those that go on are not in the report yet.
    let n_calls = n_accounts * CALLS_PER_ACCOUNT;
    assert!(spent.events > 0.99 * n_calls as f64, "{} events of {n_calls} calls", spent.events);
    let backfill = Backfill {
        events_a_second: spent.events / spent.seconds,
        cpu_seconds_per_million: spent.cpu_seconds * 1e6 / spent.events,
        peak_mib: world.peak_mib(),
    };
    world.callfeed.terminate();
    world.callfeed.wait_exit(PATIENCE);
    (backfill, restore(&mut world, n_accounts))
}

fn restore(world: &mut World, n_accounts: usize) -> Restore {
    world.restart();
    let seconds = world.wait_until_live(n_accounts).as_secs_f64();
    let (cpu_seconds, resident_mib) = (world.sample().usage.cpu_seconds, world.resident_mib());
    let (n_records, plain) = read_plainly(&format!("{}.state", world.topic));
    Restore { n_calls: n_accounts * CALLS_PER_ACCOUNT, seconds, cpu_seconds, resident_mib, n_records, plain }
}

fn read_plainly(topic: &str) -> (usize, PlainRead) {
    let (started, before) = (Instant::now(), Usage::of("self"));
    let n_records = Servers::shared().kafka.read_committed(topic).len();
    let cpu_seconds = Usage::of("self").cpu_seconds - before.cpu_seconds;
    (n_records, PlainRead { seconds: started.elapsed().as_secs_f64(), cpu_seconds })
}

/// Pages are ready: what it costs to serve them is not what is measured. All calls are within the horizon.
fn scenario(n_accounts: usize) -> Vec<Value> {
    let account = |number: usize| {
        json!({
            "name": format!("large-{number}"), "keys": [{"token": format!("key-{number}")}],
            "limits": {"minute": 1_000_000, "day": 1_000_000},
            "calls": {"days": 29, "count": CALLS_PER_ACCOUNT, "per_hour": 0, "prerendered": true},
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
            "start_from": "30d",
            "filters": {"channels": {"static": "all"}},
            "poll": {"points_share": 1.0},
        })
    };
    json!({"accounts": (0..n_accounts).map(account).collect::<Vec<_>>()})
}
