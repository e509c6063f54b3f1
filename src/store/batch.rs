//! What passes between connections and stores: requests that are executed
//! together, and afterwards their replies.

use std::ops::Range;

#[cfg(feature = "data")]
use super::change::Change;
use super::garbage::Garbage;
use super::tally::{Row, Tally};
use crate::memory::{ceiling, reserve};
#[cfg(feature = "data")]
use crate::protocol::Entry;
use crate::protocol::{BadRequest, Encoder, Frame, KeyRef, LongFrame, Reply, Request};

/// The most requests of one connection that are executed together. It bounds
/// how long other connections wait.
pub const BATCH_LEN_MAX: usize = 512;

/// What is no request counts for so many: its reply is a sentence, which takes
/// longer to write than any other.
const BAD_REQUEST_COST: usize = 8;

/// Executing stops when the replies hold so many bytes of values, and goes on
/// when they are encoded. One value may be longer.
pub const REPLIES_LEN_MAX: usize = 256 << 10;

/// Requests whose entries are asked for together. There are not many more that
/// a processor's first cache has room for.
const GROUP_LEN: usize = 32;

/// Fewer than this are executed faster than asked for.
const PREFETCH_LEN_MIN: usize = 3;

/// Keys that take more than this, in bytes, are not kept room for.
const KEYS_LEN_IDLE: usize = 64 << 10;

/// Requests of one connection, in the order of their frames, that become their
/// replies in place.
///
/// Slots pass through three stages, in order: asked, answered, encoded. So two
/// marks divide them. A frame that is no request enters as its reply, and is
/// answered when those before it are.
#[derive(Debug, Default)]
pub struct Batch {
    slots: Vec<Slot>,
    /// The texts of the keys that are only looked up.
    keys: String,
    /// Slots before this one are encoded, those from here to `answered` only
    /// answered.
    encoded: usize,
    answered: usize,
    bad_requests: usize,
    /// Bytes of values in the replies that are not encoded.
    replies_len: usize,
    tally: Tally,
    garbage: Garbage,
}

#[derive(Debug)]
enum Slot {
    /// Not parsed yet.
    Long(LongFrame),
    /// With the hash of its key.
    Asked(u64, Request<KeptKey>),
    /// Its request is being executed. If that panics it stays so, and nobody
    /// can take it for one that was answered.
    Taken,
    Answered(Reply),
}

/// A key in the batch's `keys`.
#[derive(Clone, Debug)]
struct KeptKey {
    start: u32,
    len: u32,
}

impl KeptKey {
    fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}

impl Batch {
    /// Slots, of whatever stage.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it has no slots: all that there was is encoded.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes no more frames until it has been encoded.
    pub fn is_full(&self) -> bool {
        self.len() + self.bad_requests * (BAD_REQUEST_COST - 1) >= BATCH_LEN_MAX
            || self.has_long_frame()
    }

    /// Whether its last frame is long, and has to be [parsed](Self::parse).
    pub fn has_long_frame(&self) -> bool {
        matches!(self.slots.last(), Some(Slot::Long(_)))
    }

    /// Whether a store has something to execute.
    pub fn has_requests(&self) -> bool {
        self.answered < self.slots.len()
    }

    /// Adds a frame: a request, or the reply to what is none. A long frame
    /// fills the batch.
    #[inline]
    pub fn push_frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Short(payload) => self.push_payload(payload),
            Frame::Long(frame) => self.slots.push(Slot::Long(frame)),
            Frame::Dropped(reason) => self.push_refusal((&*reason).into()),
        }
    }

    /// Parses its long frame, if it has one: about a millisecond for each MiB,
    /// so where nobody else waits.
    pub fn parse(&mut self) {
        if let Some(Slot::Long(frame)) = self.slots.pop_if(|slot| matches!(slot, Slot::Long(_))) {
            let payload = frame.payload();
            // A key with escapes is made in two places, each of which would end
            // the process where there is no memory.
            let room = || Vec::<u8>::new().try_reserve_exact(2 * payload.len());
            if !ceiling::has_room(payload.len()) {
                ceiling::note_refused_entry();
                self.push_refusal((&BadRequest::Full).into());
            } else if reserve::is_held() && room().is_ok() {
                self.push_payload(payload);
            } else {
                self.push_refusal((&BadRequest::NoMemory).into());
            }
        }
    }

    fn push_payload(&mut self, payload: &[u8]) {
        let keys = &mut self.keys;
        match Request::parse_with(payload, |key| keep(keys, key)) {
            // Unlike `push`, this makes room first, and so writes the slot only once.
            Ok((hash, request)) => self.slots.extend(Some(Slot::Asked(hash, request))),
            Err(error) => self.push_refusal((&error).into()),
        }
    }

    /// Adds the reply to what no store is asked; it has no value.
    pub fn push_refusal(&mut self, reply: Reply) {
        debug_assert_eq!(value_len(&reply), 0, "values are counted when answered");
        self.bad_requests += 1;
        self.tally.add(Row::INVALID, &reply);
        let is_next = !self.has_requests();
        self.slots.push(Slot::Answered(reply));
        if is_next {
            self.answered += 1;
        }
    }

    /// The requests that a store has to answer, in order, without a long frame
    /// that is not [parsed](Self::parse).
    pub fn requests(&self) -> impl Iterator<Item = Request<KeyRef<'_>>> {
        self.slots[self.answered..]
            .iter()
            .filter_map(|slot| match slot {
                Slot::Asked(hash, request) => Some(borrow(*hash, request.clone(), &self.keys)),
                Slot::Long(_) | Slot::Taken | Slot::Answered(_) => None,
            })
    }

    /// Has `apply` answer the requests, in order, until all are answered or
    /// their replies hold [`REPLIES_LEN_MAX`] bytes. [Parses](Self::parse) what
    /// is not parsed.
    pub fn answer_each(&mut self, apply: impl FnMut(Request<KeyRef<'_>>, &mut Garbage) -> Reply) {
        self.answer(&mut Each(apply));
    }

    /// As [`answer_each`](Self::answer_each), but no more than `count` requests.
    pub fn answer_next(
        &mut self,
        count: usize,
        apply: impl FnMut(Request<KeyRef<'_>>, &mut Garbage) -> Reply,
    ) {
        let mut end = self.answered;
        let mut requests = 0;
        for slot in &self.slots[self.answered..] {
            requests += usize::from(!matches!(slot, Slot::Answered(_)));
            if requests > count {
                break;
            }
            end += 1;
        }
        self.answer_until(end, REPLIES_LEN_MAX, &mut Each(apply));
    }

    /// As [`answer_each`](Self::answer_each), in groups whose entries are
    /// asked for before they are needed.
    pub(super) fn answer(&mut self, store: &mut impl Apply) {
        self.answer_up_to(REPLIES_LEN_MAX, store);
    }

    /// As [`answer`](Self::answer), however long the replies are.
    #[cfg(feature = "data")]
    pub(super) fn answer_all(&mut self, store: &mut impl Apply) {
        self.answer_up_to(usize::MAX, store);
    }

    #[inline]
    fn answer_up_to(&mut self, replies_len_max: usize, store: &mut impl Apply) {
        self.parse();
        while self.has_requests() && self.replies_len < replies_len_max {
            let end = self.slots.len().min(self.answered + GROUP_LEN);
            prefetch(&self.slots[self.answered..end], store);
            self.answer_until(end, replies_len_max, store);
        }
    }

    #[inline]
    fn answer_until(&mut self, end: usize, replies_len_max: usize, store: &mut impl Apply) {
        for slot in &mut self.slots[self.answered..end] {
            if self.replies_len >= replies_len_max && matches!(slot, Slot::Asked(..)) {
                return;
            }
            *slot = match std::mem::replace(slot, Slot::Taken) {
                Slot::Asked(hash, request) => {
                    let request = borrow(hash, request, &self.keys);
                    let row = Row::of(&request);
                    let reply = store.apply(hash, request, &mut self.garbage);
                    self.replies_len += value_len(&reply);
                    self.tally.add(row, &reply);
                    Slot::Answered(reply)
                }
                answered => answered,
            };
            self.answered += 1;
        }
    }

    /// Moves replies into the encoder, in order, until `pending_max` bytes wait
    /// there or the next request is not answered. With the last of them the
    /// batch is empty again.
    pub fn encode(&mut self, encoder: &mut Encoder, pending_max: usize) {
        while self.encoded < self.answered && encoder.pending() < pending_max {
            let Slot::Answered(reply) = &mut self.slots[self.encoded] else {
                unreachable!("every slot before the mark is answered");
            };
            encoder.push(reply);
            self.replies_len -= value_len(reply);
            // A value is not kept until the rest of the batch is encoded.
            *reply = Reply::Done;
            self.encoded += 1;
        }
        if self.encoded == self.slots.len() {
            self.clear();
        }
    }

    /// What was answered and that nobody has counted yet.
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Whether there is something for [`take_garbage`](Self::take_garbage).
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// What executing has removed since it was last taken. Whoever executes a
    /// batch takes it, for the next connection gets the batch.
    pub fn take_garbage(&mut self) -> Garbage {
        std::mem::take(&mut self.garbage)
    }

    /// Gives up the room that it does not need.
    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.keys.shrink_to_fit();
    }

    fn clear(&mut self) {
        debug_assert!(self.garbage.is_empty(), "its executor has taken it");
        self.slots.clear();
        self.keys.clear();
        if self.keys.capacity() > KEYS_LEN_IDLE {
            self.keys = String::new();
        }
        (self.encoded, self.answered, self.bad_requests) = (0, 0, 0);
    }
}

/// What a journal needs.
#[cfg(feature = "data")]
impl Batch {
    /// Whether a request that has to be answered changes something. Of a batch
    /// that is [parsed](Self::parse).
    pub(crate) fn has_changes(&self) -> bool {
        self.changes().next().is_some()
    }

    /// What its requests would change, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let slots = self.slots[self.answered..].iter();
        slots.filter_map(|slot| match slot {
            Slot::Asked(_, request) => match request {
                Request::Set { entry } => Some(Change::Set {
                    key: entry.key(),
                    value: entry.value_text(),
                }),
                Request::Get { .. } => None,
                Request::Delete { key } => Some(Change::Delete {
                    key: &self.keys[key.range()],
                }),
                Request::Reset => Some(Change::Reset),
            },
            Slot::Long(_) | Slot::Taken | Slot::Answered(_) => None,
        })
    }

    /// About how many bytes they take.
    pub(crate) fn changes_len(&self) -> usize {
        let len = |change| match change {
            Change::Set { key, value } => key.len() + value.len(),
            Change::Delete { key } => key.len(),
            Change::Reset => 0,
        };
        self.changes().map(len).sum()
    }

    /// Refuses those SETs for which there is no room, by the hashes of their
    /// keys.
    pub(super) fn refuse_sets(&mut self, has_room: impl Fn(u64, &Entry) -> bool) {
        let full = || (&BadRequest::Full).into();
        self.refuse_each(|hash, request| match request {
            Request::Set { entry } if !has_room(hash, entry) => {
                ceiling::note_refused_entry();
                Some(full())
            }
            _ => None,
        });
    }

    /// Refuses all that would change something, with a copy of this reply.
    pub(crate) fn refuse_changes(&mut self, sentence: &str) {
        self.refuse_each(|_, request| match request {
            Request::Get { .. } => None,
            _ => Some(Reply::Unavailable(sentence.to_owned())),
        });
    }

    fn refuse_each(&mut self, refusal: impl Fn(u64, &Request<KeptKey>) -> Option<Reply>) {
        for slot in &mut self.slots[self.answered..] {
            if let Slot::Asked(hash, request) = slot
                && let Some(reply) = refusal(*hash, request)
            {
                self.tally.add(Row::of(request), &reply);
                *slot = Slot::Answered(reply);
            }
        }
    }
}

/// What answers requests one by one, and can ask the processor for what it
/// will need.
pub(super) trait Apply {
    /// Asks for where the entry of a key of this hash is noted.
    fn prefetch_slot(&self, hash: u64);

    /// Asks for that entry; its slot has to be there.
    fn prefetch_entry(&self, hash: u64);

    /// Executes a request; `hash` is its key's. What it removes goes into
    /// `garbage`.
    fn apply(&mut self, hash: u64, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply;
}

/// A function that answers requests.
struct Each<F>(F);

impl<F: FnMut(Request<KeyRef<'_>>, &mut Garbage) -> Reply> Apply for Each<F> {
    fn prefetch_slot(&self, _: u64) {}

    fn prefetch_entry(&self, _: u64) {}

    fn apply(&mut self, _: u64, request: Request<KeyRef<'_>>, garbage: &mut Garbage) -> Reply {
        (self.0)(request, garbage)
    }
}

/// Has many cache misses at the same time, which would come one by one while
/// the requests are executed.
fn prefetch(slots: &[Slot], store: &impl Apply) {
    if slots.len() < PREFETCH_LEN_MIN {
        return;
    }
    let hashes = || {
        slots.iter().filter_map(|slot| match slot {
            Slot::Asked(hash, _) => Some(*hash),
            _ => None,
        })
    };
    hashes().for_each(|hash| store.prefetch_slot(hash));
    hashes().for_each(|hash| store.prefetch_entry(hash));
}

fn keep(keys: &mut String, key: KeyRef<'_>) -> KeptKey {
    let start = keys.len();
    keys.push_str(key.as_str());
    // A batch's keys came in one buffer, which is no longer than a frame or
    // what is read at a time: less than 4 GiB.
    let short = |len| u32::try_from(len).expect("shorter than a frame");
    KeptKey {
        start: short(start),
        len: short(key.as_str().len()),
    }
}

fn borrow(hash: u64, request: Request<KeptKey>, keys: &str) -> Request<KeyRef<'_>> {
    let key_ref = |key: KeptKey| KeyRef::with_hash(&keys[key.range()], hash);
    match request {
        Request::Set { entry } => Request::Set { entry },
        Request::Get { key } => Request::Get { key: key_ref(key) },
        Request::Delete { key } => Request::Delete { key: key_ref(key) },
        Request::Reset => Request::Reset,
    }
}

fn value_len(reply: &Reply) -> usize {
    match reply {
        Reply::Value(value) => value.as_bytes().len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn encoded(batch: &mut Batch, pending_max: usize) -> String {
        let mut encoder = Encoder::default();
        batch.encode(&mut encoder, pending_max);
        let mut bytes = Vec::new();
        while encoder.pending() > 0 {
            encoder.write_to(&mut bytes).expect("a Vec takes all");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn push_set(batch: &mut Batch, key: &str, value_len: usize) {
        let value = "v".repeat(value_len);
        let payload = format!(r#"{{"command":"SET","key":"{key}","value":"{value}"}}"#);
        batch.push_frame(Frame::Short(payload.as_bytes()));
    }

    fn execute(batch: &mut Batch, store: &mut Store) {
        store.execute(batch);
    }

    #[test]
    fn frames_that_are_no_requests_keep_their_places() {
        let mut batch = Batch::default();
        batch.push_frame(Frame::Short(b"first"));
        assert!(!batch.has_requests(), "it is answered already");
        batch.push_frame(Frame::Short(br#"{"command":"GET","key":"k"}"#));
        batch.push_frame(Frame::Short(b"third"));
        assert!(batch.has_requests());
        execute(&mut batch, &mut Store::default());
        let replies = encoded(&mut batch, usize::MAX);
        let codes: Vec<_> = replies.split("status_code\":").skip(1).collect();
        let codes: Vec<_> = codes.iter().map(|rest| &rest[..3]).collect();
        assert_eq!(codes, ["400", "404", "400"]);
        assert!(batch.is_empty());
    }

    #[test]
    fn executing_stops_when_its_replies_are_long_and_goes_on_when_they_are_encoded() {
        const LEN: usize = 100_000;

        let mut store = Store::default();
        let mut batch = Batch::default();
        push_set(&mut batch, "k", LEN);
        for _ in 0..10 {
            batch.push_frame(Frame::Short(br#"{"command":"GET","key":"k"}"#));
        }
        let mut lens = Vec::new();
        while !batch.is_empty() {
            execute(&mut batch, &mut store);
            assert!(batch.replies_len < REPLIES_LEN_MAX + LEN + 2);
            lens.push(encoded(&mut batch, usize::MAX).matches("200").count());
        }
        assert_eq!(lens, [1 + 3, 3, 3, 1]);
    }

    #[test]
    fn encoding_stops_at_its_bound_and_goes_on_where_it_stopped() {
        let mut store = Store::default();
        let mut batch = Batch::default();
        push_set(&mut batch, "k", 100);
        for _ in 0..5 {
            batch.push_frame(Frame::Short(br#"{"command":"GET","key":"k"}"#));
        }
        execute(&mut batch, &mut store);
        let mut replies = 0;
        while !batch.is_empty() {
            let some = encoded(&mut batch, 200).matches("200").count();
            assert!((1..=3).contains(&some), "{some}");
            replies += some;
        }
        assert_eq!(replies, 6);
    }

    #[test]
    fn what_is_displaced_and_removed_is_garbage_once() {
        let mut store = Store::default();
        let mut batch = Batch::default();
        push_set(&mut batch, "k", 1000);
        push_set(&mut batch, "k", 2000);
        execute(&mut batch, &mut store);
        let displaced = batch.take_garbage().bytes();
        assert!((1000..1100).contains(&displaced), "{displaced}");
        batch.push_frame(Frame::Short(br#"{"command":"RST"}"#));
        execute(&mut batch, &mut store);
        let removed = batch.take_garbage().bytes();
        assert!((2000..2100).contains(&removed), "{removed}");
        assert!(batch.take_garbage().is_empty());
    }

    #[test]
    fn a_batch_keeps_no_long_keys_room() {
        let mut batch = Batch::default();
        let key = "k".repeat(1 << 20);
        batch.push_frame(Frame::Short(
            format!(r#"{{"command":"GET","key":"{key}"}}"#).as_bytes(),
        ));
        execute(&mut batch, &mut Store::default());
        encoded(&mut batch, usize::MAX);
        assert!(batch.keys.capacity() <= KEYS_LEN_IDLE);
    }
}
