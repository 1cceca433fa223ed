//! What the methods ask, and how they read lists, accounts and pages.

use axum::response::IntoResponse;
use serde::Deserialize;

use super::*;
use crate::domain::time::LocalTime;

fn query<'a>() -> ReportQuery<'a> {
    ReportQuery {
        method: "get.calls_report",
        user_id: Some(90211),
        date_from: LocalTime::parse("2026-03-02 00:00:00").unwrap(),
        date_till: LocalTime::parse("2026-03-02 23:59:59").unwrap(),
        limit: 5000,
        offset: 10,
        fields: &["id", "start_time"],
        sort_by: "start_time",
    }
}

#[tokio::test]
async fn a_report_is_asked_with_columns_and_sort() {
    let fake = Fake::answering("result", json!({"metadata": {"total_items": "7"}, "data": [{"id": 1}, 5]})).await;

    let page = fake.client(key()).report(&query()).await.unwrap();

    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        id: i64,
    }
    let rows: Vec<_> = page.rows::<Row>().collect();
    assert_eq!(rows[0].decoded.as_ref().unwrap(), &Row { id: 1 });
    assert_eq!(rows[1].raw, "5");
    assert!(rows[1].decoded.is_err());
    assert_eq!((rows.len(), page.total_items()), (2, Some(7)));
    let expected = json!({
        "access_token": "key-0123456789", "user_id": 90211,
        "date_from": "2026-03-02 00:00:00", "date_till": "2026-03-02 23:59:59",
        "limit": 5000, "offset": 10,
        "fields": ["id", "start_time"], "sort": [{"field": "start_time", "order": "asc"}],
    });
    assert_eq!(fake.requests()[0]["params"], expected);
}

#[tokio::test]
async fn null_is_an_empty_page_and_an_object_is_none() {
    let fake = Fake::answering("result", json!({"data": null})).await;
    let page = fake.client(key()).report(&query()).await.unwrap();
    assert_eq!((page.rows::<Value>().count(), page.total_items()), (0, None));

    for data in [json!({}), json!("rows"), json!(7)] {
        let fake = Fake::answering("result", json!({"data": data})).await;
        let error = fake.client(key()).report(&query()).await.unwrap_err();
        assert_eq!(error.class(), Class::Retry { after: None }, "{error}");
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_a_row_that_comes_twice_counts_once() {
    // Pages of two, shorter than asked, and the second repeats a row of the first.
    let fake = Fake::start(|request, _| {
        let data = match request["params"]["offset"].as_u64().unwrap() {
            0 => json!([{"id": 1, "name": "Один"}, {"id": "2", "name": "Два"}]),
            2 => json!([{"id": 2, "name": "Два"}, {"id": 3, "name": "Три", "rating": null}]),
            4 => json!([{"id": -1, "name": "Без посетителя"}]),
            offset => panic!("asked for offset {offset}"),
        };
        envelope(request, "result", json!({"data": data, "metadata": {"total_items": 5}}))
    })
    .await;

    let tags = fake.client(key()).tags(None).await.unwrap();

    let expected = [(1, "Один"), (2, "Два"), (3, "Три"), (-1, "Без посетителя")];
    assert_eq!(tags, expected.map(|(id, name)| Tag { id, name: name.to_owned() }));
    assert_eq!(fake.requests()[0]["params"]["fields"], json!(["id", "name"]));
}

#[tokio::test]
async fn a_list_without_a_total_ends_with_the_first_page_that_is_not_full() {
    let row = json!({"id": 90211, "login": null, "name": "Администратор", "customer_id": "183510"});
    let fake = Fake::answering("result", json!({"data": [row]})).await;

    let users = fake.client(key()).customer_users().await.unwrap();

    let expected =
        CustomerUser {
            id: 90211, login: None, name: Some("Администратор".into()), customer_id: Some(183510)
        };
    assert_eq!(users, [expected]);
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(fake.requests()[0]["params"].get("user_id"), None);
}

#[tokio::test]
async fn a_list_that_ends_before_its_total_does_not_turn_for_ever() {
    let fake = Fake::start(|request, _| {
        let data = if request["params"]["offset"] == 0 { json!([{"id": 1, "name": "a"}]) } else { json!([]) };
        envelope(request, "result", json!({"data": data, "metadata": {"total_items": 9}}))
    })
    .await;

    assert_eq!(fake.client(key()).tags(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_with_a_row_that_is_none_is_an_error() {
    let fake = Fake::answering("result", json!({"data": [{"id": 1, "name": "a"}, {"id": null}]})).await;

    let error = fake.client(key()).tags(None).await.unwrap_err();

    assert_eq!(error.class(), Class::Retry { after: None });
    assert!(error.to_string().contains("rows with `id` and `name`"), "{error}");
}

#[tokio::test]
async fn the_account_is_read_as_an_array_or_an_object() {
    for data in [account_data(), json!({"data": {"app_id": "41877", "name": "ООО Окна", "timezone": "Europe/Moscow"}})]
    {
        let fake = Fake::answering("result", data).await;
        let account = fake.client(key()).account(None).await.unwrap();
        let expected =
            AccountInfo { app_id: Some(41877), name: Some("ООО Окна".into()), timezone: "Europe/Moscow".into() };
        assert_eq!(account, expected);
    }
    let fake = Fake::answering("result", json!({"data": []})).await;
    let error = fake.client(key()).account(None).await.unwrap_err();
    assert_eq!(error.class(), Class::Retry { after: None });
}

#[tokio::test]
async fn the_account_is_asked_again_without_a_user_id_that_is_not_taken() {
    let fake = Fake::start(|request, _| match request["params"].get("user_id") {
        Some(_) => refusal(request, -32602, "unexpected_parameters"),
        None => envelope(request, "result", account_data()),
    })
    .await;

    let account = fake.client(key()).account(Some(90211)).await.unwrap();

    assert_eq!(account.timezone, "Europe/Moscow");
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_customers_user_that_is_not_known_is_for_the_owner() {
    let error = json!({"code": -32602, "message": "Invalid parameter value",
        "data": {"mnemonic": "invalid_parameter_value", "field": "user_id", "value": 5}});
    let fake = Fake::answering("error", error).await;

    let error = fake.client(key()).account(Some(90211)).await.unwrap_err();

    assert_eq!(error.class(), Class::Owner);
    assert!(error.remedy().contains("90211") && error.remedy().contains("`customers`"), "{}", error.remedy());
}

#[tokio::test]
async fn the_newest_points_are_kept_also_from_errors() {
    let fake = Fake::start(|request, _| match request["params"].get("user_id").and_then(Value::as_i64) {
        Some(1) => envelope(request, "result", json!({"metadata": {"limits": {}}, "data": [{"timezone": "UTC"}]})),
        Some(2) => {
            let metadata = json!({"limits": {"minute_remaining": 0, "minute_reset": 23}});
            let data = json!({"mnemonic": "forbidden", "metadata": metadata});
            envelope(request, "error", json!({"code": -32003, "message": "Permission denied", "data": data}))
        }
        _ => {
            let metadata = json!({"limits": {"minute_remaining": "57"}});
            envelope(request, "result", json!({"metadata": metadata, "data": [{"timezone": "UTC"}]}))
        }
    })
    .await;
    let client = fake.client(key());
    assert_eq!(client.limits(), None);

    client.account(None).await.unwrap();
    assert_eq!(client.limits().unwrap().minute.remaining, Some(57));
    client.account(Some(1)).await.unwrap();
    assert_eq!(client.limits().unwrap().minute.remaining, Some(56), "an answer that does not tell has cost one");
    client.account(Some(2)).await.unwrap_err();
    assert_eq!(client.limits().unwrap().minute.remaining, Some(0));
}

#[tokio::test]
async fn every_request_is_told_to_the_observer() {
    let fake = Fake::start(|request, _| match request["method"].as_str().unwrap() {
        "login.user" => envelope(request, "result", json!({"data": {"access_token": "t"}})),
        "get.account" => status(429, "slow down").into_response(),
        _ => refusal(request, -32000, "made_up_by_the_server"),
    })
    .await;
    let seen = Arc::<Mutex<Vec<(String, &'static str)>>>::default();
    let told = seen.clone();
    let observer: Observer =
        Arc::new(move |request| told.lock().unwrap().push((request.method.into(), request.outcome)));
    let client =
        Client::new(Http::new(&settings()).unwrap(), &fake.url(), login(), observer, Arc::new(SystemTime::now))
            .unwrap();

    client.account(None).await.unwrap_err();
    client.tags(None).await.unwrap_err();

    let expected = [("login.user", "ok"), ("get.account", "http_429"), ("get.tags", "other_error")];
    assert_eq!(*seen.lock().unwrap(), expected.map(|(method, outcome)| (method.to_owned(), outcome)));
}

#[tokio::test]
async fn ids_are_never_used_twice() {
    let fake = Fake::answering("result", account_data()).await;
    let client = fake.client(key());
    for _ in 0..20 {
        client.account(None).await.unwrap();
    }

    let ids: std::collections::HashSet<String> =
        fake.requests().iter().map(|request| request["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 20);
}
