//! What callfeed's principal may do in a cluster with ACLs, asked without doing it.
//!
//! - Topics and the group: brokers tell which operations are granted (KIP-430). The alternatives do harm: a record that
//!   is written to see whether it may be stays in the topic, also when its transaction is aborted, and a group that is
//!   joined to see whether it may be is rebalanced.
//! - Transactional ids: brokers have no such answer for them. One is initialised that no instance uses, so that nobody
//!   is fenced; Kafka forgets it after `transactional.id.expiration.ms`.
//!
//! READ and WRITE imply DESCRIBE with Kafka's authorizers, so that what cannot even be described has none of them.

mod ask;
mod right;

use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::connection::Connection;
use super::deliveries::Deliveries;
use super::fact::Fact;
use super::topics::blocking;
use super::trouble::is_fencing;
pub(super) use right::{Granted, Operation, Resource, grant, missing, needed_for_topic};

pub(super) const SHORTER_TRANSACTIONS: &str =
    "lower `transaction.timeout.ms` in `kafka.properties`, or have `transaction.max.timeout.ms` of the brokers raised";

/// What members do with their group.
const FOR_GROUP: [Operation; 1] = [Operation::Read];

/// How long one question may take.
const REQUEST: Duration = Duration::from_secs(5);

/// How long a new cluster may take to choose who coordinates groups: the first question has it make a topic for that.
const COORDINATOR: Duration = Duration::from_secs(15);

/// Between two questions for a coordinator that is not there yet.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long a transactional id may take to be initialised: the first one of a cluster takes a topic of the brokers' own.
const INITIALISATION: Duration = Duration::from_secs(15);

/// What the brokers say of topics. One without an answer is left out: nothing is known to be missing.
pub(super) fn of_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
) -> Result<Vec<(String, Granted)>, RDKafkaErrorCode> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let answers = match ask::topics(client, names, REQUEST) {
        Err(RDKafkaErrorCode::UnsupportedFeature) => return Ok(Vec::new()),
        answers => answers?,
    };
    let granted = |answer: ask::Answer| match answer {
        Err(RDKafkaErrorCode::TopicAuthorizationFailed) => Some(Granted::nothing()),
        answer => answer.ok().flatten(),
    };
    Ok(answers.into_iter().filter_map(|(name, answer)| Some((name, granted(answer)?))).collect())
}

/// Which of the operations that these topics and the group need are not granted, in words; `None` when the brokers name
/// none.
pub(super) fn lacking<C: ClientContext>(
    client: &Client<C>,
    needs: &[(&str, &[Operation])],
    group_id: &str,
) -> Option<String> {
    let names: Vec<String> = needs.iter().map(|(name, _)| (*name).to_owned()).collect();
    let granted = of_topics(client, &names).unwrap_or_default();
    let on_topics = granted.iter().filter_map(|(name, granted)| {
        let (_, needed) = needs.iter().find(|(topic, _)| topic == name)?;
        let lacks = granted.lacks(needed);
        (!lacks.is_empty()).then(|| missing(&lacks, Resource::Topic(name)))
    });
    let on_group = of_group(client, group_id).ok().flatten().filter(|granted| !granted.lacks(&FOR_GROUP).is_empty());
    let on_group = on_group.map(|_| missing(&FOR_GROUP, Resource::Group(group_id)));
    let words: Vec<String> = on_topics.chain(on_group).collect();
    Some(words.join("; ")).filter(|words| !words.is_empty())
}

/// What the brokers say of a group, whether that exists or not; `None` when they do not tell.
fn of_group<C: ClientContext>(client: &Client<C>, group_id: &str) -> Result<Option<Granted>, RDKafkaErrorCode> {
    match ask::group(client, group_id, REQUEST) {
        Err(RDKafkaErrorCode::GroupAuthorizationFailed) => Ok(Some(Granted::nothing())),
        Err(RDKafkaErrorCode::UnsupportedFeature) => Ok(None),
        answer => answer,
    }
}

/// Whether the group may be joined: replicas share the accounts through it.
pub async fn group(connection: &Connection, group_id: &str) -> Fact {
    let (connection, group_id) = (connection.clone(), group_id.to_owned());
    blocking(move || judge_group(&connection, &group_id)).await
}

fn judge_group(connection: &Connection, group_id: &str) -> Fact {
    let (subject, resource) = (format!("group {group_id}"), Resource::Group(group_id));
    let inquirer = match connection.inquirer() {
        Ok(inquirer) => inquirer,
        Err(error) => return Fact::bad(subject, error.to_string(), "correct `kafka.properties`".to_owned()),
    };
    match patiently(COORDINATOR, || of_group(inquirer.client(), group_id)) {
        Ok(Some(granted)) if !granted.lacks(&FOR_GROUP).is_empty() => {
            Fact::bad(subject, missing(&FOR_GROUP, resource), grant(connection, &FOR_GROUP, resource))
        }
        Ok(Some(_)) => Fact::good(subject, "may be joined".to_owned()),
        Ok(None) => Fact::good(subject, "answers; these brokers do not tell who may join it".to_owned()),
        Err(code) => {
            Fact::bad(subject, format!("cannot be looked at: {code}"), "see the log of the brokers".to_owned())
        }
    }
}

/// Asks again while the cluster has no coordinator for the group yet.
fn patiently<T>(within: Duration, ask: impl Fn() -> Result<T, RDKafkaErrorCode>) -> Result<T, RDKafkaErrorCode> {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let started = Instant::now();
    loop {
        match ask() {
            Err(NotCoordinator | CoordinatorLoadInProgress | CoordinatorNotAvailable) if started.elapsed() < within => {
                std::thread::sleep(ASK_AGAIN);
            }
            answer => return answer,
        }
    }
}

/// Whether the transactional ids of the group's instances may be used. A replica needs those of the others too, as it
/// ends the transactions that they leave open.
pub async fn transactions(connection: &Connection, group_id: &str) -> Fact {
    let (connection, group_id) = (connection.clone(), group_id.to_owned());
    blocking(move || judge_transactions(&connection, &group_id)).await
}

fn judge_transactions(connection: &Connection, group_id: &str) -> Fact {
    let prefix = format!("{group_id}-");
    let subject = format!("transactions of {group_id}");
    // No host is called so, and instances are called by their hosts.
    let probe = format!("{prefix}.check");
    match initialise(connection, &probe) {
        Ok(()) => Fact::good(subject, format!("may be made with the ids `{prefix}*`")),
        Err(KafkaError::Transaction(error)) if error.code() == RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            let (needed, resource) = ([Operation::Write], Resource::TransactionalIds(&prefix));
            Fact::bad(subject, missing(&needed, resource), grant(connection, &needed, resource))
        }
        Err(KafkaError::Transaction(error)) if error.code() == RDKafkaErrorCode::InvalidTransactionTimeout => {
            Fact::bad(
                subject,
                "the brokers do not allow transactions as long as `transaction.timeout.ms`".to_owned(),
                SHORTER_TRANSACTIONS.to_owned(),
            )
        }
        // Another check has come in between: it may.
        Err(KafkaError::Transaction(error)) if is_fencing(error.code()) => {
            Fact::good(subject, format!("may be made with the ids `{prefix}*`"))
        }
        Err(error) => Fact::bad(
            subject,
            format!("cannot be tried: {}", connection.log("check").mask.apply(&error.to_string())),
            "see that the cluster has transactions: `transaction.state.log.replication.factor`, \
             `transaction.state.log.min.isr` and the log of the brokers"
                .to_owned(),
        ),
    }
}

fn initialise(connection: &Connection, transactional_id: &str) -> Result<(), KafkaError> {
    let owned = [("transactional.id", transactional_id.to_owned()), ("enable.idempotence", "true".to_owned())];
    let producer: BaseProducer<Deliveries> =
        connection.producer(&[], &owned).create_with_context(Deliveries::new(connection.log("check"), "".into()))?;
    producer.init_transactions(INITIALISATION)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_coordinator_that_is_not_there_yet_is_waited_for_and_nothing_else() {
        use RDKafkaErrorCode::{CoordinatorNotAvailable, GroupAuthorizationFailed, NotCoordinator};
        let asked = |within, answers: &[Result<u8, RDKafkaErrorCode>]| {
            let left = RefCell::new(answers.iter().copied());
            (patiently(within, || left.borrow_mut().next().unwrap()), left.into_inner().len())
        };
        let late = [Err(NotCoordinator), Err(CoordinatorNotAvailable), Ok(1)];
        assert_eq!(asked(COORDINATOR, &late), (Ok(1), 0));
        assert_eq!(asked(Duration::ZERO, &late), (Err(NotCoordinator), 2));
        let refused = [Err(GroupAuthorizationFailed), Ok(1)];
        assert_eq!(asked(COORDINATOR, &refused), (Err(GroupAuthorizationFailed), 1));
    }
}
