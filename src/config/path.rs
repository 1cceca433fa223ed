//! The way from the root of the configuration to one of its values.

use std::fmt;

use deserr::ValuePointerRef;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub fn key(&self, key: &str) -> Path {
        self.then(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Path {
        self.then(Step::Index(index))
    }

    pub fn then(&self, step: Step) -> Path {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Path(steps)
    }

    pub fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl From<ValuePointerRef<'_>> for Path {
    fn from(pointer: ValuePointerRef<'_>) -> Self {
        match pointer {
            ValuePointerRef::Origin => Path::default(),
            ValuePointerRef::Key { key, prev } => Path::from(*prev).key(key),
            ValuePointerRef::Index { index, prev } => Path::from(*prev).index(index),
        }
    }
}

/// `accounts[0].poll.page_size`
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
