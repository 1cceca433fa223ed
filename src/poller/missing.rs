//! Calls that the API no longer has: withdrawn with the last page of a window that was read whole, where that is wished.

use super::{PageReading, Poller, at_work};
use crate::batch::Batch;
use crate::domain::ledger::RollCall;
use crate::domain::paging::{Advance, PageRequest};
use crate::domain::time::Interval;

impl Poller {
    pub(super) fn roll_call(&self, window: Interval) -> Option<RollCall> {
        RollCall::of(window.to_local(self.zone())).filter(|_| self.withdraws_vanished)
    }

    /// Takes a page into the roll call. With the last one, what is missing joins the batch.
    pub(super) fn call_the_roll(
        &self,
        roll_call: &mut Option<RollCall>,
        request: &PageRequest,
        advance: Advance,
        reading: &PageReading,
        batch: Batch,
    ) -> Batch {
        // After a change of zone rows lie in the hours of the former one until they are read again: none is missing.
        let Some(mut calling) = roll_call.take().filter(|_| reading.former_zone.is_none()) else { return batch };
        let ledger = self.progress.ledger();
        at_work(|| {
            calling.take(request, &batch.seen, advance, ledger);
            if advance == Advance::Done {
                return self.composer.withdraw_missing(calling, reading, ledger, batch);
            }
            *roll_call = Some(calling);
            batch
        })
    }
}
