//! The rules: what to read next, which calls to publish, what changed. Pure functions and plain data.
//!
//! Nothing here does I/O, waits, reads a clock, draws random numbers or serialises; time and settings come in as
//! arguments. Nothing here uses another module of the crate. A test holds both.

pub mod allotment;
pub mod call;
pub mod complete;
pub mod coverage;
pub mod demand;
pub mod embargo;
pub mod experience;
pub mod filter;
pub mod forecast;
pub mod ladder;
pub mod ledger;
pub mod pace;
pub mod paging;
pub mod plan;
pub mod read_as;
pub mod rewind;
pub mod rhythm;
pub mod time;
