//! Which properties of librdkafka a user may set, and which client takes which.
//!
//! callfeed runs a producer and a consumer from one list of properties. librdkafka warns of each property that the
//! other kind of client would take, so every property goes only where it belongs. A name that librdkafka does not
//! know passes here and is refused when the clients are made.

use std::collections::BTreeMap;

/// Why callfeed sets a property itself.
struct Owned {
    name: &'static str,
    reason: &'static str,
}

const fn owned(name: &'static str, reason: &'static str) -> Owned {
    Owned { name, reason }
}

const EXACTLY_ONCE: &str = "callfeed sets it: delivery exactly once rests on it";
const BOOKKEEPING: &str = "callfeed keeps its own account of what was delivered";
const ASSIGNMENT: &str = "callfeed sets it: replicas divide accounts by it";
const CALLBACK: &str = "it is a function of a program, not a value";

const OWNED: [Owned; 45] = [
    owned("bootstrap.servers", "set `kafka.bootstrap_servers`"),
    owned("metadata.broker.list", "set `kafka.bootstrap_servers`"),
    owned("group.id", "set `kafka.group_id`"),
    owned("group.instance.id", "set `kafka.instance_id`"),
    owned("client.id", "callfeed sets it: it tells the replicas apart"),
    owned("transactional.id", EXACTLY_ONCE),
    owned("enable.idempotence", EXACTLY_ONCE),
    owned("enable.gapless.guarantee", EXACTLY_ONCE),
    owned("acks", EXACTLY_ONCE),
    owned("request.required.acks", EXACTLY_ONCE),
    owned("max.in.flight", EXACTLY_ONCE),
    owned("max.in.flight.requests.per.connection", EXACTLY_ONCE),
    owned("retries", EXACTLY_ONCE),
    owned("message.send.max.retries", EXACTLY_ONCE),
    owned("queuing.strategy", EXACTLY_ONCE),
    owned("partitioner", "callfeed sets it: all revisions of a call lie in one partition"),
    owned("isolation.level", EXACTLY_ONCE),
    owned("message.max.bytes", "callfeed follows the topic's `max.message.bytes`"),
    owned("delivery.report.only.error", BOOKKEEPING),
    owned("produce.offset.report", BOOKKEEPING),
    owned("enable.auto.commit", BOOKKEEPING),
    owned("auto.commit.enable", BOOKKEEPING),
    owned("auto.commit.interval.ms", BOOKKEEPING),
    owned("enable.auto.offset.store", BOOKKEEPING),
    owned("auto.offset.reset", BOOKKEEPING),
    owned("offset.store.method", BOOKKEEPING),
    owned("offset.store.path", BOOKKEEPING),
    owned("offset.store.sync.interval.ms", BOOKKEEPING),
    owned("enable.partition.eof", BOOKKEEPING),
    owned("partition.assignment.strategy", ASSIGNMENT),
    owned("group.protocol.type", ASSIGNMENT),
    owned("group.remote.assignor", ASSIGNMENT),
    owned("allow.auto.create.topics", "set `kafka.create_topics`"),
    owned("builtin.features", "it says what librdkafka was built with and cannot be set"),
    owned("log_level", "set `log.level`"),
    owned("plugin.library.paths", "callfeed loads no plugins"),
    owned("interceptors", CALLBACK),
    owned("opaque", CALLBACK),
    owned("default_topic_conf", CALLBACK),
    owned("enabled_events", CALLBACK),
    owned("log.queue", CALLBACK),
    owned("ssl_engine_callback_data", CALLBACK),
    owned("ssl_key", "set `ssl.key.pem` or `ssl.key.location`"),
    owned("ssl_certificate", "set `ssl.certificate.pem` or `ssl.certificate.location`"),
    owned("ssl_ca", "set `ssl.ca.pem` or `ssl.ca.location`"),
];

/// Why a property may not be set, and what to do instead.
pub fn refusal(name: &str) -> Option<&'static str> {
    if name.ends_with("_cb") || name.ends_with("_cmp") {
        return Some(CALLBACK);
    }
    OWNED.iter().find(|owned| owned.name == name).map(|owned| owned.reason)
}

/// Those of librdkafka's properties, less the owned ones, that only a producer takes.
const PRODUCER_ONLY: [&str; 15] = [
    "transaction.timeout.ms",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "linger.ms",
    "queue.buffering.backpressure.threshold",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "sticky.partitioning.linger.ms",
    "request.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
];

/// Those of librdkafka's properties, less the owned ones, that only a consumer takes.
const CONSUMER_ONLY: [&str; 16] = [
    "group.protocol",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "coordinator.query.interval.ms",
    "max.poll.interval.ms",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.wait.max.ms",
    "fetch.queue.backoff.ms",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "fetch.error.backoff.ms",
    "check.crcs",
    "consume.callback.max.messages",
];

/// The properties for the producer: all but those of consumers.
pub fn for_producer<V>(properties: &BTreeMap<String, V>) -> impl Iterator<Item = (&str, &V)> {
    without(properties, &CONSUMER_ONLY)
}

/// The properties for consumers, and for the client that administers topics: all but those of producers.
pub fn for_consumer<V>(properties: &BTreeMap<String, V>) -> impl Iterator<Item = (&str, &V)> {
    without(properties, &PRODUCER_ONLY)
}

fn without<'a, V>(
    properties: &'a BTreeMap<String, V>,
    foreign: &'static [&str],
) -> impl Iterator<Item = (&'a str, &'a V)> {
    properties.iter().map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| !foreign.contains(name))
}
