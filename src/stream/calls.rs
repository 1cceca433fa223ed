//! The stream of calls: what differs from other streams stands here.
//!
//! The columns, how they fall into parts, what the filters look at, and the event. Reading, paging, the ledger and
//! publishing do not know which stream they serve.

mod prints;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct, Serializer};
use uuid::Uuid;

use super::record::{Fields, Record, wire_record};
use super::wire::{Extra, Items, Money, Text, Texts, WireTime};
use crate::domain::call::{AccountId, RowId, Service};
use crate::domain::filter::Traits;
use crate::domain::ledger::{Change, EventType, Prints};
use crate::domain::time::LocalTime;

pub use prints::{ALWAYS_COUNTED, Counted, PartDigests};

/// The name in the configuration, in state keys and in metrics.
pub const NAME: &str = "calls";

/// The report that the stream reads.
pub const METHOD: &str = "get.calls_report";

/// The column of the window and of the order.
pub const SORT_BY: &str = "start_time";

/// The Avro schema of the events.
pub const SCHEMA: &str = include_str!("../../schemas/call_event.avsc");

wire_record! {
    /// A row of `get.calls_report`, in the order of its documentation.
    Call {
        id: i64,
        start_time: WireTime<'a>,
        finish_time: Option<WireTime<'a>>,
        finish_reason: Option<Text<'a>>,
        direction: Option<Text<'a>>,
        cpn_region_id: Option<i64>,
        cpn_region_name: Option<Text<'a>>,
        cpn_country_name: Option<Text<'a>>,
        cpn_country_id: Option<Text<'a>>,
        properties: Option<Text<'a>>,
        scenario_operations: Items<ScenarioOperation<'a>>,
        source: Option<Text<'a>>,
        is_lost: Option<bool>,
        communication_number: Option<i64>,
        communication_page_url: Option<Text<'a>>,
        contact_phone_number: Option<Text<'a>>,
        communication_id: Option<i64>,
        communication_type: Option<Text<'a>>,
        wait_duration: Option<i64>,
        total_wait_duration: Option<i64>,
        lost_call_processing_duration: Option<i64>,
        talk_duration: Option<i64>,
        clean_talk_duration: Option<i64>,
        total_duration: Option<i64>,
        postprocess_duration: Option<i64>,
        call_records: Texts<'a>,
        wav_call_records: Texts<'a>,
        full_record_file_link: Option<Text<'a>>,
        voice_mail_records: Texts<'a>,
        virtual_phone_number: Option<Text<'a>>,
        ua_client_id: Option<Text<'a>>,
        ym_client_id: Option<Text<'a>>,
        sale_date: Option<WireTime<'a>>,
        sale_cost: Option<Money>,
        is_transfer: Option<bool>,
        search_query: Option<Text<'a>>,
        search_engine: Option<Text<'a>>,
        referrer_domain: Option<Text<'a>>,
        referrer: Option<Text<'a>>,
        entrance_page: Option<Text<'a>>,
        gclid: Option<Text<'a>>,
        yclid: Option<Text<'a>>,
        ymclid: Option<Text<'a>>,
        ef_id: Option<Text<'a>>,
        channel: Option<Text<'a>>,
        tags: Items<Tag<'a>>,
        employees: Items<Employee<'a>>,
        last_answered_employee_id: Option<i64>,
        last_answered_employee_full_name: Option<Text<'a>>,
        last_answered_employee_rating: Option<i64>,
        first_answered_employee_id: Option<i64>,
        first_answered_employee_full_name: Option<Text<'a>>,
        last_talked_employee_id: Option<i64>,
        last_talked_employee_full_name: Option<Text<'a>>,
        first_talked_employee_id: Option<i64>,
        first_talked_employee_full_name: Option<Text<'a>>,
        operator_phone_number: Option<Text<'a>>,
        scenario_name: Option<Text<'a>>,
        scenario_id: Option<i64>,
        site_domain_name: Option<Text<'a>>,
        site_id: Option<i64>,
        campaign_name: Option<Text<'a>>,
        campaign_id: Option<i64>,
        visit_other_campaign: Option<bool>,
        auto_call_campaign_name: Option<Text<'a>>,
        visitor_id: Option<i64>,
        person_id: Option<i64>,
        visitor_type: Option<Text<'a>>,
        visitor_session_id: Option<i64>,
        visits_count: Option<i64>,
        visitor_first_campaign_id: Option<i64>,
        visitor_first_campaign_name: Option<Text<'a>>,
        visitor_city: Option<Text<'a>>,
        visitor_region: Option<Text<'a>>,
        visitor_country: Option<Text<'a>>,
        visitor_device: Option<Text<'a>>,
        visitor_custom_properties: Items<CustomProperty<'a>>,
        segments: Items<Segment<'a>>,
        call_api_request_id: Option<i64>,
        call_api_external_id: Option<Text<'a>>,
        contact_id: Option<i64>,
        contact_full_name: Option<Text<'a>>,
        utm_source: Option<Text<'a>>,
        utm_medium: Option<Text<'a>>,
        utm_term: Option<Text<'a>>,
        utm_content: Option<Text<'a>>,
        utm_campaign: Option<Text<'a>>,
        openstat_ad: Option<Text<'a>>,
        openstat_campaign: Option<Text<'a>>,
        openstat_service: Option<Text<'a>>,
        openstat_source: Option<Text<'a>>,
        attributes: Texts<'a>,
        eq_utm_source: Option<Text<'a>>,
        eq_utm_medium: Option<Text<'a>>,
        eq_utm_term: Option<Text<'a>>,
        eq_utm_content: Option<Text<'a>>,
        eq_utm_campaign: Option<Text<'a>>,
        eq_utm_referrer: Option<Text<'a>>,
        eq_utm_expid: Option<Text<'a>>,
        source_id: Option<i64>,
        source_name: Option<Text<'a>>,
        source_new: Option<Text<'a>>,
        channel_new: Option<Text<'a>>,
        channel_code: Option<Text<'a>>,
        ext_id: Option<Text<'a>>,
    }
}

wire_record! {
    /// An operation of a scenario that took part in handling the call.
    ScenarioOperation {
        id: Option<i64>,
        name: Option<Text<'a>>,
    }
}

wire_record! {
    /// A tag on the communication.
    Tag {
        tag_name: Option<Text<'a>>,
        tag_id: Option<i64>,
        tag_change_time: Option<WireTime<'a>>,
        tag_type: Option<Text<'a>>,
        tag_user_id: Option<i64>,
        tag_user_login: Option<Text<'a>>,
        tag_employee_id: Option<i64>,
        tag_employee_full_name: Option<Text<'a>>,
    }
}

wire_record! {
    /// An employee who took part in the call.
    Employee {
        employee_id: Option<i64>,
        employee_full_name: Option<Text<'a>>,
        is_answered: Option<bool>,
        is_talked: Option<bool>,
    }
}

wire_record! {
    /// A property set on the visitor by the site's owner.
    CustomProperty {
        property_name: Option<Text<'a>>,
        property_value: Option<Text<'a>>,
    }
}

wire_record! {
    /// A segment the visitor falls into.
    Segment {
        segment_id: Option<i64>,
        segment_name: Option<Text<'a>>,
    }
}

impl<'a> Call<'a> {
    pub fn row_id(&self) -> RowId {
        RowId(self.id)
    }

    /// What the filters look at.
    pub fn traits(&self) -> Traits<'_> {
        Traits {
            source: self.source.as_deref(),
            virtual_number: self.virtual_phone_number.as_deref(),
            campaign: self.campaign_id,
            scenario: self.scenario_id,
            attributes: self.attributes.0.iter().map(AsRef::as_ref).collect(),
            tags: self.tags.0.iter().map(|tag| tag.tag_id).collect(),
        }
    }

    /// A row with nothing but its id and its start, as JSON: all that is left of one that the API no longer has.
    pub fn bare_row(id: RowId, start: LocalTime) -> String {
        format!(r#"{{"id":{id},"start_time":"{start}"}}"#)
    }
}

/// Fields of an event that are no columns: eight before them, `extra` after.
const OWN_FIELDS: usize = 9;

/// One revision of a call, as consumers see it.
pub struct CallEvent<'e, 'a> {
    pub source: &'e EventSource,
    pub call: &'e Call<'a>,
    pub change: Change,
    pub event_id: Uuid,
    pub observed_at_millis: i64,
}

/// What all events of an account share.
#[derive(Clone, Debug)]
pub struct EventSource {
    pub service: Service,
    pub account: AccountId,
    pub customer_id: Option<i64>,
    pub zone: TimeZone,
}

/// The namespace of event ids, drawn once: another one would give every event another id.
const EVENT_IDS: Uuid = Uuid::from_u128(0x47177b62057d4a998d56d9aaeb14aefb);

/// The id of an event: the same account, stream, call, revision and content always give the same id, so that an event
/// which was built again after a crash is recognised as the one that was sent before.
pub fn event_id(account: &AccountId, call: RowId, change: Change, prints: &Prints) -> Uuid {
    let mut name = Vec::with_capacity(128);
    name.extend_from_slice(account.as_str().as_bytes());
    for word in [NAME, change.event.as_str()] {
        name.push(0);
        name.extend_from_slice(word.as_bytes());
    }
    name.extend_from_slice(&call.0.to_be_bytes());
    name.extend_from_slice(&change.revision.to_be_bytes());
    for print in prints.as_numbers() {
        name.extend_from_slice(&print.to_be_bytes());
    }
    Uuid::new_v5(&EVENT_IDS, &name)
}

impl Fields for CallEvent<'_, '_> {
    const NAME: &'static str = "CallEvent";
    const COUNT: usize = OWN_FIELDS + <Call<'_> as Record<'_>>::FIELDS;

    fn write<S: SerializeStruct>(&self, event: &mut S) -> Result<(), S::Error> {
        let mut id = Uuid::encode_buffer();
        event.serialize_field("event_id", self.event_id.hyphenated().encode_lower(&mut id) as &str)?;
        event.serialize_field("event_type", self.change.event.as_str())?;
        event.serialize_field("revision", &i32::try_from(self.change.revision).unwrap_or(i32::MAX))?;
        event.serialize_field("changed", &self.change.changed.names())?;
        event.serialize_field("observed_at", &self.observed_at_millis)?;
        event.serialize_field("service", self.source.service.as_str())?;
        event.serialize_field("account", self.source.account.as_str())?;
        event.serialize_field("customer_id", &self.source.customer_id)?;
        self.call.write_columns(&self.source.zone, event)?;
        event.serialize_field("extra", &ExtraMap(&self.call.all_extra()))
    }
}

impl Serialize for CallEvent<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize_fields(serializer)
    }
}

/// CloudEvents in their Kafka binding, binary mode (design 7).
pub fn headers(event: &CallEvent<'_, '_>) -> Vec<(Cow<'static, str>, Cow<'static, [u8]>)> {
    let source = event.source;
    let event_type: &'static [u8] = match event.change.event {
        EventType::Created => b"callfeed.call.created",
        EventType::Updated => b"callfeed.call.updated",
        EventType::Withdrawn => b"callfeed.call.withdrawn",
    };
    vec![
        ("ce_specversion".into(), Cow::Borrowed(b"1.0")),
        ("ce_id".into(), event.event_id.hyphenated().to_string().into_bytes().into()),
        ("ce_type".into(), Cow::Borrowed(event_type)),
        ("ce_source".into(), format!("/{}/{}", source.service, source.account).into_bytes().into()),
        ("ce_subject".into(), event.call.id.to_string().into_bytes().into()),
        ("ce_time".into(), rfc3339(event.observed_at_millis).into_bytes().into()),
        ("content-type".into(), Cow::Borrowed(b"application/avro")),
    ]
}

/// A moment as RFC 3339 text in UTC, to the millisecond.
pub fn rfc3339(unix_millis: i64) -> String {
    let timestamp = Timestamp::from_millisecond(unix_millis).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}

/// Unknown columns as a map of JSON texts.
struct ExtraMap<'e, 'a>(&'e Extra<'a>);

impl Serialize for ExtraMap<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, json) in self.0 {
            map.serialize_entry(name, json.get())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
