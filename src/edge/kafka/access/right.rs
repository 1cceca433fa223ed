//! The rights that callfeed needs, in the words of Kafka and of its `kafka-acls.sh`.

use crate::edge::kafka::connection::Connection;

/// An operation that callfeed needs on something, under the number that Kafka knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(in crate::edge::kafka) enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    DescribeConfigs = 10,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Create, Self::DescribeConfigs];

    pub(super) fn of_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| *operation as u32 == code)
    }

    /// As `kafka-acls.sh` takes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::DescribeConfigs => "DescribeConfigs",
        }
    }

    /// As Kafka's documents and listings have it.
    const fn word(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::DescribeConfigs => "DESCRIBE_CONFIGS",
        }
    }
}

/// What is done with a topic beside looking at its settings. Each implies DESCRIBE.
pub(in crate::edge::kafka) const fn needed_for_topic(is_state: bool) -> &'static [Operation] {
    if is_state { &[Operation::Read, Operation::Write] } else { &[Operation::Write] }
}

/// What the principal may do with one resource, of what callfeed needs anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edge::kafka) struct Granted(Vec<Operation>);

impl FromIterator<Operation> for Granted {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().collect())
    }
}

impl Granted {
    pub fn nothing() -> Self {
        Self(Vec::new())
    }

    pub fn lacks(&self, needed: &[Operation]) -> Vec<Operation> {
        needed.iter().copied().filter(|operation| !self.0.contains(operation)).collect()
    }
}

/// What an ACL is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge::kafka) enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    /// All transactional ids that begin so.
    TransactionalIds(&'a str),
}

impl Resource<'_> {
    fn words(self) -> String {
        match self {
            Self::Topic(name) => format!("TOPIC `{name}`"),
            Self::Group(name) => format!("GROUP `{name}`"),
            Self::TransactionalIds(prefix) => format!("TRANSACTIONAL_ID `{prefix}*`"),
        }
    }

    fn options(self) -> String {
        match self {
            Self::Topic(name) => format!("--topic {name}"),
            Self::Group(name) => format!("--group {name}"),
            Self::TransactionalIds(prefix) => {
                format!("--transactional-id {prefix} --resource-pattern-type prefixed")
            }
        }
    }
}

/// Rights that are not granted, in words.
pub(in crate::edge::kafka) fn missing(operations: &[Operation], resource: Resource<'_>) -> String {
    let words: Vec<&str> = operations.iter().map(|operation| operation.word()).collect();
    let (noun, verb) = if words.len() == 1 { ("operation", "is") } else { ("operations", "are") };
    format!("the {noun} {} on {} {verb} not granted", words.join(" and "), resource.words())
}

/// How to grant them.
pub(in crate::edge::kafka) fn grant(
    connection: &Connection,
    operations: &[Operation],
    resource: Resource<'_>,
) -> String {
    let (principal, note) = match connection.principal() {
        Some(name) => (format!("User:{name}"), ""),
        None => ("User:NAME".to_owned(), " (NAME: whom the brokers take callfeed for)"),
    };
    let operations: String = operations.iter().map(|operation| format!(" --operation {}", operation.name())).collect();
    format!(
        "grant it: kafka-acls.sh --bootstrap-server {} --add --allow-principal {principal}{operations} {}{note}",
        connection.bootstrap_servers,
        resource.options()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_command_names_the_user_that_logs_in() {
        let grant = |properties: &[(&str, &str)]| {
            let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let connection = Connection {
                bootstrap_servers: "kafka:9092".to_owned(),
                client_id: "test".to_owned(),
                producer_properties: BTreeMap::new(),
                consumer_properties: properties.collect(),
            };
            grant(&connection, &[Operation::Write], Resource::TransactionalIds("feed-"))
        };
        assert_eq!(
            grant(&[("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.username", "feeder")]),
            "grant it: kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:feeder \
             --operation Write --transactional-id feed- --resource-pattern-type prefixed"
        );
        for unknown in [&[("sasl.mechanism", "OAUTHBEARER"), ("sasl.username", "feeder")][..], &[]] {
            assert!(grant(unknown).contains("User:NAME "), "{unknown:?}");
        }
    }
}
