//! The commands that look before anything runs: `check`, `preview`, `schemas` and `config schema`, as processes.

mod check;
mod plan;
mod preview;
mod schemas;

use std::time::Duration;

use callfeed::simulator::{
    AccountScenario, ClockScenario, CustomerScenario, Key, Limits, Scenario, Simulator, UserScenario,
};
use jiff::Timestamp;

use crate::support::{Callfeed, Servers, Setup, block_on, unique_name};

const PATIENCE: Duration = Duration::from_secs(60);

/// Every secret of these tests holds this; nothing that is printed may.
const SECRET: &str = "hunter2";

/// A configuration whose topics are this test's own.
struct Config {
    bootstrap: String,
    registry: String,
    prefix: String,
    /// Further keys at the top level, such as `topics`.
    more: String,
    /// Further keys of `kafka` and of `schema_registry`, as flow YAML after a comma.
    kafka: String,
    schema_registry: String,
    accounts: Vec<String>,
}

impl Config {
    fn new() -> Config {
        let servers = Servers::shared();
        Config {
            bootstrap: servers.kafka.bootstrap.clone(),
            registry: servers.registry.url.clone(),
            prefix: unique_name("cmd"),
            more: String::new(),
            kafka: ", create_topics: {replication_factor: 1, partitions: 2}".to_owned(),
            schema_registry: String::new(),
            accounts: Vec::new(),
        }
    }

    /// Without Kafka and registry.
    fn offline() -> Config {
        Config { bootstrap: "127.0.0.1:1".to_owned(), registry: "http://127.0.0.1:1".to_owned(), ..Config::new() }
    }

    /// Adds an account, its keys as flow YAML.
    fn account(mut self, keys: &str) -> Config {
        self.accounts.push(format!("  - {{{keys}}}\n"));
        self
    }

    fn calls_topic(&self) -> String {
        format!("{}.calls", self.prefix)
    }

    fn state_topic(&self) -> String {
        format!("{}.state", self.prefix)
    }

    fn text(&self) -> String {
        let Config { bootstrap, registry, prefix, more, kafka, schema_registry, accounts } = self;
        format!(
            "kafka: {{bootstrap_servers: \"{bootstrap}\", group_id: {prefix}, state_topic: {prefix}.state, \
             state_partitions: 2, dead_letter_topic: {prefix}.dead{kafka}}}\n\
             schema_registry: {{url: \"{registry}\"{schema_registry}}}\n\
             {topics}http: {{proxy: none}}\n{more}accounts:\n{accounts}",
            topics =
                if more.contains("topics:") { String::new() } else { format!("topics: {{calls: {prefix}.calls}}\n") },
            accounts = accounts.concat()
        )
    }

    /// Runs `callfeed ARGUMENTS --config ...` to its end; what it prints holds no secret.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Callfeed {
        let arguments = [arguments, &["--config", "callfeed.yaml"]].concat();
        let process = Setup::new(&arguments).file("callfeed.yaml", &self.text()).run(PATIENCE);
        let printed = format!("{}{}", process.stdout(), process.stderr());
        assert!(!printed.contains(SECRET), "a secret is printed:\n{printed}");
        assert!(!printed.contains('\u{1b}'), "colour where there is no terminal:\n{printed}");
        process
    }
}

/// Keys of an account: a name, the simulator's brand and an API key.
fn by_key(name: &str, simulator: &Simulator, brand: &str, key: &str) -> String {
    format!("name: {name}, service: {{url: \"{}\"}}, credentials: {{api_key: {key}}}", simulator.url(brand))
}

fn scenario(accounts: Vec<AccountScenario>) -> Scenario {
    // The clock stands still, so that the calls stay as they are while a test compares.
    Scenario { clock: ClockScenario { start: Some(Timestamp::now()), speed: 0.0 }, accounts, ..Scenario::default() }
}

fn account(name: &str) -> AccountScenario {
    AccountScenario {
        name: name.into(),
        keys: vec![Key::new(format!("{SECRET}-{name}"))],
        limits: Limits::per(10_000, 100_000),
        ..AccountScenario::default()
    }
}

fn agency(name: &str, users: &[i64]) -> AccountScenario {
    let customer = |user: &i64| CustomerScenario {
        id: user + 1_000_000,
        users: vec![UserScenario { id: *user, ..UserScenario::default() }],
        ..CustomerScenario::default()
    };
    AccountScenario { brand: "uis".into(), customers: users.iter().map(customer).collect(), ..account(name) }
}

fn start(scenario: Scenario) -> Simulator {
    block_on(async { Simulator::start(scenario, "127.0.0.1:0".parse().unwrap()).await.unwrap() })
}
