//! What is wrong with a configuration, each thing with its place.

use std::fmt;

use super::tree::Place;

/// All that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong, with its place and what is expected there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From 1; none when the file as a whole is meant.
    pub line: Option<usize>,
    /// From 1.
    pub column: Option<usize>,
    /// `accounts[0].poll.page_size`; empty for the whole file.
    pub path: String,
    pub message: String,
    /// The file it was read from, when it was one.
    pub file: Option<String>,
}

impl Problems {
    /// Sorts by place and drops what was found twice.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    /// One problem of the file as a whole.
    pub(super) fn of_whole(message: impl Into<String>) -> Self {
        Self(vec![Problem { line: None, column: None, path: String::new(), message: message.into(), file: None }])
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The same problems, said to stand in this file.
    pub(super) fn in_file(mut self, file: &str) -> Self {
        for problem in &mut self.0 {
            problem.file = Some(file.to_owned());
        }
        self
    }
}

impl Problem {
    pub(super) fn at(place: &Place, message: String) -> Self {
        let known = place.line > 0;
        Self {
            line: known.then_some(place.line),
            column: known.then_some(place.column),
            path: place.path.to_string(),
            message,
            file: None,
        }
    }

    /// Whether this is about the same key as the other, or one below it.
    pub(super) fn is_within(&self, other: &Problem) -> bool {
        let rest = self.path.strip_prefix(&other.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl std::error::Error for Problems {}

/// One line each.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// `config.yaml:12:5: accounts[0].poll.page_sise: unknown key, did you mean `page_size`?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(column) = self.column {
            write!(f, "{column}:")?;
        }
        if self.file.is_some() || self.line.is_some() {
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
