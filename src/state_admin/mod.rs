//! The work behind `callfeed state`: to look at the progress of accounts, and to change it while no replica runs.
//!
//! Looking reads the state topic and writes nothing, so that it is safe at any time. Changing takes a [`seat::Seat`] in
//! the group of the replicas first: whoever has one owns all accounts, and what is written counts only as long as that
//! is so. What is written is read first, under the same seat.

pub mod figures;
pub mod forget;
pub mod migrate;
pub mod rewind;
pub mod seat;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::config::{Config, Customers, SecretError};
use crate::domain::call::AccountId;
use crate::domain::rewind::RewindError;
use crate::edge::kafka::topics::{self, TopicProblem};
use crate::edge::kafka::{
    Connection, GroupError, InvalidProperty, PublishError, RestoreError, RestoreProgress, StartError, StateTopic,
    Takeover,
};
use crate::opening::{near_names, nearest};
use crate::state::{StateError, StateKey, StatePlace, Stored, by_account};
use crate::wiring;
use figures::AccountState;
use seat::Seat;

/// A state topic of a million calls is read in seconds; longer than the broker lets a transaction of a replica that died
/// stay open.
const READ_WITHIN: Duration = Duration::from_mins(2);

/// Names that a sentence lists.
const LISTED: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Property(#[from] InvalidProperty),
    #[error(transparent)]
    Topics(#[from] TopicProblem),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("there is no topic `{topic}` yet, so no account has progress; see `kafka.state_topic`")]
    NoTopic { topic: String },
    #[error(transparent)]
    Seat(#[from] seat::SeatError),
    #[error("the state topic holds nothing of an account `{name}`{}", nearest(near))]
    UnknownAccount { name: String, near: Vec<String> },
    #[error(
        "the state topic holds nothing of `{name}` itself; its customers are accounts of their own, name one of them: `{}`{}",
        first(customers).join("`, `"), more(customers)
    )]
    OnlyCustomers { name: String, customers: Vec<String> },
    #[error(
        "the state of `{account}` cannot be read: {error}; run the callfeed that wrote it, or `callfeed state forget {account}`"
    )]
    Unreadable { account: AccountId, error: StateError },
    #[error(transparent)]
    Rewind(#[from] RewindError),
    #[error(transparent)]
    Migrate(#[from] migrate::MigrateError),
}

impl AdminError {
    /// Whether the user asked for something that there is not.
    pub fn is_bad_usage(&self) -> bool {
        use RewindError::{BadTime, NoZone};
        matches!(
            self,
            Self::UnknownAccount { .. } | Self::OnlyCustomers { .. } | Self::Rewind(BadTime(_) | NoZone { .. })
        )
    }
}

/// The first of many names.
pub fn first(names: &[String]) -> &[String] {
    &names[..names.len().min(LISTED)]
}

/// How many more there are.
pub fn more(names: &[String]) -> String {
    match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    }
}

/// The state topic of a configuration.
pub struct StateAdmin<'c> {
    pub config: &'c Config,
    connection: Connection,
    /// As the topic has them, whatever the configuration says.
    place: StatePlace,
}

impl<'c> StateAdmin<'c> {
    pub async fn open(config: &'c Config) -> Result<Self, AdminError> {
        let connection = wiring::connection(config)?;
        connection.validate()?;
        let topic = &config.kafka.state_topic;
        let Some(partitions) = topics::n_partitions(&connection, topic).await? else {
            return Err(AdminError::NoTopic { topic: topic.clone() });
        };
        Ok(Self { config, connection, place: StatePlace { topic: topic.as_str().into(), partitions } })
    }

    pub fn place(&self) -> &StatePlace {
        &self.place
    }

    fn topic(&self, place: &StatePlace, takeover: Takeover) -> StateTopic {
        StateTopic {
            connection: self.connection.clone(),
            group_id: self.config.kafka.group_id.clone(),
            topic: place.topic.clone(),
            partitions: place.partitions,
            takeover,
        }
    }

    /// The latest value of each key.
    async fn content(&self, takeover: Takeover) -> Result<HashMap<String, Vec<u8>>, AdminError> {
        let topic = self.topic(&self.place, takeover);
        Ok(topic.restore(&topic.all_partitions(), READ_WITHIN, report).await?)
    }

    /// All accounts that have state, in the order of their names.
    pub async fn accounts(&self) -> Result<Vec<AccountState>, AdminError> {
        let accounts: BTreeMap<(AccountId, String), Stored> =
            by_account(self.content(Takeover::Wait).await?).into_iter().collect();
        let state = |((account, stream), stored): ((AccountId, String), Stored)| {
            let partition = self.place.partition_of(&account);
            let known = Known::of(self.config, &account);
            AccountState::of(account, stream, partition, known, &stored)
        };
        Ok(accounts.into_iter().map(state).collect())
    }

    /// The streams of one account.
    pub async fn account(&self, name: &str) -> Result<Vec<AccountState>, AdminError> {
        let all = self.accounts().await?;
        let names: BTreeSet<&str> = all.iter().map(|state| state.account.as_str()).collect();
        find(name, &names)?;
        Ok(all.into_iter().filter(|state| state.account.as_str() == name).collect())
    }

    /// What is stored of one account, for whoever is to change it.
    async fn stored(&self, seat: &Seat, name: &str) -> Result<Vec<(StateKey, Vec<u8>)>, AdminError> {
        let content = self.content(seat.takeover()).await?;
        let keys = content.into_iter().filter_map(|(key, value)| Some((StateKey::parse(&key)?, value)));
        let all: Vec<(StateKey, Vec<u8>)> = keys.collect();
        let names: BTreeSet<&str> = all.iter().map(|(key, _)| key.account.as_str()).collect();
        find(name, &names)?;
        Ok(all.into_iter().filter(|(key, _)| key.account.as_str() == name).collect())
    }
}

fn report(progress: RestoreProgress) {
    tracing::debug!(records = progress.records, offset = progress.offset, total = progress.total, "reading state");
}

/// Whether there is state of an account by this name; if not, what else was meant.
fn find(name: &str, names: &BTreeSet<&str>) -> Result<(), AdminError> {
    if names.contains(name) {
        return Ok(());
    }
    let customers = customers_of(name, names);
    let name = name.to_owned();
    if !customers.is_empty() {
        return Err(AdminError::OnlyCustomers { name, customers });
    }
    let near = near_names(&name, names.iter().copied());
    Err(AdminError::UnknownAccount { name, near })
}

fn customers_of(name: &str, names: &BTreeSet<&str>) -> Vec<String> {
    let agency = AccountId::new(name);
    names.iter().filter(|name| AccountId::new(name).is_customer_of(&agency)).map(|name| (*name).to_owned()).collect()
}

/// What the configuration knows of an account that has state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Yes,
    /// It has `enabled: false`, or its agency has.
    Disabled,
    No,
}

impl Known {
    /// Customers of a configured agency are known, also those that are not read: state of one that left stays.
    pub fn of(config: &Config, account: &AccountId) -> Self {
        let is_it = |known: &&crate::config::Account| {
            known.id == *account || known.customers != Customers::None && account.is_customer_of(&known.id)
        };
        match config.accounts.iter().find(is_it) {
            Some(known) if known.enabled => Self::Yes,
            Some(_) => Self::Disabled,
            None => Self::No,
        }
    }
}

/// The accounts that have state, and that the configuration does not know.
pub async fn unknown_accounts(config: &Config) -> Result<Vec<String>, AdminError> {
    let admin = StateAdmin::open(config).await?;
    let keys = admin.content(Takeover::Wait).await?.into_keys();
    let accounts: BTreeSet<AccountId> = keys.filter_map(|key| Some(StateKey::parse(&key)?.account)).collect();
    let unknown = accounts.iter().filter(|account| Known::of(config, account) == Known::No);
    Ok(unknown.map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
accounts:
  - {name: acme, service: comagic, credentials: {api_key: k}}
  - {name: paused, service: comagic, credentials: {api_key: k}, enabled: false}
  - {name: agency, service: uis, credentials: {api_key: k}, customers: [7]}
";

    #[test]
    fn customers_of_a_configured_agency_are_known() {
        let config = crate::config::parse(CONFIG, &|_| None).unwrap();
        for (account, known) in [
            ("acme", Known::Yes),
            ("paused", Known::Disabled),
            ("agency", Known::Yes),
            ("agency.7", Known::Yes),
            ("agency.8", Known::Yes),
            ("agency-2.7", Known::No),
            ("acme.7", Known::No),
            ("gone", Known::No),
        ] {
            assert_eq!(Known::of(&config, &AccountId::new(account)), known, "{account}");
        }
    }

    #[test]
    fn a_name_without_state_lists_near_ones_or_the_customers() {
        let names = BTreeSet::from(["acme", "agency.7", "agency.8"]);
        let refused = |name| find(name, &names).unwrap_err().to_string();
        assert!(find("acme", &names).is_ok());
        let unknown = "the state topic holds nothing of an account `acne`; did you mean `acme`";
        assert!(refused("acne").starts_with(unknown), "{}", refused("acne"));
        assert!(refused("agency").ends_with("name one of them: `agency.7`, `agency.8`"), "{}", refused("agency"));
    }
}
