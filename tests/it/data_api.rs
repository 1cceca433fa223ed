//! The client of the Data API against the simulator: what it reads is what is there, and each failure has its class.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use callfeed::domain::time::{Instant, Interval};
use callfeed::edge::data_api::{
    ApiError, Class, Client, Credentials, Http, HttpSettings, LimitWindow, Page, Proxy, ReportQuery, SecretString,
};
use callfeed::simulator::{
    AccountScenario, AgencyAccount, CallsScenario, Fault, KeyState, Limits, MetaData, Scenario, Simulator, Variants,
};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

const KEY: &str = "demo-key-of-okna";
const AGENCY_KEY: &str = "demo-key-of-agency";

async fn simulator(change: impl FnOnce(&mut Scenario)) -> Simulator {
    let mut scenario = Scenario::demo(0.0, 3);
    let calls = CallsScenario { days: 2.0, count: Some(40), ..CallsScenario::default() };
    for account in &mut scenario.accounts {
        account.customers.iter_mut().for_each(|customer| customer.calls = calls.clone());
        if account.customers.is_empty() {
            account.calls = calls.clone();
        }
    }
    change(&mut scenario);
    Simulator::start(scenario, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn account<'a>(scenario: &'a mut Scenario, name: &str) -> &'a mut AccountScenario {
    scenario.accounts.iter_mut().find(|account| account.name == name).unwrap()
}

fn settings() -> HttpSettings {
    HttpSettings { timeout: Duration::from_secs(20), ca_file: None, proxy: Proxy::None, memory: 64 << 20 }
}

fn client(url: &str, credentials: Credentials, settings: &HttpSettings) -> Client {
    let http = Http::new(settings).unwrap();
    Client::new(http, url, credentials, Arc::new(|_| {}), Arc::new(SystemTime::now)).unwrap()
}

fn by_key(simulator: &Simulator, key: &'static str) -> Client {
    let key = Credentials::ApiKey(Arc::new(move || Ok(SecretString::new(key))));
    client(&simulator.url("comagic"), key, &settings())
}

fn by_login(simulator: &Simulator, brand: &str) -> Client {
    let password = Arc::new(|| Ok(SecretString::new("demo-password")));
    let login = Credentials::Login { login: "demo@example.ru".into(), password };
    client(&simulator.url(brand), login, &settings())
}

/// The last three days, which hold everything.
async fn read(client: &Client, simulator: &Simulator, user_id: Option<i64>) -> Result<Page, ApiError> {
    let now = Instant::from_unix_seconds(simulator.now().as_second());
    let days = Interval::new(now - Duration::from_secs(3 * 86400), now + Duration::from_secs(86400)).unwrap();
    let window = days.to_local(&TimeZone::get("Europe/Moscow").unwrap());
    let query = ReportQuery {
        method: "get.calls_report",
        user_id,
        date_from: window.from,
        date_till: window.till,
        limit: 10_000,
        offset: 0,
        fields: &["id", "start_time", "source", "tags", "is_lost"],
        sort_by: "start_time",
    };
    client.report(&query).await
}

/// Ids may come as text in one of the spellings.
fn ids(page: &Page) -> Vec<i64> {
    #[derive(Deserialize)]
    struct Row {
        id: Value,
    }
    let mut ids: Vec<i64> =
        page.rows::<Row>().map(|row| row.decoded.unwrap().id.to_string().trim_matches('"').parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn true_ids(simulator: &Simulator, account: &str) -> Vec<i64> {
    let truth = simulator.truth(account);
    let mut ids: Vec<i64> = truth.iter().filter(|call| call.visible).map(|call| call.id).collect();
    assert!(!ids.is_empty(), "nothing to read in {account}");
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_page_holds_the_calls_that_are_there() {
    let simulator = simulator(|_| ()).await;
    let client = by_key(&simulator, KEY);

    let page = read(&client, &simulator, None).await.unwrap();

    assert_eq!(ids(&page), true_ids(&simulator, "okna"));
    assert_eq!(page.total_items(), Some(ids(&page).len() as u64));
    let limits = client.limits().unwrap();
    assert_eq!((limits.minute.limit, limits.minute.remaining), (Some(600), Some(599)));
    assert_eq!(client.account(None).await.unwrap().timezone, "Europe/Moscow");
    assert!(!client.tags(None).await.unwrap().is_empty());
    assert_eq!(simulator.bugs().len(), 0, "{:?}", simulator.bugs());
}

#[tokio::test]
async fn odd_spellings_make_no_difference() {
    let variants = Variants {
        expire: true,
        meta_data: MetaData::Always,
        null_error_id: true,
        null_arrays: true,
        text_numbers: true,
        iso_dates: true,
    };
    let simulator = simulator(|scenario| scenario.variants = variants).await;
    let client = by_login(&simulator, "uis");

    let page = read(&client, &simulator, None).await.unwrap();
    assert_eq!(ids(&page), true_ids(&simulator, "klinika"));
    assert_eq!(client.account(None).await.unwrap().timezone, "Asia/Yekaterinburg");
    assert!(!client.tags(None).await.unwrap().is_empty());

    simulator.set_active("klinika", false).unwrap();
    assert_eq!(read(&client, &simulator, None).await.unwrap_err().mnemonic(), Some("account_inactive"));
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_replaced() {
    let simulator = simulator(|_| ()).await;
    let client = by_login(&simulator, "uis");
    read(&client, &simulator, None).await.unwrap();
    assert_eq!(simulator.end_sessions("klinika"), Ok(1));

    let pages = futures::future::join_all((0..20).map(|_| read(&client, &simulator, None))).await;

    assert!(pages.iter().all(Result::is_ok));
    assert_eq!(simulator.counts("klinika", "login.user").requests(), 2);
}

#[tokio::test]
async fn a_login_of_another_brand_is_for_the_owner() {
    let simulator = simulator(|_| ()).await;

    let error = by_login(&simulator, "comagic").account(None).await.unwrap_err();

    assert_eq!((error.mnemonic(), error.class()), (Some("auth_error"), Class::Owner));
    assert!(error.remedy().contains("CoMagic and UIS are not interchangeable"));
}

#[tokio::test]
async fn an_agency_reads_each_of_its_customers() {
    let simulator = simulator(|scenario| {
        for customer in &mut account(scenario, "agency").customers {
            customer.calls = CallsScenario { days: 2.0, count: Some(20), ..CallsScenario::default() };
        }
        account(scenario, "agency").customers[1].timezone = "Asia/Novosibirsk".into();
    })
    .await;
    let client = by_key(&simulator, AGENCY_KEY);

    let mut zones = Vec::new();
    for user in client.customer_users().await.unwrap() {
        let page = read(&client, &simulator, Some(user.id)).await.unwrap();
        assert_eq!(ids(&page), true_ids(&simulator, &format!("agency.{}", user.id)));
        assert!(!client.tags(Some(user.id)).await.unwrap().is_empty());
        zones.push((user.id, client.account(Some(user.id)).await.unwrap().timezone));
    }

    zones.sort_unstable();
    assert_eq!(zones, [(90_211, "Europe/Moscow".to_owned()), (90_245, "Asia/Novosibirsk".to_owned())]);
    assert_eq!(simulator.bugs().len(), 0, "{:?}", simulator.bugs());
    let gone = read(&client, &simulator, Some(5)).await.unwrap_err();
    assert_eq!(gone.class(), Class::Owner, "{gone}");
}

#[tokio::test]
async fn an_agency_that_may_not_name_a_user_gets_its_own_account() {
    let simulator = simulator(|scenario| account(scenario, "agency").agency_account = AgencyAccount::Own).await;

    let account = by_key(&simulator, AGENCY_KEY).account(Some(90_245)).await.unwrap();

    assert_eq!(account.app_id, Some(70_001));
}

#[tokio::test]
async fn faults_pass_and_never_bring_data() {
    let simulator = simulator(|_| ()).await;
    let impatient = HttpSettings { timeout: Duration::from_millis(500), ..settings() };
    let key = Credentials::ApiKey(Arc::new(|| Ok(SecretString::new(KEY))));
    let client = client(&simulator.url("comagic"), key, &impatient);
    let http = |status, json, retry_after| Fault::Http { status, json, retry_after };
    let now = Class::Retry { after: None };
    let after_7s = Some(Duration::from_secs(7));
    let table = [
        (http(502, false, None), now),
        (http(503, false, Some(7)), Class::Retry { after: after_7s }),
        (http(500, true, None), now),
        (http(429, false, Some(7)), Class::Limited { window: LimitWindow::Unknown, wait: after_7s }),
        (Fault::Reset, now),
        (Fault::Truncate, now),
        (Fault::Hang, now),
        (Fault::Drip { bytes_per_second: 10 }, now),
        (Fault::InternalError, now),
        (Fault::NotJson, now),
    ];
    for (fault, class) in table {
        simulator.inject(fault.clone().next(1));
        let error = read(&client, &simulator, None).await.unwrap_err();
        assert_eq!(error.class(), class, "{fault:?}: {error}");
        simulator.clear_faults();
        let page = read(&client, &simulator, None).await.unwrap();
        assert_eq!(ids(&page), true_ids(&simulator, "okna"), "after {fault:?}");
    }
}

#[tokio::test]
async fn points_that_are_spent_say_how_long_to_wait() {
    let simulator = simulator(|scenario| account(scenario, "okna").limits = Limits::per(1, 3000)).await;
    let client = by_key(&simulator, KEY);
    client.account(None).await.unwrap();

    let error = client.account(None).await.unwrap_err();

    let Class::Limited { window: LimitWindow::Minute, wait: Some(wait) } = error.class() else { panic!("{error:?}") };
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!(client.limits().unwrap().minute.remaining, Some(0));
}

#[tokio::test]
async fn owners_learn_what_to_do() {
    let simulator = simulator(|_| ()).await;
    let client = by_key(&simulator, KEY);
    let failure = async |mnemonic: &str| {
        let error = read(&client, &simulator, None).await.unwrap_err();
        assert_eq!((error.mnemonic(), error.class()), (Some(mnemonic), Class::Owner), "{error}");
        error.remedy()
    };

    let address: IpAddr = "203.0.113.24".parse().unwrap();
    simulator.set_caller_address(Some(address));
    simulator.set_ip_list("okna", &["10.0.0.0/8"]).unwrap();
    assert!(failure("ip_not_whitelisted").await.contains("203.0.113.24"));
    simulator.set_ip_list("okna", &["0.0.0.0/0"]).unwrap();

    simulator.set_forbidden("okna", &["get.calls_report"]).unwrap();
    assert!(failure("forbidden").await.contains("`get.calls_report`"));
    simulator.set_forbidden("okna", &[]).unwrap();

    simulator.set_active("okna", false).unwrap();
    assert!(failure("account_inactive").await.contains("switched off"));
    simulator.set_active("okna", true).unwrap();

    for (state, mnemonic) in [(KeyState::Blocked, "access_token_blocked"), (KeyState::Expired, "access_token_expired")]
    {
        simulator.set_key_state("okna", state).unwrap();
        assert!(failure(mnemonic).await.contains("`credentials.api_key`"));
    }
    simulator.set_key_state("okna", KeyState::Active).unwrap();
    read(&client, &simulator, None).await.unwrap();
}

#[tokio::test]
async fn answers_are_read_over_tls_with_a_ca_of_ones_own() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), own.cert.pem()).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], private)
        .unwrap();
    let scenario = Scenario::demo(0.0, 1);
    let simulator = Simulator::start_tls(scenario, "127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
    let url = format!("https://localhost:{}/comagic/v2.0", simulator.addr().port());
    let key = || Credentials::ApiKey(Arc::new(|| Ok(SecretString::new(KEY))));

    let trusting = HttpSettings { ca_file: Some(ca_file.path().to_owned()), ..settings() };
    assert_eq!(client(&url, key(), &trusting).account(None).await.unwrap().timezone, "Europe/Moscow");

    let error = client(&url, key(), &settings()).account(None).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, "tls"), "{error}");
    assert_eq!(simulator.requests().len(), 1, "nothing may be sent before the certificate is trusted");
}
