//! What is counted of connections.

use std::time::Duration;

use super::*;

every_model![
    connections_are_counted_as_they_come_and_end,
    refused_connections_are_counted_by_the_reason,
    what_ends_a_connection_is_counted,
    it_answers_until_the_server_has_stopped,
];

fn ended(metrics: &Metrics, end: &str) -> f64 {
    metrics.get(&format!(
        r#"speicher_connections_ended_total{{end="{end}"}}"#
    ))
}

fn connections_are_counted_as_they_come_and_end(model: Model) {
    let (server, address) = with_metrics(config(model));
    let mut peers: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for peer in &mut peers {
        assert_eq!(peer.status(get("k")), 404);
    }
    let metrics = scrape(address);
    assert_eq!(metrics.get("speicher_connections"), 5.0);
    assert_eq!(metrics.get("speicher_connections_accepted_total"), 5.0);
    assert_eq!(metrics.sum("speicher_connections_ended_total"), 0.0);
    if model == Model::Threads {
        assert_eq!(metrics.get("speicher_workers"), 8.0);
        assert_eq!(metrics.get("speicher_workers_busy"), 5.0);
        assert_eq!(metrics.get("speicher_connections_waiting"), 0.0);
    }
    peers.truncate(2);
    wait_until("three have ended", || {
        ended(&scrape(address), "peer_closed") == 3.0
    });
    assert_eq!(scrape(address).get("speicher_connections"), 2.0);
}

fn refused_connections_are_counted_by_the_reason(model: Model) {
    let (server, address) = with_metrics(Config {
        queue_timeout: Duration::from_millis(50),
        idle_eviction: None,
        ..room_for(model, 2)
    });
    let mut served: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for peer in &mut served {
        assert_eq!(peer.status(get("k")), 404);
    }
    let mut refused: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for peer in &mut refused {
        assert_eq!(status_of(&peer.reply()), 503);
    }
    let metrics = scrape(address);
    let reason = |name: &str| {
        metrics.get(&format!(
            r#"speicher_connections_refused_total{{reason="{name}"}}"#
        ))
    };
    match model {
        // Two of them may wait.
        Model::Threads => assert_eq!(reason("all_busy") + reason("queue_full"), 3.0),
        _ => assert_eq!(reason("too_many"), 3.0),
    }
    assert_eq!(metrics.get("speicher_connections_accepted_total"), 5.0);
    assert_eq!(metrics.get("speicher_connections"), 2.0);
    assert_eq!(metrics.sum("speicher_requests_total"), 2.0);
}

fn what_ends_a_connection_is_counted(model: Model) {
    let (server, address) = with_metrics(Config {
        frame_timeout: Duration::from_millis(50),
        idle_timeout: Some(Duration::from_millis(500)),
        frame_len_max: 1000,
        ..config(model)
    });
    let mut broken = server.connect();
    broken.send(&[0xff; 8]);
    assert_eq!(status_of(&broken.reply()), 400);
    drop(broken);
    let mut slow = server.connect();
    slow.send(&[0, 0]);
    slow.assert_closed();
    let mut silent = server.connect();
    silent.assert_closed();
    wait_until("each has its end", || {
        let metrics = scrape(address);
        ["out_of_step", "frame_timeout", "idle"]
            .iter()
            .all(|end| ended(&metrics, end) == 1.0)
    });
    assert_eq!(scrape(address).sum("speicher_connections_ended_total"), 3.0);
}

fn it_answers_until_the_server_has_stopped(model: Model) {
    let (server, address) = with_metrics(config(model));
    let mut peer = server.connect();
    assert_eq!(peer.status(get("k")), 404);
    assert_eq!(scrape(address).get("speicher_connections"), 1.0);
    server.stop().expect("it stops");
    peer.assert_closed();
    assert!(TcpStream::connect(address).is_err(), "the port is free");
}
