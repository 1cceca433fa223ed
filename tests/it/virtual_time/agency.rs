//! An agency of thousands: its customers share one credential, come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callfeed::rehearsal::Rehearsal;
use callfeed::simulator::{AccountScenario, CallsScenario, CustomerScenario, Limits, UserScenario};
use callfeed::status::State;
use serde_json::{Map, Value, json};

use super::invariants::assert_invariants;
use super::stage::{ACCOUNT, Stage, account, on_a_standing_clock};

const CUSTOMERS: i64 = 2000;

/// So many leave, and as many come.
const CHANGE: i64 = 300;

const USERS: &str = "get.customer_users";

/// 320 points a minute are callfeed's: the zone of each customer and its past take all of them for a quarter of an hour.
const LIMITS: (u32, u32) = (400, 100_000);

/// All of them are read every half an hour.
const STALEST: Duration = Duration::from_mins(40);

/// The id of a customer's user, which names its account.
fn user(number: i64) -> i64 {
    10_000 + number
}

fn name(user: i64) -> String {
    format!("{ACCOUNT}.{user}")
}

fn stage() -> Stage {
    let customer = |number: i64| CustomerScenario {
        id: number,
        users: vec![UserScenario { id: user(number), ..UserScenario::default() }],
        calls: CallsScenario { days: 0.9, count: Some(1), per_hour: 0.0, ..CallsScenario::default() },
        ..CustomerScenario::default()
    };
    let customers = (0..CUSTOMERS + CHANGE).map(customer).collect();
    let agency = AccountScenario { limits: Limits::per(LIMITS.0, LIMITS.1), customers, ..account() };
    let poll = json!({"tiers": [{"age": "2h", "every": "30m"}, {"age": "1d", "every": "6h"}]});
    Stage::of_account(agency).configure(json!({"customers": "all", "poll": poll}))
}

#[test]
fn thousands_of_customers_share_one_credential_and_come_and_go() {
    let stage = stage();
    let accounts = stage.accounts();
    on_a_standing_clock(async move {
        let mut rehearsal = Rehearsal::new(&stage.config.to_string(), stage.scenario).unwrap();
        let first: BTreeSet<i64> = (0..CUSTOMERS).map(user).collect();
        let to_come = take_users(&rehearsal, |user| !first.contains(&user));
        rehearsal.start().await.unwrap();

        rehearsal.run_for(Duration::from_mins(35)).await.unwrap();
        assert_all_live(&rehearsal, &first);
        // A few calls go on while the agency is opened.
        assert_each_has_its_call(&rehearsal, &first, CUSTOMERS as usize / 100);

        let left: BTreeSet<i64> = (0..CHANGE).map(user).collect();
        take_users(&rehearsal, |user| left.contains(&user));
        rehearsal.simulator.edit_table(ACCOUNT, USERS, |rows| rows.extend(to_come)).unwrap();
        // Customers are asked for every hour.
        rehearsal.run_for(Duration::from_mins(40)).await.unwrap();
        rehearsal.simulator.take_requests();
        rehearsal.run_for(STALEST).await.unwrap();

        let stay: BTreeSet<i64> = (CHANGE..CUSTOMERS + CHANGE).map(user).collect();
        assert_all_live(&rehearsal, &stay);
        assert_each_has_its_call(&rehearsal, &stay, 0);
        let asked: BTreeSet<i64> = rehearsal.simulator.requests().iter().filter_map(|one| one.user_id).collect();
        assert_eq!(asked, stay, "whoever left is read no more, all others are");
        let state = rehearsal.kafka.state();
        assert!(
            left.iter().all(|user| state.contains_key(&format!("a/{}/calls/coverage", name(*user)))),
            "state stays"
        );
        assert_invariants(&rehearsal, &accounts);

        // A list without anybody is rather a fault of the service: nobody is stopped, and the agency says so.
        take_users(&rehearsal, |_| true);
        rehearsal.run_for(Duration::from_mins(65)).await.unwrap();
        let context = rehearsal.context().unwrap();
        let shown = context.board.snapshot(context.clock.now());
        assert_eq!(shown.len(), stay.len() + 1);
        let agency = shown.iter().find(|one| one.account.as_str() == ACCOUNT).expect("the agency is shown");
        assert_eq!((agency.status, agency.remedy.is_some()), (State::Blocked, true));
    });
}

/// Takes users off the agency's list.
fn take_users(rehearsal: &Rehearsal, is_meant: impl Fn(i64) -> bool) -> Vec<Map<String, Value>> {
    let mut taken = Vec::new();
    let is_meant = |row: &mut Map<String, Value>| is_meant(row["id"].as_i64().unwrap());
    rehearsal.simulator.edit_table(ACCOUNT, USERS, |rows| taken.extend(rows.extract_if(.., is_meant))).unwrap();
    taken
}

/// These are on the board and no others, none waits for long.
#[track_caller]
fn assert_all_live(rehearsal: &Rehearsal, users: &BTreeSet<i64>) {
    let context = rehearsal.context().unwrap();
    let shown = context.board.snapshot(context.clock.now());
    let names: BTreeSet<String> = shown.iter().map(|account| account.account.to_string()).collect();
    assert_eq!(names, users.iter().map(|user| name(*user)).collect());
    let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
    shown.iter().for_each(|account| *by_status.entry(account.status.as_str()).or_default() += 1);
    assert_eq!(by_status, BTreeMap::from([("live", users.len())]));
    let freshness = shown.iter().flat_map(|account| &account.streams).filter_map(|stream| stream.freshness_seconds);
    let stalest = freshness.max().map(Duration::from_secs).unwrap();
    assert!(stalest <= STALEST, "somebody is starved: {stalest:?}");
}

#[track_caller]
fn assert_each_has_its_call(rehearsal: &Rehearsal, users: &BTreeSet<i64>, but: usize) {
    let has_none = |user: &&i64| rehearsal.events.get(&name(**user)).is_none_or(|calls| calls.len() != 1);
    let n_missing = users.iter().filter(has_none).count();
    assert!(n_missing <= but, "{n_missing} customers without their call");
}
