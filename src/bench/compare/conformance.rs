//! Whether a target is right, before it is asked how fast it is: the speed of
//! a wrong server is not comparable.

use std::net::SocketAddr;

use serde::Serialize;

/// What the conformance kit says of a target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conformance {
    /// It speaks another protocol.
    NotApplicable,
    /// The cases were not run; the sentence says why.
    NotChecked(String),
    /// Every case of level MUST passed.
    Passed,
    /// The cases of level MUST that failed, a line each.
    Failed(Vec<String>),
}

/// Runs the cases of level MUST on the speicher server at the address, which
/// holds nothing that is needed any more.
#[cfg(feature = "conformance")]
pub(super) fn check(address: SocketAddr) -> Conformance {
    use crate::conformance::{Level, Options, Subject, all, run};

    let cases: Vec<_> = all()
        .iter()
        .filter(|case| case.level == Level::Must && !case.needs_spawn())
        .collect();
    let subject = Subject::Running(address.to_string());
    match run(&subject, &cases, &Options::default(), &mut |_, _| ()) {
        Err(unreachable) => Conformance::NotChecked(unreachable.to_string()),
        Ok(report) if report.conforms() => Conformance::Passed,
        Ok(report) => {
            let failed = report.records.iter().filter_map(|record| {
                let failure = record.failure.as_ref()?;
                Some(format!("{}: {failure}", record.id))
            });
            Conformance::Failed(failed.collect())
        }
    }
}

/// The kit is not part of this build.
#[cfg(not(feature = "conformance"))]
pub(super) fn check(_address: SocketAddr) -> Conformance {
    Conformance::NotChecked("this build has no conformance kit".to_owned())
}
