//! What is counted: the way of requests through the program, without any I/O.

use std::hint::black_box;
use std::io;

use speicher::protocol::Encoder;
use speicher::store::Batch;
use speicher::store::shards::Shards;

use crate::requests;

/// Requests of each piece of work: so many that what is random about a map evens out.
pub const REQUESTS: u32 = 9_600;

/// Entries of the stores.
const KEYS: [(u32, &str); 2] = [(1_000, "1,000"), (1_000_000, "1,000,000")];

/// Requests of a batch.
const DEPTHS: [u32; 2] = [1, 32];

/// The function whose instructions are counted, as callgrind calls it.
pub const COUNTED: &str = concat!(module_path!(), "::counted_by_callgrind");

/// Does every piece of work, the same number of times in each run, and prints its name.
pub fn do_all() {
    for (keys, shown) in KEYS {
        let shards = requests::filled(keys);
        for depth in DEPTHS {
            let batches = REQUESTS / depth;
            let frames = (0..batches).map(|index| requests::frames(index * depth, depth, keys));
            let mut work = Work {
                shards: &shards,
                frames: frames.collect(),
                batches: (0..batches).map(|_| Batch::default()).collect(),
                encoder: Encoder::default(),
            };
            // Buffers have grown then.
            for step in Step::ALL {
                work.go(step);
            }
            for step in Step::ALL {
                println!("{}, {depth} at a time, {shown} entries", step.name());
                counted_by_callgrind(&mut work, step);
            }
        }
    }
}

/// Callgrind counts what happens between the call and the return.
#[inline(never)]
fn counted_by_callgrind(work: &mut Work<'_>, step: Step) {
    work.go(step);
    // So that this call is no jump, which callgrind would not see the end of.
    black_box(work);
}

#[derive(Clone, Copy)]
enum Step {
    Parse,
    Execute,
    Encode,
}

impl Step {
    const ALL: [Self; 3] = [Self::Parse, Self::Execute, Self::Encode];

    fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Execute => "execute",
            Self::Encode => "encode",
        }
    }
}

struct Work<'a> {
    shards: &'a Shards,
    /// Those of each batch.
    frames: Vec<Vec<u8>>,
    batches: Vec<Batch>,
    encoder: Encoder,
}

impl Work<'_> {
    /// Takes every batch a step further.
    fn go(&mut self, step: Step) {
        match step {
            Step::Parse => {
                let mut decoder = requests::decoder();
                for (frames, batch) in self.frames.iter().zip(&mut self.batches) {
                    requests::parse(frames, &mut decoder, batch);
                }
            }
            // What a SET displaces is freed before its reply leaves.
            Step::Execute => {
                for batch in &mut self.batches {
                    self.shards.execute(batch);
                    drop(batch.take_garbage());
                }
            }
            Step::Encode => {
                for batch in &mut self.batches {
                    batch.encode(&mut self.encoder, usize::MAX);
                    while self.encoder.pending() > 0 {
                        let written = self.encoder.write_to(&mut io::sink());
                        written.expect("a sink takes all");
                    }
                }
            }
        }
    }
}
