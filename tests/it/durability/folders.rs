//! Directories that can't be used, or go away.

use super::full_disk::Mounted;
use super::snapshot::Snapshot;
use super::*;

every_model![
    a_second_server_on_a_directory_ends_with_a_sentence,
    what_was_acknowledged_before_its_directory_was_renamed_is_in_it,
    without_its_directory_a_server_changes_nothing_and_goes_on_to_answer,
];

/// Starts a server that has to refuse the directory; what it says.
fn refused(model: Model, dir: &Path) -> String {
    let mut server = serve(model, dir, Sync::Always);
    assert_eq!(server.ready_line, "");
    assert_eq!(server.wait().0.code(), Some(1));
    let said = server.complaint("\n");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// As [`refused`], and nothing in the directory may change.
fn refused_and_left(dir: &Path) -> String {
    let before = Snapshot::of(dir);
    let said = refused(Model::default(), dir);
    assert_eq!(
        before.differences(&Snapshot::of(dir)),
        Vec::<PathBuf>::new()
    );
    said
}

/// A directory with an entry, whose server has ended.
fn stored() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve(Model::default(), &dir, Sync::Always);
    assert_eq!(server.connect().set("a", "1"), 200);
    stop(server);
    (folder, dir)
}

fn a_second_server_on_a_directory_ends_with_a_sentence(model: Model) {
    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "1"), 200);
    let said = refused(model, &dir);
    assert!(said.contains("another process"), "{said}");
    assert_eq!(peer.set("b", "2"), 200);
    crash(server);
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    assert!(peer.get_text("a").contains(":1}"));
    assert!(peer.get_text("b").contains(":2}"));
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_left() {
    let (_folder, dir) = stored();
    let owner = dir.join("speicher");
    let text = fs::read_to_string(&owner).expect("it is there");
    let (before, version) = text.trim_end().rsplit_once(' ').expect("a version");
    let newer = version.parse::<u32>().expect("a number") + 1;
    fs::write(&owner, format!("{before} {newer}\n")).expect("there is room");
    let said = refused_and_left(&dir);
    assert!(said.contains("version 2"), "{said}");
    assert!(said.contains("newer"), "{said}");
}

#[test]
fn a_directory_of_something_else_is_refused_and_left() {
    let folder = Folder::new();
    fs::write(folder.join("dump.rdb"), "REDIS0011").expect("there is room");
    let said = refused_and_left(&folder.0);
    assert!(said.contains("another --data"), "{said}");
}

#[test]
fn a_directory_without_a_part_is_refused_and_left() {
    let (_folder, dir) = stored();
    let whole = Snapshot::of(&dir);
    for (name, contents) in &whole.0 {
        // The lock has nothing in it.
        if name == Path::new("lock") {
            continue;
        }
        let path = dir.join(name);
        match contents {
            None => fs::remove_dir_all(&path).expect("it is there"),
            Some(_) => fs::remove_file(&path).expect("it is there"),
        }
        let without = Snapshot::of(&dir);
        let mut server = serve(Model::default(), &dir, Sync::Always);
        if server.ready_line.is_empty() {
            let said = server.complaint("\n");
            assert!(!said.contains("panicked"), "{}: {said}", name.display());
            assert_eq!(server.wait().0.code(), Some(1));
            let differences = without.differences(&Snapshot::of(&dir));
            assert_eq!(differences, Vec::<PathBuf>::new(), "{said}");
        } else {
            let found = server.connect().get_text("a");
            assert!(found.contains(":1}"), "without {}: {found}", name.display());
        }
        drop(server);
        fs::remove_dir_all(&dir).expect("it is there");
        whole.make(&dir);
    }
}

#[test]
fn a_file_in_place_of_a_directory_is_refused_and_left() {
    let folder = Folder::new();
    let path = folder.join("data");
    fs::write(&path, "text").expect("there is room");
    let said = refused(Model::default(), &path);
    assert!(said.contains("no directory"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "text");
}

/// Root may write everywhere but where nobody may.
#[test]
fn a_directory_that_can_t_be_written_is_refused() {
    let Some(disk) = Mounted::new("ro,size=1m") else {
        return;
    };
    for dir in [disk.0.0.clone(), disk.0.join("data")] {
        let said = refused(Model::default(), &dir);
        assert!(said.contains("Read-only"), "{said}");
        assert!(said.contains(disk.0.0.to_str().expect("UTF-8")), "{said}");
    }
}

fn what_was_acknowledged_before_its_directory_was_renamed_is_in_it(model: Model) {
    let folder = Folder::new();
    let (dir, away) = (folder.join("data"), folder.join("away"));
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "0"), 200);
    fs::rename(&dir, &away).expect("it is there");
    let mut last = 0;
    for number in 1..200 {
        match peer.set("a", &number.to_string()) {
            200 => last = number,
            503 => {}
            status => panic!("{status}"),
        }
    }
    let found = peer.get_text("a");
    assert!(
        found.contains(&format!(":{last}}}")),
        "{found}, and not {last}"
    );
    crash(server);
    assert!(!dir.exists(), "another directory was made");
    let server = serve(model, &away, Sync::Always);
    let found = server.connect().get_text("a");
    assert!(
        found.contains(&format!(":{last}}}")),
        "{found}, and not {last}"
    );
}

fn without_its_directory_a_server_changes_nothing_and_goes_on_to_answer(model: Model) {
    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve(model, &dir, Sync::Always);
    let mut peer = server.connect();
    assert_eq!(peer.set("a", "1"), 200);
    assert_eq!(peer.set("b", "2"), 200);
    fs::remove_dir_all(&dir).expect("it is there");
    wait_until("it is noticed", || peer.set("a", "1") == 503);
    assert_eq!(peer.set("a", "3"), 503);
    assert_eq!(peer.status(del("b")), 503);
    assert!(peer.get_text("a").contains(":1}"));
    assert!(peer.get_text("b").contains(":2}"));
    let said = server.complaint(dir.to_str().expect("UTF-8"));
    assert_eq!(said.matches("not there any more").count(), 1, "{said}");
}
