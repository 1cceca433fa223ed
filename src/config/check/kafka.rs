//! The rules of `kafka` and `schema_registry`.

use super::Check;
use crate::config::checked::{CreateTopics, Delivery, Kafka, SchemaRegistry};
use crate::config::path::Path;
use crate::config::raw::{RawCreateTopics, RawDelivery, RawKafka, RawSchemaRegistry, TextForm};
use crate::config::topic::check_topic_name;

const A_BROKER_LIST: &str = "brokers such as `kafka-0:9092,kafka-1:9092`";

pub(super) fn kafka(check: &mut Check<'_>, raw: &RawKafka, at: &Path) -> Kafka {
    if raw.commit_interval.0.is_zero() {
        check.tell(&at.key("commit_interval"), "expected more than nothing");
    }
    for (key, value) in [("state_topic", &raw.state_topic), ("dead_letter_topic", &raw.dead_letter_topic)] {
        let legal = check_topic_name(value).map_err(|problem| format!("`{value}` is no legal topic name: {problem}"));
        check.ok(&at.key(key), legal);
    }
    if raw.group_id.is_empty() {
        check.tell(&at.key("group_id"), "is empty");
    }
    Kafka {
        bootstrap_servers: bootstrap_servers(check, raw.bootstrap_servers.as_ref(), &at.key("bootstrap_servers")),
        properties: check.properties(&at.key("properties"), &raw.properties.0),
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
        return check.text(at, &form.0);
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
