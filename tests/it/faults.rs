//! Proof that the kit bites: broken servers, and the cases that catch them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use speicher::conformance::{Case, Level, MemoryOption, Options, Subject, Verdict, all, run};

/// Each fault of `tests/faulty` with the cases that are there to catch it.
#[rustfmt::skip]
const CAUGHT: &[(&str, &[&str])] = &[
    // What comes in.
    ("header-recv-once", &[
        "frame/header-split-after-1", "frame/header-split-after-2", "frame/header-split-after-3",
        "frame/length-split-in-four",
    ]),
    ("payload-recv-once", &["frame/payload-in-two", "frame/payload-byte-by-byte", "frame/large-in-pieces"]),
    ("frame-recv-once", &["frame/header-and-payload-apart", "pipeline/two-in-one-packet", "pipeline/100"]),
    ("part-forgotten", &[
        "pipeline/frame-ends-inside-a-packet", "pipeline/second-header-split", "pipeline/10000",
        "pipeline/large-values",
    ]),
    ("little-endian", &["frame/one-request", "frame/one-after-another"]),
    ("little-endian-all", &["frame/one-request", "frame/one-after-another"]),
    ("length-of-16-bits", &["frame/long-header-bytes"]),
    ("length-of-signed-bytes", &["frame/length-byte-over-127"]),
    ("length-of-characters", &["frame/length-of-bytes"]),
    ("unsigned-length", &["frame/negative-length", "frame/over-the-limit"]),
    ("length-left-out", &["frame/no-reply-before-the-end"]),
    ("frames-of-64-kib-at-most", &["key/long", "value/64-kib", "value/1-mib", "value/many-items"]),
    ("frames-of-16-mib-at-most", &["value/32-mib"]),
    ("empty-frame-skipped", &["frame/zero-length"]),
    ("empty-frame-closes", &["frame/zero-length-stays-open"]),
    ("bad-length-stays-open", &[
        "frame/negative-length-closes", "frame/most-negative-length", "frame/over-the-limit-closes",
    ]),
    ("bad-length-silent", &[
        "frame/requests-before-a-broken-header", "reply/error-names-the-length",
        "limit/refusal-is-read-while-writing",
    ]),
    ("bad-length-crashes", &["frame/negative-length-spares-others", "frame/over-the-limit-spares-others"]),
    ("cut-frame-executed", &["frame/cut-short-is-not-executed", "frame/cut-short-is-closed"]),
    ("hang-up-crashes", &["frame/hang-up-inside-a-frame", "limit/hang-ups"]),
    ("never-closes", &[
        "frame/half-close-is-closed", "frame/close-without-a-request", "lifecycle/descriptors",
    ]),
    ("end-means-gone", &["frame/half-close"]),
    ("allocates-announced", &["lifecycle/memory-of-announcements"]),
    ("no-frame-timeout", &["limit/frame-timeout"]),
    ("short-frame-timeout", &["limit/slow-frame-in-time"]),
    ("one-at-a-time", &["concurrency/long-value-beside-short", "concurrency/half-frame-beside-others"]),
    ("pool-of-eight", &["limit/many-idle", "limit/served-or-told"]),
    // Which payloads are requests, and what they mean.
    ("bad-json-silent", &["request/not-json", "request/only-white-space"]),
    ("bad-json-closes", &["request/binary", "pipeline/bad-between-good"]),
    ("bad-request-closes", &["request/400-stays-open"]),
    ("other-json-closes", &[
        "request/array", "request/string", "request/number", "request/null", "request/true",
    ]),
    ("other-json-is-ok", &["request/string", "request/null"]),
    ("lists-are-requests", &["request/array", "request/array-of-a-request"]),
    ("text-is-request", &["request/not-json", "request/binary"]),
    ("trimless", &["frame/white-space-around"]),
    ("members-by-text-search", &[
        "request/white-space-inside", "request/escaped-member-name", "request/escaped-member-names-are-seen",
        "request/unknown-members", "value/members-of-requests",
    ]),
    ("members-in-order", &["request/members-in-any-order"]),
    ("unknown-members-refused", &["request/unknown-members"]),
    ("surplus-members-refused", &["request/rst-with-key", "request/get-with-value"]),
    ("first-member-counts", &[
        "request/repeated-command", "request/repeated-command-is-checked", "request/repeated-value",
        "key/repeated", "key/repeated-is-checked",
    ]),
    ("value-means-set", &["request/get-with-value"]),
    ("command-in-any-case", &["request/lower-case", "request/400-changes-nothing"]),
    ("command-trimmed", &["request/command-with-space"]),
    ("command-by-raw-text", &["request/escaped-command"]),
    ("long-command-names", &["request/delete-is-not-del", "request/reset-is-not-rst"]),
    ("unknown-command-is-ok", &[
        "request/unknown-command", "request/empty-command", "request/command-null", "request/command-number",
        "request/command-array", "request/command-object", "request/empty-object",
    ]),
    ("missing-command-is-get", &["request/no-command"]),
    ("missing-key-is-undefined", &[
        "request/set-without-key", "request/get-without-key", "request/get-with-value-only",
        "request/del-without-key",
    ]),
    ("missing-value-is-null", &["request/set-without-value", "request/400-changes-nothing"]),
    ("keys-made-strings", &["key/number", "key/null", "key/true", "key/array", "key/object"]),
    ("empty-key-accepted", &["key/empty"]),
    ("surrogates-in-keys-replaced", &["key/lone-surrogate"]),
    ("lax-json", &[
        "request/trailing-comma", "request/single-quotes", "request/control-character-in-string",
        "request/leading-zero", "request/bare-fraction", "request/plus-sign", "request/unknown-escape",
        "request/short-unicode-escape", "request/comment",
    ]),
    ("evaluated", &["request/single-quotes", "request/python-literal"]),
    ("nan-accepted", &["request/nan", "request/infinity", "request/minus-infinity"]),
    ("repairs-json", &[
        "request/cut-off-json", "request/missing-comma", "request/unclosed-value",
        "request/broken-ignored-member",
    ]),
    ("trailing-text-accepted", &[
        "request/text-after-the-object", "request/second-object", "request/nul-behind",
    ]),
    ("lossy-utf-8", &[
        "request/invalid-utf-8-in-value", "request/invalid-utf-8-in-key", "request/overlong-utf-8",
        "request/surrogate-in-utf-8", "request/invalid-utf-8-elsewhere",
    ]),
    ("detects-encoding", &["request/byte-order-mark", "request/utf-16"]),
    // What names an entry.
    ("keys-by-raw-text", &["key/escapes-name-the-same", "key/escaped-non-ascii", "key/surrogate-pair"]),
    ("keys-in-lower-case", &["key/case-matters"]),
    ("keys-trimmed", &["key/spaces-matter"]),
    ("keys-truncated", &["key/long"]),
    ("keys-in-ascii", &["key/non-ascii-apart"]),
    ("keys-end-at-zero", &["key/control-characters"]),
    ("keys-normalized", &["key/composed-and-decomposed"]),
    ("keys-are-file-names", &["key/looks-like-a-path"]),
    ("keys-are-properties", &["key/names-of-languages"]),
    // What becomes of values.
    ("numbers-as-floats", &["value/53-bits", "value/63-bits", "value/64-bits"]),
    ("numbers-as-integers", &["value/fraction", "value/exponent"]),
    ("values-reformatted", &[
        "value/beyond-64-bits", "value/100-digits", "value/text-of-fraction", "value/text-of-exponent",
        "value/text-of-huge-exponent", "value/text-of-tiny-exponent", "value/text-of-long-fraction",
        "value/text-of-minus-zero", "value/text-of-large-integer", "value/text-of-escapes",
        "value/text-of-white-space", "value/member-order", "value/repeated-members", "value/1-mib-of-text",
    ]),
    ("values-in-ascii", &["value/non-ascii"]),
    ("values-escaped", &["value/text-of-non-ascii"]),
    ("values-in-ucs-2", &["value/emoji"]),
    ("values-as-text", &[
        "value/true", "value/integer", "value/1-byte", "value/ascii-string", "value/array", "value/object",
        "reply/get-hit",
    ]),
    ("strings-reparsed", &["value/string-of-json", "value/string-number"]),
    ("strings-without-escapes", &[
        "value/escapes", "value/control-escapes", "value/line-separators", "value/text-of-escapes",
    ]),
    ("surrogates-replaced", &[
        "value/lone-surrogate", "value/reversed-surrogates", "value/text-of-lone-surrogate",
    ]),
    ("falsy-values-missing", &[
        "value/null", "value/false", "value/zero", "value/empty-string", "value/empty-array",
        "value/empty-object",
    ]),
    ("falsy-values-not-removed", &["store/del-removes-falsy"]),
    ("null-removes", &["store/set-null-replaces", "value/null"]),
    ("null-left-out", &["reply/get-hit-null"]),
    ("lists-as-objects", &["value/array", "value/empty-array"]),
    ("nameless-members-dropped", &["value/empty-member-name"]),
    ("prototype-dropped", &["value/python-names"]),
    ("depth-64", &["value/nested-100", "value/nested-objects-100"]),
    ("depth-128", &["value/400-levels", "value/512-levels", "value/512-objects"]),
    ("depth-unlimited", &["value/513-levels", "value/100000-levels-get-400"]),
    ("depth-in-strings", &["value/brackets-in-a-string"]),
    ("depth-crashes", &["value/100000-levels"]),
    // What is executed.
    ("private-stores", &["store/seen-by-others", "store/del-seen-by-others", "store/rst-seen-by-others"]),
    ("entries-of-connections", &["store/outlives-the-connection"]),
    ("miss-is-null", &["reply/get-miss", "request/get"]),
    ("miss-without-value", &["reply/get-miss-value"]),
    ("get-removes", &["store/set-then-get"]),
    ("set-keeps-first", &["store/set-replaces"]),
    ("del-always-ok", &["reply/del-miss", "request/del"]),
    ("del-never-ok", &["reply/del-hit"]),
    ("del-ignored", &["store/del-removes", "store/del-seen-by-others"]),
    ("del-removes-all", &["store/del-removes-one"]),
    ("del-for-ever", &["store/set-after-del"]),
    ("rst-ignored", &["store/rst-removes-everything", "store/rst-seen-by-others"]),
    ("rst-forgets-shard", &["store/rst-removes-everything"]),
    ("rst-breaks", &["store/set-after-rst"]),
    ("rst-needs-key", &["request/rst", "reply/rst"]),
    ("reads-first", &["pipeline/own-writes"]),
    ("torn-values", &["concurrency/whole-values"]),
    ("writes-under-lock", &["limit/never-reads"]),
    ("shared-reply", &["pipeline/two-clients", "concurrency/own-keys"]),
    ("leaks-entries", &["lifecycle/memory-of-entries"]),
    // What it holds, with a ceiling.
    ("ceiling-ignored", &["memory/full-set-gets-503", "memory/long-frames-keep-step"]),
    ("full-closes", &["memory/full-set-gets-503"]),
    ("full-sentence-vague", &["memory/full-names-the-ceiling"]),
    ("full-evicts", &["memory/full-keeps-what-it-acknowledged", "memory/full-set-gets-503"]),
    ("full-refuses-all", &["memory/full-get-del-rst-go-on", "memory/rst-makes-room"]),
    ("full-removes-replaced", &["memory/refused-set-changes-nothing"]),
    ("rst-makes-no-room", &["memory/rst-makes-room"]),
    ("del-makes-no-room", &["memory/del-makes-room"]),
    ("frame-without-room-closes", &["memory/long-frames-keep-step"]),
    ("frame-without-room-silent", &["memory/long-frames-keep-step"]),
    ("frame-without-room-cut", &["memory/long-frames-keep-step"]),
    ("long-frames-refuse-others", &["memory/small-requests-beside-long-frames"]),
    // What is answered.
    ("always-200", &["request/set-alone", "reply/del-miss"]),
    ("always-400", &["request/set", "reply/set", "value/numbers-of-any-size"]),
    ("status-as-text", &["reply/set", "reply/get-miss"]),
    ("two-replies", &["pipeline/100"]),
    ("null-everywhere", &["reply/set-without-value", "reply/del-without-value"]),
    ("no-error-sentence", &["reply/400-has-an-error"]),
    ("vague-error-sentence", &[
        "reply/error-names-the-missing-member", "reply/error-names-the-depth",
        "reply/error-names-the-length",
    ]),
    ("little-endian-replies", &["frame/one-request", "reply/set"]),
    ("header-left-out", &["frame/one-request", "reply/set"]),
    ("header-counted", &["frame/one-request", "reply/set"]),
    ("greets", &["frame/one-request", "reply/set"]),
    ("reply-length-of-characters", &["frame/length-of-bytes"]),
    ("header-in-two-writes", &["reply/header-arrives-whole"]),
    ("payload-in-second-write", &["reply/one-write"]),
    ("replies-reversed", &["pipeline/in-order"]),
    ("short-replies-first", &["pipeline/long-before-short"]),
    ("no-patience", &["limit/reads-late"]),
    // How it lives.
    ("signals-ignored", &["lifecycle/sigterm-ends", "lifecycle/sigint-ends"]),
    ("signals-end-with-one", &["lifecycle/sigterm-exit-code", "lifecycle/sigint-exit-code"]),
    ("signals-drop-all", &["lifecycle/answers-what-was-received"]),
    ("waits-for-clients", &["lifecycle/sigterm-ends"]),
    ("keeps-accepting", &["lifecycle/accepts-no-more"]),
    ("second-signal-ignored", &["lifecycle/second-signal"]),
    ("persists", &["lifecycle/starts-again"]),
];

/// Faults that are tried at the same time; most of the time they wait.
const THREADS: usize = 6;

/// A shell command that starts the server with the fault.
pub fn faulty(fault: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_speicher")).parent();
    let program = folder.expect("a folder").join("examples/faulty");
    assert!(
        program.exists(),
        "{program:?} is missing; plain `cargo test` builds it, and so does `cargo build --examples`"
    );
    let program = program.to_str().expect("UTF-8");
    format!("'{program}' {fault} --port {{port}} --frame-timeout 1")
}

/// How that server and ours are given a ceiling.
pub fn memory_option() -> MemoryOption {
    "--memory-max {bytes}".parse().expect("it has a place")
}

/// Runs the cases on the server with the fault; those that do not catch it.
fn missed(fault: &str, cases: &[&'static Case], timeout: Duration) -> Vec<String> {
    let options = Options {
        timeout,
        frame_timeout: Duration::from_secs(1),
        memory_option: Some(memory_option()),
        ..Options::default()
    };
    let subject = Subject::Spawned(faulty(fault));
    let report = run(&subject, cases, &options, &mut |_, _| ()).expect("it starts");
    let catches = |verdict| matches!(verdict, Verdict::Fail | Verdict::Differ);
    let missed = report
        .records
        .iter()
        .filter(|record| !catches(record.verdict));
    missed
        .map(|record| format!("{} does not catch {fault}", record.id))
        .collect()
}

#[test]
fn each_fault_is_caught_by_the_cases_that_are_there_for_it() {
    // The last ones wait longest, and so begin first.
    let left = Mutex::new(CAUGHT.iter().rev());
    let missing = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no panic").next();
                    let Some((fault, ids)) = next else { return };
                    let mut cases: Vec<_> = all().iter().collect();
                    cases.retain(|case| ids.contains(&case.id));
                    assert_eq!(
                        cases.len(),
                        ids.len(),
                        "{fault} names a case that is not there"
                    );
                    let missed = missed(fault, &cases, Duration::from_secs(1));
                    missing.lock().expect("no panic").extend(missed);
                }
            });
        }
    });
    let missing = missing.into_inner().expect("no panic");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn each_case_that_counts_catches_a_fault() {
    let catching: BTreeSet<_> = CAUGHT.iter().flat_map(|(_, ids)| ids.iter()).collect();
    let counting = all().iter().filter(|case| case.level != Level::Info);
    let idle: Vec<_> = counting
        .map(|case| case.id)
        .filter(|id| !catching.contains(id))
        .collect();
    assert!(idle.is_empty(), "no fault is there for {idle:?}");
}

#[test]
fn each_fault_is_in_the_table() {
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("{} --list", faulty("none").replace("{port}", "0")),
        ])
        .output()
        .expect("sh runs");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let faults = printed.lines().filter_map(|line| line.split(' ').next());
    let faults: Vec<_> = faults.filter(|fault| *fault != "none").collect();
    let table: Vec<_> = CAUGHT.iter().map(|(fault, _)| *fault).collect();
    assert_eq!(faults, table);
}
