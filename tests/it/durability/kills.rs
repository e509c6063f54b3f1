//! Processes that are killed: nothing that was acknowledged goes with them.

use std::thread;
use std::time::Duration;

use super::load::{self, CLIENTS, Plan};
use super::record::{Entries, Loss, key_name, text_of};
use super::*;

every_model![
    a_killed_server_has_what_was_acknowledged_when_it_is_back,
    a_reset_that_a_crash_meets_is_made_or_not,
];

fn a_killed_server_has_what_was_acknowledged_when_it_is_back(model: Model) {
    for sync in Sync::ALL {
        let mut crashed = Crashed::new(model, sync);
        for _ in 0..crashes(3) {
            crashed.next_round();
        }
        crashed.assert_no_others();
    }
}

/// A reset is sent at the end of each round.
fn a_reset_that_a_crash_meets_is_made_or_not(model: Model) {
    let mut crashed = Crashed::new(model, Sync::Always);
    for _ in 0..crashes(3) {
        let load = Duration::from_millis(crashed.random.between(20, 60));
        let later = Duration::from_micros(crashed.random.below(4_000));
        crashed.load(Some(load), load + later);
    }
    crashed.assert_no_others();
}

/// A directory that has seen crashes, and what has to be in it.
struct Crashed {
    folder: Folder,
    model: Model,
    sync: Sync,
    random: Random,
    round: u32,
    /// Changes in all rounds. On a busy machine a short one may have none.
    acknowledged: usize,
    before: Vec<Entries>,
    server: Option<Process>,
}

impl Crashed {
    fn new(model: Model, sync: Sync) -> Self {
        let folder = Folder::new();
        let server = serve(model, &folder.join("data"), sync);
        Self {
            folder,
            model,
            sync,
            random: Random(model as u64),
            round: 0,
            acknowledged: 0,
            before: vec![Entries::new(); CLIENTS],
            server: Some(server),
        }
    }

    fn next_round(&mut self) {
        let load = Duration::from_millis(self.random.between(50, 300));
        let reset_after = (self.round % 4 == 3).then(|| load / 2);
        self.load(reset_after, load);
    }

    /// Kills the server under load, starts it again, and looks what it has.
    fn load(&mut self, reset_after: Option<Duration>, duration: Duration) {
        let server = self.server.take().expect("it is back");
        let plan = Plan {
            number: self.round,
            seed: self.random.next(),
            reset_after,
        };
        let round = load::until(server.address(), &plan, || {
            thread::sleep(duration);
            crash(server);
        });
        self.acknowledged += round.acknowledged();
        let dir = self.folder.join("data");
        if self.round % 3 == 1 {
            crash_at_start(self.model, &dir, self.random.below(60_000));
        }
        let server = serve(self.model, &dir, self.sync);
        let found = load::entries(server.address(), &round.keys(&self.before));
        if let Err(problem) = round.check(&self.before, &found, Loss::Nothing) {
            panic!("seed {}, {:?}: {problem}", plan.seed, self.sync);
        }
        self.before = found;
        self.round += 1;
        self.server = Some(server);
    }

    /// There is nothing that was never sent.
    fn assert_no_others(mut self) {
        assert!(self.acknowledged > 0, "there was no load");
        stop(self.server.take().expect("it is back"));
        let mut expected = BTreeMap::new();
        for (client, entries) in self.before.iter().enumerate() {
            for (key, stamp) in entries {
                expected.insert(key_name(client, *key), text_of(client, *key, *stamp));
            }
        }
        let found = stored(&self.folder.join("data"));
        assert_eq!(found.len(), expected.len());
        assert!(found == expected);
    }
}

/// Kills a server so many microseconds after it was started.
fn crash_at_start(model: Model, dir: &Path, after_us: u64) {
    let mut command = speicher();
    command.args(["serve", "--port", "0"]);
    command.args(options(model, dir, Sync::Always));
    let quiet = process::Stdio::null;
    let started = command.stdout(quiet()).stderr(quiet()).spawn();
    let mut child = started.expect("the program is there");
    thread::sleep(Duration::from_micros(after_us));
    child.kill().expect("it is a child");
    child.wait().expect("it was killed");
}

/// It has no entries yet, so the next may make it.
#[test]
fn a_directory_whose_making_was_cut_off_is_made_by_the_next_server() {
    let mut random = Random(3);
    for number in 0..crashes(10) {
        let folder = Folder::new();
        let dir = folder.join("new/data");
        let after_us = random.below(60_000);
        crash_at_start(Model::default(), &dir, after_us);
        let server = serve(Model::default(), &dir, Sync::Always);
        assert!(
            !server.ready_line.is_empty(),
            "{number}, after {after_us} us"
        );
        assert_eq!(server.connect().set("a", "1"), 200);
    }
}
