//! What is counted of requests agrees with what their peers have counted.

use std::collections::BTreeMap;
use std::thread;

use super::*;

every_model![
    requests_are_counted_as_their_peers_count_them,
    a_request_is_counted_before_its_reply_is_read,
    histograms_have_every_batch,
    entries_and_their_bytes_come_and_go,
];

const INVALID: &str = r#"speicher_requests_total{command="invalid",status="400"}"#;

/// A command and a status, and how often.
pub type Answers = BTreeMap<(&'static str, u64), u64>;

/// Each with its command: hits, misses, what is no request.
fn payloads(peer: usize, round: usize) -> Vec<(&'static str, String)> {
    let key = format!("{peer}-{}", round % 7);
    let mut payloads = vec![
        ("set", set(&key, "[1, 2]")),
        ("get", get(&key)),
        ("get", get("nobody has set it")),
        ("invalid", r#"{"command":"GET"}"#.to_owned()),
        ("delete", del(&key)),
        ("delete", del(&key)),
        ("invalid", "nonsense".to_owned()),
        ("set", set(&key, r#""a""#)),
    ];
    if round.is_multiple_of(5) {
        payloads.push(("reset", RST.to_owned()));
    }
    payloads
}

/// What peers ask at the same time, in pipelines and one by one, and what they
/// are answered; and how many bytes go there and back.
pub fn load(address: SocketAddr, peers: usize, rounds: usize) -> (Answers, u64, u64) {
    let (mut answers, mut sent, mut received) = (Answers::new(), 0, 0);
    let one = |number: usize| {
        let mut peer = Peer::connect(address);
        let (mut answers, mut sent, mut received) = (Answers::new(), 0, 0);
        let mut count = |command, payload: Vec<u8>| {
            received += payload.len() as u64 + 4;
            let reply = serde_json::from_slice(&payload).expect("JSON");
            *answers.entry((command, status_of(&reply))).or_default() += 1;
        };
        for round in 0..rounds {
            let payloads = payloads(number, round);
            if round % 2 == 0 {
                let bytes: Vec<u8> = payloads.iter().flat_map(|(_, it)| framed(it)).collect();
                sent += bytes.len() as u64;
                peer.send(&bytes);
                for (command, _) in &payloads {
                    count(*command, peer.payload());
                }
            } else {
                for (command, payload) in &payloads {
                    let bytes = framed(payload);
                    sent += bytes.len() as u64;
                    peer.send(&bytes);
                    count(*command, peer.payload());
                }
            }
        }
        (answers, sent, received)
    };
    thread::scope(|scope| {
        let peers: Vec<_> = (0..peers)
            .map(|number| scope.spawn(move || one(number)))
            .collect();
        for peer in peers {
            let (some, there, back) = peer.join().expect("no panic");
            for (answer, count) in some {
                *answers.entry(answer).or_default() += count;
            }
            (sent, received) = (sent + there, received + back);
        }
    });
    (answers, sent, received)
}

/// Those that the server has counted.
pub fn counted(metrics: &Metrics) -> Answers {
    let mut answers = Answers::new();
    for command in ["set", "get", "delete", "reset", "invalid"] {
        for status in [200, 400, 404, 503] {
            let name =
                format!(r#"speicher_requests_total{{command="{command}",status="{status}"}}"#);
            if metrics.has(&name) && metrics.get(&name) > 0.0 {
                answers.insert((command, status), metrics.get(&name) as u64);
            }
        }
    }
    answers
}

fn requests_are_counted_as_their_peers_count_them(model: Model) {
    let (server, address) = with_metrics(config(model));
    let (answers, sent, received) = load(server.address, 6, 60);
    let metrics = scrape(address);
    assert_eq!(counted(&metrics), answers);
    let bytes = |metrics: &Metrics| {
        let total = |name: &str| metrics.get(&format!("speicher_{name}_bytes_total")) as u64;
        (total("received"), total("sent"))
    };
    // The last write may have arrived before the server hears that it was done.
    wait_until("bytes agree", || {
        bytes(&scrape(address)) == (sent, received)
    });
}

fn a_request_is_counted_before_its_reply_is_read(model: Model) {
    let (server, address) = with_metrics(config(model));
    let mut peer = server.connect();
    for n in 1..=30 {
        assert_eq!(peer.status("nonsense"), 400);
        assert_eq!(peer.status(get("k")), 404);
        let answers = counted(&scrape(address));
        assert_eq!(
            answers,
            Answers::from([(("get", 404), n), (("invalid", 400), n)])
        );
    }
}

fn histograms_have_every_batch(model: Model) {
    let (server, address) = with_metrics(config(model));
    load(server.address, 2, 400);
    let metrics = scrape(address);
    let requests = metrics.sum("speicher_requests_total");
    assert_eq!(metrics.get("speicher_batch_requests_sum"), requests);
    let batches = metrics.get("speicher_batch_requests_count");
    assert!(batches < requests, "pipelines are executed together");
    // One of 128 at least is measured, on each of the threads, and stands for those
    // before it. What was refused before it came to a store is in no such batch.
    let threads = thread::available_parallelism().expect("Linux").get().max(2);
    let unmeasured_max = (threads * 128) as f64 + metrics.get(INVALID);
    let measured = metrics.get("speicher_batch_seconds_count");
    let range = (batches - unmeasured_max).max(1.0)..=batches;
    assert!(range.contains(&measured), "{measured} not in {range:?}");
    assert!(metrics.get("speicher_batch_seconds_sum") > 0.0);
    let all = metrics.get(r#"speicher_batch_seconds_bucket{le="+Inf"}"#);
    assert_eq!(all, measured);
    if model == Model::Threads {
        let trips = metrics.get("speicher_store_wait_seconds_count");
        assert_eq!(trips, measured);
        assert_eq!(metrics.get("speicher_worker_wait_seconds_count"), 2.0);
    } else {
        assert!(metrics.get("speicher_drive_seconds_count") > 0.0);
    }
}

fn entries_and_their_bytes_come_and_go(model: Model) {
    let (server, address) = with_metrics(config(model));
    let mut peer = server.connect();
    assert_eq!(scrape(address).get("speicher_entries"), 0.0);
    let value = format!("\"{}\"", "v".repeat(100_000));
    for key in ["a", "b", "c"] {
        assert_eq!(peer.set(key, &value), 200);
    }
    assert_eq!(peer.set("a", "1"), 200);
    let metrics = scrape(address);
    assert_eq!(metrics.get("speicher_entries"), 3.0);
    let bytes = metrics.get("speicher_entries_bytes");
    assert!((200_000.0..300_000.0).contains(&bytes), "{bytes}");
    assert_eq!(peer.status(del("b")), 200);
    assert_eq!(scrape(address).get("speicher_entries"), 2.0);
    assert_eq!(peer.status(RST), 200);
    assert_eq!(scrape(address).get("speicher_entries"), 0.0);
    assert_eq!(scrape(address).get("speicher_entries_bytes"), 0.0);
}
