use std::collections::BTreeMap;

use super::*;
use crate::config::Config;

fn config(accounts: &str) -> Config {
    let text = format!(
        "kafka: {{bootstrap_servers: 'kafka:9092'}}\nschema_registry: {{url: 'http://registry:8081'}}\naccounts:\n{accounts}"
    );
    crate::config::parse(&text, &|_| None).unwrap()
}

fn facts(limits: Limits, calls_a_day: f64) -> Facts {
    Facts { limits, calls_a_day, calls_from: CallsFrom::LastWeek { n_asked: 1 }, n_customers: None }
}

fn told(a_minute: u64, a_day: u64) -> Limits {
    Limits::Told(BTreeMap::from([(PointsWindow::Minute, a_minute), (PointsWindow::Day, a_day)]))
}

/// The plan as it is printed; no line is too wide.
#[track_caller]
fn printed(accounts: &str, facts: &[Facts]) -> String {
    let accounts = config(accounts).accounts.into_iter().zip(facts.iter().cloned());
    let mut out = Vec::new();
    write(&Outlook::of(accounts.collect()), &mut out).unwrap();
    let printed = String::from_utf8(out).unwrap();
    for line in printed.lines() {
        assert!(line.chars().count() <= usize::from(WIDTH), "too wide: {line}");
        assert!(!line.ends_with(' '), "blanks at the end: {line:?}");
    }
    printed
}

#[track_caller]
fn assert_lines(printed: &str, lines: &[&str]) {
    for line in lines {
        assert!(printed.lines().any(|printed| printed == *line), "`{line}` is not in:\n{printed}");
    }
}

const ACME: &str = "  - {name: acme, service: comagic, credentials: {api_key: k}}\n";

#[test]
fn the_usual_ladder_with_the_usual_points() {
    let printed = printed(ACME, &[facts(told(60, 3000), 2000.0)]);
    let expected = "\
acme (comagic): 2000 calls a day, as in the week until yesterday
points: 60 a minute, 3000 a day, of which callfeed may use 80 % (`poll.points_share`)

  tier   promised every  pages  points/hour  points/day  planned every  note
  15m    30s                 1          120        2880  36s            later than promised
  2h     5m                  1            0           0  5m             no cost: read with 15m
  24h    1h                  1            0           0  1h             no cost: read with 15m
  30d    24h                12          0.5          12  24h
  total                                 120        2892

promises: 2892 points a day of the 2400 there are, not all kept
left over: nothing
back-fill: 13980 calls, 4 points, done in about 4s (from full counters)

  what if             15m  30d  points/day    promises  back-fill
  as it is            36s  24h  2892 of 2400  not all   4s
  points_share: 0.5   58s  24h  2892 of 1500  not all   4s
  points_share: 0.97  30s  24h  2892 of 2910  kept      4s
  points_share: 1.0   30s  24h  2892 of 3000  kept      4s
  page_size: 10000    36s  24h  2886 of 2400  not all   3s
  15m every 15s       36s  24h  5772 of 2400  not all   4s
  15m every 1m        1m   24h  1452 of 2400  kept      4s
  30d every 2d        36s  2d   2886 of 2400  not all   4s

";
    assert_eq!(printed, expected);
}

#[test]
fn what_is_left_over_is_told_with_what_it_is_for() {
    let ladder = "poll: {points_share: 1.0, tiers: [{age: 15m, every: 1m}]";
    let account = |more: &str| ACME.replace("}}\n", &format!("}}, {ladder}{more}}}}}\n"));
    let facts = [facts(told(60, 3000), 0.0)];
    assert_lines(
        &printed(&account(""), &facts),
        &[
            "promises: 1440 points a day of the 3000 there are, kept",
            "left over: 1560 points a day, for earlier reads where changes show up (`poll.adaptive`)",
            "back-fill: 0 calls, 3 points, done in about 3s (from full counters)",
        ],
    );
    assert_lines(
        &printed(&account(", adaptive: false"), &facts),
        &["left over: 1560 points a day, not used, as `poll.adaptive` is false"],
    );
}

#[test]
fn limits_that_are_not_known_are_told_as_such() {
    let printed_with = |limits: Limits| printed(ACME, &[facts(limits, 100.0)]);
    let not_told = printed_with(Limits::NotTold);
    assert_lines(
        &not_told,
        &[
            "points: the service names no limit, so every promise can be kept",
            "promises: 2880 points a day, kept",
            "  15m every 15s     15s  24h  5760        kept      3s",
        ],
    );
    assert!(!not_told.contains("points_share: ") && !not_told.contains("left over"), "{not_told}");
    let assumed = printed_with(Limits::Assumed { why: "cannot connect".to_owned() });
    assert_lines(
        &assumed,
        &[
            "points: 60 a minute, 3000 a day are ASSUMED, of which callfeed may use 80 % (`poll.points_share`);",
            "  the account was not asked: cannot connect",
        ],
    );
}

#[test]
fn accounts_and_customers_with_one_credential_are_shown_with_each_other() {
    let agency = "  - {name: bureau, service: uis, credentials: {api_key: k}, customers: all}\n";
    let other = "  - {name: other, service: uis, credentials: {api_key: k}, customers: [7]}\n";
    let of_agency = |n_asked, n_customers, calls| Facts {
        calls_from: CallsFrom::LastWeek { n_asked },
        n_customers: Some(n_customers),
        ..facts(told(200, 10_000), calls)
    };
    let printed = printed(&[agency, other].concat(), &[of_agency(2, 12, 50.0), of_agency(1, 1, 4.5)]);
    assert_lines(
        &printed,
        &[
            "bureau (uis), each of 12 customers: 50 calls a day, as 2 of them had in the week until yesterday",
            "shared with other: the same credential",
            "other (uis), one customer: 4.5 calls a day, as in the week until yesterday",
            "shared with bureau: the same credential",
            "promises of all 13: 37440 points a day of the 8000 there are, not all kept",
            "  points_share: 1.0       1m 52s  24h  37440 of 10000  not all   39s",
            "  a limit of 46800 a day  30s     24h  37440 of 37440  kept      39s",
        ],
    );
}

#[test]
fn a_back_fill_that_never_ends_is_told() {
    let poor = Limits::Told(BTreeMap::from([(PointsWindow::Hour, 1)]));
    let printed = printed(ACME, &[facts(poor, 100.0)]);
    assert_lines(&printed, &["back-fill: 699 calls, 3 points, never done, as there are no points to spare"]);
    assert!(printed.contains("1 an hour, of which") && printed.contains("  a limit of 150 an hour"), "{printed}");
}

#[test]
fn an_agency_that_cannot_be_asked_counts_as_one_customer() {
    let agency = ACME.replace("}}\n", "}, customers: all}\n");
    let given = Facts {
        calls_from: CallsFrom::Given,
        n_customers: Some(1),
        ..facts(Limits::Assumed { why: "cannot connect".to_owned() }, 100.0)
    };
    assert_lines(
        &printed(&agency, &[given]),
        &["acme (comagic), as if it had one customer: 100 calls a day, as given"],
    );
}
