//! What is counted of a store that is elsewhere.

use std::collections::{BTreeMap, BTreeSet};

/// The names, types and labels of a server with such a store.
#[cfg(not(feature = "cluster"))]
pub fn exposed_with_a_store() -> BTreeMap<String, (String, BTreeSet<String>)> {
    BTreeMap::new()
}

#[cfg(feature = "cluster")]
pub use with_cluster::exposed_with_a_store;

#[cfg(feature = "cluster")]
mod with_cluster {
    use super::super::*;
    use super::*;
    use crate::remote_store::scripted::{ScriptedNode, answer_keys, line};

    fn start(node: &ScriptedNode) -> (Process, SocketAddr) {
        process_with_metrics(&["--store", &node.url()])
    }

    pub fn exposed_with_a_store() -> BTreeMap<String, (String, BTreeSet<String>)> {
        let node = ScriptedNode::start();
        let (_server, address) = start(&node);
        documents::exposed(address)
    }

    fn errors(metrics: &Metrics, kind: &str) -> f64 {
        metrics.get(&format!(r#"speicher_store_errors_total{{kind="{kind}"}}"#))
    }

    #[test]
    fn round_trips_and_errors_of_nodes_are_counted() {
        let node = ScriptedNode::start();
        let (server, address) = start(&node);
        let mut peer = server.connect();
        let round_trips = || scrape(address).get("speicher_store_round_trip_seconds_count");
        let before = round_trips();
        assert_eq!(peer.set("k", "1"), 200);
        assert_eq!(peer.status(get("k")), 200);
        assert_eq!(round_trips() - before, 2.0);
        let metrics = scrape(address);
        assert_eq!(metrics.sum("speicher_store_errors_total"), 0.0);
        assert!(!metrics.has("speicher_entries"), "nobody here knows");
        assert_eq!(
            metrics.get(r#"speicher_requests_total{command="set",status="200"}"#),
            1.0
        );

        answer_keys(&node, "-OOM it is full");
        assert_eq!(peer.set("k", "1"), 503);
        let metrics = scrape(address);
        assert_eq!(errors(&metrics, "refused"), 1.0);
        assert_eq!(
            metrics.get(r#"speicher_requests_total{command="set",status="503"}"#),
            1.0
        );

        // It loses the connection with the request on its way.
        node.script(|words| {
            let has_key = words.iter().any(|word| word.starts_with("speicher:"));
            let answer = has_key.then(|| line("nonsense")).flatten()?;
            Some(answer)
        });
        peer.send(&framed(get("k")));
        assert!(peer.try_reply().is_none(), "nobody knows what was done");
        let metrics = scrape(address);
        assert_eq!(errors(&metrics, "unknown"), 1.0);
        let lost = r#"speicher_connections_ended_total{end="store_lost"}"#;
        wait_until("the end is counted", || scrape(address).get(lost) == 1.0);
    }
}
