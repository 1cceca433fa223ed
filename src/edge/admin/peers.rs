//! The other replicas of the group: any of them answers for all accounts.
//!
//! They are found under one name, as a headless Service of Kubernetes resolves to all of its pods. Each is asked for its
//! own accounts only (`scope=replica`), so that a question never goes round. This replica is one of them. Which of them did
//! not answer is always told: an account may be theirs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use crate::http_client;

/// A replica that hangs, or a name service that does, must not keep the others' accounts from being shown.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// What takes longer there is told as not carried out yet. Shorter than the port lets an answer take.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(22);

#[derive(Clone)]
pub struct Peers {
    /// A host name and a port.
    name: Arc<str>,
    client: reqwest::Client,
    answered_within: Duration,
}

/// What the replicas have, and which of them did not answer.
#[derive(Debug, Default)]
pub struct Gathered {
    pub accounts: Vec<Value>,
    pub unreachable: Vec<String>,
}

/// The replica that has an account.
#[derive(Debug)]
pub struct Owner {
    address: SocketAddr,
    /// The account, as that replica shows it.
    pub account: Value,
}

/// Where an account is, and which replicas did not answer.
#[derive(Debug, Default)]
pub struct Found {
    pub owner: Option<Owner>,
    pub unreachable: Vec<String>,
}

impl Peers {
    /// The replicas at this `host:port`.
    pub fn at(name: &str) -> Result<Self, reqwest::Error> {
        let client = http_client::builder().no_proxy().connect_timeout(ANSWERED_WITHIN).build()?;
        Ok(Self { name: name.into(), client, answered_within: ANSWERED_WITHIN })
    }

    /// With another bound on how long they may take to say what they have.
    pub fn answering_within(self, answered_within: Duration) -> Self {
        Self { answered_within, ..self }
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
        let answer = self.ask(address, "").await?.unwrap_or_default();
        match answer {
            Value::Object(mut answer) => match answer.remove("accounts") {
                Some(Value::Array(accounts)) => Ok(accounts),
                _ => Err(not_ours(address)),
            },
            _ => Err(not_ours(address)),
        }
    }

    /// The replica that has the account. While it moves two may say so: the later one is right.
    pub async fn owner_of(&self, name: &str) -> Found {
        let addresses = match self.addresses().await {
            Ok(addresses) => addresses,
            Err(problem) => return Found { unreachable: vec![problem], ..Found::default() },
        };
        let path = path_of(name, "");
        let answers = addresses.into_iter().map(|address| {
            let path = &path;
            async move { (address, self.ask(address, path).await) }
        });
        let mut found = Found::default();
        for (address, answer) in join_all(answers).await {
            match answer {
                Ok(Some(account)) if is_later(&account, found.owner.as_ref()) => {
                    found.owner = Some(Owner { address, account });
                }
                Ok(_) => {}
                Err(problem) => found.unreachable.push(problem),
            }
        }
        found
    }

    /// What a replica has at this path below its accounts; none when it has nothing there.
    async fn ask(&self, address: SocketAddr, path: &str) -> Result<Option<Value>, String> {
        let url = format!("http://{address}/api/v1/accounts{path}?scope=replica");
        let problem = |error: reqwest::Error| format!("{address}: {}", in_words(&error.without_url()));
        let answer = self.client.get(url).timeout(self.answered_within).send().await.map_err(problem)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.error_for_status().map_err(problem)?.json().await.map(Some).map_err(problem),
        }
    }

    /// Passes an order on to the replica that has the account, with the token that came with it. None when the account is
    /// not there any more.
    pub async fn order(
        &self,
        owner: &Owner,
        name: &str,
        verb: &str,
        token: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Option<Response>, String> {
        let url = format!("http://{}/api/v1/accounts{}?scope=replica", owner.address, path_of(name, verb));
        let mut request = self.client.post(url).timeout(CARRIED_OUT_WITHIN).body(body);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let problem = |error: reqwest::Error| format!("{}: {}", owner.address, in_words(&error.without_url()));
        let answer = request.send().await.map_err(problem)?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = answer.bytes().await.map_err(problem)?;
        Ok(Some((status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        match timeout(self.answered_within, tokio::net::lookup_host(&*self.name)).await {
            Ok(Ok(found)) => Ok(found.collect()),
            Ok(Err(error)) => Err(format!("{}: {error}", self.name)),
            Err(_) => Err(format!("{}: the name is not resolved in time", self.name)),
        }
    }
}

/// Whether this account was taken over later than the one that was found.
fn is_later(account: &Value, found: Option<&Owner>) -> bool {
    found.is_none_or(|found| since(account) > since(&found.account))
}

/// Since when an account has its status: in whole seconds and UTC, so that the order of the texts is that of time.
pub fn since(account: &Value) -> Option<&str> {
    account["since"].as_str()
}

fn path_of(account: &str, verb: &str) -> String {
    // Names of accounts are plain, but this one comes from outside.
    let account: String = account.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    if verb.is_empty() { format!("/{account}") } else { format!("/{account}/{verb}") }
}

fn not_ours(address: SocketAddr) -> String {
    format!("{address}: the answer is not callfeed's")
}

/// The error with what caused it: by itself it says only that something failed.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "does not answer in time".to_owned();
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
