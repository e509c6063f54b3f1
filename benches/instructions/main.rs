//! How many instructions a request takes, counted by valgrind's callgrind: a figure that other
//! work on the machine does not move, so a few percent more are a finding.
//!
//! `cargo bench --bench instructions` compares the figures with the record beside this file and
//! fails when one has grown; with `-- --renew` it writes the record. The program runs itself
//! again in callgrind, which dumps its counters after each call of one function.

#[path = "../requests.rs"]
mod requests;

mod callgrind;
mod record;
mod work;

use std::process::ExitCode;

use record::Record;
use speicher::memory::Allocator;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let has = |option: &str| std::env::args().skip(1).any(|argument| argument == option);
    if has(callgrind::INSIDE) {
        work::do_all();
        return ExitCode::SUCCESS;
    }
    if !callgrind::is_installed() {
        println!(
            "SKIPPED: valgrind is not installed, so no instructions were counted; \
             `apt-get install valgrind` brings it."
        );
        return ExitCode::SUCCESS;
    }
    let outcome = callgrind::counted().and_then(|counted| match has("--renew") {
        true => counted.write(),
        false => Record::read().and_then(|record| record.compare(&counted)),
    });
    match outcome {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}
