//! How late events were: from "the API shows it" to "committed".

use std::time::Duration;

use jiff::Timestamp;

use super::event::History;
use crate::simulator::Timeline;

/// How late one call and its changes were published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the moment the report had the call; none while it is not published.
    pub new: Option<Duration>,
    /// From each change that the report has shown; those that are not published yet are none.
    pub changes: Vec<Option<Duration>>,
}

/// Compares what the API showed until `now` with what was published. A row that is read holds all that has changed, so
/// the first event read after a change tells of it. Calls that vanish, or that filters leave out, are to be left aside.
pub fn latency(timeline: &Timeline, history: &History, now: Timestamp) -> Latency {
    let since = |from: Timestamp| {
        let from = from.as_millisecond();
        let event = history.events.iter().find(|event| event.observed_at_millis >= from)?;
        Some(Duration::from_millis(u64::try_from(event.committed_at_millis - from).unwrap_or(0)))
    };
    Latency {
        new: timeline.shown_at.and_then(since),
        changes: timeline.changed_at.iter().filter(|at| **at <= now).map(|at| since(*at)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;

    #[test]
    fn a_change_is_told_by_the_first_event_that_was_read_after_it() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let event = |observed: i64, committed: i64| Event {
            id: uuid::Uuid::nil(),
            event_type: String::new(),
            revision: 1,
            changed: Vec::new(),
            observed_at_millis: observed * 1000,
            committed_at_millis: committed * 1000,
        };
        let history = History { events: vec![event(130, 131), event(300, 302)], ..History::default() };
        let timeline = Timeline {
            id: 1,
            start: at(50),
            shown_at: Some(at(100)),
            changed_at: vec![at(120), at(200), at(301), at(900)],
            vanishes_at: None,
        };

        let latency = latency(&timeline, &history, at(400));

        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(latency, Latency { new: seconds(31), changes: vec![seconds(11), seconds(102), None] });
    }
}
