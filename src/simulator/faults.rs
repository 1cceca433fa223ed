//! When the server misbehaves, and how.
//!
//! A fault is chosen per request, after the account and method are known, so that it can be aimed. Latency adds up with
//! everything; of the other faults the first rule that strikes is taken.

use std::time::Duration;

use serde::Deserialize;

use super::scenario::duration;

/// One way to misbehave and when to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    pub fault: Fault,
    /// Every so many requests that the rule is aimed at.
    #[serde(default)]
    pub every: Option<u64>,
    /// This share of them, by lot.
    #[serde(default)]
    pub share: Option<f64>,
    /// The next so many, then never again.
    #[serde(default)]
    pub next: Option<u64>,
    /// Only these methods; empty: all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Only these accounts; empty: all.
    #[serde(default)]
    pub accounts: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Another status, with or without a JSON error in the body.
    Http {
        status: u16,
        #[serde(default)]
        json: bool,
        /// Seconds of a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The connection is reset.
    Reset,
    /// The body ends in the middle, short of its `Content-Length`.
    Truncate,
    /// No answer ever.
    Hang,
    /// The answer comes at so many bytes a second.
    Drip { bytes_per_second: u32 },
    /// The documented `internal_error`.
    InternalError,
    /// Status 200 with a page of HTML.
    NotJson,
    /// The answer comes late.
    Latency {
        #[serde(deserialize_with = "duration")]
        delay: Duration,
    },
}

impl Fault {
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Http { .. } => "http",
            Fault::Reset => "reset",
            Fault::Truncate => "truncate",
            Fault::Hang => "hang",
            Fault::Drip { .. } => "drip",
            Fault::InternalError => "internal_error",
            Fault::NotJson => "not_json",
            Fault::Latency { .. } => "latency",
        }
    }

    pub fn next(self, requests: u64) -> FaultRule {
        FaultRule { next: Some(requests), ..self.rule() }
    }

    pub fn every(self, requests: u64) -> FaultRule {
        FaultRule { every: Some(requests), ..self.rule() }
    }

    pub fn share(self, share: f64) -> FaultRule {
        FaultRule { share: Some(share), ..self.rule() }
    }

    fn rule(self) -> FaultRule {
        FaultRule { fault: self, every: None, share: None, next: None, methods: Vec::new(), accounts: Vec::new() }
    }
}

impl FaultRule {
    pub fn on_method(mut self, method: &str) -> FaultRule {
        self.methods.push(method.to_owned());
        self
    }

    pub fn on_account(mut self, account: &str) -> FaultRule {
        self.accounts.push(account.to_owned());
        self
    }

    fn is_aimed_at(&self, account: Option<&str>, method: &str) -> bool {
        let account_fits =
            self.accounts.is_empty() || account.is_some_and(|name| self.accounts.iter().any(|a| a == name));
        account_fits && (self.methods.is_empty() || self.methods.iter().any(|m| m == method))
    }
}

/// What befalls one request.
#[derive(Debug, Default, PartialEq)]
pub struct Mishap {
    pub delay: Duration,
    pub fault: Option<Fault>,
}

/// The rules with their counters.
pub struct Faults {
    rules: Vec<(FaultRule, u64)>,
    lot: fastrand::Rng,
}

impl Faults {
    pub fn new(rules: Vec<FaultRule>, seed: u64) -> Faults {
        Faults { rules: rules.into_iter().map(|rule| (rule, 0)).collect(), lot: fastrand::Rng::with_seed(seed) }
    }

    pub fn add(&mut self, rule: FaultRule) {
        self.rules.push((rule, 0));
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    pub fn draw(&mut self, account: Option<&str>, method: &str) -> Mishap {
        let mut mishap = Mishap::default();
        for (rule, seen) in &mut self.rules {
            if !rule.is_aimed_at(account, method) {
                continue;
            }
            *seen += 1;
            if !strikes(rule, *seen, &mut self.lot) {
                continue;
            }
            match &rule.fault {
                Fault::Latency { delay } => mishap.delay += *delay,
                other if mishap.fault.is_none() => mishap.fault = Some(other.clone()),
                _ => {}
            }
        }
        mishap
    }
}

/// A rule that says nothing about when strikes always.
fn strikes(rule: &FaultRule, seen: u64, lot: &mut fastrand::Rng) -> bool {
    rule.next.is_none_or(|next| seen <= next)
        && rule.every.is_none_or(|every| seen.is_multiple_of(every))
        && rule.share.is_none_or(|share| lot.f64() < share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_and_the_next_two_strike_as_said() {
        let mut faults = Faults::new(vec![Fault::Reset.every(10)], 1);
        let struck: Vec<u64> = (1..=30).filter(|_| faults.draw(None, "get.tags").fault.is_some()).collect();
        assert_eq!(struck.len(), 3);

        let mut faults = Faults::new(vec![Fault::Hang.next(2)], 1);
        let struck = (0..10).filter(|_| faults.draw(None, "get.tags").fault.is_some());
        assert_eq!(struck.count(), 2);
    }

    #[test]
    fn a_rule_strikes_only_what_it_is_aimed_at_and_latency_adds_up() {
        let delay = Duration::from_millis(20);
        let mut faults = Faults::new(
            vec![
                Fault::Latency { delay }.next(9),
                Fault::Latency { delay }.next(9),
                Fault::NotJson.next(9).on_method("get.tags").on_account("acme"),
            ],
            1,
        );
        let aside = faults.draw(Some("acme"), "get.sites");
        assert_eq!((aside.delay, aside.fault), (2 * delay, None));
        assert_eq!(faults.draw(None, "get.tags").fault, None);
        assert_eq!(faults.draw(Some("acme"), "get.tags").fault, Some(Fault::NotJson));
    }
}
