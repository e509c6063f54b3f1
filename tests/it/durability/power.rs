//! Power that is lost: what was acknowledged as synced is there, and nothing is half there.

use std::thread;
use std::time::Duration;

use super::load::{self, CLIENTS, Plan};
use super::record::{Entries, Loss};
use super::storage::{Storage, Written};
use super::*;

every_model![
    without_power_nothing_is_lost_that_was_acknowledged_as_synced,
    without_power_no_more_is_lost_than_the_time_says,
];

/// How much later than it should be a sync may be on a busy machine.
const MARGIN: Duration = Duration::from_millis(300);

fn without_power_nothing_is_lost_that_was_acknowledged_as_synced(model: Model) {
    lose_power(model, Sync::Always, Loss::Nothing, 50..300);
}

fn without_power_no_more_is_lost_than_the_time_says(model: Model) {
    let loss = Loss::Last(Duration::from_millis(100) + MARGIN);
    lose_power(model, Sync::Every100Ms, loss, 300..800);
}

fn lose_power(model: Model, sync: Sync, loss: Loss, load_ms: std::ops::Range<u64>) {
    let seed = model as u64;
    let Some(mut storage) = Storage::new(seed) else {
        return;
    };
    let mut random = Random(seed);
    let mut before = vec![Entries::new(); CLIENTS];
    let mut server = storage.serve(model, sync);
    let mut acknowledged = 0;
    for number in 0..crashes(4) as u32 {
        let load = Duration::from_millis(random.between(load_ms.start, load_ms.end));
        let plan = Plan {
            number,
            seed: random.next(),
            reset_after: (number % 4 == 3).then(|| load / 2),
        };
        let round = load::until(server.address(), &plan, || {
            thread::sleep(load);
            crash(server);
        });
        acknowledged += round.acknowledged();
        let written = match number % 2 {
            0 => Written::Nothing,
            _ => Written::Some,
        };
        storage.lose_power(written);
        server = storage.serve(model, sync);
        let found = load::entries(server.address(), &round.keys(&before));
        if let Err(problem) = round.check(&before, &found, loss) {
            panic!("round {number}, seed {}, {written:?}: {problem}", plan.seed);
        }
        before = found;
    }
    // On a busy machine a short round may have none.
    assert!(acknowledged > 0, "there was no load");
}
