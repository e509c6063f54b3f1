//! The attacks, each within bounds.

use std::time::Duration;

use serde::Serialize;

use crate::bench::compare::machine;
use crate::bench::figures;
use crate::bench::generator::{Assault, Manner};
use crate::bench::protocol::{Message, Protocol};

/// The first of the keys that attackers set, which no good client asks for.
const KEY_FIRST: u32 = 4_000_000_000;

/// The length of a value in most attacks, in bytes.
const VALUE_LEN: usize = 1 << 20;

/// Requests of a connection that reads nothing: a server that takes them all and keeps the
/// replies must not take the machine's memory.
const UNREAD_REQUESTS: usize = 64;

/// Malformed requests that are sent at once.
const MALFORMED_AT_ONCE: usize = 512;

/// How many times the bytes that a server is sent to hold must be free for an attack.
const MEMORY_SPARE: u64 = 3;

/// One thing that an adversary can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attack {
    /// Requests that are announced as long and never finished.
    Unfinished,
    /// As many bytes at once as valid requests can have.
    Huge,
    /// Long requests, one after another.
    Large,
    /// Requests that are none.
    Malformed,
    /// Replies that nobody reads.
    Unread,
    /// Requests in the smallest pieces.
    Fragments,
    /// Connections that come and go.
    Reconnect,
    /// Connections that do nothing.
    Silent,
}

/// How strong attacks are.
#[derive(Clone, Debug, Serialize)]
pub struct Strength {
    /// How long good clients are measured alone, and beside the attackers; for `huge`, which
    /// takes its time to send, three times as long.
    pub time: Duration,
    /// What connections and long values are divided by.
    pub divisor: usize,
}

impl Attack {
    /// In the order of the report.
    pub const ALL: [Self; 8] = [
        Self::Unfinished,
        Self::Huge,
        Self::Large,
        Self::Malformed,
        Self::Unread,
        Self::Fragments,
        Self::Reconnect,
        Self::Silent,
    ];

    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Huge => "huge",
            Self::Large => "large",
            Self::Malformed => "malformed",
            Self::Unread => "unread",
            Self::Fragments => "fragments",
            Self::Reconnect => "reconnect",
            Self::Silent => "silent",
        }
    }

    /// What the attackers do, in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Unfinished => {
                "64 connections send up to 16 MiB of a SET that was announced as longer, and \
                 never finish it"
            }
            Self::Huge => "60 connections send a SET of up to 60 MiB each, all at once",
            Self::Large => "50 connections send SETs of 1 MiB, one after another",
            Self::Malformed => "50 connections send small malformed requests without a pause",
            Self::Unread => {
                "16 connections ask 64 times each for a value of 1 MiB, and read nothing"
            }
            Self::Fragments => "200 connections send GETs, a byte every 5 ms",
            Self::Reconnect => {
                "8 connections at a time make one request, are reset, and are made again"
            }
            Self::Silent => "2,000 connections send nothing",
        }
    }

    /// The most connections that attackers have at the same time.
    pub fn connections(self) -> usize {
        match self {
            Self::Unfinished => 64,
            Self::Huge => 60,
            Self::Large | Self::Malformed => 50,
            Self::Unread => 16,
            Self::Fragments => 200,
            Self::Reconnect => 8,
            Self::Silent => 2000,
        }
    }

    /// How long good clients are measured alone, and beside the attackers.
    pub(in crate::bench) fn time(self, strength: &Strength) -> Duration {
        match self {
            Self::Huge => 3 * strength.time,
            _ => strength.time,
        }
    }

    /// What the attackers of a server do.
    pub(super) fn assault(self, protocol: Protocol, strength: &Strength) -> Assault {
        let divided = |number: usize| (number / strength.divisor.max(1)).max(1);
        let connections = divided(self.connections());
        let len_max = protocol.value_len_max();
        let long_sets = |value_len: usize| -> Vec<Message> {
            // Keys of their own: what one stores, none of the others replaces.
            let keys = (KEY_FIRST..).take(connections);
            keys.map(|key| protocol.long_set(key, value_len)).collect()
        };
        let once = Assault {
            manner: Manner::Once,
            connections,
            messages: Vec::new(),
            before: None,
            time: self.time(strength),
            bytes_max: 16 << 30,
            opened_max: 200_000,
        };
        match self {
            Self::Unfinished => {
                let value_len = divided(60 << 20).min(len_max);
                let all_but_the_end = |message: Message| {
                    let sent = divided(16 << 20).min(message.len() - 1);
                    message.cut(sent)
                };
                let messages = long_sets(value_len).into_iter().map(all_but_the_end);
                Assault {
                    messages: messages.collect(),
                    ..once
                }
            }
            Self::Huge => Assault {
                messages: long_sets(divided(60 << 20).min(len_max)),
                ..once
            },
            Self::Large => Assault {
                manner: Manner::AfterReply,
                messages: long_sets(divided(VALUE_LEN)),
                ..once
            },
            Self::Malformed => Assault {
                manner: Manner::WithoutPause,
                messages: protocol
                    .malformed()
                    .map(|request| Message::of(request.repeat(MALFORMED_AT_ONCE)))
                    .into_iter()
                    .collect(),
                ..once
            },
            Self::Unread => Assault {
                manner: Manner::Unread,
                messages: vec![Message::of(protocol.get(KEY_FIRST).repeat(UNREAD_REQUESTS))],
                before: Some(protocol.long_set(KEY_FIRST, divided(VALUE_LEN))),
                ..once
            },
            Self::Fragments => Assault {
                manner: Manner::ByteByByte,
                messages: vec![Message::of(protocol.get(0))],
                ..once
            },
            Self::Reconnect => Assault {
                manner: Manner::Reconnecting,
                messages: vec![Message::of(protocol.get(0))],
                ..once
            },
            Self::Silent => once,
        }
    }

    /// Why a server of the protocol is not attacked in this way on this machine: a sentence
    /// without its end.
    pub(in crate::bench::compare) fn left_out(
        self,
        protocol: Protocol,
        strength: &Strength,
    ) -> Option<String> {
        if !protocol.has_entries() {
            return Some("an echo holds nothing, so it is not attacked".to_owned());
        }
        let assault = self.assault(protocol, strength);
        let sent: usize = assault.messages.iter().map(Message::len).sum();
        let replies = assault
            .before
            .map_or(0, |value| value.len() * UNREAD_REQUESTS);
        let held = (sent + replies * assault.connections) as u64;
        let (needed, available) = (MEMORY_SPARE * held, machine::available_bytes()?);
        (needed > available).then(|| {
            format!(
                "{} is left out: it may take {} of memory, and this machine has {} left",
                self.name(),
                figures::bytes(needed as f64),
                figures::bytes(available as f64)
            )
        })
    }
}

impl Default for Strength {
    /// What the titles of the attacks say, for 3 s.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(3),
            divisor: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attackers_bring_what_the_titles_say() {
        let strength = Strength::default();
        let sent = |attack: Attack, protocol| {
            let messages = attack.assault(protocol, &strength).messages;
            (messages.len(), messages[0].len())
        };
        for protocol in [Protocol::Speicher, Protocol::Resp] {
            assert_eq!(sent(Attack::Unfinished, protocol), (64, 16 << 20));
            let (count, len) = sent(Attack::Huge, protocol);
            assert_eq!((count, len >> 20), (60, 60));
        }
        // Within memcached's own limit, and one byte less.
        let (_, whole) = sent(Attack::Huge, Protocol::Memcached);
        let (_, cut) = sent(Attack::Unfinished, Protocol::Memcached);
        assert!(whole < 4 << 20 && cut == whole - 1);
        for attack in Attack::ALL {
            let connections = attack.connections().to_string();
            let title = attack.title().replace(',', "");
            assert!(title.starts_with(&connections), "{title}");
        }
    }

    #[test]
    fn an_attack_can_be_made_weaker() {
        let weak = Strength {
            time: Duration::from_millis(100),
            divisor: 100,
        };
        for attack in Attack::ALL {
            let assault = attack.assault(Protocol::Speicher, &weak);
            assert_eq!(assault.connections, (attack.connections() / 100).max(1));
            let held: usize = assault.messages.iter().map(Message::len).sum();
            assert!(held < 1 << 20, "{}: {held}", attack.name());
            assert_eq!(attack.left_out(Protocol::Speicher, &weak), None);
        }
    }

    #[test]
    fn an_echo_is_not_attacked() {
        let left_out = Attack::Huge.left_out(Protocol::Echo, &Strength::default());
        assert!(left_out.is_some());
    }
}
