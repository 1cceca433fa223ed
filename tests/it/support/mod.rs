//! The harness of the integration tests: the real servers, processes of the built binary, and an
//! independent reader of what is in Kafka. It knows nothing of callfeed's own code.
//!
//! Everything here blocks, so that tests are plain `#[test]` functions that read from top to bottom.
//! What is asynchronous (an in-process simulator, an HTTP call) lives on a runtime of the harness: see
//! [`block_on`] and [`spawn`]. Nothing waits for a fixed time: see [`eventually`].

// A test file uses the part of the harness that it needs.
#![allow(dead_code, unused_imports)]

mod avro;
mod brokers;
mod callfeed;
mod container;
mod group;
mod history;
mod kafka;
mod ports;
mod prometheus;
mod proxy;
mod runtime;
mod secured;
mod servers;
mod signal;
mod topics;
mod wait;

pub use avro::Registry;
pub use brokers::{Brokers, N_BROKERS, N_PATHS};
pub use callfeed::{Callfeed, Setup};
pub use container::{Container, Mount, Spec, containers_run_here, root_of_image};
pub use history::{CallState, Judge, Problem, Told};
pub use kafka::Kafka;
pub use ports::{free_port, free_ports};
pub use prometheus::{Prometheus, promtool};
pub use proxy::{Network, Proxy};
pub use runtime::{block_on, spawn};
pub use secured::{SecuredKafka, User};
pub use servers::Servers;
pub use topics::{Cluster, Follower, Record, unique_name};
pub use wait::eventually;
