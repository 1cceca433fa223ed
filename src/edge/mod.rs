//! The edges: each knows one outside system and none of the other edges.

pub mod admin;
