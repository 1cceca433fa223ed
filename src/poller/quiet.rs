//! Live readings that have found nothing. No step is taken for them: progress stays what Kafka has acknowledged, and only
//! when to look next goes by them. Ten thousand quiet accounts would otherwise keep Kafka busy all day with the news that
//! there are none.
//!
//! What is lost with the process is that it has looked: whoever polls the account next looks once more. Coverage ends a
//! little earlier than what was seen, but never so much that the next live reading would not read on from there.

use super::Poller;
use crate::domain::plan::Reading;
use crate::progress::Step;

/// Coverage may lag by this part of what a live reading reads.
const LAG_PART: u32 = 4;

impl Poller {
    /// Whether a complete reading without events has so little to say that no step is taken for it. The last one of
    /// `--once`, and one that serves the horizon, are always told.
    pub(super) fn says_nothing(&self, step: &Step, reading: &Reading) -> bool {
        let (frontier, live_age) = (self.progress.coverage().frontier(), self.ladder.live_age());
        let is_near = reading.window.from <= frontier && reading.window.till.since(frontier) < live_age / LAG_PART;
        let is_live = self.ladder.is_live(reading) && live_age < self.ladder.horizon();
        is_near && is_live && step.changes_no_row() && !self.context.clock.is_frozen()
    }
}
