//! What is asked for: which keys, values of which sizes, how many of them GETs.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_distr::Distribution as _;
use rand_distr::Zipf;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// How uneven Zipf's distribution is here: the exponent of YCSB's workloads.
pub const ZIPF_EXPONENT: f64 = 0.99;

/// The shortest value in bytes: an empty JSON string.
pub const VALUE_SIZE_MIN: usize = 2;

/// The longest value in bytes.
pub const VALUE_SIZE_MAX: usize = 32 << 20;

/// Bytes of a key: `key:` and ten digits.
pub const KEY_LEN: usize = 14;

/// The requests of a load. The same workload sends the same requests to every
/// target, in bytes of each protocol.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    /// How many keys there are, from 1.
    pub keys: u32,
    /// How often each is asked for.
    pub distribution: Distribution,
    /// How long values are.
    pub value_sizes: ValueSizes,
    /// Requests of a hundred that are GETs, up to 100; the others are SETs.
    pub get_percent: u32,
    /// What all random choices start from.
    pub seed: u64,
}

impl Default for Workload {
    /// 100,000 keys, all equally likely; values of 64 bytes; 80 % GETs.
    fn default() -> Self {
        Self {
            keys: 100_000,
            distribution: Distribution::Uniform,
            value_sizes: ValueSizes::one(64),
            get_percent: 80,
            seed: 1,
        }
    }
}

/// How often each key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// All equally often.
    Uniform,
    /// The key of rank r as often as r to the power of minus
    /// [`ZIPF_EXPONENT`]; `key:0000000000` is the most frequent.
    Zipf,
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "uniform" => Ok(Self::Uniform),
            "zipf" => Ok(Self::Zipf),
            _ => Err(format!(
                "there is no distribution {name:?}; choose uniform or zipf"
            )),
        }
    }
}

/// Lengths of values in bytes of JSON text, each with its weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ValueSizes(Vec<(usize, u32)>);

impl ValueSizes {
    /// All values are of one length, brought between [`VALUE_SIZE_MIN`] and
    /// [`VALUE_SIZE_MAX`].
    pub fn one(size: usize) -> Self {
        Self(vec![(size.clamp(VALUE_SIZE_MIN, VALUE_SIZE_MAX), 1)])
    }

    /// Sizes with their weights. Fails with a sentence when a size is out of
    /// bounds or no weight is more than zero.
    pub fn mix(sizes: Vec<(usize, u32)>) -> Result<Self, String> {
        if let Some((size, _)) = sizes
            .iter()
            .find(|(size, _)| !(VALUE_SIZE_MIN..=VALUE_SIZE_MAX).contains(size))
        {
            return Err(format!(
                "a value of {size} bytes can't be had; sizes go from {VALUE_SIZE_MIN}, for the \
                 quotes of a JSON string, to {VALUE_SIZE_MAX}"
            ));
        }
        let total: u64 = sizes.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 || total > u64::from(u32::MAX) {
            return Err("the weights must add up to more than zero, and to 32 bits".to_owned());
        }
        Ok(Self(sizes))
    }

    /// The longest of them, in bytes.
    pub fn longest(&self) -> usize {
        self.0.iter().map(|(size, _)| *size).max().unwrap_or(0)
    }

    fn pick(&self, random: u32) -> usize {
        let total: u32 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut rest = below(random, total);
        for (size, weight) in &self.0 {
            if rest < *weight {
                return *size;
            }
            rest -= weight;
        }
        unreachable!("the rest is below the sum of the weights")
    }
}

impl fmt::Display for ValueSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(size, _)] = &self.0[..] {
            return write!(f, "{size}");
        }
        for (index, (size, weight)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{size}:{weight}")?;
        }
        Ok(())
    }
}

/// A number from 0 to `bound - 1`, each as likely as 32 bits can make it.
fn below(random: u32, bound: u32) -> u32 {
    ((u64::from(random) * u64::from(bound)) >> 32) as u32
}

/// One request, before it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) key: u32,
    pub(super) is_get: bool,
    /// Of a SET, and of what a GET will probably find.
    pub(super) value_len: usize,
    /// Which of the values of a key is set.
    pub(super) salt: u8,
}

/// An endless sequence of requests; the same for the same seed.
pub(super) struct Operations {
    workload: Workload,
    random: Xoshiro256PlusPlus,
    zipf: Option<Zipf<f64>>,
}

impl Operations {
    /// The sequence of one of the generator's threads.
    pub(super) fn new(workload: &Workload, thread: usize) -> Self {
        let zipf = match workload.distribution {
            Distribution::Uniform => None,
            Distribution::Zipf => Zipf::new(f64::from(workload.keys), ZIPF_EXPONENT).ok(),
        };
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(workload.seed ^ (thread as u64) << 48),
            workload: workload.clone(),
            zipf,
        }
    }

    pub(super) fn next(&mut self) -> Operation {
        let workload = &self.workload;
        let random = self.random.next_u64();
        let key = match &self.zipf {
            None => below(random as u32, workload.keys),
            // Ranks begin with 1.
            Some(zipf) => (zipf.sample(&mut self.random) as u32).clamp(1, workload.keys) - 1,
        };
        let value_len = match &workload.value_sizes.0[..] {
            [(size, _)] => *size,
            _ => workload.value_sizes.pick(self.random.next_u32()),
        };
        Operation {
            key,
            is_get: below((random >> 32) as u32, 100) < workload.get_percent,
            value_len,
            // The low bits of the half whose high bits say what is asked, so
            // that it depends on neither that nor the key. Every salt would
            // make the same empty value.
            salt: match value_len {
                VALUE_SIZE_MIN => 0,
                _ => (random >> 32) as u8 % SALTS,
            },
        }
    }
}

/// How many values a key can have.
const SALTS: u8 = 64;

/// What the salt and the tag of a value are written with, none of which JSON
/// has to escape.
const ALPHABET: &[u8; SALTS as usize] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Characters of a value's tag, at six bits each.
const TAG_LEN: usize = 8;

/// Values begin at any of so many places of the text that fills them.
const OFFSETS: usize = 4096;

/// Makes values and recognises them. A value is a JSON string that tells, as
/// far as it is long enough, which key it belongs to and which of the key's
/// values it is; what fills it depends on both.
pub(super) struct Values {
    filler: Vec<u8>,
    seed: u64,
    may_be_empty: bool,
}

impl Values {
    pub(super) fn new(workload: &Workload) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(workload.seed);
        // An echo's value can be a little longer than that of a store.
        let len = workload.value_sizes.longest() + OFFSETS + 64;
        Self {
            filler: (0..len)
                .map(|_| ALPHABET[(random.next_u32() >> 26) as usize])
                .collect(),
            seed: workload.seed,
            may_be_empty: workload
                .value_sizes
                .0
                .iter()
                .any(|(size, _)| *size == VALUE_SIZE_MIN),
        }
    }

    /// Appends the value, of exactly `len` bytes.
    pub(super) fn push(&self, out: &mut Vec<u8>, key: u32, salt: u8, len: usize) {
        let mark = self.mark(key, salt, len);
        let inner = len - VALUE_SIZE_MIN;
        let marked = inner.min(mark.text.len());
        out.push(b'"');
        out.extend_from_slice(&mark.text[..marked]);
        out.extend_from_slice(&self.filler[mark.offset..][..inner - marked]);
        out.push(b'"');
    }

    /// Which of the key's values this is; `None` if it is none of them.
    pub(super) fn recognise(&self, key: u32, value: &[u8]) -> Option<u8> {
        let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let Some(first) = inner.first() else {
            return self.may_be_empty.then_some(0);
        };
        let salt = ALPHABET.iter().position(|letter| letter == first)? as u8;
        let mark = self.mark(key, salt, value.len());
        let (marked, filled) = inner.split_at(inner.len().min(mark.text.len()));
        let filler = self.filler.get(mark.offset..)?.get(..filled.len())?;
        (marked == &mark.text[..marked.len()] && filled == filler).then_some(salt)
    }

    /// The length is in it, so that a value that was cut is none of them.
    fn mark(&self, key: u32, salt: u8, len: usize) -> Mark {
        let of_len = mix(self.seed ^ len as u64);
        let mut hash = mix(of_len ^ u64::from(key) << 8 ^ u64::from(salt));
        let offset = hash as usize % OFFSETS;
        let mut text = [ALPHABET[usize::from(salt)]; TAG_LEN + 1];
        for letter in &mut text[1..] {
            *letter = ALPHABET[hash as usize % ALPHABET.len()];
            hash >>= 6;
        }
        Mark { text, offset }
    }
}

/// What a value begins with, and where in the filler it goes on.
struct Mark {
    text: [u8; TAG_LEN + 1],
    offset: usize,
}

/// Spreads neighbours apart (the finaliser of splitmix64).
fn mix(number: u64) -> u64 {
    let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// Which values of which keys have been sent to the server: a bit for each.
pub(super) struct Written(Vec<AtomicU64>);

impl Written {
    pub(super) fn none(keys: u32) -> Self {
        Self((0..keys).map(|_| AtomicU64::new(0)).collect())
    }

    /// Called before the value leaves, so that no reply can be earlier.
    pub(super) fn insert(&self, key: u32, salt: u8) {
        self.0[key as usize].fetch_or(1 << salt, Ordering::Relaxed);
    }

    pub(super) fn contains(&self, key: u32, salt: u8) -> bool {
        self.0[key as usize].load(Ordering::Relaxed) & 1 << salt != 0
    }
}

/// The bytes of a key.
pub(super) fn key_bytes(key: u32) -> [u8; KEY_LEN] {
    let mut bytes = *b"key:0000000000";
    let mut rest = key;
    for digit in bytes[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(workload: &Workload, requests: usize) -> Vec<f64> {
        let mut operations = Operations::new(workload, 0);
        let mut counts = vec![0.0; workload.keys as usize];
        for _ in 0..requests {
            counts[operations.next().key as usize] += 1.0;
        }
        counts
    }

    #[test]
    fn zipf_asks_for_each_rank_as_often_as_its_law_says() {
        let workload = Workload {
            keys: 1000,
            distribution: Distribution::Zipf,
            ..Workload::default()
        };
        let counts = counts(&workload, 1_000_000);
        let weight = |rank: usize| (rank as f64).powf(-ZIPF_EXPONENT);
        let total: f64 = (1..=1000).map(weight).sum();
        for rank in [1, 2, 3, 10, 100] {
            let expected = 1e6 * weight(rank) / total;
            let ratio = counts[rank - 1] / expected;
            assert!((0.9..1.1).contains(&ratio), "rank {rank}: {ratio}");
        }
        assert!(counts[999] > 0.0, "the last key has its turn too");
    }

    #[test]
    fn uniform_asks_for_all_keys_equally_often() {
        let workload = Workload {
            keys: 100,
            ..Workload::default()
        };
        for count in counts(&workload, 1_000_000) {
            assert!((9_000.0..11_000.0).contains(&count), "{count}");
        }
    }

    #[test]
    fn the_mix_of_sizes_and_commands_is_what_was_asked_for() {
        let workload = Workload {
            value_sizes: ValueSizes::mix(vec![(64, 90), (16384, 10)]).expect("in bounds"),
            get_percent: 80,
            ..Workload::default()
        };
        let mut operations = Operations::new(&workload, 0);
        let drawn: Vec<_> = (0..100_000).map(|_| operations.next()).collect();
        let share = |holds: &dyn Fn(&Operation) -> bool| {
            drawn.iter().filter(|operation| holds(operation)).count() as f64 / 1e5
        };
        assert!((0.89..0.91).contains(&share(&|operation| operation.value_len == 64)));
        assert!((0.09..0.11).contains(&share(&|operation| operation.value_len == 16384)));
        assert!((0.79..0.81).contains(&share(&|operation| operation.is_get)));
    }

    #[test]
    fn the_same_seed_gives_the_same_requests_and_another_does_not() {
        let first_100 = |seed, thread| {
            let workload = Workload {
                seed,
                ..Workload::default()
            };
            let mut operations = Operations::new(&workload, thread);
            (0..100).map(|_| operations.next()).collect::<Vec<_>>()
        };
        assert_eq!(first_100(7, 0), first_100(7, 0));
        assert_ne!(first_100(7, 0), first_100(8, 0));
        assert_ne!(first_100(7, 0), first_100(7, 1));
    }

    #[test]
    fn each_key_is_given_many_values() {
        let workload = Workload {
            keys: 10,
            ..Workload::default()
        };
        let mut operations = Operations::new(&workload, 0);
        let mut salts = vec![0_u64; 10];
        for _ in 0..10_000 {
            let operation = operations.next();
            salts[operation.key as usize] |= 1 << operation.salt;
        }
        for salts in salts {
            assert_eq!(salts, u64::MAX, "all of them");
        }
    }

    #[test]
    fn a_value_that_was_cut_is_none_of_a_key_s() {
        let values = Values::new(&Workload::default());
        let mut value = Vec::new();
        values.push(&mut value, 12345, 9, 64);
        value.remove(40);
        assert_eq!(values.recognise(12345, &value), None);
        assert_eq!(values.recognise(12345, b"\"\""), None);
    }

    #[test]
    fn a_value_is_recognised_by_its_key_and_by_no_other() {
        let workload = Workload {
            value_sizes: ValueSizes::mix(vec![(2, 1), (64, 1)]).expect("in bounds"),
            ..Workload::default()
        };
        let values = Values::new(&workload);
        for len in [2, 3, 10, 11, 12, 64] {
            let mut value = Vec::new();
            values.push(&mut value, 12345, 9, len);
            assert_eq!(value.len(), len);
            let salt = if len == 2 { 0 } else { 9 };
            assert_eq!(values.recognise(12345, &value), Some(salt));
            if len > 11 {
                assert_eq!(values.recognise(12346, &value), None);
                for index in 0..len {
                    let mut broken = value.clone();
                    broken[index] ^= 1;
                    assert_eq!(values.recognise(12345, &broken), None, "byte {index}");
                }
            }
        }
    }

    #[test]
    fn keys_are_ten_digits() {
        assert_eq!(&key_bytes(0), b"key:0000000000");
        assert_eq!(&key_bytes(u32::MAX), b"key:4294967295");
    }
}
