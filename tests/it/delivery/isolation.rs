//! One account that is broken, slow or huge delays no other.

use callfeed::simulator::{AccountScenario, CallsScenario, Fault, Scenario};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Callfeed, eventually};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, history, standing_with};

const HUGE: &str = "huge";

/// With rows of three kilobytes, pages of two such accounts would fill the room that the test leaves for answers.
const PAGE_SIZE: u32 = 1000;
const BAD_OF_A_KIND: usize = 6;
const HEALTHY: [&str; 3] = ["healthy-1", "healthy-2", "healthy-3"];
const CALLS_EACH: usize = 8;

/// Every kind of bad account at once, more of each than there is room for whole pages.
#[test]
fn each_new_call_is_published_while_others_hang_drip_err_and_back_fill() {
    let kinds = [
        ("hanging", Fault::Hang),
        ("dripping", Fault::Drip { bytes_per_second: 10 }),
        ("erring", Fault::InternalError),
    ];
    let bad: Vec<(String, Fault)> = kinds
        .iter()
        .flat_map(|(kind, fault)| (0..BAD_OF_A_KIND).map(move |number| (format!("{kind}-{number}"), fault.clone())))
        .collect();
    let mut accounts: Vec<AccountScenario> = bad.iter().map(|(name, _)| account(name, history(20))).collect();
    accounts.push(account(HUGE, a_million_calls()));
    accounts.extend(HEALTHY.map(|name| account(name, history(3))));
    let on_reports =
        |(name, fault): &(String, Fault)| fault.clone().every(1).on_account(name).on_method("get.calls_report");
    let faults = bad.iter().map(on_reports).collect();
    let mut feed = Feed::of(Scenario { faults, ..standing_with(accounts) });
    feed.configure(json!({
        "limits": {"memory": "8MiB"},
        // Nobody is saved by a time-out.
        "http": {"timeout": "10m"},
        "defaults": {"poll": {"page_size": PAGE_SIZE}},
    }));
    feed.configure_account(
        HUGE,
        json!({"poll": {"tiers": [{"age": "15m", "every": "1s"}, {"age": "3d", "every": "12h"}]}}),
    );

    let process = feed.start();
    let asked = |name: &str| feed.simulator.counts(name, "get.calls_report").requests();
    eventually("all bad accounts to be asked", PATIENCE, || bad.iter().all(|(name, _)| asked(name) > 0).then_some(()));
    eventually("the huge account to be read", PATIENCE, || (asked(HUGE) > 2).then_some(()));
    for name in HEALTHY {
        let n_calls = visible(&feed, name);
        eventually("the history", PATIENCE, || (published(&process, name) >= n_calls).then_some(()));
    }

    for number in 0..CALLS_EACH {
        let pages_before = asked(HUGE);
        for name in HEALTHY {
            let before = published(&process, name);
            feed.add_call(name, SignedDuration::from_mins(5), json!({}));
            eventually(&format!("new call {number} of {name}"), PATIENCE, || {
                (published(&process, name) > before).then_some(())
            });
        }
        eventually("the huge account to go on", PATIENCE, || (asked(HUGE) > pages_before).then_some(()));
    }

    assert_eq!(status(&process, HUGE), "backfilling", "all this was published meanwhile");
    for (name, _) in &bad {
        let counts = feed.simulator.counts(name, "get.calls_report");
        assert_eq!((counts.answered, published(&process, name)), (0, 0), "{name} was bad all the time");
    }
}

/// The history of a busy year, within the days that the test reads.
fn a_million_calls() -> CallsScenario {
    CallsScenario { days: 1.9, count: Some(1_000_000), per_hour: 0.0, prerendered: true, ..CallsScenario::default() }
}

fn status(process: &Callfeed, account: &str) -> String {
    let shown: Value = serde_json::from_str(&process.get(&format!("/api/v1/accounts/{account}"))).unwrap();
    shown["status"].as_str().unwrap_or_default().to_owned()
}

/// Events of an account in committed transactions.
fn published(process: &Callfeed, account: &str) -> usize {
    let metrics = process.get("/metrics");
    let label = format!("account=\"{account}\"");
    let counters =
        metrics.lines().filter(|line| line.starts_with("callfeed_events_published_total") && line.contains(&label));
    counters.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}
