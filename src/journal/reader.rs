//! Reads an engine's records on a thread that may panic.
//!
//! Who reads damaged files panics more often than its author would like, and the
//! engine panics once more while that unwinds, which would end the process. So a
//! panic on this thread goes no further than its hook: the thread stays there,
//! and what it has with it.

use std::cell::RefCell;
use std::io;
use std::panic;
use std::path::PathBuf;
use std::sync::Once;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use fjall::Slice;

use super::engine::Engine;

/// Records come together until they have so many bytes.
const TOGETHER_LEN: usize = 256 << 10;

/// And so many of such groups wait.
const QUEUE_LEN: usize = 4;

/// What is read, in this order.
pub(super) enum Read {
    /// It could be opened.
    Opened {
        /// The number that the first record has, if there is one.
        first: u64,
        /// About how many bytes there are.
        len: u64,
    },
    /// Some records, with their numbers.
    Records(Vec<(u64, Slice)>),
    /// All have come.
    End,
    /// It can't be opened, or not be read on.
    Failed(fjall::Error),
    /// Its reader has panicked.
    Panicked,
}

thread_local! {
    /// Whom to tell of a panic on this thread.
    static TOLD: RefCell<Option<SyncSender<Read>>> = const { RefCell::new(None) };
}

/// Reads the engine in this directory, which is a copy.
pub(super) fn read(engine: PathBuf) -> io::Result<Receiver<Read>> {
    hold_panics();
    let (sender, receiver) = sync_channel(QUEUE_LEN);
    thread::Builder::new()
        .name("replay".to_owned())
        .spawn(move || {
            TOLD.set(Some(sender.clone()));
            let outcome = send_all(engine, &sender);
            // It fails when nobody wants to know any more.
            let _ = sender.send(match outcome {
                Ok(()) => Read::End,
                Err(error) => Read::Failed(error),
            });
        })?;
    Ok(receiver)
}

fn send_all(engine: PathBuf, sender: &SyncSender<Read>) -> fjall::Result<()> {
    let engine = Engine::open_to_read(&engine)?;
    let opened = Read::Opened {
        first: engine.base().first,
        len: engine.len(),
    };
    let mut is_wanted = sender.send(opened).is_ok();
    let (mut records, mut len) = (Vec::new(), 0);
    for record in engine.records() {
        let (number, record) = record?;
        len += record.len();
        records.push((number, record));
        if len >= TOGETHER_LEN {
            len = 0;
            is_wanted = sender
                .send(Read::Records(std::mem::take(&mut records)))
                .is_ok();
        }
        if !is_wanted {
            return Ok(());
        }
    }
    let _ = sender.send(Read::Records(records));
    Ok(())
}

/// Has panics of readers go no further. All others go where they did.
fn hold_panics() {
    static HELD: Once = Once::new();

    HELD.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            match TOLD.try_with(|told| told.take()) {
                Ok(Some(told)) => {
                    let _ = told.send(Read::Panicked);
                    loop {
                        thread::park();
                    }
                }
                _ => before(info),
            }
        }));
    });
}
