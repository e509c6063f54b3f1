//! Requests of one batch that go out together, and what becomes of them. Pure:
//! it neither sends nor waits.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;

use redis::Value as Answer;

use super::address::NodeAddress;
use super::command::{Command, Outcome, SHORT_VALUE_LEN, Verb};
use super::errors::Redirection;
use crate::protocol::{KeyRef, Reply, Request};
use crate::store::{REPLIES_LEN_MAX, StoreLost};

/// What a batch has next.
#[derive(Debug)]
pub(super) enum Round {
    Commands {
        commands: Vec<Command>,
        repeats: Repeats,
    },
    Reset,
}

/// Reads of a key that the same round reads before.
#[derive(Debug, Default)]
pub(super) struct Repeats(Vec<Repeat>);

#[derive(Debug)]
struct Repeat {
    /// The places in the round.
    before: usize,
    read: usize,
}

impl Repeats {
    /// Has a value fetched if that before it will be: it would be older.
    pub(super) fn settle(&self, outcomes: &mut [Outcome]) {
        for Repeat { before, read } in &self.0 {
            if matches!(outcomes.get(*before), Some(Outcome::Long))
                && let Some(outcome) = outcomes.get_mut(*read)
            {
                *outcome = Outcome::Long;
            }
        }
    }
}

impl Round {
    /// Takes requests from the first on, as many as can go out together: up to
    /// a reset, with as many reads as are allowed, and up to a change of a key
    /// that an earlier one reads, because that value may be long and has to be
    /// fetched before it is changed.
    pub(super) fn plan<'a>(
        requests: impl Iterator<Item = Request<KeyRef<'a>>>,
        prefix: &str,
        reads_max: NonZero<usize>,
    ) -> Self {
        let mut commands = Vec::new();
        let mut reads = 0;
        // By the hashes of the keys: two of one hash are taken for one key.
        let mut last_reads = HashMap::<u64, usize, BuildHasherDefault<HashOfHash>>::default();
        let mut repeats = Repeats::default();
        let mut key = prefix.as_bytes().to_vec();
        for request in requests {
            let changes = matches!(request, Request::Set { .. } | Request::Delete { .. });
            let hash = request.key_hash();
            match request {
                Request::Reset if commands.is_empty() => return Self::Reset,
                Request::Reset => break,
                _ if changes && last_reads.contains_key(&hash) => break,
                Request::Get { .. } if reads == reads_max.get() => break,
                Request::Get { .. } => {
                    reads += 1;
                    let read = commands.len();
                    if let Some(before) = last_reads.insert(hash, read) {
                        repeats.0.push(Repeat { before, read });
                    }
                }
                Request::Set { .. } | Request::Delete { .. } => {}
            }
            key.truncate(prefix.len());
            commands.push(Command::new(commands.len(), &request, &mut key));
        }
        Self::Commands { commands, repeats }
    }
}

/// Hashes what is a hash already: by itself.
#[derive(Default)]
struct HashOfHash(u64);

impl Hasher for HashOfHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a u64 is written at once");
    }
}

/// How long the longest value was that a round has read.
pub(super) fn longest_value_len(outcomes: &[Outcome]) -> usize {
    let len = |outcome: &Outcome| match outcome {
        Outcome::Long => SHORT_VALUE_LEN,
        outcome => value_len(outcome),
    };
    outcomes.iter().map(len).max().unwrap_or_default()
}

/// Drops values beyond what the replies of a batch may hold, and one more. They
/// are read again when it is their turn.
pub(super) fn drop_excess(outcomes: &mut Vec<Outcome>) {
    let mut len = 0;
    let is_enough = |outcome: &Outcome| {
        len += value_len(outcome);
        len >= REPLIES_LEN_MAX
    };
    let Some(last) = outcomes.iter().position(is_enough) else {
        return;
    };
    let is_read = |outcome: &Outcome| {
        let Outcome::Replied(reply) = outcome else {
            return true;
        };
        matches!(reply, Reply::Value(_) | Reply::NoValue)
    };
    if outcomes[last + 1..].iter().all(is_read) {
        outcomes.truncate(last + 1);
    }
    for outcome in &mut outcomes[last + 1..] {
        if let Outcome::Replied(Reply::Value(_)) = outcome {
            *outcome = Outcome::Long;
        }
    }
}

fn value_len(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Replied(Reply::Value(value)) => value.as_bytes().len(),
        _ => 0,
    }
}

/// What one node's answers to commands come to.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// With their places in the round.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// What has to be sent again, elsewhere, in order.
    pub(super) again: Vec<Command>,
}

/// Sorts out what a node has answered. All commands for one key have gone to
/// the same node, and were not executed if it has redirected them.
///
/// A key's commands are executed in order, also if only some were redirected: a
/// read after one that was is done again, and one before a change that was
/// made is refused.
pub(super) fn settle(
    commands: Vec<Command>,
    answers: Vec<Answer>,
    from: &NodeAddress,
) -> Result<Settled, StoreLost> {
    let redirection = |answer: &Answer| Redirection::of(answer, from);
    let mut settled = Settled::default();
    if answers.len() != commands.len() {
        return Err(StoreLost);
    }
    if !answers.iter().any(|answer| redirection(answer).is_some()) {
        settled.outcomes.reserve_exact(commands.len());
        for (command, answer) in commands.iter().zip(answers) {
            let outcome = command.outcome(answer)?;
            settled.outcomes.push((command.index, outcome));
        }
        return Ok(settled);
    }
    let mut last_change = HashMap::new();
    for (place, (command, answer)) in commands.iter().zip(&answers).enumerate() {
        if command.verb.changes() && !matches!(answer, Answer::ServerError(_)) {
            last_change.insert(command.key().to_vec(), place);
        }
    }
    let mut redirected = HashMap::new();
    for (place, (command, answer)) in commands.into_iter().zip(answers).enumerate() {
        let redirection = redirection(&answer);
        let key = command.key();
        let is_before_a_change = last_change.get(key).is_some_and(|change| *change > place);
        let is_after_one = redirected.contains_key(key) && command.verb == Verb::Get;
        match redirection {
            Some(redirection) if !is_before_a_change => {
                redirected.insert(key.to_vec(), Box::new(redirection));
                settled.again.push(command);
            }
            None if is_after_one => settled.again.push(command),
            _ => {
                let outcome = command.outcome(answer)?;
                settled.outcomes.push((command.index, outcome));
            }
        }
    }
    // A key's commands go to one node again, the one that was named last.
    for command in &mut settled.again {
        command.redirection = redirected.get(command.key()).cloned();
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Frame, Value};
    use crate::store::Batch;

    const OTHER: &str = "MOVED 1 other:2";

    /// `SET a`, `GET a`, `DEL a` or `RST`, and so on for other keys.
    fn batch(requests: &str) -> Batch {
        let mut batch = Batch::default();
        for request in requests.split(", ") {
            let (command, key) = request.split_once(' ').unwrap_or((request, ""));
            let payload = match command {
                "RST" => r#"{"command":"RST"}"#.to_owned(),
                _ => format!(r#"{{"command":"{command}","key":"{key}","value":1}}"#),
            };
            batch.push_frame(Frame::Short(payload.as_bytes()));
        }
        batch
    }

    fn planned(requests: &str, reads_max: usize) -> Vec<Command> {
        let reads_max = NonZero::new(reads_max).expect("it is not 0");
        match Round::plan(batch(requests).requests(), "p:", reads_max) {
            Round::Commands { commands, .. } => commands,
            Round::Reset => panic!("{requests} begins with no reset"),
        }
    }

    #[test]
    fn a_round_goes_up_to_what_has_to_wait_for_it() {
        for (requests, reads_max, len) in [
            ("SET a, GET a, GET b, SET c", 9, 4),
            ("SET a, SET a, DEL a, GET a", 9, 4),
            ("GET a, SET b, SET a, GET c", 9, 2),
            ("GET a, DEL a", 9, 1),
            ("GET a, GET b, RST, GET c", 9, 2),
            ("GET a, SET b, GET c, GET d", 2, 3),
            ("SET a, SET b, GET c, GET d", 1, 3),
        ] {
            assert_eq!(planned(requests, reads_max).len(), len, "{requests}");
        }
        let first = Round::plan(batch("RST, GET a").requests(), "p:", NonZero::<usize>::MIN);
        assert!(matches!(first, Round::Reset));
    }

    #[test]
    fn a_value_is_fetched_if_it_was_read_before_and_is_to_be_fetched() {
        let batch = batch("GET a, GET b, GET a, SET c, GET a, GET b");
        let round = Round::plan(batch.requests(), "p:", NonZero::<usize>::MAX);
        let Round::Commands { repeats, .. } = round else {
            panic!("it begins with no reset");
        };
        let mut outcomes: Vec<_> = (0..6).map(|_| Outcome::Replied(Reply::Done)).collect();
        outcomes[2] = Outcome::Long;
        repeats.settle(&mut outcomes);
        let long: Vec<_> = outcomes
            .iter()
            .map(|it| matches!(it, Outcome::Long))
            .collect();
        assert_eq!(long, [false, false, true, false, true, false]);
    }

    fn read(lens: &[usize]) -> Vec<Outcome> {
        let value = |len: &usize| {
            let json = format!("\"{}\"", "v".repeat(*len));
            let value = Value::read_stored(json.as_bytes()).expect("it is JSON");
            Outcome::Replied(Reply::Value(value))
        };
        lens.iter().map(value).collect()
    }

    #[test]
    fn no_more_values_are_kept_than_a_batch_holds() {
        let mut few = read(&[1, REPLIES_LEN_MAX - 100, 1]);
        drop_excess(&mut few);
        assert_eq!(few.len(), 3);
        let mut many = read(&[REPLIES_LEN_MAX / 2, REPLIES_LEN_MAX / 2, 1, 1]);
        drop_excess(&mut many);
        assert_eq!(many.len(), 2);
    }

    #[test]
    fn what_was_changed_behind_dropped_values_is_known() {
        let mut outcomes = read(&[1, REPLIES_LEN_MAX, 1]);
        outcomes.push(Outcome::Replied(Reply::Done));
        drop_excess(&mut outcomes);
        assert!(matches!(outcomes[2], Outcome::Long));
        assert!(matches!(outcomes[3], Outcome::Replied(Reply::Done)));
    }

    #[test]
    fn commands_have_their_places_and_the_prefix() {
        for (index, command) in planned("SET a, GET a, DEL a1", 9).iter().enumerate() {
            assert_eq!(command.index, index);
            let key: &[u8] = if index < 2 { b"p:a" } else { b"p:a1" };
            assert_eq!(command.key(), key);
        }
    }

    /// What came of the requests when their node answered so: `+` done, `1` the
    /// value, or an error. A status for each, or where it is sent again.
    fn settled(requests: &str, answers: &[&str]) -> Vec<String> {
        let from = NodeAddress {
            host: "here".to_owned(),
            port: 1,
        };
        let commands = planned(requests, usize::MAX);
        assert_eq!(commands.len(), answers.len(), "{requests}");
        let read = |answer: &&str| match *answer {
            "+" => Answer::Okay,
            "1" => Answer::BulkString(b"1".to_vec()),
            error => redis::parse_redis_value(format!("-{error}\r\n").as_bytes())
                .expect("an error is an answer"),
        };
        let answers = answers.iter().map(read).collect();
        let settled = settle(commands, answers, &from).expect("all is known");
        let mut all = vec![String::new(); settled.outcomes.len() + settled.again.len()];
        for (index, outcome) in settled.outcomes {
            let status = match outcome {
                Outcome::Replied(Reply::Done) => "200",
                Outcome::Replied(Reply::Value(_)) => "200 1",
                Outcome::Replied(Reply::Unavailable(_)) => "503",
                outcome => panic!("{outcome:?}"),
            };
            all[index] = status.to_owned();
        }
        for command in settled.again {
            let redirection = command.redirection.expect("it is sent elsewhere");
            all[command.index] = redirection.node.to_string();
        }
        all
    }

    #[test]
    fn what_is_redirected_is_sent_again_and_other_keys_are_not() {
        assert_eq!(
            settled("SET a, GET b, GET c", &[OTHER, "1", "ASK 1 :3"]),
            ["other:2", "200 1", "here:3"]
        );
    }

    #[test]
    fn a_read_after_what_was_redirected_is_done_again() {
        assert_eq!(
            settled("SET a, GET a, GET b", &[OTHER, "1", "1"]),
            ["other:2", "other:2", "200 1"]
        );
    }

    #[test]
    fn what_was_redirected_before_a_change_that_was_made_is_refused() {
        assert_eq!(
            settled("SET a, SET a, GET a", &[OTHER, "+", "1"]),
            ["503", "200", "200 1"]
        );
        assert_eq!(
            settled("SET a, SET a, SET a", &[OTHER, "+", OTHER]),
            ["503", "200", "other:2"]
        );
    }

    #[test]
    fn a_key_s_commands_go_together_to_where_the_last_was_sent() {
        assert_eq!(
            settled("SET a, SET a", &["ASK 1 other:3", OTHER]),
            ["other:2", "other:2"]
        );
    }

    #[test]
    fn an_answer_that_leaves_open_whether_a_change_was_made_is_none() {
        let from = NodeAddress {
            host: "here".to_owned(),
            port: 1,
        };
        let nonsense = vec![Answer::Int(7)];
        assert!(settle(planned("SET a", 9), nonsense, &from).is_err());
    }
}
