//! Claims about where the options of `serve` come from, and about `--check`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use speicher::server::Model;

use crate::harness::*;

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `speicher serve --check` with the arguments and the variables, and without any
/// of whoever runs the tests.
fn check(args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    run(command(&[&["--check"], args].concat()).envs(variables.iter().copied()))
}

fn command(args: &[&str]) -> Command {
    let mut command = speicher();
    command.arg("serve").args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPEICHER_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// The options that the help lists, but `--check` and `--help`.
fn options() -> Vec<String> {
    let help = run(&mut command(&["--help"])).stdout;
    let lines = help.lines().filter_map(|line| line.strip_prefix("  --"));
    let names = lines.map(|line| line.split([' ', ',']).next().expect("a name"));
    let names = names.filter(|name| !["check", "help"].contains(name));
    names.map(|name| format!("--{name}")).collect()
}

fn variable(option: &str) -> String {
    let name = option.trim_start_matches('-').replace('-', "_");
    format!("SPEICHER_{}", name.to_uppercase())
}

/// What `--check` says: for each option its value, and where that came from.
fn rows(stdout: &str) -> BTreeMap<String, (String, String)> {
    let rows = stdout.lines().filter_map(|line| line.strip_prefix("  "));
    let rows = rows.map(|row| {
        let (name, rest) = row.split_once(' ').expect("a name and a value");
        let (value, origin) = rest
            .trim()
            .rsplit_once("  ")
            .expect("a value and an origin");
        let row = (value.trim().to_owned(), origin.trim().to_owned());
        (format!("--{name}"), row)
    });
    rows.collect()
}

/// A value that the option takes and that is not its default, and options with
/// which it has an effect. A switch has no value.
fn sample(option: &str) -> (Option<&'static str>, Vec<&'static str>) {
    const VALUES: [Option<&str>; 11] = [
        None,
        Some("0"),
        Some("7"),
        Some("7s"),
        Some("3M"),
        Some("json"),
        Some("epoll"),
        Some("localhost"),
        Some("flush"),
        Some("127.0.0.1:0"),
        Some("redis://127.0.0.1:1"),
    ];
    const BESIDE: [&[&str]; 4] = [
        &[],
        &["--model", "epoll"],
        &["--store", "redis://127.0.0.1:1"],
        &["--data", "a-folder-that-is-absent"],
    ];

    for beside in BESIDE {
        let beside: Vec<_> = match option {
            "--port" => beside.to_vec(),
            _ => [beside, &["--port", "0"]].concat(),
        };
        let without = rows(&check(&beside, &[]).stdout);
        for value in VALUES {
            let args = [&[option], value.as_slice(), &beside].concat();
            let with = check(&args, &[]);
            let row = rows(&with.stdout).remove(option);
            if let (Some(0), Some((value_of_row, _))) = (with.code, row)
                && without
                    .get(option)
                    .is_some_and(|(default, _)| *default != value_of_row)
            {
                return (value, beside);
            }
        }
    }
    panic!("none of the values is one for {option}; add one");
}

#[test]
fn every_option_of_the_help_can_come_from_the_environment_and_the_command_line_wins() {
    let options = options();
    assert!(options.len() >= 11, "{options:?}");
    for option in options {
        let (value, beside) = sample(&option);
        let name = variable(&option);
        let args = [&[option.as_str()], value.as_slice(), &beside].concat();
        let typed = check(&args, &[]);
        let from_environment = check(&beside, &[(&name, value.unwrap_or("1"))]);
        assert_eq!(
            from_environment.code,
            Some(0),
            "{}",
            from_environment.stderr
        );
        let (mut typed, mut of_variable) = (rows(&typed.stdout), rows(&from_environment.stdout));
        let (typed_row, row) = (typed.remove(&option), of_variable.remove(&option));
        let (value_typed, origin) = typed_row.expect("it has an effect");
        assert_eq!(origin, option);
        assert_eq!(row, Some((value_typed.clone(), name.clone())));
        assert_eq!(typed, of_variable, "all others are the same");

        let both = check(&args, &[(&name, "nonsense")]);
        assert_eq!(both.code, Some(0), "{}", both.stderr);
        let row = rows(&both.stdout).remove(&option);
        assert_eq!(row, Some((value_typed, option.clone())));
        let empty = check(&beside, &[(&name, "")]);
        let (_, origin) = &rows(&empty.stdout)[&option];
        assert_eq!(origin, "default");
    }
}

#[test]
fn what_the_environment_says_is_done() {
    let variables = [
        ("SPEICHER_PORT", "0"),
        ("SPEICHER_MODEL", "threads"),
        ("SPEICHER_WORKERS", "3"),
        ("SPEICHER_FRAME_MAX", "100"),
        ("SPEICHER_MEMORY_MAX", "1G"),
        ("SPEICHER_VERBOSE", "yes"),
    ];
    let mut command = command(&["--workers", "2"]);
    command.envs(variables);
    let server = Process::spawn(command);
    let ready_line = &server.ready_line;
    let expected = "(threads, 2 workers, 1 GiB of memory)";
    assert!(ready_line.ends_with(expected), "{ready_line}");
    let mut peer = server.connect();
    assert_eq!(peer.set("k", "1"), 200);
    server.complaint(" connected");
    let long = format!("\"{}\"", "v".repeat(100));
    assert_eq!(peer.set("k", &long), 400);
}

#[test]
fn a_mistake_in_a_variable_names_it_and_exits_with_2() {
    for (name, value, words) in [
        ("SPEICHER_WORKERS", "many", "no number from 1 to 10000"),
        ("SPEICHER_WORKERS", "-1", "no number from 1 to 10000"),
        ("SPEICHER_FRAME_MAX", "64MB", "64M"),
        ("SPEICHER_MODEL", "fast", "choose one of"),
        ("SPEICHER_VERBOSE", "maybe", "write 1 or 0"),
        ("SPEICHER_LOG", "xml", "text or json"),
    ] {
        let outcome = check(&[], &[(name, value)]);
        assert_eq!(outcome.code, Some(2));
        assert_eq!(outcome.stdout, "");
        let stderr = &outcome.stderr;
        assert!(
            stderr.starts_with(&format!("speicher: {name}: ")),
            "{stderr}"
        );
        assert!(stderr.contains(words), "{stderr}");
        assert!(!stderr.contains("--workers"), "{stderr}");
    }
    let mut command = command(&["--check"]);
    let outcome = run(command.env("SPEICHER_HOST", OsStr::from_bytes(b"\xff")));
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("SPEICHER_HOST is not UTF-8"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn help_and_mistakes_of_the_command_line_come_before_the_environment() {
    let wrong = [("SPEICHER_WORKERS", "many")];
    for args in [["serve", "--help"], ["help", "serve"], ["serve", "help"]] {
        let outcome = run(speicher().args(args).envs(wrong));
        assert_eq!(outcome.code, Some(0), "{args:?}");
        assert!(outcome.stdout.contains("SPEICHER_FRAME_MAX"));
    }
    let outcome = run(command(&["--prot", "1"]).envs(wrong));
    assert!(outcome.stderr.contains("--port"), "{}", outcome.stderr);
    let outcome = run(speicher().args(["get", "k", "--port", "1"]).envs(wrong));
    assert!(!outcome.stderr.contains("WORKERS"), "other commands: no");
}

#[cfg(feature = "epoll")]
#[test]
fn an_option_of_another_model_in_the_environment_is_a_mistake_there_too() {
    let outcome = check(&["--model", "epoll"], &[("SPEICHER_WORKERS", "3")]);
    assert_eq!(outcome.code, Some(2));
    let begin = "speicher: SPEICHER_WORKERS: the epoll model has no --workers";
    assert!(outcome.stderr.starts_with(begin), "{}", outcome.stderr);
}

#[test]
fn a_mistyped_variable_is_said_and_others_are_not() {
    let port = ["--port", "0"];
    let outcome = check(&port, &[("SPEICHER_WORKRES", "3")]);
    assert_eq!(outcome.code, Some(0));
    assert!(
        outcome.stderr.contains("did you mean SPEICHER_WORKERS?"),
        "{}",
        outcome.stderr
    );
    let others = [
        ("SPEICHER_ADDR", "127.0.0.1:1"),
        ("SPEICHER_STORE_PASSWORD", "hush"),
        ("SPEICHER_SERVICE_HOST", "10.0.0.1"),
        ("SPEICHER_PORT_14567_TCP", "tcp://10.0.0.1:14567"),
        ("SPEICHER_HOME", "/opt/speicher"),
        ("speicher_workers", "3"),
    ];
    let outcome = check(&port, &others);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

/// What Kubernetes sets for a service of that name is no option of ours.
#[test]
fn the_address_of_a_service_that_is_called_speicher_is_no_port() {
    let variables = [("SPEICHER_PORT", "tcp://10.0.0.1:14567")];
    let outcome = check(&["--host", "127.0.0.7"], &variables);
    assert_eq!(rows(&outcome.stdout)["--port"].1, "default");
    assert!(outcome.stderr.contains("Kubernetes"), "{}", outcome.stderr);
}

#[test]
fn a_check_ends_as_the_start_would_and_serves_nobody() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let checked = check(&["--port", &port], &[]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.stdout.contains("can't listen there"));
    let started = run(&mut command(&["--port", &port]));
    assert_eq!(started.code, Some(1));
    let sentence = |stderr: &str| {
        let (_, sentence) = stderr.split_once("speicher: ").expect("a sentence");
        sentence.to_owned()
    };
    assert_eq!(sentence(&checked.stderr), sentence(&started.stderr));

    drop(taken);
    let checked = check(&["--port", &port], &[]);
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        rows(&checked.stdout)["--port"],
        (port.clone(), "--port".to_owned())
    );
    assert!(
        !checked.stdout.contains("listening on"),
        "{}",
        checked.stdout
    );
    TcpListener::bind(format!("127.0.0.1:{port}")).expect("it is free again");

    for args in [&["--frame-max", "1"][..], &["--nonsense"]] {
        let checked = check(args, &[]);
        assert_eq!((checked.code, checked.stdout.as_str()), (Some(2), ""));
        let started = run(&mut command(args));
        assert_eq!(checked.stderr, started.stderr);
    }
}

#[test]
fn a_check_shows_values_with_their_units() {
    let args = [
        "--port",
        "0",
        "--frame-timeout",
        "90",
        "--frame-max",
        "1024",
    ];
    let rows = rows(&check(&args, &[]).stdout);
    for (option, value) in [
        ("--frame-timeout", "90 s"),
        ("--frame-max", "1 KiB"),
        ("--idle-timeout", "0 (for ever)"),
        ("--queue-timeout", "1 s"),
        ("--workers", "256"),
        ("--model", "threads"),
        ("--verbose", "off"),
    ] {
        assert_eq!(rows[option].0, value);
    }
    assert!(!rows.contains_key("--connections-max"), "it has no effect");
}

#[test]
fn a_check_warns_of_the_system_s_limits() {
    let warned = |limit: &str, args: &[&str]| {
        let outcome = run(Command::new("sh")
            .arg("-c")
            .arg(format!(
                r#"ulimit {limit}; exec "$0" serve --check --port 0 "$@""#
            ))
            .arg(env!("CARGO_BIN_EXE_speicher"))
            .args(args));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout
    };
    let said = warned("-n 500", &[]);
    for words in ["warning: only 500 files", "ulimit -n 812", "--workers"] {
        assert!(said.contains(words), "{said}");
    }
    let few = ["--workers", "100"];
    assert!(
        !warned("-n 500", &few).contains("files"),
        "there are enough"
    );
}

#[test]
fn a_check_warns_of_a_ceiling_that_is_above_the_memory_there_is() {
    let outcome = check(&["--port", "0", "--memory-max", "900000G"], &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("lower --memory-max"));
    let outcome = check(&["--port", "0", "--memory-max", "64M"], &[]);
    assert!(!outcome.stdout.contains("lower --memory-max"));
}

#[cfg(feature = "metrics")]
#[test]
fn a_check_tries_the_address_for_metrics_too() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let outcome = check(&["--port", "0", "--metrics", &address], &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("--metrics"), "{}", outcome.stderr);
}

#[cfg(feature = "cluster")]
#[test]
fn no_password_is_shown_and_one_in_the_environment_needs_no_second_start() {
    let store = "redis://app:hush@127.0.0.1:1";
    let port = ["--port", "0"];
    let typed = check(&[&port[..], &["--store", store]].concat(), &[]);
    let in_environment = check(&port, &[("SPEICHER_STORE", store)]);
    for (outcome, origin) in [(typed, "--store"), (in_environment, "SPEICHER_STORE")] {
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let (shown, from) = &rows(&outcome.stdout)["--store"];
        assert!(shown.starts_with("redis://127.0.0.1:1"), "{shown}");
        assert_eq!(from, origin);
        assert!(!outcome.stdout.contains("hush"));
    }
    for wrong in ["redis://app:hush@", "app:hush@127.0.0.1", "redis:/u:hush@h"] {
        let outcome = check(&port, &[("SPEICHER_STORE", wrong)]);
        assert_eq!(outcome.code, Some(2));
        assert!(
            outcome.stderr.starts_with("speicher: SPEICHER_STORE: "),
            "{}",
            outcome.stderr
        );
        assert!(!outcome.stderr.contains("hush"), "{}", outcome.stderr);
    }
    // The password of the command line is hidden by a second start, which has
    // the same environment.
    let variables = [("SPEICHER_STORE_PREFIX", "mine:")];
    let outcome = check(&[&port[..], &["--store", store]].concat(), &variables);
    assert_eq!(rows(&outcome.stdout)["--store-prefix"].0, "mine:");
}

/// The models are told apart by their options, whichever way those come.
#[test]
fn a_model_from_the_environment_has_its_own_options() {
    for model in Model::ALL.into_iter().filter(|model| model.is_built()) {
        let option = room_option(model);
        let variables = [("SPEICHER_MODEL", model.name()), (&*variable(option), "5")];
        let outcome = check(&["--port", "0"], &variables);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_eq!(rows(&outcome.stdout)[option].0, "5");
    }
}
