//! Whether a target is right, before it is asked how fast it is: the speed of
//! a wrong server is not comparable.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
#[cfg(feature = "conformance")]
use std::sync::atomic::Ordering;
#[cfg(feature = "conformance")]
use std::time::{Duration, Instant};

use serde::Serialize;

#[cfg(feature = "conformance")]
use crate::conformance::{Level, Options, Report, Subject, Unreachable, all, run};

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

/// How long all the cases may take.
#[cfg(feature = "conformance")]
const TIME_MAX: Duration = Duration::from_secs(60);

/// Runs the cases of level MUST on the speicher server at the address, which
/// holds nothing that is needed any more. `stop` ends it before the next case, and so
/// does a server that does not answer any more, or not in [`TIME_MAX`].
#[cfg(feature = "conformance")]
pub(super) fn check(address: SocketAddr, stop: &AtomicBool) -> Conformance {
    let subject = Subject::Running(address.to_string());
    let mut failed: Vec<String> = Vec::new();
    let begun = Instant::now();
    let mut silent_cases = 0;
    let cases = all().iter();
    for case in cases.filter(|case| case.level == Level::Must && !case.needs_spawn()) {
        if stop.load(Ordering::Relaxed) {
            return Conformance::NotChecked("interrupted".to_owned());
        }
        let options = Options {
            run_timeout: TIME_MAX.saturating_sub(begun.elapsed()),
            ..Options::default()
        };
        let report = run(&subject, &[case], &options, &mut |_, _| ());
        if let Some(cause) = why_to_end(&report, begun, &options, &mut silent_cases) {
            match failed.last_mut() {
                None => return Conformance::NotChecked(cause),
                Some(last) => *last += &format!("; {cause}, so no more cases were run"),
            }
            break;
        }
        match report {
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

/// That the server lets the time pass whatever it is asked, or that all takes too long.
#[cfg(feature = "conformance")]
fn why_to_end(
    report: &Result<Report, Unreachable>,
    begun: Instant,
    options: &Options,
    silent_cases: &mut usize,
) -> Option<String> {
    const SILENT_CASES_MAX: usize = 3;

    if begun.elapsed() >= TIME_MAX {
        let seconds = TIME_MAX.as_secs();
        return Some(format!(
            "the cases took longer than the {seconds} s they may"
        ));
    }
    let records = report.iter().flat_map(|report| &report.records);
    match records.map(|record| record.took).max() {
        Some(took) if took >= options.timeout => *silent_cases += 1,
        _ => *silent_cases = 0,
    }
    (*silent_cases >= SILENT_CASES_MAX)
        .then(|| format!("it let the time pass in {SILENT_CASES_MAX} cases in a row"))
}

/// The kit is not part of this build.
#[cfg(not(feature = "conformance"))]
pub(super) fn check(_address: SocketAddr, _stop: &AtomicBool) -> Conformance {
    Conformance::NotChecked("this build has no conformance kit".to_owned())
}
