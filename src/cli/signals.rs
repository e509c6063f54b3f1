//! SIGINT, SIGTERM and SIGHUP: the first asks the server to stop, the second ends the
//! process at once (S2).

use std::process::exit;
#[cfg(feature = "bench")]
use std::sync::Arc;
#[cfg(feature = "bench")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use speicher::server::{Model, Shutdown};

/// A second signal ended the server: 128 and SIGINT's number.
const EXIT_INTERRUPTED: i32 = 130;

/// Has signals stop the server. A process has one handler: that of the
/// model's runtime if it has a runtime.
pub(super) fn stop_on_signal(model: Model, shutdown: &Shutdown) -> Result<(), String> {
    let mut signals = Signals {
        shutdown: shutdown.clone(),
        is_first: true,
    };
    match model {
        #[cfg(feature = "tokio")]
        Model::Tokio => handle_with_tokio(signals).map_err(|error| error.to_string()),
        _ => ctrlc::set_handler(move || signals.act()).map_err(|error| error.to_string()),
    }
    .map_err(|error| format!("can't handle signals: {error}"))
}

struct Signals {
    shutdown: Shutdown,
    is_first: bool,
}

impl Signals {
    fn act(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            exit(EXIT_INTERRUPTED);
        }
        // On its own thread, so that the next signal is heard meanwhile.
        let shutdown = self.shutdown.clone();
        thread::spawn(move || shutdown.trigger());
    }
}

/// Waits for signals on a small runtime of their own: the server's is busy,
/// and ends before the process does.
#[cfg(feature = "tokio")]
fn handle_with_tokio(mut signals: Signals) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let context = runtime.enter();
    let mut streams = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    drop(context);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(std::future::poll_fn(|cx| {
                for stream in &mut streams {
                    while stream.poll_recv(cx).is_ready() {
                        signals.act();
                    }
                }
                std::task::Poll::<()>::Pending
            }));
        })?;
    Ok(())
}

/// A flag that the first signal raises, for work that ends by itself once it
/// sees it. The second ends the process at once, with the servers that it
/// started.
#[cfg(feature = "bench")]
pub(super) fn stop_flag() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            speicher::bench::server::kill_all();
            exit(EXIT_INTERRUPTED);
        }
    })
    .map_err(|error| format!("can't handle signals: {error}"))?;
    Ok(stop)
}
