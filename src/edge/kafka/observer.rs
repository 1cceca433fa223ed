//! What the Kafka edge tells about its work, for metrics.

use std::sync::Arc;
use std::time::Duration;

/// Called on the threads that work: it must not block.
pub type Observer = Arc<dyn Fn(KafkaEvent) + Send + Sync>;

#[derive(Clone, Debug, PartialEq)]
pub enum KafkaEvent {
    /// A transaction was committed, `took` after it was opened.
    Committed { steps: usize, records: usize, took: Duration },
    /// Something failed. `kind` is one of a few fixed words, fit for a label: `aborted`, `fenced`, `rebuilt`,
    /// `too_large`, `refused`, `unreachable`.
    Failed { kind: &'static str },
    /// Some broker was asked, whatever there is to publish.
    Asked { was_answered: bool },
}
