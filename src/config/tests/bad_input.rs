//! What is refused, and in which words.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{FULL, LEAST, env, refused};
use crate::config::{load, parse};

/// The account of the least configuration with more keys; its own line is the fourth.
fn account(keys: &str) -> String {
    LEAST.replace("credentials:", &format!("{keys}, credentials:"))
}

fn kafka(keys: &str) -> String {
    LEAST.replace("'kafka:9092'", &format!("'kafka:9092', {keys}"))
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
kafka:
  bootstrap_server: 'kafka:9092'
  commit_interval: 250
  state_partitions: 0
schema_registry:
  url: registry
accounts:
  - name: Acme
    service: comagik
    credentials:
      login: user
    poll:
      page_sise: 100
      tiers:
        - {age: 2h, every: 5m}
        - {age: 15m, every: 30s}
  - name: b
    service: uis
    credentials: {api_key: {env: UNSET}}
    filters:
      channels: {dynamic: false}
  - name: b
    service: uis
    credentials: {api_key: k}
    streams: chats
topic: {}
";
    let expected = "\
2:3: kafka.bootstrap_server: unknown key, did you mean `bootstrap_servers`?
3:3: kafka.commit_interval: expected a duration with its unit such as `30s`, `5m` or `7d`, found a whole number
4:3: kafka.state_partitions: expected a whole number from 1 to 10000, found 0
6:3: schema_registry.url: expected a URL such as `http://registry:8081`
8:5: accounts[0].name: expected a name of small letters, digits, `-` and `_`, found `Acme`
9:5: accounts[0].service: `comagik` is unknown, did you mean `comagic`?
10:5: accounts[0].credentials: `password` is missing beside `login`
13:7: accounts[0].poll.page_sise: unknown key, did you mean `page_size`?
16:12: accounts[0].poll.tiers[1].age: expected more than the age of the tier before, `2h`
19:19: accounts[1].credentials.api_key: the environment variable `UNSET` is not set
21:7: accounts[1].filters.channels: with `dynamic: false` and `static: none` nothing is read; expected one of them otherwise
22:5: accounts[2].name: `b` is taken by the account in line 17; expected another name
25:5: accounts[2].streams: expected a list, found a text
26:1: topic: unknown key, did you mean `topics`?";
    assert_eq!(refused(text), expected);
}

/// Each row: what is written, and the one problem it gives.
#[test]
fn each_wrong_value_is_told_with_what_is_expected() {
    let rows = [
        // Shapes.
        (account("enabled: yes"), "4:36: accounts[0].enabled: expected true or false, found a text"),
        (account("poll: []"), "4:36: accounts[0].poll: expected a mapping, found a list"),
        (
            account("poll: {page_size: 1.5}"),
            "4:43: accounts[0].poll.page_size: expected a whole number, found a number with a fraction",
        ),
        (account("poll: {points_share: most}"), "4:43: accounts[0].poll.points_share: expected a number, found a text"),
        (account("timezone: null"), "4:36: accounts[0].timezone: expected a text, found nothing"),
        (
            account("customers: some"),
            "4:36: accounts[0].customers: `some` is unknown, expected `none`, `all` or a list of ids",
        ),
        (account("customers: [a]"), "4:48: accounts[0].customers[0]: expected a whole number, found a text"),
        (
            account("filters: {tags: [[]]}"),
            "4:53: accounts[0].filters.tags[0]: expected the name or the id of a tag, found a list",
        ),
        // Words.
        (
            account("filters: {include: primery}"),
            "4:46: accounts[0].filters.include: `primery` is unknown, did you mean `primary`?",
        ),
        (
            account("filters: {include: x}"),
            "4:46: accounts[0].filters.include: `x` is unknown, expected `all`, `primary` or `tagged`",
        ),
        (
            account("poll: {backfill: newer}"),
            "4:43: accounts[0].poll.backfill: `newer` is unknown, did you mean `newest`?",
        ),
        // Keys.
        (
            account("colour: red"),
            "4:36: accounts[0].colour: unknown key, expected `name`, `service`, `enabled`, `credentials`, `customers`, `timezone`, `start_from`, `streams`, `filters`, `changes` or `poll`",
        ),
        (
            account("poll: {tiers: [{age: 1h, evry: 1m}]}"),
            "4:61: accounts[0].poll.tiers[0].evry: unknown key, did you mean `every`?",
        ),
        (
            account("filters: {channels: {static: {source: [x]}}}"),
            "4:66: accounts[0].filters.channels.static.source: unknown key, did you mean `sources`?",
        ),
        (
            kafka("create_topics: {enable: true}"),
            "1:58: kafka.create_topics.enable: unknown key, did you mean `enabled`?",
        ),
        // Ranges.
        (
            account("poll: {page_size: 10001}"),
            "4:43: accounts[0].poll.page_size: expected a whole number from 1 to 10000, found 10001",
        ),
        (
            account("poll: {points_share: 0}"),
            "4:43: accounts[0].poll.points_share: expected a share above 0 and at most 1, found 0",
        ),
        (account("poll: {points_share: .nan}"), "4:57: expected a finite number"),
        (
            account("poll: {tiers: []}"),
            "4:43: accounts[0].poll.tiers: expected at least one tier such as `{age: 15m, every: 30s}`",
        ),
        (
            account("poll: {tiers: [{age: 1h}]}"),
            "4:51: accounts[0].poll.tiers[0].every: is missing, expected a duration such as `30s`",
        ),
        (
            account("poll: {tiers: [{age: 1h, every: 2h}]}"),
            "4:61: accounts[0].poll.tiers[0].every: expected no more than `age`, or rows would grow too old between two reads",
        ),
        (
            account("poll: {tiers: [{age: 1h, every: 10ms}]}"),
            "4:61: accounts[0].poll.tiers[0].every: expected at least `1s`, found `10ms`",
        ),
        (account("customers: []"), "4:36: accounts[0].customers: expected at least one id, or `none`, or `all`"),
        (account("customers: [5, 5]"), "4:51: accounts[0].customers[1]: 5 is given twice"),
        (
            account("streams: []"),
            "4:36: accounts[0].streams: expected at least one stream; to read nothing, set `enabled: false`",
        ),
        (kafka("commit_interval: 0s"), "1:42: kafka.commit_interval: expected more than nothing"),
        // Forms.
        (account("start_from: 7"), "4:36: accounts[0].start_from: expected a text, found a whole number"),
        (
            account("start_from: '7'"),
            "4:36: accounts[0].start_from: expected a duration such as `7d` or a local time such as `2026-01-01 00:00:00`, found `7`",
        ),
        (
            account("start_from: '2026-01-01T00:00:00Z'"),
            "4:36: accounts[0].start_from: expected a duration such as `7d` or a local time such as `2026-01-01 00:00:00`, found `2026-01-01T00:00:00Z`",
        ),
        (
            account("timezone: Mars/Base"),
            "4:36: accounts[0].timezone: expected `auto` or an IANA name such as `Europe/Moscow`, found `Mars/Base`",
        ),
        (
            account("filters: {channels: {static: {virtual_numbers: [8-800]}}}"),
            "4:84: accounts[0].filters.channels.static.virtual_numbers[0]: expected a telephone number in digits such as `74951234567`, found `8-800`",
        ),
        (
            account("filters: {channels: {static: {}}}"),
            "4:57: accounts[0].filters.channels.static: names no channel; expected `none`, `all` or at least one name",
        ),
        (
            account("filters: {channels: {static: {sources: [simple_dt]}}}"),
            "4:76: accounts[0].filters.channels.static.sources[0]: `simple_dt` is a source of dynamic tracking, which `dynamic` lets through or not",
        ),
        (
            kafka("state_topic: 'a b'"),
            "1:42: kafka.state_topic: `a b` is no legal topic name: ' ' is not allowed; expected letters, digits, `.`, `_` and `-`",
        ),
        (
            kafka("dead_letter_topic: callfeed_state"),
            "1:42: kafka.dead_letter_topic: expected another topic than `kafka.state_topic`",
        ),
        (
            format!("{LEAST}topics: {{calls: callfeed.state}}"),
            "5:10: topics.calls: expected another topic than `kafka.state_topic`, `callfeed.state`",
        ),
        (
            format!("{LEAST}topics: {{calls: 'c.{{tenant}}'}}"),
            "5:10: topics.calls: `c.{tenant}` holds an unknown placeholder; expected `{service}` or `{account}`",
        ),
        (
            format!("{LEAST}limits: {{memory: 64}}"),
            "5:10: limits.memory: expected a size with its unit such as `64MiB` or `1GiB`, found a whole number",
        ),
        (
            format!("{LEAST}limits: {{memory: 64M}}"),
            "5:10: limits.memory: expected a size with its unit such as `64MiB` or `1GiB`, found `64M`",
        ),
        (format!("{LEAST}limits: {{memory: 64KiB}}"), "5:10: limits.memory: expected at least `1MiB`, found `64KiB`"),
        (format!("{LEAST}admin: {{listen: 9464}}"), "5:9: admin.listen: expected a text, found a whole number"),
        (
            format!("{LEAST}admin: {{listen: 'host'}}"),
            "5:9: admin.listen: expected an IP address and a port such as `127.0.0.1:9464`, found `host`",
        ),
        (
            format!("{LEAST}admin: {{token: short}}"),
            "5:9: admin.token: expected at least 16 characters, as `openssl rand -hex 16` makes them",
        ),
        (
            format!("{LEAST}admin: {{peers: 'http://replicas'}}"),
            "5:9: admin.peers: expected a host name and a port such as `callfeed-headless:9464`, found `http://replicas`",
        ),
        (
            format!("{LEAST}log: {{level: verbose}}"),
            "5:7: log.level: `verbose` is unknown, expected `off`, `error`, `warn`, `info`, `debug` or `trace`",
        ),
        (
            format!("{LEAST}log: {{level: 'info,callfeed=loud'}}"),
            "5:7: log.level: expected a level or directives such as `info,callfeed=debug`, found `info,callfeed=loud`",
        ),
        (format!("{LEAST}log: {{format: jsn}}"), "5:7: log.format: `jsn` is unknown, did you mean `json`?"),
        (
            format!("{LEAST}http: {{proxy: 'ftp://x'}}"),
            "5:8: http.proxy: expected `auto`, `none` or a URL such as `http://proxy:3128`",
        ),
        (
            LEAST.replace("kafka:9092", "kafka:port"),
            "1:9: kafka.bootstrap_servers: expected brokers such as `kafka-0:9092,kafka-1:9092`, found `kafka:port`",
        ),
        (
            LEAST.replace("comagic", "{url: 'dataapi'}"),
            "4:28: accounts[0].service.url: expected a URL such as `http://127.0.0.1:8099/v2.0`",
        ),
        (
            account("poll: {vanished: withdrawn}"),
            "4:43: accounts[0].poll.vanished: `withdrawn` is unknown, did you mean `withdraw`?",
        ),
        (
            account("changes: {ignore: [talk_duration, visits_cuont]}"),
            "4:70: accounts[0].changes.ignore[1]: `visits_cuont` is no column of calls; did you mean `visits_count`?",
        ),
        (account("changes: {ignore: [mood]}"), "4:55: accounts[0].changes.ignore[0]: `mood` is no column of calls"),
        (
            account("changes: {ignore: [start_time]}"),
            "4:55: accounts[0].changes.ignore[0]: `start_time` cannot be ignored: it tells which call it is",
        ),
        // What comes with a later version.
        (
            account("streams: [calls, goals]"),
            "4:53: accounts[0].streams[1]: `goals` is not available in this version; only `calls` is",
        ),
        (account("streams: [call]"), "4:46: accounts[0].streams[0]: `call` is unknown, did you mean `calls`?"),
        // Properties.
        (
            kafka("properties: {transactional.id: x}"),
            "1:55: kafka.properties.transactional.id: cannot be set here: callfeed sets it: delivery exactly once rests on it",
        ),
        (
            kafka("properties: {group.id: x}"),
            "1:55: kafka.properties.group.id: cannot be set here: set `kafka.group_id`",
        ),
        (
            kafka("properties: {rebalance_cb: x}"),
            "1:55: kafka.properties.rebalance_cb: cannot be set here: it is a function of a program, not a value",
        ),
        (
            kafka("properties: {sasl.password: {env: UNSET}}"),
            "1:55: kafka.properties.sasl.password: the environment variable `UNSET` is not set",
        ),
        (
            kafka("properties: {sasl.password: null}"),
            "1:55: kafka.properties.sasl.password: expected a text, `{env: NAME}` or `{file: PATH}`, found nothing",
        ),
        // Secrets.
        (
            LEAST.replace("ACME_KEY", "EMPTY"),
            "4:50: accounts[0].credentials.api_key: the environment variable `EMPTY` is empty",
        ),
        (
            LEAST.replace("{env: ACME_KEY}", "{file: /no/such/file}"),
            "4:50: accounts[0].credentials.api_key: the secret file `/no/such/file` cannot be read: No such file or directory (os error 2)",
        ),
        (
            LEAST.replace("{env: ACME_KEY}", "k, login: l, password: p"),
            "4:36: accounts[0].credentials: expected either `login` and `password`, or `api_key`, not both",
        ),
        (
            LEAST.replace("api_key: {env: ACME_KEY}", ""),
            "4:36: accounts[0].credentials: is missing, expected either `login` and `password`, or `api_key`",
        ),
        (
            LEAST.replace("api_key: {env: ACME_KEY}", "password: p"),
            "4:36: accounts[0].credentials: `login` is missing beside `password`",
        ),
        (
            LEAST.replace("8081'", "8081', password: p"),
            "2:1: schema_registry.username: is missing, expected beside `password`",
        ),
        (
            format!("{LEAST}http: {{ca_file: /no/such/file}}"),
            "5:8: http.ca_file: `/no/such/file` cannot be read: No such file or directory (os error 2)",
        ),
        // What is missing.
        (
            LEAST.replace("bootstrap_servers: 'kafka:9092'", ""),
            "1:1: kafka.bootstrap_servers: is missing, expected brokers such as `kafka-0:9092,kafka-1:9092`",
        ),
        (
            LEAST.replace("name: acme, ", ""),
            "4:5: accounts[0].name: is missing, expected a name of small letters, digits, `-` and `_`",
        ),
        (
            LEAST.replace("service: comagic, ", ""),
            "4:5: accounts[0].service: is missing, expected the name of a brand or `{url: ...}`",
        ),
        (
            "accounts: []".to_owned(),
            "1:1: accounts: expected at least one account\n1:1: kafka.bootstrap_servers: is missing, expected brokers such as `kafka-0:9092,kafka-1:9092`\n1:1: schema_registry.url: is missing, expected a URL such as `http://registry:8081`",
        ),
        // Defaults.
        (
            format!("{LEAST}defaults: {{name: x}}"),
            "5:12: defaults.name: belongs to each account; it cannot have a default",
        ),
        (
            format!("{LEAST}defaults: {{credentials: {{api_key: x}}}}"),
            "5:12: defaults.credentials: belongs to each account; it cannot have a default",
        ),
        (format!("{LEAST}defaults: {{pol: {{}}}}"), "5:12: defaults.pol: unknown key, did you mean `poll`?"),
        (
            format!("{LEAST}defaults: {{poll: {{page_size: 0}}}}"),
            "5:19: defaults.poll.page_size: expected a whole number from 1 to 10000, found 0",
        ),
        (format!("{LEAST}defaults:"), "5:1: defaults: expected a mapping, found nothing"),
        // YAML itself.
        (String::new(), "the configuration is empty; expected at least `kafka`, `schema_registry` and `accounts`"),
        (
            "# only a comment\n".to_owned(),
            "the configuration is empty; expected at least `kafka`, `schema_registry` and `accounts`",
        ),
        ("[kafka]".to_owned(), "expected a mapping of keys, found a list"),
        ("kafka".to_owned(), "expected a mapping of keys, found a text"),
        (format!("{LEAST}---\n{LEAST}"), "5:1: a second document begins here; expected one document only"),
        (format!("{LEAST}log: {{}}\nlog: {{}}"), "6:1: `log` is given twice, first in line 5"),
        (format!("{LEAST}7: x"), "5:1: expected a text as key, found a number"),
        (account("timezone: !zone auto"), "4:46: tags of one's own (`!name`) have no meaning here; leave it out"),
    ];
    let mut wrong = String::new();
    for (text, expected) in rows {
        let told = refused(&text);
        if told != expected {
            writeln!(wrong, "{text}\n  expected: {expected}\n  told:     {told}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_problem_of_the_defaults_is_told_once_and_not_for_each_account() {
    let text = "\
kafka: {bootstrap_servers: 'kafka:9092'}
schema_registry: {url: 'http://registry:8081'}
defaults:
  poll: {page_size: 0, tiers: [{age: 1h, every: x}]}
accounts:
  - {name: a, service: uis, credentials: {api_key: k}}
  - {name: b, service: uis, credentials: {api_key: k}, poll: {page_size: 7}}
";
    let expected = "\
4:10: defaults.poll.page_size: expected a whole number from 1 to 10000, found 0
4:42: defaults.poll.tiers[0].every: expected a duration with its unit such as `30s`, `5m` or `7d`, found `x`";
    assert_eq!(refused(text), expected);
}

#[test]
fn a_file_is_named_in_each_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let name = path.display().to_string();
    let told = load(&path, &env).unwrap_err().to_string();
    assert_eq!(told, format!("{name}: the configuration cannot be read: No such file or directory (os error 2)"));
    std::fs::write(&path, LEAST.replace("service", "servce")).unwrap();
    let told = load(&path, &env).unwrap_err().to_string();
    assert_eq!(told, format!("{name}:4:18: accounts[0].servce: unknown key, did you mean `service`?"));
    std::fs::write(&path, b"\xff\xfe").unwrap();
    let told = load(&path, &env).unwrap_err().to_string();
    assert_eq!(told, format!("{name}: the configuration cannot be read: stream did not contain valid UTF-8"));
    std::fs::write(&path, "x".repeat(5 * 1024 * 1024)).unwrap();
    let told = load(&path, &env).unwrap_err().to_string();
    assert_eq!(told, format!("{name}: expected at most 4194304 bytes, found more"));
    std::fs::write(&path, LEAST).unwrap();
    load(&path, &env).unwrap();
}

#[test]
fn a_tab_is_told_with_its_line() {
    let told = refused("kafka:\n\tbootstrap_servers: x\n");
    assert!(told.starts_with("2:2: this is not YAML: "), "{told}");
}

#[test]
fn a_certificate_file_must_hold_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display();
    let told = refused(&format!("{LEAST}http: {{ca_file: '{path}'}}"));
    assert_eq!(told, format!("5:8: http.ca_file: `{path}` holds no certificate in PEM form"));
}

#[test]
fn no_problem_shows_a_secret() {
    const SECRET: &str = "hunter2";
    let rows = [
        LEAST.replace("{api_key: {env: ACME_KEY}}", SECRET),
        LEAST.replace("{env: ACME_KEY}", &format!("[{SECRET}]")),
        LEAST.replace("{env: ACME_KEY}", &format!("{{{SECRET}}}")),
        LEAST.replace("{env: ACME_KEY}", &format!("{{env: {{{SECRET}: x}}}}")),
        LEAST.replace("{env: ACME_KEY}", &format!("!{SECRET} x")),
        LEAST.replace("{env: ACME_KEY}", &format!("*{SECRET}")),
        LEAST.replace("http://", &format!("http://user:{SECRET}@")),
        LEAST.replace("comagic", &format!("{{url: 'http://user:{SECRET}@host'}}")),
        format!("{LEAST}http: {{proxy: 'user:{SECRET}@proxy'}}"),
        kafka(&format!("properties: {{sasl.password: [{SECRET}]}}")),
    ];
    for text in rows {
        let told = refused(&text);
        assert!(!told.contains(SECRET), "{told}");
    }
}

/// What a file of a few kilobytes must not do: cost more memory or stack than its own size asks for.
#[test]
fn bombs_are_refused() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let below = format!("*a{}", level - 1);
        let list = [below.as_str(); 10].join(", ");
        writeln!(aliases, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert!(refused(&aliases).contains("more than 200000 values"));
    assert!(refused(&"- ".repeat(100_000)).contains("nested deeper than 32 levels"));
    assert!(refused(&"? ".repeat(100_000)).contains("nested deeper than 32 levels"));
    assert!(refused(&"[".repeat(40)).contains("nested deeper than 32 levels"));
    assert!(refused(&"{a: ".repeat(40)).contains("nested deeper than 32 levels"));
    assert!(refused(&"[".repeat(100_000)).contains("recursion limit exceeded"));
    assert!(refused(&"{a: ".repeat(100_000)).contains("recursion limit exceeded"));
    let accounts = "{}, ".repeat(50_000);
    let keys: Vec<String> = (0..50_000).map(|n| format!("k{n}: 1")).collect();
    let keys = keys.join(", ");
    assert!(refused(&format!("defaults: {{{keys}}}\naccounts: [{accounts}]")).contains("are too many"));
    assert!(refused("a: &a [*a]").contains("alias"));
    assert!(refused(&"x".repeat(5 * 1024 * 1024)).contains("expected at most 4194304 bytes"));
}

#[test]
fn a_megabyte_of_garbage_is_refused_in_good_time() {
    let mut state = 7_u64;
    let mut garbage = String::new();
    while garbage.len() < 1024 * 1024 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        garbage.push(char::from(b' ' + (state >> 57) as u8 % 95));
    }
    let unknown_keys: String = (0..50_000).fold(String::new(), |mut text, n| {
        writeln!(text, "key{n}: x").unwrap();
        text
    });
    let started = std::time::Instant::now();
    refused(&garbage);
    assert_eq!(refused(&unknown_keys).lines().filter(|line| line.contains("unknown key")).count(), 50_000);
    assert!(started.elapsed().as_secs() < 30);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text, &env);
    }

    /// Text made of what YAML gives a meaning to.
    #[test]
    fn no_yaml_makes_it_panic(text in "([a-c0]|[-:?,&*!|>'\"#%@{}\\[\\]\\n\\t ]|: |- |---\n|kafka|accounts|defaults|poll|\u{feff}){0,60}") {
        let _ = parse(&text, &env);
    }

    /// The sample with a piece cut out and another put in.
    #[test]
    fn no_damage_makes_it_panic(from in 0..FULL.len(), cut in 0..40_usize, put in "[-a-z0-9:?,&*!|>'\"#%{}\\[\\]\\n\\t ]{0,8}") {
        let mut text = FULL.to_owned();
        text.replace_range(from..(from + cut).min(FULL.len()), &put);
        let _ = parse(&text, &env);
    }
}
