//! What the coordinator of a consumer group knows and tells nobody, and what its operators ask of it.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Cluster;

/// Where coordinators keep what they know.
const TOPIC: &str = "__consumer_offsets";

/// The version of a key that says: what follows is about a group of the classic protocol.
const ABOUT_A_GROUP: i16 = 2;

/// The newest version of a value whose texts are laid out as here.
const KNOWN_VALUE: i16 = 3;

impl Cluster {
    /// Takes a static member out of a group, as Kafka's admin client does: a LeaveGroup request in its name (KIP-345).
    pub fn leave_group(&self, group: &str, instance: &str) {
        let text = |text: &str| [&(text.len() as i16).to_be_bytes(), text.as_bytes()].concat();
        let (api_key, version, correlation_id) = (13_i16, 3_i16, 1_i32);
        let mut request = [&api_key.to_be_bytes()[..], &version.to_be_bytes(), &correlation_id.to_be_bytes()].concat();
        request.extend([text("test"), text(group), 1_i32.to_be_bytes().to_vec(), text(""), text(instance)].concat());
        let mut stream = TcpStream::connect(&self.bootstrap).unwrap();
        stream.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        let mut answer = [0; 4 + 4 + 4 + 2];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[12..], [0, 0], "the group `{group}` does not let `{instance}` go");
    }

    /// The generation of a group: each rebalance counts it up, and a member that comes back without one does not. `None`:
    /// nobody has joined it yet.
    pub fn generation(&self, group: &str) -> Option<i32> {
        let records = self.read_committed(TOPIC).into_iter();
        let mut of_group = records.filter(|record| record.key.as_deref().is_some_and(|key| is_about(key, group)));
        of_group.next_back().and_then(|record| record.value).map(|value| generation(&value))
    }
}

fn is_about(key: &[u8], group: &str) -> bool {
    key.strip_prefix(&ABOUT_A_GROUP.to_be_bytes()).is_some_and(|rest| text(rest).0 == group.as_bytes())
}

/// Behind the version and the type of the protocol.
fn generation(value: &[u8]) -> i32 {
    let (version, rest) = value.split_first_chunk().expect("a version");
    assert!(i16::from_be_bytes(*version) <= KNOWN_VALUE, "an unknown version: {version:?}");
    let (number, _) = text(rest).1.split_first_chunk().expect("a generation");
    i32::from_be_bytes(*number)
}

/// A text with its length in front, and what comes behind it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    rest.split_at(u16::from_be_bytes(*length).into())
}
