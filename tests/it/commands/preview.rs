//! What `preview` shows agrees with what the simulator has, and touches neither Kafka nor the registry.

use std::collections::BTreeSet;

use callfeed::simulator::{BadRows, CallsScenario, Fault, Limits, Simulator, TruthCall};
use serde_json::{Value, json};

use super::{Config, SECRET, account, agency, by_key, scenario, start};

const DYNAMIC: [&str; 2] = ["dynamic_call_tracking", "simple_dt"];

fn busy() -> CallsScenario {
    CallsScenario { days: 1.0, count: Some(300), same_second: 9, ..CallsScenario::default() }
}

fn sound(simulator: &Simulator, account: &str) -> Vec<TruthCall> {
    simulator.truth(account).into_iter().filter(|call| call.visible && !call.bad).collect()
}

fn is_dynamic(call: &TruthCall) -> bool {
    call.row["source"].as_str().is_some_and(|source| DYNAMIC.contains(&source))
}

#[test]
fn the_table_fits_and_the_counts_are_the_truth() {
    let mut busy_account = account("acme");
    busy_account.calls = CallsScenario { bad_rows: BadRows { share: 0.05, ..BadRows::default() }, ..busy() };
    let simulator = start(scenario(vec![busy_account]));
    simulator.inject(Fault::Truncate.next(1));
    // Pages smaller than a crowded second, and seams everywhere.
    let config = Config::offline().account(&format!(
        "{}, poll: {{page_size: 7, points_share: 1.0}}",
        by_key("acme", &simulator, "comagic", "hunter2-acme")
    ));

    let mut process = config.run(&["preview", "--account", "acme", "--since", "2d", "--limit", "12"]);

    let printed = process.stdout();
    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    let table: Vec<&str> = printed.lines().skip(1).take(13).collect();
    for line in &table {
        assert!(line.chars().count() <= 80, "wider than 80: {line}");
    }
    let sound = sound(&simulator, "acme");
    let passing: Vec<&TruthCall> = sound.iter().filter(|call| is_dynamic(call)).collect();
    let n_dynamic = passing.len();
    let n_bad = simulator.truth("acme").iter().filter(|call| call.visible && call.bad).count();
    assert!(n_bad > 0 && n_dynamic > 12 && n_dynamic < sound.len(), "the scenario shows too little");
    for line in [
        format!("acme: {n_dynamic} calls would be published, the newest 12 are shown"),
        format!("{} calls left out by the filters:", sound.len() - n_dynamic),
        format!(
            "{:>8}  came through a static channel that is not named (filters.channels.static)",
            sound.len() - n_dynamic
        ),
        format!("{n_bad} rows would go to the dead letters:"),
    ] {
        assert!(printed.contains(&line), "`{line}` is not in:\n{printed}");
    }
    // Only the start decides which are the newest: of those in one second any may be shown.
    let mut starts: Vec<&str> = passing.iter().map(|call| &call.start_time[5..]).collect();
    starts.sort_by(|a, b| b.cmp(a));
    let shown: Vec<&str> = table[1..].iter().map(|line| &line[..14]).collect();
    assert_eq!(shown, starts[..12]);
    let ids: BTreeSet<&str> = table[1..].iter().map(|line| line[15..].split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), 12);
    assert!(ids.iter().all(|id| passing.iter().any(|call| call.id.to_string() == *id)), "{ids:?}");
    for call in &sound {
        let number = call.row["contact_phone_number"].as_str().unwrap_or("none");
        assert!(!printed.contains(number), "the number {number} is shown in full");
    }
    assert!(simulator.bugs().is_empty(), "{:?}", simulator.bugs());
}

#[test]
fn events_are_lines_of_json_as_a_consumer_sees_them() {
    let mut busy_account = account("acme");
    busy_account.calls = CallsScenario { same_second: 1, ..busy() };
    let simulator = start(scenario(vec![busy_account]));
    let id = sound(&simulator, "acme").iter().rfind(|call| is_dynamic(call)).unwrap().id;
    simulator.set_sale("acme", id, 1234.5).unwrap();
    let config = Config::offline().account(&by_key("acme", &simulator, "comagic", "hunter2-acme"));

    let arguments = ["preview", "-a", "acme", "--since", "2d", "--limit", "1000", "--format", "json"];
    let mut process = config.run(&arguments);

    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    let events: Vec<Value> = process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sound = sound(&simulator, "acme");
    let expected: BTreeSet<i64> = sound.iter().filter(|call| is_dynamic(call)).map(|call| call.id).collect();
    let shown: BTreeSet<i64> = events.iter().map(|event| event["id"].as_i64().unwrap()).collect();
    assert_eq!((&shown, events.len()), (&expected, expected.len()));
    assert!(events.is_sorted_by(|a, b| a["start_time"].as_i64() >= b["start_time"].as_i64()));
    let fields = schema_fields();
    for event in &events {
        let own: BTreeSet<String> = event.as_object().unwrap().keys().cloned().collect();
        assert_eq!(own, fields);
        assert_eq!(
            (&event["account"], &event["service"], &event["customer_id"]),
            (&json!("acme"), &json!("custom"), &Value::Null)
        );
        assert_eq!((&event["event_type"], &event["revision"]), (&json!("CREATED"), &json!(1)));
    }
    let sold = events.iter().find(|event| event["id"] == id).unwrap();
    assert_eq!(sold["sale_cost"], "1234.5000");
    assert!(
        process.stderr().contains(&format!("acme: {} calls would be published\n", expected.len())),
        "{}",
        process.stderr()
    );
}

fn schema_fields() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(include_str!("../../../schemas/call_event.avsc")).unwrap();
    schema["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn tags_and_kinds_leave_out_what_they_say() {
    let mut busy_account = account("acme");
    busy_account.calls = busy();
    let simulator = start(scenario(vec![busy_account]));
    let filters = "filters: {include: primary, tags: [Целевой], channels: {static: all}}";
    let config =
        Config::offline().account(&format!("{}, {filters}", by_key("acme", &simulator, "comagic", "hunter2-acme")));

    let process = config.run(&["preview", "-a", "acme", "--since", "2d", "--limit", "0"]);

    let sound = sound(&simulator, "acme");
    let primary = |call: &&TruthCall| call.row["attributes"].as_array().unwrap().contains(&json!("primary"));
    let tagged =
        |call: &&TruthCall| call.row["tags"].as_array().unwrap().iter().any(|tag| tag["tag_name"] == "Целевой");
    let n_primary = sound.iter().filter(primary).count();
    let n_both = sound.iter().filter(primary).filter(tagged).count();
    let printed = process.stdout();
    for line in [
        format!("{:>8}  not a primary call", sound.len() - n_primary),
        format!("{:>8}  carries none of the tags asked for", n_primary - n_both),
        format!("acme: {n_both} call"),
    ] {
        assert!(printed.contains(&line), "`{line}` is not in:\n{printed}");
    }
}

#[test]
fn customers_of_an_agency_are_shown_together_or_one_by_one() {
    let mut world = agency("agency", &[5, 6]);
    world.customers[0].calls = busy();
    world.customers[1].calls = CallsScenario { count: Some(50), ..busy() };
    let simulator = start(scenario(vec![world]));
    let config = Config::offline()
        .account(&format!("{}, customers: all", by_key("bureau", &simulator, "uis", "hunter2-agency")));

    let process = config.run(&["preview", "-a", "bureau", "--since", "2d", "--limit", "3"]);
    for id in [5, 6] {
        let n_dynamic = sound(&simulator, &format!("agency.{id}")).iter().filter(|call| is_dynamic(call)).count();
        assert!(process.stdout().contains(&format!("bureau.{id}: {n_dynamic} calls would be")), "{}", process.stdout());
    }

    let process = config.run(&["preview", "-a", "bureau.6", "--since", "2d", "--limit", "3", "--format", "json"]);
    let events: Vec<Value> = process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["account"] == "bureau.6" && event["customer_id"] == 6));
}

#[test]
fn trouble_is_told_with_its_remedy() {
    let simulator = start(scenario(vec![account("acme")]));
    let config = Config::offline()
        .account(&by_key("acme", &simulator, "comagic", &format!("{SECRET}-wrong")))
        .account(&format!("{}, filters: {{tags: [Целевои]}}", by_key("tags", &simulator, "comagic", "hunter2-acme")));

    let mut process = config.run(&["preview", "-a", "acme"]);
    let told = process.stderr();
    assert!(told.contains("access_token_invalid") && told.contains("are not interchangeable"), "{told}");
    assert_eq!((process.exit_code(), process.stdout().as_str()), (1, ""));

    let mut process = config.run(&["preview", "-a", "tags"]);
    let told = process.stderr();
    assert!(told.contains("did you mean `Целевой`") && told.contains("correct `filters.tags`"), "{told}");
    assert_eq!(process.exit_code(), 1);

    let mut process = config.run(&["preview", "-a", "acne"]);
    assert!(process.stderr().contains("did you mean `acme`?"), "{}", process.stderr());
    assert_eq!(process.exit_code(), 2);
}

#[test]
fn points_are_respected_and_counted() {
    let mut poor = account("acme");
    poor.calls = busy();
    // Two of ten points are for others.
    poor.limits = Limits { day: 10, day_remaining: Some(6), ..Limits::default() };
    let simulator = start(scenario(vec![poor]));
    let keys = by_key("acme", &simulator, "comagic", "hunter2-acme");
    let config = Config::offline().account(&format!("{keys}, poll: {{page_size: 5000}}"));
    let process = config.run(&["preview", "-a", "acme", "--since", "2d"]);
    assert!(
        process.stdout().contains("2 points were used; left are 58 of 60 this minute, 4 of 10 today"),
        "{}",
        process.stdout()
    );

    let config = Config::offline().account(&format!("{keys}, poll: {{page_size: 10}}"));
    let mut process = config.run(&["preview", "-a", "acme", "--since", "2d"]);
    let told = process.stderr();
    assert!(told.contains("share of the points of this day is used up") && told.contains("points_share"), "{told}");
    assert_eq!(process.exit_code(), 1);
    let spent: u32 = simulator.requests().iter().map(|request| request.points).sum();
    assert_eq!(spent, 4);
}
