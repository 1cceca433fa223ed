//! `callfeed state migrate`: the state of all accounts, in a topic with another number of partitions.
//!
//! ```text
//!   target empty ── mark it as unfinished ──> copying ── the same as the source ──> take the mark away ──> done
//!                                              ^   │ interrupted: no service starts with a marked topic
//!                                              └───┘ run again: what is missing or differs is written
//! ```
//!
//! What always holds: what the source holds of accounts is only read; a target without a mark is either empty, or holds
//! what the source held when the mark was taken away; and never are both without one, after the copy is complete: with
//! `exactly_once` the marks change in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::topic::collide;
use crate::config::{Account, Config};
use crate::edge::kafka::topics::{self, Creation, TopicPlan};
use crate::edge::kafka::{Content, Moved, Record, RestoreError, Unfinished};
use crate::state::{StateKey, StatePlace};

use super::seat::Seat;
use super::{AdminError, READ_WITHIN, StateAdmin, report};

/// What one transaction moves at the most.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
const CHUNK_RECORDS: usize = 5000;

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("`{0}` is the state topic now; expected the name of a new topic")]
    SameTopic(String),
    #[error("`{topic}` is the topic of {content} in the configuration; expected the name of a new topic")]
    InUse { topic: String, content: &'static str },
    #[error(
        "`{topic}` is there already, with `cleanup.policy={policy}`, so it was not made for state; name a new topic"
    )]
    NotCompacted { topic: String, policy: String },
    #[error(
        "`{topic}` is there already, with {partitions} partitions; expected {expected}: add `--partitions {partitions}`, or name a new topic"
    )]
    OtherPartitions { topic: String, partitions: i32, expected: i32 },
    #[error("`{topic}` holds state already, and not the same as `{from}`; name a new topic")]
    NotEmpty { topic: String, from: String },
    #[error(
        "`{topic}` was begun with the state of `{from}`; complete that with `kafka.state_topic: {from}`, or name a new topic"
    )]
    OfAnother { topic: String, from: String },
    #[error("the state of `{topic}` was moved to `{to}` once, so that nothing starts with it; name a new topic")]
    Left { topic: String, to: String },
    #[error("`{topic}` holds `{key}`, which this callfeed does not know; migrate with the one that wrote it")]
    UnknownKey { topic: String, key: String },
    #[error(
        "`{topic}` holds `{key}` in two partitions: the topic was given more partitions, and the account was read anew since; which of the two counts cannot be told, so remove one of them by hand"
    )]
    Ambiguous { topic: String, key: String },
    #[error(
        "`{topic}` does not hold the same as `{from}` after copying ({n_differing} keys differ); run the command again"
    )]
    Differs { topic: String, from: String, n_differing: usize },
    #[error(
        "`{from}` was written to while its state was copied: a replica runs; stop all of them and run the command again"
    )]
    Moved { from: String },
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    pub keys: usize,
    /// Of them, those that this run had to write; an interrupted one may have written the others.
    pub written: usize,
    pub partitions: i32,
}

/// By key, the value.
type State = HashMap<String, Vec<u8>>;

/// One migration: from the state topic of the configuration to another one.
struct Migration<'a> {
    admin: &'a StateAdmin<'a>,
    seat: &'a Seat,
    target: StatePlace,
}

/// Copies all state to the topic `to`, which is created where that is allowed, and verifies the copy.
pub async fn carry_out(
    admin: &StateAdmin<'_>,
    seat: &Seat,
    to: &str,
    partitions: i32,
    told: impl Fn(usize, usize),
) -> Result<Migrated, AdminError> {
    prepare(admin, to, partitions).await?;
    let migration = Migration { admin, seat, target: StatePlace { topic: Arc::from(to), partitions } };
    let source = migration.source().await?;
    let target = migration.unused_target().await?;
    let done = Migrated { keys: source.len(), written: 0, partitions };
    if target.unfinished.is_empty() && !target.latest.is_empty() {
        return match differing(&source, &state_of(target)) {
            0 => migration.leave_source().await.map(|()| done),
            _ => Err(migration.not_empty().into()),
        };
    }
    migration.mark(&target).await?;
    let written = migration.copy(&source, &state_of(target), told).await?;
    migration.verify(&source).await?;
    migration.finish().await?;
    migration.check_that_nobody_wrote(&source).await?;
    Ok(Migrated { written, ..done })
}

/// Finds or makes a topic that is fit to hold state.
async fn prepare(admin: &StateAdmin<'_>, to: &str, partitions: i32) -> Result<(), AdminError> {
    let kafka = &admin.config.kafka;
    if to == kafka.state_topic {
        return Err(MigrateError::SameTopic(to.to_owned()).into());
    }
    if let Some(content) = other_content(admin.config, to) {
        return Err(MigrateError::InUse { topic: to.to_owned(), content }.into());
    }
    let creation = kafka.create_topics.enabled.then_some(Creation {
        replication_factor: kafka.create_topics.replication_factor,
        partitions: kafka.create_topics.partitions,
    });
    if let Some(found) = topics::n_partitions(&admin.connection, to).await?
        && found != partitions
    {
        let topic = to.to_owned();
        return Err(MigrateError::OtherPartitions { topic, partitions: found, expected: partitions }.into());
    }
    if let Some(policy) = topics::cleanup_policy(&admin.connection, to).await?
        && policy != "compact"
    {
        return Err(MigrateError::NotCompacted { topic: to.to_owned(), policy }.into());
    }
    topics::prepare(&admin.connection, &TopicPlan::of_state(to, partitions, creation)).await?;
    Ok(())
}

/// What else the configuration has a topic for, also that of an account which is disabled.
fn other_content(config: &Config, topic: &str) -> Option<&'static str> {
    if collide(topic, &config.kafka.dead_letter_topic) {
        return Some("dead letters");
    }
    let is_of = |account: &Account| collide(topic, &config.topics.calls.for_account(account.service, &account.id));
    config.accounts.iter().any(is_of).then_some("events")
}

impl Migration<'_> {
    async fn source(&self) -> Result<State, AdminError> {
        let from = || self.admin.place().topic.to_string();
        let content = self.read(self.admin.place()).await?;
        if let Some(mark) = content.unfinished.values().next() {
            return Err(MigrateError::OfAnother { topic: from(), from: mark.from.clone() }.into());
        }
        // An interrupted migration may have come as far as that.
        if let Some(mark) = content.moved.values().find(|mark| mark.to != *self.target.topic) {
            let (topic, to, partitions) = (self.admin.place().topic.clone(), mark.to.clone(), mark.to_partitions);
            return Err(RestoreError::Moved { topic, to, partitions }.into());
        }
        if let Some(key) = &content.ambiguous {
            return Err(MigrateError::Ambiguous { topic: from(), key: key.clone() }.into());
        }
        let is_unknown = |key: &&String| key.starts_with("a/") && StateKey::parse(key).is_none();
        if let Some(key) = content.latest.keys().find(is_unknown) {
            return Err(MigrateError::UnknownKey { topic: from(), key: key.clone() }.into());
        }
        Ok(state_of(content))
    }

    async fn unused_target(&self) -> Result<Content, AdminError> {
        let target = self.read_target().await?;
        match target.moved.values().next() {
            Some(mark) => Err(MigrateError::Left { topic: self.name(), to: mark.to.clone() }.into()),
            None => Ok(target),
        }
    }

    async fn read_target(&self) -> Result<Content, AdminError> {
        self.read(&self.target).await
    }

    async fn read(&self, place: &StatePlace) -> Result<Content, AdminError> {
        let topic = self.admin.topic(place, self.seat.takeover());
        Ok(topic.read(&topic.all_partitions(), READ_WITHIN, report).await?)
    }

    /// From here on no service takes the target for complete.
    async fn mark(&self, target: &Content) -> Result<(), AdminError> {
        let from = self.admin.place().topic.to_string();
        let mark = Unfinished { from, from_partitions: self.admin.place().partitions };
        if let Some(other) = target.unfinished.values().find(|other| **other != mark) {
            return Err(MigrateError::OfAnother { topic: self.name(), from: other.from.clone() }.into());
        }
        self.publish(mark.set(&self.target.topic, self.target.partitions)).await
    }

    /// Writes what is missing in the target or differs, and removes what the source has not. Returns how many keys.
    async fn copy(&self, source: &State, target: &State, told: impl Fn(usize, usize)) -> Result<usize, AdminError> {
        let missing = source.iter().filter(|(key, value)| target.get(*key) != Some(value));
        let surplus = target.keys().filter(|key| !source.contains_key(*key));
        let changes: Vec<(&String, Option<&Vec<u8>>)> =
            missing.map(|(key, value)| (key, Some(value))).chain(surplus.map(|key| (key, None))).collect();
        let (mut chunk, mut chunk_bytes, mut written) = (Vec::new(), 0, 0);
        told(written, changes.len());
        for (key, value) in &changes {
            let Some(key) = StateKey::parse(key) else { continue };
            let record = self.target.record(&key, value.cloned());
            chunk_bytes += record.size();
            chunk.push(record);
            if chunk_bytes >= CHUNK_BYTES || chunk.len() >= CHUNK_RECORDS {
                written += chunk.len();
                self.publish(std::mem::take(&mut chunk)).await?;
                chunk_bytes = 0;
                told(written, changes.len());
            }
        }
        written += chunk.len();
        self.publish(chunk).await?;
        told(written, changes.len());
        Ok(written)
    }

    async fn verify(&self, source: &State) -> Result<(), AdminError> {
        match differing(source, &state_of(self.read_target().await?)) {
            0 => Ok(()),
            n_differing => {
                let from = self.admin.place().topic.to_string();
                Err(MigrateError::Differs { topic: self.name(), from, n_differing }.into())
            }
        }
    }

    async fn finish(&self) -> Result<(), AdminError> {
        let marks = [self.source_is_left(), Unfinished::clear(&self.target.topic, self.target.partitions)];
        self.publish(marks.concat()).await
    }

    async fn leave_source(&self) -> Result<(), AdminError> {
        self.publish(self.source_is_left()).await
    }

    fn source_is_left(&self) -> Vec<Record> {
        let mark = Moved { to: self.name(), to_partitions: self.target.partitions };
        mark.set(&self.admin.place().topic, self.admin.place().partitions)
    }

    /// A process that hung for longer than its session may have lost its seat without knowing: then a replica has
    /// written to the source meanwhile, and the target is not complete after all.
    async fn check_that_nobody_wrote(&self, source: &State) -> Result<(), AdminError> {
        if self.source().await? == *source {
            return Ok(());
        }
        self.mark(&Content::default()).await?;
        self.publish(Moved::clear(&self.admin.place().topic, self.admin.place().partitions)).await?;
        Err(MigrateError::Moved { from: self.admin.place().topic.to_string() }.into())
    }

    async fn publish(&self, records: Vec<Record>) -> Result<(), AdminError> {
        if !records.is_empty() {
            // The seat holds every partition of the source; any of them stands for it.
            self.seat.publish(0, records).await?;
        }
        Ok(())
    }

    fn not_empty(&self) -> MigrateError {
        MigrateError::NotEmpty { topic: self.name(), from: self.admin.place().topic.to_string() }
    }

    fn name(&self) -> String {
        self.target.topic.to_string()
    }
}

/// What a topic holds of accounts.
fn state_of(content: Content) -> State {
    let is_state = |(key, _): &(String, (i32, Vec<u8>))| StateKey::parse(key).is_some();
    content.latest.into_iter().filter(is_state).map(|(key, (_, value))| (key, value)).collect()
}

/// How many keys have not the same value in both.
fn differing(one: &State, other: &State) -> usize {
    let changed = one.iter().filter(|(key, value)| other.get(*key) != Some(value)).count();
    changed + other.keys().filter(|key| !one.contains_key(*key)).count()
}
