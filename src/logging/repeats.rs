//! What was told already: the same message of the same account is told once, and then at most every few minutes, with how
//! often it was left out since.
//!
//! Pure: messages are numbers here, and the time comes in. At most as much is remembered as was told in that time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Long enough for a fault that lasts a night to be read in the morning, short enough to see that it lasts.
pub const EVERY: Duration = Duration::from_mins(5);

#[derive(Default)]
pub struct Repeats {
    told: HashMap<u64, Told>,
    /// At so many the ones that are long past are taken out.
    sweep_at: usize,
}

struct Told {
    at: Instant,
    n_left_out: u64,
}

impl Told {
    /// Longer while there is a count to be told.
    fn remembered(&self) -> Duration {
        if self.n_left_out == 0 { EVERY } else { EVERY * 12 }
    }
}

impl Repeats {
    /// How often the message was left out before it is told now; none when it is left out once more.
    pub fn tell(&mut self, message: u64, now: Instant) -> Option<u64> {
        if let Some(told) = self.told.get_mut(&message) {
            if now.saturating_duration_since(told.at) < EVERY {
                told.n_left_out += 1;
                return None;
            }
            return Some(std::mem::replace(told, Told { at: now, n_left_out: 0 }).n_left_out);
        }
        if self.told.len() >= self.sweep_at {
            self.told.retain(|_, told| now.saturating_duration_since(told.at) < told.remembered());
            self.sweep_at = self.told.len() * 2 + 64;
        }
        self.told.insert(message, Told { at: now, n_left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_message_is_told_once_and_then_at_most_every_few_minutes_with_a_count() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.tell(1, start), Some(0));
        assert_eq!(repeats.tell(1, start), None);
        assert_eq!(repeats.tell(1, start + EVERY - SECOND), None);
        assert_eq!(repeats.tell(1, start + EVERY), Some(2));
        assert_eq!(repeats.tell(1, start + EVERY + SECOND), None);
        assert_eq!(repeats.tell(1, start + EVERY * 3), Some(1));
        assert_eq!(repeats.tell(1, start + EVERY * 4), Some(0));
    }

    #[test]
    fn other_messages_do_not_keep_one_from_being_told() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.tell(1, start), Some(0));
        assert_eq!(repeats.tell(2, start), Some(0));
        assert_eq!((repeats.tell(1, start), repeats.tell(2, start)), (None, None));
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for message in 0..10_000 {
            repeats.tell(message, start + SECOND * u32::try_from(message).unwrap());
        }
        assert!(repeats.told.len() < 1000, "{}", repeats.told.len());
    }
}
