//! Sixty days of an account with 2000 calls a day, in virtual time: the service's own code against the simulator, with
//! the points of the documents' samples. `make bench` runs this too; it needs no servers.
//!
//! It prints figures and judges none but one: every call that the report has shown must be published.

use std::time::{Duration, Instant};

use callfeed::rehearsal::{Rehearsal, latency};
use callfeed::simulator::{
    AccountScenario, CallsScenario, ClockScenario, Counts, Delay, Fault, Key, Scenario, TagHabits,
};

const DAYS: u64 = 60;
const CALLS_A_DAY: f64 = 2000.0;
const ACCOUNT: &str = "acme";

const CONFIG: &str = r#"
kafka: {bootstrap_servers: "kafka.invalid:9092"}
schema_registry: {url: "http://registry.invalid"}
accounts:
  - name: acme
    service: comagic
    credentials: {api_key: key}
    start_from: 1d
    filters: {channels: {static: all}}
"#;

fn main() {
    // `cargo bench --bench virtual_time -- 5` plays fewer days, for a quick look.
    let days = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(DAYS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime needs nothing that is missing").block_on(play(days));
}

async fn play(days: u64) {
    let began = Instant::now();
    let mut rehearsal = Rehearsal::new(CONFIG, scenario()).expect("config and scenario are right");
    rehearsal.start().await.expect("nothing is missing");
    rehearsal.run_for(Duration::from_hours(24 * days)).await.expect("the service goes on");
    let took = began.elapsed();
    report(&rehearsal, days, took);
}

fn scenario() -> Scenario {
    let calls = CallsScenario {
        per_hour: CALLS_A_DAY / 24.0,
        tags: TagHabits { delay: Delay::secs(30, 7 * 86_400), ..TagHabits::default() },
        ..CallsScenario::default()
    };
    let account =
        AccountScenario { name: ACCOUNT.into(), keys: vec![Key::new("key")], calls, ..AccountScenario::default() };
    Scenario {
        clock: ClockScenario { start: "2026-03-02T00:00:00+03:00".parse().ok(), speed: 1.0 },
        faults: vec![Fault::Latency { delay: Duration::from_millis(300) }.every(1)],
        accounts: vec![account],
        ..Scenario::default()
    }
}

fn report(rehearsal: &Rehearsal, days: u64, took: Duration) {
    let events = &rehearsal.events[ACCOUNT];
    let shown = rehearsal.simulator.visible_ids(ACCOUNT);
    let n_unpublished = shown.iter().filter(|id| !events.contains_key(id)).count();
    let Counts { rows, answered, points, .. } = rehearsal.simulator.counts(ACCOUNT, "get.calls_report");
    let n_events: usize = events.values().map(|history| history.events.len()).sum();
    let virtual_seconds = (days * 86_400) as f64;
    println!("{days} days of {CALLS_A_DAY} calls in {:.1} s", took.as_secs_f64());
    println!("  {:.0} times as fast as the clock", virtual_seconds / took.as_secs_f64());
    println!("  {answered} requests for {points} points, {rows} rows read");
    println!("  {n_events} events of {} calls; {n_unpublished} calls shown and not published", events.len());
    for (what, mut delays) in delays(rehearsal) {
        delays.sort_unstable();
        let at = |share: f64| delays.get(((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1)));
        println!("  {what}: {} of them, median {:?}, 99th percentile {:?}", delays.len(), at(0.5), at(0.99));
    }
}

/// From shown to committed: of new calls, and of changes.
fn delays(rehearsal: &Rehearsal) -> [(&'static str, Vec<Duration>); 2] {
    let (mut new, mut changes) = (Vec::new(), Vec::new());
    for timeline in rehearsal.simulator.timelines(ACCOUNT) {
        let Some(history) = rehearsal.events[ACCOUNT].get(&timeline.id) else { continue };
        let late = latency(&timeline, history, rehearsal.now());
        new.extend(late.new);
        changes.extend(late.changes.into_iter().flatten());
    }
    [("new calls", new), ("changes", changes)]
}
