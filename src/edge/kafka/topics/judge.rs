//! Holds what the cluster says against what callfeed needs. Pure.

use rdkafka::error::RDKafkaErrorCode;

use super::survey::{Seen, Settings, Survey};
use super::{Creation, DEFAULT_LIMIT, STATE_LIMIT, TopicPlan, is_authorization};
use crate::edge::kafka::access::{self, Operation, Resource};
use crate::edge::kafka::connection::Connection;
use crate::edge::kafka::fact::Fact;

/// One fact a topic.
pub(super) fn judge(connection: &Connection, plan: &TopicPlan, survey: &Survey) -> Vec<Fact> {
    survey.seen.iter().map(|(topic, seen)| judge_topic(connection, plan, survey, topic, seen)).collect()
}

fn judge_topic(connection: &Connection, plan: &TopicPlan, survey: &Survey, topic: &str, seen: &Seen) -> Fact {
    let subject = subject(topic);
    match seen {
        Seen::Hidden(code) => hidden(connection, plan, topic, *code),
        Seen::Missing => match plan.creation {
            Some(creation) => judge_creation(plan, survey, topic, creation),
            None => Fact::bad(
                subject,
                "is missing, and `kafka.create_topics.enabled` is false".to_owned(),
                format!("create it: {}", suggested_command(connection, plan, survey, topic)),
            ),
        },
        Seen::Present { granted: Some(granted), .. } if !granted.lacks(needed_operations(plan, topic)).is_empty() => {
            not_granted(connection, topic, &granted.lacks(needed_operations(plan, topic)), "")
        }
        Seen::Present { partitions, settings, .. } if topic == plan.state => {
            judge_state(connection, plan, *partitions, settings)
        }
        Seen::Present { partitions, settings, .. } => {
            judge_other(connection, plan, survey, topic, *partitions, settings)
        }
    }
}

pub(super) fn hidden(connection: &Connection, plan: &TopicPlan, topic: &str, code: RDKafkaErrorCode) -> Fact {
    // Any of its rights would let it be seen.
    if is_authorization(code) {
        return not_granted(connection, topic, needed_operations(plan, topic), "");
    }
    let remedy = "correct the name in the configuration".to_owned();
    Fact::bad(subject(topic), format!("the broker answers `{code}`"), remedy)
}

fn needed_operations(plan: &TopicPlan, topic: &str) -> &'static [Operation] {
    access::needed_for_topic(topic == plan.state)
}

/// `consequence` is told after the words on the right.
fn not_granted(connection: &Connection, topic: &str, operations: &[Operation], consequence: &str) -> Fact {
    let resource = Resource::Topic(topic);
    let detail = format!("{}{consequence}", access::missing(operations, resource));
    Fact::bad(subject(topic), detail, access::grant(connection, operations, resource))
}

fn judge_creation(plan: &TopicPlan, survey: &Survey, topic: &str, creation: Creation) -> Fact {
    let recipe = plan.recipe(topic, creation);
    let wanted = format!("{} partitions and replication factor {}", recipe.partitions, recipe.replication_factor);
    let brokers = survey.brokers;
    if usize::try_from(recipe.replication_factor).is_ok_and(|factor| factor > brokers) {
        return Fact::bad(
            subject(topic),
            format!("is missing, and cannot be created with {wanted}: the cluster has {}", n_brokers(brokers)),
            format!(
                "wait until all brokers are up, or, if there are no more, set `kafka.create_topics.replication_factor` to {brokers} or less"
            ),
        );
    }
    Fact::good(subject(topic), format!("is missing; `callfeed run` creates it with {wanted}"))
}

/// Everything that would make callfeed forget is refused.
fn judge_state(
    connection: &Connection,
    plan: &TopicPlan,
    partitions: i32,
    settings: &Result<Settings, RDKafkaErrorCode>,
) -> Fact {
    let (topic, subject) = (plan.state.as_str(), subject(&plan.state));
    if partitions != plan.state_partitions {
        return Fact::bad(
            subject,
            format!("has {partitions} partitions, and `kafka.state_partitions` is {}", plan.state_partitions),
            other_partitions(topic, partitions, plan.state_partitions),
        );
    }
    let Ok(settings) = settings else {
        return settings_hidden(connection, topic, ": whether it is compacted cannot be seen");
    };
    if settings.cleanup_policy.trim() != "compact" {
        return Fact::bad(
            subject,
            format!(
                "has `cleanup.policy={}`, so Kafka would delete the progress of accounts; it must be `compact`",
                settings.cleanup_policy
            ),
            format!("change it: {}", alter(connection, topic, "cleanup.policy=compact")),
        );
    }
    if settings.max_message_bytes < STATE_LIMIT {
        return too_small(connection, topic, settings.max_message_bytes, STATE_LIMIT);
    }
    Fact::good(subject, format!("{partitions} partitions, compacted"))
}

/// A topic with more partitions than were configured may have grown: then the new number alone is no way on.
fn other_partitions(topic: &str, found: i32, configured: i32) -> String {
    let migrate = format!(
        "stop all replicas, then run `callfeed state migrate --to {topic}-{configured} --partitions {configured}`"
    );
    if found > configured {
        format!(
            "accounts are found by the number of partitions, so it cannot change in place; if the topic was given more of them, move the state to a new one: {migrate}; if it was made with {found}, set `kafka.state_partitions: {found}`"
        )
    } else {
        format!(
            "accounts are found by the number of partitions, so it cannot change in place: set `kafka.state_partitions: {found}`, or move the state to a new topic: {migrate}"
        )
    }
}

/// The client library does not pass on why the settings were not told; it takes this right to see them.
fn settings_hidden(connection: &Connection, topic: &str, consequence: &str) -> Fact {
    not_granted(connection, topic, &[Operation::DescribeConfigs], consequence)
}

fn judge_other(
    connection: &Connection,
    plan: &TopicPlan,
    survey: &Survey,
    topic: &str,
    partitions: i32,
    settings: &Result<Settings, RDKafkaErrorCode>,
) -> Fact {
    let Ok(Settings { max_message_bytes: limit, .. }) = *settings else {
        let consequence = format!(": its `max.message.bytes` cannot be seen, {DEFAULT_LIMIT} is assumed");
        return Fact { ok: true, ..settings_hidden(connection, topic, &consequence) };
    };
    let needed = if topic == plan.dead_letter { largest_event(plan, survey) } else { 0 };
    if limit < needed {
        return too_small(connection, topic, limit, needed);
    }
    if topic != plan.dead_letter && limit < ROOMY_EVENT {
        // It is the owner's topic: what does not fit becomes dead letters, and the rest goes on.
        return Fact { ok: true, ..too_small(connection, topic, limit, ROOMY_EVENT) };
    }
    Fact::good(subject(topic), format!("{partitions} partitions, takes records up to {limit} bytes"))
}

/// A call takes about 2 KiB; long texts, many tags and many employees make some of them several times as large.
const ROOMY_EVENT: usize = 16 * 1024;

/// A row whose event is too large for its topic must still fit as a dead letter.
fn largest_event(plan: &TopicPlan, survey: &Survey) -> usize {
    let limit = |topic: &String| match survey.seen.get(topic) {
        Some(Seen::Present { settings: Ok(settings), .. }) => settings.max_message_bytes,
        _ => 0,
    };
    plan.events.iter().map(limit).max().unwrap_or(0)
}

/// The broker refused to create a topic.
pub(super) fn not_created(connection: &Connection, plan: &TopicPlan, topic: &str, code: RDKafkaErrorCode) -> Fact {
    let command = |creation| plan.recipe(topic, creation).command(connection);
    let by_hand = plan.creation.map(command).unwrap_or_default();
    let (reason, remedy) = if is_authorization(code) {
        let (operations, resource) = ([Operation::Create], Resource::Topic(topic));
        let grant = access::grant(connection, &operations, resource);
        (access::missing(&operations, resource), format!("{grant}; or create it as somebody who may: {by_hand}"))
    } else {
        (code.to_string(), format!("see `kafka.create_topics`, or create it by hand: {by_hand}"))
    };
    Fact::bad(subject(topic), format!("is missing and cannot be created: {reason}"), remedy)
}

fn too_small(connection: &Connection, topic: &str, limit: usize, needed: usize) -> Fact {
    Fact::bad(
        subject(topic),
        format!("has `max.message.bytes={limit}`, and callfeed needs {needed}"),
        format!("change it: {}", alter(connection, topic, &format!("max.message.bytes={needed}"))),
    )
}

pub(super) fn n_brokers(n: usize) -> String {
    if n == 1 { "1 broker".to_owned() } else { format!("{n} brokers") }
}

fn subject(topic: &str) -> String {
    format!("topic {topic}")
}

fn alter(connection: &Connection, topic: &str, setting: &str) -> String {
    format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} --add-config {setting}",
        connection.bootstrap_servers
    )
}

/// What to type when callfeed may not create the topic itself: three replicas if there are brokers for them.
fn suggested_command(connection: &Connection, plan: &TopicPlan, survey: &Survey, topic: &str) -> String {
    let replication_factor = i32::try_from(survey.brokers.clamp(1, 3)).unwrap_or(1);
    plan.recipe(topic, Creation { replication_factor, partitions: 6 }).command(connection)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn connection() -> Connection {
        Connection {
            bootstrap_servers: "kafka:9092".to_owned(),
            client_id: "test".to_owned(),
            producer_properties: BTreeMap::new(),
            consumer_properties: BTreeMap::new(),
        }
    }

    fn plan(creation: Option<Creation>) -> TopicPlan {
        TopicPlan {
            state: "state".to_owned(),
            state_partitions: 12,
            dead_letter: "dead".to_owned(),
            events: vec!["calls".to_owned()],
            creation,
            manage: true,
        }
    }

    fn present(partitions: i32, cleanup_policy: &str, max_message_bytes: usize) -> Seen {
        let settings = Settings { cleanup_policy: cleanup_policy.to_owned(), max_message_bytes };
        Seen::Present { partitions, settings: Ok(settings), granted: None }
    }

    /// A state topic that is as it must be, with no more rights than these.
    fn lets(partitions: i32, operations: &[Operation]) -> Seen {
        let Seen::Present { settings, .. } = present(partitions, "compact", DEFAULT_LIMIT) else { unreachable!() };
        Seen::Present { partitions, settings, granted: Some(operations.iter().copied().collect()) }
    }

    fn fact(plan: &TopicPlan, topic: &str, seen: Seen) -> Fact {
        let calls = ("calls".to_owned(), present(6, "delete", DEFAULT_LIMIT));
        let survey = Survey { brokers: 1, seen: BTreeMap::from([calls, (topic.to_owned(), seen)]) };
        let facts = judge(&connection(), plan, &survey);
        facts.into_iter().find(|fact| fact.subject == format!("topic {topic}")).unwrap()
    }

    #[test]
    fn what_would_lose_state_is_refused_with_the_remedy() {
        let plan = plan(None);
        let cases = [
            (present(12, "delete", DEFAULT_LIMIT), "--add-config cleanup.policy=compact"),
            (present(12, "compact,delete", DEFAULT_LIMIT), "--add-config cleanup.policy=compact"),
            (present(6, "compact", DEFAULT_LIMIT), "set `kafka.state_partitions: 6`"),
            (present(6, "compact", DEFAULT_LIMIT), "run `callfeed state migrate --to state-12 --partitions 12`"),
            (
                present(13, "compact", DEFAULT_LIMIT),
                "given more of them, move the state to a new one: stop all replicas",
            ),
            (present(12, "compact", 1_000_000), "--add-config max.message.bytes=1048576"),
            (
                Seen::Present {
                    partitions: 12,
                    settings: Err(RDKafkaErrorCode::TopicAuthorizationFailed),
                    granted: None,
                },
                "--operation DescribeConfigs --topic state",
            ),
            (
                Seen::Hidden(RDKafkaErrorCode::TopicAuthorizationFailed),
                "--operation Read --operation Write --topic state",
            ),
            (
                Seen::Missing,
                "--create --topic state --partitions 12 --replication-factor 1 --config cleanup.policy=compact",
            ),
        ];
        for (seen, remedy) in cases {
            let described = format!("{seen:?}");
            let fact = fact(&plan, "state", seen);
            assert!(!fact.ok, "{described} was accepted");
            assert!(fact.remedy.as_deref().unwrap().contains(remedy), "{described}: {fact:?}");
        }
        assert!(fact(&plan, "state", present(12, "compact", DEFAULT_LIMIT)).ok);
        assert!(fact(&plan, "state", lets(12, &[Operation::Write, Operation::Read])).ok);
    }

    #[test]
    fn a_dead_letter_topic_takes_what_an_events_topic_takes() {
        let plan = plan(None);
        assert!(fact(&plan, "dead", present(6, "delete", DEFAULT_LIMIT)).ok);
        let refused = fact(&plan, "dead", present(6, "delete", DEFAULT_LIMIT - 1));
        assert!(refused.remedy.unwrap().contains("max.message.bytes=1048588"));
    }

    #[test]
    fn more_replicas_than_brokers_are_refused_before_the_attempt() {
        let creation = |replication_factor| plan(Some(Creation { replication_factor, partitions: 6 }));
        assert!(fact(&creation(1), "dead", Seen::Missing).ok);
        let refused = fact(&creation(3), "dead", Seen::Missing);
        assert!(refused.remedy.unwrap().contains("replication_factor` to 1"));
    }
}
