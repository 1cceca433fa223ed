//! The integration tests: callfeed against a real Kafka, a real Schema Registry and the simulator.
//! `make test` starts the servers and runs this; the harness is in [`support`].

mod commands;
mod data_api;
mod demo;
mod documents;
mod delivery;
mod image;
mod judge;
mod kafka_edge;
mod kill;
mod observability;
mod registry_edge;
mod servers;
mod simulator;
mod support;
mod virtual_time;
