//! Requests of the same process, answered without a network: the same answers and the same faults, as far as a client
//! can tell them from those of the server.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use super::{
    ScenarioError, SimulatedApi,
    api::{Api, Brand},
    faults::Fault,
    scenario::Scenario,
    server::{self, NOT_JSON, NOT_WELL},
    yaml,
};

/// An answer as HTTP would carry it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The seconds of a `Retry-After` header.
    pub retry_after: Option<u32>,
    pub body: Vec<u8>,
}

impl SimulatedApi {
    pub fn new(scenario: Scenario) -> Result<SimulatedApi, ScenarioError> {
        yaml::check(&scenario)?;
        Ok(SimulatedApi { api: Arc::new(Api::new(scenario)) })
    }

    /// Answers the body of a request to `/BRAND/v2.0` or `/v2.0`, as late as a fault may have it. `None`: the connection
    /// ended before the answer was complete.
    pub async fn answer(&self, path: &str, body: &[u8]) -> Option<Reply> {
        let Some(brand) = server::brand(path) else {
            return Some(reply(404, String::new()));
        };
        let answer = self.api.answer(Brand(brand), body, IpAddr::V4(Ipv4Addr::LOCALHOST));
        if !answer.mishap.delay.is_zero() {
            tokio::time::sleep(answer.mishap.delay).await;
        }
        match answer.mishap.fault {
            None | Some(Fault::InternalError | Fault::Latency { .. }) => Some(reply(200, answer.text)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Reset | Fault::Truncate) => None,
            Some(Fault::Drip { bytes_per_second }) => {
                let seconds = answer.text.len() as f64 / f64::from(bytes_per_second.max(1));
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                Some(reply(200, answer.text))
            }
            Some(Fault::NotJson) => Some(reply(200, NOT_JSON)),
            Some(Fault::Http { status, json, retry_after }) => {
                let body = if json { answer.text } else { NOT_WELL.to_owned() };
                Some(Reply { retry_after, ..reply(status, body) })
            }
        }
    }
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, retry_after: None, body: body.into() }
}
