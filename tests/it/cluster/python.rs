//! The claims about the Python clients, with a server in front of a cluster.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::can_start;
use super::nodes::{Cluster, Node};

#[test]
fn the_python_clients_do_what_they_do_with_entries_in_memory() {
    if !can_start() || !has_python() {
        return;
    }
    let cluster = Cluster::start(3, 0);
    let output = Command::new("python3")
        .args(["-m", "unittest", "test_client"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", package())
        .env("PATH", path_with_program())
        .env(
            "SPEICHER_TEST_STORE",
            format!("redis-cluster://{}", cluster.addresses()),
        )
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(last, "OK", "none is skipped, and there are some");
    let is_used = |node: &Node| {
        node.ask(&["INFO", "commandstats"])
            .text()
            .contains("cmdstat_set:")
    };
    assert!(cluster.nodes().iter().all(is_used));
}

/// Says so if not.
fn has_python() -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 8))";
    let status = Command::new("python3").args(["-c", check]).status();
    let has_python = status.is_ok_and(|status| status.success());
    if !has_python {
        // Not `eprintln!`, which libtest shows only if a test fails.
        let _ = stderr().write_all(
            b"SKIPPED: there is no python3 of 3.8 or newer, so the Python clients were not tried \
              with a cluster\n",
        );
    }
    has_python
}

/// A folder with the package, and without the program that a source tree has: it may be older.
fn package() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/speicher_server");
    let link = folder.join("speicher_server");
    fs::create_dir_all(&folder).expect("the folder is there");
    let _ = fs::remove_file(&link);
    symlink(source, &link).expect("the folder can be written to");
    folder
}

/// The PATH, with the program under test before all others.
fn path_with_program() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_speicher"));
    let folder = program.parent().expect("it is in a folder").display();
    format!("{folder}:{}", env::var("PATH").unwrap_or_default())
}
