//! What the board shows.

use std::io;
use std::time::Duration;

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

fn acme() -> AccountId {
    AccountId::new("acme")
}

fn at(seconds: i64) -> Instant {
    Instant::from_unix_seconds(seconds)
}

fn board() -> StatusBoard {
    let board = StatusBoard::default();
    board.register(&acme(), Service::Uis);
    board
}

fn blocked(reason: &str) -> Why {
    Why::because(reason).with_remedy("write the right one into the configuration")
}

fn shown(board: &StatusBoard) -> AccountStatus {
    board.find("acme", at(0)).unwrap()
}

#[test]
fn only_a_new_state_or_reason_moves_since() {
    let board = board();
    let steps = [
        // (status, reason, when, is the state new, since when)
        (State::Live, None, 10, true, 10),
        (State::Live, None, 20, false, 10),
        (State::Blocked, Some("wrong login"), 30, true, 30),
        (State::Blocked, Some("wrong login"), 330, false, 30),
        (State::Blocked, Some("address not on the list"), 630, false, 630),
        (State::Live, None, 700, true, 700),
    ];
    for (state, reason, when, is_new, since) in steps {
        let why = reason.map_or(Why::NOTHING, blocked);
        assert_eq!(board.set_at(&acme(), state, why.clone(), at(when)), is_new, "at {when}");
        let shown = shown(&board);
        assert_eq!((shown.status, shown.since), (state, at(since)), "at {when}");
        assert_eq!((shown.reason, shown.remedy), (why.reason, why.remedy), "at {when}");
    }
}

#[test]
fn what_is_blocked_stays_so_until_something_has_succeeded() {
    let board = board();
    board.begin(&acme(), State::Backfilling);
    board.go_on(&acme(), State::Live);
    assert_eq!(shown(&board).status, State::Backfilling, "the end of a reading tells more than a page");
    board.set(&acme(), State::Blocked, blocked("no such topic"));
    board.begin(&acme(), State::Live);
    let still = shown(&board);
    assert_eq!((still.status, still.reason.as_deref()), (State::Blocked, Some("no such topic")));
    board.go_on(&acme(), State::Backfilling);
    assert_eq!((shown(&board).status, shown(&board).reason), (State::Backfilling, None));
}

#[test]
fn an_account_is_shown_with_ages_at_the_moment_of_the_question() {
    let board = board();
    board.set_at(&acme(), State::Live, Why::NOTHING, at(1_767_225_600));
    board.note_progress(&acme(), "calls", at(1_767_225_600));
    board.note_live_read(&acme(), "calls", at(1_767_225_630));
    board.note_progress(&acme(), "chats", at(1_767_225_000));
    let tier = TierStatus { age: Duration::from_mins(15), promised_seconds: 30, planned_seconds: 37 };
    board.note_plan(&acme(), "calls", vec![tier], 2400);
    let shown = serde_json::to_value(board.snapshot(at(1_767_225_660))).unwrap();
    let expected = json!([{
        "name": "acme",
        "service": "uis",
        "status": "live",
        "since": "2026-01-01T00:00:00Z",
        "reason": null,
        "remedy": null,
        "streams": [
            {
                "stream": "calls",
                "frontier": "2026-01-01T00:00:00Z",
                "frontier_lag_seconds": 60,
                "freshness_seconds": 30,
                "tiers": [{"age": "15m", "promised_seconds": 30, "planned_seconds": 37}],
            },
            {
                "stream": "chats",
                "frontier": "2025-12-31T23:50:00Z",
                "frontier_lag_seconds": 660,
                "freshness_seconds": null,
                "tiers": [],
            },
        ],
    }]);
    assert_eq!(shown, expected);
}

#[test]
fn a_removed_account_stays_off_the_board() {
    let board = board();
    board.remove(&acme());
    assert!(!board.set(&acme(), State::Live, Why::NOTHING));
    board.note_progress(&acme(), "calls", at(5));
    assert!(board.snapshot(at(10)).is_empty());
}

#[test]
fn an_account_that_is_taken_over_again_begins_anew() {
    let board = board();
    board.set(&acme(), State::Blocked, blocked("wrong login"));
    board.note_progress(&acme(), "calls", at(5));
    board.register(&acme(), Service::Novofon);
    let shown = shown(&board);
    assert_eq!((shown.status, shown.service), (State::Starting, Service::Novofon));
    assert!(shown.reason.is_none() && shown.streams.is_empty());
}

#[test]
fn one_blocked_account_is_enough() {
    let board = board();
    board.register(&AccountId::new("other"), Service::Comagic);
    assert!(!board.any_blocked());
    board.set(&acme(), State::Blocked, blocked("wrong login"));
    assert!(board.any_blocked());
    board.set(&acme(), State::Live, Why::NOTHING);
    assert!(!board.any_blocked());
}

#[test]
fn each_lasting_change_is_one_line() {
    let lines = Lines::default();
    let to_lines = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).without_time().finish();
    tracing::subscriber::with_default(to_lines, || {
        let board = board();
        board.set(&acme(), State::Live, Why::NOTHING);
        board.set(&acme(), State::Live, Why::NOTHING);
        board.set(&acme(), State::Limited, Why::because("no points until 10:00"));
        board.set(&acme(), State::Limited, Why::because("no points until 10:01"));
        board.set(&acme(), State::Blocked, blocked("wrong login"));
        board.set(&acme(), State::Blocked, blocked("wrong login"));
        board.set(&acme(), State::Blocked, blocked("address not on the list"));
    });
    let lines = lines.text();
    let expected = [
        r#"INFO callfeed::status: account is live account=acme former_status="starting""#,
        r#"INFO callfeed::status: account waits for points account=acme reason="no points until 10:00" former_status="live""#,
        r#"WARN callfeed::status: account is blocked account=acme reason="wrong login" remedy="write the right one into the configuration" former_status="limited""#,
        r#"WARN callfeed::status: account is blocked account=acme reason="address not on the list" remedy="write the right one into the configuration" former_status="blocked""#,
    ];
    assert_eq!(lines.lines().map(str::trim).collect::<Vec<_>>(), expected);
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn behind_plan_is_counted_from_the_last_complete_read_and_only_while_one_is_expected() {
    let start = at(1_767_225_600);
    let board = StatusBoard::with_clock(Clock::rehearsed_from(start));
    board.register(&acme(), Service::Uis);
    let behind = |seconds| {
        let shown = board.find("acme", start + Duration::from_secs(seconds)).unwrap();
        shown.streams.first().and_then(|stream| stream.behind_plan_seconds)
    };
    assert_eq!(behind(100), None, "nothing is planned yet");
    let tier = |minutes, planned| TierStatus {
        age: Duration::from_mins(minutes),
        promised_seconds: 30,
        planned_seconds: planned,
    };
    board.note_plan(&acme(), "calls", vec![tier(15, 40), tier(30 * 24 * 60, 86_400)], 2400);
    assert_eq!((behind(40), behind(100)), (Some(0), Some(60)), "never read: from when it was taken over");

    tokio::time::advance(Duration::from_secs(100)).await;
    // An API that serves rows only three hours later.
    board.note_live_read(&acme(), "calls", at(1_767_225_600 - 3 * 3600));
    assert_eq!((behind(140), behind(150)), (Some(0), Some(10)));
    for (state, expected) in [(State::Blocked, None), (State::Paused, None), (State::Limited, Some(10))] {
        board.set(&acme(), state, Why::NOTHING);
        assert_eq!(behind(150), expected, "{state}");
    }
}

#[test]
fn every_cause_has_a_short_remedy() {
    for word in ["auth_error", "ip_not_whitelisted", "unknown_tag", "kafka", "internal_error", "something_new"] {
        let remedy = Cause::new(word).remedy();
        assert!((10..100).contains(&remedy.len()) && !remedy.ends_with('.'), "{word}: {remedy}");
    }
}
