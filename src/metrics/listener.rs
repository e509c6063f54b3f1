//! The socket that answers for the metrics.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a server answers `GET /metrics`, and `GET /` with a page for people.
///
/// Clones are the same socket. The first server that is started with it takes
/// it, and closes it when it ends.
#[derive(Clone, Debug)]
pub struct MetricsListener(Arc<Mutex<Option<TcpListener>>>);

impl From<TcpListener> for MetricsListener {
    fn from(listener: TcpListener) -> Self {
        Self(Arc::new(Mutex::new(Some(listener))))
    }
}

impl MetricsListener {
    /// Fails if another server has it.
    pub(crate) fn take(&self) -> io::Result<TcpListener> {
        let mut listener = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listener.take().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "another server answers for its metrics on this socket; bind one for each server",
            )
        })
    }
}
