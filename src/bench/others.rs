//! What others use of the processors while a load is measured.

use std::fs;
use std::time::{Duration, Instant};

use super::pin::{allowed, allowed_for};
use super::process::cpu;

/// Linux counts in hundredths of a second.
const TICK_MS: u64 = 10;

/// The shortest time whose share is told: the clock is too coarse for less.
const TIME_MIN: Duration = Duration::from_millis(10 * TICK_MS);

/// Reads how busy the CPUs of a server and of the generator are, and how much of that is theirs.
pub(super) struct OthersMeter {
    cpus: Vec<usize>,
    /// The processes of the server and this one.
    own: Vec<u32>,
    begin: Option<Reading>,
    end: Option<Reading>,
}

struct Reading {
    at: Instant,
    busy: Duration,
    own: Duration,
}

impl OthersMeter {
    /// For a server whose process this is, with those that it has started.
    pub(super) fn of(server: u32) -> Self {
        let mut cpus = allowed();
        cpus.extend(allowed_for(server));
        cpus.sort_unstable();
        cpus.dedup();
        let mut own = group_of(server);
        own.push(std::process::id());
        Self {
            cpus,
            own,
            begin: None,
            end: None,
        }
    }

    /// The measured time begins.
    pub(super) fn begin(&mut self) {
        self.begin = self.read();
    }

    /// The measured time ends, unless it has already.
    pub(super) fn end(&mut self) {
        if self.end.is_none() {
            self.end = self.read();
        }
    }

    /// The share of the CPUs' time that others used, from 0 to 1; `None` where the system does not
    /// tell, or the time is too short for its clock.
    pub(super) fn share(&self) -> Option<f64> {
        let (begin, end) = (self.begin.as_ref()?, self.end.as_ref()?);
        let time = end.at.duration_since(begin.at);
        let busy = end.busy.saturating_sub(begin.busy);
        let own = end.own.saturating_sub(begin.own);
        let all = time.as_secs_f64() * self.cpus.len() as f64;
        (time >= TIME_MIN && all > 0.0)
            .then(|| (busy.saturating_sub(own).as_secs_f64() / all).min(1.0))
    }

    fn read(&self) -> Option<Reading> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        Some(Reading {
            at: Instant::now(),
            busy: busy(&stat, &self.cpus)?,
            own: self.own.iter().filter_map(|pid| cpu(*pid)).sum(),
        })
    }
}

/// The time that the CPUs have worked for processes of this machine, or of others beside it on
/// the same host, by the text of `/proc/stat`.
///
/// A kernel that measures interrupts takes their time from the processes'. One that does not has
/// never counted a hard interrupt, and has soft ones in the time of whatever they interrupted.
fn busy(stat: &str, cpus: &[usize]) -> Option<Duration> {
    let (mut working, mut hard, mut soft) = (0, 0, 0);
    for cpu in cpus {
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let fields: Option<Vec<u64>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal, and what is a part of these.
        let [user, nice, system, _, _, irq, softirq, steal, ..] = fields?[..] else {
            return None;
        };
        working += user + nice + system + steal;
        hard += irq;
        soft += softirq;
    }
    let ticks = if hard == 0 { working + soft } else { working };
    Some(Duration::from_millis(TICK_MS * ticks))
}

/// The processes of the group that this one leads, itself among them.
fn group_of(leader: u32) -> Vec<u32> {
    let is_member = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may hold anything: the state, the parent, the group.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let group = fields.split_whitespace().nth(2);
        group.and_then(|group| group.parse().ok()) == Some(leader)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut members: Vec<u32> = pids
        .filter(|pid| *pid != leader)
        .filter(is_member)
        .collect();
    members.push(leader);
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_and_other_cpus_do_not_count() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 100 100 5 100 4 0 0\n\
                    cpu1 50 0 0 0 0 0 8 0 0 0\ncpu10 7 0 0 0 0 0 0 0 0 0\n";
        let ms = Duration::from_millis;
        assert_eq!(busy(stat, &[0]), Some(ms(100)));
        assert_eq!(
            busy(stat, &[1, 10]),
            Some(ms(650)),
            "soft interrupts are not apart"
        );
        assert_eq!(busy(stat, &[2]), None);
        assert_eq!(busy("", &[0]), None);
    }

    fn shared(busy_ms: u64, own_ms: u64) -> Option<f64> {
        let at = Instant::now();
        let ms = Duration::from_millis;
        let reading = |seconds, busy, own| Reading {
            at: at + Duration::from_secs(seconds),
            busy,
            own,
        };
        let meter = OthersMeter {
            cpus: vec![0, 1],
            own: Vec::new(),
            begin: Some(reading(0, ms(100), ms(50))),
            end: Some(reading(1, ms(100 + busy_ms), ms(50 + own_ms))),
        };
        meter.share()
    }

    #[test]
    fn what_is_not_our_own_is_others() {
        assert_eq!(shared(1500, 1000), Some(0.25));
        assert_eq!(shared(900, 1000), Some(0.0), "clocks differ");
    }
}
