//! A1 to A6: what is answered.

use speicher::server::Model;

use crate::harness::*;

every_model![
    replies_are_exactly_these_bytes,
    errors_are_sentences_with_the_limit_and_the_remedy,
];

/// A1, A2, A2a, A3, A5
fn replies_are_exactly_these_bytes(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    for (request, reply) in [
        (get("k"), r#"{"status_code":404,"value":null}"#),
        (del("k"), r#"{"status_code":404}"#),
        (set("k", "null"), r#"{"status_code":200}"#),
        (get("k"), r#"{"status_code":200,"value":null}"#),
        (set("k", "[ ]"), r#"{"status_code":200}"#),
        (get("k"), r#"{"status_code":200,"value":[ ]}"#),
        (del("k"), r#"{"status_code":200}"#),
        (del("k"), r#"{"status_code":404}"#),
        (RST.to_owned(), r#"{"status_code":200}"#),
    ] {
        peer.send(&framed(&request));
        let payload = String::from_utf8(peer.payload()).expect("UTF-8");
        assert_eq!(payload, reply, "{request}");
    }
}

/// A4
fn errors_are_sentences_with_the_limit_and_the_remedy(model: Model) {
    let server = Server::start(model);
    let mut peer = server.connect();
    for (payload, words) in [
        ("", ["empty", "\"command\""]),
        ("[]", ["JSON object", "line 1 column 0"]),
        ("[1 2]", ["JSON object", "line 1 column 0"]),
        ("{\"a\":1", ["JSON object", "EOF"]),
        ("{}", ["no \"command\"", "SET, GET, DEL and RST"]),
        (r#"{"command":"get"}"#, ["\"get\"", "in capitals"]),
        (r#"{"command":"SET"}"#, ["SET needs a \"key\"", "string"]),
        (r#"{"command":"DEL"}"#, ["DEL needs a \"key\"", "string"]),
        (
            r#"{"command":"SET","key":"k"}"#,
            ["SET needs a \"value\"", "any JSON"],
        ),
        (r#"{"command":"GET","key":""}"#, ["\"key\"", "empty"]),
        (
            r#"{"command":"GET","key":"\udfff"}"#,
            ["surrogate", "Unicode"],
        ),
    ] {
        let reply = peer.ask(payload);
        assert_eq!(status_of(&reply), 400);
        let error = reply["error"].as_str().expect("a sentence");
        assert!(error.ends_with('.'), "{error}");
        for word in words {
            assert!(error.contains(word), "{payload}: {error}");
        }
    }
    // A character that takes six to escape.
    let text = "\u{7f}".repeat(100_000);
    for payload in [
        format!(r#""{text}""#),
        format!(r#"["{text}"]"#),
        format!(r#"{{"command":"{text}"}}"#),
        format!(r#"{{"command":["{text}"]}}"#),
        format!(r#"{{"command":"GET","key":["{text}"]}}"#),
        format!(r#"{{"{text}"}}"#),
        format!(r#"{{"a":{text}}}"#),
    ] {
        let reply = peer.ask(payload);
        let error = reply["error"].as_str().expect("a sentence");
        assert!(error.len() < 400, "it repeats only a little: {error:.1000}");
    }
}
