//! One rehearsal for one test: a scenario and the configuration that reads it.

use std::future::Future;
use std::time::Duration;

use callfeed::rehearsal::Rehearsal;
use callfeed::simulator::{
    AccountScenario, CallsScenario, ClockScenario, Delay, Fault, Key, RatingHabits, SaleHabits, Scenario, TagHabits,
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::invariants::{Account, assert_invariants, assert_settled};

pub const ACCOUNT: &str = "acme";

pub const HOUR: Duration = Duration::from_hours(1);
pub const DAY: Duration = Duration::from_hours(24);

/// What must hold at any time is looked at this often.
const STEP: Duration = HOUR;

/// Every request takes so long, as one over a network does.
const LATENCY: Duration = Duration::from_millis(300);

/// Calls change until so long after their end.
const CHANGES_WITHIN: Delay = Delay::secs(30, 2 * 3600);

/// What happens on it is up to the test; what must hold at the end is not.
pub struct Stage {
    pub scenario: Scenario,
    pub config: Value,
    /// When nothing happens any more, the ladder has so long to find what did.
    pub rest: Duration,
}

impl Stage {
    /// One account. Its ladder is short and its pages small: what is read is not what is to be seen here.
    pub fn of(calls: CallsScenario) -> Stage {
        Stage::of_account(AccountScenario { calls, ..account() })
    }

    pub fn of_account(account: AccountScenario) -> Stage {
        let config = json!({
            "kafka": {"bootstrap_servers": "kafka.invalid:9092"},
            "schema_registry": {"url": "http://registry.invalid"},
            "accounts": [{
                "name": account.name,
                "service": "comagic",
                "credentials": {"api_key": "key"},
                "start_from": "1d",
                "filters": {"channels": {"static": "all"}},
                "poll": {"page_size": 50, "adaptive": false, "tiers": [
                    {"age": "15m", "every": "3m"}, {"age": "2h", "every": "15m"}, {"age": "1d", "every": "2h"},
                ]},
            }],
        });
        let scenario = Scenario {
            clock: start_at("2026-03-02T07:00:00Z"),
            faults: vec![Fault::Latency { delay: LATENCY }.every(1)],
            accounts: vec![account],
            ..Scenario::default()
        };
        Stage { scenario, config, rest: 3 * HOUR }
    }

    pub fn start_at(mut self, time: &str) -> Stage {
        self.scenario.clock = start_at(time);
        self
    }

    pub fn rest_for(mut self, rest: Duration) -> Stage {
        self.rest = rest;
        self
    }

    /// Changes the account's configuration: objects are merged key by key, anything else is replaced.
    pub fn configure(mut self, patch: Value) -> Stage {
        merge(&mut self.config["accounts"][0], patch);
        self
    }

    /// As [`Stage::rehearse`], where calls there must be.
    pub fn play<F: Future<Output = Rehearsal>>(self, action: impl FnOnce(Rehearsal) -> F) -> Rehearsal {
        let rehearsal = self.rehearse(action);
        assert!(!rehearsal.events.is_empty(), "a rehearsal in which nothing is published proves nothing");
        rehearsal
    }

    /// Plays on a clock that stands still but for waiting, and holds the end against the invariants: after `action` no
    /// more calls come, what is planned for those that came happens, and the ladder has the time to find it.
    pub fn rehearse<F: Future<Output = Rehearsal>>(self, action: impl FnOnce(Rehearsal) -> F) -> Rehearsal {
        let accounts = self.accounts();
        on_a_standing_clock(async move {
            let mut rehearsal = Rehearsal::new(&self.config.to_string(), self.scenario).unwrap();
            rehearsal.start().await.unwrap();
            let mut rehearsal = action(rehearsal).await;
            assert_invariants(&rehearsal, &accounts);
            settle(&mut rehearsal, &accounts, self.rest).await;
            accounts.iter().for_each(|account| assert_settled(&rehearsal, account));
            rehearsal
        })
    }

    /// The facts that the events are held against: of each account, or of each customer of an agency.
    pub fn accounts(&self) -> Vec<Account> {
        let config = &self.config["accounts"][0];
        let of = |name: String, timezone: &str| Account {
            name,
            credential: self.scenario.accounts[0].name.clone(),
            zone: TimeZone::get(timezone).unwrap(),
            filters: config["filters"].clone(),
            points_share: config["poll"]["points_share"].as_f64().unwrap_or(0.8),
            limits: self.scenario.accounts[0].limits.clone(),
        };
        let account = &self.scenario.accounts[0];
        let customers = account.customers.iter();
        let customers = customers.map(|one| of(format!("{}.{}", account.name, one.users[0].id), &one.timezone));
        match account.customers.is_empty() {
            true => vec![of(account.name.clone(), &account.timezone)],
            false => customers.collect(),
        }
    }
}

async fn settle(rehearsal: &mut Rehearsal, accounts: &[Account], rest: Duration) {
    let mut last = rehearsal.now();
    for account in accounts {
        rehearsal.simulator.stop_live_calls(&account.name).unwrap();
        last = last.max(rehearsal.simulator.settles_at(&account.name).unwrap_or(last));
    }
    let left = last.duration_since(rehearsal.now());
    let mut left = Duration::try_from(left).unwrap_or_default() + rest;
    while !left.is_zero() {
        let step = left.min(STEP);
        rehearsal.run_for(step).await.unwrap();
        assert_invariants(rehearsal, accounts);
        left -= step;
    }
}

pub fn on_a_standing_clock<T>(action: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(action)
}

fn start_at(time: &str) -> ClockScenario {
    ClockScenario { start: Some(time.parse().unwrap()), speed: 1.0 }
}

pub fn account() -> AccountScenario {
    AccountScenario { name: ACCOUNT.into(), keys: vec![Key::new("key")], ..AccountScenario::default() }
}

/// Calls of which many change.
pub fn calls(per_hour: f64) -> CallsScenario {
    const SOON: Delay = CHANGES_WITHIN;
    CallsScenario {
        per_hour,
        tags: TagHabits { share: 0.5, delay: SOON, removed_share: 0.3, removed_delay: SOON },
        sales: SaleHabits { share: 0.2, delay: SOON },
        ratings: RatingHabits { share: 0.2, delay: SOON },
        ..CallsScenario::default()
    }
}

fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            patch.into_iter().for_each(|(key, value)| merge(target.entry(key).or_insert(Value::Null), value));
        }
        (target, patch) => *target = patch,
    }
}
