//! `callfeed state`: what it tells of accounts, and what it changes while no replica runs.

use std::collections::BTreeSet;

use callfeed::domain::rewind::Moment;
use callfeed::edge::kafka::{Group, Occupancy};
use callfeed::simulator::{AccountScenario, CallsScenario};
use callfeed::state_admin::rewind;
use callfeed::state_admin::seat::Seat;
use callfeed::state_admin::{AdminError, StateAdmin};
use jiff::{SignedDuration, Timestamp};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, customer, fails, history, standing_with, succeeds};
use crate::support::{Record, block_on, eventually, spawn};

/// Replicas that have ended are soon gone for their group.
pub fn brief_sessions() -> Value {
    json!({"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"})
}

/// A world in which nothing but the live tier reads anything again.
fn read_once(accounts: Vec<AccountScenario>) -> Feed {
    let tiers = json!([{"age": "15m", "every": "1s"}, {"age": "3d", "every": "3d"}]);
    let mut feed = Feed::of(standing_with(accounts));
    feed.configure(json!({
        "kafka": {"properties": brief_sessions()},
        "defaults": {"poll": {"tiers": tiers}},
    }));
    feed
}

/// The lines of `state list`, by account.
#[track_caller]
fn listed(feed: &Feed) -> Vec<Value> {
    let printed = succeeds(feed.command(&["state", "list", "--format", "json"]));
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn shown(feed: &Feed, name: &str) -> Value {
    serde_json::from_str(&succeeds(feed.command(&["state", "show", name, "--format", "json"]))).unwrap()
}

fn ago(feed: &Feed, hours: i64) -> Timestamp {
    feed.simulator.now() - SignedDuration::from_hours(hours)
}

#[test]
fn the_progress_of_each_account_is_listed_and_shown_and_nothing_is_written() {
    let agency = AccountScenario {
        customers: vec![customer(1, "Asia/Omsk", history(12)), customer(2, "Europe/Moscow", history(9))],
        ..account("agency", CallsScenario::default())
    };
    let mut feed = read_once(vec![agency, account("acme", history(30)), account("gone", history(5))]);
    assert!(fails(feed.command(&["state", "list"]), 1).contains("there is no topic"));
    feed.once();
    let n_records = feed.kafka.read_committed(&feed.state_topic()).len();
    feed.config["accounts"].as_array_mut().unwrap().retain(|account| account["name"] != "gone");
    feed.configure_account("acme", json!({"enabled": false}));

    let lines = listed(&feed);
    let known: Vec<[&str; 3]> =
        lines.iter().map(|line| ["account", "stream", "in_config"].map(|key| line[key].as_str().unwrap())).collect();
    let expected = [["acme", "disabled"], ["agency.1001", "yes"], ["agency.1002", "yes"], ["gone", "no"]];
    assert_eq!(known, expected.map(|[account, known]| [account, "calls", known]));
    for line in &lines {
        let account = line["account"].as_str().unwrap();
        assert_eq!(line["ledger"]["calls"], visible(&feed, account), "{account}");
        assert_eq!(line["coverage"]["gaps"], json!([]), "{account}");
        assert!(line["ledger"]["bytes"].as_u64() < line["bytes"].as_u64());
    }
    assert_eq!(lines[0]["coverage"]["tiers"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["coverage"]["read_as"][0]["zone"], "Asia/Omsk");

    let table = succeeds(feed.command(&["state", "list"]));
    assert!(table.starts_with("account ") && table.contains("state forget NAME"), "{table}");
    assert_eq!(
        table.lines().filter(|line| line.contains(" calls ")).count(),
        5,
        "a heading and four accounts:\n{table}"
    );
    let words = succeeds(feed.command(&["state", "show", "agency.1001"]));
    for part in ["agency.1001, calls: known to the configuration", "time zone Asia/Omsk", "gaps: none", "ledger: "] {
        assert!(words.contains(part), "no `{part}` in:\n{words}");
    }
    assert_eq!(shown(&feed, "acme")["ledger"], lines[0]["ledger"]);

    let said = fails(feed.command(&["state", "show", "acne"]), 2);
    assert!(said.contains("did you mean `acme`"), "{said}");
    let said = fails(feed.change_state(&["forget", "agency"]), 2);
    assert!(said.contains("`agency.1001`, `agency.1002`"), "{said}");
    assert_eq!(feed.kafka.read_committed(&feed.state_topic()).len(), n_records);
}

/// Without transactions its events may be out when it dies, and its state is not.
#[test]
fn what_a_dead_replica_had_begun_is_finished_before_state_is_changed() {
    let mut feed = read_once(vec![account("acme", history(30))]);
    feed.configure(json!({"kafka": {"delivery": "at_least_once"}}));
    feed.once();
    feed.add_call("acme", SignedDuration::from_mins(5), json!({"source": "sip"}));
    feed.once();
    let n_events = feed.assert_equals_truth();
    go_back_to_the_last_intent(&feed);
    let n_known = || shown(&feed, "acme")["ledger"]["calls"].as_u64().unwrap();
    let n_known_before = n_known();

    succeeds(feed.change_state(&["rewind", "acme", "--to", &ago(&feed, 10).to_string()]));
    assert_eq!(n_known(), n_known_before + 1);
    let events = feed.events();
    assert_eq!(events.len(), n_events + 1);
    let ids: BTreeSet<&str> = events.iter().map(|event| event.text("event_id")).collect();
    assert_eq!(ids.len(), n_events, "it is the same event");
    feed.once();
    assert_eq!(feed.events().len(), n_events + 1);
}

/// Puts the state back to where a replica was that has published the events of the last step and nothing after that.
fn go_back_to_the_last_intent(feed: &Feed) {
    let topic = feed.state_topic();
    let records = feed.kafka.read_committed(&topic);
    let names = |value: &[u8]| String::from_utf8_lossy(value).contains(&feed.topic());
    let has_events =
        |record: &&Record| record.key_text().starts_with("intent/") && record.value.as_deref().is_some_and(names);
    let last = records.iter().rfind(has_events).expect("a step was written down");
    let records = records.iter().filter(|record| record.partition == last.partition);
    let (before, after): (Vec<_>, Vec<_>) = records.partition(|record| record.offset <= last.offset);
    let producer = feed.kafka.producer(&[]);
    for key in after.iter().map(|record| record.key_text()).collect::<BTreeSet<_>>() {
        let former = before.iter().rfind(|record| record.key_text() == key).and_then(|record| record.value.as_deref());
        let record: BaseRecord<'_, str, [u8]> = BaseRecord::to(&topic).partition(last.partition).key(key);
        producer.send(BaseRecord { payload: former, ..record }).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn what_was_rewound_is_read_again_and_only_news_are_published() {
    let feed = read_once(vec![account("acme", history(60))]);
    feed.once();
    let n_events = feed.assert_equals_truth();
    let (early, late) = (SignedDuration::from_hours(20), SignedDuration::from_hours(6));
    let missed = [early, late].map(|ago| feed.add_call("acme", ago, json!({"source": "sip"})));
    feed.once();
    assert_eq!(feed.events().len(), n_events, "nothing looks there again by itself");

    // By the clock of the account, which its state tells.
    let zone = jiff::tz::TimeZone::get("Europe/Moscow").unwrap();
    let local = zone.to_datetime(ago(&feed, 10)).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let said = succeeds(feed.change_state(&["rewind", "acme", "--to", &local]));
    assert!(said.contains("is read again, 10h"), "{said}");
    let till = shown(&feed, "acme")["coverage"]["till"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(till.as_second(), ago(&feed, 10).as_second());
    feed.once();
    assert_eq!(feed.types_of("acme", missed[1]), ["CREATED"]);
    assert_eq!(feed.events().len(), n_events + 1, "what had not changed is no news");

    succeeds(feed.change_state(&["rewind", "acme", "--to", &ago(&feed, 24).to_string()]));
    feed.once();
    assert_eq!(feed.types_of("acme", missed[0]), ["CREATED"]);
    assert_eq!(feed.assert_equals_truth(), n_events + 2);

    let said = fails(feed.change_state(&["rewind", "acme", "--to", "2126-01-01 00:00:00"]), 1);
    assert!(said.contains("there is nothing to read again"), "{said}");
    let said = fails(feed.change_state(&["rewind", "acme", "--to", "yesterday"]), 2);
    assert!(said.contains("found `yesterday`"), "{said}");
}

/// A moment before the first reading makes that the start, though `start_from` is an age.
#[test]
fn a_rewinding_beyond_the_start_reads_what_was_never_read() {
    let feed = read_once(vec![account("acme", history(0))]);
    let old = feed.add_call("acme", SignedDuration::from_hours(60), json!({"source": "sip"}));
    feed.once();
    assert!(feed.events().is_empty());
    let said = succeeds(feed.change_state(&["rewind", "acme", "--to", &ago(&feed, 70).to_string()]));
    assert!(said.contains("reading starts at"), "{said}");
    feed.once();
    assert_eq!(feed.types_of("acme", old), ["CREATED"]);
}

#[test]
fn what_the_ledger_forgot_is_published_again_only_when_that_is_wanted() {
    let mut feed = read_once(vec![account("acme", history(60))]);
    feed.configure(json!({"defaults": {"poll": {
        "tiers": [{"age": "1m", "every": "1s"}, {"age": "1h", "every": "1s"}],
    }}}));
    feed.once();
    feed.once();
    let n_events = feed.assert_equals_truth();
    let before = shown(&feed, "acme");
    let [from, floor] = ["from", "ledger_complete_from"].map(|key| before["coverage"][key].as_str().unwrap());
    assert!(from < floor, "nothing was forgotten: {before}");

    let to = ago(&feed, 30).to_string();
    let said = fails(feed.change_state(&["rewind", "acme", "--to", &to]), 1);
    assert!(said.contains("--republish") && said.contains(floor), "{said}");
    assert_eq!(shown(&feed, "acme")["coverage"]["step"], before["coverage"]["step"], "nothing was changed");
    succeeds(feed.change_state(&["rewind", "acme", "--to", floor]));
    feed.once();
    assert_eq!(feed.events().len(), n_events);

    let said = succeeds(feed.change_state(&["rewind", "acme", "--to", &to, "--republish"]));
    assert!(said.contains("are published again, as CREATED with revision 1"), "{said}");
    feed.once();
    let again = feed.events().len() - n_events;
    assert!(again > 0 && again <= n_events, "{again} of {n_events}");
}

#[test]
fn an_account_that_was_forgotten_begins_anew_and_the_others_go_on() {
    let mut feed = read_once(vec![account("acme", history(20)), account("globex", history(15))]);
    feed.once();
    let (acme, globex) = (visible(&feed, "acme"), visible(&feed, "globex"));
    let said = succeeds(feed.change_state(&["forget", "acme"]));
    assert!(said.contains("it begins anew with the next start"), "{said}");
    let names: Vec<Value> = listed(&feed).into_iter().map(|line| line["account"].clone()).collect();
    assert_eq!(names, ["globex"]);
    let said = fails(feed.change_state(&["forget", "acme"]), 2);
    assert!(said.contains("holds nothing of an account `acme`"), "{said}");

    feed.once();
    let keys = feed.events().into_iter().map(|event| event.record.key_text().to_owned());
    let of = |name: &str, keys: &[String]| keys.iter().filter(|key| key.starts_with(&format!("{name}:"))).count();
    let keys: Vec<String> = keys.collect();
    assert_eq!((of("acme", &keys), of("globex", &keys)), (2 * acme, globex));

    feed.config["accounts"].as_array_mut().unwrap().retain(|account| account["name"] == "globex");
    let check = feed.command(&["check"]).stdout();
    let line = check.lines().find(|line| line.starts_with("! state: "));
    assert!(line.is_some_and(|line| line.contains("`acme`")), "{check}");
    succeeds(feed.change_state(&["forget", "acme"]));
    assert!(feed.command(&["check"]).stdout().contains("✓ state: "));
}

#[test]
fn nothing_is_changed_while_a_replica_runs_or_may_come_back() {
    for protocol in ["classic", "consumer"] {
        let mut feed = read_once(vec![account("acme", history(20))]);
        if protocol == "consumer" {
            // Its sessions are the brokers' own.
            feed.config["kafka"]["properties"] = json!({"group.protocol": protocol});
        }
        let mut service = feed.start();
        feed.wait_for_events(visible(&feed, "acme"));
        let to = ago(&feed, 10).to_string();
        let new = format!("{}.new", feed.state_topic());
        let commands: [&[&str]; 3] =
            [&["rewind", "acme", "--to", &to], &["forget", "acme"], &["migrate", "--to", &new]];
        let refused = || {
            for command in commands {
                let said = fails(feed.command(&[&["state"], command].concat()), 1);
                assert!(said.contains("replicas of the group") && said.contains("--wait 1m"), "{said}");
                assert!(protocol == "consumer" || said.contains("callfeed-"), "it is not named: {said}");
            }
        };
        refused();
        let before = shown(&feed, "acme");
        assert_eq!(before["ledger"]["calls"], visible(&feed, "acme"));

        service.terminate();
        service.wait_exit(PATIENCE);
        refused();
        assert!(feed.kafka.partitions(&new).is_none(), "a refused migration has made a topic");
        succeeds(feed.change_state(commands[0]));
        let rewound = shown(&feed, "acme");
        assert_ne!(rewound["coverage"]["till"], before["coverage"]["till"]);
        // The command has left the group: the next one need not wait.
        succeeds(feed.command(&["state", "forget", "acme"]));
        assert!(listed(&feed).is_empty());
    }
}

/// The command finishes what it has in hand, though the replica is in the group already.
#[test]
fn a_replica_that_starts_while_state_is_changed_gets_the_accounts_afterwards() {
    let feed = read_once(vec![account("acme", history(30))]);
    feed.once();
    let n_events = feed.assert_equals_truth();
    let missed = feed.add_call("acme", SignedDuration::from_hours(6), json!({"source": "sip"}));
    let config = callfeed::config::load(&feed.config_file(), &callfeed::config::process_env).unwrap();
    let to = Moment::parse(&ago(&feed, 10).to_string()).unwrap();
    let group = Group {
        connection: callfeed::wiring::connection(&config).unwrap(),
        group_id: config.kafka.group_id.clone(),
        state_topic: config.kafka.state_topic.clone(),
    };
    let ((seated, is_seated), (started, is_started)) = (oneshot::channel(), oneshot::channel());

    let command = spawn(async move {
        let admin = StateAdmin::open(&config).await?;
        let seat = Seat::take(&admin, PATIENCE, |_| {}).await?;
        seated.send(()).unwrap();
        is_started.await.unwrap();
        let outcome = rewind::carry_out(&admin, &seat, "acme", to, false).await;
        seat.leave().await;
        outcome.map(drop)
    });
    block_on(is_seated).unwrap();
    let mut service = feed.start();
    eventually("the replica to join the command", PATIENCE, || {
        let group = group.clone();
        let occupancy = block_on(async move { group.occupancy().await }).unwrap();
        matches!(occupancy, Occupancy::Members(members) if members.len() == 2).then_some(())
    });
    started.send(()).unwrap();

    let outcome: Result<(), AdminError> = block_on(command).unwrap();
    outcome.unwrap();
    feed.wait_for_events(n_events + 1);
    assert_eq!(feed.types_of("acme", missed), ["CREATED"]);
    assert_eq!(feed.assert_equals_truth(), n_events + 1);
    assert!(service.ended().is_none());
}
