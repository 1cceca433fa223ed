//! callfeed in virtual time: the service's own code against the simulator, days in seconds, no servers.
//!
//! First how fast that is: sixty days of an account with 2000 calls a day, with a ladder that re-reads little, and some
//! days with the usual one, where most of the time goes into re-reading. Then how fresh the events are, from "the API
//! shows it" to "committed", beside what other plans would have reached with the same points. It prints figures and
//! judges none but one: every call that the report has shown must be published.
//!
//! `cargo bench --bench virtual_time -- 5` plays fewer days, for a quick look.

mod plays;
mod table;

use std::time::Instant;

use callfeed::simulator::Counts;

use plays::{ACCOUNT, Play};

const DAYS: u64 = 60;
const CALLS_A_DAY: f64 = 2000.0;

/// Of these the first day is left to learn, and the last to catch up.
const COMPARED_DAYS: u64 = 5;

fn main() {
    let days = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime needs nothing that is missing");
    let mut lost = runtime.block_on(speed(Play::patient("a patient ladder", CALLS_A_DAY), days.unwrap_or(DAYS)));
    let usual_days = days.unwrap_or(COMPARED_DAYS).min(COMPARED_DAYS);
    lost += runtime.block_on(speed(Play::usual("the usual ladder", CALLS_A_DAY), usual_days));
    lost += runtime.block_on(freshness(usual_days));
    assert_eq!(lost, 0, "calls were shown for hours and not published");
}

async fn speed(play: Play, days: u64) -> usize {
    let began = Instant::now();
    let rehearsal = play.run(days).await;
    let took = began.elapsed().as_secs_f64();
    let Counts { rows, answered, points, .. } = rehearsal.simulator.counts(ACCOUNT, "get.calls_report");
    let n_events: usize = rehearsal.events[ACCOUNT].values().map(|history| history.events.len()).sum();
    println!(
        "{days} days of {CALLS_A_DAY} calls with {} in {took:.1} s: {:.0} times as fast as the clock",
        play.name,
        days as f64 * 86_400.0 / took
    );
    println!("  {answered} requests for {points} points, {rows} rows read, {n_events} events\n");
    plays::lost(&rehearsal)
}

async fn freshness(days: u64) -> usize {
    let mut lost = 0;
    let mut table = table::Table::new();
    for play in Play::all() {
        let rehearsal = play.run(days).await;
        lost += plays::lost(&rehearsal);
        table.add(&play, &plays::news(&rehearsal, &play, days), days);
    }
    println!("{table}");
    lost
}
