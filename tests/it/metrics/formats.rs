//! How metrics are written, and what HTTP has to say besides.

use super::*;

every_model![promtool_has_no_complaint];

fn promtool_has_no_complaint(model: Model) {
    let (server, address) = process_with_metrics(&["--model", model.name()]);
    requests::load(server.address(), 2, 5);
    let text = get_path(address, "/metrics").body;
    let Some(output) = run_tool("promtool", &["check", "metrics"], &text) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "");
    assert!(output.status.success());
}

#[test]
fn who_asks_for_openmetrics_gets_it() {
    let (server, address) = with_metrics(config(Model::Threads));
    assert_eq!(server.connect().status(get("k")), 404);
    let line = "GET /metrics HTTP/1.1";
    let plain = request(address, line, "accept: text/plain\r\n");
    let expected = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(plain.header("content-type"), Some(expected));
    assert!(
        plain
            .body
            .contains("# TYPE speicher_requests_total counter\n")
    );
    assert!(!plain.body.contains("# EOF") && !plain.body.contains("# UNIT"));

    // As Prometheus asks.
    let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.75,text/plain;q=0.5\r\n";
    let open = request(address, line, accept);
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(expected));
    assert!(open.body.contains("# TYPE speicher_requests counter\n"));
    assert!(
        open.body
            .contains("# UNIT speicher_batch_seconds seconds\n")
    );
    assert!(open.body.ends_with("# EOF\n"));
    let requests = |response: &Response| Metrics::of(&response.body).sum("speicher_requests_total");
    assert_eq!((requests(&plain), requests(&open)), (1.0, 1.0));

    // Who does not want it has said so.
    let refused = "accept: application/openmetrics-text;q=0, text/plain\r\n";
    let plain = request(address, line, refused);
    assert!(!plain.body.contains("# EOF"));
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let (_server, address) = with_metrics(config(Model::Threads));
    let page = get_path(address, "/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page
        .header("content-security-policy")
        .expect("there is one");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(page.body.starts_with("<!DOCTYPE html>") || page.body.starts_with("<!doctype html>"));
    assert!(!page.body.contains("//cdn") && !page.body.contains("src=\"http"));
}

#[test]
fn what_is_not_there_or_can_not_be_done_gets_a_sentence() {
    let (_server, address) = with_metrics(config(Model::Threads));
    let missing = get_path(address, "/metric");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("/metrics"), "{}", missing.body);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let headers = "content-length: 0\r\n";
        let refused = request(address, &format!("{method} /metrics HTTP/1.1"), headers);
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        assert!(refused.body.ends_with(".\n"), "{}", refused.body);
    }
    let head = request(address, "HEAD /metrics HTTP/1.1", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let query = get_path(address, "/metrics?name=value");
    assert_eq!(query.status, 200, "what follows is ignored");
    let old = request(address, "GET /metrics HTTP/1.0", "");
    assert_eq!(old.status, 200);
}

#[test]
fn mistakes_with_the_option_get_a_sentence() {
    let serve = |metrics: &str| {
        let output = speicher()
            .args(["serve", "--port", "0", "--metrics", metrics])
            .output()
            .expect("the program is there");
        assert_eq!(output.stdout, b"", "no ready line");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        (output.status.code(), said)
    };
    for wrong in ["", "here", "127.0.0.1", "::1:9100", "h:99999"] {
        let (code, said) = serve(wrong);
        assert_eq!(code, Some(2), "{wrong}: {said}");
        assert!(said.contains("HOST:PORT"), "{said}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let (code, said) = serve(&port);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&port) && said.contains("--metrics"), "{said}");
}

#[test]
fn a_listener_is_for_one_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let config = Config {
        metrics: Some(listener.into()),
        ..config(Model::Threads)
    };
    let _first = Server::with(config.clone());
    assert_eq!(get_path(address, "/metrics").status, 200);
    let error = Server::with(config).join().expect_err("it has no listener");
    assert!(error.to_string().contains("another server"), "{error}");
    assert_eq!(get_path(address, "/metrics").status, 200);
}
