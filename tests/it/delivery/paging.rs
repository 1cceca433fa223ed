//! Pages of every size over whatever the API may do with bounds, ties and short answers.

use std::time::Duration;

use callfeed::simulator::{Bound, Bounds, CallsScenario, Delay, RatingHabits, SaleHabits, Scenario, TagHabits, Ties};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::eventually;

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, going, history, standing_with};

/// Crowds of 9 calls start in the same second: more than most of the pages hold.
const CROWD: usize = 9;

const PAGE_SIZES: [usize; 6] = [1, 2, 4, 9, 10, 10_000];

#[test]
fn each_row_is_read_when_both_bounds_are_inclusive() {
    reads_each_row(Bound::Inclusive, Bound::Inclusive);
}

#[test]
fn each_row_is_read_when_both_bounds_are_exclusive() {
    reads_each_row(Bound::Exclusive, Bound::Exclusive);
}

#[test]
fn each_row_is_read_when_only_the_first_bound_is_inclusive() {
    reads_each_row(Bound::Inclusive, Bound::Exclusive);
}

#[test]
fn each_row_is_read_when_only_the_last_bound_is_inclusive() {
    reads_each_row(Bound::Exclusive, Bound::Inclusive);
}

/// Accounts of each page size and both orders of back-fill, with pages that are cut short and ties that come
/// in another order each time.
fn reads_each_row(from: Bound, till: Bound) {
    let calls = CallsScenario { same_second: CROWD, ..history(5 * CROWD) };
    let names = PAGE_SIZES.map(|page_size| format!("pages-of-{page_size}"));
    let mut feed = Feed::of(Scenario {
        bounds: Bounds { from, till },
        ties: Ties::Shuffled,
        short_pages: 0.2,
        ..standing_with(names.iter().map(|name| account(name, calls.clone())).collect())
    });
    // Transactions of less than a page, and room for less than all the pages at once.
    feed.configure(json!({"kafka": {"commit_max_events": 7}, "limits": {"memory": "1MiB"}}));
    for (index, (name, page_size)) in names.iter().zip(PAGE_SIZES).enumerate() {
        let order = if index % 2 == 0 { "newest" } else { "oldest" };
        feed.configure_account(name, json!({"poll": {"page_size": page_size, "backfill": order}}));
    }

    feed.once();
    let n_events = feed.assert_equals_truth();
    let n_calls: usize = names.iter().map(|name| visible(&feed, name)).sum();
    assert_eq!(n_events, n_calls, "each call is told once, however often its second is read");

    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events, "a second run finds nothing new");
    assert!(
        feed.simulator.bugs().is_empty(),
        "callfeed asks nothing that the API forbids: {:?}",
        feed.simulator.bugs()
    );
}

/// Calls come, end, appear and change faster than the pages are read.
#[test]
fn calls_that_appear_while_pages_are_read_are_not_missed() {
    let soon = Delay::secs(1, 4);
    let calls = CallsScenario {
        days: 0.02,
        per_hour: 90_000.0,
        live_limit: Some(120),
        talk: Delay::secs(1, 4),
        visibility_delay: Duration::from_secs(1),
        same_second: 3,
        records_delay: soon,
        tags: TagHabits { share: 0.5, delay: soon, removed_share: 0.5, removed_delay: soon },
        sales: SaleHabits { share: 0.3, delay: soon },
        ratings: RatingHabits { share: 0.3, delay: soon },
        ..history(20)
    };
    let mut feed = Feed::of(Scenario { ties: Ties::Shuffled, ..going(calls) });
    feed.configure(json!({"defaults": {"poll": {"page_size": 10}}}));
    let _running = feed.start();
    let all = || feed.simulator.truth("acme").len() >= 140;
    eventually("the last call", PATIENCE, || all().then_some(()));
    // What is still planned happens at once.
    feed.simulator.advance(SignedDuration::from_mins(10));
    feed.wait_for_rereading("acme");
    feed.assert_equals_truth();
}

/// A page that is larger than all the room for pages can never be taken in as a whole.
#[test]
fn pages_that_do_not_fit_into_memory_are_asked_for_shorter() {
    let mut feed = Feed::of(standing_with(vec![account("acme", history(3000))]));
    feed.configure(json!({"limits": {"memory": "1MiB"}, "defaults": {"poll": {"page_size": 5000}}}));
    let process = feed.try_once();
    assert!(process.stderr().contains("asking for shorter ones"), "{}", process.stderr());
    feed.assert_equals_truth();
}
