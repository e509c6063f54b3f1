//! Connections that mean a server ill, all on one thread.
//!
//! As the loops of [`Driver`](super::driver), this one waits for its sockets, does a bounded
//! piece of work for each event, and looks at the clock and at the stop flag between.

mod attacker;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mio::event::Event;
use mio::{Events, Poll, Token};

use super::assault::{Assault, Manner, Spent, TICK};
use super::blocking::Blocking;
use super::limits::{LOOK_INTERVAL, REPLY_TIMEOUT};
use super::load::Load;
use crate::bench::process::ThreadUse;
use crate::bench::protocol::Message;
use attacker::{Attacker, Next};

/// Connections that are being made at the same time: more would only overflow the queue of
/// the server's listener.
const OPENING_MAX: usize = 64;

/// What one read takes, in bytes.
const SCRATCH_LEN: usize = 64 << 10;

/// Sends what has to be there before the attack.
///
/// Fails with a sentence when it is not taken.
pub(in crate::bench) fn prepare(
    load: &Load,
    message: &Message,
    stop: &AtomicBool,
) -> Result<(), String> {
    let mut server = Blocking::connect(load, stop, Instant::now() + 2 * REPLY_TIMEOUT)
        .map_err(|error| format!("can't connect to {} ({error})", load.address))?;
    let mut at = 0;
    while let piece @ [_, ..] = message.rest(at) {
        server.send(piece)?;
        at += piece.len();
    }
    server.receive(1, |_| Ok(()))
}

/// Attacks the server of the load until the time is over, or `stop` is raised.
///
/// Fails with a sentence when this machine can't.
pub(in crate::bench) fn attack(
    load: &Load,
    assault: &Assault,
    stop: &AtomicBool,
) -> Result<Spent, String> {
    let failed = |error: std::io::Error| format!("can't wait for sockets: {error}");
    let (before, begun) = (ThreadUse::now(), Instant::now());
    let mut attackers = Attackers {
        load,
        assault,
        poll: Poll::new().map_err(failed)?,
        attackers: (0..assault.connections).map(|_| None).collect(),
        vacant: (0..assault.connections).collect(),
        ended: Vec::new(),
        live: 0,
        opening: 0,
        scratch: vec![0; SCRATCH_LEN],
        spent: Spent::default(),
    };
    let is_over = || begun.elapsed() >= assault.time || stop.load(Ordering::Relaxed);
    attackers.run(&is_over).map_err(failed)?;
    Ok(Spent {
        cpu_seconds: ThreadUse::now().since(&before).running.as_secs_f64(),
        seconds: begun.elapsed().as_secs_f64(),
        ..attackers.spent
    })
}

struct Attackers<'a> {
    load: &'a Load,
    assault: &'a Assault,
    poll: Poll,
    attackers: Vec<Option<Attacker>>,
    /// Places for which a connection is to be made.
    vacant: VecDeque<usize>,
    /// Places that get one at the next tick, so that a server which ends connections at once
    /// is not asked without a pause.
    ended: Vec<usize>,
    live: usize,
    opening: usize,
    scratch: Vec<u8>,
    spent: Spent,
}

impl Attackers<'_> {
    fn run(&mut self, is_over: &dyn Fn() -> bool) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut ticked = Instant::now();
        while !is_over() {
            self.open_some();
            let ticks = self.assault.manner == Manner::ByteByByte || !self.ended.is_empty();
            let timeout = match ticks {
                true => TICK.saturating_sub(ticked.elapsed()),
                false => LOOK_INTERVAL,
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in &events {
                if is_over() {
                    return Ok(());
                }
                self.ready(event);
            }
            if ticked.elapsed() >= TICK {
                self.tick();
                ticked = Instant::now();
            }
        }
        Ok(())
    }

    fn open_some(&mut self) {
        while self.opening < OPENING_MAX && self.spent.opened < self.assault.opened_max {
            let Some(index) = self.vacant.pop_front() else {
                return;
            };
            let token = Token(index);
            match Attacker::open(self.load, self.assault.manner, self.poll.registry(), token) {
                Ok(attacker) => {
                    self.attackers[index] = Some(attacker);
                    self.opening += 1;
                    self.spent.opened += 1;
                }
                Err(_) => {
                    self.spent.failed += 1;
                    self.ended.push(index);
                }
            }
        }
    }

    fn ready(&mut self, event: &Event) {
        let index = event.token().0;
        let Some(attacker) = &mut self.attackers[index] else {
            return;
        };
        if !attacker.is_open {
            match attacker.is_made() {
                Ok(false) => return,
                Ok(true) => {
                    self.opening -= 1;
                    self.live += 1;
                    self.spent.connections = self.spent.connections.max(self.live);
                }
                Err(_) => {
                    self.opening -= 1;
                    self.spent.failed += 1;
                    self.attackers[index] = None;
                    self.ended.push(index);
                    return;
                }
            }
        }
        let message = message(self.assault, index);
        let may_send = self.spent.bytes_sent < self.assault.bytes_max;
        let manner = self.assault.manner;
        let (scratch, spent) = (&mut self.scratch, &mut self.spent);
        match attacker.ready(event, manner, message.filter(|_| may_send), scratch, spent) {
            Ok(Next::Wait) => {}
            Ok(Next::More) => {
                if attacker
                    .ask_again(self.poll.registry(), event.token())
                    .is_err()
                {
                    self.end(index);
                }
            }
            Ok(Next::Replace) => {
                // With a reply in it that was not read: that resets it.
                self.attackers[index] = None;
                self.live -= 1;
                self.vacant.push_back(index);
            }
            Err(_) => self.end(index),
        }
    }

    /// The server has ended a connection.
    fn end(&mut self, index: usize) {
        self.attackers[index] = None;
        self.live -= 1;
        self.spent.ended += 1;
        if !matches!(self.assault.manner, Manner::Once | Manner::Unread) {
            self.ended.push(index);
        }
    }

    fn tick(&mut self) {
        self.vacant.extend(self.ended.drain(..));
        if self.assault.manner != Manner::ByteByByte {
            return;
        }
        for index in 0..self.attackers.len() {
            let (Some(attacker), Some(message)) =
                (&mut self.attackers[index], message(self.assault, index))
            else {
                continue;
            };
            let is_spent = self.spent.bytes_sent >= self.assault.bytes_max;
            if attacker.is_open
                && !is_spent
                && attacker.send_byte(message, &mut self.spent).is_err()
            {
                self.end(index);
            }
        }
    }
}

/// What the connection of this place sends.
fn message(assault: &Assault, index: usize) -> Option<&Message> {
    let count = assault.messages.len();
    assault.messages.get(index % count.max(1))
}
