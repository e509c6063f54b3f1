//! How long it takes to execute a batch on a store of 4 million keys, of which a cache holds few:
//! what counting instructions can't tell. `cargo bench --bench cold`, on a quiet machine.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use speicher::store::Batch;
use speicher::store::shards::Shards;

mod requests;

const KEYS: u32 = 4_000_000;

static SHARDS: LazyLock<Shards> = LazyLock::new(|| requests::filled(KEYS));

#[divan::bench(args = [1, 32], sample_count = 1000, sample_size = 32)]
fn execute(bencher: Bencher<'_, '_>, depth: u32) {
    LazyLock::force(&SHARDS);
    // So that no key is asked for again before most others were.
    let next = AtomicU32::new(0);
    bencher
        .counter(ItemsCount::new(depth))
        .with_inputs(|| {
            let first = next.fetch_add(depth, Ordering::Relaxed);
            let mut batch = Batch::default();
            let frames = requests::frames(first, depth, KEYS);
            requests::parse(&frames, &mut requests::decoder(), &mut batch);
            batch
        })
        .bench_refs(|batch| SHARDS.execute(batch));
}

fn main() {
    divan::main();
}
