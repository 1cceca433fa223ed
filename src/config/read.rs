//! From the tree to the raw keys, with every problem of shape found in one pass.
//!
//! `deserr` finds all that is wrong in one reading but then gives no value. So that the rules of [`super::check`] are
//! told in the same pass, the tree is mended and read again: a misspelt key gets its right name, a value of the wrong
//! shape is left out. The problems stay, so a mended configuration is never used.

use std::ops::ControlFlow;

use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, Value, ValueKind, ValuePointerRef};

use super::path::{Path, Step};
use super::problem::Problem;
use super::raw::RawConfig;
use super::tree::{Data, Node, Place};

/// Everything that does not fit in one reading.
#[derive(Debug, Default)]
pub struct Misfits(Vec<Misfit>);

#[derive(Debug)]
struct Misfit {
    path: Path,
    message: String,
    /// The right name of a misspelt key.
    meant: Option<String>,
}

impl Misfits {
    pub fn one(path: ValuePointerRef<'_>, message: String) -> Self {
        Self(vec![Misfit { path: path.into(), message, meant: None }])
    }

    pub fn add(&mut self, more: Misfits) {
        self.0.extend(more.0);
    }

    /// The value, if nothing was wrong with it.
    pub fn or<T>(self, value: T) -> Read<T> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

pub type Read<T> = Result<T, Misfits>;

pub fn misfit<T>(at: ValuePointerRef<'_>, message: impl Into<String>) -> Read<T> {
    Err(Misfits::one(at, message.into()))
}

/// Tells the kind of what was found and never the value, which may be a secret at the wrong key.
pub fn expected<T, V: IntoValue>(at: ValuePointerRef<'_>, what: &str, found: &Value<V>) -> Read<T> {
    misfit(at, format!("expected {what}, found {}", kind_name(found.kind())))
}

/// The raw keys, and beside them what was wrong with their shape: path as it is in the mended tree, and problem.
///
/// Keys of `defaults` must have been put below each account before.
pub fn read(tree: &mut Node) -> (RawConfig, Vec<Problem>) {
    let mut problems = Vec::new();
    loop {
        let misfits = match deserr::deserialize::<RawConfig, _, Misfits>(tree.to_json()) {
            Ok(raw) => return (raw, problems),
            Err(misfits) => misfits,
        };
        problems.extend(misfits.0.iter().map(|misfit| problem_at(tree, &misfit.path, misfit.message.clone())));
        if !mend(tree, misfits.0) {
            // Nothing below the root could be taken out, so the root itself is of the wrong shape.
            return (RawConfig::default(), problems);
        }
    }
}

/// A problem with the place where the value was written; for a key that is not there, the place of the one above.
pub fn problem_at(tree: &Node, path: &Path, message: String) -> Problem {
    let (node, depth) = tree.nearest(&path.0);
    let Place { line, column, path: above } = node.place.clone();
    let written = path.0[depth..].iter().fold(above, |path, step| path.then(step.clone()));
    Problem::at(&Place { line, column, path: written }, message)
}

/// Takes out what does not fit, last first, so that taking from a list moves nothing still to be taken.
fn mend(tree: &mut Node, mut misfits: Vec<Misfit>) -> bool {
    misfits.sort_by(|a, b| b.path.cmp(&a.path));
    let mut mended = false;
    for misfit in misfits {
        mended |= mend_one(tree, misfit).is_some();
    }
    mended
}

fn mend_one(tree: &mut Node, misfit: Misfit) -> Option<()> {
    let (last, above) = misfit.path.0.split_last()?;
    let parent = above.iter().try_fold(tree, |node, step| node.child_mut(step))?;
    match (&mut parent.data, last) {
        (Data::Map(map), Step::Key(key)) => {
            let node = map.remove(key)?;
            if let Some(meant) = misfit.meant {
                map.entry(meant).or_insert(node);
            }
        }
        (Data::List(list), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
        }
        _ => return None,
    }
    Some(())
}

impl MergeWithError<Misfits> for Misfits {
    fn merge(before: Option<Self>, other: Misfits, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = before.map_or_else(Vec::new, |before| before.0);
        all.extend(other.0);
        ControlFlow::Continue(Misfits(all))
    }
}

impl DeserializeError for Misfits {
    fn error<V: IntoValue>(
        before: Option<Self>,
        error: ErrorKind<'_, V>,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let mut all = before.map_or_else(Vec::new, |before| before.0);
        all.push(misfit_of(error, location.into()));
        ControlFlow::Continue(Misfits(all))
    }
}

fn misfit_of<V: IntoValue>(error: ErrorKind<'_, V>, path: Path) -> Misfit {
    match error {
        ErrorKind::UnknownKey { key, accepted } => unknown_key(path, key, accepted),
        ErrorKind::UnknownValue { value, accepted } => {
            let message = later(&path, value).unwrap_or_else(|| unknown_word(value, accepted));
            Misfit { path, message, meant: None }
        }
        ErrorKind::IncorrectValueKind { actual, accepted } => {
            let message = format!("expected {}, found {}", kind_names(accepted), kind_name(actual.kind()));
            Misfit { path, message, meant: None }
        }
        ErrorKind::MissingField { field } => Misfit { path, message: format!("`{field}` is missing"), meant: None },
        ErrorKind::BadSequenceLen { expected, .. } => {
            Misfit { path, message: format!("expected a list of {expected}"), meant: None }
        }
        ErrorKind::Unexpected { msg } => Misfit { path, message: msg, meant: None },
    }
}

fn unknown_key(path: Path, key: &str, accepted: &[&str]) -> Misfit {
    let near = nearest(key, accepted);
    let message = match near {
        Some(near) => format!("unknown key, did you mean `{near}`?"),
        None => format!("unknown key, expected {}", one_of(accepted)),
    };
    Misfit { path: path.key(key), message, meant: near.map(str::to_owned) }
}

pub fn unknown_word(value: &str, accepted: &[&str]) -> String {
    match nearest(value, accepted) {
        Some(near) => format!("`{value}` is unknown, did you mean `{near}`?"),
        None => format!("`{value}` is unknown, expected {}", one_of(accepted)),
    }
}

/// Streams that come with a later version.
const LATER: [&str; 3] = ["chats", "offline_messages", "goals"];

fn later(path: &Path, value: &str) -> Option<String> {
    let is_later = path.last_key()? == "streams" && LATER.contains(&value);
    is_later.then(|| format!("`{value}` is not available in this version; only `calls` is"))
}

/// What was probably meant: the most alike, if it is alike enough.
pub fn nearest<'a>(word: &str, accepted: &[&'a str]) -> Option<&'a str> {
    // Jaro-Winkler also finds swapped letters and lost underscores in long keys; 0.8 leaves unrelated keys out.
    accepted
        .iter()
        .map(|known| (strsim::jaro_winkler(&word.to_lowercase(), known), *known))
        .filter(|(alike, _)| *alike > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "none".to_owned(),
    }
}

fn kind_names(accepted: &[ValueKind]) -> &'static str {
    match accepted {
        [ValueKind::Boolean] => "true or false",
        [ValueKind::String] => "a text",
        [ValueKind::Sequence] => "a list",
        [ValueKind::Map] => "a mapping",
        [ValueKind::Float, ..] => "a number",
        [ValueKind::Integer, ..] => "a whole number",
        _ => "another kind of value",
    }
}

fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "nothing",
        ValueKind::Boolean => "true or false",
        ValueKind::Integer | ValueKind::NegativeInteger => "a whole number",
        ValueKind::Float => "a number with a fraction",
        ValueKind::String => "a text",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "a mapping",
    }
}
