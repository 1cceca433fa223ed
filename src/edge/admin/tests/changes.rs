//! What people ask of the port.

use super::*;

#[tokio::test]
async fn without_a_token_in_the_configuration_nobody_changes_anything() {
    let admin = Running::start_with(LIMITS, None, &[]).await;
    for path in CHANGES {
        let (status, answer) = answered(admin.to("POST", path).bearer_auth(TOKEN)).await;
        assert_eq!(status, 403, "{path}");
        assert!(answer["error"].as_str().unwrap().contains("`admin.token`"), "{answer}");
    }
}

#[tokio::test]
async fn whoever_does_not_show_the_token_changes_nothing() {
    let admin = Running::start(LIMITS).await;
    let _desk = admin.orders.desk(&AccountId::new("acme"));
    for path in CHANGES {
        for header in ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", &TOKEN[1..]] {
            let response = admin.to("POST", path).header("authorization", header).send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} with `{header}`");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_lets_nobody_in_and_is_not_told() {
    let mut admin = Running::start(LIMITS).await;
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    admin.addr = listener.addr();
    let (_, seen) = watch::channel(Readiness::Ready);
    let shown = Shown {
        board: StatusBoard::default(),
        metrics: Metrics::new(Detail::PerAccount),
        liveness: admin.liveness.subscribe(),
        readiness: seen,
        instance_id: "replica".into(),
        orders: Orders::default(),
        traces: Traces::default(),
        token: Some(Arc::new(|| Err("the secret file `/run/secrets/x` is empty".to_owned()))),
        peers: None,
    };
    let serving = tokio::spawn(listener.serve(shown, admin.stop.clone()));
    let (status, answer) = admin.order("/api/v1/reload", "").await;
    assert_eq!((status, answer), (503, json!({"error": "the token cannot be read; the log says why"})));
    serving.abort();
}

#[tokio::test]
async fn what_changes_something_is_not_done_by_looking_at_it() {
    let admin = Running::start(LIMITS).await;
    let _desk = admin.orders.desk(&AccountId::new("acme"));
    for path in CHANGES {
        let response = admin.to("GET", path).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST".parse().unwrap()),
            "{path}"
        );
    }
    for path in ["/live", "/metrics", "/api/v1/accounts", "/api/v1/openapi.json"] {
        let response = admin.request("HEAD", path).await;
        assert_eq!(response.status(), 200, "HEAD {path}");
        assert_eq!(response.text().await.unwrap(), "", "HEAD {path}");
    }
}

#[tokio::test]
async fn an_order_is_carried_out_by_the_account_and_its_outcome_told() {
    let admin = Running::start(LIMITS).await;
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    let task = admin.obey("acme", |order| {
        assert_eq!(order, Order::Pause);
        Ok("paused".to_owned())
    });
    let (status, answer) = admin.order("/api/v1/accounts/acme/pause", "").await;
    assert_eq!((status, &answer["done"], &answer["account"]["name"]), (200, &json!("paused"), &json!("acme")));
    task.await.unwrap();

    let refusals = [(OrderError::Busy, 409), (OrderError::Pending, 202), (OrderError::Refused("no".to_owned()), 409)];
    for (error, code) in refusals {
        let text = error.to_string();
        let task = admin.obey("acme", |_| Err(error));
        assert_eq!(admin.order("/api/v1/accounts/acme/resume", "").await, (code, json!({ "error": text })));
        task.await.unwrap();
    }
    let (status, answer) = admin.order("/api/v1/accounts/nobody/pause", "").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().starts_with("no account is named `nobody`"), "{answer}");
}

#[tokio::test]
async fn a_rewinding_says_to_when_and_what_is_wrong_with_it_otherwise() {
    let admin = Running::start(LIMITS).await;
    let task = admin.obey("acme", |order| {
        let to = Moment::parse("2026-03-02T10:00:00+03:00").unwrap();
        assert_eq!(order, Order::Rewind { to, may_republish: true });
        Ok("rewound".to_owned())
    });
    let body = r#"{"to": "2026-03-02T10:00:00+03:00", "republish": true}"#;
    assert_eq!(admin.order("/api/v1/accounts/acme/rewind", body).await.0, 200);
    task.await.unwrap();

    let _desk = admin.orders.desk(&AccountId::new("acme"));
    for (body, expected) in [
        ("", "expected JSON"),
        ("{}", "missing field `to`"),
        (r#"{"to": 5}"#, "expected a string"),
        (r#"{"to": "yesterday"}"#, "found `yesterday`"),
        (r#"{"to": "2026-03-02", "force": true}"#, "unknown field `force`"),
    ] {
        let (status, answer) = admin.order("/api/v1/accounts/acme/rewind", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{body}: {answer}");
    }
    let (status, answer) = admin.order("/api/v1/accounts/acme/rewind", &"x".repeat(100_000)).await;
    assert_eq!(
        (status, &answer["error"]),
        (413, &json!("the body is longer than the 4096 bytes that an order may take"))
    );
}

#[tokio::test]
async fn an_account_is_traced_for_as_long_as_is_asked_for() {
    let admin = Running::start(LIMITS).await;
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    let path = "/api/v1/accounts/acme/trace";
    assert_eq!(admin.get_json("/api/v1/accounts/acme").await.1["traced_until"], Value::Null);
    for body in [r#"{"on": true}"#, r#"{"on": true, "for": "1h"}"#] {
        let (status, answer) = admin.order(path, body).await;
        let until = answer["account"]["traced_until"].as_str().unwrap().to_owned();
        assert_eq!((status, &answer["done"]), (200, &json!(format!("traced until {until}"))));
    }
    let off = r#"{"on": false}"#;
    assert_eq!(admin.order(path, off).await.1["done"], "not traced any more");
    let (status, answer) = admin.order(path, off).await;
    assert_eq!(
        (status, &answer["done"], &answer["account"]["traced_until"]),
        (200, &json!("not traced"), &Value::Null)
    );

    for (body, expected) in [
        ("", "expected JSON such as"),
        ("{}", "missing field `on`"),
        (r#"{"on": true, "until": "10m"}"#, "unknown field `until`"),
        (r#"{"on": true, "for": "soon"}"#, "for: expected a duration from `1s` to `24h`, found `soon`"),
        (r#"{"on": true, "for": "25h"}"#, "found `25h`"),
        (r#"{"on": true, "for": "0s"}"#, "found `0s`"),
    ] {
        let (status, answer) = admin.order(path, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{body}: {answer}");
    }
    assert_eq!(admin.order("/api/v1/accounts/nobody/trace", off).await.0, 404);
}
