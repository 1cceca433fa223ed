//! A simulator and a callfeed that reads from it, each a process of its own, and what can be asked of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Callfeed, Servers, Setup, unique_name};
use super::usage::Usage;

pub const PATIENCE: Duration = Duration::from_secs(900);

pub struct World {
    pub callfeed: Callfeed,
    pub topic: String,
    /// Where the simulator answers for all its accounts.
    pub url: String,
    started: Instant,
    setup: Setup,
    _simulator: Callfeed,
}

/// What was used and done up to a moment.
#[derive(Clone, Copy)]
pub struct Sample {
    pub at: Instant,
    pub usage: Usage,
    pub requests: f64,
    pub transactions: f64,
    pub events: f64,
}

/// What was used and done between two.
pub struct Spent {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub requests: f64,
    pub transactions: f64,
    pub events: f64,
}

impl World {
    /// `accounts` are those of a scenario, in the order of the configuration that `configure` makes of the simulator's
    /// address; it is merged into what every run here needs.
    pub fn start(accounts: &[Value], configure: impl FnOnce(&str) -> Value) -> World {
        let scenario = json!({"session_lifetime": "1h", "accounts": accounts}).to_string();
        let mut simulator = Setup::new(&["simulate", "--listen", "127.0.0.1:0", "--scenario", "scenario.yaml"])
            .file("scenario.yaml", &scenario)
            .start();
        simulator.wait_for_output("truth: ", PATIENCE);
        let topic = unique_name("many");
        let mut config = common_config(&topic);
        let url = address(&simulator);
        let own = configure(&url);
        for (key, value) in own.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let setup = Setup::new(&["run", "--config", "callfeed.yaml"]).file("callfeed.yaml", &config.to_string());
        World { started: Instant::now(), callfeed: setup.start(), setup, topic, url, _simulator: simulator }
    }

    /// Starts callfeed anew; the former one must have ended.
    pub fn restart(&mut self) {
        self.started = Instant::now();
        self.callfeed = self.setup.start();
    }

    /// Waits until so many accounts are live, and says how long after the start that was. The log tells: ten thousand
    /// accounts at the admin port would be work for the process that is measured.
    pub fn wait_until_live(&mut self, n_accounts: usize) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let after = self.started.elapsed();
            let log = self.callfeed.stderr();
            assert!(self.callfeed.ended().is_none(), "callfeed ended: {log}");
            let live = log.lines().filter(|line| line.contains("account is live"));
            let names: HashSet<&str> =
                live.filter_map(|line| line.split("account=").nth(1)?.split(' ').next()).collect();
            if names.len() >= n_accounts {
                return after;
            }
            assert!(Instant::now() < deadline, "{} of {n_accounts} accounts are live", names.len());
            // Not so often that reading the log is what keeps the machine busy.
            std::thread::sleep(Duration::from_millis(if n_accounts > 100 { 500 } else { 10 }));
        }
    }

    pub fn sample(&self) -> Sample {
        let metrics = self.callfeed.get("/metrics");
        let sum = |name: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Sample {
            at: Instant::now(),
            usage: self.usage(),
            requests: sum("callfeed_api_requests_total"),
            transactions: sum("callfeed_transaction_seconds_count"),
            events: sum("callfeed_events_published_total"),
        }
    }

    pub fn resident_mib(&self) -> f64 {
        mib(self.usage().resident_kib)
    }

    pub fn peak_mib(&self) -> f64 {
        mib(self.usage().peak_kib)
    }

    fn usage(&self) -> Usage {
        Usage::of(&self.callfeed.id().to_string())
    }
}

/// Lets time pass, and says what each used and did in it.
pub fn watch(worlds: &[World], how_long: Duration) -> Vec<Spent> {
    let before: Vec<Sample> = worlds.iter().map(World::sample).collect();
    std::thread::sleep(how_long);
    worlds.iter().zip(&before).map(|(world, before)| world.sample().since(before)).collect()
}

fn mib(kib: Option<u64>) -> f64 {
    kib.unwrap_or_default() as f64 / 1024.0
}

impl Sample {
    pub fn since(&self, before: &Sample) -> Spent {
        Spent {
            seconds: (self.at - before.at).as_secs_f64(),
            cpu_seconds: self.usage.cpu_seconds - before.usage.cpu_seconds,
            requests: self.requests - before.requests,
            transactions: self.transactions - before.transactions,
            events: self.events - before.events,
        }
    }
}

fn common_config(topic: &str) -> Value {
    let servers = Servers::shared();
    json!({
        "kafka": {
            "bootstrap_servers": servers.kafka.bootstrap,
            "group_id": topic,
            "state_topic": format!("{topic}.state"),
            "dead_letter_topic": format!("{topic}.dead-letter"),
            "create_topics": {"replication_factor": 1, "partitions": 6},
        },
        "schema_registry": {"url": servers.registry.url},
        "topics": {"calls": topic},
        "admin": {"listen": "127.0.0.1:0"},
        "http": {"proxy": "none"},
    })
}

/// Where the simulator answers for all its accounts.
fn address(simulator: &Callfeed) -> String {
    let output = simulator.stdout();
    let truth = output.lines().find_map(|line| line.strip_prefix("truth: "));
    truth.expect("the simulator says where it answers").replace("/truth", "/v2.0")
}
