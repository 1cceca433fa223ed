//! callfeed streams call-tracking accounts into Kafka, exactly once.

pub mod config;
pub mod domain;
pub mod edge;
pub mod metrics;
pub mod status;
pub mod stream;
