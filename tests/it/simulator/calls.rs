//! Which calls the report has, in which order, and how their rows change.

use std::{collections::BTreeSet, time::Duration};

use callfeed::simulator::{BadRow, BadRows, Bound, Bounds, CallsScenario, Delay, Scenario, Simulator, TagHabits, Ties};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{call, everything, ids, read_all, start, visible, window, with, world};

#[tokio::test]
async fn paging_reads_exactly_the_visible_calls_of_the_truth() {
    let simulator = start(world(CallsScenario { days: 30.0, count: Some(500), ..CallsScenario::default() })).await;
    let read = read_all(&simulator, everything(), 64).await;
    let truth = visible(&simulator, "acme");
    assert_eq!(read.len(), 500);
    assert!(read.into_iter().collect::<BTreeSet<_>>() == truth);
    assert!(simulator.bugs().is_empty());
    let counts = simulator.counts("acme", "get.calls_report");
    assert_eq!((counts.answered, counts.rows, counts.requests()), (8, 500, 8));
}

#[tokio::test]
async fn the_same_seed_and_clock_give_the_same_calls_in_whatever_steps_they_are_asked_for() {
    let scenario = || world(CallsScenario { days: 2.0, per_day: 50.0, per_hour: 200.0, ..CallsScenario::default() });
    let (patient, curious) = (start(scenario()).await, start(scenario()).await);
    for _ in 0..12 {
        curious.advance(SignedDuration::from_mins(5));
        assert!(!curious.truth("acme").is_empty());
    }
    patient.advance(SignedDuration::from_hours(1));
    let rows = |simulator: &Simulator| serde_json::to_value(simulator.truth("acme")).unwrap();
    assert_eq!(rows(&patient), rows(&curious));
    assert!(patient.truth("acme").len() > 250);
    let other_seed = start(Scenario { seed: 2, ..scenario() }).await;
    assert_ne!(rows(&other_seed), rows(&patient));
}

#[tokio::test]
async fn calls_may_have_come_in_for_a_while_when_it_starts() {
    let live_since = std::time::Duration::from_mins(10);
    let simulator = start(world(CallsScenario { per_hour: 600.0, live_since, ..CallsScenario::default() })).await;
    let truth = simulator.truth("acme");
    assert!((50..200).contains(&truth.len()), "{}", truth.len());
    assert!(truth.iter().any(|call| call.ongoing) && truth.iter().any(|call| call.visible));
    assert!(truth.iter().all(|call| call.start_time.as_str() >= "2026-03-10 11:50:00"));
}

#[tokio::test]
async fn each_bound_of_the_window_is_inclusive_or_exclusive_as_the_scenario_says() {
    for (from, till, expected) in [
        (Bound::Inclusive, Bound::Inclusive, vec![1, 2, 3]),
        (Bound::Exclusive, Bound::Inclusive, vec![2, 3]),
        (Bound::Inclusive, Bound::Exclusive, vec![1, 2]),
        (Bound::Exclusive, Bound::Exclusive, vec![2]),
    ] {
        let bounds = Bounds { from, till };
        let simulator = start(Scenario { bounds, ..world(CallsScenario::default()) }).await;
        for (id, second) in [(1, "00"), (2, "01"), (3, "02")] {
            let row = json!({"id": id, "start_time": format!("2026-03-09 10:00:{second}")});
            simulator.add_call("acme", row).unwrap();
        }
        let params = window("2026-03-09 10:00:00", "2026-03-09 10:00:02");
        let answer = call(&simulator, "get.calls_report", params).await;
        assert_eq!(ids(&answer), expected, "{bounds:?}");
    }
}

#[tokio::test]
async fn a_call_appears_after_its_end_and_the_delay_and_before_that_only_as_an_ongoing_one() {
    let simulator =
        start(world(CallsScenario { visibility_delay: Duration::from_secs(10), ..CallsScenario::default() })).await;
    let row = json!({"id": 5, "start_time": "2026-03-10 12:00:00", "finish_time": "2026-03-10 14:00:00",
                     "talk_duration": 7190, "call_records": ["a"]});
    simulator.add_call("acme", row).unwrap();
    let ordinary = || call(&simulator, "get.calls_report", everything());
    let ongoing = || {
        let fields =
            json!({"include_ongoing_calls": true, "fields": ["id", "finish_time", "talk_duration", "call_records"]});
        call(&simulator, "get.calls_report", with(everything(), fields))
    };
    assert!(ids(&ordinary().await).is_empty());
    let row = &ongoing().await["result"]["data"][0];
    assert_eq!(*row, json!({"id": 5, "finish_time": null, "talk_duration": null, "call_records": []}));

    simulator.advance(SignedDuration::from_secs(2 * 3600 + 9));
    assert!(ids(&ordinary().await).is_empty());
    simulator.advance(SignedDuration::from_secs(1));
    assert_eq!(ids(&ordinary().await), [5]);
    let row = &ongoing().await["result"]["data"][0];
    assert_eq!(row["talk_duration"], 7190);
}

#[tokio::test]
async fn tags_sales_and_removals_show_from_the_moment_they_happen() {
    let simulator = start(world(CallsScenario::default())).await;
    let row = json!({"id": 5, "start_time": "2026-03-10 11:00:00"});
    simulator.add_call("acme", row).unwrap();
    let fields = json!({"fields": ["id", "tags", "sale_cost", "sale_date"]});
    let row = || async {
        let answer = call(&simulator, "get.calls_report", with(everything(), fields.clone())).await;
        answer["result"]["data"][0].clone()
    };
    assert_eq!(row().await, json!({"id": 5, "tags": [], "sale_cost": null, "sale_date": null}));
    simulator.put_tag("acme", 5, "Целевой").unwrap();
    simulator.put_tag("acme", 5, "Новая метка").unwrap();
    simulator.set_sale("acme", 5, 1500.5).unwrap();
    let changed = row().await;
    assert_eq!(changed["tags"].as_array().unwrap().len(), 2);
    assert_eq!(changed["tags"][0]["tag_name"], "Целевой");
    assert_eq!(changed["tags"][0]["tag_change_time"], "2026-03-10 12:00:00");
    assert_eq!((&changed["sale_cost"], &changed["sale_date"]), (&json!(1500.5), &json!("2026-03-10 12:00:00")));
    simulator.remove_tag("acme", 5, "Целевой").unwrap();
    assert_eq!(row().await["tags"][0]["tag_name"], "Новая метка");
    simulator.remove_call("acme", 5).unwrap();
    assert_eq!(row().await, Value::Null);
    assert!(simulator.put_tag("acme", 6, "Целевой").is_err());
}

#[tokio::test]
async fn planned_tags_come_late_and_some_go_again() {
    let simulator = start(world(CallsScenario {
        days: 0.5,
        count: Some(100),
        tags: TagHabits {
            share: 1.0,
            delay: Delay::fixed(Duration::from_secs(24 * 3600)),
            removed_share: 1.0,
            removed_delay: Delay::fixed(Duration::from_secs(3600)),
        },
        ..CallsScenario::default()
    }))
    .await;
    let tagged = || {
        let calls = simulator.truth("acme").into_iter();
        calls.filter(|call| call.row["tags"] != json!([])).count()
    };
    assert_eq!(tagged(), 0);
    let mut most = 0;
    for _ in 0..48 {
        simulator.advance(SignedDuration::from_mins(30));
        most = most.max(tagged());
    }
    assert!(most > 0);
    simulator.set_now(simulator.settles_at("acme").unwrap());
    assert_eq!(tagged(), 0);
}

#[tokio::test]
async fn rows_hold_every_documented_column_and_agree_with_themselves() {
    let simulator = start(world(CallsScenario { days: 3.0, count: Some(200), ..CallsScenario::default() })).await;
    let columns: Value = serde_json::from_str(include_str!("../../../src/simulator/data/methods.json")).unwrap();
    let methods = columns.as_array().unwrap();
    let calls = methods.iter().find(|method| method["method"] == "get.calls_report").unwrap();
    let names: BTreeSet<&str> =
        calls["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    for call in simulator.truth("acme") {
        let row = call.row.as_object().unwrap();
        assert_eq!(row.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
        assert_eq!(row["id"], call.id);
        assert_eq!(row["start_time"], call.start_time);
        if call.visible {
            let total = row["total_duration"].as_i64().unwrap();
            assert_eq!(total, row["wait_duration"].as_i64().unwrap() + row["talk_duration"].as_i64().unwrap());
            let dynamic = matches!(row["source"].as_str().unwrap(), "dynamic_call_tracking" | "simple_dt");
            assert_eq!(row["visitor_id"].as_i64().is_some_and(|id| id > 0), dynamic);
        }
    }
}

#[tokio::test]
async fn bad_rows_are_served_as_they_are_and_marked_in_the_truth() {
    let simulator = start(world(CallsScenario {
        days: 3.0,
        count: Some(300),
        bad_rows: BadRows { share: 0.3, kinds: BadRow::ALL.to_vec() },
        ..CallsScenario::default()
    }))
    .await;
    let fields = json!({"fields": ["id", "start_time", "talk_duration", "tags"], "limit": 1000});
    let answer = call(&simulator, "get.calls_report", with(everything(), fields)).await;
    let rows = answer["result"]["data"].as_array().unwrap();
    let is_bad = |row: &Value| {
        row["id"].as_i64().is_none()
            || row["start_time"] == "yesterday"
            || row["talk_duration"].is_object()
            || row["tags"].get(0).is_some_and(Value::is_number)
    };
    let marked = simulator.truth("acme").iter().filter(|call| call.bad && call.visible).count();
    assert_eq!(rows.iter().filter(|row| is_bad(row)).count(), marked);
    assert!(marked > 30, "{marked}");
}

#[tokio::test]
async fn ties_are_many_and_come_in_another_order_each_time_when_shuffled() {
    let simulator = start(Scenario {
        ties: Ties::Shuffled,
        ..world(CallsScenario { days: 1.0, count: Some(60), same_second: 20, ..CallsScenario::default() })
    })
    .await;
    let params = || with(everything(), json!({"limit": 100}));
    let first = call(&simulator, "get.calls_report", params()).await;
    let second = call(&simulator, "get.calls_report", params()).await;
    let times = |answer: &Value| {
        let rows = answer["result"]["data"].as_array().unwrap().iter();
        rows.map(|row| row["start_time"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(times(&first), times(&second));
    assert_eq!(times(&first).into_iter().collect::<BTreeSet<_>>().len(), 3);
    assert_ne!(ids(&first), ids(&second));
    let sorted = |answer: &Value| ids(answer).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&first), sorted(&second));
}

#[tokio::test]
async fn short_pages_hold_less_than_asked_for_but_tell_the_whole_number() {
    let simulator = start(Scenario {
        short_pages: 1.0,
        ..world(CallsScenario { days: 1.0, count: Some(100), ..CallsScenario::default() })
    })
    .await;
    let answer = call(&simulator, "get.calls_report", with(everything(), json!({"limit": 40}))).await;
    let total = visible(&simulator, "acme").len();
    assert_eq!(answer["result"]["metadata"]["total_items"], total);
    assert_eq!(ids(&answer).len(), 20);
    assert_eq!(read_all(&simulator, everything(), 40).await.len(), total);
}

#[tokio::test]
async fn times_are_wall_clock_times_of_the_account_also_when_the_clock_is_put_back() {
    // In the night to 25 October 2026 Berlin repeats the hour from two to three.
    let mut scenario = world(CallsScenario::default());
    scenario.accounts[0].timezone = "Europe/Berlin".into();
    scenario.clock.start = Some("2026-10-25T00:30:00Z".parse().unwrap());
    let simulator = start(scenario).await;
    simulator.add_call("acme", json!({"id": 1})).unwrap();
    simulator.advance(SignedDuration::from_mins(45));
    simulator.add_call("acme", json!({"id": 2})).unwrap();
    simulator.advance(SignedDuration::from_hours(2));
    let answer = call(&simulator, "get.calls_report", window("2026-10-25 00:00:00", "2026-10-25 04:00:00")).await;
    let expected =
        json!([{"id": 2, "start_time": "2026-10-25 02:15:00"}, {"id": 1, "start_time": "2026-10-25 02:30:00"}]);
    assert_eq!(answer["result"]["data"], expected);
}

#[tokio::test]
async fn prerendered_accounts_serve_many_rows_with_their_own_ids_and_times() {
    let simulator =
        start(world(CallsScenario { days: 50.0, count: Some(5_000), prerendered: true, ..CallsScenario::default() }))
            .await;
    let read = read_all(&simulator, everything(), 2_000).await;
    let truth = visible(&simulator, "acme");
    assert!(read.into_iter().collect::<BTreeSet<_>>() == truth);
    assert!(truth.len() >= 4_990);
}
