//! Asks the brokers which operations the principal may do with a topic or a group (KIP-430).
//!
//! The library's safe interface has neither question, so this calls librdkafka itself: callfeed's `unsafe` on Kafka is in
//! this file and in [`super::super::standing`]. What librdkafka hands out is held by [`Owned`], which gives it back when it
//! goes away, and whatever is read from an answer is copied before the answer goes away.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;

use super::{Granted, Operation};

/// What the brokers say of one resource. `None`: they do not tell, as those before Kafka 2.3.
pub(super) type Answer = Result<Option<Granted>, RDKafkaErrorCode>;

/// What the principal may do with topics that exist, each by its name.
pub(super) fn topics<C: ClientContext>(
    client: &Client<C>,
    names: &[String],
    within: Duration,
) -> Result<Vec<(String, Answer)>, RDKafkaErrorCode> {
    let question = Question::new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, within)?;
    let names = Names::of(names)?;
    let mut pointers = names.pointers();
    // SAFETY: `pointers` has that many C strings, which are copied by the call.
    let topics = unsafe { c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    let topics = Owned::of(topics, c::rd_kafka_TopicCollection_destroy)?;
    // SAFETY: the client outlives the question; the call copies the collection and the options, and holds the queue
    // itself for as long as it needs it.
    unsafe {
        c::rd_kafka_DescribeTopics(client.native_ptr(), topics.ptr(), question.options.ptr(), question.queue.ptr())
    };
    let event = question.answer(within)?;
    // SAFETY: the result is a view of the event, null when it is no answer to this question. The descriptions live as
    // long as the event, which is dropped after they were copied.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event.ptr());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let descriptions = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let describe = |one: *const c::rd_kafka_TopicDescription_t| {
            let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(one)).to_string_lossy().into_owned();
            let mut n_operations = 0;
            let operations = c::rd_kafka_TopicDescription_authorized_operations(one, &raw mut n_operations);
            (name, answer(c::rd_kafka_TopicDescription_error(one), operations, n_operations))
        };
        Ok(elements(descriptions, count).iter().map(|one| describe(*one)).collect())
    }
}

/// What the principal may do with a group, whether that exists or not.
pub(super) fn group<C: ClientContext>(client: &Client<C>, id: &str, within: Duration) -> Answer {
    let question = Question::new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, within)?;
    let names = Names::of(&[id.to_owned()])?;
    let mut pointers = names.pointers();
    // SAFETY: as with topics; the names are copied by the call.
    unsafe {
        c::rd_kafka_DescribeConsumerGroups(
            client.native_ptr(),
            pointers.as_mut_ptr(),
            pointers.len(),
            question.options.ptr(),
            question.queue.ptr(),
        );
    }
    let event = question.answer(within)?;
    // SAFETY: as with topics.
    unsafe {
        let result = c::rd_kafka_event_DescribeConsumerGroups_result(event.ptr());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let descriptions = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let Some(one) = elements(descriptions, count).first().copied() else { return Ok(None) };
        let mut n_operations = 0;
        let operations = c::rd_kafka_ConsumerGroupDescription_authorized_operations(one, &raw mut n_operations);
        answer(c::rd_kafka_ConsumerGroupDescription_error(one), operations, n_operations)
    }
}

/// # Safety
///
/// The pointers must come from one description of librdkafka that still lives.
unsafe fn answer(
    error: *const c::rd_kafka_error_t,
    operations: *const c::rd_kafka_AclOperation_t,
    n_operations: usize,
) -> Answer {
    // SAFETY: without an error there is none, or one that says so.
    let code = if error.is_null() { None } else { known_error(unsafe { c::rd_kafka_error_code(error) }) };
    match code {
        Some(code) => Err(code),
        None if operations.is_null() => Ok(None),
        None => {
            // Read as numbers: a value that these bindings do not know must not become their enumeration.
            // SAFETY: an array of that many C enumerations, which are of 32 bits.
            let codes = unsafe { elements(operations.cast::<u32>(), n_operations) };
            Ok(Some(codes.iter().filter_map(|code| Operation::of_code(*code)).collect()))
        }
    }
}

/// # Safety
///
/// `first` must be null, or point to that many elements that outlive the result.
unsafe fn elements<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if first.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(first, count) } }
}

fn known_error(code: c::rd_kafka_resp_err_t) -> Option<RDKafkaErrorCode> {
    (code != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

/// C strings, and their addresses for as long as they are there.
struct Names(Vec<CString>);

impl Names {
    fn of(names: &[String]) -> Result<Self, RDKafkaErrorCode> {
        let names = names.iter().map(|name| CString::new(name.as_str())).collect::<Result<_, _>>();
        // No name in Kafka holds a zero.
        names.map(Self).map_err(|_| RDKafkaErrorCode::InvalidArgument)
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.0.iter().map(|name| name.as_ptr()).collect()
    }
}

/// What a question takes, and where its answer comes to.
struct Question {
    options: Owned<c::rd_kafka_AdminOptions_t>,
    queue: Owned<c::rd_kafka_queue_t>,
}

impl Question {
    fn new<C: ClientContext>(
        client: &Client<C>,
        kind: c::rd_kafka_admin_op_t,
        within: Duration,
    ) -> Result<Self, RDKafkaErrorCode> {
        // SAFETY: the client is alive, as it is borrowed.
        let options = unsafe { c::rd_kafka_AdminOptions_new(client.native_ptr(), kind) };
        let options = Owned::of(options, c::rd_kafka_AdminOptions_destroy)?;
        // SAFETY: the client is alive, and keeps what it needs of the queue.
        let queue = Owned::of(unsafe { c::rd_kafka_queue_new(client.native_ptr()) }, c::rd_kafka_queue_destroy)?;
        // SAFETY: the options are alive; without a buffer no text of an error is written. An error that the second
        // call returns is the caller's, and destroying none is allowed.
        unsafe {
            c::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), millis(within), ptr::null_mut(), 0);
            c::rd_kafka_error_destroy(c::rd_kafka_AdminOptions_set_include_authorized_operations(options.ptr(), 1));
        }
        Ok(Self { options, queue })
    }

    /// Waits for the answer; librdkafka always gives one, if only that the time is over.
    fn answer(&self, within: Duration) -> Result<Owned<c::rd_kafka_event_t>, RDKafkaErrorCode> {
        // SAFETY: the queue is alive; the event is the caller's.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue.ptr(), millis(within + Duration::from_secs(1))) };
        let event = Owned::of(event, c::rd_kafka_event_destroy).map_err(|_| RDKafkaErrorCode::OperationTimedOut)?;
        // SAFETY: the event is alive.
        match known_error(unsafe { c::rd_kafka_event_error(event.ptr()) }) {
            Some(code) => Err(code),
            None => Ok(event),
        }
    }
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}

/// Something of librdkafka's that has to be given back.
struct Owned<T> {
    held: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn of(held: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, RDKafkaErrorCode> {
        NonNull::new(held).map(|held| Self { held, destroy }).ok_or(RDKafkaErrorCode::Fail)
    }

    fn ptr(&self) -> *mut T {
        self.held.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it came from librdkafka with this way to give it back, and nobody else does that.
        unsafe { (self.destroy)(self.held.as_ptr()) }
    }
}
