//! What a case found wrong.

use std::fmt;

/// What a case wanted to see, and what it saw instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What conforms.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The fault behind it, where the bytes show one.
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            got: got.into(),
            hint: None,
        }
    }

    /// The failure with a hint; one that is there already stays.
    pub(crate) fn with_hint(mut self, hint: impl FnOnce() -> Option<String>) -> Self {
        self.hint = self.hint.or_else(hint);
        self
    }

    /// The failure of one of several steps.
    pub(crate) fn in_step(self, step: usize, all: usize) -> Self {
        Self {
            expected: format!("in step {step} of {all}, {}", self.expected),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}
