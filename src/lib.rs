#![doc = include_str!("../ARCHITECTURE.md")]

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod memory;
pub mod system_limits;

pub mod protocol;
pub mod store;

#[cfg(feature = "data")]
pub mod journal;
#[cfg(feature = "data")]
pub mod lines;

pub mod server;

#[cfg(feature = "metrics")]
mod metrics;

pub mod client;

#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(any(feature = "bench", feature = "conformance"))]
#[cfg_attr(
    not(all(feature = "bench", feature = "conformance")),
    allow(dead_code, reason = "the lab and the kit each use a part of it")
)]
mod child;
