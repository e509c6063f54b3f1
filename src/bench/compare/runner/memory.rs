//! Looks at the memory of a target.

use std::thread;
use std::time::Duration;

use super::Runner;
use crate::bench::compare::comparison::Point;
use crate::bench::compare::plan::Step;
use crate::bench::compare::scenario::Scenario;
use crate::bench::generator::{self, Idle, Load};
use crate::child::usage::rss_bytes;

/// Connections that a server has before its memory is looked at: the first ones
/// cost what is needed once.
const CONNECTIONS_FIRST: usize = 50;

/// How long a server's memory may take to settle.
const SETTLE: Duration = Duration::from_millis(100);

impl Runner<'_> {
    /// For a step that is one: resident memory before and after.
    pub(super) fn look_at_memory(
        &self,
        step: &Step,
        round: usize,
        index: usize,
        load: &Load,
    ) -> Result<Option<Option<Point>>, String> {
        let is_entries = match step.scenario {
            Scenario::MemoryConnections => false,
            Scenario::MemoryEntries => true,
            _ => return Ok(None),
        };
        let Some(pid) = load.server_pid else {
            return Ok(Some(None));
        };
        let resident = || {
            rss_bytes(pid).ok_or_else(|| {
                let name = step.scenario.name();
                format!("{name}: its memory can't be read; it may have ended")
            })
        };
        let mut idle = Idle::none();
        let mut idle_before = 0;
        if !is_entries {
            idle.grow_to(load, CONNECTIONS_FIRST, self.stop);
            idle_before = idle.count();
            thread::sleep(SETTLE);
        }
        let before = resident()?;
        let count = if is_entries {
            if !load.protocol.has_entries() {
                return Ok(Some(None));
            }
            generator::fill(load, self.stop)?;
            step.keys as usize
        } else {
            idle.grow_to(load, idle_before + step.idle, self.stop);
            idle.count() - idle_before
        };
        thread::sleep(SETTLE);
        if self.is_stopped() {
            return Ok(Some(None));
        }
        let after = resident()?;
        if count == 0 {
            return Err(format!(
                "{}: it took no connection beside the first {idle_before}",
                step.scenario.name()
            ));
        }
        let bytes = after.saturating_sub(before) as f64;
        Ok(Some(Some(Point {
            target: index,
            round,
            scenario: step.scenario,
            x: step.x,
            measurement: None,
            bytes_each: Some(bytes / count as f64),
            idle: idle.count() - idle_before,
            attacked: None,
        })))
    }
}
