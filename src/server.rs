//! Servers: one module per model, all of the same signature.
//!
//! A model decides how bytes move and who owns the store, nothing else.

mod accept;
mod config;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod connection_limit;
pub(crate) mod counts;
mod end;
#[cfg(feature = "epoll")]
mod epoll;
mod eviction;
#[cfg(feature = "data")]
mod journal_thread;
mod lazy_free;
mod limits;
mod linger;
#[cfg(feature = "data")]
mod load;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod local_store;
mod log;
mod memory_watch;
mod model;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod nonblocking;
#[cfg(any(feature = "tokio", feature = "epoll"))]
mod offload;
mod pace;
mod pool;
mod refusal;
#[cfg(feature = "cluster")]
mod remote_store;
mod session;
mod shutdown;
mod socket;
mod threads;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(all(test, feature = "tokio", feature = "epoll"))]
mod waiting_store_tests;

use std::io;
use std::net::TcpListener;

use self::counts::Counts;
#[cfg(feature = "metrics")]
pub use crate::metrics::MetricsListener;
#[cfg(feature = "metrics")]
use crate::metrics::{Exposition, Http};
#[cfg(feature = "data")]
pub use config::DataConfig;
pub use config::{Config, StoreConfig, WORKERS_MAX};
pub use log::{Event, Figure, Level, Log, LogFormat};
pub use model::Model;
#[cfg(feature = "cluster")]
pub use remote_store::{RemoteAddress, RemoteStoreConfig, ResetScope};
pub use shutdown::{Shutdown, StopCause};

/// Serves the connections of `listener` with the model that `config` names,
/// until `shutdown` is triggered and every request received is answered. Calls
/// `ready` when everything that could fail at the start has succeeded.
///
/// Fails when the model's threads or descriptors can't be had, or when the
/// store broke while serving; then nothing that was not executed has been
/// acknowledged. The log then has its last line.
pub fn serve(
    listener: TcpListener,
    config: &Config,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> io::Result<()> {
    socket::deepen_backlog(&listener)?;
    let config = &config.within_a_year();
    #[cfg(feature = "cluster")]
    if config.model != Model::Tokio && matches!(config.store, StoreConfig::Remote(_)) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            config.model.no_remote_store(),
        ));
    }
    memory_watch::start(&config.log, shutdown)?;
    let counts = &Counts::new(config.has_metrics());
    #[cfg(feature = "metrics")]
    let mut http = match &config.metrics {
        Some(listener) => Some(Http::start(
            listener.take()?,
            Exposition::new(counts, config),
        )?),
        None => None,
    };
    #[cfg(feature = "metrics")]
    let ready = || {
        if let Some(http) = &mut http {
            http.open();
        }
        ready();
    };
    let outcome = match config.model {
        Model::Threads => threads::serve(listener, config, shutdown, counts, ready),
        #[cfg(feature = "tokio")]
        Model::Tokio => tokio::serve(listener, config, shutdown, counts, ready),
        #[cfg(feature = "epoll")]
        Model::Epoll => epoll::serve(listener, config, shutdown, counts, ready),
        #[cfg(not(all(feature = "tokio", feature = "epoll")))]
        model => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            model::not_built(model),
        )),
    };
    config.log.stopped(shutdown.elapsed());
    outcome
}
