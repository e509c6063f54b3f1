//! Files that are cut, and bits that are flipped: what was stored is served, or nothing.

use std::rc::Rc;

use super::snapshot::{Contents, Snapshot};
use super::*;

/// A server with little memory makes tables and journals of little data.
const LITTLE_MEMORY: [&str; 2] = ["--memory-max", "32M"];

/// A directory after a load, and the entries that are in it.
struct Stored {
    snapshot: Snapshot,
    entries: BTreeMap<String, String>,
}

#[test]
fn files_that_were_cut_are_refused_or_what_was_stored_is_served() {
    try_many(1, |contents, random| {
        let len = match contents.data_len() {
            0 => random.below(contents.len.max(1)),
            len => contents.place(random.below(len)),
        };
        contents.cut(len);
        format!("cut to {len} bytes")
    });
}

#[test]
fn files_with_a_flipped_bit_are_refused_or_what_was_stored_is_served() {
    try_many(2, |contents, random| {
        let len = contents.data_len();
        if len == 0 {
            return "empty".to_owned();
        }
        let at = contents.place(random.below(len));
        let bit = random.below(8) as u8;
        contents.flip(at, bit);
        format!("bit {bit} of byte {at} flipped")
    });
}

/// Damages files of a server that was stopped, and of one that was killed.
fn try_many(seed: u64, damage: impl Fn(&mut Contents, &mut Random) -> String) {
    let stored = [store(stop), store(crash)];
    let mut random = Random(seed);
    for number in 0..damages(40) {
        try_one(&stored[number % 2], &mut random, &damage);
    }
}

/// Damages one file, and starts a server on what is left.
fn try_one(
    stored: &Stored,
    random: &mut Random,
    damage: impl FnOnce(&mut Contents, &mut Random) -> String,
) {
    let mut damaged = stored.snapshot.clone();
    let files: Vec<_> = damaged
        .0
        .iter_mut()
        .filter(|(_, file)| file.is_some())
        .collect();
    let (name, file) = files
        .into_iter()
        .nth(random.below(stored.files()) as usize)
        .expect("one of them");
    let contents = Rc::make_mut(file.as_mut().expect("it is a file"));
    let what = format!("{}: {}", name.display(), damage(contents, random));
    let folder = Folder::new();
    let dir = folder.join("data");
    damaged.make(&dir);
    let mut server = serve_little(&dir);
    if server.ready_line.is_empty() {
        let (status, _) = server.wait();
        assert_eq!(status.code(), Some(1), "{what}");
        let said = server.complaint("; ");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        let differences = damaged.differences(&Snapshot::of(&dir));
        assert_eq!(differences, Vec::<PathBuf>::new(), "{what}: {said}");
        return;
    }
    let found = read(&server);
    let differs = |key: &&String| found.get(*key) != stored.entries.get(*key);
    let differing: Vec<_> = found
        .keys()
        .chain(stored.entries.keys())
        .filter(differs)
        .collect();
    assert!(
        differing.is_empty(),
        "{what}: {} keys: {:?}",
        differing.len(),
        differing[0]
    );
}

impl Stored {
    fn files(&self) -> u64 {
        self.snapshot.0.values().flatten().count() as u64
    }
}

const KEYS: u64 = 300;

/// Changes a few hundred keys again and again, and ends the server.
fn store(end: impl FnOnce(Process)) -> Stored {
    const BATCHES: u64 = 200;
    const DEPTH: u64 = 20;

    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve_little(&dir);
    let mut peer = server.connect();
    let mut random = Random(0);
    let mut entries = BTreeMap::new();
    for batch in 0..BATCHES {
        let mut bytes = Vec::new();
        for number in 0..DEPTH {
            let key = format!("key-{}", random.below(KEYS));
            if random.below(10) == 0 {
                bytes.extend(framed(del(&key)));
                entries.remove(&key);
                continue;
            }
            let fill = "v".repeat(random.below(3_000) as usize);
            let value = format!("\"{batch} {number} {fill}\"");
            bytes.extend(framed(set(&key, &value)));
            entries.insert(key, value);
        }
        peer.send(&bytes);
        for _ in 0..DEPTH {
            assert!(matches!(status_of(&peer.reply()), 200 | 404));
        }
    }
    end(server);
    let snapshot = Snapshot::of(&dir);
    let is_of = |kind: &str| {
        let kind = move |name: &&PathBuf| name.to_str().is_some_and(|name| name.contains(kind));
        snapshot.0.keys().filter(kind).count()
    };
    assert!(is_of("/tables/") > 1, "there is not much to damage");
    Stored { snapshot, entries }
}

fn read(server: &Process) -> BTreeMap<String, String> {
    let mut peer = server.connect();
    let mut entries = BTreeMap::new();
    for number in 0..KEYS {
        let key = format!("key-{number}");
        let reply = peer.get_text(&key);
        let value = reply.strip_prefix(r#"{"status_code":200,"value":"#);
        match value.and_then(|value| value.strip_suffix('}')) {
            Some(value) => drop(entries.insert(key, value.to_owned())),
            None => assert!(reply.starts_with(r#"{"status_code":404"#), "{reply}"),
        }
    }
    entries
}

fn serve_little(dir: &Path) -> Process {
    let mut command = speicher();
    command.args(["serve", "--port", "0"]);
    command.args(options(Model::default(), dir, Sync::Always));
    command.args(LITTLE_MEMORY);
    Process::spawn(command)
}
