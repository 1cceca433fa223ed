//! The least that requests can cost: a plain HTTP client in this process sends them and throws the answers away.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::block_on;
use super::usage::Usage;

pub struct Sent {
    requests: usize,
    cpu_seconds: f64,
    seconds: f64,
}

impl Sent {
    /// Of a core.
    pub fn percent(&self) -> f64 {
        self.cpu_seconds / self.seconds * 100.0
    }

    pub fn a_second_of_one_core(&self) -> f64 {
        self.requests as f64 / self.cpu_seconds
    }
}

/// Sends each body so often, for so long. They do not begin all at once.
pub fn send(url: &str, bodies: Vec<Value>, every: Duration, how_long: Duration) -> Sent {
    let (before, started) = (Usage::of("self"), Instant::now());
    let url = url.to_owned();
    let n_bodies = bodies.len() as f64;
    let requests = block_on(async move {
        let client = reqwest::Client::builder().no_proxy().gzip(true).build().unwrap();
        let senders = bodies.iter().enumerate().map(|(number, body)| {
            let first = started + every.mul_f64(number as f64 / n_bodies);
            let sending = send_one(client.clone(), url.clone(), body.to_string(), every, first..started + how_long);
            tokio::spawn(sending)
        });
        futures::future::join_all(senders).await.into_iter().map(Result::unwrap).sum()
    });
    let cpu_seconds = Usage::of("self").cpu_seconds - before.cpu_seconds;
    Sent { requests, cpu_seconds, seconds: started.elapsed().as_secs_f64() }
}

async fn send_one(client: reqwest::Client, url: String, body: String, every: Duration, times: Range<Instant>) -> usize {
    let (mut next, mut n_sent) = (times.start, 0);
    while next < times.end {
        tokio::time::sleep_until(next.into()).await;
        let answer = client.post(&url).header("content-type", "application/json").body(body.clone()).send();
        let text = answer.await.unwrap().text().await.unwrap();
        assert!(text.contains("\"result\""), "{text}");
        n_sent += 1;
        next = Instant::now() + every;
    }
    n_sent
}
