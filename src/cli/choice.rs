//! An account by the name that the user gave: `NAME`, or `NAME.ID` for one customer of an agency.

use crate::config::{Account, Config, Customers};
use crate::domain::call::AccountId;
use crate::opening::{near_names, nearest};

/// Names of accounts that an error lists.
const LISTED: usize = 10;

/// The account that was asked for.
#[derive(Debug, PartialEq)]
pub struct Choice<'c> {
    pub account: &'c Account,
    /// One customer alone, by the id of its user.
    pub customer: Option<i64>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChoice {
    #[error("there is no account `{name}` in the configuration{}", hint(near, known))]
    Unknown { name: String, near: Vec<String>, known: Vec<String> },
    #[error("`{agency}` is no agency: it has `customers: none`, so its name alone is expected")]
    NoAgency { agency: AccountId },
    #[error("customer {customer} is not among `customers` of `{agency}`: {}", ids(known))]
    NotConfigured { agency: AccountId, customer: i64, known: Vec<i64> },
}

fn hint(near: &[String], known: &[String]) -> String {
    if !near.is_empty() {
        return nearest(near);
    }
    let more = if known.len() > LISTED { ", ..." } else { "" };
    format!("; there are `{}`{more}", known.iter().take(LISTED).cloned().collect::<Vec<_>>().join("`, `"))
}

fn ids(known: &[i64]) -> String {
    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds the account; also a disabled one, as it was named.
pub fn choose<'c>(config: &'c Config, name: &str) -> Result<Choice<'c>, BadChoice> {
    let find = |name: &str| config.accounts.iter().find(|account| account.id.as_str() == name);
    if let Some(account) = find(name) {
        return Ok(Choice { account, customer: None });
    }
    let of_agency = name.rsplit_once('.').and_then(|(agency, id)| Some((find(agency)?, id.parse::<i64>().ok()?)));
    let Some((account, customer)) = of_agency else {
        let names = || config.accounts.iter().map(|account| account.id.as_str());
        let near = near_names(name, names());
        return Err(BadChoice::Unknown { name: name.to_owned(), near, known: names().map(str::to_owned).collect() });
    };
    match &account.customers {
        Customers::None => Err(BadChoice::NoAgency { agency: account.id.clone() }),
        Customers::Ids(known) if !known.contains(&customer) => {
            Err(BadChoice::NotConfigured { agency: account.id.clone(), customer, known: known.clone() })
        }
        Customers::All | Customers::Ids(_) => Ok(Choice { account, customer: Some(customer) }),
    }
}

impl Choice<'_> {
    /// The configuration with this account alone, as if it were enabled: who names it wants to know of it.
    pub fn alone_in(&self, config: &Config) -> Config {
        let mut account = Account { enabled: true, ..self.account.clone() };
        if let Some(customer) = self.customer {
            account.customers = Customers::Ids(vec![customer]);
        }
        Config { accounts: vec![account], ..config.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
accounts:
  - {name: acme, service: comagic, credentials: {api_key: k}, enabled: false}
  - {name: agency, service: uis, credentials: {api_key: k}, customers: all}
  - {name: bureau, service: uis, credentials: {api_key: k}, customers: [7]}
";

    fn config() -> Config {
        crate::config::parse(CONFIG, &|_| None).unwrap()
    }

    #[test]
    fn an_account_is_found_by_its_name_and_a_customer_by_its_agency_and_id() {
        let config = config();
        for (name, account, customer) in [
            ("acme", "acme", None),
            ("agency", "agency", None),
            ("agency.5", "agency", Some(5)),
            ("bureau.7", "bureau", Some(7)),
        ] {
            let choice = choose(&config, name).unwrap();
            assert_eq!((choice.account.id.as_str(), choice.customer), (account, customer));
            let alone = choice.alone_in(&config);
            assert!(alone.accounts.len() == 1 && alone.accounts[0].enabled);
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let config = config();
        let table = [
            ("acne", "there is no account `acne` in the configuration; did you mean `acme`, `agency`?"),
            ("zzz", "there is no account `zzz` in the configuration; there are `acme`, `agency`, `bureau`"),
            ("acme.5", "`acme` is no agency: it has `customers: none`, so its name alone is expected"),
            ("bureau.8", "customer 8 is not among `customers` of `bureau`: 7"),
        ];
        for (name, message) in table {
            assert_eq!(choose(&config, name).unwrap_err().to_string(), message);
        }
    }
}
