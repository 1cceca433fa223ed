//! What a registry remembers, and its rules: ids are for texts, versions for subjects, and a new version must be able
//! to read what the version before it has written (level BACKWARD).

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde_json::Value;

#[derive(Default)]
pub struct Store {
    /// The id of a schema is its place here, from 1.
    schemas: Vec<Known>,
    subjects: Vec<Subject>,
}

struct Known {
    text: String,
    /// What is compared: spaces between the parts of a schema do not make it another one.
    json: Value,
    schema: Schema,
}

struct Subject {
    name: String,
    /// Ids; the first is version 1.
    versions: Vec<usize>,
}

/// A schema as a version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub subject: String,
    pub version: usize,
    pub id: usize,
    pub schema: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("HTTP 404 Not Found")]
    NoSuchResource,
    #[error("Subject '{0}' not found.")]
    NoSuchSubject(String),
    #[error("Version {0} not found.")]
    NoSuchVersion(String),
    #[error("Schema not found")]
    NoSuchSchema,
    #[error("Schema being registered is incompatible with an earlier schema: {0}")]
    Incompatible(String),
    #[error("Invalid schema: {0}")]
    InvalidSchema(String),
}

impl Store {
    pub fn subjects(&self) -> Vec<&str> {
        self.subjects.iter().map(|subject| subject.name.as_str()).collect()
    }

    pub fn versions(&self, subject: &str) -> Result<Vec<usize>, Refusal> {
        Ok((1..=self.subject(subject)?.versions.len()).collect())
    }

    /// Registers a schema as the newest version of its subject, unless it is one already.
    pub fn register(&mut self, subject: &str, text: &str) -> Result<Registered, Refusal> {
        let new = Known::parse(text)?;
        match self.find_known(subject, &new) {
            Ok(registered) => return Ok(registered),
            Err(Refusal::NoSuchSubject(_)) => {}
            Err(_) => {
                if let Some(objection) = self.objection(subject, "latest", text)? {
                    return Err(Refusal::Incompatible(objection));
                }
            }
        }
        let id = match self.id_of(&new) {
            Some(id) => id,
            None => {
                self.schemas.push(new);
                self.schemas.len()
            }
        };
        match self.subjects.iter_mut().find(|known| known.name == subject) {
            Some(known) => known.versions.push(id),
            None => self.subjects.push(Subject { name: subject.to_owned(), versions: vec![id] }),
        }
        self.version(subject, "latest")
    }

    /// The version of the subject that this schema is.
    pub fn find(&self, subject: &str, text: &str) -> Result<Registered, Refusal> {
        self.find_known(subject, &Known::parse(text)?)
    }

    pub fn version(&self, subject: &str, version: &str) -> Result<Registered, Refusal> {
        let known = self.subject(subject)?;
        let number = match version {
            "latest" | "-1" => known.versions.len(),
            number => number.parse().map_err(|_| Refusal::NoSuchVersion(number.to_owned()))?,
        };
        let id = number.checked_sub(1).and_then(|index| known.versions.get(index));
        let id = *id.ok_or_else(|| Refusal::NoSuchVersion(version.to_owned()))?;
        self.registered(subject, number, id)
    }

    pub fn schema(&self, id: &str) -> Result<&str, Refusal> {
        let id = id.parse().map_err(|_| Refusal::NoSuchSchema)?;
        Ok(&self.known(id)?.text)
    }

    /// The subjects that have the schema, with its version there.
    pub fn uses(&self, id: &str) -> Result<Vec<(String, usize)>, Refusal> {
        let id: usize = id.parse().map_err(|_| Refusal::NoSuchSchema)?;
        self.known(id)?;
        let place = |subject: &Subject| {
            let index = subject.versions.iter().position(|version| *version == id)?;
            Some((subject.name.clone(), index + 1))
        };
        Ok(self.subjects.iter().filter_map(place).collect())
    }

    /// Why a schema could not follow this version of the subject, if anything is in its way.
    pub fn objection(&self, subject: &str, version: &str, text: &str) -> Result<Option<String>, Refusal> {
        let new = Known::parse(text)?;
        let old = self.known(self.version(subject, version)?.id)?;
        Ok(SchemaCompatibility::can_read(&old.schema, &new.schema).err().map(|error| error.to_string()))
    }

    fn find_known(&self, subject: &str, wanted: &Known) -> Result<Registered, Refusal> {
        let versions = &self.subject(subject)?.versions;
        let id = self.id_of(wanted).ok_or(Refusal::NoSuchSchema)?;
        let index = versions.iter().position(|version| *version == id).ok_or(Refusal::NoSuchSchema)?;
        self.registered(subject, index + 1, id)
    }

    fn registered(&self, subject: &str, version: usize, id: usize) -> Result<Registered, Refusal> {
        let schema = self.known(id)?.text.clone();
        Ok(Registered { subject: subject.to_owned(), version, id, schema })
    }

    fn subject(&self, name: &str) -> Result<&Subject, Refusal> {
        let found = self.subjects.iter().find(|subject| subject.name == name);
        found.ok_or_else(|| Refusal::NoSuchSubject(name.to_owned()))
    }

    fn id_of(&self, wanted: &Known) -> Option<usize> {
        self.schemas.iter().position(|known| known.json == wanted.json).map(|index| index + 1)
    }

    fn known(&self, id: usize) -> Result<&Known, Refusal> {
        id.checked_sub(1).and_then(|index| self.schemas.get(index)).ok_or(Refusal::NoSuchSchema)
    }
}

impl Known {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let schema = Schema::parse_str(text).map_err(|error| Refusal::InvalidSchema(error.to_string()))?;
        let json = serde_json::from_str(text).map_err(|error| Refusal::InvalidSchema(error.to_string()))?;
        Ok(Self { text: text.to_owned(), json, schema })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}"#;
    const ONE_SPACED: &str = r#"{ "type":"record","name":"R","fields":[ {"name":"a","type":"long"} ] }"#;
    const WITH_DEFAULT: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"},
        {"name": "b", "type": ["null", "string"], "default": null}]}"#;
    const WITHOUT_DEFAULT: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"},
        {"name": "b", "type": "string"}]}"#;

    #[test]
    fn the_same_schema_keeps_its_id_in_every_subject() {
        let mut store = Store::default();
        let first = store.register("calls-value", ONE).unwrap();
        assert_eq!((first.id, first.version), (1, 1));
        assert_eq!(store.register("calls-value", ONE_SPACED).unwrap(), first);
        assert_eq!(store.register("chats-value", ONE).unwrap().id, 1);
        assert_eq!(store.uses("1").unwrap(), [("calls-value".to_owned(), 1), ("chats-value".to_owned(), 1)]);
        assert_eq!(store.subjects(), ["calls-value", "chats-value"]);
    }

    #[test]
    fn a_version_that_cannot_read_the_one_before_is_refused() {
        let mut store = Store::default();
        store.register("s", ONE).unwrap();
        assert!(matches!(store.register("s", WITHOUT_DEFAULT), Err(Refusal::Incompatible(_))));
        assert!(store.objection("s", "latest", WITHOUT_DEFAULT).unwrap().is_some());
        assert_eq!(store.objection("s", "1", WITH_DEFAULT).unwrap(), None);
        let second = store.register("s", WITH_DEFAULT).unwrap();
        assert_eq!((second.id, second.version), (2, 2));
        assert_eq!(store.version("s", "latest").unwrap(), second);
        assert_eq!(store.versions("s").unwrap(), [1, 2]);
        assert_eq!(store.find("s", ONE).unwrap().version, 1);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut store = Store::default();
        assert_eq!(store.find("s", ONE), Err(Refusal::NoSuchSubject("s".to_owned())));
        store.register("s", ONE).unwrap();
        assert_eq!(store.find("s", WITH_DEFAULT), Err(Refusal::NoSuchSchema));
        for version in ["0", "2", "last"] {
            assert_eq!(store.version("s", version), Err(Refusal::NoSuchVersion(version.to_owned())));
        }
        for id in ["0", "2", "x"] {
            assert_eq!(store.schema(id), Err(Refusal::NoSuchSchema));
        }
        assert!(matches!(store.register("s", "{"), Err(Refusal::InvalidSchema(_))));
    }
}
