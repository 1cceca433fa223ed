//! Waiting for something to become true, without a fixed sleep.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(25);

/// Asks again and again until the answer is there, and returns it; panics at the deadline.
/// `what` completes the sentence "waited 10s in vain for ...".
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = answer() {
            return found;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}
