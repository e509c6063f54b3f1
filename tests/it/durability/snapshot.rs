//! What is in a folder, to be compared and made again. Files have large holes here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::unistd::{Whence, lseek};

const BLOCK_LEN: usize = 4096;

/// The files of a folder and of those in it; folders are `None`.
#[derive(Clone, PartialEq)]
pub struct Snapshot(pub BTreeMap<PathBuf, Option<Rc<Contents>>>);

#[derive(Clone, PartialEq)]
pub struct Contents {
    pub len: u64,
    /// Those that are not all zero, by their number.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Snapshot {
    pub fn of(folder: &Path) -> Self {
        let mut names = BTreeMap::new();
        collect(folder, Path::new(""), &mut names);
        Self(names)
    }

    /// Makes the folder as it was.
    pub fn make(&self, folder: &Path) {
        fs::create_dir(folder).expect("there is room");
        for (name, contents) in &self.0 {
            let path = folder.join(name);
            match contents {
                None => fs::create_dir(path).expect("there is room"),
                Some(contents) => contents.make(&path),
            }
        }
    }

    /// What the two differ in.
    pub fn differences(&self, other: &Self) -> Vec<PathBuf> {
        let names = self.0.keys().chain(other.0.keys());
        let differs = |name: &&PathBuf| self.0.get(*name) != other.0.get(*name);
        names.filter(differs).cloned().collect()
    }
}

fn collect(folder: &Path, name: &Path, names: &mut BTreeMap<PathBuf, Option<Rc<Contents>>>) {
    for entry in fs::read_dir(folder.join(name)).expect("it is there") {
        let entry = entry.expect("nobody changes it");
        let name = name.join(entry.file_name());
        let is_folder = entry.file_type().expect("nobody changes it").is_dir();
        let contents = (!is_folder).then(|| Rc::new(Contents::of(&entry.path())));
        names.insert(name.clone(), contents);
        if is_folder {
            collect(folder, &name, names);
        }
    }
}

impl Contents {
    fn of(path: &Path) -> Self {
        let file = File::open(path).expect("it is there");
        let len = file.metadata().expect("it is open").len();
        let mut blocks = BTreeMap::new();
        let mut end = 0;
        // It fails where no data are behind.
        while let Ok(begin) = lseek(&file, end, Whence::SeekData) {
            end = lseek(&file, begin, Whence::SeekHole).expect("data have an end");
            let first = begin as u64 / BLOCK_LEN as u64;
            for number in first..(end as u64).div_ceil(BLOCK_LEN as u64) {
                let at = number * BLOCK_LEN as u64;
                let mut block = vec![0; BLOCK_LEN.min((len - at) as usize)];
                file.read_exact_at(&mut block, at).expect("it is so long");
                if block.iter().any(|byte| *byte != 0) {
                    blocks.insert(number, block);
                }
            }
        }
        Self { len, blocks }
    }

    fn make(&self, path: &Path) {
        let file = File::create(path).expect("there is room");
        file.set_len(self.len).expect("there is room");
        for (number, block) in &self.blocks {
            let at = number * BLOCK_LEN as u64;
            file.write_all_at(block, at).expect("there is room");
        }
    }

    /// How many bytes are in blocks that are not zero.
    pub fn data_len(&self) -> u64 {
        self.blocks.values().map(|block| block.len() as u64).sum()
    }

    /// The place in the file of the byte that so many others in such blocks are before.
    pub fn place(&self, mut before: u64) -> u64 {
        for (number, block) in &self.blocks {
            if before < block.len() as u64 {
                return number * BLOCK_LEN as u64 + before;
            }
            before -= block.len() as u64;
        }
        self.len
    }

    pub fn flip(&mut self, at: u64, bit: u8) {
        let (number, offset) = (at / BLOCK_LEN as u64, at as usize % BLOCK_LEN);
        let block = self.blocks.get_mut(&number).expect("it is not zero");
        block[offset] ^= 1 << bit;
        if block.iter().all(|byte| *byte == 0) {
            self.blocks.remove(&number);
        }
    }

    pub fn cut(&mut self, len: u64) {
        self.len = len;
        let (number, rest) = (len / BLOCK_LEN as u64, len as usize % BLOCK_LEN);
        let _ = self.blocks.split_off(&(number + u64::from(rest > 0)));
        if let Some(block) = self.blocks.get_mut(&number) {
            block.truncate(rest);
            if block.iter().all(|byte| *byte == 0) {
                self.blocks.remove(&number);
            }
        }
    }
}
