//! The process killed with SIGKILL at random moments, again and again: what a `read_committed` consumer sees in the
//! end is what happened in the accounts. Nothing is lost, nothing doubled, no revision left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use callfeed::simulator::{
    AccountScenario, CallsScenario, Delay, Key, Limits, RatingHabits, SaleHabits, Scenario, Simulator, TagHabits,
};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{CallState, Callfeed, Judge, Record, Servers, Setup, Told, block_on, eventually, unique_name};

const PATIENCE: Duration = Duration::from_secs(60);
const KILLS_IN_BACKFILL: u32 = 13;
const LEAST_KILLS_LIVE: u32 = 14;

const N_HISTORY: usize = 2500;
const TAG: &str = "Под вопросом";

/// The slowest tier: it reads everything again.
const REREAD_EVERY: SignedDuration = SignedDuration::from_secs(3);

/// The accounts; `tagged` publishes only calls that carry a tag.
const ACCOUNTS: [&str; 2] = ["plain", "tagged"];

#[test]
fn sigkill_at_any_moment_loses_nothing_and_doubles_nothing() {
    kill_again_and_again(Judge::ExactlyOnce);
}

/// An event may come again then, but no revision with another content.
#[test]
fn sigkill_at_any_moment_repeats_the_same_events_at_the_most_without_transactions() {
    kill_again_and_again(Judge::AtLeastOnce);
}

fn kill_again_and_again(judge: Judge) {
    let seed = std::env::var("CALLFEED_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("to repeat: CALLFEED_TEST_SEED={seed}");
    let mut trial = Trial::prepare(seed, judge);

    (0..KILLS_IN_BACKFILL).for_each(|_| trial.run_and_kill());
    let n_created = trial.created("plain");
    assert!((1..N_HISTORY).contains(&n_created), "the kills missed the back-fill: {n_created} of {N_HISTORY} are read");

    trial.finish_backfill();
    let mut n_kills = 0;
    while n_kills < LEAST_KILLS_LIVE || !trial.is_settled() {
        trial.run_and_kill();
        n_kills += 1;
    }

    trial.read_the_rest();
    trial.assert_feed_is_true();
}

struct Trial {
    simulator: Simulator,
    service: Setup,
    once: Setup,
    topic: String,
    judge: Judge,
    lot: Rng,
    /// Calls of `plain` that nobody has put this test's tag on.
    plain: Vec<i64>,
    /// Calls of `tagged` that nothing happens to but what this test does: without a tag, and with one.
    untagged: Vec<i64>,
    tagged: Vec<i64>,
}

impl Trial {
    fn prepare(seed: u64, judge: Judge) -> Trial {
        let scenario = Scenario { seed, accounts: ACCOUNTS.map(account).into(), ..Scenario::default() };
        let here = "127.0.0.1:0".parse().unwrap();
        let simulator = block_on(async move { Simulator::start(scenario, here).await.unwrap() });
        let topic = unique_name("kill");
        let config = config(&simulator.url("default"), &topic, judge).to_string();
        let untagged = simulator.truth("tagged").into_iter().filter(|call| tags(&call.row).is_empty());
        let untagged = untagged.map(|call| call.id).collect();
        let plain = simulator.truth("plain").into_iter().map(|call| call.id).collect();
        let run = |arguments: &[&str]| {
            Setup::new(&[&["run", "--config", "callfeed.yaml"], arguments].concat()).file("callfeed.yaml", &config)
        };
        Trial {
            service: run(&[]),
            once: run(&["--once"]),
            simulator,
            topic,
            judge,
            lot: Rng::with_seed(seed),
            plain,
            untagged,
            tagged: Vec::new(),
        }
    }

    /// Starts the process and kills it: some while it starts, some a few pages later. The random pause reaches the
    /// moments between one page and the next: composing, sending, committing.
    fn run_and_kill(&mut self) {
        let (n_pages, millis) = match self.lot.u64(0..10) {
            0 | 1 => (0, self.lot.u64(0..1000)),
            n_pages => (n_pages, self.lot.u64(0..60)),
        };
        let pages_before = self.pages_asked();
        let mut process = self.service.start();
        self.live_on();
        eventually("callfeed to ask for pages", PATIENCE, || {
            assert!(process.ended().is_none(), "callfeed ended by itself");
            (self.pages_asked() >= pages_before + n_pages).then_some(())
        });
        std::thread::sleep(Duration::from_millis(millis));
        process.kill9();
    }

    fn finish_backfill(&self) {
        let mut process = self.service.start();
        eventually("the back-fill to end", PATIENCE, || (self.created("plain") >= N_HISTORY).then_some(()));
        stop(&mut process);
    }

    /// New calls, and tags put on and taken off calls of hours ago, which only a complete reading again can see.
    fn live_on(&mut self) {
        for account in ACCOUNTS {
            let ended = json!({"source": "simple_dt", "finish_time": local_now()});
            self.simulator.add_call(account, ended).unwrap();
        }
        let call = self.plain.swap_remove(self.lot.usize(..self.plain.len()));
        self.simulator.put_tag("plain", call, TAG).unwrap();
        for _ in 0..3 {
            let call = self.untagged.swap_remove(self.lot.usize(..self.untagged.len()));
            self.simulator.put_tag("tagged", call, TAG).unwrap();
            self.tagged.push(call);
        }
        let call = self.tagged.swap_remove(self.lot.usize(..self.tagged.len()));
        self.simulator.remove_tag("tagged", call, TAG).unwrap();
    }

    /// Whether nothing happens in the accounts any more by itself.
    fn is_settled(&self) -> bool {
        ACCOUNTS.into_iter().all(|account| self.simulator.settles_at(account).unwrap() < Timestamp::now())
    }

    /// One complete reading, when every tier is due again.
    fn read_the_rest(&self) {
        let all_due = Timestamp::now() + REREAD_EVERY;
        eventually("all tiers to be due", PATIENCE, || (Timestamp::now() > all_due).then_some(()));
        let mut process = self.once.start();
        let status = process.wait_exit(PATIENCE);
        assert!(status.success(), "{status}: {}", process.stderr());
    }

    fn pages_asked(&self) -> u64 {
        ACCOUNTS.into_iter().map(|account| self.simulator.counts(account, "get.calls_report").requests()).sum()
    }

    fn created(&self, account: &str) -> usize {
        let is_created = |record: &Record| record.header("ce_type") == Some("callfeed.call.created");
        let created: BTreeSet<String> = self
            .events(account)
            .iter()
            .filter(|record| is_created(record))
            .map(|record| record.key_text().to_owned())
            .collect();
        created.len()
    }

    /// What consumers see of an account; nothing while its topic is not there yet.
    fn events(&self, account: &str) -> Vec<Record> {
        let kafka = &Servers::shared().kafka;
        if kafka.partitions(&self.topic).is_none() {
            return Vec::new();
        }
        let prefix = format!("{account}:");
        let records = kafka.read_committed(&self.topic).into_iter();
        records.filter(|record| record.key_text().starts_with(&prefix)).collect()
    }

    fn assert_feed_is_true(&self) {
        let mut seen = BTreeSet::new();
        for account in ACCOUNTS {
            let told = self.told(account);
            seen.extend(told.values().flatten().map(|event| event.event_type.clone()));
            let is_wanted = |state: &CallState| account == "plain" || !state.tags.is_empty();
            let problems = self.judge.account(&self.simulator.truth(account), &told, is_wanted);
            let events: Vec<_> = problems.keys().map(|call| (call, told.get(call))).collect();
            assert!(problems.is_empty(), "calls of {account}: {problems:#?}, and what was told: {events:#?}");
        }
        assert_eq!(
            seen,
            ["CREATED", "UPDATED", "WITHDRAWN"].map(str::to_owned).into(),
            "the accounts lived too little"
        );
    }

    /// The events of each call, in their order.
    fn told(&self, account: &str) -> BTreeMap<i64, Vec<Told>> {
        let mut told: BTreeMap<i64, Vec<Told>> = BTreeMap::new();
        for record in self.events(account) {
            let event = Servers::shared().registry.decode(&record);
            told.entry(event["id"].as_i64().unwrap()).or_default().push(Told::of(&record, &event));
        }
        told
    }
}

fn stop(process: &mut Callfeed) {
    process.terminate();
    let status = process.wait_exit(PATIENCE);
    assert!(status.success(), "{status}");
}

/// Now, as the accounts' clocks on the wall show it.
fn local_now() -> String {
    Timestamp::now().in_tz("Europe/Moscow").unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn tags(row: &Value) -> BTreeSet<i64> {
    row["tags"].as_array().into_iter().flatten().map(|tag| tag["tag_id"].as_i64().unwrap()).collect()
}

/// Calls of the last hours; what started in the last minute ends, is tagged and loses tags while the test runs.
fn account(name: &str) -> AccountScenario {
    let soon = Delay::secs(1, 2);
    let calls = CallsScenario {
        days: 0.1,
        count: Some(N_HISTORY),
        talk: soon,
        visibility_delay: Duration::ZERO,
        tags: TagHabits { share: 0.5, delay: soon, removed_share: 0.5, removed_delay: soon },
        sales: SaleHabits { share: 0.1, delay: soon },
        ratings: RatingHabits { share: 0.1, delay: soon },
        records_delay: soon,
        ..CallsScenario::default()
    };
    AccountScenario {
        name: name.to_owned(),
        brand: name.to_owned(),
        keys: vec![Key::new(format!("key-of-{name}"))],
        limits: Limits::per(1_000_000, 100_000_000),
        calls,
        timezone: "Europe/Moscow".to_owned(),
        ..AccountScenario::default()
    }
}

/// Small pages and short transactions, so that there are many moments to be killed in.
fn config(url: &str, topic: &str, judge: Judge) -> Value {
    let servers = Servers::shared();
    let account = |name: &str, include: &str| {
        json!({
            "name": name,
            "service": {"url": url},
            "credentials": {"api_key": format!("key-of-{name}")},
            "filters": {"include": include, "channels": {"static": "all"}},
        })
    };
    json!({
        "kafka": {
            "bootstrap_servers": servers.kafka.bootstrap,
            "delivery": match judge {
                Judge::ExactlyOnce => "exactly_once",
                Judge::AtLeastOnce => "at_least_once",
            },
            "group_id": topic,
            "state_topic": format!("{topic}.state"),
            "state_partitions": 2,
            "dead_letter_topic": format!("{topic}.dead-letter"),
            "create_topics": {"replication_factor": 1, "partitions": 2},
            "commit_interval": "20ms",
        },
        "schema_registry": {"url": servers.registry.url},
        "topics": {"calls": topic},
        "defaults": {
            "start_from": "4h",
            "poll": {
                "page_size": 60,
                "adaptive": false,
                "points_share": 1.0,
                "tiers": [
                    {"age": "1m", "every": "1s"},
                    {"age": "6h", "every": format!("{}s", REREAD_EVERY.as_secs())},
                ],
            },
        },
        "accounts": [account("plain", "all"), account("tagged", "tagged")],
        "admin": {"listen": "127.0.0.1:0"},
    })
}
