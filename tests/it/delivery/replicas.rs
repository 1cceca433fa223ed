//! Several replicas of one group: each account is read by one of them at a time, whoever comes, goes, dies or sleeps.

use std::collections::BTreeSet;

use callfeed::edge::kafka::partition_of;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Callfeed, Setup, eventually};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, history, standing_with};

/// Enough that no replica of three is without.
pub const ACCOUNTS: [&str; 8] = ["anna", "boris", "clara", "dmitri", "elena", "fyodor", "galina", "hugo"];

/// What the group and Kafka's brokers let a replica be away for, in milliseconds.
pub const SESSION: &str = "6000";

#[test]
fn replicas_share_the_accounts_and_hand_them_over() {
    let feed = world("classic");
    let first = start(&feed, "first");
    wait_until_published(&feed);
    assert_eq!(shown(&first), all(), "one replica has all accounts");

    let mut second = start(&feed, "second");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second]).then_some(()));
    let third = start(&feed, "third");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second, &third]).then_some(()));
    assert!(first.get("/metrics").contains("callfeed_owned_partitions"));
    eventually("each account to be in the metrics of one replica", PATIENCE, || {
        let measured = [&first, &second, &third].map(measured);
        (measured.iter().map(BTreeSet::len).sum::<usize>() == ACCOUNTS.len()).then_some(())
    });
    new_calls_are_published(&feed);

    // A static member that ends keeps its partitions until its session does.
    second.terminate();
    assert!(second.wait_exit(PATIENCE).success());
    eventually("the others to take over", PATIENCE, || is_divided(&[&first, &third]).then_some(()));
    new_calls_are_published(&feed);
    feed.assert_equals_truth();
    assert!(feed.events().iter().all(|event| event.number("revision") == 1), "nothing is told twice");
}

#[test]
fn replicas_of_the_newer_group_protocol_do_the_same() {
    let feed = world("consumer");
    let first = start(&feed, "first");
    let mut second = start(&feed, "second");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second]).then_some(()));
    new_calls_are_published(&feed);
    second.kill9();
    eventually("the first to take over", PATIENCE, || is_divided(&[&first]).then_some(()));
    new_calls_are_published(&feed);
    feed.assert_equals_truth();
}

/// A process that sleeps for longer than its session, wakes up with a page in hand, and finds that others have gone on.
#[test]
fn a_replica_that_wakes_up_too_late_publishes_nothing_of_what_it_lost_and_joins_again() {
    for delivery in ["exactly_once", "at_least_once"] {
        let mut feed = world("classic");
        feed.configure(json!({"kafka": {"delivery": delivery}}));
        let mut sleeper = start(&feed, "sleeper");
        let other = start(&feed, "other");
        eventually("the accounts to be divided", PATIENCE, || is_divided(&[&sleeper, &other]).then_some(()));
        new_calls_are_published(&feed);

        sleeper.stop();
        eventually("the other to take over", PATIENCE, || (shown(&other) == all()).then_some(()));
        new_calls_are_published(&feed);
        sleeper.cont();
        eventually("it to join again", PATIENCE, || is_divided(&[&sleeper, &other]).then_some(()));
        new_calls_are_published(&feed);
        assert!(sleeper.ended().is_none());
        feed.assert_equals_truth();
    }
}

#[test]
fn a_replica_that_is_back_in_time_finds_its_accounts_and_disturbs_nobody() {
    let feed = patient_world();
    let first = start(&feed, "first");
    let mut second = start(&feed, "second");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second]).then_some(()));
    let before = shown(&second);
    let n_assignments = assignments(&first);

    second.kill9();
    let second = start(&feed, "second");
    eventually("its accounts to be back", PATIENCE, || (shown(&second) == before).then_some(()));
    new_calls_are_published(&feed);
    assert_eq!(assignments(&first), n_assignments, "the other one was not asked");
    feed.assert_equals_truth();
}

/// Accounts that stay where they are go on as if nothing happened.
#[test]
fn one_replica_becomes_twelve_and_one_again() {
    const PARTITIONS: i32 = 12;
    let accounts: Vec<String> = (0..PARTITIONS).map(|partition| account_in(partition, PARTITIONS)).collect();
    let mut feed = Feed::of(standing_with(accounts.iter().map(|name| account(name, history(10))).collect()));
    configure(&mut feed, "classic", PARTITIONS);
    let first = start(&feed, "replica-0");
    eventually("all accounts to be live", PATIENCE, || (live_since(&first).len() == accounts.len()).then_some(()));

    let before = live_since(&first);
    let mut others: Vec<Callfeed> = (1..PARTITIONS).map(|n| start(&feed, &format!("replica-{n}"))).collect();
    let kept = eventually("an account for each", PATIENCE, || {
        let is_alone = |replica: &Callfeed| live_since(replica).len() == 1;
        (is_alone(&first) && others.iter().all(is_alone)).then(|| live_since(&first))
    });
    assert!(kept.iter().all(|one| before.contains(one)), "{kept:?} has begun anew, {before:?}");
    let events = feed.assert_equals_truth();

    others.iter_mut().for_each(Callfeed::terminate);
    assert!(others.iter_mut().all(|replica| replica.wait_exit(PATIENCE).success()));
    let after = eventually("all accounts to be the first one's again", PATIENCE, || {
        let live = live_since(&first);
        (live.len() == accounts.len()).then_some(live)
    });
    assert!(kept.iter().all(|one| after.contains(one)), "{kept:?} has begun anew, {after:?}");
    assert_eq!(feed.assert_equals_truth(), events, "nothing is told twice");
}

/// Who runs once waits for its share, reads that, and leaves the rest to the others.
#[test]
fn a_run_beside_a_replica_reads_its_share() {
    let (mut feed, whole) = one_account_a_partition();
    let first = start(&feed, "first");
    eventually("the first to poll", PATIENCE, || (shown(&first).len() == 1).then_some(()));
    feed.config = whole;
    let mut once = run_once_beside(&feed);
    assert_eq!(once.exit_code(), 0, "{}", once.stderr());
    // The first has one of these accounts in its configuration, so that the others are read by nobody else.
    let n_read = accounts_read(&feed).len();
    assert!((3..6).contains(&n_read), "{n_read} of 6 accounts are read:\n{}", once.stderr());
    assert!(once.stderr().contains("accounts are other replicas'"), "{}", once.stderr());
    let everything = |replica: &Callfeed| replica.get("/metrics").contains("callfeed_owned_partitions 6");
    eventually("the first to have all again", PATIENCE, || everything(&first).then_some(()));
}

#[test]
fn a_run_after_the_death_of_a_replica_waits_for_the_end_of_its_session_and_reads_everything() {
    let (mut feed, whole) = one_account_a_partition();
    let mut first = start(&feed, "first");
    eventually("the first to poll", PATIENCE, || (shown(&first).len() == 1).then_some(()));
    first.kill9();
    feed.config = whole;
    let mut once = run_once_beside(&feed);
    assert_eq!(once.exit_code(), 0, "{}", once.stderr());
    assert_eq!(accounts_read(&feed).len(), 6, "{}", once.stderr());
}

/// A world, configured with one account of it; and the configuration with all of them, one for each partition.
fn one_account_a_partition() -> (Feed, Value) {
    let accounts = (0..6).map(|partition| account(&account_in(partition, 6), history(10)));
    let mut feed = Feed::of(standing_with(accounts.collect()));
    configure(&mut feed, "classic", 6);
    let whole = feed.config.clone();
    feed.config["accounts"] = json!([whole["accounts"][0]]);
    (feed, whole)
}

/// With a file of its own: replicas follow theirs.
fn run_once_beside(feed: &Feed) -> Callfeed {
    let path = feed.write_file("once.yaml", &feed.config.to_string());
    Setup::new(&["run", "--config", &path, "--once", "--timeout", "80s"]).env("POD_NAME", "once").run(PATIENCE)
}

fn accounts_read(feed: &Feed) -> BTreeSet<String> {
    feed.events().iter().map(|event| event.text("account").to_owned()).collect()
}

#[test]
fn state_of_another_group_is_told_of() {
    let mut feed = world("classic");
    let warning = "state was written by a replica of another `kafka.group_id`";
    let run = |feed: &Feed| feed.setup(&["--once"]).env("POD_NAME", "replica").run(PATIENCE).stderr();
    let (first, again) = (run(&feed), run(&feed));
    assert!(!first.contains(warning) && !again.contains(warning), "{first}{again}");
    feed.configure(json!({"kafka": {"group_id": format!("other-{}", feed.name)}}));
    let third = run(&feed);
    assert!(third.contains(warning), "{third}");
}

pub fn world(protocol: &str) -> Feed {
    let mut feed = Feed::of(standing_with(ACCOUNTS.map(|name| account(name, history(10))).to_vec()));
    configure(&mut feed, protocol, 6);
    feed
}

/// With a session that a new start is well within, however busy the machine is.
pub fn patient_world() -> Feed {
    let mut feed = world("classic");
    feed.configure(json!({"kafka": {"properties": {"session.timeout.ms": "40000"}}}));
    feed
}

fn configure(feed: &mut Feed, protocol: &str, partitions: i32) {
    let mut properties = json!({"group.protocol": protocol});
    if protocol == "classic" {
        properties["session.timeout.ms"] = json!(SESSION);
        properties["heartbeat.interval.ms"] = json!("500");
    }
    feed.configure(json!({"kafka": {
        "instance_id": {"env": "POD_NAME"}, "state_partitions": partitions, "properties": properties,
    }}));
}

/// An account whose state lies in this partition.
fn account_in(partition: i32, partitions: i32) -> String {
    let mut names = (0..).map(|number| format!("account-{number}"));
    names.find(|name| partition_of(name, partitions) == partition).unwrap()
}

pub fn start(feed: &Feed, instance: &str) -> Callfeed {
    feed.setup(&[]).env("POD_NAME", instance).start()
}

fn all() -> BTreeSet<String> {
    ACCOUNTS.map(str::to_owned).into()
}

/// The accounts that a replica has.
pub fn shown(replica: &Callfeed) -> BTreeSet<String> {
    statuses(replica).iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// The accounts that a replica has read to the end, and since when.
fn live_since(replica: &Callfeed) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let statuses = statuses(replica).into_iter();
    statuses.filter(|one| one["status"] == "live").map(|one| (text(&one["name"]), text(&one["since"]))).collect()
}

fn statuses(replica: &Callfeed) -> Vec<Value> {
    let shown: Value = serde_json::from_str(&replica.get("/api/v1/accounts")).unwrap();
    shown["accounts"].as_array().unwrap().clone()
}

/// The accounts that the metrics of a replica name, in whatever metric.
fn measured(replica: &Callfeed) -> BTreeSet<String> {
    let metrics = replica.get("/metrics");
    let named = metrics.lines().filter_map(|line| line.split("account=\"").nth(1)?.split('"').next());
    named.map(str::to_owned).collect()
}

/// Whether each account is with one of them, and each of them has some.
pub fn is_divided(replicas: &[&Callfeed]) -> bool {
    let shares: Vec<BTreeSet<String>> = replicas.iter().map(|replica| shown(replica)).collect();
    let n_shown: usize = shares.iter().map(BTreeSet::len).sum();
    shares.iter().all(|share| !share.is_empty())
        && n_shown == ACCOUNTS.len()
        && shares.into_iter().flatten().collect::<BTreeSet<_>>() == all()
}

fn assignments(replica: &Callfeed) -> usize {
    replica.stderr().matches("partitions assigned").count()
}

pub fn wait_until_published(feed: &Feed) {
    let n_visible = ACCOUNTS.iter().map(|account| visible(feed, account)).sum();
    feed.wait_for_events(n_visible);
}

/// Each account is read by somebody.
pub fn new_calls_are_published(feed: &Feed) {
    let ended = json!({"source": "sip", "finish_time": "2020-01-01 00:00:00"});
    let calls = ACCOUNTS.map(|account| (account, feed.add_call(account, SignedDuration::from_mins(5), ended.clone())));
    for (account, call) in calls {
        eventually("the new call", PATIENCE, || (feed.types_of(account, call) == ["CREATED"]).then_some(()));
    }
}
