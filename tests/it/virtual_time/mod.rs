//! callfeed in virtual time: the service's own code against the simulator, days in seconds, no servers.
//!
//! [`stage`] builds one account (or more) with its configuration; [`invariants`] says what must hold whatever happened.
//! The scenarios are those of the corners of time and of scarce points; [`any`] makes up others by lot.

mod agency;
mod any;
mod invariants;
mod points;
mod quiet;
mod stage;
mod time;
mod trouble;
