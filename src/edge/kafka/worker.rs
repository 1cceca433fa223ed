//! The publisher's thread: group commit.
//!
//! ```text
//!              first step                interval over, or full            committed
//!   idle ------------------> collecting ------------------------> closing -----------> answer all, idle
//!                             ^   |  a record failed                |  fenced, or no outcome
//!        send the others again|   +-----------> aborting <----------+----------------+
//!                             |                    | answer the steps at fault        v
//!                             +--------------------+                             rebuilding -> answer all `Restore`
//!                                                                                    |
//!                                                                                    +-> superseded or stopped: end
//! ```
//!
//! A producer that breaks while it aborts is rebuilt too, but its steps are sent again: nobody has asked for their
//! commit, so it is known that they are not committed.
//!
//! What always holds: a step is in `in_hand` from the moment it is taken until it is answered, and it is answered
//! `Ok` only after the commit of a transaction in which each of its records was acknowledged.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connection::Unreachable;
use super::deliveries::Failure;
use super::in_hand::{InHand, refused_record};
use super::observer::KafkaEvent;
use super::owner::Owner;
use super::publisher::{Acknowledged, Ending, PublishError, PublisherSettings, StartError, Step};
use super::stop::Stop;
use super::transaction::{InitialiseError, LAST_MOMENT, SendError, TransactionalProducer, Trouble};

/// A transaction is closed when it holds so many bytes: half of what may be in flight, so that the other half can
/// gather while it commits.
const MAX_TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// How long the thread waits for a step before it serves the client's queue and looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(100);

/// How long one try to start may take.
const START: Duration = Duration::from_secs(15);

/// How long a process that has fenced this one may take to write its owner record.
const NEWCOMER: Duration = Duration::from_secs(10);

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
            worker.work(&ending);
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
    producer: TransactionalProducer,
    owner: Owner,
    owner_offset: i64,
    in_hand: Vec<InHand>,
}

/// Whether more steps may join a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Open,
    Closed,
}

impl Worker {
    fn start(settings: PublisherSettings, inbox: Receiver<Step>, stop: Arc<Stop>) -> Result<Self, StartError> {
        let mut producer = TransactionalProducer::create(&settings, Arc::clone(&stop))?;
        producer.initialise(START).map_err(|error| start_error(&settings, error))?;
        let owner = Owner::new(&settings.instance_id);
        let owner_offset = write_owner(&settings, &mut producer, &owner)?;
        Ok(Self { settings, inbox, stop, producer, owner, owner_offset, in_hand: Vec::new() })
    }

    /// Works until the end, and says why it ended before it closes its inbox.
    fn work(mut self, ending: &Ending) {
        let end = loop {
            if self.stop.is_requested() {
                break PublishError::Stopped;
            }
            match self.inbox.recv_timeout(IDLE) {
                Ok(step) => {
                    self.take(step);
                    if let Err(end) = self.commit_group(Group::Open) {
                        break end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.producer.serve(),
                Err(RecvTimeoutError::Disconnected) => break PublishError::Stopped,
            }
        };
        ending.because(end.clone());
        self.answer_all(&end);
        self.inbox.try_iter().for_each(|step| step.answer(Err(end.clone())));
    }

    fn take(&mut self, step: Step) {
        self.in_hand.push(InHand::new(step));
    }

    /// Brings the steps in hand, and those that join meanwhile, to their answers. `Err` is the end of the worker.
    fn commit_group(&mut self, group: Group) -> Result<(), PublishError> {
        let mut backoff = BACKOFF;
        while !self.in_hand.is_empty() {
            match self.transact(group) {
                Ok(()) => return Ok(()),
                Err(Trouble::Abort { reason, refused, commit_sent }) => {
                    tracing::warn!(%reason, steps = self.in_hand.len(), "kafka transaction aborted, trying again");
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
                Err(trouble) => self.restore(trouble)?,
            }
            if self.stop.is_due(LAST_MOMENT) {
                return Err(PublishError::Stopped);
            }
        }
        Ok(())
    }

    /// Makes sure that nothing of the transaction is committed, and returns what failed in it. The steps stay in hand,
    /// unless their commit had been sent and the abort did not succeed.
    fn abort(&mut self, commit_sent: bool) -> Result<Vec<Failure>, PublishError> {
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

    /// Kafka has refused a transaction without saying which step is to blame: each gets one of its own, so that one
    /// account's fault is not that of all.
    fn single_out(&mut self, reason: &str) -> Result<(), PublishError> {
        if let [blamed] = &self.in_hand[..] {
            let refused = PublishError::Refused { reason: format!("{}: {reason}", blamed.topics()) };
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
        for index in 0..self.in_hand.len() {
            self.send(index)?;
        }
        if group == Group::Open {
            self.collect(opened)?;
        }
        self.producer.commit()?;
        let (steps, records) = (self.in_hand.len(), self.producer.sent());
        (self.settings.observer)(KafkaEvent::Committed { steps, records, took: opened.elapsed() });
        self.in_hand.drain(..).for_each(|in_hand| in_hand.step.answer(Ok(Acknowledged::after_commit())));
        Ok(())
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
                    self.send(self.in_hand.len() - 1)?;
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
        let bytes: usize = self.in_hand.iter().map(|in_hand| in_hand.step.bytes).sum();
        self.producer.sent() >= self.settings.commit_max_events || bytes >= MAX_TRANSACTION_BYTES
    }

    fn send(&mut self, index: usize) -> Result<(), Trouble> {
        let in_hand = &mut self.in_hand[index];
        in_hand.first = Some(self.producer.sent());
        for (position, record) in in_hand.step.records.iter().enumerate() {
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

    /// A new producer that sends records of this size alone, so that the next refusal tells which one is meant.
    fn shrink_batches(&mut self, record_bytes: usize) -> Result<(), PublishError> {
        self.settings.max_batch_bytes = record_bytes.saturating_sub(1).max(1);
        let max_batch_bytes = self.settings.max_batch_bytes;
        tracing::warn!(
            max_batch_bytes,
            "a topic takes smaller batches than when callfeed started; sending smaller ones"
        );
        self.recover(Trouble::Broken("its batches are too large".to_owned()))
    }

    /// What became of the transaction is not known: the steps in hand have to be compared with the state topic, which
    /// tells when a new producer has resolved what is open.
    fn restore(&mut self, trouble: Trouble) -> Result<(), PublishError> {
        self.recover(trouble)?;
        self.answer_all(&PublishError::Restore);
        Ok(())
    }

    /// The producer is of no more use: a new one takes its place.
    fn recover(&mut self, trouble: Trouble) -> Result<(), PublishError> {
        let patience = match trouble {
            Trouble::OutOfTime => {
                // Best effort: what stays open, the next start or the broker aborts.
                let _ = self.producer.abort();
                return Err(PublishError::Stopped);
            }
            Trouble::Fenced => {
                tracing::warn!("kafka producer fenced, looking who did it");
                self.observe_failure("fenced");
                NEWCOMER
            }
            Trouble::Abort { reason, .. } | Trouble::Broken(reason) => {
                tracing::warn!(%reason, "kafka producer broken, starting a new one");
                Duration::ZERO
            }
        };
        self.rebuild(patience)?;
        self.observe_failure("rebuilt");
        tracing::info!("kafka producer rebuilt");
        Ok(())
    }

    /// Replaces the producer, unless another process is the owner now. Tries until it succeeds or is to stop.
    fn rebuild(&mut self, mut patience: Duration) -> Result<(), PublishError> {
        let mut backoff = BACKOFF;
        while !self.stop.is_requested() {
            let problem = match self.owner.successor(&self.settings, self.owner_offset, patience, &self.stop) {
                Ok(Some(by)) => return Err(PublishError::Superseded { by }),
                Ok(None) if self.stop.is_requested() => break,
                Ok(None) => match self.replace_producer() {
                    Ok(()) => return Ok(()),
                    Err(StartError::Contended) => {
                        patience = NEWCOMER;
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(reason) => self.settings.connection.unreachable(reason).to_string(),
            };
            tracing::warn!(%problem, "kafka producer not rebuilt yet");
            self.observe_failure("unreachable");
            self.stop.sleep(backoff.mul_f64(0.5 + fastrand::f64()));
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        Err(PublishError::Stopped)
    }

    fn replace_producer(&mut self) -> Result<(), StartError> {
        let producer = TransactionalProducer::create(&self.settings, Arc::clone(&self.stop))?;
        producer.initialise(START).map_err(|error| start_error(&self.settings, error))?;
        self.producer = producer;
        Ok(())
    }

    fn answer_all(&mut self, error: &PublishError) {
        self.in_hand.drain(..).for_each(|in_hand| in_hand.step.answer(Err(error.clone())));
    }

    fn observe_failure(&self, kind: &'static str) {
        (self.settings.observer)(KafkaEvent::Failed { kind });
    }
}

/// Makes this process known as the owner, and returns where the record lies.
fn write_owner(
    settings: &PublisherSettings,
    producer: &mut TransactionalProducer,
    owner: &Owner,
) -> Result<i64, StartError> {
    let unreachable = |reason: String| StartError::Unreachable(settings.connection.unreachable(reason));
    let failed = |trouble| match trouble {
        Trouble::Fenced => StartError::Contended,
        Trouble::Abort { reason, refused: true, .. } => refused(settings, reason),
        Trouble::Abort { reason, .. } | Trouble::Broken(reason) => unreachable(reason),
        Trouble::OutOfTime => unreachable("stopped while starting".to_owned()),
    };
    producer.begin().map_err(failed)?;
    producer.send(&owner.record(settings)).map_err(|error| match error {
        SendError::Trouble(trouble) => failed(trouble),
        SendError::TooLarge => unreachable("the owner record does not fit".to_owned()),
        SendError::Refused(code) => refused(settings, code.to_string()),
    })?;
    producer.commit().map_err(failed)?;
    producer.last_offset().ok_or_else(|| unreachable("the owner record has no offset".to_owned()))
}

fn start_error(settings: &PublisherSettings, error: InitialiseError) -> StartError {
    match error {
        InitialiseError::Unanswered(reason) => Unreachable::into(settings.connection.unreachable(reason)),
        InitialiseError::Fenced => StartError::Contended,
        InitialiseError::Refused(reason) => refused(settings, reason),
    }
}

fn refused(settings: &PublisherSettings, reason: String) -> StartError {
    let group_id = settings.group_id.clone();
    let remedy = format!(
        "callfeed's principal needs the operations WRITE and DESCRIBE on TRANSACTIONAL_ID `{group_id}`, and WRITE on TOPIC `{}`",
        settings.state_topic
    );
    StartError::Refused { group_id, reason, remedy }
}
