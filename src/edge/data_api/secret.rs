//! Keys and passwords as this edge holds them: text that no `Debug`, log line or error can show.

use std::fmt;
use std::sync::Arc;

/// A key, a password or a session's token. Prints as a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(Arc<str>);

/// Where a secret comes from. Asked again at each login and when a key was refused, so that a replaced file counts
/// without a restart. The error text says what could not be read; it must not hold the secret.
pub type SecretSource = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

impl SecretString {
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the body of a request and nothing else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How an account proves itself to the Data API.
#[derive(Clone)]
pub enum Credentials {
    /// Sessions of an hour from `login.user`.
    Login { login: String, password: SecretSource },
    /// A permanent or temporary key, sent with every request.
    ApiKey(SecretSource),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login { .. } => "Login(***)",
            Self::ApiKey(_) => "ApiKey(***)",
        })
    }
}

/// What proves the right to one request: it goes into `params`, never into a header (data-api, 2).
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    Login { login: &'a str, password: &'a SecretString },
    Session(&'a SecretString),
    Key(&'a SecretString),
}

impl Proof<'_> {
    /// `text` without the secret of this proof, as it is or escaped: the API repeats values it was sent, and its
    /// texts get logged.
    pub(super) fn scrub(self, text: &str) -> String {
        let (Self::Login { password: secret, .. } | Self::Session(secret) | Self::Key(secret)) = self;
        let quoted = serde_json::Value::from(secret.expose()).to_string();
        let escaped = quoted.trim_matches('"');
        text.replace(secret.expose(), "***").replace(escaped, "***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let secret = SecretString::new("hunter2");
        let source: SecretSource = Arc::new(|| Ok(SecretString::new("hunter2")));
        let login = Credentials::Login { login: "user@example.com".into(), password: source.clone() };

        let printed = format!("{secret:?} {login:?} {:?}", Credentials::ApiKey(source));

        assert_eq!(printed, "*** Login(***) ApiKey(***)");
        assert_eq!(Proof::Key(&secret).scrub("bad key hunter2, hunter2"), "bad key ***, ***");
        let quoted = SecretString::new("a\"b");
        assert_eq!(Proof::Session(&quoted).scrub(r#"got a"b in {"token":"a\"b"}"#), r#"got *** in {"token":"***"}"#);
    }
}
