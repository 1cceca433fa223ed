//! How clients of the cluster are made, and what they say about it.
//!
//! Holds secrets (`sasl.password` and its like): nothing here prints a property's value, and librdkafka's own lines
//! pass through a [`Mask`] on their way to the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// How to reach the cluster. The properties are those that a producer or a consumer of librdkafka knows; both hold
/// what is common to them (`security.protocol`, `sasl.*`, `ssl.*`, ...).
#[derive(Clone)]
pub struct Connection {
    pub bootstrap_servers: String,
    pub client_id: String,
    pub producer_properties: BTreeMap<String, String>,
    pub consumer_properties: BTreeMap<String, String>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |properties: &BTreeMap<String, String>| properties.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("Connection")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("producer_properties", &names(&self.producer_properties))
            .field("consumer_properties", &names(&self.consumer_properties))
            .finish()
    }
}

/// No broker answered. Worth another try after a while.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kafka at `{brokers}` does not answer: {reason}")]
pub struct Unreachable {
    pub brokers: String,
    pub reason: String,
}

/// librdkafka does not take a property that was set for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} not accepted: {reason}; see `kafka.properties` in the configuration", subject(name))]
pub struct InvalidProperty {
    pub name: String,
    pub reason: String,
}

impl Connection {
    /// A producer's configuration: `defaults`, then the user's properties, then `owned`, which nobody may change.
    pub(super) fn producer(&self, defaults: &[(&str, String)], owned: &[(&str, String)]) -> ClientConfig {
        self.configuration(defaults, &self.producer_properties, owned)
    }

    /// The configuration of a consumer that is assigned its partitions and never joins a group.
    pub(super) fn consumer(&self, owned: &[(&str, String)]) -> ClientConfig {
        let mut config = self.configuration(&[], &self.consumer_properties, owned);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // A follower may lag behind what the leader says is committed.
        config.remove("client.rack");
        config
    }

    /// Whether librdkafka knows the properties and takes their values. Connects to nothing.
    pub fn validate(&self) -> Result<(), InvalidProperty> {
        self.inquirer().map(drop)
    }

    /// Whom the brokers take this client for, without the `User:` before it. Only known when it logs in by its name;
    /// the brokers have rules of their own for certificates and tokens, and tell no client.
    pub(super) fn principal(&self) -> Option<&str> {
        let property = |name: &str| self.consumer_properties.get(name).map(String::as_str);
        let mechanism = property("sasl.mechanism").or(property("sasl.mechanisms"))?;
        let by_name = mechanism == "PLAIN" || mechanism.starts_with("SCRAM-");
        property("sasl.username").filter(|_| by_name)
    }

    /// A client for questions about the cluster. A consumer, as a producer's question creates the topic that it
    /// asks about where brokers allow that.
    pub(super) fn inquirer(&self) -> Result<Inquirer, InvalidProperty> {
        let log = self.log("inquirer");
        let mask = Arc::clone(&log.mask);
        self.consumer(&[]).create_with_context(log).map_err(|error| InvalidProperty::of(&error, &mask))
    }

    pub(super) fn log(&self, role: &'static str) -> ClientLog {
        let properties = self.producer_properties.iter().chain(&self.consumer_properties);
        ClientLog { role, mask: Arc::new(Mask::of(properties)), last_error: Mutex::default() }
    }

    pub(super) fn unreachable(&self, reason: impl Into<String>) -> Unreachable {
        Unreachable { brokers: self.bootstrap_servers.clone(), reason: reason.into() }
    }

    fn configuration(
        &self,
        defaults: &[(&str, String)],
        properties: &BTreeMap<String, String>,
        owned: &[(&str, String)],
    ) -> ClientConfig {
        let mut config = ClientConfig::new();
        // A broker that comes back is found again within a commit's patience.
        config.set("reconnect.backoff.max.ms", "2000").set("socket.keepalive.enable", "true");
        config.extend(defaults.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        config.extend(properties.clone());
        config.extend(owned.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        config.set("bootstrap.servers", &self.bootstrap_servers).set("client.id", &self.client_id);
        // librdkafka filters by this before a line reaches `ClientLog`, and tracing by its own level after.
        let wants_debug = config.get("debug").is_some();
        config.set_log_level(if wants_debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
    }
}

pub(super) type Inquirer = BaseConsumer<ClientLog>;

/// For the properties together.
const ALL: &str = "*";

/// Some faults lie in no single property.
fn subject(name: &str) -> String {
    if name == ALL { "kafka's client properties are".to_owned() } else { format!("kafka client property `{name}` is") }
}

impl InvalidProperty {
    pub(super) fn of(error: &KafkaError, mask: &Mask) -> Self {
        match error {
            KafkaError::ClientConfig(_, description, name, _) => {
                Self { name: name.clone(), reason: mask.apply(description) }
            }
            // librdkafka finds some faults only when it puts all properties together; the text names them.
            other => Self { name: ALL.to_owned(), reason: mask.apply(&other.to_string()) },
        }
    }
}

/// What a client of librdkafka says: log lines go to `tracing`, and the last error is kept, as it is the reason
/// behind a later time-out.
pub(super) struct ClientLog {
    role: &'static str,
    pub mask: Arc<Mask>,
    last_error: Mutex<Option<String>>,
}

impl ClientLog {
    /// The last error that the client met by itself, or what the caller saw if there was none.
    pub fn reason(&self, seen: &KafkaError) -> String {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*last, seen.rdkafka_error_code()) {
            // These only say that time ran out or that all brokers are down, not why.
            (
                Some(last),
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::AllBrokersDown,
                ),
            ) => last.clone(),
            _ => self.mask.apply(&seen.to_string()),
        }
    }
}

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let (role, detail) = (self.role, self.mask.apply(message));
        match level {
            // librdkafka goes on by itself after what it calls an error.
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(role, facility, %detail, "kafka client"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(role, facility, %detail, "kafka client");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = self.mask.apply(reason);
        tracing::debug!(role = self.role, %error, %reason, "kafka client error");
        // "All brokers down" follows each single broker's own reason, which says more.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        }
    }
}

impl ConsumerContext for ClientLog {
    // Errors reach `poll`'s caller at once; there is no group to serve in between.
    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        rdkafka::util::Timeout::After(Duration::from_secs(1))
    }
}

/// The values that must not be seen, to be taken out of any text.
pub(super) struct Mask(Vec<String>);

impl Mask {
    fn of<'a>(properties: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        let mut secrets: Vec<String> = properties
            .filter(|(name, value)| is_secret(name) && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect();
        // A secret that holds another one goes first, or its rest would stay.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    pub fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

/// Whether the value of a librdkafka property is a secret, by the words in its name.
fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "private.key", "oauthbearer.config", "jaas"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let properties = BTreeMap::from([
            ("sasl.password".to_owned(), "hunter2-long".to_owned()),
            ("sasl.username".to_owned(), "callfeed".to_owned()),
        ]);
        Connection {
            bootstrap_servers: "127.0.0.1:9".to_owned(),
            client_id: "test".to_owned(),
            producer_properties: properties.clone(),
            consumer_properties: properties,
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let printed = format!("{:?}", connection());
        assert!(printed.contains("sasl.password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert_eq!(connection().log("test").mask.apply("login hunter2-long failed"), "login *** failed");
    }

    #[test]
    fn a_refused_property_is_named_without_a_secret_value() {
        let mut connection = connection();
        connection.consumer_properties.insert("ssl.key.passwordx".to_owned(), "hunter2-long".to_owned());
        let Err(error) = connection.inquirer() else { panic!("an unknown property was accepted") };
        assert_eq!(error.name, "ssl.key.passwordx");
        assert!(!format!("{error}").contains("hunter2"), "{error}");
    }
}
