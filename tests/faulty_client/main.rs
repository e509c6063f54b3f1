//! A client with a choice of faults, under the contract of
//! docs/conformance.md, to show that the cases for clients bite.
//!
//! Usage: faulty_client FAULT PORT TIMEOUT

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// The faults. `none` is a client that every case passes.
const FAULTS: [&str; 17] = [
    "none",
    "ends-at-once",
    "never-connects",
    "little-endian",
    "header-read-once",
    "payload-read-once",
    "keeps-broken-connections",
    "waits-for-ever",
    "believes-every-status",
    "value-is-optional",
    "counts-characters",
    "ends-at-an-error",
    "takes-what-came",
    "utf-8-with-replacements",
    "knows-all-members",
    "falsy-is-absent",
    "sends-anything",
];

struct Client {
    fault: String,
    port: u16,
    timeout: Duration,
    stream: Option<TcpStream>,
}

/// What went wrong, and whether the connection can go on.
struct Failure {
    sentence: String,
    is_over: bool,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        broken(error)
    }
}

fn broken(what: impl ToString) -> Failure {
    Failure {
        sentence: what.to_string(),
        is_over: true,
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, fault, port, timeout] = args.as_slice() else {
        panic!("usage: faulty_client FAULT PORT TIMEOUT");
    };
    assert!(FAULTS.contains(&fault.as_str()), "one of {FAULTS:?}");
    let mut client = Client {
        fault: fault.clone(),
        port: port.parse().expect("a port"),
        timeout: Duration::from_secs_f64(timeout.parse().expect("seconds")),
        stream: None,
    };
    if client.has("ends-at-once") {
        return;
    }
    for line in io::stdin().lock().lines() {
        let answer = client.call(&line.expect("UTF-8"));
        println!("{answer}");
        if client.has("ends-at-an-error") && answer.starts_with("error") {
            std::process::exit(1);
        }
    }
}

impl Client {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn call(&mut self, line: &str) -> String {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (key, json) = rest.split_once(' ').unwrap_or((rest, "null"));
        let value: Value = serde_json::from_str(json).expect("JSON");
        if key.is_empty() && verb != "reset" && !self.has("sends-anything") {
            return "refused an empty key".to_owned();
        }
        if self.has("never-connects") {
            return if verb == "get" { "absent" } else { "ok" }.to_owned();
        }
        let request = match verb {
            "set" if self.has("sends-anything") => {
                json!({"command": "SET", "key": key, "value": json})
            }
            "set" => json!({"command": "SET", "key": key, "value": value}),
            "get" => json!({"command": "GET", "key": key}),
            "delete" if self.has("sends-anything") => json!({"command": "DELETE", "key": key}),
            "delete" => json!({"command": "DEL", "key": key}),
            _ if self.has("sends-anything") => json!({"command": "RESET"}),
            _ => json!({"command": "RST"}),
        };
        let answer = self
            .exchange(&request)
            .and_then(|reply| self.judge(verb, &reply));
        answer.unwrap_or_else(|trouble| {
            if trouble.is_over && !self.has("keeps-broken-connections") {
                self.stream = None;
            }
            format!("error {}", trouble.sentence.replace('\n', " "))
        })
    }

    fn exchange(&mut self, request: &Value) -> Result<Value, Failure> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            if !self.has("waits-for-ever") {
                stream.set_read_timeout(Some(self.timeout))?;
            }
            self.stream = Some(stream);
        }
        let payload = request.to_string();
        let len = match self.has("counts-characters") {
            true => payload.chars().count(),
            false => payload.len(),
        };
        let mut header = i32::try_from(len).map_err(broken)?.to_be_bytes();
        if self.has("little-endian") {
            header.reverse();
        }
        let stream = self.stream.as_mut().expect("it is there");
        stream.write_all(&[&header, payload.as_bytes()].concat())?;
        let header = self.read(4, "header-read-once")?;
        let len = i32::from_be_bytes(header.try_into().map_err(|_| broken("half a header"))?);
        let len = usize::try_from(len).map_err(broken)?;
        let payload = self.read(len, "payload-read-once")?;
        let text = match self.has("utf-8-with-replacements") {
            true => String::from_utf8_lossy(&payload).into_owned(),
            false => String::from_utf8(payload).map_err(broken)?,
        };
        let mut values = serde_json::Deserializer::from_str(&text).into_iter();
        values
            .next()
            .ok_or_else(|| broken("no JSON"))?
            .map_err(broken)
    }

    /// Reads so many bytes, unless the fault makes it one read.
    fn read(&mut self, len: usize, fault: &str) -> Result<Vec<u8>, Failure> {
        let reads_once = self.has(fault);
        let takes_what_came = self.has("takes-what-came");
        let stream = self.stream.as_mut().expect("it is there");
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        while bytes.len() < len {
            let room = (len - bytes.len()).min(piece.len());
            match stream.read(&mut piece[..room]) {
                Ok(0) if takes_what_came && len > 4 => break,
                Ok(0) => return Err(broken("the connection ended")),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if reads_once {
                break;
            }
        }
        Ok(bytes)
    }

    fn judge(&self, verb: &str, reply: &Value) -> Result<String, Failure> {
        let members = reply.as_object().ok_or_else(|| broken("no object"))?;
        let is_known = |name: &String| name == "status_code" || name == "value";
        if self.has("knows-all-members") && !members.keys().all(is_known) {
            return Err(broken("an unknown member"));
        }
        let status = match self.has("believes-every-status") {
            true => 200,
            false => reply["status_code"]
                .as_i64()
                .ok_or_else(|| broken("no status"))?,
        };
        match (status, verb, members.get("value")) {
            (200, "get", Some(value)) if self.has("falsy-is-absent") && is_falsy(value) => {
                Ok("absent".to_owned())
            }
            (200, "get", Some(value)) => Ok(format!("value {value}")),
            (200, "get", None) if self.has("value-is-optional") => Ok("absent".to_owned()),
            (200, "get", None) => Err(broken("no value")),
            (200, ..) => Ok("ok".to_owned()),
            (404, "get" | "delete", _) => Ok("absent".to_owned()),
            (400..600, ..) => Err(Failure {
                sentence: format!("status {status}"),
                is_over: false,
            }),
            _ => Err(broken(format!("status {status}"))),
        }
    }
}

fn is_falsy(value: &Value) -> bool {
    [json!(false), json!(0), json!(""), json!([]), json!(null)].contains(value)
}
