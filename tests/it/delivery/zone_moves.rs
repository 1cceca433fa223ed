//! An account that is moved into another time zone: what its wall clock said means other moments from then on. The
//! documents do not say whether the calls before keep their text, so both are read rightly.

use std::collections::BTreeMap;

use callfeed::simulator::{AccountScenario, CallsScenario, FormerRows, SaleHabits, TagHabits};
use jiff::SignedDuration;
use serde_json::json;

use super::feed::{Feed, PATIENCE, account, history, standing_with};

const FORMER_ROWS: [(&str, FormerRows); 2] =
    [("keeps", FormerRows::KeepTheirText), ("shows", FormerRows::ShowTheNewTime)];

/// From west to east and back: once the new clock is ahead, once behind.
const MOVES: [(&str, &str); 2] = [("Europe/Moscow", "Asia/Vladivostok"), ("Asia/Vladivostok", "America/New_York")];

#[test]
fn calls_of_before_a_move_are_corrected_while_it_runs() {
    let mut feed = world();
    let mut process = feed.start();
    let names = names(&feed);
    let n_calls = n_visible(&feed);
    feed.wait_for_events(n_calls);
    feed.assert_equals_truth();

    move_all(&mut feed);
    let found_later: BTreeMap<&String, i64> = names
        .iter()
        .map(|name| (name, feed.add_call(name, SignedDuration::from_hours(3), json!({"source": "sip"}))))
        .collect();
    // Zones are asked for every hour; SIGHUP asks at once.
    process.hang_up();

    feed.wait_for_events(n_calls * 2 + found_later.len());
    feed.assert_equals_truth();
    assert_corrected(&feed, n_calls + found_later.len());
    for (name, call) in found_later {
        assert_eq!(feed.types_of(name, call), ["CREATED"]);
    }
    process.terminate();
    process.wait_exit(PATIENCE);
    feed.once();
    assert_eq!(feed.events().len(), n_calls * 2 + names.len(), "what was corrected stays so");
}

#[test]
fn calls_of_before_a_move_are_corrected_by_the_next_start() {
    let mut feed = world();
    feed.once();
    let n_calls = feed.assert_equals_truth();
    move_all(&mut feed);
    feed.once();
    feed.assert_equals_truth();
    assert_corrected(&feed, n_calls);
}

/// The zone that is configured holds, whatever the account says.
#[test]
fn a_zone_that_is_configured_anew_corrects_the_calls_of_before() {
    let mut feed = world();
    let mut process = feed.start();
    let n_calls = n_visible(&feed);
    feed.wait_for_events(n_calls);
    for name in names(&feed) {
        feed.move_to(&name, "Asia/Tokyo", FormerRows::KeepTheirText);
        feed.configure_account(&name, json!({"timezone": "Asia/Tokyo"}));
    }
    feed.reload(&mut process);
    feed.wait_for_events(n_calls * 2);
    feed.assert_equals_truth();
    assert_corrected(&feed, n_calls);
}

/// Accounts that are read so seldom that nothing is read between a move and the news of it.
fn world() -> Feed {
    let accounts = MOVES.iter().flat_map(|(from, _)| {
        FORMER_ROWS.iter().map(|(name, _)| {
            let name = format!("{name}-{}", from.to_lowercase().replace('/', "-"));
            AccountScenario { timezone: (*from).to_owned(), ..account(&name, calls()) }
        })
    });
    let mut feed = Feed::of(standing_with(accounts.collect()));
    let tiers = json!([{"age": "15m", "every": "15m"}, {"age": "3d", "every": "1d"}]);
    feed.configure(json!({"defaults": {"poll": {"page_size": 5, "tiers": tiers}}}));
    feed
}

/// Times of tags and sales move with the rest of a call; `changed` names them by the call, as nobody has touched them.
fn calls() -> CallsScenario {
    let tags = TagHabits { share: 0.0, ..TagHabits::default() };
    let sales = SaleHabits { share: 0.0, ..SaleHabits::default() };
    CallsScenario { tags, sales, ..history(12) }
}

fn move_all(feed: &mut Feed) {
    for (from, to) in MOVES {
        for (name, former_rows) in FORMER_ROWS {
            feed.move_to(&format!("{name}-{}", from.to_lowercase().replace('/', "-")), to, former_rows);
        }
    }
}

fn names(feed: &Feed) -> Vec<String> {
    feed.accounts().into_iter().map(|one| one.name).collect()
}

fn n_visible(feed: &Feed) -> usize {
    names(feed).iter().map(|name| feed.simulator.visible_ids(name).len()).sum()
}

/// Each call was created once, and its last event has the moment that its text stands for now.
#[track_caller]
fn assert_corrected(feed: &Feed, n_calls: usize) {
    let events = feed.events();
    let n_created = events.iter().filter(|event| event.text("event_type") == "CREATED").count();
    assert_eq!(n_created, n_calls, "no call is created twice");
    for name in names(feed) {
        let zone = feed.accounts().into_iter().find(|one| one.name == name).unwrap().zone;
        for id in feed.simulator.visible_ids(&name) {
            let key = format!("{name}:{id}");
            let last = events.iter().rfind(|event| event.record.key_text() == key).unwrap();
            let local: jiff::civil::DateTime = last.text("start_time_local").parse().unwrap();
            let moment = zone.to_ambiguous_timestamp(local).compatible().unwrap();
            assert_eq!(last.number("start_time"), moment.as_millisecond(), "call {id} of {name}");
        }
    }
}
