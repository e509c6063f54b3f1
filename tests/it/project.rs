//! Claims about the project itself: its documents and its dependencies.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use speicher::server::Model;

use crate::harness::*;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).expect("the file is there")
}

/// The blocks of a Markdown text that are fenced with the language.
fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let begun = markdown.split(&fence).skip(1);
    begun.filter_map(|rest| rest.split("```").next()).collect()
}

/// Every command of the README's sessions prints what the README says.
#[test]
fn the_commands_of_the_readme_print_what_it_says() {
    let server = Server::start(Model::default());
    let program = Path::new(env!("CARGO_BIN_EXE_speicher"));
    let folder = program.parent().expect("a folder").to_str().expect("UTF-8");
    let path = std::env::var("PATH").expect("there is one");
    let readme = read("README.md");
    let mut commands = 0;
    for block in blocks(&readme, "console") {
        for step in block.split("$ ").skip(1) {
            let (command, expected) = step.split_once('\n').expect("a line");
            let output = Command::new("sh")
                .args(["-c", &format!("{command} 2>&1")])
                .env("PATH", format!("{folder}:{path}"))
                .env("SPEICHER_ADDR", server.address.to_string())
                .output()
                .expect("sh runs");
            let printed = String::from_utf8(output.stdout).expect("UTF-8");
            assert_eq!(printed, expected, "{command}");
            commands += 1;
        }
    }
    assert!(commands >= 8, "the session is there");
}

/// The bytes of a hexdump's lines that begin with the mark, and the text above them.
fn dumped<'a>(block: &'a str, mark: &str) -> (Vec<u8>, &'a str) {
    let lines: Vec<&str> = block
        .lines()
        .filter_map(|line| line.strip_prefix(mark)?.strip_prefix(' '))
        .collect();
    let (text, dump) = lines.split_first().expect("lines with the mark");
    let mut bytes = Vec::new();
    for (index, line) in dump.iter().enumerate() {
        let (offset, rest) = line.split_once("  ").expect("an offset");
        assert_eq!(offset, format!("{:04x}", index * 16));
        let (numbers, shown) = rest.split_once("  |").expect("a text");
        let numbers = numbers.split_whitespace();
        let row: Vec<u8> = numbers
            .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
            .collect();
        let is_plain = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let plain = row
            .iter()
            .map(|byte| if is_plain(byte) { *byte } else { b'.' });
        let plain = String::from_utf8(plain.collect()).expect("ASCII");
        assert_eq!(shown, plain + "|");
        bytes.extend(row);
    }
    (bytes, text)
}

/// What docs/protocol.md shows of the wire is what goes over it, on one connection.
#[test]
fn the_bytes_in_the_protocol_s_document_are_those_on_the_wire() {
    let server = Server::start(Model::default());
    let mut peer = server.connect();
    let document = read("docs/protocol.md");
    let mut commands = BTreeSet::new();
    for block in blocks(&document, "text") {
        let (request, request_text) = dumped(block, ">");
        let (reply, reply_text) = dumped(block, "<");
        assert_eq!(request, framed(request_text));
        assert_eq!(reply, framed(reply_text));
        peer.send(&request);
        assert_eq!(framed(peer.payload()), reply, "{request_text}");
        commands.extend(request_text.split('"').nth(3));
    }
    assert_eq!(commands, BTreeSet::from(["DEL", "GET", "RST", "SET"]));
}

/// A group of processes that gets what Ctrl-C sends, also when a test fails.
struct Interrupted(u32);

impl Drop for Interrupted {
    fn drop(&mut self) {
        send_signal("INT", &format!("-{}", self.0));
    }
}

/// `make run` and Ctrl-C, as the README says.
#[test]
fn make_run_starts_a_server_that_ctrl_c_ends() {
    assert!(read("README.md").contains("make run"));
    let mut make = Command::new("make");
    // What cargo tells a test of its package would have build scripts run again, ring's for one,
    // and half of the release build with them.
    let told = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    for (name, _) in std::env::vars() {
        if told.iter().any(|prefix| name.starts_with(prefix)) {
            make.env_remove(name);
        }
    }
    let mut make = make
        .args(["--no-print-directory", "run", "ARGS=--port 0"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("make is there");
    let group = Interrupted(make.id());
    let stdout = BufReader::new(make.stdout.take().expect("it is piped"));
    let ready_line = stdout
        .lines()
        .map(|line| line.expect("UTF-8"))
        .find(|line| line.starts_with("listening on "))
        .expect("the server becomes ready");
    let address = ready_line.split(' ').nth(2).expect("an address");
    let mut peer = Peer::connect(address.parse().expect("an address"));
    assert_eq!(peer.set("k", "1"), 200);
    drop(group);
    make.wait().expect("it ends");
    peer.assert_closed();
}

/// The rows of the tables of clauses: id, level, words.
fn clauses(document: &str) -> Vec<[&str; 3]> {
    let is_id = |id: &str| {
        let mut letters = id.chars();
        letters.next().is_some_and(|c| c.is_ascii_uppercase())
            && letters.next().is_some_and(|c| c.is_ascii_digit())
    };
    let rows = document.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.splitn(3, " | ");
        Some([cells.next()?, cells.next()?, cells.next()?])
    });
    rows.filter(|[id, ..]| is_id(id)).collect()
}

/// Every clause of docs/protocol.md has an id and a level of its own, and a test or a case of
/// the kit cites it.
#[test]
fn every_clause_has_one_level_and_is_cited_by_a_test() {
    let document = read("docs/protocol.md");
    let clauses = clauses(&document);
    assert!(clauses.len() > 30, "{clauses:?}");
    let ids: BTreeSet<&str> = clauses.iter().map(|[id, ..]| *id).collect();
    assert_eq!(ids.len(), clauses.len(), "an id is there twice");
    let levels = ["MUST", "CLIENT", "SHOULD"];
    for [id, level, words] in &clauses {
        assert!(levels.contains(level), "{id} is {level}");
        let has_level = |word: &str| levels.contains(&word.trim_end_matches(':'));
        assert!(!words.split(' ').any(has_level), "{id} has another level");
    }
    let mut sources = String::new();
    for folder in ["tests/it", "src/conformance/cases", "src/conformance/code"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in fs::read_dir(folder).expect("the folder is there") {
            let path = file.expect("a file").path();
            if path.is_file() && !path.ends_with("project.rs") {
                sources += &fs::read_to_string(path).expect("UTF-8");
            }
        }
    }
    let words: BTreeSet<&str> = sources.split(|c: char| !c.is_alphanumeric()).collect();
    for id in ids {
        assert!(words.contains(id), "no test cites {id}");
    }
}

/// What is written by hand names every model too.
#[test]
fn every_model_is_in_the_help_and_the_readme() {
    let help = |command: &str| {
        let output = speicher().args([command, "--help"]).output();
        let text = String::from_utf8(output.expect("the program is there").stdout);
        let text = text.expect("UTF-8");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let names = Model::ALL.map(Model::name);
    let (last, others) = names.split_last().expect("there are some");
    let listed = format!("{} or {last}", others.join(", "));
    assert!(help("serve").contains(&listed), "{listed}");
    #[cfg(feature = "bench")]
    {
        use speicher::bench::echo::EchoModel;

        let echoes = EchoModel::ALL.map(|echo| format!("echo-{echo}"));
        let listed = format!("{}, {}", names.join(", "), echoes.join(", "));
        assert!(help("compare").contains(&listed), "{listed}");
    }
    let readme = read("README.md");
    for name in names {
        let row = format!("\n| `{name}` |");
        assert!(readme.contains(&row), "the table of models has no {name}");
    }
}

/// What is written by hand names every scenario too.
#[test]
#[cfg(feature = "bench")]
fn every_scenario_is_in_the_help_and_the_documents() {
    use speicher::bench::compare::scenario::Scenario;

    let mut names = Scenario::ALL.map(Scenario::name).to_vec();
    names.dedup();
    let output = speicher().args(["compare", "--help"]).output();
    let help = String::from_utf8(output.expect("the program is there").stdout).expect("UTF-8");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (last, others) = names.split_last().expect("there are some");
    let listed = format!("{} or {last}", others.join(", "));
    assert!(help.contains(&listed), "{listed}");
    let document = read("docs/benchmarking.md");
    for name in names {
        let row = format!("\n| `{name}` |");
        assert!(
            document.contains(&row),
            "the table of scenarios has no {name}"
        );
    }
}

/// The build without features has the six packages of the baseline and serde.
#[test]
fn the_baseline_depends_on_six_packages_and_serde() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--no-default-features", "--edges", "normal"])
        .args(["--depth", "1", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success());
    let tree = String::from_utf8(output.stdout).expect("UTF-8");
    let packages: BTreeSet<&str> = tree
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    let baseline = BTreeSet::from([
        "argh",
        "byteorder",
        "crossbeam-channel",
        "ctrlc",
        "serde",
        "serde_json",
        "threadpool",
    ]);
    assert_eq!(packages, baseline);
}
