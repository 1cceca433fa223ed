//! What is done when a transaction or its producer cannot go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BACKOFF, IDLE, MAX_BACKOFF, Stopping, Worker};
use crate::edge::kafka::deliveries::Failure;
use crate::edge::kafka::lease::Lease;
use crate::edge::kafka::producer::StepProducer;
use crate::edge::kafka::publisher::{Delivery, PublishError, PublisherSettings, StartError};
use crate::edge::kafka::stop::Stop;
use crate::edge::kafka::trouble::{InitialiseError, Trouble};
use crate::logging::events;

/// How long one try to start may take.
const START: Duration = Duration::from_secs(15);

/// How long the membership may take to hear that it is none any more.
const HEARTBEATS: Duration = Duration::from_secs(10);

impl Worker {
    /// Makes sure that nothing of the transaction is committed, and returns what failed in it. The steps stay in hand,
    /// unless their commit had been sent and the abort did not succeed.
    pub(super) fn abort(&mut self, commit_sent: bool) -> Result<Vec<Failure>, Stopping> {
        // The culprit's report may come before the abort or with it.
        let mut failures = self.producer.take_failures();
        match self.producer.abort() {
            Ok(()) => failures.extend(self.producer.take_failures()),
            Err(trouble) if commit_sent => self.restore(trouble)?,
            // The broker knows nothing of a transaction whose first partition it refused, and librdkafka cannot go on
            // after that answer to its abort.
            Err(trouble) => self.recover(trouble)?,
        }
        Ok(failures)
    }

    /// A new producer that sends records of this size alone, so that the next refusal tells which one is meant.
    pub(super) fn shrink_batches(&mut self, record_bytes: usize) -> Result<(), Stopping> {
        self.settings.max_batch_bytes = record_bytes.saturating_sub(1).max(1);
        let max_batch_bytes = self.settings.max_batch_bytes;
        tracing::warn!(
            name: events::BATCH_SIZE_REDUCED,
            max_batch_bytes,
            "a topic takes smaller batches than when callfeed started; sending smaller ones"
        );
        self.recover(Trouble::Broken("its batches are too large".to_owned()))
    }

    /// What became of the transaction is not known: the steps in hand have to be compared with the state topic, which
    /// tells when a new producer has resolved what is open.
    pub(super) fn restore(&mut self, trouble: Trouble) -> Result<(), Stopping> {
        self.recover(trouble)?;
        // Without transactions the steps may just as well go out again, as they are.
        if self.settings.delivery == Delivery::ExactlyOnce {
            self.answer_all(&PublishError::Restore);
        }
        Ok(())
    }

    /// The producer is of no more use: a new one takes its place. Whether this replica may go on to write, the broker
    /// tells with the next commit.
    pub(super) fn recover(&mut self, trouble: Trouble) -> Result<(), Stopping> {
        match trouble {
            Trouble::OutOfTime => {
                // Best effort: what stays open, the next start or the broker aborts.
                let _ = self.producer.abort();
                return Err(Stopping);
            }
            Trouble::Fenced => {
                self.observe_failure("fenced");
                self.wait_for_the_end_of_leases();
                tracing::warn!(name: events::PRODUCER_FENCED, "kafka producer fenced");
            }
            Trouble::Abort { reason, .. } | Trouble::Broken(reason) => {
                tracing::warn!(name: events::PRODUCER_BROKEN, %reason, "kafka producer broken");
            }
            Trouble::Stuck => {
                tracing::warn!(
                    name: events::PRODUCER_BROKEN,
                    "kafka producer broken: kafka does not confirm this replica, and the client does not return"
                );
            }
        }
        // A new producer would fence that of the process which has taken the place of this one.
        if self.settings.membership.is_superseded() {
            return Ok(());
        }
        self.rebuild()?;
        self.observe_failure("rebuilt");
        tracing::info!(name: events::PRODUCER_REBUILT, "kafka producer rebuilt");
        Ok(())
    }

    /// Whoever fences a producer has taken its partitions, or the place of this process. The membership hears of either
    /// with its next heartbeat; when it does not, the broker has only ended a transaction that took too long.
    fn wait_for_the_end_of_leases(&self) {
        let until = Instant::now() + HEARTBEATS;
        while self.leases().any(Lease::is_held) && Instant::now() < until && !self.stop.is_requested() {
            self.stop.sleep(IDLE);
        }
    }

    /// Replaces the producer. Tries until it succeeds or is to stop.
    fn rebuild(&mut self) -> Result<(), Stopping> {
        let mut backoff = BACKOFF;
        while !self.stop.is_requested() {
            match new_producer(&self.settings, &self.stop) {
                Ok(producer) => {
                    let former = std::mem::replace(&mut self.producer, producer);
                    // librdkafka can take long to let go of a producer whose coordinator is away.
                    drop(std::thread::Builder::new().spawn(move || drop(former)));
                    return Ok(());
                }
                Err(problem) => tracing::warn!(%problem, "kafka producer not rebuilt yet"),
            }
            self.observe_failure("unreachable");
            self.stop.sleep(backoff.mul_f64(0.5 + fastrand::f64()));
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        Err(Stopping)
    }
}

pub(super) fn new_producer(settings: &PublisherSettings, stop: &Arc<Stop>) -> Result<StepProducer, StartError> {
    let producer = StepProducer::create(settings, Arc::clone(stop))?;
    let transactional_id = settings.transactional_id.clone();
    match producer.initialise(START) {
        Ok(()) => Ok(producer),
        Err(InitialiseError::Unanswered(reason)) => Err(settings.connection.unreachable(reason).into()),
        Err(InitialiseError::Fenced) => Err(StartError::Contended { transactional_id }),
        Err(InitialiseError::Refused(reason)) => Err(StartError::Refused { transactional_id, reason }),
    }
}
