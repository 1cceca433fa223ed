//! Accounts in which nothing happens.

use std::time::Duration;

use callfeed::simulator::{AccountScenario, CallsScenario};
use serde_json::{Value, json};

use super::stage::{ACCOUNT, DAY, Stage, account};

/// No step is taken for a live reading that found nothing, and yet coverage is never far behind. The process dies in
/// between: the call that came meanwhile is published all the same, which the stage sees to.
#[test]
fn a_quiet_account_is_read_all_day_and_seldom_stored() {
    let calls = CallsScenario { count: Some(0), per_hour: 0.0, ..CallsScenario::default() };
    let tiers = json!([{"age": "15m", "every": "40s"}, {"age": "2h", "every": "1h"}, {"age": "1d", "every": "6h"}]);
    let stage = Stage::of_account(AccountScenario { calls, ..account() }).configure(json!({"poll": {"tiers": tiers}}));
    stage.play(async |mut rehearsal| {
        rehearsal.run_for(DAY).await.unwrap();
        let n_requests = rehearsal.simulator.counts(ACCOUNT, "get.calls_report").requests();
        assert!(n_requests > 2000, "{n_requests} requests");
        let n_steps = rehearsal.kafka.n_steps();
        assert!(n_steps < 500, "{n_steps} steps are stored");
        let coverage = &rehearsal.kafka.state()[&format!("a/{ACCOUNT}/calls/coverage")];
        let coverage: Value = serde_json::from_slice(coverage).unwrap();
        let newest = coverage["intervals"].as_array().unwrap().last().unwrap()[1].as_str().unwrap();
        let lag = rehearsal.now().duration_since(newest.parse().unwrap());
        assert!(Duration::try_from(lag).unwrap() < Duration::from_mins(5), "coverage ends at {newest}");

        rehearsal.simulator.add_call(ACCOUNT, json!({"source": "va"})).unwrap();
        rehearsal.crash().await;
        rehearsal.start().await.unwrap();
        rehearsal
    });
}
