//! What to read next, or how long to wait.

use std::time::Duration;

/// One step of the re-reading ladder: rows up to `age` old are re-read `every` so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    pub age: Duration,
    pub every: Duration,
}

/// Which end of what was never read comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackfillOrder {
    #[default]
    Newest,
    Oldest,
}
