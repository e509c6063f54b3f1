//! How the kit gives a server the ceiling that some cases need.

use speicher::conformance::all;
use speicher::server::Model;

use crate::conformance::{complained, conform, printed};
use crate::faults::faulty;
use crate::harness::*;

#[test]
fn the_cases_that_need_a_ceiling_are_skipped_where_nobody_says_how_to_set_it() {
    let server = Server::start(Model::default());
    let address = server.address.to_string();
    let faulty = faulty("none");
    for (subject, remark) in [
        (["--spawn", &faulty], "skipped: only --memory-option gives"),
        (
            [&address, "--yes"],
            "skipped: only --spawn with --memory-option",
        ),
    ] {
        let outcome = conform(&[&subject[..], &["--group", "memory"]].concat());
        assert_eq!(outcome.status.code(), Some(0), "{}", printed(&outcome));
        let lines = printed(&outcome).lines();
        let skipped = lines.filter(|line| line.contains("  skipped "));
        let of_group = all().iter().filter(|case| case.group() == "memory");
        assert_eq!(skipped.count(), of_group.count(), "{}", printed(&outcome));
        assert!(printed(&outcome).contains(remark), "{}", printed(&outcome));
    }
}

/// Where the place of the option is not the end of the command, the command says so.
#[test]
fn a_server_is_given_its_ceiling_by_the_option() {
    let command = format!("{} {{memory}} | cat", faulty("none"));
    let case = ["--case", "memory/full-names-the-ceiling"];
    let option = ["--memory-option", "--memory-max {bytes}"];
    let passed = conform(&[&["--spawn", &command], &option[..], &case[..]].concat());
    assert!(printed(&passed).contains("agrees"), "{}", printed(&passed));

    let ignoring = faulty("ceiling-ignored");
    let differing = conform(&[&["--spawn", &ignoring], &option[..], &case[..]].concat());
    assert_eq!(differing.status.code(), Some(0), "it may differ");
    let text = printed(&differing);
    assert!(text.contains("twice the ceiling of 64 MiB"), "{text}");
    assert!(
        text.contains("--memory-option '--memory-max {bytes}'"),
        "{text}"
    );
}

#[test]
fn an_option_for_the_ceiling_that_makes_no_sense_is_refused() {
    let faulty = faulty("none");
    for (arguments, remedy) in [
        (["--spawn", &faulty, "--memory-option", "-m 64"], "{bytes}"),
        (
            ["127.0.0.1:1", "--yes", "--memory-option", "-m {bytes}"],
            "--spawn",
        ),
        (
            ["--client", "x {port}", "--memory-option", "-m {bytes}"],
            "--spawn",
        ),
    ] {
        let refused = conform(&arguments);
        assert_ne!(refused.status.code(), Some(0), "{arguments:?}");
        assert!(complained(&refused).contains(remedy), "{refused:?}");
    }
}
