//! What the threads of a load share while it runs.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::load::Load;
use crate::bench::workload::{Values, Written};

/// How often progress is told.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

pub(super) struct Run<'a> {
    pub(super) load: &'a Load,
    pub(super) values: &'a Values,
    pub(super) written: Option<&'a Written>,
    pub(super) stop: &'a AtomicBool,
    /// Latencies since progress was last told; `None` when nobody listens.
    pub(super) recent: Option<Mutex<Histogram<u64>>>,
}
