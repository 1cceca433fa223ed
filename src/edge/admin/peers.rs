//! The other replicas of the group: any of them answers for all accounts.
//!
//! They are found under one name, as a headless Service of Kubernetes resolves to all of its pods. Each is asked for its
//! own accounts only (`scope=replica`), so that a question never goes round. This replica is one of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;

use crate::http_client;

/// A replica that hangs must not keep the others' accounts from being shown.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// What takes longer there is told as not carried out yet.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(27);

#[derive(Clone)]
pub struct Peers {
    /// A host name and a port.
    name: Arc<str>,
    client: reqwest::Client,
}

/// What the replicas have, and which of them did not answer.
#[derive(Debug, Default)]
pub struct Gathered {
    pub accounts: Vec<Value>,
    pub unreachable: Vec<String>,
}

impl Peers {
    /// The replicas at this `host:port`.
    pub fn at(name: &str) -> Result<Self, reqwest::Error> {
        let client = http_client::builder().no_proxy().connect_timeout(ANSWERED_WITHIN).build()?;
        Ok(Self { name: name.into(), client })
    }

    /// The accounts of all of them.
    pub async fn accounts(&self) -> Gathered {
        let addresses = match self.addresses().await {
            Ok(addresses) => addresses,
            Err(problem) => return Gathered { unreachable: vec![problem], ..Gathered::default() },
        };
        let mut gathered = Gathered::default();
        for answer in join_all(addresses.into_iter().map(|address| self.accounts_of(address))).await {
            match answer {
                Ok(accounts) => gathered.accounts.extend(accounts),
                Err(problem) => gathered.unreachable.push(problem),
            }
        }
        gathered
    }

    async fn accounts_of(&self, address: SocketAddr) -> Result<Vec<Value>, String> {
        let url = format!("http://{address}/api/v1/accounts?scope=replica");
        let problem = |error: reqwest::Error| format!("{address}: {}", error.without_url());
        let answer = self.client.get(url).timeout(ANSWERED_WITHIN).send().await.map_err(problem)?;
        let mut answer: Value = answer.error_for_status().map_err(problem)?.json().await.map_err(problem)?;
        match answer["accounts"].take() {
            Value::Array(accounts) => Ok(accounts),
            _ => Err(format!("{address}: the answer is not callfeed's")),
        }
    }

    /// The answer of the replica that has the account.
    pub async fn account(&self, name: &str) -> Option<Response> {
        self.ask(|address| self.client.get(self.url(address, name, "")).timeout(ANSWERED_WITHIN)).await
    }

    /// Passes an order on to the replica that has the account, with the token that came with it.
    pub async fn order(&self, name: &str, verb: &str, token: Option<&HeaderValue>, body: Bytes) -> Option<Response> {
        self.ask(|address| {
            let request = self.client.post(self.url(address, name, &format!("/{verb}"))).timeout(CARRIED_OUT_WITHIN);
            let request = request.body(body.clone());
            match token {
                Some(token) => request.header(header::AUTHORIZATION, token),
                None => request,
            }
        })
        .await
    }

    fn url(&self, address: SocketAddr, account: &str, rest: &str) -> String {
        // Names of accounts are plain, but this one comes from outside.
        let account: String = account.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        format!("http://{address}/api/v1/accounts/{account}{rest}?scope=replica")
    }

    /// The first answer of one that knows what it is about.
    async fn ask(&self, request: impl Fn(SocketAddr) -> reqwest::RequestBuilder) -> Option<Response> {
        let addresses = self.addresses().await.ok()?;
        let mut answers: FuturesUnordered<_> = addresses.into_iter().map(|address| request(address).send()).collect();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) if answer.status() != StatusCode::NOT_FOUND => return Some(passed_on(answer).await),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a replica does not answer"),
            }
        }
        None
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host(&*self.name).await;
        found.map(Iterator::collect).map_err(|error| format!("{}: {error}", self.name))
    }
}

async fn passed_on(answer: reqwest::Response) -> Response {
    let status = answer.status();
    let body = answer.bytes().await.unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
