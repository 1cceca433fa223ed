//! The least that it can cost: a plain librdkafka producer sends the same records with the settings that callfeed
//! uses, in transactions of the same size.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::figures::Figures;
use super::support::{Record, Servers, unique_name};
use super::usage::Usage;

pub const PARTITIONS: i32 = 6;

const PATIENCE: Duration = Duration::from_secs(60);

/// A page of callfeed's.
const RECORDS_PER_TRANSACTION: usize = 5000;

/// Those of callfeed's producer (`src/edge/kafka/transaction.rs`).
const SETTINGS: [(&str, &str); 7] = [
    ("compression.type", "zstd"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "10"),
    ("batch.size", "1048588"),
    ("message.max.bytes", "13631488"),
    ("queue.buffering.max.kbytes", "16384"),
    ("acks", "all"),
];

/// Sends all records to a topic of their own. The thread's process does nothing else meanwhile, so what it uses is
/// what sending uses; its memory holds the records and says nothing.
pub fn send(records: &[Record]) -> Figures {
    let kafka = &Servers::shared().kafka;
    let topic = unique_name("reference");
    kafka.create_topic(&topic, PARTITIONS, &[]);
    let settings = [&SETTINGS[..], &[("transactional.id", &topic)]].concat();
    let producer = kafka.producer(&settings);

    let before = Usage::of("self");
    let started = Instant::now();
    for page in records.chunks(RECORDS_PER_TRANSACTION) {
        producer.begin_transaction().unwrap();
        page.iter().for_each(|record| enqueue(&producer, &topic, record));
        producer.commit_transaction(PATIENCE).unwrap();
    }
    let took = started.elapsed();
    let cpu_seconds = Usage::of("self").cpu_seconds - before.cpu_seconds;
    Figures { n_events: records.len(), took, usage: Usage { cpu_seconds, ..Usage::default() } }
}

fn enqueue(producer: &BaseProducer, topic: &str, record: &Record) {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).timestamp(record.timestamp_ms).headers(headers);
    message.key = record.key.as_deref();
    message.payload = record.value.as_deref();
    loop {
        message = match producer.send(message) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => unsent,
            Err((error, _)) => panic!("{error}"),
        };
        producer.poll(Duration::from_millis(2));
    }
}
