//! The configuration file: text, then a tree that knows its lines, then raw keys, then a checked [`Config`].
//!
//! All problems are found in one pass and reported with their key and line. Nothing here opens a connection or reads
//! the process environment: the environment comes in as a function. The files of secrets and certificates are read,
//! since one that is missing is a problem of the configuration.

mod check;
mod checked;
mod defaults;
pub mod kafka_properties;
mod path;
pub mod problem;
pub mod raw;
mod read;
mod restart;
pub mod schema;
pub mod secret;
pub mod topic;
mod tree;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;

pub use checked::*;
pub use problem::{Problem, Problems};
pub use restart::keys_that_need_a_restart;
pub use secret::{Revealed, Secret, SecretError};
pub use topic::TopicTemplate;

use raw::RawConfig;

/// The value of an environment variable, if it is set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Far above any real configuration; a file above it is not one.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Reads and checks a configuration file; problems are told with its name.
pub fn load(path: &FilePath, env: Env<'_>) -> Result<Config, Problems> {
    let text = read(path).map_err(|error| Problems::of_whole(format!("the configuration cannot be read: {error}")));
    text.and_then(|text| parse(&text, env)).map_err(|problems| problems.in_file(&path.display().to_string()))
}

/// The text of a file, however it is. One byte more than allowed is enough to tell that a file, or a device that never
/// ends, is too large.
pub fn read(path: &FilePath) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// The environment of this process, for [`load`].
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Checks the text of a configuration.
pub fn parse(text: &str, env: Env<'_>) -> Result<Config, Problems> {
    let (config, _) = parse_both(text, env)?;
    Ok(config)
}

/// The keys as written, with defaults filled in and secrets still as references: what can be printed and read again.
pub fn parse_raw(text: &str, env: Env<'_>) -> Result<RawConfig, Problems> {
    let (_, raw) = parse_both(text, env)?;
    Ok(raw)
}

fn parse_both(text: &str, env: Env<'_>) -> Result<(Config, RawConfig), Problems> {
    if text.len() > MAX_BYTES {
        return Err(Problems::of_whole(format!("expected at most {MAX_BYTES} bytes, found more")));
    }
    let (tree, mut problems) = tree::read(text);
    let Some(mut tree) = tree else {
        if problems.is_empty() {
            return Err(Problems::of_whole(
                "the configuration is empty; expected at least `kafka`, `schema_registry` and `accounts`",
            ));
        }
        return Err(Problems::new(problems));
    };
    if !matches!(tree.data, tree::Data::Map(_)) {
        return Err(Problems::of_whole(format!("expected a mapping of keys, found {}", tree.data.kind())));
    }
    if let Err(too_large) = defaults::merge(&mut tree) {
        problems.push(too_large);
        return Err(Problems::new(problems));
    }
    let (raw, misfits) = read::read(&mut tree);
    let (config, broken) = check::check(&raw, &tree, env);
    problems.extend(with_consequences_left_out(misfits, broken));
    if problems.is_empty() { Ok((config, raw)) } else { Err(Problems::new(problems)) }
}

/// What is wrong only because something below it was left out for its shape need not be told.
fn with_consequences_left_out(misfits: Vec<Problem>, broken: Vec<Problem>) -> Vec<Problem> {
    let is_consequence = |problem: &Problem| misfits.iter().any(|misfit| misfit.is_within(problem));
    let causes: Vec<Problem> = broken.into_iter().filter(|problem| !is_consequence(problem)).collect();
    misfits.into_iter().chain(causes).collect()
}

#[cfg(test)]
mod tests;
