//! The configuration file: text, then a tree that knows its lines, then raw keys, then a checked [`Config`].
//!
//! All problems are found in one pass and reported with their key and line. Nothing here opens a connection or reads
//! the process environment: the environment comes in as a function.

mod checked;
pub mod problem;
pub mod secret;
pub mod topic;

pub use checked::*;
pub use problem::{Problem, Problems};
pub use secret::{Revealed, Secret, SecretError};
pub use topic::TopicTemplate;
