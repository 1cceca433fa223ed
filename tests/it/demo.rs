//! `callfeed demo` as a user runs it: the binary, its output, and a consumer of another process that looks on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Callfeed, Cluster, Registry, Setup};

/// Far more than any of these takes, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// What follows a title among the lines that say where to connect.
#[track_caller]
fn place(output: &str, title: &str) -> String {
    let line = output.lines().find_map(|line| line.strip_prefix(&format!("  {title} ")));
    line.unwrap_or_else(|| panic!("no `{title}` in:\n{output}")).trim().to_owned()
}

/// Lines of events begin with a time, an account and the kind of the event.
fn event_lines(output: &str) -> Vec<&str> {
    let is_event = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [time, _, "CREATED" | "UPDATED" | "WITHDRAWN", ..] if time.len() == 8)
    };
    output.lines().filter(is_event).collect()
}

/// The longest run of digits.
fn longest_number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default()
}

#[track_caller]
fn assert_ended_well(demo: &mut Callfeed) {
    assert_eq!(demo.exit_code(), 0, "{}", demo.stderr());
    assert_eq!(demo.stderr(), "");
    let output = demo.stdout();
    assert!(output.contains(" requests to the Data API for "), "no summary in:\n{output}");
}

#[test]
fn it_ends_after_so_many_events_and_has_a_line_for_each() {
    let setup = Setup::new(&["demo", "--events", "50"]);
    let mut demo = setup.run(PATIENCE);
    assert_ended_well(&mut demo);
    let output = demo.stdout();
    let lines = event_lines(&output);
    assert_eq!(lines.len(), 50, "{output}");
    assert!(lines.iter().all(|line| line.contains("***") && longest_number(line) < 7), "{output}");
    assert!(output.contains("\n50 events in "), "{output}");
    let (kafka, registry) = (place(&output, "Kafka"), place(&output, "Schema Registry"));
    let kcat = format!("kcat -C -b {kafka} -t {} -s value=avro -r {registry}", place(&output, "events"));
    assert!(output.contains(&kcat), "{output}");
}

#[test]
fn a_foreign_consumer_decodes_exactly_the_calls_of_the_accounts() {
    let setup = Setup::new(&["demo", "--calls-per-hour", "0"]);
    let mut demo = setup.start();
    demo.wait_for_output("\nfirst read: ", PATIENCE);
    let output = demo.stdout();
    let registry = Registry::at(&place(&output, "Schema Registry"));
    let records = Cluster::at(&place(&output, "Kafka")).read_committed(&place(&output, "events"));
    let published: Vec<String> = records
        .iter()
        .map(|record| {
            let event = registry.decode(record);
            let key = format!("{}:{}", event["account"].as_str().unwrap(), event["id"]);
            assert_eq!((record.key_text(), &event["event_type"]), (key.as_str(), &Value::from("CREATED")));
            key
        })
        .collect();

    let api = Registry::at(place(&output, "Data API").split("/v2.0").next().unwrap());
    let truth = api.get("/truth");
    let exists: BTreeSet<String> = truth
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(account, calls)| {
            calls.as_array().unwrap().iter().map(move |call| format!("{account}:{}", call["id"]))
        })
        .collect();
    assert_eq!(published.len(), exists.len());
    assert_eq!(published.into_iter().collect::<BTreeSet<_>>(), exists);
    assert_eq!(
        truth.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["agency.90211", "agency.90245", "klinika", "okna"]
    );

    demo.interrupt();
    demo.wait_exit(PATIENCE);
    assert_ended_well(&mut demo);
    assert!(demo.stdout().contains(&format!("\n{} events in ", exists.len())), "{}", demo.stdout());
}

/// The simulated day is in full swing when the demo starts: nobody has to wait for the first call to end.
#[test]
fn calls_change_before_ones_eyes() {
    let setup = Setup::new(&["demo", "--accounts", "1"]);
    let mut demo = setup.start();
    demo.wait_for_output(" UPDATED ", PATIENCE);
    demo.terminate();
    demo.wait_exit(PATIENCE);
    assert_ended_well(&mut demo);
    let output = demo.stdout();
    let mut updates = event_lines(&output).into_iter().filter(|line| line.contains(" UPDATED "));
    assert!(updates.all(|line| line.contains('[')), "{output}");
}

#[test]
fn its_registry_is_one_to_other_clients() {
    let setup = Setup::new(&["demo", "--accounts", "1"]);
    let mut demo = setup.start();
    demo.wait_for_output("CREATED", PATIENCE);
    let registry = Registry::at(&place(&demo.stdout(), "Schema Registry"));
    assert_eq!(registry.get("/subjects"), serde_json::json!(["callfeed.calls-value"]));
    let latest = registry.get("/subjects/callfeed.calls-value/versions/latest");
    let id = latest["id"].as_u64().unwrap();
    assert_eq!(registry.get(&format!("/schemas/ids/{id}"))["schema"], latest["schema"]);
    let subject = "/subjects/callfeed.calls-value";
    let found = registry.request(reqwest::Method::POST, subject, Some(latest.clone()));
    assert_eq!(found, latest);
    let question = format!("/compatibility{subject}/versions/latest");
    let other = serde_json::json!({"schema": r#"{"type": "string"}"#});
    let answer = registry.request(reqwest::Method::POST, &question, Some(other));
    assert_eq!(answer["is_compatible"], false);
    demo.terminate();
    demo.wait_exit(PATIENCE);
    assert_ended_well(&mut demo);
}

#[test]
fn it_ends_after_the_time_it_was_given() {
    let started = Instant::now();
    let setup = Setup::new(&["demo", "--for", "3s"]);
    let mut demo = setup.run(PATIENCE);
    assert!(started.elapsed() >= Duration::from_secs(3), "ended after {:?}", started.elapsed());
    assert_ended_well(&mut demo);
}

/// On a machine behind a proxy, what listens on the machine itself is still reached directly.
#[test]
fn it_does_not_ask_a_proxy_for_its_own_servers() {
    let nobody = "http://127.0.0.1:1";
    let setup = Setup::new(&["demo", "--events", "5"]).env("HTTP_PROXY", nobody).env("http_proxy", nobody);
    let setup = setup.env("NO_PROXY", "").env("no_proxy", "");
    let mut demo = setup.run(PATIENCE);
    assert_ended_well(&mut demo);
}

#[test]
fn bad_values_are_named_and_exit_2() {
    for (arguments, named) in [
        (&["demo", "--events", "0"][..], "--events"),
        (&["demo", "--accounts", "0"], "--accounts"),
        (&["demo", "--for", "soon"], "--for"),
    ] {
        let setup = Setup::new(arguments);
        let mut demo = setup.run(PATIENCE);
        assert_eq!(demo.exit_code(), 2);
        assert!(demo.stderr().contains(named), "{}", demo.stderr());
    }
    let setup = Setup::new(&["demo"]).env("RUST_LOG", "loud");
    let mut demo = setup.run(PATIENCE);
    assert_eq!(demo.exit_code(), 2);
    assert!(demo.stderr().contains("RUST_LOG"), "{}", demo.stderr());
}
