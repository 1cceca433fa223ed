//! A port among those of other replicas.

use super::super::routes::once_each;
use super::*;

#[tokio::test]
async fn any_replica_answers_for_the_accounts_of_all() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    admin.board.register(&AccountId::new("mine"), Service::Uis);
    other.board.register(&AccountId::new("theirs"), Service::Uis);

    let names = |list: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list["accounts"].as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["replica"]))).collect()
    };
    let (mine, theirs) = (admin.addr.to_string(), other.addr.to_string());
    let (_, list) = admin.get_json("/api/v1/accounts").await;
    assert_eq!(names(&list), [("mine".to_owned(), mine.clone()), ("theirs".to_owned(), theirs.clone())]);
    assert_eq!(list["unreachable"], json!([]));
    let (_, list) = admin.get_json("/api/v1/accounts?scope=replica").await;
    assert_eq!(names(&list), [("mine".to_owned(), mine)]);

    let (status, one) = admin.get_json("/api/v1/accounts/theirs").await;
    assert_eq!((status, &one["replica"]), (200, &json!(theirs)));
    assert_eq!(admin.get_json("/api/v1/accounts/theirs?scope=replica").await.0, 404);
    assert_eq!(admin.get_json("/api/v1/accounts/nobody").await.0, 404);

    let task = other.obey("theirs", |_| Ok("paused".to_owned()));
    let (status, answer) = admin.order("/api/v1/accounts/theirs/pause", "").await;
    assert_eq!((status, &answer["done"]), (200, &json!("paused")));
    task.await.unwrap();
    let (status, _) = answered(admin.to("POST", "/api/v1/accounts/theirs/pause").bearer_auth("wrong")).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_trace_is_switched_at_the_replica_that_has_the_account() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    other.board.register(&AccountId::new("theirs"), Service::Uis);
    let (status, answer) = admin.order("/api/v1/accounts/theirs/trace", r#"{"on": true}"#).await;
    assert_eq!((status, &answer["account"]["replica"]), (200, &json!(other.addr.to_string())));
    let (_, one) = other.get_json("/api/v1/accounts/theirs").await;
    assert_eq!(one["traced_until"], answer["account"]["traced_until"]);
    assert!(one["traced_until"].is_string(), "{one}");
}

#[tokio::test]
async fn a_replica_that_does_not_answer_is_named() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    admin.board.register(&AccountId::new("mine"), Service::Uis);
    other.serving.abort();
    eventually_refused(other.addr).await;
    let (status, list) = admin.get_json("/api/v1/accounts").await;
    assert_eq!((status, &list["accounts"][0]["name"]), (200, &json!("mine")));
    assert!(list["unreachable"][0].as_str().unwrap().starts_with(&other.addr.to_string()), "{list}");
}

#[tokio::test]
async fn a_replica_that_hangs_is_named_and_keeps_nobody_waiting() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap().to_string();
    let admin = Running::start(LIMITS).await;
    let peers = Peers::at(&address).unwrap().answering_within(SHORT);
    let expected = [format!("{address}: does not answer in time")];
    assert_eq!(soon(peers.accounts()).await.unreachable, expected);
    let found = soon(peers.owner_of("acme")).await;
    assert!(found.owner.is_none());
    assert_eq!(found.unreachable, expected);
    drop(admin);
}

#[tokio::test]
async fn an_account_of_a_replica_that_does_not_answer_is_not_said_to_be_unknown() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    other.serving.abort();
    eventually_refused(other.addr).await;
    for answer in [
        admin.get_json("/api/v1/accounts/theirs").await,
        admin.order("/api/v1/accounts/theirs/pause", "").await,
        admin.order("/api/v1/accounts/theirs/trace", r#"{"on": true}"#).await,
    ] {
        let (status, answer) = answer;
        assert_eq!(status, 503, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(&other.addr.to_string()), "{answer}");
    }
}

#[tokio::test]
async fn an_account_that_no_replica_has_is_shown_as_that() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    admin.board.register(&AccountId::new("mine"), Service::Uis);
    for name in ["moving", "theirs"] {
        admin.board.put_elsewhere(&AccountId::new(name), Service::Novofon);
    }
    other.board.register(&AccountId::new("theirs"), Service::Novofon);

    let (_, list) = admin.get_json("/api/v1/accounts").await;
    let replicas: Vec<_> =
        list["accounts"].as_array().unwrap().iter().map(|one| (&one["name"], &one["replica"])).collect();
    let (mine, theirs) = (json!(admin.addr.to_string()), json!(other.addr.to_string()));
    assert_eq!(replicas, [(&json!("mine"), &mine), (&json!("moving"), &Value::Null), (&json!("theirs"), &theirs)]);
    let (status, moving) = admin.get_json("/api/v1/accounts/moving").await;
    assert_eq!((status, &moving), (200, &list["accounts"][1]));
    assert_eq!((&moving["status"], &moving["reason"]), (&json!("starting"), &json!("no replica has it at the moment")));
    let (status, answer) = admin.order("/api/v1/accounts/moving/pause", "").await;
    assert_eq!((status, answer), (503, json!({"error": "no replica has `moving` at the moment; try again"})));
    let (status, answer) = admin.get_json("/api/v1/accounts/moving?scope=replica").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().contains("`admin.peers`"), "{answer}");

    other.serving.abort();
    eventually_refused(other.addr).await;
    let (_, list) = admin.get_json("/api/v1/accounts").await;
    for (index, name) in ["moving", "theirs"].iter().enumerate() {
        let one = &list["accounts"][index + 1];
        assert_eq!((&one["name"], &one["reason"]), (&json!(name), &json!("no replica that answers has it")));
    }

    admin.board.register(&AccountId::new("moving"), Service::Novofon);
    assert_eq!(admin.get_json("/api/v1/accounts/moving").await.1["replica"], mine);
}

/// Its former owner has not heard of it yet.
#[test]
fn of_two_that_have_an_account_the_later_is_right() {
    let one = |name: &str, since: Value, replica: &str| json!({"name": name, "since": since, "replica": replica});
    let former = one("acme", json!("2026-03-02T10:00:00Z"), "former");
    let latter = one("acme", json!("2026-03-02T10:00:01Z"), "latter");
    let nobody = one("acme", Value::Null, "nobody");
    let other = one("other", json!("2026-03-02T09:00:00Z"), "former");
    for order in [[&former, &latter, &nobody, &other], [&nobody, &latter, &other, &former]] {
        let mut found = once_each(order.map(Clone::clone).to_vec());
        found.sort_by_key(|account| account["name"].to_string());
        assert_eq!(found, [latter.clone(), other.clone()]);
    }
}
