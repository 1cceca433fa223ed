//! Which keys of a new configuration a running service cannot follow.
//!
//! Connections, ports and the place of the state are made once, at the start. All that is said of accounts, and
//! `topics`, can change while it runs.

use super::checked::{Admin, Config, Http, Kafka, Limits, Log, Metrics, SchemaRegistry};

/// The keys that differ and take effect only with a restart.
pub fn keys_that_need_a_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let differing =
        [kafka(&old.kafka, &new.kafka), schema_registry(&old.schema_registry, &new.schema_registry), others(old, new)];
    differing.into_iter().flatten().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

/// A key, and whether it says the same in both. All fields are named, so that a new one is not forgotten.
type Compared = Vec<(&'static str, bool)>;

fn kafka(old: &Kafka, new: &Kafka) -> Compared {
    let Kafka {
        bootstrap_servers,
        properties,
        delivery,
        group_id,
        instance_id,
        state_topic,
        state_partitions,
        dead_letter_topic,
        create_topics,
        commit_interval,
        commit_max_events,
    } = old;
    vec![
        ("kafka.bootstrap_servers", *bootstrap_servers == new.bootstrap_servers),
        ("kafka.properties", *properties == new.properties),
        ("kafka.delivery", *delivery == new.delivery),
        ("kafka.group_id", *group_id == new.group_id),
        ("kafka.instance_id", *instance_id == new.instance_id),
        ("kafka.state_topic", *state_topic == new.state_topic),
        ("kafka.state_partitions", *state_partitions == new.state_partitions),
        ("kafka.dead_letter_topic", *dead_letter_topic == new.dead_letter_topic),
        ("kafka.create_topics", *create_topics == new.create_topics),
        ("kafka.commit_interval", *commit_interval == new.commit_interval),
        ("kafka.commit_max_events", *commit_max_events == new.commit_max_events),
    ]
}

fn schema_registry(old: &SchemaRegistry, new: &SchemaRegistry) -> Compared {
    let SchemaRegistry { url, username, password, auto_register } = old;
    vec![
        ("schema_registry.url", *url == new.url),
        ("schema_registry.username", *username == new.username),
        ("schema_registry.password", *password == new.password),
        ("schema_registry.auto_register", *auto_register == new.auto_register),
    ]
}

fn others(old: &Config, new: &Config) -> Compared {
    let Config { kafka: _, schema_registry: _, topics: _, accounts: _, admin, metrics, limits, http, log } = old;
    let Admin { listen, token, peers } = admin;
    let Metrics { per_account } = metrics;
    let Limits { memory } = limits;
    let Http { timeout, ca_file, proxy } = http;
    let Log { format, level } = log;
    vec![
        ("admin.listen", *listen == new.admin.listen),
        ("admin.token", *token == new.admin.token),
        ("admin.peers", *peers == new.admin.peers),
        ("metrics.per_account", *per_account == new.metrics.per_account),
        ("limits.memory", *memory == new.limits.memory),
        ("http.timeout", *timeout == new.http.timeout),
        ("http.ca_file", *ca_file == new.http.ca_file),
        ("http.proxy", *proxy == new.http.proxy),
        ("log.format", *format == new.log.format),
        ("log.level", *level == new.log.level),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const BASE: &str = "\
kafka:
  bootstrap_servers: a:9092
schema_registry:
  url: http://registry:8081
accounts:
  - {name: acme, service: uis, credentials: {api_key: one}}
";

    fn config(text: &str) -> Config {
        parse(text, &|_| None).unwrap()
    }

    #[test]
    fn what_accounts_and_topics_say_needs_no_restart() {
        let other = BASE.replace("api_key: one}", "api_key: two}, timezone: Europe/Moscow")
            + "topics: {calls: \"calls.{account}\"}\ndefaults: {poll: {page_size: 7}}\n";
        assert_eq!(keys_that_need_a_restart(&config(BASE), &config(&other)), [""; 0]);
    }

    #[test]
    fn each_key_that_needs_a_restart_is_named() {
        let other = "\
kafka:
  bootstrap_servers: b:9092
  properties: {sasl.password: secret}
schema_registry:
  url: http://registry:8081
  username: callfeed
accounts:
  - {name: acme, service: uis, credentials: {api_key: one}}
admin: {listen: \"127.0.0.1:1\"}
metrics: {per_account: false}
limits: {memory: 32MiB}
http: {timeout: 5s}
log: {level: debug}
";
        let expected = [
            "kafka.bootstrap_servers",
            "kafka.properties",
            "schema_registry.username",
            "admin.listen",
            "metrics.per_account",
            "limits.memory",
            "http.timeout",
            "log.level",
        ];
        assert_eq!(keys_that_need_a_restart(&config(BASE), &config(other)), expected);
    }
}
