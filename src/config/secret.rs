//! Passwords, keys and tokens: values that never show in a log, an error, a metric or an answer.
//!
//! A [`Secret`] says where the value is; [`Secret::read`] gets it. A secret from a file is read anew each time, so
//! that a rotated one is picked up at the next login. No trait of either type prints the value: whoever needs it
//! calls [`Revealed::expose`], which is easy to search for.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// What is printed in place of a secret.
pub const MASK: &str = "********";

/// Where a secret value comes from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Origin);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Origin {
    /// Written in the configuration or taken from the environment when it was loaded.
    Value(Revealed),
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the secret file `{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the secret file `{}` is empty", path.display())]
    Empty { path: PathBuf },
}

impl Secret {
    pub fn of_value(value: impl Into<String>) -> Self {
        Self(Origin::Value(Revealed(value.into())))
    }

    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// The value as it is now.
    pub fn read(&self) -> Result<Revealed, SecretError> {
        match &self.0 {
            Origin::Value(value) => Ok(value.clone()),
            Origin::File(path) => read_file(path),
        }
    }
}

/// Editors and `echo` end a file with a newline that is no part of the secret.
fn read_file(path: &Path) -> Result<Revealed, SecretError> {
    let text = fs::read_to_string(path).map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    Ok(Revealed(value.to_owned()))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A secret value in memory; prints as a mask.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revealed(String);

impl Revealed {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_at_each_call_without_its_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secret = Secret::of_file(&path);
        fs::write(&path, "first\n").unwrap();
        assert_eq!(secret.read().unwrap().expose(), "first");
        fs::write(&path, " second \r\n").unwrap();
        assert_eq!(secret.read().unwrap().expose(), " second ");
    }

    #[test]
    fn a_missing_or_empty_file_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let missing = Secret::of_file(&path).read().unwrap_err().to_string();
        assert!(missing.contains("key` cannot be read: "), "{missing}");
        fs::write(&path, "\n").unwrap();
        let empty = Secret::of_file(&path).read().unwrap_err().to_string();
        assert!(empty.ends_with("key` is empty"), "{empty}");
    }

    #[test]
    fn nothing_prints_the_value() {
        let secret = Secret::of_value("open sesame");
        let revealed = secret.read().unwrap();
        assert_eq!(revealed.expose(), "open sesame");
        assert_eq!(format!("{secret} {secret:?} {revealed} {revealed:?}"), [MASK; 4].join(" "));
    }
}
