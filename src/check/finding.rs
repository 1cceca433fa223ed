//! One fact that was looked at, and how it is written down.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::edge::data_api::ApiError;
use crate::edge::kafka::Fact;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It works, but not as one would wish.
    Doubtful,
    Bad,
    Skipped,
}

impl Verdict {
    const fn mark(self) -> (&'static str, Style) {
        match self {
            Self::Good => ("✓", AnsiColor::Green.on_default()),
            Self::Doubtful => ("!", AnsiColor::Yellow.on_default().bold()),
            Self::Bad => ("✗", AnsiColor::Red.on_default().bold()),
            Self::Skipped => ("-", Style::new().dimmed()),
        }
    }
}

/// A fact: what was looked at, how it is, and if it is not good, what a person can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    pub subject: String,
    pub detail: String,
    pub remedy: Option<String>,
}

impl Finding {
    pub fn good(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, subject: subject.into(), detail: detail.into(), remedy: None }
    }

    pub fn doubtful(subject: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Doubtful, ..Self::bad(subject, detail, remedy) }
    }

    pub fn bad(subject: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { verdict: Verdict::Bad, subject: subject.into(), detail: detail.into(), remedy }
    }

    pub fn skipped(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, subject: subject.into(), detail: detail.into(), remedy: None }
    }

    pub fn refused(subject: impl Into<String>, error: &ApiError) -> Self {
        Self::bad(subject, error.to_string(), error.remedy())
    }

    /// One line, and the remedy on the next.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (mark, style) = self.verdict.mark();
        writeln!(out, "{style}{mark}{style:#} {}: {}", self.subject, one_line(&self.detail))?;
        match &self.remedy {
            Some(remedy) => writeln!(out, "    {}", one_line(remedy)),
            None => Ok(()),
        }
    }
}

/// The words of other systems may go over several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<Fact> for Finding {
    fn from(fact: Fact) -> Self {
        let verdict = match (fact.ok, &fact.remedy) {
            (true, None) => Verdict::Good,
            (true, Some(_)) => Verdict::Doubtful,
            (false, _) => Verdict::Bad,
        };
        Self { verdict, subject: fact.subject, detail: fact.detail, remedy: fact.remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_its_remedy_the_next() {
        let bad = Finding::bad("acme login", "`auth_error`:\n  no such user", "correct it");
        let mut out = Vec::new();
        bad.write(&mut out).unwrap();
        let plain = anstream::adapter::strip_bytes(&out).into_vec();
        assert_eq!(String::from_utf8(plain).unwrap(), "✗ acme login: `auth_error`: no such user\n    correct it\n");
        assert!(out.len() > "✗ acme login: `auth_error`: no such user\n    correct it\n".len(), "no colour");
    }
}
