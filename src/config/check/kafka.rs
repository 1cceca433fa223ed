//! The rules of `kafka` and `schema_registry`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Check;
use crate::config::checked::{CreateTopics, Delivery, Kafka, SchemaRegistry};
use crate::config::path::Path;
use crate::config::raw::{RawCreateTopics, RawDelivery, RawKafka, RawSchemaRegistry, TextForm};
use crate::config::secret::Secret;
use crate::config::topic::check_topic_name;

/// What callfeed and librdkafka take when nothing is set.
const USUAL_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(45);
const USUAL_SESSION: Duration = Duration::from_secs(45);
const USUAL_HEARTBEAT: Duration = Duration::from_secs(3);

/// The transactional ids `<group_id>-state` and `<group_id>-.check` are those of commands.
const OWN_INSTANCES: [&str; 2] = ["state", ".check"];

const A_BROKER_LIST: &str = "brokers such as `kafka-0:9092,kafka-1:9092`";

pub(super) fn kafka(check: &mut Check<'_>, raw: &RawKafka, at: &Path) -> Kafka {
    for (key, value) in [("state_topic", &raw.state_topic), ("dead_letter_topic", &raw.dead_letter_topic)] {
        let legal = check_topic_name(value).map_err(|problem| format!("`{value}` is no legal topic name: {problem}"));
        check.ok(&at.key(key), legal);
    }
    if raw.group_id.is_empty() {
        check.tell(&at.key("group_id"), "is empty");
    }
    let properties = check.properties(&at.key("properties"), &raw.properties.0);
    commit_interval(check, raw, &properties, &at.key("commit_interval"));
    heartbeat(check, &properties, &at.key("properties"));
    Kafka {
        bootstrap_servers: bootstrap_servers(check, raw.bootstrap_servers.as_ref(), &at.key("bootstrap_servers")),
        properties,
        delivery: match raw.delivery {
            RawDelivery::ExactlyOnce => Delivery::ExactlyOnce,
            RawDelivery::AtLeastOnce => Delivery::AtLeastOnce,
        },
        group_id: raw.group_id.clone(),
        instance_id: instance_id(check, raw.instance_id.as_ref(), &at.key("instance_id")),
        state_topic: raw.state_topic.clone(),
        state_partitions: check.number(&at.key("state_partitions"), raw.state_partitions, 1..=10_000, 1),
        dead_letter_topic: raw.dead_letter_topic.clone(),
        create_topics: create_topics(check, &raw.create_topics, &at.key("create_topics")),
        commit_interval: raw.commit_interval.0,
        commit_max_events: check.number(&at.key("commit_max_events"), raw.commit_max_events, 1..=1_000_000, 1),
    }
}

/// The brokers end a transaction that is open for longer, with all that is in it.
fn commit_interval(check: &mut Check<'_>, raw: &RawKafka, properties: &BTreeMap<String, Secret>, at: &Path) {
    let timeout = millis(properties, "transaction.timeout.ms").unwrap_or(USUAL_TRANSACTION_TIMEOUT);
    if raw.commit_interval.0.is_zero() {
        check.tell(at, "expected more than nothing");
    } else if raw.delivery == RawDelivery::ExactlyOnce && raw.commit_interval.0 >= timeout / 2 {
        let found = raw.commit_interval;
        let timeout = timeout.as_millis();
        check.tell(
            at,
            format!("expected less than half of `transaction.timeout.ms`, which is {timeout}, found `{found}`"),
        );
    }
}

/// A member that is heard of less often than that is out of the group before it is heard of again.
fn heartbeat(check: &mut Check<'_>, properties: &BTreeMap<String, Secret>, at: &Path) {
    const HEARTBEAT: &str = "heartbeat.interval.ms";
    const SESSION: &str = "session.timeout.ms";
    let heartbeat = millis(properties, HEARTBEAT).unwrap_or(USUAL_HEARTBEAT);
    let session = millis(properties, SESSION).unwrap_or(USUAL_SESSION);
    if heartbeat < session {
        return;
    }
    let (heartbeat, session) = (heartbeat.as_millis(), session.as_millis());
    if properties.contains_key(HEARTBEAT) {
        check
            .tell(&at.key(HEARTBEAT), format!("expected less than `{SESSION}`, which is {session}, found {heartbeat}"));
    } else {
        check
            .tell(&at.key(SESSION), format!("expected more than `{HEARTBEAT}`, which is {heartbeat}, found {session}"));
    }
}

/// None when it is not set, or no number: librdkafka says so.
fn millis(properties: &BTreeMap<String, Secret>, name: &str) -> Option<Duration> {
    let value = properties.get(name)?.read().ok()?;
    value.expose().trim().parse().ok().map(Duration::from_millis)
}

fn bootstrap_servers(check: &mut Check<'_>, value: Option<&String>, at: &Path) -> String {
    let Some(value) = check.required(at, value, A_BROKER_LIST) else {
        return String::new();
    };
    let wrong = value.split(',').map(str::trim).find(|broker| !is_broker(broker));
    if let Some(wrong) = wrong {
        check.tell(at, format!("expected {A_BROKER_LIST}, found `{wrong}`"));
    }
    value.clone()
}

/// A host, with a port or without. Also librdkafka's `PROTOCOL://host:port`.
fn is_broker(text: &str) -> bool {
    let address = text.split_once("://").map_or(text, |(_, address)| address);
    if address.is_empty() || address.contains(char::is_whitespace) || address.contains('/') {
        return false;
    }
    let after_host = address.rsplit_once(']').map_or(address, |(_, after)| after);
    match after_host.split_once(':') {
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => true,
    }
}

/// The host name is the stable name of a replica in a StatefulSet and good enough elsewhere.
fn instance_id(check: &mut Check<'_>, form: Option<&TextForm>, at: &Path) -> String {
    if let Some(form) = form {
        let name = check.text(at, &form.0);
        if OWN_INSTANCES.contains(&name.as_str()) {
            check.tell(at, format!("`{name}` is a name that callfeed uses itself; expected another one"));
        }
        return name;
    }
    match hostname::get() {
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => {
            check.tell(at, "is missing, and this host has no name; set a name that no other replica has");
            String::new()
        }
    }
}

fn create_topics(check: &mut Check<'_>, raw: &RawCreateTopics, at: &Path) -> CreateTopics {
    let factor = at.key("replication_factor");
    CreateTopics {
        enabled: raw.enabled,
        replication_factor: check.number(&factor, raw.replication_factor, 1..=i64::from(i16::MAX), 1),
        partitions: check.number(&at.key("partitions"), raw.partitions, 1..=10_000, 1),
    }
}

pub(super) fn schema_registry(check: &mut Check<'_>, raw: &RawSchemaRegistry, at: &Path) -> SchemaRegistry {
    const EXAMPLE: &str = "http://registry:8081";
    let url_key = at.key("url");
    let url = check.required(&url_key, raw.url.as_ref(), &format!("a URL such as `{EXAMPLE}`"));
    let url = url.map(|url| check.url(&url_key, url, EXAMPLE)).unwrap_or_default();
    if raw.password.is_some() && raw.username.is_none() {
        check.tell(&at.key("username"), "is missing, expected beside `password`");
    }
    SchemaRegistry {
        url,
        username: raw.username.as_ref().map(|form| check.text(&at.key("username"), &form.0)),
        password: raw.password.as_ref().map(|form| check.secret(&at.key("password"), &form.0)),
        auto_register: raw.auto_register,
    }
}
