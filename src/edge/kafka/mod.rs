//! Kafka: the transactional publisher, the state topic, and the checks of topics.
//!
//! - [`Publisher`] sends steps (all records that one step of an account needs: events, dead letters, state) in
//!   transactions that many accounts share, and answers each step with the proof that it is committed.
//! - [`Membership`] is this replica's part in the consumer group that divides the state topic; each of its partitions
//!   is a [`Lease`], without which nothing is published.
//! - [`MemoryLog`] takes steps in the place of brokers, for rehearsals.
//! - [`Group`] tells whether any replica is there, without being one.
//! - [`StateTopic`] reads back what those steps left in the compacted state topic.
//! - [`topics`] checks the topics, creates them when that is allowed, and says what is wrong in words for people.
//! - [`access`] tells which rights are not granted, without using them.
//!
//! Nothing here knows what a call or an account is: records are bytes with a key. What always holds: an enqueue is
//! never taken for an acknowledgement, and a step is never sent in part. No librdkafka call that can block runs on
//! the async runtime.

pub mod access;
mod bytes;
mod connection;
mod content;
mod deliveries;
mod fact;
mod group;
mod in_hand;
mod intent;
mod lease;
mod mark;
mod member;
mod membership;
mod memory;
mod observer;
mod producer;
mod publisher;
mod record;
pub mod session;
mod shares;
mod standing;
mod state_topic;
mod stop;
pub mod topics;
mod trouble;
mod vacancies;
mod worker;

pub use connection::{Connection, InvalidProperty, Unreachable};
pub use content::Content;
pub use fact::Fact;
pub use group::{Group, GroupError, Occupancy};
pub use intent::Intent;
pub use lease::Lease;
pub use mark::{Moved, Unfinished};
pub use membership::{Change, Membership, MembershipSettings, Tenure};
pub use memory::{Committed, MemoryLog, Trouble};
pub use observer::{KafkaEvent, Observer};
pub use publisher::{Acknowledged, Delivery, PublishError, Publisher, PublisherSettings, StartError};
pub use record::{MAX_RECORD_BYTES, Record};
pub use shares::{Division, Shares};
pub use state_topic::{RestoreError, RestoreProgress, StateTopic, Takeover, partition_of};
pub use vacancies::Vacancies;
