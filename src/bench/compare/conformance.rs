//! Whether a target is right, before it is asked how fast it is: the speed of
//! a wrong server is not comparable.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

/// What the conformance kit says of a target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conformance {
    /// It speaks another protocol.
    NotApplicable,
    /// The cases were not run; the sentence says why.
    NotChecked(String),
    /// Every case of level MUST passed, of those that need no server to be
    /// started and stopped.
    Passed,
    /// The cases of level MUST that failed, a line each.
    Failed(Vec<String>),
}

/// Runs the cases of level MUST on the speicher server at the address, which
/// holds nothing that is needed any more. `stop` ends it before the next case.
#[cfg(feature = "conformance")]
pub(super) fn check(address: SocketAddr, stop: &AtomicBool) -> Conformance {
    use std::sync::atomic::Ordering;

    use crate::conformance::{Level, Options, Subject, all, run};

    let subject = Subject::Running(address.to_string());
    let mut failed = Vec::new();
    let cases = all().iter();
    for case in cases.filter(|case| case.level == Level::Must && !case.needs_spawn()) {
        if stop.load(Ordering::Relaxed) {
            return Conformance::NotChecked("interrupted".to_owned());
        }
        match run(&subject, &[case], &Options::default(), &mut |_, _| ()) {
            Err(unreachable) if failed.is_empty() => {
                return Conformance::NotChecked(unreachable.to_string());
            }
            Err(unreachable) => {
                failed.push(format!("{}: {unreachable}", case.id));
                break;
            }
            Ok(report) => failed.extend(report.records.iter().filter_map(|record| {
                let failure = record.failure.as_ref()?;
                Some(format!("{}: {failure}", record.id))
            })),
        }
    }
    match failed.is_empty() {
        true => Conformance::Passed,
        false => Conformance::Failed(failed),
    }
}

/// The kit is not part of this build.
#[cfg(not(feature = "conformance"))]
pub(super) fn check(_address: SocketAddr, _stop: &AtomicBool) -> Conformance {
    Conformance::NotChecked("this build has no conformance kit".to_owned())
}
