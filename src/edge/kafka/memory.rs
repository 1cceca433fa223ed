//! A log in this process that takes steps in the place of brokers: for rehearsals in virtual time.
//!
//! It is no broker: there are no partitions, no transactions and no other process, and nothing outlives it. What it
//! keeps of the contract is what an account can see: all records of a step are appended or none, an acknowledgement comes
//! after that alone, and a step whose outcome is unknown is told apart by reading the state again. It acknowledges at
//! once, as a thread besides the runtime would let a paused clock run ahead of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::publisher::{Acknowledged, PublishError};
use super::record::Record;

/// The log. Clones share it.
#[derive(Clone)]
pub struct MemoryLog {
    state_topic: Arc<str>,
    content: Arc<Mutex<Content>>,
    silent: Arc<Notify>,
}

#[derive(Default)]
struct Content {
    /// The state topic, compacted.
    state: HashMap<String, Vec<u8>>,
    /// Records of the other topics that nobody has taken yet.
    committed: Vec<Committed>,
    n_steps: u64,
    troubles: BTreeMap<u64, Trouble>,
}

/// A record of a committed step.
#[derive(Clone, Debug)]
pub struct Committed {
    pub at: Instant,
    pub record: Record,
}

/// What may become of a step instead of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its outcome is not known: the publisher answers [`PublishError::Restore`].
    Unknown { committed: bool },
    /// No answer comes: the process is to be ended there.
    Silence { committed: bool },
}

impl MemoryLog {
    /// An empty log that keeps only the latest value of each key of `state_topic`.
    pub fn new(state_topic: &str) -> Self {
        Self { state_topic: state_topic.into(), content: Arc::default(), silent: Arc::default() }
    }

    /// The step with this number, counted from 1, has this trouble.
    pub fn trouble(&self, step: u64, trouble: Trouble) {
        self.lock().troubles.insert(step, trouble);
    }

    /// How many steps were published so far, those with trouble among them.
    pub fn n_steps(&self) -> u64 {
        self.lock().n_steps
    }

    /// Returns when a step was left without an answer.
    pub async fn silence(&self) {
        self.silent.notified().await;
    }

    /// The committed records of all topics but that of the state, since they were taken last.
    pub fn take_committed(&self) -> Vec<Committed> {
        std::mem::take(&mut self.lock().committed)
    }

    /// The latest value of each key of the state topic.
    pub fn state(&self) -> HashMap<String, Vec<u8>> {
        self.lock().state.clone()
    }

    pub(super) async fn publish(&self, records: Vec<Record>) -> Result<Acknowledged, PublishError> {
        match self.take_step(records) {
            None => Ok(Acknowledged::after_commit()),
            Some(Trouble::Unknown { .. }) => Err(PublishError::Restore),
            Some(Trouble::Silence { .. }) => {
                self.silent.notify_one();
                std::future::pending().await
            }
        }
    }

    fn take_step(&self, records: Vec<Record>) -> Option<Trouble> {
        let mut content = self.lock();
        content.n_steps += 1;
        let number = content.n_steps;
        let trouble = content.troubles.remove(&number);
        if let None | Some(Trouble::Unknown { committed: true } | Trouble::Silence { committed: true }) = trouble {
            content.commit(records, &self.state_topic);
        }
        trouble
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing that can panic runs while a step is half appended.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn commit(&mut self, records: Vec<Record>, state_topic: &str) {
        let at = Instant::now();
        for record in records {
            if *record.topic != *state_topic {
                self.committed.push(Committed { at, record });
                continue;
            }
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            match record.value {
                Some(value) => self.state.insert(key, value),
                None => self.state.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::Lease;
    use super::super::publisher::Publisher;
    use super::*;

    fn record(topic: &str, key: &str, value: Option<&str>) -> Record {
        Record {
            topic: topic.into(),
            partition: None,
            key: Some(key.into()),
            value: value.map(Into::into),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    fn step(revision: &str) -> Vec<Record> {
        vec![record("calls", "acme:1", Some(revision)), record("state", "a/acme", Some(revision))]
    }

    fn calls(log: &MemoryLog) -> Vec<Vec<u8>> {
        log.take_committed().into_iter().filter_map(|committed| committed.record.value).collect()
    }

    #[tokio::test]
    async fn a_step_is_committed_with_its_state_and_acknowledged() {
        let log = MemoryLog::new("state");
        let publisher = Publisher::in_memory(log.clone());
        let lease = Lease::of_everything();

        publisher.publish(&lease, step("1")).await.map(drop).unwrap();
        publisher.publish(&lease, step("2")).await.map(drop).unwrap();

        assert_eq!(calls(&log), [b"1", b"2"]);
        assert!(log.take_committed().is_empty(), "records are taken once");
        assert_eq!(log.state(), HashMap::from([("a/acme".to_owned(), b"2".to_vec())]));
        publisher.publish(&lease, vec![record("state", "a/acme", None)]).await.map(drop).unwrap();
        assert!(log.state().is_empty());
    }

    #[tokio::test]
    async fn a_step_of_unknown_outcome_is_committed_whole_or_not_at_all() {
        let log = MemoryLog::new("state");
        let publisher = Publisher::in_memory(log.clone());
        let lease = Lease::of_everything();
        log.trouble(1, Trouble::Unknown { committed: false });
        log.trouble(2, Trouble::Unknown { committed: true });

        for revision in ["1", "2"] {
            assert_eq!(publisher.publish(&lease, step(revision)).await.map(drop), Err(PublishError::Restore));
        }

        assert_eq!(calls(&log), [b"2"]);
        assert_eq!(log.state(), HashMap::from([("a/acme".to_owned(), b"2".to_vec())]));
    }

    #[tokio::test]
    async fn a_step_can_be_left_without_an_answer() {
        let log = MemoryLog::new("state");
        let publisher = Publisher::in_memory(log.clone());
        let lease = Lease::of_everything();
        log.trouble(1, Trouble::Silence { committed: true });

        tokio::select! {
            outcome = publisher.publish(&lease, step("1")) => panic!("answered: {outcome:?}"),
            () = log.silence() => {}
        }

        assert_eq!((calls(&log).len(), log.n_steps()), (1, 1));
    }
}
