//! What differs from one report of the Data API to another: one file a stream.
//!
//! A stream is its method, its columns, what the filters look at, and the schema of its events. `wire` reads values
//! as the API writes them, `record` makes a row type from a table of columns.

pub mod calls;
pub mod record;
pub mod wire;
