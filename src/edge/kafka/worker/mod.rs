//! The publisher's thread: group commit.
//!
//! ```text
//!              first step                interval over, or full            committed
//!   idle ------------------> collecting ------------------------> closing -----------> answer all, idle
//!                             ^   |  a record failed                |  fenced, or no outcome
//!        send the others again|   +-----------> aborting <----------+----------------+
//!                             |                    | answer the steps at fault        v
//!                             +--------------------+                             rebuilding -> answer all `Restore`
//! ```
//!
//! Before a transaction is committed, the broker is told which member of which generation of the group it comes from, and
//! refuses it when that is not so any more (KIP-447). A step whose lease is over is taken out, and the others are sent
//! again without it.
//!
//! A producer that breaks while it aborts is rebuilt too, but its steps are sent again: nobody has asked for their
//! commit, so it is known that they are not committed.
//!
//! What always holds: a step is in `in_hand` from the moment it is taken until it is answered, and it is answered
//! `Ok` only after the commit of a transaction in which each of its records was acknowledged. With delivery at least once
//! there is no transaction: what takes its place is [`super::intent`].

mod recovery;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::deliveries::Failure;
use super::in_hand::{InHand, in_words, refused_record};
use super::intent;
use super::lease::Lease;
use super::observer::KafkaEvent;
use super::producer::{LAST_MOMENT, StepProducer};
use super::publisher::{Acknowledged, Delivery, Ending, PublishError, PublisherSettings, StartError, Step};
use super::record::Record;
use super::stop::Stop;
use super::trouble::{SendError, Trouble};

/// A transaction is closed when it holds so many bytes: half of what may be in flight, so that the other half can
/// gather while it commits.
const MAX_TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// How long the thread waits for a step before it serves the client's queue and looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(100);

/// How long the group may take to confirm this replica before another producer tries. Twice as long for each in a row
/// that was left alone: each keeps its threads until its call returns.
const CONFIRMATION: Duration = Duration::from_secs(5);
const MAX_CONFIRMATION_DOUBLINGS: u32 = 6;

const BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Starts the thread. It answers `started` once, and then works until it is stopped or superseded.
pub(super) fn spawn(
    settings: PublisherSettings,
    inbox: Receiver<Step>,
    stop: Arc<Stop>,
    started: oneshot::Sender<Result<(), StartError>>,
    ending: Ending,
) -> Result<(), StartError> {
    let work = move || match Worker::start(settings, inbox, stop) {
        Ok(worker) => {
            // Whoever started it may have gone; the worker then finds its inbox closed.
            let _ = started.send(Ok(()));
            worker.work();
            drop(ending);
        }
        Err(error) => drop(started.send(Err(error))),
    };
    std::thread::Builder::new()
        .name("kafka-publisher".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| StartError::Thread(error.to_string()))
}

struct Worker {
    settings: PublisherSettings,
    inbox: Receiver<Step>,
    stop: Arc<Stop>,
    producer: StepProducer,
    in_hand: Vec<InHand>,
    /// How many producers in a row did not come back from a call.
    stuck: u32,
    /// The partitions and keys under which an intent may lie.
    declared: BTreeSet<(i32, Vec<u8>)>,
}

/// There is no time left: what is in hand is answered so.
struct Stopping;

/// Whether more steps may join a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Open,
    Closed,
}

impl Worker {
    fn start(settings: PublisherSettings, inbox: Receiver<Step>, stop: Arc<Stop>) -> Result<Self, StartError> {
        let producer = recovery::new_producer(&settings, &stop)?;
        Ok(Self { settings, inbox, stop, producer, in_hand: Vec::new(), stuck: 0, declared: BTreeSet::new() })
    }

    /// Works until it is told to stop.
    fn work(mut self) {
        while !self.stop.is_requested() {
            match self.inbox.recv_timeout(IDLE) {
                Ok(step) => {
                    self.take(step);
                    if self.commit_group(Group::Open).is_err() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.producer.serve(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.answer_all(&PublishError::Stopped);
        self.inbox.try_iter().for_each(|step| step.answer(Err(PublishError::Stopped)));
    }

    fn take(&mut self, mut step: Step) {
        let transactional_id = &self.settings.transactional_id;
        step.records
            .iter_mut()
            .filter(|record| record.topic == self.settings.state_topic)
            .for_each(|record| record.sign(transactional_id));
        self.in_hand.push(InHand::new(step));
    }

    /// Brings the steps in hand, and those that join meanwhile, to their answers.
    fn commit_group(&mut self, group: Group) -> Result<(), Stopping> {
        let mut backoff = BACKOFF;
        loop {
            self.answer_lost();
            if self.in_hand.is_empty() {
                return Ok(());
            }
            match self.transact(group) {
                Ok(()) => return Ok(()),
                Err(Trouble::Abort { reason, refused, commit_sent }) => {
                    tracing::warn!(%reason, steps = self.in_hand.len(), "kafka did not take what was sent, trying again");
                    self.observe_failure("aborted");
                    let failures = self.abort(commit_sent)?;
                    if let Some(record_bytes) = self.crowded(&failures) {
                        self.shrink_batches(record_bytes)?;
                    } else if self.answer_faulty(&failures) {
                        // The others need not wait for what was wrong with these.
                    } else if refused {
                        return self.single_out(&reason);
                    } else {
                        self.stop.sleep(backoff.mul_f64(0.5 + fastrand::f64()));
                        backoff = (backoff * 2).min(MAX_BACKOFF);
                    }
                }
                Err(Trouble::Stuck) => {
                    self.stuck += 1;
                    self.recover(Trouble::Stuck)?;
                }
                Err(trouble) => self.restore(trouble)?,
            }
            if self.stop.is_due(LAST_MOMENT) {
                return Err(Stopping);
            }
        }
    }

    /// Steps of partitions that are not this replica's any more.
    fn answer_lost(&mut self) {
        for lost in self.in_hand.extract_if(.., |in_hand| !in_hand.step.lease.is_held()) {
            lost.step.answer(Err(PublishError::Lost));
        }
    }

    /// Kafka has refused a transaction without saying which step is to blame: each gets one of its own, so that one
    /// account's fault is not that of all.
    fn single_out(&mut self, reason: &str) -> Result<(), Stopping> {
        if let [blamed] = &self.in_hand[..] {
            let topics = blamed.topics();
            let lacking = self.producer.lacking(&topics, self.settings.membership.group_id());
            let reason = lacking.unwrap_or_else(|| format!("{}: {reason}", in_words(&topics)));
            let refused = PublishError::Refused { reason };
            self.observe_failure("refused");
            self.answer_all(&refused);
            return Ok(());
        }
        let mut suspects = std::mem::take(&mut self.in_hand).into_iter();
        while let Some(suspect) = suspects.next() {
            self.in_hand.push(suspect);
            if let Err(end) = self.commit_group(Group::Closed) {
                self.in_hand.extend(suspects);
                return Err(end);
            }
        }
        Ok(())
    }

    /// One transaction, from its beginning to the answers of its steps.
    fn transact(&mut self, group: Group) -> Result<(), Trouble> {
        let opened = Instant::now();
        self.producer.begin()?;
        self.in_hand.iter_mut().for_each(|in_hand| in_hand.sent.clear());
        match self.settings.delivery {
            Delivery::ExactlyOnce => self.send_together(group, opened)?,
            Delivery::AtLeastOnce => self.send_in_turn(group, opened)?,
        }
        self.producer.commit()?;
        self.stuck = 0;
        let (steps, records) = (self.in_hand.len(), self.producer.sent());
        (self.settings.observer)(KafkaEvent::Committed { steps, records, took: opened.elapsed() });
        self.in_hand.drain(..).for_each(|in_hand| in_hand.step.answer(Ok(Acknowledged::after_commit())));
        Ok(())
    }

    /// All records of each step as it comes.
    fn send_together(&mut self, group: Group, opened: Instant) -> Result<(), Trouble> {
        for index in 0..self.in_hand.len() {
            self.send_whole(index)?;
        }
        if group == Group::Open {
            self.collect(opened)?;
        }
        self.producer.settle()?;
        self.confirm()
    }

    /// What is intended, then the events, then the state, each when all before it is acknowledged.
    fn send_in_turn(&mut self, group: Group, opened: Instant) -> Result<(), Trouble> {
        if group == Group::Open {
            self.collect(opened)?;
        }
        // Whoever has slept for too long sends nothing.
        self.confirm()?;
        self.declare()?;
        for index in 0..self.in_hand.len() {
            let n_events = self.in_hand[index].n_events(&self.settings.state_topic);
            self.send(index, 0..n_events)?;
        }
        self.producer.settle()?;
        self.confirm()?;
        for index in 0..self.in_hand.len() {
            let in_hand = &self.in_hand[index];
            let state = in_hand.n_events(&self.settings.state_topic)..in_hand.step.records.len();
            self.send(index, state)?;
        }
        self.withdraw_intents()?;
        self.producer.settle()?;
        let partitions = self.partitions();
        self.declared.retain(|(partition, _)| !partitions.contains(partition));
        Ok(())
    }

    /// Writes down the steps in hand as they are, see [`intent`], in the place of former ones.
    fn declare(&mut self) -> Result<(), Trouble> {
        self.withdraw_intents()?;
        let topic = self.settings.state_topic.clone();
        for slot in 0..self.in_hand.len() {
            let step = &self.in_hand[slot].step;
            let partition = step.lease.partition();
            for record in intent::declared(&topic, partition, slot, &step.records) {
                self.declared.extend(record.key.clone().map(|key| (partition, key)));
                self.send_besides(record)?;
            }
        }
        self.producer.settle()
    }

    /// Takes away what was declared in the partitions of the steps in hand.
    fn withdraw_intents(&mut self) -> Result<(), Trouble> {
        let partitions = self.partitions();
        let topic = self.settings.state_topic.clone();
        let own = self.declared.iter().filter(|(partition, _)| partitions.contains(partition));
        let tombstones: Vec<Record> =
            own.map(|(partition, key)| intent::tombstone(&topic, *partition, key.clone())).collect();
        tombstones.into_iter().try_for_each(|tombstone| self.send_besides(tombstone))
    }

    /// A record of no step.
    fn send_besides(&mut self, mut record: Record) -> Result<(), Trouble> {
        record.sign(&self.settings.transactional_id);
        self.producer.send(&record).map_err(|error| match error {
            SendError::Trouble(trouble) => trouble,
            SendError::TooLarge | SendError::Refused(_) => Trouble::Abort {
                reason: format!("the state topic `{}` does not take what is intended", record.topic),
                refused: true,
                commit_sent: false,
            },
        })
    }

    /// Lets more steps join until the transaction is to be closed.
    fn collect(&mut self, opened: Instant) -> Result<(), Trouble> {
        while !self.is_full() && !self.stop.is_requested() {
            let left = self.settings.commit_interval.saturating_sub(opened.elapsed());
            if left.is_zero() {
                break;
            }
            match self.inbox.recv_timeout(left.min(IDLE)) {
                Ok(step) => {
                    self.take(step);
                    if self.settings.delivery == Delivery::ExactlyOnce {
                        self.send_whole(self.in_hand.len() - 1)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.producer.serve();
                    self.producer.check()?;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let steps = || self.in_hand.iter().map(|in_hand| &in_hand.step);
        let n_records: usize = steps().map(|step| step.records.len()).sum();
        let bytes: usize = steps().map(|step| step.bytes).sum();
        n_records >= self.settings.commit_max_events || bytes >= MAX_TRANSACTION_BYTES
    }

    /// Makes sure that what is in hand is still this replica's to write. The group is looked at before the leases: one
    /// that is held then was held in that generation, and the broker compares the generation.
    fn confirm(&self) -> Result<(), Trouble> {
        let aborted = |reason: &str| Trouble::Abort { reason: reason.to_owned(), refused: false, commit_sent: false };
        let membership = &self.settings.membership;
        let member = membership.metadata().ok_or_else(|| aborted("this replica is not in the group"))?;
        if !self.leases().all(Lease::is_held) {
            return Err(aborted("a partition was taken away"));
        }
        let within = CONFIRMATION * 2_u32.pow(self.stuck.min(MAX_CONFIRMATION_DOUBLINGS));
        self.producer.confirm(membership, member, &self.partitions(), within)?;
        // An offset that is committed outside of a transaction carries what the client was when it was sent.
        let is_sure = self.settings.delivery == Delivery::ExactlyOnce
            || membership.metadata().is_some() && self.leases().all(Lease::is_held);
        is_sure.then_some(()).ok_or_else(|| aborted("the group was joined anew meanwhile"))
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.in_hand.iter().map(|in_hand| &in_hand.step.lease)
    }

    fn partitions(&self) -> BTreeSet<i32> {
        self.leases().map(Lease::partition).collect()
    }

    fn send_whole(&mut self, index: usize) -> Result<(), Trouble> {
        let n_records = self.in_hand[index].step.records.len();
        self.send(index, 0..n_records)
    }

    fn send(&mut self, index: usize, records: Range<usize>) -> Result<(), Trouble> {
        let in_hand = &mut self.in_hand[index];
        in_hand.sent.push((self.producer.sent(), records.clone()));
        for position in records {
            let record = &in_hand.step.records[position];
            let fault = match self.producer.send(record) {
                Ok(()) => continue,
                Err(SendError::Trouble(trouble)) => return Err(trouble),
                Err(SendError::TooLarge) => PublishError::TooLarge { records: vec![position] },
                Err(SendError::Refused(code)) => refused_record(&record.topic, code),
            };
            let reason = fault.to_string();
            in_hand.fault = Some(fault);
            return Err(Trouble::Abort { reason, refused: true, commit_sent: false });
        }
        Ok(())
    }

    /// After an abort: answers the steps that would make the next transaction fail too, and keeps the others.
    fn answer_faulty(&mut self, failures: &[Failure]) -> bool {
        let before = self.in_hand.len();
        for mut in_hand in std::mem::take(&mut self.in_hand) {
            match in_hand.take_fault(failures, self.settings.max_batch_bytes) {
                None => self.in_hand.push(in_hand),
                Some(fault) => {
                    let is_too_large = matches!(fault, PublishError::TooLarge { .. });
                    self.observe_failure(if is_too_large { "too_large" } else { "refused" });
                    in_hand.step.answer(Err(fault));
                }
            }
        }
        self.in_hand.len() < before
    }

    /// The size of the largest record in batches that were refused for their size, when it was not alone in its own:
    /// its topic takes less than it did at the start, and which record is too large is not known.
    fn crowded(&self, failures: &[Failure]) -> Option<usize> {
        let largest = self.in_hand.iter().filter_map(|in_hand| in_hand.largest_too_large(failures)).max();
        largest.filter(|bytes| *bytes <= self.settings.max_batch_bytes)
    }

    fn answer_all(&mut self, error: &PublishError) {
        self.in_hand.drain(..).for_each(|in_hand| in_hand.step.answer(Err(error.clone())));
    }

    fn observe_failure(&self, kind: &'static str) {
        (self.settings.observer)(KafkaEvent::Failed { kind });
    }
}
