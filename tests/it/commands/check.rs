//! Each fact that is not in order shows with its remedy and exit code 1, and none hides another.

use std::net::SocketAddr;

use axum::routing::post;
use axum::{Json, Router};
use callfeed::simulator::{CallsScenario, KeyState, Limits, Simulator};
use serde_json::{Value, json};

use super::{Config, SECRET, account, agency, by_key, scenario, start};
use crate::support::{Callfeed, Servers, block_on, free_port, spawn};

/// The line of a bad fact that begins so, and the remedy below it.
#[track_caller]
fn bad(process: &Callfeed, subject: &str) -> (String, String) {
    let printed = process.stdout();
    let mut lines = printed.lines().skip_while(|line| !line.starts_with(&format!("✗ {subject}: ")));
    let fact = lines.next().unwrap_or_else(|| panic!("no `✗ {subject}` in:\n{printed}"));
    let remedy = lines.next().filter(|line| line.starts_with("    "));
    (fact.to_owned(), remedy.unwrap_or_else(|| panic!("no remedy for `{subject}` in:\n{printed}")).trim().to_owned())
}

#[track_caller]
fn assert_good(process: &Callfeed, subject: &str, detail: &str) {
    let printed = process.stdout();
    let line = printed.lines().find(|line| line.starts_with(&format!("✓ {subject}: ")));
    assert!(line.is_some_and(|line| line.contains(detail)), "no `✓ {subject}: ...{detail}` in:\n{printed}");
}

fn n_bad(process: &Callfeed) -> usize {
    process.stdout().lines().filter(|line| line.starts_with('✗')).count()
}

#[test]
fn everything_in_order_is_told_and_nothing_is_created() {
    let mut by_login = account("by-login");
    by_login.brand = "uis".into();
    (by_login.login, by_login.password) = (Some("user@example.ru".into()), Some(format!("{SECRET}-login").into()));
    let mut world = scenario(vec![account("by-key"), by_login, agency("agency", &[90_211, 90_245])]);
    world.accounts[0].calls = CallsScenario { days: 1.0, count: Some(100), ..CallsScenario::default() };
    let simulator = start(world);
    let config = Config::new()
        .account(&format!(
            "{}, filters: {{tags: [Целевой, {}]}}",
            by_key("acme", &simulator, "comagic", "hunter2-by-key"),
            tag_id(&simulator)
        ))
        .account(&format!(
            "name: beta, service: {{url: \"{}\"}}, timezone: Asia/Omsk, credentials: {{login: user@example.ru, password: {SECRET}-login}}",
            simulator.url("uis")
        ))
        .account(&format!("{}, customers: all", by_key("bureau", &simulator, "uis", "hunter2-agency")))
        .account(&format!("{}, enabled: false", by_key("old", &simulator, "comagic", "hunter2-gone")));

    let mut process = config.run(&["check"]);

    assert_eq!(process.exit_code(), 0, "{}", process.stdout());
    assert_eq!((n_bad(&process), process.stderr().as_str()), (0, ""));
    assert_good(&process, "config", "4 accounts, 1 of them disabled");
    assert_good(&process, "kafka", "1 broker at ");
    assert_good(&process, &format!("topic {}", config.calls_topic()), "is missing; `callfeed run` creates it");
    assert_good(&process, &format!("schema {}-value", config.calls_topic()), "first version");
    for (name, login) in [("acme", "API key"), ("beta", "login"), ("bureau", "API key")] {
        assert_good(&process, &format!("{name} host"), "127.0.0.1");
        assert_good(&process, &format!("{name} {login}"), "accepted");
        assert_good(&process, &format!("{name} IP list"), "let in");
        assert_good(&process, &format!("{name} points"), "10000 this minute");
    }
    assert_good(&process, "acme planned freshness", "15m every 30s, 2h every 5m, 24h every 1h, 30d every 24h");
    assert_good(&process, "bureau planned freshness", "as promised");
    assert_good(&process, "acme time zone", "Europe/Moscow, as the account says");
    assert_good(&process, "beta time zone", "Asia/Omsk, as `timezone` says");
    assert_good(&process, "acme tags", "all of `filters.tags` exist");
    assert_good(&process, "acme rights", "get.calls_report may be read");
    assert_good(&process, "bureau customers", "90211 (Администратор), 90245 (Администратор)");
    assert_good(&process, "bureau.90245 rights", "get.calls_report may be read");
    assert!(process.stdout().contains("\n- old: not looked at"), "{}", process.stdout());
    let in_order =
        ["✓ acme host", "✓ beta host", "✓ bureau host", "- old"].map(|line| process.stdout().find(line).unwrap());
    assert!(in_order.is_sorted());
    assert_eq!(Servers::shared().kafka.partitions(&config.calls_topic()), None);
    assert!(simulator.bugs().is_empty(), "{:?}", simulator.bugs());
    assert!(simulator.requests().iter().map(|request| request.points).sum::<u32>() <= 16);
}

#[test]
fn freshness_that_the_points_do_not_allow_is_doubted_and_no_failure() {
    let mut poor = account("poor");
    poor.limits = Limits::per(60, 3000);
    let simulator = start(scenario(vec![poor]));
    let keys = |name: &str| by_key(name, &simulator, "comagic", "hunter2-poor");
    let promises = "poll: {tiers: [{age: 15m, every: 30s}]}";

    let mut alone = Config::new().account(&format!("{}, {promises}", keys("acme"))).run(&["check"]);
    let mut shared =
        [keys("acme"), keys("beta")].iter().fold(Config::new(), |config, keys| config.account(keys)).run(&["check"]);

    let doubtful = "\n! acme planned freshness: 15m every 36s (promised 30s)\n    the ladder needs 2880 points a day and \
                    has 2400: raise `poll.points_share` to 0.96, or the limit";
    assert!(alone.stdout().contains(doubtful), "{}", alone.stdout());
    let doubtful = "\n! beta planned freshness: 15m every 1m 12s (promised 30s), 2h every 5m";
    assert!(shared.stdout().contains(doubtful), "{}", shared.stdout());
    assert_eq!((alone.exit_code(), shared.exit_code()), (0, 0));
}

fn tag_id(simulator: &Simulator) -> i64 {
    let calls = simulator.truth("by-key");
    calls.iter().find_map(|call| call.row["tags"][0]["tag_id"].as_i64()).unwrap()
}

#[test]
fn each_trouble_of_an_account_shows_with_its_remedy() {
    let names = ["wrong-key", "blocked", "ip", "forbidden", "tags", "inactive", "points"];
    let mut world = scenario(names.map(account).into());
    world.accounts.push(agency("agency", &[5, 6]));
    let simulator = start(world);
    simulator.set_key_state("blocked", KeyState::Blocked).unwrap();
    simulator.set_ip_list("ip", &["10.0.0.0/8"]).unwrap();
    simulator.set_forbidden("forbidden", &["get.calls_report"]).unwrap();
    simulator.set_active("inactive", false).unwrap();
    let limits = Limits { day_remaining: Some(0), ..Limits::default() };
    simulator.set_limits("points", &limits).unwrap();
    let keys =
        |name: &str, more: &str| format!("{}{more}", by_key(name, &simulator, "comagic", &format!("{SECRET}-{name}")));
    let nowhere = format!(
        "name: nowhere, service: {{url: \"http://127.0.0.1:{}/v2.0\"}}, credentials: {{api_key: hunter2}}",
        free_port()
    );
    let login = format!(
        "name: login, service: {{url: \"{}\"}}, credentials: {{login: user@example.ru, password: hunter2-wrong}}",
        simulator.url("comagic")
    );
    let config = [
        by_key("wrong-key", &simulator, "comagic", "hunter2-unknown"),
        login,
        keys("blocked", ""),
        keys("ip", ""),
        keys("forbidden", ""),
        format!("name: component, service: {{url: \"{}\"}}, credentials: {{api_key: hunter2}}", without_components()),
        keys("tags", ", filters: {tags: [Целевои, 12345]}"),
        keys("inactive", ""),
        keys("points", ""),
        nowhere,
        format!("{}, customers: [5, 7]", by_key("agency", &simulator, "uis", "hunter2-agency")),
        format!("{}, customers: all", by_key("no-agency", &simulator, "comagic", "hunter2-tags")),
    ]
    .iter()
    .fold(Config::new(), |config, keys| config.account(keys));

    let mut process = config.run(&["check"]);

    let table = [
        ("wrong-key API key", "access_token_invalid", "keys of CoMagic and UIS are not interchangeable"),
        ("login login", "auth_error", "logins of CoMagic and UIS are not interchangeable"),
        ("blocked API key", "access_token_blocked", "unblock it in the client area"),
        (
            "ip IP list",
            "ip_not_whitelisted",
            "add the address 127.0.0.1 to the list in the client area, security settings",
        ),
        ("forbidden rights", "forbidden", "in the client area, in the user's rights"),
        ("component rights", "component_disabled", "components call_tracking, lead in the client area, in the tariff"),
        ("tags tags", "did you mean `Целевой`", "correct `filters.tags`"),
        ("inactive", "account_inactive", "support"),
        ("points points", "limit_exceeded", "limits raised in the client area"),
        ("nowhere host", "cannot connect", "firewall"),
        (
            "agency customers",
            "7 is no user of a customer",
            "correct `customers` of `agency`; there are 5 (Администратор), 6",
        ),
        ("no-agency customers", "forbidden", "set `customers: none`"),
    ];
    for (subject, detail, remedy) in table {
        let (fact, told) = bad(&process, subject);
        assert!(fact.contains(detail), "`{detail}` is not in: {fact}");
        assert!(told.contains(remedy), "`{remedy}` is not in: {told}");
    }
    assert!(process.stdout().contains("✗ tags tags: tag `12345` does not exist"), "{}", process.stdout());
    assert_good(&process, "ip host", "answers");
    assert_good(&process, "forbidden time zone", "Europe/Moscow");
    assert_good(&process, "agency.5 rights", "may be read");
    assert_eq!(process.exit_code(), 1);
    assert_eq!(n_bad(&process), table.len() + 1, "{}", process.stdout());
    assert!(simulator.counts("wrong-key", "get.account").requests() <= 1);
}

/// An account without the component that the report needs. The documents name none for it, so the simulator does not
/// refuse this; the real API's list may be longer.
fn without_components() -> String {
    let answer = async |Json(request): Json<Value>| {
        let mut answer = json!({"jsonrpc": "2.0", "id": request["id"]});
        if request["method"] == "get.account" {
            answer["result"] =
                json!({"data": [{"app_id": 1, "name": "a", "timezone": "Europe/Moscow"}], "metadata": {}});
        } else {
            let data = json!({"mnemonic": "method_component_disabled", "params": {"components": "call_tracking,lead"}});
            answer["error"] = json!({"code": -32008, "message": "You need at least one component", "data": data});
        }
        Json(answer)
    };
    let listener = block_on(async { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap() });
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/v2.0", post(answer));
    spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}/v2.0")
}

#[test]
fn a_certificate_that_is_not_trusted_shows_with_the_remedy() {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = certificate.cert.pem();
    let tls = server_tls(&certificate);
    let simulator = block_on(async move {
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Simulator::start_tls(scenario(vec![account("acme")]), listen, tls).await.unwrap()
    });
    let config = Config::new().account(&by_key("acme", &simulator, "comagic", "hunter2-acme"));

    let mut process = config.run(&["check"]);

    let (fact, remedy) = bad(&process, "acme host");
    assert!(fact.contains("no trusted TLS connection"), "{fact}");
    assert!(remedy.contains("`http.ca_file`"), "{remedy}");
    assert_eq!((process.exit_code(), n_bad(&process)), (1, 1), "{}", process.stdout());

    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), pem).unwrap();
    let trusting =
        config.text().replace("{proxy: none}", &format!("{{proxy: none, ca_file: \"{}\"}}", ca_file.path().display()));
    let mut process = crate::support::Setup::new(&["check", "--config", "callfeed.yaml"])
        .file("callfeed.yaml", &trusting)
        .run(super::PATIENCE);
    assert_eq!(process.exit_code(), 0, "{}", process.stdout());
}

fn server_tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> rustls::ServerConfig {
    // Another test may have chosen it already; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap()
}

#[test]
fn kafka_and_registry_away_hide_nothing_else() {
    let simulator = start(scenario(vec![account("acme")]));
    let away = format!("127.0.0.1:{}", free_port());
    let config = Config { bootstrap: away.clone(), registry: format!("http://{away}"), ..Config::new() }
        .account(&by_key("acme", &simulator, "comagic", "hunter2-acme"));

    let mut process = config.run(&["check"]);

    let (fact, remedy) = bad(&process, "kafka");
    assert!(fact.contains(&away) && remedy.contains("`kafka.bootstrap_servers`"), "{fact}\n{remedy}");
    let (fact, remedy) = bad(&process, "schema registry");
    assert!(fact.contains(&away) && remedy.contains("`schema_registry.url`"), "{fact}\n{remedy}");
    assert_good(&process, "acme rights", "may be read");
    assert_eq!((process.exit_code(), n_bad(&process)), (1, 2), "{}", process.stdout());
}

#[test]
fn topics_and_schemas_that_are_not_fit_show_with_the_remedy() {
    let simulator = start(scenario(vec![account("acme")]));
    let servers = Servers::shared();
    let config = Config::new().account(&by_key("acme", &simulator, "comagic", "hunter2-acme"));
    servers.kafka.create_topic(&config.state_topic(), 2, &[("cleanup.policy", "delete")]);
    // Brokers refuse names that differ only in `.` and `_`: the one refusal to create that needs no access rules.
    servers.kafka.create_topic(&config.calls_topic().replace('.', "_"), 1, &[]);
    let subject = format!("{}-value", config.calls_topic());
    let other = json!({"type": "record", "name": "CallEvent", "namespace": "callfeed.v1",
                       "fields": [{"name": "event_id", "type": "long"}]});
    servers.registry.register(&subject, &other.to_string());
    let level = json!({"compatibility": "FULL_TRANSITIVE"});
    servers.registry.request(reqwest::Method::PUT, &format!("/config/{subject}"), Some(level));

    let mut process = config.run(&["check"]);

    let (fact, remedy) = bad(&process, &format!("topic {}", config.state_topic()));
    assert!(
        fact.contains("must be `compact`") && remedy.contains("--add-config cleanup.policy=compact"),
        "{fact}\n{remedy}"
    );
    let (fact, remedy) = bad(&process, &format!("topic {}", config.calls_topic()));
    assert!(fact.contains("cannot be created") && remedy.contains("--create --topic"), "{fact}\n{remedy}");
    let (fact, remedy) = bad(&process, &format!("schema {subject}"));
    assert!(fact.contains("incompatible") && remedy.contains(&subject), "{fact}\n{remedy}");
    assert_eq!((process.exit_code(), n_bad(&process)), (1, 3), "{}", process.stdout());
}

#[test]
fn topics_that_cannot_be_created_show_with_the_remedy() {
    let simulator = start(scenario(vec![account("acme")]));
    let mut config = Config::new().account(&by_key("acme", &simulator, "comagic", "hunter2-acme"));
    config.kafka = String::new();
    let mut process = config.run(&["check"]);
    let (fact, remedy) = bad(&process, &format!("topic {}", config.calls_topic()));
    assert!(fact.contains("the cluster has 1 broker") && remedy.contains("replication_factor"), "{fact}\n{remedy}");
    assert_eq!((process.exit_code(), n_bad(&process)), (1, 3));

    config.kafka = ", create_topics: {enabled: false}".to_owned();
    let process = config.run(&["check"]);
    let (fact, remedy) = bad(&process, &format!("topic {}", config.state_topic()));
    assert!(fact.contains("is missing") && remedy.contains("--config cleanup.policy=compact"), "{fact}\n{remedy}");
}

#[test]
fn customers_with_topics_of_their_own_have_them_looked_at() {
    let simulator = start(scenario(vec![agency("agency", &[5, 6])]));
    let mut config =
        Config::new().account(&format!("{}, customers: all", by_key("bureau", &simulator, "uis", "hunter2-agency")));
    config.more = format!("topics: {{calls: \"{}.{{account}}\"}}\n", config.prefix);

    let mut process = config.run(&["check"]);

    for id in [5, 6] {
        let topic = format!("{}.bureau.{id}", config.prefix);
        assert_good(&process, &format!("topic {topic}"), "creates it");
        assert_good(&process, &format!("schema {topic}-value"), "first version");
    }
    assert_eq!(process.exit_code(), 0, "{}", process.stdout());
    let one = config.run(&["check", "--account", "bureau.6"]);
    assert!(!one.stdout().contains("bureau.5"), "{}", one.stdout());
}

#[test]
fn an_account_is_looked_at_alone_by_its_name() {
    let simulator = start(scenario(vec![account("acme"), account("other")]));
    let config = Config::new()
        .account(&format!("{}, enabled: false", by_key("acme", &simulator, "comagic", "hunter2-acme")))
        .account(&by_key("other", &simulator, "comagic", "hunter2-other"));

    let mut process = config.run(&["check", "--account", "acme"]);
    assert_good(&process, "acme rights", "may be read");
    assert!(!process.stdout().contains("other"), "{}", process.stdout());
    assert_eq!(process.exit_code(), 0);

    let mut process = config.run(&["check", "--account", "acne"]);
    assert!(process.stderr().contains("no account `acne` in the configuration; did you mean `acme`?"));
    assert_eq!((process.exit_code(), process.stdout().as_str()), (2, ""));
}

#[test]
fn a_bad_configuration_is_bad_usage() {
    let mut config = Config::new().account("name: acme, service: comagik, credentials: {api_key: hunter2}");
    config.more = "tpoics: {}\n".to_owned();
    let mut process = config.run(&["check"]);
    let told = process.stderr();
    assert!(told.contains("did you mean `comagic`") && told.contains("tpoics"), "{told}");
    assert_eq!(process.exit_code(), 2);
}
