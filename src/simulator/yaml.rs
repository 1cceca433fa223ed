//! Reads a scenario file: YAML to JSON values, these to the scenario's types, and checks what types cannot say.

use jiff::tz::TimeZone;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use thiserror::Error;

use super::{
    access::Network,
    calls_scenario::CallsScenario,
    faults::FaultRule,
    scenario::{AccountScenario, CustomerScenario, Limits, Scenario, Tables},
    spec::{self, Method},
};

/// Why a scenario cannot be used, with the place in it.
#[derive(Debug, Error, PartialEq)]
#[error("{place}: {problem}")]
pub struct ScenarioError {
    /// A key path like `accounts[1].calls`, or `scenario` for the whole.
    pub place: String,
    pub problem: String,
}

impl ScenarioError {
    fn at(place: impl Into<String>, problem: impl ToString) -> ScenarioError {
        ScenarioError { place: place.into(), problem: problem.to_string() }
    }
}

impl Scenario {
    pub fn from_yaml(text: &str) -> Result<Scenario, ScenarioError> {
        let value = yaml_to_json(text)?;
        let scenario = serde_json::from_value(value.clone()).map_err(|error| locate(&value, &error))?;
        check(&scenario)?;
        Ok(scenario)
    }
}

fn yaml_to_json(text: &str) -> Result<Value, ScenarioError> {
    let mut documents = Yaml::load_from_str(text).map_err(|error| ScenarioError::at("scenario", error))?;
    match documents.len() {
        0 => Ok(Value::Object(Map::new())),
        1 => json(&documents.remove(0)),
        several => Err(ScenarioError::at("scenario", format!("{several} YAML documents, expected one"))),
    }
}

fn json(node: &Yaml<'_>) -> Result<Value, ScenarioError> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => Number::from_f64(value.into_inner()).into(),
        Yaml::Value(Scalar::String(value)) => Value::String(value.to_string()),
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<_, _>>()?,
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let Yaml::Value(Scalar::String(key)) = key else {
                    return Err(ScenarioError::at("scenario", format!("key `{key:?}` is not a word")));
                };
                map.insert(key.to_string(), json(value)?);
            }
            Value::Object(map)
        }
        other => {
            let problem = format!("`{other:?}`: tags and aliases are not used here");
            return Err(ScenarioError::at("scenario", problem));
        }
    })
}

/// Finds the part of the file that the error is about, by trying each part alone.
fn locate(value: &Value, whole: &serde_json::Error) -> ScenarioError {
    let faults = parts::<FaultRule>(value, "faults");
    let accounts = value["accounts"].as_array().into_iter().flatten().enumerate();
    let in_accounts = accounts.filter_map(|(index, account)| {
        let place = format!("accounts[{index}]");
        let customers = account["customers"].as_array().into_iter().flatten().enumerate();
        customers
            .filter_map(|(index, customer)| {
                let place = format!("{place}.customers[{index}]");
                part::<CallsScenario>(&customer["calls"], format!("{place}.calls"))
                    .or_else(|| part::<CustomerScenario>(customer, place))
            })
            .next()
            .or_else(|| part::<CallsScenario>(&account["calls"], format!("{place}.calls")))
            .or_else(|| part::<Limits>(&account["limits"], format!("{place}.limits")))
            .or_else(|| part::<AccountScenario>(account, place))
    });
    faults.into_iter().chain(in_accounts).next().unwrap_or_else(|| ScenarioError::at("scenario", whole))
}

fn parts<T: DeserializeOwned>(value: &Value, key: &str) -> Option<ScenarioError> {
    let items = value[key].as_array().into_iter().flatten().enumerate();
    items.filter_map(|(index, item)| part::<T>(item, format!("{key}[{index}]"))).next()
}

fn part<T: DeserializeOwned>(value: &Value, place: String) -> Option<ScenarioError> {
    if value.is_null() {
        return None;
    }
    let error = serde_json::from_value::<T>(value.clone()).err()?;
    Some(ScenarioError::at(place, error))
}

/// What types cannot say: names, zones, addresses, shares, methods, columns.
pub fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    check_share("short_pages", scenario.short_pages)?;
    if !scenario.clock.speed.is_finite() || scenario.clock.speed < 0.0 {
        let problem = format!("`{}`, expected 0 or more", scenario.clock.speed);
        return Err(ScenarioError::at("clock.speed", problem));
    }
    for (index, rule) in scenario.faults.iter().enumerate() {
        check_fault(rule, scenario, &format!("faults[{index}]"))?;
    }
    for (index, account) in scenario.accounts.iter().enumerate() {
        let place = format!("accounts[{index}] ({})", account.name);
        check_account(account, &place)?;
        if scenario.accounts[..index].iter().any(|other| other.name == account.name) {
            return Err(ScenarioError::at(place, "the name is taken by an account above"));
        }
    }
    Ok(())
}

fn check_fault(rule: &FaultRule, scenario: &Scenario, place: &str) -> Result<(), ScenarioError> {
    check_share(&format!("{place}.share"), rule.share.unwrap_or(0.0))?;
    check_methods(&format!("{place}.methods"), &rule.methods)?;
    if rule.every == Some(0) {
        return Err(ScenarioError::at(format!("{place}.every"), "`0`, expected 1 or more"));
    }
    let known = |name: &&String| scenario.accounts.iter().any(|account| account.name == **name);
    match rule.accounts.iter().find(|name| !known(name)) {
        Some(name) => Err(ScenarioError::at(format!("{place}.accounts"), format!("no account `{name}`"))),
        None => Ok(()),
    }
}

fn check_methods(place: &str, methods: &[String]) -> Result<(), ScenarioError> {
    let known = |name: &&String| Method::named(name).is_some() || matches!(name.as_str(), "login.user" | "logout.user");
    match methods.iter().find(|name| !known(name)) {
        Some(name) => Err(ScenarioError::at(place, format!("no method `{name}`"))),
        None => Ok(()),
    }
}

fn check_account(account: &AccountScenario, place: &str) -> Result<(), ScenarioError> {
    for entry in &account.ip_list {
        if Network::parse(entry).is_none() {
            let problem = format!("`{entry}` is not an address or network like `10.0.0.0/8`");
            return Err(ScenarioError::at(format!("{place}.ip_list"), problem));
        }
    }
    if account.login.is_some() != account.password.is_some() {
        return Err(ScenarioError::at(place, "`login` and `password` belong together"));
    }
    check_methods(&format!("{place}.forbidden"), &account.forbidden)?;
    let has_calls = !account.rows.is_empty() || account.calls.days > 0.0 || account.calls.per_hour > 0.0;
    if has_calls && !account.customers.is_empty() {
        return Err(ScenarioError::at(place, "the calls of an agency belong to its customers"));
    }
    check_world(place, &account.timezone, &account.calls, &account.rows, &account.tables)?;
    for customer in &account.customers {
        let place = format!("{place}.customers ({})", customer.id);
        if customer.users.is_empty() {
            return Err(ScenarioError::at(place, "`users` is empty, expected at least one"));
        }
        check_world(&place, &customer.timezone, &customer.calls, &customer.rows, &customer.tables)?;
    }
    Ok(())
}

fn check_world(
    place: &str,
    timezone: &str,
    calls: &CallsScenario,
    rows: &[Map<String, Value>],
    tables: &Tables,
) -> Result<(), ScenarioError> {
    if TimeZone::get(timezone).is_err() {
        let problem = format!("`{timezone}` is not an IANA time zone like `Europe/Moscow`");
        return Err(ScenarioError::at(format!("{place}.timezone"), problem));
    }
    let shares = [
        ("lost_share", calls.lost_share),
        ("primary_share", calls.primary_share),
        ("long.share", calls.long.share),
        ("tags.share", calls.tags.share),
        ("tags.removed_share", calls.tags.removed_share),
        ("sales.share", calls.sales.share),
        ("ratings.share", calls.ratings.share),
        ("vanish.share", calls.vanish.share),
        ("night_share", calls.night_share),
        ("bad_rows.share", calls.bad_rows.share),
    ];
    for (key, share) in shares {
        check_share(&format!("{place}.calls.{key}"), share)?;
    }
    let amounts = [("days", calls.days), ("per_day", calls.per_day), ("per_hour", calls.per_hour)];
    for (key, amount) in amounts {
        if !amount.is_finite() || amount < 0.0 {
            let problem = format!("`{amount}`, expected 0 or more");
            return Err(ScenarioError::at(format!("{place}.calls.{key}"), problem));
        }
    }
    if calls.count.is_some_and(|count| count > 0) && calls.days == 0.0 {
        return Err(ScenarioError::at(format!("{place}.calls.count"), "needs `days`"));
    }
    for row in rows {
        check_columns(&format!("{place}.rows"), spec::calls_report(), row)?;
    }
    for (method, rows) in tables {
        let place = format!("{place}.tables.{method}");
        let facts = Method::named(method).ok_or_else(|| ScenarioError::at(&place, "no such method"))?;
        for row in rows {
            check_columns(&place, facts, row)?;
        }
    }
    Ok(())
}

fn check_columns(place: &str, method: &Method, row: &Map<String, Value>) -> Result<(), ScenarioError> {
    match row.keys().find(|name| method.column_index(name).is_none()) {
        Some(name) => Err(ScenarioError::at(place, format!("`{name}` is not a column of {}", method.name))),
        None => Ok(()),
    }
}

fn check_share(place: &str, share: f64) -> Result<(), ScenarioError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(ScenarioError::at(place, format!("`{share}`, expected 0 to 1")))
}
