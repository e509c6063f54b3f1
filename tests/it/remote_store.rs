//! Claims about entries that are in a Redis server, or in what a test says is
//! one.

mod errors;
mod keys;
mod logs;
mod nonsense;
mod outages;
mod passwords;
mod pipelines;
mod pressure;
mod real_outages;
mod redirections;
mod replicas;
pub(crate) mod scripted;
mod start;
mod stops;
mod values;

use std::time::Duration;

use serde_json::Value;

use crate::cluster::nodes::Node;
use crate::harness::*;

/// The store's timeout in [`IMPATIENT`].
const SHORT: Duration = Duration::from_millis(300);

/// The store's timeout if nothing else is said.
const USUAL: Duration = Duration::from_secs(5);

/// Gives a node up soon.
const IMPATIENT: [&str; 2] = ["--store-timeout", "300ms"];

/// A server with its entries in this store.
fn serve(store: &str, options: &[&str]) -> Process {
    Process::serve(&[&["--store", store], options].concat())
}

fn url(node: &Node) -> String {
    format!("redis://{}", node.address())
}

/// Sends the requests together; their replies.
fn pipelined<const LEN: usize>(peer: &mut Peer, payloads: [String; LEN]) -> [Value; LEN] {
    peer.send(&payloads.map(framed).concat());
    [(); LEN].map(|()| peer.reply())
}

fn statuses<const LEN: usize>(replies: &[Value; LEN]) -> [u64; LEN] {
    replies.each_ref().map(status_of)
}

/// The sentence of a 503.
fn unavailable(peer: &mut Peer, payload: impl AsRef<[u8]>) -> String {
    let reply = peer.ask(payload);
    assert_eq!(status_of(&reply), 503, "{reply}");
    reply["error"].as_str().expect("a sentence").to_owned()
}

/// Waits until a connection of its own gets this status for the request.
fn wait_until_status(server: &Process, status: u64, payload: &str) {
    wait_until(&format!("{status} for {payload}"), || {
        let mut peer = server.connect();
        peer.send(&framed(payload));
        let reply = peer.try_reply();
        reply.is_some_and(|reply| status_of(&reply) == status)
    });
}
