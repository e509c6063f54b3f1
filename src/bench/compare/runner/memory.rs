//! Looks at the memory of a target.

use std::thread;
use std::time::Duration;

use super::{CONNECTIONS_MIN, Runner, wait_until_quiet};
use crate::bench::compare::comparison::Point;
use crate::bench::compare::plan::Step;
use crate::bench::compare::scenario::Scenario;
use crate::bench::compare::target::Origin;
use crate::bench::generator::{self, Idle, Load};
use crate::bench::server::Server;
use crate::child::usage::rss_bytes;

/// Connections that a server has in any case when its memory is looked at: the first ones cost
/// what is needed once.
const CONNECTIONS_FIRST: usize = 50;

/// How long a server's memory may take to settle.
const SETTLE: Duration = Duration::from_millis(100);

/// What a server takes that has so many idle connections.
struct Seen {
    bytes: u64,
    idle: usize,
}

impl Runner<'_> {
    /// Looks at what connections take, if that is what the group is for; `None` if it is not.
    ///
    /// Two servers are compared, of which one is told to serve so many connections more than the
    /// other, and has them: so what a server makes ready for a connection counts, as the worker
    /// that serves it.
    pub(super) fn look_at_connections(
        &mut self,
        round: usize,
        index: usize,
        group: &[Step],
    ) -> Option<Result<(), String>> {
        let of_connections = |step: &&Step| step.scenario == Scenario::MemoryConnections;
        let step = group.iter().find(of_connections)?;
        let seen = self.connections_seen(step, index);
        Some(seen.and_then(|seen| {
            if let Some([few, many]) = seen {
                let count = many.idle.saturating_sub(few.idle);
                if count == 0 {
                    let name = step.scenario.name();
                    return Err(format!(
                        "{name}: it took no connection beside the first {}",
                        few.idle
                    ));
                }
                let bytes_each = (many.bytes as f64 - few.bytes as f64) / count as f64;
                let point = point(step, round, index, bytes_each, count);
                self.comparison.points.push(point);
            }
            Ok(())
        }))
    }

    /// `None` of a target that was not started here, or when it was stopped meanwhile.
    fn connections_seen(&self, step: &Step, index: usize) -> Result<Option<[Seen; 2]>, String> {
        let few = self.seen_with(step, index, 0)?;
        let many = self.seen_with(step, index, step.idle)?;
        Ok(few.zip(many).map(|(few, many)| [few, many]))
    }

    /// A server of its own, with that many more connections than the first.
    fn seen_with(&self, step: &Step, index: usize, more: usize) -> Result<Option<Seen>, String> {
        let target = &self.targets[index];
        let Origin::Command(command) = &target.origin else {
            return Ok(None);
        };
        let budget = self.budget(target, CONNECTIONS_MIN + more);
        let server = Server::start(command, &budget, self.stop)?;
        wait_until_quiet(server.pid());
        let load = self.load(step, index, server.address, Some(server.pid()));
        // Closed before the server is stopped.
        let mut idle = Idle::none();
        idle.grow_to(&load, CONNECTIONS_FIRST + more, self.stop);
        thread::sleep(SETTLE);
        if self.is_stopped() {
            return Ok(None);
        }
        let (bytes, idle) = (resident(step, server.pid())?, idle.count());
        Ok(Some(Seen { bytes, idle }))
    }

    /// Looks at what entries take, if that is what the step is for; `None` if it is not.
    pub(super) fn look_at_entries(
        &self,
        step: &Step,
        round: usize,
        index: usize,
        load: &Load,
    ) -> Result<Option<Option<Point>>, String> {
        if step.scenario != Scenario::MemoryEntries {
            return Ok(None);
        }
        let Some(pid) = load.server_pid.filter(|_| load.protocol.has_entries()) else {
            return Ok(Some(None));
        };
        let before = resident(step, pid)?;
        generator::fill(load, self.stop)?;
        thread::sleep(SETTLE);
        if self.is_stopped() {
            return Ok(Some(None));
        }
        let bytes = resident(step, pid)? as f64 - before as f64;
        let bytes_each = bytes / f64::from(step.keys);
        Ok(Some(Some(point(step, round, index, bytes_each, 0))))
    }
}

fn resident(step: &Step, pid: u32) -> Result<u64, String> {
    rss_bytes(pid).ok_or_else(|| {
        let name = step.scenario.name();
        format!("{name}: its memory can't be read; it may have ended")
    })
}

fn point(step: &Step, round: usize, index: usize, bytes_each: f64, idle: usize) -> Point {
    Point {
        target: index,
        round,
        scenario: step.scenario,
        x: step.x,
        measurement: None,
        bytes_each: Some(bytes_each),
        idle,
        attacked: None,
    }
}
