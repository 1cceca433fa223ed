//! What lies in partitions of the state topic.

use std::collections::{BTreeMap, HashMap};

use super::mark::{MOVED, Moved, UNFINISHED, Unfinished};

/// What lies in partitions of the state topic, whether it makes sense or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// By key: the latest value, and the partition that it lies in.
    pub latest: HashMap<String, (i32, Vec<u8>)>,
    /// A key that has a value in two partitions.
    pub ambiguous: Option<String>,
    /// The partitions with a mark that they are not complete.
    pub unfinished: BTreeMap<i32, Unfinished>,
    /// The partitions with a mark that the state is elsewhere.
    pub moved: BTreeMap<i32, Moved>,
}

impl Content {
    /// Takes the next record in.
    pub(super) fn put(&mut self, partition: i32, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) if key == UNFINISHED => drop(self.unfinished.insert(partition, Unfinished::read(value))),
            None if key == UNFINISHED => drop(self.unfinished.remove(&partition)),
            Some(value) if key == MOVED => drop(self.moved.insert(partition, Moved::read(value))),
            None if key == MOVED => drop(self.moved.remove(&partition)),
            Some(value) => {
                let former = self.latest.insert(key.to_owned(), (partition, value.to_vec()));
                if former.is_some_and(|(other, _)| other != partition) {
                    self.ambiguous = Some(key.to_owned());
                }
            }
            None if self.latest.get(key).is_some_and(|(where_it_is, _)| *where_it_is == partition) => {
                self.latest.remove(key);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_latest_value_of_each_key() {
        let mut content = Content::default();
        let records = [
            (0, "a/acme/calls/coverage", Some("1")),
            (0, "a/acme/calls/coverage", Some("2")),
            (1, "a/globex/calls/coverage", Some("1")),
            (1, "a/globex/calls/coverage", None),
            (0, UNFINISHED, Some(r#"{"from": "old", "from_partitions": 4}"#)),
            (1, UNFINISHED, Some("?")),
            (1, UNFINISHED, None),
            (0, MOVED, Some(r#"{"to": "new", "to_partitions": 7}"#)),
            (1, MOVED, Some("?")),
            (1, MOVED, None),
        ];
        for (partition, key, value) in records {
            content.put(partition, key, value.map(str::as_bytes));
        }
        let latest = HashMap::from([("a/acme/calls/coverage".to_owned(), (0, b"2".to_vec()))]);
        let unfinished = BTreeMap::from([(0, Unfinished { from: "old".to_owned(), from_partitions: 4 })]);
        let moved = BTreeMap::from([(0, Moved { to: "new".to_owned(), to_partitions: 7 })]);
        assert_eq!(content, Content { latest, ambiguous: None, unfinished, moved });

        content.put(1, "a/acme/calls/coverage", None);
        assert_eq!(content.latest.len(), 1, "the key of another partition is another one");
        content.put(1, "a/acme/calls/coverage", Some(b"3"));
        assert_eq!(content.ambiguous.as_deref(), Some("a/acme/calls/coverage"));
    }
}
