//! The names of what changes lastingly, for alerts and searches: `event.name` in JSON.
//!
//! A name never changes its meaning. The lines above each name are its meaning in the README too: a test holds the two
//! together, and makes sure that each name is used. A name is given with `name:`, as in
//! `tracing::info!(name: events::ACCOUNT_LIVE, ...)`; what has none may be left out where it repeats.

/// the process has started
pub const SERVICE_STARTED: &str = "service_started";
/// the admin port answers, at the address given
pub const ADMIN_PORT_OPENED: &str = "admin_port_opened";
/// partitions are assigned and their state is restored: accounts are polled
pub const SERVICE_READY: &str = "service_ready";
/// a signal asks for an orderly stop
pub const SERVICE_STOPPING: &str = "service_stopping";
/// the process ends in order
pub const SERVICE_STOPPED: &str = "service_stopped";
/// the process ends since it cannot go on, or could not do what it was asked for
pub const SERVICE_FAILED: &str = "service_failed";

/// a thread ended by a fault of callfeed: only a restart helps, and `/live` is 503
pub const THREAD_ENDED: &str = "thread_ended";

/// a changed configuration file is followed
pub const CONFIG_RELOADED: &str = "config_reloaded";
/// a changed configuration file is refused; the former one goes on
pub const CONFIG_REFUSED: &str = "config_refused";

/// the account reads what it has never read
pub const ACCOUNT_BACKFILLING: &str = "account_backfilling";
/// the account is read up to now
pub const ACCOUNT_LIVE: &str = "account_live";
/// the account waits for points, or because the service asks it to
pub const ACCOUNT_LIMITED: &str = "account_limited";
/// the account cannot go on until somebody acts: the remedy says how
pub const ACCOUNT_BLOCKED: &str = "account_blocked";
/// the account is paused by a person
pub const ACCOUNT_PAUSED: &str = "account_paused";
/// the task of an account ended by a fault of callfeed
pub const ACCOUNT_CRASHED: &str = "account_crashed";
/// an agency has a new customer, which is polled from now on
pub const CUSTOMER_JOINED: &str = "customer_joined";
/// a customer left its agency; its state stays
pub const CUSTOMER_LEFT: &str = "customer_left";

/// events are committed
pub const CALLS_PUBLISHED: &str = "calls_published";
/// zone, tags or filters of the account are others than before: its horizon is read again
pub const HORIZON_STALE: &str = "horizon_stale";
/// the service shows rows only so long after their start
pub const EMBARGO_CHANGED: &str = "embargo_changed";
/// a page did not fit into memory: shorter ones are asked for
pub const PAGE_SIZE_REDUCED: &str = "page_size_reduced";

/// what a person asked of an account is done
pub const ORDER_DONE: &str = "order_done";
/// what a person asked of an account is refused
pub const ORDER_REFUSED: &str = "order_refused";
/// the decisions of an account are logged from now on
pub const TRACE_STARTED: &str = "trace_started";
/// the decisions of an account are not logged any more
pub const TRACE_ENDED: &str = "trace_ended";

/// partitions of the state topic are this replica's from now on
pub const PARTITION_ASSIGNED: &str = "partition_assigned";
/// partitions are another replica's from now on
pub const PARTITION_REVOKED: &str = "partition_revoked";
/// partitions are nobody's: the group is made to divide them anew
pub const PARTITION_VACANT: &str = "partition_vacant";
/// the state of partitions is read back
pub const STATE_RESTORED: &str = "state_restored";
/// this replica was out of the group, or another has taken its place for a while
pub const MEMBERSHIP_LOST: &str = "membership_lost";
/// Kafka does not answer; nothing is lost, and `/ready` is 503
pub const KAFKA_LOST: &str = "kafka_lost";
/// Kafka answers again
pub const KAFKA_FOUND: &str = "kafka_found";
/// a missing topic was created
pub const TOPIC_CREATED: &str = "topic_created";

/// the broker refuses this replica's producer: another one has taken over, or a transaction took too long
pub const PRODUCER_FENCED: &str = "producer_fenced";
/// the producer can do no more, and is replaced
pub const PRODUCER_BROKEN: &str = "producer_broken";
/// another producer has taken its place
pub const PRODUCER_REBUILT: &str = "producer_rebuilt";
/// a topic takes smaller batches than it said
pub const BATCH_SIZE_REDUCED: &str = "batch_size_reduced";
/// what a replica that is no more had left open is aborted
pub const TRANSACTION_TAKEN_OVER: &str = "transaction_taken_over";
/// what a replica that is no more had begun is published (`at_least_once`)
pub const STEP_TAKEN_OVER: &str = "step_taken_over";
/// what a replica that is no more had begun cannot be published; its rows are read again
pub const STEP_GIVEN_UP: &str = "step_given_up";
