//! Scenario files: the project's own are valid, a wrong one is told where.

use callfeed::simulator::{AccountScenario, CustomerScenario, Scenario, UserScenario};

#[test]
fn every_scenario_file_of_the_project_is_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(error) = Scenario::from_yaml(&text) {
            panic!("{}: {error}", path.display());
        }
        n_files += 1;
    }
    assert!(n_files >= 2);
}

#[test]
fn what_is_wrong_in_a_scenario_is_named_with_its_place() {
    for (text, place, problem) in [
        ("accounts: [{name: a, calls: {per_dya: 5}}]", "accounts[0].calls", "unknown field `per_dya`"),
        ("accounts: [{name: a, colour: red}]", "accounts[0]", "unknown field `colour`"),
        ("faults: [{fault: rest}]", "faults[0]", "unknown variant `rest`"),
        ("sed: 4", "scenario", "unknown field `sed`"),
        ("accounts: [{name: a, timezone: Mars/Base}]", "accounts[0] (a).timezone", "Mars/Base"),
        ("accounts: [{name: a, calls: {lost_share: 2}}]", "accounts[0] (a).calls.lost_share", "expected 0 to 1"),
        ("accounts: [{name: a}, {name: a}]", "accounts[1] (a)", "taken"),
        ("accounts: [{name: a, calls: {tags: {delay: soon}}}]", "accounts[0].calls", "delay `soon`"),
        ("accounts: [{name: a, rows: [{colour: 1}]}]", "accounts[0] (a).rows", "`colour` is not a column"),
        ("faults: [{fault: reset, accounts: [b]}]", "faults[0].accounts", "no account `b`"),
        ("faults: [{fault: reset, methods: [get.all]}]", "faults[0].methods", "no method `get.all`"),
        ("max_window: 0", "scenario", "max_window"),
        ("seed: [", "scenario", ""),
    ] {
        let error = Scenario::from_yaml(text).unwrap_err();
        assert_eq!(error.place, place, "{text}");
        assert!(error.problem.contains(problem), "{text}: {error}");
    }
}

#[test]
fn the_reference_file_shows_the_defaults() {
    let text = include_str!("../../../scenarios/reference.yaml");
    let shown = Scenario::from_yaml(text).unwrap();
    let customer = CustomerScenario { users: vec![UserScenario::default()], ..CustomerScenario::default() };
    let plain = AccountScenario::default();
    let agency = AccountScenario { name: "agency".into(), customers: vec![customer], ..AccountScenario::default() };
    let defaults = Scenario { accounts: vec![plain, agency], ..Scenario::default() };
    assert_eq!(format!("{shown:#?}"), format!("{defaults:#?}"));
}
