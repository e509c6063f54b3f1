//! Prometheus itself asks a server, and has what a load has counted.

use std::fs;
use std::process::Child;

use serde_json::Value;

use super::requests::{Answers, counted, load};
use super::*;

every_model![prometheus_has_what_a_load_has_counted];

/// Debian's Prometheus, which asks one server. Dropped, it is killed.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// `None`, and a line that says so, if there is none.
    fn start(server: SocketAddr, name: &str) -> Option<Self> {
        let folder = folder(&format!("prometheus-{name}"));
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n\
             - job_name: speicher\n  static_configs:\n  - targets: ['{server}']\n"
        );
        fs::write(&config, text).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let spawned = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match spawned {
            Ok(child) => Some(Self { child, address }),
            Err(_) => {
                println!("SKIPPED: there is no prometheus; `apt-get install prometheus` brings it");
                None
            }
        }
    }

    /// What the expression is now; nothing while it is not ready.
    fn query(&self, expression: &str) -> Vec<Value> {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            return Vec::new();
        };
        let path = format!("/api/v1/query?query={}", escaped(expression));
        // Of this version, so that the answer is in one piece.
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let Some(Response {
            status: 200, body, ..
        }) = read_response(stream)
        else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// Of the one metric that the expression finds.
    fn number(&self, expression: &str) -> Option<f64> {
        self.query(expression).first().map(value)
    }
}

fn value(found: &Value) -> f64 {
    let text = found["value"][1].as_str().expect("a number");
    text.parse().expect("a number")
}

fn escaped(expression: &str) -> String {
    let bytes = expression.bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

fn prometheus_has_what_a_load_has_counted(model: Model) {
    let (server, address) = process_with_metrics(&["--model", model.name()]);
    let Some(prometheus) = Prometheus::start(address, model.name()) else {
        return;
    };
    wait_until("Prometheus asks", || prometheus.number("up") == Some(1.0));
    let (answers, sent, received) = load(server.address(), 4, 50);
    let total: u64 = answers.values().sum();
    wait_until("Prometheus has all requests", || {
        prometheus.number("sum(speicher_requests_total)") == Some(total as f64)
    });
    let found = prometheus.query("speicher_requests_total > 0");
    let seen: Answers = found
        .iter()
        .map(|found| {
            let label = |name: &str| found["metric"][name].as_str().expect("a label");
            let known = answers.keys().find(|(command, status)| {
                *command == label("command") && status.to_string() == label("status")
            });
            (*known.expect("the load had it"), value(found) as u64)
        })
        .collect();
    assert_eq!(seen, answers);
    assert_eq!(counted(&scrape(address)), answers);
    for (name, expected) in [
        ("speicher_received_bytes_total", sent),
        ("speicher_sent_bytes_total", received),
        ("speicher_connections_accepted_total", 4),
        ("speicher_batch_requests_sum", total),
    ] {
        wait_until(name, || prometheus.number(name) == Some(expected as f64));
    }
    let kinds = prometheus.query("speicher_info");
    assert_eq!(kinds[0]["metric"]["model"], model.name());
    // It has read the histogram as one.
    let median = "histogram_quantile(0.5, speicher_batch_seconds_bucket)";
    let median = prometheus.number(median).expect("there is one");
    assert!(median > 0.0 && median < 1.0, "{median}");
}
