//! The ledger of delivery reports: what of the open transaction was acknowledged, and what failed.
//!
//! What always holds: a record counts as acknowledged only when the broker's report for it has come.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::connection::ClientLog;

/// A record that was not delivered: its number in the transaction, and why.
pub(super) type Failure = (usize, RDKafkaErrorCode);

pub(super) struct Deliveries {
    pub log: ClientLog,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    acknowledged: usize,
    failures: Vec<Failure>,
    last_offset: Option<i64>,
}

impl Deliveries {
    pub fn new(log: ClientLog) -> Self {
        Self { log, reports: Mutex::default() }
    }

    /// Before a new transaction, when no report of the former one is due any more.
    pub fn forget(&self) {
        *self.reports() = Reports::default();
    }

    pub fn acknowledged(&self) -> usize {
        self.reports().acknowledged
    }

    pub fn has_failures(&self) -> bool {
        !self.reports().failures.is_empty()
    }

    pub fn take_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.reports().failures)
    }

    /// The offset of the record that was acknowledged last.
    pub fn last_offset(&self) -> Option<i64> {
        self.reports().last_offset
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
                reports.last_offset = Some(message.offset());
            }
            Err((error, _)) => {
                reports.failures.push((number, error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)));
            }
        }
    }
}
