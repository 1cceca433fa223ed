//! One thing that was looked at in the cluster: for `callfeed check` and for the running service alike.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub ok: bool,
    pub subject: String,
    pub detail: String,
    /// What a person can do. With one, a fact that is ok is not as one would wish.
    pub remedy: Option<String>,
}

impl Fact {
    pub(super) fn good(subject: String, detail: String) -> Self {
        Self { ok: true, subject, detail, remedy: None }
    }

    pub(super) fn bad(subject: String, detail: String, remedy: String) -> Self {
        Self { ok: false, subject, detail, remedy: Some(remedy) }
    }

    pub(super) fn sentence(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}: {}; {remedy}", self.subject, self.detail),
            None => format!("{}: {}", self.subject, self.detail),
        }
    }
}
