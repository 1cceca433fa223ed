//! The accounts, what happens in them, and how callfeed is configured to read them.

use std::time::Duration;

use callfeed::simulator::{
    AccountScenario, CallsScenario, Delay, Key, Limits, RatingHabits, SaleHabits, Scenario, Simulator, TagHabits,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::arguments::{Arguments, Delivery, Protocol};
use crate::support::{CallState, block_on, unique_name};

/// How long a replica is silent before the others take its accounts.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);

/// How often an account has calls, and how many it had before.
const CALLS_PER_HOUR: f64 = 120.0;
const N_HISTORY: usize = 40;

/// The live tier, and the one that sees late changes.
const LIVE_EVERY: &str = "2s";
const REREAD_EVERY: &str = "10s";

pub struct World {
    pub simulator: Simulator,
    pub accounts: Vec<Account>,
    pub started: Timestamp,
    /// The calls topic, the group, and part of the other topics' names.
    pub topic: String,
    delivery: Delivery,
    protocol: Protocol,
}

pub struct Account {
    pub name: String,
    /// Whether only calls that carry a tag are published.
    pub tagged_only: bool,
}

impl Account {
    pub fn wants(&self, state: &CallState) -> bool {
        !self.tagged_only || !state.tags.is_empty()
    }
}

impl World {
    pub fn start(arguments: &Arguments) -> World {
        let accounts: Vec<Account> = (0..arguments.accounts)
            .map(|number| Account { name: format!("account-{number:02}"), tagged_only: number % 3 == 2 })
            .collect();
        let scenario = Scenario {
            seed: arguments.seed,
            accounts: accounts.iter().map(|account| living(&account.name)).collect(),
            ..Scenario::default()
        };
        let simulator =
            block_on(async move { Simulator::start(scenario, "127.0.0.1:0".parse().unwrap()).await.unwrap() });
        World {
            started: simulator.now(),
            simulator,
            accounts,
            topic: unique_name("chaos"),
            delivery: arguments.delivery,
            protocol: arguments.protocol,
        }
    }

    /// The config of one replica; it reaches brokers and registry by its own addresses.
    pub fn config(&self, instance_id: &str, bootstrap: &str, registry: &str) -> Value {
        let accounts: Vec<Value> = self.accounts.iter().map(|account| self.account_config(account)).collect();
        json!({
            "kafka": {
                "bootstrap_servers": bootstrap,
                "group_id": self.topic,
                "instance_id": instance_id,
                "delivery": self.delivery.name(),
                "state_topic": format!("{}.state", self.topic),
                "state_partitions": 12,
                "dead_letter_topic": format!("{}.dead-letter", self.topic),
                "create_topics": {"replication_factor": 3, "partitions": 6},
                "commit_interval": "50ms",
                "properties": self.properties(),
            },
            "schema_registry": {"url": registry},
            "topics": {"calls": self.topic},
            "defaults": {
                "start_from": "4h",
                "poll": {
                    "page_size": 20, "adaptive": false, "points_share": 1.0,
                    "tiers": [{"age": "1m", "every": LIVE_EVERY}, {"age": "6h", "every": REREAD_EVERY}],
                },
            },
            "accounts": accounts,
            "admin": {"listen": "127.0.0.1:0"},
            "http": {"timeout": "3s", "proxy": "none"},
        })
    }

    fn account_config(&self, account: &Account) -> Value {
        json!({
            "name": account.name,
            "service": {"url": self.simulator.url("default")},
            "credentials": {"api_key": api_key(&account.name)},
            "filters": {
                "include": if account.tagged_only { "tagged" } else { "all" },
                "channels": {"static": "all"},
            },
        })
    }

    /// With the consumer protocol it is the brokers that say how long a member may be silent.
    fn properties(&self) -> Value {
        match self.protocol {
            Protocol::Consumer => json!({"group.protocol": "consumer"}),
            Protocol::Classic => json!({
                "session.timeout.ms": SESSION_TIMEOUT.as_millis().to_string(),
                "heartbeat.interval.ms": HEARTBEAT_EVERY.as_millis().to_string(),
            }),
        }
    }

    /// From now on nothing happens but what is planned already.
    pub fn calm_down(&self) {
        for account in &self.accounts {
            self.simulator.stop_live_calls(&account.name).unwrap();
        }
    }

    pub fn settles_at(&self) -> Timestamp {
        let each = self.accounts.iter().filter_map(|account| self.simulator.settles_at(&account.name));
        each.max().unwrap_or(self.started)
    }

    /// When each call came into the report, of those that came after the start.
    pub fn shown_since_start(&self, account: &str) -> impl Iterator<Item = (i64, Timestamp)> {
        let shown = self.simulator.timelines(account).into_iter().filter_map(|call| Some((call.id, call.shown_at?)));
        shown.filter(|(_, at)| *at > self.started + SignedDuration::from_secs(1))
    }
}

/// What brokers must allow for it.
pub fn broker_properties() -> [(&'static str, String); 6] {
    let [session, heartbeat] = [SESSION_TIMEOUT, HEARTBEAT_EVERY].map(|time| time.as_millis().to_string());
    [
        ("group.min.session.timeout.ms", session.clone()),
        ("group.consumer.min.session.timeout.ms", session.clone()),
        ("group.consumer.session.timeout.ms", session),
        ("group.consumer.min.heartbeat.interval.ms", heartbeat.clone()),
        ("group.consumer.heartbeat.interval.ms", heartbeat),
        // Transactions that nobody will end are looked for so often.
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000".to_owned()),
    ]
}

fn api_key(account: &str) -> String {
    format!("key-of-{account}")
}

/// Calls come all the time, and most change soon after their end: while faults go on, and after they stopped.
fn living(name: &str) -> AccountScenario {
    let soon = Delay::secs(2, 20);
    let calls = CallsScenario {
        days: 0.1,
        count: Some(N_HISTORY),
        per_hour: CALLS_PER_HOUR,
        live_since: Duration::from_secs(60),
        talk: Delay::secs(1, 10),
        visibility_delay: Duration::from_secs(1),
        tags: TagHabits { share: 0.6, delay: soon, removed_share: 0.4, removed_delay: soon },
        sales: SaleHabits { share: 0.1, delay: soon },
        ratings: RatingHabits { share: 0.2, delay: soon },
        records_delay: soon,
        ..CallsScenario::default()
    };
    AccountScenario {
        name: name.to_owned(),
        keys: vec![Key::new(api_key(name))],
        limits: Limits::per(1_000_000, 1_000_000_000),
        calls,
        ..AccountScenario::default()
    }
}
