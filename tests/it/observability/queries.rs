//! Every query of the dashboard and of the rules, in a real Prometheus that has scraped the real service: with each account
//! and with sums, and with accounts that are well, blocked, out of points, and with rows that cannot be read.

use std::time::Duration;

use callfeed::simulator::{BadRows, CallsScenario, ClockScenario, Key, Limits, Scenario};
use serde_json::{Value, json};

use super::{chart, dashboard, rules};
use crate::delivery::feed::{Feed, account, api_key, history, standing_with};
use crate::support::{Callfeed, Prometheus, block_on, eventually, promtool};

const PATIENCE: Duration = Duration::from_secs(90);

/// The names of the two services for Prometheus.
const EACH: &str = "callfeed-each";
const SUMS: &str = "callfeed-sums";

#[test]
fn every_query_of_rules_and_dashboard_is_answered_from_the_real_service() {
    let (each, sums) = (world(true), world(false));
    let services = [start(&each), start(&sums)];
    services.iter().for_each(wait_until_all_is_seen);
    services.iter().for_each(assert_well_written);

    let [each_url, sums_url] = services.each_ref().map(Callfeed::admin_url);
    let prometheus = Prometheus::start(&[(EACH, &each_url), (SUMS, &sums_url)], &chart(rules::RULES));
    eventually("Prometheus to scrape both several times", PATIENCE, || {
        let scraped = prometheus.query("count_over_time(callfeed_build_info[5m]) >= 3").unwrap();
        (scraped.len() == 2).then_some(())
    });
    for job in [EACH, SUMS] {
        assert_panels_have_data(&prometheus, job);
        assert_variables_have_values(&prometheus, job);
    }
    assert_rules_have_data(&prometheus);
    assert_alerts_are_raised(&prometheus);
}

/// Four accounts, each in another situation.
fn world(per_account: bool) -> Feed {
    let bad_rows = BadRows { share: 0.3, ..BadRows::default() };
    let mut accounts = vec![
        account("healthy", history(20)),
        account("blocked", history(5)),
        account("limited", history(5)),
        account("unreadable", CallsScenario { bad_rows, ..history(30) }),
    ];
    accounts[1].keys = vec![Key::new("another-key-than-that-of-the-config")];
    // One to ask for its time zone, one to read; the last 24 of a day are spent one by one.
    accounts[2].limits = Limits { day_remaining: Some(26), ..Limits::per(1000, 3000) };
    let mut feed = Feed::of(Scenario { clock: ClockScenario::default(), ..standing_with(accounts) });
    feed.configure(json!({"metrics": {"per_account": per_account}}));
    feed
}

fn start(feed: &Feed) -> Callfeed {
    assert_eq!(feed.config["accounts"][1]["credentials"]["api_key"], api_key("blocked"));
    feed.start()
}

fn wait_until_all_is_seen(service: &Callfeed) {
    let expected = [("healthy", "live"), ("blocked", "blocked"), ("limited", "limited"), ("unreadable", "live")];
    eventually("each account to be in its situation", PATIENCE, || {
        expected.iter().all(|(account, status)| self::status(service, account) == *status).then_some(())
    });
    let dead_letters = || {
        service.get("/metrics").lines().any(|line| {
            line.strip_prefix("callfeed_dead_letters_total{stage=\"decode\"} ").is_some_and(|value| value != "0")
        })
    };
    eventually("dead letters", PATIENCE, || dead_letters().then_some(()));
}

fn status(service: &Callfeed, account: &str) -> String {
    let shown: Value = serde_json::from_str(&service.get(&format!("/api/v1/accounts/{account}"))).unwrap();
    shown["status"].as_str().unwrap_or_default().to_owned()
}

/// As Prometheus's own tool sees it: units, names, help.
fn assert_well_written(service: &Callfeed) {
    let url = format!("{}/metrics", service.admin_url());
    let text = block_on(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(url).header("accept", "text/plain").send().await.unwrap().text().await.unwrap()
    });
    let output = promtool(&["check", "metrics"], &text);
    assert!(output.status.success(), "{output:?}\n{text}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

fn assert_panels_have_data(prometheus: &Prometheus, job: &str) {
    let targets = dashboard::targets();
    assert!(targets.len() > 40, "{}", targets.len());
    for target in targets {
        let expression = filled_in(&target.expression, job);
        let answer = match target.is_instant {
            true => prometheus.query(&expression),
            false => prometheus.query_range(&expression),
        };
        let found = answer.unwrap_or_else(|error| panic!("{}: {expression}: {error}", target.panel));
        assert!(!found.is_empty(), "{} in {job}: {expression} finds nothing", target.panel);
    }
}

/// As Grafana fills in its variables; all accounts are chosen.
fn filled_in(expression: &str, job: &str) -> String {
    expression.replace("$job", job).replace("$account", ".*").replace("$__rate_interval", "1m")
}

fn assert_variables_have_values(prometheus: &Prometheus, job: &str) {
    for variable in dashboard::dashboard()["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["definition"].as_str() else { continue };
        let (metric, label) =
            query.trim_start_matches("label_values(").trim_end_matches(')').rsplit_once(", ").unwrap();
        let found = prometheus.query(&format!("group by ({label}) ({})", filled_in(metric, job))).unwrap();
        let mut values: Vec<&str> = found.iter().filter_map(|one| one["metric"][label].as_str()).collect();
        values.sort_unstable();
        let expected: &[&str] = match (label, job) {
            ("job", _) => &[EACH, SUMS],
            (_, EACH) => &["blocked", "healthy", "limited", "unreadable"],
            _ => &[],
        };
        assert_eq!(values, expected, "{query} in {job}");
    }
}

/// A rule that names what callfeed does not have would be silent for ever.
fn assert_rules_have_data(prometheus: &Prometheus) {
    let groups = prometheus.api("/api/v1/rules", &[]);
    let loaded: Vec<&Value> = groups["data"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert_eq!(loaded.len(), rules::all().len());
    for rule in loaded {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let is_paused_account = |selector: &str| selector.contains("account!=\"\"");
    for rule in rules::all() {
        prometheus.query(&rule.expression).unwrap_or_else(|error| panic!("{}: {error}", rule.name));
        let selectors = selectors(&rule.expression);
        assert!(!selectors.is_empty(), "{}", rule.name);
        for selector in selectors {
            let found = prometheus.query(&format!("count by (job) ({selector})")).unwrap();
            let mut jobs: Vec<&str> = found.iter().filter_map(|one| one["metric"]["job"].as_str()).collect();
            jobs.sort_unstable();
            let expected: &[&str] = if is_paused_account(&selector) { &[EACH] } else { &[EACH, SUMS] };
            assert_eq!(jobs, expected, "{}: {selector}", rule.name);
        }
    }
}

/// Names of metrics with their matchers in braces, if there are any.
fn selectors(expression: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_of_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let is_metric = name.starts_with("callfeed") || name.starts_with("process_") || name == "up";
        if is_metric {
            let braces = if rest.starts_with('{') { rest.find('}').map_or(0, |at| at + 1) } else { 0 };
            found.push(format!("{name}{}", &rest[..braces]));
            rest = &rest[braces..];
        }
    }
    found
}

/// What is wrong in both services is about to be told, with its reason.
fn assert_alerts_are_raised(prometheus: &Prometheus) {
    let raised = |selector: &str| {
        eventually(selector, PATIENCE, || {
            let found = prometheus.query(&format!("ALERTS{{{selector}}}")).unwrap();
            (!found.is_empty()).then_some(())
        });
    };
    raised(&format!(
        "alertname=\"CallfeedAccountBlocked\", job=\"{EACH}\", account=\"blocked\", reason=\"access_token_invalid\""
    ));
    raised(&format!("alertname=\"CallfeedAccountBlocked\", job=\"{SUMS}\", reason=\"access_token_invalid\""));
    raised(&format!("alertname=\"CallfeedPointsRunningOut\", job=\"{EACH}\", credential=\"limited\""));
    let unexpected = "ALERTS{alertname!~\"CallfeedAccountBlocked|CallfeedPointsRunningOut|CallfeedDeadLetters|CallfeedPromiseNotKept\"}";
    assert_eq!(prometheus.query(unexpected).unwrap(), Vec::<Value>::new(), "nothing else is wrong");
}
