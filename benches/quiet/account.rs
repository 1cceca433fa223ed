//! An account in which nothing happens, and the process that reads it.

use std::collections::HashMap;
use std::time::Duration;

use callfeed::simulator::{
    AccountScenario, CallsScenario, ClockScenario, Key, Limits, RequestRecord, Scenario, Simulator,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value, json};

use super::support::{Callfeed, Servers, Setup, block_on, eventually, unique_name};
use super::usage::Usage;

const NAME: &str = "quiet";
const API_KEY: &str = "quiet-key";
const PATIENCE: Duration = Duration::from_secs(600);
const EVENT_PARTITIONS: i32 = 6;

/// The calls are of the last 30 days.
const DAYS: f64 = 30.0;

pub struct QuietAccount {
    n_calls: usize,
    simulator: Simulator,
    callfeed: Callfeed,
    topic: String,
}

/// What reading it again took.
pub struct Rereading {
    pub n_calls: usize,
    /// Calls that are still going on are not published.
    pub n_published: usize,
    pub n_rows: u64,
    pub cpu_seconds: f64,
    pub n_events: i64,
    pub n_coverage_records: usize,
    pub n_other_records: usize,
    pub resident_kib: u64,
    pub peak_kib: u64,
    pub ledger_bytes: usize,
}

impl QuietAccount {
    /// Begins to read an account.
    pub fn start(n_calls: usize) -> QuietAccount {
        let simulator = block_on(Simulator::start(scenario(n_calls), "127.0.0.1:0".parse().unwrap())).unwrap();
        let topic = unique_name("quiet");
        let config = config(&simulator.url("default"), &topic).to_string();
        let callfeed = Setup::new(&["run", "--config", "callfeed.yaml"]).file("callfeed.yaml", &config).start();
        QuietAccount { n_calls, simulator, callfeed, topic }
    }

    /// Waits until its calls were read once, which publishes them, and then so many times again.
    pub fn read_again(mut self, times: usize) -> Rereading {
        let before = self.wait_for_reading(2);
        let after = self.wait_for_reading(2 + times);
        let state = Servers::shared().kafka.read_committed(&state_topic(&self.topic));
        let meanwhile = state.iter().filter(|record| before.state_ends[&record.partition] <= record.offset);
        let (coverage, other): (Vec<_>, Vec<_>) =
            meanwhile.partition(|record| record.key_text().ends_with("/coverage"));
        let ledger = state.iter().filter(|record| record.key_text().contains("/ledger/"));
        let latest: HashMap<&str, usize> =
            ledger.map(|record| (record.key_text(), record.value.as_ref().map_or(0, Vec::len))).collect();
        Rereading {
            n_calls: self.n_calls,
            n_published: self.simulator.visible_ids(NAME).len(),
            n_rows: after.n_rows - before.n_rows,
            cpu_seconds: after.usage.cpu_seconds - before.usage.cpu_seconds,
            n_events: after.event_ends.values().sum::<i64>() - before.event_ends.values().sum::<i64>(),
            n_coverage_records: coverage.len(),
            n_other_records: other.len(),
            resident_kib: after.usage.resident_kib.unwrap(),
            peak_kib: after.usage.peak_kib.unwrap(),
            ledger_bytes: latest.values().sum(),
        }
    }

    /// Waits until the reading of this number has begun, so that the one before it is complete.
    fn wait_for_reading(&mut self, number: usize) -> Sample {
        eventually("the account to be read", PATIENCE, || {
            assert!(self.callfeed.ended().is_none(), "callfeed ended: {}", self.callfeed.stderr());
            (self.readings_begun() >= number).then(|| self.sample())
        })
    }

    /// Each reading begins with the same moment, the oldest that is ever asked for.
    fn readings_begun(&self) -> usize {
        let requests = self.simulator.requests();
        let starts = || requests.iter().filter_map(|request: &RequestRecord| request.date_from.as_deref());
        let oldest = starts().min();
        starts().filter(|start| Some(*start) == oldest).count()
    }

    fn sample(&self) -> Sample {
        Sample {
            usage: Usage::of(&self.callfeed.id().to_string()),
            n_rows: self.simulator.counts(NAME, "get.calls_report").rows,
            event_ends: ends(&self.topic, EVENT_PARTITIONS),
            state_ends: ends(&state_topic(&self.topic), 1),
        }
    }
}

struct Sample {
    usage: Usage,
    n_rows: u64,
    event_ends: HashMap<i32, i64>,
    state_ends: HashMap<i32, i64>,
}

/// The offsets that the next records of a topic will have.
fn ends(topic: &str, n_partitions: i32) -> HashMap<i32, i64> {
    let consumer: BaseConsumer = Servers::shared().kafka.client().create().unwrap();
    let end = |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().1;
    (0..n_partitions).map(|partition| (partition, end(partition))).collect()
}

fn state_topic(topic: &str) -> String {
    format!("{topic}.state")
}

/// Time stands still, so no call ends meanwhile. Its pages are ready: what it costs to serve them is not what is measured.
pub fn scenario(n_calls: usize) -> Scenario {
    let calls = CallsScenario { days: DAYS, count: Some(n_calls), prerendered: true, ..CallsScenario::default() };
    let account = AccountScenario {
        name: NAME.to_owned(),
        keys: vec![Key::new(API_KEY)],
        limits: Limits::per(1_000_000, 1_000_000),
        calls,
        ..AccountScenario::default()
    };
    Scenario { clock: ClockScenario { start: None, speed: 0.0 }, accounts: vec![account], ..Scenario::default() }
}

/// One tier that reaches behind `start_from`: whatever is read is a reading of all calls, and begins at the same moment.
pub fn config(url: &str, topic: &str) -> Value {
    let servers = Servers::shared();
    json!({
        "kafka": {
            "bootstrap_servers": servers.kafka.bootstrap,
            "group_id": topic,
            "state_topic": state_topic(topic),
            "state_partitions": 1,
            "dead_letter_topic": format!("{topic}.dead-letter"),
            "create_topics": {"replication_factor": 1, "partitions": EVENT_PARTITIONS},
        },
        "schema_registry": {"url": servers.registry.url},
        "topics": {"calls": topic},
        "accounts": [{
            "name": NAME,
            "service": {"url": url},
            "credentials": {"api_key": API_KEY},
            "start_from": "31d",
            "filters": {"channels": {"static": "all"}},
            "poll": {
                "page_size": 5000, "points_share": 1.0, "adaptive": false,
                "tiers": [{"age": "32d", "every": "1s"}],
            },
        }],
    })
}
