//! Claims about the server as its peers see it: real sockets, raw bytes.
//!
//! Each claim that is about serving runs once per model; see
//! [`harness::every_model`].

#[macro_use]
mod harness;

mod adversaries;
#[cfg(feature = "bench")]
mod bench;
mod ceiling;
mod client;
mod cluster;
mod commands;
#[cfg(all(feature = "bench", feature = "conformance"))]
mod compare;
mod configuration;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "conformance")]
mod conformance_ceiling;
#[cfg(feature = "conformance")]
mod conformance_client;
#[cfg(feature = "conformance")]
mod conformance_report;
#[cfg(feature = "data")]
mod durability;
mod eviction;
#[cfg(feature = "conformance")]
mod faults;
mod frames;
mod limits;
#[cfg(any(feature = "cluster", feature = "data"))]
#[allow(
    dead_code,
    reason = "the kit uses all of it, and a build without the kit has it from here"
)]
#[path = "../../src/conformance/linearize.rs"]
mod linearize;
#[cfg(feature = "data")]
mod load;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "metrics")]
mod page;
mod parsers;
mod project;
mod properties;
#[cfg(feature = "cluster")]
mod remote_store;
mod replies;
mod requests;
mod service;
mod shutdown;
#[cfg(feature = "metrics")]
mod stat;
