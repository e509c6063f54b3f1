//! Runs the work in callgrind, and reads what it counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::record::{Conditions, Record};
use crate::work::{COUNTED, REQUESTS};

/// The option of this program with which it does the work.
pub const INSIDE: &str = "--inside-callgrind";

/// glibc chooses its functions for memory by what the processor can: these it has everywhere.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load";

/// Whether there is a valgrind to count with.
pub fn is_installed() -> bool {
    first_line("valgrind", &["--version"]).is_some()
}

/// Does the work in callgrind. Fails with a sentence.
pub fn counted() -> Result<Record, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    // What another run has left would be taken for a dump of this one.
    let _ = fs::remove_dir_all(&folder);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let dumps = folder.join("dump");
    let output = run(&dumps)?;
    let names = String::from_utf8_lossy(&output.stdout);
    let figures: Result<BTreeMap<_, _>, _> = names
        .lines()
        .zip(1..)
        .map(|(name, number)| {
            let path = dumps.with_extension(number.to_string());
            let text = fs::read_to_string(&path).map_err(failed)?;
            let counted = total(&text).ok_or("callgrind's dump has no total".to_owned())?;
            Ok::<_, String>((name.to_owned(), counted as f64 / f64::from(REQUESTS)))
        })
        .collect();
    Ok(Record {
        conditions: conditions(),
        figures: figures?,
    })
}

fn run(dumps: &Path) -> Result<Output, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--combine-dumps=no"])
        .arg(format!("--callgrind-out-file={}", dumps.display()))
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .env("GLIBC_TUNABLES", TUNABLES)
        .arg(program)
        .arg(INSIDE)
        .output()
        .map_err(|error| format!("valgrind can't be run ({error})"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!(
            "valgrind ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn total(dump: &str) -> Option<u64> {
    let mut totals = dump
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    totals.next()?.trim().parse().ok()
}

/// What the figures depend on beside the source.
fn conditions() -> Conditions {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let unknown = || "unknown".to_owned();
    let line =
        |program: &str, arguments: &[&str]| first_line(program, arguments).unwrap_or_else(unknown);
    Conditions {
        machine: std::env::consts::ARCH.to_owned(),
        rustc: line(&rustc, &["--version"]),
        valgrind: line("valgrind", &["--version"]),
        libc: line("getconf", &["GNU_LIBC_VERSION"]),
    }
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
