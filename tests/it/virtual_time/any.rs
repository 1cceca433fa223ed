//! Any history, zone, points and ends of the process: the invariants hold. A failing case is shrunk to a small one.

use std::time::Duration;

use callfeed::edge::kafka::Trouble;
use callfeed::simulator::{AccountScenario, CallsScenario, Limits};
use proptest::prelude::*;
use serde_json::json;

use super::stage::{Stage, account, calls};

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];

/// A few hours before some zone changes its clocks, or an ordinary day.
const STARTS: [&str; 4] =
    ["2026-03-02T07:00:00Z", "2026-03-28T22:00:00Z", "2026-11-01T03:00:00Z", "2026-04-04T12:00:00Z"];

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    zone: &'static str,
    start: &'static str,
    calls_per_hour: f64,
    embargo_minutes: u64,
    points: (u32, u32),
    hours: u64,
    /// What becomes of steps, by their number.
    troubles: Vec<(u64, Trouble)>,
    /// Ends of the process, in minutes.
    ends: Vec<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let trouble = prop_oneof![
        any::<bool>().prop_map(|committed| Trouble::Unknown { committed }),
        any::<bool>().prop_map(|committed| Trouble::Silence { committed }),
    ];
    let world = (any::<u64>(), prop::sample::select(&ZONES[..]), prop::sample::select(&STARTS[..]));
    let account = (1_u32..15, 0_u64..90, (3_u32..60, 500_u32..3000), 1_u64..6);
    let process = (prop::collection::vec((1_u64..200, trouble), 0..5), prop::collection::vec(1_u64..360, 0..3));
    (world, account, process).prop_map(|(world, account, process)| Case {
        seed: world.0,
        zone: world.1,
        start: world.2,
        calls_per_hour: f64::from(account.0),
        embargo_minutes: account.1,
        points: account.2,
        hours: account.3,
        troubles: process.0,
        ends: process.1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold(case in cases()) {
        play(case);
    }
}

fn play(case: Case) {
    let calls =
        CallsScenario { visibility_delay: Duration::from_mins(case.embargo_minutes), ..calls(case.calls_per_hour) };
    let limits = Limits::per(case.points.0, case.points.1);
    let account = AccountScenario { timezone: case.zone.into(), limits, calls, ..account() };
    let tiers = json!([{"age": "15m", "every": "5m"}, {"age": "2h", "every": "20m"}, {"age": "1d", "every": "2h"}]);
    let poll = json!({"poll": {"tiers": tiers}});
    let mut stage = Stage::of_account(account).start_at(case.start).configure(poll).rest_for(Duration::from_hours(12));
    stage.scenario.seed = case.seed;
    stage.rehearse(async |mut rehearsal| {
        for (step, trouble) in &case.troubles {
            rehearsal.kafka.trouble(*step, *trouble);
        }
        let mut ends = case.ends.clone();
        ends.sort_unstable();
        let mut played = 0;
        for end in ends.into_iter().filter(|end| *end < case.hours * 60) {
            rehearsal.run_for(Duration::from_mins(end - played)).await.unwrap();
            played = end;
            rehearsal.crash().await;
            rehearsal.start().await.unwrap();
        }
        rehearsal.run_for(Duration::from_mins(case.hours * 60 - played)).await.unwrap();
        rehearsal
    });
}
