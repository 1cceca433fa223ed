//! What an installation leaves behind, and what it does not.

use crate::cluster::{Namespace, PATIENCE, RELEASE, values};
use crate::support::eventually;

#[test]
fn nothing_is_left_after_it_is_removed() {
    let namespace = Namespace::new();
    assert_eq!(namespace.content(), [""; 0]);
    namespace.upgrade(&[&values(3, &["acme"])]);
    assert!(namespace.content().len() > 10);
    namespace.helm("test", &[]);
    assert!(namespace.find("pod", &format!("{RELEASE}-check")).is_none());

    namespace.helm("uninstall", &["--wait"]);

    // What belonged to the StatefulSet goes a moment later.
    eventually("an empty namespace", PATIENCE, || namespace.content().is_empty().then_some(()));
}

#[test]
fn pods_hold_no_token_of_kubernetes() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(1, &["acme"])]);
    let pod = &namespace.pods()[0];
    assert_eq!(pod["spec"]["serviceAccountName"], RELEASE);
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.iter().all(|volume| volume["projected"].is_null()), "{volumes:?}");
}

#[test]
fn replicas_come_and_go_and_the_others_stay() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(1, &["acme"])]);
    let one = namespace.pod_ids();

    namespace.upgrade(&[&values(3, &["acme"])]);
    let three = namespace.pod_ids();
    assert_eq!((three.len(), &three[..1]), (3, &one[..]));

    namespace.upgrade(&[&values(1, &["acme"])]);
    eventually("the others to go", PATIENCE, || (namespace.pod_ids() == one).then_some(()));
}
