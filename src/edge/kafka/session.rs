//! The session of group members, and what brokers allow of it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use tokio::runtime::Handle;

use super::connection::Connection;
use super::fact::Fact;
use super::topics::{admin, blocking};

/// What librdkafka takes when nothing is set.
pub(super) const USUAL: Duration = Duration::from_secs(45);

/// How long one question may take.
const REQUEST: Duration = Duration::from_secs(5);

/// The bounds of brokers, in milliseconds.
const MIN: &str = "group.min.session.timeout.ms";
const MAX: &str = "group.max.session.timeout.ms";

/// In words, that the brokers refuse a session.
pub(super) fn out_of_bounds(session: Duration) -> String {
    format!(
        "the brokers do not allow a session of {} ms; set `session.timeout.ms` in `kafka.properties` within `{MIN}` and `{MAX}` of the brokers",
        session.as_millis()
    )
}

/// Whether the brokers will refuse the session that is set. None when they allow it or do not tell, and with the newer
/// group protocol, where they have it themselves.
pub async fn refused(connection: &Connection) -> Option<Fact> {
    let property = |name: &str| connection.consumer_properties.get(name);
    if property("group.protocol").is_some_and(|protocol| protocol == "consumer") {
        return None;
    }
    let set = property("session.timeout.ms").and_then(|millis| millis.parse().ok());
    let session = set.map_or(USUAL, Duration::from_millis);
    let connection = connection.clone();
    let bounds = blocking(move || bounds(&connection)).await?;
    judge(session, &bounds)
}

fn judge(session: Duration, bounds: &BTreeMap<String, u128>) -> Option<Fact> {
    let bound = |name: &str| bounds.get(name).copied();
    let millis = session.as_millis();
    let (min, max) = (bound(MIN).unwrap_or(0), bound(MAX).unwrap_or(u128::MAX));
    if (min..=max).contains(&millis) {
        return None;
    }
    let broken = if millis < min { format!("`{MIN}={min}`") } else { format!("`{MAX}={max}`") };
    let remedy = "correct `session.timeout.ms` in `kafka.properties`, or have the bound of the brokers changed";
    let detail = format!("`session.timeout.ms` is {millis}, and the brokers have {broken}");
    Some(Fact::bad("session".to_owned(), detail, remedy.to_owned()))
}

/// Of any broker: they are set alike. None when it does not tell, as without the right to see its settings.
fn bounds(connection: &Connection) -> Option<BTreeMap<String, u128>> {
    let metadata = connection.inquirer().ok()?.fetch_metadata(Some("__consumer_offsets"), REQUEST).ok()?;
    let broker = metadata.brokers().first()?.id();
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let asked = [ResourceSpecifier::Broker(broker)];
    let admin = admin(connection).ok()?;
    let answers = Handle::current().block_on(admin.describe_configs(&asked, &options)).ok()?;
    let settings = answers.into_iter().next()?.ok()?;
    let bound = |name: &str| {
        let value = settings.get(name)?.value.as_ref()?.parse().ok()?;
        Some((name.to_owned(), value))
    };
    Some([MIN, MAX].into_iter().filter_map(bound).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_outside_of_the_bounds_is_told_with_the_bound() {
        let bounds = BTreeMap::from([(MIN.to_owned(), 6000), (MAX.to_owned(), 1_800_000)]);
        let told = |millis| judge(Duration::from_millis(millis), &bounds).map(|fact| fact.detail);
        assert_eq!((told(6000), told(1_800_000)), (None, None));
        let short = "`session.timeout.ms` is 100, and the brokers have `group.min.session.timeout.ms=6000`";
        assert_eq!(told(100).as_deref(), Some(short));
        assert!(told(1_800_001).unwrap().ends_with("`group.max.session.timeout.ms=1800000`"));
        assert!(judge(Duration::from_millis(1), &BTreeMap::new()).is_none(), "nothing is known");
    }
}
