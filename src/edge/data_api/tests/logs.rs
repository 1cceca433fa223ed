//! Nothing that is logged or said, at any level, holds a secret: also when the server repeats it.

use std::io;

use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Captured;

    fn make_writer(&'a self) -> Captured {
        self.clone()
    }
}

/// A server that says everything it was sent in its refusals.
fn parrot(request: &Value) -> Response {
    let heard = request["params"].to_string();
    let data =
        json!({"mnemonic": "error", "field": heard, "value": heard, "params": {"ip": heard, "components": heard}});
    envelope(request, "error", json!({"code": -32602, "message": heard, "data": data}))
}

#[tokio::test]
async fn no_secret_is_logged_or_said() {
    let fake = Fake::start(|request, _| match request["params"]["login"].as_str() {
        Some("good") => envelope(request, "result", json!({"data": {"access_token": "session-secret"}})),
        _ => parrot(request),
    })
    .await;
    let password = || -> SecretSource { plain("password-secret") };
    let credentials = [
        Credentials::Login { login: "bad".into(), password: password() },
        Credentials::Login { login: "good".into(), password: password() },
        Credentials::ApiKey(plain("key-secret")),
    ];
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();

    let said = async {
        let mut said = String::new();
        for credentials in credentials {
            let client = fake.client(credentials);
            let error = client.account(Some(90211)).await.unwrap_err();
            said += &format!("{error} {error:?} {} {client:?}\n", error.remedy());
        }
        said
    }
    .with_subscriber(subscriber)
    .await;

    let text = said + &captured.text();
    assert!(!text.contains("-secret"), "{text}");
    // The request that was refused as wrong is in the log, less its secrets.
    let logged = r#"the data api takes the request for wrong"#;
    assert_eq!(text.matches(logged).count(), 2, "{text}");
    assert!(text.contains(r#"{\"user_id\":90211}"#), "{text}");
}
