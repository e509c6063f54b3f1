//! SIGINT, SIGTERM and SIGHUP: the first asks the server to stop, the second ends the
//! process at once (S2, S2a).

use std::mem;
use std::process::exit;
#[cfg(any(feature = "bench", feature = "conformance", feature = "data"))]
use std::sync::Arc;
#[cfg(any(feature = "bench", feature = "conformance", feature = "data"))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[cfg(feature = "bench")]
use speicher::bench::server::kill_all;
#[cfg(all(feature = "conformance", not(feature = "bench")))]
use speicher::conformance::kill_all;
use speicher::server::{Event, Log, Shutdown, StopCause};

/// A signal ended a command early, or a second one the server: 128 and SIGINT's
/// number.
pub(super) const EXIT_INTERRUPTED: u8 = 130;

/// Has signals stop the server. One handler serves every model: tokio installs
/// none unless it is asked for signals.
pub(super) fn stop_on_signal(shutdown: &Shutdown, log: &Log) -> Result<(), String> {
    let (shutdown, log) = (shutdown.clone(), log.clone());
    let mut is_first = true;
    ctrlc::set_handler(move || {
        if !mem::take(&mut is_first) {
            log.write(Event::killed());
            exit(EXIT_INTERRUPTED.into());
        }
        // On its own thread, so that the next signal is heard meanwhile.
        let shutdown = shutdown.clone();
        thread::spawn(move || shutdown.trigger_because(StopCause::Signal));
    })
    .map_err(|error| format!("can't handle signals: {error}"))
}

/// A flag that the first signal raises, for work that ends by itself once it
/// sees it. The second ends the process at once, with the servers that it
/// started.
#[cfg(any(feature = "bench", feature = "conformance", feature = "data"))]
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            #[cfg(any(feature = "bench", feature = "conformance"))]
            kill_all();
            exit(EXIT_INTERRUPTED.into());
        }
    })
    .map_err(|error| format!("can't handle signals: {error}"))?;
    Ok(stop)
}
