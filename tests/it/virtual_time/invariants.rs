//! What must hold, whatever happened: at any time, and when everything has come to rest.
//!
//! Worked out from the simulator's truth and the words of the documents; nothing here trusts callfeed's own rules.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use callfeed::rehearsal::{History, Rehearsal};
use callfeed::simulator::{Limits, Outcome, TruthCall};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::delivery::{columns, oracle::passes};

/// So many calls of an account are compared column by column, evenly spread; of the others the number of events and
/// whether they are published.
const COMPARED: usize = 60;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(include_str!("../../../schemas/call_event.avsc")).unwrap());

/// What a test knows of an account.
pub struct Account {
    pub name: String,
    /// The simulator's name of the account whose points are used.
    pub credential: String,
    pub zone: TimeZone,
    pub filters: Value,
    pub points_share: f64,
    pub limits: Limits,
}

/// At any time: no request is wrong, points are within the share, and each call's events tell a whole story.
#[track_caller]
pub fn assert_invariants(rehearsal: &Rehearsal, accounts: &[Account]) {
    let wrong: Vec<_> = rehearsal.simulator.bugs();
    assert!(wrong.is_empty(), "requests that the API refuses: {wrong:?}");
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused { .. });
    let refused: Vec<_> = rehearsal.simulator.requests().into_iter().filter(|one| refused(&one.outcome)).collect();
    assert!(refused.is_empty(), "{} requests were refused, first {:?}", refused.len(), refused.first());
    assert_points(rehearsal, &accounts[0]);
    let known: HashSet<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    let mut ids = HashSet::new();
    for (account, calls) in &rehearsal.events {
        assert!(known.contains(account.as_str()), "events of an account that nobody configured: {account}");
        for (call, history) in calls {
            assert_history(history, &format!("call {call} of {account}"));
            let doubled = history.events.iter().find(|event| !ids.insert(event.id));
            assert!(doubled.is_none(), "call {call} of {account}: an id of another event: {doubled:?}");
        }
    }
}

fn assert_points(rehearsal: &Rehearsal, account: &Account) {
    let used = rehearsal.simulator.points_used(&account.credential).unwrap();
    let most = |limit: u32| (f64::from(limit) * account.points_share).round().max(1.0) as u32;
    let (minute, day) = (most(account.limits.minute), most(account.limits.day));
    assert!(used.most_in_a_minute <= minute, "{} points in a minute, {minute} are callfeed's", used.most_in_a_minute);
    assert!(used.by_day.iter().all(|used| *used <= day), "points a day, {day} are callfeed's: {:?}", used.by_day);
}

/// One CREATED, revisions without a gap, each event with something new, withdrawn once at a time.
fn assert_history(history: &History, what: &str) {
    assert_eq!(history.n_unreadable, 0, "{what}: events that cannot be read");
    let mut was_withdrawn = false;
    for (event, revision) in history.events.iter().zip(1..) {
        let what = format!("{what}: {event:?}");
        assert_eq!(event.revision, revision, "{what}: the revision");
        assert!(event.committed_at_millis >= event.observed_at_millis, "{what}: committed before it was read");
        match (revision, event.event_type.as_str()) {
            (1, "CREATED") => assert!(event.changed.is_empty(), "{what}"),
            (2.., "UPDATED") => assert!(was_withdrawn || !event.changed.is_empty(), "{what}: nothing changed"),
            (2.., "WITHDRAWN") => assert!(!was_withdrawn, "{what}: withdrawn twice"),
            _ => panic!("{what}: out of place"),
        }
        was_withdrawn = event.event_type == "WITHDRAWN";
    }
}

/// When nothing changes any more and there was time: what the API shows and the filters let through is published, as it
/// is now; nothing else is.
#[track_caller]
pub fn assert_settled(rehearsal: &Rehearsal, account: &Account) {
    let shown = rehearsal.simulator.visible_ids(&account.name);
    let nothing = Default::default();
    let events = rehearsal.events.get(&account.name).unwrap_or(&nothing);
    let strangers: Vec<_> = events.keys().filter(|id| !shown.contains(id)).collect();
    assert!(strangers.is_empty(), "calls of {} that the API does not have: {strangers:?}", account.name);
    let step = (shown.len() / COMPARED).max(1);
    let compared: BTreeSet<i64> = match account.filters["include"].as_str() {
        // Whether a call is to be published stands in its row.
        Some("tagged" | "primary") => shown.clone(),
        _ => shown.iter().step_by(step).copied().collect(),
    };
    let rest: Vec<_> = shown.difference(&compared).filter(|id| !events.contains_key(id)).collect();
    assert!(rest.is_empty(), "{} of {} calls are lost: {rest:?}", rest.len(), shown.len());
    for call in rehearsal.simulator.truth_of(&account.name, &compared) {
        assert_as_in_truth(account, &call, events.get(&call.id));
    }
}

fn assert_as_in_truth(account: &Account, call: &TruthCall, history: Option<&History>) {
    let what = format!("call {} of {}, started {}", call.id, account.name, call.start_time);
    let is_published = history.is_some_and(|history| !history.is_withdrawn());
    assert_eq!(is_published, passes(&account.filters, &call.row), "{what}: is it published? {history:?}");
    if let Some(history) = history.filter(|_| is_published) {
        let event = decode(&history.latest);
        let (found, expected) = (columns::of_event(&event), columns::of_row(&call.row, &account.zone));
        let differing: Vec<_> = expected.iter().filter(|(column, value)| found.get(*column) != Some(value)).collect();
        assert!(differing.is_empty(), "{what}: not as in the API: {differing:?}; {:?}", history.events);
    }
}

fn decode(value: &[u8]) -> Value {
    let reader = GenericDatumReader::builder(&SCHEMA).build().unwrap();
    let (_frame, mut datum) = value.split_at(5);
    Value::try_from(reader.read_value(&mut datum).unwrap()).unwrap()
}
