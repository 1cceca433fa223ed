//! A user of Kafka that lacks a right: each is named before anything runs and by the service itself, and those that
//! README lists are enough.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Callfeed, SecuredKafka, Setup, User, eventually};

use super::feed::{Feed, PATIENCE, history, standing};

/// No output may hold it.
const PASSWORD: &str = "hunter2-of-callfeed";

/// One row of README's table, with the names of a test's own topics and group in the place of the default ones.
#[derive(Clone, Debug)]
struct Right {
    /// As `kafka-acls.sh` takes it.
    resource: Vec<String>,
    operation: String,
    what_for: String,
}

impl Right {
    /// The rows that README lists.
    fn listed(prefix: &str) -> Vec<Right> {
        let readme = include_str!("../../../README.md");
        let section = readme.split("### Rights in Kafka").nth(1).unwrap().split("\n#").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `--"));
        rows.map(|row| Right::of_row(row, prefix)).collect()
    }

    fn of_row(row: &str, prefix: &str) -> Right {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [resource, operation, what_for] = cells[..] else { panic!("{row}") };
        Right {
            resource: resource.replace("callfeed", prefix).split(' ').map(str::to_owned).collect(),
            operation: operation.to_owned(),
            what_for: what_for.to_owned(),
        }
    }

    fn is_creation(&self) -> bool {
        self.operation == "Create"
    }

    /// Without it, something is assumed.
    fn is_optional(&self) -> bool {
        self.what_for.contains("assumed") || self.what_for == "as for events"
    }

    fn is_for_transactions(&self) -> bool {
        self.resource[0] == "--transactional-id"
    }

    /// By every transaction; the others are used at the start.
    fn is_used_all_the_time(&self, feed: &Feed) -> bool {
        matches!(self.operation.as_str(), "Read" | "Write") && !self.resource.contains(&feed.dead_letter_topic())
    }

    /// What is named for want of this right, each in words and in the options of a command.
    fn in_words(&self, prefix: &str) -> Vec<(String, String)> {
        let operation = if self.operation == "DescribeConfigs" { "DESCRIBE_CONFIGS" } else { &self.operation };
        let operation = operation.to_uppercase();
        let (kind, name) = (self.resource[0].as_str(), &self.resource[1]);
        let resources = match kind {
            _ if self.is_creation() => {
                let topics = ["calls", "dead-letter", "state"].map(|topic| format!("{prefix}.{topic}"));
                topics.map(|topic| (format!("TOPIC `{topic}`"), format!("--topic {topic}"))).to_vec()
            }
            "--topic" => vec![(format!("TOPIC `{name}`"), self.resource.join(" "))],
            "--group" => vec![(format!("GROUP `{name}`"), self.resource.join(" "))],
            "--transactional-id" => vec![(format!("TRANSACTIONAL_ID `{name}*`"), self.resource.join(" "))],
            other => panic!("{other}"),
        };
        let words = |(resource, options)| (format!("the operation {operation} on {resource}"), options);
        resources.into_iter().map(words).collect()
    }

    fn grant(&self, kafka: &SecuredKafka, users: &[&User]) {
        kafka.grant(users, &self.operation, &self.options());
    }

    fn take_away(&self, kafka: &SecuredKafka, user: &User) {
        kafka.take_away(user, &self.operation, &self.options());
    }

    fn options(&self) -> Vec<&str> {
        self.resource.iter().map(String::as_str).collect()
    }
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), password: PASSWORD.to_owned() }
}

/// A feed that logs in as this user.
fn log_in(feed: &mut Feed, kafka: &SecuredKafka, user: &User) {
    feed.configure(json!({"kafka": {
        "bootstrap_servers": kafka.bootstrap(),
        "properties": {
            "security.protocol": "sasl_ssl",
            "ssl.ca.location": kafka.ca_file(),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user.name,
            "sasl.password": user.password,
        },
    }}));
}

fn check(feed: &Feed) -> Callfeed {
    let process = feed.setup_of("check", &[]).run(PATIENCE);
    assert_silent(&process);
    process
}

fn assert_silent(process: &Callfeed) {
    for printed in [process.stdout(), process.stderr()] {
        assert!(!printed.contains(PASSWORD), "the password is printed:\n{printed}");
    }
}

/// One node for all cases: each test of its own would take another one, with all users and rights.
#[test]
fn rights_are_named_when_they_are_missing_and_those_in_the_readme_are_enough() {
    let mut feed = Feed::of(standing(history(20)));
    let rights = Right::listed(&feed.name);
    assert_eq!(rights.len(), 10, "{rights:?}");
    let all = user("all");
    let lacking: Vec<User> = (0..rights.len()).map(|index| user(&format!("lacks-{index}"))).collect();
    let users: Vec<User> = lacking.iter().chain([&all]).cloned().collect();
    let kafka = SecuredKafka::start(&users);
    feed.kafka = kafka.cluster();
    for (right, without) in rights.iter().zip(&lacking) {
        let others: Vec<&User> = users.iter().filter(|user| *user != without).collect();
        right.grant(&kafka, &others);
    }

    each_right_that_is_missing_is_named(&mut feed, &kafka, &rights, &lacking, &all);
    at_least_once_needs_no_right_to_transactions(&mut feed, &kafka, &rights, &lacking);
    a_right_that_is_taken_away_costs_nothing_but_time(&mut feed, &kafka, &rights, &all);
    who_is_not_let_in_is_told_why(&mut feed, &kafka, &all);
}

fn each_right_that_is_missing_is_named(
    feed: &mut Feed,
    kafka: &SecuredKafka,
    rights: &[Right],
    lacking: &[User],
    all: &User,
) {
    let cases = || rights.iter().zip(lacking);
    for (right, user) in cases().filter(|(right, _)| right.is_creation()) {
        assert_named(feed, kafka, right, user);
    }
    assert_enough(feed, kafka, all);
    for (right, user) in cases().filter(|(right, _)| !right.is_creation()) {
        assert_named(feed, kafka, right, user);
    }
}

fn at_least_once_needs_no_right_to_transactions(
    feed: &mut Feed,
    kafka: &SecuredKafka,
    rights: &[Right],
    lacking: &[User],
) {
    let (_, without) = rights.iter().zip(lacking).find(|(right, _)| right.is_for_transactions()).unwrap();
    feed.configure(json!({"kafka": {"delivery": "at_least_once"}}));
    feed.add_call("acme", SignedDuration::from_hours(1), json!({"source": "sip"}));
    assert_enough(feed, kafka, without);
    feed.configure(json!({"kafka": {"delivery": "exactly_once"}}));
}

/// The rights of this user let `check` pass and `run` publish.
fn assert_enough(feed: &mut Feed, kafka: &SecuredKafka, user: &User) {
    log_in(feed, kafka, user);
    for _ in ["before there are topics", "after that"] {
        let mut checked = check(feed);
        assert_eq!((checked.exit_code(), n_missing(&checked)), (0, 0), "{}", checked.stdout());
        feed.once();
        feed.assert_equals_truth();
    }
}

/// `check` names this right and no other one, with the command that grants it; `run` names it too.
fn assert_named(feed: &mut Feed, kafka: &SecuredKafka, right: &Right, user: &User) {
    log_in(feed, kafka, user);
    let exit_code = if right.is_optional() { 0 } else { 1 };
    let mut checked = check(feed);
    let named = right.in_words(&feed.name);
    assert_eq!((checked.exit_code(), n_missing(&checked)), (exit_code, named.len()), "{}", checked.stdout());
    let mut run = feed.try_once();
    assert_silent(&run);
    assert_eq!(run.exit_code(), exit_code, "{right:?}: {}", run.stderr());
    for (words, options) in named {
        let printed = checked.stdout();
        assert!(printed.contains(&words), "{words} in:\n{printed}");
        let command = format!("--add --allow-principal User:{} --operation {} {options}", user.name, right.operation);
        assert!(printed.contains(&command), "{command} in:\n{printed}");
        // Of the transactional ids, the service has one.
        let words = words.trim_end_matches("*`");
        assert!(run.stderr().contains(words), "{words} in:\n{}", run.stderr());
    }
}

fn n_missing(checked: &Callfeed) -> usize {
    checked.stdout().matches("not granted").count()
}

fn a_right_that_is_taken_away_costs_nothing_but_time(
    feed: &mut Feed,
    kafka: &SecuredKafka,
    rights: &[Right],
    user: &User,
) {
    log_in(feed, kafka, user);
    let mut process = feed.start();
    process.wait_for_output("polling", PATIENCE);
    for right in rights.iter().filter(|right| right.is_used_all_the_time(feed)) {
        let n_events = feed.events().len();
        let words = right.in_words(&feed.name).remove(0).0;
        let times_named = |process: &Callfeed| process.stderr().matches(words.trim_end_matches("*`")).count();
        let before = times_named(&process);
        right.take_away(kafka, user);
        let call = feed.add_call("acme", SignedDuration::from_hours(1), json!({"source": "sip"}));
        eventually(&format!("callfeed to miss {words}"), PATIENCE, || (times_named(&process) > before).then_some(()));
        assert_eq!(feed.events().len(), n_events, "without {words}");

        right.grant(kafka, &[user]);
        process.hang_up();
        feed.wait_for_events(n_events + 1);
        assert_eq!(feed.types_of("acme", call), ["CREATED"], "{words}");
    }
    feed.assert_equals_truth();
    process.terminate();
    process.wait_exit(PATIENCE);
    assert_silent(&process);
}

/// `check` fails, and the service waits and says why.
fn who_is_not_let_in_is_told_why(feed: &mut Feed, kafka: &SecuredKafka, user: &User) {
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = feed.write_file("other.pem", &other.cert.pem());
    let cases = [
        ("sasl.password", format!("not-{PASSWORD}"), "invalid credentials"),
        ("ssl.ca.location", other, "certificate verify failed"),
    ];
    let start = |command: &str, config: &Value| {
        Setup::new(&[command, "--config", "callfeed.yaml"]).file("callfeed.yaml", &config.to_string()).start()
    };
    let mut waiting = Vec::new();
    for (property, value, reason) in cases {
        log_in(feed, kafka, user);
        feed.configure(json!({"kafka": {"properties": {property: value}}}));
        // Side by side, as each waits for an answer that does not come.
        waiting.push((start("check", &feed.config), start("run", &feed.config), reason));
    }
    for (mut checked, mut process, reason) in waiting {
        checked.wait_exit(PATIENCE);
        assert_eq!(checked.exit_code(), 1);
        let printed = checked.stdout();
        let line = printed.lines().find(|line| line.starts_with("✗ kafka: "));
        assert!(line.is_some_and(|line| line.contains(reason)), "{printed}");
        process.wait_for_output(reason, PATIENCE);
        process.terminate();
        process.wait_exit(PATIENCE);
        [checked, process].iter().for_each(assert_silent);
    }
}
