//! `speicher dump`, and with `speicher load` the way from one server to another.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use speicher::client::Client;
use speicher::server::Model;

use super::snapshot::Snapshot;
use super::*;

every_model![dumped_and_loaded_entries_are_the_same_bytes];

fn dump(dir: &Path) -> Output {
    let mut command = speicher();
    command.arg("dump").arg(dir);
    command.output().expect("the program is there")
}

/// What it printed, of a directory that is whole.
fn lines(dir: &Path) -> String {
    let output = dump(dir);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn assert_refused(dir: &Path, words: &[&str]) {
    let output = dump(dir);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(2), &b""[..]),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("choose another --data"), "{said}");
}

fn load(server: &Process, lines: &str) {
    let mut child = speicher()
        .args(["load", &server.address().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(lines.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).expect("JSON")
}

/// A server with these entries, and with others that were removed, changed, or before a reset.
fn fill(model: Model, dir: &Path, entries: &BTreeMap<String, String>) {
    let server = serve(model, dir, Sync::Every100Ms);
    let mut client = Client::connect(server.address()).expect("it listens");
    client.set("before", &1).expect("stored");
    client.reset().expect("done");
    let mut pipeline = client.pipeline();
    for (key, json) in entries {
        pipeline.set(key, &"another").expect("a request");
        pipeline.set(key, raw(json)).expect("a request");
    }
    pipeline.set("removed", &1).expect("a request");
    pipeline.delete("removed").expect("a request");
    pipeline.run().expect("replies");
    stop(server);
}

fn dumped_and_loaded_entries_are_the_same_bytes(model: Model) {
    let folder = Folder::new();
    let mut entries = BTreeMap::new();
    for i in 0..3000 {
        entries.insert(
            format!("k{i}"),
            format!("[{i}, 1.10 ,\"\\u00e4\u{9b}\\n\"]"),
        );
    }
    entries.insert("\u{e4}\n\"".repeat(1 << 18), "1e999".to_owned());
    let long = format!("{{ \"v\" :\"{}\"}}", "v".repeat(60 << 20));
    entries.insert("long".to_owned(), long);
    fill(model, &folder.join("one"), &entries);

    let lines = lines(&folder.join("one"));
    assert_eq!(lines.lines().count(), entries.len());
    let other = serve(model, &folder.join("other"), Sync::Every100Ms);
    load(&other, &lines);
    stop(other);
    assert!(stored(&folder.join("other")) == entries);
}

#[test]
fn a_line_has_the_value_s_bytes_but_for_line_breaks() {
    let json = |text: String| serde_json::to_string(&text).expect("a string");
    let space = "[ \t\r\n]{0,3}";
    let value = (
        any::<String>().prop_map(json),
        space,
        "-?[1-9][0-9]{0,30}",
        space,
    )
        .prop_map(|(text, a, number, b)| {
            format!("[{a}{text}{b},{a}{{{b}\"\\n\"{a}:{number}}}{b}]")
        });
    let key = "[\\x00-\\x1f\"\\\\\u{2028}]{1,4}|.{1,30}";
    proptest!(ProptestConfig::with_cases(8), |(entries in btree_map(key, value, 1..100))| {
        let folder = Folder::new();
        let dir = folder.join("data");
        fill(Model::default(), &dir, &entries);
        let mut dumped = BTreeMap::new();
        for line in lines(&dir).split_terminator('\n') {
            prop_assert!(!line.contains('\r'));
            let line: BTreeMap<String, &RawValue> = serde_json::from_str(line).expect("an object");
            prop_assert!(line.keys().eq(["key", "value"]));
            let key: String = serde_json::from_str(line["key"].get()).expect("a string");
            dumped.insert(key, line["value"].get().to_owned());
        }
        for (key, json) in &entries {
            prop_assert_eq!(&dumped[key], &json.replace(['\n', '\r'], " "));
            let value = |json: &str| serde_json::from_str::<Value>(json).expect("JSON");
            prop_assert_eq!(value(&dumped[key]), value(json));
        }
        prop_assert_eq!(dumped.len(), entries.len());
    });
}

#[test]
fn a_directory_that_a_server_uses_is_not_dumped() {
    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve(Model::default(), &dir, Sync::Always);
    assert_eq!(server.connect().set("k", "1"), 200);
    assert_refused(
        &dir,
        &["another process", "stop it", "speicher dump --help"],
    );
    assert_eq!(server.connect().set("k", "2"), 200, "it goes on");
    stop(server);
    assert_eq!(lines(&dir), "{\"key\":\"k\",\"value\":2}\n");
}

#[test]
fn a_dump_changes_nothing_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let dir = folder.join("data");
    fill(
        Model::default(),
        &dir,
        &BTreeMap::from([("k".to_owned(), "1".to_owned())]),
    );
    let before = Snapshot::of(&dir);
    let temporary = folder.join("tmp");
    fs::create_dir(&temporary).expect("there is room");
    let mut command = speicher();
    command.arg("dump").arg(&dir).env("TMPDIR", &temporary);
    assert!(
        command
            .output()
            .expect("the program is there")
            .status
            .success()
    );
    assert_eq!(
        before.differences(&Snapshot::of(&dir)),
        Vec::<PathBuf>::new()
    );
    assert_eq!(fs::read_dir(&temporary).expect("it is there").count(), 0);
    // Nor may it have to.
    let read_only = fs::Permissions::from_mode(0o500);
    fs::set_permissions(&dir, read_only).expect("it is ours");
    assert_eq!(lines(&dir), "{\"key\":\"k\",\"value\":1}\n");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("it is ours");
}

#[test]
fn what_is_no_whole_journal_is_refused_with_a_remedy() {
    let folder = Folder::new();
    assert_refused(&folder.join("absent"), &["No such file", "from --data"]);
    fs::write(folder.join("file"), "").expect("there is room");
    assert_refused(&folder.join("file"), &["file", "from --data"]);
    fs::create_dir(folder.join("empty")).expect("there is room");
    assert_refused(
        &folder.join("empty"),
        &["no journal of speicher", "from --data"],
    );

    let dir = folder.join("data");
    fill(
        Model::default(),
        &dir,
        &BTreeMap::from([("k".to_owned(), "1".to_owned())]),
    );
    let engine = fs::read_dir(dir.join("engine")).expect("it is there");
    let journals = engine.map(|entry| entry.expect("a file").path());
    for journal in journals.filter(|path| path.extension().is_some_and(|end| end == "jnl")) {
        fs::remove_file(journal).expect("it is ours");
    }
    assert_refused(&dir, &["is damaged", "put a backup in its place"]);
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let folder = Folder::new();
    let dir = folder.join("data");
    let entries = (0..20_000).map(|i| (format!("k{i}"), format!("{i:020}").replace('0', "1")));
    fill(Model::default(), &dir, &entries.collect());
    let mut child = speicher()
        .arg("dump")
        .arg(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("UTF-8");
    assert!(line.starts_with(r#"{"key":"k"#), "{line}");
    drop(reader);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );

    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_speicher");
    command
        .args(["-c", r#"exec "$0" dump "$1" > /dev/full"#, program])
        .arg(&dir);
    let output = command.output().expect("sh runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("can't write to standard output: No space left"),
        "{said}"
    );
}
