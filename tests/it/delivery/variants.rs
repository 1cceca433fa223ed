//! Spellings that answers of the API show beside the documented ones: the events are the same.

use std::time::Duration;

use callfeed::simulator::{MetaData, Scenario, Variants};
use serde_json::json;

use super::faults::visible;
use super::feed::{Feed, account, history, standing_with};

#[test]
fn undocumented_spellings_make_the_same_events() {
    let variants = Variants {
        expire: true,
        meta_data: MetaData::Always,
        null_error_id: true,
        null_arrays: true,
        text_numbers: true,
        iso_dates: false,
    };
    let mut acme = account("acme", history(60));
    acme.login = Some("user@example.com".to_owned());
    acme.password = Some("feed-test-password".into());
    let session_lifetime = Duration::from_secs(600);
    let mut feed = Feed::of(Scenario { variants, session_lifetime, ..standing_with(vec![acme]) });
    feed.configure(json!({"defaults": {"poll": {"page_size": 7}}}));
    feed.config["accounts"][0]["credentials"] = json!({"login": "user@example.com", "password": "feed-test-password"});

    feed.once();
    feed.once();

    assert_eq!(feed.assert_equals_truth(), visible(&feed, "acme"));
}

/// Dates with a `T` and an offset: the text is kept as it came, and means the same moment.
#[test]
fn dates_with_an_offset_are_the_same_moments() {
    let variants = Variants { iso_dates: true, ..Variants::default() };
    let feed = Feed::of(Scenario { variants, ..standing_with(vec![account("acme", history(30))]) });
    feed.once();
    let zone = &feed.accounts()[0].zone;
    let truth = feed.simulator.truth("acme");
    let events = feed.events();
    assert_eq!(events.len(), visible(&feed, "acme"));
    for event in events {
        let call = truth.iter().find(|call| call.id == event.number("id")).unwrap();
        let millis = super::columns::unix_millis(&call.start_time, zone);
        assert_eq!(event.number("start_time"), millis);
        let text = event.text("start_time_local");
        assert_eq!(text.parse::<jiff::Timestamp>().unwrap().as_millisecond(), millis, "{text}");
    }
}
