//! What is shown, of each account and of all together.

use std::collections::BTreeMap;

use super::*;
use crate::domain::call::Service;
use crate::domain::pace::PointsWindow;
use crate::edge::registry::RegistryError;
use crate::status::{AccountPoints, Cause, PointsCounter, PointsLimit, State, StatusBoard, TierStatus, Why};

const CALLS: &str = "calls";

/// All that callfeed has, and what the operating system tells of the process.
const N_METRICS: usize = 28 + if cfg!(target_os = "linux") { 7 } else { 0 };

fn account(name: &str) -> AccountId {
    AccountId::new(name)
}

/// Every metric moved once.
fn used() -> Metrics {
    let metrics = Metrics::new(Detail::PerAccount);
    metrics.event_published(&account("acme"), CALLS, EventType::Created, 3);
    metrics.rows_read(&account("acme"), CALLS, 5);
    metrics.row_filtered(LeftOut::StaticChannel, 2);
    metrics.dead_letter("decode", 1);
    metrics.api_request("get.calls_report", "ok", Duration::from_millis(300));
    metrics.points_spent(&account("acme"), 4);
    metrics.transaction(Duration::from_millis(20));
    metrics.kafka_error("transport");
    metrics.registry_error("denied");
    metrics.owned_partitions(12);
    metrics.state_partitions(24);
    metrics.ready(true);
    metrics.config_loaded(at(1000));
    metrics
}

fn at(seconds: i64) -> Instant {
    Instant::from_unix_seconds(seconds)
}

fn board() -> StatusBoard {
    let board = StatusBoard::default();
    board.register(&account("acme"), Service::Uis);
    board.set(&account("acme"), State::Live, Why::NOTHING);
    board.note_progress(&account("acme"), CALLS, at(1000));
    let tier = TierStatus { age: Duration::from_mins(15), promised_seconds: 30, planned_seconds: 37 };
    board.note_plan(&account("acme"), CALLS, vec![tier], 2400);
    board.note_points(&account("acme"), day_points(0, 2960));
    board
}

/// The same with all that can be known of accounts.
fn full_board() -> StatusBoard {
    let board = board();
    board.note_live_read(&account("acme"), CALLS, at(1050));
    board.register(&account("stuck"), Service::Uis);
    board.set(&account("stuck"), State::Blocked, Why::because("no").with_cause(Cause::new("forbidden")));
    board
}

/// The counter of a day of 3000 points, of which callfeed may use 2400, an hour and a minute before its end.
fn day_points(credential: u64, remaining: u64) -> AccountPoints {
    let limit = PointsLimit { points: 3000, allowed: 2400, resets_at: at(4720), reset_seconds: None };
    let counter = PointsCounter { window: PointsWindow::Day, remaining, limit: Some(limit) };
    AccountPoints { credential, seen_at: at(1000), counters: vec![counter] }
}

fn assert_lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(text.lines().any(|found| found == *line), "`{line}` is missing in:\n{text}");
    }
}

#[test]
fn each_metric_has_the_name_and_labels_of_the_contract() {
    let board = board();
    board.note_live_read(&account("acme"), CALLS, at(1050));
    let text = used().encode(&board.snapshot(at(1060)));
    let build = format!("callfeed_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert_lines(
        &text,
        &[
            &build,
            "callfeed_events_published_total{account=\"acme\",stream=\"calls\",type=\"CREATED\"} 3",
            "callfeed_rows_read_total{account=\"acme\",stream=\"calls\"} 5",
            "callfeed_rows_filtered_total{reason=\"static_channel\"} 2",
            "callfeed_dead_letters_total{stage=\"decode\"} 1",
            "callfeed_api_requests_total{method=\"get.calls_report\",outcome=\"ok\"} 1",
            "callfeed_api_request_seconds_bucket{le=\"0.25\"} 0",
            "callfeed_api_request_seconds_bucket{le=\"0.5\"} 1",
            "callfeed_api_request_seconds_count 1",
            "callfeed_points_spent_total{account=\"acme\"} 4",
            "callfeed_points_remaining{account=\"acme\",window=\"day\"} 2960",
            "callfeed_points_limit{account=\"acme\",window=\"day\"} 3000",
            "callfeed_points_allowed{account=\"acme\",window=\"day\"} 2400",
            "callfeed_points_planned{account=\"acme\",window=\"day\"} 2400",
            "callfeed_points_reset_seconds{account=\"acme\",window=\"day\"} 3660",
            "callfeed_transaction_seconds_bucket{le=\"0.01\"} 0",
            "callfeed_transaction_seconds_bucket{le=\"0.025\"} 1",
            "callfeed_owned_partitions 12",
            "callfeed_state_partitions 24",
            "callfeed_ready 1",
            "callfeed_registry_errors_total{kind=\"denied\"} 1",
            "callfeed_config_last_reload_successful 1",
            "callfeed_config_last_reload_success_timestamp_seconds 1000",
            "callfeed_kafka_errors_total{kind=\"transport\"} 1",
            "callfeed_frontier_lag_seconds{account=\"acme\",stream=\"calls\"} 60",
            "callfeed_freshness_seconds{account=\"acme\",stream=\"calls\"} 10",
            "callfeed_planned_freshness_seconds{account=\"acme\",stream=\"calls\",tier=\"15m\"} 37",
            "callfeed_promised_freshness_seconds{account=\"acme\",stream=\"calls\",tier=\"15m\"} 30",
            "callfeed_account_status{account=\"acme\",status=\"live\"} 1",
            "callfeed_account_status{account=\"acme\",status=\"blocked\"} 0",
        ],
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn each_metric_is_declared_once_with_help_and_durations_with_their_unit() {
    let text = used().encode(&full_board().snapshot(at(1060)));
    let mut declared: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = line.split_once(' ').unwrap();
        assert!(help.len() > 20, "the help of {name} says too little: {help}");
        *declared.entry(name).or_default() += 1;
    }
    assert_eq!(declared.len(), N_METRICS, "{declared:?}");
    assert!(declared.values().all(|times| *times == 1), "{declared:?}");
    for name in declared.keys().filter(|name| name.ends_with("_seconds")) {
        assert_lines(&text, &[&format!("# UNIT {name} seconds")]);
    }
}

#[test]
fn ages_grow_between_polls() {
    let (metrics, board) = (used(), board());
    let lag = |now| {
        let text = metrics.encode(&board.snapshot(at(now)));
        let line = text.lines().find(|line| line.starts_with("callfeed_frontier_lag_seconds{")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()
    };
    assert_eq!((lag(1000), lag(1030), lag(5000)), (0, 30, 4000));
}

#[test]
fn an_age_that_is_not_known_has_no_sample() {
    let text = used().encode(&board().snapshot(at(1060)));
    assert!(!text.contains("callfeed_freshness_seconds{"), "{text}");
}

#[test]
fn an_account_has_one_status_of_six() {
    let text = Metrics::new(Detail::PerAccount).encode(&board().snapshot(at(1060)));
    let samples: Vec<&str> =
        text.lines().filter(|line| line.starts_with("callfeed_account_status{account=\"acme\"")).collect();
    assert_eq!(samples.len(), State::ALL.len(), "{samples:?}");
    assert_eq!(samples.iter().filter(|line| line.ends_with(" 1")).count(), 1, "{samples:?}");
}

#[test]
fn what_alerts_watch_begins_at_zero() {
    let text = Metrics::new(Detail::PerAccount).encode(&[]);
    for stage in DEAD_LETTER_STAGES {
        assert_lines(&text, &[&format!("callfeed_dead_letters_total{{stage=\"{stage}\"}} 0")]);
    }
    for reason in LeftOut::ALL {
        assert_lines(&text, &[&format!("callfeed_rows_filtered_total{{reason=\"{reason}\"}} 0")]);
    }
}

#[test]
fn a_forgotten_account_leaves_nothing_and_takes_nothing_from_others() {
    let metrics = used();
    metrics.event_published(&account("acme"), CALLS, EventType::Withdrawn, 1);
    metrics.rows_read(&account("acme"), "chats", 1);
    metrics.rows_read(&account("other"), CALLS, 7);
    metrics.forget_account(&account("acme"));
    let text = metrics.encode(&[]);
    assert!(!text.contains("acme"), "{text}");
    assert_lines(&text, &["callfeed_rows_read_total{account=\"other\",stream=\"calls\"} 7"]);
}

#[test]
fn a_refused_configuration_shows_and_the_time_of_the_former_one_stays() {
    let metrics = used();
    metrics.config_refused();
    let expected =
        ["callfeed_config_last_reload_successful 0", "callfeed_config_last_reload_success_timestamp_seconds 1000"];
    assert_lines(&metrics.encode(&[]), &expected);
}

impl Metrics {
    fn encode(&self, accounts: &[AccountStatus]) -> String {
        self.parts(accounts.to_vec()).collect()
    }
}

/// Two accounts of one credential and a third; two of them are blocked.
fn three_accounts() -> StatusBoard {
    let board = StatusBoard::default();
    let accounts = [("acme.1", 7, 100), ("acme.2", 7, 90), ("other", 8, 1000)];
    for (seconds, (name, credential, remaining)) in (0..).zip(accounts) {
        let account = account(name);
        board.register(&account, Service::Uis);
        board.set(&account, State::Live, Why::NOTHING);
        board.note_progress(&account, CALLS, at(1000 + 10 * seconds));
        let tier = |minutes: u64, planned| TierStatus {
            age: Duration::from_mins(minutes),
            promised_seconds: 30,
            planned_seconds: planned,
        };
        let extra = seconds.unsigned_abs();
        let tiers = vec![tier(15 + extra, 40 + extra), tier(30 * 24 * 60, 86_400)];
        board.note_plan(&account, CALLS, tiers, 100);
        board.note_points(&account, AccountPoints { seen_at: at(1000 + seconds), ..day_points(credential, remaining) });
    }
    for name in ["acme.1", "other"] {
        board.set(&account(name), State::Blocked, Why::because("no").with_cause(Cause::new("ip_not_whitelisted")));
    }
    board
}

#[test]
fn without_accounts_numbers_are_added_and_of_ages_the_largest_is_shown() {
    let metrics = Metrics::new(Detail::Sums);
    for name in ["acme.1", "acme.2", "other"] {
        metrics.begin_account(&account(name), CALLS);
        metrics.event_published(&account(name), CALLS, EventType::Created, 3);
        metrics.rows_read(&account(name), CALLS, 5);
        metrics.points_spent(&account(name), 2);
    }
    let text = metrics.encode(&three_accounts().snapshot(at(1060)));
    let remedy = Cause::new("ip_not_whitelisted").remedy();
    let blocked = format!("callfeed_account_blocked{{reason=\"ip_not_whitelisted\",remedy=\"{remedy}\"}} 2");
    assert_lines(
        &text,
        &[
            "callfeed_events_published_total{stream=\"calls\",type=\"CREATED\"} 9",
            "callfeed_events_published_total{stream=\"calls\",type=\"UPDATED\"} 0",
            "callfeed_rows_read_total{stream=\"calls\"} 15",
            "callfeed_points_spent_total{} 6",
            "callfeed_account_status{status=\"live\"} 1",
            "callfeed_account_status{status=\"blocked\"} 2",
            "callfeed_account_status{status=\"paused\"} 0",
            &blocked,
            "callfeed_frontier_lag_seconds{stream=\"calls\"} 60",
            "callfeed_planned_freshness_seconds{stream=\"calls\",tier=\"live\"} 42",
            "callfeed_promised_freshness_seconds{stream=\"calls\",tier=\"live\"} 30",
            "callfeed_points_planned{window=\"day\"} 300",
            // What the credential of two of them was told last, and the third's.
            "callfeed_points_remaining{window=\"day\"} 1090",
            "callfeed_points_limit{window=\"day\"} 6000",
            "callfeed_points_allowed{window=\"day\"} 4800",
            "callfeed_points_reset_seconds{window=\"day\"} 3660",
        ],
    );
    assert!(!text.contains("acme") && !text.contains("other\"") && !text.contains("account="), "{text}");
}

#[test]
fn without_accounts_more_of_them_make_no_more_series() {
    let text_of = |n_accounts: usize| {
        let (metrics, board) = (Metrics::new(Detail::Sums), StatusBoard::default());
        for number in 0..n_accounts {
            let account = account(&format!("acme.{number}"));
            board.register(&account, Service::Uis);
            metrics.begin_account(&account, CALLS);
            board.note_progress(&account, CALLS, at(1000));
            let age = Duration::from_mins(15 + number as u64);
            board.note_plan(&account, CALLS, vec![TierStatus { age, promised_seconds: 1, planned_seconds: 1 }], 1);
            board.note_points(&account, day_points(number as u64, 5));
        }
        metrics.encode(&board.snapshot(at(1060)))
    };
    assert_eq!(text_of(1).lines().count(), text_of(50).lines().count());
}

#[test]
fn sums_go_on_when_an_account_is_another_replicas() {
    let metrics = Metrics::new(Detail::Sums);
    metrics.rows_read(&account("acme"), CALLS, 5);
    metrics.forget_account(&account("acme"));
    assert_lines(&metrics.encode(&[]), &["callfeed_rows_read_total{stream=\"calls\"} 5"]);
}

#[test]
fn the_counters_of_an_account_begin_at_zero_and_stay_when_it_begins_again() {
    let metrics = Metrics::new(Detail::PerAccount);
    metrics.begin_account(&account("acme"), CALLS);
    let zeros = [
        "callfeed_events_published_total{account=\"acme\",stream=\"calls\",type=\"CREATED\"} 0",
        "callfeed_rows_read_total{account=\"acme\",stream=\"calls\"} 0",
        "callfeed_points_spent_total{account=\"acme\"} 0",
    ];
    assert_lines(&metrics.encode(&[]), &zeros);
    metrics.points_spent(&account("acme"), 3);
    metrics.begin_account(&account("acme"), CALLS);
    assert_lines(&metrics.encode(&[]), &["callfeed_points_spent_total{account=\"acme\"} 3"]);
}

#[test]
fn a_blocked_account_shows_the_reason_and_what_helps_as_long_as_it_is_blocked() {
    let board = board();
    let why = Why::because("`get.account` at 10.0.0.1: refused").with_cause(Cause::new("auth_error"));
    board.set(&account("acme"), State::Blocked, why);
    let shown = || Metrics::new(Detail::PerAccount).encode(&board.snapshot(at(1060)));
    let remedy = Cause::new("auth_error").remedy();
    let line = format!("callfeed_account_blocked{{account=\"acme\",reason=\"auth_error\",remedy=\"{remedy}\"}} 1");
    assert_lines(&shown(), &[&line]);
    assert!(!shown().contains("10.0.0.1"), "the words of a reason are no label");
    board.set(&account("acme"), State::Live, Why::NOTHING);
    assert!(!shown().contains("callfeed_account_blocked{"), "{}", shown());
}

#[test]
fn a_counter_that_has_started_anew_has_no_time_until_then() {
    let text = Metrics::new(Detail::PerAccount).encode(&board().snapshot(at(4720)));
    assert!(!text.contains("callfeed_points_reset_seconds{"), "{text}");
    assert_lines(&text, &["callfeed_points_remaining{account=\"acme\",window=\"day\"} 2960"]);
}

#[test]
fn a_number_too_large_for_a_gauge_stays_at_its_end() {
    let board = board();
    board.note_points(&account("acme"), day_points(0, u64::MAX));
    let line = format!("callfeed_points_remaining{{account=\"acme\",window=\"day\"}} {}", i64::MAX);
    assert_lines(&Metrics::new(Detail::PerAccount).encode(&board.snapshot(at(1060))), &[&line]);
}

#[test]
fn every_kind_of_error_of_the_registry_begins_at_zero() {
    let url = || "http://registry".to_owned();
    let reason = || "no".to_owned();
    let errors = [
        RegistryError::Unreachable { url: url(), reason: reason() },
        RegistryError::Denied { url: url(), status: 401, reason: reason() },
        RegistryError::Incompatible { url: url(), subject: reason(), reason: reason() },
        RegistryError::Unexpected { url: url(), status: 418, reason: reason() },
        RegistryError::InvalidUrl { reason: reason() },
        RegistryError::Password { reason: reason() },
    ];
    for error in errors {
        assert!(REGISTRY_ERRORS.contains(&error.kind()), "{}", error.kind());
    }
}

/// The table of the README has every metric, and no other.
#[test]
fn the_readme_lists_each_metric_under_the_name_of_its_samples() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("### Metrics and alerts").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let listed: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();

    let text = plain(&used().encode(&full_board().snapshot(at(1060))));
    let declared: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(listed, declared);
}
