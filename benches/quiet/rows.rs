//! What cannot be had for less: the same rows decoded, and their fingerprints taken, without anything around it.

use std::hint::black_box;
use std::sync::Arc;

use callfeed::clock::Clock;
use callfeed::domain::paging::PageRequest;
use callfeed::domain::time::LocalTime;
use callfeed::edge::data_api::Page;
use callfeed::poller::calls_query;
use callfeed::simulator::Simulator;
use callfeed::stream::calls::{Call, Counted, PartDigests};
use callfeed::{config, wiring};
use jiff::tz::TimeZone;

use super::account;
use super::support::block_on;
use super::usage::Usage;

const N_ROWS: u32 = 5000;
const TIMES: u32 = 60;

/// CPU seconds per million rows.
pub struct Cost {
    pub decoding: f64,
    pub fingerprints: f64,
}

pub fn cost() -> Cost {
    let page = page();
    let (counted, zone, mut digests) = (Counted::all(), TimeZone::UTC, PartDigests::default());
    let decoding = per_million_rows(|| {
        for row in page.rows::<Call<'_>>() {
            black_box(row.decoded.is_ok());
        }
    });
    let both = per_million_rows(|| {
        for row in page.rows::<Call<'_>>() {
            let call = row.decoded.expect("the simulator's rows are sound");
            black_box(call.prints(&counted, &zone, &mut digests));
        }
    });
    Cost { decoding, fingerprints: both - decoding }
}

fn per_million_rows(mut take_page: impl FnMut()) -> f64 {
    let before = Usage::of("thread-self").cpu_seconds;
    (0..TIMES).for_each(|_| take_page());
    (Usage::of("thread-self").cpu_seconds - before) * 1e6 / f64::from(N_ROWS * TIMES)
}

fn page() -> Page {
    block_on(async {
        let n_calls = usize::try_from(N_ROWS).unwrap() + 100;
        let simulator = Simulator::start(account::scenario(n_calls), "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let config = account::config(&simulator.url("default"), "rows").to_string();
        let config = config::parse(&config, &|_| None).unwrap();
        let http = wiring::http(&config).unwrap();
        let client = wiring::data_api(&config.accounts[0], &http, Arc::new(|_| ()), &Clock::frozen_now()).unwrap();
        let time = |days: i64| {
            let moment = simulator.now() + jiff::SignedDuration::from_hours(24 * days);
            LocalTime::parse(&moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap()
        };
        let request = PageRequest { date_from: time(-31), date_till: time(1), offset: 0, limit: N_ROWS };
        let page = client.report(&calls_query(&request, None)).await.unwrap();
        assert_eq!(page.rows::<Call<'_>>().count(), N_ROWS as usize);
        page
    })
}
