//! What the first answer to a credential proves: host, login, list of addresses.
//!
//! The API does not say which of these it looks at first, so a refusal proves only what must have come before it.

use crate::config::Credentials;
use crate::edge::data_api::{ApiError, Hurdle};
use crate::opening::Subject;

use super::Finding;

/// What is known after the first answer, and whether asking on makes sense.
pub(super) struct Entry {
    pub findings: Vec<Finding>,
    pub is_open: bool,
}

pub(super) fn judge(subject: &Subject, refusal: Option<&ApiError>) -> Entry {
    let words = Words::of(subject);
    let (mut findings, refused) = match refusal.map(|error| (error, error.hurdle())) {
        None | Some((_, Hurdle::Right)) => return Entry { findings: words.all_good(), is_open: true },
        Some((error, Hurdle::Secret)) => (Vec::new(), Finding::refused(&words.login, error)),
        Some((error, Hurdle::Connection | Hurdle::Answer)) => (Vec::new(), Finding::refused(&words.host, error)),
        Some((error, Hurdle::Login)) => (vec![words.host_is_good()], Finding::refused(&words.login, error)),
        Some((error, Hurdle::Address)) => (vec![words.host_is_good()], Finding::refused(&words.address, error)),
        Some((error, Hurdle::Account)) => (vec![words.host_is_good()], Finding::refused(words.name, error)),
        Some((error, Hurdle::Points)) => (words.all_good(), Finding::refused(format!("{} points", words.name), error)),
        Some((error, Hurdle::Request)) => (vec![words.host_is_good()], Finding::refused(words.name, error)),
    };
    findings.push(refused);
    Entry { findings, is_open: false }
}

/// What the facts are called.
struct Words<'a> {
    name: &'a str,
    base_url: &'a str,
    host: String,
    login: String,
    address: String,
}

impl<'a> Words<'a> {
    fn of(subject: &'a Subject) -> Self {
        let name = subject.id.as_str();
        let login = match subject.account.credentials {
            Credentials::Login { .. } => format!("{name} login"),
            Credentials::ApiKey(_) => format!("{name} API key"),
        };
        let (host, address) = (format!("{name} host"), format!("{name} IP list"));
        Self { name, base_url: &subject.account.base_url, host, login, address }
    }

    fn host_is_good(&self) -> Finding {
        Finding::good(&self.host, format!("{} answers", self.base_url))
    }

    fn all_good(&self) -> Vec<Finding> {
        vec![
            self.host_is_good(),
            Finding::good(&self.login, "accepted"),
            Finding::good(&self.address, "requests from this machine are let in"),
        ]
    }
}
