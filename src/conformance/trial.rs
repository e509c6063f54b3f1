//! What a case has in its hands while it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::link::Link;
use super::process::Process;
use super::stop::Stop;
use super::transcript::{Event, Transcript};

/// One run of one case.
pub(crate) struct Trial<'a> {
    address: SocketAddr,
    key: String,
    deadline: Instant,
    /// How long the server lets a frame take (F8).
    pub(crate) frame_timeout: Duration,
    transcript: Transcript,
    links: BTreeMap<String, Link>,
    process: Option<&'a mut Process>,
    cancelled: Stop,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        address: SocketAddr,
        key: String,
        timeout: Duration,
        frame_timeout: Duration,
        process: Option<&'a mut Process>,
        cancelled: Stop,
    ) -> Self {
        Self {
            address,
            key,
            deadline: Instant::now() + timeout,
            frame_timeout,
            transcript: Transcript::new(),
            links: BTreeMap::new(),
            process,
            cancelled,
        }
    }

    /// A key that no other case uses.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The connection of that name, opened when it is first asked for.
    pub(crate) fn link(&mut self, name: &str) -> Result<&mut Link, Failure> {
        if !self.links.contains_key(name) {
            let link = self.connect(name)?;
            self.links.insert(name.to_owned(), link);
        }
        Ok(self.links.get_mut(name).expect("it was put there"))
    }

    /// A further connection, which the caller keeps.
    pub(crate) fn connect(&self, name: &str) -> Result<Link, Failure> {
        let link = Link::connect(name, self.address, self.deadline, &self.transcript)?;
        Ok(link.cancelled_by(&self.cancelled))
    }

    /// Closes the connection of that name.
    pub(crate) fn hang_up(&mut self, name: &str) {
        if self.links.remove(name).is_some() {
            self.note(name, "hung up");
        }
    }

    pub(crate) fn note(&self, who: &str, text: &str) {
        self.transcript.add(who, Event::Note(text.to_owned()));
    }

    /// The server's process, of a case that needs one.
    pub(crate) fn process(&mut self) -> Result<&mut Process, Failure> {
        self.process
            .as_deref_mut()
            .ok_or_else(|| Failure::new("a server that the kit has started", "only an address"))
    }
}
