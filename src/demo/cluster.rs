//! A Kafka cluster in this process: librdkafka's own, one broker, which any client on this machine can use.
//!
//! It keeps records in memory, at most 5 MiB a partition: in a demo of hours the oldest go. It has no interface to
//! administer topics, so they are made here and the pipeline is told to leave them alone.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub const CALLS: &str = "callfeed.calls";
pub const STATE: &str = "callfeed.state";
pub const DEAD_LETTER: &str = "callfeed.dead-letter";

pub const CALLS_PARTITIONS: i32 = 6;
pub const STATE_PARTITIONS: i32 = 6;

/// The running cluster. Dropping it stops it.
pub struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    pub fn start() -> Result<Cluster, KafkaError> {
        let cluster = MockCluster::new(1)?;
        for (topic, partitions) in [(CALLS, CALLS_PARTITIONS), (STATE, STATE_PARTITIONS), (DEAD_LETTER, 1)] {
            cluster.create_topic(topic, partitions, 1)?;
        }
        Ok(Cluster(cluster))
    }

    pub fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
