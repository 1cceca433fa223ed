//! The whole way, from the simulator to a committed transaction in a real Kafka: the built binary with a
//! config file of its own, and a consumer that knows nothing of how callfeed works.
//!
//! [`oracle`] says what the feed must be, worked out from the simulator's truth and from the words of the
//! documents; no test here trusts callfeed's own rules. [`feed`] builds one world for one test: topics,
//! group, registry subjects and working folder are its own, so that all tests run side by side.

mod acls;
mod agencies;
mod bad_input;
mod brokers;
mod changes;
mod clusters;
pub mod columns;
mod compaction;
mod dead_letters;
mod embargo;
mod faults;
pub mod feed;
mod filters;
mod isolation;
mod live;
pub mod oracle;
mod owners;
mod paging;
mod orders;
mod reload;
mod replicas;
mod restarts;
mod secrets;
mod state;
mod state_migrate;
mod takeover;
mod timeouts;
mod upgrades;
mod vanished;
mod variants;
mod versions;
mod zone_moves;
mod zones;
