//! Who this client is for its group, and whether it has been so all the time.
//!
//! librdkafka keeps its partitions when the group answers to its joining again that it does not know this member any more:
//! it joins as a new one, and neither tells that anything was lost nor assigns anything anew. Others may have had the
//! partitions in between. So what a lease is worth is decided here: by member id and generation (KIP-447), without a gap.

use std::ffi::CStr;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};

/// A member id, and the generation in which it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    member_id: String,
    generation: i32,
}

impl Standing {
    /// None while the client is no member.
    pub fn of<C: ClientContext>(client: &Client<C>) -> Option<Self> {
        // SAFETY: the client lives; what the call returns is this function's own, null when there is no group. Its texts
        // live as long as it does, and are copied before it is given back.
        let (member_id, generation) = unsafe {
            let metadata = c::rd_kafka_consumer_group_metadata(client.native_ptr());
            if metadata.is_null() {
                return None;
            }
            let member_id = c::rd_kafka_consumer_group_metadata_member_id(metadata);
            let member_id = (!member_id.is_null()).then(|| CStr::from_ptr(member_id).to_string_lossy().into_owned());
            let generation = c::rd_kafka_consumer_group_metadata_generation_id(metadata);
            c::rd_kafka_consumer_group_metadata_destroy(metadata);
            (member_id?, generation)
        };
        (!member_id.is_empty() && generation >= 0).then_some(Self { member_id, generation })
    }

    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// Whether nobody else can have been assigned this member's partitions since `former`, under the classic protocol: a
    /// generation is divided with what the members of the one before it say that they have.
    pub fn follows(&self, former: &Self) -> bool {
        self.is_same_member(former) && (0..=1).contains(&(self.generation - former.generation))
    }

    /// Under the newer protocol (KIP-848) the epoch may leap; the brokers keep a member's partitions for it until it has
    /// given them up, and a member that they have given up is told so.
    pub fn is_same_member(&self, former: &Self) -> bool {
        self.member_id == former.member_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_generations_or_another_member_id_breaks_the_line() {
        let standing = |member_id: &str, generation| Standing { member_id: member_id.to_owned(), generation };
        let former = standing("a", 5);
        assert!(standing("a", 5).follows(&former) && standing("a", 6).follows(&former));
        for other in [standing("a", 7), standing("a", 4), standing("b", 5), standing("b", 6)] {
            assert!(!other.follows(&former), "{other:?}");
        }
        assert!(standing("a", 9).is_same_member(&former) && !standing("b", 5).is_same_member(&former));
    }
}
