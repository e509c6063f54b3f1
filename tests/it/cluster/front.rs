//! A server in front of a cluster, and clients that live through what happens to it.

use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use speicher::protocol::frame::{FRAME_LEN_MAX, read_frame};

use super::nodes::{Cluster, slot_of};
use crate::harness::*;

/// A server that keeps its entries in the cluster.
pub fn serve(cluster: &Cluster, options: &[&str]) -> Process {
    serve_at(&cluster.addresses(), options)
}

/// As [`serve`], told only of these nodes.
pub fn serve_at(addresses: &str, options: &[&str]) -> Process {
    let store = format!("redis-cluster://{addresses}");
    Process::serve(&[&["--store", &store], options].concat())
}

/// The slot of a client's key.
pub fn slot(key: &str) -> u16 {
    slot_of(in_store(key).as_bytes())
}

/// What the key is called on the nodes.
fn in_store(key: &str) -> String {
    format!("speicher:{key}")
}

/// Keys with names of their own whose slots are those of one node: of one of the first three
/// primaries of a cluster that has as many.
pub fn keys_of(primary: usize, name: &str, count: usize) -> Vec<String> {
    let names = (0..).map(|number| format!("{name}-{number}"));
    let is_there = |key: &String| usize::from(slot(key)) * 3 / 16_384 == primary;
    names.filter(is_there).take(count).collect()
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 without a value.
    Done,
    /// 200 with this value, a string.
    Found(String),
    /// 404.
    Missing,
    /// 503: it was not executed.
    Refused,
    /// The connection ended before an answer: nobody knows.
    Closed,
}

impl Answer {
    fn of(reply: &Value) -> Self {
        match (status_of(reply), reply.get("value")) {
            (200, None) => Self::Done,
            (200, Some(Value::String(value))) => Self::Found(value.clone()),
            (404, _) => Self::Missing,
            (503, _) => Self::Refused,
            _ => panic!("nobody should be told {reply}"),
        }
    }

    /// Whether it says what was executed.
    pub fn is_served(&self) -> bool {
        !matches!(self, Self::Refused | Self::Closed)
    }
}

/// A client that connects again after its connection has ended.
pub struct Caller {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Caller {
    pub fn new(address: SocketAddr) -> Self {
        let stream = None;
        Self { address, stream }
    }

    pub fn ask(&mut self, payload: String) -> Answer {
        self.ask_all(&[payload]).remove(0)
    }

    /// Sends the requests at once; an answer to each.
    pub fn ask_all(&mut self, payloads: &[String]) -> Vec<Answer> {
        let stream = self.stream.take();
        let stream = stream.unwrap_or_else(|| Peer::connect(self.address).0);
        let mut peer = Peer(stream);
        peer.send(&payloads.iter().flat_map(framed).collect::<Vec<_>>());
        let mut answers = Vec::new();
        while answers.len() < payloads.len() {
            match read_frame(&mut peer.0, FRAME_LEN_MAX) {
                Ok(Some(reply)) => {
                    let reply = serde_json::from_slice(&reply).expect("a reply is JSON");
                    answers.push(Answer::of(&reply));
                }
                // Only where a reply ends.
                Ok(None) => {
                    answers.resize(payloads.len(), Answer::Closed);
                    return answers;
                }
                Err(error) => panic!("neither a reply nor an end: {error}"),
            }
        }
        self.stream = Some(peer.0);
        answers
    }
}
