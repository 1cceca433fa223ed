//! Everything at once: calls come in, are tagged and rated, and lose tags again, while there are sixty points a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callfeed::simulator::{
    AccountScenario, CallsScenario, Delay, Limits, Outcome, RatingHabits, SaleHabits, Scenario, TagHabits,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::eventually;

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, going, history};

/// Each has a credential, and points, of its own.
const ACCOUNTS: [&str; 2] = ["acme", "tagged"];
const N_BEFORE: usize = 60;
const N_LIVE: usize = 40;

const SHARE: f64 = 0.8;
const OWN_POINTS: u32 = 48;

/// In the middle of it somebody else leaves so few points for so long. Twelve are kept for others.
const SCARCE: u32 = 18;
const OWN_WHILE_SCARCE: usize = 6;
const SCARCE_FOR: SignedDuration = SignedDuration::from_secs(15);

#[test]
fn busy_accounts_are_told_right_with_sixty_points_a_minute() {
    let mut feed = Feed::of(busy());
    let tiers = json!([{"age": "15m", "every": "2s"}, {"age": "3d", "every": "1s"}]);
    feed.configure(json!({"defaults": {"poll": {"points_share": SHARE, "tiers": tiers}}}));
    feed.configure_account("tagged", json!({"filters": {"include": "tagged"}}));
    let old = ACCOUNTS.map(|name| feed.add_call(name, SignedDuration::from_hours(20), json!({"source": "sip"})));
    let arrives = |name: &str, call: i64, types: &[&str]| {
        eventually(&format!("{types:?} of {name}"), PATIENCE, || (feed.types_of(name, call) == types).then_some(()));
    };
    let mut process = feed.start();
    arrives("acme", old[0], &["CREATED"]);
    for (name, call) in ACCOUNTS.iter().zip(old) {
        feed.simulator.put_tag(name, call, "Жалоба").unwrap();
    }
    arrives("tagged", old[1], &["CREATED"]);
    feed.simulator.remove_tag("tagged", old[1], "Жалоба").unwrap();
    let scarce_since = ACCOUNTS.map(|name| {
        feed.simulator.set_limits(name, &scarce()).unwrap();
        feed.simulator.now()
    });
    for name in ACCOUNTS {
        let is_settled = || feed.simulator.settles_at(name).is_none_or(|at| at < feed.simulator.now());
        eventually("all changes", PATIENCE, || is_settled().then_some(()));
    }
    feed.wait_for_rereading_of(&ACCOUNTS);

    feed.assert_equals_truth();
    assert_eq!(feed.types_of("acme", old[0]), ["CREATED", "UPDATED"]);
    assert_eq!(feed.types_of("tagged", old[1]), ["CREATED", "WITHDRAWN"]);
    assert_much_happened(&feed);
    ACCOUNTS.iter().zip(scarce_since).for_each(|(name, since)| assert_points_were_kept(&feed, name, since));
    assert!(process.ended().is_none(), "callfeed goes on");
}

/// Some calls are over when it starts, others end meanwhile, and changes come soon after a call was published.
fn busy() -> Scenario {
    let soon = Delay::secs(3, 9);
    let calls = CallsScenario {
        per_hour: 5400.0,
        live_since: Duration::from_secs(40),
        live_limit: Some(N_LIVE),
        visibility_delay: Duration::ZERO,
        talk: Delay::secs(1, 4),
        tags: TagHabits { share: 0.7, delay: soon, removed_share: 0.5, removed_delay: soon },
        sales: SaleHabits { share: 0.3, delay: soon },
        ratings: RatingHabits { share: 0.3, delay: soon },
        records_delay: soon,
        ..history(N_BEFORE)
    };
    let accounts = ACCOUNTS.map(|name| AccountScenario { limits: sixty_a_minute(), ..account(name, calls.clone()) });
    Scenario { accounts: accounts.into(), ..going(CallsScenario::default()) }
}

/// Of the day's points there are enough: spread evenly over the day, they would leave those of a minute unused.
fn sixty_a_minute() -> Limits {
    Limits::per(60, 1_000_000)
}

fn scarce() -> Limits {
    let minute_reset = u32::try_from(SCARCE_FOR.as_secs()).unwrap();
    Limits { minute_remaining: Some(SCARCE), minute_reset: Some(minute_reset), ..sixty_a_minute() }
}

/// Calls came in while callfeed was running, and were seen both before and after they changed.
fn assert_much_happened(feed: &Feed) {
    let events = feed.events();
    let changed: BTreeSet<&str> = events.iter().flat_map(|event| event.changed()).collect();
    assert!(changed.is_superset(&["tags", "sale", "rating", "records"].into()), "{changed:?}");
    let mut n_events: BTreeMap<&str, usize> = BTreeMap::new();
    events.iter().for_each(|event| *n_events.entry(event.text("event_type")).or_default() += 1);
    assert!(n_events["UPDATED"] >= 15 && n_events["WITHDRAWN"] >= 3, "{n_events:?}");
    ACCOUNTS.iter().for_each(|name| assert_eq!(visible(feed, name), N_BEFORE + N_LIVE + 1, "{name}"));
}

/// The account's points were used up to the share when they were scarce, never further, and no request was refused.
fn assert_points_were_kept(feed: &Feed, name: &str, scarce_since: Timestamp) {
    let used = feed.simulator.points_used(name).unwrap();
    assert!(used.most_in_a_minute <= OWN_POINTS, "{name}: {used:?}");
    let requests = feed.simulator.requests().into_iter().filter(|request| request.account.as_deref() == Some(name));
    let (answered, refused): (Vec<_>, Vec<_>) =
        requests.partition(|request| matches!(request.outcome, Outcome::Answered { .. }));
    assert!(refused.is_empty(), "{refused:?}");
    let scarce = scarce_since.as_millisecond()..(scarce_since + SCARCE_FOR).as_millisecond();
    let n_while_scarce = answered.iter().filter(|request| scarce.contains(&request.at_millis)).count();
    // A request that was being answered when they became scarce counts before or after.
    assert!([OWN_WHILE_SCARCE - 1, OWN_WHILE_SCARCE].contains(&n_while_scarce), "{name}: {n_while_scarce}");
}
