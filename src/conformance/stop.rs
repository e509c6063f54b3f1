//! Whether somebody wants a run, or the cases that are left of it, to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is raised once, for all that have a clone of it or are part of it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    raised: Arc<AtomicBool>,
    whole: Option<Arc<AtomicBool>>,
}

impl Stop {
    /// The flag that another part of the program raises, as a handler of signals does.
    pub fn of(raised: Arc<AtomicBool>) -> Self {
        Self {
            raised,
            whole: None,
        }
    }

    /// A flag of its own that is up as soon as this one is.
    pub(crate) fn part(&self) -> Self {
        Self {
            raised: Arc::default(),
            whole: Some(Arc::clone(&self.raised)),
        }
    }

    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_raised(&self) -> bool {
        let whole = self.whole.as_ref();
        self.raised.load(Ordering::Relaxed)
            || whole.is_some_and(|whole| whole.load(Ordering::Relaxed))
    }
}
