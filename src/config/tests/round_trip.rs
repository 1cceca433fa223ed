//! What the configuration prints, the configuration reads.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{FULL, LEAST, env};
use crate::config::raw::*;
use crate::config::{parse, parse_raw};
use crate::domain::call::Service;

/// Whole milliseconds, in which every unit of the printed form takes part.
fn period(least: u64) -> impl Strategy<Value = Period> {
    let unit = prop_oneof![Just(1), Just(1000), Just(60_000), Just(3_600_000), Just(86_400_000)];
    (1..400_u64, unit).prop_map(move |(count, unit)| Period(Duration::from_millis((count * unit).max(least))))
}

/// Less than half of the usual `transaction.timeout.ms`.
fn commit_interval() -> impl Strategy<Value = Period> {
    (1..22_500_u64).prop_map(|millis| Period(Duration::from_millis(millis)))
}

fn size() -> impl Strategy<Value = Size> {
    (1_048_576..u64::MAX / 2)
        .prop_flat_map(|size| (Just(size), 0..30_u32))
        .prop_map(|(size, zeros)| Size((size >> zeros << zeros).max(1_048_576)))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}",
        "\\PC{1,12}",
        Just("true".to_owned()),
        Just("0123".to_owned()),
        Just("~".to_owned())
    ]
}

/// Plain secrets are masked when printed, so they cannot come back; the others must.
fn secret() -> impl Strategy<Value = SecretForm> {
    "[A-Z]{6,9}".prop_map(|name| SecretForm(Origin::Env(name)))
}

fn public() -> impl Strategy<Value = TextForm> {
    prop_oneof![text().prop_map(Origin::Plain), "[A-Z]{6,9}".prop_map(Origin::Env)].prop_map(TextForm)
}

fn properties() -> impl Strategy<Value = Properties> {
    let plain = text().prop_map(|text| SecretForm(Origin::Plain(text)));
    let value = prop_oneof![plain, secret()];
    // No word in a name that would make its value a secret.
    btree_map("(linger|socket|queue)[.][a-d]{1,5}[.]ms", value, 0..3).prop_map(Properties)
}

fn kafka() -> impl Strategy<Value = RawKafka> {
    let topics = ("s[a-z.-]{0,9}", "d[a-z.-]{0,9}");
    let numbers = (1..=10_000_i64, 1..=1_000_000_i64, 1..=32_767_i64, any::<bool>());
    (properties(), "[a-z]{1,9}", option::of(public()), topics, commit_interval(), numbers).prop_map(
        |(
            properties,
            group_id,
            instance_id,
            (state, dead_letter),
            commit_interval,
            (partitions, events, factor, enabled),
        )| {
            RawKafka {
                bootstrap_servers: Some("kafka-0:9092,[::1]:9093".to_owned()),
                properties,
                delivery: RawDelivery::ExactlyOnce,
                group_id,
                instance_id,
                state_topic: state,
                state_partitions: partitions,
                dead_letter_topic: dead_letter,
                create_topics: RawCreateTopics { enabled, replication_factor: factor, partitions },
                commit_interval,
                commit_max_events: events,
            }
        },
    )
}

fn credentials() -> impl Strategy<Value = RawCredentials> {
    let login = (public(), secret());
    let login = login.prop_map(|(login, password)| RawCredentials {
        login: Some(login),
        password: Some(password),
        api_key: None,
    });
    prop_oneof![login, secret().prop_map(|key| RawCredentials { api_key: Some(key), ..RawCredentials::default() })]
}

fn channels() -> impl Strategy<Value = RawChannels> {
    let named = (vec("x[a-z_]{1,9}", 1..3), vec("[0-9]{3,12}", 0..3), vec(any::<i64>(), 0..3), vec(any::<i64>(), 0..3));
    let named = named.prop_map(|(sources, numbers, campaigns, scenarios)| {
        let virtual_numbers = numbers.into_iter().map(NumberForm).collect();
        StaticForm::Named(RawNamedChannels { sources, virtual_numbers, campaigns, scenarios })
    });
    let some = (any::<bool>(), prop_oneof![Just(StaticForm::All), named]);
    let some = some.prop_map(|(dynamic, statics)| RawChannels { dynamic, statics });
    prop_oneof![Just(RawChannels { dynamic: true, statics: StaticForm::None }), some]
}

fn filters() -> impl Strategy<Value = RawFilters> {
    let include = prop_oneof![Just(RawInclude::All), Just(RawInclude::Primary), Just(RawInclude::Tagged)];
    let name = text().prop_filter("a name", |name| !name.trim().is_empty());
    let tag = prop_oneof![any::<i64>().prop_map(TagForm::Id), name.prop_map(TagForm::Name)];
    (include, vec(tag, 0..4), channels()).prop_map(|(include, tags, channels)| RawFilters { include, tags, channels })
}

fn poll() -> impl Strategy<Value = RawPoll> {
    let tiers = vec(period(1000), 1..5).prop_map(|mut ages| {
        ages.sort();
        ages.dedup();
        ages.into_iter().map(|age| RawTier { age: Some(age), every: Some(Period::seconds(1)) }).collect()
    });
    let backfill = prop_oneof![Just(RawBackfill::Newest), Just(RawBackfill::Oldest)];
    let vanished = prop_oneof![Just(RawVanished::Keep), Just(RawVanished::Withdraw)];
    (1..=10_000_i64, backfill, any::<bool>(), vanished, tiers, 1..=100_u32).prop_map(
        |(page_size, backfill, adaptive, vanished, tiers, share)| {
            let points_share = f64::from(share) / 100.0;
            RawPoll { page_size, backfill, adaptive, vanished, tiers, points_share }
        },
    )
}

fn account() -> impl Strategy<Value = RawAccount> {
    let custom = RawCustomService { url: Some("http://127.0.0.1:8099/v2.0".to_owned()) };
    let service = prop_oneof![
        proptest::sample::select(&Service::BRANDS[..]).prop_map(ServiceForm::Brand),
        Just(ServiceForm::Custom(custom)),
    ];
    let customers = prop_oneof![
        Just(CustomersForm::None),
        Just(CustomersForm::All),
        vec(1..i64::MAX, 1..2).prop_map(CustomersForm::Ids)
    ];
    let start = prop_oneof![Just("7d".to_owned()), Just("2026-01-01 00:00:00".to_owned())];
    let first = (service, any::<bool>(), credentials(), customers);
    (first, start, filters(), poll()).prop_map(
        |((service, enabled, credentials, customers), start_from, filters, poll)| RawAccount {
            service: Some(service),
            enabled,
            credentials,
            customers,
            timezone: "Asia/Dubai".to_owned(),
            start_from,
            filters,
            poll,
            ..RawAccount::default()
        },
    )
}

fn config() -> impl Strategy<Value = RawConfig> {
    let registry = (option::of((public(), secret())), any::<bool>()).prop_map(|(user, auto_register)| {
        let (username, password) = user.unzip();
        RawSchemaRegistry { url: Some("http://registry:8081".to_owned()), username, password, auto_register }
    });
    let http = (period(1), prop_oneof!["auto", "none", "http://proxy:3128"]);
    let http = http.prop_map(|(timeout, proxy)| RawHttp { timeout, ca_file: None, proxy: ProxyForm(proxy) });
    (kafka(), registry, vec(account(), 1..4), size(), http).prop_map(
        |(kafka, schema_registry, mut accounts, memory, http)| {
            for (index, account) in accounts.iter_mut().enumerate() {
                account.name = Some(format!("account-{index}"));
            }
            let log = RawLog { format: RawLogFormat::Json, level: "info,callfeed=debug".to_owned() };
            let limits = RawLimits { memory };
            RawConfig { kafka, schema_registry, accounts, limits, http, log, ..RawConfig::default() }
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_read(raw in config()) {
        let printed = raw.to_string();
        match parse_raw(&printed, &env) {
            Ok(read) => prop_assert_eq!(read, raw),
            Err(problems) => prop_assert!(false, "{}\n{}", problems, printed),
        }
    }

    #[test]
    fn a_printed_duration_is_the_same_duration(millis in 0..10_000_000_000_u64) {
        let period = Period::millis(millis);
        prop_assert_eq!(Period::parse(&period.to_string()), Ok(period));
    }
}

#[test]
fn defaults_are_printed_in_the_accounts_that_take_them() {
    let text = format!("{LEAST}defaults: {{poll: {{page_size: 7}}}}\n");
    let raw = parse_raw(&text, &env).unwrap();
    let again = parse_raw(&raw.to_string(), &env).unwrap();
    assert_eq!(again.accounts, raw.accounts);
    assert_eq!(parse(&raw.to_string(), &env).unwrap(), parse(&text, &env).unwrap());
}

#[test]
fn the_sample_printed_means_the_same() {
    let printed = parse_raw(FULL, &env).unwrap().to_string();
    assert_eq!(parse(&printed, &env).unwrap(), parse(FULL, &env).unwrap());
}

#[test]
fn no_plain_secret_is_printed() {
    const SECRET: &str = "hunter2";
    let text = format!(
        "
kafka: {{bootstrap_servers: 'kafka:9092', properties: {{sasl.password: {SECRET}, ssl.key.pem: {SECRET}}}}}
schema_registry: {{url: 'http://registry:8081', username: u, password: {SECRET}}}
http: {{proxy: 'http://user:{SECRET}@proxy:3128'}}
accounts:
  - {{name: a, service: uis, credentials: {{api_key: {SECRET}}}}}
  - {{name: b, service: uis, credentials: {{login: l, password: {SECRET}}}}}
"
    );
    let raw = parse_raw(&text, &env).unwrap();
    let config = parse(&text, &env).unwrap();
    for shown in [raw.to_string(), format!("{raw:?}"), format!("{config:?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
