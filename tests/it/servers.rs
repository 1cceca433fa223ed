//! The harness itself: what the other tests rely on to tell the truth about Kafka and the registry.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use crate::support::{Cluster, Kafka, Record, Servers, Setup, unique_name};

const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn only_committed_records_are_read() {
    let kafka = &Servers::shared().kafka;
    let topic = unique_name("committed");
    kafka.create_topic(&topic, 2, &[]);
    let producer = transactional(kafka);

    in_transaction(&producer, &topic, &["a", "b"]).commit_transaction(TIMEOUT).unwrap();
    in_transaction(&producer, &topic, &["lost"]).abort_transaction(TIMEOUT).unwrap();
    in_transaction(&producer, &topic, &["c"]).commit_transaction(TIMEOUT).unwrap();
    let open = in_transaction(&producer, &topic, &["open"]);

    assert_eq!(values(&kafka.read_committed(&topic)), ["a", "b", "c"]);
    open.abort_transaction(TIMEOUT).unwrap();
}

#[test]
fn a_record_is_read_with_all_its_parts() {
    let kafka = &Servers::shared().kafka;
    let topic = unique_name("parts");
    kafka.create_topic(&topic, 1, &[("cleanup.policy", "compact")]);
    let producer = kafka.producer(&[]);
    let header = Header { key: "type", value: Some("CREATED") };
    let record = BaseRecord::to(&topic)
        .key("7")
        .payload("seven")
        .headers(OwnedHeaders::new().insert(header))
        .timestamp(1_700_000_000_123);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<_, ()>::to(&topic).key("7")).map_err(|(error, _)| error).unwrap();
    producer.flush(TIMEOUT).unwrap();

    let records = kafka.read_committed(&topic);

    assert_eq!(records.len(), 2);
    assert_eq!(records[0].key_text(), "7");
    assert_eq!(records[0].header("type"), Some("CREATED"));
    assert_eq!(records[0].timestamp_ms, 1_700_000_000_123);
    assert_eq!((records[0].partition, records[0].offset), (0, 0));
    assert_eq!(values(&records[..1]), ["seven"]);
    assert_eq!(records[1].value, None);
}

#[test]
fn a_value_is_decoded_by_the_schema_that_it_names() {
    let registry = &Servers::shared().registry;
    let schema = json!({
        "type": "record", "name": "Call", "namespace": "callfeed.test",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "tag", "type": ["null", "string"], "default": null},
            {"name": "parts", "type": {"type": "array", "items": "string"}},
        ],
    });
    let id = registry.register(&unique_name("call-value"), &schema.to_string());
    // By hand, as the Avro specification says: zig-zag numbers, the branch of the union, one block of
    // two strings and the end of the blocks.
    let mut bytes = [&[0], &id.to_be_bytes()[..]].concat();
    bytes.extend([0x54, 0x02, 0x02, 0x04, b'h', b'i', 0x04, 0x02, b'x', 0x02, b'y', 0x00]);

    let decoded = registry.decode_bytes(&bytes);

    assert_eq!(decoded, json!({"id": 42, "at": 1, "tag": "hi", "parts": ["x", "y"]}));
}

#[test]
fn an_own_node_keeps_its_data_over_a_stop_and_a_kill() {
    let mut kafka = Kafka::own(&[("message.max.bytes", "2000")]);
    let cluster = kafka.cluster();
    let topic = unique_name("kept");
    cluster.create_topic(&topic, 1, &[]);
    let producer = transactional(&cluster);

    in_transaction(&producer, &topic, &["before"]).commit_transaction(TIMEOUT).unwrap();
    kafka.stop();
    kafka.restart();
    in_transaction(&producer, &topic, &["between"]).commit_transaction(TIMEOUT).unwrap();
    kafka.kill();
    kafka.restart();
    in_transaction(&producer, &topic, &["after"]).commit_transaction(TIMEOUT).unwrap();

    assert_eq!(values(&cluster.read_committed(&topic)), ["before", "between", "after"]);

    // The property that it was started with holds.
    let large = "x".repeat(4000);
    in_transaction(&producer, &topic, &[&large]).commit_transaction(TIMEOUT).unwrap_err();
}

#[test]
fn a_process_of_callfeed_is_run_to_its_end() {
    let mut process = Setup::new(&["--version"]).run(TIMEOUT);
    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
}

fn transactional(cluster: &Cluster) -> BaseProducer {
    cluster.producer(&[("transactional.id", &unique_name("transactional"))])
}

/// Begins a transaction and sends these values; the caller ends it.
fn in_transaction<'a>(producer: &'a BaseProducer, topic: &str, values: &[&str]) -> &'a BaseProducer {
    producer.begin_transaction().unwrap();
    for value in values {
        let record = BaseRecord::<(), _>::to(topic).payload(*value).partition(0);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
    producer
}

fn values(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
}
