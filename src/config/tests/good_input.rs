//! What accepted configurations mean.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{FULL, LEAST, accepted};
use crate::config::{Credentials, Customers, Delivery, Proxy, Secret, StartFrom, Stream, TagRef, Timezone};
use crate::domain::call::{AccountId, Service};
use crate::domain::filter::{Include, StaticChannels};
use crate::domain::ladder::{BackfillOrder, Tier};
use crate::domain::time::LocalTime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn account(keys: &str) -> String {
    format!("{}{keys}", LEAST.trim_end().strip_suffix('}').unwrap().to_owned() + ", ") + "}\n"
}

#[test]
fn the_sample_means_what_it_says() {
    let config = accepted(FULL);
    assert_eq!(config.kafka.bootstrap_servers, "kafka-0:9092,kafka-1:9092");
    assert_eq!(config.kafka.instance_id, "value of POD_NAME");
    assert_eq!(config.kafka.delivery, Delivery::ExactlyOnce);
    assert_eq!(config.schema_registry.password.unwrap().read().unwrap().expose(), "value of SR_PASSWORD");
    let account = &config.accounts[0];
    let password = Secret::of_value("value of ACME_PASSWORD");
    assert_eq!(account.credentials, Credentials::Login { login: "user@example.com".into(), password });
    assert_eq!(account.base_url, "https://dataapi.comagic.ru/v2.0");
}

#[test]
fn the_least_gets_the_defaults_of_the_sample() {
    let least = accepted(LEAST);
    let mut full = accepted(FULL);
    // What the sample must say and has no default.
    full.kafka.bootstrap_servers = "kafka:9092".to_owned();
    full.kafka.instance_id = least.kafka.instance_id.clone();
    full.schema_registry.username = None;
    full.schema_registry.password = None;
    full.accounts[0].credentials = Credentials::ApiKey(Secret::of_value("value of ACME_KEY"));
    assert_eq!(least, full);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = accepted(LEAST);
    let kafka = &config.kafka;
    assert_eq!((kafka.group_id.as_str(), kafka.state_topic.as_str()), ("callfeed", "callfeed.state"));
    assert_eq!((kafka.state_partitions, kafka.commit_max_events), (12, 10_000));
    assert_eq!((kafka.dead_letter_topic.as_str(), kafka.commit_interval.as_millis()), ("callfeed.dead-letter", 250));
    assert_eq!((kafka.create_topics.replication_factor, kafka.create_topics.partitions), (3, 6));
    assert!(kafka.create_topics.enabled && config.schema_registry.auto_register);
    assert_eq!(config.topics.calls.as_str(), "callfeed.calls");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.limits.memory, 64 * 1024 * 1024);
    assert_eq!((config.http.timeout.as_secs(), &config.http.proxy), (60, &Proxy::Auto));
    let account = &config.accounts[0];
    assert_eq!(account.customers, Customers::None);
    assert_eq!(account.timezone, Timezone::Auto);
    assert_eq!(account.start_from, StartFrom::Ago(Duration::from_secs(7 * DAY)));
    assert_eq!(account.streams, [Stream::Calls]);
    assert_eq!(account.filters.include, Include::All);
    assert!(account.enabled && account.filters.channels.dynamic && account.filters.tags.is_empty());
    assert_eq!(account.filters.channels.statics, StaticChannels::None);
    let poll = &account.poll;
    assert_eq!((poll.page_size, poll.backfill, poll.adaptive), (5000, BackfillOrder::Newest, true));
    let tier = |age, every| Tier { age: Duration::from_secs(age), every: Duration::from_secs(every) };
    let tiers = [tier(15 * MINUTE, 30), tier(2 * HOUR, 5 * MINUTE), tier(DAY, HOUR), tier(30 * DAY, DAY)];
    assert_eq!(poll.tiers, tiers);
    assert!((poll.points_share - 0.8).abs() < f64::EPSILON);
}

#[test]
fn defaults_go_below_each_account_mappings_merged_and_lists_replaced() {
    let config = accepted(
        "
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
defaults:
  service: uis
  timezone: Europe/Moscow
  filters: {tags: [lead], channels: {static: all}}
  poll: {page_size: 100, tiers: [{age: 1h, every: 1m}]}
accounts:
  - {name: a, credentials: {api_key: k}}
  - name: b
    service: novofon
    credentials: {api_key: k}
    filters: {tags: [7], channels: {dynamic: false}}
    poll: {tiers: [{age: 2h, every: 2m}]}
",
    );
    let [a, b] = config.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!((a.service, b.service), (Service::Uis, Service::Novofon));
    let moscow = Timezone::Named(TimeZone::get("Europe/Moscow").unwrap());
    assert_eq!((&a.timezone, &b.timezone), (&moscow, &moscow));
    assert_eq!(a.filters.tags, [TagRef::Name("lead".into())]);
    assert_eq!(b.filters.tags, [TagRef::Id(7)]);
    assert_eq!((a.filters.channels.dynamic, b.filters.channels.dynamic), (true, false));
    assert_eq!(b.filters.channels.statics, StaticChannels::All);
    assert_eq!((a.poll.page_size, b.poll.page_size), (100, 100));
    assert_eq!((a.poll.tiers.len(), b.poll.tiers[0].every.as_secs()), (1, 120));
}

#[test]
fn a_start_is_a_duration_or_a_local_time() {
    let start = |text: &str| accepted(&account(&format!("start_from: {text}"))).accounts[0].start_from;
    let at = |text| StartFrom::At(LocalTime::parse(text).unwrap());
    assert_eq!(start("90m"), StartFrom::Ago(Duration::from_secs(90 * MINUTE)));
    assert_eq!(start("0s"), StartFrom::Ago(Duration::ZERO));
    assert_eq!(start("2026-01-01 08:30:00"), at("2026-01-01 08:30:00"));
    assert_eq!(start("2026-01-01T08:30:00"), at("2026-01-01 08:30:00"));
    assert_eq!(start("2026-01-01"), at("2026-01-01 00:00:00"));
}

#[test]
fn virtual_numbers_become_digits_however_they_are_written() {
    let text = account("filters: {channels: {static: {virtual_numbers: [+74951234567, '+74951234568', 74951234569]}}}");
    let statics = accepted(&text).accounts[0].filters.channels.statics.clone();
    let StaticChannels::Named(named) = statics else { panic!("named") };
    let numbers: Vec<&str> = named.virtual_numbers.iter().map(String::as_str).collect();
    assert_eq!(numbers, ["74951234567", "74951234568", "74951234569"]);
}

#[test]
fn a_topic_may_be_of_each_account() {
    let config = accepted(&format!("{LEAST}topics: {{calls: 'calls.{{service}}.{{account}}'}}\n"));
    let agency = AccountId::new("acme");
    let customer = AccountId::of_customer(&agency, 90211);
    assert_eq!(config.topics.calls.for_account(Service::Uis, &customer), "calls.uis.acme.90211");
}

#[test]
fn properties_may_be_numbers_and_secrets() {
    let kafka =
        "kafka: {bootstrap_servers: 'k:1', properties: {linger.ms: 5, ssl.key.password: {env: P}, check.crcs: true}}";
    let config = accepted(&LEAST.replace("kafka: {bootstrap_servers: 'kafka:9092'}", kafka));
    let text = |name: &str| config.kafka.properties[name].read().unwrap().expose().to_owned();
    assert_eq!((text("linger.ms"), text("check.crcs")), ("5".to_owned(), "true".to_owned()));
    assert_eq!(text("ssl.key.password"), "value of P");
}

#[test]
fn anchors_and_a_byte_order_mark_are_fine() {
    let text = "
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
accounts:
  - {name: a, service: uis, credentials: &key {api_key: k}}
  - {name: b, service: uis, credentials: *key}
";
    let config = accepted(&format!("\u{feff}{text}"));
    assert_eq!(config.accounts[0].credentials, config.accounts[1].credentials);
}
