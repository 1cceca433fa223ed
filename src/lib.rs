//! callfeed streams call-tracking accounts (CoMagic, UIS, CallGear, Novofon: one Data API, four brands) into Kafka as
//! Avro events, exactly once.
//!
//! # The way of one call
//!
//! ```text
//!  plan      domain::plan     what to read next, or how long to wait   <- coverage, clocks of the tiers, pace, points, now
//!  fetch     edge::data_api   one page of a report, by seek paging (domain::paging)
//!  filter    domain::filter   keep it, or why not
//!  diff      domain::ledger   CREATED, UPDATED, WITHDRAWN, or nothing new
//!  encode    edge::avro       Avro in Confluent's framing
//!  publish   edge::kafka      one transaction: events, dead letters and the state records of the same step
//!  apply     progress         the acknowledged step moves coverage and ledger in memory
//! ```
//!
//! [`poller`] is one account and the only place where rules meet I/O; filter, diff and encode of a page are
//! [`batch`]. [`accounts`] opens accounts ([`opening`]), tries them again and follows the customers of agencies;
//! [`fleet`] has the accounts that run follow a configuration that changes ([`reload`]); [`group`] follows which of them
//! are this replica's; [`service`] builds, starts and stops everything. [`check`], [`preview`] and [`outlook`] look at the
//! same things with the same parts, and publish nothing; [`state_admin`] changes progress while no replica runs.
//! [`rehearsal`] runs them in virtual time, against the simulator and a log in memory.
//!
//! # What always holds
//!
//! - Nothing in memory moves before Kafka has acknowledged: [`progress::Progress::apply`] takes a proof that only the
//!   publisher can make, after a committed transaction. An enqueue is not an acknowledgement. A live reading
//!   that found nothing moves nothing: it only says when to look next ([`poller`]).
//! - Events and the state that says they were sent are committed together, or not at all. After a crash the state
//!   topic is what happened, and the plan goes on from there. (At least once: first the events, then the state.)
//! - An account is polled only while its partition of the state topic is this replica's ([`territory`]), and a step is
//!   committed only when the broker agrees to that (`edge::kafka::Lease`).
//! - A row is published when it is new or differs from what was published before; reading it again is no news.
//! - A row that cannot be decoded, encoded or sent becomes one dead letter. It is never dropped and stops nothing.
//! - One account that is blocked, slow or broken delays no other.
//!
//! # Where things are
//!
//! Rules in [`domain`] are pure: time comes in as an argument, nothing there does I/O or serialises. Each module of
//! [`edge`] knows one outside system and no other edge. What differs by report stands in [`stream`], one file each.
//! Dependencies point one way: `cli` → `service` → `fleet` → `accounts` → `poller` → `edge`, `stream`, `domain`. A test holds
//! these lines ([`domain`] and [`edge`] say which).
//!
//! The design named `poller` and `service` alone between the edges and the command line. What they share has files of
//! its own here, as each has its own reason to change: what is stored and how it is spelt ([`state`]), reading it back
//! ([`store`]), moving it ([`progress`]), turning a page into records ([`batch`]), and the points that all accounts with one
//! credential share ([`purse`]). The plan of the design is several files of [`domain`]: what is read again how often, as
//! promised ([`domain::ladder`]), and with the points there are ([`domain::demand`], [`domain::allotment`]), what to read
//! next ([`domain::plan`]), and what earlier readings have taught ([`domain::experience`], [`domain::rhythm`]).

pub mod cli;

pub mod check;
pub mod outlook;
pub mod persist;
pub mod preview;
pub mod service;
pub mod state_admin;

pub mod reload;

pub mod fleet;
pub mod group;

pub mod accounts;
pub mod context;
pub mod open_account;
pub mod opening;
pub mod orders;
pub mod wiring;

pub mod poller;

pub mod batch;
pub mod handover;
pub mod pauses;
pub mod progress;
pub mod purse;
pub mod recall;
pub mod share;
pub mod stagger;
pub mod state;
pub mod store;
pub mod territory;

pub mod domain;
pub mod stream;

pub mod edge;

pub mod clock;
pub mod config;
pub mod http_client;
pub mod logging;
pub mod metrics;
pub mod status;

pub mod demo;
pub mod rehearsal;
pub mod simulator;

#[cfg(test)]
mod architecture_test;
