//! One attack on one server, and what it takes from good clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::kind::{Attack, Strength};
use crate::bench::generator::{self, Length, Load, Progress, REPLY_TIMEOUT, Spent, newcomer};
use crate::bench::measurement::Measurement;
use crate::bench::process::peak_rss_bytes;
use crate::bench::workload::Workload;

/// Requests of the prober, a second.
const PROBES_A_SECOND: f64 = 250.0;

/// Requests of the prober that may be unanswered: so many that none is held back.
const PROBES_UNANSWERED_MAX: usize = 10_000;

/// The shortest warm-up: the server has just been started, and what it does first is not to
/// count for either share.
const WARMUP_MIN: Duration = Duration::from_millis(300);

/// How often it is looked whether everything is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What one attack did to one server.
#[derive(Clone, Debug, Serialize)]
pub struct Attacked {
    /// What the attackers did.
    pub attack: Attack,
    /// The good clients before the attack.
    pub alone: Good,
    /// The good clients beside the attackers, who come when the measured time begins.
    pub beside: Good,
    /// What the attackers spent.
    pub attackers: Spent,
    /// How long a connection that was made in the middle of the attack took to get its first
    /// reply, in nanoseconds; `None` when it got none in 5 s.
    pub newcomer_ns: Option<u64>,
    /// The same for one that was made after the attack.
    pub after_ns: Option<u64>,
    /// The most resident memory that the server's process had before the attack, in bytes, if
    /// its process is known.
    pub memory_before_bytes: Option<u64>,
    /// The most that it had until after the attack.
    pub memory_peak_bytes: Option<u64>,
}

/// Good clients.
#[derive(Clone, Debug, Serialize)]
pub struct Good {
    /// Those that send one request after another.
    pub clients: Measurement,
    /// One that sends a request every few milliseconds, whatever became of those before.
    pub prober: Measurement,
}

/// Attacks the server that the load of good clients is for, and which holds their keys. `None`
/// when it was stopped meanwhile.
///
/// Fails with a sentence when the good clients can't begin.
pub(in crate::bench::compare) fn run(
    attack: Attack,
    strength: &Strength,
    load: &Load,
    stop: &AtomicBool,
) -> Result<Option<Attacked>, String> {
    let load = &Load {
        length: Length::Time(attack.time(strength)),
        warmup: load.warmup.max(WARMUP_MIN),
        ..load.clone()
    };
    let assault = attack.assault(load.protocol, strength);
    if let Some(message) = &assault.before {
        generator::prepare(load, message, stop)
            .map_err(|cause| format!("{}: can't prepare it ({cause})", attack.name()))?;
    }
    let (alone, ()) = measure(load, stop, || ())?;
    let memory_before_bytes = load.server_pid.and_then(peak_rss_bytes);
    let is_stopped = || stop.load(Ordering::Relaxed);
    if is_stopped() {
        return Ok(None);
    }
    let (beside, (attackers, newcomer_ns)) = measure(load, stop, || {
        thread::scope(|scope| {
            let attackers = scope.spawn(|| generator::attack(load, &assault, stop));
            wait(assault.time / 2, stop);
            let newcomer = newcomer(load, stop, REPLY_TIMEOUT);
            let attackers = attackers.join().expect("attackers do not panic");
            (attackers, newcomer.map(nanoseconds))
        })
    })?;
    let after = newcomer(load, stop, REPLY_TIMEOUT);
    if is_stopped() {
        return Ok(None);
    }
    Ok(Some(Attacked {
        attack,
        alone,
        beside,
        attackers: attackers?,
        newcomer_ns,
        after_ns: after.map(nanoseconds),
        memory_before_bytes,
        memory_peak_bytes: load.server_pid.and_then(peak_rss_bytes),
    }))
}

/// Measures good clients, and does something when their measured time begins.
fn measure<T>(
    load: &Load,
    stop: &AtomicBool,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Good, T), String> {
    let prober = prober(load);
    let (ready, is_ready) = mpsc::channel();
    thread::scope(|scope| {
        let start = |load| {
            let ready = ready.clone();
            scope.spawn(move || {
                let mut tell = |progress: Progress<'_>| {
                    if matches!(progress, Progress::WarmingUp) {
                        // Nobody listens if the other load can't begin.
                        let _ = ready.send(());
                    }
                };
                generator::run(load, stop, Some(&mut tell))
            })
        };
        let loads = [load, &prober];
        let runs = loads.map(start);
        drop(ready);
        let seen = (is_ready.iter().take(loads.len()).count() == loads.len()).then(|| {
            wait(load.warmup, stop);
            meanwhile()
        });
        let [clients, prober] = runs.map(|run| run.join().expect("a load does not panic"));
        let good = Good {
            clients: clients?,
            prober: prober?,
        };
        let seen = seen.ok_or_else(|| "the good clients did not begin".to_owned())?;
        Ok((good, seen))
    })
}

/// The load of the prober beside that of the other good clients.
fn prober(load: &Load) -> Load {
    Load {
        workload: Workload {
            get_percent: 100,
            ..load.workload.clone()
        },
        connections: 1,
        pipeline: PROBES_UNANSWERED_MAX,
        threads: 1,
        rate: Some(PROBES_A_SECOND),
        server_pid: None,
        ..load.clone()
    }
}

fn wait(time: Duration, stop: &AtomicBool) {
    let end = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(LOOK_INTERVAL));
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
