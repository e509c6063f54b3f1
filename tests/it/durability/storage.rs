//! Servers on storage that behaves badly: tests/preload/storage.c, between them and the system.

use std::fs::{self, File};
use std::io::{Read, Write, stderr};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Folder, Model, Random, Sync, options};
use crate::harness::*;

/// What the kernel writes at once.
const PAGE_LEN: usize = 4096;

/// How long a sync takes, so that others come to wait for it.
const SYNC_US: &str = "1000";

/// The library, unless there is no C compiler to make it with.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();

    LIBRARY.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/preload/storage.c");
    // Beside the program, so that it is replaced, and not left behind.
    let library = Path::new(env!("CARGO_BIN_EXE_speicher")).with_file_name("storage.so");
    let made = library.with_extension(format!("{}.so", std::process::id()));
    let compiled = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(&made)
        .arg(source)
        .stdin(Stdio::null())
        .status();
    let Ok(status) = compiled else {
        // Not `eprintln!`, which libtest shows only if a test fails.
        let _ = stderr().write_all(
            b"SKIPPED: the tests with storage that behaves badly; there is no C compiler\n",
        );
        return None;
    };
    assert!(status.success(), "{source} does not compile");
    fs::rename(&made, &library).expect("they are in one folder");
    Some(library)
}

/// A folder that loses what was not synced, with files that say when it fails.
pub struct Storage {
    folder: Folder,
    random: Random,
}

/// How much of what was not synced a loss of power takes.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    /// All of it.
    Nothing,
    /// The kernel had written some pages already, in any order, and some folders.
    Some,
}

impl Storage {
    /// `None` if there is no C compiler.
    pub fn new(seed: u64) -> Option<Self> {
        library()?;
        let folder = Folder::new();
        fs::create_dir(folder.join("root")).expect("there is room");
        fs::create_dir(folder.join("mirror")).expect("there is room");
        let random = Random(seed);
        Some(Self { folder, random })
    }

    /// A directory in the folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.join("root/data")
    }

    /// What a loss of power would leave. Removed, it begins anew with the next server.
    pub fn mirror(&self) -> PathBuf {
        self.folder.join("mirror")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", library().expect("there is a compiler"))
            .env("STORAGE_ROOT", self.folder.join("root"))
            .env("STORAGE_MIRROR", self.mirror())
            .env("STORAGE_FAIL_SYNC", self.folder.join("fail-sync"))
            .env("STORAGE_FAIL_WRITE", self.folder.join("fail-write"))
            .env("STORAGE_SYNC_US", SYNC_US);
        command
    }

    pub fn serve(&self, model: Model, sync: Sync) -> Process {
        let mut command = self.command(env!("CARGO_BIN_EXE_speicher"));
        command.args(["serve", "--port", "0"]);
        command.args(options(model, &self.dir(), sync));
        Process::spawn(command)
    }

    /// From now on, syncs fail.
    pub fn fail_syncs(&self) {
        fs::write(self.folder.join("fail-sync"), "").expect("there is room");
    }

    /// From now on, writes fail in this way; see tests/preload/storage.c.
    pub fn fail_writes(&self, how: &str) {
        let (new, path) = (self.folder.join("fail"), self.folder.join("fail-write"));
        fs::write(&new, how).expect("there is room");
        fs::rename(new, path).expect("it is in the same folder");
    }

    /// From now on, nothing fails.
    pub fn mend(&self) {
        let _ = fs::remove_file(self.folder.join("fail-sync"));
        let _ = fs::remove_file(self.folder.join("fail-write"));
    }

    /// Leaves what a loss of power would. All that had it open has to be dead.
    pub fn lose_power(&mut self, written: Written) {
        let (root, mirror) = (self.folder.join("root"), self.mirror());
        let after = self.folder.join("after");
        let number = fs::metadata(&root).expect("it is there").ino();
        fs::create_dir(&after).expect("there is room");
        self.restore_folder(number, Some(&root), &after, written);
        fs::remove_dir_all(&root).expect("it is there");
        fs::remove_dir_all(&mirror).expect("it is there");
        fs::create_dir(&mirror).expect("there is room");
        fs::rename(after, root).expect("they are in one folder");
    }

    /// `now` is where the folder is now, if it still is.
    fn restore_folder(&mut self, number: u64, now: Option<&Path>, to: &Path, written: Written) {
        let names = self.folder.join(&format!("mirror/names/{number}"));
        // A folder that was never synced has no names.
        let synced = parse_names(&fs::read(names).unwrap_or_default());
        let names = match (written, now) {
            (Written::Some, Some(now)) if self.random.below(2) == 0 => names_now(now),
            _ => synced,
        };
        for (is_folder, number, name) in names {
            let to = to.join(&name);
            if is_folder {
                let now = now.map(|now| now.join(&name));
                let is_same = |path: &&PathBuf| {
                    fs::metadata(path).is_ok_and(|metadata| metadata.ino() == number)
                };
                let now = now.as_ref().filter(is_same);
                fs::create_dir(&to).expect("there is room");
                self.restore_folder(number, now.map(PathBuf::as_path), &to, written);
            } else {
                self.restore_file(number, &to, written);
            }
        }
    }

    fn restore_file(&mut self, number: u64, to: &Path, written: Written) {
        let durable = self.folder.join(&format!("mirror/durable/{number}"));
        let live = self.folder.join(&format!("mirror/live/{number}"));
        let is_unchanged = |path: &Path| fs::metadata(path).is_ok_and(|file| file.ino() == number);
        match durable.exists() {
            true => fs::hard_link(&durable, to).expect("there is room"),
            false => File::create(to).map(drop).expect("there is room"),
        }
        if let Written::Some = written
            && !is_unchanged(&durable)
            && let Ok(live) = File::open(live)
        {
            self.write_some_pages(&live, to);
        }
    }

    /// Takes over about half of the pages that differ, and maybe the length.
    fn write_some_pages(&mut self, live: &File, to: &Path) {
        let to = File::options().read(true).write(true).open(to);
        let to = to.expect("it was made");
        let len = |file: &File| file.metadata().expect("it is open").len();
        if self.random.below(2) == 0 {
            to.set_len(len(live)).expect("there is room");
        }
        let end = len(&to).min(len(live));
        let (mut page, mut durable) = ([0; PAGE_LEN], [0; PAGE_LEN]);
        for at in (0..end).step_by(PAGE_LEN) {
            let some = PAGE_LEN.min((end - at) as usize);
            live.read_exact_at(&mut page[..some], at)
                .expect("it is so long");
            to.read_exact_at(&mut durable[..some], at)
                .expect("it is so long");
            if page != durable && self.random.below(2) == 0 {
                to.write_all_at(&page[..some], at).expect("there is room");
            }
        }
    }
}

/// Whether it is a folder, its number and its name.
type Name = (bool, u64, String);

fn parse_names(bytes: &[u8]) -> Vec<Name> {
    let text = str::from_utf8(bytes).expect("UTF-8");
    let parse = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().expect("three parts");
        let (kind, number, name) = (part(), part(), part());
        (
            kind == "d",
            number.parse().expect("a number"),
            name.to_owned(),
        )
    };
    text.split_terminator('\0').map(parse).collect()
}

fn names_now(folder: &Path) -> Vec<Name> {
    let entries = fs::read_dir(folder).expect("it is there");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("nobody changes it");
        let metadata = entry.metadata().expect("nobody changes it");
        let name = entry.file_name().into_string().expect("UTF-8");
        (metadata.is_dir(), metadata.ino(), name)
    };
    entries.map(name).collect()
}

/// A shell that writes and syncs.
#[test]
fn power_takes_what_was_not_synced_and_nothing_else() {
    let Some(mut storage) = Storage::new(0) else {
        return;
    };
    let dir = storage.dir();
    let run = |storage: &Storage, script: &str| {
        let status = storage
            .command("sh")
            .args(["-c", script, "sh"])
            .arg(&dir)
            .status();
        assert!(status.expect("sh runs").success(), "{script}");
    };
    // One process writes and syncs, for only that knows what it has written.
    let write = "write() { printf $2 | dd of=$1 conv=$3 oflag=append 2>/dev/null; }; ";
    let run = |storage: &Storage, script: &str| run(storage, &format!("{write}{script}"));
    run(
        &storage,
        "mkdir $1; write $1/synced first notrunc,fsync; write $1/written lost notrunc; \
         sync $1 $1/..; write $1/synced lost notrunc; write $1/late durable notrunc,fsync; \
         rm $1/written",
    );
    let read = |name: &str| {
        let mut text = String::new();
        let file = File::open(dir.join(name));
        file.map(|mut file| file.read_to_string(&mut text).map(|_| text))
            .ok()?
            .ok()
    };
    storage.lose_power(Written::Nothing);
    assert_eq!(read("synced").as_deref(), Some("first"));
    assert_eq!(read("written").as_deref(), Some(""));
    assert_eq!(read("late"), None);
    // What was there at the start is durable, until it is changed.
    run(&storage, "write $1/synced lost notrunc");
    storage.lose_power(Written::Nothing);
    assert_eq!(read("synced").as_deref(), Some("first"));
    run(&storage, "write $1/synced second notrunc,fdatasync");
    storage.lose_power(Written::Nothing);
    assert_eq!(read("synced").as_deref(), Some("firstsecond"));
    // In any order, but nothing that was never written.
    run(&storage, "write $1/synced third notrunc");
    storage.lose_power(Written::Some);
    let found = read("synced");
    let may_be = ["firstsecond", "firstsecondthird", "firstsecond\0\0\0\0\0"];
    assert!(
        may_be.contains(&found.as_deref().expect("it is there")),
        "{found:?}"
    );
}

#[test]
fn syncs_and_writes_fail_while_they_have_to() {
    let Some(storage) = Storage::new(0) else {
        return;
    };
    let dir = storage.dir();
    fs::create_dir(&dir).expect("there is room");
    let succeeds = |script: &str| {
        let mut command = storage.command("sh");
        command.args(["-c", script, "sh"]).arg(&dir);
        let output = command.output().expect("sh runs");
        output.status.success()
    };
    assert!(succeeds("printf text >$1/file && sync $1/file"));
    storage.fail_syncs();
    assert!(!succeeds("sync $1/file"));
    storage.fail_writes("ENOSPC half");
    assert!(!succeeds("dd if=/dev/zero of=$1/half bs=100 count=1"));
    assert_eq!(
        fs::metadata(dir.join("half")).expect("it is there").len(),
        50
    );
    storage.mend();
    assert!(succeeds("printf text >$1/file && sync $1/file"));
}
