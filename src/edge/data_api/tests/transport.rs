//! What happens between the two machines: sizes, compression, broken answers, time-outs, TLS, proxies.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::{CONTENT_ENCODING, RETRY_AFTER};
use axum::response::IntoResponse;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;

fn gzipped(text: &str) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    ([(CONTENT_ENCODING, "gzip")], encoder.finish().unwrap()).into_response()
}

fn answer(request: &Value) -> String {
    json!({"id": request["id"], "result": account_data()}).to_string()
}

/// A server below HTTP: it reads one request from each connection, writes these bytes and closes.
async fn raw_server(bytes: &'static [u8]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2.0", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(bytes).await;
        }
    });
    (url, serving)
}

#[tokio::test]
async fn gzip_is_asked_for_and_read() {
    let fake = Fake::start(|request, headers| {
        assert!(headers["accept-encoding"].to_str().unwrap().contains("gzip"));
        assert_eq!(headers["content-type"], "application/json; charset=UTF-8");
        assert_eq!(headers["user-agent"], format!("callfeed/{}", env!("CARGO_PKG_VERSION")).as_str());
        gzipped(&answer(request))
    })
    .await;

    assert_eq!(fake.client(key()).account(None).await.unwrap().timezone, "Europe/Moscow");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_up_also_when_it_is_small_on_the_wire() {
    let plain = Fake::start(|_, _| status(200, &"x".repeat(2 << 20))).await;
    let bomb = Fake::start(|_, _| gzipped(&" ".repeat(16 << 20))).await;

    for fake in [plain, bomb] {
        let error = fake.client(key()).account(None).await.unwrap_err();
        assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, "malformed"), "{error}");
        assert!(error.to_string().ends_with("larger than the 933888 bytes that are accepted"), "{error}");
        assert!(error.remedy().contains("`poll.page_size`"));
    }
}

#[tokio::test]
async fn broken_answers_are_tried_again_and_never_data() {
    let table: [(&[u8], &str, &str); 7] = [
        (b"", "broken", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":", "broken", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id", "broken", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"id\":\"q-1\"", "malformed", "ends in the middle"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n<html>busy</html>\r\n", "malformed", "a web page, not JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "malformed", "the answer is empty"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe", "malformed", "not text in UTF-8"),
    ];
    for (bytes, outcome, text) in table {
        let (url, serving) = raw_server(bytes).await;
        let error = client(&url, key(), &settings()).account(None).await.unwrap_err();
        serving.abort();
        assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, outcome), "{bytes:?}: {error}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(!error.to_string().contains("busy"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_counts_whatever_the_status_and_data_only_with_success() {
    let fake = Fake::start(|request, _| {
        let (status, response) = match request["params"]["user_id"].as_u64().unwrap() {
            1 => (StatusCode::FORBIDDEN, refusal(request, -32009, "account_inactive")),
            2 => (StatusCode::SERVICE_UNAVAILABLE, envelope(request, "result", account_data())),
            3 => (StatusCode::TOO_MANY_REQUESTS, refusal(request, 1, "made_up_by_the_server")),
            _ => (StatusCode::BAD_GATEWAY, "<html>".into_response()),
        };
        (status, [(RETRY_AFTER, "7")], response.into_body()).into_response()
    })
    .await;
    let client = fake.client(key());
    let seven = Some(Duration::from_secs(7));
    let table = [
        (1, Class::Owner, "account_inactive"),
        (2, Class::Retry { after: seven }, "http_5xx"),
        (3, Class::Limited { window: LimitWindow::Unknown, wait: seven }, "other_error"),
        (4, Class::Retry { after: seven }, "http_5xx"),
    ];
    for (user_id, class, outcome) in table {
        let error = client.account(Some(user_id)).await.unwrap_err();
        assert_eq!((error.class(), error.outcome()), (class, outcome), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake =
        Fake::start(|_, _| (StatusCode::FOUND, [("location", "https://elsewhere.invalid/")]).into_response()).await;

    let error = fake.client(key()).account(None).await.unwrap_err();

    assert_eq!(error.class(), Class::Owner);
    assert!(error.remedy().contains("`service`"), "{}", error.remedy());
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_said_with_host_and_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2.0?token=hunter2", listener.local_addr().unwrap());
    drop(listener);

    let error = client(&url, key(), &settings()).account(None).await.unwrap_err();

    assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, "connect"));
    let text = format!("{error} {error:?}");
    assert!(text.starts_with("`get.account` at 127.0.0.1: cannot connect: Connection refused"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn silence_ends_at_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v2.0", listener.local_addr().unwrap());
    let impatient = HttpSettings { timeout: Duration::from_millis(100), ..settings() };

    let error = client(&url, key(), &impatient).account(None).await.unwrap_err();

    assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, "timeout"));
    assert!(error.to_string().ends_with("no complete answer within 100ms"), "{error}");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let fake = Fake::answering("result", account_data()).await;
    let (front, n_connections) = counting_front(fake.addr).await;
    let client = client(&format!("http://{front}/v2.0"), key(), &settings());

    for _ in 0..5 {
        client.account(None).await.unwrap();
    }

    assert_eq!(n_connections.load(Ordering::SeqCst), 1);
}

/// Passes connections on, and counts them.
async fn counting_front(behind: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let counter = Arc::<AtomicUsize>::default();
    let counted = counter.clone();
    tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut to = tokio::net::TcpStream::connect(behind).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (addr, counter)
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_is_set() {
    let proxy = Fake::start(|request, headers| {
        assert_eq!(headers["host"], "api.invalid");
        envelope(request, "result", account_data())
    })
    .await;
    let through = HttpSettings { proxy: Proxy::Url(format!("http://{}", proxy.addr)), ..settings() };

    let account = client("http://api.invalid/v2.0", key(), &through).account(None).await.unwrap();

    assert_eq!(account.timezone, "Europe/Moscow");
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_only_when_it_is_named() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca_file.path(), own.cert.pem()).unwrap();
    let fake = Fake::answering("result", account_data()).await;
    let port = tls_front(fake.addr, &own).await;
    let url = format!("https://localhost:{port}/v2.0");
    let with = |ca_file: Option<&Path>| HttpSettings { ca_file: ca_file.map(Path::to_owned), ..settings() };

    let account = client(&url, key(), &with(Some(ca_file.path()))).account(None).await.unwrap();
    assert_eq!(account.timezone, "Europe/Moscow");

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other_file.path(), other.cert.pem()).unwrap();
    let error = client(&url, key(), &with(Some(other_file.path()))).account(None).await.unwrap_err();
    assert_eq!((error.class(), error.outcome()), (Class::Retry { after: None }, "tls"), "{error}");
    assert!(error.to_string().contains("`get.account` at localhost: no trusted TLS connection: "), "{error}");
    assert!(error.remedy().contains("`http.ca_file`"));
    assert_eq!(fake.requests().len(), 1, "nothing may be sent before the certificate is trusted");
}

/// Ends TLS with `certificate` and passes what is inside on.
async fn tls_front(behind: SocketAddr, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let chain = vec![certificate.cert.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate hangs up here.
                let Ok(mut from) = acceptor.accept(connection).await else { return };
                let mut to = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    port
}
