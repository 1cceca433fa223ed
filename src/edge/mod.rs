//! The edges: each knows one outside system and none of the other edges.

pub mod admin;
pub mod avro;
pub mod data_api;
pub mod kafka;
pub mod registry;
