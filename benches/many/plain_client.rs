//! The least that requests can cost: a plain HTTP client in this process sends them and throws the answers away.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::block_on;
use super::usage::Usage;

pub struct Sent {
    requests: usize,
    cpu_seconds: f64,
}

impl Sent {
    pub fn a_second_of_one_core(&self) -> f64 {
        self.requests as f64 / self.cpu_seconds
    }
}

/// Sends each body every second, one after the other's answer, for so long.
pub fn send(url: &str, bodies: Vec<Value>, how_long: Duration) -> Sent {
    let before = Usage::of("self");
    let url = url.to_owned();
    let requests = block_on(async move {
        let client = reqwest::Client::builder().no_proxy().gzip(true).build().unwrap();
        let bodies = bodies.into_iter().map(|body| body.to_string());
        let senders = bodies.map(|body| tokio::spawn(send_one(client.clone(), url.clone(), body, how_long)));
        futures::future::join_all(senders).await.into_iter().map(Result::unwrap).sum()
    });
    Sent { requests, cpu_seconds: Usage::of("self").cpu_seconds - before.cpu_seconds }
}

async fn send_one(client: reqwest::Client, url: String, body: String, how_long: Duration) -> usize {
    let started = Instant::now();
    let mut n_sent = 0;
    while started.elapsed() < how_long {
        let answer = client.post(&url).header("content-type", "application/json").body(body.clone()).send();
        let text = answer.await.unwrap().text().await.unwrap();
        assert!(text.contains("\"result\""), "{text}");
        n_sent += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    n_sent
}
