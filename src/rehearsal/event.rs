//! An event as the log holds it: what stands in front of each is read here, by hand and quickly, and the rest is kept.

use uuid::Uuid;

use crate::edge::kafka::Record;

/// The id of every schema in a rehearsal.
pub const SCHEMA_ID: u32 = 1;

/// What an event says before it tells of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Uuid,
    /// `CREATED`, `UPDATED` or `WITHDRAWN`.
    pub event_type: String,
    pub revision: i64,
    pub changed: Vec<String>,
    /// When the row was read.
    pub observed_at_millis: i64,
    pub committed_at_millis: i64,
}

/// All events of one call, in the order of the log.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
    /// The whole last one, as the topic holds it.
    pub latest: Vec<u8>,
    /// Records that are no events: never anything but zero.
    pub n_unreadable: usize,
}

impl History {
    pub(super) fn add(&mut self, record: Record, committed_at_millis: i64) {
        let value = record.value.unwrap_or_default();
        match read(&value, record.timestamp_ms.unwrap_or_default(), committed_at_millis) {
            Some(event) => self.events.push(event),
            None => self.n_unreadable += 1,
        }
        self.latest = value;
    }

    pub fn is_withdrawn(&self) -> bool {
        self.events.last().is_some_and(|event| event.event_type == "WITHDRAWN")
    }
}

/// The account and the call that a record is about.
pub(super) fn key(record: &Record) -> Option<(&str, i64)> {
    let (account, call) = std::str::from_utf8(record.key.as_deref()?).ok()?.rsplit_once(':')?;
    Some((account, call.parse().ok()?))
}

fn read(value: &[u8], observed_at_millis: i64, committed_at_millis: i64) -> Option<Event> {
    let mut rest = value.strip_prefix(&[0])?.strip_prefix(&SCHEMA_ID.to_be_bytes())?;
    Some(Event {
        id: text(&mut rest)?.parse().ok()?,
        event_type: text(&mut rest)?.to_owned(),
        revision: number(&mut rest)?,
        changed: texts(&mut rest)?,
        observed_at_millis,
        committed_at_millis,
    })
}

/// Avro's int and long: seven bits a byte, the lowest first, the sign in the lowest bit.
fn number(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
    }
    None
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    std::str::from_utf8(text).ok()
}

/// An array comes in blocks; a count below zero is followed by the block's size.
fn texts(rest: &mut &[u8]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    loop {
        let count = number(rest)?;
        if count == 0 {
            return Some(texts);
        }
        if count < 0 {
            number(rest)?;
        }
        for _ in 0..count.unsigned_abs() {
            texts.push(text(rest)?.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_event_is_read() {
        let id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        let mut value = vec![0, 0, 0, 0, 1, 72];
        value.extend_from_slice(id.as_bytes());
        value.extend_from_slice(b"\x0eUPDATED\xac\x02\x02\x08tags\x01\x0a\x08sale\x00rest");

        let event = read(&value, 7, 9).unwrap();

        assert_eq!((event.id, event.event_type.as_str(), event.revision), (id.parse().unwrap(), "UPDATED", 150));
        assert_eq!(event.changed, ["tags", "sale"]);
        assert_eq!(read(&value[..50], 7, 9), None, "an event that is cut off is none");
    }
}
