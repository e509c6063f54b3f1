//! `speicher compare`: what it reports, and what it leaves behind.

mod words;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use speicher::bench::compare::attack::{Attack, Strength};
use speicher::bench::compare::attack_rows::rows;
use speicher::bench::compare::plan::{Extent, Plan};
use speicher::bench::compare::scenario::Scenario;
use speicher::bench::compare::target::Target;
use speicher::bench::compare::{self, pinning::Pinning};
use speicher::bench::protocol::Protocol;
use speicher::bench::report;
use speicher::server::Model;

use crate::faults::faulty;
use crate::harness::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A target of this program, marked so that its processes can be found.
fn target(name: &str, flags: &str) -> String {
    let program = env!("CARGO_BIN_EXE_speicher");
    format!("{name}=speicher:{program} serve --workers 32 {flags} --port {{port}}")
}

/// Whether a process runs that has the word on its command line.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("Linux");
    let mut lines = processes
        .map_while(Result::ok)
        .map(|entry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default());
    lines.any(|line| line.contains("serve") && line.contains(word))
}

#[test]
fn a_report_is_one_file_with_words_plots_figures_and_conditions() {
    let (html, json) = (file("report.html"), file("report.json"));
    let output = speicher()
        .args(["compare", "--only", "--rounds", "2"])
        .args(["--scenarios", "request,pipelined", "--target"])
        .arg(target("<first>", ""))
        .args(["--target", &target("second", "")])
        .args(["--target", "echo-threads", "--html"])
        .arg(&html)
        .arg("--json")
        .arg(&json)
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("2 rounds are too few"), "{stdout}");
    assert!(!file("report.html.partial").exists());

    let page = fs::read_to_string(html).expect("it is written");
    assert!(page.contains("&lt;first&gt;") && !page.contains("<first>"));
    for words in [
        "<svg",
        "operations a second",
        "All figures",
        "How it was measured",
        "every MUST case passed, but those that start and stop a server were not run",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // Nothing is fetched: the namespace of SVG is a name.
    let links = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!links.contains("http:") && !links.contains("https:") && !links.contains("<script"));

    let report: Value =
        serde_json::from_str(&fs::read_to_string(json).expect("it is written")).expect("JSON");
    let points = report["comparison"]["points"].as_array().expect("points");
    assert_eq!(points.len(), 2 * 2 * 3, "rounds, scenarios, targets");
    let order: Vec<_> = points
        .iter()
        .filter(|point| point["scenario"] == "request")
        .map(|point| point["target"].as_u64().expect("an index"))
        .collect();
    assert_eq!(order, [0, 1, 2, 2, 1, 0], "rounds are interleaved");
}

#[test]
fn ctrl_c_ends_with_what_is_done_and_stops_every_server() {
    let mark = "31.1234s";
    let (html, partial) = (file("interrupted.html"), file("interrupted.html.partial"));
    fs::write(&html, "a finished report").expect("a folder to write to");
    let mut compare = speicher();
    compare
        .args(["compare", "--only", "--scenarios", "request", "--target"])
        .arg(target("one", &format!("--idle-timeout {mark}")))
        .args([
            "--target",
            &target("two", &format!("--idle-timeout {mark}")),
        ])
        .arg("--html")
        .arg(&html)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = compare.spawn().expect("the program is there");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    // It says when a round begins.
    let mut lines = stderr.lines().map_while(Result::ok);
    lines
        .find(|line| line.starts_with("round 2"))
        .expect("a second round");
    wait_until("a server runs", || runs(mark));
    send_signal("INT", &child.id().to_string());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(!runs(mark), "no server is left");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(stdout.contains("ended early"), "{stdout}");
    assert!(
        stdout.contains("request"),
        "what was done is there: {stdout}"
    );
    let written = fs::read_to_string(partial).expect("it is written");
    assert!(written.contains("ended early"));
    let left = fs::read_to_string(html).expect("it is there");
    assert_eq!(left, "a finished report");
}

#[test]
fn ctrl_c_is_heard_while_it_is_checked_that_a_target_is_right() {
    let mark = "31.5678s";
    let mut compare = speicher();
    compare
        .args(["compare", "--only", "--scenarios", "request", "--target"])
        .arg(target("one", &format!("--idle-timeout {mark}")))
        .args(["--target", &target("two", "")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = compare.spawn().expect("the program is there");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut lines = stderr.lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("checking one"));
    send_signal("INT", &child.id().to_string());
    assert!(
        lines.all(|line| line.starts_with("checking")),
        "no round begins"
    );
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(!runs(mark), "no server is left");
}

/// What a wrapper starts is no child of compare, and takes no signal that only
/// the wrapper gets.
#[test]
fn a_server_behind_a_wrapper_is_stopped_with_it() {
    let mark = "31.4321s";
    let program = env!("CARGO_BIN_EXE_speicher");
    let wrapped = |name: &str| {
        format!(
            "{name}=speicher:sh -c '\"$0\" serve --idle-timeout {mark} --port {{port}} & wait' \
             {program}"
        )
    };
    let output = speicher()
        .args(["compare", "--only", "--rounds", "1"])
        .args(["--scenarios", "request"])
        .args(["--target", &wrapped("one"), "--target", &wrapped("two")])
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    wait_until("no server is left", || !runs(mark));
}

/// Attacks that are as weak and short as they can be, on a server that is told to serve few.
#[test]
fn every_attack_is_reported_and_the_server_answers_after_it() {
    let target = Target::parse(&target("attacked", "")).expect("a target");
    let plan = Plan::new(Extent::Quick, &[Scenario::Attack], 1);
    let plan = Plan {
        rounds: 1,
        strength: Strength {
            time: Duration::from_millis(150),
            divisor: 100,
        },
        ..plan
    };
    let (pinning, stop) = (Pinning::default(), AtomicBool::new(false));
    let comparison = compare::run(&[target], &plan, &pinning, &stop, &mut |_| ());
    let comparison = comparison.expect("nothing is pinned");
    let text = report::text(&comparison);
    let rows = rows(&comparison);
    let attacks: Vec<_> = rows.iter().map(|row| row.attack).collect();
    assert_eq!(attacks, Attack::ALL, "{text}");
    for row in &rows {
        let name = row.attack.name();
        assert!(row.connections > 0.0, "{name}: {text}");
        assert_eq!(
            row.bytes_sent > 0.0,
            row.attack != Attack::Silent,
            "{name}: {text}"
        );
        assert_eq!((row.answered_after, row.rounds), (1, 1), "{name}: {text}");
        assert!(
            row.newcomer_ms.is_some() && row.wait_ms.is_some(),
            "{name}: {text}"
        );
        assert!(row.memory_peak_bytes > Some(1 << 20), "{name}: {text}");
    }
    assert!(comparison.notes.is_empty(), "{text}");
    let page = report::page(&comparison);
    let json: Value = serde_json::from_str(&report::json(&comparison)).expect("JSON");
    assert_eq!(json["attacks"].as_array().map(Vec::len), Some(rows.len()));
    for attack in Attack::ALL {
        let (cell, line) = (format!(">{}</td>", attack.name()), attack.name());
        assert!(page.contains(&cell) && text.contains(line), "{line}");
    }
}

/// An attack compares a target with itself, and an echo has nothing to be attacked for.
#[test]
fn one_target_is_enough_for_attacks_and_an_echo_is_left_out() {
    let output = speicher()
        .args(["compare", "--only", "--rounds", "1"])
        .args(["--scenarios", "attack", "--target", "echo-epoll"])
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert_eq!(
        stdout.lines().next(),
        Some("echo-epoll: an echo holds nothing, so it is not attacked.")
    );
}

/// The servers' half of the cores is what a server sees, and the report says who had which.
#[test]
fn servers_and_the_generator_have_cores_of_their_own_unless_they_are_told_to_share() {
    let (seen, json) = (file("cores.txt"), file("cores.json"));
    let program = env!("CARGO_BIN_EXE_speicher");
    let wrapped = format!(
        "one=speicher:sh -c 'nproc > \"$1\"; exec \"$0\" serve --port {{port}}' {program} {}",
        seen.display()
    );
    let compare = |more: &[&str]| {
        let output = speicher()
            .args(["compare", "--only", "--rounds", "1"])
            .args(["--scenarios", "request", "--target", &wrapped])
            .args(["--target", "echo-threads", "--json"])
            .arg(&json)
            .args(more)
            .output()
            .expect("the program is there");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        let text = fs::read_to_string(&json).expect("it is written");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        let cores = report["cores"].as_str().expect("a sentence").to_owned();
        assert!(stdout.contains(&cores), "{cores}: {stdout}");
        let seen: usize = fs::read_to_string(&seen)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .expect("a number");
        (report["comparison"].clone(), cores, seen)
    };
    let count = |list: &Value| list.as_array().expect("a list").len();

    let (shared, cores, all) = compare(&["--pin", "none"]);
    assert_eq!(count(&shared["pinning"]["servers"]), 0);
    assert!(cores.contains("shared"), "{cores}");
    let (halved, cores, half) = compare(&[]);
    let (servers, generator) = (
        count(&halved["pinning"]["servers"]),
        count(&halved["pinning"]["generator"]),
    );
    match all {
        1 => assert_eq!((servers, generator, half), (0, 0, 1)),
        _ => {
            assert_eq!((servers, generator), (all / 2, all - all / 2));
            assert_eq!(half, servers, "cores that the server sees");
            assert_eq!(halved["plan"]["threads"], generator.min(8));
            assert!(cores.starts_with("Servers ran on core"), "{cores}");
        }
    }
}

/// It says so before it starts anything, and leaves the report of before.
#[test]
fn a_cpu_that_is_not_there_is_a_mistake_and_not_a_failed_comparison() {
    let html = file("earlier.html");
    fs::write(&html, "a finished report").expect("a folder to write to");
    let output = speicher()
        .args(["compare", "--pin", "9999:0", "--html"])
        .arg(&html)
        .output()
        .expect("the program is there");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    let left = fs::read_to_string(html).expect("it is there");
    assert_eq!(left, "a finished report");
}

#[test]
fn a_cpu_that_is_named_twice_counts_once() {
    let mut cpus = (0..1024).map(|cpu| Pinning::new(vec![cpu, cpu], vec![cpu]));
    let pinning = cpus.find_map(Result::ok).expect("this runs on one");
    assert_eq!(pinning.servers().len(), 1);
}

/// Nobody can pin what was started by somebody else.
#[test]
fn a_report_says_that_a_running_target_is_not_pinned() {
    let server = Server::start(Model::default());
    let output = speicher()
        .args(["compare", "--only", "--rounds", "1", "--scenarios"])
        .args(["request", "--target", "echo-threads", "--target"])
        .arg(format!("theirs=speicher@{}", server.address))
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let said = "but theirs, which ran before and can't be pinned";
    assert!(
        stdout.contains(said) || stdout.contains("none was pinned"),
        "{stdout}"
    );
}

/// A server of somebody else is started as its kind has to be, from wherever its program is.
#[test]
fn known_servers_are_recognised_by_their_programs() {
    for (program, protocol, arguments) in [
        ("redis-server", Protocol::Resp, "--save ''"),
        ("memcached", Protocol::Memcached, "-t {cores}"),
        ("valkey-server", Protocol::Resp, "--io-threads {cores}"),
        ("pogocache", Protocol::Resp, "--threads {cores}"),
    ] {
        let path = file(program);
        fs::write(&path, "#!/bin/sh\necho \"version 7 of $0\"\n").expect("it is written");
        let executable = Permissions::from_mode(0o755);
        fs::set_permissions(&path, executable).expect("it is there");
        let path = path.to_str().expect("UTF-8");
        let target = Target::parse(path).expect(program);
        assert_eq!(target.protocol, protocol, "{program}");
        assert_eq!(target.version, Some(format!("version 7 of {path}")));
        let shown = target.shown();
        assert!(shown.starts_with(program), "without its folder: {shown}");
        assert!(shown.contains("{port}") && shown.contains("{connections}"));
        assert!(shown.contains(arguments), "{shown}");
    }
    let error = Target::parse("nowhere/pogocache").expect_err("there is none");
    assert!(error.contains("is not installed"), "{error}");
}

/// The loads of a quick plan, by scenario.
#[test]
fn some_scenarios_differ_from_pipelined_in_one_thing() {
    let step = |scenario| {
        let plan = Plan::new(Extent::Quick, &[scenario], 1);
        let groups = serde_json::to_value(plan.groups).expect("JSON");
        let mut step = groups[0][0].clone();
        step["scenario"] = Value::Null;
        step
    };
    let pipelined = step(Scenario::Pipelined);
    for (scenario, differs, value) in [
        (Scenario::Writes, "get_percent", json!(50)),
        (Scenario::Zipf, "distribution", json!("zipf")),
        (Scenario::Cold, "keys", json!(4_000_000)),
    ] {
        let mut expected = pipelined.clone();
        expected[differs] = value;
        assert_eq!(step(scenario), expected, "{scenario:?}");
    }
}

/// A target that dies in the middle does not end the comparison.
#[test]
fn a_target_that_fails_is_named_and_the_others_are_compared() {
    let output = speicher()
        .args([
            "compare",
            "--only",
            "--rounds",
            "1",
            "--scenarios",
            "request",
        ])
        .args(["--target", &target("good", "")])
        .args(["--target", "bad=speicher:sleep {port}0 --no-such-option"])
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("bad: `sleep"), "{stdout}");
    assert!(stdout.contains("good"), "{stdout}");
}

#[test]
fn a_target_that_is_wrong_is_said_to_be_before_its_speed_is() {
    let wrong = faulty("rst-ignored");
    let output = speicher()
        .args([
            "compare",
            "--only",
            "--rounds",
            "1",
            "--scenarios",
            "request",
        ])
        .args(["--target", &target("right", "")])
        .args(["--target", &format!("wrong=speicher:{wrong}")])
        .output()
        .expect("the program is there");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let said = "wrong fails 2 of the protocol's MUST cases, so its speed is not comparable: ";
    assert!(stdout.contains(said), "{stdout}");
    assert!(stdout.contains("store/rst-removes-everything"), "{stdout}");
    assert!(!stdout.contains("right fails"), "{stdout}");
}

#[test]
fn mistakes_with_targets_get_a_sentence() {
    let models = Model::ALL.map(Model::name).join(", ");
    for (args, words) in [
        (&["--target", "x=y"][..], "names no protocol"),
        (&["--target", "nobody"], models.as_str()),
        (&["--target", "x=resp:redis-server"], "{port}"),
        (&["--only"], "0 of the 2 targets"),
        (&["--only", "--target", "threads"], "1 of the 2 targets"),
        (&["--target", "threads"], "another name"),
        (&["--scenarios", "fast"], "request, pipelined"),
        (&["--pin", "0"], "as in 0,1:2,3"),
        (&["--pin", "0:9999"], "there is no CPU 9999"),
        (&["--pin", "9999:0"], "there is no CPU 9999"),
        (&["--pin", ":"], "as in 0,1:2,3"),
        (&["--quick", "--full"], "either"),
        (&["--html", "same.html", "--json", "same.html"], "same file"),
        (
            &["--html", env!("CARGO_TARGET_TMPDIR")],
            "name another file",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_speicher"))
            .arg("compare")
            .args(args)
            .output()
            .expect("the program is there");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}
