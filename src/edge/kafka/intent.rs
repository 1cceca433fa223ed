//! What a replica without transactions is about to publish, written down before.
//!
//! Without a transaction a process can die when the events of a step are out and its state is not. Whoever comes after
//! cannot know them: a call that has changed meanwhile would be told a second time under the same revision. So each step
//! is written to the state topic as it is, then published, then its state is written and the intent taken away. Who takes
//! a partition over publishes what he finds intended, the same events with the same ids, and goes on from there.
//!
//! ```text
//! intent/<partition>/<slot>/<piece>    a version, the number of pieces, a checksum of the whole, and a piece of it
//! ```
//!
//! What always holds: an intent counts only when it is there as a whole, and no event of a step goes out before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::bytes::take_chunk;
use super::record::{Headers, Record};

/// A broker's default `max.message.bytes` is 1 MiB.
const LARGEST_PIECE: usize = 512 * 1024;

const VERSION: u8 = 1;

/// Version, number of pieces, checksum.
const HEAD: usize = 1 + 4 + 4;

/// A step that was to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub records: Vec<Record>,
    /// What takes it away.
    pub tombstones: Vec<Record>,
}

/// What has to be acknowledged before any of the records is sent.
pub(super) fn declared(topic: &Arc<str>, partition: i32, slot: usize, records: &[Record]) -> Vec<Record> {
    let whole = encoded(records);
    let pieces: Vec<&[u8]> = whole.chunks(LARGEST_PIECE).collect();
    // A step is bounded by what may be in flight, far below this number of pieces.
    let n_pieces = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let head = [&[VERSION][..], &n_pieces.to_be_bytes(), &crc32fast::hash(&whole).to_be_bytes()].concat();
    let piece = |(number, piece): (usize, &&[u8])| {
        Record::of_state(
            topic.clone(),
            partition,
            format!("intent/{partition}/{slot}/{number}").into_bytes(),
            Some([&head, *piece].concat()),
        )
    };
    pieces.iter().enumerate().map(piece).collect()
}

pub(super) fn tombstone(topic: &Arc<str>, partition: i32, key: Vec<u8>) -> Record {
    Record::of_state(topic.clone(), partition, key, None)
}

impl Intent {
    /// The intents among the latest values of a state topic's keys, by partition. Those that are not whole have no records:
    /// none of their events was sent.
    pub fn all_in(topic: &Arc<str>, content: &HashMap<String, Vec<u8>>) -> BTreeMap<i32, Vec<Intent>> {
        let mut slots: BTreeMap<(i32, usize), Pieces<'_>> = BTreeMap::new();
        for (key, value) in content {
            let Some((partition, slot, number)) = parse(key) else { continue };
            slots.entry((partition, slot)).or_default().insert(number, (key, value));
        }
        let mut intents: BTreeMap<i32, Vec<Intent>> = BTreeMap::new();
        for ((partition, _), pieces) in slots {
            let values: Vec<&[u8]> = pieces.values().map(|(_, value)| *value).collect();
            let records = whole(&values).and_then(|whole| decoded(&whole)).unwrap_or_default();
            let tombstones =
                pieces.values().map(|(key, _)| tombstone(topic, partition, key.as_bytes().to_vec())).collect();
            intents.entry(partition).or_default().push(Intent { records, tombstones });
        }
        intents
    }
}

/// By their number: key and value.
type Pieces<'a> = BTreeMap<usize, (&'a str, &'a [u8])>;

fn parse(key: &str) -> Option<(i32, usize, usize)> {
    let mut words = key.strip_prefix("intent/")?.split('/');
    let parsed = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(parsed)
}

/// The pieces of one intent put together; further ones, of a former intent that was larger, are left over.
fn whole(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let head = pieces.first()?.get(..HEAD)?;
    let (version, rest) = head.split_first()?;
    let (n_pieces, checksum) = rest.split_first_chunk()?;
    let n_pieces = usize::try_from(u32::from_be_bytes(*n_pieces)).ok()?;
    let own = pieces.get(..n_pieces)?;
    if *version != VERSION || own.iter().any(|piece| piece.get(..HEAD) != Some(head)) {
        return None;
    }
    let whole: Vec<u8> = own.iter().flat_map(|piece| &piece[HEAD..]).copied().collect();
    (crc32fast::hash(&whole).to_be_bytes() == checksum).then_some(whole)
}

fn encoded(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        put(&mut bytes, Some(record.topic.as_bytes()));
        put(&mut bytes, record.partition.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
        put(&mut bytes, record.timestamp_ms.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        put(&mut bytes, record.key.as_deref());
        put(&mut bytes, record.value.as_deref());
        bytes.extend((record.headers.len() as u32).to_be_bytes());
        for (name, value) in &record.headers {
            put(&mut bytes, Some(name.as_bytes()));
            put(&mut bytes, Some(value));
        }
    }
    bytes
}

/// Bytes with their length in front; none has the length -1.
fn put(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    let length = field.map_or(-1, |field| i64::try_from(field.len()).unwrap_or(i64::MAX));
    bytes.extend(length.to_be_bytes());
    bytes.extend(field.unwrap_or_default());
}

fn decoded(mut bytes: &[u8]) -> Option<Vec<Record>> {
    let rest = &mut bytes;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let topic = String::from_utf8(take(rest)??).ok()?;
        let partition = number(take(rest)?, i32::from_be_bytes)?;
        let timestamp_ms = number(take(rest)?, i64::from_be_bytes)?;
        let (key, value) = (take(rest)?, take(rest)?);
        let mut headers = Headers::new();
        for _ in 0..u32::from_be_bytes(take_chunk(rest)?) {
            let name = String::from_utf8(take(rest)??).ok()?;
            headers.push((name.into(), take(rest)??.into()));
        }
        records.push(Record { topic: topic.into(), partition, key, value, headers, timestamp_ms });
    }
    Some(records)
}

fn take(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let length = i64::from_be_bytes(take_chunk(rest)?);
    if length == -1 {
        return Some(None);
    }
    let (field, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(field.to_vec()))
}

fn number<T, const N: usize>(field: Option<Vec<u8>>, read: impl Fn([u8; N]) -> T) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(bytes) => Some(Some(read(bytes.try_into().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(records: &[Record]) -> HashMap<String, Vec<u8>> {
        let entry = |record: &Record| (String::from_utf8(record.key.clone()?).ok()?, record.value.clone()?).into();
        records.iter().filter_map(entry).collect()
    }

    fn event(value: Vec<u8>) -> Record {
        Record {
            topic: "calls".into(),
            partition: None,
            key: Some(b"acme:1".to_vec()),
            value: Some(value),
            headers: vec![("ce_id".into(), b"1".as_slice().into())],
            timestamp_ms: Some(1_700_000_000_000),
        }
    }

    #[test]
    fn a_step_of_many_pieces_is_found_whole_or_not_at_all() {
        let topic: Arc<str> = "state".into();
        let records = vec![event(vec![7; 2 * LARGEST_PIECE]), event(Vec::new())];
        let declared = declared(&topic, 3, 0, &records);
        assert_eq!(declared.len(), 3);
        let found = Intent::all_in(&topic, &content(&declared));
        assert_eq!(found[&3][0].records, records);
        assert_eq!(found[&3][0].tombstones.len(), 3);
        for missing in 0..3 {
            let mut rest = declared.clone();
            rest.remove(missing);
            let found = Intent::all_in(&topic, &content(&rest));
            assert_eq!((found[&3][0].records.len(), found[&3][0].tombstones.len()), (0, 2));
        }
    }

    #[test]
    fn what_a_larger_intent_has_left_over_does_not_count() {
        let topic: Arc<str> = "state".into();
        let large = declared(&topic, 0, 1, &[event(vec![7; 2 * LARGEST_PIECE])]);
        let small = vec![event(vec![8])];
        let mut content = content(&large);
        content.extend(self::content(&declared(&topic, 0, 1, &small)));
        content.insert("a/acme/calls/coverage".to_owned(), b"{}".to_vec());
        content.insert("intent/0/x/0".to_owned(), b"?".to_vec());
        content.insert("intent/0/2/0".to_owned(), b"?".to_vec());
        let found = Intent::all_in(&topic, &content);
        assert_eq!(found[&0][0].records, small);
        assert!(found[&0][1].records.is_empty(), "what cannot be read was never whole");
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20));
        let headers = proptest::collection::vec(("[a-z_-]{1,9}", proptest::collection::vec(any::<u8>(), 0..9)), 0..4);
        ("[a-z.]{1,9}", any::<Option<i32>>(), bytes(), bytes(), headers, any::<Option<i64>>()).prop_map(
            |(topic, partition, key, value, headers, timestamp_ms)| Record {
                topic: topic.as_str().into(),
                partition,
                key,
                value,
                headers: headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                timestamp_ms,
            },
        )
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_are_written(records in proptest::collection::vec(any_record(), 0..5)) {
            let bytes = encoded(&records);
            prop_assert_eq!(decoded(&bytes), Some(records));
        }

        #[test]
        fn anything_else_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decoded(&bytes);
            let _ = whole(&[&bytes]);
        }
    }
}
