//! Keys of `kafka` that do not fit together, or that callfeed keeps to itself.

use super::{LEAST, refused};

fn kafka(keys: &str) -> String {
    LEAST.replace("'kafka:9092'", &format!("'kafka:9092', {keys}"))
}

/// Each row: what is written, and the one problem it gives.
#[test]
fn what_does_not_fit_together_is_told_at_the_key_that_was_set() {
    let rows = [
        (
            kafka("instance_id: state"),
            "1:42: kafka.instance_id: `state` is a name that callfeed uses itself; expected another one",
        ),
        (
            kafka("instance_id: .check"),
            "1:42: kafka.instance_id: `.check` is a name that callfeed uses itself; expected another one",
        ),
        (
            kafka("commit_interval: 30s"),
            "1:42: kafka.commit_interval: expected less than half of `transaction.timeout.ms`, which is 45000, found `30s`",
        ),
        (
            kafka("commit_interval: 5s, properties: {transaction.timeout.ms: 10000}"),
            "1:42: kafka.commit_interval: expected less than half of `transaction.timeout.ms`, which is 10000, found `5s`",
        ),
        (
            kafka("properties: {session.timeout.ms: 8000, heartbeat.interval.ms: 8000}"),
            "1:81: kafka.properties.heartbeat.interval.ms: expected less than `session.timeout.ms`, which is 8000, found 8000",
        ),
        (
            kafka("properties: {session.timeout.ms: 100}"),
            "1:55: kafka.properties.session.timeout.ms: expected more than `heartbeat.interval.ms`, which is 3000, found 100",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(refused(&text), expected, "{text}");
    }
}
