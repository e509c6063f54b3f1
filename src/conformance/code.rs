//! The cases that data can't say: they look at single writes, run clients at
//! the same time, wait, or start and stop the server.

mod concurrency;
mod lifecycle;
mod limits;
mod wire;

use std::time::Duration;

use super::case::{Action, Case, Code, Kind, Level};

/// Every case that is code, group by group.
pub(crate) fn cases() -> Vec<Case> {
    [
        wire::cases(),
        concurrency::cases(),
        limits::cases(),
        lifecycle::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(
    id: &'static str,
    level: Level,
    clauses: &[&'static str],
    says: &'static str,
    code: Code,
) -> Case {
    Case {
        id,
        level,
        clauses: clauses.to_vec(),
        says,
        timeout: None,
        kind: Kind::Plain,
        action: Action::Code(code),
    }
}

impl Case {
    /// May take so long.
    fn within(self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self
        }
    }

    fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

fn set(key: &str, json: &str) -> String {
    format!(r#"{{"command":"SET","key":"{key}","value":{json}}}"#)
}

fn get(key: &str) -> String {
    format!(r#"{{"command":"GET","key":"{key}"}}"#)
}

fn del(key: &str) -> String {
    format!(r#"{{"command":"DEL","key":"{key}"}}"#)
}

const RST: &str = r#"{"command":"RST"}"#;

/// A GET that finds nothing, and so the shortest question there is.
const PING: &str = r#"{"command":"GET","key":"conform-nothing"}"#;
