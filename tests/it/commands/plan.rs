//! What `plan` shows agrees with the points and calls of the simulator, costs next to nothing, and needs no Kafka.

use callfeed::simulator::{CallsScenario, Limits, LimitsShape, Simulator};
use serde_json::{Value, json};

use super::{Config, SECRET, account, agency, by_key, scenario, start};
use crate::support::{Callfeed, free_port};

/// Nine days, so that the week before yesterday is full.
fn calls(per_day: f64) -> CallsScenario {
    CallsScenario { days: 9.0, per_day, per_hour: 0.0, ..CallsScenario::default() }
}

fn points_spent(simulator: &Simulator) -> u32 {
    simulator.requests().iter().map(|request| request.points).sum()
}

/// The lines of JSON by account.
#[track_caller]
fn plans(process: &Callfeed) -> Vec<Value> {
    process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn assert_near(value: &Value, expected: f64) {
    let number = value.as_f64().unwrap();
    assert!((number / expected - 1.0).abs() < 0.1, "{number} is not near {expected}");
}

#[test]
fn points_and_calls_are_asked_for_at_the_price_of_one() {
    let mut shop = account("shop");
    (shop.limits, shop.calls) = (Limits::per(60, 3000), calls(200.0));
    let simulator = start(scenario(vec![shop]));
    let config = Config::offline().account(&by_key("acme", &simulator, "comagic", "hunter2-shop"));

    let mut process = config.run(&["plan"]);

    let printed = process.stdout();
    assert_eq!((process.exit_code(), process.stderr().as_str()), (0, ""), "{printed}");
    for text in [
        "calls a day, as in the week until yesterday\n",
        "points: 60 a minute, 3000 a day, of which callfeed may use 80 % (`poll.points_share`)\n",
        "  15m    30s                 1          120        2880  36s            later than promised\n",
        "  points_share: 0.97  30s  ",
        "\n1 point was used\n",
    ] {
        assert!(printed.contains(text), "`{text}` is not in:\n{printed}");
    }
    assert_eq!(points_spent(&simulator), 1);

    let process = config.run(&["plan", "--account", "acme", "--format", "json"]);
    let [plan] = &plans(&process)[..] else { panic!("{}", process.stdout()) };
    assert_near(&plan["calls_per_day"]["each"], 200.0);
    assert_eq!(plan["points"], json!({"from": "told", "share": 0.8, "a_minute": 60, "an_hour": null, "a_day": 3000}));
    assert_eq!((&plan["ladder"][0]["kept"], &plan["ladder"][1]["rides_on"]), (&json!(false), &json!("15m")));
    assert_near(&plan["ladder"][0]["planned_seconds"], 36.0);
    assert_near(&plan["backfill"]["calls"], 1400.0);
    let kept: Vec<&Value> =
        plan["what_if"].as_array().unwrap().iter().filter(|variant| variant["promises_kept"] == true).collect();
    assert_eq!(kept[0]["change"], "points_share: 0.97");
    assert_eq!(process.stderr(), "1 point was used\n");
    assert!(simulator.bugs().is_empty(), "{:?}", simulator.bugs());
}

#[test]
fn customers_of_an_agency_share_its_points() {
    let mut world = agency("agency", &[5, 6, 7, 8]);
    for (customer, per_day) in world.customers.iter_mut().zip([100.0, 900.0, 900.0, 300.0]) {
        customer.calls = calls(per_day);
    }
    let simulator = start(scenario(vec![world]));
    let config = Config::offline()
        .account(&format!("{}, customers: all", by_key("bureau", &simulator, "uis", "hunter2-agency")));

    let process = config.run(&["plan", "--format", "json"]);
    let plan = &plans(&process)[0];
    assert_eq!(plan["customers"], 4);
    assert_near(&plan["calls_per_day"]["each"], 200.0);
    assert_eq!(plan["points_needed_per_day"], 4.0 * 2880.0 + 4.0 * 2.0);
    assert_eq!(points_spent(&simulator), 3);

    let process = config.run(&["plan", "--account", "bureau.6", "--format", "json"]);
    assert_near(&plans(&process)[0]["calls_per_day"]["each"], 900.0);

    let process = config.run(&["plan", "--calls-per-day", "400", "--format", "json"]);
    let plan = &plans(&process)[0];
    assert_eq!(plan["calls_per_day"], json!({"each": 100.0, "from": "given"}));
    assert_eq!(plan["points"]["from"], "told");
    assert!(simulator.bugs().is_empty(), "{:?}", simulator.bugs());
}

#[test]
fn accounts_with_one_credential_are_planned_together() {
    let mut shop = account("shop");
    (shop.limits, shop.calls) = (Limits::per(60, 3000), calls(10.0));
    let simulator = start(scenario(vec![shop, account("other")]));
    let keys = |name: &str| by_key(name, &simulator, "comagic", "hunter2-shop");
    let config = Config::offline()
        .account(&keys("one"))
        .account(&by_key("apart", &simulator, "comagic", "hunter2-other"))
        .account(&keys("two"))
        .account(&format!("{}, enabled: false", keys("off")));

    let process = config.run(&["plan", "--account", "two", "--format", "json"]);

    let plans = plans(&process);
    let names: Vec<&Value> = plans.iter().map(|plan| &plan["account"]).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!((&plans[0]["shares_points_with"], &plans[1]["shares_points_with"]), (&json!(["two"]), &json!(["one"])));
    for plan in &plans {
        assert_near(&plan["ladder"][0]["planned_seconds"], 72.0);
        assert_eq!(plan["points_needed_per_day"], 5760.0);
    }
}

#[test]
fn a_service_that_names_no_limit_is_planned_without_one() {
    let mut shop = account("shop");
    shop.limits.shape = LimitsShape::Empty;
    let simulator = start(scenario(vec![shop]));
    let config = Config::offline().account(&by_key("acme", &simulator, "comagic", "hunter2-shop"));
    let process = config.run(&["plan"]);
    assert!(process.stdout().contains("the service names no limit"), "{}", process.stdout());
    assert!(process.stdout().contains("points a day, kept"), "{}", process.stdout());
}

#[test]
fn without_an_answer_the_calls_have_to_be_given() {
    let simulator = start(scenario(vec![account("shop")]));
    let nowhere = format!(
        "name: nowhere, service: {{url: \"http://127.0.0.1:{}/v2.0\"}}, credentials: {{api_key: {SECRET}}}",
        free_port()
    );
    let config = Config::offline()
        .account(&nowhere)
        .account(&by_key("locked", &simulator, "comagic", &format!("{SECRET}-wrong")))
        .account(&by_key("acme", &simulator, "comagic", "hunter2-shop"));

    let mut process = config.run(&["plan"]);
    let told = process.stderr();
    for text in ["error: nowhere: ", "error: locked: ", "access_token_invalid", "or plan without an answer: `--calls-"]
    {
        assert!(told.contains(text), "`{text}` is not in:\n{told}");
    }
    assert!(process.stdout().starts_with("acme (custom)"), "the others are shown:\n{}", process.stdout());
    assert_eq!(process.exit_code(), 1);

    let mut process = config.run(&["plan", "--calls-per-day", "500"]);
    let printed = process.stdout();
    assert_eq!((process.exit_code(), process.stderr().as_str()), (0, ""));
    for text in [
        "nowhere (custom): 500 calls a day, as given\npoints: 60 a minute, 3000 a day are ASSUMED",
        "locked (custom): 500 calls a day, as given\npoints: 60 a minute, 3000 a day are ASSUMED",
        "the account was not asked: ",
        "acme (custom): 500 calls a day, as given\npoints: 10000 a minute, 100000 a day, of",
    ] {
        assert!(printed.contains(text), "`{text}` is not in:\n{printed}");
    }
}

#[test]
fn bad_usage_is_told_before_anything_is_asked() {
    let simulator = start(scenario(vec![account("shop")]));
    let config = Config::offline().account(&by_key("acme", &simulator, "comagic", "hunter2-shop"));
    for (arguments, message) in [
        (&["plan", "--account", "acne"][..], "did you mean `acme`?"),
        (&["plan", "--account", "acme.5"], "is no agency"),
        (&["plan", "--calls-per-day=-1"], "expected a number of calls"),
        (&["plan", "--calls-per-day=NaN"], "expected a number of calls"),
    ] {
        let mut process = config.run(arguments);
        assert!(process.stderr().contains(message), "{}", process.stderr());
        assert_eq!((process.exit_code(), process.stdout().as_str()), (2, ""));
    }
    let mut bad = Config::offline().account("name: acme, service: comagik, credentials: {api_key: hunter2}");
    bad.more = "tpoics: {}\n".to_owned();
    let mut process = bad.run(&["plan"]);
    assert!(process.stderr().contains("did you mean `comagic`"), "{}", process.stderr());
    assert_eq!((process.exit_code(), points_spent(&simulator)), (2, 0));
}
