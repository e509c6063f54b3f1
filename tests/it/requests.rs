//! R1 to R9: which payloads are requests, and what of a value survives.

use speicher::server::Model;

use crate::harness::*;

every_model![
    payloads_get_the_status_that_their_clause_says,
    bad_requests_leave_the_connection_and_the_data_alone,
    values_come_back_byte_for_byte,
    keys_are_compared_as_text,
    nesting_is_limited_at_512,
    the_last_of_a_repeated_member_counts,
];

/// What each clause says about a payload; `k` holds 1.
#[rustfmt::skip]
pub const PAYLOADS: &[(&str, &[u8], u64)] = &[
    ("R1", br#"{"command":"GET","key":"k"}"#, 200),
    ("R1", b" \t\r\n{ \"command\" : \"GET\" , \"key\" : \"k\" } \n", 200),
    ("R1", br#"{"key":"k","command":"GET"}"#, 200),
    ("R1", br#"["GET","k"]"#, 400),
    ("R1", br#"["SET","k",2]"#, 400),
    ("R1", br#""GET""#, 400),
    ("R1", b"null", 400),
    ("R1", b"1", 400),
    ("R1", b"{}", 400),
    ("R1", b" ", 400),
    ("R1", br#"{"key":"k"}"#, 400),
    ("R1", b"\xef\xbb\xbf{\"command\":\"GET\",\"key\":\"k\"}", 400),
    ("R2", br#"{"command":"\u0047ET","key":"k"}"#, 200),
    ("R2", br#"{"command":"get","key":"k"}"#, 400),
    ("R2", br#"{"command":"GET ","key":"k"}"#, 400),
    ("R2", br#"{"command":"DELETE","key":"k"}"#, 400),
    ("R2", br#"{"command":"UNKNOWN"}"#, 400),
    ("R2", br#"{"command":"","key":"k"}"#, 400),
    ("R2", br#"{"command":"\ud800","key":"k"}"#, 400),
    ("R2", br#"{"command":null,"key":"k"}"#, 400),
    ("R2", br#"{"command":["GET"],"key":"k"}"#, 400),
    ("R3", br#"{"command":"SET"}"#, 400),
    ("R3", br#"{"command":"SET","key":"k"}"#, 400),
    ("R3", br#"{"command":"SET","value":2}"#, 400),
    ("R3", br#"{"command":"GET"}"#, 400),
    ("R3", br#"{"command":"GET","value":2}"#, 400),
    ("R3", br#"{"command":"DEL"}"#, 400),
    ("R4a", br#"{"command":"GET","key":""}"#, 400),
    ("R4a", br#"{"command":"SET","key":"","value":1}"#, 400),
    ("R4a", br#"{"command":"DEL","key":""}"#, 400),
    ("R4", br#"{"command":"GET","key":1}"#, 400),
    ("R4", br#"{"command":"GET","key":null}"#, 400),
    ("R4", br#"{"command":"GET","key":["k"]}"#, 400),
    ("R4a", br#"{"command":"GET","key":"\ud800"}"#, 400),
    ("R4a", br#"{"command":"GET","key":"\udc00\ud800"}"#, 400),
    ("R4", br#"{"command":"GET","key":"\u0000"}"#, 404),
    ("R4", br#"{"command":"GET","key":"\ud83d\ude00"}"#, 404),
    ("R5", br#"{"command":"SET","key":"other","value":null}"#, 200),
    ("R5", br#"{"command":"SET","key":"other","value":true}"#, 200),
    ("R5", br#"{"command":"SET","key":"other","value":-0}"#, 200),
    ("R8", br#"{"command":"GET","key":"k","unknown":{"a":[1]},"":0,"\ud800":1}"#, 200),
    ("R8", br#"{"command":"GET","key":"k","value":[]}"#, 200),
    ("R8", br#"{"command":"SET","command":"GET","key":3,"key":"k"}"#, 200),
    ("R8", br#"{"command":"GET","key":"k","key":3}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":NaN}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":Infinity}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":-Infinity}"#, 400),
    ("R9", b"{\"command\":\"SET\",\"key\":\"k\",\"value\":\"\xff\"}", 400),
    ("R9", b"{\"command\":\"SET\",\"key\":\"\xc3\",\"value\":1}", 400),
    ("R9", b"{\"command\":\"GET\",\"key\":\"k\",\"unknown\":\"\xed\xa0\x80\"}", 400),
    ("R9", br#"{"command":"GET","key":"k"}x"#, 400),
    ("R9", br#"{"command":"GET","key":"k"}{}"#, 400),
    ("R9", b"{\"command\":\"GET\",\"key\":\"k\"}\0", 400),
    ("R9", br#"{"command":"GET","key":"k",}"#, 400),
    ("R9", br#"{"command":"GET","key":"k""#, 400),
    ("R9", br#"{'command':'GET','key':'k'}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":01}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":1.}"#, 400),
    ("R9", br#"{"command":"SET","key":"k","value":"\x41"}"#, 400),
    ("R9", b"{\"command\":\"SET\",\"key\":\"k\",\"value\":\"\n\"}", 400),
    ("R9", br#"{"command":"SET","key":"k","value":[1 2]}"#, 400),
    ("R9", br#"{"command":"GET","key":"k","unknown":tru}"#, 400),
];

fn payloads_get_the_status_that_their_clause_says(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    for (clause, payload, expected) in PAYLOADS {
        let status = peer.status(payload);
        let payload = String::from_utf8_lossy(payload);
        assert_eq!(status, *expected, "{clause}: {payload}");
    }
}

/// R1a.
fn bad_requests_leave_the_connection_and_the_data_alone(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    for (_, payload, expected) in PAYLOADS {
        if *expected == 400 {
            peer.ask(payload);
            assert_eq!(peer.get_text("k"), r#"{"status_code":200,"value":1}"#);
        }
    }
}

/// R5, R6
fn values_come_back_byte_for_byte(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let long_string = format!("\"{}\"", "ü".repeat(100_000));
    for value in [
        "null",
        "true",
        "0",
        "-0",
        "-0.0",
        "1.10",
        "1e999",
        "-1E-999",
        "1E+2",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        r#""""#,
        r#""\ud800""#,
        r#""\ud83d\ude00 \u00fc \/ / \" \\ \b\f\n\r\t""#,
        "\"\u{10ffff}\u{7f}\u{2028}\"",
        "[]",
        "[ 1 ,\t2\n,\r\n3 ]",
        r#"{"b":1,"a":2,"b":3,"":{ }}"#,
        r#"{"command":"RST"}"#,
        &long_string,
    ] {
        let payload = format!("{{\"command\":\"SET\",\"key\":\"k\",\"value\": \t{value}\r\n}}");
        assert_eq!(peer.status(payload), 200, "{value}");
        let reply = peer.get_text("k");
        assert_eq!(reply, format!(r#"{{"status_code":200,"value":{value}}}"#));
    }
}

/// R4
fn keys_are_compared_as_text(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let long_key = "k".repeat(1_000_000);
    for (i, (one, other)) in [
        ("a", r"\u0061"),
        ("ü", r"\u00fc"),
        ("😀", r"\ud83d\ude00"),
        (r"\n", r"\u000a"),
        (r"\/", "/"),
        (r"\u0000", r"\u0000"),
        (&long_key, &long_key),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(peer.set(one, &i.to_string()), 200);
        assert_eq!(peer.ask(get(other))["value"], i, "{one:.20} is {other:.20}");
    }
    assert_eq!(peer.set("u\u{308}", "1"), 200);
    assert_eq!(peer.ask(get("ü"))["value"], 1, "unlike code points differ");
}

/// R7
fn nesting_is_limited_at_512(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(peer.set("k", &nested(512)), 200);
    assert!(peer.get_text("k").contains(&nested(512)));
    let reply = peer.ask(set("k", &nested(513)));
    assert_eq!(status_of(&reply), 400);
    assert!(reply["error"].as_str().expect("a sentence").contains("512"));
    assert_eq!(peer.set("k", &nested(100_000)), 400);
    let brackets = format!("\"{}\"", "[".repeat(5000));
    assert_eq!(peer.set("k", &brackets), 200, "brackets in a string");
}

/// R8
fn the_last_of_a_repeated_member_counts(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    let payload = r#"{"command":"SET","key":"a","value":1,"key":"b","value":2}"#;
    assert_eq!(peer.status(payload), 200);
    assert_eq!(peer.status(get("a")), 404);
    assert_eq!(peer.ask(get("b"))["value"], 2);
}
