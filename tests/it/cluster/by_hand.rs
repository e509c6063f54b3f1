//! The program behind `make cluster`.

use std::fs::{self, DirEntry};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use super::can_start;
use crate::harness::*;

#[test]
fn it_says_how_to_use_the_cluster_and_ctrl_c_ends_all_of_it() {
    if !can_start() {
        return;
    }
    let mut program = Program::start();
    let folder = format!("speicher-nodes-{}-", program.child.id());
    let said = program.introduction();
    let addresses = addresses(&said);
    assert_eq!(addresses.len(), 7, "speicher, and as many nodes: {said}");
    assert!(addresses.iter().all(is_listening));
    let set = line(&said, "set greeting");
    assert!(shell(set).status.success(), "{set}");
    let get = shell(&set.replace("set greeting '\"hello\"'", "get greeting"));
    assert_eq!(String::from_utf8_lossy(&get.stdout), "\"hello\"\n");
    assert!(line(&said, "-cli").contains(&addresses[1].port().to_string()));
    // The shell that guards the nodes, and the nodes.
    assert_eq!(processes(&folder), 7);
    send_signal("INT", &format!("-{}", program.child.id()));
    let status = program.child.wait().expect("a child");
    assert_eq!(status.code(), Some(0));
    assert_eq!(program.rest(), "", "nothing is said at the end");
    assert!(!addresses.iter().any(is_listening));
    assert_eq!(processes(&folder), 0);
    let left = fs::read_dir(std::env::temp_dir()).expect("it is there");
    let is_left = |name: String| name.starts_with(&folder);
    let mut names = left.flatten().map(|entry| entry.file_name());
    assert!(!names.any(|name| name.into_string().is_ok_and(is_left)));
}

/// Dropped, it is told to end, so that it ends what it has started.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(example("cluster"))
            .args([env!("CARGO_BIN_EXE_speicher"), "--port", "0"])
            .stdout(Stdio::piped())
            // As a terminal's shell does.
            .process_group(0)
            .spawn()
            .expect("the program is there");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, stdout }
    }

    /// What it says when all is ready.
    fn introduction(&mut self) -> String {
        let mut said = String::new();
        while !said.ends_with("Ctrl-C ends all of it.\n") {
            let len = self.stdout.read_line(&mut said).expect("UTF-8");
            assert!(len > 0, "it ended after {said:?}");
        }
        said
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            send_signal("TERM", &self.child.id().to_string());
            let _ = self.child.wait();
        }
    }
}

/// Where speicher listens, and then the nodes.
fn addresses(said: &str) -> Vec<SocketAddr> {
    let speicher = line(said, "speicher listens").split(' ').nth(3);
    let primaries = said.lines().filter(|line| line.contains("primary "));
    let nodes = primaries.flat_map(|line| line.split([' ', ',']));
    let words = speicher.into_iter().chain(nodes);
    words.filter_map(|word| word.parse().ok()).collect()
}

fn line<'a>(said: &'a str, part: &str) -> &'a str {
    let mut lines = said.lines().filter(|line| line.contains(part));
    lines.next().unwrap_or_else(|| panic!("{part} in {said}"))
}

fn shell(line: &str) -> Output {
    let output = Command::new("sh").args(["-c", line]).output();
    output.expect("sh runs")
}

fn is_listening(address: &SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// How many are in a folder, or guard one, with this in its name.
fn processes(part: &str) -> usize {
    let has_part = |process: &DirEntry| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let folder = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(part) || folder.to_string_lossy().contains(part)
    };
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    processes.filter(has_part).count()
}
