//! S1a, A6: nodes that send requests to other nodes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::scripted::{ScriptedNode, line, redirection};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// The commands that are about one entry.
fn is_about_an_entry(words: &[&str]) -> bool {
    matches!(words[0], "SET" | "GET" | "GETRANGE" | "STRLEN" | "UNLINK")
}

/// From now on one node sends all that is about entries to the other.
fn redirect(from: &ScriptedNode, kind: &'static str, to: &ScriptedNode) {
    let address = to.address;
    from.script(move |words| match is_about_an_entry(words) {
        true => redirection(kind, address),
        false => None,
    });
}

#[test]
fn moved_is_followed_and_remembered() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    redirect(&a, "MOVED", &b);
    assert_eq!(peer.set("k", "1"), 200);
    assert_eq!(a.heard(), ["SET speicher:k 1"]);
    assert_eq!(b.heard(), ["SET speicher:k 1"]);
    b.give_slots_to(&[&b]);
    wait_until("it is asked for the owners of slots", || {
        let before = a.heard().len();
        assert_eq!(peer.ask(get("k"))["value"], 1);
        a.heard().len() == before
    });
    assert_eq!(peer.status(del("k")), 200);
    assert_eq!(a.changes(), 2, "nothing is executed twice");
}

#[test]
fn ask_is_followed_with_asking_before_each_command() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    redirect(&a, "ASK", &b);
    let replies = pipelined(&mut peer, [set("k", "1"), get("k"), get("other")]);
    assert_eq!(statuses(&replies), [200, 200, 404]);
    let asked = [
        "ASKING",
        "SET speicher:k 1",
        "ASKING",
        "GETRANGE speicher:k 0 65535",
        "ASKING",
        "GETRANGE speicher:other 0 65535",
    ];
    assert_eq!(b.heard(), asked);
    assert_eq!(peer.status(del("k")), 200);
    let last = a.heard().pop();
    assert_eq!(
        last.as_deref(),
        Some("UNLINK speicher:k"),
        "it owns the slot"
    );
}

/// A redirection may leave out the host that it comes from.
#[test]
fn a_redirection_without_a_host_stays_on_the_host() {
    for host in ["", "?"] {
        let [a, b] = ScriptedNode::cluster();
        let server = serve(&a.url(), &[]);
        let port = b.address.port();
        a.script(move |words| match is_about_an_entry(words) {
            true => line(&format!("-MOVED 1 {host}:{port}")),
            false => None,
        });
        assert_eq!(server.connect().set("k", "1"), 200);
        assert_eq!(b.heard(), ["SET speicher:k 1"]);
    }
}

/// There is nobody else to ask.
#[test]
fn a_server_alone_is_not_left() {
    let alone = ScriptedNode::start();
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it is bound");
    other.set_nonblocking(true).expect("a socket");
    alone.script(move |words| match is_about_an_entry(words) {
        true => redirection("MOVED", address),
        false => None,
    });
    let server = serve(&alone.url(), &[]);
    let mut peer = server.connect();
    for payload in [set("k", "1"), get("k"), del("k")] {
        unavailable(&mut peer, payload);
    }
    assert!(other.accept().is_err(), "it was connected to");
}

/// A6
#[test]
fn a_redirection_to_where_nobody_is_is_a_503() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    redirect(&a, "MOVED", &b);
    b.refuse();
    for payload in [set("k", "1"), get("k"), del("k")] {
        assert!(unavailable(&mut peer, payload).contains("nothing was done"));
    }
    assert_eq!(a.changes(), 0);
}

/// A6
#[test]
fn a_circle_of_redirections_ends_with_a_503() {
    for kind in ["MOVED", "ASK"] {
        let [a, b] = ScriptedNode::cluster();
        redirect(&a, kind, &b);
        redirect(&b, kind, &a);
        let server = serve(&a.url(), &IMPATIENT);
        let mut peer = server.connect();
        let begun = Instant::now();
        let sentence = unavailable(&mut peer, set("k", "1"));
        assert!(sentence.contains("nothing was done"), "{sentence}");
        // Machines may be slow.
        assert!(begun.elapsed() < 10 * SHORT);
        let hops = a.heard().len() + b.heard().len();
        assert!(hops < 100, "it takes its time: {hops}");
        assert_eq!(a.changes(), 0);
    }
}

#[test]
fn each_step_of_fetching_a_long_value_is_redirected() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    let long = format!("\"{}\"", "v".repeat(100_000));
    assert_eq!(peer.set("k", &long), 200);
    for (kind, step) in [("ASK", "GETRANGE"), ("ASK", "STRLEN"), ("MOVED", "GET")] {
        let address = b.address;
        a.script(move |words| match words[0] == step {
            true => redirection(kind, address),
            false => None,
        });
        assert_eq!(peer.ask(get("k"))["value"].to_string(), long, "{step}");
    }
}

#[test]
fn a_reset_follows_redirections() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    for key in ["k", "l", "m"] {
        assert_eq!(peer.set(key, "1"), 200);
    }
    let address = b.address;
    a.script(move |words| match words {
        ["UNLINK", "speicher:l"] => redirection("ASK", address),
        _ => None,
    });
    assert_eq!(peer.status(RST), 200);
    for key in ["k", "l", "m"] {
        assert_eq!(peer.status(get(key)), 404);
    }
    assert_eq!(b.heard()[..2], ["ASKING", "UNLINK speicher:l"]);
}

/// A change that is redirected is made before what follows it, though the
/// first node has answered that.
#[test]
fn a_get_behind_a_redirected_set_sees_it() {
    let [a, b] = ScriptedNode::cluster();
    let server = serve(&a.url(), &[]);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "0"), 200);
    let address = b.address;
    a.script(move |words| match words[0] {
        "SET" => redirection("MOVED", address),
        _ => None,
    });
    let payloads = [get("k"), set("k", "1"), get("k"), set("k", "2"), get("k")];
    let replies = pipelined(&mut peer, payloads);
    assert_eq!(statuses(&replies), [200; 5]);
    let values = [0, 2, 4].map(|place: usize| replies[place]["value"].as_u64());
    assert_eq!(values, [Some(0), Some(1), Some(2)]);
    assert_eq!(a.changes(), 3);
}

#[derive(Clone, Debug)]
enum Step {
    /// Whether the value is long.
    Set(&'static str, bool),
    Get(&'static str),
    Delete(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![3 => Just("a"), 1 => Just("b"), 1 => Just("{a}2")];
    (key, 0..7).prop_map(|(key, kind)| match kind {
        0..3 => Step::Set(key, kind == 0),
        3..6 => Step::Get(key),
        _ => Step::Delete(key),
    })
}

impl Step {
    /// `number` makes its value one of a kind.
    fn payload(&self, number: usize) -> String {
        match self {
            Self::Set(key, is_long) => set(key, &value(number, *is_long)),
            Self::Get(key) => get(key),
            Self::Delete(key) => del(key),
        }
    }
}

fn value(number: usize, is_long: bool) -> String {
    format!("\"{number}{}\"", "v".repeat(70_000 * usize::from(is_long)))
}

/// What the entries are when the steps are done in their order, but for those
/// that were refused, and how many of them changed something. Fails if a reply
/// is not what it then should be.
fn follow(steps: &[Step], replies: &[Value]) -> Result<(BTreeMap<String, String>, usize), String> {
    let mut entries = BTreeMap::<String, String>::new();
    let mut changes = 0;
    for (number, (step, reply)) in steps.iter().zip(replies).enumerate() {
        if status_of(reply) == 503 {
            continue;
        }
        let stored = |key: &str| format!("speicher:{key}");
        let expected = match step {
            Step::Set(key, is_long) => {
                entries.insert(stored(key), value(number, *is_long));
                (200, None)
            }
            Step::Get(key) => match entries.get(&stored(key)) {
                Some(value) => (200, Some(value.clone())),
                None => (404, None),
            },
            Step::Delete(key) => match entries.remove(&stored(key)) {
                Some(_) => (200, None),
                None => (404, None),
            },
        };
        changes += usize::from(!matches!(step, Step::Get(_)));
        let found = reply["value"]
            .is_string()
            .then(|| reply["value"].to_string());
        if (status_of(reply), found) != expected {
            return Err(format!(
                "{step:?}, number {number}, is answered {reply:.100}"
            ));
        }
    }
    Ok((entries, changes))
}

/// S1a: whichever requests are redirected, they are executed in their order,
/// once, or answered with 503 and not at all.
#[test]
fn any_redirections_leave_requests_in_their_order() {
    let [a, b] = ScriptedNode::cluster();
    a.give_slots_to(&[&a, &b]);
    let server = serve(&a.url(), &[]);
    let kind = prop_oneof![3 => Just(""), 1 => Just("MOVED"), 1 => Just("ASK")];
    proptest!(ProptestConfig::with_cases(64), |(
        steps in vec(step(), 1..20),
        redirected in vec(kind, 0..40),
    )| {
        let mut peer = server.connect();
        for node in [&a, &b] {
            node.script(|_| None);
        }
        prop_assert_eq!(peer.status(RST), 200);
        let before = a.changes();
        let next = Arc::new(AtomicUsize::new(0));
        for (node, other) in [(&a, b.address), (&b, a.address)] {
            let (next, redirected) = (Arc::clone(&next), redirected.clone());
            node.script(move |words| {
                if !is_about_an_entry(words) {
                    return None;
                }
                let number = next.fetch_add(1, Ordering::SeqCst);
                let kind = redirected.get(number).filter(|kind| !kind.is_empty())?;
                redirection(kind, other)
            });
        }
        let payloads = steps.iter().enumerate();
        let frames = payloads.flat_map(|(number, step)| framed(step.payload(number)));
        peer.send(&frames.collect::<Vec<u8>>());
        let replies: Vec<_> = steps.iter().map(|_| peer.reply()).collect();
        let (entries, changes) = follow(&steps, &replies).map_err(TestCaseError::fail)?;
        prop_assert_eq!(a.changes() - before, changes);
        for key in ["speicher:a", "speicher:b", "speicher:{a}2"] {
            prop_assert_eq!(a.entry(key), entries.get(key).cloned());
        }
    });
}
