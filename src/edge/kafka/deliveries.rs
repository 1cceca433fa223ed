//! The ledger of delivery reports: what of the open transaction was acknowledged, and what failed.
//!
//! What always holds: a record counts as acknowledged only when the broker's report for it has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::connection::ClientLog;
use super::trouble::is_refusal;

/// A record that was not delivered: its number in the transaction, and why.
pub(super) type Failure = (usize, RDKafkaErrorCode);

pub(super) struct Deliveries {
    pub log: ClientLog,
    state_topic: Arc<str>,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    acknowledged: usize,
    failures: Vec<Failure>,
    /// By partition of the state topic: the offset behind the record that was acknowledged last.
    state_ends: BTreeMap<i32, i64>,
}

impl Deliveries {
    pub fn new(log: ClientLog, state_topic: Arc<str>) -> Self {
        Self { log, state_topic, reports: Mutex::default() }
    }

    /// Before a new transaction, when no report of the former one is due any more.
    pub fn forget(&self) {
        let mut reports = self.reports();
        reports.acknowledged = 0;
        reports.failures.clear();
    }

    pub fn acknowledged(&self) -> usize {
        self.reports().acknowledged
    }

    pub fn has_failures(&self) -> bool {
        !self.reports().failures.is_empty()
    }

    /// Whether a record failed that will fail again.
    pub fn has_refusals(&self) -> bool {
        self.reports().failures.iter().any(|(_, code)| is_refusal(*code))
    }

    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.reports().failures)
    }

    /// Up to where the partitions of the state topic hold what was acknowledged.
    pub fn state_ends(&self) -> BTreeMap<i32, i64> {
        self.reports().state_ends.clone()
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        // Each report is entered by one assignment or push: a poisoned ledger is still a true one.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The number of the record in its transaction.
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, number: usize) {
        let mut reports = self.reports();
        match report {
            Ok(message) => {
                reports.acknowledged += 1;
                if message.topic() == &*self.state_topic {
                    let end = reports.state_ends.entry(message.partition()).or_default();
                    *end = message.offset().saturating_add(1).max(*end);
                }
            }
            Err((error, _)) => {
                reports.failures.push((number, error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)));
            }
        }
    }
}
