#![doc = include_str!("../ARCHITECTURE.md")]

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod protocol;
pub mod store;

pub mod server;

pub mod client;

#[cfg(feature = "bench")]
pub mod bench;
#[cfg(feature = "conformance")]
pub mod conformance;

#[cfg(any(feature = "bench", feature = "conformance"))]
mod process_group;
