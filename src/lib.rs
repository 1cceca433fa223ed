//! callfeed streams call-tracking accounts into Kafka, exactly once.

pub mod accounts;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod domain;
pub mod edge;
pub mod logging;
pub mod metrics;
pub mod opening;
pub mod poller;
pub mod progress;
pub mod service;
pub mod simulator;
pub mod state;
pub mod status;
pub mod store;
pub mod stream;
pub mod wiring;
