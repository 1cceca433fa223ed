//! Tests of the configuration as a whole: text in, a checked configuration or all problems out.

mod agreement;
mod bad_input;
mod bad_kafka;
mod good_input;
mod round_trip;

use super::{Config, parse};

/// The sample with every key (design: the contract of the configuration).
const FULL: &str = include_str!("../../../tests/data/config/full.yaml");

/// The least that is accepted.
const LEAST: &str = "\
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
accounts:
  - {name: acme, service: comagic, credentials: {api_key: {env: ACME_KEY}}}
";

fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "UNSET" => None,
        other => Some(format!("value of {other}")),
    }
}

fn accepted(text: &str) -> Config {
    parse(text, &env).unwrap_or_else(|problems| panic!("refused:\n{problems}\n--- of\n{text}"))
}

/// The problems, one a line.
fn refused(text: &str) -> String {
    match parse(text, &env) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => problems.to_string(),
    }
}
