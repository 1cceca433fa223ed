//! Worlds to read from, and what must come of them: shared with the integration tests.

#![allow(dead_code)]

#[path = "../it/delivery/columns.rs"]
pub mod columns;
#[path = "../it/delivery/feed.rs"]
pub mod feed;
#[path = "../it/delivery/oracle.rs"]
pub mod oracle;
