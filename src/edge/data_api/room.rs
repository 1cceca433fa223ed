//! Room in memory for answers: so many bytes for all accounts, on their way or waiting for their commit.
//!
//! Room is taken for bytes that have come and not for those that were asked for, so a server that never answers holds
//! none. The first piece of an answer comes out of a part of its own: small answers, as of live readings, never wait
//! behind pages of a back-fill, and a server that sends a byte now and then holds no more than that piece. An answer
//! that goes on takes room for all that is still to be expected at once, so that of many half answers none waits for
//! another. One that turns out larger than that takes more only when there is some, or is given up and asked for again.
//!
//! Before a request is sent, there has to be room for its answer: an answer that cannot be taken costs a point.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;

/// The first piece of an answer: several calls, and more than any server drips within a time-out.
const FIRST_PIECE: usize = 16 * KIB;

/// One part in so many is for first pieces.
const FIRST_PIECES_SHARE: usize = 8;

/// What is expected of an answer that goes on after its first piece, when none of its kind was ever so large.
const USUAL: usize = KIB * KIB;

#[derive(Clone, Debug)]
pub(super) struct Room {
    first_pieces: Arc<Semaphore>,
    rests: Arc<Semaphore>,
    first_piece: usize,
    rest: usize,
}

/// The room of one answer. Given back when it is dropped.
#[derive(Debug, Default)]
pub struct Held {
    first: Option<OwnedSemaphorePermit>,
    rest: Option<OwnedSemaphorePermit>,
}

/// An answer outgrew what was expected while others took the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Room {
    pub fn of(bytes: usize) -> Self {
        // Permits are counted in 32 bits where they are taken: terabytes.
        let bytes = bytes.min(u32::MAX as usize * (KIB / 2));
        let first_pieces = (bytes / FIRST_PIECES_SHARE / KIB).max(1);
        let rest = (bytes / KIB).saturating_sub(first_pieces).max(1);
        Self {
            first_pieces: Arc::new(Semaphore::new(first_pieces)),
            rests: Arc::new(Semaphore::new(rest)),
            first_piece: FIRST_PIECE.min(first_pieces * KIB),
            rest: rest * KIB,
        }
    }

    /// The largest answer that can be taken.
    pub fn largest(&self) -> usize {
        self.first_piece + self.rest
    }

    /// Waits until there is room for an answer of this size, and leaves it to whoever comes first.
    pub async fn wait_for(&self, expected: usize) {
        drop(take(&self.first_pieces, expected.clamp(1, self.first_piece)).await);
        if expected > self.first_piece {
            drop(take(&self.rests, (expected - self.first_piece).min(self.rest)).await);
        }
    }

    /// Sees to it that `len` bytes of an answer have room, of which so many are expected in all.
    pub async fn hold(&self, held: &mut Held, len: usize, expected: usize) -> Result<(), NoRoom> {
        if held.first.is_none() {
            held.first = Some(take(&self.first_pieces, expected.max(len).min(self.first_piece)).await);
        }
        if len <= held.bytes() {
            return Ok(());
        }
        match &mut held.rest {
            None => {
                // Of an answer that was expected to be smaller nothing is known.
                let all = if expected < len { len.saturating_mul(2).max(USUAL) } else { expected };
                held.rest = Some(take(&self.rests, all.saturating_sub(held.bytes()).clamp(KIB, self.rest)).await);
            }
            Some(rest) => {
                let more = kib(len).min(self.rest / KIB - rest.num_permits());
                let more = u32::try_from(more).map_err(|_| NoRoom)?;
                rest.merge(self.rests.clone().try_acquire_many_owned(more).map_err(|_| NoRoom)?);
            }
        }
        Ok(())
    }
}

impl Held {
    fn bytes(&self) -> usize {
        let permits = |permit: &Option<OwnedSemaphorePermit>| permit.as_ref().map_or(0, |permit| permit.num_permits());
        (permits(&self.first) + permits(&self.rest)) * KIB
    }

    /// The answer is complete and takes `len` bytes: what it does not need is given back.
    pub(super) fn shrink_to(&mut self, len: usize) {
        let mut kept = kib(len);
        for permit in [&mut self.first, &mut self.rest] {
            let Some(held) = permit else { continue };
            let spare = held.num_permits().saturating_sub(kept);
            kept = kept.saturating_sub(held.num_permits());
            drop(held.split(spare));
        }
    }
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(KIB)
}

async fn take(semaphore: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let permits = u32::try_from(kib(bytes)).unwrap_or(u32::MAX);
    // The semaphores are never closed.
    semaphore.clone().acquire_many_owned(permits).await.expect("room is never closed")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: usize = KIB * KIB;

    async fn held(room: &Room, len: usize, expected: usize) -> Held {
        let mut held = Held::default();
        room.hold(&mut held, len, expected).await.unwrap();
        held
    }

    fn waits(room: &Room, len: usize, expected: usize) -> bool {
        let mut held = Held::default();
        room.hold(&mut held, len, expected).now_or_never().is_none()
    }

    #[tokio::test]
    async fn half_answers_that_do_not_go_on_stand_in_nobodys_way() {
        let room = Room::of(64 * MIB);
        let mut dripping = Vec::new();
        for _ in 0..400 {
            dripping.push(held(&room, 100, 15 * MIB).await);
        }
        assert!(!waits(&room, 800, 800) && !waits(&room, 50 * MIB, 50 * MIB));
    }

    #[tokio::test]
    async fn small_answers_do_not_wait_behind_large_ones() {
        let room = Room::of(64 * MIB);
        let mut pages = Vec::new();
        for _ in 0..3 {
            pages.push(held(&room, 15 * MIB, 15 * MIB).await);
        }
        assert!(waits(&room, 15 * MIB, 15 * MIB));
        assert!(!waits(&room, 10_000, 0));
        assert!(room.wait_for(15 * MIB).now_or_never().is_none());
        assert!(room.wait_for(700).now_or_never().is_some());
        pages.pop();
        assert!(!waits(&room, 15 * MIB, 15 * MIB));
    }

    #[tokio::test]
    async fn a_complete_answer_gives_back_what_it_does_not_need() {
        let room = Room::of(64 * MIB);
        let mut page = held(&room, 20_000, 50 * MIB).await;
        assert!(waits(&room, 15 * MIB, 15 * MIB));
        page.shrink_to(20_000);
        assert_eq!(page.bytes(), 20 * KIB);
        let whole = held(&room, 50 * MIB, 50 * MIB).await;
        drop((page, whole));
        assert_eq!((room.first_pieces.available_permits(), room.rests.available_permits()), (8 * KIB, 56 * KIB));
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_expected_grows_while_there_is_room() {
        let room = Room::of(64 * MIB);
        let mut first = held(&room, 30_000, 700).await;
        room.hold(&mut first, 5 * MIB, 700).await.unwrap();
        let second = held(&room, 40 * MIB, 40 * MIB).await;
        assert_eq!(room.hold(&mut first, 40 * MIB, 700).await, Err(NoRoom));
        drop(second);
        room.hold(&mut first, room.largest(), 700).await.unwrap();
        assert!(first.bytes() >= room.largest());
    }
}
