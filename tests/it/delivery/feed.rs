//! One world for one test: a simulator, a config file, and the topics that callfeed fills from it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use callfeed::simulator::{
    AccountScenario, CallsScenario, ClockScenario, CustomerScenario, FormerRows, Key, Limits, Scenario, Simulator,
    UserScenario,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Callfeed, Cluster, Record, Registry, Servers, Setup, block_on, eventually, unique_name};

use super::oracle::{self, Event};

/// How long anything may take that takes a second or two on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The simulator knows an account by its key.
pub fn api_key(account: &str) -> String {
    format!("api-key-of-{account}")
}

pub struct Feed {
    pub simulator: Simulator,
    pub kafka: Cluster,
    pub registry: Registry,
    /// What the config file holds; change it by [`Feed::configure`] and [`Feed::configure_account`].
    pub config: Value,
    /// Part of the name of every topic and of the group.
    pub name: String,
    /// Accounts that were moved into another time zone since, and where to.
    moved: BTreeMap<String, String>,
    scenario: Scenario,
    folder: TempDir,
    once: Setup,
    forever: Setup,
    /// When the last `run --once` ended, in Unix seconds.
    last_run: Cell<u64>,
}

impl Feed {
    /// A world in the shared Kafka, with one configured account for each of the scenario.
    pub fn of(scenario: Scenario) -> Feed {
        Feed::in_kafka(scenario, Servers::shared().kafka.clone())
    }

    pub fn in_kafka(scenario: Scenario, kafka: Cluster) -> Feed {
        let started = scenario.clone();
        let simulator = block_on(async move { Simulator::start(started, "127.0.0.1:0".parse().unwrap()).await });
        let folder = TempDir::with_prefix("callfeed-feed-").unwrap();
        let path = folder.path().join("callfeed.yaml");
        let path = path.to_str().unwrap();
        let mut feed = Feed {
            simulator: simulator.unwrap(),
            registry: Servers::shared().registry.clone(),
            config: Value::Null,
            name: unique_name("feed"),
            once: Setup::new(&["run", "--config", path, "--once", "--timeout", "60s"]),
            forever: Setup::new(&["run", "--config", path]),
            last_run: Cell::new(0),
            kafka,
            moved: BTreeMap::new(),
            scenario,
            folder,
        };
        feed.config = feed.first_config();
        feed
    }

    fn first_config(&self) -> Value {
        let accounts: Vec<Value> = self.scenario.accounts.iter().map(|account| self.account_config(account)).collect();
        json!({
            "kafka": {
                "bootstrap_servers": self.kafka.bootstrap,
                "group_id": self.name,
                "state_topic": format!("{}.state", self.name),
                "state_partitions": 2,
                "dead_letter_topic": format!("{}.dead-letter", self.name),
                "create_topics": {"enabled": true, "replication_factor": 1, "partitions": 3},
                "commit_interval": "10ms",
            },
            "schema_registry": {"url": self.registry.url},
            "topics": {"calls": self.topic()},
            "defaults": {
                "start_from": "2d",
                "filters": {"channels": {"static": "all"}},
                // The back-fill reads what is older than the live tier; the second tier finds what changed.
                "poll": {
                    "page_size": 50, "adaptive": false, "points_share": 1.0,
                    "tiers": [{"age": "15m", "every": "1s"}, {"age": "3d", "every": "1s"}],
                },
            },
            "accounts": accounts,
            "admin": {"listen": "127.0.0.1:0"},
            "http": {"timeout": "20s", "proxy": "none"},
        })
    }

    fn account_config(&self, account: &AccountScenario) -> Value {
        let mut config = json!({
            "name": account.name,
            "service": {"url": self.simulator.url(&account.brand)},
            "credentials": {"api_key": api_key(&account.name)},
        });
        if !account.customers.is_empty() {
            merge(&mut config, json!({"customers": "all"}));
        }
        config
    }

    /// Changes the config: objects are merged key by key, anything else is replaced.
    pub fn configure(&mut self, patch: Value) -> &mut Feed {
        merge(&mut self.config, patch);
        self
    }

    pub fn configure_account(&mut self, name: &str, patch: Value) -> &mut Feed {
        let accounts = self.config["accounts"].as_array_mut().unwrap();
        merge(accounts.iter_mut().find(|account| account["name"] == name).unwrap(), patch);
        self
    }

    pub fn topic(&self) -> String {
        format!("{}.calls", self.name)
    }

    pub fn dead_letter_topic(&self) -> String {
        format!("{}.dead-letter", self.name)
    }

    /// Moves an account into another time zone.
    pub fn move_to(&mut self, account: &str, timezone: &str, former_rows: FormerRows) {
        self.simulator.set_timezone(account, timezone, former_rows).unwrap();
        self.moved.insert(account.to_owned(), timezone.to_owned());
    }

    /// Adds a call of three minutes that started so long ago.
    pub fn add_call(&self, account: &str, ago: SignedDuration, columns: Value) -> i64 {
        let zone = self.accounts().into_iter().find(|one| one.name == account).unwrap().zone;
        let text = |time: Timestamp| zone.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let start = self.simulator.now() - ago;
        let mut row = json!({"start_time": text(start), "finish_time": text(start + SignedDuration::from_mins(3))});
        merge(&mut row, columns);
        self.simulator.add_call(account, row).unwrap()
    }

    /// Runs `callfeed run --once` to its end, whatever that is.
    pub fn try_once(&self) -> Callfeed {
        // What is due every second is not due twice in one.
        eventually("the next second", PATIENCE, || (unix_seconds() > self.last_run.get()).then_some(()));
        self.write_config();
        let process = self.once.run(PATIENCE);
        self.last_run.set(unix_seconds());
        process
    }

    /// Runs `callfeed run --once`, which must exit 0.
    #[track_caller]
    pub fn once(&self) {
        let mut process = self.try_once();
        assert_eq!(process.exit_code(), 0, "callfeed failed:\n{}", process.stderr());
    }

    /// Starts `callfeed run`.
    pub fn start(&self) -> Callfeed {
        self.write_config();
        self.forever.start()
    }

    /// Waits until all rows of an account were read again, from first to last, after this call. A call that ends or
    /// changes meanwhile may do so too late for its page: then they are to be read once more.
    pub fn wait_for_rereading(&self, account: &str) {
        self.wait_for_rereading_of(&[account]);
    }

    /// The same for several accounts, side by side.
    pub fn wait_for_rereading_of(&self, accounts: &[&str]) {
        let shown = || -> Vec<Vec<Value>> { accounts.iter().map(|account| self.shown(account)).collect() };
        loop {
            let before = shown();
            self.wait_for_one_rereading_of(accounts);
            if shown() == before {
                return;
            }
        }
    }

    /// The rows that the API shows of an account.
    fn shown(&self, account: &str) -> Vec<Value> {
        let visible = self.simulator.truth(account).into_iter().filter(|call| call.visible);
        visible.map(|call| json!(call.row)).collect()
    }

    fn wait_for_one_rereading_of(&self, accounts: &[&str]) {
        // The next but one reading begins when the next, which began after this call, is complete.
        let before: Vec<usize> = accounts.iter().map(|account| self.readings_begun(account)).collect();
        let is_read = |(account, before): (&&str, &usize)| self.readings_begun(account) >= before + 2;
        eventually("the rows to be read again", PATIENCE, || accounts.iter().zip(&before).all(is_read).then_some(()));
    }

    /// How often all rows of an account were begun to be read: each such reading begins with the oldest `date_from` that
    /// was ever asked for.
    fn readings_begun(&self, account: &str) -> usize {
        let requests = self.simulator.requests().into_iter();
        let starts: Vec<String> =
            requests.filter(|one| one.account.as_deref() == Some(account)).filter_map(|one| one.date_from).collect();
        let oldest = starts.iter().min().cloned();
        starts.into_iter().filter(|start| Some(start) == oldest.as_ref()).count()
    }

    /// A file beside the config, with its path for the config.
    pub fn write_file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `callfeed run` with more arguments, to be started by the test itself.
    pub fn setup(&self, arguments: &[&str]) -> Setup {
        self.setup_of("run", arguments)
    }

    /// Another command on the same configuration.
    pub fn setup_of(&self, command: &str, arguments: &[&str]) -> Setup {
        self.write_config();
        let path = self.folder.path().join("callfeed.yaml");
        Setup::new(&[&[command, "--config", path.to_str().unwrap()], arguments].concat())
    }

    /// Runs another command with the config as it is now, to its end.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Callfeed {
        self.command_setup(arguments).run(PATIENCE)
    }

    /// Runs a command that changes state, after the session of the last run.
    #[track_caller]
    pub fn change_state(&self, arguments: &[&str]) -> Callfeed {
        self.command(&[&["state"], arguments, &["--wait", "60s"]].concat())
    }

    /// The same, to be started by the test itself.
    pub fn command_setup(&self, arguments: &[&str]) -> Setup {
        let path = self.config_file();
        Setup::new(&[arguments, &["--config", path.to_str().unwrap()]].concat())
    }

    /// The config as it is now, in a file.
    pub fn config_file(&self) -> PathBuf {
        self.write_config();
        self.folder.path().join("callfeed.yaml")
    }

    pub fn state_topic(&self) -> String {
        self.config["kafka"]["state_topic"].as_str().unwrap().to_owned()
    }

    /// Has a running service take the config as it is now.
    pub fn reload(&self, process: &mut Callfeed) {
        self.write_config();
        process.hang_up();
    }

    /// Writes the config where services read it: they see the former one or this one, and never a part.
    pub fn write_config(&self) {
        // JSON is YAML.
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        let written = self.write_file("callfeed.yaml.new", &text);
        fs::rename(written, self.folder.path().join("callfeed.yaml")).unwrap();
    }

    /// The events of all accounts, in order within each partition.
    pub fn events(&self) -> Vec<Event> {
        let records = self.kafka.read_committed(&self.topic());
        records.into_iter().map(|record| Event::decode(record, &self.registry)).collect()
    }

    /// The events of one call, oldest first.
    pub fn events_of(&self, account: &str, call: i64) -> Vec<Event> {
        let key = format!("{account}:{call}");
        self.events().into_iter().filter(|event| event.record.key_text() == key).collect()
    }

    /// The types of the events of one call, oldest first.
    pub fn types_of(&self, account: &str, call: i64) -> Vec<String> {
        self.events_of(account, call).iter().map(|event| event.text("event_type").to_owned()).collect()
    }

    pub fn dead_letters(&self) -> Vec<Record> {
        self.kafka.read_committed(&self.dead_letter_topic())
    }

    /// See [`oracle::assert_feed_equals_truth`].
    #[track_caller]
    pub fn assert_equals_truth(&self) -> usize {
        oracle::assert_feed_equals_truth(self)
    }

    /// The same after a change of filters: the events before were right by filters that hold no longer.
    #[track_caller]
    pub fn assert_latest_equals_truth(&self) {
        oracle::assert_latest_equals_truth(self);
    }

    /// Waits until the feed has so many events.
    #[track_caller]
    pub fn wait_for_events(&self, at_least: usize) {
        let what = format!("{at_least} events");
        eventually(&what, PATIENCE, || (self.kafka.read_committed(&self.topic()).len() >= at_least).then_some(()));
    }

    /// Without transactions an event may come twice, by the same id.
    pub fn may_repeat_events(&self) -> bool {
        self.config["kafka"]["delivery"] == "at_least_once"
    }

    /// What the oracle has to know of each account: those of the config, customers one by one.
    pub fn accounts(&self) -> Vec<AccountFacts> {
        let mut facts = Vec::new();
        for config in self.config["accounts"].as_array().unwrap() {
            let name = config["name"].as_str().unwrap();
            let account = self.scenario.accounts.iter().find(|account| account.name == name).unwrap();
            let mut one = AccountFacts {
                name: name.to_owned(),
                customer_id: None,
                zone: TimeZone::get(self.moved.get(name).unwrap_or(&account.timezone)).unwrap(),
                filters: self.effective(config, "filters"),
                since: None,
            };
            let start_from = self.effective(config, "start_from");
            // A local time; an age is longer than what the scenarios have.
            one.since = start_from.as_str().filter(|text| text.contains('-')).map(str::to_owned);
            match account.customers.as_slice() {
                [] => facts.push(one),
                customers => facts.extend(customers.iter().map(|customer| {
                    let user = customer.users[0].id;
                    let zone = TimeZone::get(&customer.timezone).unwrap();
                    AccountFacts { name: format!("{name}.{user}"), customer_id: Some(user), zone, ..one.clone() }
                })),
            }
        }
        facts
    }

    /// A key of an account with what `defaults` says below it.
    fn effective(&self, account: &Value, key: &str) -> Value {
        let mut value = self.config["defaults"][key].clone();
        merge(&mut value, account[key].clone());
        value
    }
}

#[derive(Clone)]
pub struct AccountFacts {
    /// In events, and in the simulator.
    pub name: String,
    pub customer_id: Option<i64>,
    pub zone: TimeZone,
    /// As in the config.
    pub filters: Value,
    /// Local time before which nothing is read.
    pub since: Option<String>,
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                match into.get_mut(&key) {
                    Some(known) => merge(known, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A world with one account, `acme`, that stands still: nothing happens in it but what the test does.
pub fn standing(calls: CallsScenario) -> Scenario {
    standing_with(vec![account("acme", calls)])
}

pub fn standing_with(accounts: Vec<AccountScenario>) -> Scenario {
    Scenario { clock: ClockScenario { start: None, speed: 0.0 }, accounts, ..Scenario::default() }
}

/// As [`standing`], but time goes on.
pub fn going(calls: CallsScenario) -> Scenario {
    Scenario { clock: ClockScenario::default(), ..standing(calls) }
}

pub fn account(name: &str, calls: CallsScenario) -> AccountScenario {
    AccountScenario {
        name: name.to_owned(),
        keys: vec![Key::new(api_key(name))],
        limits: Limits::per(1_000_000, 1_000_000),
        calls,
        ..AccountScenario::default()
    }
}

pub fn customer(id: i64, timezone: &str, calls: CallsScenario) -> CustomerScenario {
    let user = UserScenario { id: id + 1000, ..UserScenario::default() };
    CustomerScenario { id, timezone: timezone.to_owned(), users: vec![user], calls, ..CustomerScenario::default() }
}

/// A history of so many calls within the last day, of every kind.
pub fn history(count: usize) -> CallsScenario {
    CallsScenario { days: 1.0, count: Some(count), ..CallsScenario::default() }
}

/// What a command that ended well has written.
#[track_caller]
pub fn succeeds(mut process: Callfeed) -> String {
    assert_eq!(process.exit_code(), 0, "{}{}", process.stdout(), process.stderr());
    process.stdout()
}

/// What a command that failed says of it.
#[track_caller]
pub fn fails(mut process: Callfeed, exit_code: i32) -> String {
    assert_eq!(process.exit_code(), exit_code, "{}{}", process.stdout(), process.stderr());
    process.stderr()
}
