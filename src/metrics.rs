//! What a server has counted, for Prometheus and for people, over HTTP.
//!
//! ```text
//! counts of the threads -> exposition -> http -> a socket of its own
//! ```
//!
//! One thread does all of it, with bounds of its own, and touches the service
//! only where it asks for what is not counted: the size of the store, the
//! workers.

mod exposition;
mod families;
mod http;
mod listener;
mod page;
mod process;

pub(crate) use exposition::Exposition;
pub(crate) use http::Http;
pub use listener::MetricsListener;
