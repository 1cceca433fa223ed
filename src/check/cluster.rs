//! Kafka and the schema registry.

use crate::config::{Config, Delivery};
use crate::context::subject_of;
use crate::edge::kafka::topics::{self, TopicPlan};
use crate::edge::kafka::{access, session};
use crate::edge::registry::{Compatibility, RegistryError, SchemaRegistry};
use crate::stream::calls;
use crate::wiring;

use super::Finding;

/// The cluster, every topic of the plan, and what callfeed may do with its group and its transactions.
pub(super) async fn kafka(config: &Config, plan: &TopicPlan) -> Vec<Finding> {
    let connection = match wiring::connection(config) {
        Ok(connection) => connection,
        Err(error) => {
            let remedy = "make the secret of `kafka.properties` readable for callfeed";
            return vec![Finding::bad("kafka", error.to_string(), remedy)];
        }
    };
    let mut facts = topics::check(&connection, plan).await;
    // A cluster that does not answer is told once.
    if facts.first().is_some_and(|cluster| cluster.ok) {
        facts.push(access::group(&connection, &config.kafka.group_id).await);
        facts.extend(session::refused(&connection).await);
        if config.kafka.delivery == Delivery::ExactlyOnce {
            facts.push(access::transactions(&connection, &config.kafka.group_id).await);
        }
    }
    facts.into_iter().map(Finding::from).collect()
}

/// The registry, and our schema under the subject of each topic.
pub(super) async fn registry(config: &Config, topics: &[String]) -> Vec<Finding> {
    let registry = match wiring::registry(config) {
        Ok(registry) => registry,
        Err(error) => return vec![unusable(&error)],
    };
    if let Err(error) = registry.reachable().await {
        return vec![unusable(&error)];
    }
    let mut findings = vec![Finding::good("schema registry", format!("answers at {}", registry.url()))];
    findings.extend(subjects(config, &registry, topics).await);
    findings
}

async fn subjects(config: &Config, registry: &SchemaRegistry, topics: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for topic in topics {
        findings.push(subject(registry, topic, config.schema_registry.auto_register).await);
    }
    findings
}

fn unusable(error: &RegistryError) -> Finding {
    let remedy = match error {
        RegistryError::Unreachable { .. } => "see that it runs, and `schema_registry.url`",
        _ => "see `schema_registry` in the configuration",
    };
    Finding::bad("schema registry", error.to_string(), remedy)
}

/// Our schema under the subject of a topic: there, or welcome. `may_register`: a missing one is registered later.
pub async fn subject(registry: &SchemaRegistry, topic: &str, may_register: bool) -> Finding {
    let subject = subject_of(topic);
    let label = format!("schema {subject}");
    match registry.find(&subject, calls::SCHEMA).await {
        Ok(Some(id)) => return Finding::good(label, format!("registered with id {id}")),
        Ok(None) => {}
        Err(error) => return unusable(&error),
    }
    let found = match registry.compatible(&subject, calls::SCHEMA).await {
        Ok(found) => found,
        Err(error) => return unusable(&error),
    };
    let state = match found {
        Compatibility::FirstVersion => "will be the first version of its subject",
        Compatibility::Compatible => "is compatible with the registered versions",
        Compatibility::Incompatible(reasons) => {
            let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
            let remedy = format!(
                "write to another topic (`topics.calls`), or have whoever owns the registry change the versions or the \
                 compatibility level of subject `{subject}`"
            );
            return Finding::bad(label, format!("is incompatible with the registered versions{reasons}"), remedy);
        }
    };
    if may_register {
        Finding::good(label, format!("{state}; not registered yet"))
    } else {
        let remedy = "run `callfeed schemas register`, or allow it with `schema_registry.auto_register: true`";
        Finding::bad(
            label,
            format!("is not registered, and `schema_registry.auto_register` is false; it {state}"),
            remedy,
        )
    }
}

/// Topics of customers that had to be asked for: what was told of the others is not told again.
pub(super) async fn topics_found_later(config: &Config, plan: &TopicPlan, topics: Vec<String>) -> Vec<Finding> {
    if topics.is_empty() {
        return Vec::new();
    }
    let wanted: Vec<String> = topics.iter().map(|topic| format!("topic {topic}")).collect();
    let plan = TopicPlan { events: topics, ..plan.clone() };
    // Without the secret nothing was asked before, which was told.
    let Ok(connection) = wiring::connection(config) else { return Vec::new() };
    let facts = topics::check(&connection, &plan).await.into_iter();
    let mut findings: Vec<Finding> = facts.filter(|fact| wanted.contains(&fact.subject)).map(Finding::from).collect();
    if let Ok(registry) = wiring::registry(config) {
        findings.extend(subjects(config, &registry, &plan.events).await);
    }
    findings
}
