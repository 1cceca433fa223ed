//! Names of Kafka topics, and the template that gives each account its own.

use std::fmt;

use crate::domain::call::{AccountId, Service};

/// The longest name a broker takes.
const MAX_NAME: usize = 249;

const SERVICE: &str = "{service}";
const ACCOUNT: &str = "{account}";

/// The name of a topic, in which `{service}` and `{account}` stand for those of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(String);

impl TopicTemplate {
    /// Refuses a template that gives no legal name for any account.
    pub fn parse(text: &str) -> Result<Self, String> {
        let sample = text.replace(SERVICE, "s").replace(ACCOUNT, "a");
        if sample.contains(['{', '}']) {
            return Err(format!("`{text}` holds an unknown placeholder; expected `{SERVICE}` or `{ACCOUNT}`"));
        }
        check_topic_name(&sample).map_err(|problem| format!("`{text}` is no legal topic name: {problem}"))?;
        Ok(Self(text.to_owned()))
    }

    pub fn for_account(&self, service: Service, account: &AccountId) -> String {
        self.0.replace(SERVICE, service.as_str()).replace(ACCOUNT, account.as_str())
    }

    /// Whether each account has a topic of its own.
    pub fn is_per_account(&self) -> bool {
        self.0.contains(ACCOUNT)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The default of `topics.calls`.
impl Default for TopicTemplate {
    fn default() -> Self {
        Self("callfeed.calls".to_owned())
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The broker's own rule, so that a wrong name is seen before anything connects.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name == "." || name == ".." {
        return Err("a topic name is neither empty nor `.` nor `..`".to_owned());
    }
    if let Some(wrong) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(format!("{wrong:?} is not allowed; expected letters, digits, `.`, `_` and `-`"));
    }
    if name.starts_with("__") {
        return Err("names that begin with `__` are Kafka's own".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("it has {} characters; expected at most {MAX_NAME}", name.len()));
    }
    Ok(())
}

/// Whether a broker takes the two for the same: its metrics write `.` as `_`, and it refuses a second such topic.
pub fn collide(one: &str, other: &str) -> bool {
    one.replace('.', "_") == other.replace('.', "_")
}
